/*
 * The helper's life: take the runtime folder, recover, serve, leave when nothing needs it.
 *
 * Theory. Its death, however it comes, unlocks nothing: locks are kernel state, the intent is on disk, and the tun device
 * with its default route goes with the last descriptor. So coming and going are not special: recovery at the start is the
 * same code whoever was here before.
 */
#pragma once

struct helper_options {
	int ready_fd; /* -EBADF: none */
};

/* Until the end. An exit code. */
int helper_run(const struct helper_options *o);
/* Says it where somebody hears it: the ready descriptor, else stderr. */
void helper_report(int ready_fd, const char *sentence);
