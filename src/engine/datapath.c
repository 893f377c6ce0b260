/*
 * The data path.
 *
 * tun -> udp: one read is one packet or super-packet. Its segments are sealed one by one straight to the end of the
 * batch; that is the only copy. A batch has one datagram length (its first one's); a longer datagram opens the next
 * batch, a shorter one closes it. When the socket is full, batch, held datagram and the rest of the split stay where they
 * are and the tun is not read, so that its queue gives back-pressure: nothing is dropped and nothing spins.
 *
 * udp -> tun: each datagram is opened so that its payload lands at the end of the open run (gso.h). Bytes of the run that
 * its header (and the protocol's headroom) covers are saved before and restored after, also when it turns out to be
 * forged: nothing of a packet counts before its tag was verified. A packet that does not fit the run is copied to the
 * other area, the run is written, and the packet begins a new run. Order never changes.
 */
#include "engine/datapath.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mss.h"

/* A drained packet costs a read, so a stopped tunnel with a busy program inside stays cheap. */
#define DRAIN_READS 64
#define ALIGN 64

static size_t aligned(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

int datapath_init(struct datapath *d, struct stats *stats)
{
	size_t run = aligned(DATAPATH_RUN_AREA), tun = aligned(DATAPATH_TUN_AREA), send = aligned(DATAPATH_SEND_AREA);
	int r;

	static_assert(DATAPATH_RUN_HEADROOM >= TUN_HEADROOM + PROTO_HEADROOM, "room in front of a run");
	static_assert(DATAPATH_RUN_HEADROOM % ALIGN == 0, "IP headers stand at a cache line");

	*d = (struct datapath){ .stats = stats, .segments_max = UDP_BATCH_SEGMENTS, .tun.fd = -EBADF };
	r = udp_init(&d->udp);
	if (r < 0)
		return r;
	d->memory = aligned_alloc(ALIGN, 2 * run + tun + send);
	if (!d->memory) {
		udp_done(&d->udp);
		return -ENOMEM;
	}
	d->areas[0] = d->memory;
	d->areas[1] = d->memory + run;
	d->tun_packet = d->memory + 2 * run + ALIGN;
	d->send_area = d->memory + 2 * run + tun;
	return 0;
}

void datapath_done(struct datapath *d)
{
	udp_done(&d->udp);
	free(d->memory);
	d->memory = NULL;
}

static void forget_unsent(struct datapath *d)
{
	d->batch_at = d->batch_len = d->batch_segment = d->held_len = 0;
	d->batch_count = 0;
	d->splitting = false;
	d->blocked = d->starved = false;
	d->error = 0;
	gso_run_reset(&d->run);
}

void datapath_attach(struct datapath *d, int udp_fd, struct proto *proto)
{
	forget_unsent(d);
	udp_attach(&d->udp, udp_fd);
	d->proto = proto;
	d->open = false;
	d->heard = false;
}

void datapath_detach(struct datapath *d)
{
	forget_unsent(d);
	d->udp.fd = -EBADF;
	d->proto = NULL;
	d->open = false;
}

void datapath_open(struct datapath *d)
{
	d->open = true;
	d->packet_max = d->proto->ops->mss_packet_max(d->proto);
}

static bool is_ip(const uint8_t *p, size_t len)
{
	return len >= 20 && (p[0] >> 4 == 4 || p[0] >> 4 == 6);
}

/* ---- tun -> udp ------------------------------------------------------------------------------------------------- */

/*
 * Sends the batch. False when the socket is full and the rest has to wait. An error may be one that an earlier datagram
 * left on the socket (ICMP): nothing was sent then and the next call sends, so it is tried once more; if that fails as
 * well the path is closed and the batch is dropped. EMSGSIZE concerns the first datagram only.
 */
static bool flush_batch(struct datapath *d)
{
	bool tried = false;

	while (d->batch_len > 0) {
		ssize_t n = udp_send(&d->udp, d->send_area + d->batch_at, d->batch_len, d->batch_segment);

		if (n == -EAGAIN || n == -ENOBUFS) {
			d->blocked = true;
			d->starved = n == -ENOBUFS;
			return false;
		}
		if (n > 0) {
			d->stats->udp_sends++;
		} else if (n == -EMSGSIZE) {
			n = (ssize_t)MIN(d->batch_segment, d->batch_len);
			d->stats->drop[STATS_DROP_UDP_REFUSED]++;
		} else {
			d->error = (int)n;
			n = tried ? (ssize_t)d->batch_len : 0;
			d->stats->drop[STATS_DROP_UDP_REFUSED] += tried ? d->batch_count : 0;
			tried = true;
		}
		d->batch_at += (size_t)n;
		d->batch_len -= (size_t)n;
	}
	d->batch_at = 0;
	d->batch_count = 0;
	return true;
}

/* Sends the batch; the held datagram, if there is one, begins the next. */
static bool advance(struct datapath *d)
{
	size_t held_at = d->batch_at + d->batch_len;

	if (!flush_batch(d))
		return false;
	if (d->held_len > 0) {
		memmove(d->send_area, d->send_area + held_at, d->held_len);
		d->batch_len = d->batch_segment = d->held_len;
		d->batch_count = 1;
		d->held_len = 0;
	}
	return true;
}

static void flush_all(struct datapath *d)
{
	while (d->batch_len > 0 && advance(d))
		continue;
}

/* A sealed datagram of n bytes stands right behind the batch. */
static void add_datagram(struct datapath *d, size_t n)
{
	if (d->batch_count > 0 && (n > d->batch_segment || d->batch_len + n > UDP_BATCH_MAX)) {
		d->held_len = n;
		if (!advance(d)) /* it has to wait: d->blocked says so */
			return;
	} else {
		if (d->batch_count == 0)
			d->batch_segment = n;
		d->batch_len += n;
		d->batch_count++;
	}
	/* A datagram may alone be longer than a batch, and the area has room for one more behind a batch only. */
	if (n < d->batch_segment || d->batch_count >= d->segments_max || d->batch_len > UDP_BATCH_MAX)
		(void)advance(d); /* as above */
}

static void seal(struct datapath *d, const uint8_t *p, size_t len, usec_t now)
{
	ssize_t n = d->proto->ops->inner_out(d->proto, p, len, d->send_area + d->batch_len, now);

	if (n <= 0) {
		stats_count_tx(d->stats, n);
		return;
	}
	d->stats->tx_packets++;
	d->stats->tx_bytes += len;
	add_datagram(d, (size_t)n);
}

/* Reads one packet and prepares its split. 1: there is one; 0: try the next; -EAGAIN or -errno of the tun. */
static int read_tun(struct datapath *d)
{
	struct virtio_net_hdr vnet;
	ssize_t len = tun_read(&d->tun, d->tun_packet, &vnet);

	if (len < 0)
		return (int)len;
	d->stats->tun_reads++;
	if (!is_ip(d->tun_packet, (size_t)len) || gso_split_init(&d->split, &vnet, d->tun_packet, (size_t)len) < 0) {
		d->stats->drop[STATS_DROP_TUN_MALFORMED]++;
		return 0;
	}
	if (d->split.whole) /* a SYN never comes as a super-packet */
		(void)mss_clamp(d->tun_packet, (size_t)len, d->packet_max);
	return 1;
}

/* Without a session programs must not block on a full queue. */
static int drain(struct datapath *d)
{
	struct virtio_net_hdr vnet;

	for (unsigned i = 0; i < DRAIN_READS; i++) {
		ssize_t len = tun_read(&d->tun, d->tun_packet, &vnet);

		if (len < 0)
			return len == -EAGAIN ? 0 : (int)len;
		d->stats->drop[STATS_DROP_TUN_NOT_CONNECTED]++;
	}
	return 0;
}

/* Seals what is left of the packet read last. */
static void seal_split(struct datapath *d, usec_t now)
{
	while (d->splitting && !d->blocked) {
		size_t len;
		uint8_t *p = gso_split_next(&d->split, &len);

		if (p)
			seal(d, p, len, now);
		else
			d->splitting = false;
	}
}

int datapath_from_tun(struct datapath *d, usec_t now)
{
	int r = 0;

	if (!d->open)
		return drain(d);
	seal_split(d, now);
	for (unsigned i = 0; i < DATAPATH_TUN_READS && !d->blocked; i++) {
		r = read_tun(d);
		if (r < 0)
			break;
		d->splitting = r > 0;
		seal_split(d, now);
	}
	if (!d->blocked)
		flush_all(d);
	return r == -EAGAIN || r > 0 ? 0 : r;
}

void datapath_resume(struct datapath *d)
{
	d->blocked = d->starved = false;
	flush_all(d);
}

int datapath_send_control(struct datapath *d, const uint8_t *p, size_t len)
{
	ssize_t n = udp_send(&d->udp, p, len, len);

	if (n < 0 && n != -EAGAIN && n != -ENOBUFS) {
		d->error = (int)n; /* perhaps an earlier datagram's; this one has not been sent then */
		n = udp_send(&d->udp, p, len, len);
	}
	return n < 0 ? (int)n : 0;
}

/* ---- udp -> tun ------------------------------------------------------------------------------------------------- */

/* The kernel does not take the super-packet (performance.md 6.12): its packets go one by one, and so from now on. */
static void write_singly(struct datapath *d, const struct virtio_net_hdr *vnet)
{
	static const struct virtio_net_hdr plain;
	struct gso_split split; /* not d->split: that one may be waiting for the socket */
	size_t len;
	uint8_t *p;

	if (vnet->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4)
		d->tun.merge_udp = false;
	else
		d->tun.merge = false;
	if (gso_split_init(&split, vnet, d->run.packet, d->run.len) < 0)
		return;
	while ((p = gso_split_next(&split, &len)))
		if (tun_write(&d->tun, &plain, p, len) < 0)
			d->stats->drop[STATS_DROP_TUN_REFUSED]++;
}

static void flush_run(struct datapath *d)
{
	struct virtio_net_hdr vnet;
	int r;

	if (d->run.packets == 0)
		return;
	gso_run_finish(&d->run, &vnet);
	r = tun_write(&d->tun, &vnet, d->run.packet, d->run.len);
	if (r >= 0)
		d->stats->tun_writes++;
	else if (r == -EINVAL && d->run.packets > 1)
		write_singly(d, &vnet);
	else
		d->stats->drop[STATS_DROP_TUN_REFUSED] += d->run.packets;
	gso_run_reset(&d->run);
}

static void begin_run(struct datapath *d, uint8_t *p, size_t len)
{
	gso_run_begin(&d->run, p, len, d->tun.merge_udp);
	if (d->run.closed || !d->tun.merge)
		flush_run(d);
}

/* Whether an opened packet may go to the tun at all. */
static bool deliverable(struct datapath *d, uint8_t *p, size_t len)
{
	if (!d->open) {
		d->stats->drop[STATS_DROP_INNER_NOT_READY]++;
		return false;
	}
	if (!is_ip(p, len)) {
		d->stats->drop[STATS_DROP_INNER_NOT_IP]++;
		return false;
	}
	d->stats->rx_packets++;
	d->stats->rx_bytes += len;
	(void)mss_clamp(p, len, d->packet_max);
	return true;
}

/* 0: nothing to deliver; else the packet's length. */
static size_t open_datagram(struct datapath *d, const uint8_t *wire, size_t len, uint8_t *out, usec_t now)
{
	ssize_t n = d->proto->ops->wire_in(d->proto, wire, len, out, now);

	if (n < 0) {
		stats_count_rx(d->stats, n);
		return 0;
	}
	d->heard = true;
	return n > 0 && deliverable(d, out, (size_t)n) ? (size_t)n : 0;
}

/* Opens a datagram onto the end of the open run. */
static void open_onto_run(struct datapath *d, const uint8_t *wire, size_t wire_len, usec_t now)
{
	uint8_t saved[PROTO_HEADROOM + GSO_HEADER_MAX];
	size_t overlap = gso_run_overlap(&d->run);
	uint8_t *at = d->run.packet + d->run.len - overlap;
	size_t len;

	memcpy(saved, at - PROTO_HEADROOM, PROTO_HEADROOM + overlap);
	len = open_datagram(d, wire, wire_len, at, now);
	if (len > 0 && gso_run_accepts(&d->run, at, len)) {
		uint8_t flags = gso_run_flags(&d->run, at);

		memcpy(at - PROTO_HEADROOM, saved, PROTO_HEADROOM + overlap);
		gso_run_extend(&d->run, flags, len - overlap);
		if (d->run.closed)
			flush_run(d);
		return;
	}
	if (len > 0) {
		uint8_t *aside = d->areas[!d->area] + DATAPATH_RUN_HEADROOM;

		memcpy(aside, at, len);
		memcpy(at - PROTO_HEADROOM, saved, PROTO_HEADROOM + overlap);
		flush_run(d);
		d->area = !d->area;
		begin_run(d, aside, len);
		return;
	}
	memcpy(at - PROTO_HEADROOM, saved, PROTO_HEADROOM + overlap);
}

static void on_datagram(struct datapath *d, const uint8_t *wire, size_t wire_len, usec_t now)
{
	uint8_t *at = d->areas[d->area] + DATAPATH_RUN_HEADROOM;
	size_t len;

	if (gso_run_overlap(&d->run) > 0) {
		open_onto_run(d, wire, wire_len, now);
		return;
	}
	len = open_datagram(d, wire, wire_len, at, now);
	if (len > 0)
		begin_run(d, at, len);
}

int datapath_from_udp(struct datapath *d, usec_t now)
{
	int n = udp_receive(&d->udp);

	if (n < 0) {
		if (n != -EAGAIN)
			d->error = n;
		return 0;
	}
	d->stats->udp_receives++;
	for (int i = 0; i < n; i++) {
		struct udp_slot slot = udp_slot(&d->udp, i);

		if (slot.truncated) {
			d->stats->drop[STATS_DROP_UDP_TRUNCATED]++;
			continue;
		}
		for (size_t at = 0; at < slot.len; at += slot.segment)
			on_datagram(d, slot.data + at, MIN(slot.segment, slot.len - at), now);
	}
	flush_run(d);
	return n;
}
