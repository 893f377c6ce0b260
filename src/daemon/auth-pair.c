/* Credentials in, credentials out; the bytes are wiped from the helper's memory on every path. */
#include "daemon/auth-pair.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/secret.h"
#include "base/str.h"

/* A writer on another processor may be a moment behind its own message. */
#define PATIENCE (100 * USEC_PER_MSEC)
#define LINES_MAX 4

/*
 * An anonymous pipe. Found out without asking a file system that somebody else runs (FUSE, NFS): that could take for ever, and
 * everybody's calls with it.
 */
static bool is_pipe(int fd)
{
	_cleanup_(closep) int reader = -EBADF, writer = -EBADF;
	struct statx theirs, ours;
	int fds[2];

	if (fcntl(fd, F_GETPIPE_SZ) < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return false;
	reader = fds[0];
	writer = fds[1];
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &theirs) == 0 &&
	       statx(reader, "", AT_EMPTY_PATH, STATX_TYPE, &ours) == 0 && theirs.stx_dev_major == ours.stx_dev_major &&
	       theirs.stx_dev_minor == ours.stx_dev_minor;
}

/*
 * Until end of file, the buffer's end or the end of our patience. Through an open file of our own: whoever has the other one
 * too can take bytes away between poll() and read(), and O_NONBLOCK off.
 */
static ssize_t read_pipe(int fd, char *buf, size_t cap)
{
	_cleanup_(freep) char *path = str_format("/proc/self/fd/%d", fd);
	_cleanup_(closep) int own = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -EBADF;
	usec_t deadline = clock_boottime() + PATIENCE;
	size_t len = 0;

	if (own < 0)
		return path ? -errno : -ENOMEM;
	while (len < cap) {
		struct pollfd p = { .fd = own, .events = POLLIN };
		usec_t now = clock_boottime();
		ssize_t n;

		if (now >= deadline || poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) == 0)
			break;
		n = read(own, buf + len, cap - len);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)len;
}

static ssize_t read_memfd(int fd, char *buf, size_t cap)
{
	size_t len = 0;
	ssize_t n = 1;

	while (len < cap && n > 0) {
		n = pread(fd, buf + len, cap - len, (off_t)len);
		len += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? -errno : (ssize_t)len;
}

/* -EINVAL: neither a memfd nor a pipe. (Files of memory file systems have seals as well, and cannot block either.) */
static ssize_t read_available(int fd, char *buf, size_t cap)
{
	if (fcntl(fd, F_GET_SEALS) >= 0)
		return read_memfd(fd, buf, cap);
	return is_pipe(fd) ? read_pipe(fd, buf, cap) : -EINVAL;
}

/* One line of *p as a string in place, perhaps empty; NULL when there is none or it holds a NUL. */
static char *take_line(char **p, size_t *left)
{
	char *line = *p, *end = memchr(line, '\n', *left);
	size_t len = end ? (size_t)(end - line) : *left, used = end ? len + 1 : len;

	if (used == 0)
		return NULL;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (memchr(line, 0, len))
		return NULL;
	line[len] = '\0'; /* the buffer has a byte to spare */
	*p += used;
	*left -= used;
	return line;
}

/* AUTH_PAIR_*; or -EINVAL. */
static int parts_of(const char *user, const char *password, const char *phrase)
{
	int parts = phrase && *phrase ? AUTH_PAIR_PHRASE : 0;

	if (*user && *password)
		return parts | AUTH_PAIR_LOGIN;
	return !*user && !*password && parts ? parts : -EINVAL;
}

/* AUTH_PAIR_* with *ret_fd; or -EINVAL. */
static int make_memfd(char *buf, size_t len, int *ret_fd)
{
	_cleanup_(secret_freep) struct secret *all = NULL;
	const char *lines[LINES_MAX] = { NULL };
	size_t total = 0, at = 0;
	int parts, r;

	for (size_t i = 0; i < ARRAY_SIZE(lines) && len > 0; i++) {
		lines[i] = take_line(&buf, &len);
		if (!lines[i])
			return -EINVAL;
		total += strlen(lines[i]) + 1;
	}
	if (!lines[1] || len > 0)
		return -EINVAL;
	parts = parts_of(lines[0], lines[1], lines[2]);
	if (parts < 0)
		return parts;
	r = secret_new(&all, total);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(lines) && lines[i]; i++) {
		memcpy(secret_data(all) + at, lines[i], strlen(lines[i]) + 1);
		at += strlen(lines[i]) + 1;
	}
	r = memfd_sealed("nsvpn-credentials", secret_bytes(all), secret_len(all));
	if (r < 0)
		return r;
	*ret_fd = r;
	return parts;
}

int auth_pair_read(int fd, int *ret_fd, char **ret_error)
{
	char buf[AUTH_PAIR_MAX + 2];
	int r, made = -EBADF;
	ssize_t n;

	n = read_available(fd, buf, AUTH_PAIR_MAX + 1);
	if (n < 0) {
		*ret_error = str_format("credentials must come through a pipe or a memfd");
		return -EINVAL;
	}
	r = n > AUTH_PAIR_MAX ? -EINVAL : make_memfd(buf, (size_t)n, &made);
	secret_wipe(buf, sizeof(buf));
	if (r < 0) {
		*ret_error = str_format("credentials must be a user name and a password, the pass phrase of the key where it has one, and the answer to the server's question where it asks, one line each, of at most %d bytes together",
					AUTH_PAIR_MAX);
		return r;
	}
	*ret_fd = made;
	return r;
}

int auth_answer_read(int fd, int *ret_fd, char **ret_error)
{
	char buf[AUTH_PAIR_MAX + 2], *p = buf;
	const char *line = NULL;
	ssize_t n = read_available(fd, buf, AUTH_PAIR_MAX + 1);
	size_t left = n < 0 ? 0 : (size_t)n;
	int r = n < 0 ? (int)n : -EINVAL;

	if (n > 0 && n <= AUTH_PAIR_MAX)
		line = take_line(&p, &left);
	if (line && *line && left == 0)
		r = memfd_sealed("nsvpn-answer", line, strlen(line) + 1);
	secret_wipe(buf, sizeof(buf));
	if (r < 0) {
		*ret_error = str_format("an answer must be one line, and come through a pipe or a memfd");
		return r;
	}
	*ret_fd = r;
	return 0;
}

int auth_pair_forget_answer(int *fd, bool has_phrase)
{
	char buf[AUTH_PAIR_MAX + LINES_MAX] = "", *p = buf;
	ssize_t n = *fd < 0 ? 0 : pread(*fd, buf, sizeof(buf) - 1, 0);
	int r = n < 0 ? -errno : 0;

	for (int i = 0; i < (has_phrase ? 3 : 2) && p < buf + MAX(n, 0); i++)
		p += strlen(p) + 1;
	if (n > p - buf) /* there is one more */
		r = memfd_sealed("nsvpn-credentials", buf, (size_t)(p - buf));
	secret_wipe(buf, sizeof(buf));
	if (r <= 0)
		return r;
	(void)fd_close(*fd);
	*fd = r;
	return 0;
}
