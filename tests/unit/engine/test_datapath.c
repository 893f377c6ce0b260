/*
 * The data path between a socket that plays the tun (datagrams with a vnet header) and a UDP pair on loopback, with a toy
 * protocol that frames, scrambles and verifies like a real one, and that dirties everything the interface lets it dirty.
 */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/datapath.h"
#include "ipc/ipc-msg.h"
#include "unit/engine/packets.h"

#define OVERHEAD 24

/* ---- the toy protocol ------------------------------------------------------------------------------------------- */

static uint32_t toy_sealed;
static const uint8_t *toy_end; /* of the send area: a protocol may write up to here */
static bool toy_had_room = true;

static uint8_t toy_tag(const uint8_t *p, size_t len)
{
	uint8_t t = 0x33;

	for (size_t i = 0; i < len; i++)
		t = (uint8_t)(t * 5 + p[i]);
	return t;
}

static ssize_t toy_inner_out(struct proto *p, const uint8_t *inner, size_t len, uint8_t *out, usec_t now)
{
	(void)p;
	(void)now;
	if (toy_end && out + len + PROTO_OVERHEAD_MAX > toy_end) {
		toy_had_room = false;
		return -VERDICT_DROP_MALFORMED;
	}
	memset(out, 0x48, 4);
	toy_sealed++;
	out[4] = (uint8_t)(toy_sealed >> 24), out[5] = (uint8_t)(toy_sealed >> 16);
	out[6] = (uint8_t)(toy_sealed >> 8), out[7] = (uint8_t)toy_sealed;
	for (size_t i = 0; i < len; i++)
		out[OVERHEAD + i] = inner[i] ^ 0x5a;
	memset(out + 8, toy_tag(out + OVERHEAD, len), 16);
	return (ssize_t)(len + OVERHEAD);
}

static ssize_t toy_wire_in(struct proto *p, const uint8_t *wire, size_t len, uint8_t *out, usec_t now)
{
	(void)p;
	(void)now;
	memset(out - PROTO_HEADROOM, 0xdd, PROTO_HEADROOM + len);
	if (len < OVERHEAD)
		return -VERDICT_DROP_SHORT;
	if (wire[0] == 0x20)
		return 0;
	for (size_t i = 0; i + OVERHEAD < len; i++) /* before the tag is looked at, as a real cipher does */
		out[i] = wire[OVERHEAD + i] ^ 0x5a;
	if (wire[8] != toy_tag(wire + OVERHEAD, len - OVERHEAD))
		return -VERDICT_DROP_AUTH;
	return (ssize_t)(len - OVERHEAD);
}

static uint32_t toy_mss(const struct proto *p)
{
	(void)p;
	return 1400;
}

static const struct proto_ops toy_ops = { .name = "toy", .inner_out = toy_inner_out, .wire_in = toy_wire_in,
					  .mss_packet_max = toy_mss };
static struct proto toy = { &toy_ops };

/* ---- the bench -------------------------------------------------------------------------------------------------- */

static struct datapath d;
static struct stats stats;
static int tun = -EBADF, peer = -EBADF, ours = -EBADF;
static uint8_t area[PACKET_MAX + 128];
#define PACKET (area + 64)

