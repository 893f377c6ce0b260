/* AES-CBC and HMAC: published ciphertexts, and everything that must be refused. */
#include "crypto/etm.h"

#include <errno.h>

#include "lib/hex.h"

/*
 * Origin: NIST SP 800-38A appendix F.2 (CBC, four blocks). The fifth block is the padding, as `openssl enc` makes it from
 * the same text.
 */
#define TEXT                                                                                                       \
	"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"                                         \
	"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
#define IV "000102030405060708090a0b0c0d0e0f"
static const struct {
	const char *cipher, *key, *sealed;
} vectors[] = {
	{ "AES-256-CBC", "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
	  "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461"
	  "b2eb05e2c39be9fcda6c19078c6a9d1b3f461796d6b0d6b2e0c2a72b4d80e644" },
	{ "AES-192-CBC", "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
	  "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b242012fb7ae07fa9baac3df102e0"
	  "08b0e27988598881d920a9e64f5615cd612ccd79224b350935d45dd6a98f8176" },
	{ "AES-128-CBC", "2b7e151628aed2a6abf7158809cf4f3c",
	  "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b7116e69e22229516"
	  "3ff1caa1681fac09120eca307586e1a78cb82807230e1321d3fae00d18cc2012" },
};

static const uint8_t hmac_key[64] = { 7, 7, 7 };

static const struct etm_cipher *cipher_of(const char *name)
{
	for (size_t i = 0; etm_cipher_at(i); i++)
		if (strcmp(etm_cipher_at(i)->name, name) == 0)
			return etm_cipher_at(i);
	cr_assert_fail("%s", name);
	return NULL;
}

static struct etm *make(const char *cipher, const char *digest, const uint8_t *key, enum etm_direction direction)
{
	const struct etm_params p = { .cipher = cipher_of(cipher), .digest = hash_digest_find(digest), .direction = direction,
				      .cipher_key = key, .hmac_key = hmac_key };
	struct etm *e = NULL;

	cr_assert_eq(etm_new(&e, &p), 0);
	return e;
}

/* hmac | iv | ciphertext, with the right HMAC. Returns its length. */
static size_t assemble(const char *digest, const char *iv, const char *sealed, uint8_t *out, size_t cap)
{
	const struct hash_digest *d = hash_digest_find(digest);
	size_t n = unhex(iv, out + d->len, cap - d->len);
	struct hash_hmac *h = NULL;
	struct span covered;

	n += unhex(sealed, out + d->len + n, cap - d->len - n);
	covered = (struct span){ out + d->len, n };
	cr_assert_eq(hash_hmac_new(&h, d, hmac_key, d->len), 0);
	cr_assert_eq(hash_hmac(h, &covered, 1, out), 0);
	hash_hmac_free(h);
	return d->len + n;
}

Test(etm, opens_the_published_ciphertexts)
{
	static const char *const digests[] = { "sha1", "sha224", "sha256", "sha384", "sha512" };

	for (size_t i = 0; i < ARRAY_SIZE(vectors) * ARRAY_SIZE(digests); i++) {
		const char *digest = digests[i / ARRAY_SIZE(vectors)];
		uint8_t key[32], packet[256], out[256];
		struct etm *e;
		size_t n;

		unhex(vectors[i % ARRAY_SIZE(vectors)].key, key, sizeof(key));
		e = make(vectors[i % ARRAY_SIZE(vectors)].cipher, digest, key, ETM_OPEN);
		n = assemble(digest, IV, vectors[i % ARRAY_SIZE(vectors)].sealed, packet, sizeof(packet));
		for (int round = 0; round < 2; round++) {
			cr_assert_eq(etm_open(e, packet, n, out), 64);
			assert_hex(out, 64, TEXT);
		}
		etm_free(e);
	}
}

