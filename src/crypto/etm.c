/* AES-CBC and HMAC through EVP. The context is keyed once; a packet sets the IV and runs both passes. */
#include "crypto/etm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "crypto/random.h"

/* Larger than any datagram and smaller than INT_MAX, which is what EVP takes. */
#define TEXT_MAX ((size_t)1 << 24)
#define IVS_AT_ONCE 32

struct etm {
	enum etm_direction direction;
	EVP_CIPHER_CTX *evp;
	struct hash_hmac *mac;
	size_t mac_len;
	unsigned ivs_left;
	uint8_t ivs[IVS_AT_ONCE][ETM_IV_LEN];
};

static const struct etm_cipher ciphers[] = {
	{ "AES-256-CBC", 32 },
	{ "AES-192-CBC", 24 },
	{ "AES-128-CBC", 16 },
};

const struct etm_cipher *etm_cipher_at(size_t i)
{
	return i < ARRAY_SIZE(ciphers) ? &ciphers[i] : NULL;
}

static int init_cipher(struct etm *e, const struct etm_params *p)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, p->cipher->name, NULL);
	int ok;

	if (!cipher)
		return -EOPNOTSUPP;
	e->evp = EVP_CIPHER_CTX_new();
	ok = e->evp && EVP_CipherInit_ex2(e->evp, cipher, p->cipher_key, NULL, p->direction == ETM_SEAL, NULL) == 1 &&
	     EVP_CIPHER_CTX_get_iv_length(e->evp) == ETM_IV_LEN &&
	     EVP_CIPHER_CTX_get_key_length(e->evp) == p->cipher->key_len &&
	     /* opening looks at the padding itself: libcrypto would hold back the last block */
	     (p->direction == ETM_SEAL || EVP_CIPHER_CTX_set_padding(e->evp, 0) == 1);
	EVP_CIPHER_free(cipher); /* the context holds its own reference */
	if (!ok)
		return e->evp ? -EOPNOTSUPP : -ENOMEM;
	return 0;
}

int etm_new(struct etm **ret, const struct etm_params *p)
{
	_cleanup_(etm_freep) struct etm *e = NULL;
	int r;

	if (!p->cipher || !p->digest || !p->cipher_key || !p->hmac_key)
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->direction = p->direction;
	e->mac_len = p->digest->len;
	r = hash_hmac_new(&e->mac, p->digest, p->hmac_key, p->digest->len);
	if (r < 0)
		return r;
	r = init_cipher(e, p);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(e);
	return 0;
}

struct etm *etm_free(struct etm *e)
{
	if (!e)
		return NULL;
	EVP_CIPHER_CTX_free(e->evp); /* wipes the key schedule */
	hash_hmac_free(e->mac);
	OPENSSL_cleanse(e->ivs, sizeof(e->ivs));
	free(e);
	return NULL;
}

size_t etm_head_len(const struct etm *e)
{
	return e->mac_len + ETM_IV_LEN;
}

/* An IV must not be known before its packet: it is used once, and a fork of the process does not happen here. */
static const uint8_t *next_iv(struct etm *e)
{
	if (!e->ivs_left) {
		if (random_bytes(e->ivs, sizeof(e->ivs)) < 0)
			return NULL;
		e->ivs_left = IVS_AT_ONCE;
	}
	return e->ivs[--e->ivs_left];
}

ssize_t etm_seal_parts(struct etm *e, const struct span *parts, size_t n_parts, uint8_t *out)
{
	uint8_t *iv = out + e->mac_len, *at = iv + ETM_IV_LEN;
	const uint8_t *fresh;
	struct span covered;
	size_t total = 0;
	int n = 0;

	for (size_t i = 0; i < n_parts && total <= TEXT_MAX; i++)
		total = parts[i].len > TEXT_MAX ? parts[i].len : total + parts[i].len;
	if (e->direction != ETM_SEAL || total > TEXT_MAX)
		return -EINVAL;
	fresh = next_iv(e);
	if (!fresh)
		return -EIO;
	memcpy(iv, fresh, ETM_IV_LEN);
	if (EVP_EncryptInit_ex(e->evp, NULL, NULL, NULL, iv) != 1)
		return -EIO;
	for (size_t i = 0; i < n_parts; i++) {
		if (!parts[i].len)
			continue;
		if (EVP_EncryptUpdate(e->evp, at, &n, parts[i].p, (int)parts[i].len) != 1)
			return -EIO;
		at += n;
	}
	if (EVP_EncryptFinal_ex(e->evp, at, &n) != 1)
		return -EIO;
	at += n;
	covered = (struct span){ iv, (size_t)(at - iv) };
	if (hash_hmac(e->mac, &covered, 1, out) < 0)
		return -EIO;
	return at - out;
}

/* PKCS#7, on bytes that are authentic: whoever made them holds the key. */
static ssize_t unpad(const uint8_t *text, size_t len)
{
	uint8_t n = text[len - 1];

	if (n == 0 || n > ETM_BLOCK_LEN)
		return -EBADMSG;
	for (size_t i = 2; i <= n; i++)
		if (text[len - i] != n)
			return -EBADMSG;
	return (ssize_t)(len - n);
}

ssize_t etm_open(struct etm *e, const uint8_t *in, size_t len, uint8_t *out)
{
	const uint8_t *iv = in + e->mac_len, *at = iv + ETM_IV_LEN;
	struct span covered;
	size_t text_len;
	int n = 0, r;

	if (e->direction != ETM_OPEN || len > TEXT_MAX)
		return -EINVAL;
	if (len < etm_head_len(e) + ETM_BLOCK_LEN)
		return -EBADMSG;
	text_len = len - etm_head_len(e);
	if (text_len % ETM_BLOCK_LEN)
		return -EBADMSG;
	covered = (struct span){ iv, ETM_IV_LEN + text_len };
	r = hash_hmac_verify(e->mac, &covered, 1, in);
	if (r < 0)
		return r;
	if (EVP_DecryptInit_ex(e->evp, NULL, NULL, NULL, iv) != 1)
		return -EIO;
	if (EVP_DecryptUpdate(e->evp, out, &n, at, (int)text_len) != 1 || (size_t)n != text_len)
		return -EIO;
	return unpad(out, text_len);
}
