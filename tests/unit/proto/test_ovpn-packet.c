/* The plain control packet: published packets both ways, and every rule of the parser from both sides. */
#include "proto/ovpn-packet.h"

#include <errno.h>

#include "lib/hex.h"
#include "vectors.h"

static const struct ovpn_sid sid = { { 1, 2, 3, 4, 5, 6, 7, 8 } }, peer = { { 9, 10, 11, 12, 13, 14, 15, 16 } };

static enum verdict parse_hex(const char *hex, struct ovpn_control *c)
{
	static uint8_t buf[2048];

	return ovpn_packet_parse(buf, unhex(hex, buf, sizeof(buf)), c);
}

/* What was parsed gives the same bytes again. */
static void assert_builds(const struct ovpn_control *c, const char *hex)
{
	uint8_t buf[2048];
	size_t len = 0;

	cr_assert_eq(ovpn_packet_build(c, buf, sizeof(buf), &len), 0);
	assert_hex(buf, len, hex);
	for (size_t cap = 0; cap < len; cap++)
		cr_assert_eq(ovpn_packet_build(c, buf, cap, &len), -EMSGSIZE);
}

Test(ovpn_packet, published_reset)
{
	struct ovpn_control c;

	cr_assert_eq(parse_hex(VECTOR_RESET_NONE, &c), VERDICT_OK);
	cr_assert_eq(c.opcode, OVPN_OP_HARD_RESET_CLIENT_V2);
	cr_assert_eq(c.key_id, 0);
	cr_assert_eq(c.n_acks, 0);
	cr_assert_eq(c.msgid, 0);
	cr_assert_eq(c.payload_len, 0);
	assert_hex(c.sid.id, OVPN_SID_LEN, "6891923fa3103437");
	assert_builds(&c, VECTOR_RESET_NONE);
}

Test(ovpn_packet, published_control_with_ack)
{
	struct ovpn_control c;

	cr_assert_eq(parse_hex(VECTOR_CONTROL_ACK, &c), VERDICT_OK);
	cr_assert_eq(c.opcode, OVPN_OP_CONTROL_V1);
	cr_assert_eq(c.n_acks, 1);
	cr_assert_eq(c.acks[0], 0);
	assert_hex(c.peer_sid.id, OVPN_SID_LEN, "eafebfa4418ae31b");
	cr_assert_eq(c.msgid, 1);
	assert_hex(c.payload, c.payload_len, "160301");
	assert_builds(&c, VECTOR_CONTROL_ACK);
}

Test(ovpn_packet, published_ack)
{
	struct ovpn_control c;

	cr_assert_eq(parse_hex(VECTOR_ACK, &c), VERDICT_OK);
	cr_assert_eq(c.opcode, OVPN_OP_ACK_V1);
	cr_assert_eq(c.n_acks, 1);
	assert_hex(c.peer_sid.id, OVPN_SID_LEN, "dd85db535623b02e");
	cr_assert_eq(c.payload_len, 0);
	assert_builds(&c, VECTOR_ACK);
	/* bytes behind the acks are no reason to lose the acks */
	cr_assert_eq(parse_hex(VECTOR_ACK "01020304", &c), VERDICT_OK);
}

Test(ovpn_packet, every_truncation_is_short)
{
	static const char *const packets[] = { VECTOR_RESET_NONE, VECTOR_ACK, VECTOR_CONTROL_ACK };
	static const size_t header[] = { 14, 22, 26 };

	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		uint8_t buf[64];
		size_t len = unhex(packets[i], buf, sizeof(buf));
		struct ovpn_control c = { .msgid = 77 };

		for (size_t n = 0; n < header[i]; n++) {
			cr_assert_eq(ovpn_packet_parse(buf, n, &c), VERDICT_DROP_SHORT, "packet %zu cut to %zu", i, n);
			cr_assert_eq(c.msgid, 77, "output was touched");
		}
		for (size_t n = header[i]; n <= len; n++)
			cr_assert_eq(ovpn_packet_parse(buf, n, &c), VERDICT_OK);
	}
	cr_assert_eq(ovpn_packet_parse(NULL, 0, &(struct ovpn_control){ 0 }), VERDICT_DROP_SHORT);
}

