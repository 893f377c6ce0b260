/*
 * TLS client over memory BIOs.
 *
 * Theory
 *
 * The control channel of OpenVPN carries one TLS session per data key. Its bytes come from the reliability layer and go
 * back there, so OpenSSL sees two memory BIOs and no descriptor. Each session is a full handshake: no tickets, no
 * resumption, no renegotiation, no compression; the chain is verified anew each time, against the store made from the
 * profile and nothing else (no default paths, no system store, no openssl.cnf).
 *
 * The checks on the server's certificate run in verify_callback(), inside the handshake: a server that fails them never
 * sees our certificate's proof, a user name or a password. Order: chain and signature strength, purpose, revocation,
 * time, then remote-cert-tls and the name on the leaf. The first failure is kept as enum and sentence; alerts that
 * the server sends are kept by info_callback(), since OpenSSL reports them only as one of many error codes.
 */
#include "crypto/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "crypto/x509.h"

/* Ciphertext that may wait in a session; OpenSSL itself takes at most 100 KiB of certificates. */
#define IN_MAX (128 * 1024)
#define OUT_MAX (128 * 1024)
#define NAME_SHOWN_MAX 120
#define LIST_MAX 4096

struct tls_context {
	SSL_CTX *ctx;
	bool require_server_cert;
	enum x509_check check;
	char *name;
	int version_min;
};

struct tls {
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	struct tls_context *context;
	int64_t realtime;
	bool established;
	bool leaf_checked; /* verify_callback() has seen and accepted the server's own certificate */
	enum tls_fail fail;
	int alert; /* received, -1: none; a fatal one replaces a warning */
	char text[TLS_TEXT_MAX];
};

static const char *const fail_names[] = {
	[TLS_FAIL_NONE] = "none",
	[TLS_FAIL_CONFIG] = "config",
	[TLS_FAIL_CA] = "ca",
	[TLS_FAIL_EXPIRED] = "expired",
	[TLS_FAIL_NOT_YET_VALID] = "not-yet-valid",
	[TLS_FAIL_PURPOSE] = "purpose",
	[TLS_FAIL_NAME] = "name",
	[TLS_FAIL_REVOKED] = "revoked",
	[TLS_FAIL_CRL] = "crl",
	[TLS_FAIL_WEAK] = "weak",
	[TLS_FAIL_CERT] = "cert",
	[TLS_FAIL_REJECTED] = "rejected",
	[TLS_FAIL_ALERT] = "alert",
	[TLS_FAIL_VERSION] = "version",
	[TLS_FAIL_PROTOCOL] = "protocol",
	[TLS_FAIL_CLOSED] = "closed",
	[TLS_FAIL_MEMORY] = "memory",
};
static_assert(ARRAY_SIZE(fail_names) == _TLS_FAIL_MAX, "a name for each failure");

const char *tls_fail_to_string(enum tls_fail f)
{
	return (unsigned)f < _TLS_FAIL_MAX ? fail_names[f] : "unknown";
}

int tls_init(void)
{
	return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ? 0 : -ENOMEM;
}

/* ---- failures ---- */

_printf_(3, 4) static void fail_set(struct tls *t, enum tls_fail fail, const char *fmt, ...)
{
	va_list ap;

	if (t->fail != TLS_FAIL_NONE)
		return;
	t->fail = fail;
	va_start(ap, fmt);
	(void)vsnprintf(t->text, sizeof(t->text), fmt, ap); /* a cut sentence is still one */
	va_end(ap);
}

/* Escaped and bounded; "?" instead of nothing. buf of NAME_SHOWN_MAX + 8. */
static const char *shown_name(const X509_NAME *name, char *buf, size_t cap)
{
	_cleanup_(freep) char *raw = NULL, *esc = NULL;

	if (name && x509_name_format(name, &raw) == 0)
		esc = str_escape(raw, strlen(raw), NAME_SHOWN_MAX);
	(void)str_copy(buf, cap, esc ? esc : "?");
	return buf;
}

struct verify_error {
	int error;
	enum tls_fail fail;
};

