/*
 * Log lines to a replaceable sink.
 *
 * Theory: one call makes one line and one write(), so lines of several processes on one stderr do not mix. When stderr
 * is connected to the journal ($JOURNAL_STREAM names its device and inode) each line carries its level as "<N>", which
 * journald reads; nothing else ever changes with the kind of stderr. A line is at most LINE_MAX_LEN bytes and holds no
 * control characters: whatever slips through from a peer can neither start a line of its own nor talk to a terminal.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define LINE_MAX_LEN 2048

static const struct {
	const char *name;
	int syslog; /* the priority journald understands */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },   [LOG_LEVEL_WARNING] = { "warning", 4 }, [LOG_LEVEL_NOTICE] = { "notice", 5 },
	[LOG_LEVEL_INFO] = { "info", 6 },     [LOG_LEVEL_DEBUG] = { "debug", 7 },
};
static_assert(ARRAY_SIZE(levels) == _LOG_LEVEL_MAX, "one row for each level");

static enum log_level max_level = LOG_LEVEL_INFO;
static log_sink_fn sink_fn;
static void *sink_userdata;
static const char *program = "nsvpn";

/* $JOURNAL_STREAM is "device:inode" of the stream that the service manager made for us. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_to_stderr(enum log_level level, const char *object, const char *line)
{
	char head[96];
	int n;

	if (stderr_is_journal())
		n = snprintf(head, sizeof(head), "<%d>%s%s", levels[level].syslog, object ? object : "", object ? ": " : "");
	else
		n = snprintf(head, sizeof(head), "%s: %s%s", program, object ? object : "", object ? ": " : "");
	if (n < 0)
		return;

	struct iovec iov[] = {
		{ head, MIN((size_t)n, sizeof(head) - 1) },
		{ (void *)line, strlen(line) },
		{ (void *)"\n", 1 },
	};
	ssize_t w = writev(STDERR_FILENO, iov, ARRAY_SIZE(iov));

	(void)w; /* there is no second place to complain to */
}

static void one_line(char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			*s = ' ';
}

int log_full(enum log_level level, int error, const char *object, const char *fmt, ...)
{
	int saved = errno, n;
	char line[LINE_MAX_LEN];
	va_list ap;

	if ((unsigned)level >= _LOG_LEVEL_MAX || level > max_level)
		return error;

	if (error < 0)
		errno = -error;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0)
		(void)snprintf(line, sizeof(line), "(a message that cannot be formatted: %s)", fmt);
	else if ((size_t)n >= sizeof(line))
		memcpy(line + sizeof(line) - 4, "...", 4);
	while (n > 0 && (size_t)n < sizeof(line) && line[n - 1] == '\n')
		line[--n] = '\0';
	one_line(line);

	if (sink_fn)
		sink_fn(sink_userdata, level, object, line);
	else
		log_to_stderr(level, object, line);
	errno = saved;
	return error;
}

void log_set_max_level(enum log_level level)
{
	max_level = level;
}

enum log_level log_get_max_level(void)
{
	return max_level;
}

void log_set_sink(log_sink_fn sink, void *userdata)
{
	sink_fn = sink;
	sink_userdata = userdata;
}

void log_set_program(const char *name)
{
	program = name;
}

const char *log_level_to_string(enum log_level level)
{
	return (unsigned)level < _LOG_LEVEL_MAX ? levels[level].name : "unknown";
}