Test(ovpn_packet, malformed_packets)
{
	static const struct {
		const char *hex;
		enum verdict want;
	} cases[] = {
		/* opcodes 0, 1, 2, DATA and 12.. are not control packets */
		{ "006891923fa31034370000000000", VERDICT_DROP_OPCODE },
		{ "086891923fa31034370000000000", VERDICT_DROP_OPCODE },
		{ "106891923fa31034370000000000", VERDICT_DROP_OPCODE },
		{ "306891923fa31034370000000000", VERDICT_DROP_OPCODE },
		{ "486891923fa31034370000000000", VERDICT_DROP_OPCODE },
		{ "606891923fa31034370000000000", VERDICT_DROP_OPCODE },
		{ "f86891923fa31034370000000000", VERDICT_DROP_OPCODE },
		/* session ids of zeros: own, peer's */
		{ "2000000000000000000000000000", VERDICT_DROP_SESSION },
		{ "207819bf2ebcd19a450100000000000000000000000000000001", VERDICT_DROP_SESSION },
		/* hard reset with msgid 1, with key id 1 */
		{ "386891923fa31034370000000001", VERDICT_DROP_MALFORMED },
		{ "406891923fa31034370000000001", VERDICT_DROP_MALFORMED },
		{ "396891923fa31034370000000000", VERDICT_DROP_MALFORMED },
		/* ACK_V1 that acknowledges nothing */
		{ "28aeb9afe1f01d79c800", VERDICT_DROP_MALFORMED },
		/* 9 and 255 acks, whether the bytes are there or not */
		{ "28aeb9afe1f01d79c809", VERDICT_DROP_MALFORMED },
		{ "28aeb9afe1f01d79c8ff", VERDICT_DROP_MALFORMED },
		/* a soft reset may have any key id */
		{ "1f6891923fa31034370000000000", VERDICT_OK },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ovpn_control c;

		cr_assert_eq(parse_hex(cases[i].hex, &c), cases[i].want, "%s", cases[i].hex);
	}
}

Test(ovpn_packet, all_ack_counts_both_ways)
{
	for (uint8_t n = 0; n <= OVPN_ACKS_MAX + 1; n++) {
		struct ovpn_control c = { .opcode = OVPN_OP_CONTROL_V1, .key_id = 3, .n_acks = n, .sid = sid, .msgid = 5,
					  .payload = (const uint8_t *)"hello", .payload_len = 5 };
		struct ovpn_control back;
		uint8_t buf[128];
		size_t len;

		if (n)
			c.peer_sid = peer;
		for (uint8_t i = 0; i < MIN(n, OVPN_ACKS_MAX); i++)
			c.acks[i] = 0x01020300u + i;
		if (n > OVPN_ACKS_MAX) {
			cr_assert_eq(ovpn_packet_build(&c, buf, sizeof(buf), &len), -EINVAL);
			continue;
		}
		cr_assert_eq(ovpn_packet_build(&c, buf, sizeof(buf), &len), 0);
		cr_assert_leq(len - 5, OVPN_CONTROL_HEADER_MAX);
		cr_assert_eq(ovpn_packet_parse(buf, len, &back), VERDICT_OK);
		cr_assert_eq(back.n_acks, n);
		cr_assert_eq(memcmp(back.acks, c.acks, sizeof(c.acks)), 0);
		cr_assert(ovpn_sid_eq(&back.sid, &sid));
		cr_assert(n == 0 || ovpn_sid_eq(&back.peer_sid, &peer));
		cr_assert_eq(back.msgid, 5);
		cr_assert_eq(back.key_id, 3);
		cr_assert_eq(back.payload_len, 5);
		cr_assert_eq(memcmp(back.payload, "hello", 5), 0);
	}
}