static const struct verify_error verify_errors[] = {
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, TLS_FAIL_CA },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, TLS_FAIL_CA },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, TLS_FAIL_CA },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, TLS_FAIL_CA },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, TLS_FAIL_CA },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, TLS_FAIL_CA },
	{ X509_V_ERR_CERT_UNTRUSTED, TLS_FAIL_CA },
	{ X509_V_ERR_CERT_HAS_EXPIRED, TLS_FAIL_EXPIRED },
	{ X509_V_ERR_CERT_NOT_YET_VALID, TLS_FAIL_NOT_YET_VALID },
	{ X509_V_ERR_INVALID_PURPOSE, TLS_FAIL_PURPOSE },
	{ X509_V_ERR_CERT_REVOKED, TLS_FAIL_REVOKED },
	{ X509_V_ERR_UNABLE_TO_GET_CRL, TLS_FAIL_CRL },
	{ X509_V_ERR_CRL_HAS_EXPIRED, TLS_FAIL_CRL },
	{ X509_V_ERR_CRL_NOT_YET_VALID, TLS_FAIL_CRL },
	{ X509_V_ERR_CRL_SIGNATURE_FAILURE, TLS_FAIL_CRL },
	{ X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, TLS_FAIL_CRL },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, TLS_FAIL_WEAK },
	{ X509_V_ERR_CA_KEY_TOO_SMALL, TLS_FAIL_WEAK },
	{ X509_V_ERR_CA_MD_TOO_WEAK, TLS_FAIL_WEAK },
};

static enum tls_fail verify_error_class(int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(verify_errors); i++)
		if (verify_errors[i].error == error)
			return verify_errors[i].fail;
	return error == X509_V_ERR_OUT_OF_MEM ? TLS_FAIL_MEMORY : TLS_FAIL_CERT;
}

static void explain_time(struct tls *t, enum tls_fail fail, const X509 *cert, const char *subject, bool leaf)
{
	char date[40], now[40];
	ASN1_TIME *asn = ASN1_TIME_set(NULL, (time_t)t->realtime);

	(void)x509_time_format(asn, now, sizeof(now));
	ASN1_TIME_free(asn);
	if (fail == TLS_FAIL_EXPIRED)
		fail_set(t, fail,
			 "the %s \"%s\" expired on %s (this machine's clock says %s): its operator must renew it, unless the clock is wrong",
			 leaf ? "server's certificate" : "certificate authority", subject,
			 x509_time_format(X509_get0_notAfter(cert), date, sizeof(date)), now);
	else
		fail_set(t, fail,
			 "the %s \"%s\" is valid only from %s on, and this machine's clock says %s: set the clock",
			 leaf ? "server's certificate" : "certificate authority", subject,
			 x509_time_format(X509_get0_notBefore(cert), date, sizeof(date)), now);
}

static void explain_verify(struct tls *t, X509_STORE_CTX *sctx, int error)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(sctx), *current = X509_STORE_CTX_get_current_cert(sctx);
	char leaf_name[NAME_SHOWN_MAX + 8], name[NAME_SHOWN_MAX + 8], issuer[NAME_SHOWN_MAX + 8];
	enum tls_fail fail = verify_error_class(error);
	const char *why = X509_verify_cert_error_string(error);

	if (!current)
		current = leaf;
	(void)shown_name(leaf ? X509_get_subject_name(leaf) : NULL, leaf_name, sizeof(leaf_name));
	(void)shown_name(current ? X509_get_subject_name(current) : NULL, name, sizeof(name));
	(void)shown_name(current ? X509_get_issuer_name(current) : NULL, issuer, sizeof(issuer));

	switch (fail) {
	case TLS_FAIL_CA:
		fail_set(t, fail,
			 "the server's certificate \"%s\" comes from the authority \"%s\", which the `ca` of this profile does not vouch for: wrong `ca`, wrong server, or somebody in between",
			 leaf_name, issuer);
		return;
	case TLS_FAIL_EXPIRED:
	case TLS_FAIL_NOT_YET_VALID:
		if (current) {
			explain_time(t, fail, current, name, current == leaf);
			return;
		}
		break;
	case TLS_FAIL_PURPOSE:
		fail_set(t, fail,
			 "the other side showed \"%s\", which is not a server's certificate (its extended key usage lacks serverAuth): a client may be posing as the server",
			 name);
		return;
	case TLS_FAIL_REVOKED:
		fail_set(t, fail, "the server's certificate \"%s\" was revoked (by the list in `crl-verify`)", name);
		return;
	case TLS_FAIL_CRL:
		fail_set(t, fail, "the revocation list in `crl-verify` cannot be used for \"%s\": %s; get a current one",
			 name, why);
		return;
	case TLS_FAIL_WEAK:
		fail_set(t, fail,
			 "the certificate \"%s\" is too weak (%s); `tls-cert-profile insecure` would accept it, at your own risk",
			 name, why);
		return;
	case TLS_FAIL_NONE:
	case TLS_FAIL_CONFIG:
	case TLS_FAIL_NAME:
	case TLS_FAIL_CERT:
	case TLS_FAIL_REJECTED:
	case TLS_FAIL_ALERT:
	case TLS_FAIL_VERSION:
	case TLS_FAIL_PROTOCOL:
	case TLS_FAIL_CLOSED:
	case TLS_FAIL_MEMORY:
	case _TLS_FAIL_MAX:
		break;
	}
	fail_set(t, fail, "the server's certificate \"%s\" was not accepted: %s", leaf_name, why);
}

