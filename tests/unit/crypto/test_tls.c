/* The TLS client against OpenSSL's own server, over memory, with every kind of certificate that must not pass. */
#include "crypto/tls.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/pki.h"

static struct pki ca, other_ca, server, client;

static void make(void)
{
	cr_assert_eq(tls_init(), 0);
	ca = pki_make(&(struct pki_spec){ .cn = "Test CA", .use = PKI_USE_CA }, NULL);
	other_ca = pki_make(&(struct pki_spec){ .cn = "Other CA", .use = PKI_USE_CA }, NULL);
	server = pki_make(&(struct pki_spec){ .cn = "vpn.example.net", .use = PKI_USE_SERVER }, &ca);
	client = pki_make(&(struct pki_spec){ .cn = "laptop", .use = PKI_USE_CLIENT }, &ca);
}

static void drop(void)
{
	pki_done(&ca);
	pki_done(&other_ca);
	pki_done(&server);
	pki_done(&client);
}

TestSuite(tls, .init = make, .fini = drop);

struct link {
	struct tls_context *context;
	struct tls *tls;
	SSL_CTX *server_ctx;
	SSL *server;
	struct secret *ca_pem;
};

struct setup {
	struct tls_params params;
	const struct pki *server_cert;
	const struct pki *client_ca; /* NULL: the server asks for no certificate */
	int server_min, server_max;
	const char *server_ciphers;
	bool no_ca;
	bool weak;                   /* the server's OpenSSL accepts anything */
	int64_t now;
};

static void link_open(struct link *l, const struct setup *s)
{
	struct tls_params p = s->params;
	char *error = NULL;

	*l = (struct link){ 0 };
	l->ca_pem = pki_cert_pem(&ca);
	if (!p.ca && !p.pkcs12 && !s->no_ca)
		p.ca = l->ca_pem;
	cr_assert_eq(tls_context_new(&l->context, &p, &error), 0, "%s", error);
	cr_assert_eq(tls_new(&l->tls, l->context, s->now ? s->now : PKI_NOW), 0);

	l->server_ctx = SSL_CTX_new(TLS_server_method());
	if (s->weak)
		SSL_CTX_set_security_level(l->server_ctx, 0);
	cr_assert_eq(SSL_CTX_use_certificate(l->server_ctx, (s->server_cert ? s->server_cert : &server)->cert), 1);
	cr_assert_eq(SSL_CTX_use_PrivateKey(l->server_ctx, (s->server_cert ? s->server_cert : &server)->key), 1);
	SSL_CTX_set_min_proto_version(l->server_ctx, s->server_min);
	SSL_CTX_set_max_proto_version(l->server_ctx, s->server_max);
	if (s->server_ciphers)
		cr_assert_eq(SSL_CTX_set_cipher_list(l->server_ctx, s->server_ciphers), 1);
	if (s->client_ca) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(l->server_ctx), s->client_ca->cert);
		SSL_CTX_set_verify(l->server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(l->server_ctx), PKI_NOW);
	}
	l->server = SSL_new(l->server_ctx);
	SSL_set_bio(l->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_accept_state(l->server);
}

static void link_close(struct link *l)
{
	tls_free(l->tls);
	tls_context_free(l->context);
	SSL_free(l->server);
	SSL_CTX_free(l->server_ctx);
	secret_free(l->ca_pem);
}

/* One byte at a time when `trickle`. */
static void move(struct link *l, bool trickle)
{
	uint8_t buf[4096];
	size_t n;
	int k;

	while ((n = tls_drain(l->tls, buf, trickle ? 1 : sizeof(buf))) > 0)
		cr_assert_eq(BIO_write(SSL_get_rbio(l->server), buf, (int)n), (int)n);
	SSL_do_handshake(l->server);
	ERR_clear_error();
	while ((k = BIO_read(SSL_get_wbio(l->server), buf, trickle ? 1 : sizeof(buf))) > 0)
		if (tls_feed(l->tls, buf, (size_t)k) < 0)
			break;
}

/* 1: both established; -EPROTO: the client failed; 0: stuck. */
static int shake(struct link *l, bool trickle)
{
	uint8_t buf[64];

	for (int i = 0; i < 10; i++) {
		int r = tls_handshake(l->tls);

		move(l, trickle);
		if (r < 0)
			return r;
		/* TLS 1.3: a refusal of our certificate comes after our side is done. */
		if (tls_is_established(l->tls) && tls_read(l->tls, buf, sizeof(buf)) < 0)
			return -EPROTO;
		if (tls_is_established(l->tls) && SSL_is_init_finished(l->server))
			return 1;
	}
	return 0;
}

