/*
 * The plain form of OpenVPN's control packets (reference: OpenVPN wire protocol, packet envelope and control layout).
 *
 *   op(1) sid(8) n_acks(1) acks(4 each) [peer_sid(8) when n_acks > 0] [msgid(4) unless ACK_V1] payload
 *
 * op byte: opcode << 3 | key_id. What tls-auth and tls-crypt put around it is in ovpn-wrap.h.
 */
#pragma once

#include <string.h>

#include "base/bytes.h"
#include "proto/proto.h"

enum ovpn_opcode {
	OVPN_OP_SOFT_RESET_V1 = 3,
	OVPN_OP_CONTROL_V1 = 4,
	OVPN_OP_ACK_V1 = 5,
	OVPN_OP_DATA_V1 = 6,
	OVPN_OP_HARD_RESET_CLIENT_V2 = 7,
	OVPN_OP_HARD_RESET_SERVER_V2 = 8,
	OVPN_OP_DATA_V2 = 9,
	OVPN_OP_HARD_RESET_CLIENT_V3 = 10,
	OVPN_OP_CONTROL_WKC_V1 = 11,
};

#define OVPN_SID_LEN 8
#define OVPN_KEY_ID_MAX 7
#define OVPN_ACKS_MAX 8     /* in an ACK_V1, and what is accepted in any packet */
#define OVPN_ACKS_CONTROL 4 /* sent in a packet with a message: SoftEther drops packets with more */
#define OVPN_HEAD_LEN 9     /* op byte and session id: in front of everything, wrapped or not */
/* Longest plain control packet without its payload. */
#define OVPN_CONTROL_HEADER_MAX (OVPN_HEAD_LEN + 1 + 4 * OVPN_ACKS_MAX + OVPN_SID_LEN + 4)
#define OVPN_PEER_ID_UNDEF 0xFFFFFFu

struct ovpn_sid {
	uint8_t id[OVPN_SID_LEN];
};

static inline bool ovpn_sid_eq(const struct ovpn_sid *a, const struct ovpn_sid *b)
{
	return memcmp(a->id, b->id, OVPN_SID_LEN) == 0;
}

/* An all-zero session id is never valid. */
bool ovpn_sid_is_set(const struct ovpn_sid *s);

struct ovpn_control {
	uint8_t opcode; /* enum ovpn_opcode, no DATA */
	uint8_t key_id;
	uint8_t n_acks;
	struct ovpn_sid sid;      /* the sender's */
	struct ovpn_sid peer_sid; /* the receiver's; only when n_acks > 0, else zero */
	uint32_t acks[OVPN_ACKS_MAX];
	uint32_t msgid;           /* not in ACK_V1 (0) */
	const uint8_t *payload;   /* borrowed from the buffer that was parsed, or what is to be sent */
	size_t payload_len;
};

static inline uint8_t ovpn_packet_opcode(uint8_t op_byte)
{
	return op_byte >> 3;
}

static inline uint8_t ovpn_packet_key_id(uint8_t op_byte)
{
	return op_byte & 7;
}

static inline bool ovpn_opcode_is_data(uint8_t opcode)
{
	return opcode == OVPN_OP_DATA_V1 || opcode == OVPN_OP_DATA_V2;
}

/* One of the control opcodes that exist, in either direction. */
bool ovpn_opcode_is_control(uint8_t opcode);
/* What a client accepts from a server: 3, 4, 5, 6, 8, 9. Check this before unwrapping. */
bool ovpn_opcode_is_from_server(uint8_t opcode);
bool ovpn_opcode_is_hard_reset(uint8_t opcode);
/* "CONTROL_V1"; "unknown" for others. */
const char *ovpn_opcode_to_string(uint8_t opcode);

/*
 * Parses a plain (unwrapped) control packet from either side. VERDICT_OK, or why not: DROP_SHORT (ends early),
 * DROP_OPCODE (not a control opcode), DROP_SESSION (a session id is zero), DROP_MALFORMED (more than 8 acks, an ACK_V1
 * without one, a hard reset with msgid != 0 or key id != 0). *ret is written only for VERDICT_OK; payload points into
 * plain. Bytes behind the acks of an ACK_V1 are ignored, as other implementations do.
 */
enum verdict ovpn_packet_parse(const uint8_t *plain, size_t len, struct ovpn_control *ret);

/*
 * What a stateless server (2.6 and later) puts behind its hard reset: type(2) length(2) value, repeated. *ret_resend_wkc:
 * it wants the wrapped key once more (CONTROL_WKC_V1). Unknown types are skipped. 0 or -EBADMSG.
 */
int ovpn_packet_parse_early(const uint8_t *p, size_t len, bool *ret_resend_wkc);

/* Writes the plain form. 0; -EMSGSIZE: cap is too small; -EINVAL: c could not be parsed back (acks, opcode, ids). */
int ovpn_packet_build(const struct ovpn_control *c, uint8_t *buf, size_t cap, size_t *ret_len);
