/* AES-256-CTR against RFC 3686. */
#include "crypto/ctr.h"

#include "lib/hex.h"

/* Origin: RFC 3686 section 6, test vectors 7 to 9 (AES-256); the IV is nonce | iv | counter 1. */
static const struct {
	const char *key, *iv, *text, *sealed;
} vectors[] = {
	{ "776BEFF2851DB06F4C8A0542C8696F6C6A81AF1EEC96B4D37FC1D689E6C1C104", "00000060DB5672C97AA8F0B200000001",
	  "53696E676C6520626C6F636B206D7367", "145AD01DBF824EC7560863DC71E3E0C0" },
	{ "F6D66D6BD52D59BB0796365879EFF886C66DD51A5B6A99744B50590C87A23884", "00FAAC24C1585EF15A43D87500000001",
	  "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
	  "F05E231B3894612C49EE000B804EB2A9B8306B508F839D6A5530831D9344AF1C" },
	{ "FF7A617CE69148E4F1726E2F43581DE2AA62D9F805532EDFF1EED687FB54153D", "001CC5B751A51D70A1C1114800000001",
	  "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20212223",
	  "EB6C52821D0BBBF7CE7594462ACA4FAAB407DF866569FD07F48CC0B583D6071F1EC0E6B8" },
};

Test(ctr, gives_the_published_ciphertexts)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint8_t key[CTR_KEY_LEN], iv[CTR_IV_LEN], text[64], out[64];
		struct ctr *c;
		size_t n;

		unhex(vectors[i].key, key, sizeof(key));
		unhex(vectors[i].iv, iv, sizeof(iv));
		n = unhex(vectors[i].text, text, sizeof(text));
		cr_assert_eq(ctr_new(&c, key), 0);
		for (int round = 0; round < 2; round++) {
			cr_assert_eq(ctr_crypt(c, iv, text, n, out), 0);
			assert_hex(out, n, vectors[i].sealed);
		}
		cr_assert_eq(ctr_crypt(c, iv, out, n, out), 0); /* back again, in place */
		assert_hex(out, n, vectors[i].text);
		cr_assert_eq(ctr_crypt(c, iv, NULL, 0, NULL), 0);
		ctr_free(c);
	}
}
