/* What the service manager says about a service, and the judgement: can it live in a tunnel, does it? Pure. */
#pragma once

#include "base/str.h"
#include "cli/unit-dropin.h"

struct unit_facts {
	char *id; /* its first name; others are links to it */
	char *load_state, *active_state, *netns_path;
	char **joins, **binds_to, **after, **triggered_by, **files; /* files: of drop-ins */
	char *socket, *address; /* a socket unit that hands it a network socket, and where that listens; NULL: none */
	int private_network, default_dependencies; /* sd-bus' booleans */
	uint32_t main_pid;
	bool guarded;           /* one of its conditions is ours */
	bool guarded_first;     /* the first one is */
	bool has_conditions;    /* others */
	bool has_stop_post;     /* ExecStopPost= */
	bool counts_255_as_done; /* SuccessExitStatus= */
};

void unit_facts_done(struct unit_facts *f);

/* active, or on the way there or from there: processes of it may exist. */
bool unit_facts_is_running(const struct unit_facts *f);

/*
 * NULL when it can be added to a tunnel. `own`: the drop-in of ours that it has already, or NULL. Else one malloc'ed
 * sentence; *ret_oom is set when there was no memory for it.
 */
char *unit_facts_object(const struct unit_facts *f, enum dropin_form form, const struct dropin *own, bool *ret_oom);

/*
 * NULL when what systemd will do is what drop-in d, in the file `path`, says. Else what is different, as above.
 */
char *unit_facts_differ(const struct unit_facts *f, const struct dropin *d, const char *path, bool *ret_oom);