static void expect_failure(const struct setup *s, enum tls_fail fail, const char *part)
{
	struct link l;

	link_open(&l, s);
	cr_assert_eq(shake(&l, false), -EPROTO);
	cr_expect_eq(tls_failure(l.tls), fail, "%s: %s", tls_fail_to_string(tls_failure(l.tls)), tls_failure_text(l.tls));
	cr_expect(strstr(tls_failure_text(l.tls), part), "\"%s\" lacks \"%s\"", tls_failure_text(l.tls), part);
	cr_expect_not(tls_is_established(l.tls));
	cr_expect_eq(tls_write(l.tls, "x", 1), -EPROTO);
	link_close(&l);
}

static void expect_success(const struct setup *s, bool trickle)
{
	struct link l;
	uint8_t buf[64], ours[256], theirs[256];
	char text[300];

	link_open(&l, s);
	cr_assert_eq(tls_write(l.tls, "x", 1), -EAGAIN);
	cr_assert_eq(tls_export(l.tls, "EXPORTER-x", ours, sizeof(ours)), -EPROTO);
	cr_assert_eq(shake(&l, trickle), 1, "%s", tls_failure_text(l.tls));
	cr_assert_eq(tls_write(l.tls, "ping", 5), 0);
	move(&l, trickle);
	cr_assert_eq(SSL_read(l.server, buf, sizeof(buf)), 5);
	cr_assert_eq(SSL_write(l.server, "pong", 5), 5);
	move(&l, trickle);
	cr_assert_eq(tls_read(l.tls, buf, sizeof(buf)), 5);
	cr_assert_str_eq((char *)buf, "pong");
	cr_assert_eq(tls_read(l.tls, buf, sizeof(buf)), 0);
	cr_assert_eq(tls_export(l.tls, "EXPORTER-OpenVPN-datakeys", ours, sizeof(ours)), 0);
	cr_assert_eq(SSL_export_keying_material(l.server, theirs, sizeof(theirs), "EXPORTER-OpenVPN-datakeys", 25, NULL, 0, 0), 1);
	cr_assert_arr_eq(ours, theirs, sizeof(ours));
	cr_assert(strstr(tls_describe(l.tls, text, sizeof(text)), "vpn.example.net"));
	SSL_shutdown(l.server);
	move(&l, false);
	cr_assert_eq(tls_read(l.tls, buf, sizeof(buf)), -EPROTO);
	cr_assert_eq(tls_failure(l.tls), TLS_FAIL_CLOSED);
	link_close(&l);
}

Test(tls, shakes_hands_with_1_2_and_1_3)
{
	expect_success(&(struct setup){ .server_max = TLS1_2_VERSION }, false);
	expect_success(&(struct setup){ .server_min = TLS1_3_VERSION }, false);
	expect_success(&(struct setup){ 0 }, true);
}

Test(tls, checks_use_and_name)
{
	expect_success(&(struct setup){ .params = { .require_server_cert = true, .name_check = TLS_NAME_NAME, .name = "vpn.example.net" } }, false);
	expect_success(&(struct setup){ .params = { .name_check = TLS_NAME_SUBJECT, .name = "CN=vpn.example.net" } }, false);
	expect_success(&(struct setup){ .params = { .name_check = TLS_NAME_NAME_PREFIX, .name = "vpn." } }, false);
}

Test(tls, refuses_another_authority)
{
	struct secret *pem = pki_cert_pem(&other_ca);
	struct pki same_name = pki_make(&(struct pki_spec){ .cn = "Test CA", .use = PKI_USE_CA }, NULL);
	struct secret *same_pem = pki_cert_pem(&same_name);

	expect_failure(&(struct setup){ .params = { .ca = pem } }, TLS_FAIL_CA, "\"CN=Test CA\", which the `ca`");
	/* Also when the right name stands in the certificate: the name is no substitute for the chain. */
	expect_failure(&(struct setup){ .params = { .ca = pem, .name_check = TLS_NAME_NAME, .name = "vpn.example.net" } },
		       TLS_FAIL_CA, "vpn.example.net");
	expect_failure(&(struct setup){ .params = { .ca = same_pem } }, TLS_FAIL_CA, "Test CA");
	secret_free(pem);
	secret_free(same_pem);
	pki_done(&same_name);
}

