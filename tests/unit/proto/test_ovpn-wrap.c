/* tls-auth and tls-crypt: published packets, directions, replays, and every bit of a packet. */
#include "proto/ovpn-wrap.h"

#include "lib/hex.h"
#include "proto/ovpn-keys.h"
#include "vectors.h"

#define TIME 1641267052u

static uint8_t key[OVPN_KEY_BLOCK_LEN];
static uint8_t wire[2048], plain[2048];

static struct ovpn_wrap *wrap_of(enum control_wrap mode, enum key_direction direction, bool server)
{
	struct ovpn_wrap_params p = { .mode = mode, .key = key, .digest = "sha1", .direction = direction,
				      .server = server, .time = TIME };
	struct ovpn_wrap *w = NULL;

	cr_assert_eq(unhex(VECTOR_STATIC_KEY, key, sizeof(key)), sizeof(key));
	cr_assert_eq(ovpn_wrap_new(&w, &p), 0);
	return w;
}

static ssize_t open_hex(struct ovpn_wrap *w, const char *hex)
{
	return ovpn_wrap_open(w, wire, unhex(hex, wire, sizeof(wire)), plain, sizeof(plain));
}

Test(ovpn_wrap, tls_auth_opens_the_published_packets)
{
	struct ovpn_wrap *server = wrap_of(CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_0, true);
	struct ovpn_control c;
	ssize_t n;

	n = open_hex(server, VECTOR_RESET_TLS_AUTH);
	cr_assert_eq(n, 14);
	assert_hex(plain, (size_t)n, "38de694c5c7bfba2740000000000");
	n = open_hex(server, VECTOR_CONTROL_TLS_AUTH);
	cr_assert_gt(n, 200);
	cr_assert_eq(ovpn_packet_parse(plain, (size_t)n, &c), VERDICT_OK);
	cr_assert_eq(c.opcode, OVPN_OP_CONTROL_V1);
	cr_assert_eq(c.msgid, 1);
	cr_assert_eq(c.payload_len, 5 + 0x10c, "one whole TLS record");
	ovpn_wrap_free(server);
}

Test(ovpn_wrap, tls_auth_seals_the_published_reset)
{
	struct ovpn_wrap *client = wrap_of(CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_1, false);
	size_t len = unhex("38de694c5c7bfba2740000000000", plain, sizeof(plain));
	ssize_t n = ovpn_wrap_seal(client, plain, len, wire, sizeof(wire));

	cr_assert_eq((size_t)n, len + ovpn_wrap_overhead(client));
	assert_hex(wire, (size_t)n, VECTOR_RESET_TLS_AUTH);
	ovpn_wrap_free(client);
}

Test(ovpn_wrap, tls_auth_with_keys_0_fails)
{
	struct ovpn_wrap *w = wrap_of(CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_1, false);

	cr_assert_eq(open_hex(w, VECTOR_RESET_TLS_AUTH), -VERDICT_DROP_AUTH);
	ovpn_wrap_free(w);
	w = wrap_of(CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_BOTH, false);
	cr_assert_eq(open_hex(w, VECTOR_RESET_TLS_AUTH), -VERDICT_DROP_AUTH);
	ovpn_wrap_free(w);
}

Test(ovpn_wrap, tls_crypt_opens_the_published_reset)
{
	struct ovpn_wrap *server = wrap_of(CONTROL_WRAP_TLS_CRYPT, KEY_DIRECTION_BOTH, true);
	struct ovpn_wrap *client = wrap_of(CONTROL_WRAP_TLS_CRYPT, KEY_DIRECTION_BOTH, false);
	ssize_t n = open_hex(server, VECTOR_RESET_TLS_CRYPT);

	cr_assert_eq(n, 14);
	assert_hex(plain, (size_t)n, "38f419cb12d1f9e48f0000000000");
	/* what a client sent is nothing that a client takes */
	cr_assert_eq(open_hex(client, VECTOR_RESET_TLS_CRYPT), -VERDICT_DROP_AUTH);
	ovpn_wrap_free(server);
	ovpn_wrap_free(client);
}

