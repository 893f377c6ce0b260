/*
 * Why TLS failed: the checks on the server's certificate, and everything that OpenSSL or the server says, as one enum value
 * and one sentence. The first reason counts.
 *
 * The checks run inside the handshake: a server that fails them never sees our certificate's proof, a user name or a
 * password. Order: chain and signature strength, purpose, revocation, time, the issuer's fingerprint, then use, name and
 * fingerprint of the leaf. A profile without an authority has the last one alone. Alerts that the server sends are kept as they come, since OpenSSL reports them only as one of many error codes.
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "crypto/tls-internal.h"

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

void tls_reason_set(struct tls *t, enum tls_fail fail, const char *fmt, ...)
{
	va_list ap;

	if (t->fail != TLS_FAIL_NONE)
		return;
	t->fail = fail;
	va_start(ap, fmt);
	(void)vsnprintf(t->text, sizeof(t->text), fmt, ap); /* a cut sentence is still one */
	va_end(ap);
}

/* Escaped and bounded; "?" instead of nothing. buf of TLS_NAME_SHOWN_MAX + 8. */
const char *tls_reason_name(const X509_NAME *name, char *buf, size_t cap)
{
	_cleanup_(freep) char *raw = NULL, *esc = NULL;

	if (name && x509_name_format(name, &raw) == 0)
		esc = str_escape(raw, strlen(raw), TLS_NAME_SHOWN_MAX);
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
		tls_reason_set(t, fail,
			       "the %s \"%s\" expired on %s (this machine's clock says %s): its operator must renew it, unless the clock is wrong",
			       leaf ? "server's certificate" : "certificate authority", subject,
			       x509_time_format(X509_get0_notAfter(cert), date, sizeof(date)), now);
	else
		tls_reason_set(t, fail,
			       "the %s \"%s\" is valid only from %s on, and this machine's clock says %s: set the clock",
			       leaf ? "server's certificate" : "certificate authority", subject,
			       x509_time_format(X509_get0_notBefore(cert), date, sizeof(date)), now);
}

