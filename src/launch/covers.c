/*
 * Placing the covers of --isolate.
 *
 * Theory. First everything that is kept is opened by its name in the host's view (descriptors that are paths only), then
 * the covers are built, furnished and laid over the folders, and last the kept things are bound into them. Paths below a
 * user's folder are the user's to shape, so they are opened without following a link anywhere, and count only with the
 * expected type and owner; what does not fit is not kept, which closes more and never less. The
 * covers are ours alone until the program starts, so paths in them need no such care.
 *
 * A program that makes a user namespace with mounts of its own cannot lift a cover: the kernel locks mounts that come from a
 * more privileged namespace, and refuses to bind a folder without the mounts that lie in it.
 */
#include "launch/covers.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "profile/binds.h"
#include "profile/isolation.h"

#define KEPT_MAX 64
#define MODE_PRIVATE 0700
#define MODE_SHARED 01777
#define MODE_PLAIN 0755
#define RUNTIME_FOLDER "/run/user/UID"

struct kept {
	const struct isolation *row;
	int fd; /* O_PATH */
	struct stat st;
	char *target;
};

struct covers {
	const struct covers_user *user;
	struct kept v[KEPT_MAX];
	size_t n;
	char *runtime; /* the user's runtime folder */
};

static void covers_done(struct covers *c)
{
	for (size_t i = 0; i < c->n; i++) {
		(void)fd_close(c->v[i].fd);
		free(c->v[i].target);
	}
	free(c->runtime);
}

/* ---- what is kept --------------------------------------------------------------------------------------------------------- */

static int open_beneath(int dir, const char *path, int flags)
{
	const struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
				      .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static bool fits(const struct isolation *row, const struct stat *st, uid_t uid)
{
	bool is_own = st->st_uid == uid || st->st_uid == 0;

	switch (row->kind) {
	case ISOLATION_KEEP_SOCKET:
		return is_own && S_ISSOCK(st->st_mode);
	case ISOLATION_KEEP_FILE:
		return is_own && S_ISREG(st->st_mode);
	/* Of anybody: they are root's, who may have no number here (rootless). */
	case ISOLATION_KEEP_FOLDER:
		return S_ISDIR(st->st_mode) || (S_ISLNK(st->st_mode) && st->st_uid == 0);
	case ISOLATION_KEEP_DISKS:
		return S_ISDIR(st->st_mode);
	case ISOLATION_COVER:
	case ISOLATION_MAKE:
	case ISOLATION_CLOSED:
	case ISOLATION_UNSET:
		break;
	}
	return false;
}

/* One entry of an opened folder. Only memory is an error. */
static int keep(struct covers *c, const struct isolation *row, int dir, const char *folder, const char *name)
{
	struct kept k = { .row = row };
	_cleanup_(closep) int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &k.st) < 0 || !fits(row, &k.st, c->user->uid) || c->n == KEPT_MAX)
		return 0;
	k.target = str_format("%s/%s", folder, name);
	if (!k.target)
		return -ENOMEM;
	k.fd = TAKE_FD(fd);
	c->v[c->n++] = k;
	return 0;
}

/* Names that begin as the pattern does. Takes dir. */
static int keep_matching(struct covers *c, const struct isolation *row, int dir, const char *folder, const char *pattern)
{
	size_t len = strlen(pattern) - 1; /* without the '*' */
	DIR *d = fdopendir(dir);
	int r = 0;

	if (!d) {
		(void)fd_close(dir);
		return errno == ENOMEM ? -ENOMEM : 0;
	}
	for (struct dirent *e; r >= 0 && (e = readdir(d));)
		if (strncmp(e->d_name, pattern, len) == 0)
			r = keep(c, row, dirfd(d), folder, e->d_name);
	(void)closedir(d); /* only read */
	return r;
}