Test(ovpn_wrap, tls_crypt_seals_the_published_reset)
{
	struct ovpn_wrap_params p = { .mode = CONTROL_WRAP_TLS_CRYPT, .key = key, .time = 0x61d3f8e1 };
	size_t len = unhex("38f419cb12d1f9e48f0000000000", plain, sizeof(plain));
	struct ovpn_wrap *client;
	ssize_t n;

	unhex(VECTOR_STATIC_KEY, key, sizeof(key));
	cr_assert_eq(ovpn_wrap_new(&client, &p), 0);
	n = ovpn_wrap_seal(client, plain, len, wire, sizeof(wire));
	assert_hex(wire, (size_t)n, VECTOR_RESET_TLS_CRYPT);
	ovpn_wrap_free(client);
}

Test(ovpn_wrap, packets_of_another_mode_are_refused)
{
	struct ovpn_wrap *w = wrap_of(CONTROL_WRAP_TLS_CRYPT, KEY_DIRECTION_BOTH, true);

	cr_assert_eq(open_hex(w, VECTOR_RESET_TLS_AUTH), -VERDICT_DROP_SHORT);
	cr_assert_eq(open_hex(w, VECTOR_CONTROL_TLS_AUTH), -VERDICT_DROP_AUTH);
	cr_assert_eq(open_hex(w, VECTOR_RESET_NONE), -VERDICT_DROP_SHORT);
	ovpn_wrap_free(w);
	w = wrap_of(CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_0, true);
	cr_assert_eq(open_hex(w, VECTOR_RESET_TLS_CRYPT), -VERDICT_DROP_AUTH);
	cr_assert_eq(open_hex(w, VECTOR_RESET_NONE), -VERDICT_DROP_SHORT);
	ovpn_wrap_free(w);
}

static void every_bit(enum control_wrap mode, const char *hex)
{
	struct ovpn_wrap *w = wrap_of(mode, KEY_DIRECTION_0, true);
	size_t len = unhex(hex, wire, sizeof(wire));

	for (size_t bit = 0; bit < len * 8; bit++) {
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_lt(ovpn_wrap_open(w, wire, len, plain, sizeof(plain)), 0, "mode %d, bit %zu", (int)mode, bit);
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < len; n++)
		cr_assert_lt(ovpn_wrap_open(w, wire, n, plain, sizeof(plain)), 0, "cut to %zu", n);
	wire[len] = 0;
	cr_assert_lt(ovpn_wrap_open(w, wire, len + 1, plain, sizeof(plain)), 0);
	/* None of these moved the window (some had replay ids far ahead), and the packet itself is still welcome, once. */
	cr_assert_gt(ovpn_wrap_open(w, wire, len, plain, sizeof(plain)), 0);
	cr_assert_eq(ovpn_wrap_open(w, wire, len, plain, sizeof(plain)), -VERDICT_DROP_REPLAY);
	ovpn_wrap_free(w);
}

Test(ovpn_wrap, one_wrong_bit_anywhere_is_refused)
{
	every_bit(CONTROL_WRAP_TLS_AUTH, VECTOR_RESET_TLS_AUTH);
	every_bit(CONTROL_WRAP_TLS_AUTH, VECTOR_CONTROL_TLS_AUTH);
	every_bit(CONTROL_WRAP_TLS_CRYPT, VECTOR_RESET_TLS_CRYPT);
}

