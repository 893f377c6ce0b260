/* INI text to key/value pairs. The text is copied once and cut in place; the callback sees pieces of the copy. */
#include "base/ini.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Where we are; columns count bytes from 1. */
struct ini {
	unsigned line;
	const char *start; /* of the line */
	char *section;     /* borrowed from the copy */
};

static unsigned column_of(const struct ini *ini, const char *p)
{
	return (unsigned)(p - ini->start) + 1;
}

static int complain(const struct ini *ini, const char *at, char **ret_error, const char *what)
{
	char *text = str_format("line %u, column %u: %s", ini->line, column_of(ini, at), what);

	if (!text)
		return -ENOMEM;
	*ret_error = text;
	return -EINVAL;
}

/* First byte of the line that is a control character (tab aside), or NULL. */
static const char *find_control(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f)
			return p + i;
	return NULL;
}

static int parse_section(struct ini *ini, char *s, char **ret_error)
{
	size_t n = strlen(s);

	if (s[n - 1] != ']')
		return complain(ini, s, ret_error, "a section header ends with ]; write it as [Section] alone on its line");
	s[n - 1] = '\0';

	char *name = str_trim(s + 1);

	if (!*name || strpbrk(name, "[]"))
		return complain(ini, s, ret_error, "a section needs a name without brackets, as in [Section]");
	ini->section = name;
	return 0;
}

/* One line without its end, NUL-terminated, free of control characters. */
static int parse_line(struct ini *ini, char *line, ini_fn fn, void *userdata, char **ret_error)
{
	char *s = str_trim(line), *eq;

	if (!*s || *s == '#' || *s == ';')
		return 0;
	if (*s == '[')
		return parse_section(ini, s, ret_error);

	eq = strchr(s, '=');
	if (!eq)
		return complain(ini, s, ret_error, "expected Key=value, a [Section] header or a comment");
	if (eq == s)
		return complain(ini, s, ret_error, "the key before = is missing");
	*eq = '\0';
	return fn(userdata, ini->line, column_of(ini, s), ini->section, str_trim(s), str_trim(eq + 1));
}

int ini_parse(const char *text, size_t len, ini_fn fn, void *userdata, char **ret_error)
{
	_cleanup_(freep) char *copy = malloc(len + 1);
	char no_section[] = "";
	struct ini ini = { .section = no_section };
	char *p = copy, *end;

	if (!copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, text, len);
	copy[len] = '\0';
	end = copy + len;
	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3; /* the byte order mark that some editors write */

	while (p < end) {
		char *eol = memchr(p, '\n', (size_t)(end - p));
		char *next = eol ? eol + 1 : end;
		size_t n = (size_t)((eol ? eol : end) - p);
		const char *bad;
		int r;

		if (n && p[n - 1] == '\r')
			n--;
		ini.line++;
		ini.start = p;
		bad = find_control(p, n);
		if (bad)
			return complain(&ini, bad, ret_error, "a control character; this must be a plain text file");
		p[n] = '\0';
		r = parse_line(&ini, p, fn, userdata, ret_error);
		if (r < 0)
			return r;
		p = next;
	}
	return 0;
}