Test(tls, refuses_a_self_signed_server)
{
	struct pki self = pki_make(&(struct pki_spec){ .cn = "vpn.example.net", .use = PKI_USE_SERVER }, NULL);

	expect_failure(&(struct setup){ .server_cert = &self }, TLS_FAIL_CA, "`ca`");
	pki_done(&self);
}

Test(tls, refuses_expired_and_early_certificates)
{
	struct pki old = pki_make(&(struct pki_spec){ .cn = "old", .use = PKI_USE_SERVER, .until = PKI_NOW - PKI_DAY }, &ca);
	struct pki young = pki_make(&(struct pki_spec){ .cn = "young", .use = PKI_USE_SERVER, .from = PKI_NOW + PKI_DAY }, &ca);

	expect_failure(&(struct setup){ .server_cert = &old }, TLS_FAIL_EXPIRED, "\"CN=old\" expired on 2027-01-14 08:00 UTC");
	expect_failure(&(struct setup){ .server_cert = &young }, TLS_FAIL_NOT_YET_VALID, "2027-01-16 08:00 UTC");
	expect_failure(&(struct setup){ .now = PKI_NOW + 31 * PKI_DAY }, TLS_FAIL_EXPIRED, "expired");
	expect_failure(&(struct setup){ .now = PKI_NOW - 31 * PKI_DAY }, TLS_FAIL_NOT_YET_VALID, "clock");
	pki_done(&old);
	pki_done(&young);
}

Test(tls, refuses_a_client_posing_as_server)
{
	expect_failure(&(struct setup){ .server_cert = &client }, TLS_FAIL_PURPOSE, "serverAuth");
	expect_failure(&(struct setup){ .server_cert = &client, .params = { .require_server_cert = true } }, TLS_FAIL_PURPOSE, "laptop");
}

Test(tls, wants_usage_only_when_told)
{
	struct pki plain = pki_make(&(struct pki_spec){ .cn = "vpn.example.net", .use = PKI_USE_PLAIN }, &ca);

	expect_success(&(struct setup){ .server_cert = &plain }, false);
	expect_failure(&(struct setup){ .server_cert = &plain, .params = { .require_server_cert = true } }, TLS_FAIL_PURPOSE,
		       "remote-cert-tls");
	pki_done(&plain);
}

Test(tls, refuses_another_name)
{
	expect_failure(&(struct setup){ .params = { .name_check = TLS_NAME_NAME, .name = "vpn.example.org" } }, TLS_FAIL_NAME,
		       "its name is \"vpn.example.net\", expected \"vpn.example.org\"");
	expect_failure(&(struct setup){ .params = { .name_check = TLS_NAME_SUBJECT, .name = "vpn.example.net" } }, TLS_FAIL_NAME,
		       "its subject is \"CN=vpn.example.net\"");
}

Test(tls, refuses_a_nul_in_the_name)
{
	struct pki nul = pki_make(&(struct pki_spec){ .cn = "vpn.example.net\0.evil.org", .cn_len = 25, .use = PKI_USE_SERVER }, &ca);

	expect_failure(&(struct setup){ .server_cert = &nul, .params = { .name_check = TLS_NAME_NAME, .name = "vpn.example.net" } },
		       TLS_FAIL_NAME, "NUL");
	pki_done(&nul);
}

Test(tls, honours_the_revocation_list)
{
	char *clean = pki_crl_pem(&ca, NULL, PKI_NOW + PKI_DAY), *revoked = pki_crl_pem(&ca, &server, PKI_NOW + PKI_DAY);
	char *stale = pki_crl_pem(&ca, NULL, PKI_NOW - PKI_DAY / 2), *foreign = pki_crl_pem(&other_ca, NULL, PKI_NOW + PKI_DAY);

	expect_success(&(struct setup){ .params = { .crl = clean } }, false);
	expect_failure(&(struct setup){ .params = { .crl = revoked } }, TLS_FAIL_REVOKED, "revoked");
	expect_failure(&(struct setup){ .params = { .crl = stale } }, TLS_FAIL_CRL, "crl-verify");
	expect_failure(&(struct setup){ .params = { .crl = foreign } }, TLS_FAIL_CRL, "crl-verify");
	free(clean);
	free(revoked);
	free(stale);
	free(foreign);
}

