/*
 * OpenVPN's packets over TCP (reference: protocol.md 1.1): two bytes of length in network order, which do not count
 * themselves, in front of each packet.
 *
 * Theory. A stream has no datagram borders, so a wrong length has no end: everything behind it is garbage. Length 0 is
 * never right, and it or a length above the limit ends the connection. The limit is low until the server has proved to be
 * one: whatever else may listen on such a port (a web server, a mail server, TLS) begins with two bytes that are far above
 * it, and is known at once instead of after a time-out. Later any length goes; what a wrong one selects fails its tag.
 *
 * Pure: no I/O, no allocation. Packets are handed out where they were received.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

#define OVPN_STREAM_PREFIX 2
#define OVPN_STREAM_FRAME_MAX 65535
/* Before the server has proved itself: no control packet is longer. */
#define OVPN_STREAM_FIRST_MAX 4096
/* A buffer of this size always has room for the rest of the packet that is arriving. */
#define OVPN_STREAM_BUFFER_MIN (OVPN_STREAM_PREFIX + OVPN_STREAM_FRAME_MAX)

struct ovpn_stream {
	uint8_t *buf;   /* the caller's */
	size_t size;
	size_t at, end; /* received and not handed out yet */
	size_t frame_max;
};

/* A new connection. size: at least OVPN_STREAM_BUFFER_MIN. */
void ovpn_stream_init(struct ovpn_stream *s, uint8_t *buf, size_t size);

/*
 * Where the next bytes of the connection go, and how many. Packets handed out before become invalid: call it when
 * ovpn_stream_next() has returned 0, and the room is never empty.
 */
uint8_t *ovpn_stream_room(struct ovpn_stream *s, size_t *ret_room);
/* n bytes were put there. */
void ovpn_stream_add(struct ovpn_stream *s, size_t n);

/*
 * The next whole packet. 1: there it is, at least one byte, valid until the next ovpn_stream_room(); 0: it has not
 * arrived completely; -EBADMSG: a length that cannot be, and so for ever.
 */
int ovpn_stream_next(struct ovpn_stream *s, const uint8_t **ret, size_t *ret_len);

/* The server has shown that it is one. */
static inline void ovpn_stream_trust(struct ovpn_stream *s)
{
	s->frame_max = OVPN_STREAM_FRAME_MAX;
}

/* The length in front of a packet of len bytes (1 to OVPN_STREAM_FRAME_MAX), to p[0] and p[1]. */
static inline void ovpn_stream_prefix(uint8_t *p, size_t len)
{
	p[0] = (uint8_t)(len >> 8);
	p[1] = (uint8_t)len;
}
