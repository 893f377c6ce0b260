/*
 * Split and coalesce.
 *
 * Theory. Both directions avoid moving payload. Splitting: the header of segment i is written directly in front of its
 * payload, over bytes of segment i-1 that has been sealed and is not needed any more. Coalescing: a packet is opened so
 * that its payload lands where the run ends; its header then covers the last bytes of the run, which the caller saved
 * and restores. All checks look at a copy of the first packet's header, because a short first packet's own header is
 * covered as well.
 *
 * Merging uses the rules of the kernel's receive offload and one more: every checksum is verified, because the kernel
 * makes a fresh one for the merged packet, and a damaged packet would come out looking intact.
 */
#include "engine/gso.h"

#include <errno.h>
#include <string.h>

#include "engine/checksum.h"

enum { NEXT_HOP_BY_HOP = 0, NEXT_TCP = 6, NEXT_UDP = 17, NEXT_DESTINATION = 60 };

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_CWR 0x80
#define EXTENSIONS_MAX 8

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static bool kind_is_tcp(enum gso_kind k)
{
	return k == GSO_KIND_TCP4 || k == GSO_KIND_TCP6;
}

static bool kind_is_v4(enum gso_kind k)
{
	return k == GSO_KIND_TCP4 || k == GSO_KIND_UDP4;
}

/* ---- split ------------------------------------------------------------------------------------------------------ */

/* Length of the IP header in front of an L4 header of the given protocol, or 0. Extensions that move nothing pass. */
static size_t ip_header_len(const uint8_t *p, size_t len, uint8_t protocol)
{
	size_t at = 40;
	uint8_t next;

	if (p[0] >> 4 == 4) {
		at = (size_t)(p[0] & 0x0f) * 4;
		return at >= 20 && at <= len && p[9] == protocol ? at : 0;
	}
	if (p[0] >> 4 != 6 || len < 40)
		return 0;
	next = p[6];
	for (unsigned i = 0; next != protocol; i++) {
		if (i == EXTENSIONS_MAX || (next != NEXT_HOP_BY_HOP && next != NEXT_DESTINATION) || len - at < 8)
			return 0;
		next = p[at];
		if (len - at < ((size_t)p[at + 1] + 1) * 8)
			return 0;
		at += ((size_t)p[at + 1] + 1) * 8;
	}
	return at;
}

