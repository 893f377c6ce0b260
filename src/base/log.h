/*
 * Logging for programs. Library folders log at debug level only and return
 * errors; programs log once, at the place that knows the object.
 *
 * Secrets never reach this file. Text from a peer passes str_escape() first.
 */
#pragma once

#include "base/macro.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	_LOG_LEVEL_MAX,
};

/* Receives each finished line, without newline. `object` is the tunnel's name or NULL. */
typedef void (*log_sink_fn)(void *userdata, enum log_level level, const char *object, const char *line);

/* Messages above this level are not formatted. Default: LOG_LEVEL_INFO. */
void log_set_max_level(enum log_level level);
enum log_level log_get_max_level(void);

/* Replaces the sink (default: stderr, "nsvpn: line"; the journal when $JOURNAL_STREAM names stderr). NULL restores it. */
void log_set_sink(log_sink_fn sink, void *userdata);

/* What the default sink does with a line: for sinks that do more than that. */
void log_to_stderr(enum log_level level, const char *object, const char *line);

/* The word in front of stderr lines; borrowed, static storage. Default "nsvpn". */
void log_set_program(const char *name);

const char *log_level_to_string(enum log_level level);

/* errno is set to -error for %m when error < 0. Returns error unchanged (0 when error is 0). */
int log_full(enum log_level level, int error, const char *object, const char *fmt, ...) _printf_(4, 5);

#define log_error(...) ((void)log_full(LOG_LEVEL_ERROR, 0, NULL, __VA_ARGS__))
#define log_warning(...) ((void)log_full(LOG_LEVEL_WARNING, 0, NULL, __VA_ARGS__))
#define log_notice(...) ((void)log_full(LOG_LEVEL_NOTICE, 0, NULL, __VA_ARGS__))
#define log_info(...) ((void)log_full(LOG_LEVEL_INFO, 0, NULL, __VA_ARGS__))
#define log_debug(...) ((void)log_full(LOG_LEVEL_DEBUG, 0, NULL, __VA_ARGS__))
#define log_error_errno(r, ...) log_full(LOG_LEVEL_ERROR, (r), NULL, __VA_ARGS__)
#define log_warning_errno(r, ...) log_full(LOG_LEVEL_WARNING, (r), NULL, __VA_ARGS__)
#define log_debug_errno(r, ...) log_full(LOG_LEVEL_DEBUG, (r), NULL, __VA_ARGS__)
