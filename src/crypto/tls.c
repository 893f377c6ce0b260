/*
 * TLS client over memory BIOs: the pump.
 *
 * Theory
 *
 * The control channel of OpenVPN carries one TLS session per data key. Its bytes come from the reliability layer and go
 * back there, so OpenSSL sees two memory BIOs and no descriptor. Each session is a full handshake: no tickets, no
 * resumption, no renegotiation, no compression; the chain is verified anew each time, against the store made from the
 * profile and nothing else. What waits in a BIO is bounded in both directions.
 */
#include "crypto/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/tls-internal.h"

/* Ciphertext that may wait in a session; OpenSSL itself takes at most 100 KiB of certificates. */
#define IN_MAX (128 * 1024)
#define OUT_MAX (128 * 1024)

int tls_init(void)
{
	return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ? 0 : -ENOMEM;
}

struct tls *tls_free(struct tls *t)
{
	if (!t)
		return NULL;
	SSL_free(t->ssl); /* and both BIOs */
	free(t);
	return NULL;
}

int tls_new(struct tls **ret, struct tls_context *c, int64_t realtime)
{
	_cleanup_(tls_freep) struct tls *t = NULL;

	ERR_clear_error();
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->context = c;
	t->realtime = realtime;
	t->alert = -1;
	t->ssl = SSL_new(c->ctx);
	if (!t->ssl)
		return -ENOMEM;
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (!t->in || !t->out) {
		(void)BIO_free(t->in); /* memory BIOs: cannot fail */
		(void)BIO_free(t->out);
		return -ENOMEM;
	}
	SSL_set_bio(t->ssl, t->in, t->out);
	if (SSL_set_app_data(t->ssl, t) != 1)
		return -ENOMEM;
	X509_VERIFY_PARAM_set_time(SSL_get0_param(t->ssl), (time_t)realtime);
	SSL_set_connect_state(t->ssl);
	*ret = TAKE_PTR(t);
	return 0;
}

int tls_feed(struct tls *t, const void *p, size_t len)
{
	if (t->fail != TLS_FAIL_NONE)
		return -EPROTO;
	if (len == 0)
		return 0;
	if (len > IN_MAX || BIO_ctrl_pending(t->in) > IN_MAX - len || tls_pending(t) > OUT_MAX)
		return -ENOBUFS;
	ERR_clear_error();
	if (BIO_write(t->in, p, (int)len) != (int)len) {
		tls_reason_set(t, TLS_FAIL_MEMORY, "out of memory in TLS");
		return -EPROTO;
	}
	return 0;
}

size_t tls_pending(const struct tls *t)
{
	return BIO_ctrl_pending(t->out);
}

size_t tls_drain(struct tls *t, void *buf, size_t cap)
{
	int n;

	if (cap == 0 || tls_pending(t) == 0)
		return 0;
	n = BIO_read(t->out, buf, (int)MIN(cap, (size_t)INT_MAX));
	return n > 0 ? (size_t)n : 0;
}

int tls_handshake(struct tls *t)
{
	int r;

	if (t->fail != TLS_FAIL_NONE)
		return -EPROTO;
	if (t->established)
		return 1;
	ERR_clear_error();
	r = SSL_do_handshake(t->ssl);
	if (r == 1 && !t->leaf_checked) {
		tls_reason_set(t, TLS_FAIL_CERT, "the server showed no certificate; this profile's `tls-cipher` must not allow that");
		return -EPROTO;
	}
	if (r == 1) {
		t->established = true;
		return 1;
	}
	r = SSL_get_error(t->ssl, r);
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE)
		return 0;
	tls_reason_from_openssl(t);
	return -EPROTO;
}

bool tls_is_established(const struct tls *t)
{
	return t->established && t->fail == TLS_FAIL_NONE;
}

ssize_t tls_read(struct tls *t, void *buf, size_t cap)
{
	int r = tls_handshake(t);

	if (r <= 0)
		return r;
	ERR_clear_error();
	r = SSL_read(t->ssl, buf, (int)MIN(cap, (size_t)INT_MAX));
	if (r > 0)
		return r;
	r = SSL_get_error(t->ssl, r);
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE)
		return 0;
	if (r == SSL_ERROR_ZERO_RETURN)
		tls_reason_set(t, TLS_FAIL_CLOSED, "the server closed the TLS session");
	tls_reason_from_openssl(t);
	return -EPROTO;
}

int tls_write(struct tls *t, const void *p, size_t len)
{
	if (t->fail != TLS_FAIL_NONE)
		return -EPROTO;
	if (!t->established)
		return -EAGAIN;
	if (len == 0 || len > SSL3_RT_MAX_PLAIN_LENGTH || tls_pending(t) > OUT_MAX)
		return -EPROTO;
	ERR_clear_error();
	if (SSL_write(t->ssl, p, (int)len) != (int)len) {
		tls_reason_from_openssl(t);
		return -EPROTO;
	}
	return 0;
}

int tls_export(struct tls *t, const char *label, void *out, size_t len)
{
	if (!tls_is_established(t))
		return -EPROTO;
	ERR_clear_error();
	if (SSL_export_keying_material(t->ssl, out, len, label, strlen(label), NULL, 0, 0) != 1) {
		ERR_clear_error();
		return -EPROTO;
	}
	return 0;
}

enum tls_fail tls_failure(const struct tls *t)
{
	return t->fail;
}

const char *tls_failure_text(const struct tls *t)
{
	return t->text;
}

char *tls_describe(const struct tls *t, char *buf, size_t cap)
{
	char name[TLS_NAME_SHOWN_MAX + 8];
	X509 *peer;

	if (cap)
		buf[0] = 0;
	if (!t->established)
		return buf;
	peer = SSL_get0_peer_certificate(t->ssl);
	(void)snprintf(buf, cap, "%s, %s, server \"%s\"", SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl),
		       tls_reason_name(peer ? X509_get_subject_name(peer) : NULL, name, sizeof(name)));
	return buf;
}
