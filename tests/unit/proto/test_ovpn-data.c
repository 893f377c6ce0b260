/* The data channel: a published packet, both formats, all framings, forgeries, replays and the ends of the counters. */
#include "proto/ovpn-data-format.h"

#include <errno.h>

#include <openssl/crypto.h>

#include "lib/hex.h"

static uint8_t keys[OVPN_KEY_BLOCK_LEN];
static struct framing_state framing;
static const char *digest = "sha256";
static uint8_t wire[4096], area[PROTO_HEADROOM + 4096];
static uint8_t *const out = area + PROTO_HEADROOM;
static const uint8_t packet[] = "\x45" "an IPv4 packet as far as this layer cares";

/* Origin of the key's pattern: OpenVPN, tests/unit_tests/openvpn/test_ssl.c at 022f0a43, create_key. */
static void fill_keys(void)
{
	static const char pattern[] = "abcdefgh01234567ABCDEFGHjkuchenl";

	for (size_t i = 0; i < sizeof(keys); i++)
		keys[i] = (uint8_t)((uint8_t)pattern[i % 32] ^ i);
}

static bool ethernet;

static struct ovpn_data *key_of(const char *cipher, bool server, uint32_t peer_id)
{
	struct ovpn_data_params p = { .cipher = ovpn_cipher_find(cipher), .digest = hash_digest_find(digest), .keys = keys, .server = server, .key_id = 5,
				      .peer_id = peer_id, .replay_window = 64, .framing = &framing, .ethernet = ethernet };
	struct ovpn_data *d = NULL;

	fill_keys();
	cr_assert_eq(ovpn_data_new(&d, &p), 0);
	return d;
}

static ssize_t open_wire(struct ovpn_data *d, size_t len, enum ovpn_inner *kind)
{
	return ovpn_data_open(d, wire, len, out, sizeof(area) - PROTO_HEADROOM, kind);
}

Test(ovpn_data, published_packet)
{
	/*
	 * Origin: OpenVPN, tests/unit_tests/openvpn/test_ssl.c at 022f0a43, test_data_channel_known_vectors_run without epoch:
	 * header bytes 07 00 00 17, then pid 1, tag, and six bytes at offset 30 counted from the pid. That header's opcode is
	 * none, so it is put in by hand, and opened with the cipher alone.
	 */
	static const char text[] = "The quick little fox jumps over the bureaucratic hurdles";
	struct ovpn_data *d = key_of("AES-256-GCM", false, 23);
	uint8_t nonce[AEAD_NONCE_LEN], back[64];
	struct aead *a;
	ssize_t n;

	unhex("07000017", d->head, sizeof(d->head));
	n = ovpn_data_seal(d, (const uint8_t *)text, strlen(text), wire);
	cr_assert_eq(n, 4 + 4 + 16 + 56);
	assert_hex(wire, 8, "0700001700000001");
	assert_hex(wire + 8, 16, "1fdd908f0e9dc25e79d832020d58e73f");
	assert_hex(wire + 4 + 30, 6, "a82e6b1706d9");
	cr_assert_eq(aead_new(&a, aead_cipher_find("AES-256-GCM"), AEAD_OPEN, keys, 32), 0);
	memcpy(nonce, wire + 4, 4);
	memcpy(nonce + 4, keys + 64, 8);
	cr_assert_eq(aead_open(a, nonce, wire, 8, wire + 24, 56, back, wire + 8), 0);
	cr_assert_eq(memcmp(back, text, 56), 0);
	aead_free(a);
	ovpn_data_free(d);
}

Test(ovpn_data, headers_of_both_formats)
{
	struct ovpn_data *v2 = key_of("AES-256-GCM", false, 0xABCDEF), *v1 = key_of("AES-256-GCM", false, OVPN_PEER_ID_V1);
	uint8_t id = 99;

	cr_assert_eq(ovpn_data_seal(v2, packet, sizeof(packet), wire), (ssize_t)sizeof(packet) + 24);
	assert_hex(wire, 8, "4dabcdef00000001");
	cr_assert(ovpn_data_peek(wire, 1, &id));
	cr_assert_eq(id, 5);
	cr_assert_eq(ovpn_data_seal(v1, packet, sizeof(packet), wire), (ssize_t)sizeof(packet) + 21);
	assert_hex(wire, 5, "3500000001");
	cr_assert(ovpn_data_peek(wire, 1, &id));
	cr_assert_not(ovpn_data_peek(wire, 0, &id));
	wire[0] = OVPN_OP_CONTROL_V1 << 3;
	cr_assert_not(ovpn_data_peek(wire, 1, &id));
	ovpn_data_free(v1);
	ovpn_data_free(v2);
}

