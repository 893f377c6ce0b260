/*
 * What a program in a tunnel sees in place of the host's name-service files.
 *
 * Theory. The host's tree must not change and the program must not find a way round, whatever /etc/resolv.conf is: a
 * file, a link into /run/systemd/resolve, a dangling link, an immutable file, or not there. Two forms:
 *
 *   direct   a read-only bind of our file on the target's own directory entry. open_tree() and move_mount() do not
 *            follow a link at the end of the path, so the link itself is covered and what it points to stays as it is.
 *            Weakness: when the host later renames another file over the target, the kernel detaches the bind. The
 *            program then reads the host's file; the inner lock still drops every query that does not go to the
 *            tunnel's resolvers, so names fail but do not leak.
 *   layered  first a read-only overlay over /etc of two layers, empty placeholders above the host's /etc, then the direct
 *            binds on the placeholders. The host's renames do not touch these entries, and a missing target is there.
 *            Weaknesses: /etc is read-only inside, mounts below /etc would be hidden.
 *
 * Layered is used when a target in /etc is missing, and for ordinary users (who cannot write /etc anyway) where nothing
 * is mounted below /etc. Direct is used otherwise and where overlayfs is not to be had. Binds are made of the
 * helper's own files, root-owned and by descriptor; a later in-place update of a file is seen through the bind.
 *
 * Everything is fetched first (descriptors of detached mounts), then put in place: the scratch tmpfs that holds
 * placeholders and masks lies over the runtime folder for that moment only.
 */
#include "launch/mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "profile/binds.h"

#define BINDS_MAX 32
#define MASK_FILE_NAME "mask-file"
#define MASK_DIR_NAME "mask-dir"
#define LAYER_NAME "layer"

struct piece {
	const struct bind *bind;
	int fd; /* a detached mount; -EBADF: nothing to do for this entry */
};

struct mounts {
	const char *run;
	struct piece v[BINDS_MAX];
	size_t n;
};

static int fail(char **ret_error, int r, const char *what, const char *object)
{
	*ret_error = str_format("cannot %s %s: %s; nothing was started", what, object, strerror(-r));
	return r;
}

/* A clone of what fd_or_dir/name is, as a mount of its own that is not attached anywhere. */
static int clone_tree(int dirfd, const char *name, bool readonly)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					       (readonly ? MOUNT_ATTR_RDONLY : 0) };
	_cleanup_(closep) int fd = -EBADF;

	fd = open_tree(dirfd, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* The helper's file, checked on the descriptor: ours alone may be bound over the host's. */
static int fetch_source(const struct mounts *m, const struct bind *b, int *ret_fd, char **ret_error)
{
	_cleanup_(freep) char *path = str_format("%s/%s", m->run, b->source);
	_cleanup_(closep) int fd = -EBADF;
	struct stat st;
	int r;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(ret_error, -errno, "open the tunnel's file", path);
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022)) {
		*ret_error = str_format("%s is not a file that only root can write; nothing was started", path);
		return -EPERM;
	}
	r = clone_tree(fd, "", true);
	if (r < 0)
		return fail(ret_error, r, "make a bind of", path);
	*ret_fd = r;
	return 0;
}

static bool is_in_etc(const struct bind *b)
{
	return str_has_prefix(b->target, "/etc/");
}

static bool target_exists(const struct bind *b)
{
	struct stat st;

	/* A folder may be reached by a link; a file is covered as the entry it is. */
	return fstatat(AT_FDCWD, b->target, &st, b->kind == BIND_MASK_DIR ? 0 : AT_SYMLINK_NOFOLLOW) == 0;
}

/* Fetches every source while the runtime folder is still visible. */
static int fetch_files(struct mounts *m, bool *ret_missing, char **ret_error)
{
	const struct bind *table;
	size_t n;

	*ret_missing = false;
	table = binds_table(&n);
	assert(n <= BINDS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct piece *p = &m->v[m->n++];
		bool there = target_exists(&table[i]);
		int r;

		p->bind = &table[i];
		p->fd = -EBADF;
		if (table[i].kind != BIND_FILE)
			continue;
		/* Outside /etc a missing target means that there is nothing of the host's to replace. */
		if (!there && !is_in_etc(&table[i]))
			continue;
		*ret_missing |= !there;
		r = fetch_source(m, &table[i], &p->fd, ret_error);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fetch_masks(struct mounts *m, int scratch, char **ret_error)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct bind *b = m->v[i].bind;
		int r;

		if (b->kind == BIND_FILE || !target_exists(b))
			continue;
		r = clone_tree(scratch, b->kind == BIND_MASK_DIR ? MASK_DIR_NAME : MASK_FILE_NAME, true);
		if (r < 0)
			return fail(ret_error, r, "make the mask for", b->target);
		m->v[i].fd = r;
	}
	return 0;
}

