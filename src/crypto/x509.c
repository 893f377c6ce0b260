/*
 * Certificates: printed names, dates, and the checks of remote-cert-tls and verify-x509-name.
 *
 * Everything here reads what a stranger wrote, before or while it is being verified: lengths come from the ASN.1
 * strings and never from strlen(), and a NUL inside a name is a refusal, because whoever compares C strings behind us
 * would see another name than the one that was signed.
 */
#include "crypto/x509.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Longest name that is compared or shown; real ones have a few hundred bytes. */
#define NAME_LEN_MAX 4096
/* What a sentence shows of a name. */
#define NAME_SHOWN_MAX 160

static int entry_to_utf8(const X509_NAME_ENTRY *entry, char **ret)
{
	unsigned char *utf8 = NULL;
	char *s;
	int len;

	len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
	if (len < 0 || len > NAME_LEN_MAX || (len > 0 && memchr(utf8, 0, (size_t)len))) {
		OPENSSL_free(utf8);
		return -EBADMSG;
	}
	s = strndup(len ? (const char *)utf8 : "", (size_t)len);
	OPENSSL_free(utf8);
	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

int x509_name_format(const X509_NAME *name, char **ret)
{
	_cleanup_(bio_freep) BIO *bio = NULL;
	char *data = NULL, *s;
	long len;

	for (int i = 0; i < X509_NAME_entry_count(name); i++) {
		_cleanup_(freep) char *value = NULL;
		int r = entry_to_utf8(X509_NAME_get_entry(name, i), &value);

		if (r < 0)
			return r;
	}
	bio = BIO_new(BIO_s_mem());
	if (!bio)
		return -ENOMEM;
	if (X509_NAME_print_ex(bio, name, 0,
			       XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN | ASN1_STRFLGS_UTF8_CONVERT |
				       ASN1_STRFLGS_ESC_CTRL) < 0)
		return -EBADMSG;
	len = BIO_get_mem_data(bio, &data);
	if (len < 0 || len > NAME_LEN_MAX)
		return -EBADMSG;
	s = strndup(len ? data : "", (size_t)len);
	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

int x509_common_name(const X509 *cert, char **ret)
{
	const X509_NAME *name = X509_get_subject_name(cert);
	int at = -1, next;

	if (!name)
		return -ENOENT;
	/* The last one is the most specific; OpenVPN takes it as well. */
	while ((next = X509_NAME_get_index_by_NID((X509_NAME *)name, NID_commonName, at)) >= 0)
		at = next;
	if (at < 0)
		return -ENOENT;
	return entry_to_utf8(X509_NAME_get_entry(name, at), ret);
}

char *x509_time_format(const ASN1_TIME *t, char *buf, size_t cap)
{
	struct tm tm;

	if (!t || !ASN1_TIME_to_tm(t, &tm) || !strftime(buf, cap, "%Y-%m-%d %H:%M UTC", &tm))
		(void)str_copy(buf, cap, "an unreadable date");
	return buf;
}

/* The name that a check looks at, in words for the sentence. */
static int checked_name(const X509 *cert, enum x509_check check, char **ret)
{
	if (check == X509_CHECK_SUBJECT)
		return x509_name_format(X509_get_subject_name(cert), ret);
	return x509_common_name(cert, ret);
}

static bool name_matches(enum x509_check check, const char *name, const char *expected)
{
	switch (check) {
	case X509_CHECK_NONE:
		return true;
	case X509_CHECK_SUBJECT:
	case X509_CHECK_NAME:
		return str_eq(name, expected);
	case X509_CHECK_NAME_PREFIX:
		return str_has_prefix(name, expected);
	}
	return false;
}

int x509_check_name(const X509 *cert, enum x509_check check, const char *expected, char **ret_why)
{
	static const char *const words[] = { "", "its subject", "its name", "the beginning of its name" };
	_cleanup_(freep) char *name = NULL, *got = NULL, *want = NULL;
	int r;

	if (check == X509_CHECK_NONE)
		return 0;
	r = checked_name(cert, check, &name);
	if (r == -ENOMEM)
		return r;
	if (r == 0 && expected && expected[0] && name_matches(check, name, expected))
		return 0;

	want = str_escape(expected ? expected : "", expected ? strlen(expected) : 0, NAME_SHOWN_MAX);
	got = r == 0 ? str_escape(name, strlen(name), NAME_SHOWN_MAX) : NULL;
	if (!want || (r == 0 && !got))
		return -ENOMEM;
	if (r == -ENOENT)
		*ret_why = str_format("it has no common name, expected \"%s\"", want);
	else if (r < 0)
		*ret_why = str_format("its name has a NUL or unreadable characters inside, expected \"%s\"", want);
	else
		*ret_why = str_format("%s is \"%s\", expected \"%s\"", words[check], got, want);
	return *ret_why ? -EKEYREJECTED : -ENOMEM;
}

int x509_check_server(X509 *cert, char **ret_why)
{
	uint32_t flags = X509_get_extension_flags(cert);
	const char *why = NULL;

	if (flags & EXFLAG_INVALID)
		why = "its extensions are damaged";
	else if (!(flags & EXFLAG_KUSAGE))
		why = "it does not say what its key may be used for (no key usage)";
	else if (!(flags & EXFLAG_XKUSAGE))
		why = "it does not say that it belongs to a server (no extended key usage)";
	else if (!(X509_get_extended_key_usage(cert) & XKU_SSL_SERVER))
		why = "it is not a server's certificate (its extended key usage lacks serverAuth)";
	if (!why)
		return 0;
	*ret_why = strdup(why);
	return *ret_why ? -EKEYREJECTED : -ENOMEM;
}

/* ---- remote-cert-ku, remote-cert-eku, peer-fingerprint, verify-hash ---- */

static int reject(char **ret_why, char *why)
{
	*ret_why = why;
	return why ? -EKEYREJECTED : -ENOMEM;
}

int x509_check_ku(X509 *cert, const uint16_t *ku, size_t n, char **ret_why)
{
	uint32_t flags = X509_get_extension_flags(cert), bits;

	if ((flags & EXFLAG_INVALID) || !(flags & EXFLAG_KUSAGE))
		return reject(ret_why, strdup("it does not say what its key may be used for (no key usage)"));
	bits = X509_get_key_usage(cert);
	for (size_t i = 0; i < n; i++)
		if ((bits & ku[i]) == ku[i])
			return 0;
	if (n == 0)
		return 0;
	return reject(ret_why, str_format("its key usage is %02x, and the profile wants other bits", (unsigned)bits));
}

static bool names_usage(const ASN1_OBJECT *usage, const char *name)
{
	char text[128];
	int nid = OBJ_obj2nid(usage);

	if (OBJ_obj2txt(text, sizeof(text), usage, 1) > 0 && str_eq(text, name))
		return true;
	return nid != NID_undef && (str_ieq(OBJ_nid2sn(nid), name) || str_ieq(OBJ_nid2ln(nid), name));
}

int x509_check_eku(X509 *cert, const char *eku, char **ret_why)
{
	EXTENDED_KEY_USAGE *all = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	_cleanup_(freep) char *shown = NULL;
	bool found = false;

	for (int i = 0; i < sk_ASN1_OBJECT_num(all); i++)
		found |= names_usage(sk_ASN1_OBJECT_value(all, i), eku);
	sk_ASN1_OBJECT_pop_free(all, ASN1_OBJECT_free);
	if (found)
		return 0;
	shown = str_escape(eku, strlen(eku), NAME_SHOWN_MAX);
	return shown ? reject(ret_why, str_format("its extended key usage lacks \"%s\"", shown)) : -ENOMEM;
}

int x509_check_pin(const X509 *cert, const struct fingerprint *pins, size_t n, char **ret_why)
{
	unsigned char sha1[EVP_MAX_MD_SIZE], sha256[EVP_MAX_MD_SIZE];
	unsigned len1 = 0, len256 = 0;
	struct strbuf b = { 0 };

	if (X509_digest(cert, EVP_sha1(), sha1, &len1) != 1)
		len1 = 0; /* a libcrypto without it */
	if (X509_digest(cert, EVP_sha256(), sha256, &len256) != 1)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (pins[i].len == len256 && CRYPTO_memcmp(pins[i].hash, sha256, len256) == 0)
			return 0;
		if (pins[i].len == len1 && CRYPTO_memcmp(pins[i].hash, sha1, len1) == 0)
			return 0;
	}
	strbuf_add(&b, "its SHA256 fingerprint is ");
	for (unsigned i = 0; i < len256; i++)
		strbuf_addf(&b, i ? ":%02X" : "%02X", sha256[i]);
	if (strbuf_error(&b) < 0) {
		strbuf_done(&b);
		return -ENOMEM;
	}
	return reject(ret_why, strbuf_take(&b));
}

int x509_load_pem(const struct secret *pem, size_t skip, STACK_OF(X509) **ret)
{
	_cleanup_(x509_stackp) STACK_OF(X509) *stack = NULL;
	_cleanup_(bio_freep) BIO *bio = NULL;
	unsigned long e;

	if (secret_len(pem) == 0)
		return -ENOENT;
	if (secret_len(pem) > INT_MAX)
		return -EBADMSG;
	ERR_clear_error();
	bio = BIO_new_mem_buf(secret_bytes(pem), (int)secret_len(pem));
	stack = sk_X509_new_null();
	if (!bio || !stack)
		return -ENOMEM;
	for (;;) {
		X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);

		if (!cert)
			break;
		if (skip) {
			skip--;
			X509_free(cert);
		} else if (sk_X509_push(stack, cert) <= 0) {
			X509_free(cert);
			return -ENOMEM;
		}
	}
	e = ERR_peek_last_error();
	ERR_clear_error();
	if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
		return -EBADMSG;
	if (sk_X509_num(stack) == 0)
		return -ENOENT;
	*ret = TAKE_PTR(stack);
	return 0;
}
