/* AEAD against published vectors, in place and out of place, in pieces; and every bit of a packet counts. */
#include "crypto/aead.h"

#include "lib/hex.h"

/*
 * Origin: AES-GCM: McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 4, 10 and 16.
 * ChaCha20-Poly1305: RFC 8439 section 2.8.2.
 */
#define GCM_TEXT                                                                                                       \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"             \
	"b16aedf5aa0de657ba637b39"
#define GCM_AD "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define GCM_NONCE "cafebabefacedbaddecaf888"

static const struct vector {
	const char *cipher, *key, *nonce, *ad, *text, *sealed, *tag;
} vectors[] = {
	{ "AES-128-GCM", "feffe9928665731c6d6a8f9467308308", GCM_NONCE, GCM_AD, GCM_TEXT,
	  "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05"
	  "1ba30b396a0aac973d58e091",
	  "5bc94fbc3221a5db94fae95ae7121a47" },
	{ "AES-192-GCM", "feffe9928665731c6d6a8f9467308308feffe9928665731c", GCM_NONCE, GCM_AD, GCM_TEXT,
	  "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f47"
	  "18e2448b2fe324d9ccda2710",
	  "2519498e80f1478f37ba55bd6d27618c" },
	{ "AES-256-GCM", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", GCM_NONCE, GCM_AD, GCM_TEXT,
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
	  "c5f61e6393ba7a0abcc9f662",
	  "76fc6ece0f4e1768cddf8853bb2d551b" },
	{ "CHACHA20-POLY1305", "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	  "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
	  "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a20496620492063"
	  "6f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
	  "637265656e20776f756c642062652069742e",
	  "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
	  "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	  "3ff4def08e4b7a9de576d26586cec64b6116",
	  "1ae10b594f09e26a7e902ecbd0600691" },
};

struct loaded {
	struct aead *seal, *open;
	uint8_t nonce[AEAD_NONCE_LEN], ad[64], text[256], sealed[256], tag[AEAD_TAG_LEN];
	size_t ad_len, len;
};

static void load(const struct vector *v, struct loaded *l)
{
	const struct aead_cipher *c = aead_cipher_find(v->cipher);
	uint8_t key[AEAD_KEY_MAX];

	cr_assert_not_null(c);
	cr_assert_eq(unhex(v->key, key, sizeof(key)), c->key_len);
	cr_assert_eq(unhex(v->nonce, l->nonce, sizeof(l->nonce)), AEAD_NONCE_LEN);
	l->ad_len = unhex(v->ad, l->ad, sizeof(l->ad));
	l->len = unhex(v->text, l->text, sizeof(l->text));
	cr_assert_eq(unhex(v->sealed, l->sealed, sizeof(l->sealed)), l->len);
	cr_assert_eq(unhex(v->tag, l->tag, sizeof(l->tag)), AEAD_TAG_LEN);
	cr_assert_eq(aead_new(&l->seal, c, AEAD_SEAL, key, c->key_len), 0);
	cr_assert_eq(aead_new(&l->open, c, AEAD_OPEN, key, c->key_len), 0);
}

static void unload(struct loaded *l)
{
	l->seal = aead_free(l->seal);
	l->open = aead_free(l->open);
}

Test(aead, seals_and_opens_the_published_vectors)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint8_t out[256], tag[AEAD_TAG_LEN];
		struct loaded l;

		load(&vectors[i], &l);
		/* twice with the same objects: nothing of the first packet may stay behind */
		for (int round = 0; round < 2; round++) {
			cr_assert_eq(aead_seal(l.seal, l.nonce, l.ad, l.ad_len, l.text, l.len, out, tag), 0);
			assert_hex(out, l.len, vectors[i].sealed);
			assert_hex(tag, sizeof(tag), vectors[i].tag);
			cr_assert_eq(aead_open(l.open, l.nonce, l.ad, l.ad_len, l.sealed, l.len, out, l.tag), 0);
			assert_hex(out, l.len, vectors[i].text);
		}
		unload(&l);
	}
}

Test(aead, works_in_place)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint8_t buf[256], tag[AEAD_TAG_LEN];
		struct loaded l;

		load(&vectors[i], &l);
		memcpy(buf, l.text, l.len);
		cr_assert_eq(aead_seal(l.seal, l.nonce, l.ad, l.ad_len, buf, l.len, buf, tag), 0);
		assert_hex(buf, l.len, vectors[i].sealed);
		cr_assert_eq(aead_open(l.open, l.nonce, l.ad, l.ad_len, buf, l.len, buf, tag), 0);
		assert_hex(buf, l.len, vectors[i].text);
		unload(&l);
	}
}

Test(aead, seals_pieces_like_one_text)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct loaded l;

		load(&vectors[i], &l);
		for (size_t a = 0; a <= l.len; a++) {
			for (size_t b = a; b <= l.len; b += 7) {
				struct span parts[3] = { { l.text, a }, { l.text + a, b - a }, { l.text + b, l.len - b } };
				uint8_t out[256], tag[AEAD_TAG_LEN];

				cr_assert_eq(aead_seal_parts(l.seal, l.nonce, l.ad, l.ad_len, parts, 3, out, tag), 0);
				cr_assert_eq(memcmp(out, l.sealed, l.len), 0, "%s: cut at %zu, %zu", vectors[i].cipher, a, b);
				cr_assert_eq(memcmp(tag, l.tag, sizeof(tag)), 0);
			}
		}
		unload(&l);
	}
}

