/*
 * The internet checksum (RFC 1071) as a running 64-bit sum of native-order words. A folded sum is stored with memcpy:
 * summing and storing in the same byte order gives the right bytes on any machine.
 */
#pragma once

#include "base/macro.h"

/* Adds len bytes to sum. Only the last piece of a sum may have an odd length. */
uint64_t checksum_add(uint64_t sum, const void *p, size_t len);
/* 16 bits, not complemented, as they stand in memory. */
uint16_t checksum_fold(uint64_t sum);
/* Pseudo-header of the IPv4 or IPv6 header at ip (version nibble decides; the caller checked the length). */
uint64_t checksum_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t l4_len);
/* Stores the complement of sum at p; `udp`: 0 is sent as 0xffff. */
void checksum_store(uint8_t *p, uint64_t sum, bool udp);
/* True when a sum over everything including the checksum field says "intact". */
static inline bool checksum_is_good(uint64_t sum)
{
	return checksum_fold(sum) == 0xffff;
}
