/* The programs that run in a tunnel, and those that were started for it and run outside. */
#pragma once

#include <sys/types.h>

#include "cli/client.h"
#include "cli/output.h"

struct program {
	uint32_t pid;
	char *command;
};

struct programs {
	struct program *items;
	size_t n;
};

void programs_done(struct programs *p);

/* Those in the tunnel's namespace, as the helper sees them. 0 or -errno with e set. */
int programs_read(struct client *c, const char *name, struct programs *ret, sd_bus_error *e);

/*
 * Processes with the tunnel's name in NSVPN_TUNNEL of their environment which neither are in its namespace nor descend
 * from one that is: asked for from inside through a bus, a terminal's server or tmux. uid: whose, PROC_ANY_USER for all;
 * what may not be read is not found. 0 or -errno.
 */
int programs_escaped(const char *proc, const char *name, const char *netns, uid_t uid, struct programs *ret);

/* [{"pid":1,"command":"x"},...] */
void programs_json(const struct programs *p, struct json *j);
