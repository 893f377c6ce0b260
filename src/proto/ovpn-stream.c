/* Taking a stream apart; the rules are in the header. */
#include "proto/ovpn-stream.h"

#include <errno.h>
#include <string.h>

void ovpn_stream_init(struct ovpn_stream *s, uint8_t *buf, size_t size)
{
	*s = (struct ovpn_stream){ .buf = buf, .size = size, .frame_max = OVPN_STREAM_FIRST_MAX };
}

uint8_t *ovpn_stream_room(struct ovpn_stream *s, size_t *ret_room)
{
	if (s->at > 0) {
		memmove(s->buf, s->buf + s->at, s->end - s->at); /* the beginning of one packet at most */
		s->end -= s->at;
		s->at = 0;
	}
	*ret_room = s->size - s->end;
	return s->buf + s->end;
}

void ovpn_stream_add(struct ovpn_stream *s, size_t n)
{
	s->end += MIN(n, s->size - s->end);
}

int ovpn_stream_next(struct ovpn_stream *s, const uint8_t **ret, size_t *ret_len)
{
	const uint8_t *p = s->buf + s->at;
	size_t have = s->end - s->at, len;

	if (have < OVPN_STREAM_PREFIX)
		return 0;
	len = (size_t)p[0] << 8 | p[1];
	if (len == 0 || len > s->frame_max)
		return -EBADMSG;
	if (have - OVPN_STREAM_PREFIX < len)
		return 0;
	s->at += OVPN_STREAM_PREFIX + len;
	*ret = p + OVPN_STREAM_PREFIX;
	*ret_len = len;
	return 1;
}
