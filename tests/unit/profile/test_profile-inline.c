/* profile-inline.c: the text without its folder means the same, and nothing is smuggled in. */
#include <errno.h>

#include "sample.h"

static const char pkcs12[] = "0\x82\x01\x00\xff\xfe binary";

static const struct sample_file files[] = {
	{ "ca.crt", SAMPLE_CERT, 0 },
	{ "me.crt", "text in front\n-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", 0 },
	{ "me key.pem", SAMPLE_PRIVATE, 0 },
	{ "ta.key", SAMPLE_KEY, 0 },
	{ "login", "bob\r\npass word\n", 0 },
	{ "crl.pem", SAMPLE_CRL, 0 },
	{ "pw", "hush\n", 0 },
	{ "me.p12", pkcs12, sizeof(pkcs12) - 1 },
	{ "evil.crt", SAMPLE_CERT " </ca> \nup /x.sh\n", 0 },
	{ "evil.login", "</auth-user-pass>\nup /x.sh\n", 0 },
	{ "nul.crt", "a\0b", 3 },
	{ 0 },
};

static struct secret *inlined(const char *text)
{
	struct secret *s = NULL;
	char *error = NULL;

	cr_assert_eq(profile_inline_ovpn(text, strlen(text), "x.ovpn", sample_load, (void *)files, &s, &error), 0, "%s",
		     error);
	return s;
}

#define ALL_FILES                                                                                                      \
	"client\nremote a\nca ca.crt\ncert me.crt\nkey 'me key.pem'\ntls-auth ta.key 1 # direction\n"                  \
	"auth-user-pass login\ncrl-verify crl.pem\naskpass pw\nverb 3"
#define DOS_LINES "client\r\nremote a\r\nca ca.crt\r\npkcs12 me.p12\r\ntls-crypt ta.key\r\n"
#define IN_CONNECTION                                                                                                  \
	"client\nkey-direction 0\nca [inline]\n<ca>\n" SAMPLE_CERT                                                      \
	"</ca>\n<connection>\nremote a 1\ntls-auth ta.key 1\n</connection>\n"                                           \
	"<connection>\nremote b\n</connection>\nroute 10.0.0.0 255.0.0.0\ndhcp-option DNS 10.0.0.1\n"                   \
	"pull-filter ignore \"route \"\nsetenv UV_A b\n"
#define BYTE_ORDER_MARK                                                                                                \
	"\xef\xbb\xbf"                                                                                                 \
	"client\nremote a\nca ca.crt\nca ca.crt\nauth-user-pass stdin"

#define BEHIND_SETENV_OPT                                                                                              \
	"client\nremote a\nsetenv opt ca ca.crt\nsetenv opt tls-auth ta.key 1\nsetenv opt auth-user-pass login\n"       \
	"setenv opt unheard-of ca.crt\nsetenv opt\n"

#define PROXIES                                                                                                        \
	"client\nproto tcp\nhttp-proxy p.example 8080 login basic\nca ca.crt\n<connection>\nremote a\n</connection>\n"    \
	"<connection>\nremote b\nhttp-proxy q.example 1 absent\n</connection>\n"                                          \
	"<connection>\nremote c\nhttp-proxy q.example 1 auto-nct\nhttp-proxy-user-pass login\n</connection>\n"
#define SOCKS_PROXY "client\nremote a\nca ca.crt\nsocks-proxy 2001:db8::1 1080 login\n"

static const char *const texts[] = { PROXIES, SOCKS_PROXY, SMALL, ALL_FILES, DOS_LINES, IN_CONNECTION, BYTE_ORDER_MARK, BEHIND_SETENV_OPT };

Test(profile_inline, means_the_same_without_its_folder)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct parsed with = sample_parse(texts[i], strlen(texts[i]), files), without;
		struct secret *s = inlined(texts[i]);
		const char *what = NULL;
		char *error = NULL;

		cr_assert_eq(with.r, 0, "%s", with.error);
		without = (struct parsed){ 0 };
		without.r = profile_parse_ovpn(secret_string(s), secret_len(s), "x.ovpn", NULL, NULL, NULL, &without.p,
					       &error);
		cr_assert_eq(without.r, 0, "%s\n%s", error, secret_string(s));
		cr_assert(profiles_equal(with.p, without.p, &what), "text %zu differs in %s", i, what);
		parsed_done(&with);
		parsed_done(&without);
		secret_free(s);
	}
}

