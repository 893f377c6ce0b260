/* Diagnostics, colour and JSON of the command line. */
#include "cli/output.h"

#include <stdarg.h>

#include "base/log.h"
#include "cli/rootless.h"

int output_fail(enum exit_code code, const char *fmt, ...)
{
	_cleanup_(freep) char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL; /* its content is undefined after a failure */
	va_end(ap);
	s = rootless_phrase(s);
	log_error("%s", s ? s : "out of memory");
	return (int)code;
}

int output_fail_take(enum exit_code code, char *sentence, const char *fallback)
{
	_cleanup_(freep) char *owned = sentence;

	return output_fail(code, "%s", owned ? owned : fallback);
}

int output_oom(void)
{
	return output_fail(EXIT_CODE_FAILED, "out of memory");
}

int output_flush(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return output_fail(EXIT_CODE_FAILED, "the output could not be written: %m");
	return EXIT_CODE_OK;
}

/* ---- colour ---- */

bool output_has_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if ((no && *no) || !term || str_eq(term, "dumb"))
		return false;
	return isatty(fd);
}

const char *output_style(enum style s)
{
	static const char *const codes[] = {
		[STYLE_PLAIN] = "\033[0m", [STYLE_BOLD] = "\033[1m", [STYLE_GOOD] = "\033[32m",
		[STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[31m", [STYLE_DIM] = "\033[2m",
	};
	static int has_colour = -1;

	static_assert(ARRAY_SIZE(codes) == _STYLE_MAX, "one code for each style");
	if (has_colour < 0)
		has_colour = output_has_colour(STDOUT_FILENO);
	return has_colour ? codes[s] : "";
}

/* ---- JSON ---- */

static void before_item(struct json *j)
{
	if (j->comma)
		strbuf_add(j->out, ",");
	j->comma = true;
}

static void open_bracket(struct json *j, const char *bracket)
{
	before_item(j);
	strbuf_add(j->out, bracket);
	j->comma = false;
}

static void close_bracket(struct json *j, const char *bracket)
{
	strbuf_add(j->out, bracket);
	j->comma = true;
}

void json_begin_object(struct json *j)
{
	open_bracket(j, "{");
}

void json_end_object(struct json *j)
{
	close_bracket(j, "}");
}

void json_begin_array(struct json *j)
{
	open_bracket(j, "[");
}

void json_end_array(struct json *j)
{
	close_bracket(j, "]");
}

/* Length of the valid UTF-8 sequence at s (never past the terminating NUL), or 0. */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t min;
	} forms[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

	for (size_t n = 0; n < ARRAY_SIZE(forms); n++) {
		uint32_t c = s[0] & (unsigned char)~forms[n].mask;

		if ((s[0] & forms[n].mask) != forms[n].lead)
			continue;
		for (size_t i = 1; i <= n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[i] & 0x3f);
		}
		if (c < forms[n].min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
		return n + 1;
	}
	return 0;
}

static void add_quoted(struct strbuf *b, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	strbuf_add(b, "\"");
	while (*s) {
		size_t n = utf8_len(s);

		if (n == 0) {
			strbuf_add(b, "\\ufffd");
			s++;
			continue;
		}
		if (*s == '"' || *s == '\\')
			strbuf_addf(b, "\\%c", *s);
		else if (*s == '\n')
			strbuf_add(b, "\\n");
		else if (*s == '\t')
			strbuf_add(b, "\\t");
		else if (*s < 0x20 || *s == 0x7f)
			strbuf_addf(b, "\\u%04x", *s);
		else
			strbuf_add_bytes(b, s, n);
		s += n;
	}
	strbuf_add(b, "\"");
}

void json_key(struct json *j, const char *key)
{
	before_item(j);
	add_quoted(j->out, key);
	strbuf_add(j->out, ":");
	j->comma = false;
}

void json_string(struct json *j, const char *s)
{
	if (!s) {
		json_null(j);
		return;
	}
	before_item(j);
	add_quoted(j->out, s);
}

void json_text(struct json *j, const char *s)
{
	json_string(j, s && *s ? s : NULL);
}

void json_uint(struct json *j, uint64_t v)
{
	before_item(j);
	strbuf_addf(j->out, "%llu", (unsigned long long)v);
}

void json_bool(struct json *j, bool v)
{
	before_item(j);
	strbuf_add(j->out, v ? "true" : "false");
}

void json_null(struct json *j)
{
	before_item(j);
	strbuf_add(j->out, "null");
}

void json_strv(struct json *j, char *const *v)
{
	json_begin_array(j);
	for (; v && *v; v++)
		json_string(j, *v);
	json_end_array(j);
}

void json_pair(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	json_string(j, s);
}

void json_pair_text(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	json_text(j, s);
}

void json_pair_uint(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_uint(j, v);
}

void json_begin_envelope(struct json *j)
{
	json_begin_object(j);
	json_pair_uint(j, "schema", 1);
}

int json_end_envelope(struct json *j)
{
	_cleanup_(freep) char *text = NULL;

	json_end_object(j);
	text = strbuf_take(j->out);
	j->comma = false;
	if (!text)
		return output_oom();
	(void)puts(text); /* a failure shows in output_flush() */
	return output_flush();
}
