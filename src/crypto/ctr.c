/* AES-256-CTR through EVP: one context, keyed once; encryption and decryption are the same operation. */
#include "crypto/ctr.h"

#include <limits.h>

#include <openssl/evp.h>

struct ctr {
	EVP_CIPHER_CTX *evp;
};

int ctr_new(struct ctr **ret, const uint8_t key[CTR_KEY_LEN])
{
	_cleanup_(ctr_freep) struct ctr *c = NULL;
	EVP_CIPHER *cipher;
	int ok;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
	if (!cipher)
		return -EOPNOTSUPP;
	c->evp = EVP_CIPHER_CTX_new();
	ok = c->evp && EVP_EncryptInit_ex2(c->evp, cipher, key, NULL, NULL) == 1;
	EVP_CIPHER_free(cipher);
	if (!ok)
		return c->evp ? -EOPNOTSUPP : -ENOMEM;
	*ret = TAKE_PTR(c);
	return 0;
}

struct ctr *ctr_free(struct ctr *c)
{
	if (!c)
		return NULL;
	EVP_CIPHER_CTX_free(c->evp);
	free(c);
	return NULL;
}

int ctr_crypt(struct ctr *c, const uint8_t iv[CTR_IV_LEN], const uint8_t *in, size_t len, uint8_t *out)
{
	int n = 0;

	if (len > INT_MAX || EVP_EncryptInit_ex2(c->evp, NULL, NULL, iv, NULL) != 1)
		return -EIO;
	if (len && EVP_EncryptUpdate(c->evp, out, &n, in, (int)len) != 1)
		return -EIO;
	return 0;
}
