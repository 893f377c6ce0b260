/*
 * Encrypt, then MAC: AES-CBC under an HMAC, what OpenVPN used before it had AEAD and what old servers still want.
 *
 *   hmac(N) iv(16) ciphertext   the HMAC covers iv and ciphertext; PKCS#7 padding
 *
 * One object is one direction of one key. Nothing is decrypted before its HMAC was compared in constant time, so padding
 * tells a forger nothing. IVs are random, drawn some at a time; a packet allocates nothing of ours.
 */
#pragma once

#include <sys/types.h>

#include "base/cleanup.h"
#include "crypto/hash.h"
#include "crypto/span.h"

#define ETM_BLOCK_LEN 16
#define ETM_IV_LEN 16
/* Longest that sealing adds: SHA-512, IV, a whole block of padding. */
#define ETM_OVERHEAD_MAX (HASH_MAX + ETM_IV_LEN + ETM_BLOCK_LEN)

struct etm_cipher {
	const char *name;     /* canonical, as OpenVPN and OpenSSL write it: "AES-256-CBC" */
	uint8_t key_len;
};

/* The known ciphers, i = 0, 1, ...; NULL behind the last. */
const struct etm_cipher *etm_cipher_at(size_t i);

enum etm_direction { ETM_SEAL, ETM_OPEN };

struct etm;

struct etm_params {
	const struct etm_cipher *cipher;
	const struct hash_digest *digest;
	enum etm_direction direction;
	const uint8_t *cipher_key; /* cipher->key_len bytes */
	const uint8_t *hmac_key;   /* digest->len bytes */
};

/* 0, -EINVAL, -ENOMEM, -EOPNOTSUPP (libcrypto has not got it). Keys are not kept but in the schedules. */
int etm_new(struct etm **ret, const struct etm_params *p);
struct etm *etm_free(struct etm *e); /* NULL is fine; wipes; returns NULL */
DEFINE_CLEANUP(struct etm *, etm_free)

/* HMAC and IV: what is in front of the ciphertext. */
size_t etm_head_len(const struct etm *e);

/*
 * Seals the pieces as if they lay behind one another; out has room for all of them and ETM_OVERHEAD_MAX and overlaps
 * none. > 0: length of what is at out; -EINVAL (wrong direction, too long), -EIO.
 */
ssize_t etm_seal_parts(struct etm *e, const struct span *parts, size_t n_parts, uint8_t *out);

/*
 * Opens len bytes. >= 0: length of the plaintext at out, which has room for len - etm_head_len() bytes and does not
 * overlap in. -EBADMSG: not authentic (nothing was written) or not padded; -EINVAL, -EIO.
 */
ssize_t etm_open(struct etm *e, const uint8_t *in, size_t len, uint8_t *out) _warn_unused_;