/* remote-cert-tls and verify-x509-name, on a leaf whose chain is already good. */
static bool check_leaf(struct tls *t, X509 *leaf)
{
	const struct tls_context *c = t->context;
	_cleanup_(freep) char *why = NULL;
	char name[NAME_SHOWN_MAX + 8];
	int r = 0;

	(void)shown_name(X509_get_subject_name(leaf), name, sizeof(name));
	if (c->require_server_cert)
		r = x509_check_server(leaf, &why);
	if (r < 0) {
		fail_set(t, r == -ENOMEM ? TLS_FAIL_MEMORY : TLS_FAIL_PURPOSE,
			 "the server's certificate \"%s\" fails `remote-cert-tls server`: %s", name,
			 why ? why : "out of memory");
		return false;
	}
	r = x509_check_name(leaf, c->check, c->name, &why);
	if (r < 0) {
		fail_set(t, r == -ENOMEM ? TLS_FAIL_MEMORY : TLS_FAIL_NAME,
			 "the server's certificate \"%s\" fails `verify-x509-name`: %s", name,
			 why ? why : "out of memory");
		return false;
	}
	return true;
}

static int verify_callback(int ok, X509_STORE_CTX *sctx)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(sctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = ssl ? SSL_get_app_data(ssl) : NULL;
	int depth = X509_STORE_CTX_get_error_depth(sctx), error = X509_STORE_CTX_get_error(sctx);
	X509 *leaf = X509_STORE_CTX_get0_cert(sctx);

	if (!t || !leaf)
		return 0;
	if (!ok && error == X509_V_ERR_UNABLE_TO_GET_CRL && depth > 0) {
		/* A list for the leaf's issuer is required; for the authorities above it, optional. */
		X509_STORE_CTX_set_error(sctx, X509_V_OK);
		return 1;
	}
	if (!ok) {
		explain_verify(t, sctx, error);
		return 0;
	}
	if (depth == 0 && !check_leaf(t, leaf)) {
		X509_STORE_CTX_set_error(sctx, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	t->leaf_checked |= depth == 0;
	return 1;
}

struct alert_text {
	int alert;
	enum tls_fail fail;
	const char *text;
};

#define REJECTED "the server rejected our certificate: "

static const struct alert_text alert_texts[] = {
	{ SSL_AD_UNKNOWN_CA, TLS_FAIL_REJECTED,
	  REJECTED "it does not know the authority that issued it (alert \"unknown ca\"); check `cert`" },
	{ SSL_AD_CERTIFICATE_EXPIRED, TLS_FAIL_REJECTED,
	  REJECTED "it has expired (alert \"certificate expired\"); get a new `cert`" },
	{ SSL_AD_CERTIFICATE_REVOKED, TLS_FAIL_REJECTED,
	  REJECTED "it was revoked (alert \"certificate revoked\"); get a new `cert`" },
	{ SSL_AD_BAD_CERTIFICATE, TLS_FAIL_REJECTED,
	  REJECTED "it finds it faulty (alert \"bad certificate\"); check `cert`" },
	{ SSL_AD_UNSUPPORTED_CERTIFICATE, TLS_FAIL_REJECTED,
	  REJECTED "it is of the wrong kind, for instance not a client's (alert \"unsupported certificate\")" },
	{ SSL_AD_CERTIFICATE_UNKNOWN, TLS_FAIL_REJECTED,
	  REJECTED "it gives no reason (alert \"certificate unknown\"); check `cert`" },
	{ SSL_AD_ACCESS_DENIED, TLS_FAIL_REJECTED,
	  REJECTED "access is denied to it (alert \"access denied\")" },
	{ SSL_AD_CERTIFICATE_REQUIRED, TLS_FAIL_REJECTED,
	  "the server wants a client certificate and the profile has none (alert \"certificate required\"); add `cert` and `key`" },
	{ SSL_AD_PROTOCOL_VERSION, TLS_FAIL_VERSION,
	  "the server speaks none of the TLS versions that this profile allows (alert \"protocol version\"); see `tls-version-min` and `tls-version-max`" },
	{ SSL_AD_HANDSHAKE_FAILURE, TLS_FAIL_ALERT,
	  "the server refused the TLS handshake (alert \"handshake failure\"): usually it wants a client certificate, or shares no cipher with `tls-cipher`" },
	{ SSL_AD_INSUFFICIENT_SECURITY, TLS_FAIL_ALERT,
	  "the server finds our TLS ciphers too weak (alert \"insufficient security\"); see `tls-cipher`" },
};

/* The server's alert, or OpenSSL's own reason, as failure. */
static void fail_from_openssl(struct tls *t)
{
	unsigned long e = ERR_peek_error();
	int reason = ERR_GET_REASON(e);
	const char *words = ERR_reason_error_string(e);

	if (t->fail != TLS_FAIL_NONE)
		goto out;
	if (t->alert >= 0 && t->alert != SSL_AD_CLOSE_NOTIFY) {
		for (size_t i = 0; i < ARRAY_SIZE(alert_texts); i++)
			if (alert_texts[i].alert == t->alert)
				fail_set(t, alert_texts[i].fail, "%s", alert_texts[i].text);
		fail_set(t, TLS_FAIL_ALERT, "the server ended TLS with the alert \"%s\"",
			 SSL_alert_desc_string_long(t->alert));
	} else if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_WRONG_SSL_VERSION ||
		   reason == SSL_R_VERSION_TOO_LOW || reason == SSL_R_VERSION_TOO_HIGH) {
		fail_set(t, TLS_FAIL_VERSION,
			 "the server speaks none of the TLS versions that this profile allows (%s); see `tls-version-min` and `tls-version-max`",
			 words ? words : "unknown");
	} else if (ERR_GET_LIB(e) == ERR_LIB_SSL && reason == ERR_R_MALLOC_FAILURE) {
		fail_set(t, TLS_FAIL_MEMORY, "out of memory in TLS");
	} else {
		fail_set(t, TLS_FAIL_PROTOCOL, "the TLS handshake failed: %s", words ? words : "no reason given");
	}
out:
	ERR_clear_error();
}

static void info_callback(const SSL *ssl, int where, int ret)
{
	struct tls *t = SSL_get_app_data((SSL *)ssl);

	if (t && (where & SSL_CB_ALERT) && (where & SSL_CB_READ) && (t->alert < 0 || ret >> 8 == SSL3_AL_FATAL))
		t->alert = ret & 0xff;
}

/* ---- context ---- */

_printf_(2, 3) static int config_error(char **ret_error, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int n;

	ERR_clear_error();
	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	*ret_error = s;
	return -EINVAL;
}

static const char *openssl_reason(void)
{
	const char *s = ERR_reason_error_string(ERR_peek_last_error());

	return s ? s : "no reason given";
}

/*
 * "TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256:!TLS-…" to OpenSSL's names. What is not an IANA name goes through as it is,
 * so lists in OpenSSL's own syntax work unchanged.
 */
static int translate_ciphers(const char *list, bool tls13, char **ret)
{
	struct strbuf out = { 0 };
	const char *p = list;
	int r;

	while (*p) {
		size_t len = strcspn(p, ":"), op = strspn(p, "!+-"), n;
		char name[128];

		if (op > len)
			op = len;
		n = MIN(len - op, sizeof(name) - 1);
		memcpy(name, p + op, n);
		name[n] = 0;
		if (out.len)
			strbuf_add(&out, ":");
		strbuf_add_bytes(&out, p, op);
		if (str_has_prefix(name, "TLS-") && n == len - op) {
			const char *openssl;

			for (size_t i = 0; i < n; i++)
				if (name[i] == '-')
					name[i] = '_';
			openssl = tls13 ? name : OPENSSL_cipher_name(name);
			strbuf_add(&out, openssl && !str_eq(openssl, "(NONE)") ? openssl : name);
		} else {
			strbuf_add_bytes(&out, p + op, len - op);
		}
		p += len;
		p += *p == ':';
	}
	/* Whatever list it is ("ALL" is a popular one): no suite without a certificate, none without encryption. */
	if (!tls13)
		strbuf_add(&out, ":!aNULL:!eNULL:!PSK:!SRP");
	r = strbuf_error(&out);
	if (r < 0) {
		strbuf_done(&out);
		return r;
	}
	*ret = strbuf_take(&out);
	return *ret ? 0 : -ENOMEM;
}

static int set_security_level(SSL_CTX *ctx, const char *profile, const char **ret_ciphers, char **ret_error)
{
	static const char *const names[] = { "insecure", "legacy", "preferred", "suiteb" };
	int level = -1;

	if (!profile)
		profile = "legacy";
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(profile, names[i]))
			level = (int)i;
	if (level < 0)
		return config_error(ret_error,
				    "`tls-cert-profile` is not one of insecure, legacy, preferred, suiteb; correct it");
	SSL_CTX_set_security_level(ctx, level);
	*ret_ciphers = level == 3 ? "SUITEB128" : NULL;
	return 0;
}

