/* The question of a service before it starts: am I in my tunnel, and is it locked? */
#pragma once

#include "base/macro.h"

/*
 * 0 when the calling process is in the network namespace /run/netns/TUNNEL, that is not PID 1's, and the kernel says that
 * its lock holds (lock.h). Else -errno and one sentence; whatever cannot be found out is a refusal.
 */
int guard_verify(const char *tunnel, char **ret_error);
