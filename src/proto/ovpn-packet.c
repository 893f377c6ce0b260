/*
 * Parser and builder of plain control packets. The parser is a pure function over a borrowed buffer: everything a peer
 * may send ends in a verdict, nothing is remembered.
 */
#include "proto/ovpn-packet.h"

/* What there is to know about an opcode, by its number. */
static const struct {
	const char *name;
	bool control;
	bool from_server;
	bool hard_reset;
} opcodes[] = {
	[OVPN_OP_SOFT_RESET_V1] = { "SOFT_RESET_V1", true, true, false },
	[OVPN_OP_CONTROL_V1] = { "CONTROL_V1", true, true, false },
	[OVPN_OP_ACK_V1] = { "ACK_V1", true, true, false },
	[OVPN_OP_DATA_V1] = { "DATA_V1", false, true, false },
	[OVPN_OP_HARD_RESET_CLIENT_V2] = { "HARD_RESET_CLIENT_V2", true, false, true },
	[OVPN_OP_HARD_RESET_SERVER_V2] = { "HARD_RESET_SERVER_V2", true, true, true },
	[OVPN_OP_DATA_V2] = { "DATA_V2", false, true, false },
	[OVPN_OP_HARD_RESET_CLIENT_V3] = { "HARD_RESET_CLIENT_V3", true, false, true },
	[OVPN_OP_CONTROL_WKC_V1] = { "CONTROL_WKC_V1", true, false, false },
};

bool ovpn_opcode_is_control(uint8_t opcode)
{
	return opcode < ARRAY_SIZE(opcodes) && opcodes[opcode].control;
}

bool ovpn_opcode_is_from_server(uint8_t opcode)
{
	return opcode < ARRAY_SIZE(opcodes) && opcodes[opcode].from_server;
}

bool ovpn_opcode_is_hard_reset(uint8_t opcode)
{
	return opcode < ARRAY_SIZE(opcodes) && opcodes[opcode].hard_reset;
}

const char *ovpn_opcode_to_string(uint8_t opcode)
{
	return opcode < ARRAY_SIZE(opcodes) && opcodes[opcode].name ? opcodes[opcode].name : "unknown";
}

bool ovpn_sid_is_set(const struct ovpn_sid *s)
{
	uint8_t any = 0;

	for (size_t i = 0; i < OVPN_SID_LEN; i++)
		any |= s->id[i];
	return any != 0;
}

/* What both directions must satisfy, whatever the lengths. */
static enum verdict check(const struct ovpn_control *c)
{
	if (!ovpn_opcode_is_control(c->opcode))
		return VERDICT_DROP_OPCODE;
	if (!ovpn_sid_is_set(&c->sid) || (c->n_acks && !ovpn_sid_is_set(&c->peer_sid)))
		return VERDICT_DROP_SESSION;
	if (c->n_acks > OVPN_ACKS_MAX || c->key_id > OVPN_KEY_ID_MAX)
		return VERDICT_DROP_MALFORMED;
	if (c->opcode == OVPN_OP_ACK_V1 && !c->n_acks)
		return VERDICT_DROP_MALFORMED;
	/* A hard reset begins a session: first key, first message. */
	if (ovpn_opcode_is_hard_reset(c->opcode) && (c->msgid || c->key_id))
		return VERDICT_DROP_MALFORMED;
	return VERDICT_OK;
}

enum verdict ovpn_packet_parse(const uint8_t *plain, size_t len, struct ovpn_control *ret)
{
	struct reader r = reader_init(plain, len);
	struct ovpn_control c = { 0 };
	uint8_t op = read_u8(&r);
	enum verdict v;

	c.opcode = ovpn_packet_opcode(op);
	c.key_id = ovpn_packet_key_id(op);
	(void)read_copy(&r, c.sid.id, OVPN_SID_LEN); /* a short read is sticky in the reader */
	c.n_acks = read_u8(&r);
	if (r.failed)
		return VERDICT_DROP_SHORT;
	if (c.n_acks > OVPN_ACKS_MAX)
		return VERDICT_DROP_MALFORMED;
	for (unsigned i = 0; i < c.n_acks; i++)
		c.acks[i] = read_be32(&r);
	if (c.n_acks)
		(void)read_copy(&r, c.peer_sid.id, OVPN_SID_LEN);
	if (c.opcode != OVPN_OP_ACK_V1)
		c.msgid = read_be32(&r);
	if (r.failed)
		return VERDICT_DROP_SHORT;
	v = check(&c);
	if (v != VERDICT_OK)
		return v;
	c.payload = r.p;
	c.payload_len = r.left;
	*ret = c;
	return VERDICT_OK;
}

#define EARLY_FLAGS 1
#define EARLY_FLAG_RESEND_WKC 1u

int ovpn_packet_parse_early(const uint8_t *p, size_t len, bool *ret_resend_wkc)
{
	struct reader r = reader_init(p, len);
	bool resend = false;

	while (r.left > 0) {
		uint16_t type = read_be16(&r), n = read_be16(&r);
		const uint8_t *value = read_bytes(&r, n);

		if (r.failed)
			return -EBADMSG;
		if (type != EARLY_FLAGS)
			continue;
		if (n != 2)
			return -EBADMSG;
		resend = (value[1] & EARLY_FLAG_RESEND_WKC) != 0;
	}
	*ret_resend_wkc = resend;
	return 0;
}

int ovpn_packet_build(const struct ovpn_control *c, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct writer w = writer_init(buf, cap);

	if (check(c) != VERDICT_OK || (c->opcode == OVPN_OP_ACK_V1 && c->payload_len))
		return -EINVAL;
	write_u8(&w, (uint8_t)(c->opcode << 3 | c->key_id));
	write_bytes(&w, c->sid.id, OVPN_SID_LEN);
	write_u8(&w, c->n_acks);
	for (unsigned i = 0; i < c->n_acks; i++)
		write_be32(&w, c->acks[i]);
	if (c->n_acks)
		write_bytes(&w, c->peer_sid.id, OVPN_SID_LEN);
	if (c->opcode != OVPN_OP_ACK_V1)
		write_be32(&w, c->msgid);
	write_bytes(&w, c->payload, c->payload_len);
	if (w.failed)
		return -EMSGSIZE;
	*ret_len = w.len;
	return 0;
}