Test(ovpn_data, round_trip_of_everything)
{
	static const enum framing kinds[] = { FRAMING_NONE, FRAMING_LZO, FRAMING_SWAP, FRAMING_STUB_V2 };
	static const uint32_t peers[] = { 0, 77, OVPN_PEER_ID_UNDEF, OVPN_PEER_ID_V1 };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		cr_assert_eq(framing_init(&framing, kinds[k], false, 1500), 0);
		for (size_t i = 0; ovpn_cipher_at(i); i++) {
			for (size_t p = 0; p < ARRAY_SIZE(peers); p++) {
				struct ovpn_data *c = key_of(ovpn_cipher_at(i)->name, false, peers[p]);
				struct ovpn_data *s = key_of(ovpn_cipher_at(i)->name, true, peers[p]);

				for (size_t len = 1; len < 1501; len += len < 40 ? 1 : 97) {
					uint8_t inner[1500];
					enum ovpn_inner kind = OVPN_INNER_OCC;
					ssize_t n;

					memset(inner, (int)len, len);
					inner[0] = len % 2 ? 0x45 : 0x60;
					n = ovpn_data_seal(c, inner, len, wire);
					cr_assert(n > 0 && (size_t)n <= len + OVPN_DATA_OVERHEAD_MAX);
					cr_assert_eq(open_wire(s, (size_t)n, &kind), (ssize_t)len);
					cr_assert_eq(kind, OVPN_INNER_IP);
					cr_assert_eq(memcmp(out, inner, len), 0);
					n = ovpn_data_seal(s, inner, len, wire);
					cr_assert_eq(open_wire(c, (size_t)n, &kind), (ssize_t)len);
					cr_assert_eq(memcmp(out, inner, len), 0);
				}
				cr_assert_eq(c->n_sealed, s->n_opened);
				cr_assert_eq(c->bytes_sealed, s->bytes_opened);
				ovpn_data_free(c);
				ovpn_data_free(s);
			}
		}
	}
}

Test(ovpn_data, opening_stays_inside_what_it_may_write)
{
	cr_assert_eq(framing_init(&framing, FRAMING_LZO, false, 1500), 0);
	struct ovpn_data *c = key_of("AES-256-GCM", false, 1), *s = key_of("AES-256-GCM", true, 1);
	ssize_t n = ovpn_data_seal(c, packet, sizeof(packet), wire);
	enum ovpn_inner kind;

	memset(area, 0xcc, sizeof(area));
	cr_assert_eq(open_wire(s, (size_t)n, &kind), (ssize_t)sizeof(packet));
	cr_assert_eq(out[-1], 0xfa);
	for (size_t i = 0; i < PROTO_HEADROOM - OVPN_DATA_LEAD_MAX; i++)
		cr_assert_eq(area[i], 0xcc);
	cr_assert_eq(out[sizeof(packet)], 0xcc);
	/* no room: refused before anything is written */
	n = ovpn_data_seal(c, packet, sizeof(packet), wire);
	memset(area, 0xcc, sizeof(area));
	cr_assert_eq(ovpn_data_open(s, wire, (size_t)n, out, 8, &kind), -VERDICT_DROP_MALFORMED);
	cr_assert_eq(out[0], 0xcc);
	ovpn_data_free(c);
	ovpn_data_free(s);
}