static void explain_verify(struct tls *t, X509_STORE_CTX *sctx, int error)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(sctx), *current = X509_STORE_CTX_get_current_cert(sctx);
	char leaf_name[TLS_NAME_SHOWN_MAX + 8], name[TLS_NAME_SHOWN_MAX + 8], issuer[TLS_NAME_SHOWN_MAX + 8];
	enum tls_fail fail = verify_error_class(error);
	const char *why = X509_verify_cert_error_string(error);

	if (!current)
		current = leaf;
	(void)tls_reason_name(leaf ? X509_get_subject_name(leaf) : NULL, leaf_name, sizeof(leaf_name));
	(void)tls_reason_name(current ? X509_get_subject_name(current) : NULL, name, sizeof(name));
	(void)tls_reason_name(current ? X509_get_issuer_name(current) : NULL, issuer, sizeof(issuer));

	switch (fail) {
	case TLS_FAIL_CA:
		tls_reason_set(t, fail,
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
		tls_reason_set(t, fail,
			       "the other side showed \"%s\", which is not a server's certificate (its extended key usage lacks serverAuth): a client may be posing as the server",
			       name);
		return;
	case TLS_FAIL_REVOKED:
		tls_reason_set(t, fail, "the server's certificate \"%s\" was revoked (by the list in `crl-verify`)", name);
		return;
	case TLS_FAIL_CRL:
		tls_reason_set(t, fail, "the revocation list in `crl-verify` cannot be used for \"%s\": %s; get a current one",
			       name, why);
		return;
	case TLS_FAIL_WEAK:
		tls_reason_set(t, fail,
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
	tls_reason_set(t, fail, "the server's certificate \"%s\" was not accepted: %s", leaf_name, why);
}

/* The result of one check on a certificate, in words when it failed. Frees why. */
static bool passes(struct tls *t, const X509 *cert, int r, enum tls_fail fail, const char *option, char *why)
{
	char name[TLS_NAME_SHOWN_MAX + 8];

	if (r < 0)
		tls_reason_set(t, r == -ENOMEM ? TLS_FAIL_MEMORY : fail, "the server's %s \"%s\" fails `%s`: %s",
			       str_eq(option, "verify-hash") ? "issuer" : "certificate",
			       tls_reason_name(X509_get_subject_name(cert), name, sizeof(name)), option,
			       why ? why : "out of memory");
	free(why);
	return r >= 0;
}

static bool check_pin(struct tls *t, const X509 *leaf)
{
	const struct tls_context *c = t->context;
	char *why = NULL;
	int r = c->n_pins ? x509_check_pin(leaf, c->pins, c->n_pins, &why) : 0;

	return passes(t, leaf, r, TLS_FAIL_NAME, "peer-fingerprint", why);
}

static bool check_issuer(struct tls *t, const X509 *issuer)
{
	const struct tls_context *c = t->context;
	char *why = NULL;
	int r = x509_check_pin(issuer, c->ca_pins, c->n_ca_pins, &why);

	t->issuer_checked = r >= 0;
	return passes(t, issuer, r, TLS_FAIL_CA, "verify-hash", why);
}

/* What the profile asks of a leaf whose chain is already good: use, name, fingerprint; in this order. */
static bool check_leaf(struct tls *t, X509 *leaf)
{
	const struct tls_context *c = t->context;
	char *why = NULL;
	int r = c->require_server_cert ? x509_check_server(leaf, &why) : 0;

	if (!passes(t, leaf, r, TLS_FAIL_PURPOSE, "remote-cert-tls server", TAKE_PTR(why)))
		return false;
	r = c->require_ku ? x509_check_ku(leaf, c->ku, c->n_ku, &why) : 0;
	if (!passes(t, leaf, r, TLS_FAIL_PURPOSE, "remote-cert-ku", TAKE_PTR(why)))
		return false;
	r = c->eku ? x509_check_eku(leaf, c->eku, &why) : 0;
	if (!passes(t, leaf, r, TLS_FAIL_PURPOSE, "remote-cert-eku", TAKE_PTR(why)))
		return false;
	r = x509_check_name(leaf, c->check, c->name, &why);
	if (!passes(t, leaf, r, TLS_FAIL_NAME, "verify-x509-name", TAKE_PTR(why)))
		return false;
	if (c->n_ca_pins && !t->issuer_checked) {
		tls_reason_set(t, TLS_FAIL_CA, "the server's certificate has no issuer that `verify-hash` could be held against");
		return false;
	}
	return check_pin(t, leaf);
}

int tls_reason_verify(int ok, X509_STORE_CTX *sctx)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(sctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = ssl ? SSL_get_app_data(ssl) : NULL;
	int depth = X509_STORE_CTX_get_error_depth(sctx), error = X509_STORE_CTX_get_error(sctx);
	X509 *leaf = X509_STORE_CTX_get0_cert(sctx);

	if (!t || !leaf)
		return 0;
	/* Without an authority no chain is good, and none is asked for: the fingerprint is that of this one certificate. */
	if (!ok && t->context->pins_only) {
		if (!check_pin(t, leaf))
			return 0;
		X509_STORE_CTX_set_error(sctx, X509_V_OK);
		return 1;
	}
	if (!ok && error == X509_V_ERR_UNABLE_TO_GET_CRL && depth > 0) {
		/* A list for the leaf's issuer is required; for the authorities above it, optional. */
		X509_STORE_CTX_set_error(sctx, X509_V_OK);
		return 1;
	}
	if (!ok) {
		explain_verify(t, sctx, error);
		return 0;
	}
	if (depth == 1 && t->context->n_ca_pins && !check_issuer(t, X509_STORE_CTX_get_current_cert(sctx))) {
		X509_STORE_CTX_set_error(sctx, X509_V_ERR_APPLICATION_VERIFICATION);
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
void tls_reason_from_openssl(struct tls *t)
{
	unsigned long e = ERR_peek_error();
	int reason = ERR_GET_REASON(e);
	const char *words = ERR_reason_error_string(e);

	if (t->fail != TLS_FAIL_NONE)
		goto out;
	if (t->alert >= 0 && t->alert != SSL_AD_CLOSE_NOTIFY) {
		for (size_t i = 0; i < ARRAY_SIZE(alert_texts); i++)
			if (alert_texts[i].alert == t->alert)
				tls_reason_set(t, alert_texts[i].fail, "%s", alert_texts[i].text);
		tls_reason_set(t, TLS_FAIL_ALERT, "the server ended TLS with the alert \"%s\"",
			       SSL_alert_desc_string_long(t->alert));
	} else if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_WRONG_SSL_VERSION ||
		   reason == SSL_R_VERSION_TOO_LOW || reason == SSL_R_VERSION_TOO_HIGH) {
		tls_reason_set(t, TLS_FAIL_VERSION,
			       "the server speaks none of the TLS versions that this profile allows (%s); see `tls-version-min` and `tls-version-max`",
			       words ? words : "unknown");
	} else if (ERR_GET_LIB(e) == ERR_LIB_SSL && reason == ERR_R_MALLOC_FAILURE) {
		tls_reason_set(t, TLS_FAIL_MEMORY, "out of memory in TLS");
	} else {
		tls_reason_set(t, TLS_FAIL_PROTOCOL, "the TLS handshake failed: %s", words ? words : "no reason given");
	}
out:
	ERR_clear_error();
}

void tls_reason_info(const SSL *ssl, int where, int ret)
{
	struct tls *t = SSL_get_app_data((SSL *)ssl);

	if (t && (where & SSL_CB_ALERT) && (where & SSL_CB_READ) && (t->alert < 0 || ret >> 8 == SSL3_AL_FATAL))
		t->alert = ret & 0xff;
}
