/* Compression framing: each kind both ways, empty payloads, compressed packets and hostile ones. */
#include "proto/framing.h"

#include <lz4.h>
#include <lzo/lzo1x.h>
#include <stdlib.h>

#include "lib/hex.h"

#define ROOM 2048

static uint8_t area[PROTO_HEADROOM + ROOM];
static uint8_t *const out = area + PROTO_HEADROOM;

static size_t frame(enum framing kind, const uint8_t *in, size_t len, uint8_t *buf)
{
	struct span parts[FRAMING_PARTS_MAX];
	unsigned n = framing_parts(kind, in, len, parts);
	size_t total = 0;

	cr_assert(n >= 1 && n <= FRAMING_PARTS_MAX);
	for (unsigned i = 0; i < n; i++) {
		if (parts[i].len)
			memcpy(buf + total, parts[i].p, parts[i].len);
		total += parts[i].len;
	}
	return total;
}

/* Puts framed bytes where the cipher would have put them. */
static ssize_t strip(struct framing_state *f, const uint8_t *framed, size_t len, size_t room)
{
	memset(area, 0xcc, sizeof(area));
	memcpy(out - framing_lead(f->kind), framed, len);
	return framing_strip(f, out, len, room);
}

static ssize_t strip_hex(enum framing kind, const char *hex)
{
	struct framing_state f;
	uint8_t buf[64];

	cr_assert_eq(framing_init(&f, kind, false, 1500), 0);
	return strip(&f, buf, unhex(hex, buf, sizeof(buf)), ROOM);
}

Test(framing, bytes_on_the_wire)
{
	static const struct {
		enum framing kind;
		const char *in, *framed;
	} v[] = {
		{ FRAMING_NONE, "45000102", "45000102" },
		{ FRAMING_NONE, "", "" },
		{ FRAMING_LZO, "45000102", "fa45000102" },
		{ FRAMING_LZO, "", "fa" },
		{ FRAMING_SWAP, "45000102", "fb00010245" },
		{ FRAMING_SWAP, "45", "fb45" },
		{ FRAMING_SWAP, "", "" },
		{ FRAMING_STUB_V2, "45000102", "45000102" },
		{ FRAMING_STUB_V2, "50000102", "500050000102" },
		{ FRAMING_STUB_V2, "50", "500050" },
		{ FRAMING_STUB_V2, "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		uint8_t in[64], buf[64];
		size_t n = unhex(v[i].in, in, sizeof(in)), framed = frame(v[i].kind, in, n, buf);
		struct framing_state f;

		assert_hex(buf, framed, v[i].framed);
		cr_assert_leq(framed, n + FRAMING_GROWTH_MAX);
		cr_assert_eq(framing_init(&f, v[i].kind, false, 1500), 0);
		cr_assert_eq(strip(&f, buf, framed, ROOM), (ssize_t)n);
		assert_hex(out, n, v[i].in);
		framing_done(&f);
	}
}

Test(framing, all_lengths_round_trip)
{
	static const enum framing kinds[] = { FRAMING_NONE, FRAMING_LZO, FRAMING_SWAP, FRAMING_STUB_V2 };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct framing_state f;

		cr_assert_eq(framing_init(&f, kinds[k], false, 1500), 0);
		for (size_t len = 0; len < 300; len++) {
			uint8_t in[300], buf[310];

			for (size_t i = 0; i < len; i++)
				in[i] = (uint8_t)(i + (len % 2 ? 0x50 : 0x45));
			cr_assert_eq(strip(&f, buf, frame(kinds[k], in, len, buf), ROOM), (ssize_t)len);
			cr_assert_eq(memcmp(out, in, len), 0);
		}
		framing_done(&f);
	}
}