Test(tls, refuses_weak_signatures_unless_told)
{
	struct pki sha1 = pki_make(&(struct pki_spec){ .cn = "vpn.example.net", .use = PKI_USE_SERVER, .md = EVP_sha1() }, &ca);
	struct pki small = pki_make(&(struct pki_spec){ .cn = "vpn.example.net", .use = PKI_USE_SERVER, .rsa_bits = 1024 }, &ca);

	expect_failure(&(struct setup){ .server_cert = &sha1, .weak = true }, TLS_FAIL_WEAK, "tls-cert-profile insecure");
	expect_success(&(struct setup){ .server_cert = &sha1, .weak = true, .params = { .cert_profile = "insecure" } }, false);
	expect_failure(&(struct setup){ .server_cert = &small, .weak = true, .params = { .cert_profile = "preferred" } },
		       TLS_FAIL_WEAK, "too weak");
	pki_done(&sha1);
	pki_done(&small);
}

Test(tls, reports_that_our_certificate_was_refused)
{
	struct secret *cert = pki_cert_pem(&client), *key = pki_key_pem(&client, NULL);

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		expect_failure(&(struct setup){ .client_ca = &other_ca, .server_max = version, .params = { .cert = cert, .key = key } },
			       TLS_FAIL_REJECTED, "unknown ca");
		expect_success(&(struct setup){ .client_ca = &ca, .server_max = version, .params = { .cert = cert, .key = key } }, false);
	}
	expect_failure(&(struct setup){ .client_ca = &ca }, TLS_FAIL_REJECTED, "certificate required");
	expect_failure(&(struct setup){ .client_ca = &ca, .server_max = TLS1_2_VERSION }, TLS_FAIL_ALERT, "handshake failure");
	secret_free(cert);
	secret_free(key);
}

Test(tls, reports_a_version_that_does_not_match)
{
	expect_failure(&(struct setup){ .server_max = TLS1_2_VERSION, .params = { .version_min = TLS1_3_VERSION } }, TLS_FAIL_VERSION,
		       "tls-version-min");
	expect_failure(&(struct setup){ .server_min = TLS1_3_VERSION, .params = { .version_max = TLS1_2_VERSION } }, TLS_FAIL_VERSION,
		       "tls-version");
	/* 1.1 needs to be asked for, and security level 0. */
	expect_failure(&(struct setup){ .server_max = TLS1_1_VERSION, .weak = true }, TLS_FAIL_VERSION, "tls-version-min");
	expect_success(&(struct setup){ .server_max = TLS1_1_VERSION, .weak = true,
					.params = { .version_min = TLS1_VERSION, .cert_profile = "insecure" } }, false);
}

Test(tls, takes_cipher_lists_of_both_styles)
{
	expect_success(&(struct setup){ .server_max = TLS1_2_VERSION,
					.params = { .cipher = "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384:!TLS-RSA-WITH-AES-128-CBC-SHA" } }, false);
	expect_success(&(struct setup){ .server_max = TLS1_2_VERSION, .params = { .cipher = "DEFAULT:@SECLEVEL=0" } }, false);
	expect_success(&(struct setup){ .params = { .cert_profile = "suiteb" } }, false);
	expect_success(&(struct setup){ .params = { .ciphersuites = "TLS-AES-256-GCM-SHA384", .groups = "X25519:P-256" } }, false);
	expect_failure(&(struct setup){ .server_max = TLS1_2_VERSION, .server_ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256",
					.params = { .cipher = "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384" } },
		       TLS_FAIL_ALERT, "tls-cipher");
}

/* Suites without a certificate would pass every check by having nothing to check. */
Test(tls, refuses_a_server_without_certificate)
{
	static const char *const lists[] = { "ALL:@SECLEVEL=0", "aNULL:@SECLEVEL=0:HIGH", "TLS-ECDH-anon-WITH-AES-128-CBC-SHA:HIGH:@SECLEVEL=0" };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		expect_failure(&(struct setup){ .server_max = TLS1_2_VERSION, .server_ciphers = "aNULL:@SECLEVEL=0", .weak = true,
						.params = { .cipher = lists[i] } }, TLS_FAIL_ALERT, "handshake failure");
}