static void every_bit(const char *cipher, uint32_t peer_id)
{
	struct ovpn_data *c = key_of(cipher, false, peer_id), *s = key_of(cipher, true, peer_id);
	enum ovpn_inner kind;
	ssize_t n = 0;
	/* By design: the op byte of DATA_V1 is not authenticated, with CBC the peer id neither. */
	size_t from = peer_id == OVPN_PEER_ID_V1 ? 8 : ovpn_cipher_find(cipher)->etm ? 32 : 0;

	/* not pid 1: flipping a bit must also reach ids below it */
	for (int i = 0; i < 40; i++)
		n = ovpn_data_seal(c, packet, sizeof(packet), wire);
	for (size_t bit = from; bit < (size_t)n * 8; bit++) {
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_lt(open_wire(s, (size_t)n, &kind), 0, "%s: bit %zu", cipher, bit);
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < (size_t)n; len++)
		cr_assert_lt(open_wire(s, len, &kind), 0, "cut to %zu", len);
	wire[n] = 0;
	cr_assert_lt(open_wire(s, (size_t)n + 1, &kind), 0);
	cr_assert_gt(s->n_forged, sizeof(packet) * 8);
	cr_assert_eq(s->n_opened, 0);
	cr_assert_eq(s->replay.top, 0, "a forgery moved the window");
	cr_assert_eq(open_wire(s, (size_t)n, &kind), (ssize_t)sizeof(packet));
	ovpn_data_free(c);
	ovpn_data_free(s);
}

Test(ovpn_data, one_wrong_bit_anywhere_is_refused)
{
	for (size_t i = 0; ovpn_cipher_at(i); i++) {
		every_bit(ovpn_cipher_at(i)->name, 9);
		every_bit(ovpn_cipher_at(i)->name, OVPN_PEER_ID_V1);
	}
}

Test(ovpn_data, wrong_direction_and_wrong_keys_are_refused)
{
	struct ovpn_data *a = key_of("AES-256-GCM", false, 1), *b = key_of("AES-256-GCM", false, 1);
	struct ovpn_data *chacha = key_of("CHACHA20-POLY1305", true, 1);
	ssize_t n = ovpn_data_seal(a, packet, sizeof(packet), wire);
	enum ovpn_inner kind;

	cr_assert_eq(open_wire(b, (size_t)n, &kind), -VERDICT_DROP_AUTH, "two clients");
	cr_assert_eq(open_wire(a, (size_t)n, &kind), -VERDICT_DROP_AUTH, "reflected to its sender");
	cr_assert_eq(open_wire(chacha, (size_t)n, &kind), -VERDICT_DROP_AUTH, "another cipher");
	cr_assert_eq(b->n_forged, 1);
	ovpn_data_free(a);
	ovpn_data_free(b);
	ovpn_data_free(chacha);
}

Test(ovpn_data, replays_are_refused_and_order_may_change)
{
	struct ovpn_data *c = key_of("AES-128-GCM", false, 1), *s = key_of("AES-128-GCM", true, 1);
	static uint8_t sent[101][128];
	enum ovpn_inner kind;
	ssize_t n = 0;

	for (int i = 1; i <= 100; i++)
		n = ovpn_data_seal(c, packet, sizeof(packet), sent[i]);
#define OPEN(i) ovpn_data_open(s, sent[i], (size_t)n, out, 4096, &kind)
	cr_assert_gt(OPEN(100), 0);
	cr_assert_eq(OPEN(100), -VERDICT_DROP_REPLAY);
	cr_assert_gt(OPEN(37), 0, "63 behind");
	cr_assert_eq(OPEN(37), -VERDICT_DROP_REPLAY);
	cr_assert_eq(OPEN(36), -VERDICT_DROP_REPLAY, "too old");
	cr_assert_gt(OPEN(99), 0);
	cr_assert_eq(s->n_opened, 3);
	cr_assert_eq(s->n_forged, 0);
#undef OPEN
	ovpn_data_free(c);
	ovpn_data_free(s);
}

Test(ovpn_data, short_packets_and_other_opcodes)
{
	struct ovpn_data *s = key_of("AES-256-GCM", true, 1);
	enum ovpn_inner kind;

	memset(wire, 0, sizeof(wire));
	wire[0] = OVPN_OP_DATA_V2 << 3;
	for (size_t n = 0; n < 24; n++)
		cr_assert_eq(open_wire(s, n, &kind), -VERDICT_DROP_SHORT);
	cr_assert_eq(open_wire(s, 24, &kind), -VERDICT_DROP_REPLAY, "pid 0");
	wire[0] = OVPN_OP_DATA_V1 << 3;
	for (size_t n = 1; n < 21; n++)
		cr_assert_eq(open_wire(s, n, &kind), -VERDICT_DROP_SHORT);
	wire[0] = OVPN_OP_CONTROL_V1 << 3;
	cr_assert_eq(open_wire(s, 100, &kind), -VERDICT_DROP_OPCODE);
	cr_assert_eq(s->n_forged, 0);
	ovpn_data_free(s);
}