Test(framing, unknown_marks_and_compressed_packets_are_dropped)
{
	static const struct {
		enum framing kind;
		const char *framed;
	} v[] = {
		{ FRAMING_LZO, "45000102" }, { FRAMING_LZO, "fb000102" }, { FRAMING_LZO, "00" }, { FRAMING_LZO, "66" },
		{ FRAMING_LZO, "6617000102" }, { FRAMING_LZO, "69000102" },
		{ FRAMING_SWAP, "69000102" }, { FRAMING_SWAP, "45000102" }, { FRAMING_SWAP, "fa" }, { FRAMING_SWAP, "66" },
		{ FRAMING_STUB_V2, "50" }, { FRAMING_STUB_V2, "5001aabb" }, { FRAMING_STUB_V2, "5002aabb" },
		{ FRAMING_STUB_V2, "5003" }, { FRAMING_STUB_V2, "50ff" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		cr_assert_eq(strip_hex(v[i].kind, v[i].framed), -VERDICT_DROP_FRAMING, "%s", v[i].framed);
	/* both spellings of the escape */
	cr_assert_eq(strip_hex(FRAMING_STUB_V2, "50005000"), 2);
	cr_assert_eq(strip_hex(FRAMING_STUB_V2, "500a5000"), 2);
	cr_assert_eq(strip_hex(FRAMING_STUB_V2, "5000"), 0);
	cr_assert_eq(strip_hex(FRAMING_SWAP, "fb"), 0);
	cr_assert_eq(strip_hex(FRAMING_LZO, "fa"), 0);
}

/* A packet whose bytes change every `run` bytes, compressed and marked. */
static size_t compressed(uint8_t *buf, size_t inner_len, size_t run)
{
	static uint8_t inner[65536], work[LZO1X_1_MEM_COMPRESS];
	lzo_uint n = 0;

	cr_assert_eq(lzo_init(), LZO_E_OK);
	for (size_t i = 0; i < inner_len; i++)
		inner[i] = (uint8_t)(i == 0 ? 0x45 : i / run);
	buf[0] = 0x66;
	cr_assert_eq(lzo1x_1_compress(inner, inner_len, buf + 1, &n, work), LZO_E_OK);
	return n + 1;
}

Test(framing, lzo_packets_are_decompressed_when_asked_for)
{
	struct framing_state f;
	uint8_t buf[4096];
	size_t n = compressed(buf, 1500, 8);

	cr_assert_lt(n, 1500);
	cr_assert_eq(framing_init(&f, FRAMING_LZO, true, 1500), 0);
	for (int round = 0; round < 2; round++) {
		cr_assert_eq(strip(&f, buf, n, ROOM), 1500);
		for (size_t i = 1; i < 1500; i++)
			cr_assert_eq(out[i], (uint8_t)(i / 8));
		cr_assert_eq(out[1500], 0xcc, "written beyond the packet");
	}
	cr_assert_eq(f.n_compressed, 2);
	framing_done(&f);
	/* and dropped, but counted, when not */
	cr_assert_eq(framing_init(&f, FRAMING_LZO, false, 1500), 0);
	cr_assert_eq(strip(&f, buf, n, ROOM), -VERDICT_DROP_FRAMING);
	cr_assert_eq(f.n_compressed, 1);
	framing_done(&f);
}

Test(framing, decompression_is_bounded)
{
	struct framing_state f;
	uint8_t buf[4096];
	size_t n = compressed(buf, 1500, 8);

	cr_assert_eq(framing_init(&f, FRAMING_LZO, true, 1499), 0);
	cr_assert_eq(strip(&f, buf, n, ROOM), -VERDICT_DROP_FRAMING, "one byte more than inner_max");
	framing_done(&f);
	cr_assert_eq(framing_init(&f, FRAMING_LZO, true, 1500), 0);
	cr_assert_eq(strip(&f, buf, n, 1499), -VERDICT_DROP_FRAMING, "one byte more than there is room");
	cr_assert_eq(out[1499], 0xcc);
	cr_assert_eq(strip(&f, buf, n, 1500), 1500);
	/* a bomb: 64 KiB in a few hundred bytes */
	n = compressed(buf, 65536, 65536);
	cr_assert_lt(n, 1500);
	cr_assert_eq(strip(&f, buf, n, ROOM), -VERDICT_DROP_FRAMING);
	cr_assert_eq(out[1500], 0xcc);
	framing_done(&f);
}

Test(framing, damaged_lzo_stays_inside_its_bounds)
{
	struct framing_state f;
	uint8_t buf[4096], damaged[4096];
	size_t n = compressed(buf, 1400, 8);

	srand(7);
	cr_assert_eq(framing_init(&f, FRAMING_LZO, true, 1500), 0);
	for (size_t cut = 1; cut < n; cut++)
		cr_assert_eq(strip(&f, buf, cut, ROOM), -VERDICT_DROP_FRAMING, "cut to %zu", cut);
	for (int i = 0; i < 20000; i++) {
		memcpy(damaged, buf, n);
		for (int j = 0; j <= i % 4; j++)
			damaged[1 + (size_t)rand() % (n - 1)] = (uint8_t)rand();
		cr_assert_leq(strip(&f, damaged, n, ROOM), 1500);
		cr_assert_eq(out[1500], 0xcc, "written beyond inner_max");
	}
	framing_done(&f);
	framing_done(&f); /* twice is fine */
}

/* The same for LZ4, marked as SWAP and STUB_V2 want it. */
static size_t compressed_lz4(enum framing kind, uint8_t *buf, size_t cap, size_t inner_len, size_t run)
{
	static char inner[65536], packed[65536];
	int n;

	for (size_t i = 0; i < inner_len; i++)
		inner[i] = (char)(i == 0 ? 0x45 : i / run);
	n = LZ4_compress_default(inner, packed, (int)inner_len, sizeof(packed));
	cr_assert(n > 1 && (size_t)n + 2 < cap);
	if (kind == FRAMING_STUB_V2) {
		buf[0] = 0x50;
		buf[1] = 0x01;
		memcpy(buf + 2, packed, (size_t)n);
		return (size_t)n + 2;
	}
	/* the mark takes the first byte's place, which goes to the end */
	buf[0] = 0x69;
	memcpy(buf + 1, packed + 1, (size_t)n - 1);
	buf[n] = (uint8_t)packed[0];
	return (size_t)n + 1;
}

Test(framing, lz4_packets_are_decompressed_within_bounds)
{
	static const enum framing kinds[] = { FRAMING_SWAP, FRAMING_STUB_V2 };
	static uint8_t buf[8192], damaged[sizeof(buf)];

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		size_t n = compressed_lz4(kinds[k], buf, sizeof(buf), 1500, 8);
		struct framing_state f;

		cr_assert_eq(framing_init(&f, kinds[k], true, 1500), 0);
		for (int round = 0; round < 2; round++) {
			cr_assert_eq(strip(&f, buf, n, ROOM), 1500);
			cr_assert_eq(out[0], 0x45);
			for (size_t i = 1; i < 1500; i++)
				cr_assert_eq(out[i], (uint8_t)(i / 8));
			cr_assert_eq(out[1500], 0xcc, "written beyond the packet");
		}
		cr_assert_eq(f.n_compressed, 2);
		cr_assert_eq(f.n_unknown, 0);
		cr_assert_eq(strip(&f, buf, n, 1499), -VERDICT_DROP_FRAMING, "one byte more than there is room");
		cr_assert_eq(out[1499], 0xcc);
		for (size_t cut = 1; cut < n; cut++)
			cr_assert_leq(strip(&f, buf, cut, ROOM), 1500, "cut to %zu", cut);
		srand(7);
		for (int i = 0; i < 20000; i++) {
			memcpy(damaged, buf, n);
			for (int j = 0; j <= i % 4; j++)
				damaged[2 + (size_t)rand() % (n - 2)] = (uint8_t)rand();
			cr_assert_leq(strip(&f, damaged, n, ROOM), 1500);
			cr_assert_eq(out[1500], 0xcc, "written beyond inner_max");
		}
		/* a bomb: 64 KiB in a few hundred bytes */
		n = compressed_lz4(kinds[k], buf, sizeof(buf), 65536, 65536);
		cr_assert_lt(n, 1500);
		cr_assert_eq(strip(&f, buf, n, ROOM), -VERDICT_DROP_FRAMING);
		cr_assert_eq(out[1500], 0xcc);
		framing_done(&f);
		/* and dropped, but counted, when it is forbidden */
		cr_assert_eq(framing_init(&f, kinds[k], false, 1500), 0);
		cr_assert_eq(strip(&f, buf, n, ROOM), -VERDICT_DROP_FRAMING);
		cr_assert_eq(f.n_compressed, 1);
		framing_done(&f);
	}
}

/* The mark alone, or with an empty body: the decompressors get zero bytes. */
Test(framing, compressed_nothing_is_dropped)
{
	static const struct {
		enum framing kind;
		const char *framed;
	} v[] = {
		{ FRAMING_LZO, "66" }, { FRAMING_SWAP, "69" }, { FRAMING_STUB_V2, "5001" }, { FRAMING_STUB_V2, "5003aa" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		struct framing_state f;
		uint8_t buf[8];

		cr_assert_eq(framing_init(&f, v[i].kind, true, 1500), 0);
		cr_assert_eq(strip(&f, buf, unhex(v[i].framed, buf, sizeof(buf)), ROOM), -VERDICT_DROP_FRAMING, "%s", v[i].framed);
		cr_assert_eq(f.n_compressed, 1);
		cr_assert_eq(f.n_unknown, i == 3);
		framing_done(&f);
	}
}
