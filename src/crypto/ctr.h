/* AES-256 in counter mode, keyed once: the cipher of tls-crypt. No integrity of its own. */
#pragma once

#include "base/cleanup.h"
#include "base/macro.h"

#define CTR_KEY_LEN 32
#define CTR_IV_LEN 16

struct ctr;

int ctr_new(struct ctr **ret, const uint8_t key[CTR_KEY_LEN]); /* 0, -ENOMEM, -EOPNOTSUPP */
struct ctr *ctr_free(struct ctr *c);
DEFINE_CLEANUP(struct ctr *, ctr_free)

/* Encrypts or decrypts (the same operation). in == out is allowed, other overlaps are not. 0 or -EIO. */
int ctr_crypt(struct ctr *c, const uint8_t iv[CTR_IV_LEN], const uint8_t *in, size_t len, uint8_t *out);
