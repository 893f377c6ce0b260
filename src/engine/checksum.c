/*
 * The internet checksum: 32-bit words into a 64-bit accumulator, folded once. The loop has no carry to follow, so the
 * compiler's vectoriser makes the fast code; 64 KiB add at most 2^14 words, far from overflowing the accumulator.
 */
#include "engine/checksum.h"

#include <string.h>

uint64_t checksum_add(uint64_t sum, const void *p, size_t len)
{
	const uint8_t *b = p;
	size_t words = len / 4;
	uint64_t acc = 0;

	for (size_t i = 0; i < words; i++) {
		uint32_t w;

		memcpy(&w, b + 4 * i, 4);
		acc += w;
	}
	sum = (sum & 0xffffffff) + (sum >> 32) + (acc & 0xffffffff) + (acc >> 32);
	b += 4 * words;
	if (len & 2) {
		uint16_t w;

		memcpy(&w, b, 2);
		sum += w;
		b += 2;
	}
	if (len & 1) {
		uint16_t w = 0;

		memcpy(&w, b, 1); /* padded with a zero byte behind it, in memory order */
		sum += w;
	}
	return sum;
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint64_t checksum_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t l4_len)
{
	uint8_t tail[8] = { (uint8_t)(l4_len >> 24), (uint8_t)(l4_len >> 16), (uint8_t)(l4_len >> 8), (uint8_t)l4_len,
			    0, 0, 0, protocol };
	uint64_t sum = checksum_add(0, tail, sizeof(tail));

	return ip[0] >> 4 == 4 ? checksum_add(sum, ip + 12, 8) : checksum_add(sum, ip + 8, 32);
}

void checksum_store(uint8_t *p, uint64_t sum, bool udp)
{
	uint16_t v = (uint16_t)~checksum_fold(sum);

	if (udp && v == 0)
		v = 0xffff;
	memcpy(p, &v, 2);
}
