/* Conversations with proxies, byte by byte, and with proxies that lie. */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/str.h"
#include "proto/proxy.h"

static struct secret *secret_of(const char *s)
{
	struct secret *x;

	cr_assert_eq(secret_new_copy(&x, s, strlen(s)), 0);
	return x;
}

static int fixed_random(void *buf, size_t len)
{
	memset(buf, 0xab, len);
	return 0;
}

struct world {
	struct proxy proxy;
	struct proxy_memory memory;
	struct proxy_params params;
	struct secret *user, *password;
	struct proxy_talk *talk;
};

static void begin(struct world *w, enum proxy_kind kind, enum transport transport, const char *host)
{
	w->talk = proxy_talk_free(w->talk);
	w->proxy.kind = kind;
	w->params = (struct proxy_params){ .proxy = &w->proxy, .host = host, .port = 1194, .transport = transport,
					   .username = w->user, .password = w->password, .random = fixed_random };
	cr_assert_eq(proxy_talk_new(&w->talk, &w->params, &w->memory), 0);
}

static void log_in(struct world *w, const char *user, const char *password)
{
	secret_free(w->user);
	secret_free(w->password);
	w->user = secret_of(user);
	w->password = secret_of(password);
}

static void end(struct world *w)
{
	w->talk = proxy_talk_free(w->talk);
	secret_free(w->user);
	secret_free(w->password);
	strv_free(w->proxy.headers);
}

static void must_say(struct world *w, const void *want, size_t len)
{
	size_t n;
	const uint8_t *p = proxy_talk_out(w->talk, &n);

	cr_assert_eq(n, len, "%zu bytes, not %zu", n, len);
	cr_assert_arr_eq(p, want, len);
	proxy_talk_sent(w->talk, 1); /* in pieces */
	proxy_talk_sent(w->talk, len - 1);
	cr_assert_null(proxy_talk_out(w->talk, &n));
}

static const char *said(const struct world *w)
{
	size_t n;
	const uint8_t *p = proxy_talk_out(w->talk, &n);

	return p ? (const char *)p : "";
}

/* One byte at a time, as a stream may come; nothing behind the verdict is taken. */
static enum proxy_verdict hear_n(struct world *w, const void *bytes, size_t len, size_t *ret_used)
{
	const uint8_t *p = bytes;
	enum proxy_verdict v = PROXY_GOES_ON;
	size_t used, i = 0;

	for (; i < len && v == PROXY_GOES_ON; i++) {
		used = 7;
		v = proxy_talk_in(w->talk, p + i, 1, &used);
		cr_assert(used <= 1);
	}
	*ret_used = i;
	return v;
}

static enum proxy_verdict hear(struct world *w, const char *text)
{
	size_t used;

	return hear_n(w, text, strlen(text), &used);
}

#define SAY(w, ...) must_say(w, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define HEAR(w, ...) hear_n(w, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), &(size_t){ 0 })

/* ---- SOCKS -------------------------------------------------------------------------------------------------------------- */

Test(proxy, socks_connects_by_name_and_leaves_the_servers_bytes)
{
	struct world w = { 0 };
	const uint8_t reply[] = { 5, 0, 0, 1, 10, 0, 0, 1, 4, 5, 'x', 'y' };
	size_t used = 0;

	begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "v.example");
	SAY(&w, 5, 1, 0);
	cr_assert_eq(HEAR(&w, 5, 0), PROXY_GOES_ON);
	SAY(&w, 5, 1, 0, 3, 9, 'v', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0x04, 0xaa);
	cr_assert_eq(proxy_talk_in(w.talk, reply, sizeof(reply), &used), PROXY_IS_OPEN);
	cr_assert_eq(used, 10);
	end(&w);
}

