/* The vectorised sum against one that reads RFC 1071 literally. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "engine/checksum.h"
#include "unit/engine/packets.h"

static uint16_t as_big_endian(uint16_t native)
{
	uint8_t b[2];

	memcpy(b, &native, 2);
	return (uint16_t)(b[0] << 8 | b[1]);
}

Test(checksum, equals_the_naive_sum_for_all_short_lengths)
{
	uint8_t b[300];

	srandom(1);
	for (size_t len = 0; len < sizeof(b); len++) {
		for (size_t i = 0; i < len; i++)
			b[i] = (uint8_t)random();
		cr_assert_eq(as_big_endian(checksum_fold(checksum_add(0, b, len))), packet_naive_sum(b, len, 0), "length %zu", len);
	}
}

Test(checksum, equals_the_naive_sum_for_long_and_extreme_input)
{
	static uint8_t b[65535];

	for (unsigned fill = 0; fill < 3; fill++) {
		memset(b, fill == 0 ? 0xff : fill == 1 ? 0x00 : 0xfe, sizeof(b));
		for (size_t len = sizeof(b) - 9; len <= sizeof(b); len++)
			cr_assert_eq(as_big_endian(checksum_fold(checksum_add(0, b, len))), packet_naive_sum(b, len, 0));
	}
}

Test(checksum, may_be_made_of_pieces_at_any_alignment)
{
	uint8_t b[512];

	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i * 31);
	for (size_t start = 0; start < 8; start++)
		for (size_t cut = 0; cut < 256; cut += 2) {
			uint64_t sum = checksum_add(0, b + start, cut);

			sum = checksum_add(sum, b + start + cut, 333 - cut);
			cr_assert_eq(as_big_endian(checksum_fold(sum)), packet_naive_sum(b + start, 333, 0));
		}
}

Test(checksum, knows_the_pseudo_headers)
{
	uint8_t p[200];

	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned udp = 0; udp < 2; udp++) {
			size_t len = packet_build(p, &(struct packet_spec){ .v6 = v6, .udp = udp, .payload = 33 });
			size_t at = v6 ? 40 : 20;
			uint64_t sum = checksum_pseudo(p, udp ? 17 : 6, (uint32_t)(len - at));

			cr_assert(checksum_is_good(checksum_add(sum, p + at, len - at)));
			p[at + 9] ^= 1;
			cr_assert_not(checksum_is_good(checksum_add(sum, p + at, len - at)));
		}
}

Test(checksum, sends_zero_as_ffff_for_udp_only)
{
	uint8_t p[2] = { 1, 1 };

	checksum_store(p, 0xffff, false);
	cr_assert(p[0] == 0 && p[1] == 0);
	checksum_store(p, 0xffff, true);
	cr_assert(p[0] == 0xff && p[1] == 0xff);
}
