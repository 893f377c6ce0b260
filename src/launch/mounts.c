/*
 * What a program in a tunnel sees in place of the host's name-service files.
 *
 * Theory. The host's tree must not change and the program must not find a way round, whatever /etc/resolv.conf is: a
 * file, a link into /run/systemd/resolve, a dangling link, an immutable file, or not there.
 *
 * A file is covered by a read-only bind of ours on the target's own directory entry. open_tree() and move_mount() do not
 * follow a link at the end of the path, so the link itself is covered and what it points to stays as it is. The folder of
 * a name service is covered by a tiny read-only file system of its own. A target that is not there is left alone: without
 * /etc/resolv.conf libc asks 127.0.0.1, which is the tunnel's resolver inside (net/lock-inner.nft), without nsswitch.conf
 * it asks files and DNS.
 *
 * When the host later renames another file over a target, the kernel detaches the bind, and the program would read the
 * host's file. No form of mount avoids that without harm: an overlay over /etc was tried, and it goes on showing files
 * that the host has replaced since (an old sudoers file, say). So a keeper (keeper.c) puts the bind back within
 * milliseconds. In between the inner lock refuses or redirects what the host's resolvers would be asked.
 *
 * place_all() looks before it acts: it serves the first time and every time after.
 */
#include "launch/mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "launch/keeper.h"
#include "launch/pieces.h"

#define OWN_STEP_MSEC 10
#define OWN_MAX_MSEC 10000 /* a service that has no mounts of its own by then gets none */

static int fail(char **ret_error, int r, const char *what, const char *object)
{
	*ret_error = str_format("cannot %s %s: %s; nothing was started", what, object, strerror(-r));
	return r;
}

/* The helper's file, checked on the descriptor: ours alone may be bound over the host's. */
static int fetch_source(const char *run, struct piece *p, char **ret_error)
{
	_cleanup_(freep) char *path = str_format("%s/%s", run, p->bind->source);
	_cleanup_(closep) int fd = -EBADF;
	struct stat st;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(ret_error, -errno, "open the tunnel's file", path);
	/* Rootless: the helper is the user. */
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022)) {
		*ret_error = str_format("%s is not a file that only %s can write; nothing was started", path,
					geteuid() == 0 ? "root" : "its user");
		return -EPERM;
	}
	p->fd = TAKE_FD(fd);
	return 0;
}

