/*
 * The transport socket where it is TCP: a connecting or connected socket that the helper made. Packets leave in batches
 * with their lengths in front (proto/ovpn-stream.h) and are taken apart where they were received.
 *
 * The helper has set it up so that the kernel holds little that is unsent (TCP_NOTSENT_LOWAT), sends at once
 * (TCP_NODELAY), notices a peer that is gone (TCP_USER_TIMEOUT), and resets the connection when it is closed.
 */
#pragma once

#include <sys/types.h>

#include "proto/ovpn-stream.h"

/* Bytes of one receive; several of the longest packets. */
#define STREAM_BUFFER (256 * 1024)
static_assert(STREAM_BUFFER >= OVPN_STREAM_BUFFER_MIN, "the longest packet fits");

struct stream {
	int fd; /* borrowed; -EBADF: the transport is not TCP */
	uint8_t *buffer;
	struct ovpn_stream in;
};

/* Allocates the buffer, once. 0 or -ENOMEM. */
int stream_init(struct stream *s);
void stream_done(struct stream *s);
/* A new connection; fd stays the caller's. */
void stream_attach(struct stream *s, int fd);

/* How connect() ended, once the socket is writable. 0 or -errno. */
int stream_connected(const struct stream *s);
/* Bytes taken (> 0, possibly not all), or -errno (-EAGAIN: full). */
ssize_t stream_send(const struct stream *s, const uint8_t *p, size_t len);
/*
 * One read: more packets for ovpn_stream_next(&s->in), which must have returned 0 before. The bytes read; -EAGAIN;
 * -ENOTCONN: the peer closed the connection; -errno.
 */
ssize_t stream_receive(struct stream *s);

/* Bytes that were read already, fewer than STREAM_BUFFER, are the connection's first. */
void stream_begin_with(struct stream *s, const uint8_t *p, size_t len);

/* Nothing more will be sent; the peer is told behind what it has been sent. 0 or -errno. */
int stream_finish(const struct stream *s);
/* Throws away what has arrived. True when the connection is over on the peer's side, too. */
bool stream_is_over(struct stream *s);
