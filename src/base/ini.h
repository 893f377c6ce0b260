/* INI text to key/value pairs with line and column; no meaning here. */
#pragma once

#include "base/macro.h"

/*
 * Key and value are trimmed; column (bytes from 1) is where the key starts; section is "" before the first header.
 * The strings live until fn returns. Return < 0 to stop; it is forwarded.
 */
typedef int (*ini_fn)(void *userdata, unsigned line, unsigned column, const char *section, const char *key,
		      const char *value);

/*
 * [Section], Key=value, comments with # or ; at the start of a line, CRLF tolerated. text needs no NUL.
 * Control characters and NUL bytes are refused. 0 or -EINVAL with *ret_error (malloc'ed sentence with line and column)
 * or what fn returned (then *ret_error is untouched).
 * A value keeps everything up to the end of the line, "#" too: comments behind values are the caller's syntax.
 */
int ini_parse(const char *text, size_t len, ini_fn fn, void *userdata, char **ret_error);