Test(etm, round_trips_with_fresh_ivs)
{
	static const uint8_t key[32] = { 1, 2, 3 };
	static uint8_t text[2000], packet[sizeof(text) + ETM_OVERHEAD_MAX], out[sizeof(packet)], ivs[3000][ETM_IV_LEN];
	struct etm *s = make("AES-256-CBC", "sha512", key, ETM_SEAL), *o = make("AES-256-CBC", "sha512", key, ETM_OPEN);
	size_t n_ivs = 0;

	cr_assert_eq(etm_head_len(s), 64 + 16);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 31);
	for (size_t len = 0; len <= sizeof(text); len += len < 70 ? 1 : 53) {
		/* in three pieces, one of them empty */
		size_t cut = len / 3;
		struct span parts[] = { { text, cut }, { NULL, 0 }, { text + cut, len - cut } };
		ssize_t n = etm_seal_parts(s, parts, ARRAY_SIZE(parts), packet);

		cr_assert_eq(n, (ssize_t)(80 + (len / 16 + 1) * 16));
		memcpy(ivs[n_ivs++], packet + 64, ETM_IV_LEN);
		cr_assert_eq(etm_open(o, packet, (size_t)n, out), (ssize_t)len);
		cr_assert_eq(memcmp(out, text, len), 0);
	}
	for (size_t i = 0; i < n_ivs; i++)
		for (size_t k = i + 1; k < n_ivs; k++)
			cr_assert_neq(memcmp(ivs[i], ivs[k], ETM_IV_LEN), 0);
	etm_free(s);
	etm_free(o);
}

Test(etm, one_wrong_bit_anywhere_is_refused)
{
	static const uint8_t key[32] = { 1, 2, 3 };
	static const struct span part = { "some text that is longer than a block", 37 };
	struct etm *s = make("AES-128-CBC", "sha1", key, ETM_SEAL), *o = make("AES-128-CBC", "sha1", key, ETM_OPEN);
	uint8_t packet[256], out[256];
	ssize_t n = etm_seal_parts(s, &part, 1, packet);

	for (ssize_t bit = 0; bit < n * 8; bit++) {
		memset(out, 0xcc, sizeof(out));
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_eq(etm_open(o, packet, (size_t)n, out), -EBADMSG, "bit %zd", bit);
		cr_assert_eq(out[0], 0xcc, "decrypted before it was verified");
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (ssize_t len = 0; len < n; len++)
		cr_assert_eq(etm_open(o, packet, (size_t)len, out), -EBADMSG, "cut to %zd", len);
	cr_assert_eq(etm_open(o, packet, (size_t)n + 16, out), -EBADMSG);
	cr_assert_eq(etm_open(o, packet, (size_t)n, out), 37);
	cr_assert_eq(etm_open(s, packet, (size_t)n, out), -EINVAL, "the wrong direction");
	cr_assert_eq(etm_seal_parts(o, &part, 1, packet), -EINVAL);
	etm_free(s);
	etm_free(o);
}

/* Authentic, made by somebody with the key, and still not padded as it should: `openssl enc -nopad` of these blocks. */
Test(etm, wrong_padding_is_refused)
{
	static const uint8_t key[16] = { 0 };
	static const struct {
		const char *sealed;
		ssize_t want;
	} rows[] = {
		{ "66e94bd4ef8a2c3b884cfa59ca342b2e", -EBADMSG }, /* 16 zero bytes */
		{ "0143db63ee66b0cdff9f69917680151e", 0 },	  /* 16 times 16: a whole block of padding */
		{ "0388dace60b6a392f328c2b971b2fe78", -EBADMSG }, /* 15 zero bytes and 2 */
		{ "f70ddef93ba62588242a0e67d0d645e0", -EBADMSG }, /* and 255 */
		{ "8c1428dfb8ec99e9df8b70e6b104afda", 14 },	  /* 14 zero bytes, 2 and 2 */
	};
	struct etm *o = make("AES-128-CBC", "sha256", key, ETM_OPEN);
	uint8_t packet[256], out[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = assemble("sha256", "00000000000000000000000000000000", rows[i].sealed, packet, sizeof(packet));

		cr_expect_eq(etm_open(o, packet, n, out), rows[i].want, "row %zu", i);
	}
	etm_free(o);
}

Test(etm, parameters_are_checked)
{
	static const uint8_t key[32] = { 0 };
	const struct etm_params ok = { .cipher = cipher_of("AES-256-CBC"), .digest = hash_digest_find("sha256"),
				       .cipher_key = key, .hmac_key = hmac_key };
	struct etm_params p;
	struct etm *e = NULL;

	p = ok, p.cipher = NULL;
	cr_assert_eq(etm_new(&e, &p), -EINVAL);
	p = ok, p.digest = hash_digest_find("md5");
	cr_assert_eq(etm_new(&e, &p), -EINVAL);
	p = ok, p.cipher_key = NULL;
	cr_assert_eq(etm_new(&e, &p), -EINVAL);
	p = ok, p.hmac_key = NULL;
	cr_assert_eq(etm_new(&e, &p), -EINVAL);
	cr_assert_null(e);
	cr_assert_null(etm_free(NULL));
}
