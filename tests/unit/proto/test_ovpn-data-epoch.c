/* Epoch keys: the published packet, and the windows of epochs and counters at their edges. */
#include "proto/ovpn-data-format.h"

#include <errno.h>

#include "lib/hex.h"

static uint8_t keys[OVPN_KEY_BLOCK_LEN];
static struct framing_state framing;
static uint8_t wire[4096], area[PROTO_HEADROOM + 4096];
static uint8_t *const out = area + PROTO_HEADROOM;
static const uint8_t packet[] = "\x45" "an IPv4 packet as far as this layer cares";

static struct ovpn_data *key_of(const char *cipher, bool server)
{
	/* Origin of the key's pattern: OpenVPN, tests/unit_tests/openvpn/test_ssl.c at 022f0a43, create_key. */
	static const char pattern[] = "abcdefgh01234567ABCDEFGHjkuchenl";
	struct ovpn_data_params p = { .cipher = ovpn_cipher_find(cipher), .keys = keys, .server = server, .key_id = 5,
				      .peer_id = 23, .replay_window = 64, .framing = &framing, .epoch = true };
	struct ovpn_data *d = NULL;

	for (size_t i = 0; i < sizeof(keys); i++)
		keys[i] = (uint8_t)((uint8_t)pattern[i % 32] ^ i);
	cr_assert_eq(ovpn_data_new(&d, &p), 0);
	return d;
}

static ssize_t open_wire(struct ovpn_data *d, size_t len)
{
	enum ovpn_inner kind;

	return ovpn_data_open(d, wire, len, out, sizeof(area) - PROTO_HEADROOM, &kind);
}

static ssize_t pass(struct ovpn_data *from, struct ovpn_data *to)
{
	return open_wire(to, (size_t)ovpn_data_seal(from, packet, sizeof(packet), wire));
}

static void skip(struct ovpn_data *d, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(ovpn_data_epoch_skip(d, 0), 0);
}

Test(ovpn_data_epoch, published_packet)
{
	/* Origin: as above, test_data_channel_known_vectors_run with epoch: the fourth, header bytes 07 00 00 17. */
	static const char text[] = "The quick little fox jumps over the bureaucratic hurdles";
	struct ovpn_data *d = key_of("AES-256-GCM", false);
	ssize_t n;

	skip(d, 3);
	unhex("07000017", d->head, sizeof(d->head));
	n = ovpn_data_seal(d, (const uint8_t *)text, strlen(text), wire);
	cr_assert_eq(n, 4 + 8 + 56 + 16);
	assert_hex(wire, 12, "070000170004000000000001");
	assert_hex(wire + 4 + 14, 6, "36aab4d49ce6");
	assert_hex(wire + n - 16, 16, "0ffff5913d39d75b18573b5748589a7d");
	ovpn_data_free(d);
}

Test(ovpn_data_epoch, round_trip)
{
	static const char *const ciphers[] = { "AES-256-GCM", "AES-192-GCM", "AES-128-GCM", "CHACHA20-POLY1305" };
	static const enum framing kinds[] = { FRAMING_NONE, FRAMING_LZO, FRAMING_SWAP, FRAMING_STUB_V2 };

	for (size_t i = 0; i < 16; i++) {
		struct ovpn_data *c, *s;

		cr_assert_eq(framing_init(&framing, kinds[i / 4], false, 1500), 0);
		c = key_of(ciphers[i % 4], false);
		s = key_of(ciphers[i % 4], true);
		for (size_t len = 1; len < 1501; len += len < 40 ? 1 : 97) {
			uint8_t inner[1500] = { 0 };
			enum ovpn_inner kind = OVPN_INNER_OCC;
			ssize_t n;

			inner[0] = 0x60;
			n = ovpn_data_seal(c, inner, len, wire);
			cr_assert(n > 0 && (size_t)n <= len + OVPN_DATA_OVERHEAD_MAX);
			cr_assert_eq(ovpn_data_open(s, wire, (size_t)n, out, 2048, &kind), (ssize_t)len);
			cr_assert_eq(kind, OVPN_INNER_IP);
			cr_assert_eq(memcmp(out, inner, len), 0);
			cr_assert_eq(pass(s, c), (ssize_t)sizeof(packet));
		}
		cr_assert_eq(c->n_sealed, s->n_opened);
		ovpn_data_free(c);
		ovpn_data_free(s);
	}
	framing = (struct framing_state){ .kind = FRAMING_NONE };
}

