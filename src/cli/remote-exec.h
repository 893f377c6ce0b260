/* A user's program in a tunnel: asked for over the bus, started by PID 1, and here in everything that the shell sees. */
#pragma once

#include "cli/client.h"

struct remote_exec {
	const char *tunnel;
	char *const *argv;
	bool isolate, no_new_privs;
};

/*
 * Calls Exec and stays until the program has ended. c is freed in between: after the answer nothing more is said to the
 * helper. Returns the program's exit status, 128+N, or 125 to 127 with a sentence printed.
 */
int remote_exec(struct client *c_take, const struct remote_exec *x);
