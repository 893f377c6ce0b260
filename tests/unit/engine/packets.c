/* Test packets; deliberately shares no code with src/engine. */
#include "unit/engine/packets.h"

#include <string.h>

uint16_t packet_naive_sum(const uint8_t *p, size_t len, uint32_t start)
{
	uint32_t sum = start;

	for (size_t i = 0; i + 1 < len; i += 2) {
		sum += (uint32_t)p[i] << 8 | p[i + 1];
		sum = (sum & 0xffff) + (sum >> 16);
	}
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void put(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static size_t ip_len(const uint8_t *p)
{
	return p[0] >> 4 == 4 ? 20 : 40;
}

static bool is_udp(const uint8_t *p)
{
	return (p[0] >> 4 == 4 ? p[9] : p[6]) == 17;
}

static uint32_t pseudo(const uint8_t *p, size_t l4_len)
{
	uint32_t start = (uint32_t)(is_udp(p) ? 17 : 6) + (uint32_t)l4_len;

	return p[0] >> 4 == 4 ? packet_naive_sum(p + 12, 8, start) : packet_naive_sum(p + 8, 32, start);
}

void packet_fix(uint8_t *p, size_t len)
{
	size_t at = ip_len(p), field = at + (is_udp(p) ? 6 : 16);
	uint16_t sum;

	if (p[0] >> 4 == 4) {
		put(p + 10, 0);
		put(p + 10, (uint16_t)~packet_naive_sum(p, 20, 0));
	}
	put(p + field, 0);
	sum = (uint16_t)~packet_naive_sum(p + at, len - at, pseudo(p, len - at));
	put(p + field, is_udp(p) && sum == 0 ? 0xffff : sum);
}

void packet_make_partial(uint8_t *p, size_t len)
{
	size_t at = ip_len(p);

	put(p + at + (is_udp(p) ? 6 : 16), pseudo(p, len - at));
}

bool packet_is_good(const uint8_t *p, size_t len)
{
	size_t at = ip_len(p);

	if (p[0] >> 4 == 4 && (packet_naive_sum(p, 20, 0) != 0xffff || ((size_t)p[2] << 8 | p[3]) != len))
		return false;
	if (p[0] >> 4 == 6 && ((size_t)p[4] << 8 | p[5]) + 40 != len)
		return false;
	return packet_naive_sum(p + at, len - at, pseudo(p, len - at)) == 0xffff;
}

size_t packet_build(uint8_t *p, const struct packet_spec *s)
{
	size_t at = s->v6 ? 40 : 20;
	size_t head = s->udp ? 8 : 20 + s->n_options;
	size_t len = at + head + s->payload;
	uint8_t *l4 = p + at;

	memset(p, 0, at + head);
	if (s->v6) {
		p[0] = 0x60;
		p[1] = (uint8_t)(s->tos << 4);
		put(p + 4, (unsigned)(head + s->payload));
		p[6] = s->udp ? 17 : 6;
		p[7] = s->ttl ? s->ttl : 64;
		p[8] = p[24] = 0xfd;
		p[23] = 1;
		p[39] = s->host ? s->host : 2;
	} else {
		p[0] = 0x45;
		p[1] = s->tos;
		put(p + 2, (unsigned)len);
		put(p + 4, s->id);
		p[6] = s->no_df ? 0 : 0x40;
		p[8] = s->ttl ? s->ttl : 64;
		p[9] = s->udp ? 17 : 6;
		memcpy(p + 12, (uint8_t[]){ 10, 8, 0, 1, 10, 8, 0, s->host ? s->host : 2 }, 8);
	}
	put(l4, s->sport ? s->sport : 1000);
	put(l4 + 2, 2000);
	if (s->udp) {
		put(l4 + 4, (unsigned)(8 + s->payload));
	} else {
		put(l4 + 4, s->seq >> 16);
		put(l4 + 6, s->seq & 0xffff);
		put(l4 + 8, s->ack >> 16);
		put(l4 + 10, s->ack & 0xffff);
		l4[12] = (uint8_t)((20 + s->n_options) / 4 << 4);
		l4[13] = s->flags ? s->flags : 0x10;
		put(l4 + 14, s->window ? s->window : 500);
		put(l4 + 18, s->urgent);
		if (s->n_options)
			memcpy(l4 + 20, s->options, s->n_options);
	}
	for (size_t i = 0; i < s->payload; i++)
		l4[head + i] = (uint8_t)(s->fill + i * 7 + (i >> 8));
	packet_fix(p, len);
	return len;
}
