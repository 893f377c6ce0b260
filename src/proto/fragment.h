/*
 * OpenVPN's own fragments (`fragment n`): a header of four bytes inside the encryption, in front of compression framing.
 *
 *   bits 0-1  0 whole, 1 more follow, 2 last, 3 test     bits 2-9   sequence id of the packet
 *   bits 10-14  number of the piece                      bits 15-28 size of all pieces but the last / 4; last piece only
 *
 * Theory. We never cut: the tunnel device gets an MTU with which every packet fits the limit (ovpn-mtu.h), so what we
 * send is whole. What comes is put together in at most 25 packets at a time, each in room that was allocated at the start.
 * The pieces of a packet are of one size, so a piece's number is its place; the sender counts packets, so a slot is the
 * sequence id modulo the number of slots, and a packet that is 25 newer takes it over. Pieces of a packet that stays
 * incomplete are forgotten after ten seconds. Everything here is authentic, and none of it is believed: a peer's mistake
 * costs the packet.
 */
#pragma once

#include <sys/types.h>

#include "proto/proto.h"

#define FRAGMENT_HEAD_LEN 4
#define FRAGMENT_SLOTS 25
#define FRAGMENT_PIECES_MAX 32
#define FRAGMENT_LIFETIME (10 * USEC_PER_SEC)

struct fragment_slot {
	bool used;
	uint8_t seq;
	uint32_t have;     /* a bit for each piece */
	uint8_t last;      /* number of the last piece, once it has come */
	bool last_known;
	uint16_t last_len;
	uint16_t size;     /* of the others */
	usec_t since;
};

struct fragment_state {
	usec_t now;        /* set by the owner before packets are opened */
	size_t packet_max; /* longest packet that is put together, framing included */
	uint8_t *room;     /* owned; packet_max for each slot */
	struct fragment_slot slots[FRAGMENT_SLOTS];
	uint64_t n_joined;
};

/* 0, -EINVAL (packet_max above 64 KiB), -ENOMEM. */
int fragment_init(struct fragment_state *f, size_t packet_max);
void fragment_done(struct fragment_state *f);

/*
 * head: a header and what follows it, len bytes in all. > 0: a packet is complete, so long, at head + FRAGMENT_HEAD_LEN,
 * where `room` bytes may be written; 0: nothing yet (or a whole packet of nothing); < 0: -VERDICT_DROP_FRAMING.
 */
ssize_t fragment_take(struct fragment_state *f, uint8_t *head, size_t len, size_t room);
