/*
 * The helper's life: take the runtime folder, recover, serve, leave when nothing needs it.
 *
 * Theory. Its death, however it comes, unlocks nothing: locks are kernel state, the intent is on disk, and the tun device
 * with its default route goes with the last descriptor. So coming and going are not special: recovery at the start is the
 * same code whoever was here before.
 *
 * Two modes, one difference: who can call. Standalone it is root on the private socket (bus-server.h), and the helper leaves
 * when no tunnel and no client is left. As a system service it is everybody whom polkit lets, on the system bus
 * (system-bus.h), and it leaves after half a minute without tunnels and calls; the next call starts it again.
 */
#pragma once

#include "base/macro.h"

struct helper_options {
	bool standalone;
	int ready_fd; /* -EBADF: none */
	struct handover *handover; /* taken; NULL: none */
};

/* Until the end. An exit code. */
int helper_run(const struct helper_options *o);
/* Says it where somebody hears it: the ready descriptor, else stderr. */
void helper_report(int ready_fd, const char *sentence);
