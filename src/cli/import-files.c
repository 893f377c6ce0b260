/*
 * Import.
 *
 * Theory. The configuration folder never holds half a tunnel: everything is written into a folder ".import-XXXXXX" beside
 * it and gets its name by one rename that does not replace. A lock on <etc>/tunnels keeps two imports apart; leavings of
 * one that was killed are swept by the next. Removal is the same backwards.
 *
 * What is stored is what was judged: the text and the files are read once, into memory, and after the files lie in the
 * temporary folder the whole is parsed from there again, before it gets its name.
 *
 * Files that a profile names keep their names where those are plain ("ca.crt"). Where one has a slash, is hidden, or
 * collides with our own files, the whole profile is stored with its files inside instead.
 */
#include "cli/import-files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/places.h"
#include "base/str.h"
#include "cli/caller.h"
#include "cli/output.h"
#include "launch/creds.h"

#define PROFILE_NAME "tunnel.ovpn"
#define SETTINGS_NAME "settings.conf"
#define TEMP_PREFIX ".import-"
#define GONE_PREFIX ".remove-"

void import_done(struct import *i)
{
	size_t n = strv_len(i->files);

	for (size_t k = 0; i->contents && k < n; k++)
		secret_free(i->contents[k]);
	free(i->contents);
	strv_free(i->files);
	secret_free(i->text);
	free(i->source);
	free(i->missing);
	notes_done(&i->notes);
	*i = (struct import){ 0 };
}

/* ---- reading with the right rights ---- */

/* Opens path with the rights of that user: for the open alone, in a process that has one thread. */
static int open_as(const struct caller *who, int dirfd, const char *path)
{
	struct creds_own own;
	int fd, r = creds_borrow(who->uid, who->gid, &own);

	if (r < 0)
		return r;
	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	fd = fd < 0 ? -errno : fd;
	r = creds_return(&own);
	if (r < 0) {
		(void)fd_close(fd);
		return r;
	}
	return fd;
}

struct loader {
	int dirfd; /* FILE's folder */
	struct caller caller;
};

/* Below the folder, links included: ours. Elsewhere: the caller's. */
static int open_named(const struct loader *l, const char *path)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, .resolve = RESOLVE_BENEATH };
	int fd = (int)syscall(SYS_openat2, l->dirfd, path, &how, sizeof(how));

	if (fd >= 0)
		return fd;
	if (errno != EXDEV)
		return -errno;
	if (l->caller.is_switch)
		return open_as(&l->caller, l->dirfd, path);
	fd = openat(l->dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int load_named(void *userdata, const char *path, struct secret **ret)
{
	const struct loader *l = userdata;
	_cleanup_(closep) int fd = open_named(l, path);
	struct stat st;
	char *text;
	size_t len;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	r = file_read_fd(fd, PROFILE_FILE_MAX, &text, &len);
	if (r < 0)
		return r;
	r = secret_new_copy(ret, text, len);
	secret_wipe(text, len);
	free(text);
	return r;
}

static int fail_read(const char *file, int r)
{
	switch (-r) {
	case EFBIG:
		return output_fail(EXIT_CODE_FAILED, "%s is larger than %u bytes, which no profile is; is it the right file?",
				   file, PROFILE_FILE_MAX);
	case EINVAL:
	case EISDIR:
		return output_fail(EXIT_CODE_FAILED, "'%s' is not a regular file; name the provider's .ovpn file", file);
	case EACCES:
	case EPERM:
		return output_fail(EXIT_CODE_DENIED, "%s cannot be read: %s", file, strerror(-r));
	default:
		return output_fail(EXIT_CODE_FAILED, "%s cannot be read: %s", file, strerror(-r));
	}
}

static int open_folder_of(const char *file, struct loader *l)
{
	const char *slash = strrchr(file, '/');
	_cleanup_(freep) char *dir = slash == file ? strdup("/") :
				     slash	   ? strndup(file, (size_t)(slash - file)) :
						     strdup(".");

	if (!dir)
		return output_oom();
	l->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dirfd < 0)
		return output_fail(EXIT_CODE_FAILED, "%s: the folder cannot be opened: %m", file);
	return caller_resolve(NULL, &l->caller);
}

/* ---- judging ---- */

/* A name that can stand in the tunnel's folder as it is. */
static bool is_flat(const char *name)
{
	return !strchr(name, '/') && name[0] != '.' && strlen(name) < 200 && !str_eq(name, PROFILE_NAME) &&
	       !str_eq(name, SETTINGS_NAME) && !str_eq(name, "tunnel.conf");
}

static bool looks_like_wireguard(const char *text)
{
	return strstr(text, "[Interface]") && strstr(text, "PrivateKey");
}