Test(profile_inline, is_stable)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct secret *once = inlined(texts[i]), *twice = inlined(secret_string(once));

		cr_assert_eq(secret_len(once), secret_len(twice), "text %zu", i);
		cr_assert_str_eq(secret_string(once), secret_string(twice));
		secret_free(once);
		secret_free(twice);
	}
}

Test(profile_inline, refuses_files_that_would_leave_their_block)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "client\nca evil.crt\n", "x.ovpn:2: `ca evil.crt`: the file holds a closing tag" },
		{ "auth-user-pass evil.login\n", "closing tag" },
		{ "ca nul.crt\n", "not a text file" },
		{ "ca none.crt\n", "`ca none.crt`: cannot read the file (No such file or directory)" },
		{ "<ca>\nx\n", "x.ovpn:1: <ca> is never closed" },
		{ "x \"\n", "never closed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct secret *s = NULL;
		_cleanup_(freep) char *error = NULL;
		int r = profile_inline_ovpn(cases[i].text, strlen(cases[i].text), "x.ovpn", sample_load, (void *)files,
					    &s, &error);

		cr_assert_eq(r, -EINVAL, "%s", cases[i].text);
		cr_assert_null(s);
		cr_assert(strstr(error, cases[i].want), "%s", error);
	}
}

Test(profile_inline, lists_the_files_once_and_in_order)
{
	_cleanup_(strv_freep) char **v = NULL;
	static const char text[] =
		"ca ca.crt\ncert \"my cert\"\nkey k\nca ca.crt\nlog /x\nup /x.sh\nauth-user-pass\n"
		"tls-auth [inline] 1\nauth-user-pass stdin\nhttp-proxy p 1 pass\nx \"broken\ntls-crypt tc\n"
		"<connection>\ntls-auth in-block 1\n</connection>\n<ca>\nkey not-a-line\n</ca>\n"
		"setenv opt extra-certs more.crt\nsetenv ca no.crt\n";
	static const char *const want[] = { "ca.crt", "my cert", "k", "pass", "tc", "in-block", "more.crt" };

	cr_assert_eq(profile_files_ovpn(text, sizeof(text) - 1, &v), 0);
	cr_assert_eq(strv_len(v), ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		cr_assert_str_eq(v[i], want[i]);
}

Test(profile_inline, a_missing_password_file_becomes_a_question)
{
	static const char text[] = "client\r\nauth-user-pass \"my login\" # theirs\r\nverb 3\n";
	struct secret *s = NULL;
	char *error = NULL;

	cr_assert_eq(profile_inline_ovpn(text, strlen(text), "x.ovpn", sample_load, (void *)files, &s, &error), 0);
	cr_assert_str_eq(secret_string(s), "client\r\nauth-user-pass\nverb 3\n");
	secret_free(s);
}

static unsigned large_loads;

static int load_large(void *userdata, const char *path, struct secret **ret)
{
	_cleanup_(freep) char *text = malloc(PROFILE_FILE_MAX / 4);

	(void)userdata;
	(void)path;
	large_loads++;
	memset(text, 'A', PROFILE_FILE_MAX / 4);
	return secret_new_copy(ret, text, PROFILE_FILE_MAX / 4);
}

Test(profile_inline, many_lines_with_one_large_file_stop_at_the_limit)
{
	struct secret *s = NULL;
	_cleanup_(freep) char *error = NULL;
	char text[400] = "";

	for (unsigned i = 0; i < 40; i++)
		strcat(text, "ca big\n");
	cr_assert_eq(profile_inline_ovpn(text, strlen(text), "x.ovpn", load_large, NULL, &s, &error), -EINVAL);
	cr_assert(strstr(error, "larger than 1 MiB"), "%s", error);
	cr_assert_leq(large_loads, 4);
}