int pieces_fetch(struct pieces *m, const char *run, char **ret_error)
{
	const struct bind *table;
	size_t n;

	table = binds_table(&n);
	assert(n <= PIECES_MAX);
	for (size_t i = 0; i < n; i++) {
		struct piece *p = &m->v[m->n++];
		int r;

		*p = (struct piece){ .bind = &table[i], .fd = -EBADF };
		r = p->bind->kind == BIND_FILE ? fetch_source(run, p, ret_error) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

void pieces_done(struct pieces *m)
{
	for (size_t i = 0; i < m->n; i++)
		m->v[i].fd = fd_close(m->v[i].fd);
	m->n = 0;
}

/* A clone of our file, as a mount of its own that is not attached anywhere. */
static int make_file(const struct piece *p)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY };
	_cleanup_(closep) int fd = -EBADF;

	fd = open_tree(p->fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Something to bind on, for each file of the table that lies in this folder. */
static int add_places(const struct pieces *m, const char *folder, int mask)
{
	size_t len = strlen(folder);

	for (size_t i = 0; i < m->n; i++) {
		const struct bind *b = m->v[i].bind;
		_cleanup_(closep) int fd = -EBADF;

		if (b->kind != BIND_FILE || !str_has_prefix(b->target, folder) || b->target[len] != '/')
			continue;
		fd = openat(mask, b->target + len + 1, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
		if (fd < 0)
			return -errno;
	}
	return 0;
}

static int make_mask(const struct pieces *m, const struct piece *p)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	_cleanup_(closep) int fs = -EBADF, fd = -EBADF;
	int r;

	fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", "nsvpn", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "size", "64k", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return -errno;
	r = add_places(m, p->bind->target, fd);
	if (r < 0)
		return r;
	return mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : TAKE_FD(fd);
}

/* A folder may be reached by a link; a file is covered as the entry it is. */
static int look(const struct bind *b, struct stat *ret)
{
	/* Made or not (without rights, say): what is there now counts. The machine sees it, too, so not with the caller's umask. */
	if (b->make) {
		mode_t was = umask(022);

		(void)mkdir(b->target, 0755);
		(void)umask(was);
	}
	return fstatat(AT_FDCWD, b->target, ret, b->kind == BIND_MASK_DIR ? 0 : AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* 1: covered now; 0: it was already; -ENOENT: nothing to cover; -errno. */
static int place(const struct pieces *m, struct piece *p)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (p->bind->kind == BIND_MASK_DIR ? MOVE_MOUNT_T_SYMLINKS : 0);
	_cleanup_(closep) int fd = -EBADF;
	struct stat st;
	int r = look(p->bind, &st);

	if (r < 0)
		return r;
	if (p->placed && st.st_dev == p->dev && st.st_ino == p->ino)
		return 0;
	fd = p->bind->kind == BIND_FILE ? make_file(p) : make_mask(m, p);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || move_mount(fd, "", AT_FDCWD, p->bind->target, flags) < 0)
		return -errno;
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	p->placed = true;
	return 1;
}

int pieces_place(struct pieces *m, size_t *ret_placed, size_t *ret_missing, char **ret_error)
{
	size_t placed = 0, missing = 0;

	for (size_t i = 0; i < m->n; i++) {
		int r = place(m, &m->v[i]);

		if (r == -ENOENT)
			missing++;
		else if (r < 0)
			return fail(ret_error, r, "cover", m->v[i].bind->target);
		else
			placed += (size_t)r;
	}
	*ret_placed = placed;
	*ret_missing = missing;
	return 0;
}

/* A cover over /run hides `run`, so our files are opened before. */
static int arrange(struct pieces *m, const char *run, const struct covers_user *isolate, char **ret_error)
{
	size_t placed, missing;
	int r = pieces_fetch(m, run, ret_error);

	if (r >= 0 && isolate)
		r = covers_place(isolate, ret_error);
	return r < 0 ? r : pieces_place(m, &placed, &missing, ret_error);
}

static int keep(const struct pieces *m, const char *run, pid_t pid, char **ret_error)
{
	_cleanup_(closep) int program = (int)syscall(SYS_pidfd_open, pid, 0U);

	return program < 0 ? fail(ret_error, -errno, "watch the end of the program in", run) : keeper_start(m, program, ret_error);
}

int mounts_enter(const char *run, bool durable, const struct covers_user *isolate, char **ret_error)
{
	struct pieces m = { .n = 0 };
	int r;

	if (unshare(CLONE_NEWNS) < 0)
		return fail(ret_error, -errno, "take a private mount namespace for", run);
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return fail(ret_error, -errno, "make the mount namespace private for", run);
	r = arrange(&m, run, isolate, ret_error);
	if (r == 0 && durable)
		r = keep(&m, run, getpid(), ret_error);
	pieces_done(&m);
	if (r == -ENOMEM && !*ret_error)
		*ret_error = strdup("out of memory; nothing was started");
	return r;
}

/* ---- services ---- */

static bool is_namespace_of_first(int proc)
{
	struct stat st, first;

	return fstatat(proc, "ns/mnt", &st, 0) < 0 || stat("/proc/1/ns/mnt", &first) < 0 ||
	       (st.st_dev == first.st_dev && st.st_ino == first.st_ino);
}

/* Still the service manager's code, on its way to the service's program. */
static bool is_before_exec(int proc)
{
	char own[4096], first[4096];
	ssize_t n = readlinkat(proc, "exe", own, sizeof(own) - 1), m = readlink("/proc/1/exe", first, sizeof(first) - 1);

	if (n < 0 || m < 0)
		return true;
	own[n] = first[m] = '\0';
	return str_eq(own, first) || str_has_suffix(own, "/systemd-executor");
}

/* systemd forks first, then makes the mounts, then executes the program. -ESRCH: it has ended. */
static int wait_for_own_mounts(int program, int proc, char **ret_error)
{
	struct pollfd p = { .fd = program, .events = POLLIN };

	for (int i = 0; i < OWN_MAX_MSEC / OWN_STEP_MSEC; i++) {
		if (!is_namespace_of_first(proc) && !is_before_exec(proc))
			return 0;
		if (poll(&p, 1, OWN_STEP_MSEC) > 0)
			return -ESRCH;
	}
	*ret_error = strdup("the service has the machine's own mounts, so the tunnel's resolver files cannot be put over them");
	return -EPERM;
}

int mounts_keep(pid_t pid, const char *run, char **ret_error)
{
	_cleanup_(freep) char *path = str_format("/proc/%d", (int)pid);
	_cleanup_(closep) int program = (int)syscall(SYS_pidfd_open, pid, 0U), proc = -EBADF, ns = -EBADF;
	struct pieces m = { .n = 0 };
	int r;

	if (!path)
		return -ENOMEM;
	if (program >= 0) /* the folder stays that of the process, whoever gets its number later */
		proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = proc < 0 ? -errno : wait_for_own_mounts(program, proc, ret_error);
	if (r == 0) {
		ns = openat(proc, "ns/mnt", O_RDONLY | O_CLOEXEC);
		r = ns < 0 || setns(ns, CLONE_NEWNS) < 0 ? -errno : 0;
	}
	if (r == -ESRCH) /* a service that ends at once leaves nothing to be kept */
		return 0;
	if (r < 0) {
		if (!*ret_error)
			*ret_error = str_format("cannot enter the mounts of process %d: %s", (int)pid, strerror(-r));
		return r;
	}
	r = arrange(&m, run, NULL, ret_error);
	if (r == 0)
		r = keeper_start(&m, program, ret_error);
	pieces_done(&m);
	return r;
}