Test(ovpn_data, pid_zero_is_invalid_even_when_authentic)
{
	struct ovpn_data *c = key_of("AES-256-GCM", false, 1), *s = key_of("AES-256-GCM", true, 1);
	uint8_t nonce[AEAD_NONCE_LEN] = { 0 };
	enum ovpn_inner kind;

	unhex("4d00000100000000", wire, 8);
	memcpy(nonce + 4, keys + 64, 8);
	cr_assert_eq(aead_seal(c->seal, nonce, wire, 8, packet, sizeof(packet), wire + 24, wire + 8), 0);
	cr_assert_eq(open_wire(s, 24 + sizeof(packet), &kind), -VERDICT_DROP_REPLAY);
	ovpn_data_free(c);
	ovpn_data_free(s);
}

Test(ovpn_data, cbc_looks_as_it_should)
{
	static const char *const digests[] = { "sha1", "sha224", "sha256", "sha384", "sha512" };
	enum ovpn_inner kind;

	cr_assert_eq(framing_init(&framing, FRAMING_NONE, false, 1500), 0);
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		size_t mac = hash_digest_find(digests[i])->len, text;
		struct ovpn_data *c, *s;
		ssize_t n;

		digest = digests[i];
		c = key_of("AES-128-CBC", false, 0xABCDEF);
		s = key_of("AES-128-CBC", true, 0xABCDEF);
		for (size_t len = 1; len < 100; len++) {
			uint8_t inner[100] = { 0x45 }, first[300];

			text = (4 + len + 16) / 16 * 16;
			n = ovpn_data_seal(c, inner, len, wire);
			cr_assert_eq(n, (ssize_t)(4 + mac + 16 + text), "%zu", len);
			assert_hex(wire, 4, "4dabcdef");
			memcpy(first, wire, (size_t)n);
			cr_assert_eq(open_wire(s, (size_t)n, &kind), (ssize_t)len);
			cr_assert_eq(open_wire(s, (size_t)n, &kind), -VERDICT_DROP_REPLAY);
			n = ovpn_data_seal(c, inner, len, wire);
			cr_assert_neq(memcmp(first + 4 + mac, wire + 4 + mac, 16), 0, "the same IV again");
		}
		ovpn_data_free(c);
		ovpn_data_free(s);
	}
	digest = "sha256";
}

/* An authentic packet may still hold nonsense: the peer is not trusted with more than its packets. */
Test(ovpn_data, cbc_with_nothing_inside)
{
	static const struct {
		const char *hex;
		enum verdict v;
	} rows[] = {
		{ "", VERDICT_DROP_SHORT },
		{ "000000", VERDICT_DROP_SHORT },
		{ "00000000", VERDICT_DROP_REPLAY },
		{ "0000000045", VERDICT_DROP_REPLAY },
		{ "00000001", VERDICT_OK },
		{ "0000000211", VERDICT_DROP_FRAMING },
	};
	struct ovpn_data *c, *s;

	cr_assert_eq(framing_init(&framing, FRAMING_NONE, false, 1500), 0);
	c = key_of("AES-256-CBC", false, OVPN_PEER_ID_V1);
	s = key_of("AES-256-CBC", true, OVPN_PEER_ID_V1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum ovpn_inner kind = OVPN_INNER_IP;
		uint8_t inner[16];
		struct span part = { inner, unhex(rows[i].hex, inner, sizeof(inner)) };
		ssize_t n = etm_seal_parts(c->etm_seal, &part, 1, wire + 1);

		wire[0] = c->head[0];
		cr_assert_gt(n, 0);
		cr_assert_eq(open_wire(s, (size_t)n + 1, &kind), -(ssize_t)rows[i].v, "row %zu", i);
		cr_assert(rows[i].v || kind == OVPN_INNER_PING);
	}
	ovpn_data_free(c);
	ovpn_data_free(s);
}