/* True when something is mounted below /etc, which a layer would hide; or when that cannot be read. */
static bool etc_has_mounts(void)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_(freep) char *line = NULL;
	size_t cap = 0;

	if (!f)
		return true;
	while (getline(&line, &cap, f) >= 0) {
		char *p = line;

		/* id parent major:minor root mountpoint ... */
		for (int i = 0; i < 4; i++)
			(void)str_next_word(&p); /* the fields before the mount point */
		p = str_next_word(&p);
		if (p && str_has_prefix(p, "/etc/"))
			return true;
	}
	return false;
}

/* An empty placeholder in the layer for each target in /etc, with the folders above it. */
static int fill_layer(const struct mounts *m, int scratch)
{
	if (mkdirat(scratch, LAYER_NAME, 0755) < 0)
		return -errno;
	for (size_t i = 0; i < m->n; i++) {
		_cleanup_(freep) char *path = NULL;
		_cleanup_(closep) int fd = -EBADF;

		if (m->v[i].bind->kind != BIND_FILE || !is_in_etc(m->v[i].bind))
			continue;
		path = str_format("%s/%s", LAYER_NAME, m->v[i].bind->target + strlen("/etc/"));
		if (!path)
			return -ENOMEM;
		for (char *slash = strchr(path + strlen(LAYER_NAME) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
			int r;

			*slash = '\0';
			r = mkdirat(scratch, path, 0755);
			*slash = '/';
			if (r < 0 && errno != EEXIST)
				return -errno;
		}
		fd = openat(scratch, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0)
			return -errno;
	}
	return 0;
}

static int cover_etc(const struct mounts *m, int scratch)
{
	_cleanup_(closep) int layer = -EBADF;
	_cleanup_(freep) char *options = NULL;
	int r = fill_layer(m, scratch);

	if (r < 0)
		return r;
	layer = openat(scratch, LAYER_NAME, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (layer < 0)
		return -errno;
	/* By descriptor: the runtime folder's name could hold a colon, which separates layers. */
	options = str_format("lowerdir=/proc/self/fd/%d:/etc", layer);
	if (!options)
		return -ENOMEM;
	return mount("nsvpn", "/etc", "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 0;
}

/* Files and folders that the masks and the layer are made of. */
static int fill_scratch(int scratch)
{
	_cleanup_(closep) int fd = openat(scratch, MASK_FILE_NAME, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0000);

	if (fd < 0)
		return -errno;
	return mkdirat(scratch, MASK_DIR_NAME, 0555) < 0 ? -errno : 0;
}

static int place(const struct mounts *m, char **ret_error)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct piece *p = &m->v[i];
		unsigned flags = MOVE_MOUNT_F_EMPTY_PATH |
				 (p->bind->kind == BIND_MASK_DIR ? MOVE_MOUNT_T_SYMLINKS : 0);

		if (p->fd >= 0 && move_mount(p->fd, "", AT_FDCWD, p->bind->target, flags) < 0)
			return fail(ret_error, -errno, "cover", p->bind->target);
	}
	return 0;
}

/* With the scratch tmpfs mounted over the runtime folder. */
static int use_scratch(struct mounts *m, bool missing, bool durable, char **ret_error)
{
	_cleanup_(closep) int scratch = open(m->run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (scratch < 0)
		return fail(ret_error, -errno, "open", m->run);
	r = fill_scratch(scratch);
	if (r < 0)
		return fail(ret_error, r, "fill the scratch file system on", m->run);
	r = fetch_masks(m, scratch, ret_error);
	if (r < 0)
		return r;
	if (!missing && (!durable || etc_has_mounts()))
		return 0;
	r = cover_etc(m, scratch);
	if (r < 0 && missing) {
		*ret_error = str_format("a name-service file is missing in /etc and no read-only overlay can be made to add "
					"it (%s); create an empty /etc/resolv.conf or load the overlay module",
					strerror(-r));
		return r;
	}
	return 0; /* durable was a wish; the direct form does it */
}

static void mounts_done(struct mounts *m)
{
	for (size_t i = 0; i < m->n; i++)
		m->v[i].fd = fd_close(m->v[i].fd);
}

static int arrange(struct mounts *m, bool durable, char **ret_error)
{
	bool missing;
	int r;

	r = fetch_files(m, &missing, ret_error);
	if (r < 0)
		return r;
	if (mount("nsvpn", m->run, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k") < 0)
		return fail(ret_error, -errno, "mount a scratch file system on", m->run);
	r = use_scratch(m, missing, durable, ret_error);
	/* The clones keep the file system alive; the runtime folder comes into sight again. */
	if (umount2(m->run, MNT_DETACH) < 0 && r == 0)
		r = fail(ret_error, -errno, "remove the scratch file system from", m->run);
	return r < 0 ? r : place(m, ret_error);
}

int mounts_enter(const char *run, bool durable, char **ret_error)
{
	struct mounts m = { .run = run };
	int r;

	if (unshare(CLONE_NEWNS) < 0)
		return fail(ret_error, -errno, "take a private mount namespace for", run);
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return fail(ret_error, -errno, "make the mount namespace private for", run);
	r = arrange(&m, durable, ret_error);
	mounts_done(&m);
	if (r == -ENOMEM && !*ret_error)
		*ret_error = strdup("out of memory; nothing was started");
	return r;
}
