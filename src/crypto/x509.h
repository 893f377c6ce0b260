/*
 * What a certificate says, and the two checks on the server's one that come on top of the chain: "is it meant for
 * servers" (remote-cert-tls) and "is it this one" (verify-x509-name). Names are in OpenVPN's printed form,
 * "C=US, ST=CA, CN=name", UTF-8. A name with an embedded NUL is refused everywhere.
 */
#pragma once

#include <openssl/x509.h>

#include "base/fingerprint.h"
#include "base/macro.h"
#include "base/secret.h"

enum x509_check {
	X509_CHECK_NONE,
	X509_CHECK_SUBJECT,     /* the whole subject, exactly */
	X509_CHECK_NAME,        /* the common name, exactly: no wildcards */
	X509_CHECK_NAME_PREFIX, /* the common name begins with */
};

/* malloc'ed, as in the certificate (compare with it; escape before showing it). -EBADMSG: NUL inside; -ENOMEM. */
int x509_name_format(const X509_NAME *name, char **ret);
/* The last common name of the subject. -ENOENT: there is none; -EBADMSG: NUL inside; -ENOMEM. */
int x509_common_name(const X509 *cert, char **ret);
/* "2026-01-31 12:00 UTC"; "an unreadable date" when it is one. Returns buf. */
char *x509_time_format(const ASN1_TIME *t, char *buf, size_t cap);

/* All: 0, or -EKEYREJECTED with a malloc'ed clause ("… is …", escaped, no full stop) in *ret_why; -ENOMEM. */
int x509_check_name(const X509 *cert, enum x509_check check, const char *expected, char **ret_why);
int x509_check_server(X509 *cert, char **ret_why);
/* remote-cert-ku: the key usage is there and has all bits of one of the sets (n 0: is there). */
int x509_check_ku(X509 *cert, const uint16_t *ku, size_t n, char **ret_why);
/* remote-cert-eku: this extended key usage is there; OpenSSL's short or long name, or dotted numbers. */
int x509_check_eku(X509 *cert, const char *eku, char **ret_why);
/* One of these fingerprints; compared in constant time, though nothing here is secret. */
int x509_check_pin(const X509 *cert, const struct fingerprint *pins, size_t n, char **ret_why);

/*
 * All certificates of a PEM text, in order; text around them is ignored, keys as well. `skip` leaves out the first n.
 * 0; -ENOENT: none found; -EBADMSG: damaged; -ENOMEM. The stack is the caller's.
 */
int x509_load_pem(const struct secret *pem, size_t skip, STACK_OF(X509) **ret);

static inline void x509_stackp(STACK_OF(X509) **s)
{
	sk_X509_pop_free(*s, X509_free);
}
static inline void x509_freep(X509 **x)
{
	X509_free(*x);
}
static inline void bio_freep(BIO **b)
{
	(void)BIO_free(*b); /* memory BIOs only: cannot fail */
}
