/* The process that puts covers back in a program's mount namespace. */
#pragma once

#include "launch/pieces.h"

/*
 * Forks it, from inside the mount namespace and still with root's rights. It belongs to nobody's session and is no child
 * of the caller; `program` (a pidfd) is whose end it waits for. 0, or -errno and one sentence.
 */
int keeper_start(const struct pieces *m, int program, char **ret_error);