Test(tls, the_last_word_of_the_server_is_its_fatal_alert)
{
	struct link l;
	/* TLS 1.2 records: alert, warning, user_canceled; alert, fatal, access_denied */
	static const uint8_t alerts[] = { 21, 3, 3, 0, 2, 1, 90, 21, 3, 3, 0, 2, 2, 49 };

	link_open(&l, &(struct setup){ 0 });
	cr_assert_eq(tls_handshake(l.tls), 0);
	cr_assert_eq(tls_feed(l.tls, alerts, sizeof(alerts)), 0);
	cr_assert_eq(tls_handshake(l.tls), -EPROTO);
	cr_assert_eq(tls_failure(l.tls), TLS_FAIL_REJECTED, "%s", tls_failure_text(l.tls));
	link_close(&l);
}

/* A server that never lets us send, and makes us answer all the time, gets no memory for it. */
Test(tls, takes_nothing_more_while_its_answers_wait)
{
	struct link l;
	uint8_t buf[16000];
	int r = 0;

	memset(buf, 'x', sizeof(buf));
	link_open(&l, &(struct setup){ 0 });
	cr_assert_eq(shake(&l, false), 1);
	while (tls_write(l.tls, buf, sizeof(buf)) == 0)
		;
	cr_assert_eq(tls_failure(l.tls), TLS_FAIL_NONE);
	r = tls_feed(l.tls, buf, 1);
	cr_assert_eq(r, -ENOBUFS);
	link_close(&l);
}

Test(tls, fails_on_rubbish_and_stays_failed)
{
	struct link l;
	uint8_t rubbish[512];

	memset(rubbish, 'x', sizeof(rubbish));
	link_open(&l, &(struct setup){ 0 });
	cr_assert_eq(tls_handshake(l.tls), 0);
	cr_assert_eq(tls_feed(l.tls, rubbish, sizeof(rubbish)), 0);
	cr_assert_eq(tls_handshake(l.tls), -EPROTO);
	cr_assert_eq(tls_failure(l.tls), TLS_FAIL_PROTOCOL);
	cr_assert_eq(tls_feed(l.tls, rubbish, 1), -EPROTO);
	cr_assert_eq(tls_handshake(l.tls), -EPROTO);
	link_close(&l);
}

Test(tls, bounds_what_waits)
{
	struct link l;
	uint8_t zero[4096] = { 0 };
	int r = 0;

	link_open(&l, &(struct setup){ 0 });
	for (int i = 0; i < 64 && r == 0; i++)
		r = tls_feed(l.tls, zero, sizeof(zero));
	cr_assert_eq(r, -ENOBUFS);
	link_close(&l);
}

struct bad_config {
	const char *ca, *cert, *key, *password, *cipher, *profile, *groups, *crl;
	int min, max;
	const char *part;
};

static struct secret *text(const char *s)
{
	struct secret *ret = NULL;

	if (s)
		cr_assert_eq(secret_new_copy(&ret, s, strlen(s)), 0);
	return ret;
}

