/* Digests by name, HMAC with a prepared key, constant-time comparison, and the key derivations that OpenVPN uses. */
#pragma once

#include "base/cleanup.h"
#include "crypto/span.h"

#define HASH_MAX 64 /* longest digest: SHA-512 */

struct hash_digest {
	const char *name;     /* canonical: "SHA256" */
	const char *evp_name; /* as OpenSSL writes it: "SHA2-256" */
	uint8_t len;
};

/*
 * sha1, sha224, sha256, sha384, sha512, in any case, "SHA-256" and "RSA-SHA256" too. NULL for anything else; MD5 is not
 * offered (hash_tls1_prf() alone uses it, combined with SHA-1).
 */
const struct hash_digest *hash_digest_find(const char *name);

/* ---- HMAC ------------------------------------------------------------------------------------------------------- */

struct hash_hmac;

/* The key is processed once. 0, -EINVAL, -ENOMEM, -EOPNOTSUPP (libcrypto does not offer the digest). */
int hash_hmac_new(struct hash_hmac **ret, const struct hash_digest *digest, const uint8_t *key, size_t key_len);
struct hash_hmac *hash_hmac_free(struct hash_hmac *h);
DEFINE_CLEANUP(struct hash_hmac *, hash_hmac_free)

size_t hash_hmac_len(const struct hash_hmac *h);
/* HMAC over the pieces in their order; writes hash_hmac_len() bytes. 0 or -EIO. Allocates nothing of our own. */
int hash_hmac(struct hash_hmac *h, const struct span *parts, size_t n_parts, uint8_t *ret_mac);
/* The same, compared in constant time with mac (hash_hmac_len() bytes). 0: equal; -EBADMSG: not; -EIO. */
int hash_hmac_verify(struct hash_hmac *h, const struct span *parts, size_t n_parts, const uint8_t *mac) _warn_unused_;

/* ---- Plain digests: what HTTP's Digest log-in is made of, and nothing else ------------------------------------- */

#define HASH_HEX_MAX 65 /* with its NUL */
enum hash_plain { HASH_PLAIN_MD5, HASH_PLAIN_SHA256 };
/* Over the pieces in their order, in lower-case hexadecimal. 0, -EOPNOTSUPP (this libcrypto has no MD5), -EIO. */
int hash_plain_hex(enum hash_plain digest, const struct span *parts, size_t n_parts, char ret[static HASH_HEX_MAX]);

/* Constant-time in the contents; len bytes each. */
bool hash_equal(const void *a, const void *b, size_t len);

/* ---- Key derivation --------------------------------------------------------------------------------------------- */

/* HKDF-Expand with SHA-256 (RFC 5869 section 2.3). 0, -EINVAL (out_len 0 or > 8160), -EIO. */
int hash_hkdf_expand(const uint8_t *prk, size_t prk_len, const uint8_t *info, size_t info_len, uint8_t *out,
		     size_t out_len);

/*
 * HKDF-Expand with the label structure of TLS 1.3 (RFC 8446 section 7.1), but the prefix "ovpn ": the derivations of
 * the epoch data format. label up to 249 bytes, context up to 255 (usually none). 0, -EINVAL, -EIO.
 */
int hash_label_expand(const uint8_t *secret, size_t secret_len, const char *label, const uint8_t *context,
		      size_t context_len, uint8_t *out, size_t out_len);

/*
 * The PRF of TLS 1.0 (RFC 2246 section 5, MD5 xor SHA-1) over label | seed pieces. 0; -EOPNOTSUPP: this libcrypto has
 * no MD5 (FIPS), only servers that offer tls-ekm can be used; -EIO; -EINVAL: more than 1 KiB of seed.
 */
int hash_tls1_prf(const uint8_t *secret, size_t secret_len, const char *label, const struct span *seed, size_t n_seed,
		  uint8_t *out, size_t out_len);