static int set_lists(SSL_CTX *ctx, const struct tls_params *p, char **ret_error)
{
	static const char default_ciphers[] = "DEFAULT:!EXP:!LOW:!MEDIUM:!kRSA:!kDH:!kECDH:!DSS";
	_cleanup_(freep) char *ciphers = NULL, *suites = NULL;
	const char *fallback = NULL;
	int r;

	r = set_security_level(ctx, p->cert_profile, &fallback, ret_error);
	if (r < 0)
		return r;
	if ((p->cipher && strlen(p->cipher) > LIST_MAX) || (p->ciphersuites && strlen(p->ciphersuites) > LIST_MAX) ||
	    (p->groups && strlen(p->groups) > LIST_MAX))
		return config_error(ret_error, "a list in `tls-cipher`, `tls-ciphersuites` or `tls-groups` is too long");
	r = translate_ciphers(p->cipher ? p->cipher : fallback ? fallback : default_ciphers, false, &ciphers);
	if (r < 0)
		return r;
	if (SSL_CTX_set_cipher_list(ctx, ciphers) != 1)
		return config_error(ret_error, "`tls-cipher` names no cipher that this OpenSSL has; remove or correct it");
	if (p->ciphersuites) {
		r = translate_ciphers(p->ciphersuites, true, &suites);
		if (r < 0)
			return r;
		if (SSL_CTX_set_ciphersuites(ctx, suites) != 1)
			return config_error(ret_error,
					    "`tls-ciphersuites` names a suite that this OpenSSL does not have; remove or correct it");
	}
	if (p->groups && SSL_CTX_set1_groups_list(ctx, p->groups) != 1)
		return config_error(ret_error,
				    "`tls-groups` names a group that this OpenSSL does not have; remove or correct it");
	return 0;
}

