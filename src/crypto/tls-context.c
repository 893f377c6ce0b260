/*
 * What all sessions of a connection share: versions, cipher lists, security level, trust anchors, revocation lists. Made
 * once from the profile; each refusal names the option. The only anchors are the profile's: no default paths, no system
 * store, no openssl.cnf.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "crypto/tls-internal.h"

#define LIST_MAX 4096

int tls_context_error(char **ret_error, const char *fmt, ...)
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

const char *tls_context_why(void)
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
		return tls_context_error(ret_error,
					 "`tls-cert-profile` is not one of insecure, legacy, preferred, suiteb; correct it");
	SSL_CTX_set_security_level(ctx, level);
	*ret_ciphers = level == 3 ? "SUITEB128" : NULL;
	return 0;
}

static int set_lists(SSL_CTX *ctx, const struct tls_params *p, char **ret_error)
{
	static const char default_ciphers[] = "DEFAULT:!EXP:!LOW:!MEDIUM:!kRSA:!kDH:!kECDH:!DSS";
	_cleanup_(freep) char *ciphers = NULL, *suites = NULL;
	const char *fallback = NULL, *groups = p->groups;
	int r;

	r = set_security_level(ctx, p->cert_profile, &fallback, ret_error);
	if (r < 0)
		return r;
	if ((p->cipher && strlen(p->cipher) > LIST_MAX) || (p->ciphersuites && strlen(p->ciphersuites) > LIST_MAX) ||
	    (p->groups && strlen(p->groups) > LIST_MAX))
		return tls_context_error(ret_error, "a list in `tls-cipher`, `tls-ciphersuites` or `tls-groups` is too long");
	r = translate_ciphers(p->cipher ? p->cipher : fallback ? fallback : default_ciphers, false, &ciphers);
	if (r < 0)
		return r;
	if (SSL_CTX_set_cipher_list(ctx, ciphers) != 1)
		return tls_context_error(ret_error, "`tls-cipher` names no cipher that this OpenSSL has; remove or correct it");
	if (p->ciphersuites) {
		r = translate_ciphers(p->ciphersuites, true, &suites);
		if (r < 0)
			return r;
		if (SSL_CTX_set_ciphersuites(ctx, suites) != 1)
			return tls_context_error(ret_error,
						 "`tls-ciphersuites` names a suite that this OpenSSL does not have; remove or correct it");
	}
	/* Suite B knows two curves; OpenSSL 3.5 would otherwise offer key shares of groups that it then refuses itself. */
	if (!groups && fallback)
		groups = "P-256:P-384";
	if (groups && SSL_CTX_set1_groups_list(ctx, groups) != 1)
		return tls_context_error(ret_error,
					 "`tls-groups` names a group that this OpenSSL does not have; remove or correct it");
	return 0;
}

static int set_versions(SSL_CTX *ctx, const struct tls_params *p, char **ret_error)
{
	int min = p->version_min ? p->version_min : TLS1_2_VERSION, max = p->version_max;

	if (max && max < min)
		return tls_context_error(ret_error,
					 "`tls-version-max` is below `tls-version-min` (1.2 where it is not given); correct one of them");
	if (SSL_CTX_set_min_proto_version(ctx, min) != 1 || SSL_CTX_set_max_proto_version(ctx, max) != 1)
		return tls_context_error(ret_error, "`tls-version-min` or `tls-version-max` is not a version that OpenSSL knows");
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
			return tls_context_error(ret_error, "the list in `crl-verify` cannot be used: %s", tls_context_why());
		n++;
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE || n == 0)
		return tls_context_error(ret_error, "`crl-verify` holds no readable revocation list (PEM)");
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
			return tls_context_error(ret_error, "a certificate in `ca` cannot be used: %s", tls_context_why());
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
			return tls_context_error(ret_error, "`ca` holds %s certificate (PEM); copy it again from its source",
						 r == -ENOENT ? "no" : "a damaged");
		r = add_anchors(ctx, certs, ret_error);
	} else if (from_p12 && sk_X509_num(from_p12) > 0) {
		r = add_anchors(ctx, from_p12, ret_error);
	} else if (p->n_pins) {
		return 0; /* the store stays empty: only the fingerprint lets a certificate pass */
	} else {
		return tls_context_error(ret_error,
					 "the profile has no `ca`, so no server could be told from an impostor; add the provider's ca");
	}
	if (r < 0)
		return r;
	return p->crl ? load_crls(SSL_CTX_get_cert_store(ctx), p->crl, ret_error) : 0;
}

struct tls_context *tls_context_free(struct tls_context *c)
{
	if (!c)
		return NULL;
	SSL_CTX_free(c->ctx);
	free(c->name);
	free(c->eku);
	free(c->ku);
	free(c->pins);
	free(c->ca_pins);
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

static int copy_array(void **ret, const void *p, size_t n, size_t size)
{
	if (n == 0)
		return 0;
	*ret = calloc(n, size);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, p, n * size);
	return 0;
}

static int copy_text(char **ret, const char *s)
{
	*ret = s ? strdup(s) : NULL;
	return s && !*ret ? -ENOMEM : 0;
}

/* What the server's certificate is held against: nothing of the caller's is kept. */
static int copy_checks(struct tls_context *c, const struct tls_params *p)
{
	int r;

	c->require_server_cert = p->require_server_cert;
	c->check = check_of(p->name_check);
	c->require_ku = p->require_ku;
	r = copy_text(&c->name, p->name);
	if (r == 0)
		r = copy_text(&c->eku, p->eku);
	if (r == 0)
		r = copy_array((void **)&c->ku, p->ku, p->n_ku, sizeof(*p->ku));
	if (r == 0)
		r = copy_array((void **)&c->pins, p->pins, p->n_pins, sizeof(*p->pins));
	if (r == 0)
		r = copy_array((void **)&c->ca_pins, p->ca_pins, p->n_ca_pins, sizeof(*p->ca_pins));
	c->n_ku = p->n_ku;
	c->n_pins = p->n_pins;
	c->n_ca_pins = p->n_ca_pins;
	return r;
}

int tls_context_new(struct tls_context **ret, const struct tls_params *p, char **ret_error)
{
	_cleanup_(tls_context_freep) struct tls_context *c = NULL;
	_cleanup_(x509_stackp) STACK_OF(X509) *ca = NULL;
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
	r = copy_checks(c, p);
	if (r < 0)
		return r;
	(void)SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_default_passwd_cb(c->ctx, tls_credentials_password);
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, tls_reason_verify);
	SSL_CTX_set_info_callback(c->ctx, tls_reason_info);
	r = set_versions(c->ctx, p, ret_error);
	if (r < 0)
		return r;
	r = set_lists(c->ctx, p, ret_error);
	if (r < 0)
		return r;
	r = tls_credentials_load(c->ctx, p, &ca, ret_error);
	if (r < 0)
		return r;
	r = load_ca(c->ctx, p, ca, ret_error);
	if (r < 0)
		return r;
	c->pins_only = p->n_pins && !p->ca && sk_X509_num(ca) <= 0; /* as load_ca() saw it */
	ERR_clear_error();
	*ret = TAKE_PTR(c);
	return 0;
}
