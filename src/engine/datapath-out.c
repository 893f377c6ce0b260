/*
 * tun -> wire: one read is one packet or super-packet. Its segments are sealed one by one straight to the end of the
 * batch; that is the only copy. A batch has one datagram length (its first one's); a longer datagram opens the next
 * batch, a shorter one closes it. When the socket is full, batch, held datagram and the rest of the split stay where they
 * are and the tun is not read, so that its queue gives back-pressure: nothing is dropped and nothing spins.
 */
#include <errno.h>
#include <string.h>

#include "engine/datapath.h"
#include "engine/mss.h"

/* A drained packet costs a read, so a stopped tunnel with a busy program inside stays cheap. */
#define DRAIN_READS 64

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
	if (!datapath_is_ip(d->tun_packet, (size_t)len) || gso_split_init(&d->split, &vnet, d->tun_packet, (size_t)len) < 0) {
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