static int fail_profile(const struct import *i, int r, char *error)
{
	if (!error && r == -ENOMEM)
		return output_oom();
	if (!error)
		return output_fail(EXIT_CODE_FAILED, "%s cannot be understood: %s", i->source, strerror(-r));
	return output_fail_take(EXIT_CODE_FAILED, error, "");
}

/* Fills files and contents, or replaces the text by one with everything inside. */
static int collect_files(struct import *i, const char *text, size_t len, struct loader *l)
{
	char *error = NULL;
	bool flat = true;
	size_t n;
	int r = profile_files_ovpn(text, len, &i->files);

	if (r < 0)
		return fail_profile(i, r, NULL);
	n = strv_len(i->files);
	for (size_t k = 0; k < n; k++)
		flat = flat && is_flat(i->files[k]);
	if (!flat) {
		strv_free(i->files);
		i->files = NULL;
		i->is_inlined = true;
		r = profile_inline_ovpn(text, len, i->source, load_named, l, &i->text, &error);
		return r < 0 ? fail_profile(i, r, error) : EXIT_CODE_OK;
	}
	i->contents = calloc(n + 1, sizeof(struct secret *));
	if (!i->contents)
		return output_oom();
	for (size_t k = 0; k < n; k++) {
		r = load_named(l, i->files[k], &i->contents[k]);
		if (r == -ENOENT || r == -ENOTDIR)
			continue; /* a password file: the parser would have refused without any other */
		if (r < 0)
			return output_fail(EXIT_CODE_FAILED, "%s: the file %s that it names cannot be read: %s", i->source,
					   i->files[k], strerror(-r));
	}
	r = secret_new_copy(&i->text, text, len);
	return r < 0 ? output_oom() : EXIT_CODE_OK;
}

static int judge(struct import *i, const char *text, size_t len, struct loader *l)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	char *error = NULL;
	int r;

	if (looks_like_wireguard(text))
		return output_fail(EXIT_CODE_FAILED, "%s is a WireGuard file, and this version speaks OpenVPN only", i->source);
	r = profile_parse_ovpn(text, len, i->source, load_named, l, &i->notes, &p, &error);
	if (r >= 0)
		r = profile_verify(p, &error);
	if (r < 0)
		return fail_profile(i, r, error);
	i->asks = p->ovpn.auth_user_pass && !(p->ovpn.username && p->ovpn.password);
	i->asks_phrase = p->ovpn.key_password_asked;
	if (i->asks && !p->ovpn.username)
		i->missing = TAKE_PTR(p->ovpn.auth_file);
	return collect_files(i, text, len, l);
}

int import_read(const char *file, struct import *ret)
{
	struct import i = { .source = strdup(file) };
	struct loader l = { .dirfd = -EBADF };
	char *text = NULL;
	size_t len = 0;
	int r;

	if (!i.source)
		return output_oom();
	r = *file ? file_read(AT_FDCWD, file, PROFILE_FILE_MAX, &text, &len) : -EINVAL;
	r = r < 0 ? fail_read(file, r) : open_folder_of(file, &l);
	if (r == EXIT_CODE_OK)
		r = judge(&i, text, len, &l);
	if (text)
		secret_wipe(text, len);
	free(text);
	closep(&l.dirfd);
	caller_done(&l.caller);
	if (r == EXIT_CODE_OK)
		*ret = i;
	else
		import_done(&i);
	return r;
}

/* ---- the folder ---- */

