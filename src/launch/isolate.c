/*
 * What --isolate does to the process itself.
 *
 * Theory. The covers (covers.c) close paths, but a path is not the only way to a socket. A process may look through any
 * other one of its user's: /proc/PID/root/run/user/1000/bus is the session bus as that process sees it, pidfd_getfd() takes
 * its open network sockets, ptrace() makes it do anything. The kernel allows all of this between processes of one user, and
 * refuses it from a user namespace to the outside. So the program gets one. It maps every user and group to itself, so
 * nothing looks different, and it belongs to the user: from outside, the user can look at and debug the program as ever.
 *
 * Who makes a user namespace has all capabilities in it, which mean nothing outside. They are used for the switch of users
 * and then dropped, and with the bounding set empty and no_new_privs set, no program file gives any back: neither setuid
 * root (there is a root in the map) nor file capabilities.
 *
 * The map can only be written by somebody outside with rights, so a child stays behind for that moment.
 */
#include "launch/isolate.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "profile/isolation.h"

#define MAP_MAX 65536

static int fail(char **ret_error, int r, const char *what)
{
	*ret_error = str_format("cannot %s for --isolate: %s; nothing was started", what, strerror(-r));
	return r;
}

/* ---- the user namespace ---------------------------------------------------------------------------------------------------- */

/* The ranges that exist here, each onto itself. */
static int same_map(const char *name, char **ret)
{
	_cleanup_(freep) char *have = NULL;
	struct strbuf map = { 0 };
	char *save = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, name, MAP_MAX, &have, &len);

	if (r < 0)
		return r;
	for (char *line = strtok_r(have, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long first, outside, count;

		if (sscanf(line, "%lu %lu %lu", &first, &outside, &count) == 3)
			strbuf_addf(&map, "%lu %lu %lu\n", first, first, count);
	}
	if (strbuf_error(&map) < 0) {
		strbuf_done(&map);
		return -ENOMEM;
	}
	*ret = strbuf_take(&map);
	return *ret ? 0 : -ENOMEM;
}

/* One write(): the kernel takes no second. */
static int write_map(pid_t pid, const char *name, const char *map)
{
	_cleanup_(freep) char *path = str_format("/proc/%d/%s", (int)pid, name);
	_cleanup_(closep) int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -EBADF;
	size_t len = strlen(map);

	if (fd < 0)
		return path ? -errno : -ENOMEM;
	return write(fd, map, len) == (ssize_t)len ? 0 : -errno;
}

struct mapper {
	pid_t pid;
	int go; /* a byte: the namespace is there; end of file: it will not be */
};

static _noreturn_ void map_for(pid_t parent, int go, const char *uids, const char *gids)
{
	char byte;
	int r;

	if (fd_read_full(go, &byte, 1) != 1)
		_exit(0);
	r = write_map(parent, "uid_map", uids);
	if (r >= 0)
		r = write_map(parent, "gid_map", gids);
	_exit(-r);
}

/* Without a signal to us, who are about to become somebody's program and expect no child's end. */
static int start_mapper(struct mapper *ret)
{
	_cleanup_(freep) char *uids = NULL, *gids = NULL;
	pid_t us = getpid(), pid;
	int go[2], r;

	r = same_map("/proc/self/uid_map", &uids);
	if (r >= 0)
		r = same_map("/proc/self/gid_map", &gids);
	if (r < 0)
		return r;
	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	pid = (pid_t)syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
	if (pid == 0) {
		(void)close(go[1]); /* or the end of file would never come */
		map_for(us, go[0], uids, gids);
	}
	r = pid < 0 ? -errno : 0;
	(void)fd_close(go[0]);
	if (r < 0) {
		(void)fd_close(go[1]);
		return r;
	}
	*ret = (struct mapper){ .pid = pid, .go = go[1] };
	return 0;
}

static int finish_mapper(struct mapper *m, bool is_made)
{
	int status = 0, r;

	if (is_made && fd_write_full(m->go, "x", 1) < 0)
		is_made = false;
	m->go = fd_close(m->go);
	do
		r = waitpid(m->pid, &status, __WALL) < 0 ? -errno : 0;
	while (r == -EINTR);
	/* An ignored SIGCHLD reaps by itself; then the map tells. */
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
	return is_made ? 0 : -EIO;
}

static int set_capabilities(bool all)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (all && syscall(SYS_capget, &h, d) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(d); i++)
		d[i].effective = d[i].permitted;
	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

