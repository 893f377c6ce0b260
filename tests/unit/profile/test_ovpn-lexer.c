/* ovpn-lexer.h: words, quotes, comments, blocks, line numbers, mistakes. */
#include <errno.h>

#include "profile/ovpn-lexer.h"
#include "sample.h"

static void expect_words(const char *line, unsigned n, const char *const *want)
{
	char buf[256], *words[OVPN_WORDS_MAX + 1];
	const char *why = NULL;
	unsigned got = 99;

	cr_assert_eq(ovpn_split(line, strlen(line), buf, words, &got, &why), 0, "%s: %s", line, why);
	cr_assert_eq(got, n, "%s: %u words", line, got);
	for (unsigned i = 0; i < n; i++)
		cr_assert_str_eq(words[i], want[i], "%s", line);
	cr_assert_null(words[n]);
}

Test(ovpn_lexer, splits_words_with_quotes_and_escapes)
{
	static const struct {
		const char *line;
		unsigned n;
		const char *words[4];
	} cases[] = {
		{ "", 0, { 0 } },
		{ "   \t ", 0, { 0 } },
		{ "# comment", 0, { 0 } },
		{ "  ; comment", 0, { 0 } },
		{ "remote a 1194", 3, { "remote", "a", "1194" } },
		{ "remote a # b", 2, { "remote", "a" } },
		{ "remote a#b", 2, { "remote", "a#b" } },
		{ "a;b", 1, { "a;b" } },
		{ "x \"two words\" y", 3, { "x", "two words", "y" } },
		{ "x 'two # words'", 2, { "x", "two # words" } },
		{ "x \"a\\\"b\"", 2, { "x", "a\"b" } },
		{ "x 'a\\b'", 2, { "x", "a\\b" } },
		{ "x a\\ b", 2, { "x", "a b" } },
		{ "x a\\\\b", 2, { "x", "a\\b" } },
		{ "x \"\" ''", 3, { "x", "", "" } },
		{ "x \"a\"b", 3, { "x", "a", "b" } },
		{ "x \\\"a", 2, { "x", "\"a" } },
		{ "x caf\xc3\xa9", 2, { "x", "caf\xc3\xa9" } },
		{ "# \xff\xfe any bytes in a comment", 0, { 0 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_words(cases[i].line, cases[i].n, cases[i].words);
}

Test(ovpn_lexer, refuses_broken_lines)
{
	static const char *const lines[] = {
		"x \"open",	     "x 'open", "x a\\",  "x C:\\dir", "x a\x01",
		"x \"tab\tinside\"", "x \x7f",	"x \xff", "x a\rb",    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char buf[256], *words[OVPN_WORDS_MAX + 1];
		const char *why = NULL;
		unsigned n;

		cr_assert_eq(ovpn_split(lines[i], strlen(lines[i]), buf, words, &n, &why), -EINVAL, "%s", lines[i]);
		cr_assert_not_null(why);
	}
}

Test(ovpn_lexer, reads_blocks_sections_and_line_numbers)
{
	static const char text[] =
		"\xef\xbb\xbf--client\r\n\r\n# c\r\n  <ca>\r\nA\n # kept\n  </ca> # end\n<connection>\n"
		"remote x\n<tls-auth>\nK\n</tls-auth>\n</connection>\n</tls-crypt>\nlast";
	struct ovpn_lexer lx;
	struct ovpn_item it;

	ovpn_lexer_init(&lx, text, sizeof(text) - 1);
	cr_assert_eq(ovpn_lexer_next(&lx, &it), 1);
	cr_assert_str_eq(it.words[0], "client");
	cr_assert_eq(it.line, 1);
	cr_assert_eq(ovpn_lexer_next(&lx, &it), 1);
	cr_assert_eq(it.kind, OVPN_ITEM_BLOCK);
	cr_assert_str_eq(it.words[0], "ca");
	cr_assert_eq(it.line, 4);
	cr_assert_eq(it.block_len, strlen("A\n # kept\n"));
	cr_assert_eq(memcmp(it.block, "A\n # kept\n", it.block_len), 0);
	cr_assert_eq(ovpn_lexer_next(&lx, &it), 1);
	cr_assert_eq(it.kind, OVPN_ITEM_CONNECTION);
	cr_assert_eq(ovpn_lexer_next(&lx, &it), 1);
	cr_assert_eq(it.line, 9);
	cr_assert_eq(ovpn_lexer_next(&lx, &it), 1);
	cr_assert_eq(it.kind, OVPN_ITEM_BLOCK);
	cr_assert_eq(ovpn_lexer_next(&lx, &it), 1);
	cr_assert_eq(it.kind, OVPN_ITEM_CONNECTION_END);
	cr_assert_eq(it.line, 13);
	cr_assert_eq(ovpn_lexer_next(&lx, &it), 1);
	cr_assert_eq(it.kind, OVPN_ITEM_STRAY_END);
	cr_assert_eq(ovpn_lexer_next(&lx, &it), 1);
	cr_assert_str_eq(it.words[0], "last");
	cr_assert_eq(ovpn_lexer_next(&lx, &it), 0);
	ovpn_lexer_done(&lx);
}

Test(ovpn_lexer, goes_on_behind_a_mistake)
{
	static const char text[] =
		"x \"open\nclient\n<ca>\nA\n</ca> junk\ndev tun\n<connection>\n<connection>\n</connection>\n"
		"<key>\nnever closed\n";
	static const int want[] = { -EINVAL, 1, -EINVAL, 1, 1, -EINVAL, 1, -EINVAL, 0 };
	static const unsigned lines[] = { 1, 2, 5, 6, 7, 8, 9, 10, 0 };
	struct ovpn_lexer lx;
	struct ovpn_item it;

	ovpn_lexer_init(&lx, text, sizeof(text) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		cr_assert_eq(ovpn_lexer_next(&lx, &it), want[i], "step %zu", i);
		if (want[i])
			cr_assert_eq(it.line, lines[i], "step %zu: line %u", i, it.line);
	}
	ovpn_lexer_done(&lx);
}