Test(proxy, socks_knows_every_kind_of_address)
{
	struct world w = { 0 };

	begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "2001:db8::1");
	(void)HEAR(&w, 5, 0);
	SAY(&w, 5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x04, 0xaa);
	cr_assert_eq(HEAR(&w, 5, 0, 0, 3, 2, 'a', 'b', 0, 1), PROXY_IS_OPEN);
	begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "192.0.2.1");
	(void)HEAR(&w, 5, 0);
	SAY(&w, 5, 1, 0, 1, 192, 0, 2, 1, 0x04, 0xaa);
	cr_assert_eq(HEAR(&w, 5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), PROXY_IS_OPEN);
	end(&w);
}

Test(proxy, socks_logs_in_where_it_is_asked_to)
{
	struct world w = { 0 };

	log_in(&w, "u", "pw");
	begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "192.0.2.1");
	SAY(&w, 5, 2, 0, 2);
	cr_assert_eq(HEAR(&w, 5, 2), PROXY_GOES_ON);
	SAY(&w, 1, 1, 'u', 2, 'p', 'w');
	cr_assert_eq(HEAR(&w, 1, 0), PROXY_GOES_ON);
	SAY(&w, 5, 1, 0, 1, 192, 0, 2, 1, 0x04, 0xaa);
	begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "192.0.2.1");
	(void)HEAR(&w, 5, 2);
	cr_assert_eq(HEAR(&w, 1, 1), PROXY_WANTS_LOGIN);
	cr_assert(strstr(proxy_talk_text(w.talk), "refused"));
	end(&w);
}

Test(proxy, socks_does_not_show_a_login_that_nobody_has_or_that_does_not_fit)
{
	struct world w = { 0 };
	char wide[257];

	begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "a");
	cr_assert_eq(HEAR(&w, 5, 0xff), PROXY_WANTS_LOGIN);
	begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "a");
	cr_assert_eq(HEAR(&w, 5, 2), PROXY_SAID_NO, "a method that was not offered");
	memset(wide, 'x', sizeof(wide) - 1);
	wide[256] = '\0';
	log_in(&w, wide, "p");
	begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "a");
	cr_assert_eq(HEAR(&w, 5, 2), PROXY_WANTS_LOGIN);
	begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "a");
	cr_assert_eq(HEAR(&w, 5, 0xff), PROXY_SAID_NO);
	end(&w);
}

Test(proxy, socks_gives_a_relay_for_datagrams)
{
	struct world w = { 0 };

	begin(&w, PROXY_SOCKS, TRANSPORT_UDP, "v.example");
	(void)HEAR(&w, 5, 0);
	SAY(&w, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0);
	cr_assert_eq(HEAR(&w, 5, 0, 0, 1, 10, 9, 8, 7, 0xa0, 0x78), PROXY_HAS_RELAY);
	cr_assert_eq(proxy_talk_relay_port(w.talk), 0xa078);
	begin(&w, PROXY_SOCKS, TRANSPORT_UDP, "v.example");
	(void)HEAR(&w, 5, 0);
	cr_assert_eq(HEAR(&w, 5, 0, 0, 1, 10, 9, 8, 7, 0, 0), PROXY_SAID_NO);
	end(&w);
}

Test(proxy, socks_refusals_have_their_words)
{
	for (unsigned code = 1; code < 256; code++) {
		struct world w = { 0 };

		begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "a");
		(void)HEAR(&w, 5, 0);
		cr_assert_eq(HEAR(&w, 5, (uint8_t)code, 0, 1, 0, 0, 0, 0, 0, 0), PROXY_SAID_NO);
		cr_assert(*proxy_talk_text(w.talk));
		end(&w);
	}
}

