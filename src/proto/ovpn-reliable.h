/*
 * The reliability layer under TLS: numbered messages, acknowledged, repeated and delivered in order.
 *
 * Theory. One object is one key session (hard reset or soft reset): ids begin at 0 in both directions. At most 6
 * messages are on their way; of the peer's, 12 from the next expected id on are held. Everything received is
 * acknowledged, duplicates too, for the first ack may have been lost; what lies beyond the window is dropped without an
 * ack, so it will come again. A message is repeated every `timeout`, or at
 * once when three later ones were acknowledged. No doubling: at most six small packets every 2 s are no load, and on a road that
 * loses 30 % each way half of the tries of a handshake's first packet come to nothing. The last eight acks ride along again in later packets.
 *
 * Pure: no clock, no allocation, no I/O. All payloads are copied in; what is handed out points into the object and is
 * valid until the next call that changes it. `now` is any monotonic microsecond clock.
 */
#pragma once

#include "proto/ovpn-packet.h"

#define OVPN_RELIABLE_SEND_WINDOW 6
#define OVPN_RELIABLE_RECV_WINDOW 12
#define OVPN_RELIABLE_PAYLOAD_MAX 2048
#define OVPN_RELIABLE_TIMEOUT_MAX (60 * USEC_PER_SEC)
#define OVPN_RELIABLE_OWED_MAX 16

/* A message in either direction. */
struct ovpn_reliable_msg {
	uint32_t msgid;
	uint8_t opcode;
	const uint8_t *payload; /* borrowed from the object */
	size_t len;
};

struct ovpn_reliable_slot {
	bool used;
	uint8_t opcode;
	uint8_t later_acks; /* acks of later messages since the last transmission */
	uint32_t msgid;
	usec_t due;         /* when to send next; 0: never sent */
	uint16_t len;
	uint8_t payload[OVPN_RELIABLE_PAYLOAD_MAX];
};

struct ovpn_reliable {
	usec_t timeout;
	uint32_t next_send; /* id of the next new message */
	uint32_t next_recv; /* id of the next message to deliver */
	struct ovpn_reliable_slot send[OVPN_RELIABLE_SEND_WINDOW];
	struct ovpn_reliable_slot recv[OVPN_RELIABLE_RECV_WINDOW];
	uint32_t owed[OVPN_RELIABLE_OWED_MAX]; /* received and not acknowledged yet, oldest first */
	uint32_t recent[OVPN_ACKS_MAX];        /* acknowledged, newest first */
	uint8_t n_owed, n_recent;
};

/* timeout: between repetitions (tls-timeout); 0: 2 s. */
void ovpn_reliable_init(struct ovpn_reliable *r, usec_t timeout);
/* Wipes payloads (they may hold handshake bytes of interest to nobody else). */
void ovpn_reliable_done(struct ovpn_reliable *r);

/* ---- Sending */

bool ovpn_reliable_can_push(const struct ovpn_reliable *r);
/* Queues a message, due at once. 0; -EAGAIN: window full; -EMSGSIZE; -EOVERFLOW: ids used up. */
int ovpn_reliable_push(struct ovpn_reliable *r, uint8_t opcode, const uint8_t *payload, size_t len);
/* The message that is due at `now`, lowest id first: marks it as sent now. False: nothing is due. Call until false. */
bool ovpn_reliable_next(struct ovpn_reliable *r, usec_t now, struct ovpn_reliable_msg *ret);
/* Acks from the peer. Ids that were never sent or are settled are ignored. Returns how many settled something. */
unsigned ovpn_reliable_acked(struct ovpn_reliable *r, const uint32_t *ids, unsigned n);
/* Nothing is waiting for an ack. */
bool ovpn_reliable_is_idle(const struct ovpn_reliable *r);
/* Nothing with an id below or equal to msgid is waiting ("our reset was acknowledged": msgid 0). */
bool ovpn_reliable_is_acked(const struct ovpn_reliable *r, uint32_t msgid);
/* When ovpn_reliable_next() has something; 0: now; USEC_INFINITY: nothing is waiting. Owed acks are not counted. */
usec_t ovpn_reliable_deadline(const struct ovpn_reliable *r);

/* ---- Receiving */

/*
 * A message from the peer. VERDICT_OK: stored, ack owed. DROP_REPLAY: a duplicate; ack owed again. DROP_WINDOW: beyond
 * the window (or too many acks owed), no ack. DROP_MALFORMED: too long, no ack.
 */
enum verdict ovpn_reliable_receive(struct ovpn_reliable *r, uint32_t msgid, uint8_t opcode, const uint8_t *payload,
				   size_t len);
/* The next message in order, removed from the window; valid until the next call on r. False: it has not come yet. */
bool ovpn_reliable_deliver(struct ovpn_reliable *r, struct ovpn_reliable_msg *ret);

/* ---- Acks */

bool ovpn_reliable_owes_acks(const struct ovpn_reliable *r);
/*
 * Ids to put into a packet that is about to be sent, at most max (OVPN_ACKS_CONTROL with a message, OVPN_ACKS_MAX in an
 * ACK_V1): what is owed first, then recent ones once more. What was owed is settled. Returns how many.
 */
unsigned ovpn_reliable_take_acks(struct ovpn_reliable *r, unsigned max, uint32_t *ret_ids);