static void udp_pair(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int big = 4 << 20;

	peer = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ours = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert(peer >= 0 && ours >= 0);
	(void)setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	(void)setsockopt(ours, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	cr_assert_eq(bind(peer, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(getsockname(peer, (struct sockaddr *)&sa, &len), 0);
	cr_assert_eq(connect(ours, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(getsockname(ours, (struct sockaddr *)&sa, &len), 0);
	cr_assert_eq(connect(peer, (struct sockaddr *)&sa, sizeof(sa)), 0);
}

static void setup(void)
{
	int pair[2], big = 4 << 20;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	tun = pair[0];
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	udp_pair();
	memset(&stats, 0, sizeof(stats));
	cr_assert_eq(datapath_init(&d, &stats), 0);
	tun_init(&d.tun, pair[1], IPC_TUN_VNET_HDR | IPC_TUN_TSO | IPC_TUN_USO, false);
	datapath_attach(&d, ours, TRANSPORT_UDP, &toy);
	datapath_open(&d);
}

static void to_tun(const struct virtio_net_hdr *vnet, size_t len)
{
	memcpy(PACKET - sizeof(*vnet), vnet, sizeof(*vnet));
	cr_assert_eq(send(tun, PACKET - sizeof(*vnet), len + sizeof(*vnet), 0), (ssize_t)(len + sizeof(*vnet)));
}

static void to_tun_tso(size_t payload, uint16_t size, uint32_t seq)
{
	struct virtio_net_hdr vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = size };
	size_t len = packet_build(PACKET, &(struct packet_spec){ .payload = payload, .seq = seq });

	packet_make_partial(PACKET, len);
	to_tun(&vnet, len);
}

/* One datagram at the peer, opened; its inner length or 0. */
static size_t at_peer(uint8_t *inner)
{
	static uint8_t wire[PACKET_MAX];
	uint8_t out[PACKET_MAX + PROTO_HEADROOM];
	ssize_t n = recv(peer, wire, sizeof(wire), 0);

	if (n < 0)
		return 0;
	n = toy_wire_in(&toy, wire, (size_t)n, out + PROTO_HEADROOM, 0);
	cr_assert_gt(n, 0);
	memcpy(inner, out + PROTO_HEADROOM, (size_t)n);
	return (size_t)n;
}

static void from_peer(const uint8_t *inner, size_t len, bool forge)
{
	static uint8_t wire[PACKET_MAX];
	ssize_t n = toy_inner_out(&toy, inner, len, wire, 0);

	if (forge)
		wire[8] ^= 1;
	cr_assert_eq(send(peer, wire, (size_t)n, 0), n);
}

/* ---- tun -> wire ------------------------------------------------------------------------------------------------- */

Test(datapath, a_super_packet_becomes_datagrams_in_few_calls, .init = setup)
{
	uint8_t inner[PACKET_MAX];
	size_t n = 0, sum = 0, len;

	to_tun_tso(60000, 1360, 1000);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	while ((len = at_peer(inner))) {
		cr_assert(packet_is_good(inner, len));
		sum += len - 40;
		n++;
	}
	cr_assert_eq(n, 45);
	cr_assert_eq(sum, 60000);
	cr_assert_eq(stats.tx_packets, 45);
	cr_assert_leq(stats.wire_sends, 2);
	cr_assert_eq(stats.tun_reads, 1);
}

Test(datapath, mixed_sizes_keep_their_order, .init = setup)
{
	static const size_t sizes[] = { 100, 1300, 1300, 50, 1300, 200, 200, 200, 1, 1400 };
	uint8_t inner[PACKET_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		to_tun(&(struct virtio_net_hdr){ 0 },
		       packet_build(PACKET, &(struct packet_spec){ .udp = true, .payload = sizes[i], .fill = (uint8_t)i }));
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(datapath_from_tun(&d, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		cr_assert_eq(at_peer(inner), sizes[i] + 28, "packet %zu", i);
		cr_assert_eq(inner[28], (uint8_t)i);
	}
	cr_assert_eq(at_peer(inner), 0);
}

Test(datapath, packets_longer_than_a_batch_stay_inside_the_send_area, .init = setup)
{
	uint8_t inner[PACKET_MAX];
	unsigned arrived = 0;
	size_t len;

	toy_end = d.send_area + DATAPATH_SEND_AREA;
	/* Alone, behind a batch, and one behind the other. */
	for (unsigned i = 0; i < 2; i++)
		for (size_t k = 0; k < 4; k++) {
			len = packet_build(PACKET, &(struct packet_spec){ .udp = true, .payload = i == 0 && k == 0 ? 100 : 65430 });
			to_tun(&(struct virtio_net_hdr){ 0 }, len);
			cr_assert_eq(datapath_from_tun(&d, 0), 0);
			while ((len = at_peer(inner)) > 0)
				arrived++;
		}
	cr_assert_eq(arrived, 8);
	for (size_t k = 0; k < 3; k++)
		to_tun(&(struct virtio_net_hdr){ 0 },
		       packet_build(PACKET, &(struct packet_spec){ .udp = true, .payload = k == 0 ? 100 : 65430, .fill = (uint8_t)k }));
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert(toy_had_room, "a packet was sealed over the end of the send area");
	for (size_t k = 0; k < 3; k++) {
		cr_assert_eq(at_peer(inner), (k == 0 ? 100 : 65430) + 28);
		cr_assert_eq(inner[28], (uint8_t)k);
	}
}

Test(datapath, bounds_the_work_of_one_wake_up, .init = setup)
{
	for (unsigned i = 0; i < 10; i++)
		to_tun(&(struct virtio_net_hdr){ 0 }, packet_build(PACKET, &(struct packet_spec){ .udp = true, .payload = 10 }));
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert_eq(stats.tun_reads, DATAPATH_TUN_READS);
}

Test(datapath, a_full_socket_loses_nothing_and_does_not_spin, .init = setup)
{
	uint8_t inner[PACKET_MAX];
	size_t got = 0, len;
	int pair[2], small = 4608;

	/* Loopback never fills a send buffer; a pair of local sockets holds a few datagrams and then says EAGAIN. */
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	cr_assert_eq(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	peer = pair[0];
	datapath_attach(&d, pair[1], TRANSPORT_UDP, &toy);
	datapath_open(&d);
	d.udp.gso = false;
	to_tun_tso(40000, 1000, 1);
	to_tun_tso(40000, 1000, 40001);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert(d.blocked);
	cr_assert_lt(stats.tun_reads, 2);
	for (unsigned i = 0; i < 500 && got < 80; i++) {
		while ((len = at_peer(inner))) {
			uint32_t seq = (uint32_t)inner[24] << 24 | (uint32_t)inner[25] << 16 | (uint32_t)inner[26] << 8 | inner[27];

			cr_assert(packet_is_good(inner, len));
			cr_assert_eq(seq, 1 + got * 1000, "packet %zu", got);
			got++;
		}
		datapath_resume(&d);
		if (!d.blocked)
			cr_assert_eq(datapath_from_tun(&d, 0), 0);
	}
	cr_assert_eq(got, 80);
	cr_assert_eq(stats.tun_reads, 2);
}

Test(datapath, without_segmentation_offload_every_datagram_still_goes, .init = setup)
{
	uint8_t inner[PACKET_MAX];
	size_t n = 0;

	d.udp.gso = false;
	to_tun_tso(50000, 1000, 1);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	while (at_peer(inner))
		n++;
	cr_assert_eq(n, 50);
}

Test(datapath, a_refused_offload_is_tried_again_with_singles, .init = setup)
{
	uint8_t inner[PACKET_MAX];

	d.segments_max = 1000; /* more than the kernel takes in one send: EINVAL */
	for (unsigned i = 0; i < 10; i++) {
		size_t n = 0;

		to_tun_tso(20000, 100, 1);
		cr_assert_eq(datapath_from_tun(&d, 0), 0);
		while (at_peer(inner))
			n++;
		cr_assert_eq(n, 200);
	}
	cr_assert_not(d.udp.gso);
	cr_assert_eq(stats.drop[STATS_DROP_WIRE_REFUSED], 0);
}

Test(datapath, a_closed_data_path_drains_the_tun, .init = setup)
{
	uint8_t inner[PACKET_MAX];

	d.open = false;
	for (unsigned i = 0; i < 5; i++)
		to_tun_tso(3000, 1000, 1);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert_eq(stats.drop[STATS_DROP_TUN_NOT_CONNECTED], 5);
	datapath_detach(&d);
	to_tun_tso(3000, 1000, 1);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert_eq(stats.drop[STATS_DROP_TUN_NOT_CONNECTED], 6);
	cr_assert_eq(at_peer(inner), 0);
}

Test(datapath, drops_what_is_not_ip_or_does_not_fit_its_header, .init = setup)
{
	uint8_t inner[PACKET_MAX];
	size_t len = packet_build(PACKET, &(struct packet_spec){ .payload = 100 });

	PACKET[0] = 0x15;
	to_tun(&(struct virtio_net_hdr){ 0 }, len);
	PACKET[0] = 0x45;
	to_tun(&(struct virtio_net_hdr){ .gso_type = 99, .gso_size = 10 }, len);
	to_tun(&(struct virtio_net_hdr){ 0 }, 7);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert_eq(stats.drop[STATS_DROP_TUN_MALFORMED], 3);
	cr_assert_eq(at_peer(inner), 0);
}

Test(datapath, a_tun_that_is_gone_is_reported, .init = setup)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	tun_init(&d.tun, fd, IPC_TUN_VNET_HDR, false);
	cr_assert_eq(datapath_from_tun(&d, 0), -EBADF);
}

static const uint8_t mss_option[] = { 2, 4, 0x05, 0xb4 };

Test(datapath, clamps_the_mss_both_ways, .init = setup)
{
	struct packet_spec syn = { .flags = 0x02, .options = mss_option, .n_options = 4 };
	uint8_t inner[PACKET_MAX];
	size_t len = packet_build(PACKET, &syn);

	packet_make_partial(PACKET, len);
	to_tun(&(struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 16 }, len);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert_eq(at_peer(inner), len);
	cr_assert_eq(inner[42] << 8 | inner[43], 1360);
	cr_assert(packet_is_good(inner, len));

	len = packet_build(PACKET, &syn);
	from_peer(PACKET, len, false);
	cr_assert_eq(datapath_from_wire(&d, 0), 1);
	cr_assert_eq(recv(tun, inner, sizeof(inner), 0), (ssize_t)(len + 10));
	cr_assert_eq(inner[52] << 8 | inner[53], 1360);
	cr_assert(packet_is_good(inner + 10, len));
}

/* ---- wire -> tun ------------------------------------------------------------------------------------------------- */

/* Reads one write of the data path and takes it apart; checks each packet; counts them. */
static size_t at_tun(uint8_t *first, size_t *ret_len)
{
	static uint8_t buf[PACKET_MAX + 64];
	struct virtio_net_hdr vnet;
	struct gso_split split;
	ssize_t n = recv(tun, buf + 54, sizeof(buf) - 54, 0);
	size_t packets = 0, len;
	uint8_t *p;

	if (n < 0)
		return 0;
	memcpy(&vnet, buf + 54, sizeof(vnet));
	cr_assert_eq(gso_split_init(&split, &vnet, buf + 64, (size_t)n - 10), 0);
	while ((p = gso_split_next(&split, &len))) {
		cr_assert(packet_is_good(p, len));
		if (packets++ == 0) {
			memcpy(first, p, len);
			*ret_len = len;
		}
	}
	return packets;
}

static void stream(size_t n, size_t payload, uint32_t seq, uint16_t sport)
{
	for (size_t i = 0; i < n; i++)
		from_peer(PACKET, packet_build(PACKET, &(struct packet_spec){ .payload = payload, .seq = seq + (uint32_t)(i * payload),
									      .id = (uint16_t)i, .sport = sport }), false);
}

static void receive_all(void)
{
	while (datapath_from_wire(&d, 0) > 0)
		continue;
}

Test(datapath, datagrams_of_a_stream_become_one_write, .init = setup)
{
	uint8_t first[PACKET_MAX];
	size_t len, packets = 0, writes = 0, n;

	stream(32, 1360, 77, 0);
	receive_all();
	while ((n = at_tun(first, &len))) {
		packets += n;
		writes++;
	}
	cr_assert_eq(packets, 32);
	cr_assert_leq(writes, 2); /* one for each recvmmsg */
	cr_assert_eq(stats.rx_packets, 32);
	cr_assert(d.heard);
}

Test(datapath, coalesced_datagrams_are_taken_apart, .init = setup)
{
	static uint8_t wire[PACKET_MAX];
	uint8_t first[PACKET_MAX];
	size_t len = 0, n, inner_len, packets = 0;

	/* One send with UDP_SEGMENT arrives in one piece at a socket with UDP_GRO. */
	for (size_t i = 0; i < 20; i++) {
		inner_len = packet_build(PACKET, &(struct packet_spec){ .payload = i < 19 ? 1000 : 300, .seq = (uint32_t)i * 1000 });
		len += (size_t)toy_inner_out(&toy, PACKET, inner_len, wire + len, 0);
	}
	{
		struct udp sender = { .fd = peer, .gso = true };

		cr_assert_eq(udp_send(&sender, wire, len, 1064), (ssize_t)len);
	}
	receive_all();
	while ((n = at_tun(first, &len)))
		packets += n;
	cr_assert_eq(packets, 20);
	if (d.udp.gro)
		cr_assert_eq(stats.wire_receives, 1);
}

Test(datapath, two_flows_keep_their_packets_and_order, .init = setup)
{
	uint8_t first[PACKET_MAX];
	size_t len, n, packets = 0;
	uint32_t expect[2] = { 0, 0 };

	for (unsigned i = 0; i < 30; i++)
		stream(1, 500, (uint32_t)(i / 2) * 500, (uint16_t)(1 + i % 2));
	receive_all();
	while ((n = at_tun(first, &len))) {
		unsigned flow = (unsigned)(first[20] << 8 | first[21]) - 1;
		uint32_t seq = (uint32_t)first[24] << 24 | (uint32_t)first[25] << 16 | (uint32_t)first[26] << 8 | first[27];

		cr_assert_eq(n, 1);
		cr_assert_eq(seq, expect[flow]);
		expect[flow] += 500;
		packets += n;
	}
	cr_assert_eq(packets, 30);
}

Test(datapath, a_forgery_in_the_middle_changes_nothing, .init = setup)
{
	static const size_t payloads[] = { 1360, 3 }; /* 3: shorter than its header */
	uint8_t first[PACKET_MAX];
	size_t len, n, packets = 0;

	for (unsigned k = 0; k < 2; k++) {
		packets = 0;
		for (unsigned i = 0; i < 12; i++) {
			if (i % 3 == 1) {
				memset(PACKET, 0xee, 1500);
				from_peer(PACKET, i == 4 ? 30 : 1400, true);
			}
			if (i % 3 == 2)
				cr_assert_eq(send(peer, (uint8_t[40]){ 0x20 }, 40, 0), 40); /* a control packet */
			stream(1, payloads[k], (uint32_t)(i * payloads[k]), 9);
		}
		receive_all();
		while ((n = at_tun(first, &len)))
			packets += n;
		cr_assert_eq(packets, 12);
		cr_assert_eq(stats.rx_verdict[VERDICT_DROP_AUTH], 4 * (k + 1));
	}
}

Test(datapath, nothing_reaches_the_tun_before_the_settings_are_applied, .init = setup)
{
	uint8_t first[PACKET_MAX];
	size_t len;

	d.open = false;
	stream(5, 100, 0, 0);
	receive_all();
	cr_assert_eq(at_tun(first, &len), 0);
	cr_assert_eq(stats.drop[STATS_DROP_INNER_NOT_READY], 5);
}

Test(datapath, inner_packets_must_be_ip, .init = setup)
{
	uint8_t first[PACKET_MAX];
	size_t len;

	memset(PACKET, 0x15, 100);
	from_peer(PACKET, 100, false);
	from_peer(PACKET, 1, false);
	receive_all();
	cr_assert_eq(at_tun(first, &len), 0);
	cr_assert_eq(stats.drop[STATS_DROP_INNER_NOT_IP], 2);
}

Test(datapath, a_tun_without_offload_gets_single_packets, .init = setup)
{
	uint8_t first[PACKET_MAX];
	size_t len, writes = 0;

	d.tun.merge = false;
	stream(10, 1000, 0, 0);
	receive_all();
	while (at_tun(first, &len) == 1)
		writes++;
	cr_assert_eq(writes, 10);
}

Test(datapath, a_tap_carries_frames_as_they_are, .init = setup)
{
	uint8_t got[PACKET_MAX], *frame = PACKET;
	struct packet_spec syn = { .flags = 0x02, .options = mss_option, .n_options = 4 };
	size_t len;
	ssize_t n;

	tun_init(&d.tun, d.tun.fd, 0, true);
	memset(frame, 0x45, 60); /* looks like an IP packet where none is */
	frame[12] = 0x08;
	frame[13] = 0x06;
	cr_assert_eq(send(tun, frame, 60, 0), 60);
	cr_assert_eq(send(tun, frame, 13, 0), 13); /* no frame */
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert_eq(at_peer(got), 60);
	cr_assert(memcmp(got, frame, 60) == 0);
	cr_assert_eq(at_peer(got), 0);
	cr_assert_eq(stats.drop[STATS_DROP_TUN_MALFORMED], 1);

	from_peer(frame, 60, false);
	from_peer(frame, 13, false);
	from_peer(frame, 60, false);
	receive_all();
	for (unsigned i = 0; i < 2; i++) { /* each for itself */
		cr_assert_eq(recv(tun, got, sizeof(got), 0), 60);
		cr_assert(memcmp(got, frame, 60) == 0);
	}
	cr_assert_lt(recv(tun, got, sizeof(got), 0), 0);
	cr_assert_eq(stats.drop[STATS_DROP_INNER_NOT_IP], 1);

	len = ETHERNET_HEAD + packet_build(frame + ETHERNET_HEAD, &syn);
	frame[12] = 0x08;
	frame[13] = 0x00;
	from_peer(frame, len, false);
	receive_all();
	n = recv(tun, got, sizeof(got), 0);
	cr_assert_eq(n, (ssize_t)len);
	cr_assert_eq(got[ETHERNET_HEAD + 42] << 8 | got[ETHERNET_HEAD + 43], 1360);
	cr_assert(packet_is_good(got + ETHERNET_HEAD, len - ETHERNET_HEAD));
}

Test(datapath, icmp_errors_are_reported_and_survived, .init = setup)
{
	peer = fd_close(peer);
	to_tun_tso(3000, 1000, 1);
	cr_assert_eq(datapath_from_tun(&d, 0), 0); /* nobody listens: the error is on the socket now */
	(void)datapath_from_wire(&d, 0);
	cr_assert_eq(datapath_take_error(&d), -ECONNREFUSED);
	cr_assert_eq(datapath_take_error(&d), 0);
	to_tun_tso(3000, 1000, 1);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert_not(d.blocked);
}