/* All ciphers, all framings: what we seal is whole, what comes in pieces is put together behind decryption. */
Test(ovpn_data, fragments)
{
	static const enum framing kinds[] = { FRAMING_NONE, FRAMING_LZO, FRAMING_SWAP, FRAMING_STUB_V2 };
	static struct framing_state none = { .kind = FRAMING_NONE };
	struct fragment_state fragment;
	uint8_t inner[1400], framed[1500], piece[1000];
	enum ovpn_inner kind;

	memset(inner, 0x45, sizeof(inner));
	for (size_t k = 0; k < ARRAY_SIZE(kinds) * 7; k++) {
		const char *cipher = ovpn_cipher_at(k % 7)->name;
		struct span parts[FRAMING_PARTS_MAX];
		struct ovpn_data *c, *s;
		size_t n_framed = 0;
		unsigned n_parts;
		ssize_t n;

		cr_assert_eq(fragment_init(&fragment, 1502), 0);
		cr_assert_eq(framing_init(&framing, kinds[k / 7], false, 1500), 0);
		c = key_of(cipher, false, 1);
		s = key_of(cipher, true, 1);
		c->fragment = s->fragment = &fragment;
		c->lead = s->lead = (uint8_t)(framing_lead(framing.kind) + FRAGMENT_HEAD_LEN);
		n = ovpn_data_seal(c, inner, sizeof(inner), wire);
		cr_assert(n > 0 && (size_t)n <= sizeof(inner) + OVPN_DATA_OVERHEAD_MAX);
		cr_assert_eq(open_wire(s, (size_t)n, &kind), (ssize_t)sizeof(inner));
		cr_assert_eq(memcmp(out, inner, sizeof(inner)), 0);
		cr_assert_eq(ovpn_data_seal(c, ovpn_ping_magic, 16, wire) > 0, true);

		/* what a peer cuts: sealed as it is, without framing of ours */
		n_parts = framing_parts(framing.kind, inner, sizeof(inner), parts);
		for (unsigned i = 0; i < n_parts; n_framed += parts[i].len, i++)
			memcpy(framed + n_framed, parts[i].p, parts[i].len);
		c->fragment = NULL;
		c->framing = &none;
		for (size_t i = 0; i < 2; i++) {
			size_t len = i ? n_framed - 800 : 800;
			uint32_t word = (i ? 2u | 200u << 15 : 1u) | (uint32_t)i << 10;

			ovpn_data_put_be32(piece, word);
			memcpy(piece + 4, framed + i * 800, len);
			n = ovpn_data_seal(c, piece, 4 + len, wire);
			kind = OVPN_INNER_OCC;
			cr_assert_eq(open_wire(s, (size_t)n, &kind), i ? (ssize_t)sizeof(inner) : 0, "%s %zu", cipher, k / 7);
			cr_assert_eq(kind, i ? OVPN_INNER_IP : OVPN_INNER_PING);
		}
		cr_assert_eq(memcmp(out, inner, sizeof(inner)), 0);
		n = ovpn_data_seal(c, packet, 3, wire);
		cr_assert_eq(open_wire(s, (size_t)n, &kind), -VERDICT_DROP_FRAMING, "shorter than a header");
		ovpn_data_free(c);
		ovpn_data_free(s);
		fragment_done(&fragment);
	}
}

