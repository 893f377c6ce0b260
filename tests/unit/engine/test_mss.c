/* The MSS clamp: what it lowers, what it leaves alone, and that it never looks past the end. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "engine/mss.h"
#include "unit/engine/packets.h"

#define SYN 0x02
#define SYN_ACK 0x12

static const uint8_t plain[] = { 2, 4, 0x05, 0xb4 };
static const uint8_t odd[] = { 1, 2, 4, 0x05, 0xb4, 1, 1, 1 };                   /* value at an odd offset */
static const uint8_t behind[] = { 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 0x05, 0xb4 };
static const uint8_t behind_odd[] = { 3, 3, 7, 2, 4, 0x05, 0xb4, 0 };
static const uint8_t none[] = { 4, 2, 1, 1 };
static const uint8_t behind_end[] = { 0, 2, 4, 0x05, 0xb4, 0, 0, 0 };
static const uint8_t zero_len[] = { 9, 0, 2, 4, 0x05, 0xb4, 0, 0 };
static const uint8_t one_len[] = { 9, 1, 2, 4, 0x05, 0xb4, 0, 0 };
static const uint8_t too_long[] = { 9, 40, 2, 4, 0x05, 0xb4, 0, 0 };
static const uint8_t bad_mss_len[] = { 2, 3, 0x05, 0xb4 };
static const uint8_t cut[] = { 1, 1, 1, 2 };

struct row {
	const char *what;
	const uint8_t *options;
	size_t n;
	uint8_t flags;
	uint32_t max;
	unsigned v4, v6; /* expected value, 0: unchanged */
};
#define O(x) x, sizeof(x)

static const struct row rows[] = {
	{ "a SYN", O(plain), SYN, 1400, 1360, 1340 },
	{ "a SYN-ACK", O(plain), SYN_ACK, 1400, 1360, 1340 },
	{ "an odd offset", O(odd), SYN, 1400, 1360, 1340 },
	{ "behind other options", O(behind), SYN, 1400, 1360, 1340 },
	{ "behind other options, odd", O(behind_odd), SYN, 1400, 1360, 1340 },
	{ "small enough", O(plain), SYN, 1520, 0, 0 },
	{ "exactly right for IPv4", O(plain), SYN, 1500, 0, 1440 },
	{ "off", O(plain), SYN, 0, 0, 0 },
	{ "absurdly small", O(plain), SYN, 20, 88, 88 },
	{ "no SYN", O(plain), 0x10, 1400, 0, 0 },
	{ "no MSS option", O(none), SYN, 1400, 0, 0 },
	{ "no options", NULL, 0, SYN, 1400, 0, 0 },
	{ "behind the end of the list", O(behind_end), SYN, 1400, 0, 0 },
	{ "an option of length 0", O(zero_len), SYN, 1400, 0, 0 },
	{ "an option of length 1", O(one_len), SYN, 1400, 0, 0 },
	{ "an option past the header", O(too_long), SYN, 1400, 0, 0 },
	{ "an MSS option of length 3", O(bad_mss_len), SYN, 1400, 0, 0 },
	{ "an option cut off", O(cut), SYN, 1400, 0, 0 },
};

/* The value of the only option of kind 2 and length 4 as a naive search finds it. */
static unsigned value(const uint8_t *options, size_t n)
{
	for (size_t i = 0; i + 3 < n; i++)
		if (options[i] == 2 && options[i + 1] == 4)
			return (unsigned)options[i + 2] << 8 | options[i + 3];
	return 0;
}

Test(mss, table)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			const struct row *r = &rows[i];
			unsigned want = v6 ? r->v6 : r->v4;
			uint8_t p[200], before[200];
			size_t len = packet_build(p, &(struct packet_spec){ .v6 = v6, .flags = r->flags, .options = r->options,
									    .n_options = r->n });

			memcpy(before, p, len);
			cr_assert_eq(mss_clamp(p, len, r->max), want != 0, "%s, v6 %u", r->what, v6);
			if (want) {
				cr_assert_eq(value(p + (v6 ? 60 : 40), r->n), want, "%s, v6 %u", r->what, v6);
				cr_assert(packet_is_good(p, len), "%s, v6 %u: checksum", r->what, v6);
			} else {
				cr_assert_eq(memcmp(p, before, len), 0, "%s, v6 %u", r->what, v6);
			}
		}
}

Test(mss, leaves_later_fragments_and_other_protocols_alone)
{
	uint8_t p[200];
	size_t len = packet_build(p, &(struct packet_spec){ .flags = SYN, .options = plain, .n_options = 4 });

	p[7] = 1;
	cr_assert_not(mss_clamp(p, len, 1000));
	p[7] = 0;
	p[9] = 17;
	cr_assert_not(mss_clamp(p, len, 1000));
	p[9] = 6;
	p[0] = 0x44;
	cr_assert_not(mss_clamp(p, len, 1000));
	p[0] = 0x55;
	cr_assert_not(mss_clamp(p, len, 1000));
	p[0] = 0x45;
	cr_assert(mss_clamp(p, len, 1000));
}

