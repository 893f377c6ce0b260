/* JSON: commas, escapes, and bytes that are no text. */
#include <criterion/criterion.h>

#include "cli/output.h"

static char *quoted(const char *s)
{
	struct strbuf b = { 0 };
	struct json j = { .out = &b };

	json_string(&j, s);
	return strbuf_take(&b);
}

Test(output, json_escapes)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{ "plain", "\"plain\"" },
		{ "", "\"\"" },
		{ NULL, "null" },
		{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
		{ "line\nnext\ttab", "\"line\\nnext\\ttab\"" },
		{ "\x01\x1b[31m\x7f", "\"\\u0001\\u001b[31m\\u007f\"" },
		{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x92", "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x92\"" },
		{ "bad \xff end", "\"bad \\ufffd end\"" },
		{ "cut \xe2\x82", "\"cut \\ufffd\\ufffd\"" },
		{ "overlong \xc0\xaf", "\"overlong \\ufffd\\ufffd\"" },
		{ "surrogate \xed\xa0\x80", "\"surrogate \\ufffd\\ufffd\\ufffd\"" },
		{ "too high \xf4\x90\x80\x80", "\"too high \\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "</script>", "\"</script>\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_(freep) char *got = quoted(table[i].in);

		cr_expect_str_eq(got, table[i].out);
	}
}

Test(output, json_places_commas)
{
	struct strbuf b = { 0 };
	struct json j = { .out = &b };
	char *v[] = { (char *)"x", (char *)"y", NULL };
	_cleanup_(freep) char *got = NULL;

	json_begin_object(&j);
	json_pair_uint(&j, "n", UINT64_MAX);
	json_key(&j, "empty");
	json_begin_array(&j);
	json_end_array(&j);
	json_key(&j, "list");
	json_strv(&j, v);
	json_key(&j, "inner");
	json_begin_object(&j);
	json_key(&j, "t");
	json_bool(&j, true);
	json_key(&j, "f");
	json_bool(&j, false);
	json_end_object(&j);
	json_pair_text(&j, "none", "");
	json_pair(&j, "text", "");
	json_end_object(&j);
	got = strbuf_take(&b);
	cr_assert_str_eq(got, "{\"n\":18446744073709551615,\"empty\":[],\"list\":[\"x\",\"y\"],"
			      "\"inner\":{\"t\":true,\"f\":false},\"none\":null,\"text\":\"\"}");
}

Test(output, colour_obeys_no_color)
{
	setenv("NO_COLOR", "1", 1);
	cr_expect_not(output_has_colour(STDOUT_FILENO));
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	cr_expect_not(output_has_colour(STDOUT_FILENO));
}
