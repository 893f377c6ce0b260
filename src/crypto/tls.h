/*
 * A TLS client without sockets: ciphertext is fed in and drained out, plaintext is read and written. Certificates,
 * keys and lists come from memory; the only trust anchors are the ones given. When it fails, it knows exactly why and
 * says so in one sentence.
 */
#pragma once

#include <sys/types.h>

#include "base/fingerprint.h"
#include "base/macro.h"
#include "base/secret.h"

enum tls_fail {
	TLS_FAIL_NONE,
	TLS_FAIL_CONFIG,        /* our certificate, key or lists cannot be used */
	TLS_FAIL_CA,            /* chain does not end in the given ca */
	TLS_FAIL_EXPIRED,
	TLS_FAIL_NOT_YET_VALID,
	TLS_FAIL_PURPOSE,       /* not a server's certificate */
	TLS_FAIL_NAME,          /* not the expected name or fingerprint */
	TLS_FAIL_REVOKED,
	TLS_FAIL_CRL,           /* the revocation list itself is unusable */
	TLS_FAIL_WEAK,          /* key or signature below the security level */
	TLS_FAIL_CERT,          /* any other defect of the server's certificate */
	TLS_FAIL_REJECTED,      /* the server's alert: it does not accept our certificate */
	TLS_FAIL_ALERT,         /* any other alert of the server */
	TLS_FAIL_VERSION,       /* no TLS version in common */
	TLS_FAIL_PROTOCOL,      /* what came is not TLS, or not acceptable */
	TLS_FAIL_CLOSED,        /* the server closed TLS */
	TLS_FAIL_MEMORY,
	_TLS_FAIL_MAX,
};
const char *tls_fail_to_string(enum tls_fail f);

enum tls_name_check { TLS_NAME_NONE, TLS_NAME_SUBJECT, TLS_NAME_NAME, TLS_NAME_NAME_PREFIX };

/* Borrowed during tls_context_new() only; unset fields are NULL or 0. */
struct tls_params {
	const struct secret *ca, *cert, *key, *extra_certs; /* PEM */
	const struct secret *pkcs12;                        /* DER; its CA counts when `ca` is absent */
	const struct secret *key_password;
	const char *crl;                                    /* PEM */
	const char *cipher;       /* IANA names with dashes, or an OpenSSL list */
	const char *ciphersuites; /* TLS 1.3 */
	const char *groups;
	const char *cert_profile; /* insecure, legacy (default), preferred, suiteb */
	int version_min, version_max; /* 0x0301..0x0304; 0: 1.2 and the highest there is */
	bool require_server_cert; /* key usage and extended key usage serverAuth must be present */
	enum tls_name_check name_check;
	const char *name;
	const char *eku;          /* extended key usage that must be there: OpenSSL's name or dotted numbers */
	bool require_ku;          /* key usage must be there, and be ... */
	const uint16_t *ku;       /* ... one of these sets of bits, if there are any */
	size_t n_ku;
	/* Fingerprints: of the server's certificate, for which then nobody else needs to vouch (no ca), and of its issuer. */
	const struct fingerprint *pins, *ca_pins;
	size_t n_pins, n_ca_pins;
};

struct tls_context; /* certificates, keys, lists: made once, good for many sessions */
struct tls;         /* one TLS session */

#define TLS_TEXT_MAX 448

/*
 * Initialises OpenSSL without its configuration file. Must run before any other use of OpenSSL in the process to have
 * that effect; tls_context_new() calls it too. 0 or -ENOMEM.
 */
int tls_init(void);

/* 0; -EINVAL with a malloc'ed sentence that names the option; -ENOMEM. */
int tls_context_new(struct tls_context **ret, const struct tls_params *params, char **ret_error);
struct tls_context *tls_context_free(struct tls_context *c);

/* `realtime`: seconds since the epoch at which certificates are judged. The context must outlive the session. */
int tls_new(struct tls **ret, struct tls_context *c, int64_t realtime);
struct tls *tls_free(struct tls *t);

/*
 * Ciphertext from the server; 0; -ENOBUFS: more than a handshake can need waits unread, or is not drained; -EPROTO after a
 * failure.
 */
int tls_feed(struct tls *t, const void *p, size_t len);
/* Ciphertext for the server: copies up to cap bytes, returns how many (0: nothing to send). */
size_t tls_drain(struct tls *t, void *buf, size_t cap);
size_t tls_pending(const struct tls *t);

/* Moves the handshake on. 1: established; 0: needs more input; -EPROTO: failed for good, see tls_failure(). */
int tls_handshake(struct tls *t);
bool tls_is_established(const struct tls *t);
/* Plaintext. > 0 bytes; 0: nothing now; -EPROTO: failed or closed. The caller wipes buf where it holds secrets. */
ssize_t tls_read(struct tls *t, void *buf, size_t cap);
/* All of it as one record (len <= 16384) or nothing: 0, -EAGAIN before the handshake is over, -EPROTO. */
int tls_write(struct tls *t, const void *p, size_t len);
/* RFC 5705 exporter without context. 0 or -EPROTO. */
int tls_export(struct tls *t, const char *label, void *out, size_t len);

/* The first failure; later ones do not replace it. The text is borrowed, clean and without full stop. */
enum tls_fail tls_failure(const struct tls *t);
const char *tls_failure_text(const struct tls *t);
/* "TLSv1.3, TLS_AES_256_GCM_SHA384, server CN=…" for the log, or "" before the handshake. Fills and returns buf. */
char *tls_describe(const struct tls *t, char *buf, size_t cap);

DEFINE_CLEANUP(struct tls_context *, tls_context_free)
DEFINE_CLEANUP(struct tls *, tls_free)
