/* INI text to key/value pairs with line and column; no meaning here. */
#pragma once

#include "base/macro.h"

/* value is trimmed; section is "" before the first header. Return < 0 to stop; it is forwarded. */
typedef int (*ini_fn)(void *userdata, unsigned line, unsigned column, const char *section, const char *key,
		      const char *value);

/*
 * [Section], Key=value, comments with # or ; at the start of a line, CRLF tolerated. text needs no NUL.
 * Control characters and NUL bytes are refused. 0 or -EINVAL with *ret_error (malloc'ed sentence with line and column)
 * or what fn returned.
 */
int ini_parse(const char *text, size_t len, ini_fn fn, void *userdata, char **ret_error);
