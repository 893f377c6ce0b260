/* One tunnel's engine: the event loop that ties protocol, timers, tun, transport socket and helper together. */
#pragma once

#include "base/macro.h"

struct engine;

/*
 * Allocates everything that the data path will ever need and takes over the control socket, before the sandbox is
 * closed. Owns control_fd from the call on. 0 or -errno.
 */
int engine_new(struct engine **ret, int control_fd);
struct engine *engine_free(struct engine *e);

/* Makes libraries read whatever files they want to read, so that none is needed later. 0 or -errno. */
int engine_warm_up(void);

/* Says hello and runs until the helper says stop or goes away. The process's exit status, or -errno. */
int engine_run(struct engine *e, bool mounts_empty);
