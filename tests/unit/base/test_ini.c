/* ini.h: the grammar, positions, refusals. */
#include <criterion/criterion.h>

#include "base/ini.h"
#include "base/str.h"

/* Each pair as "line:column section/key=value;". */
static int collect(void *userdata, unsigned line, unsigned column, const char *section, const char *key,
		   const char *value)
{
	strbuf_addf(userdata, "%u:%u %s/%s=%s;", line, column, section, key, value);
	return str_eq(key, "stop") ? -ECANCELED : 0;
}

Test(ini, grammar)
{
	static const struct {
		const char *text, *pairs;
	} rows[] = {
		{ "", "" },
		{ "\n\n", "" },
		{ "# c\n ; c\n[A]\nk=v\n", "4:1 A/k=v;" },
		{ "k = v w \n", "1:1 /k=v w;" },
		{ "[ A b ]\r\n\tKey\t=\tx = y\r\nz=\r\n", "2:2 A b/Key=x = y;3:1 A b/z=;" },
		{ "a=1\n[S]\nb=2\n[T]\nc=3", "1:1 /a=1;3:1 S/b=2;5:1 T/c=3;" },
		{ "k=# no comment", "1:1 /k=# no comment;" },
		{ "\xef\xbb\xbf[A]\nk=v", "2:1 A/k=v;" },
		{ "k=gr\xc3\xbcn", "1:1 /k=gr\xc3\xbcn;" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct strbuf b = { 0 };
		char *error = NULL;

		cr_expect_eq(ini_parse(rows[i].text, strlen(rows[i].text), collect, &b, &error), 0, "row %zu: %s", i, error);

		_cleanup_(freep) char *got = strbuf_take(&b);

		cr_expect_str_eq(got, rows[i].pairs, "row %zu: %s", i, got);
	}
}

Test(ini, refusals_name_line_and_column)
{
	static const struct {
		const char *text;
		size_t len; /* 0: strlen */
		const char *where;
	} rows[] = {
		{ "a=1\nnonsense\n", 0, "line 2, column 1: " }, { "\n\n  [A\n", 0, "line 3, column 3: " },
		{ "[]\n", 0, "line 1, column 1: " },            { "[A]x\n", 0, "line 1, column 1: " },
		{ "[A][B]\n", 0, "line 1, column 1: " },        { " =v\n", 0, "line 1, column 2: " },
		{ "k=a\0b\n", 6, "line 1, column 4: " },        { "k=\x1b[0m\n", 0, "line 1, column 3: " },
		{ "k=a\rb\n", 0, "line 1, column 4: " },        { "#\x01\n", 0, "line 1, column 2: " },
		{ "k=\x7f\n", 0, "line 1, column 3: " },        { "[", 0, "line 1, column 1: " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct strbuf b = { 0 };
		_cleanup_(freep) char *error = NULL;
		size_t len = rows[i].len ? rows[i].len : strlen(rows[i].text);

		cr_expect_eq(ini_parse(rows[i].text, len, collect, &b, &error), -EINVAL, "row %zu", i);
		cr_expect(error && str_has_prefix(error, rows[i].where), "row %zu: %s", i, error);
		strbuf_done(&b);
	}
}

Test(ini, forwards_what_the_callback_returns)
{
	struct strbuf b = { 0 };
	char *error = NULL;

	cr_assert_eq(ini_parse("a=1\nstop=1\nb=1\n", 15, collect, &b, &error), -ECANCELED);
	cr_assert_null(error);

	_cleanup_(freep) char *got = strbuf_take(&b);

	cr_assert_str_eq(got, "1:1 /a=1;2:1 /stop=1;");
}

Test(ini, needs_no_terminator)
{
	_cleanup_(freep) char *text = malloc(3); /* exactly, so that a sanitizer sees one byte too far */
	struct strbuf b = { 0 };
	char *error = NULL;

	memcpy(text, "k=v", 3);
	cr_assert_eq(ini_parse(text, 3, collect, &b, &error), 0);
	cr_assert_eq(ini_parse(text, 0, collect, &b, &error), 0);

	_cleanup_(freep) char *got = strbuf_take(&b);

	cr_assert_str_eq(got, "1:1 /k=v;");
}