Test(ovpn_packet, build_refuses_what_could_not_be_parsed)
{
	struct ovpn_control ok = { .opcode = OVPN_OP_CONTROL_V1, .sid = sid }, c;
	uint8_t buf[64];
	size_t len = 99;

	c = ok, c.opcode = OVPN_OP_DATA_V2;
	cr_assert_eq(ovpn_packet_build(&c, buf, sizeof(buf), &len), -EINVAL);
	c = ok, c.key_id = 8;
	cr_assert_eq(ovpn_packet_build(&c, buf, sizeof(buf), &len), -EINVAL);
	c = ok, c.sid = (struct ovpn_sid){ { 0 } };
	cr_assert_eq(ovpn_packet_build(&c, buf, sizeof(buf), &len), -EINVAL);
	c = ok, c.n_acks = 1;
	cr_assert_eq(ovpn_packet_build(&c, buf, sizeof(buf), &len), -EINVAL);
	c = ok, c.opcode = OVPN_OP_ACK_V1;
	cr_assert_eq(ovpn_packet_build(&c, buf, sizeof(buf), &len), -EINVAL);
	cr_assert_eq(len, 99);
}

Test(ovpn_packet, client_accepts_only_what_servers_send)
{
	for (unsigned op = 0; op < 32; op++) {
		bool want = op == 3 || op == 4 || op == 5 || op == 6 || op == 8 || op == 9;

		cr_assert_eq(ovpn_opcode_is_from_server((uint8_t)op), want, "opcode %u", op);
		cr_assert_eq(ovpn_opcode_is_data((uint8_t)op), op == 6 || op == 9);
		cr_assert_eq(ovpn_opcode_is_control((uint8_t)op), op >= 3 && op <= 11 && op != 6 && op != 9);
		cr_assert_eq(ovpn_opcode_is_hard_reset((uint8_t)op), op == 7 || op == 8 || op == 10);
	}
	cr_assert_str_eq(ovpn_opcode_to_string(4), "CONTROL_V1");
	cr_assert_str_eq(ovpn_opcode_to_string(0), "unknown");
	cr_assert_str_eq(ovpn_opcode_to_string(200), "unknown");
}

Test(ovpn_packet, early_negotiation)
{
	static const struct {
		const char *bytes;
		size_t len;
		int r;
		bool resend;
	} rows[] = {
		{ "", 0, 0, false },
		{ "\0\1\0\2\0\1", 6, 0, true },
		{ "\0\1\0\2\0\0", 6, 0, false },
		{ "\0\1\0\2\1\0", 6, 0, false },		       /* another flag */
		{ "\0\7\0\3abc\0\1\0\2\0\1", 13, 0, true },     /* an unknown type in front */
		{ "\0\1\0\2\0\1\1\0\0\0", 10, 0, true },	       /* and behind, empty */
		{ "\0\1\0\2\0", 5, -EBADMSG, false },	       /* cut in the value */
		{ "\0\1\0", 3, -EBADMSG, false },		       /* in the length */
		{ "\0", 1, -EBADMSG, false },
		{ "\0\1\0\1\1", 5, -EBADMSG, false },	       /* flags of another size */
		{ "\0\1\0\3\0\1\0", 7, -EBADMSG, false },
		{ "\0\7\xff\xff", 4, -EBADMSG, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *copy = malloc(rows[i].len + 1);
		bool resend = !rows[i].resend;

		memcpy(copy, rows[i].bytes, rows[i].len);
		cr_expect_eq(ovpn_packet_parse_early(copy, rows[i].len, &resend), rows[i].r, "row %zu", i);
		cr_expect_eq(resend, rows[i].r ? true : rows[i].resend, "row %zu", i);
		free(copy);
	}
}
