/* Splitting and coalescing: each is the other's inverse, and each rule for merging has a packet that breaks only it. */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gso.h"
#include "unit/engine/packets.h"

#define HEAD 128
#define MAX_PACKETS 128

static uint8_t buffer[HEAD + PACKET_MAX];

static uint32_t seq_of(const uint8_t *p)
{
	const uint8_t *t = p + (p[0] >> 4 == 4 ? 20 : 40) + 4;

	return (uint32_t)t[0] << 24 | (uint32_t)t[1] << 16 | (uint32_t)t[2] << 8 | t[3];
}

static uint8_t flags_of(const uint8_t *p)
{
	return p[(p[0] >> 4 == 4 ? 20 : 40) + 13];
}

/* ---- split ------------------------------------------------------------------------------------------------------ */

struct split_case {
	const char *what;
	struct packet_spec spec;
	uint8_t gso_type;
	uint16_t gso_size;
	size_t packets, last;
};

static const uint8_t timestamps[12] = { 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8 };

static const struct split_case splits[] = {
	{ "TSO4", { .payload = 60000, .seq = 4294960000u, .id = 65530, .flags = 0x99 }, VIRTIO_NET_HDR_GSO_TCPV4, 1380, 44, 660 },
	{ "TSO4, options", { .payload = 5000, .options = timestamps, .n_options = 12 }, VIRTIO_NET_HDR_GSO_TCPV4, 1000, 5, 1000 },
	{ "TSO4, one segment", { .payload = 10 }, VIRTIO_NET_HDR_GSO_TCPV4, 1380, 1, 10 },
	{ "TSO4, tiny segments", { .payload = 101 }, VIRTIO_NET_HDR_GSO_TCPV4, 2, 51, 1 },
	{ "TSO6", { .v6 = true, .payload = 60000, .seq = 7 }, VIRTIO_NET_HDR_GSO_TCPV6, 1360, 45, 160 },
	{ "TSO6, ECN", { .v6 = true, .payload = 3000 }, VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN, 1360, 3, 280 },
	{ "USO4", { .udp = true, .payload = 10000 }, VIRTIO_NET_HDR_GSO_UDP_L4, 1200, 9, 400 },
	{ "USO6", { .v6 = true, .udp = true, .payload = 3600 }, VIRTIO_NET_HDR_GSO_UDP_L4, 1200, 3, 1200 },
};

Test(gso, splits_into_complete_packets)
{
	for (size_t c = 0; c < sizeof(splits) / sizeof(splits[0]); c++) {
		const struct split_case *k = &splits[c];
		static uint8_t original[PACKET_MAX];
		uint8_t *p = buffer + HEAD;
		size_t len = packet_build(p, &k->spec), head = len - k->spec.payload, n = 0, at = 0, got;
		struct virtio_net_hdr vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = k->gso_type,
					       .gso_size = k->gso_size };
		struct gso_split s;
		uint8_t *q;

		memcpy(original, p, len);
		packet_make_partial(p, len);
		cr_assert_eq(gso_split_init(&s, &vnet, p, len), 0, "%s", k->what);
		while ((q = gso_split_next(&s, &got))) {
			bool last = at + (got - head) == k->spec.payload;

			cr_assert(packet_is_good(q, got), "%s: packet %zu", k->what, n);
			cr_assert_eq(memcmp(q + head, original + head + at, got - head), 0, "%s: payload of %zu", k->what, n);
			if (!k->spec.v6)
				cr_assert_eq((uint16_t)(q[4] << 8 | q[5]), (uint16_t)(k->spec.id + n), "%s", k->what);
			if (!k->spec.udp) {
				cr_assert_eq(seq_of(q), (uint32_t)(k->spec.seq + at), "%s", k->what);
				cr_assert_eq(!!(flags_of(q) & 0x09), last && (flags_of(original) & 0x09), "%s: FIN, PSH", k->what);
				cr_assert_eq(!!(flags_of(q) & 0x80), n == 0 && (flags_of(original) & 0x80), "%s: CWR", k->what);
			}
			at += got - head;
			n++;
			if (last)
				cr_assert_eq(got - head, k->last, "%s", k->what);
		}
		cr_assert_eq(at, k->spec.payload, "%s", k->what);
		cr_assert_eq(n, k->packets, "%s: %zu packets", k->what, n);
	}
}

