/* Certificates for tests. Errors of OpenSSL end the test program: there is nothing to test then. */
#include "lib/pki.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(x)                                                                                                    \
	do {                                                                                                       \
		if (!(x)) {                                                                                        \
			fprintf(stderr, "pki: %s failed\n", #x);                                                   \
			abort();                                                                                   \
		}                                                                                                  \
	} while (0)

static void extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	MUST(e && X509_add_ext(cert, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static void name_part(X509_NAME *name, const char *field, const char *value, size_t len)
{
	if (value)
		MUST(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value,
						len ? (int)len : -1, -1, 0) == 1);
}

static void usage(X509 *cert, X509 *issuer, enum pki_use use)
{
	switch (use) {
	case PKI_USE_CA:
		extension(cert, issuer, NID_basic_constraints, "critical,CA:TRUE");
		extension(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
		break;
	case PKI_USE_SERVER:
		extension(cert, issuer, NID_basic_constraints, "CA:FALSE");
		extension(cert, issuer, NID_key_usage, "digitalSignature,keyEncipherment");
		extension(cert, issuer, NID_ext_key_usage, "serverAuth");
		break;
	case PKI_USE_CLIENT:
		extension(cert, issuer, NID_basic_constraints, "CA:FALSE");
		extension(cert, issuer, NID_key_usage, "digitalSignature");
		extension(cert, issuer, NID_ext_key_usage, "clientAuth");
		break;
	case PKI_USE_PLAIN:
		break;
	}
	extension(cert, issuer, NID_subject_key_identifier, "hash");
}

/* Keys of the Edwards curves bring their own. */
static const EVP_MD *digest_for(const EVP_PKEY *signer, const struct pki_spec *spec)
{
	if (EVP_PKEY_is_a(signer, "ED25519") || EVP_PKEY_is_a(signer, "ED448"))
		return NULL;
	return spec->md ? spec->md : EVP_sha256();
}

struct pki pki_make(const struct pki_spec *spec, const struct pki *issuer)
{
	static long serial = 1;
	struct pki p;
	X509_NAME *name;
	X509 *by;

	p.key = spec->kind ? EVP_PKEY_Q_keygen(NULL, NULL, spec->kind) : spec->rsa_bits ? EVP_RSA_gen(spec->rsa_bits) : EVP_EC_gen("P-256");
	p.cert = X509_new();
	MUST(p.key && p.cert);
	by = issuer ? issuer->cert : p.cert;
	MUST(X509_set_version(p.cert, 2) == 1);
	MUST(ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++) == 1);
	MUST(ASN1_TIME_set(X509_getm_notBefore(p.cert), spec->from ? spec->from : PKI_NOW - 30 * PKI_DAY));
	MUST(ASN1_TIME_set(X509_getm_notAfter(p.cert), spec->until ? spec->until : PKI_NOW + 30 * PKI_DAY));
	name = X509_get_subject_name(p.cert);
	name_part(name, "C", spec->country, 0);
	name_part(name, "O", spec->org, 0);
	name_part(name, "CN", spec->cn, spec->cn_len);
	MUST(X509_set_issuer_name(p.cert, X509_get_subject_name(by)) == 1);
	MUST(X509_set_pubkey(p.cert, p.key) == 1);
	usage(p.cert, by, spec->use);
	MUST(X509_sign(p.cert, issuer ? issuer->key : p.key, digest_for(issuer ? issuer->key : p.key, spec)) > 0);
	return p;
}

void pki_done(struct pki *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
	p->cert = NULL;
	p->key = NULL;
}

static struct secret *take_bio(BIO *bio)
{
	struct secret *s = NULL;
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);

	MUST(len > 0 && secret_new_copy(&s, data, (size_t)len) == 0);
	BIO_free(bio);
	return s;
}

struct secret *pki_cert_pem(const struct pki *p)
{
	BIO *bio = BIO_new(BIO_s_mem());

	MUST(bio && PEM_write_bio_X509(bio, p->cert) == 1);
	return take_bio(bio);
}

struct secret *pki_key_pem(const struct pki *p, const char *password)
{
	BIO *bio = BIO_new(BIO_s_mem());

	MUST(bio && PEM_write_bio_PrivateKey(bio, p->key, password ? EVP_aes_128_cbc() : NULL,
					     (const unsigned char *)password, password ? (int)strlen(password) : 0, NULL,
					     NULL) == 1);
	return take_bio(bio);
}

struct secret *pki_pkcs12(const struct pki *p, const struct pki *ca, const char *password)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	BIO *bio = BIO_new(BIO_s_mem());
	PKCS12 *p12;

	MUST(bio && chain && sk_X509_push(chain, ca->cert) > 0);
	p12 = PKCS12_create(password, "test", p->key, p->cert, chain, 0, 0, 0, 0, 0);
	MUST(p12 && i2d_PKCS12_bio(bio, p12) == 1);
	PKCS12_free(p12);
	sk_X509_free(chain);
	return take_bio(bio);
}

char *pki_crl_pem(const struct pki *ca, const struct pki *revoked, int64_t until)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_set(NULL, PKI_NOW - PKI_DAY);
	BIO *bio = BIO_new(BIO_s_mem());
	char *data = NULL, *s;
	long len;

	MUST(crl && t && bio && X509_CRL_set_version(crl, 1) == 1);
	MUST(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)) == 1);
	MUST(X509_CRL_set1_lastUpdate(crl, t) == 1);
	if (revoked) {
		X509_REVOKED *entry = X509_REVOKED_new();

		MUST(entry && X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->cert)) == 1);
		MUST(X509_REVOKED_set_revocationDate(entry, t) == 1);
		MUST(X509_CRL_add0_revoked(crl, entry) == 1);
	}
	MUST(ASN1_TIME_set(t, until) && X509_CRL_set1_nextUpdate(crl, t) == 1);
	MUST(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0 && PEM_write_bio_X509_CRL(bio, crl) == 1);
	len = BIO_get_mem_data(bio, &data);
	s = strndup(data, (size_t)len);
	MUST(s);
	BIO_free(bio);
	ASN1_TIME_free(t);
	X509_CRL_free(crl);
	return s;
}
