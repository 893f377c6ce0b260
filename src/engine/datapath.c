/*
 * The data path's memory, and which session it serves. Out of the tun: datapath-out.c; into it: datapath-in.c.
 */
#include "engine/datapath.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	if (r >= 0)
		r = stream_init(&d->stream);
	d->memory = aligned_alloc(ALIGN, 2 * run + tun + send);
	if (r < 0 || !d->memory) {
		datapath_done(d);
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
	stream_done(&d->stream);
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

void datapath_attach(struct datapath *d, int wire_fd, enum transport transport, struct proto *proto)
{
	forget_unsent(d);
	d->udp.fd = d->stream.fd = -EBADF;
	if (transport == TRANSPORT_TCP)
		stream_attach(&d->stream, wire_fd);
	else
		udp_attach(&d->udp, wire_fd);
	d->proto = proto;
	d->header_len = 0;
	d->open = false;
	d->heard = false;
}

void datapath_set_header(struct datapath *d, const uint8_t *header, size_t len)
{
	memcpy(d->header, header, len);
	d->header_len = len;
}

void datapath_detach(struct datapath *d)
{
	forget_unsent(d);
	d->udp.fd = d->stream.fd = -EBADF;
	d->proto = NULL;
	d->open = false;
}

void datapath_open(struct datapath *d)
{
	d->open = true;
	d->packet_max = d->proto->ops->mss_packet_max(d->proto);
}
