/*
 * The transport socket: a connected UDP socket that the helper made. Batches go out in one call and come in as many
 * coalesced datagrams per call as there are. reference: performance.md 6.4 to 6.6, 6.12.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/macro.h"

/*
 * Datagrams of one receive. Where nothing coalesces them (a veth, a stock peer on the same machine) each slot holds one, so
 * 16 would be a wake-up for every 20 KB. A slot that is not used costs no memory, it is never touched.
 */
#define UDP_SLOTS 64
#define UDP_SLOT_SIZE 65536
#define UDP_SLOT_STRIDE (UDP_SLOT_SIZE + 2048) /* against cache aliasing */
#define UDP_BATCH_MAX 65000                    /* bytes of one send; the limit is 65507 */
/* Datagrams of one send. A stock peer's default receive buffer holds about 90; performance.md 6.11. */
#define UDP_BATCH_SEGMENTS 32

/* One receive slot after udp_receive(): a row of datagrams of `segment` bytes, the last may be shorter. */
struct udp_slot {
	const uint8_t *data;
	size_t len;
	size_t segment;
	bool truncated;
};

struct udp {
	int fd;            /* borrowed */
	bool gso, gro;     /* off for the life of the socket once it failed */
	unsigned gso_failures; /* of this socket */
	uint8_t *slots;
	int used; /* slots of the last receive: their headers have to be made again */
	struct mmsghdr messages[UDP_SLOTS];
	struct iovec iov[UDP_SLOTS];
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control[UDP_SLOTS];
};

/* Allocates the slots, once. 0 or -ENOMEM. */
int udp_init(struct udp *u);
void udp_done(struct udp *u);
/* Takes over to another socket: switches on what it can do. fd stays the caller's. */
void udp_attach(struct udp *u, int fd);

/*
 * Sends datagrams of `segment` bytes that lie one behind the other; the last may be shorter. Returns the bytes that are
 * done with (> 0, possibly not all: call again with the rest), or -errno with nothing sent. -EMSGSIZE concerns the first
 * datagram only.
 */
ssize_t udp_send(struct udp *u, const uint8_t *p, size_t len, size_t segment);

/* One recvmmsg. The number of slots filled, or -errno (-EAGAIN: nothing there). */
int udp_receive(struct udp *u);
struct udp_slot udp_slot(const struct udp *u, int i);
