/*
 * The way into a tunnel: from the process that called us to the user's program, without a process in between.
 *
 * Theory. The program is to run as if it had always been in the tunnel: same pid, terminal, standard streams, signals,
 * working folder and exit status, so nothing is forked; this very process changes its surroundings and execs. It starts
 * with root's rights and ends with the user's, and nothing may be left over that leads out again. Each step relies on
 * the ones before it:
 *
 *   1 streams     0, 1 and 2 exist, and none of them is a network socket of the outside (it would go on sending there:
 *                 a socket belongs to the namespace it was made in)
 *   2 network     join /run/netns/NAME after it was seen to be a network namespace other than ours, and ask the
 *                 kernel in it whether the inner lock holds
 *   3 mounts      a private mount namespace with the tunnel's resolver files; sockets that resolve names outside masked;
 *                 with --isolate the covers of covers.c before that
 *   4 folder      the working folder as it is seen in the new mounts
 *   5 identity    the user, for good, verified (rootless: who he was, and no capability that could come back); with
 *                 --isolate inside a user namespace of its own (isolate.c)
 *   6 leftovers   environment; every descriptor above 2 closed. Signal mask and dispositions are not touched: they are
 *                 the caller's, who had nothing of his own installed when he called us
 *   7 program     looked up in PATH as the user, exec
 *
 * A failure at any step ends in an exit code and a sentence, never in a program with less confinement than promised:
 * after step 2 this process is already locked in, and the caller is expected to exit.
 *
 * Limits: what is not a network socket is not confined. A program may ask one that runs outside (a session bus, an X
 * server, an already running browser) to act for it. --isolate is about that; nsvpn(1) says how far it goes.
 */
#include "launch/launch.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/bus-api.h"
#include "base/cleanup.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/str.h"
#include "launch/creds.h"
#include "launch/isolate.h"
#include "launch/lock.h"
#include "launch/mounts.h"
#include "launch/steps.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif

static const char *const stream_names[] = { "standard input", "standard output", "standard error" };

int launch_check_streams(bool allow_inet, char **ret_error)
{
	for (int fd = 0; fd <= 2; fd++) {
		struct stat st;
		socklen_t len = sizeof(int);
		int domain = AF_UNSPEC;

		if (fcntl(fd, F_GETFD) < 0) {
			/* The lowest free number is taken, and everything below is open by now. */
			if (open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd) {
				*ret_error = str_format("%s is closed and /dev/null cannot take its place: %m",
							stream_names[fd]);
				return -EBADF;
			}
			continue;
		}
		if (allow_inet || fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
			continue;
		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX)
			continue;
		*ret_error = str_format("%s is a network socket of the outside, the program could talk past the tunnel through "
					"it; connect it to a pipe or file, or allow it with --allow-inet-stdio",
					stream_names[fd]);
		return -EPERM;
	}
	return 0;
}

static int fail_netns(char **ret_error, int r, const char *path, const char *what, const char *name)
{
	*ret_error = str_format("%s %s; `nsvpn down %s` and `nsvpn up %s` build it again", path, what, name, name);
	return r;
}

static bool is_our_netns(const struct stat *st)
{
	struct stat self;

	return stat("/proc/self/ns/net", &self) < 0 || (self.st_dev == st->st_dev && self.st_ino == st->st_ino);
}

