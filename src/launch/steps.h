/* Single steps of the way into a tunnel, in the order of launch.c, for its two callers: launch.c itself and nsvpn-launch. */
#pragma once

#include "base/macro.h"
#include "launch/covers.h"

/* Step 1: standard streams exist and are no network sockets (unless allowed). 0 or -errno with a sentence. */
int launch_check_streams(bool allow_inet, char **ret_error);
/* Steps 2 and 3: the tunnel's network namespace, seen to be locked, and the mounts (durable, isolate: mounts.h). */
int launch_join(const char *tunnel, bool durable, const struct covers_user *isolate, char **ret_error);
/* Step 6: descriptors above 2. */
int launch_close_rest(char **ret_error);
/* Step 7: PATH lookup and exec in the environment as it is. Returns only on failure: 126 or 127 and a sentence. */
int launch_run(char *const *argv, char **ret_error);
