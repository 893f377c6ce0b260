/*
 * wire -> tun: each datagram is opened so that its payload lands at the end of the open run (gso.h). Bytes of the run that
 * its header (and the protocol's headroom) covers are saved before and restored after, also when it turns out to be
 * forged: nothing of a packet counts before its tag was verified. A packet that does not fit the run is copied to the
 * other area, the run is written, and the packet begins a new run. Order never changes.
 */
#include <errno.h>
#include <string.h>

#include "engine/datapath.h"

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

/* A frame goes as it is. */
static void write_frame(struct datapath *d, uint8_t *p, size_t len)
{
	static const struct virtio_net_hdr plain;

	if (tun_write(&d->tun, &plain, p, len) < 0)
		d->stats->drop[STATS_DROP_TUN_REFUSED]++;
	else
		d->stats->tun_writes++;
}

static void begin_run(struct datapath *d, uint8_t *p, size_t len)
{
	if (d->tun.frames) {
		write_frame(d, p, len);
		return;
	}
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
	if (!datapath_is_sound(d, p, len)) {
		d->stats->drop[STATS_DROP_INNER_NOT_IP]++;
		return false;
	}
	d->stats->rx_packets++;
	d->stats->rx_bytes += len;
	datapath_clamp(d, p, len);
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

	if (d->header_len > 0) {
		size_t header = proxy_udp_skip(wire, wire_len);

		if (!header) {
			stats_count_rx(d->stats, -VERDICT_DROP_SHORT);
			return;
		}
		wire += header;
		wire_len -= header;
	}
	if (gso_run_overlap(&d->run) > 0) {
		open_onto_run(d, wire, wire_len, now);
		return;
	}
	len = open_datagram(d, wire, wire_len, at, now);
	if (len > 0)
		begin_run(d, at, len);
}

/* The packets of one read, which are counted like datagrams. */
static int from_stream(struct datapath *d, usec_t now)
{
	ssize_t n = stream_receive(&d->stream);
	const uint8_t *p;
	int packets = 0, r;
	size_t len;

	if (n < 0) {
		if (n != -EAGAIN)
			d->error = (int)n;
		return 0;
	}
	d->stats->wire_receives++;
	while ((r = ovpn_stream_next(&d->stream.in, &p, &len)) > 0) {
		on_datagram(d, p, len, now);
		if (d->heard)
			ovpn_stream_trust(&d->stream.in);
		packets++;
	}
	if (r < 0)
		d->error = r;
	flush_run(d);
	return packets;
}

static int from_datagrams(struct datapath *d, usec_t now)
{
	int n = udp_receive(&d->udp);

	if (n < 0) {
		if (n != -EAGAIN)
			d->error = n;
		return 0;
	}
	d->stats->wire_receives++;
	for (int i = 0; i < n; i++) {
		struct udp_slot slot = udp_slot(&d->udp, i);

		if (slot.truncated) {
			d->stats->drop[STATS_DROP_WIRE_TRUNCATED]++;
			continue;
		}
		for (size_t at = 0; at < slot.len; at += slot.segment)
			on_datagram(d, slot.data + at, MIN(slot.segment, slot.len - at), now);
	}
	flush_run(d);
	return n;
}

int datapath_from_wire(struct datapath *d, usec_t now)
{
	return datapath_is_stream(d) ? from_stream(d, now) : from_datagrams(d, now);
}
