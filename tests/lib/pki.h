/* A throw-away certificate authority for tests: keys and certificates made in memory, with every defect on request. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/secret.h"

/* The moment the tests play at: 2027-01-15 08:00 UTC. */
#define PKI_NOW INT64_C(1800000000)
#define PKI_DAY INT64_C(86400)

enum pki_use { PKI_USE_CA, PKI_USE_SERVER, PKI_USE_CLIENT, PKI_USE_PLAIN /* no usage extensions at all */ };

struct pki_spec {
	const char *cn;
	size_t cn_len;          /* 0: strlen */
	const char *org, *country;
	enum pki_use use;
	int64_t from, until;    /* 0: PKI_NOW -/+ 30 days */
	const EVP_MD *md;       /* NULL: SHA-256 */
	unsigned rsa_bits;      /* 0: P-256 */
	const char *kind;       /* another kind of key, as OpenSSL names it: "ED25519"; NULL: none */
};

struct pki {
	X509 *cert;
	EVP_PKEY *key;
};

/* Aborts the test when OpenSSL fails. issuer NULL: self-signed. */
struct pki pki_make(const struct pki_spec *spec, const struct pki *issuer);
void pki_done(struct pki *p);
struct secret *pki_cert_pem(const struct pki *p);
struct secret *pki_key_pem(const struct pki *p, const char *password); /* password NULL: not encrypted */
struct secret *pki_pkcs12(const struct pki *p, const struct pki *ca, const char *password);
/* A revocation list of ca; revoked may be NULL. malloc'ed PEM. */
char *pki_crl_pem(const struct pki *ca, const struct pki *revoked, int64_t until);
