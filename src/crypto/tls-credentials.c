/* Our own certificate and key, from PEM blocks or a PKCS#12 file, old ones included. */
#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/tls-internal.h"

/* OpenSSL asks for the password of an encrypted key here, never on a terminal. */
int tls_credentials_password(char *buf, int size, int rwflag _unused_, void *userdata)
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
		return tls_context_error(ret_error, "the client certificate in %s cannot be used: %s", what, tls_context_why());
	if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return tls_context_error(ret_error, "the client certificate and the private key in %s do not belong together",
					 what);
	return 0;
}

static int add_chain(SSL_CTX *ctx, STACK_OF(X509) *certs, char **ret_error)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(certs, i)) != 1)
			return tls_context_error(ret_error, "a certificate of the client's chain cannot be used: %s",
						 tls_context_why());
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
		return tls_context_error(ret_error, "%s holds no readable certificate (PEM); copy it again from its source", what);
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
		return tls_context_error(ret_error, "the profile has `%s` but no `%s`; a client certificate needs both",
					 p->cert ? "cert" : "key", p->cert ? "key" : "cert");
	r = x509_load_pem(p->cert, 0, &certs);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return tls_context_error(ret_error, "`cert` holds no readable certificate (PEM); copy it again from its source");
	if (secret_len(p->key) > INT_MAX)
		return tls_context_error(ret_error, "`key` is too long");
	bio = BIO_new_mem_buf(secret_bytes(p->key), (int)secret_len(p->key));
	if (!bio)
		return -ENOMEM;
	key = PEM_read_bio_PrivateKey(bio, NULL, tls_credentials_password, (void *)p->key_password);
	if (!key) {
		bool encrypted = memmem(secret_bytes(p->key), secret_len(p->key), "ENCRYPTED", 9) != NULL;

		if (encrypted && !p->key_password)
			return tls_context_error(ret_error,
						 "the private key in `key` is encrypted; give its password (askpass) or an unencrypted key");
		if (encrypted)
			return tls_context_error(ret_error, "the private key in `key` does not open with the password given");
		return tls_context_error(ret_error, "`key` holds no readable private key (PEM); copy it again from its source");
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
		return tls_context_error(ret_error, r == -EBADMSG ?
					 "`pkcs12` is not a readable PKCS#12 file; copy it again from its source" :
					 "`pkcs12` does not open with the password given, or uses a cipher that OpenSSL no longer has");
	if (!key || !cert)
		return tls_context_error(ret_error, "`pkcs12` lacks the client's certificate or private key");
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

int tls_credentials_load(SSL_CTX *ctx, const struct tls_params *p, STACK_OF(X509) **ret_ca, char **ret_error)
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
	*ret_ca = TAKE_PTR(ca);
	return 0;
}
