/*
 * Starts a program inside a tunnel's namespace in this very process: joins the namespaces, becomes the user, execs. The
 * seven steps and their order are in launch.c; reference: security.md 4.3.
 */
#pragma once

#include <sys/types.h>

#include "base/macro.h"

struct launch {
	const char *tunnel;  /* name; its files are under place_tunnel_run() and place_netns() */
	char *const *argv;   /* argv[0] is looked up in PATH as the target user */
	uid_t uid;
	gid_t gid;
	bool switch_user;    /* become uid/gid (with initgroups); false: stay who we are */
	bool keep_env_home;  /* do not rewrite HOME, USER, LOGNAME, SHELL when switching */
	bool allow_inet_stdio;
	bool no_new_privs;   /* setuid programs inside give no rights */
	bool isolate;        /* --isolate, which includes no_new_privs */
	/*
	 * Rootless: the user namespace and network namespace that the user's own helper handed out; borrowed. The program stays
	 * who the caller is, without capabilities, whatever else stands above. NULL: root's way, by place_netns().
	 */
	const struct launch_own { int user_fd, netns_fd; } *own;
};

/*
 * Returns only on failure: an exit code of bus-api.h (125, 126, 127) and one malloc'ed sentence in *ret_error.
 * Before exec nothing of the helper's or the caller's descriptors above 2 is left open.
 */
int launch_exec(const struct launch *l, char **ret_error);
