/* The ciphers of the data channel: one name, and which of the two mechanisms in crypto/ is behind it. */
#pragma once

#include "crypto/aead.h"
#include "crypto/etm.h"

struct ovpn_cipher {
	const char *name;               /* canonical, as OpenVPN writes it */
	const struct aead_cipher *aead; /* one of the two */
	const struct etm_cipher *etm;
};

/* Without regard to case, with OpenSSL's other names. NULL: not one of ours. */
const struct ovpn_cipher *ovpn_cipher_find(const char *name);
/* The known ciphers, i = 0, 1, ...; NULL behind the last. */
const struct ovpn_cipher *ovpn_cipher_at(size_t i);
