/*
 * Descriptors and whole files.
 *
 * Theory of file_write_atomic: everything happens relative to one descriptor of the folder, so the folder may be renamed
 * meanwhile. The temporary file is new (O_EXCL, O_NOFOLLOW), mode 0600 until it is complete, on disk before it gets its
 * name, and unlinked on every way out but success. A power cut leaves the old file or the new one, at worst beside a
 * ".NAME.XXXXXXXX" leftover that nobody reads.
 */
#include "base/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/str.h"

/* ---- descriptors ---- */

int fd_close(int fd)
{
	closep(&fd);
	return -EBADF;
}

ssize_t fd_read_full(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (char *)buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int fd_write_full(int fd, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, (const char *)buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* no progress and no reason: never loop on it */
		done += (size_t)n;
	}
	return 0;
}

int fd_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL), want;

	if (flags < 0)
		return -errno;
	want = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (want != flags && fcntl(fd, F_SETFL, want) < 0)
		return -errno;
	return 0;
}

/* ---- descriptor passing ---- */

union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
};
/* Padding must not make room for one descriptor more, or a message with FD_PASS_MAX + 1 would be taken. */
static_assert(CMSG_SPACE(sizeof(int) * FD_PASS_MAX) == CMSG_LEN(sizeof(int) * FD_PASS_MAX), "FD_PASS_MAX fills the buffer");

int fd_send_msg(int sock, const void *buf, size_t len, const int *fds, size_t n_fds)
{
	struct iovec iov = { (void *)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union fd_control control;
	ssize_t n;

	if (n_fds > FD_PASS_MAX)
		return -EINVAL;
	if (n_fds) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);

		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EMSGSIZE;
}

/* Collects the descriptors of a received message; foreign kinds of control data carry none. */
static size_t take_fds(struct msghdr *msg, int fds[FD_PASS_MAX])
{
	size_t n_fds = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		n = MIN(n, FD_PASS_MAX - n_fds); /* the kernel filled at most what the buffer holds */
		memcpy(fds + n_fds, CMSG_DATA(c), n * sizeof(int));
		n_fds += n;
	}
	return n_fds;
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)fd_close(fds[i]); /* always -EBADF */
}

ssize_t fd_recv_msg(int sock, void *buf, size_t len, int *fds, size_t *ret_n_fds)
{
	struct iovec iov = { buf, len };
	union fd_control control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	int got[FD_PASS_MAX];
	size_t n_got;
	ssize_t n;

	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;

	n_got = take_fds(&msg, got);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		close_all(got, n_got);
		return -EMSGSIZE;
	}
	if (n == 0) { /* end of file; an empty message is taken for it, its descriptors must not leak */
		close_all(got, n_got);
		n_got = 0;
	}
	if (n_got)
		memcpy(fds, got, n_got * sizeof(int));
	*ret_n_fds = n_got;
	return n;
}

/* ---- reading files ---- */

/* A larger copy of a buffer; the old one is wiped, because key files come this way. */
static char *grow_wiped(char *old, size_t old_cap, size_t cap)
{
	char *p = malloc(cap);

	if (p && old_cap)
		memcpy(p, old, old_cap);
	if (p) {
		explicit_bzero(old, old_cap);
		free(old);
	}
	return p;
}

int file_read_fd(int fd, size_t max, char **ret, size_t *ret_len)
{
	size_t cap = 4096, len = 0;
	struct stat st;
	char *buf, *bigger;
	int r;

	if (max > SSIZE_MAX - 2)
		max = SSIZE_MAX - 2;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* The size is a hint (procfs says 0, pipes too); one byte more shows the end, another holds the NUL. */
	if (S_ISREG(st.st_mode) && st.st_size > 0)
		cap = MIN((size_t)st.st_size, max) + 2;
	buf = malloc(cap);
	if (!buf)
		return -ENOMEM;

	for (;;) {
		size_t room = MIN(cap - 1, max + 1) - len;
		ssize_t n = fd_read_full(fd, buf + len, room);

		r = n < 0 ? (int)n : 0;
		if (r < 0)
			goto fail;
		len += (size_t)n;
		r = -EFBIG;
		if (len > max)
			goto fail;
		if ((size_t)n < room)
			break;
		bigger = grow_wiped(buf, cap, cap * 2);
		r = -ENOMEM;
		if (!bigger)
			goto fail;
		buf = bigger;
		cap *= 2;
	}
	buf[len] = '\0';
	*ret = buf;
	*ret_len = len;
	return 0;
fail:
	explicit_bzero(buf, cap);
	free(buf);
	return r;
}

