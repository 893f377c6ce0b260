/*
 * tun -> wire: one read is one packet or super-packet. Its segments are sealed one by one straight to the end of the
 * batch; that is the only copy. A batch has one datagram length (its first one's); a longer datagram opens the next
 * batch, a shorter one closes it. When the socket is full, batch, held datagram and the rest of the split stay where they
 * are and the tun is not read, so that its queue gives back-pressure: nothing is dropped and nothing spins.
 *
 * Over TCP a batch is packets of any length with their prefixes, one behind the other, and one send takes as much of it
 * as the kernel wants. What a send has begun must go on where it stopped, so control packets queue up behind the batch. A
 * server that takes nothing (or a thin path) thus stops the tun from being read: what programs send then waits in the
 * device's queue, and what does not fit there the kernel drops, as it does on any slow link. Nothing here grows.
 */
#include <errno.h>
#include <string.h>

#include "engine/datapath.h"

/* A drained packet costs a read, so a stopped tunnel with a busy program inside stays cheap. */
#define DRAIN_READS 64

/*
 * Sends the batch. False when the socket is full and the rest has to wait. An error may be one that an earlier datagram
 * left on the socket (ICMP): nothing was sent then and the next call sends, so it is tried once more; if that fails as
 * well the path is closed and the batch is dropped. EMSGSIZE concerns the first datagram only.
 */
static bool flush_datagrams(struct datapath *d)
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
			d->stats->wire_sends++;
		} else if (n == -EMSGSIZE) {
			n = (ssize_t)MIN(d->batch_segment, d->batch_len);
			d->stats->drop[STATS_DROP_WIRE_REFUSED]++;
		} else {
			d->error = (int)n;
			n = tried ? (ssize_t)d->batch_len : 0;
			d->stats->drop[STATS_DROP_WIRE_REFUSED] += tried ? d->batch_count : 0;
			tried = true;
		}
		d->batch_at += (size_t)n;
		d->batch_len -= (size_t)n;
	}
	d->batch_at = 0;
	d->batch_count = 0;
	return true;
}

/* The same over TCP. An error ends the connection; half a packet may be on its way, so nothing may follow it. */
static bool flush_frames(struct datapath *d)
{
	while (d->batch_len > 0 && !d->error) {
		ssize_t n = stream_send(&d->stream, d->send_area + d->batch_at, d->batch_len);

		if (n == -EAGAIN || n == -ENOBUFS) {
			d->blocked = true;
			d->starved = n == -ENOBUFS;
			return false;
		}
		if (n < 0) {
			d->error = (int)n;
			break;
		}
		d->stats->wire_sends++;
		d->batch_at += (size_t)n;
		d->batch_len -= (size_t)n;
	}
	if (d->batch_len > 0)
		d->stats->drop[STATS_DROP_WIRE_REFUSED] += d->batch_count;
	d->batch_at = d->batch_len = 0;
	d->batch_count = 0;
	return true;
}

static bool flush_batch(struct datapath *d)
{
	return datapath_is_stream(d) ? flush_frames(d) : flush_datagrams(d);
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

/* A packet of n bytes stands behind the batch and the room for its prefix. */
static void add_frame(struct datapath *d, size_t n)
{
	if (n > OVPN_STREAM_FRAME_MAX) {
		d->stats->drop[STATS_DROP_WIRE_REFUSED]++;
		return;
	}
	ovpn_stream_prefix(d->send_area + d->batch_at + d->batch_len, n);
	d->batch_len += OVPN_STREAM_PREFIX + n;
	d->batch_count++;
}

static void seal(struct datapath *d, const uint8_t *p, size_t len, usec_t now)
{
	size_t prefix = datapath_is_stream(d) ? OVPN_STREAM_PREFIX : d->header_len;
	uint8_t *out = d->send_area + d->batch_len + prefix;
	ssize_t n = d->proto->ops->inner_out(d->proto, p, len, out, now); /* not blocked: the batch begins the area */

	if (n <= 0) {
		stats_count_tx(d->stats, n);
		return;
	}
	d->stats->tx_packets++;
	d->stats->tx_bytes += len;
	if (!datapath_is_stream(d)) {
		if (prefix)
			memcpy(out - prefix, d->header, prefix);
		add_datagram(d, prefix + (size_t)n);
		return;
	}
	add_frame(d, (size_t)n);
	if (d->batch_len >= UDP_BATCH_MAX)
		(void)flush_frames(d); /* what has to wait: d->blocked says so */
}

/* Reads one packet and prepares its split. 1: there is one; 0: try the next; -EAGAIN or -errno of the tun. */
static int read_tun(struct datapath *d)
{
	struct virtio_net_hdr vnet;
	ssize_t len = tun_read(&d->tun, d->tun_packet, &vnet);

	if (len < 0)
		return (int)len;
	d->stats->tun_reads++;
	if (!datapath_is_sound(d, d->tun_packet, (size_t)len) || gso_split_init(&d->split, &vnet, d->tun_packet, (size_t)len) < 0) {
		d->stats->drop[STATS_DROP_TUN_MALFORMED]++;
		return 0;
	}
	if (d->split.whole) /* a SYN never comes as a super-packet */
		datapath_clamp(d, d->tun_packet, (size_t)len);
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

/* Behind what waits; sent at once when nothing does. */
static int queue_control(struct datapath *d, const uint8_t *p, size_t len)
{
	if (d->batch_at > 0) {
		memmove(d->send_area, d->send_area + d->batch_at, d->batch_len);
		d->batch_at = 0;
	}
	if (len > DATAPATH_SEND_AREA - d->batch_len - OVPN_STREAM_PREFIX) {
		d->stats->drop[STATS_DROP_WIRE_REFUSED]++;
		return -EAGAIN;
	}
	memcpy(d->send_area + d->batch_len + OVPN_STREAM_PREFIX, p, len);
	add_frame(d, len);
	if (!d->blocked)
		(void)flush_frames(d);
	return d->error;
}

int datapath_send_control(struct datapath *d, const uint8_t *p, size_t len)
{
	uint8_t buf[PROXY_UDP_HEADER_MAX + PROTO_WIRE_MAX];
	ssize_t n;

	if (datapath_is_stream(d))
		return queue_control(d, p, len);
	if (d->header_len > 0 && len <= PROTO_WIRE_MAX) {
		memcpy(buf, d->header, d->header_len);
		memcpy(buf + d->header_len, p, len);
		p = buf;
		len += d->header_len;
	}
	n = udp_send(&d->udp, p, len, len);

	if (n < 0 && n != -EAGAIN && n != -ENOBUFS) {
		d->error = (int)n; /* perhaps an earlier datagram's; this one has not been sent then */
		n = udp_send(&d->udp, p, len, len);
	}
	return n < 0 ? (int)n : 0;
}
