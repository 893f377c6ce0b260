/* OpenVPN's fragments: order, loss, doubles, age, and everything that no honest sender makes. */
#include "proto/fragment.h"

#include <criterion/criterion.h>
#include <errno.h>

#define PACKET_MAX 1502

static struct fragment_state f;
static uint8_t packet[PACKET_MAX], area[PACKET_MAX + 64];

static void make(void)
{
	cr_assert_eq(fragment_init(&f, PACKET_MAX), 0);
	for (size_t i = 0; i < sizeof(packet); i++)
		packet[i] = (uint8_t)(i * 7 + i / 256);
}

static void drop(void)
{
	fragment_done(&f);
	fragment_done(&f); /* twice is fine */
}

TestSuite(fragment, .init = make, .fini = drop);

static ssize_t take(uint32_t word, const uint8_t *p, size_t len)
{
	const uint8_t head[] = { (uint8_t)(word >> 24), (uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word };

	memset(area, 0xcc, sizeof(area));
	memcpy(area, head, sizeof(head));
	memcpy(area + 4, p, len);
	return fragment_take(&f, area, 4 + len, sizeof(area) - 4);
}

/* Piece i of a packet of len bytes cut to pieces of `size`, as a sender makes it. */
static ssize_t give(uint8_t seq, size_t len, size_t size, size_t i)
{
	size_t n = (len + size - 1) / size;
	bool last = i + 1 == n;
	uint32_t word = (last ? 2 : 1) | (uint32_t)seq << 2 | (uint32_t)i << 10 | (last ? (uint32_t)(size / 4) << 15 : 0);

	return take(word, packet + i * size, last ? len - i * size : size);
}

Test(fragment, whole_packets_pass)
{
	cr_assert_eq(take(0, packet, 1000), 1000);
	cr_assert_eq(memcmp(area + 4, packet, 1000), 0);
	cr_assert_eq(take(0, packet, 0), 0);
	cr_assert_eq(take(77 << 2, packet, 1), 1, "the rest of the word does not matter");
}

Test(fragment, pieces_come_in_any_order)
{
	static const size_t lens[] = { 1502, 1500, 1400, 401, 400, 8, 5 }, sizes[] = { 400, 752, 1200, 52, 4 };

	for (size_t l = 0; l < ARRAY_SIZE(lens); l++)
		for (size_t z = 0; z < ARRAY_SIZE(sizes); z++) {
			size_t n = (lens[l] + sizes[z] - 1) / sizes[z];

			if (n > FRAGMENT_PIECES_MAX)
				continue;
			for (size_t round = 0; round < 3; round++)
				for (size_t i = 0; i < n; i++) {
					size_t k = round == 0 ? i : round == 1 ? n - 1 - i : (i + n / 2) % n;
					ssize_t r = give((uint8_t)(l * 31 + z * 3 + round), lens[l], sizes[z], k);

					cr_assert_eq(r, i + 1 == n ? (ssize_t)lens[l] : 0, "len %zu size %zu piece %zu: %zd", lens[l],
						     sizes[z], k, r);
				}
			cr_assert_eq(memcmp(area + 4, packet, lens[l]), 0);
			cr_assert_eq(area[4 + lens[l]], 0xcc);
		}
}

Test(fragment, packets_may_be_interleaved_and_pieces_doubled)
{
	for (unsigned seq = 0; seq < FRAGMENT_SLOTS; seq++)
		for (unsigned twice = 0; twice < 2; twice++)
			cr_assert_eq(give((uint8_t)seq, 1000, 600, 0), 0);
	for (unsigned seq = 0; seq < FRAGMENT_SLOTS; seq++)
		cr_assert_eq(give((uint8_t)seq, 1000, 600, 1), 1000);
	cr_assert_eq(f.n_joined, FRAGMENT_SLOTS);
	/* a double behind a complete packet is the beginning of nothing */
	cr_assert_eq(give(3, 1000, 600, 1), 0);
}

Test(fragment, a_newer_packet_takes_the_slot)
{
	cr_assert_eq(give(1, 1000, 600, 0), 0);
	cr_assert_eq(give(1 + FRAGMENT_SLOTS, 1000, 600, 0), 0);
	cr_assert_eq(give(1, 1000, 600, 1), 0, "its first piece is gone");
	cr_assert_eq(f.n_joined, 0);
}

Test(fragment, incomplete_packets_are_forgotten)
{
	f.now = 5 * USEC_PER_SEC;
	cr_assert_eq(give(9, 1000, 600, 0), 0);
	f.now += FRAGMENT_LIFETIME;
	cr_assert_eq(give(9, 1000, 600, 1), 1000);
	cr_assert_eq(give(9, 1000, 600, 0), 0);
	f.now += FRAGMENT_LIFETIME + 1;
	cr_assert_eq(give(9, 1000, 600, 1), 0, "another packet, 256 later");
}

Test(fragment, nonsense_costs_the_packet_only)
{
	static const struct {
		uint32_t word;
		size_t len;
	} rows[] = {
		{ 3, 100 },			       /* test */
		{ 1, 0 },			       /* a piece of nothing */
		{ 2 | 100u << 15, 0 },
		{ 2, 100 },			       /* last, size 0 (CVE-2023-46849) */
		{ 2 | 24u << 15, 97 },		       /* longer than the others */
		{ 1 | 31u << 10, 100 },		       /* ends beyond the longest packet */
		{ 2 | 15u << 10 | 25u << 15, 4 },      /* 1500 + 4 */
		{ 2 | 31u << 10 | 0x3fffu << 15, 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_eq(take(rows[i].word, packet, rows[i].len), -VERDICT_DROP_FRAMING, "row %zu", i);
	for (size_t len = 0; len < 4; len++)
		cr_expect_eq(fragment_take(&f, area, len, sizeof(area)), -VERDICT_DROP_FRAMING);
	/* a piece behind the last, another last one, and a last one in front of another */
	cr_assert_eq(give(1, 1000, 400, 2), 0);
	cr_assert_eq(take(1 | 1u << 2 | 3u << 10, packet, 400), -VERDICT_DROP_FRAMING);
	cr_assert_eq(give(1, 1000, 400, 2), 0);
	cr_assert_eq(take(2 | 1u << 2 | 1u << 10 | 100u << 15, packet, 40), -VERDICT_DROP_FRAMING);
	cr_assert_eq(give(2, 1000, 400, 1), 0);
	cr_assert_eq(take(2 | 2u << 2 | 0u << 10 | 100u << 15, packet, 40), -VERDICT_DROP_FRAMING);
	/* pieces of different sizes never become one packet */
	cr_assert_eq(give(3, 1000, 400, 0), 0);
	cr_assert_eq(give(3, 1000, 404, 1), 0);
	cr_assert_eq(give(3, 1000, 400, 2), 0);
	cr_assert_eq(give(3, 1000, 400, 1), 0);
	cr_assert_eq(give(3, 1000, 400, 0), 1000);
}

Test(fragment, what_does_not_fit_the_callers_room_is_dropped)
{
	uint32_t word = 2 | 1u << 10 | 150u << 15;

	cr_assert_eq(give(0, 1000, 600, 0), 0);
	memset(area, 0xcc, sizeof(area));
	memcpy(area, (uint8_t[]){ (uint8_t)(word >> 24), (uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word }, 4);
	cr_assert_eq(fragment_take(&f, area, 4 + 400, 999), -VERDICT_DROP_FRAMING);
	cr_assert_eq(area[4 + 400], 0xcc);
}

Test(fragment, parameters_are_checked)
{
	struct fragment_state g;

	cr_assert_eq(fragment_init(&g, 0), -EINVAL);
	cr_assert_eq(fragment_init(&g, 65536), -EINVAL);
	fragment_done(&g);
}