Test(proxy, what_is_no_socks_is_known_at_once)
{
	static const uint8_t bads[][4] = { { 'H', 'T', 'T', 'P' }, { 4, 0, 0, 0 }, { 0, 90, 0, 0 }, { 5, 9, 0, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		struct world w = { 0 };
		size_t used;

		begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "a");
		cr_assert_eq(hear_n(&w, bads[i], 4, &used), PROXY_SAID_NO);
		cr_assert(strstr(proxy_talk_text(w.talk), "SOCKS5"));
		end(&w);
	}
	for (int i = 0; i < 2; i++) {
		struct world w = { 0 };

		begin(&w, PROXY_SOCKS, TRANSPORT_TCP, "a");
		(void)HEAR(&w, 5, 0);
		cr_assert_eq(i ? HEAR(&w, 5, 0, 0, 2, 0, 0) : HEAR(&w, 4, 0, 0, 1, 0, 0), PROXY_SAID_NO);
		end(&w);
	}
}

Test(proxy, headers_of_datagrams)
{
	uint8_t h[PROXY_UDP_HEADER_MAX];
	char wide[257];

	cr_assert_eq(proxy_udp_header("192.0.2.1", 1194, h), 10);
	cr_assert_arr_eq(h, ((uint8_t[]){ 0, 0, 0, 1, 192, 0, 2, 1, 4, 0xaa }), 10);
	cr_assert_eq(proxy_udp_header("2001:db8::1", 1194, h), 22);
	cr_assert_eq(proxy_udp_header("v.example", 1194, h), 4 + 1 + 9 + 2);
	cr_assert_eq(proxy_udp_skip(h, 17), 16);
	cr_assert_eq(proxy_udp_skip(h, 16), 0, "a header and nothing behind it");
	cr_assert_eq(proxy_udp_skip(h, 4), 0);
	h[2] = 1;
	cr_assert_eq(proxy_udp_skip(h, 17), 0, "a fragment");
	cr_assert_eq(proxy_udp_skip((uint8_t[]){ 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0 }, 11), 0);
	memset(wide, 'x', sizeof(wide));
	wide[255] = '\0';
	cr_assert_eq(proxy_udp_header(wide, 1, h), sizeof(h));
	wide[255] = 'x', wide[256] = '\0';
	cr_assert_eq(proxy_udp_header(wide, 1, h), 0);
}

/* ---- HTTP --------------------------------------------------------------------------------------------------------------- */

Test(proxy, http_connects_and_leaves_the_servers_bytes)
{
	struct world w = { 0 };
	static const char reply[] = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nAB";
	size_t used = 0;

	cr_assert_eq(strv_add(&w.proxy.headers, "X-One: 1"), 0);
	w.proxy.http11 = true;
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "v.example");
	cr_assert_str_eq(said(&w), "CONNECT v.example:1194 HTTP/1.1\r\nHost: v.example:1194\r\nX-One: 1\r\n\r\n");
	cr_assert_eq(proxy_talk_in(w.talk, (const uint8_t *)reply, sizeof(reply) - 1, &used), PROXY_IS_OPEN);
	cr_assert_eq(used, sizeof(reply) - 1 - 2);
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "2001:db8::1");
	cr_assert(str_has_prefix(said(&w), "CONNECT [2001:db8::1]:1194 "));
	cr_assert_eq(hear(&w, "HTTP/1.0 200\n\n"), PROXY_IS_OPEN, "bare line ends, no reason");
	end(&w);
}