static int collect_row(struct covers *c, const struct isolation *row)
{
	_cleanup_(freep) char *path = isolation_path(row, c->user->uid);
	_cleanup_(closep) int dir = -EBADF;
	char *name;

	if (!path)
		return -ENOMEM;
	name = strrchr(path, '/');
	*name++ = '\0';
	dir = open_beneath(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		return 0;
	if (str_has_suffix(name, "*"))
		return keep_matching(c, row, TAKE_FD(dir), path, name);
	return keep(c, row, dir, path, name);
}

static int collect(struct covers *c)
{
	size_t n;
	const struct isolation *rows = isolation_table(&n);
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++)
		switch (rows[i].kind) {
		case ISOLATION_KEEP_SOCKET:
		case ISOLATION_KEEP_FILE:
		case ISOLATION_KEEP_FOLDER:
		case ISOLATION_KEEP_DISKS:
			r = collect_row(c, &rows[i]);
			break;
		case ISOLATION_COVER:
		case ISOLATION_MAKE:
		case ISOLATION_CLOSED:
		case ISOLATION_UNSET:
			break;
		}
	return r;
}

/* ---- building a cover ------------------------------------------------------------------------------------------------------ */

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return str_has_prefix(path, folder) && path[len] == '/';
}

/* A folder, mode 0 for one that may exist already; whatever the umask. */
static int make_folder(const struct covers *c, int root, const char *rel, const char *path, mode_t mode)
{
	bool is_users = str_eq(path, c->runtime) || is_below(path, c->runtime);

	if (mkdirat(root, rel, MODE_PRIVATE) < 0)
		return errno == EEXIST ? 0 : -errno;
	if (is_users && fchownat(root, rel, c->user->uid, c->user->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return fchmodat(root, rel, mode ? mode : is_users ? MODE_PRIVATE : MODE_PLAIN, 0) < 0 ? -errno : 0;
}

/* The folders on the way to path, which is below cover; *ret_rel: its name as seen from the cover. */
static int make_parents(const struct covers *c, int root, const char *cover, char *path, const char **ret_rel)
{
	char *rel = path + strlen(cover) + 1;

	for (char *s = strchr(rel, '/'); s; s = strchr(s + 1, '/')) {
		int r;

		*s = '\0';
		r = make_folder(c, root, rel, path, 0);
		*s = '/';
		if (r < 0)
			return r;
	}
	*ret_rel = rel;
	return 0;
}

static int make_folder_at(const struct covers *c, int root, const char *cover, const char *path, mode_t mode)
{
	_cleanup_(freep) char *copy = strdup(path);
	const char *rel;
	int r = copy ? make_parents(c, root, cover, copy, &rel) : -ENOMEM;

	return r < 0 ? r : make_folder(c, root, rel, path, mode);
}

/* A link of root's is copied; for the rest something to bind on. */
static int make_place(const struct covers *c, int root, const char *cover, const struct kept *k)
{
	_cleanup_(freep) char *copy = strdup(k->target);
	char to[4096];
	const char *rel;
	ssize_t len;
	int r;

	if (S_ISDIR(k->st.st_mode))
		return make_folder_at(c, root, cover, k->target, MODE_PLAIN);
	r = copy ? make_parents(c, root, cover, copy, &rel) : -ENOMEM;
	if (r < 0)
		return r;
	if (!S_ISLNK(k->st.st_mode))
		return mknodat(root, rel, S_IFREG | 0400, 0) < 0 ? -errno : 0;
	len = readlinkat(k->fd, "", to, sizeof(to) - 1);
	if (len < 0)
		return -errno;
	to[len] = '\0';
	return symlinkat(to, root, rel) < 0 ? -errno : 0;
}

static int furnish(const struct covers *c, int root, const char *cover)
{
	size_t n_binds, n_rows;
	const struct bind *binds = binds_table(&n_binds);
	const struct isolation *rows = isolation_table(&n_rows);
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n_rows; i++) {
		_cleanup_(freep) char *path = NULL;

		if (rows[i].kind != ISOLATION_MAKE || !is_below(rows[i].name, cover))
			continue;
		path = isolation_path(&rows[i], c->user->uid);
		r = path ? make_folder_at(c, root, cover, path, str_eq(path, c->runtime) ? MODE_PRIVATE : MODE_SHARED) : -ENOMEM;
	}
	/* What mounts.c covers and fills afterwards. */
	for (size_t i = 0; r >= 0 && i < n_binds; i++)
		if (binds[i].kind == BIND_MASK_DIR && is_below(binds[i].target, cover))
			r = make_folder_at(c, root, cover, binds[i].target, MODE_PLAIN);
	for (size_t i = 0; r >= 0 && i < c->n; i++)
		if (is_below(c->v[i].target, cover))
			r = make_place(c, root, cover, &c->v[i]);
	return r;
}

static int make_cover(const struct covers *c, const char *cover, mode_t mode, int *ret)
{
	_cleanup_(closep) int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), fd = -EBADF;
	char octal[8];
	int r;

	(void)snprintf(octal, sizeof(octal), "%o", (unsigned)mode); /* four digits */
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", "nsvpn", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", octal, 0) < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (fd < 0)
		return -errno;
	r = furnish(c, fd, cover);
	if (r < 0)
		return r;
	*ret = TAKE_FD(fd);
	return 0;
}

