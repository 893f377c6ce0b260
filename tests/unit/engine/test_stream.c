/*
 * The TCP transport and the data path over it, between a socket that plays the tun and a pair of stream sockets whose
 * other end is taken apart here, by the letter: two bytes of length, then the packet.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/datapath.h"
#include "ipc/ipc-msg.h"
#include "unit/engine/packets.h"

/* ---- a protocol without secrets: a head of 8 bytes, 'P' for a packet and 'C' for control --------------------------- */

#define HEAD 8

static ssize_t toy_inner_out(struct proto *p, const uint8_t *inner, size_t len, uint8_t *out, usec_t now)
{
	(void)p;
	(void)now;
	memset(out, 'P', HEAD);
	memcpy(out + HEAD, inner, len);
	return (ssize_t)(len + HEAD);
}

static unsigned n_control;

static ssize_t toy_wire_in(struct proto *p, const uint8_t *wire, size_t len, uint8_t *out, usec_t now)
{
	(void)p;
	(void)now;
	if (wire[0] == 'C') {
		n_control++;
		return 0;
	}
	if (len < HEAD || wire[0] != 'P')
		return -VERDICT_DROP_OPCODE;
	memcpy(out, wire + HEAD, len - HEAD);
	return (ssize_t)(len - HEAD);
}

static uint32_t toy_mss(const struct proto *p)
{
	(void)p;
	return 0;
}

static const struct proto_ops toy_ops = { .name = "toy", .inner_out = toy_inner_out, .wire_in = toy_wire_in,
					  .mss_packet_max = toy_mss };
static struct proto toy = { &toy_ops };

/* ---- the bench ------------------------------------------------------------------------------------------------------ */

static struct datapath d;
static struct stats stats;
static int tun = -EBADF, peer = -EBADF;
static uint8_t area[PACKET_MAX + 128];
#define PACKET (area + 64)

static void setup(void)
{
	int pair[2], big = 4 << 20;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	tun = pair[0];
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	memset(&stats, 0, sizeof(stats));
	cr_assert_eq(datapath_init(&d, &stats), 0);
	tun_init(&d.tun, pair[1], IPC_TUN_VNET_HDR | IPC_TUN_TSO | IPC_TUN_USO, false);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	peer = pair[0];
	datapath_attach(&d, pair[1], TRANSPORT_TCP, &toy);
	datapath_open(&d);
	n_control = 0;
}

