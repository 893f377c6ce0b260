/*
 * A tunnel's folder below <etc>/tunnels, read with the eyes of a privileged program.
 *
 * Theory. Whoever can write a profile decides where a tunnel leads, so folder and files must belong to root (or to the
 * user that this program runs as) and must not be writable by anybody else. The checks are made on the opened
 * descriptors, never on paths, so that nothing can change between check and use. Files that are read for their names in
 * the profile get the same checks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/places.h"
#include "base/str.h"
#include "profile/profile.h"

#define PROFILE_FILE "tunnel.ovpn"
#define WIREGUARD_FILE "tunnel.conf"
#define SETTINGS_FILE "settings.conf"

struct folder {
	int fd;
	const char *path;
	char *error; /* the sentence of a check that failed */
};

static int to_secret(char *text, size_t len, struct secret **ret)
{
	int r;

	r = secret_new_copy(ret, text, len);
	secret_wipe(text, len);
	free(text);
	return r;
}

int profile_load_at(void *dirfd, const char *path, struct secret **ret)
{
	char *text;
	size_t len;
	int r;

	r = file_read(*(int *)dirfd, path, PROFILE_FILE_MAX, &text, &len);
	return r < 0 ? r : to_secret(text, len, ret);
}

static int complain(struct folder *f, char *sentence)
{
	free(f->error);
	f->error = sentence;
	return sentence ? -EPERM : -ENOMEM;
}

/* "FOLDER/NAME", or NAME itself when it is a whole path. */
static char *full_path(const struct folder *f, const char *name)
{
	return *name == '/' ? strdup(name) : str_format("%s/%s", f->path, name);
}

static int check_owner(struct folder *f, const char *path, const struct stat *st)
{
	_cleanup_(freep) char *shown = str_escape(path, strlen(path), 200);

	if (!shown)
		return -ENOMEM;
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return complain(f, str_format("%s: belongs to user %u, who could change the tunnel; chown root %s",
					      shown, (unsigned)st->st_uid, shown));
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return complain(f, str_format("%s: can be written by others than its owner; chmod %s %s", shown,
					      S_ISDIR(st->st_mode) ? "700" : "600", shown));
	return 0;
}

/* Opens, checks, reads. -ENOENT and the like come without a sentence. */
static int read_checked(struct folder *f, const char *name, char **ret, size_t *ret_len)
{
	_cleanup_(closep) int fd = openat(f->fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_cleanup_(freep) char *path = NULL;
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	path = full_path(f, name);
	if (!path)
		return -ENOMEM;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	r = check_owner(f, path, &st);
	if (r < 0)
		return r;
	return file_read_fd(fd, PROFILE_FILE_MAX, ret, ret_len);
}

static int load_checked(void *userdata, const char *name, struct secret **ret)
{
	char *text;
	size_t len;
	int r;

	r = read_checked(userdata, name, &text, &len);
	return r < 0 ? r : to_secret(text, len, ret);
}

static int open_folder(struct folder *f)
{
	struct stat st;
	int r;

	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	r = fstat(f->fd, &st) < 0 ? -errno : 0;
	return r < 0 ? r : check_owner(f, f->path, &st);
}

static int read_profile(struct folder *f, struct secret **ret)
{
	char *text;
	size_t len;
	int r;

	r = read_checked(f, PROFILE_FILE, &text, &len);
	if (r == -ENOENT && faccessat(f->fd, WIREGUARD_FILE, F_OK, 0) == 0)
		return complain(f, str_format("%s/%s: WireGuard is not supported yet; import an OpenVPN profile",
					      f->path, WIREGUARD_FILE));
	if (r == -ENOENT)
		return complain(f, str_format("%s: holds no %s; import the profile again, or remove the folder",
					      f->path, PROFILE_FILE));
	if (r == -EFBIG)
		return complain(f, str_format("%s/%s: is larger than 1 MiB; that is no OpenVPN profile", f->path,
					      PROFILE_FILE));
	return r < 0 ? r : to_secret(text, len, ret);
}

static int read_settings(struct folder *f, struct tunnel_settings *s, char **ret_error)
{
	_cleanup_(freep) char *text = NULL, *path = NULL;
	size_t len;
	int r;

	r = read_checked(f, SETTINGS_FILE, &text, &len);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	path = full_path(f, SETTINGS_FILE);
	return path ? tunnel_settings_parse(text, len, path, s, ret_error) : -ENOMEM;
}

static int load(struct folder *f, struct profile **ret, struct secret **ret_inline, char **ret_error)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_(secret_freep) struct secret *text = NULL, *whole = NULL;
	_cleanup_(freep) char *path = full_path(f, PROFILE_FILE);
	int r;

	if (!path)
		return -ENOMEM;
	r = open_folder(f);
	if (r == 0)
		r = read_profile(f, &text);
	if (r < 0)
		return r;
	r = profile_parse_ovpn(secret_string(text), secret_len(text), path, load_checked, f, NULL, &p, ret_error);
	if (r == 0)
		r = profile_verify(p, ret_error);
	if (r == 0)
		r = read_settings(f, &p->settings, ret_error);
	if (r == 0 && ret_inline)
		r = profile_inline_ovpn(secret_string(text), secret_len(text), path, load_checked, f, &whole,
					ret_error);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	if (ret_inline)
		*ret_inline = TAKE_PTR(whole);
	return 0;
}

int profile_load_tunnel(const char *name, struct profile **ret, struct secret **ret_inline, char **ret_error)
{
	_cleanup_(freep) char *path = place_tunnel_etc(name), *owned_name = strdup(name), *error = NULL;
	struct folder f = { .fd = -EBADF, .path = path };
	struct secret *whole = NULL;
	struct profile *p = NULL;
	int r;

	if (!path || !owned_name)
		return -ENOMEM;
	r = load(&f, &p, ret_inline ? &whole : NULL, &error);
	f.fd = fd_close(f.fd);
	if (r == 0) {
		p->name = TAKE_PTR(owned_name);
		*ret = p;
		if (ret_inline)
			*ret_inline = whole;
		return 0;
	}
	/* A failed check says more than the line that named the file. */
	if (f.error) {
		free(error);
		error = TAKE_PTR(f.error);
	}
	if (!error && r != -ENOENT && r != -ENOMEM)
		error = str_format("%s: cannot be read (%s)", path, strerror(-r));
	if (error)
		*ret_error = TAKE_PTR(error);
	return r;
}

int tunnel_settings_load(const char *name, struct tunnel_settings *ret, char **ret_error)
{
	_cleanup_(freep) char *path = place_tunnel_etc(name), *error = NULL;
	struct folder f = { .fd = -EBADF, .path = path };
	struct tunnel_settings s = { 0 };
	int r;

	if (!path)
		return -ENOMEM;
	r = open_folder(&f);
	if (r == 0)
		r = read_settings(&f, &s, &error);
	f.fd = fd_close(f.fd);
	if (r == 0) {
		*ret = s;
		return 0;
	}
	if (f.error) {
		free(error);
		error = TAKE_PTR(f.error);
	}
	if (!error && r != -ENOMEM)
		error = str_format("%s: cannot be read (%s)", path, strerror(-r));
	if (error)
		*ret_error = TAKE_PTR(error);
	return r;
}
