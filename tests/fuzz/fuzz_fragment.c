/*
 * OpenVPN's fragments from a peer with the right key: a sequence of pieces, put together or not, over time.
 *
 * Each piece: one byte of time (seconds / 16), two of length, then header and content.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/fragment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(expr)                                                                                                  \
	do {                                                                                                           \
		if (!(expr))                                                                                           \
			abort();                                                                                       \
	} while (0)

#define PACKET_MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fragment_state f;

	require(fragment_init(&f, PACKET_MAX) == 0);
	while (size >= 3) {
		size_t len = MIN((size_t)data[1] << 8 | data[2], size - 3), room = (size_t)data[0] * 2;
		uint8_t *piece = malloc(MAX(len, room + FRAGMENT_HEAD_LEN));
		ssize_t n;

		require(piece);
		f.now += data[0] * USEC_PER_SEC / 16;
		memcpy(piece, data + 3, len);
		n = fragment_take(&f, piece, len, MAX(len, room + FRAGMENT_HEAD_LEN) - FRAGMENT_HEAD_LEN);
		require(n >= 0 || n == -VERDICT_DROP_FRAMING);
		require(n <= (ssize_t)MAX(len, (size_t)PACKET_MAX));
		free(piece);
		data += 3 + len;
		size -= 3 + len;
	}
	fragment_done(&f);
	return 0;
}