/* NEEDS_CSUM: the field holds the pseudo-header sum; the rest is ours to add. */
static int finish_checksum(const struct virtio_net_hdr *vnet, uint8_t *packet, size_t len)
{
	size_t start = vnet->csum_start;
	size_t field = start + vnet->csum_offset;
	bool udp;

	if (!(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;
	if (start < 20 || start > len || field + 2 > len)
		return -EBADMSG;
	udp = vnet->csum_offset == 6 && (packet[0] >> 4 == 4 ? packet[9] == NEXT_UDP : true);
	checksum_store(packet + field, checksum_add(0, packet + start, len - start), udp);
	return 0;
}

static int split_headers(struct gso_split *s, unsigned gso_type)
{
	bool v6 = s->packet[0] >> 4 == 6;
	uint8_t *l4;

	switch (gso_type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		s->kind = GSO_KIND_TCP4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		s->kind = GSO_KIND_TCP6;
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		s->kind = v6 ? GSO_KIND_UDP6 : GSO_KIND_UDP4;
		break;
	default:
		return -EBADMSG;
	}
	if (kind_is_v4(s->kind) == v6)
		return -EBADMSG;
	s->ip_len = ip_header_len(s->packet, s->len, kind_is_tcp(s->kind) ? NEXT_TCP : NEXT_UDP);
	if (s->ip_len == 0)
		return -EBADMSG;
	l4 = s->packet + s->ip_len;
	if (kind_is_tcp(s->kind)) {
		if (s->len - s->ip_len < 20)
			return -EBADMSG;
		s->header_len = s->ip_len + (size_t)(l4[12] >> 4) * 4;
		if (s->header_len < s->ip_len + 20)
			return -EBADMSG;
	} else {
		s->header_len = s->ip_len + 8;
	}
	if (s->header_len > s->len || s->header_len > GSO_HEADER_MAX)
		return -EBADMSG;
	memcpy(s->header, s->packet, s->header_len);
	return 0;
}

int gso_split_init(struct gso_split *s, const struct virtio_net_hdr *vnet, uint8_t *packet, size_t len)
{
	unsigned gso_type = vnet->gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
	int r;

	s->packet = packet;
	s->len = len;
	s->at = 0;
	s->index = 0;
	s->kind = GSO_KIND_OTHER;
	s->whole = true;
	if (len < 20)
		return -EBADMSG;
	if (gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return finish_checksum(vnet, packet, len);

	r = split_headers(s, gso_type);
	if (r < 0)
		return r;
	s->segment = vnet->gso_size;
	if (s->segment == 0)
		return -EBADMSG;
	s->whole = false;
	return 0;
}

static void fix_l4(const struct gso_split *s, uint8_t *p, size_t payload, bool last)
{
	size_t l4_len = s->header_len - s->ip_len + payload;
	uint8_t *l4 = p + s->ip_len;
	uint64_t sum;

	if (kind_is_tcp(s->kind)) {
		put32(l4 + 4, get32(s->header + s->ip_len + 4) + (uint32_t)s->at);
		if (!last)
			l4[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
		if (s->index > 0)
			l4[13] &= (uint8_t)~TCP_CWR;
		memset(l4 + 16, 0, 2);
		sum = checksum_add(checksum_pseudo(p, NEXT_TCP, (uint32_t)l4_len), l4, l4_len);
		checksum_store(l4 + 16, sum, false);
	} else {
		put16(l4 + 4, l4_len);
		memset(l4 + 6, 0, 2);
		sum = checksum_add(checksum_pseudo(p, NEXT_UDP, (uint32_t)l4_len), l4, l4_len);
		checksum_store(l4 + 6, sum, true);
	}
}

uint8_t *gso_split_next(struct gso_split *s, size_t *ret_len)
{
	size_t left, payload, len;
	uint8_t *p;

	if (s->whole) {
		if (s->index++ > 0)
			return NULL;
		*ret_len = s->len;
		return s->packet;
	}
	left = s->len - s->header_len - s->at;
	if (left == 0 && s->index > 0)
		return NULL;
	payload = left < s->segment ? left : s->segment;
	p = s->packet + s->at;
	len = s->header_len + payload;
	memcpy(p, s->header, s->header_len);
	if (kind_is_v4(s->kind)) {
		put16(p + 2, len);
		put16(p + 4, get16(s->header + 4) + s->index);
		memset(p + 10, 0, 2);
		checksum_store(p + 10, checksum_add(0, p, s->ip_len), false);
	} else {
		put16(p + 4, len - 40);
	}
	fix_l4(s, p, payload, payload == left);
	s->at += payload;
	s->index++;
	*ret_len = len;
	return p;
}

/* ---- run -------------------------------------------------------------------------------------------------------- */

/* What a mergeable packet is made of. */
struct parts {
	enum gso_kind kind;
	size_t ip_len, header_len, payload;
};

/* Strict: plain headers, lengths that agree, nothing behind the end, payload, intact checksums. */
static bool parse_ip(const uint8_t *p, size_t len, struct parts *ret, uint8_t *ret_next)
{
	if (len < 20)
		return false;
	if (p[0] == 0x45) {
		if (get16(p + 2) != len || (p[6] & 0xbf) || p[7]) /* fragment, or the reserved bit */
			return false;
		if (!checksum_is_good(checksum_add(0, p, 20)))
			return false;
		ret->ip_len = 20;
		*ret_next = p[9];
		return true;
	}
	if (p[0] >> 4 != 6 || len < 40 || (size_t)get16(p + 4) + 40 != len)
		return false;
	ret->ip_len = 40;
	*ret_next = p[6];
	return true;
}

static bool parse_parts(const uint8_t *p, size_t len, bool uso, struct parts *ret)
{
	struct parts parts = { .kind = GSO_KIND_OTHER };
	const uint8_t *l4;
	size_t l4_len;
	uint8_t next;
	bool v4;

	if (!parse_ip(p, len, &parts, &next))
		return false;
	v4 = parts.ip_len == 20;
	l4 = p + parts.ip_len;
	l4_len = len - parts.ip_len;
	if (next == NEXT_TCP) {
		if (l4_len < 20)
			return false;
		parts.kind = v4 ? GSO_KIND_TCP4 : GSO_KIND_TCP6;
		parts.header_len = (size_t)(l4[12] >> 4) * 4;
		if (parts.header_len < 20 || (l4[13] & (uint8_t)~TCP_PSH) != TCP_ACK)
			return false;
	} else if (next == NEXT_UDP && uso) {
		if (l4_len < 8 || get16(l4 + 4) != l4_len || (l4[6] | l4[7]) == 0)
			return false;
		parts.kind = v4 ? GSO_KIND_UDP4 : GSO_KIND_UDP6;
		parts.header_len = 8;
	} else {
		return false;
	}
	if (parts.header_len >= l4_len)
		return false;
	parts.payload = l4_len - parts.header_len;
	parts.header_len += parts.ip_len;
	if (!checksum_is_good(checksum_add(checksum_pseudo(p, next, (uint32_t)l4_len), l4, l4_len)))
		return false;
	*ret = parts;
	return true;
}

void gso_run_begin(struct gso_run *r, uint8_t *packet, size_t len, bool uso)
{
	struct parts parts;

	r->packet = packet;
	r->len = len;
	r->packets = 1;
	r->kind = GSO_KIND_OTHER;
	r->closed = true;
	r->push = false;
	r->header_len = 0;
	if (len > GSO_RUN_MAX || !parse_parts(packet, len, uso, &parts))
		return;
	r->kind = parts.kind;
	r->ip_len = parts.ip_len;
	r->header_len = parts.header_len;
	r->segment = parts.payload;
	memcpy(r->header, packet, parts.header_len);
	if (kind_is_v4(r->kind))
		r->next_id = (uint16_t)(get16(packet + 4) + 1);
	if (kind_is_tcp(r->kind)) {
		r->next_seq = get32(packet + r->ip_len + 4) + (uint32_t)parts.payload;
		r->push = packet[r->ip_len + 13] & TCP_PSH;
	}
	r->closed = r->push;
}

/* Everything of the IP header but lengths, id and checksum. */
static bool same_ip(const struct gso_run *r, const uint8_t *p)
{
	const uint8_t *h = r->header;

	if (!kind_is_v4(r->kind))
		return memcmp(h, p, 4) == 0 && h[6] == p[6] && h[7] == p[7] && memcmp(h + 8, p + 8, 32) == 0;
	if (h[0] != p[0] || h[1] != p[1] || h[6] != p[6] || h[8] != p[8] || h[9] != p[9] || memcmp(h + 12, p + 12, 8) != 0)
		return false;
	/* With DF the id has no meaning (RFC 6864). */
	return (h[6] & 0x40) || get16(p + 4) == r->next_id;
}

/* Ports, sequence, ack, offset and reserved bits, window, urgent pointer, options. */
static bool same_tcp(const struct gso_run *r, const uint8_t *l4)
{
	const uint8_t *h = r->header + r->ip_len;

	return memcmp(h, l4, 4) == 0 && get32(l4 + 4) == r->next_seq && memcmp(h + 8, l4 + 8, 5) == 0 &&
	       memcmp(h + 14, l4 + 14, 2) == 0 && memcmp(h + 18, l4 + 18, r->header_len - r->ip_len - 18) == 0;
}

bool gso_run_accepts(const struct gso_run *r, const uint8_t *packet, size_t len)
{
	struct parts parts;

	if (r->packets == 0 || r->closed || len <= r->header_len)
		return false;
	if (len - r->header_len > r->segment || r->len + len - r->header_len > GSO_RUN_MAX)
		return false;
	if (!kind_is_tcp(r->kind) && r->packets >= GSO_RUN_PACKETS)
		return false;
	if (!parse_parts(packet, len, !kind_is_tcp(r->kind), &parts))
		return false;
	if (parts.kind != r->kind || parts.header_len != r->header_len || !same_ip(r, packet))
		return false;
	if (kind_is_tcp(r->kind))
		return same_tcp(r, packet + r->ip_len);
	return memcmp(r->header + r->ip_len, packet + r->ip_len, 4) == 0;
}

uint8_t gso_run_flags(const struct gso_run *r, const uint8_t *packet)
{
	return kind_is_tcp(r->kind) ? packet[r->ip_len + 13] : 0;
}

void gso_run_extend(struct gso_run *r, uint8_t flags, size_t payload)
{
	r->len += payload;
	r->packets++;
	r->next_seq += (uint32_t)payload;
	r->next_id++;
	r->push = flags & TCP_PSH;
	r->closed = r->push || payload < r->segment;
}

void gso_run_finish(struct gso_run *r, struct virtio_net_hdr *ret_vnet)
{
	bool tcp = kind_is_tcp(r->kind);
	size_t l4_len = r->len - r->ip_len;
	uint8_t *p = r->packet;
	uint8_t *l4 = p + r->ip_len;
	uint16_t pseudo;

	memset(ret_vnet, 0, sizeof(*ret_vnet));
	if (r->packets < 2)
		return;
	if (kind_is_v4(r->kind)) {
		put16(p + 2, r->len);
		memset(p + 10, 0, 2);
		checksum_store(p + 10, checksum_add(0, p, r->ip_len), false);
	} else {
		put16(p + 4, r->len - 40);
	}
	if (!tcp)
		put16(l4 + 4, l4_len);
	else if (r->push)
		l4[13] |= TCP_PSH;
	pseudo = checksum_fold(checksum_pseudo(p, tcp ? NEXT_TCP : NEXT_UDP, (uint32_t)l4_len));
	memcpy(l4 + (tcp ? 16 : 6), &pseudo, 2);

	ret_vnet->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	ret_vnet->gso_type = !tcp ? VIRTIO_NET_HDR_GSO_UDP_L4 :
			     kind_is_v4(r->kind) ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	ret_vnet->hdr_len = (uint16_t)r->header_len;
	ret_vnet->gso_size = (uint16_t)r->segment;
	ret_vnet->csum_start = (uint16_t)r->ip_len;
	ret_vnet->csum_offset = tcp ? 16 : 6;
}
