/*
 * Arbitrary bytes as a TCP stream, arriving in pieces whose sizes are part of the input. What must hold: nothing is read
 * or written outside the buffer, there is always room while nothing whole is waiting, and the packets that come out are
 * those of a parser that sees the whole stream at once.
 *
 * Input: one byte of flags (1: trust from the first packet on), one byte of seed for the pieces, the stream.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/ovpn-stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* The packet at p[at] by the letter of the definition. 1, 0 or -1 for a broken stream. */
static int reference_next(const uint8_t *p, size_t size, size_t at, size_t max, size_t *ret_len)
{
	size_t len;

	if (size - at < 2)
		return 0;
	len = (size_t)p[at] * 256 + p[at + 1];
	if (len == 0 || len > max)
		return -1;
	*ret_len = len;
	return size - at - 2 >= len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ovpn_stream s;
	size_t at = 0, given = 0, room, len, want = 0;
	const uint8_t *frame;
	uint8_t *buf, *to;
	uint32_t seed;
	bool trust;
	int r;

	if (size < 2)
		return 0;
	trust = data[0] & 1;
	seed = data[1];
	data += 2;
	size -= 2;
	buf = malloc(OVPN_STREAM_BUFFER_MIN);
	check(buf);
	ovpn_stream_init(&s, buf, OVPN_STREAM_BUFFER_MIN);
	while (given < size) {
		size_t piece;

		to = ovpn_stream_room(&s, &room);
		check(room > 0 && to + room == buf + OVPN_STREAM_BUFFER_MIN);
		seed = seed * 1103515245 + 12345;
		piece = 1 + (seed >> 16) % 700;
		piece = MIN(piece, MIN(room, size - given));
		memcpy(to, data + given, piece);
		ovpn_stream_add(&s, piece);
		given += piece;
		while ((r = ovpn_stream_next(&s, &frame, &len)) > 0) {
			check(reference_next(data, given, at, s.frame_max, &want) == 1 && want == len);
			check(frame >= buf && frame + len <= buf + OVPN_STREAM_BUFFER_MIN);
			check(memcmp(frame, data + at + 2, len) == 0);
			at += 2 + len;
			if (trust)
				ovpn_stream_trust(&s);
		}
		if (r < 0) {
			check(reference_next(data, given, at, s.frame_max, &want) < 0);
			break;
		}
		check(reference_next(data, given, at, s.frame_max, &want) == 0);
	}
	free(buf);
	return 0;
}
