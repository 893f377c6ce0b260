/*
 * Compression framing. The decompressors run on authenticated bytes only, from a copy in a buffer that was allocated
 * at the start, with a hard bound on their output.
 */
#include "proto/framing.h"

#include <string.h>

#include <lz4.h>
#include <lzo/lzo1x.h>

#include "base/cleanup.h"

#define LZO_PLAIN 0xFA
#define LZO_LZO1X 0x66
#define SWAP_PLAIN 0xFB
#define SWAP_LZ4 0x69
#define STUB_ESCAPE 0x50
#define STUB_PLAIN 0x00
#define STUB_LZ4 0x01
#define STUB_PLAIN_2_7 0x0A /* what newer servers write instead */

/* Compressed bytes can be longer than what they stand for, by LZO's own rule; LZ4's (len / 255 + 16) is below it. */
static size_t compressed_worst(size_t len)
{
	return len + len / 16 + 64 + 3;
}

int framing_init(struct framing_state *f, enum framing kind, bool decompress, size_t inner_max)
{
	*f = (struct framing_state){ .kind = kind, .inner_max = inner_max };
	if (!decompress || kind == FRAMING_NONE)
		return 0;
	if (kind == FRAMING_LZO && lzo_init() != LZO_E_OK)
		return -EIO;
	f->scratch_len = compressed_worst(inner_max);
	f->scratch = malloc(f->scratch_len);
	if (!f->scratch)
		return -ENOMEM;
	f->decompress = true;
	return 0;
}

void framing_done(struct framing_state *f)
{
	free(f->scratch);
	f->scratch = NULL;
	f->decompress = false;
}

unsigned framing_parts(enum framing kind, const uint8_t *in, size_t len, struct span parts[FRAMING_PARTS_MAX])
{
	static const uint8_t lzo_plain = LZO_PLAIN, swap_plain = SWAP_PLAIN;
	static const uint8_t stub_plain[2] = { STUB_ESCAPE, STUB_PLAIN };

	switch (kind) {
	case FRAMING_NONE:
		break;
	case FRAMING_LZO:
		parts[0] = (struct span){ &lzo_plain, 1 };
		parts[1] = (struct span){ in, len };
		return 2;
	case FRAMING_SWAP:
		if (!len)
			break;
		parts[0] = (struct span){ &swap_plain, 1 };
		parts[1] = (struct span){ in + 1, len - 1 };
		parts[2] = (struct span){ in, 1 };
		return 3;
	case FRAMING_STUB_V2:
		if (!len || in[0] != STUB_ESCAPE)
			break;
		parts[0] = (struct span){ stub_plain, sizeof(stub_plain) };
		parts[1] = (struct span){ in, len };
		return 2;
	}
	parts[0] = (struct span){ in, len };
	return 1;
}

static ssize_t lzo_expand(const uint8_t *in, size_t len, uint8_t *out, size_t most)
{
	lzo_uint n = most;

	return lzo1x_decompress_safe(in, len, out, &n, NULL) == LZO_E_OK ? (ssize_t)n : -VERDICT_DROP_FRAMING;
}

static ssize_t lz4_expand(const uint8_t *in, size_t len, uint8_t *out, size_t most)
{
	int n = LZ4_decompress_safe((const char *)in, (char *)out, (int)len, (int)most);

	return n >= 0 ? n : -VERDICT_DROP_FRAMING;
}

/* len compressed bytes at in, which lies in or before out, are replaced by what they stand for, at out. */
static ssize_t expand(struct framing_state *f, ssize_t (*unpack)(const uint8_t *, size_t, uint8_t *, size_t),
		      const uint8_t *in, size_t len, uint8_t *out, size_t room)
{
	f->n_compressed++;
	if (!f->decompress || len > f->scratch_len)
		return -VERDICT_DROP_FRAMING;
	memcpy(f->scratch, in, len);
	return unpack(f->scratch, len, out, MIN(room, f->inner_max));
}

static ssize_t strip_lzo(struct framing_state *f, uint8_t *out, size_t len, size_t room)
{
	if (out[-1] == LZO_PLAIN)
		return (ssize_t)(len - 1);
	if (out[-1] == LZO_LZO1X)
		return expand(f, lzo_expand, out, len - 1, out, room);
	return -VERDICT_DROP_FRAMING;
}

static ssize_t strip_swap(struct framing_state *f, uint8_t *out, size_t len, size_t room)
{
	uint8_t mark = out[0];

	if (mark != SWAP_PLAIN && mark != SWAP_LZ4)
		return -VERDICT_DROP_FRAMING;
	out[0] = out[len - 1]; /* with one byte alone the result is empty */
	return mark == SWAP_PLAIN ? (ssize_t)(len - 1) : expand(f, lz4_expand, out, len - 1, out, room);
}

static ssize_t strip_stub(struct framing_state *f, uint8_t *out, size_t len, size_t room)
{
	if (out[0] != STUB_ESCAPE)
		return (ssize_t)len;
	if (len < 2)
		return -VERDICT_DROP_FRAMING;
	if (out[1] == STUB_LZ4)
		return expand(f, lz4_expand, out + 2, len - 2, out, room);
	if (out[1] != STUB_PLAIN && out[1] != STUB_PLAIN_2_7) {
		f->n_compressed++;
		f->n_unknown++;
		return -VERDICT_DROP_FRAMING;
	}
	/* Never an IP packet, so the copy costs nothing in practice. */
	memmove(out, out + 2, len - 2);
	return (ssize_t)(len - 2);
}

ssize_t framing_strip(struct framing_state *f, uint8_t *out, size_t len, size_t room)
{
	if (!len)
		return 0;
	switch (f->kind) {
	case FRAMING_NONE:
		return (ssize_t)len;
	case FRAMING_LZO:
		return strip_lzo(f, out, len, room);
	case FRAMING_SWAP:
		return strip_swap(f, out, len, room);
	case FRAMING_STUB_V2:
		return strip_stub(f, out, len, room);
	}
	return -VERDICT_DROP_FRAMING;
}
