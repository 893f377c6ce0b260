/*
 * `nsvpn doctor`: the looks that need no rights, each a function that adds findings. What needs rights is the helper's
 * (base/finding.h, `nsvpnd --examine`). Files are read below `root`, so that tests can play machines.
 */
#pragma once

#include "base/finding.h"

struct doctor {
	const char *root; /* "" on a real machine */
	struct findings found;
	char **unseen; /* strv: what we could not look at, with the reason */
};

/* user namespaces, kernel modules, segment offload, the tun device as this user */
void doctor_kernel(struct doctor *d);
/* who else answers for names, and whether programs in a tunnel can reach them */
void doctor_names(struct doctor *d);
/* programs that manage links, and whether they leave ours alone */
void doctor_managers(struct doctor *d);
/* switches of the network that matter to tunnels or are changed by them */
void doctor_network(struct doctor *d);
/* what is installed, and whether its parts belong together */
void doctor_service(struct doctor *d);

void doctor_done(struct doctor *d);

/* ---- for those functions ---- */

/* malloc'ed text of a file below root, NULL when it cannot be read. */
char *doctor_read(const struct doctor *d, const char *path);
bool doctor_exists(const struct doctor *d, const char *path);
/* The first of NULL-terminated paths that exists, or NULL. */
const char *doctor_first(const struct doctor *d, const char *const *paths);
/* A number in a file below /proc/sys; false: there is none. */
bool doctor_switch(const struct doctor *d, const char *name, uint32_t *ret);
