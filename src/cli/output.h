/* What commands print: one-sentence diagnostics, colour where it belongs, and JSON. */
#pragma once

#include "base/bus-api.h"
#include "base/str.h"

/*
 * Prints "nsvpn: SENTENCE" on stderr and returns code, so that a command ends with `return output_fail(...)`.
 * All functions of this folder that return an exit code have printed their sentence when it is not 0.
 */
int output_fail(enum exit_code code, const char *fmt, ...) _printf_(2, 3);
/* The same with a sentence that somebody else made; frees it. NULL: fallback. */
int output_fail_take(enum exit_code code, char *sentence, const char *fallback);
int output_oom(void);
/* Flushes stdout; a full disk or closed pipe behind it becomes exit code 1. */
int output_flush(void);

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_DIM, _STYLE_MAX };
/* True when fd is a terminal that may be coloured: not with NO_COLOR, not with TERM=dumb. */
bool output_has_colour(int fd);
/* The escape sequence, or "" when stdout may not be coloured; STYLE_PLAIN ends every other. */
const char *output_style(enum style s);

/*
 * JSON into a string builder, on one line, commas placed by itself. Every string is escaped; bytes that are not UTF-8
 * become U+FFFD. Inside an object every value is preceded by json_key().
 */
struct json {
	struct strbuf *out;
	bool comma; /* the next item needs one before it */
};

void json_begin_object(struct json *j);
void json_end_object(struct json *j);
void json_begin_array(struct json *j);
void json_end_array(struct json *j);
void json_key(struct json *j, const char *key);
void json_string(struct json *j, const char *s); /* NULL: null */
void json_text(struct json *j, const char *s);   /* NULL or "": null */
void json_uint(struct json *j, uint64_t v);
void json_bool(struct json *j, bool v);
void json_null(struct json *j);
void json_strv(struct json *j, char *const *v);
/* key and value at once. */
void json_pair(struct json *j, const char *key, const char *s);
void json_pair_text(struct json *j, const char *key, const char *s);
void json_pair_uint(struct json *j, const char *key, uint64_t v);
/* {"schema":1, ...: the envelope that every command's JSON begins with. */
void json_begin_envelope(struct json *j);
/* Ends the envelope, prints the line on stdout and empties the builder; an exit code. */
int json_end_envelope(struct json *j);
