/*
 * The MSS clamp. Everything here comes from programs or from the network, so every offset is checked against the length
 * before it is used; what does not look like a plain TCP SYN is left as it is.
 */
#include "engine/mss.h"

#include <string.h>

#include "engine/checksum.h"

#define TCP_FLAG_SYN 0x02
#define TCP_HEADER_MIN 20
#define MSS_MIN 88 /* below this a clamp would do more harm than fragments; Linux refuses such values as well */
#define EXTENSIONS_MAX 8

enum { NEXT_HOP_BY_HOP = 0, NEXT_TCP = 6, NEXT_ROUTING = 43, NEXT_FRAGMENT = 44, NEXT_DESTINATION = 60 };

static size_t find_tcp4(const uint8_t *p, size_t len)
{
	size_t header_len;

	if (len < 20)
		return 0;
	header_len = (size_t)(p[0] & 0x0f) * 4;
	if (header_len < 20 || p[9] != NEXT_TCP)
		return 0;
	if ((p[6] & 0x1f) || p[7]) /* a later fragment has no TCP header */
		return 0;
	return header_len;
}

/* Skips the extension headers that may stand before TCP; a bounded number of them. */
static size_t find_tcp6(const uint8_t *p, size_t len)
{
	size_t at = 40;
	uint8_t next;

	if (len < 40)
		return 0;
	next = p[6];
	for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
		size_t ext_len;

		if (next == NEXT_TCP)
			return at;
		if (next != NEXT_HOP_BY_HOP && next != NEXT_ROUTING && next != NEXT_DESTINATION && next != NEXT_FRAGMENT)
			return 0;
		if (len - at < 8)
			return 0;
		if (next == NEXT_FRAGMENT) {
			if (p[at + 2] || (p[at + 3] & 0xf8)) /* offset: not the first fragment */
				return 0;
			ext_len = 8;
		} else {
			ext_len = ((size_t)p[at + 1] + 1) * 8;
		}
		next = p[at];
		if (len - at < ext_len)
			return 0;
		at += ext_len;
	}
	return 0;
}

/* Offset of the two bytes of the MSS value inside the TCP header, or 0. */
static size_t find_mss(const uint8_t *tcp, size_t header_len)
{
	size_t at = TCP_HEADER_MIN;

	while (at < header_len) {
		size_t opt_len;

		if (tcp[at] == 0)
			return 0;
		if (tcp[at] == 1) {
			at++;
			continue;
		}
		if (header_len - at < 2)
			return 0;
		opt_len = tcp[at + 1];
		if (opt_len < 2 || opt_len > header_len - at)
			return 0;
		if (tcp[at] == 2)
			return opt_len == 4 ? at + 2 : 0;
		at += opt_len;
	}
	return 0;
}

/* RFC 1624: HC' = ~(~HC + ~m + m'), over the aligned words that hold the value (an option may start at an odd byte). */
static void set_mss(uint8_t *tcp, size_t at, uint16_t mss)
{
	size_t word = at & ~(size_t)1;
	size_t n = at & 1 ? 4 : 2;
	uint64_t sum;
	uint16_t v;

	memcpy(&v, tcp + 16, 2);
	sum = (uint16_t)~v;
	for (size_t i = 0; i < n; i += 2) {
		memcpy(&v, tcp + word + i, 2);
		sum += (uint16_t)~v;
	}
	tcp[at] = (uint8_t)(mss >> 8);
	tcp[at + 1] = (uint8_t)mss;
	sum = checksum_add(sum, tcp + word, n);
	checksum_store(tcp + 16, sum, false);
}

bool mss_clamp(uint8_t *packet, size_t len, uint32_t packet_max)
{
	size_t tcp_at, header_len, at;
	uint32_t max;
	uint8_t *tcp;
	bool v6;

	if (packet_max == 0 || len < 40)
		return false;
	v6 = packet[0] >> 4 == 6;
	if (!v6 && packet[0] >> 4 != 4)
		return false;
	tcp_at = v6 ? find_tcp6(packet, len) : find_tcp4(packet, len);
	if (tcp_at == 0 || len < tcp_at + TCP_HEADER_MIN)
		return false;
	tcp = packet + tcp_at;
	if (!(tcp[13] & TCP_FLAG_SYN))
		return false;
	header_len = (size_t)(tcp[12] >> 4) * 4;
	if (header_len < TCP_HEADER_MIN || header_len > len - tcp_at)
		return false;
	at = find_mss(tcp, header_len);
	if (at == 0)
		return false;
	max = v6 ? 60 : 40;
	max = packet_max > max + MSS_MIN ? packet_max - max : MSS_MIN;
	if (((uint32_t)tcp[at] << 8 | tcp[at + 1]) <= max)
		return false;
	set_mss(tcp, at, (uint16_t)max);
	return true;
}

bool mss_clamp_frame(uint8_t *frame, size_t len, uint32_t packet_max)
{
	enum { VLAN = 0x8100, IP4 = 0x0800, IP6 = 0x86dd, TYPE_AT = 12, TAG_LEN = 4 };
	size_t at = ETHERNET_HEAD;
	unsigned type;

	if (len < ETHERNET_HEAD)
		return false;
	type = (unsigned)frame[TYPE_AT] << 8 | frame[TYPE_AT + 1];
	if (type == VLAN && len >= ETHERNET_HEAD + TAG_LEN) {
		at += TAG_LEN;
		type = (unsigned)frame[TYPE_AT + TAG_LEN] << 8 | frame[TYPE_AT + TAG_LEN + 1];
	}
	return (type == IP4 || type == IP6) && mss_clamp(frame + at, len - at, packet_max);
}
