/*
 * What the parts of the TLS client share: tls.c moves bytes, tls-context.c makes the context, tls-credentials.c loads our
 * certificate and key into it, tls-reason.c judges the server's certificate and knows why something failed.
 */
#pragma once

#include <openssl/ssl.h>

#include "crypto/tls.h"
#include "crypto/x509.h"

#define TLS_NAME_SHOWN_MAX 120

struct tls_context {
	SSL_CTX *ctx;
	bool require_server_cert;
	enum x509_check check;
	char *name, *eku;
	bool require_ku;
	uint16_t *ku;
	size_t n_ku;
	struct fingerprint *pins, *ca_pins;
	size_t n_pins, n_ca_pins;
	bool pins_only; /* no authority: the server's fingerprint is all there is */
	int version_min;
};

struct tls {
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	struct tls_context *context;
	int64_t realtime;
	bool established;
	bool issuer_checked; /* against ca_pins */
	bool leaf_checked; /* verify_callback() has seen and accepted the server's own certificate */
	enum tls_fail fail;
	int alert; /* received, -1: none; a fatal one replaces a warning */
	char text[TLS_TEXT_MAX];
};

/* ---- tls-reason.c */

/* The first failure; later ones change nothing. */
void tls_reason_set(struct tls *t, enum tls_fail fail, const char *fmt, ...) _printf_(3, 4);
/* The server's alert, or OpenSSL's own reason, as failure. Empties OpenSSL's error queue. */
void tls_reason_from_openssl(struct tls *t);
/* A name for people: escaped and bounded, "?" instead of nothing. buf of TLS_NAME_SHOWN_MAX + 8. Returns buf. */
const char *tls_reason_name(const X509_NAME *name, char *buf, size_t cap);
/* OpenSSL's callbacks: judge each certificate of the chain; remember the server's alerts. */
int tls_reason_verify(int ok, X509_STORE_CTX *sctx);
void tls_reason_info(const SSL *ssl, int where, int ret);

/* ---- tls-context.c */

/* -EINVAL with the sentence in *ret_error, or -ENOMEM. Empties OpenSSL's error queue. */
int tls_context_error(char **ret_error, const char *fmt, ...) _printf_(2, 3);
const char *tls_context_why(void); /* OpenSSL's last reason in words */

/* ---- tls-credentials.c */

/*
 * Our certificate, key and chain; nothing when the profile has none. *ret_ca: the authorities of a PKCS#12 file, to be
 * freed, or NULL. 0, -EINVAL with a sentence, -ENOMEM.
 */
int tls_credentials_load(SSL_CTX *ctx, const struct tls_params *p, STACK_OF(X509) **ret_ca, char **ret_error);
/* Gives OpenSSL the password of a key; userdata is a secret or NULL. Nobody is ever asked on a terminal. */
int tls_credentials_password(char *buf, int size, int rwflag, void *userdata);