/* Puts an extension header of 8 * units bytes between IPv6 and TCP. */
static size_t insert(uint8_t *p, size_t len, uint8_t kind, unsigned units)
{
	memmove(p + 40 + 8 * units, p + 40, len - 40);
	memset(p + 40, 0, 8 * units);
	p[40] = p[6];
	p[41] = kind == 44 ? 0 : (uint8_t)(units - 1);
	p[6] = kind;
	return len + 8 * units;
}

Test(mss, walks_ipv6_extension_headers)
{
	uint8_t p[300];
	size_t len = packet_build(p, &(struct packet_spec){ .v6 = true, .flags = SYN, .options = plain, .n_options = 4 });

	len = insert(p, len, 44, 1);
	len = insert(p, len, 60, 2);
	len = insert(p, len, 43, 1);
	len = insert(p, len, 0, 1);
	cr_assert(mss_clamp(p, len, 1400));
	cr_assert_eq(value(p + len - 4, 4), 1340);

	p[len - 2] = 0x05, p[len - 1] = 0xb4;
	p[40 + 8 + 8 + 16 + 3] = 0x08; /* the fragment header: not the first fragment */
	cr_assert_not(mss_clamp(p, len, 1400));
	p[40 + 8 + 8 + 16 + 3] = 0x01; /* first of several */
	cr_assert(mss_clamp(p, len, 1400));
	p[41] = 255; /* an extension longer than the packet */
	p[len - 2] = 0x05, p[len - 1] = 0xb4;
	cr_assert_not(mss_clamp(p, len, 1400));
	p[41] = 0;
	p[6] = 50; /* ESP: nothing to see */
	cr_assert_not(mss_clamp(p, len, 1400));
}

Test(mss, gives_up_on_endless_extension_headers)
{
	uint8_t p[1200];
	size_t len = packet_build(p, &(struct packet_spec){ .v6 = true, .flags = SYN, .options = plain, .n_options = 4 });

	for (unsigned i = 0; i < 9; i++)
		len = insert(p, len, 60, 1);
	cr_assert_not(mss_clamp(p, len, 1400));
}

Test(mss, never_reads_past_the_end)
{
	uint8_t p[300];
	size_t len = packet_build(p, &(struct packet_spec){ .v6 = true, .flags = SYN, .options = behind, .n_options = 16 });

	len = insert(p, len, 60, 1);
	for (size_t n = 0; n < len; n++) { /* exactly n bytes on the heap: a sanitizer sees one too many */
		uint8_t *cut_off = malloc(n ? n : 1);

		cr_assert_not_null(cut_off);
		memcpy(cut_off, p, n);
		(void)mss_clamp(cut_off, n, 600);
		free(cut_off);
	}
}

Test(mss, finds_the_packet_in_a_frame)
{
	static const struct {
		uint8_t head[6]; /* behind both addresses */
		size_t n;
		bool found;
	} heads[] = {
		{ { 0x08, 0x00 }, 2, true },
		{ { 0x81, 0x00, 0x00, 0x07, 0x08, 0x00 }, 6, true },
		{ { 0x08, 0x06 }, 2, false },
		{ { 0x81, 0x00, 0x00, 0x07, 0x81, 0x00 }, 6, false },
		{ { 0x00, 0x2e }, 2, false },
	};
	struct packet_spec spec = { .flags = SYN, .options = plain, .n_options = sizeof(plain) };
	uint8_t packet[PACKET_MAX];
	size_t len = packet_build(packet, &spec);

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		size_t total = 12 + heads[i].n + len;
		uint8_t *frame = malloc(total); /* of exactly that size: ASan sees a byte too far */

		cr_assert(frame);
		memset(frame, 0xaa, 12);
		memcpy(frame + 12, heads[i].head, heads[i].n);
		memcpy(frame + 12 + heads[i].n, packet, len);
		cr_assert_eq(mss_clamp_frame(frame, total, 1400), heads[i].found, "case %zu", i);
		free(frame);
		for (size_t cut_at = 0; cut_at < 12 + heads[i].n + 20; cut_at++) {
			uint8_t *piece = malloc(cut_at + 1);

			cr_assert(piece);
			memset(piece, 0, cut_at + 1);
			if (cut_at > 12)
				memcpy(piece + 12, heads[i].head, MIN(heads[i].n, cut_at - 12));
			cr_assert_not(mss_clamp_frame(piece, cut_at, 1400));
			free(piece);
		}
	}
}