int file_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	/* O_NONBLOCK: opening a FIFO must not wait for its writer; O_NOCTTY: nor a terminal become ours. */
	_cleanup_(closep) int fd = openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENXIO ? -EINVAL : -errno; /* ENXIO: a socket, or a device nobody drives */
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return file_read_fd(fd, max, ret, ret_len);
}

/* ---- writing files ---- */

/* Opens path's folder and points at its last component. */
static int open_folder(int dirfd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	_cleanup_(freep) char *folder = NULL;
	int fd;

	if (!*name || str_eq(name, ".") || str_eq(name, ".."))
		return -EINVAL;
	folder = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	if (!folder)
		return -ENOMEM;
	fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_name = name;
	return fd;
}

/* A new file ".NAME.XXXXXXXX" in the folder; its descriptor or -errno. */
static int open_temporary(int folder, const char *name, char *tmp, size_t cap)
{
	for (int tries = 0; tries < 16; tries++) {
		uint32_t random;
		int fd, n;

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -EIO;
		n = snprintf(tmp, cap, ".%s.%08x", name, random);
		if (n < 0 || (size_t)n >= cap)
			return -ENAMETOOLONG;
		fd = openat(folder, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int fill_and_sync(int fd, const void *data, size_t len, mode_t mode)
{
	int r = fd_write_full(fd, data, len);

	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int file_write_atomic(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
	_cleanup_(closep) int folder = -EBADF, fd = -EBADF;
	char tmp[NAME_MAX + 1];
	const char *name = NULL;
	int r;

	folder = open_folder(dirfd, path, &name);
	if (folder < 0)
		return folder;
	fd = open_temporary(folder, name, tmp, sizeof(tmp));
	if (fd < 0)
		return fd;
	r = fill_and_sync(fd, data, len, mode);
	if (r == 0 && renameat(folder, tmp, folder, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(folder, tmp, 0); /* the first error is the one to report */
		return r;
	}
	/* Filesystems without folder sync say EINVAL. Anything else means that a power cut may bring the old file back. */
	if (fsync(folder) < 0 && errno != EINVAL)
		return -errno;
	return 0;
}

int file_write_inplace(const char *path, const void *data, size_t len, mode_t mode)
{
	_cleanup_(closep) int fd =
		open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, mode);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return errno == ENXIO ? -EINVAL : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0)
		return -errno;
	do {
		n = pwrite(fd, data, len, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n != len)
		return -ENOSPC; /* regular files write short only when the space ends */
	if (ftruncate(fd, (off_t)len) < 0)
		return -errno;
	return 0;
}

/* The limit of file sizes counts for memory, too, and going beyond it would be a silent end by SIGXFSZ. */
static int write_within_limit(int fd, const void *data, size_t len)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction was;
	int r;

	if (sigaction(SIGXFSZ, &ignore, &was) < 0)
		return -errno;
	r = fd_write_full(fd, data, len);
	(void)sigaction(SIGXFSZ, &was, NULL); /* cannot fail: it was so before */
	return r;
}

int memfd_sealed(const char *name, const void *data, size_t len)
{
	_cleanup_(closep) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	r = write_within_limit(fd, data, len);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* mkdir with exactly this mode, whatever the umask; an existing folder is fine and keeps its mode. */
static int make_one(const char *path, mode_t mode)
{
	_cleanup_(closep) int fd = -EBADF;
	struct stat st;

	if (mkdir(path, mode) < 0) {
		int error = errno;

		/* Not every existing folder says EEXIST: a read-only parent says EROFS, a foreign one EACCES. */
		if (stat(path, &st) < 0)
			return -error;
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

int dir_make(const char *path, mode_t mode)
{
	_cleanup_(freep) char *copy = strdup(path);
	int r;

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + (copy[0] == '/'); *p; p++) {
		if (*p != '/' || p[-1] == '/')
			continue;
		*p = '\0';
		r = make_one(copy, mode);
		if (r < 0)
			return r;
		*p = '/';
	}
	return *copy ? make_one(copy, mode) : -ENOENT;
}

int dir_remove(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;
	int r = 0;

	if (!dir) {
		r = -errno;
		(void)fd_close(fd);
		return r;
	}
	while ((d = readdir(dir))) {
		if (str_eq(d->d_name, ".") || str_eq(d->d_name, ".."))
			continue;
		if (unlinkat(fd, d->d_name, 0) < 0)
			r = errno == EISDIR ? dir_remove(fd, d->d_name) : -errno;
	}
	(void)closedir(dir); /* only read from */
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 && r == 0 ? -errno : r;
}