/* What a killed import or removal left; the lock says that nobody works on it. */
static void sweep(int tunnels)
{
	int fd = openat(tunnels, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;

	if (!dir) {
		(void)fd_close(fd);
		return;
	}
	while ((d = readdir(dir)))
		if (str_has_prefix(d->d_name, TEMP_PREFIX) || str_has_prefix(d->d_name, GONE_PREFIX))
			(void)dir_remove(tunnels, d->d_name); /* the next one tries again */
	(void)closedir(dir);
}

/* <root>/tunnels, locked until the descriptor is closed; made when it is not there. An exit code. */
static int open_tunnels(const char *root, bool make, int *ret)
{
	_cleanup_(freep) char *path = str_format("%s/tunnels", root);
	_cleanup_(closep) int fd = -EBADF;
	int r = path && make ? dir_make(path, place_is_rootless() ? 0700 : 0755) : 0;

	if (!path)
		return output_oom();
	if (r >= 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r >= 0 && fd < 0)
		r = -errno;
	if (r >= 0 && flock(fd, LOCK_EX) < 0)
		r = -errno;
	if (r < 0)
		return output_fail(r == -EACCES ? EXIT_CODE_DENIED : EXIT_CODE_FAILED, "%s cannot be used: %s", path,
				   strerror(-r));
	sweep(fd);
	*ret = TAKE_FD(fd);
	return EXIT_CODE_OK;
}

/* ---- storing ---- */

static int write_secret(int dirfd, const char *name, const struct secret *s)
{
	return file_write_atomic(dirfd, name, secret_bytes(s), secret_len(s), 0600);
}

static int write_all(const struct import *i, int dirfd)
{
	int r = write_secret(dirfd, PROFILE_NAME, i->text);

	for (size_t k = 0; r >= 0 && i->files && i->files[k]; k++)
		r = !i->contents[k] ? 0 : write_secret(dirfd, i->files[k], i->contents[k]);
	return r;
}

/* Parsed again from where it will be used. */
static int verify_stored(const struct import *i, int dirfd, char **ret_error)
{
	_cleanup_(profile_freep) struct profile *p = NULL;

	return profile_parse_ovpn(secret_string(i->text), secret_len(i->text), i->source, profile_load_at, &dirfd, NULL, &p,
				  ret_error);
}

static int store_in(const struct import *i, const char *root, int tunnels, const char *temp, const char *name)
{
	_cleanup_(closep) int dirfd = openat(tunnels, temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *error = NULL;
	int r;

	if (dirfd < 0)
		return output_fail(EXIT_CODE_FAILED, "the folder for tunnel %s cannot be opened: %m", name);
	r = write_all(i, dirfd);
	if (r < 0)
		return output_fail(EXIT_CODE_FAILED, "tunnel %s cannot be stored in %s/tunnels: %s", name, root,
				   strerror(-r));
	r = verify_stored(i, dirfd, &error);
	if (r < 0)
		return fail_profile(i, r, error);
	if (renameat2(tunnels, temp, tunnels, name, RENAME_NOREPLACE) < 0) {
		if (errno == EEXIST || errno == ENOTEMPTY)
			return output_fail(EXIT_CODE_FAILED,
					   "a tunnel %s is configured already; choose another name with --name, or `nsvpn remove "
					   "%s` first",
					   name, name);
		return output_fail(EXIT_CODE_FAILED, "tunnel %s cannot be stored in %s/tunnels: %m", name, root);
	}
	if (fsync(tunnels) < 0)
		log_debug("%s/tunnels cannot be flushed (%s), ignoring", root, strerror(errno));
	return EXIT_CODE_OK;
}

int import_store(const struct import *i, const char *root, const char *name)
{
	_cleanup_(closep) int tunnels = -EBADF;
	_cleanup_(freep) char *temp = str_format(TEMP_PREFIX "%d", (int)getpid());
	int r;

	if (!temp)
		return output_oom();
	r = open_tunnels(root, true, &tunnels);
	if (r != EXIT_CODE_OK)
		return r;
	if (mkdirat(tunnels, temp, 0700) < 0)
		return output_fail(EXIT_CODE_FAILED, "no folder can be made in %s/tunnels: %m", root);
	r = store_in(i, root, tunnels, temp, name);
	if (r != EXIT_CODE_OK && dir_remove(tunnels, temp) < 0)
		log_debug("%s/tunnels/%s stays behind until the next import", root, temp);
	return r;
}

bool import_is_stored(const struct import *i, const char *name)
{
	_cleanup_(freep) char *folder = place_tunnel_etc(name), *path = NULL;
	char *text;
	size_t len;
	bool same;

	path = folder ? str_format("%s/" PROFILE_NAME, folder) : NULL;
	if (!path || file_read(AT_FDCWD, path, 2 * PROFILE_FILE_MAX, &text, &len) < 0)
		return false;
	same = len == secret_len(i->text) && memcmp(text, secret_bytes(i->text), len) == 0;
	secret_wipe(text, len);
	free(text);
	return same;
}

int import_remove(const char *name)
{
	_cleanup_(closep) int tunnels = -EBADF;
	_cleanup_(freep) char *gone = str_format(GONE_PREFIX "%s", name);
	int r;

	if (!gone)
		return output_oom();
	r = open_tunnels(place_etc(), false, &tunnels);
	if (r != EXIT_CODE_OK)
		return r;
	if (renameat(tunnels, name, tunnels, gone) < 0)
		return output_fail(errno == ENOENT ? EXIT_CODE_NOT_UP : EXIT_CODE_FAILED,
				   "tunnel %s cannot be removed from %s/tunnels: %m", name, place_etc());
	r = dir_remove(tunnels, gone);
	if (r < 0)
		return output_fail(EXIT_CODE_FAILED, "%s/tunnels/%s cannot be removed entirely: %s", place_etc(), gone,
				   strerror(-r));
	return EXIT_CODE_OK;
}
