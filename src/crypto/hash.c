/*
 * Digests, HMAC and key derivation through EVP. An HMAC object keeps its keyed context: starting a message is a
 * re-initialisation without key, which reuses the two prepared inner states.
 */
#include "crypto/hash.h"

#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define HKDF_SHA256_LEN 32
#define HKDF_OUT_MAX (255 * HKDF_SHA256_LEN)
#define PRF_SEED_MAX 1024

struct hash_hmac {
	EVP_MAC_CTX *evp;
	size_t len;
};

static const struct hash_digest digests[] = {
	{ "SHA1", "SHA1", 20 },         { "SHA224", "SHA2-224", 28 }, { "SHA256", "SHA2-256", 32 },
	{ "SHA384", "SHA2-384", 48 },   { "SHA512", "SHA2-512", 64 },
};

const struct hash_digest *hash_digest_find(const char *name)
{
	char plain[16];
	size_t n = 0;

	if (!name)
		return NULL;
	if (strncasecmp(name, "RSA-", 4) == 0)
		name += 4;
	/* "SHA-256" and "SHA2-256" are SHA256 */
	if (strncasecmp(name, "SHA2-", 5) == 0 || strncasecmp(name, "SHA-", 4) == 0) {
		memcpy(plain, "SHA", 3);
		n = 3;
		name = strchr(name, '-') + 1;
	}
	if (n + strlen(name) >= sizeof(plain))
		return NULL;
	memcpy(plain + n, name, strlen(name) + 1);
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++)
		if (strcasecmp(plain, digests[i].name) == 0)
			return &digests[i];
	return NULL;
}

/* ---- plain ------------------------------------------------------------------------------------------------------ */

int hash_plain_hex(enum hash_plain digest, const struct span *parts, size_t n_parts, char ret[static HASH_HEX_MAX])
{
	EVP_MD *md = EVP_MD_fetch(NULL, digest == HASH_PLAIN_MD5 ? "MD5" : "SHA2-256", NULL);
	EVP_MD_CTX *c = md ? EVP_MD_CTX_new() : NULL;
	uint8_t out[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	bool good;

	if (!md)
		return -EOPNOTSUPP;
	good = c && EVP_DigestInit_ex(c, md, NULL) == 1;
	for (size_t i = 0; good && i < n_parts; i++)
		good = EVP_DigestUpdate(c, parts[i].p, parts[i].len) == 1;
	good = good && EVP_DigestFinal_ex(c, out, &len) == 1 && 2 * len < HASH_HEX_MAX;
	for (unsigned i = 0; good && i < len; i++)
		for (unsigned half = 0; half < 2; half++)
			ret[2 * i + half] = "0123456789abcdef"[half ? out[i] & 15 : out[i] >> 4];
	if (good)
		ret[2 * len] = '\0';
	EVP_MD_CTX_free(c);
	EVP_MD_free(md);
	return good ? 0 : -EIO;
}

/* ---- HMAC ------------------------------------------------------------------------------------------------------- */

int hash_hmac_new(struct hash_hmac **ret, const struct hash_digest *digest, const uint8_t *key, size_t key_len)
{
	_cleanup_(hash_hmac_freep) struct hash_hmac *h = NULL;
	OSSL_PARAM params[2];
	EVP_MAC *mac;

	if (!digest || !key || !key_len)
		return -EINVAL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (!mac)
		return -EOPNOTSUPP;
	h->evp = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac); /* the context holds its own reference */
	if (!h->evp)
		return -ENOMEM;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest->evp_name, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (EVP_MAC_init(h->evp, key, key_len, params) != 1)
		return -EOPNOTSUPP;
	h->len = digest->len;
	*ret = TAKE_PTR(h);
	return 0;
}

struct hash_hmac *hash_hmac_free(struct hash_hmac *h)
{
	if (!h)
		return NULL;
	EVP_MAC_CTX_free(h->evp);
	free(h);
	return NULL;
}

size_t hash_hmac_len(const struct hash_hmac *h)
{
	return h->len;
}

int hash_hmac(struct hash_hmac *h, const struct span *parts, size_t n_parts, uint8_t *ret_mac)
{
	uint8_t mac[HASH_MAX];
	size_t len = 0;

	if (EVP_MAC_init(h->evp, NULL, 0, NULL) != 1)
		return -EIO;
	for (size_t i = 0; i < n_parts; i++)
		if (parts[i].len && EVP_MAC_update(h->evp, parts[i].p, parts[i].len) != 1)
			return -EIO;
	if (EVP_MAC_final(h->evp, mac, &len, sizeof(mac)) != 1 || len != h->len)
		return -EIO;
	memcpy(ret_mac, mac, len);
	return 0;
}

