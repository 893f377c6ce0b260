/*
 * The quoting of Exec= lines.
 *
 * Two layers: the file's escapes (\s \n \t \r \\) belong to every string value and are undone first; then arguments are
 * separated by blanks, and whole arguments may stand in double quotes, inside which a backslash escapes " ` $ and itself.
 * So one backslash of a quoted argument is four in the file.
 */
#include "cli/desktop-entry.h"

#include "base/str.h"

/* Characters that need double quotes around their argument. */
static const char reserved[] = " \t\n\"'\\><~|&;$*?#()`";

/* The file's own escapes; malloc'ed, NULL without memory. An unknown one stays as it is. */
static char *unescape(const char *value)
{
	static const struct {
		char letter, meaning;
	} escapes[] = { { 's', ' ' }, { 'n', '\n' }, { 't', '\t' }, { 'r', '\r' }, { '\\', '\\' } };
	struct strbuf b = { 0 };

	for (const char *p = value; *p; p++) {
		const char *found = NULL;

		for (size_t i = 0; *p == '\\' && i < ARRAY_SIZE(escapes) && !found; i++)
			if (p[1] == escapes[i].letter)
				found = &escapes[i].meaning;
		strbuf_add_bytes(&b, found ? found : p, 1);
		p += found != NULL;
	}
	return strbuf_take(&b);
}

/* A quoted argument from behind its quote; *p ends behind the closing one. */
static int split_quoted(const char **p, struct strbuf *b)
{
	const char *s = *p;

	for (; *s && *s != '"'; s++) {
		if (*s == '\\') {
			if (!s[1] || !strchr("\"`$\\", s[1]))
				return -EINVAL;
			s++;
		} else if (*s == '`' || *s == '$')
			return -EINVAL;
		strbuf_add_bytes(b, s, 1);
	}
	/* A quoted argument is quoted whole. */
	if (!*s || (s[1] && !strchr(" \t\n", s[1])))
		return -EINVAL;
	*p = s + 1;
	return 0;
}

/*
 * Unquoted, reserved characters are not allowed by the word of the specification. Entries in use do have some that readers
 * take as they are ('=' never was one); quotes and backslashes, on which readers differ, are refused.
 */
static int split_plain(const char **p, struct strbuf *b)
{
	const char *s = *p;

	for (; *s && !strchr(" \t\n", *s); s++) {
		if (strchr("\"'\\`", *s))
			return -EINVAL;
		strbuf_add_bytes(b, s, 1);
	}
	*p = s;
	return 0;
}

int desktop_exec_split(const char *value, char ***ret)
{
	_cleanup_(freep) char *text = unescape(value);
	_cleanup_(strv_freep) char **args = NULL;
	const char *p = text;

	if (!text)
		return -ENOMEM;
	while (*(p += strspn(p, " \t\n"))) {
		_cleanup_(freep) char *word = NULL;
		struct strbuf b = { 0 };
		bool is_quoted = *p == '"';
		int r;

		p += is_quoted;
		r = is_quoted ? split_quoted(&p, &b) : split_plain(&p, &b);
		word = strbuf_take(&b);
		if (r < 0)
			return r;
		if (!word || strv_add(&args, word) < 0)
			return -ENOMEM;
	}
	if (!args || !**args)
		return -EINVAL;
	*ret = TAKE_PTR(args);
	return 0;
}

char *desktop_exec_quote(const char *argument)
{
	bool needs_quotes = !*argument || strpbrk(argument, reserved);
	struct strbuf b = { 0 };

	strbuf_add(&b, needs_quotes ? "\"" : "");
	for (const char *p = argument; *p; p++) {
		if (*p == '%')
			strbuf_add(&b, "%%");
		else if (*p == '\\')
			strbuf_add(&b, "\\\\\\\\");
		else if (strchr("\"`$", *p))
			strbuf_addf(&b, "\\\\%c", *p);
		else if (*p == '\n')
			strbuf_add(&b, "\\n");
		else if (*p == '\r')
			strbuf_add(&b, "\\r");
		else if (*p == '\t')
			strbuf_add(&b, "\\t");
		else
			strbuf_add_bytes(&b, p, 1);
	}
	strbuf_add(&b, needs_quotes ? "\"" : "");
	return strbuf_take(&b);
}
