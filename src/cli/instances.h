/*
 * Before and after a program is started in a tunnel: is there an instance outside that would open the window there?
 *
 * Theory. A single-instance program (families.h) asks a running instance of its user to do the work. Whether that one is
 * in the tunnel is seen by its network namespace; one that may not be looked at counts as outside. Children are not
 * judged: browsers lock theirs into empty namespaces of their own, so the oldest process of the family decides. What is
 * found outside refuses the start, unless the caller's own arguments name a folder that nobody outside uses, or nsvpn
 * adds arguments that do. Between the look and the start an instance may appear; so the exit is looked at, too.
 *
 * Limits: the names and arguments of processes are what they claim to be, and other machines' displays and buses are not
 * seen. This protects against accidents.
 */
#pragma once

#include <sys/types.h>

#include "base/bus-api.h"
#include "base/cleanup.h"
#include "base/macro.h"

struct family;

struct instances_query {
	char *const *argv;
	const char *tunnel;
	const char *netns;      /* path of the namespace; need not be there */
	const char *proc;       /* "/proc" */
	const char *state_home; /* absolute: where folders of separate instances go */
	uid_t uid;
	bool new_instance;      /* start a separate one */
	bool allow_running;     /* do not refuse */
};

struct instances {
	const struct family *family; /* NULL: not known as single-instance */
	char *program;               /* path, NULL where it was not found */
	char **names;                /* its base names */
	char **argv;                 /* what to run instead of the query's; NULL: that */
	bool is_apart;               /* its arguments keep it away from running instances */
};

void instances_done(struct instances *i);

/*
 * Call as the user who will run it. An exit code: EXIT_CODE_EXEC_FAILED when refused. A program that is not found is not
 * our business: exec says so better.
 */
int instances_check(const struct instances_query *q, struct instances *ret);

/*
 * After the program ended with `status` (an exit status) `lived` after its start: true when it has most likely handed over
 * to an instance outside, which then was said as a warning.
 */
bool instances_check_handover(const struct instances_query *q, const struct instances *i, usec_t lived, int status);

/* malloc'ed, for the user whose environment we have: $XDG_STATE_HOME, or `home`/.local/state. NULL without memory. */
char *instances_state_home(const char *home, bool use_environment);
