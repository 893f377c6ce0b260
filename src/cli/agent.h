/*
 * Somebody who can be asked for a password where there is only a terminal: pkttyagent of polkit, started when the helper
 * says that a password is needed (never before: most calls need none), ended with the connection. On a desktop that has an
 * agent of its own, that one is asked and ours stays silent.
 */
#pragma once

#include <sys/types.h>

/* Starts it and waits until polkit knows it. 0 with *ret_pid; -ENOTTY: no terminal; -ENOENT: not installed; -errno. */
int agent_start(pid_t *ret_pid);
/* pid 0: nothing to do. */
void agent_stop(pid_t pid);