Test(tls, explains_a_configuration_that_cannot_work)
{
	struct secret *ca_pem = pki_cert_pem(&ca), *cert = pki_cert_pem(&client), *key = pki_key_pem(&client, NULL);
	struct secret *locked = pki_key_pem(&client, "sesame"), *foreign = pki_key_pem(&server, NULL);
	const char *ca_s = secret_string(ca_pem), *cert_s = secret_string(cert), *key_s = secret_string(key);
	const struct bad_config cases[] = {
		{ .part = "no `ca`" },
		{ .ca = "rubbish", .part = "`ca` holds no certificate" },
		{ .ca = ca_s, .cert = cert_s, .part = "no `key`" },
		{ .ca = ca_s, .key = key_s, .part = "no `cert`" },
		{ .ca = ca_s, .cert = "rubbish", .key = key_s, .part = "`cert` holds no readable certificate" },
		{ .ca = ca_s, .cert = cert_s, .key = "rubbish", .part = "`key` holds no readable private key" },
		{ .ca = ca_s, .cert = cert_s, .key = secret_string(foreign), .part = "do not belong together" },
		{ .ca = ca_s, .cert = cert_s, .key = secret_string(locked), .part = "is encrypted" },
		{ .ca = ca_s, .cert = cert_s, .key = secret_string(locked), .password = "wrong", .part = "password given" },
		{ .ca = ca_s, .cipher = "NOSUCH", .part = "tls-cipher" },
		{ .ca = ca_s, .profile = "best", .part = "tls-cert-profile" },
		{ .ca = ca_s, .groups = "nosuch", .part = "tls-groups" },
		{ .ca = ca_s, .crl = "rubbish", .part = "crl-verify" },
		{ .ca = ca_s, .max = TLS1_1_VERSION, .part = "tls-version-max" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct bad_config *c = &cases[i];
		struct secret *a = text(c->ca), *b = text(c->cert), *k = text(c->key), *pw = text(c->password);
		struct tls_params p = { .ca = a, .cert = b, .key = k, .key_password = pw, .cipher = c->cipher,
					.cert_profile = c->profile, .groups = c->groups, .crl = c->crl,
					.version_min = c->min, .version_max = c->max };
		struct tls_context *context = NULL;
		char *error = NULL;

		cr_expect_eq(tls_context_new(&context, &p, &error), -EINVAL, "case %zu", i);
		cr_expect(error && strstr(error, c->part), "case %zu: \"%s\"", i, error);
		cr_expect_null(context);
		free(error);
		secret_free(a);
		secret_free(b);
		secret_free(k);
		secret_free(pw);
	}
	secret_free(ca_pem);
	secret_free(cert);
	secret_free(key);
	secret_free(locked);
	secret_free(foreign);
}

Test(tls, takes_keys_of_every_kind)
{
	static const struct {
		const char *kind;
		unsigned rsa;
	} kinds[] = { { NULL, 0 }, { NULL, 2048 }, { "ED25519", 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct pki top = pki_make(&(struct pki_spec){ .cn = "Top", .use = PKI_USE_CA, .kind = kinds[i].kind,
							      .rsa_bits = kinds[i].rsa }, NULL);
		struct pki srv = pki_make(&(struct pki_spec){ .cn = "vpn.example.net", .use = PKI_USE_SERVER,
							      .kind = kinds[i].kind, .rsa_bits = kinds[i].rsa }, &top);
		struct pki cli = pki_make(&(struct pki_spec){ .cn = "me", .use = PKI_USE_CLIENT, .kind = kinds[i].kind,
							      .rsa_bits = kinds[i].rsa }, &top);
		struct secret *pem = pki_cert_pem(&top), *cert = pki_cert_pem(&cli), *pw = text("sesame");
		struct secret *key = pki_key_pem(&cli, "sesame");
		char *crl = kinds[i].kind ? NULL : pki_crl_pem(&top, &cli, PKI_NOW + PKI_DAY);

		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
			expect_success(&(struct setup){ .server_cert = &srv, .client_ca = &top, .server_min = version,
							.server_max = version,
							.params = { .ca = pem, .cert = cert, .key = key, .key_password = pw,
								    .crl = crl, .require_server_cert = true } }, false);
		expect_failure(&(struct setup){ .server_cert = &srv }, TLS_FAIL_CA, "`ca`");
		pki_done(&top);
		pki_done(&srv);
		pki_done(&cli);
		secret_free(pem);
		secret_free(cert);
		secret_free(key);
		secret_free(pw);
		free(crl);
	}
}

static struct fingerprint fingerprint_of(const struct pki *p, const EVP_MD *md)
{
	struct fingerprint f = { 0 };
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	cr_assert_eq(X509_digest(p->cert, md, hash, &len), 1);
	f.len = (uint8_t)len;
	memcpy(f.hash, hash, len);
	return f;
}

Test(tls, knows_a_server_by_its_fingerprint_alone)
{
	struct pki self = pki_make(&(struct pki_spec){ .cn = "vpn.example.net", .use = PKI_USE_PLAIN,
						       .until = PKI_NOW - PKI_DAY }, NULL);
	struct fingerprint pins[] = { fingerprint_of(&client, EVP_sha256()), fingerprint_of(&self, EVP_sha256()) };
	struct tls_context *context = NULL;
	char *error = NULL;

	/* self-signed, expired, of no use in particular: it is the one */
	expect_success(&(struct setup){ .server_cert = &self, .no_ca = true, .params = { .pins = pins, .n_pins = 2 } }, false);
	expect_success(&(struct setup){ .server_cert = &self, .no_ca = true, .server_max = TLS1_2_VERSION,
					.params = { .pins = pins + 1, .n_pins = 1 } }, false);
	/* and another is not, whoever signed it */
	expect_failure(&(struct setup){ .no_ca = true, .params = { .pins = pins, .n_pins = 2 } }, TLS_FAIL_NAME,
		       "peer-fingerprint");
	expect_failure(&(struct setup){ .server_cert = &self, .no_ca = true, .params = { .pins = pins, .n_pins = 1 } },
		       TLS_FAIL_NAME, "its SHA256 fingerprint is ");
	/* what else the profile asks for is asked for, too */
	expect_failure(&(struct setup){ .server_cert = &self, .no_ca = true,
					.params = { .pins = pins, .n_pins = 2, .name_check = TLS_NAME_NAME, .name = "other" } },
		       TLS_FAIL_NAME, "verify-x509-name");
	expect_failure(&(struct setup){ .server_cert = &self, .no_ca = true,
					.params = { .pins = pins, .n_pins = 2, .require_server_cert = true } },
		       TLS_FAIL_PURPOSE, "remote-cert-tls");
	for (size_t bit = 0; bit < 256; bit += 5) {
		struct fingerprint wrong = pins[1];

		wrong.hash[bit / 8] ^= (uint8_t)(1 << bit % 8);
		expect_failure(&(struct setup){ .server_cert = &self, .no_ca = true, .params = { .pins = &wrong, .n_pins = 1 } },
			       TLS_FAIL_NAME, "peer-fingerprint");
	}
	cr_assert_eq(tls_context_new(&context, &(struct tls_params){ 0 }, &error), -EINVAL, "neither ca nor fingerprint");
	free(error);
	pki_done(&self);
}

Test(tls, a_fingerprint_comes_on_top_of_the_authority)
{
	struct fingerprint good = fingerprint_of(&server, EVP_sha256()), bad = fingerprint_of(&client, EVP_sha256());
	struct secret *other = pki_cert_pem(&other_ca);

	expect_success(&(struct setup){ .params = { .pins = &good, .n_pins = 1 } }, false);
	expect_failure(&(struct setup){ .params = { .pins = &bad, .n_pins = 1 } }, TLS_FAIL_NAME, "peer-fingerprint");
	expect_failure(&(struct setup){ .params = { .ca = other, .pins = &good, .n_pins = 1 } }, TLS_FAIL_CA, "`ca`");
	expect_failure(&(struct setup){ .now = PKI_NOW + 31 * PKI_DAY, .params = { .pins = &good, .n_pins = 1 } },
		       TLS_FAIL_EXPIRED, "expired");
	secret_free(other);
}

Test(tls, the_issuers_fingerprint)
{
	struct fingerprint good[] = { fingerprint_of(&ca, EVP_sha256()), fingerprint_of(&ca, EVP_sha1()) };
	struct fingerprint bad = fingerprint_of(&server, EVP_sha256());
	struct pki self = pki_make(&(struct pki_spec){ .cn = "vpn.example.net", .use = PKI_USE_SERVER }, NULL);
	struct fingerprint of_self = fingerprint_of(&self, EVP_sha256());

	for (size_t i = 0; i < 2; i++)
		expect_success(&(struct setup){ .params = { .ca_pins = &good[i], .n_ca_pins = 1 } }, false);
	expect_failure(&(struct setup){ .params = { .ca_pins = &bad, .n_ca_pins = 1 } }, TLS_FAIL_CA, "verify-hash");
	/* one certificate alone has no issuer beside it */
	expect_failure(&(struct setup){ .server_cert = &self, .no_ca = true,
					.params = { .pins = &of_self, .n_pins = 1, .ca_pins = &of_self, .n_ca_pins = 1 } },
		       TLS_FAIL_CA, "verify-hash");
	pki_done(&self);
}

Test(tls, uses_of_the_servers_key)
{
	static const uint16_t has[] = { 0x80 }, other[] = { 0x04, 0x21 };

	expect_success(&(struct setup){ .params = { .require_ku = true, .ku = has, .n_ku = 1, .eku = "serverAuth" } }, false);
	expect_failure(&(struct setup){ .params = { .require_ku = true, .ku = other, .n_ku = 2 } }, TLS_FAIL_PURPOSE,
		       "remote-cert-ku");
	expect_failure(&(struct setup){ .params = { .eku = "TLS Web Client Authentication" } }, TLS_FAIL_PURPOSE,
		       "lacks \"TLS Web Client Authentication\"");
}

Test(tls, opens_encrypted_keys_and_pkcs12)
{
	struct secret *cert = pki_cert_pem(&client), *key = pki_key_pem(&client, "sesame"), *pw = text("sesame");
	struct secret *p12 = pki_pkcs12(&client, &ca, "sesame"), *wrong = text("wrong");
	struct tls_context *context = NULL;
	char *error = NULL;

	expect_success(&(struct setup){ .client_ca = &ca, .params = { .cert = cert, .key = key, .key_password = pw } }, false);
	expect_success(&(struct setup){ .client_ca = &ca, .params = { .pkcs12 = p12, .key_password = pw } }, false);
	cr_assert_eq(tls_context_new(&context, &(struct tls_params){ .pkcs12 = p12, .key_password = wrong }, &error), -EINVAL);
	cr_assert(strstr(error, "pkcs12"));
	free(error);
	secret_free(cert);
	secret_free(key);
	secret_free(pw);
	secret_free(p12);
	secret_free(wrong);
}

/* As tools of ten years ago wrote it: RC2 for the certificates, which only OpenSSL's legacy provider still reads. */
static struct secret *old_pkcs12(bool with_key)
{
	OSSL_LIB_CTX *lib = OSSL_LIB_CTX_new();
	OSSL_PROVIDER *legacy = OSSL_PROVIDER_load(lib, "legacy"), *base = OSSL_PROVIDER_load(lib, "default");
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct secret *ret = NULL;
	uint8_t *der = NULL;
	PKCS12 *p12;
	int len;

	cr_assert(legacy && base && sk_X509_push(chain, ca.cert) > 0);
	p12 = PKCS12_create_ex("sesame", "old", with_key ? client.key : NULL, with_key ? client.cert : NULL, chain,
			       NID_pbe_WithSHA1And3_Key_TripleDES_CBC, NID_pbe_WithSHA1And40BitRC2_CBC, 0, 0, 0, lib, NULL);
	cr_assert_not_null(p12);
	len = i2d_PKCS12(p12, &der);
	cr_assert_gt(len, 0);
	cr_assert_eq(secret_new_copy(&ret, der, (size_t)len), 0);
	OPENSSL_free(der);
	PKCS12_free(p12);
	sk_X509_free(chain);
	OSSL_PROVIDER_unload(legacy);
	OSSL_PROVIDER_unload(base);
	OSSL_LIB_CTX_free(lib);
	return ret;
}

Test(tls, opens_pkcs12_of_old_tools)
{
	struct secret *whole = old_pkcs12(true), *keyless = old_pkcs12(false), *pw = text("sesame");
	struct tls_context *context = NULL;
	char *error = NULL;

	expect_success(&(struct setup){ .client_ca = &ca, .params = { .pkcs12 = whole, .key_password = pw } }, false);
	cr_assert_eq(tls_context_new(&context, &(struct tls_params){ .pkcs12 = keyless, .key_password = pw }, &error), -EINVAL);
	cr_assert(strstr(error, "lacks the client's certificate"), "%s", error);
	free(error);
	secret_free(whole);
	secret_free(keyless);
	secret_free(pw);
}

/* ---- the system's configuration of OpenSSL ---- */

/* In a process of its own, where libcrypto has not been used: does a file named by the environment decide anything? */
static bool configuration_counts(const char *file, bool (*init)(void))
{
	pid_t pid;
	int status;

	cr_assert_geq(pid = fork(), 0);
	if (pid == 0) {
		SSL_CTX *ctx;

		(void)setenv("OPENSSL_CONF", file, 1);
		ctx = init() ? SSL_CTX_new(TLS_client_method()) : NULL;
		_exit(!ctx ? 2 : SSL_CTX_get_max_proto_version(ctx) == TLS1_2_VERSION);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2, "status %x", (unsigned)status);
	return WEXITSTATUS(status) == 1;
}

static bool as_others_do(void)
{
	return OPENSSL_init_ssl(0, NULL) == 1;
}

static bool as_we_do(void)
{
	return tls_init() == 0;
}

Test(tls_configuration, no_file_of_openssl_is_read)
{
	static const char text[] = "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = d\n[d]\nMaxProtocol = TLSv1.2\n";
	char file[] = "/tmp/nsvpn-test-XXXXXX";
	int fd = mkstemp(file);
	bool others, we;

	cr_assert_geq(fd, 0);
	cr_assert_eq(fd_write_full(fd, text, sizeof(text) - 1), 0);
	(void)close(fd);
	others = configuration_counts(file, as_others_do);
	we = configuration_counts(file, as_we_do);
	(void)unlink(file);
	cr_assert(others, "the test shows nothing: OpenSSL does not read the file at all");
	cr_assert_not(we);
}