Test(gso, finishes_the_checksum_of_a_single_packet)
{
	for (unsigned i = 0; i < 4; i++) {
		uint8_t *p = buffer + HEAD;
		struct packet_spec spec = { .v6 = i & 1, .udp = i & 2, .payload = 77 };
		size_t len = packet_build(p, &spec), got;
		struct virtio_net_hdr vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = spec.v6 ? 40 : 20,
					       .csum_offset = spec.udp ? 6 : 16 };
		struct gso_split s;

		packet_make_partial(p, len);
		cr_assert_eq(gso_split_init(&s, &vnet, p, len), 0);
		cr_assert_eq(gso_split_next(&s, &got), p);
		cr_assert_eq(got, len);
		cr_assert(packet_is_good(p, len));
		cr_assert_null(gso_split_next(&s, &got));
	}
}

Test(gso, refuses_what_does_not_fit_together)
{
	static const struct {
		const char *what;
		struct packet_spec spec;
		struct virtio_net_hdr vnet;
		int at; /* byte to overwrite, -1: none */
		uint8_t with;
		size_t len; /* 0: all of it */
	} bad[] = {
		{ "TSO4 on IPv6", { .v6 = true, .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 4 }, -1, 0, 0 },
		{ "TSO6 on IPv4", { .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 4 }, -1, 0, 0 },
		{ "TSO4 on UDP", { .udp = true, .payload = 90 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 4 }, -1, 0, 0 },
		{ "USO on TCP", { .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4, .gso_size = 4 }, -1, 0, 0 },
		{ "UFO", { .udp = true, .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 4 }, -1, 0, 0 },
		{ "unknown type", { .payload = 9 }, { .gso_type = 77, .gso_size = 4 }, -1, 0, 0 },
		{ "size 0", { .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 }, -1, 0, 0 },
		{ "IP header too short", { .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 4 }, 0, 0x44, 0 },
		{ "IP header past the end", { .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 4 }, 0, 0x4f, 0 },
		{ "TCP offset too small", { .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 4 }, 32, 0x40, 0 },
		{ "TCP offset past the end", { .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 4 }, 32, 0xf0, 0 },
		{ "TCP header cut", { .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 4 }, -1, 0, 39 },
		{ "too short for IP", { .payload = 9 }, { 0 }, -1, 0, 19 },
		{ "IPv6 header cut", { .v6 = true, .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 4 }, -1, 0, 39 },
		{ "unknown IPv6 extension", { .v6 = true, .payload = 9 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 4 }, 6, 43, 0 },
		{ "checksum start past the end", { .payload = 9 }, { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 60, .csum_offset = 16 }, -1, 0, 0 },
		{ "checksum field past the end", { .payload = 9 }, { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 28 }, -1, 0, 0 },
		{ "checksum in the IP header", { .payload = 9 }, { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 4, .csum_offset = 6 }, -1, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t *p = buffer + HEAD;
		size_t len = packet_build(p, &bad[i].spec);
		struct gso_split s;

		if (bad[i].at >= 0)
			p[bad[i].at] = bad[i].with;
		cr_assert_eq(gso_split_init(&s, &bad[i].vnet, p, bad[i].len ? bad[i].len : len), -EBADMSG, "%s", bad[i].what);
	}
}

/* ---- run -------------------------------------------------------------------------------------------------------- */

/* Puts a packet where the run would have it opened; accepts or not, leaves the run's bytes as they were. */
static bool offer(struct gso_run *run, const uint8_t *packet, size_t len)
{
	uint8_t saved[GSO_HEADER_MAX];
	size_t overlap = gso_run_overlap(run);
	uint8_t *at = run->packet + run->len - overlap;
	uint8_t flags;
	bool ok;

	memcpy(saved, at, overlap);
	memcpy(at, packet, len);
	ok = gso_run_accepts(run, at, len);
	flags = ok ? gso_run_flags(run, at) : 0;
	memcpy(at, saved, overlap);
	if (ok)
		gso_run_extend(run, flags, len - run->header_len);
	return ok;
}

static void roundtrip(const struct packet_spec *first, size_t n, size_t last_payload)
{
	static uint8_t packets[MAX_PACKETS][2000];
	static size_t lens[MAX_PACKETS];
	struct virtio_net_hdr vnet;
	struct gso_run run = { 0 };
	struct gso_split s;
	size_t got, sum = 0;

	for (size_t i = 0; i < n; i++) {
		struct packet_spec spec = *first;

		spec.seq += (uint32_t)(i * first->payload);
		spec.id = (uint16_t)(spec.id + i);
		spec.fill = (uint8_t)(i * 3);
		if (i + 1 == n) {
			spec.payload = last_payload;
			spec.flags = 0x18;
		}
		lens[i] = packet_build(packets[i], &spec);
		sum += spec.payload;
	}
	memcpy(buffer + HEAD, packets[0], lens[0]);
	gso_run_begin(&run, buffer + HEAD, lens[0], true);
	for (size_t i = 1; i < n; i++)
		cr_assert(offer(&run, packets[i], lens[i]), "packet %zu of %zu", i, n);
	cr_assert_eq(run.packets, n);
	gso_run_finish(&run, &vnet);
	cr_assert_eq(run.len, run.header_len + sum);
	cr_assert_eq(vnet.gso_size, n > 1 ? first->payload : 0);
	cr_assert_eq(vnet.flags, n > 1 ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);

	/* The kernel's part of NEEDS_CSUM gives a good packet. */
	if (n > 1) {
		static uint8_t whole[PACKET_MAX];
		uint64_t pseudo_in_field;

		memcpy(whole, run.packet, run.len);
		pseudo_in_field = (uint16_t)~packet_naive_sum(whole + vnet.csum_start, run.len - vnet.csum_start, 0);
		whole[vnet.csum_start + vnet.csum_offset] = (uint8_t)(pseudo_in_field >> 8);
		whole[vnet.csum_start + vnet.csum_offset + 1] = (uint8_t)pseudo_in_field;
		cr_assert(packet_is_good(whole, run.len));
		cr_assert_eq(vnet.hdr_len, run.header_len);
	}
	cr_assert_eq(gso_split_init(&s, &vnet, run.packet, run.len), 0);
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = gso_split_next(&s, &got);

		cr_assert_not_null(p);
		cr_assert_eq(got, lens[i]);
		cr_assert_eq(memcmp(p, packets[i], got), 0, "packet %zu of %zu", i, n);
	}
	cr_assert_null(gso_split_next(&s, &got));
}

