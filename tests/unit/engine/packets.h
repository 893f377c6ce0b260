/* Inner packets for tests, built field by field with a naive checksum of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX 70000

struct packet_spec {
	bool v6, udp;
	uint32_t seq, ack;
	uint16_t id, window, urgent;
	bool no_df;
	uint8_t flags;          /* TCP; 0: ACK */
	uint8_t tos, ttl;       /* ttl 0: 64 */
	const uint8_t *options; /* TCP, a multiple of 4 bytes */
	size_t n_options;
	size_t payload;         /* bytes, a pattern that depends on fill */
	uint8_t fill;
	uint16_t sport;         /* 0: 1000 */
	uint8_t host;           /* last byte of the destination, 0: 2 */
};

/* RFC 1071 read literally: big-endian words, one at a time. */
uint16_t packet_naive_sum(const uint8_t *p, size_t len, uint32_t start);
/* Complete with checksums; returns its length. */
size_t packet_build(uint8_t *p, const struct packet_spec *s);
/* Makes IP and L4 checksums right again after a change (fixed headers, lengths as they stand). */
void packet_fix(uint8_t *p, size_t len);
bool packet_is_good(const uint8_t *p, size_t len);
/* Leaves the pseudo-header sum in the checksum field, as the kernel does with NEEDS_CSUM. */
void packet_make_partial(uint8_t *p, size_t len);
