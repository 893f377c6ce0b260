/*
 * Segmentation in userspace, both ways and without I/O: a super-packet read from the tun becomes single packets (split),
 * and packets that came out of the tunnel one by one become a super-packet again (run).
 *
 * reference: performance.md 6.5 to 6.8. The vnet header is the 10-byte struct virtio_net_hdr in native byte order.
 */
#pragma once

#include <linux/virtio_net.h>

#include "base/macro.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define GSO_HEADER_MAX 192  /* IP with options or extensions, and TCP with options */
#define GSO_RUN_MAX 65400   /* bytes of a coalesced packet */
#define GSO_RUN_PACKETS 64  /* UDP: the kernel's limit; TCP is bounded by bytes */

/* What a packet is to the segmenter. */
enum gso_kind {
	GSO_KIND_OTHER, /* goes through as it is */
	GSO_KIND_TCP4,
	GSO_KIND_TCP6,
	GSO_KIND_UDP4,
	GSO_KIND_UDP6,
	_GSO_KIND_MAX,
};

/* ---- split ------------------------------------------------------------------------------------------------------ */

struct gso_split {
	uint8_t *packet;
	size_t len;
	enum gso_kind kind;
	size_t ip_len, header_len; /* offset of the L4 header; IP and L4 header together */
	size_t segment;            /* payload bytes of each segment */
	size_t at;                 /* payload bytes already handed out */
	unsigned index;
	bool whole;                /* not a super-packet: handed out once, unchanged */
	uint8_t header[GSO_HEADER_MAX];
};

/*
 * Prepares the packet (with the vnet header that came with it) for gso_split_next(). A missing checksum of a single
 * packet is finished here. 0, or -EBADMSG: the two do not fit together; nothing was handed out.
 */
int gso_split_init(struct gso_split *s, const struct virtio_net_hdr *vnet, uint8_t *packet, size_t len);

/*
 * The next single packet, complete with checksums, or NULL. It lies inside the buffer; its header overwrites the end of
 * the packet before, which must have been used by then.
 */
uint8_t *gso_split_next(struct gso_split *s, size_t *ret_len);

/* ---- run -------------------------------------------------------------------------------------------------------- */

struct gso_run {
	uint8_t *packet; /* the run: one packet that grows at its end */
	size_t len;
	unsigned packets; /* 0: empty */
	enum gso_kind kind;
	bool closed;      /* nothing may be merged any more */
	bool push;        /* the last one had PSH */
	size_t ip_len, header_len;
	size_t segment;   /* payload of the first */
	uint32_t next_seq;
	uint16_t next_id;
	uint8_t header[GSO_HEADER_MAX]; /* as the first packet had it: the run's end may overlap its own header */
};

/* Starts a run with one packet (also of an unknown kind: the run is closed then). uso: UDP may be merged. */
void gso_run_begin(struct gso_run *r, uint8_t *packet, size_t len, bool uso);

/* How many bytes at the end of the run the next packet's header may overlap; 0 when nothing can be merged. */
static inline size_t gso_run_overlap(const struct gso_run *r)
{
	return r->packets > 0 && !r->closed ? r->header_len : 0;
}

/*
 * True when every rule of performance.md 6.7 allows to merge the packet behind the run. The packet may lie at
 * r->packet + r->len - gso_run_overlap(r), that is with its payload where it would be merged. Changes nothing.
 */
bool gso_run_accepts(const struct gso_run *r, const uint8_t *packet, size_t len);

/*
 * Takes an accepted packet in: flags are the TCP flags byte (0 for UDP), payload its length. The payload lies behind the
 * run already and the bytes its header covered have been restored.
 */
void gso_run_extend(struct gso_run *r, uint8_t flags, size_t payload);

/* TCP flags byte of a packet that gso_run_accepts() took, 0 for UDP: to be read before the bytes are restored. */
uint8_t gso_run_flags(const struct gso_run *r, const uint8_t *packet);

/* Completes headers and vnet header for one write. The run stays as it is until the next gso_run_begin(). */
void gso_run_finish(struct gso_run *r, struct virtio_net_hdr *ret_vnet);

static inline void gso_run_reset(struct gso_run *r)
{
	r->packets = 0;
}
