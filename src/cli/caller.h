/* On whose behalf root runs this command: sudo's user, --user, or root itself. */
#pragma once

#include <sys/types.h>

#include "base/cleanup.h"
#include "base/macro.h"

struct caller {
	bool is_switch; /* somebody else than who we are */
	uid_t uid;
	gid_t gid;
	char *shell;    /* malloc'ed, of the passwd entry; NULL without one */
	char *home;     /* likewise */
};

void caller_done(struct caller *c);

/*
 * `user`: the value of --user (a name or a number), or NULL for sudo's user. An exit code. The environment's SUDO_UID is
 * heard for root only: whoever is root may become anybody anyway.
 */
int caller_resolve(const char *user, struct caller *ret);
