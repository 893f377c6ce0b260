/*
 * AEAD through OpenSSL's EVP.
 *
 * Theory. libcrypto's cost per packet is dominated by what is not encryption: fetching a cipher by name, the key
 * schedule, and finding parameters. So the context is made, keyed and told its direction once, only the IV is set per
 * packet, and the tag travels through one prebuilt parameter whose pointer is exchanged (EVP_CIPHER_CTX_ctrl() would
 * build and search a parameter list each time).
 */
#include "crypto/aead.h"

#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

/* Larger than any datagram and smaller than INT_MAX, which is what EVP takes. */
#define TEXT_MAX ((size_t)1 << 24)

struct aead {
	const struct aead_ops *ops;
	const struct aead_cipher *cipher;
	enum aead_direction direction;
	EVP_CIPHER_CTX *evp;
	OSSL_PARAM tag[2];
};

static const struct aead_cipher ciphers[] = {
	{ "AES-256-GCM", "AES-256-GCM", 32, true },
	{ "AES-128-GCM", "AES-128-GCM", 16, true },
	{ "AES-192-GCM", "AES-192-GCM", 24, true },
	{ "CHACHA20-POLY1305", "ChaCha20-Poly1305", 32, false },
};

static const struct {
	const char *alias;
	uint8_t index;
} aliases[] = {
	{ "id-aes256-GCM", 0 },
	{ "id-aes128-GCM", 1 },
	{ "id-aes192-GCM", 2 },
};

const struct aead_cipher *aead_cipher_at(size_t i)
{
	return i < ARRAY_SIZE(ciphers) ? &ciphers[i] : NULL;
}

const struct aead_cipher *aead_cipher_find(const char *name)
{
	if (!name)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++)
		if (strcasecmp(name, ciphers[i].name) == 0)
			return &ciphers[i];
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (strcasecmp(name, aliases[i].alias) == 0)
			return &ciphers[aliases[i].index];
	return NULL;
}

static int evp_init(struct aead *a, enum aead_direction direction, const uint8_t *key)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, a->cipher->evp_name, NULL);
	int ok;

	if (!cipher)
		return -EOPNOTSUPP;
	a->evp = EVP_CIPHER_CTX_new();
	ok = a->evp && EVP_CipherInit_ex2(a->evp, cipher, key, NULL, direction == AEAD_SEAL, NULL) == 1 &&
	     EVP_CIPHER_CTX_get_iv_length(a->evp) == AEAD_NONCE_LEN;
	EVP_CIPHER_free(cipher); /* the context holds its own reference */
	if (!ok)
		return a->evp ? -EOPNOTSUPP : -ENOMEM;
	a->tag[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, AEAD_TAG_LEN);
	a->tag[1] = OSSL_PARAM_construct_end();
	return 0;
}

static int evp_seal(struct aead *a, const uint8_t *nonce, const void *ad, size_t ad_len, const struct span *parts,
		    size_t n_parts, uint8_t *out, uint8_t *tag)
{
	int n = 0;

	if (EVP_EncryptInit_ex(a->evp, NULL, NULL, NULL, nonce) != 1)
		return -EIO;
	if (ad_len && EVP_EncryptUpdate(a->evp, NULL, &n, ad, (int)ad_len) != 1)
		return -EIO;
	for (size_t i = 0; i < n_parts; i++) {
		if (!parts[i].len)
			continue;
		if (EVP_EncryptUpdate(a->evp, out, &n, parts[i].p, (int)parts[i].len) != 1)
			return -EIO;
		out += n;
	}
	if (EVP_EncryptFinal_ex(a->evp, out, &n) != 1)
		return -EIO;
	a->tag[0].data = tag;
	return EVP_CIPHER_CTX_get_params(a->evp, a->tag) == 1 ? 0 : -EIO;
}

static int evp_open(struct aead *a, const uint8_t *nonce, const void *ad, size_t ad_len, const uint8_t *in, size_t len,
		    uint8_t *out, const uint8_t *tag)
{
	int n = 0;

	if (EVP_DecryptInit_ex(a->evp, NULL, NULL, NULL, nonce) != 1)
		return -EIO;
	a->tag[0].data = (uint8_t *)tag; /* only read: the parameter has no const form */
	if (EVP_CIPHER_CTX_set_params(a->evp, a->tag) != 1)
		return -EIO;
	if (ad_len && EVP_DecryptUpdate(a->evp, NULL, &n, ad, (int)ad_len) != 1)
		return -EIO;
	if (len && EVP_DecryptUpdate(a->evp, out, &n, in, (int)len) != 1)
		return -EBADMSG;
	/* Only Final compares the tag; nothing before it says anything about the packet. */
	return EVP_DecryptFinal_ex(a->evp, out + len, &n) == 1 ? 0 : -EBADMSG;
}

static void evp_done(struct aead *a)
{
	EVP_CIPHER_CTX_free(a->evp); /* wipes the key schedule */
	a->evp = NULL;
}

static const struct aead_ops evp_ops = {
	.name = "openssl",
	.init = evp_init,
	.seal = evp_seal,
	.open = evp_open,
	.done = evp_done,
};

int aead_new(struct aead **ret, const struct aead_cipher *cipher, enum aead_direction direction, const uint8_t *key,
	     size_t key_len)
{
	_cleanup_(aead_freep) struct aead *a = NULL;
	int r;

	if (!cipher || !key || key_len < cipher->key_len)
		return -EINVAL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->ops = &evp_ops;
	a->cipher = cipher;
	a->direction = direction;
	r = a->ops->init(a, direction, key);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

struct aead *aead_free(struct aead *a)
{
	if (!a)
		return NULL;
	a->ops->done(a);
	free(a);
	return NULL;
}

const struct aead_cipher *aead_get_cipher(const struct aead *a)
{
	return a->cipher;
}

int aead_seal_parts(struct aead *a, const uint8_t nonce[AEAD_NONCE_LEN], const void *ad, size_t ad_len,
		    const struct span *parts, size_t n_parts, uint8_t *out, uint8_t tag[AEAD_TAG_LEN])
{
	size_t total = ad_len;

	for (size_t i = 0; i < n_parts && total <= TEXT_MAX; i++)
		total = parts[i].len > TEXT_MAX ? parts[i].len : total + parts[i].len;
	if (a->direction != AEAD_SEAL || total > TEXT_MAX)
		return -EINVAL;
	return a->ops->seal(a, nonce, ad, ad_len, parts, n_parts, out, tag);
}

int aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE_LEN], const void *ad, size_t ad_len, const uint8_t *in,
	      size_t len, uint8_t *out, uint8_t tag[AEAD_TAG_LEN])
{
	return aead_seal_parts(a, nonce, ad, ad_len, &(struct span){ in, len }, 1, out, tag);
}

int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE_LEN], const void *ad, size_t ad_len, const uint8_t *in,
	      size_t len, uint8_t *out, const uint8_t tag[AEAD_TAG_LEN])
{
	if (a->direction != AEAD_OPEN || ad_len > TEXT_MAX || len > TEXT_MAX)
		return -EINVAL;
	return a->ops->open(a, nonce, ad, ad_len, in, len, out, tag);
}
