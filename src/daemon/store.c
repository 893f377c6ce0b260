/* The intent file; theory in store.h. */
#include "daemon/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/str.h"

#define SUFFIX ".intent"

/* FNV-1a: each byte's step is a bijection of the state, so that one changed byte always changes the result. */
static uint64_t check_value(const char *p, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)p[i]) * 0x100000001b3ULL;
	return h;
}

ssize_t store_format(const struct intent *i, char *buf, size_t cap)
{
	int n, m;

	n = snprintf(buf, cap, "nsvpn-intent 1\nwant=%s\nboot=%s\nuplink=%s\n", i->want_up ? "up" : "down", i->boot_id,
		     uplink_to_string(i->uplink));
	if (n < 0 || (size_t)n >= cap)
		return -ENOSPC;
	m = snprintf(buf + n, cap - (size_t)n, "check=%016" PRIx64 "\n", check_value(buf, (size_t)n));
	if (m < 0 || (size_t)m >= cap - (size_t)n)
		return -ENOSPC;
	return n + m;
}

static bool boot_id_is_valid(const char *s)
{
	if (strlen(s) != STORE_BOOT_ID_LEN)
		return false;
	for (size_t i = 0; i < STORE_BOOT_ID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i]))
			return false;
	}
	return true;
}

/*
 * Reads the three values and writes the text they would give: only when that is, byte for byte, what was read, the file
 * is believed. So there is exactly one valid text for each intent, and no laxness to reason about.
 */
int store_parse(const char *text, size_t len, struct intent *ret)
{
	char want[8], boot[STORE_BOOT_ID_LEN + 1], uplink[16], copy[STORE_FILE_MAX + 1], again[STORE_FILE_MAX];
	struct intent i = { 0 };
	ssize_t n;

	if (len > STORE_FILE_MAX || memchr(text, 0, len))
		return -EBADMSG;
	memcpy(copy, text, len);
	copy[len] = 0;
	if (sscanf(copy, "nsvpn-intent 1\nwant=%7[a-z]\nboot=%36[0-9a-f-]\nuplink=%15[a-z]\n", want, boot, uplink) != 3)
		return -EBADMSG;
	if (!str_eq(want, "up") && !str_eq(want, "down"))
		return -EBADMSG;
	if (!boot_id_is_valid(boot) || uplink_from_string(uplink, &i.uplink) < 0)
		return -EBADMSG;
	i.want_up = str_eq(want, "up");
	(void)str_copy(i.boot_id, sizeof(i.boot_id), boot); /* length checked above */

	n = store_format(&i, again, sizeof(again));
	if (n < 0 || (size_t)n != len || memcmp(again, text, len) != 0)
		return -EBADMSG;
	*ret = i;
	return 0;
}

char *store_path(const char *name)
{
	return str_format("%s/%s" SUFFIX, place_state(), name);
}

int store_save(const char *name, const struct intent *i, char **ret_error)
{
	_cleanup_(freep) char *path = store_path(name);
	char buf[STORE_FILE_MAX];
	ssize_t n;
	int r;

	if (!path)
		return -ENOMEM;
	n = store_format(i, buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	r = dir_make(place_state(), 0700);
	if (r >= 0)
		r = file_write_atomic(AT_FDCWD, path, buf, (size_t)n, 0600);
	if (r < 0) {
		errno = -r;
		*ret_error = str_format("cannot store what is wanted of tunnel %s in %s: %m; nothing was changed%s", name, path,
					r == -ENOSPC || r == -EDQUOT ? ", make room on that disk and try again" : "");
	}
	return r;
}

int store_load(const char *name, struct intent *ret, char **ret_error)
{
	_cleanup_(freep) char *path = store_path(name), *text = NULL;
	_cleanup_(closep) int fd = -EBADF;
	struct stat st;
	size_t len;
	int r;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		r = -errno;
		if (r != -ENOENT)
			*ret_error = str_format("the state file %s cannot be opened (%m)", path);
		return r;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022)) {
		*ret_error = str_format("the state file %s is not a file that only root can write", path);
		return -EBADMSG;
	}
	r = file_read_fd(fd, STORE_FILE_MAX, &text, &len);
	if (r >= 0)
		r = store_parse(text, len, ret);
	if (r < 0)
		*ret_error = str_format("the state file %s is damaged", path);
	return r;
}

static int sync_folder(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int store_remove(const char *name, char **ret_error)
{
	_cleanup_(freep) char *path = store_path(name);
	int r = 0;

	if (!path)
		return -ENOMEM;
	if (unlink(path) < 0) {
		if (errno == ENOENT)
			return 0;
		r = -errno;
	} else {
		r = sync_folder(place_state());
	}
	if (r < 0) {
		errno = -r;
		*ret_error = str_format("cannot remove the state file %s: %m", path);
	}
	return r;
}

int store_list(char ***ret)
{
	_cleanup_(strv_freep) char **names = NULL;
	struct dirent *de;
	DIR *d;
	int r = 0;

	d = opendir(place_state());
	if (!d && errno != ENOENT)
		return -errno;
	while (d && r >= 0 && (de = readdir(d))) {
		_cleanup_(freep) char *name = NULL;

		if (!str_has_suffix(de->d_name, SUFFIX))
			continue;
		name = strndup(de->d_name, strlen(de->d_name) - strlen(SUFFIX));
		if (!name)
			r = -ENOMEM;
		else if (tunnel_name_is_valid(name))
			r = strv_add(&names, name);
	}
	if (d)
		(void)closedir(d); /* a folder that was only read */
	if (r < 0)
		return r;
	*ret = TAKE_PTR(names);
	return 0;
}

int store_boot_id(char ret[static STORE_BOOT_ID_LEN + 1])
{
	_cleanup_(closep) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char buf[STORE_BOOT_ID_LEN + 1] = "";
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = fd_read_full(fd, buf, STORE_BOOT_ID_LEN);
	if (n < 0)
		return (int)n;
	if (!boot_id_is_valid(buf))
		return -EBADMSG;
	memcpy(ret, buf, sizeof(buf));
	return 0;
}
