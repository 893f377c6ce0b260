/* Names of data channel ciphers. The list is made of what crypto/ has; nothing here offers anything by itself. */
#include "proto/ovpn-cipher.h"

#include <string.h>
#include <strings.h>

#define CIPHERS_MAX 16

/* In the order of crypto/: AEAD first. Filled once; the engine has one thread. */
static const struct ovpn_cipher *all(size_t *ret_n)
{
	static struct ovpn_cipher list[CIPHERS_MAX];
	static size_t n;

	if (n == 0) {
		for (size_t i = 0; aead_cipher_at(i) && n < CIPHERS_MAX; i++)
			list[n++] = (struct ovpn_cipher){ .name = aead_cipher_at(i)->name, .aead = aead_cipher_at(i) };
		for (size_t i = 0; etm_cipher_at(i) && n < CIPHERS_MAX; i++)
			list[n++] = (struct ovpn_cipher){ .name = etm_cipher_at(i)->name, .etm = etm_cipher_at(i) };
	}
	*ret_n = n;
	return list;
}

const struct ovpn_cipher *ovpn_cipher_at(size_t i)
{
	size_t n;
	const struct ovpn_cipher *list = all(&n);

	return i < n ? &list[i] : NULL;
}

const struct ovpn_cipher *ovpn_cipher_find(const char *name)
{
	const struct aead_cipher *aead = aead_cipher_find(name);
	size_t n;
	const struct ovpn_cipher *list = all(&n);

	for (size_t i = 0; name && i < n; i++)
		if (aead ? list[i].aead == aead : strcasecmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}