Test(ovpn_data_epoch, one_wrong_bit_anywhere_is_refused)
{
	struct ovpn_data *c = key_of("AES-256-GCM", false), *s = key_of("AES-256-GCM", true);
	ssize_t n = ovpn_data_seal(c, packet, sizeof(packet), wire);

	for (size_t bit = 0; bit < (size_t)n * 8; bit++) {
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_lt(open_wire(s, (size_t)n), 0, "bit %zu", bit);
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < (size_t)n; len++)
		cr_assert_lt(open_wire(s, len), 0, "cut to %zu", len);
	cr_assert_eq(ovpn_data_epoch_send(s), 1, "a forgery moved the epoch");
	cr_assert_eq(s->epoch_top, 0);
	cr_assert_eq(open_wire(s, (size_t)n), (ssize_t)sizeof(packet));
	cr_assert_eq(open_wire(s, (size_t)n), -VERDICT_DROP_REPLAY);
	cr_assert_lt(open_wire(c, (size_t)n), 0, "reflected");
	wire[0] = OVPN_OP_DATA_V1 << 3;
	cr_assert_eq(open_wire(s, (size_t)n), -VERDICT_DROP_OPCODE);
	ovpn_data_free(c);
	ovpn_data_free(s);
}

/* CVE-2025-15497 was a jump by exactly as many epochs as there are keys. */
Test(ovpn_data_epoch, jumps_up_to_the_last_key_that_is_ready)
{
	for (unsigned jump = 0; jump <= 6; jump++) {
		struct ovpn_data *c = key_of("CHACHA20-POLY1305", false), *s = key_of("CHACHA20-POLY1305", true);

		cr_assert_gt(pass(c, s), 0);
		skip(c, jump);
		cr_assert_eq(pass(c, s), jump <= 4 ? (ssize_t)sizeof(packet) : -VERDICT_DROP_KEY_ID, "%u", jump);
		cr_assert_eq(ovpn_data_epoch_send(s), jump <= 4 ? 1 + jump : 1);
		/* and again from there, both ways: our own sending has followed */
		if (jump <= 4) {
			cr_assert_gt(pass(s, c), 0);
			skip(c, jump);
			cr_assert_gt(pass(c, s), 0, "%u", jump);
			cr_assert_gt(pass(s, c), 0);
		}
		ovpn_data_free(c);
		ovpn_data_free(s);
	}
}

Test(ovpn_data_epoch, late_packets_of_the_epoch_before_are_taken)
{
	struct ovpn_data *c = key_of("AES-128-GCM", false), *s = key_of("AES-128-GCM", true);
	uint8_t late[3][128];
	size_t n = 0;

	for (unsigned i = 0; i < 3; i++) {
		n = (size_t)ovpn_data_seal(c, packet, sizeof(packet), late[i]);
		skip(c, i == 0 ? 0 : 1);
	}
	/* late[0], late[1]: epoch 1; late[2]: epoch 2; the sender is in epoch 3 */
	memcpy(wire, late[2], n);
	cr_assert_gt(open_wire(s, n), 0);
	memcpy(wire, late[1], n);
	cr_assert_gt(open_wire(s, n), 0, "the one before");
	cr_assert_eq(open_wire(s, n), -VERDICT_DROP_REPLAY);
	cr_assert_gt(pass(c, s), 0, "epoch 3");
	memcpy(wire, late[0], n);
	cr_assert_eq(open_wire(s, n), -VERDICT_DROP_KEY_ID, "two before");
	memcpy(wire, late[2], n);
	cr_assert_eq(open_wire(s, n), -VERDICT_DROP_REPLAY, "its window is still there");
	ovpn_data_free(c);
	ovpn_data_free(s);
}