static void small_send_buffer(void)
{
	int small = 4608;

	cr_assert_eq(setsockopt(d.stream.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
}

static void to_tun_tso(size_t payload, uint16_t size, uint32_t seq)
{
	struct virtio_net_hdr vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = size };
	size_t len = packet_build(PACKET, &(struct packet_spec){ .payload = payload, .seq = seq });

	packet_make_partial(PACKET, len);
	memcpy(PACKET - sizeof(vnet), &vnet, sizeof(vnet));
	cr_assert_eq(send(tun, PACKET - sizeof(vnet), len + sizeof(vnet), 0), (ssize_t)(len + sizeof(vnet)));
}

/* Everything the peer has received so far, in order, and how much of it was looked at. */
static uint8_t *got;
static size_t got_len, got_at;

static void receive_at_peer(void)
{
	ssize_t n;

	if (!got)
		got = malloc(4 << 20);
	while ((n = recv(peer, got + got_len, (4 << 20) - got_len, 0)) > 0)
		got_len += (size_t)n;
}

/* The next packet at the peer; NULL when none is complete. */
static const uint8_t *at_peer(size_t *ret_len)
{
	const uint8_t *p = got + got_at;
	size_t len;

	if (got_len - got_at < 2)
		return NULL;
	len = (size_t)p[0] << 8 | p[1];
	if (got_len - got_at < 2 + len)
		return NULL;
	got_at += 2 + len;
	*ret_len = len;
	return p + 2;
}

static uint32_t seq_of(const uint8_t *ip)
{
	return (uint32_t)ip[24] << 24 | (uint32_t)ip[25] << 16 | (uint32_t)ip[26] << 8 | ip[27];
}

static size_t put_frame(uint8_t *p, char kind, const uint8_t *inner, size_t len)
{
	ovpn_stream_prefix(p, len + HEAD);
	memset(p + 2, kind, HEAD);
	if (len)
		memcpy(p + 2 + HEAD, inner, len);
	return 2 + HEAD + len;
}

/* ---- out ------------------------------------------------------------------------------------------------------------ */

Test(stream, a_super_packet_becomes_one_send, .init = setup)
{
	const uint8_t *p;
	size_t len, n = 0;

	to_tun_tso(40000, 1000, 1);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert_eq(stats.wire_sends, 1);
	receive_at_peer();
	while ((p = at_peer(&len))) {
		cr_assert(packet_is_good(p + HEAD, len - HEAD));
		cr_assert_eq(seq_of(p + HEAD), 1 + n * 1000);
		n++;
	}
	cr_assert_eq(n, 40);
	cr_assert_eq(got_at, got_len);
}

Test(stream, a_full_socket_stops_the_tun_and_loses_neither_packets_nor_control, .init = setup)
{
	static const uint8_t control[] = "CCCCCCCCcontrol";
	size_t len, packets = 0, controls = 0, sent_controls = 0;
	const uint8_t *p;

	small_send_buffer();
	to_tun_tso(60000, 1000, 1);
	to_tun_tso(60000, 1000, 60001);
	to_tun_tso(60000, 1000, 120001);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert(d.blocked);
	cr_assert_leq(stats.tun_reads, 2, "what cannot be sent is not read");
	for (unsigned i = 0; i < 5000 && packets < 180; i++) {
		if (i % 3 == 0 && sent_controls < 20) {
			cr_assert_eq(datapath_send_control(&d, control, sizeof(control)), 0);
			sent_controls++;
		}
		receive_at_peer();
		while ((p = at_peer(&len))) {
			if (*p == 'C') {
				cr_assert_eq(len, sizeof(control));
				cr_assert_arr_eq(p, control, len);
				controls++;
				continue;
			}
			cr_assert(packet_is_good(p + HEAD, len - HEAD));
			cr_assert_eq(seq_of(p + HEAD), 1 + packets * 1000, "packet %zu", packets);
			packets++;
		}
		datapath_resume(&d);
		if (!d.blocked)
			cr_assert_eq(datapath_from_tun(&d, 0), 0);
	}
	receive_at_peer();
	while ((p = at_peer(&len)))
		controls += *p == 'C';
	cr_assert_eq(packets, 180);
	cr_assert_eq(controls, sent_controls);
	cr_assert_eq(stats.drop[STATS_DROP_WIRE_REFUSED], 0);
}

Test(stream, a_peer_that_takes_nothing_costs_a_bounded_amount, .init = setup)
{
	static const uint8_t control[1200] = "CCCCCCCC";
	unsigned taken = 0;

	small_send_buffer();
	to_tun_tso(60000, 1000, 1);
	to_tun_tso(60000, 1000, 60001);
	to_tun_tso(60000, 1000, 120001);
	for (unsigned i = 0; i < 1000; i++) {
		datapath_resume(&d);
		if (!d.blocked)
			cr_assert_eq(datapath_from_tun(&d, 0), 0);
		taken += datapath_send_control(&d, control, sizeof(control)) == 0;
	}
	cr_assert(d.blocked);
	cr_assert_leq(stats.tun_reads, 2);
	cr_assert_geq(taken, DATAPATH_CONTROL_ROOM / (2 + sizeof(control)));
	cr_assert_lt(taken, 200);
	cr_assert_eq(stats.drop[STATS_DROP_WIRE_REFUSED], 1000 - taken);
	cr_assert_eq(d.error, 0);
}

Test(stream, a_peer_that_went_away_is_reported_once_and_nothing_follows, .init = setup)
{
	close(peer);
	to_tun_tso(60000, 1000, 1);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert_eq(datapath_take_error(&d), -EPIPE);
	cr_assert_eq(d.batch_len, 0);
	cr_assert_not(d.blocked);
}

/* ---- in ------------------------------------------------------------------------------------------------------------- */

Test(stream, cut_anywhere_it_is_the_same, .init = setup)
{
	static uint8_t wire[16384], at_tun[PACKET_MAX];
	size_t n = 0, ends[4], expected = 0;

	for (unsigned i = 0; i < 3; i++) {
		n += put_frame(wire + n, 'P', PACKET, packet_build(PACKET, &(struct packet_spec){ .payload = 40 + i, .udp = true }));
		ends[i] = n;
	}
	n += put_frame(wire + n, 'C', NULL, 0);
	for (size_t cut = 1; cut < n; cut++) {
		size_t packets = 0;
		ssize_t len;

		cr_assert_eq(send(peer, wire, cut, 0), (ssize_t)cut);
		(void)datapath_from_wire(&d, 0);
		for (expected = 0; expected < 3 && ends[expected] <= cut; expected++)
			continue;
		while ((len = recv(tun, at_tun, sizeof(at_tun), 0)) > 0)
			packets++;
		cr_assert(expected == 0 ? packets == 0 : packets >= 1, "cut at %zu", cut);
		cr_assert_eq(send(peer, wire + cut, n - cut, 0), (ssize_t)(n - cut));
		(void)datapath_from_wire(&d, 0);
		while (recv(tun, at_tun, sizeof(at_tun), 0) > 0)
			continue;
		cr_assert_eq(d.error, 0);
	}
	cr_assert_eq(n_control, n - 1);
	cr_assert_eq(stats.rx_packets, 3 * (n - 1));
}

Test(stream, many_packets_are_one_read_and_one_write, .init = setup)
{
	static uint8_t wire[PACKET_MAX], at_tun[PACKET_MAX];
	size_t n = 0;

	for (unsigned i = 0; i < 32; i++)
		n += put_frame(wire + n, 'P', PACKET,
			       packet_build(PACKET, &(struct packet_spec){ .payload = 1000, .seq = i * 1000, .id = (uint16_t)i }));
	cr_assert_eq(send(peer, wire, n, 0), (ssize_t)n);
	cr_assert_eq(datapath_from_wire(&d, 0), 32);
	cr_assert_eq(stats.wire_receives, 1);
	cr_assert_eq(stats.tun_writes, 1);
	cr_assert_eq(recv(tun, at_tun, sizeof(at_tun), 0), 10 + 40 + 32000);
}

Test(stream, a_wrong_length_is_reported_behind_what_was_right, .init = setup)
{
	uint8_t wire[2000];
	size_t n = put_frame(wire, 'P', PACKET, packet_build(PACKET, &(struct packet_spec){ .payload = 100 }));

	memset(wire + n, 0, 2);
	cr_assert_eq(send(peer, wire, n + 2, 0), (ssize_t)(n + 2));
	cr_assert_eq(datapath_from_wire(&d, 0), 1);
	cr_assert_eq(stats.rx_packets, 1);
	cr_assert_eq(datapath_take_error(&d), -EBADMSG);
}

Test(stream, another_service_is_known_at_once, .init = setup)
{
	cr_assert_eq(send(peer, "HTTP/1.1 400 Bad Request\r\n", 26, 0), 26);
	cr_assert_eq(datapath_from_wire(&d, 0), 0);
	cr_assert_eq(datapath_take_error(&d), -EBADMSG);
	cr_assert_not(d.heard);
}

Test(stream, the_end_of_the_stream_is_reported, .init = setup)
{
	cr_assert_eq(datapath_from_wire(&d, 0), 0);
	cr_assert_eq(datapath_take_error(&d), 0, "nothing there is no error");
	close(peer);
	cr_assert_eq(datapath_from_wire(&d, 0), 0);
	cr_assert_eq(datapath_take_error(&d), -ENOTCONN);
}

Test(stream, the_last_words_are_followed_by_the_end, .init = setup)
{
	static const uint8_t bye[] = "CCCCCCCCbye";
	size_t len;

	cr_assert_eq(send(peer, "\0", 1, 0), 1);
	cr_assert_eq(datapath_send_control(&d, bye, sizeof(bye)), 0);
	cr_assert_eq(stream_finish(&d.stream), 0);
	cr_assert_not(stream_is_over(&d.stream), "the peer may go on, and is not listened to");
	receive_at_peer();
	cr_assert_arr_eq(at_peer(&len), bye, sizeof(bye));
	cr_assert_eq(recv(peer, got, 1, 0), 0, "the end");
	close(peer);
	cr_assert(stream_is_over(&d.stream));
}

Test(stream, a_session_over_udp_follows_one_over_tcp_and_begins_clean, .init = setup)
{
	int pair[2];
	uint8_t buf[2000];

	small_send_buffer();
	to_tun_tso(60000, 1000, 1);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert(d.blocked);
	datapath_detach(&d);
	cr_assert_not(datapath_is_stream(&d));
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	datapath_attach(&d, pair[1], TRANSPORT_UDP, &toy);
	datapath_open(&d);
	d.udp.gso = false;
	to_tun_tso(1000, 1000, 7);
	cr_assert_eq(datapath_from_tun(&d, 0), 0);
	cr_assert_eq(recv(pair[0], buf, sizeof(buf), 0), HEAD + 1040, "no prefix");
	cr_assert_eq(seq_of(buf + HEAD), 7);
}
