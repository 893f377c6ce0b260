/* Credentials in, credentials out; the bytes are wiped from the helper's memory on every path. */
#include "daemon/auth-pair.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/secret.h"
#include "base/str.h"

/* A writer on another processor may be a moment behind its own message. */
#define PATIENCE_MSEC 200

static bool is_acceptable(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (S_ISFIFO(st.st_mode))
		return true;
	/* Only memfds (and files of memory file systems) have seals: never a disk, network or FUSE file that could block. */
	return S_ISREG(st.st_mode) && fcntl(fd, F_GET_SEALS) >= 0;
}

/* Reads until end of file, the buffer's end, or until nothing comes any more. */
static ssize_t read_available(int fd, char *buf, size_t cap)
{
	size_t len = 0;

	if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
		return -errno;
	while (len < cap) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, PATIENCE_MSEC) == 0)
			break;
		n = read(fd, buf + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* One line of *p as a string in place; NULL when there is none or it is empty or holds a NUL. */
static char *take_line(char **p, size_t *left)
{
	char *line = *p, *end = memchr(line, '\n', *left);
	size_t len = end ? (size_t)(end - line) : *left, used = end ? len + 1 : len;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len == 0 || memchr(line, 0, len))
		return NULL;
	line[len] = '\0'; /* the buffer has a byte to spare */
	*p += used;
	*left -= used;
	return line;
}

static int make_memfd(char *buf, size_t len)
{
	_cleanup_(secret_freep) struct secret *pair = NULL;
	char *p = buf, *user, *password;
	size_t n_user, n_password;
	int r;

	user = take_line(&p, &len);
	password = user ? take_line(&p, &len) : NULL;
	if (!password || len > 0)
		return -EINVAL;
	n_user = strlen(user) + 1;
	n_password = strlen(password) + 1;
	r = secret_new(&pair, n_user + n_password);
	if (r < 0)
		return r;
	memcpy(secret_data(pair), user, n_user);
	memcpy(secret_data(pair) + n_user, password, n_password);
	return memfd_sealed("nsvpn-credentials", secret_bytes(pair), secret_len(pair));
}

int auth_pair_read(int fd, int *ret_fd, char **ret_error)
{
	char buf[AUTH_PAIR_MAX + 2];
	ssize_t n;
	int r;

	if (!is_acceptable(fd)) {
		*ret_error = str_format("credentials must come through a pipe or a memfd");
		return -EINVAL;
	}
	n = read_available(fd, buf, AUTH_PAIR_MAX + 1);
	r = n < 0 ? (int)n : n > AUTH_PAIR_MAX ? -EINVAL : make_memfd(buf, (size_t)n);
	secret_wipe(buf, sizeof(buf));
	if (r < 0) {
		*ret_error = str_format("credentials must be a user name and a password, one line each, of at most %d bytes together",
					AUTH_PAIR_MAX);
		return r;
	}
	*ret_fd = r;
	return 0;
}