Test(ovpn_data, keepalive_and_occ_messages)
{
	static const enum framing kinds[] = { FRAMING_NONE, FRAMING_LZO, FRAMING_SWAP, FRAMING_STUB_V2 };
	uint8_t occ[40];

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		enum ovpn_inner kind;
		ssize_t n;

		cr_assert_eq(framing_init(&framing, kinds[k], false, 1500), 0);
		struct ovpn_data *c = key_of("CHACHA20-POLY1305", false, 1), *s = key_of("CHACHA20-POLY1305", true, 1);

#define EXPECT(p, len, length, what)                                                                                   \
	n = ovpn_data_seal(c, p, len, wire);                                                                           \
	kind = OVPN_INNER_IP;                                                                                          \
	cr_assert_eq(open_wire(s, (size_t)n, &kind), length);                                                          \
	cr_assert_eq(kind, what)
		EXPECT(ovpn_ping_magic, sizeof(ovpn_ping_magic), 0, OVPN_INNER_PING);
		EXPECT((const uint8_t *)"", 0, 0, OVPN_INNER_PING);
		EXPECT(ovpn_occ_exit, sizeof(ovpn_occ_exit), 0, OVPN_INNER_EXIT);
		memcpy(occ, ovpn_occ_exit, sizeof(ovpn_occ_exit));
		occ[16] = 0; /* request */
		EXPECT(occ, 17, 17, OVPN_INNER_OCC);
		occ[16] = 1; /* reply with a string */
		EXPECT(occ, 40, 40, OVPN_INNER_OCC);
#undef EXPECT
		/* neither IP nor a message: what a framing mismatch looks like */
		for (size_t len = 1; len < 20; len++) {
			uint8_t junk[20];

			memcpy(junk, ovpn_ping_magic, 16);
			memset(junk + 16, 0, 4);
			junk[0] ^= len == 16;
			n = ovpn_data_seal(c, junk, len, wire);
			cr_assert_eq(open_wire(s, (size_t)n, &kind), -VERDICT_DROP_FRAMING, "%zu bytes", len);
		}
		ovpn_data_free(c);
		ovpn_data_free(s);
	}
	assert_hex(ovpn_ping_magic, 16, "2a187bf3641eb4cb07ed2d0a981fc748");
	assert_hex(ovpn_occ_exit, 17, "287f346bd4ef7a812d56b8d3afc5459c06");
}

Test(ovpn_data, a_frame_may_begin_with_anything)
{
	static const enum framing kinds[] = { FRAMING_NONE, FRAMING_LZO, FRAMING_SWAP, FRAMING_STUB_V2 };
	uint8_t frame[60] = { 0 };

	ethernet = true;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		enum ovpn_inner kind;
		ssize_t n;

		cr_assert_eq(framing_init(&framing, kinds[k], false, 1500), 0);
		struct ovpn_data *c = key_of("AES-256-GCM", false, 1), *s = key_of("AES-256-GCM", true, 1);

		for (unsigned first = 0; first < 256; first++) {
			frame[0] = (uint8_t)first;
			n = ovpn_data_seal(c, frame, sizeof(frame), wire);
			cr_assert_eq(open_wire(s, (size_t)n, &kind), (ssize_t)sizeof(frame));
			cr_assert(kind == OVPN_INNER_IP && memcmp(out, frame, sizeof(frame)) == 0, "framing %zu, %u", k, first);
		}
		n = ovpn_data_seal(c, ovpn_ping_magic, sizeof(ovpn_ping_magic), wire);
		cr_assert(open_wire(s, (size_t)n, &kind) == 0 && kind == OVPN_INNER_PING);
		n = ovpn_data_seal(c, ovpn_occ_exit, sizeof(ovpn_occ_exit), wire);
		cr_assert(open_wire(s, (size_t)n, &kind) == 0 && kind == OVPN_INNER_EXIT);
		n = ovpn_data_seal(c, frame, 13, wire); /* too short to be one */
		cr_assert_eq(open_wire(s, (size_t)n, &kind), -VERDICT_DROP_FRAMING);
		framing_done(&framing);
		ovpn_data_free(c);
		ovpn_data_free(s);
	}
	ethernet = false;
}

Test(ovpn_data, framing_mismatch_is_dropped)
{
	struct framing_state lzo = { .kind = FRAMING_LZO };
	struct ovpn_data *c = key_of("AES-256-GCM", false, 1), *s = key_of("AES-256-GCM", true, 1);
	enum ovpn_inner kind;
	ssize_t n;

	c->framing = &lzo;
	n = ovpn_data_seal(c, packet, sizeof(packet), wire);
	cr_assert_eq(open_wire(s, (size_t)n, &kind), -VERDICT_DROP_FRAMING, "0xFA is no IP version");
	c->framing = &framing;
	s->framing = &lzo;
	n = ovpn_data_seal(c, packet, sizeof(packet), wire);
	cr_assert_eq(open_wire(s, (size_t)n, &kind), -VERDICT_DROP_FRAMING, "0x45 is no framing byte");
	ovpn_data_free(c);
	ovpn_data_free(s);
}

