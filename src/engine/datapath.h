/*
 * Packets between tun and transport socket, in batches, both directions. Everything is allocated by datapath_init();
 * after that nothing here calls malloc. `wire` is the way to the server. reference: performance.md 6.5, 6.6.
 */
#pragma once

#include "engine/gso.h"
#include "engine/mss.h"
#include "engine/stats.h"
#include "engine/stream.h"
#include "engine/tun.h"
#include "engine/udp.h"
#include "proto/proto.h"
#include "proto/proxy.h"

/* Super-packets read from the tun per wake-up. */
#define DATAPATH_TUN_READS 4
/* Room in front of a run: vnet header and what a protocol may overwrite before its output. */
#define DATAPATH_RUN_HEADROOM 128

/* Two areas: the open run, and the one that a packet that does not fit it is copied to. */
#define DATAPATH_RUN_AREA (DATAPATH_RUN_HEADROOM + GSO_RUN_MAX + UDP_SLOT_SIZE + 4096)
#define DATAPATH_TUN_AREA (128 + TUN_PACKET_MAX)
/* TCP: bytes of control packets that may wait behind a batch. */
#define DATAPATH_CONTROL_ROOM (64 * 1024)
/* A batch, and behind it the datagram that did not fit it. */
#define DATAPATH_SEND_AREA (UDP_BATCH_MAX + OVPN_STREAM_PREFIX + TUN_PACKET_MAX + PROTO_OVERHEAD_MAX + PROXY_UDP_HEADER_MAX + \
			    DATAPATH_CONTROL_ROOM)

struct datapath {
	struct tun tun;
	struct udp udp;
	struct stream stream;  /* its fd says whether the session is over TCP */
	struct stats *stats;   /* borrowed */
	struct proto *proto;   /* borrowed; NULL: no session */
	bool open;             /* settings applied: inner packets may pass */
	uint32_t packet_max;   /* MSS clamp; 0: off */
	unsigned segments_max; /* datagrams per send */
	uint8_t header[PROXY_UDP_HEADER_MAX]; /* UDP through a SOCKS proxy: in front of each datagram */
	size_t header_len;                    /* 0: none */

	/* tun -> wire */
	uint8_t *tun_packet;   /* where a read puts the IP header */
	struct gso_split split;
	bool splitting;        /* the split has packets left */
	uint8_t *send_area;
	size_t batch_at, batch_len; /* unsent. UDP: datagrams of equal length, the last may be shorter; TCP: packets of any */
	size_t batch_segment;  /* that length */
	unsigned batch_count;
	size_t held_len;       /* one more sealed datagram right behind the batch */
	bool blocked;          /* the socket did not take the batch: wait until it is writable */
	bool starved;          /* blocked for want of kernel memory (ENOBUFS): the socket looks writable; wait a moment */
	int error;             /* last socket error that is not "try later"; 0: none. Cleared by datapath_take_error() */

	/* wire -> tun */
	uint8_t *areas[2];
	unsigned area;         /* the one the open run is in */
	struct gso_run run;
	bool heard;            /* something valid came from the server; cleared by the user */
	uint8_t *memory;
};

/* 0 or -ENOMEM. */
int datapath_init(struct datapath *d, struct stats *stats);
void datapath_done(struct datapath *d);

/* A new session over a new socket; drops what was left of the old one. fd and proto stay the caller's. */
void datapath_attach(struct datapath *d, int wire_fd, enum transport transport, struct proto *proto);
/* UDP through a SOCKS proxy: what each datagram carries; those that come in have one, too. Until the next attach. */
void datapath_set_header(struct datapath *d, const uint8_t *header, size_t len);
/* No session: the tun is drained from now on. */
void datapath_detach(struct datapath *d);
/* Inner packets may pass; the MSS clamp is taken from the protocol. */
void datapath_open(struct datapath *d);

/*
 * One bounded round of tun -> wire: sends what waits, then reads the tun. -EAGAIN from the tun is 0; a negative result
 * means the tun is gone. Sets d->blocked and d->error.
 */
int datapath_from_tun(struct datapath *d, usec_t now);
/* One bounded round of wire -> tun. The number of slots handled, 0 when nothing was there; sets d->error. */
int datapath_from_wire(struct datapath *d, usec_t now);
/* The socket is writable again: sends what waits. */
void datapath_resume(struct datapath *d);

/*
 * One control packet. UDP: at once; 0 or -errno (-EAGAIN: dropped, the protocol sends it again). TCP: in its turn, behind
 * what waits; -EAGAIN (dropped) only when the server has taken nothing for so long that DATAPATH_CONTROL_ROOM is full.
 */
int datapath_send_control(struct datapath *d, const uint8_t *p, size_t len);

static inline bool datapath_is_stream(const struct datapath *d)
{
	return d->stream.fd >= 0;
}

/* What the device carries: an IP packet, or on a tap a frame of anything. */
static inline bool datapath_is_sound(const struct datapath *d, const uint8_t *p, size_t len)
{
	if (d->tun.frames)
		return len >= ETHERNET_HEAD;
	return len >= 20 && (p[0] >> 4 == 4 || p[0] >> 4 == 6);
}

/* The MSS clamp for what the device carries. */
static inline void datapath_clamp(const struct datapath *d, uint8_t *p, size_t len)
{
	if (d->tun.frames)
		(void)mss_clamp_frame(p, len, d->packet_max);
	else
		(void)mss_clamp(p, len, d->packet_max);
}

static inline int datapath_take_error(struct datapath *d)
{
	int e = d->error;

	d->error = 0;
	return e;
}
