#include "proto/ovpn-message.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct ovpn_message_reader reader;

/* Feeds and counts the messages; the last one is copied to last. */
static char last[OVPN_MESSAGE_MAX + 1];

static unsigned feed(const void *data, size_t len)
{
	const uint8_t *p = data;
	const char *line;
	unsigned n = 0;

	while (ovpn_message_next(&reader, &p, &len, &line)) {
		cr_assert_leq(strlen(line), OVPN_MESSAGE_MAX);
		strcpy(last, line);
		n++;
	}
	cr_assert_eq(len, 0);
	return n;
}

Test(ovpn_message, cuts_at_nul_wherever_records_end)
{
	cr_assert_eq(feed("PUSH_REPLY,a", 12), 0);
	cr_assert_eq(feed(",b\0INFO", 7), 1);
	cr_assert_str_eq(last, "PUSH_REPLY,a,b");
	cr_assert_eq(feed(",x\0EXIT\0", 8), 2);
	cr_assert_str_eq(last, "EXIT");
	cr_assert_eq(feed("\0\0\0", 3), 0);
	cr_assert_eq(reader.n_dropped, 0);
}

Test(ovpn_message, a_message_without_nul_never_counts)
{
	cr_assert_eq(feed("AUTH_FAILED", 11), 0);
	cr_assert_eq(feed("", 0), 0);
}

Test(ovpn_message, cuts_line_ends_and_drops_controls)
{
	cr_assert_eq(feed("AUTH_FAILED,no\r\n\0", 17), 1);
	cr_assert_str_eq(last, "AUTH_FAILED,no");
	cr_assert_eq(feed("\r\n\0", 3), 0);
	cr_assert_eq(reader.n_dropped, 0);
	cr_assert_eq(feed("INFO,a\nb\0", 9), 0);
	cr_assert_eq(feed("INFO,a\tb\0", 9), 0);
	cr_assert_eq(feed("INFO,\x1b[2J\0", 10), 0);
	cr_assert_eq(feed("INFO,\xff\0", 7), 0);
	cr_assert_eq(reader.n_dropped, 4);
	cr_assert_eq(feed("INFO,gr\xc3\xbc\xc3\x9f\0", 12), 1);
	cr_assert_str_eq(last, "INFO,gr\xc3\xbc\xc3\x9f");
}

Test(ovpn_message, drops_what_is_too_long_and_goes_on_behind_it)
{
	static const size_t sizes[] = { 2047, 2048, 2049, OVPN_MESSAGE_MAX - 1, OVPN_MESSAGE_MAX, OVPN_MESSAGE_MAX + 1, 100000 };
	char *big = malloc(100001);

	memset(big, 'a', 100001);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		bool fits = sizes[i] <= OVPN_MESSAGE_MAX;

		big[sizes[i]] = 0;
		cr_expect_eq(feed(big, sizes[i] + 1), fits, "%zu", sizes[i]);
		big[sizes[i]] = 'a';
		cr_expect_eq(feed("EXIT\0", 5), 1);
	}
	cr_assert_eq(reader.n_dropped, 2);
	/* in pieces, too */
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(feed(big, 1000), 0);
	cr_assert_eq(feed("\0EXIT\0", 6), 1);
	free(big);
}

struct parse_case {
	const char *line;
	struct ovpn_message m;
};