Test(ovpn_wrap, all_modes_and_digests_round_trip)
{
	static const struct {
		enum control_wrap mode;
		const char *digest;
		enum key_direction client, server;
		size_t overhead;
	} v[] = {
		{ CONTROL_WRAP_NONE, NULL, KEY_DIRECTION_BOTH, KEY_DIRECTION_BOTH, 0 },
		{ CONTROL_WRAP_TLS_AUTH, "sha1", KEY_DIRECTION_1, KEY_DIRECTION_0, 28 },
		{ CONTROL_WRAP_TLS_AUTH, "SHA256", KEY_DIRECTION_0, KEY_DIRECTION_1, 40 },
		{ CONTROL_WRAP_TLS_AUTH, "sha512", KEY_DIRECTION_BOTH, KEY_DIRECTION_BOTH, 72 },
		{ CONTROL_WRAP_TLS_CRYPT, "sha512", KEY_DIRECTION_1, KEY_DIRECTION_1, 40 },
	};

	unhex(VECTOR_STATIC_KEY, key, sizeof(key));
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		struct ovpn_wrap_params p = { .mode = v[i].mode, .key = key, .digest = v[i].digest, .time = TIME };
		struct ovpn_wrap *c, *s;

		p.direction = v[i].client;
		cr_assert_eq(ovpn_wrap_new(&c, &p), 0);
		p.direction = v[i].server;
		p.server = true;
		cr_assert_eq(ovpn_wrap_new(&s, &p), 0);
		cr_assert_eq(ovpn_wrap_overhead(c), v[i].overhead);
		cr_assert_leq(v[i].overhead, OVPN_WRAP_OVERHEAD_MAX);
		for (size_t len = OVPN_HEAD_LEN + 1; len < 1200; len += 111) {
			uint8_t in[1200], out[1200];
			ssize_t n;

			for (size_t j = 0; j < len; j++)
				in[j] = (uint8_t)(j * 7 + len);
			n = ovpn_wrap_seal(c, in, len, wire, sizeof(wire));
			cr_assert_eq((size_t)n, len + v[i].overhead);
			cr_assert_eq(ovpn_wrap_open(s, wire, (size_t)n, out, sizeof(out)), (ssize_t)len);
			cr_assert_eq(memcmp(in, out, len), 0);
			n = ovpn_wrap_seal(s, in, len, wire, sizeof(wire));
			cr_assert_eq(ovpn_wrap_open(c, wire, (size_t)n, out, sizeof(out)), (ssize_t)len);
			cr_assert_eq(memcmp(in, out, len), 0);
		}
		ovpn_wrap_free(c);
		ovpn_wrap_free(s);
	}
}

Test(ovpn_wrap, retransmissions_get_new_ids_and_order_may_change)
{
	struct ovpn_wrap *c = wrap_of(CONTROL_WRAP_TLS_CRYPT, KEY_DIRECTION_BOTH, false);
	struct ovpn_wrap *s = wrap_of(CONTROL_WRAP_TLS_CRYPT, KEY_DIRECTION_BOTH, true);
	uint8_t sent[80][64];
	size_t len = unhex(VECTOR_RESET_NONE, plain, sizeof(plain));
	ssize_t n = 0;

	for (size_t i = 0; i < 80; i++) {
		n = ovpn_wrap_seal(c, plain, len, sent[i], sizeof(sent[i]));
		cr_assert_gt(n, 0);
		cr_assert(i == 0 || memcmp(sent[i], sent[i - 1], (size_t)n) != 0);
	}
	cr_assert_gt(ovpn_wrap_open(s, sent[79], (size_t)n, wire, sizeof(wire)), 0);
	cr_assert_gt(ovpn_wrap_open(s, sent[16], (size_t)n, wire, sizeof(wire)), 0, "63 behind: inside the window");
	cr_assert_eq(ovpn_wrap_open(s, sent[15], (size_t)n, wire, sizeof(wire)), -VERDICT_DROP_REPLAY);
	cr_assert_eq(ovpn_wrap_open(s, sent[16], (size_t)n, wire, sizeof(wire)), -VERDICT_DROP_REPLAY);
	cr_assert_eq(ovpn_wrap_open(s, sent[79], (size_t)n, wire, sizeof(wire)), -VERDICT_DROP_REPLAY);
	ovpn_wrap_free(c);
	ovpn_wrap_free(s);
}

