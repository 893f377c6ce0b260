/* Strings: a builder that remembers failure, and the few helpers that replace strcpy, sprintf and strtok. */
#pragma once

#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"

/*
 * Grows as needed; always NUL-terminated once something was added. After a failed allocation every call is a no-op
 * and strbuf_error() is -ENOMEM, so callers check once at the end.
 */
struct strbuf {
	char *s;
	size_t len;
	size_t cap;
	bool failed;
};

void strbuf_done(struct strbuf *b);
void strbuf_add(struct strbuf *b, const char *s);
void strbuf_add_bytes(struct strbuf *b, const void *p, size_t len);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) _printf_(2, 3);
/* Adds s with everything outside printable ASCII as \xNN (and \n, \t, \\): for text that came from a peer or a file. */
void strbuf_add_escaped(struct strbuf *b, const char *s, size_t len);
int strbuf_error(const struct strbuf *b);
/* Hands the text over (never NULL on success; "" for an empty builder) or NULL when the builder failed. */
char *strbuf_take(struct strbuf *b);

/* malloc'ed escaped copy as strbuf_add_escaped, cut to max bytes of output with "..." when longer; NULL without memory. */
char *str_escape(const char *s, size_t len, size_t max);

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}
bool str_ieq(const char *a, const char *b);
bool str_has_prefix(const char *s, const char *prefix);
bool str_has_suffix(const char *s, const char *suffix);

/* asprintf that returns NULL on failure. */
char *str_format(const char *fmt, ...) _printf_(1, 2);
/* Copies with truncation, always terminated; true when everything fitted. */
bool str_copy(char *dst, size_t cap, const char *src);
/* Splits off the next white-space separated word of *s (in place); NULL at the end. */
char *str_next_word(char **s);
/* Cuts blanks at both ends, in place. */
char *str_trim(char *s);
/* What follows the last slash, or the whole; borrowed from path. */
const char *str_base_name(const char *path);

/* NULL-terminated string vectors. */
size_t strv_len(char *const *v);
void strv_free(char **v);
/* Appends a copy; 0 or -ENOMEM. *v may be NULL. */
int strv_add(char ***v, const char *s);
bool strv_contains(char *const *v, const char *s);
DEFINE_CLEANUP(char **, strv_free)

/* Levenshtein distance, for "did you mean"; bounded inputs. */
size_t str_distance(const char *a, const char *b);
/* The entry of names nearest to s if it is near enough to be a plausible typo, else NULL. */
const char *str_nearest(const char *s, const char *const *names, size_t n_names);
/* True when the bytes are valid UTF-8 without NUL and without control characters (tab allowed). */
bool str_is_clean_utf8(const char *s, size_t len);