/* Step 2, first half: a descriptor that is a network namespace other than ours. */
static int open_netns(const char *path, const char *name, int *ret_fd, char **ret_error)
{
	_cleanup_(closep) int fd = -EBADF;
	struct statfs fs;
	struct stat st;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		int r = -errno;

		*ret_error = str_format("the namespace %s cannot be opened: %s; is the tunnel up? `nsvpn status %s`", path,
					strerror(-r), name);
		return r;
	}
	if (fstatfs(fd, &fs) < 0 || fs.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return fail_netns(ret_error, -EINVAL, path, "is not a network namespace", name);
	if (fstat(fd, &st) < 0 || is_our_netns(&st))
		return fail_netns(ret_error, -EINVAL, path, "is the namespace outside, not the tunnel's", name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int check_lock(const char *path, const char *name, char **ret_error)
{
	int r = lock_verify();

	if (r == -ENOENT || r == -EPERM)
		return fail_netns(ret_error, r, path, "is not locked, so nothing is started in it", name);
	if (r < 0)
		*ret_error = str_format("the kernel does not say whether %s is locked (%s), so nothing is started in it",
					path, strerror(-r));
	return r;
}

/*
 * Step 2 of a rootless launch. The user namespace first: power over the other comes with it. It is seen to be a network
 * namespace other than ours as root's is.
 */
static int join_own(const struct launch_own *own, const char *name, char **ret_error)
{
	struct stat st;
	int r;

	if (ioctl(own->netns_fd, NS_GET_NSTYPE) != CLONE_NEWNET || fstat(own->netns_fd, &st) < 0 || is_our_netns(&st)) {
		*ret_error = str_format("what the helper gave for tunnel %s is not its network namespace, so nothing is started; "
					"`nsvpn down --rootless %s` and up again builds it anew", name, name);
		return -EINVAL;
	}
	if (setns(own->user_fd, CLONE_NEWUSER) < 0 || setns(own->netns_fd, CLONE_NEWNET) < 0) {
		r = -errno;
		*ret_error = str_format("cannot enter the namespaces of tunnel %s: %s", name, strerror(-r));
		return r;
	}
	return check_lock("its namespace", name, ret_error);
}

/* Step 2, second half. */
static int join_netns(const char *name, const char *run, char **ret_error)
{
	_cleanup_(freep) char *path = place_netns(name), *journal = str_format("%s/journal", run);
	_cleanup_(closep) int fd = -EBADF;
	struct stat st;
	int r;

	if (!path || !journal)
		return -ENOMEM;
	if (lstat(journal, &st) < 0 || !S_ISREG(st.st_mode)) {
		*ret_error = str_format("tunnel %s is not up (%s is not there); `nsvpn up %s`", name, journal, name);
		return -ENOENT;
	}
	if (st.st_uid != 0) {
		*ret_error = str_format("%s is not root's file: either somebody put it there, or nsvpn was called by root of a "
					"container or user namespace, who may not enter the machine's tunnels; call it from outside "
					"of that", journal);
		return -EPERM;
	}
	r = open_netns(path, name, &fd, ret_error);
	if (r < 0)
		return r;
	if (setns(fd, CLONE_NEWNET) < 0) {
		r = -errno;
		*ret_error = r == -EPERM ? str_format("only root can enter %s in this version; use sudo", path) :
					   str_format("cannot enter %s: %s", path, strerror(-r));
		return r;
	}
	return check_lock(path, name, ret_error);
}

/*
 * Step 4. unshare() moved our working folder along into the new mount namespace, so that ".." never leads back to the
 * old one (a descriptor taken before would). Only where a new mount lies over it now (/etc), it is entered again by name.
 */
static int reenter_folder(const char *cwd)
{
	if (!cwd || (!str_eq(cwd, "/etc") && !str_has_prefix(cwd, "/etc/")))
		return 0;
	/* The folder may be gone meanwhile; the root is always there. */
	return chdir(cwd) < 0 && chdir("/") < 0 ? -errno : 0;
}

int launch_join(const char *tunnel, bool durable, const struct covers_user *isolate, char **ret_error)
{
	_cleanup_(freep) char *run = place_tunnel_run(tunnel);
	int r;

	if (!run)
		return -ENOMEM;
	r = join_netns(tunnel, run, ret_error);
	return r < 0 ? r : mounts_enter(run, durable, isolate, ret_error);
}

static int launch_join_own(const struct launch_own *own, const char *tunnel, const struct covers_user *isolate, char **ret_error)
{
	_cleanup_(freep) char *run = place_tunnel_run(tunnel);
	int r;

	if (!run)
		return -ENOMEM;
	r = join_own(own, tunnel, ret_error);
	return r < 0 ? r : mounts_enter(run, true, isolate, ret_error);
}

int launch_close_rest(char **ret_error)
{
	int r;

	if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_UNSHARE) >= 0)
		return 0;
	r = -errno;
	*ret_error = str_format("cannot close what is open besides the standard streams: %s", strerror(-r));
	return r;
}

