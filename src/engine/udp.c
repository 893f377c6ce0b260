/*
 * Sends with UDP_SEGMENT, receives with recvmmsg and UDP_GRO, and falls back where a device or kernel cannot.
 *
 * A send either takes the whole batch or nothing, but sendmmsg may stop in the middle; udp_send() therefore says how
 * many bytes are done with, and nothing is ever lost or sent twice by a fallback.
 */
#include "engine/udp.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define GSO_FAILURES_MAX 8
#define SINGLES_MAX 16

int udp_init(struct udp *u)
{
	*u = (struct udp){ .fd = -EBADF, .used = UDP_SLOTS };
	u->slots = aligned_alloc(64, (size_t)UDP_SLOTS * UDP_SLOT_STRIDE);
	if (!u->slots)
		return -ENOMEM;
	for (size_t i = 0; i < UDP_SLOTS; i++)
		u->iov[i] = (struct iovec){ u->slots + i * UDP_SLOT_STRIDE, UDP_SLOT_SIZE };
	return 0;
}

void udp_done(struct udp *u)
{
	free(u->slots);
	u->slots = NULL;
}

void udp_attach(struct udp *u, int fd)
{
	int on = 1;

	u->fd = fd;
	u->gso = true;
	u->gso_failures = 0;
	u->gro = setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) == 0;
	u->used = UDP_SLOTS;
}

static ssize_t send_one(const struct udp *u, const uint8_t *p, size_t len)
{
	ssize_t n;

	do
		n = send(u->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t send_segmented(const struct udp *u, const uint8_t *p, size_t len, size_t segment)
{
	union {
		char buf[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)p, len };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	uint16_t size = (uint16_t)segment;
	ssize_t n;

	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	do
		n = sendmsg(u->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Up to SINGLES_MAX datagrams in one call. */
static ssize_t send_singles(const struct udp *u, const uint8_t *p, size_t len, size_t segment)
{
	struct mmsghdr messages[SINGLES_MAX];
	struct iovec iov[SINGLES_MAX];
	size_t done = 0;
	unsigned n = 0;
	int r;

	for (size_t at = 0; at < len && n < SINGLES_MAX; n++) {
		size_t l = MIN(segment, len - at);

		iov[n] = (struct iovec){ (void *)(p + at), l };
		messages[n] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[n], .msg_iovlen = 1 } };
		at += l;
	}
	do
		r = sendmmsg(u->fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	for (int i = 0; i < r; i++)
		done += iov[i].iov_len;
	return (ssize_t)done;
}

ssize_t udp_send(struct udp *u, const uint8_t *p, size_t len, size_t segment)
{
	ssize_t n;

	if (len <= segment)
		return send_one(u, p, len);
	if (u->gso) {
		n = send_segmented(u, p, len, segment);
		if (n != -EIO && n != -EMSGSIZE && n != -EINVAL)
			return n;
		/* EIO: the outgoing device has no checksum offload. The others may concern this batch alone. */
		if (n == -EIO || ++u->gso_failures >= GSO_FAILURES_MAX)
			u->gso = false;
	}
	return send_singles(u, p, len, segment);
}

int udp_receive(struct udp *u)
{
	int n;

	for (int i = 0; i < u->used; i++)
		u->messages[i].msg_hdr = (struct msghdr){
			.msg_iov = &u->iov[i],
			.msg_iovlen = 1,
			.msg_control = u->gro ? u->control[i].buf : NULL,
			.msg_controllen = u->gro ? sizeof(u->control[i].buf) : 0,
		};
	do
		n = recvmmsg(u->fd, u->messages, UDP_SLOTS, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	u->used = n < 0 ? UDP_SLOTS : n;
	return n < 0 ? -errno : n;
}

struct udp_slot udp_slot(const struct udp *u, int i)
{
	const struct mmsghdr *m = &u->messages[i];
	struct msghdr h = m->msg_hdr;
	struct udp_slot slot = {
		.data = u->iov[i].iov_base,
		.len = m->msg_len,
		.segment = m->msg_len,
		.truncated = h.msg_flags & MSG_TRUNC,
	};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO && c->cmsg_len >= CMSG_LEN(sizeof(int))) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			if (size > 0 && (size_t)size < slot.segment)
				slot.segment = (size_t)size;
		}
	return slot;
}
