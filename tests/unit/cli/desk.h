/* A folder of a test's own that plays a user's home, a /proc and a PATH; gone when the test ends. */
#pragma once

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"

static char desk[64];

static inline void desk_remove(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "/bin/rm -rf '%s'", desk);
	(void)!system(command);
}

static inline void desk_make(void)
{
	(void)snprintf(desk, sizeof(desk), "/tmp/nsvpn-test-XXXXXX");
	cr_assert(mkdtemp(desk));
	(void)atexit(desk_remove);
}

/* malloc'ed path below the folder; its parent folders exist afterwards. */
static inline char *desk_path(const char *fmt, ...) _printf_(1, 2);
static inline char *desk_path(const char *fmt, ...)
{
	char *path, *slash, rest[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(rest, sizeof(rest), fmt, ap);
	va_end(ap);
	path = str_format("%s/%s", desk, rest);
	slash = strrchr(path, '/');
	*slash = '\0';
	cr_assert(dir_make(path, 0755) == 0);
	*slash = '/';
	return path;
}

static inline void desk_write(const char *name, const char *text, size_t len, mode_t mode)
{
	_cleanup_(freep) char *path = desk_path("%s", name);

	cr_assert(file_write_atomic(AT_FDCWD, path, text, len, mode) == 0, "%s", path);
}

static inline void desk_text(const char *name, const char *text)
{
	desk_write(name, text, strlen(text), 0644);
}

static inline void desk_script(const char *name, const char *text)
{
	desk_write(name, text, strlen(text), 0755);
}

static inline void desk_link(const char *name, const char *target)
{
	_cleanup_(freep) char *path = desk_path("%s", name);

	cr_assert(symlink(target, path) == 0, "%s", path);
}

/* A process in desk/proc. arguments: NUL-separated, ends with an empty one. netns: name of a file that plays it. */
static inline void desk_process(int pid, int ppid, const char *exe, const char *arguments, const char *netns)
{
	char name[96], text[256];
	size_t len = 0;

	(void)snprintf(name, sizeof(name), "proc/%d/status", pid);
	(void)snprintf(text, sizeof(text), "Name:\tx\nPPid:\t%d\nUid:\t1000\t1000\t1000\t1000\n", ppid);
	desk_text(name, text);
	(void)snprintf(name, sizeof(name), "proc/%d/stat", pid);
	(void)snprintf(text, sizeof(text), "%d (a ) b) S %d 1 1 0 -1 1\n", pid, ppid);
	desk_text(name, text);
	(void)snprintf(name, sizeof(name), "proc/%d/comm", pid);
	(void)snprintf(text, sizeof(text), "%.15s\n", str_base_name(exe));
	desk_text(name, text);
	(void)snprintf(name, sizeof(name), "proc/%d/cmdline", pid);
	while (arguments[len])
		len += strlen(arguments + len) + 1;
	desk_write(name, arguments, len, 0644);
	if (exe[0] == '/') {
		(void)snprintf(name, sizeof(name), "proc/%d/exe", pid);
		desk_link(name, exe);
	}
	if (netns) {
		_cleanup_(freep) char *target = desk_path("ns/%s", netns);

		(void)close(open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
		(void)snprintf(name, sizeof(name), "proc/%d/ns/net", pid);
		desk_link(name, target);
	}
}