/* It belongs to whose effective user makes it. The rights for making it stay permitted, and are put into effect again. */
static int make_userns(uid_t uid)
{
	int r;

	if (seteuid(uid) < 0)
		return -errno;
	r = set_capabilities(true);
	return r >= 0 && unshare(CLONE_NEWUSER) < 0 ? -errno : r;
}

static int enter_userns(uid_t uid, char **ret_error)
{
	struct mapper m = { .go = -EBADF };
	uid_t was = geteuid();
	int r = start_mapper(&m), mapped;

	if (r < 0)
		return fail(ret_error, r, "prepare a user namespace");
	r = make_userns(uid);
	mapped = finish_mapper(&m, r >= 0);
	if (r == -ENOSPC) {
		*ret_error = strdup("the system allows no more user namespaces (sysctl user.max_user_namespaces), and --isolate "
				    "needs one; nothing was started");
		return r;
	}
	if (r < 0)
		return fail(ret_error, r, "take a user namespace");
	if (mapped < 0)
		return fail(ret_error, mapped, "map the users of a user namespace");
	return seteuid(was) < 0 ? fail(ret_error, -errno, "stay who one is in a user namespace") : 0;
}

int isolate_enter(uid_t uid, char **ret_error)
{
	int r = enter_userns(uid, ret_error);

	if (r < 0)
		return r;
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return fail(ret_error, -errno, "empty the capability bounding set");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(ret_error, -errno, "set no_new_privs");
	return 0;
}

static bool is_sealed(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || syscall(SYS_capget, &h, d) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(d); i++)
		if (d[i].effective || d[i].permitted || d[i].inheritable)
			return false;
	for (unsigned long cap = 0;; cap++) {
		int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (has != 0)
			return has < 0 && cap > CAP_SYS_ADMIN; /* behind the last */
	}
}

int isolate_seal(char **ret_error)
{
	int r = set_capabilities(false);

	if (r < 0)
		return fail(ret_error, r, "give up capabilities");
	return is_sealed() ? 0 : fail(ret_error, -EPERM, "prove that no right is left");
}

/* ---- what it sees ---------------------------------------------------------------------------------------------------------- */

int isolate_folder(const char *cwd, const struct stat *was, char **ret_error)
{
	struct stat is;

	if (!cwd || *cwd != '/') {
		*ret_error = strdup("the working folder does not exist any more; change to another one first");
		return -ENOENT;
	}
	if (chdir(cwd) == 0 && stat(".", &is) == 0 &&
	    ((is.st_dev == was->st_dev && is.st_ino == was->st_ino) || isolation_is_cover(cwd)))
		return 0;
	*ret_error = str_format("the working folder %s is not there for a program with --isolate%s; change to another one first",
				cwd, isolation_is_covered(cwd) ? ", which sees none of the files in /tmp and /run" : "");
	return -ENOENT;
}

/* A path that is there although the covers lie. */
static bool is_open(const char *path, size_t len)
{
	_cleanup_(freep) char *copy = str_format("%.*s", (int)len, path);
	struct stat st;

	return !copy || (!isolation_is_covered(copy) && lstat(copy, &st) == 0);
}

static int check_buses(char **ret_error)
{
	static const char *const names[] = { "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]), *path = value ? strstr(value, "path=/") : NULL;

		if (!path || !is_open(path + 5, strcspn(path + 5, ",;")))
			continue;
		*ret_error = str_format("%s names the bus %.*s, where --isolate does not reach (it covers /run and /tmp); nothing was "
					"started",
					names[i], (int)strcspn(path + 5, ",;"), path + 5);
		return -EPERM;
	}
	return 0;
}

static int check_runtime(uid_t uid, char **ret_error)
{
	_cleanup_(freep) char *want = str_format("/run/user/%u", (unsigned)uid);
	const char *have = getenv("XDG_RUNTIME_DIR");

	if (!want)
		return -ENOMEM;
	if (!have || str_eq(have, want))
		return 0;
	if (*have == '/' && is_open(have, strlen(have))) {
		*ret_error = str_format("XDG_RUNTIME_DIR is %s, where --isolate does not reach (it covers %s); nothing was started", have,
					want);
		return -EPERM;
	}
	return unsetenv("XDG_RUNTIME_DIR") < 0 ? -errno : 0; /* somebody else's, and not there any more */
}

int isolate_environment(uid_t uid, char **ret_error)
{
	size_t n;
	const struct isolation *rows = isolation_table(&n);
	int r = check_buses(ret_error);

	if (r >= 0)
		r = check_runtime(uid, ret_error);
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (rows[i].kind == ISOLATION_UNSET && unsetenv(rows[i].name) < 0)
			r = -errno;
	return r;
}