/* ---- placing --------------------------------------------------------------------------------------------------------------- */

static int bind_kept(const struct kept *k)
{
	bool is_disks = k->row->kind == ISOLATION_KEEP_DISKS;
	unsigned recursive = is_disks ? AT_RECURSIVE : 0;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (is_disks ? 0 : MOUNT_ATTR_RDONLY) };
	_cleanup_(closep) int fd = -EBADF;

	if (S_ISLNK(k->st.st_mode))
		return 0;
	fd = open_tree(k->fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive);
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | recursive, &attr, sizeof(attr)) < 0 ||
	    move_mount(fd, "", AT_FDCWD, k->target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

/* /var/run is mostly a link to /run, which then has its cover already. */
static bool is_ours(const struct stat *st, const dev_t *devices, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (devices[i] == st->st_dev)
			return true;
	return false;
}

static int place_cover(const struct covers *c, const char *cover, dev_t *devices, size_t *n)
{
	_cleanup_(closep) int fd = -EBADF;
	struct stat st;
	int r;

	if (stat(cover, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (is_ours(&st, devices, *n))
		return 0;
	/* Who may write there stays as it was. */
	r = make_cover(c, cover, st.st_mode & 07777, &fd);
	if (r < 0)
		return r;
	if (move_mount(fd, "", AT_FDCWD, cover, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) < 0 || fstat(fd, &st) < 0)
		return -errno;
	devices[(*n)++] = st.st_dev;
	return 0;
}

static int place(struct covers *c, const char **ret_object)
{
	size_t n, n_devices = 0;
	const struct isolation *rows = isolation_table(&n);
	dev_t devices[16];
	int r;

	*ret_object = "what is kept";
	r = collect(c);
	for (size_t i = 0; r >= 0 && i < n && rows[i].kind == ISOLATION_COVER; i++) {
		assert(n_devices < ARRAY_SIZE(devices));
		*ret_object = rows[i].name;
		r = place_cover(c, rows[i].name, devices, &n_devices);
	}
	for (size_t i = 0; r >= 0 && i < c->n; i++) {
		*ret_object = c->v[i].target;
		r = bind_kept(&c->v[i]);
	}
	return r;
}

int covers_place(const struct covers_user *u, char **ret_error)
{
	const struct isolation runtime = { ISOLATION_MAKE, RUNTIME_FOLDER, NULL };
	struct covers c = { .user = u, .runtime = isolation_path(&runtime, u->uid) };
	const char *object = "/run";
	int r = c.runtime ? place(&c, &object) : -ENOMEM;

	if (r < 0)
		*ret_error = str_format("cannot cover %s for --isolate: %s; nothing was started", object, strerror(-r));
	covers_done(&c);
	return r;
}