Test(ovpn_data, packet_ids_near_their_end)
{
	struct ovpn_data *c = key_of("CHACHA20-POLY1305", false, 1), *s = key_of("CHACHA20-POLY1305", true, 1);
	enum ovpn_inner kind;
	ssize_t n;

	cr_assert_not(ovpn_data_wants_rekey(c));
	c->pid = OVPN_DATA_PID_REKEY - 2;
	n = ovpn_data_seal(c, packet, sizeof(packet), wire);
	cr_assert_gt(open_wire(s, (size_t)n, &kind), 0);
	cr_assert_not(ovpn_data_wants_rekey(c));
	cr_assert_not(ovpn_data_wants_rekey(s));
	n = ovpn_data_seal(c, packet, sizeof(packet), wire);
	assert_hex(wire + 4, 4, "ff000000");
	cr_assert(ovpn_data_wants_rekey(c));
	cr_assert_gt(open_wire(s, (size_t)n, &kind), 0);
	cr_assert(ovpn_data_wants_rekey(s), "the peer is about to run out");
	c->pid = 0xFFFFFFFB; /* 2^32 - 5 */
	for (uint32_t i = 0xFFFFFFFC; i != 0; i++) {
		cr_assert_not(ovpn_data_is_exhausted(c));
		n = ovpn_data_seal(c, packet, sizeof(packet), wire);
		cr_assert_gt(open_wire(s, (size_t)n, &kind), 0, "pid %x", i);
	}
	cr_assert(ovpn_data_is_exhausted(c));
	for (int i = 0; i < 3; i++)
		cr_assert_eq(ovpn_data_seal(c, packet, sizeof(packet), wire), -VERDICT_DROP_EXHAUSTED);
	cr_assert_eq(c->pid, OVPN_DATA_PID_LAST);
	/* receiving goes on */
	n = ovpn_data_seal(s, packet, sizeof(packet), wire);
	cr_assert_gt(open_wire(c, (size_t)n, &kind), 0);
	ovpn_data_free(c);
	ovpn_data_free(s);
}

Test(ovpn_data, gcm_blocks_are_limited_and_chacha_is_not)
{
	struct ovpn_data *g = key_of("AES-256-GCM", false, 1), *c = key_of("CHACHA20-POLY1305", false, 1);

	cr_assert_gt(ovpn_data_seal(g, packet, 17, wire), 0);
	cr_assert_eq(g->seal_blocks, 3, "two blocks and one packet");
	g->seal_blocks = c->seal_blocks = OVPN_DATA_GCM_LIMIT / 8 * 7 - 1;
	cr_assert_not(ovpn_data_wants_rekey(g));
	cr_assert_gt(ovpn_data_seal(g, packet, 1, wire), 0);
	cr_assert(ovpn_data_wants_rekey(g));
	g->seal_blocks = c->seal_blocks = OVPN_DATA_GCM_LIMIT;
	cr_assert_eq(ovpn_data_seal(g, packet, 1, wire), -VERDICT_DROP_EXHAUSTED);
	cr_assert_gt(ovpn_data_seal(c, packet, 1, wire), 0);
	cr_assert_not(ovpn_data_wants_rekey(c));
	ovpn_data_free(g);
	ovpn_data_free(c);
}

Test(ovpn_data, forgeries_are_limited)
{
	struct ovpn_data *c = key_of("AES-256-GCM", false, 1), *s = key_of("AES-256-GCM", true, 1);
	ssize_t n = ovpn_data_seal(c, packet, sizeof(packet), wire);
	enum ovpn_inner kind;

	s->n_forged = OVPN_DATA_FORGED_LIMIT / 8 * 7;
	cr_assert(ovpn_data_wants_rekey(s));
	s->n_forged = OVPN_DATA_FORGED_LIMIT;
	cr_assert_eq(open_wire(s, (size_t)n, &kind), -VERDICT_DROP_EXHAUSTED);
	ovpn_data_free(c);
	ovpn_data_free(s);
}