static int set_versions(SSL_CTX *ctx, const struct tls_params *p, char **ret_error)
{
	int min = p->version_min ? p->version_min : TLS1_2_VERSION, max = p->version_max;

	if (max && max < min)
		return config_error(ret_error,
				    "`tls-version-max` is below `tls-version-min` (1.2 where it is not given); correct one of them");
	if (SSL_CTX_set_min_proto_version(ctx, min) != 1 || SSL_CTX_set_max_proto_version(ctx, max) != 1)
		return config_error(ret_error, "`tls-version-min` or `tls-version-max` is not a version that OpenSSL knows");
	return 0;
}

static int load_crls(X509_STORE *store, const char *pem, char **ret_error)
{
	_cleanup_(bio_freep) BIO *bio = BIO_new_mem_buf(pem, -1);
	unsigned n = 0;
	X509_CRL *crl;

	if (!bio)
		return -ENOMEM;
	while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		int ok = X509_STORE_add_crl(store, crl);

		X509_CRL_free(crl);
		if (ok != 1)
			return config_error(ret_error, "the list in `crl-verify` cannot be used: %s", openssl_reason());
		n++;
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE || n == 0)
		return config_error(ret_error, "`crl-verify` holds no readable revocation list (PEM)");
	ERR_clear_error();
	if (X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1)
		return -ENOMEM;
	return 0;
}