Test(ovpn_wrap, a_later_time_outranks_every_id)
{
	struct ovpn_wrap_params p = { .mode = CONTROL_WRAP_TLS_AUTH, .key = key, .digest = "sha1",
				      .direction = KEY_DIRECTION_BOTH, .time = 1000, .first_id = 0x0f000000 };
	struct ovpn_wrap *older, *newer, *s;
	size_t len = unhex(VECTOR_RESET_NONE, plain, sizeof(plain));
	uint8_t out[64];
	ssize_t n;

	unhex(VECTOR_STATIC_KEY, key, sizeof(key));
	cr_assert_eq(ovpn_wrap_new(&older, &p), 0);
	p.time = 1001;
	p.first_id = 1;
	cr_assert_eq(ovpn_wrap_new(&newer, &p), 0);
	cr_assert_eq(ovpn_wrap_new(&s, &p), 0);
	n = ovpn_wrap_seal(older, plain, len, wire, sizeof(wire));
	assert_hex(wire + 29, 8, "0f000000000003e8");
	cr_assert_gt(ovpn_wrap_open(s, wire, (size_t)n, out, sizeof(out)), 0);
	n = ovpn_wrap_seal(newer, plain, len, wire, sizeof(wire));
	cr_assert_gt(ovpn_wrap_open(s, wire, (size_t)n, out, sizeof(out)), 0);
	n = ovpn_wrap_seal(older, plain, len, wire, sizeof(wire));
	cr_assert_eq(ovpn_wrap_open(s, wire, (size_t)n, out, sizeof(out)), -VERDICT_DROP_REPLAY);
	ovpn_wrap_free(older);
	ovpn_wrap_free(newer);
	ovpn_wrap_free(s);
}

Test(ovpn_wrap, ids_end_at_32_bits)
{
	struct ovpn_wrap_params p = { .mode = CONTROL_WRAP_TLS_AUTH, .key = key, .digest = "sha1",
				      .direction = KEY_DIRECTION_BOTH, .first_id = 0xFFFFFFFE };
	size_t len = unhex(VECTOR_RESET_NONE, plain, sizeof(plain));
	struct ovpn_wrap *w;

	unhex(VECTOR_STATIC_KEY, key, sizeof(key));
	cr_assert_eq(ovpn_wrap_new(&w, &p), 0);
	cr_assert_gt(ovpn_wrap_seal(w, plain, len, wire, sizeof(wire)), 0);
	cr_assert_gt(ovpn_wrap_seal(w, plain, len, wire, sizeof(wire)), 0);
	assert_hex(wire + 29, 4, "ffffffff");
	cr_assert_eq(ovpn_wrap_seal(w, plain, len, wire, sizeof(wire)), -EOVERFLOW);
	cr_assert_eq(ovpn_wrap_seal(w, plain, len, wire, sizeof(wire)), -EOVERFLOW);
	ovpn_wrap_free(w);
}

Test(ovpn_wrap, sizes_and_parameters_are_checked)
{
	struct ovpn_wrap *c = wrap_of(CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_1, false), *none = NULL;
	struct ovpn_wrap_params bad = { .mode = CONTROL_WRAP_TLS_AUTH, .key = key, .digest = "md5" };
	size_t len = unhex(VECTOR_RESET_NONE, plain, sizeof(plain));
	uint8_t out[13];

	cr_assert_eq(ovpn_wrap_seal(c, plain, 8, wire, sizeof(wire)), -EINVAL);
	cr_assert_eq(ovpn_wrap_seal(c, plain, len, wire, 41), -EMSGSIZE);
	cr_assert_eq(ovpn_wrap_seal(c, plain, len, wire, 0), -EMSGSIZE);
	cr_assert_eq(ovpn_wrap_seal(c, plain, len, wire, 42), 42);
	cr_assert_eq(ovpn_wrap_open(c, wire, 42, out, sizeof(out)), -VERDICT_DROP_MALFORMED);
	cr_assert_eq(ovpn_wrap_new(&none, &bad), -EINVAL);
	bad.digest = NULL;
	cr_assert_eq(ovpn_wrap_new(&none, &bad), -EINVAL);
	bad.digest = "sha1";
	bad.key = NULL;
	cr_assert_eq(ovpn_wrap_new(&none, &bad), -EINVAL);
	cr_assert_null(none);
	ovpn_wrap_free(c);
}