Test(ovpn_message, parses_every_known_form)
{
	static const struct parse_case cases[] = {
		{ "PUSH_REPLY,route 1.2.3.4", { .type = OVPN_MESSAGE_PUSH_REPLY, .text = "route 1.2.3.4" } },
		{ "PUSH_REPLY", { .type = OVPN_MESSAGE_PUSH_REPLY, .text = "" } },
		{ "PUSH_REPLYx", { .type = OVPN_MESSAGE_UNKNOWN, .text = "" } },
		{ "push_reply,a", { .type = OVPN_MESSAGE_UNKNOWN, .text = "" } },
		{ "PUSH_UPDATE,-route", { .type = OVPN_MESSAGE_PUSH_UPDATE, .text = "-route" } },
		{ "AUTH_FAILED", { .type = OVPN_MESSAGE_AUTH_FAILED, .text = "" } },
		{ "AUTH_FAILED,wrong password", { .type = OVPN_MESSAGE_AUTH_FAILED, .text = "wrong password" } },
		{ "AUTH_FAILED,SESSION: gone", { .type = OVPN_MESSAGE_AUTH_FAILED, .session = true, .text = " gone" } },
		{ "AUTH_FAILED,SESSION", { .type = OVPN_MESSAGE_AUTH_FAILED, .session = true, .text = "" } },
		{ "AUTH_FAILED,TEMP", { .type = OVPN_MESSAGE_AUTH_FAILED, .temporary = true, .text = "" } },
		{ "AUTH_FAILED,TEMPLATE missing", { .type = OVPN_MESSAGE_AUTH_FAILED, .text = "TEMPLATE missing" } },
		{ "AUTH_FAILED,TEMP:later", { .type = OVPN_MESSAGE_AUTH_FAILED, .temporary = true, .text = "later" } },
		{ "AUTH_FAILED,TEMP[backoff 42,advance no]:busy",
		  { .type = OVPN_MESSAGE_AUTH_FAILED, .temporary = true, .backoff = 42, .advance = OVPN_ADVANCE_NO, .text = "busy" } },
		{ "AUTH_FAILED,TEMP[advance remote,backoff 99999999999]",
		  { .type = OVPN_MESSAGE_AUTH_FAILED, .temporary = true, .backoff = 3600, .advance = OVPN_ADVANCE_REMOTE, .text = "" } },
		{ "AUTH_FAILED,TEMP[backoff", { .type = OVPN_MESSAGE_AUTH_FAILED, .temporary = true, .text = "[backoff" } },
		{ "AUTH_FAILED,TEMP[]", { .type = OVPN_MESSAGE_AUTH_FAILED, .temporary = true, .text = "" } },
		{ "AUTH_FAILED,TEMP[,,backoff x]:", { .type = OVPN_MESSAGE_AUTH_FAILED, .temporary = true, .text = "" } },
		{ "AUTH_FAILED,CRV1:R,E:state:dXNlcg==:PIN: please",
		  { .type = OVPN_MESSAGE_AUTH_FAILED, .challenge = true, .text = "R,E:state:dXNlcg==:PIN: please" } },
		{ "AUTH_FAILED,CRV1:R", { .type = OVPN_MESSAGE_AUTH_FAILED, .challenge = true, .text = "R" } },
		{ "AUTH_PENDING", { .type = OVPN_MESSAGE_AUTH_PENDING, .text = "" } },
		{ "AUTH_PENDING,timeout 120", { .type = OVPN_MESSAGE_AUTH_PENDING, .timeout = 120, .text = "" } },
		{ "AUTH_PENDING,timeout 4294967297", { .type = OVPN_MESSAGE_AUTH_PENDING, .timeout = 86400, .text = "" } },
		{ "AUTH_PENDING,timeout -1", { .type = OVPN_MESSAGE_AUTH_PENDING, .text = "" } },
		{ "RESTART", { .type = OVPN_MESSAGE_RESTART, .text = "" } },
		{ "RESTART,[NP]maintenance",
		  { .type = OVPN_MESSAGE_RESTART, .next_remote = true, .keep_credentials = true, .text = "maintenance" } },
		{ "RESTART,[P", { .type = OVPN_MESSAGE_RESTART, .text = "[P" } },
		{ "HALT,[N]go away", { .type = OVPN_MESSAGE_HALT, .next_remote = true, .text = "go away" } },
		{ "EXIT", { .type = OVPN_MESSAGE_EXIT, .text = "" } },
		{ "INFO,hello", { .type = OVPN_MESSAGE_INFO, .text = "hello" } },
		{ "INFO_PRE,OPEN_URL:https://x", { .type = OVPN_MESSAGE_INFO, .pre = true, .text = "OPEN_URL:https://x" } },
		{ "ACC,6,x", { .type = OVPN_MESSAGE_IGNORED, .text = "6,x" } },
		{ "WHATEVER", { .type = OVPN_MESSAGE_UNKNOWN, .text = "" } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ovpn_message *want = &cases[i].m;
		struct ovpn_message got;

		ovpn_message_parse(cases[i].line, &got);
		cr_expect_eq(got.type, want->type, "%s", cases[i].line);
		cr_expect_str_eq(got.text, want->text ? want->text : "", "%s", cases[i].line);
		cr_expect(got.temporary == want->temporary && got.session == want->session && got.challenge == want->challenge &&
				  got.backoff == want->backoff && got.advance == want->advance &&
				  got.timeout == want->timeout && got.next_remote == want->next_remote &&
				  got.keep_credentials == want->keep_credentials && got.pre == want->pre,
			  "%s", cases[i].line);
	}
}

Test(ovpn_message, names_its_types)
{
	for (unsigned i = 0; i < _OVPN_MESSAGE_MAX; i++)
		cr_assert_not_null(ovpn_message_type_to_string((enum ovpn_message_type)i));
	cr_assert_str_eq(ovpn_message_type_to_string((enum ovpn_message_type)99), "unknown");
}