static int add_anchors(SSL_CTX *ctx, STACK_OF(X509) *certs, char **ret_error)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);

	if (!store)
		return -ENOMEM;
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(certs, i)) != 1)
			return config_error(ret_error, "a certificate in `ca` cannot be used: %s", openssl_reason());
	return 0;
}

static int load_ca(SSL_CTX *ctx, const struct tls_params *p, STACK_OF(X509) *from_p12, char **ret_error)
{
	_cleanup_(x509_stackp) STACK_OF(X509) *certs = NULL;
	int r;

	if (p->ca) {
		r = x509_load_pem(p->ca, 0, &certs);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			return config_error(ret_error, "`ca` holds %s certificate (PEM); copy it again from its source",
					    r == -ENOENT ? "no" : "a damaged");
		r = add_anchors(ctx, certs, ret_error);
	} else if (from_p12 && sk_X509_num(from_p12) > 0) {
		r = add_anchors(ctx, from_p12, ret_error);
	} else {
		return config_error(ret_error,
				    "the profile has no `ca`, so no server could be told from an impostor; add the provider's ca");
	}
	if (r < 0)
		return r;
	return p->crl ? load_crls(SSL_CTX_get_cert_store(ctx), p->crl, ret_error) : 0;
}

/* OpenSSL asks for the password of an encrypted key here, never on a terminal. */
static int password_callback(char *buf, int size, int rwflag _unused_, void *userdata)
{
	const struct secret *password = userdata;
	size_t len = secret_len(password);

	if (!password || size < 0 || len > (size_t)size)
		return -1;
	memcpy(buf, secret_bytes(password), len);
	return (int)len;
}

static int use_pair(SSL_CTX *ctx, X509 *cert, EVP_PKEY *key, const char *what, char **ret_error)
{
	if (SSL_CTX_use_certificate(ctx, cert) != 1)
		return config_error(ret_error, "the client certificate in %s cannot be used: %s", what, openssl_reason());
	if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return config_error(ret_error, "the client certificate and the private key in %s do not belong together",
				    what);
	return 0;
}

static int add_chain(SSL_CTX *ctx, STACK_OF(X509) *certs, char **ret_error)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(certs, i)) != 1)
			return config_error(ret_error, "a certificate of the client's chain cannot be used: %s",
					    openssl_reason());
	return 0;
}

/* Certificates behind the first in `cert`, and those of `extra-certs`, go along with ours. */
static int load_chain(SSL_CTX *ctx, const struct secret *pem, size_t skip, const char *what, char **ret_error)
{
	_cleanup_(x509_stackp) STACK_OF(X509) *certs = NULL;
	int r;

	r = x509_load_pem(pem, skip, &certs);
	if (r == -ENOENT && skip)
		return 0;
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return config_error(ret_error, "%s holds no readable certificate (PEM); copy it again from its source", what);
	return add_chain(ctx, certs, ret_error);
}

