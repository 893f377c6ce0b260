/* HMAC, HKDF and the TLS 1.0 PRF against published vectors. */
#include "crypto/hash.h"

#include "lib/hex.h"

#define HI_KEY "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
#define HI_TEXT "4869205468657265"
#define JEFE_KEY "4a656665"
#define JEFE_TEXT "7768617420646f2079612077616e7420666f72206e6f7468696e673f"

/* Origin: RFC 2202 section 3 (SHA-1, cases 1 and 2), RFC 4231 section 4 (cases 1 and 2). */
static const struct {
	const char *digest, *key, *text, *mac;
} vectors[] = {
	{ "SHA1", HI_KEY, HI_TEXT, "b617318655057264e28bc0b6fb378c8ef146be00" },
	{ "sha1", JEFE_KEY, JEFE_TEXT, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
	{ "SHA224", HI_KEY, HI_TEXT, "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22" },
	{ "SHA256", HI_KEY, HI_TEXT, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
	{ "sha256", JEFE_KEY, JEFE_TEXT, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
	{ "SHA384", HI_KEY, HI_TEXT,
	  "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6" },
	{ "SHA512", HI_KEY, HI_TEXT,
	  "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
	  "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854" },
	{ "sha512", JEFE_KEY, JEFE_TEXT,
	  "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
	  "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737" },
};

static struct hash_hmac *hmac_of(const char *digest, const char *key_hex)
{
	uint8_t key[64];
	size_t n = unhex(key_hex, key, sizeof(key));
	struct hash_hmac *h;

	cr_assert_eq(hash_hmac_new(&h, hash_digest_find(digest), key, n), 0);
	memset(key, 0x55, sizeof(key)); /* the object must not look at our copy again */
	return h;
}

Test(hash, hmac_gives_the_published_values_again_and_again)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct hash_hmac *h = hmac_of(vectors[i].digest, vectors[i].key);
		uint8_t text[64], mac[HASH_MAX];
		size_t n = unhex(vectors[i].text, text, sizeof(text));

		for (size_t cut = 0; cut <= n; cut++) {
			struct span parts[] = { { text, cut }, { text + cut, n - cut } };

			cr_assert_eq(hash_hmac(h, parts, 2, mac), 0);
			assert_hex(mac, hash_hmac_len(h), vectors[i].mac);
		}
		hash_hmac_free(h);
	}
}

Test(hash, hmac_takes_keys_longer_than_a_block)
{
	/* Origin: RFC 4231 case 6. */
	static const char text[] = "Test Using Larger Than Block-Size Key - Hash Key First";
	uint8_t key[131], mac[HASH_MAX];
	struct hash_hmac *h;

	memset(key, 0xaa, sizeof(key));
	cr_assert_eq(hash_hmac_new(&h, hash_digest_find("SHA256"), key, sizeof(key)), 0);
	cr_assert_eq(hash_hmac(h, &(struct span){ text, strlen(text) }, 1, mac), 0);
	assert_hex(mac, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	hash_hmac_free(h);
}

Test(hash, hmac_of_openvpns_own_test)
{
	/* Origin: OpenVPN, tests/unit_tests/openvpn/test_crypto.c at 01b7cd44, crypto_test_hmac: the text twice. */
	static const char text[] = "Lorem ipsum dolor sit amet, consectetur adipisici elit, sed eiusmod tempor incidunt "
				   "ut labore et dolore magna aliqua.";
	struct hash_hmac *h = hmac_of("SHA1", "0b00000000000000000000000000000000000000");
	struct span parts[] = { { text, strlen(text) }, { text, strlen(text) } };
	uint8_t mac[HASH_MAX];

	cr_assert_eq(hash_hmac(h, parts, 2, mac), 0);
	assert_hex(mac, 20, "58ea5af04294e917ed84b9f0833023ae8ba77eb8");
	hash_hmac_free(h);
}

Test(hash, verify_refuses_every_wrong_bit)
{
	struct hash_hmac *h = hmac_of("SHA256", HI_KEY);
	uint8_t text[8], mac[32];
	struct span part = { text, unhex(HI_TEXT, text, sizeof(text)) };

	unhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", mac, sizeof(mac));
	cr_assert_eq(hash_hmac_verify(h, &part, 1, mac), 0);
	for (size_t bit = 0; bit < sizeof(mac) * 8; bit++) {
		mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_eq(hash_hmac_verify(h, &part, 1, mac), -EBADMSG);
		mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < part.len * 8; bit++) {
		text[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_eq(hash_hmac_verify(h, &part, 1, mac), -EBADMSG);
		text[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	hash_hmac_free(h);
}

Test(hash, equal_compares_all_bytes)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	cr_assert(hash_equal(a, b, sizeof(a)));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] = 1;
		cr_assert_not(hash_equal(a, b, sizeof(a)));
		b[i] = 0;
	}
	cr_assert(hash_equal(a, b, 0));
}

Test(hash, digest_names)
{
	cr_assert_str_eq(hash_digest_find("sha256")->name, "SHA256");
	cr_assert_str_eq(hash_digest_find("RSA-SHA512")->name, "SHA512");
	cr_assert_str_eq(hash_digest_find("SHA2-384")->name, "SHA384");
	cr_assert_str_eq(hash_digest_find("SHA-1")->name, "SHA1");
	cr_assert_null(hash_digest_find("MD5"));
	cr_assert_null(hash_digest_find("none"));
	cr_assert_null(hash_digest_find(""));
	cr_assert_null(hash_digest_find("SHA-"));
	cr_assert_null(hash_digest_find("a name that is much longer than any digest's"));
	cr_assert_null(hash_digest_find(NULL));
}

Test(hash, hkdf_expand_of_rfc_5869)
{
	/* Origin: RFC 5869 appendix A.1 to A.3: PRK, info, OKM. */
	static const struct {
		const char *prk, *info, *okm;
	} v[] = {
		{ "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", "f0f1f2f3f4f5f6f7f8f9",
		  "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865" },
		{ "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
		  "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
		  "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
		  "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
		  "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87" },
		{ "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04", "",
		  "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8" },
	};
	uint8_t prk[32], info[128], out[128];

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		size_t info_len = unhex(v[i].info, info, sizeof(info)), len = strlen(v[i].okm) / 2;

		unhex(v[i].prk, prk, sizeof(prk));
		cr_assert_eq(hash_hkdf_expand(prk, sizeof(prk), info, info_len, out, len), 0);
		assert_hex(out, len, v[i].okm);
	}
	cr_assert_eq(hash_hkdf_expand(prk, sizeof(prk), NULL, 0, out, 0), -EINVAL);
	cr_assert_eq(hash_hkdf_expand(prk, sizeof(prk), NULL, 0, out, 8161), -EINVAL);
}

Test(hash, label_expand_of_openvpn)
{
	/*
	 * Origin: OpenVPN, tests/unit_tests/openvpn/test_crypto.c (2.7): crypto_test_ovpn_label_expand, and
	 * crypto_test_hkdf_expand_test_ovpn, whose info is what label "unit test" with 27 bytes of output gives.
	 */
	static const char prk_hex[] = "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5";
	char longest[260];
	uint8_t prk[32], out[27];

	unhex(prk_hex, prk, sizeof(prk));
	cr_assert_eq(hash_label_expand(prk, sizeof(prk), "unit test", NULL, 0, out, 16), 0);
	assert_hex(out, 16, "185eaa1c7f228ab8eb29773214d92046");
	cr_assert_eq(hash_label_expand(prk, sizeof(prk), "unit test", NULL, 0, out, 27), 0);
	assert_hex(out, 27, "875a8eec18556380b8d933ed323c2df8e8eccf4972e683f06a83ac");
	memset(longest, 'x', sizeof(longest));
	longest[251] = '\0';
	cr_assert_eq(hash_label_expand(prk, sizeof(prk), longest, NULL, 0, out, 16), -EINVAL);
	longest[250] = '\0';
	cr_assert_eq(hash_label_expand(prk, sizeof(prk), longest, NULL, 0, out, 16), 0);
	cr_assert_eq(hash_label_expand(prk, sizeof(prk), "", NULL, 0, out, 16), -EINVAL);
}

Test(hash, label_expand_derives_epoch_data_keys)
{
	/* Origin: OpenVPN, tests/unit_tests/openvpn/test_crypto.c (2.7), epoch_test_derive_data_key (AES-192-GCM). */
	uint8_t e[32] = { 19, 12 }, out[24];

	cr_assert_eq(hash_label_expand(e, sizeof(e), "data_key", NULL, 0, out, 24), 0);
	assert_hex(out, 24, "ed8533db1c28ace418e9006ab29c17417d60ebe6cd90bf0a");
	cr_assert_eq(hash_label_expand(e, sizeof(e), "data_iv", NULL, 0, out, 12), 0);
	assert_hex(out, 12, "86890aabf032cb59f4cfa34e");
}

Test(hash, tls1_prf_of_openvpns_own_test)
{
	/* Origin: OpenVPN, tests/unit_tests/openvpn/test_crypto.c at 01b7cd44, crypto_test_tls_prf. */
	static const char secret[] = "Lorem ipsum dolor sit amet, consectetur adipisici elit, sed eiusmod tempor "
				     "incidunt ut labore et dolore magna aliqua.";
	static const char seed[] = "Quis aute iure reprehenderit in voluptate velit esse cillum dolore";
	static const char want[] = "d98c8518c85e946927916acfc2d592fbb1567e4b4b1459e6a904ac2ddab72d67";
	uint8_t out[32], big[2048] = { 0 };
	struct span parts[] = { { seed + 4, 10 }, { seed + 14, strlen(seed) - 14 } };

	cr_assert_eq(hash_tls1_prf((const uint8_t *)secret, strlen(secret), "", &(struct span){ seed, strlen(seed) }, 1, out,
				   sizeof(out)),
		     0);
	assert_hex(out, sizeof(out), want);
	/* label and pieces are one run of bytes */
	cr_assert_eq(hash_tls1_prf((const uint8_t *)secret, strlen(secret), "Quis", parts, 2, out, sizeof(out)), 0);
	assert_hex(out, sizeof(out), want);
	cr_assert_eq(hash_tls1_prf(out, sizeof(out), "x", &(struct span){ big, sizeof(big) }, 1, out, 32), -EINVAL);
}