Test(ovpn_data_epoch, counters_and_epochs_at_their_ends)
{
	struct ovpn_data *c = key_of("CHACHA20-POLY1305", false), *s = key_of("CHACHA20-POLY1305", true);

	cr_assert_eq(ovpn_data_epoch_skip(c, (1ULL << 48) - 2), 0);
	cr_assert_gt(pass(c, s), 0, "the last of the first epoch");
	assert_hex(wire + 4, 8, "0001ffffffffffff");
	cr_assert_gt(pass(c, s), 0);
	assert_hex(wire + 4, 8, "0002000000000001");
	cr_assert_not(ovpn_data_wants_rekey(c));
	while (ovpn_data_epoch_send(c) < 0xF000 - 1)
		skip(c, 1);
	cr_assert_gt(ovpn_data_seal(c, packet, sizeof(packet), wire), 0);
	cr_assert_not(ovpn_data_wants_rekey(c));
	skip(c, 1);
	cr_assert_gt(ovpn_data_seal(c, packet, sizeof(packet), wire), 0);
	cr_assert(ovpn_data_wants_rekey(c));
	while (ovpn_data_epoch_send(c) < 0xFFFF)
		skip(c, 1);
	cr_assert_eq(ovpn_data_epoch_skip(c, (1ULL << 48) - 2), 0);
	cr_assert_gt(ovpn_data_seal(c, packet, sizeof(packet), wire), 0);
	assert_hex(wire + 4, 8, "ffffffffffffffff");
	cr_assert_not(ovpn_data_is_exhausted(c));
	cr_assert_eq(ovpn_data_seal(c, packet, sizeof(packet), wire), -VERDICT_DROP_EXHAUSTED);
	cr_assert(ovpn_data_is_exhausted(c));
	cr_assert_eq(ovpn_data_epoch_skip(c, 0), -EOVERFLOW);
	ovpn_data_free(c);
	ovpn_data_free(s);
}

/* The receiver's keys at the end of all epochs: there is nothing after 0xFFFF to make ready. */
Test(ovpn_data_epoch, the_receiver_reaches_the_end, .timeout = 60)
{
	struct ovpn_data *c = key_of("AES-128-GCM", false), *s = key_of("AES-128-GCM", true);

	while (ovpn_data_epoch_send(c) < 0xFFFF) {
		skip(c, MIN(4u, 0xFFFFu - ovpn_data_epoch_send(c)));
		cr_assert_gt(pass(c, s), 0, "%x", ovpn_data_epoch_send(c));
		cr_assert_gt(pass(s, c), 0, "%x: and its own sending follows", ovpn_data_epoch_send(s));
	}
	cr_assert_gt(pass(c, s), 0);
	cr_assert(ovpn_data_wants_rekey(s));
	cr_assert_gt(pass(s, c), 0);
	ovpn_data_free(c);
	ovpn_data_free(s);
}

Test(ovpn_data_epoch, needs_a_peer_id_and_aead)
{
	struct ovpn_data_params p = { .cipher = ovpn_cipher_find("AES-256-CBC"), .digest = hash_digest_find("sha256"),
				      .keys = keys, .framing = &framing, .peer_id = 1, .epoch = true };
	struct ovpn_data *d = NULL;

	cr_assert_eq(ovpn_data_new(&d, &p), -EINVAL);
	p.cipher = ovpn_cipher_find("AES-256-GCM");
	p.peer_id = OVPN_PEER_ID_V1;
	cr_assert_eq(ovpn_data_new(&d, &p), -EINVAL);
	cr_assert_null(d);
}
