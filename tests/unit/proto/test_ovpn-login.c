/* proto/ovpn-login.h: forms of questions and answers; what a hostile server may send. */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-login.h"

static struct secret *text(const char *s)
{
	struct secret *r;

	cr_assert_eq(secret_new_copy(&r, s, strlen(s)), 0);
	return r;
}

Test(ovpn_login, questions_of_a_refusal)
{
	static const struct {
		const char *in;
		int r;
		enum proto_question question;
		bool needs_answer;
		const char *user, *prefix, *text;
	} rows[] = {
		{ "R,E:Om01:dXNlcg==:PIN", 0, PROTO_QUESTION_TEXT, true, "user", "CRV1::Om01::", "PIN" },
		{ "R:Om01:dXNlcg==:PIN: really", 0, PROTO_QUESTION_SECRET, true, "user", "CRV1::Om01::", "PIN: really" },
		{ ":Om01:dXNlcg==:read this", 0, PROTO_QUESTION_SECRET, false, "user", "CRV1::Om01::", "read this" },
		{ "R,E:Om01:dXNlcg==:", 0, PROTO_QUESTION_TEXT, true, "user", "CRV1::Om01::", "" },
		{ "", -EBADMSG }, { "R", -EBADMSG }, { "R:s", -EBADMSG }, { "R:s:dXNlcg==", -EBADMSG },
		{ "R::dXNlcg==:q", -EBADMSG }, { "R:s::q", -EBADMSG }, { "R:s:%%%%:q", -EBADMSG },
		{ "R:s:AA==:q", -EBADMSG } /* a NUL */, { "R:s:YQpi:q", -EBADMSG } /* two lines */,
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proto_challenge c;

		memset(&c, 0x55, sizeof(c));
		cr_assert_eq(ovpn_login_crv1(rows[i].in, &c), rows[i].r, "row %zu", i);
		if (rows[i].r < 0) {
			cr_assert_eq(c.text[0], 0x55, "output touched");
			continue;
		}
		cr_expect_eq(c.question, rows[i].question, "row %zu", i);
		cr_expect_eq(c.needs_answer, rows[i].needs_answer, "row %zu", i);
		cr_expect_str_eq(secret_string(c.username), rows[i].user, "row %zu", i);
		cr_expect_str_eq(secret_string(c.prefix), rows[i].prefix, "row %zu", i);
		cr_expect_str_eq(c.text, rows[i].text, "row %zu", i);
		proto_challenge_done(&c);
	}
}

Test(ovpn_login, a_long_question_is_cut_between_characters)
{
	char in[PROTO_TEXT_MAX * 2 + 64] = "R:s:dXNlcg==:";
	struct proto_challenge c;

	for (size_t n = strlen(in); n + 2 < sizeof(in); n += 2)
		(void)strcat(in + n, "\xc3\xbc");
	cr_assert_eq(ovpn_login_crv1(in, &c), 0);
	cr_expect_lt(strlen(c.text), PROTO_TEXT_MAX);
	cr_expect(str_is_clean_utf8(c.text, strlen(c.text)));
	proto_challenge_done(&c);
}

Test(ovpn_login, answers_to_the_profiles_question)
{
	struct secret *password = text("pass:word"), *answer = text("12 3"), *s;
	char long_answer[OVPN_ANSWER_MAX + 2];

	cr_assert_eq(ovpn_login_static(password, answer, false, &s), 0);
	cr_expect_str_eq(secret_string(s), "SCRV1:cGFzczp3b3Jk:MTIgMw==");
	secret_free(s);
	cr_assert_eq(ovpn_login_static(password, answer, true, &s), 0);
	cr_expect_str_eq(secret_string(s), "pass:word12 3");
	secret_free(s);
	secret_free(answer);
	memset(long_answer, '1', sizeof(long_answer));
	long_answer[sizeof(long_answer) - 1] = '\0';
	answer = text(long_answer);
	cr_expect_eq(ovpn_login_static(password, answer, false, &s), -EINVAL);
	secret_free(answer);
	secret_free(password);
}

Test(ovpn_login, requests_of_a_pending_login)
{
	static const struct {
		const char *in;
		bool ok;
		enum proto_question question;
		const char *text;
	} rows[] = {
		{ "CR_TEXT:R,E:Code?", true, PROTO_QUESTION_TEXT, "Code?" },
		{ "CR_TEXT:R:Code: now", true, PROTO_QUESTION_SECRET, "Code: now" },
		{ "CR_TEXT:E:hello", false }, { "CR_TEXT:R", false }, { "CR_TEXT", false }, { "CR_TEXTS:R:x", false },
		{ "WEB_AUTH::https://a.example/", true, PROTO_QUESTION_URL, "https://a.example/" },
		{ "WEB_AUTH:proxy:https://a.example/", true, PROTO_QUESTION_URL, "https://a.example/" },
		{ "OPEN_URL:https://a.example/", true, PROTO_QUESTION_URL, "https://a.example/" },
		{ "OPEN_URL:HTTPS://a.example/", false }, { "OPEN_URL:javascript:alert(1)", false }, { "OPEN_URL:", false },
		{ "OPEN_URL:https://a.example/\\x", false }, { "OPEN_URL:https://\xc3\xbc.example/", false }, { "", false },
		{ "anything", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ovpn_login_request q;

		cr_assert_eq(ovpn_login_request(rows[i].in, &q), rows[i].ok, "row %zu", i);
		if (!rows[i].ok)
			continue;
		cr_expect_eq(q.question, rows[i].question, "row %zu", i);
		cr_expect_str_eq(q.text, rows[i].text, "row %zu", i);
	}
}

Test(ovpn_login, a_response_is_one_clean_line)
{
	struct secret *answer = text("line\nbreak, comma");
	char *line = ovpn_login_response(answer);

	cr_expect_str_eq(line, "CR_RESPONSE,bGluZQpicmVhaywgY29tbWE=");
	free(line);
	secret_free(answer);
}