static void pkey_freep(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

static int load_pem_pair(SSL_CTX *ctx, const struct tls_params *p, char **ret_error)
{
	_cleanup_(x509_stackp) STACK_OF(X509) *certs = NULL;
	_cleanup_(pkey_freep) EVP_PKEY *key = NULL;
	_cleanup_(bio_freep) BIO *bio = NULL;
	int r;

	if (!p->cert || !p->key)
		return config_error(ret_error, "the profile has `%s` but no `%s`; a client certificate needs both",
				    p->cert ? "cert" : "key", p->cert ? "key" : "cert");
	r = x509_load_pem(p->cert, 0, &certs);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return config_error(ret_error, "`cert` holds no readable certificate (PEM); copy it again from its source");
	if (secret_len(p->key) > INT_MAX)
		return config_error(ret_error, "`key` is too long");
	bio = BIO_new_mem_buf(secret_bytes(p->key), (int)secret_len(p->key));
	if (!bio)
		return -ENOMEM;
	key = PEM_read_bio_PrivateKey(bio, NULL, password_callback, (void *)p->key_password);
	if (!key) {
		bool encrypted = memmem(secret_bytes(p->key), secret_len(p->key), "ENCRYPTED", 9) != NULL;

		if (encrypted && !p->key_password)
			return config_error(ret_error,
					    "the private key in `key` is encrypted; give its password (askpass) or an unencrypted key");
		if (encrypted)
			return config_error(ret_error, "the private key in `key` does not open with the password given");
		return config_error(ret_error, "`key` holds no readable private key (PEM); copy it again from its source");
	}
	r = use_pair(ctx, sk_X509_value(certs, 0), key, "`cert` and `key`", ret_error);
	if (r < 0)
		return r;
	return load_chain(ctx, p->cert, 1, "`cert`", ret_error);
}

/*
 * PKCS#12 files of older tools are encrypted with RC2 or single DES, which OpenSSL 3 keeps in its legacy provider:
 * second try in a library context of its own, so that nothing else ever gets these ciphers.
 */
static PKCS12 *read_pkcs12(OSSL_LIB_CTX *lib, const struct secret *der)
{
	const unsigned char *at = secret_bytes(der);
	PKCS12 *p12 = PKCS12_init_ex(NID_pkcs7_data, lib, NULL);

	if (p12 && (secret_len(der) > LONG_MAX || !d2i_PKCS12(&p12, &at, (long)secret_len(der))))
		return NULL; /* d2i has freed it */
	return p12;
}

static int parse_pkcs12(OSSL_LIB_CTX *lib, const struct tls_params *p, EVP_PKEY **ret_key, X509 **ret_cert,
			STACK_OF(X509) **ret_ca)
{
	PKCS12 *p12 = secret_len(p->pkcs12) ? read_pkcs12(lib, p->pkcs12) : NULL;
	const char *password = p->key_password ? secret_string(p->key_password) : "";
	int ok;

	if (!p12)
		return -EBADMSG;
	ok = PKCS12_parse(p12, password, ret_key, ret_cert, ret_ca);
	PKCS12_free(p12);
	return ok == 1 ? 0 : -EKEYREJECTED;
}

static int parse_pkcs12_legacy(const struct tls_params *p, EVP_PKEY **ret_key, X509 **ret_cert, STACK_OF(X509) **ret_ca)
{
	OSSL_LIB_CTX *lib = OSSL_LIB_CTX_new();
	OSSL_PROVIDER *legacy, *base;
	int r = -EKEYREJECTED;

	if (!lib)
		return -ENOMEM;
	legacy = OSSL_PROVIDER_load(lib, "legacy");
	base = OSSL_PROVIDER_load(lib, "default");
	if (legacy && base) {
		EVP_PKEY *key = NULL;
		unsigned char *der = NULL;
		int len = 0;

		r = parse_pkcs12(lib, p, &key, ret_cert, ret_ca);
		/* Back into the ordinary context: this one ends here, and its keys with it. A file may hold none. */
		if (r == 0 && key)
			len = i2d_PrivateKey(key, &der);
		if (len > 0) {
			const unsigned char *at = der;

			*ret_key = d2i_AutoPrivateKey(NULL, &at, len);
		}
		if (r == 0 && key && !*ret_key)
			r = -EKEYREJECTED;
		OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0);
		EVP_PKEY_free(key);
	}
	if (legacy)
		(void)OSSL_PROVIDER_unload(legacy);
	if (base)
		(void)OSSL_PROVIDER_unload(base);
	OSSL_LIB_CTX_free(lib);
	return r;
}

/* Certificates made in another library context keep pointing at it: a copy by DER does not. */
static int rehome_cert(X509 **cert)
{
	unsigned char *der = NULL;
	const unsigned char *at;
	X509 *copy;
	int len = i2d_X509(*cert, &der);

	if (len <= 0)
		return -EBADMSG;
	at = der;
	copy = d2i_X509(NULL, &at, len);
	OPENSSL_free(der);
	if (!copy)
		return -EBADMSG;
	X509_free(*cert);
	*cert = copy;
	return 0;
}

static int load_pkcs12(SSL_CTX *ctx, const struct tls_params *p, STACK_OF(X509) **ret_ca, char **ret_error)
{
	_cleanup_(x509_stackp) STACK_OF(X509) *ca = NULL;
	_cleanup_(pkey_freep) EVP_PKEY *key = NULL;
	_cleanup_(x509_freep) X509 *cert = NULL;
	int r;

	r = parse_pkcs12(NULL, p, &key, &cert, &ca);
	if (r == -EKEYREJECTED) {
		ERR_clear_error();
		r = parse_pkcs12_legacy(p, &key, &cert, &ca);
		if (r == 0 && cert)
			r = rehome_cert(&cert);
		for (int i = 0; r == 0 && i < sk_X509_num(ca); i++) {
			X509 *x = sk_X509_value(ca, i);

			r = rehome_cert(&x);
			if (r == 0)
				(void)sk_X509_set(ca, i, x); /* in range: cannot fail */
		}
	}
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return config_error(ret_error, r == -EBADMSG ?
					    "`pkcs12` is not a readable PKCS#12 file; copy it again from its source" :
					    "`pkcs12` does not open with the password given, or uses a cipher that OpenSSL no longer has");
	if (!key || !cert)
		return config_error(ret_error, "`pkcs12` lacks the client's certificate or private key");
	r = use_pair(ctx, cert, key, "`pkcs12`", ret_error);
	if (r < 0)
		return r;
	if (p->ca && ca) {
		r = add_chain(ctx, ca, ret_error);
		if (r < 0)
			return r;
	}
	*ret_ca = TAKE_PTR(ca);
	return 0;
}