Test(ovpn_data, compressed_packets_are_opened_when_there_is_room)
{
	/* 0x66, then LZO1X of 0x45 and 1399 times 'a' as lzo1x_1_compress of liblzo2 2.10 gives it. */
	static const char hex[] = "66 034561616161612000000000004800000b6161616161616161616161616161110000";
	struct framing_state plain = { .kind = FRAMING_NONE };
	struct ovpn_data *c, *s;
	enum ovpn_inner kind;
	uint8_t inner[64];
	size_t len = unhex(hex, inner, sizeof(inner));
	ssize_t n;

	cr_assert_eq(framing_init(&framing, FRAMING_LZO, true, 1500), 0);
	c = key_of("AES-256-GCM", false, 1);
	s = key_of("AES-256-GCM", true, 1);
	c->framing = &plain; /* the peer compresses; we cannot, so what it would seal is put in as it is */
	n = ovpn_data_seal(c, inner, len, wire);
	cr_assert_eq(open_wire(s, (size_t)n, &kind), 1400);
	cr_assert_eq(kind, OVPN_INNER_IP);
	cr_assert_eq(out[0], 0x45);
	for (size_t i = 1; i < 1400; i++)
		cr_assert_eq(out[i], 'a');
	n = ovpn_data_seal(c, inner, len, wire);
	memset(area, 0xcc, sizeof(area));
	cr_assert_eq(ovpn_data_open(s, wire, (size_t)n, out, 1399, &kind), -VERDICT_DROP_FRAMING);
	cr_assert_eq(out[1399], 0xcc);
	cr_assert_eq(framing.n_compressed, 2);
	ovpn_data_free(c);
	ovpn_data_free(s);
	framing_done(&framing);
}

static unsigned n_allocations;

static void *counting_malloc(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	n_allocations++;
	return malloc(n);
}

static void *counting_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file, (void)line;
	n_allocations++;
	return realloc(p, n);
}

static void plain_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

/* Only possible before libcrypto's first allocation, which is not in the hands of a single test. */
__attribute__((constructor)) static void count_allocations(void)
{
	(void)CRYPTO_set_mem_functions(counting_malloc, counting_realloc, plain_free); /* the test sees whether it counts */
}

Test(ovpn_data, libcrypto_allocates_nothing_per_packet)
{
	cr_assert_eq(framing_init(&framing, FRAMING_LZO, false, 1500), 0);
	for (size_t i = 0; ovpn_cipher_at(i); i++) {
		struct ovpn_data *c = key_of(ovpn_cipher_at(i)->name, false, 1);
		struct ovpn_data *s = key_of(ovpn_cipher_at(i)->name, true, 1);
		enum ovpn_inner kind;

		if (!ovpn_cipher_at(i)->aead) {
			/* libcrypto's HMAC allocates for itself. */
			ovpn_data_free(c);
			ovpn_data_free(s);
			continue;
		}
		cr_assert_gt(n_allocations, 0, "the counter counts");
		for (int round = 0; round < 100; round++) {
			ssize_t n = ovpn_data_seal(c, packet, sizeof(packet), wire);

			cr_assert_gt(open_wire(s, (size_t)n, &kind), 0);
			if (round == 0)
				n_allocations = 0;
		}
		cr_assert_eq(n_allocations, 0, "%s", ovpn_cipher_at(i)->name);
		n_allocations = 1;
		ovpn_data_free(c);
		ovpn_data_free(s);
	}
}

Test(ovpn_data, parameters_are_checked)
{
	struct ovpn_data_params ok = { .cipher = ovpn_cipher_find("AES-256-GCM"), .keys = keys, .framing = &framing }, p;
	struct ovpn_data *d = NULL;

	p = ok, p.cipher = NULL;
	cr_assert_eq(ovpn_data_new(&d, &p), -EINVAL);
	p = ok, p.keys = NULL;
	cr_assert_eq(ovpn_data_new(&d, &p), -EINVAL);
	p = ok, p.framing = NULL;
	cr_assert_eq(ovpn_data_new(&d, &p), -EINVAL);
	p = ok, p.key_id = 8;
	cr_assert_eq(ovpn_data_new(&d, &p), -EINVAL);
	p = ok, p.peer_id = 0x1000000;
	cr_assert_eq(ovpn_data_new(&d, &p), -EINVAL);
	cr_assert_null(d);
	cr_assert_eq(ovpn_data_new(&d, &ok), 0);
	cr_assert_eq(ovpn_data_seal(d, packet, 65536, wire), -VERDICT_DROP_MALFORMED);
	cr_assert_eq(d->pid, 0);
	ovpn_data_free(d);
	cr_assert_null(ovpn_data_free(NULL));
}
