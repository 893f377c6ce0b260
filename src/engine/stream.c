/* System calls of the TCP transport; what they are for is in the header. */
#include "engine/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int stream_init(struct stream *s)
{
	*s = (struct stream){ .fd = -EBADF };
	s->buffer = malloc(STREAM_BUFFER); /* costs nothing until TCP is used */
	return s->buffer ? 0 : -ENOMEM;
}

void stream_done(struct stream *s)
{
	free(s->buffer);
	s->buffer = NULL;
}

void stream_attach(struct stream *s, int fd)
{
	s->fd = fd;
	ovpn_stream_init(&s->in, s->buffer, STREAM_BUFFER);
}

int stream_connected(const struct stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? -errno : -error;
}

ssize_t stream_send(const struct stream *s, const uint8_t *p, size_t len)
{
	ssize_t n;

	do
		n = send(s->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t stream_receive(struct stream *s)
{
	size_t room;
	uint8_t *p = ovpn_stream_room(&s->in, &room);
	ssize_t n;

	do
		n = recv(s->fd, p, room, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ENOTCONN;
	ovpn_stream_add(&s->in, (size_t)n);
	return n;
}

void stream_begin_with(struct stream *s, const uint8_t *p, size_t len)
{
	size_t room;
	uint8_t *to = ovpn_stream_room(&s->in, &room);

	len = MIN(len, room);
	if (len)
		memcpy(to, p, len);
	ovpn_stream_add(&s->in, len);
}

int stream_finish(const struct stream *s)
{
	return shutdown(s->fd, SHUT_WR) < 0 ? -errno : 0;
}

bool stream_is_over(struct stream *s)
{
	ssize_t n;

	do {
		ovpn_stream_init(&s->in, s->buffer, STREAM_BUFFER);
		n = stream_receive(s);
	} while (n > 0);
	return n != -EAGAIN;
}