static int load_credentials(SSL_CTX *ctx, const struct tls_params *p, char **ret_error)
{
	_cleanup_(x509_stackp) STACK_OF(X509) *ca = NULL;
	int r = 0;

	if (p->pkcs12)
		r = load_pkcs12(ctx, p, &ca, ret_error);
	else if (p->cert || p->key)
		r = load_pem_pair(ctx, p, ret_error);
	if (r < 0)
		return r;
	if (p->extra_certs) {
		r = load_chain(ctx, p->extra_certs, 0, "`extra-certs`", ret_error);
		if (r < 0)
			return r;
	}
	return load_ca(ctx, p, ca, ret_error);
}

struct tls_context *tls_context_free(struct tls_context *c)
{
	if (!c)
		return NULL;
	SSL_CTX_free(c->ctx);
	free(c->name);
	free(c);
	return NULL;
}

static enum x509_check check_of(enum tls_name_check check)
{
	switch (check) {
	case TLS_NAME_NONE:
		return X509_CHECK_NONE;
	case TLS_NAME_SUBJECT:
		return X509_CHECK_SUBJECT;
	case TLS_NAME_NAME:
		return X509_CHECK_NAME;
	case TLS_NAME_NAME_PREFIX:
		return X509_CHECK_NAME_PREFIX;
	}
	return X509_CHECK_SUBJECT; /* an unknown check must not become "none" */
}

int tls_context_new(struct tls_context **ret, const struct tls_params *p, char **ret_error)
{
	_cleanup_(tls_context_freep) struct tls_context *c = NULL;
	int r;

	r = tls_init();
	if (r < 0)
		return r;
	ERR_clear_error();
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->ctx = SSL_CTX_new(TLS_client_method());
	if (!c->ctx)
		return -ENOMEM;
	c->require_server_cert = p->require_server_cert;
	c->check = check_of(p->name_check);
	if (p->name) {
		c->name = strdup(p->name);
		if (!c->name)
			return -ENOMEM;
	}
	(void)SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_default_passwd_cb(c->ctx, password_callback);
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, verify_callback);
	SSL_CTX_set_info_callback(c->ctx, info_callback);
	r = set_versions(c->ctx, p, ret_error);
	if (r < 0)
		return r;
	r = set_lists(c->ctx, p, ret_error);
	if (r < 0)
		return r;
	r = load_credentials(c->ctx, p, ret_error);
	if (r < 0)
		return r;
	ERR_clear_error();
	*ret = TAKE_PTR(c);
	return 0;
}

/* ---- session ---- */

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
		fail_set(t, TLS_FAIL_MEMORY, "out of memory in TLS");
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
		fail_set(t, TLS_FAIL_CERT, "the server showed no certificate; this profile's `tls-cipher` must not allow that");
		return -EPROTO;
	}
	if (r == 1) {
		t->established = true;
		return 1;
	}
	r = SSL_get_error(t->ssl, r);
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE)
		return 0;
	fail_from_openssl(t);
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
		fail_set(t, TLS_FAIL_CLOSED, "the server closed the TLS session");
	fail_from_openssl(t);
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
		fail_from_openssl(t);
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
	char name[NAME_SHOWN_MAX + 8];
	X509 *peer;

	if (cap)
		buf[0] = 0;
	if (!t->established)
		return buf;
	peer = SSL_get0_peer_certificate(t->ssl);
	(void)snprintf(buf, cap, "%s, %s, server \"%s\"", SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl),
		       shown_name(peer ? X509_get_subject_name(peer) : NULL, name, sizeof(name)));
	return buf;
}
