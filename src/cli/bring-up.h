/* Gets a tunnel connected and tells how it goes: what `up`, `exec` and `shell` have in common. */
#pragma once

#include "cli/tunnel-view.h"

struct bring_up {
	const char *name;
	const char *credentials; /* file, "-", or NULL */
	const char *uplink;      /* "veth", "socket", or NULL: what the settings say */
	usec_t timeout;
	bool no_wait;
	bool locked_is_enough; /* a tunnel that lost its connection need not be waited for */
	bool open_addresses;   /* where the server wants a log-in in a browser: in the caller's */
	bool is_quiet; /* no progress lines, even on a terminal */
};

/*
 * An exit code; 130 after Ctrl-C. On success *ret_view shows the tunnel. A tunnel that this call started is taken down
 * again after Ctrl-C and after a refusal that trying again cannot change; after a time-out it goes on trying, locked.
 */
int bring_up(struct client *c, const struct bring_up *b, struct tunnel_view *ret_view, bool *ret_was_up);
