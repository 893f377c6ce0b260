/* Random bytes. The private generator of OpenSSL, so that public nonces and secrets do not share a stream. */
#include "crypto/random.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <openssl/rand.h>

int random_bytes(void *buf, size_t len)
{
	if (len > INT_MAX || RAND_priv_bytes(buf, (int)len) != 1) {
		memset(buf, 0, len);
		return -EIO;
	}
	return 0;
}
