/*
 * What libraries read from files at their first use, read before the sandbox closes the file system (sandbox.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/aead.h"
#include "crypto/etm.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/tls.h"
#include "engine/engine.h"

int engine_warm_up(void)
{
	static const uint8_t key[64];
	static const char *const digests[] = { "sha1", "sha224", "sha256", "sha384", "sha512" };
	struct tls_context *tls = NULL;
	char *error = NULL, hex[HASH_HEX_MAX];
	uint8_t word[8];
	int r;

	r = tls_init();
	if (r < 0)
		return r;
	r = random_bytes(word, sizeof(word));
	if (r < 0)
		return r;
	for (size_t i = 0; aead_cipher_at(i); i++) {
		struct aead *aead = NULL;

		if (aead_new(&aead, aead_cipher_at(i), AEAD_SEAL, key, sizeof(key)) >= 0)
			aead_free(aead);
	}
	for (size_t i = 0; etm_cipher_at(i); i++) {
		const struct etm_params p = { .cipher = etm_cipher_at(i), .digest = hash_digest_find("sha1"),
					      .direction = ETM_OPEN, .cipher_key = key, .hmac_key = key };
		struct etm *etm = NULL;

		if (etm_new(&etm, &p) >= 0)
			etm_free(etm);
	}
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		const struct hash_digest *d = hash_digest_find(digests[i]);
		struct hash_hmac *hmac = NULL;

		if (d && hash_hmac_new(&hmac, d, key, sizeof(key)) >= 0)
			hash_hmac_free(hmac);
	}
	(void)hash_plain_hex(HASH_PLAIN_MD5, NULL, 0, hex); /* without it a proxy's Digest fails with its own sentence */
	(void)hash_plain_hex(HASH_PLAIN_SHA256, NULL, 0, hex);
	/* Without a CA this is refused, but not before OpenSSL has built what it builds once. */
	if (tls_context_new(&tls, &(struct tls_params){ 0 }, &error) >= 0)
		tls_context_free(tls);
	free(error);

	/* Certificate dates pass gmtime_r(), which would read the zone file at its first call. */
	if (setenv("TZ", "UTC0", 1) < 0)
		return -errno;
	tzset();
	return 0;
}
