/*
 * Authenticated encryption of packets: AES-GCM and ChaCha20-Poly1305 with a 12-byte nonce and a 16-byte tag.
 *
 * One object is one key in one direction. Everything that can be done once (fetching the cipher, the key schedule, the
 * parameter that carries the tag) is done by aead_new(); a packet costs setting the nonce and running the cipher, and
 * allocates nothing. An object is used by one thread at a time. Never seal twice with the same nonce: counters are the
 * caller's business (proto/ovpn-data.c).
 */
#pragma once

#include "base/cleanup.h"
#include "crypto/span.h"

#define AEAD_NONCE_LEN 12
#define AEAD_TAG_LEN 16
#define AEAD_KEY_MAX 32

struct aead_cipher {
	const char *name;     /* canonical, as OpenVPN writes it: "AES-256-GCM" */
	const char *evp_name; /* as OpenSSL writes it */
	uint8_t key_len;
	bool is_gcm;          /* the GCM usage limits apply */
};

/* Looked up without regard to case; also "id-aes256-GCM" and "ChaCha20-Poly1305". NULL: not an AEAD cipher we know. */
const struct aead_cipher *aead_cipher_find(const char *name);
/* The known ciphers, i = 0, 1, ...; NULL behind the last. */
const struct aead_cipher *aead_cipher_at(size_t i);

enum aead_direction { AEAD_SEAL, AEAD_OPEN };

struct aead;

/*
 * The back end. Every function gets what the public one of the same name got, already checked. A second back end is
 * one more table of these and a line in aead_new().
 */
struct aead_ops {
	const char *name;
	int (*init)(struct aead *a, enum aead_direction direction, const uint8_t *key);
	int (*seal)(struct aead *a, const uint8_t *nonce, const void *ad, size_t ad_len, const struct span *parts,
		    size_t n_parts, uint8_t *out, uint8_t *tag);
	int (*open)(struct aead *a, const uint8_t *nonce, const void *ad, size_t ad_len, const uint8_t *in, size_t len,
		    uint8_t *out, const uint8_t *tag);
	void (*done)(struct aead *a);
};

/*
 * key_len bytes at key, at least what the cipher needs; the rest is ignored. 0, -EINVAL, -ENOMEM, -EOPNOTSUPP
 * (libcrypto does not offer the cipher). The key goes into the back end's schedule and is not kept otherwise.
 */
int aead_new(struct aead **ret, const struct aead_cipher *cipher, enum aead_direction direction, const uint8_t *key,
	     size_t key_len);
struct aead *aead_free(struct aead *a); /* NULL is fine; wipes; returns NULL */
DEFINE_CLEANUP(struct aead *, aead_free)

const struct aead_cipher *aead_get_cipher(const struct aead *a);

/*
 * Encrypts len bytes of in to out (as many) and writes the tag. in == out is allowed, any other overlap is not; tag may
 * lie directly before or behind out. 0 or -EIO; out and tag are then undefined and must not be sent. -EINVAL: wrong
 * direction.
 */
int aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE_LEN], const void *ad, size_t ad_len, const uint8_t *in,
	      size_t len, uint8_t *out, uint8_t tag[AEAD_TAG_LEN]);

/*
 * The same for a plaintext in pieces, as if they lay behind one another: a framing byte in front of a packet costs no
 * copy of the packet. A piece either does not overlap out at all or lies exactly where its ciphertext goes.
 */
int aead_seal_parts(struct aead *a, const uint8_t nonce[AEAD_NONCE_LEN], const void *ad, size_t ad_len,
		    const struct span *parts, size_t n_parts, uint8_t *out, uint8_t tag[AEAD_TAG_LEN]);

/*
 * Decrypts len bytes of in to out and verifies. in == out is allowed, any other overlap is not. 0: authentic. -EBADMSG:
 * not; out then holds unauthenticated bytes which nobody may look at. -EINVAL: wrong direction; -EIO: libcrypto failed.
 */
int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE_LEN], const void *ad, size_t ad_len, const uint8_t *in,
	      size_t len, uint8_t *out, const uint8_t tag[AEAD_TAG_LEN]) _warn_unused_;
