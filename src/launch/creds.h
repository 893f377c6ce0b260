/* Who the program in the tunnel will be: looked up in the host's view, taken on inside, verified. */
#pragma once

#include <sys/types.h>

#include "base/cleanup.h"
#include "base/macro.h"

struct creds {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
	char *name, *home, *shell; /* of the passwd entry; without one: the number, "/", "/bin/sh" */
};

void creds_done(struct creds *c);

/*
 * Names and groups of uid. Asks the name services, so it is called before the tunnel's namespaces are joined. gid stays
 * what the caller says. 0 or -errno.
 */
int creds_lookup(uid_t uid, gid_t gid, struct creds *ret);

/*
 * Becomes that user for good: groups, gid, uid, no capabilities left over, securebits 0; then looks whether it is so.
 * The bounding set is not touched: setuid programs go on working. 0, or -errno and one sentence.
 */
int creds_become(const struct creds *c, char **ret_error);

/* What a process was that acts as somebody else for a while. */
struct creds_own {
	gid_t *groups;
	size_t n_groups;
};

/*
 * Root acts as that user, groups included, for what is opened and made until creds_return(); in a process of one thread.
 * Asks the name services. 0; or -errno, and the process is who it was.
 */
int creds_borrow(uid_t uid, gid_t gid, struct creds_own *ret);
/* Back to the real ids and the old groups. 0; or -errno: nothing may go on in this process. *own is released. */
int creds_return(struct creds_own *own);

/*
 * In a user namespace of the user's own: stays who he is and gives up every capability for good. The bounding set is emptied
 * and no_new_privs set, since a program with file capabilities would get power over the tunnel's namespace. 0, or -errno and
 * one sentence.
 */
int creds_stay(char **ret_error);

/* HOME, USER, LOGNAME, SHELL, XDG_RUNTIME_DIR and the session bus of that user; what sudo says about itself goes. */
int creds_environment(const struct creds *c);
