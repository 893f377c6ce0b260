/*
 * Log files, opened for each line: lines are rare here (state changes, the engine's notes under a rate limit), and a
 * file that somebody removed or rotated is never held open. A line that cannot be written is lost; nothing depends on it.
 */
#include "daemon/logfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/places.h"
#include "base/str.h"

static bool copy_to_stderr;

static char *log_path(const char *tunnel)
{
	return tunnel ? str_format("%s/log/%s.log", place_run(), tunnel) : str_format("%s/nsvpnd.log", place_run());
}

static int open_for_append(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);

	return fd < 0 ? -errno : fd;
}

static int open_log(const char *tunnel)
{
	_cleanup_(freep) char *path = log_path(tunnel), *old = path ? str_format("%s.1", path) : NULL;
	_cleanup_(closep) int fd = -EBADF;
	struct stat st;

	if (!old)
		return -ENOMEM;
	fd = open_for_append(path);
	if (fd == -ENOENT && tunnel) {
		_cleanup_(freep) char *dir = str_format("%s/log", place_run());

		if (!dir || dir_make(dir, 0700) < 0)
			return -ENOENT;
		fd = open_for_append(path);
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size >= LOGFILE_MAX && rename(path, old) == 0) {
		fd = fd_close(fd);
		fd = open_for_append(path);
	}
	return TAKE_FD(fd);
}

static void sink(void *userdata _unused_, enum log_level level, const char *object, const char *line)
{
	_cleanup_(closep) int fd = open_log(object);
	_cleanup_(freep) char *text = NULL;
	char when[32];

	clock_format_utc(clock_realtime(), when, sizeof(when));
	text = str_format("%s %s %s\n", when, log_level_to_string(level), line);
	if (text && fd >= 0)
		(void)fd_write_full(fd, text, strlen(text)); /* see the head of the file */
	if (copy_to_stderr)
		fprintf(stderr, "nsvpnd: %s%s%s\n", object ? object : "", object ? ": " : "", line);
}

void logfile_install(bool also_stderr)
{
	copy_to_stderr = also_stderr;
	log_set_sink(sink, NULL);
}

void logfile_remove_all(void)
{
	_cleanup_(freep) char *own = log_path(NULL), *old = own ? str_format("%s.1", own) : NULL;
	_cleanup_(freep) char *folder = str_format("%s/log", place_run());
	struct dirent *de;
	DIR *d;

	log_set_sink(NULL, NULL);
	if (!old || !folder)
		return;
	/* Absent files are as good as removed ones. */
	(void)unlink(own);
	(void)unlink(old);
	d = opendir(folder);
	while (d && (de = readdir(d)))
		if (str_has_suffix(de->d_name, ".log") || str_has_suffix(de->d_name, ".log.1"))
			(void)unlinkat(dirfd(d), de->d_name, 0); /* the same */
	if (d)
		(void)closedir(d); /* only read */
	(void)rmdir(folder);
}