Test(aead, one_wrong_bit_anywhere_is_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct loaded l;
		struct {
			uint8_t *p;
			size_t len;
		} fields[] = { { l.nonce, AEAD_NONCE_LEN }, { l.ad, 0 }, { l.sealed, 0 }, { l.tag, AEAD_TAG_LEN } };
		uint8_t out[256];

		load(&vectors[i], &l);
		fields[1].len = l.ad_len;
		fields[2].len = l.len;
		for (size_t f = 0; f < ARRAY_SIZE(fields); f++) {
			for (size_t bit = 0; bit < fields[f].len * 8; bit++) {
				fields[f].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
				cr_assert_eq(aead_open(l.open, l.nonce, l.ad, l.ad_len, l.sealed, l.len, out, l.tag),
					     -EBADMSG, "%s: field %zu, bit %zu", vectors[i].cipher, f, bit);
				fields[f].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
		}
		/* and the object is none the worse for it */
		cr_assert_eq(aead_open(l.open, l.nonce, l.ad, l.ad_len, l.sealed, l.len, out, l.tag), 0);
		/* a byte less, a byte more of associated data */
		cr_assert_eq(aead_open(l.open, l.nonce, l.ad, l.ad_len - 1, l.sealed, l.len, out, l.tag), -EBADMSG);
		cr_assert_eq(aead_open(l.open, l.nonce, l.ad, l.ad_len, l.sealed, l.len - 1, out, l.tag), -EBADMSG);
		unload(&l);
	}
}

Test(aead, empty_text_is_authenticated_too)
{
	uint8_t key[32] = { 1 }, nonce[AEAD_NONCE_LEN] = { 2 }, ad[4] = { 3 }, tag[AEAD_TAG_LEN], out[1];

	for (size_t i = 0; aead_cipher_at(i); i++) {
		struct aead *s, *o;

		cr_assert_eq(aead_new(&s, aead_cipher_at(i), AEAD_SEAL, key, sizeof(key)), 0);
		cr_assert_eq(aead_new(&o, aead_cipher_at(i), AEAD_OPEN, key, sizeof(key)), 0);
		cr_assert_eq(aead_seal(s, nonce, ad, sizeof(ad), NULL, 0, out, tag), 0);
		cr_assert_eq(aead_open(o, nonce, ad, sizeof(ad), NULL, 0, out, tag), 0);
		tag[15] ^= 1;
		cr_assert_eq(aead_open(o, nonce, ad, sizeof(ad), NULL, 0, out, tag), -EBADMSG);
		aead_free(s);
		aead_free(o);
	}
}

Test(aead, names_are_found_in_any_spelling)
{
	static const struct {
		const char *in, *out;
	} names[] = {
		{ "AES-256-GCM", "AES-256-GCM" },
		{ "aes-128-gcm", "AES-128-GCM" },
		{ "id-aes256-GCM", "AES-256-GCM" },
		{ "ID-AES128-gcm", "AES-128-GCM" },
		{ "ChaCha20-Poly1305", "CHACHA20-POLY1305" },
		{ "AES-192-GCM", "AES-192-GCM" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct aead_cipher *c = aead_cipher_find(names[i].in);

		cr_assert_not_null(c, "%s", names[i].in);
		cr_assert_str_eq(c->name, names[i].out);
	}
	cr_assert_null(aead_cipher_find("AES-256-CBC"));
	cr_assert_null(aead_cipher_find("AES-256-GCM "));
	cr_assert_null(aead_cipher_find(""));
	cr_assert_null(aead_cipher_find(NULL));
	cr_assert_null(aead_cipher_at(100));
}

Test(aead, wrong_use_is_an_error)
{
	const struct aead_cipher *c = aead_cipher_find("AES-256-GCM");
	uint8_t key[32] = { 0 }, nonce[AEAD_NONCE_LEN] = { 0 }, tag[AEAD_TAG_LEN] = { 0 }, buf[16] = { 0 };
	struct aead *s = NULL, *o = NULL;

	cr_assert_eq(aead_new(&s, c, AEAD_SEAL, key, 31), -EINVAL);
	cr_assert_eq(aead_new(&s, NULL, AEAD_SEAL, key, 32), -EINVAL);
	cr_assert_null(s);
	cr_assert_eq(aead_new(&s, c, AEAD_SEAL, key, 32), 0);
	cr_assert_eq(aead_new(&o, c, AEAD_OPEN, key, 32), 0);
	cr_assert_eq(aead_seal(o, nonce, NULL, 0, buf, 16, buf, tag), -EINVAL);
	cr_assert_eq(aead_open(s, nonce, NULL, 0, buf, 16, buf, tag), -EINVAL);
	cr_assert_eq(aead_seal(s, nonce, NULL, 0, buf, SIZE_MAX, buf, tag), -EINVAL);
	aead_free(s);
	aead_free(o);
	cr_assert_null(aead_free(NULL));
}
