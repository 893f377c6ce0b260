/*
 * The parent of a user's program: starts it, tells nsvpn what becomes of it, and passes on signals. Messages:
 * base/launch-api.h.
 *
 * Theory. PID 1 started us, so the program is nobody's child in the user's shell; the supervisor stands in for that shell.
 * It has the user's identity and nothing of root. It is the leader of the session: with a terminal, that becomes the
 * controlling one, the program gets a process group of its own in the foreground, and since its parent is in the same
 * session the group is not orphaned, so that Ctrl-Z stops it. What stops the program is told to nsvpn, which stops itself,
 * so that the user's own shell sees a stopped job; SIGCONT comes back the same way. When nsvpn is gone (its terminal
 * closed, killed), the program gets SIGHUP, as from a shell. Signals of PID 1's (stopping the unit) reach the program
 * directly; the supervisor holds them back, to report how it ended.
 */
#pragma once

#include "base/macro.h"

struct supervise {
	int control;     /* SOCK_SEQPACKET, owned by the caller */
	bool terminal;   /* the standard stream that is a terminal becomes the controlling one */
	bool background; /* the program starts as a background group of it */
	/* In the child, everything but the exec done. Returns 126 or 127 with a sentence when there was none. */
	int (*run)(void *userdata, char **ret_error);
	void *userdata;
};

/* Runs until the program ended. The exit status for us: the program's, 128+N, or 125..127 when it did not start. */
int supervise(const struct supervise *s);
/* The last message: nothing was started. */
void supervise_fail(int control, int code, const char *sentence);
