/* str.h: builder, escape, words, vectors, nearest name, UTF-8. */
#include <criterion/criterion.h>

#include "base/str.h"

Test(str, builder_grows_and_hands_over)
{
	struct strbuf b = { 0 };
	_cleanup_(freep) char *s = NULL;

	for (int i = 0; i < 1000; i++)
		strbuf_addf(&b, "%d,", i % 10);
	strbuf_add(&b, "end");
	cr_assert_eq(b.len, 2003);
	cr_assert_eq(strbuf_error(&b), 0);
	s = strbuf_take(&b);
	cr_assert_eq(strlen(s), 2003);
	cr_assert(str_has_prefix(s, "0,1,2,"));
	cr_assert(str_has_suffix(s, "9,end"));
	cr_assert_null(b.s);
	cr_assert_eq(b.len, 0);
}

Test(str, empty_builder_gives_empty_text)
{
	struct strbuf b = { 0 };
	_cleanup_(freep) char *s = strbuf_take(&b);

	cr_assert_str_eq(s, "");
}

Test(str, failed_builder_stays_failed)
{
	struct strbuf b = { .failed = true };

	strbuf_add(&b, "x");
	strbuf_addf(&b, "%d", 1);
	cr_assert_eq(strbuf_error(&b), -ENOMEM);
	cr_assert_null(strbuf_take(&b));
	cr_assert_not(b.failed);
}

Test(str, escapes)
{
	static const struct {
		const char *in;
		size_t len, max;
		const char *out;
	} rows[] = {
		{ "plain", 5, 100, "plain" },
		{ "a\nb\tc\\d", 7, 100, "a\\nb\\tc\\\\d" },
		{ "\0\x1b[31m\x7f\xff", 8, 100, "\\x00\\x1b[31m\\x7f\\xff" },
		{ "\xc3\xa9", 2, 100, "\\xc3\\xa9" },
		{ "0123456789", 10, 10, "0123456789" },
		{ "0123456789a", 11, 10, "0123456..." },
		{ "\x01\x02\x03", 3, 8, "\\x01..." }, /* never half an escape */
		{ "\x01\x02", 2, 8, "\\x01\\x02" },
		{ "abcd", 4, 3, "..." },
		{ "abcd", 4, 0, "" },
		{ "", 0, 10, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(freep) char *s = str_escape(rows[i].in, rows[i].len, rows[i].max);

		cr_expect_str_eq(s, rows[i].out, "row %zu: %s", i, s);
		cr_expect_leq(strlen(s), rows[i].max);
	}
}

Test(str, copy_says_whether_it_fitted)
{
	char buf[4];

	cr_assert(str_copy(buf, sizeof(buf), "abc"));
	cr_assert_not(str_copy(buf, sizeof(buf), "abcd"));
	cr_assert_str_eq(buf, "abc");
	cr_assert_not(str_copy(buf, 0, ""));
}

Test(str, words_and_trim)
{
	char text[] = "  one\ttwo \n three", *p = text;
	char blanks[] = " \t ", padded[] = "\t a b \r\n";

	cr_assert_str_eq(str_next_word(&p), "one");
	cr_assert_str_eq(str_next_word(&p), "two");
	cr_assert_str_eq(str_next_word(&p), "three");
	cr_assert_null(str_next_word(&p));
	cr_assert_null(str_next_word(&p));
	cr_assert_str_eq(str_trim(blanks), "");
	cr_assert_str_eq(str_trim(padded), "a b");
}

Test(str, prefix_suffix_case)
{
	cr_assert(str_has_prefix("abc", ""));
	cr_assert_not(str_has_prefix("ab", "abc"));
	cr_assert(str_has_suffix("a.ovpn", ".ovpn"));
	cr_assert_not(str_has_suffix("vpn", ".ovpn"));
	cr_assert(str_ieq("DNS", "dns"));
	cr_assert_not(str_ieq("dns", "dn"));
}

Test(str, vectors)
{
	_cleanup_(strv_freep) char **v = NULL;

	cr_assert_eq(strv_len(NULL), 0);
	cr_assert_eq(strv_add(&v, "one"), 0);
	cr_assert_eq(strv_add(&v, "two"), 0);
	cr_assert_eq(strv_len(v), 2);
	cr_assert(strv_contains(v, "two"));
	cr_assert_not(strv_contains(v, "tw"));
	cr_assert_not(strv_contains(NULL, "x"));
	strv_free(NULL);
}

Test(str, distance)
{
	static const struct {
		const char *a, *b;
		size_t d;
	} rows[] = {
		{ "", "", 0 },       { "", "abc", 3 },         { "kitten", "sitting", 3 },
		{ "remote", "remtoe", 2 }, { "Uplink", "uplink", 1 }, { "abc", "abc", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_expect_eq(str_distance(rows[i].a, rows[i].b), rows[i].d, "row %zu", i);
		cr_expect_eq(str_distance(rows[i].b, rows[i].a), rows[i].d, "row %zu", i);
	}
}

Test(str, distance_is_bounded)
{
	char big[1000];

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	cr_assert_eq(str_distance(big, "a"), sizeof(big) - 1);
}

Test(str, nearest_name)
{
	static const char *const names[] = { "Uplink", "Autostart", "DNS", "Via", "Users", "Groups" };
	static const struct {
		const char *s, *nearest;
	} rows[] = {
		{ "Uplnk", "Uplink" }, { "uplink", "Uplink" }, { "Autostrat", "Autostart" }, { "User", "Users" },
		{ "Dsn", NULL },       { "x", NULL },          { "", NULL },                 { "Nonsense", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *n = str_nearest(rows[i].s, names, ARRAY_SIZE(names));

		if (rows[i].nearest)
			cr_expect_str_eq(n ? n : "(none)", rows[i].nearest, "row %zu", i);
		else
			cr_expect_null(n, "row %zu: %s", i, n);
	}
	cr_assert_null(str_nearest("a", names, 0));
}

Test(str, clean_utf8)
{
	static const struct {
		const char *s;
		size_t len;
		bool ok;
	} rows[] = {
		{ "", 0, true },
		{ "tab\there", 8, true },
		{ "gr\xc3\xbc\xc3\x9f", 6, true },
		{ "\xe2\x82\xac", 3, true },
		{ "\xf0\x9f\x94\x92", 4, true },
		{ "\xf4\x8f\xbf\xbf", 4, true },
		{ "a\0b", 3, false },
		{ "a\nb", 3, false },
		{ "\x1b[0m", 4, false },
		{ "\x7f", 1, false },
		{ "\xc2\x85", 2, false },         /* C1 control */
		{ "\xc0\x80", 2, false },         /* overlong NUL */
		{ "\xe0\x80\xaf", 3, false },     /* overlong slash */
		{ "\xf0\x80\x80\xaf", 4, false }, /* overlong */
		{ "\xed\xa0\x80", 3, false },     /* surrogate */
		{ "\xf4\x90\x80\x80", 4, false }, /* above U+10FFFF */
		{ "\xe2\x82", 2, false },         /* cut */
		{ "\xc3(", 2, false },
		{ "\x80", 1, false },
		{ "\xff", 1, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_eq(str_is_clean_utf8(rows[i].s, rows[i].len), rows[i].ok, "row %zu", i);
}

Test(str, base_name_is_what_follows_the_last_slash)
{
	cr_expect_str_eq(str_base_name("/usr/bin/x"), "x");
	cr_expect_str_eq(str_base_name("x"), "x");
	cr_expect_str_eq(str_base_name("/usr/"), "");
	cr_expect_str_eq(str_base_name(""), "");
}