/* Step 5 and the environment of step 6. */
static int become(const struct launch *l, const struct creds *creds, uid_t uid, char **ret_error)
{
	int r = l->isolate ? isolate_enter(uid, ret_error) : 0;

	if (r >= 0 && l->own)
		r = creds_stay(ret_error);
	if (r >= 0 && creds)
		r = creds_become(creds, ret_error);
	if (r >= 0 && creds && !l->keep_env_home)
		r = creds_environment(creds);
	if (r >= 0 && l->isolate)
		r = isolate_seal(ret_error);
	if (r >= 0 && l->isolate)
		r = isolate_environment(uid, ret_error);
	if (r >= 0 && l->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	return r;
}

/* Steps 2 to 6. 0 or -errno with a sentence. */
static int enter(const struct launch *l, const struct creds *creds, char **ret_error)
{
	const struct covers_user user = { creds ? creds->uid : geteuid(), creds ? creds->gid : getegid() };
	const struct covers_user *isolate = l->isolate ? &user : NULL;
	_cleanup_(freep) char *cwd = getcwd(NULL, 0);
	struct stat was;
	int r;

	if (l->isolate && stat(".", &was) < 0)
		return -errno;
	r = l->own ? launch_join_own(l->own, l->tunnel, isolate, ret_error) : launch_join(l->tunnel, true, isolate, ret_error);
	if (r >= 0)
		r = l->isolate ? isolate_folder(cwd, &was, ret_error) : reenter_folder(cwd);
	if (r >= 0)
		r = become(l, creds, user.uid, ret_error);
	if (r < 0)
		return r;
	if (setenv("NSVPN_TUNNEL", l->tunnel, 1) < 0)
		return -errno;
	return launch_close_rest(ret_error);
}

int launch_run(char *const *argv, char **ret_error)
{
	(void)execvpe(argv[0], argv, environ); /* returns on failure only */
	if (errno == ENOENT) {
		*ret_error = strchr(argv[0], '/') ?
				     str_format("%s: no such program (or its interpreter is missing)", argv[0]) :
				     str_format("%s: not found in PATH; give its full path", argv[0]);
		return EXIT_CODE_EXEC_NOT_FOUND;
	}
	*ret_error = str_format("%s: cannot be executed: %m", argv[0]);
	return EXIT_CODE_EXEC_DENIED;
}

int launch_exec(const struct launch *l, char **ret_error)
{
	struct creds creds = { 0 };
	char *error = NULL;
	int r;

	if (!l->tunnel || !tunnel_name_is_valid(l->tunnel) || !l->argv || !l->argv[0] || !*l->argv[0]) {
		*ret_error = strdup("no program or no valid tunnel name was given");
		return EXIT_CODE_EXEC_FAILED;
	}
	r = launch_check_streams(l->allow_inet_stdio, &error);
	if (r >= 0 && l->switch_user) {
		r = creds_lookup(l->uid, l->gid, &creds);
		if (r < 0)
			error = str_format("user %u cannot be looked up: %s", (unsigned)l->uid, strerror(-r));
	}
	if (r >= 0)
		r = enter(l, l->switch_user ? &creds : NULL, &error);
	creds_done(&creds);
	if (r >= 0)
		r = launch_run(l->argv, &error);
	else {
		if (!error)
			error = str_format("cannot start in tunnel %s: %s", l->tunnel, strerror(-r));
		r = EXIT_CODE_EXEC_FAILED;
	}
	*ret_error = error;
	return r;
}