Test(proxy, http_basic_is_sent_unasked_where_the_profile_says_so)
{
	struct world w = { 0 };

	log_in(&w, "Aladdin", "open sesame");
	w.proxy.auth = PROXY_AUTH_BASIC;
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	/* RFC 7617, section 2. */
	cr_assert(strstr(said(&w), "\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
	cr_assert_eq(hear(&w, "HTTP/1.1 407 no\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n"), PROXY_WANTS_LOGIN);
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	cr_assert_eq(hear(&w, "HTTP/1.0 401 Unauthorized\r\n\r\n"), PROXY_WANTS_LOGIN);
	end(&w);
}

Test(proxy, http_asks_then_logs_in_on_a_new_connection)
{
	struct world w = { 0 };

	log_in(&w, "u", "p");
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	cr_assert_null(strstr(said(&w), "Authorization"), "nothing is shown unasked");
	cr_assert_eq(hear(&w, "HTTP/1.1 407 x\r\nproxy-authenticate: Digest realm=\"r\", nonce=\"n1\", qop=\"auth\"\r\n\r\n"),
		     PROXY_ONCE_MORE);
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	cr_assert(strstr(said(&w), "nonce=\"n1\""));
	cr_assert_eq(hear(&w, "HTTP/1.1 407 x\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n2\", qop=\"auth\", stale=TRUE\r\n\r\n"),
		     PROXY_ONCE_MORE, "the nonce was too old");
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	cr_assert_eq(hear(&w, "HTTP/1.1 407 x\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n3\", qop=\"auth\", stale=true\r\n\r\n"),
		     PROXY_WANTS_LOGIN, "but not for ever");
	end(&w);
}

Test(proxy, http_without_a_login_asks_for_one)
{
	struct world w = { 0 };

	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	cr_assert_eq(hear(&w, "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"r\"\r\n\r\n"), PROXY_WANTS_LOGIN);
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	cr_assert_eq(hear(&w, "HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n"), PROXY_SAID_NO);
	cr_assert(strstr(proxy_talk_text(w.talk), "NTLM is not supported"));
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	cr_assert_eq(hear(&w, "HTTP/1.1 407 x\r\n\r\n"), PROXY_SAID_NO);
	end(&w);
}

Test(proxy, no_clear_text_is_no_clear_text)
{
	struct world w = { 0 };

	log_in(&w, "u", "p");
	w.proxy.auth = PROXY_AUTH_DIGEST;
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	cr_assert_eq(hear(&w, "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"r\"\r\n\r\n"), PROXY_SAID_NO);
	cr_assert_eq(w.memory.challenge.scheme, PROXY_SCHEME_NONE);
	end(&w);
}

Test(proxy, http_replies_that_are_none)
{
	static const char *const bads[] = { "SSH-2.0-x\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 2x0 a\r\n\r\n", "HTTP/1.1\r\n\r\n",
					    "HTTP/1.1 2000\r\n\r\n", "\r\n\r\n", "HTTP/1.12 200 a\r\n\r\n" };
	struct world w = { 0 };
	enum proxy_verdict v;

	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
		cr_assert_eq(hear(&w, bads[i]), PROXY_SAID_NO, "%s", bads[i]);
		cr_assert(strstr(proxy_talk_text(w.talk), "like an HTTP proxy"));
	}
	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	v = hear(&w, "HTTP/1.1 200 ok\r\n");
	for (int i = 0; i < 20000 && v == PROXY_GOES_ON; i++)
		v = hear(&w, "x");
	cr_assert_eq(v, PROXY_SAID_NO);
	cr_assert(strstr(proxy_talk_text(w.talk), "headers"));
	end(&w);
}

Test(proxy, http_refusals_are_quoted_clean)
{
	struct world w = { 0 };
	const char *text;

	begin(&w, PROXY_HTTP, TRANSPORT_TCP, "a");
	cr_assert_eq(hear(&w, "HTTP/1.1 403 \x1b[2J\xff no\r\n\r\n"), PROXY_SAID_NO);
	text = proxy_talk_text(w.talk);
	cr_assert(str_is_clean_utf8(text, strlen(text)), "%s", text);
	cr_assert(strstr(text, "403") && strstr(text, "443"), "%s", text);
	end(&w);
}

/* ---- challenges --------------------------------------------------------------------------------------------------------- */

static struct proxy_challenge parse(const char *value, enum proxy_auth allowed)
{
	struct proxy_challenge c = { 0 };

	proxy_parse_challenge(value, strlen(value), allowed, &c);
	return c;
}

Test(proxy, the_strongest_challenge_is_taken)
{
	struct proxy_challenge c = parse("Basic realm=\"a, b\", Digest realm=\"d\\\"q\", nonce=\"md5\", NTLM TlRMTVNTUAAC==, "
					 "Digest nonce=sha , algorithm=SHA-256-sess,qop=\"auth-int, auth\", opaque=\"o\"",
					 PROXY_AUTH_ANY);

	cr_assert_eq(c.scheme, PROXY_SCHEME_SHA256);
	cr_assert(c.sess && c.qop);
	cr_assert_str_eq(c.nonce, "sha");
	cr_assert_str_eq(c.opaque, "o");
	c = parse("Basic realm=\"a, b\", Digest realm=\"d\\\"q\", nonce=\"md5\"", PROXY_AUTH_ANY);
	cr_assert_eq(c.scheme, PROXY_SCHEME_MD5);
	cr_assert_str_eq(c.realm, "d\"q");
	c = parse("Basic realm=\"a\", Digest nonce=x", PROXY_AUTH_BASIC);
	cr_assert_eq(c.scheme, PROXY_SCHEME_BASIC);
}

Test(proxy, challenges_that_cannot_be_answered_are_none)
{
	static const char *const bads[] = {
		"Digest realm=x", "Digest nonce=x, algorithm=SHA-512-256", "Digest nonce=x, qop=auth-int", "Digest nonce=\"x",
		"Digest nonce=x, algorithm=\"-sess\"", "Negotiate", "NTLM TlRMTVNTUAAC==", "nonce=x", "=,=,\"", "", ",,,,",
		"Digest nonce=x, qop=\"\"", "Digest nonce=\"a\x01z\"",
	};
	char wide[700];

	for (size_t i = 0; i < ARRAY_SIZE(bads); i++)
		cr_assert_eq(parse(bads[i], PROXY_AUTH_ANY).scheme, PROXY_SCHEME_NONE, "%s", bads[i]);
	(void)snprintf(wide, sizeof(wide), "Digest nonce=\"%0600d\"", 7);
	cr_assert_eq(parse(wide, PROXY_AUTH_ANY).scheme, PROXY_SCHEME_NONE);
}

static void must_answer(const struct proxy_challenge *c, const char *user, const char *password, const char *uri, const char *want)
{
	struct secret *s;

	cr_assert_eq(proxy_authorization(c, user, password, uri, "0a4f113b", &s), 0);
	cr_assert(strstr(secret_string(s), want), "%s\nlacks %s", secret_string(s), want);
	secret_free(s);
}

/* The responses were computed with md5sum and sha256sum from the definitions of RFC 7616, section 3.4. */
Test(proxy, digests)
{
	struct proxy_challenge c = parse("Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", "
					 "opaque=\"5ccc\", qop=\"auth,auth-int\"", PROXY_AUTH_ANY);

	must_answer(&c, "Mufasa", "Circle Of Life", "v.example:1194", "response=\"380041469d6f51dc9caec7069b914997\"");
	must_answer(&c, "Mu\"fa\\sa", "x", "v.example:1194", "username=\"Mu\\\"fa\\\\sa\"");
	must_answer(&c, "Mufasa", "Circle Of Life", "v.example:1194", ", opaque=\"5ccc\", qop=auth, nc=00000001, cnonce=\"0a4f113b\"");
	c.sess = true;
	must_answer(&c, "Mufasa", "Circle Of Life", "v.example:1194", "response=\"d1a3600651dc743c961f40e4adeb2555\", algorithm=MD5-sess");
	c.sess = c.qop = false;
	must_answer(&c, "Mufasa", "Circle Of Life", "v.example:1194", "response=\"891ec705c75e774825fb1349e200dc86\"");
	c.scheme = PROXY_SCHEME_SHA256;
	c.qop = true;
	must_answer(&c, "Mufasa", "Circle Of Life", "v.example:1194", "response=\"899e9211571dc69c3241df91d155b89d131bfdb8d69df9fe2d4ef4821f340a49\", algorithm=SHA-256,");
}