int hash_hmac_verify(struct hash_hmac *h, const struct span *parts, size_t n_parts, const uint8_t *mac)
{
	uint8_t want[HASH_MAX];
	int r;

	r = hash_hmac(h, parts, n_parts, want);
	if (r < 0)
		return r;
	return hash_equal(want, mac, h->len) ? 0 : -EBADMSG;
}

bool hash_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

/* ---- Key derivation --------------------------------------------------------------------------------------------- */

int hash_hkdf_expand(const uint8_t *prk, size_t prk_len, const uint8_t *info, size_t info_len, uint8_t *out,
		     size_t out_len)
{
	_cleanup_(hash_hmac_freep) struct hash_hmac *h = NULL;
	uint8_t t[HKDF_SHA256_LEN];
	size_t done = 0;
	int r;

	if (!out_len || out_len > HKDF_OUT_MAX)
		return -EINVAL;
	r = hash_hmac_new(&h, hash_digest_find("SHA256"), prk, prk_len);
	if (r < 0)
		return r;
	/* T(n) = HMAC(prk, T(n-1) | info | n); T(0) is empty */
	for (uint8_t n = 1; done < out_len; n++) {
		struct span parts[] = { { t, n == 1 ? 0 : sizeof(t) }, { info, info_len }, { &n, 1 } };
		size_t take = MIN(out_len - done, sizeof(t));

		r = hash_hmac(h, parts, ARRAY_SIZE(parts), t);
		if (r < 0)
			break;
		memcpy(out + done, t, take);
		done += take;
	}
	OPENSSL_cleanse(t, sizeof(t));
	if (r < 0)
		OPENSSL_cleanse(out, out_len);
	return r;
}

int hash_label_expand(const uint8_t *secret, size_t secret_len, const char *label, const uint8_t *context,
		      size_t context_len, uint8_t *out, size_t out_len)
{
	static const char prefix[] = "ovpn ";
	uint8_t info[2 + 1 + 255 + 1 + 255];
	size_t label_len = strlen(label), n = 0;

	if (!label_len || label_len > 255 - strlen(prefix) || context_len > 255 || out_len > UINT16_MAX)
		return -EINVAL;
	info[n++] = (uint8_t)(out_len >> 8);
	info[n++] = (uint8_t)out_len;
	info[n++] = (uint8_t)(strlen(prefix) + label_len);
	memcpy(info + n, prefix, strlen(prefix));
	n += strlen(prefix);
	memcpy(info + n, label, label_len);
	n += label_len;
	info[n++] = (uint8_t)context_len;
	if (context_len)
		memcpy(info + n, context, context_len);
	n += context_len;
	return hash_hkdf_expand(secret, secret_len, info, n, out, out_len);
}

/* The seed parameter of the KDF is one run of bytes; label and pieces are put together here. */
static int prf_seed(const char *label, const struct span *seed, size_t n_seed, uint8_t *buf, size_t *ret_len)
{
	size_t n = strlen(label);

	if (n > PRF_SEED_MAX)
		return -EINVAL;
	memcpy(buf, label, n);
	for (size_t i = 0; i < n_seed; i++) {
		if (seed[i].len > PRF_SEED_MAX - n)
			return -EINVAL;
		if (seed[i].len)
			memcpy(buf + n, seed[i].p, seed[i].len);
		n += seed[i].len;
	}
	*ret_len = n;
	return 0;
}

int hash_tls1_prf(const uint8_t *secret, size_t secret_len, const char *label, const struct span *seed, size_t n_seed,
		  uint8_t *out, size_t out_len)
{
	uint8_t buf[PRF_SEED_MAX];
	OSSL_PARAM params[4];
	EVP_KDF_CTX *ctx;
	EVP_KDF *kdf;
	EVP_MD *md;
	size_t n;
	int r;

	r = prf_seed(label, seed, n_seed, buf, &n);
	if (r < 0)
		return r;
	/* A missing digest would only show as a failing derivation, so it is asked for by itself. */
	md = EVP_MD_fetch(NULL, "MD5-SHA1", NULL);
	kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	r = md && kdf ? 0 : -EOPNOTSUPP;
	ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	EVP_MD_free(md);
	EVP_KDF_free(kdf);
	if (r == 0) {
		params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"MD5-SHA1", 0);
		params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (uint8_t *)secret, secret_len);
		params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, buf, n);
		params[3] = OSSL_PARAM_construct_end();
		r = ctx && EVP_KDF_derive(ctx, out, out_len, params) == 1 ? 0 : -EIO;
	}
	EVP_KDF_CTX_free(ctx);
	OPENSSL_cleanse(buf, sizeof(buf));
	return r;
}
