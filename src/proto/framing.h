/*
 * Compression framing inside the encryption. We never compress; we frame when told to, because a mismatch kills every
 * packet silently.
 *
 *   NONE     packet
 *   LZO      0xFA packet                                    0x66: LZO1X-compressed
 *   SWAP     0xFB, packet without its first byte, that byte 0x69: LZ4-compressed
 *   STUB_V2  packet; 0x50 0x00 packet when it begins with 0x50; 0x50 n: compressed
 *
 * A server may compress all the same, so what it compressed is unpacked: LZO1X in LZO, LZ4 in SWAP and STUB_V2. Other
 * algorithms are not, nor anything when the profile forbids it (`allow-compression no`). The output is bounded.
 */
#pragma once

#include <sys/types.h>

#include "crypto/span.h"
#include "profile/profile.h"
#include "proto/proto.h"

#define FRAMING_PARTS_MAX 3
#define FRAMING_GROWTH_MAX 2 /* bytes that framing adds at most */
#define FRAMING_LEAD_MAX 1

struct framing_state {
	enum framing kind;
	bool decompress;
	size_t inner_max;       /* longest packet a decompression may give */
	uint8_t *scratch;       /* owned; only with decompress */
	size_t scratch_len;
	uint64_t n_compressed;  /* compressed packets seen, opened or not: a thing to tell the user once */
	uint64_t n_unknown;     /* those of an algorithm that is not had */
};

/* 0, -ENOMEM, -EIO (liblzo2 does not work here). Allocates here, not later. */
int framing_init(struct framing_state *f, enum framing kind, bool decompress, size_t inner_max);
void framing_done(struct framing_state *f);

/*
 * The framed form of a packet as pieces for sealing; they point into in and into static storage. Returns how
 * many (1..3, also for an empty packet). Ping and OCC messages pass here like IP packets.
 */
unsigned framing_parts(enum framing kind, const uint8_t *in, size_t len, struct span parts[FRAMING_PARTS_MAX]);

/* How many bytes before `out` the framed plaintext has to be put, so that the packet itself begins at out. */
static inline size_t framing_lead(enum framing kind)
{
	return kind == FRAMING_LZO ? 1 : 0;
}

/*
 * Takes the framing off: len authenticated bytes lie at out - framing_lead(). >= 0: length of the packet that now
 * begins at out (0: an empty one); < 0: -VERDICT_DROP_FRAMING. room: bytes that may be written at out (a decompressed
 * packet is longer than what came); a packet that does not fit is dropped.
 */
ssize_t framing_strip(struct framing_state *f, uint8_t *out, size_t len, size_t room);