Test(gso, coalescing_and_splitting_is_the_identity)
{
	static const struct packet_spec kinds[] = {
		{ .payload = 1380, .id = 65500, .seq = 4294900000u, .options = timestamps, .n_options = 12 },
		{ .payload = 1380, .no_df = true },
		{ .v6 = true, .payload = 1360, .options = timestamps, .n_options = 12 },
		{ .udp = true, .payload = 1000 },
		{ .v6 = true, .udp = true, .payload = 1000 },
		{ .payload = 3 }, /* shorter than its header: the next one overlaps the run's own header */
		{ .v6 = true, .udp = true, .payload = 1 },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (size_t n = 1; n <= 45; n += n < 4 ? 1 : 41) {
			roundtrip(&kinds[i], n, kinds[i].payload);
			roundtrip(&kinds[i], n, 1);
		}
}

static const struct packet_spec tcp4 = { .payload = 500, .seq = 1000, .ack = 9, .id = 7 };
static const struct packet_spec tcp6 = { .v6 = true, .payload = 500, .seq = 1000, .ack = 9 };
static const struct packet_spec udp4 = { .udp = true, .payload = 500, .id = 7 };

static struct packet_spec second(const struct packet_spec *first)
{
	struct packet_spec s = *first;

	s.seq += (uint32_t)first->payload;
	s.id++;
	return s;
}

static bool merges(const struct packet_spec *first, const struct packet_spec *next, bool uso)
{
	uint8_t p[2000];
	struct gso_run run = { 0 };
	size_t len = packet_build(buffer + HEAD, first);

	gso_run_begin(&run, buffer + HEAD, len, uso);
	return offer(&run, p, packet_build(p, next));
}

Test(gso, merges_what_belongs_together)
{
	struct packet_spec n = second(&tcp4);

	cr_assert(merges(&tcp4, &n, true));
	n.id = 4711; /* DF: the id has no meaning */
	cr_assert(merges(&tcp4, &n, true));
	n.payload = 499;
	cr_assert(merges(&tcp4, &n, true));
	n.flags = 0x18;
	cr_assert(merges(&tcp4, &n, true));
	n = second(&tcp6);
	cr_assert(merges(&tcp6, &n, true));
	n = second(&udp4);
	cr_assert(merges(&udp4, &n, true));
	n.payload = 20;
	cr_assert(merges(&udp4, &n, true));
}

#define REFUSED(what, first, ...)                                                                                      \
	do {                                                                                                           \
		struct packet_spec f = first, n = second(&first);                                                      \
		__VA_ARGS__;                                                                                           \
		cr_assert_not(merges(&f, &n, uso), what);                                                              \
	} while (0)

Test(gso, every_rule_refuses_the_packet_that_breaks_it)
{
	static const uint8_t other_time[12] = { 1, 1, 8, 10, 1, 2, 3, 5, 5, 6, 7, 8 };
	bool uso = true;

	REFUSED("another port", tcp4, n.sport = 1001);
	REFUSED("another address", tcp4, n.host = 9);
	REFUSED("another address, IPv6", tcp6, n.host = 9);
	REFUSED("another protocol", tcp4, n.udp = true);
	REFUSED("another version", tcp4, n.v6 = true);
	REFUSED("TOS", tcp4, n.tos = 4);
	REFUSED("ECN mark", tcp4, n.tos = 3);
	REFUSED("TTL", tcp4, n.ttl = 63);
	REFUSED("DF differs", tcp4, n.no_df = true);
	REFUSED("id not consecutive without DF", tcp4, f.no_df = n.no_df = true; n.id++);
	REFUSED("traffic class, IPv6", tcp6, n.tos = 1);
	REFUSED("hop limit, IPv6", tcp6, n.ttl = 63);
	REFUSED("a gap", tcp4, n.seq++);
	REFUSED("an overlap", tcp4, n.seq--);
	REFUSED("another ack", tcp4, n.ack++);
	REFUSED("another window", tcp4, n.window = 501);
	REFUSED("urgent pointer", tcp4, n.urgent = 1);
	REFUSED("options appear", tcp4, n.options = timestamps; n.n_options = 12);
	REFUSED("options differ", tcp4, f.options = timestamps; n.options = other_time; f.n_options = n.n_options = 12);
	REFUSED("SYN", tcp4, n.flags = 0x12);
	REFUSED("FIN", tcp4, n.flags = 0x11);
	REFUSED("RST", tcp4, n.flags = 0x14);
	REFUSED("URG", tcp4, n.flags = 0x30);
	REFUSED("ECE", tcp4, n.flags = 0x50);
	REFUSED("CWR", tcp4, n.flags = 0x90);
	REFUSED("no ACK", tcp4, n.flags = 0x08);
	REFUSED("empty", tcp4, n.payload = 0);
	REFUSED("longer than the first", tcp4, n.payload = 501);
	REFUSED("first has PSH", tcp4, f.flags = 0x18);
	REFUSED("first is FIN", tcp4, f.flags = 0x11);
	REFUSED("first is SYN", tcp4, f.flags = 0x12);
	REFUSED("first is empty", tcp4, f.payload = 0);
	REFUSED("UDP longer", udp4, n.payload = 501);
	REFUSED("UDP to another port", udp4, n.sport = 1);
	REFUSED("UDP empty", udp4, n.payload = 0);
	uso = false;
	REFUSED("UDP where the kernel has no USO", udp4, n.payload = 500);
}

Test(gso, a_short_or_pushed_packet_closes_the_run)
{
	struct packet_spec n = second(&tcp4), third;
	uint8_t p[2000];
	struct gso_run run = { 0 };

	for (unsigned push = 0; push < 2; push++) {
		gso_run_begin(&run, buffer + HEAD, packet_build(buffer + HEAD, &tcp4), true);
		n = second(&tcp4);
		if (push)
			n.flags = 0x18;
		else
			n.payload = 400;
		cr_assert(offer(&run, p, packet_build(p, &n)));
		cr_assert(run.closed);
		third = n;
		third.flags = 0;
		third.seq += (uint32_t)n.payload;
		third.id++;
		cr_assert_not(offer(&run, p, packet_build(p, &third)));
	}
}

/* Damages one byte of a good pair; fix: make the checksums right again, so that only the rule in question is broken. */
static bool merges_damaged(const struct packet_spec *spec, bool first, size_t at, uint8_t with, bool fix)
{
	uint8_t a[2000], b[2000];
	size_t a_len = packet_build(a, spec), b_len;
	struct packet_spec n = second(spec);
	struct gso_run run = { 0 };

	b_len = packet_build(b, &n);
	if (first)
		a[at] = with;
	else
		b[at] = with;
	if (fix)
		packet_fix(first ? a : b, first ? a_len : b_len);
	memcpy(buffer + HEAD, a, a_len);
	gso_run_begin(&run, buffer + HEAD, a_len, true);
	return offer(&run, b, b_len);
}

Test(gso, damaged_packets_are_not_merged)
{
	uint8_t p[2000];

	for (unsigned first = 0; first < 2; first++) {
		cr_assert_not(merges_damaged(&tcp4, first, 300, 0xee, false), "TCP payload");
		cr_assert_not(merges_damaged(&tcp6, first, 300, 0xee, false), "TCP payload, IPv6");
		cr_assert_not(merges_damaged(&udp4, first, 300, 0xee, false), "UDP payload");
		cr_assert_not(merges_damaged(&tcp4, first, 11, 0xee, false), "IPv4 header checksum");
		cr_assert_not(merges_damaged(&tcp4, first, 0, 0x46, false), "IPv4 options");
		cr_assert_not(merges_damaged(&tcp4, first, 6, 0x60, true), "more fragments");
		cr_assert_not(merges_damaged(&tcp4, first, 6, 0xc0, true), "reserved bit");
		cr_assert_not(merges_damaged(&tcp4, first, 7, 1, true), "a fragment");
		cr_assert_not(merges_damaged(&tcp4, first, 3, 0x00, true), "IPv4 length");
		cr_assert_not(merges_damaged(&tcp6, first, 5, 0x00, true), "IPv6 length");
		cr_assert_not(merges_damaged(&tcp6, first, 6, 60, false), "IPv6 extension");
		cr_assert_not(merges_damaged(&tcp4, first, 32, 0x40, true), "TCP offset too small");
		cr_assert_not(merges_damaged(&tcp4, first, 32, 0x51, true) && first == 0, "reserved bits differ");
		cr_assert_not(merges_damaged(&udp4, first, 25, 0x01, true), "UDP length");
	}
	cr_assert_not(merges_damaged(&tcp6, false, 3, 1, false), "flow label");

	/* UDP without checksum */
	{
		struct packet_spec n = second(&udp4);
		struct gso_run run = { 0 };
		size_t len = packet_build(p, &n);

		p[26] = p[27] = 0;
		gso_run_begin(&run, buffer + HEAD, packet_build(buffer + HEAD, &udp4), true);
		cr_assert_not(offer(&run, p, len));
	}
}

Test(gso, never_grows_past_its_limits)
{
	uint8_t p[2000];
	struct packet_spec n = { .udp = true, .payload = 100 };
	struct gso_run run = { 0 };
	size_t len = packet_build(p, &n);

	gso_run_begin(&run, buffer + HEAD, packet_build(buffer + HEAD, &n), true);
	while (offer(&run, p, len))
		cr_assert_leq(run.packets, GSO_RUN_PACKETS);
	cr_assert_eq(run.packets, GSO_RUN_PACKETS);

	n = (struct packet_spec){ .payload = 1400 };
	gso_run_begin(&run, buffer + HEAD, packet_build(buffer + HEAD, &n), true);
	do {
		n.seq += 1400;
		n.id++;
	} while (offer(&run, p, packet_build(p, &n)));
	cr_assert_leq(run.len, GSO_RUN_MAX);
	cr_assert_gt(run.len, GSO_RUN_MAX - 1400);
}

Test(gso, short_and_foreign_packets_make_closed_runs)
{
	struct virtio_net_hdr vnet;

	for (size_t len = 0; len < 48; len++) {
		struct gso_run run = { 0 };
		uint8_t *p = malloc(len ? len : 1); /* exactly: a sanitizer sees one byte too many */

		cr_assert_not_null(p);
		memset(p, 0x45, len);
		gso_run_begin(&run, p, len, true);
		cr_assert(run.closed);
		cr_assert_eq(gso_run_overlap(&run), 0);
		gso_run_finish(&run, &vnet);
		cr_assert_eq(vnet.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		cr_assert_eq(vnet.flags, 0);
		free(p);
	}
}
