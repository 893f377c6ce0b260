/* Packets over TCP: cut at every byte, and lengths that cannot be. */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ovpn-stream.h"

#define SIZE (OVPN_STREAM_BUFFER_MIN + 100)

static uint8_t buf[SIZE];
static struct ovpn_stream s;

static void setup(void)
{
	memset(buf, 0xee, sizeof(buf));
	ovpn_stream_init(&s, buf, sizeof(buf));
}

/* Puts n bytes of p into the stream, as much at once as there is room; all of it has to fit. */
static void feed(const uint8_t *p, size_t n)
{
	size_t room;
	uint8_t *at = ovpn_stream_room(&s, &room);

	cr_assert_leq(n, room);
	if (n)
		memcpy(at, p, n);
	ovpn_stream_add(&s, n);
}

static size_t frame(uint8_t *p, size_t len, uint8_t fill)
{
	ovpn_stream_prefix(p, len);
	memset(p + OVPN_STREAM_PREFIX, fill, len);
	return OVPN_STREAM_PREFIX + len;
}

static void expect(size_t len, uint8_t fill)
{
	const uint8_t *p;
	size_t n;

	cr_assert_eq(ovpn_stream_next(&s, &p, &n), 1);
	cr_assert_eq(n, len);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(p[i], fill);
}

static int next(void)
{
	const uint8_t *p = (const uint8_t *)"untouched";
	size_t n = 4711;
	int r = ovpn_stream_next(&s, &p, &n);

	if (r <= 0) {
		cr_assert_eq(n, 4711);
		cr_assert_str_eq((const char *)p, "untouched");
	}
	return r;
}

Test(ovpn_stream, split_at_every_byte, .init = setup)
{
	uint8_t wire[64];
	size_t n = frame(wire, 1, 0xa1);

	n += frame(wire + n, 17, 0xa2);
	n += frame(wire + n, 2, 0xa3);
	for (size_t cut = 0; cut <= n; cut++) {
		size_t got = 0;
		static const size_t lens[] = { 1, 17, 2 }, ends[] = { 3, 22, 26 };

		ovpn_stream_init(&s, buf, sizeof(buf));
		feed(wire, cut);
		while (got < 3 && ends[got] <= cut) {
			expect(lens[got], (uint8_t)(0xa1 + got));
			got++;
		}
		cr_assert_eq(next(), 0, "cut at %zu", cut);
		feed(wire + cut, n - cut);
		for (; got < 3; got++)
			expect(lens[got], (uint8_t)(0xa1 + got));
		cr_assert_eq(next(), 0);
	}
}

Test(ovpn_stream, byte_by_byte, .init = setup)
{
	uint8_t wire[300];
	size_t n = frame(wire, 255, 7), got = 0;

	n += frame(wire + n, 3, 8);
	for (size_t i = 0; i < n; i++) {
		feed(wire + i, 1);
		if (i + 1 == 257)
			expect(255, 7), got++;
		else if (i + 1 == n)
			expect(3, 8), got++;
		else
			cr_assert_eq(next(), 0);
	}
	cr_assert_eq(got, 2);
}

Test(ovpn_stream, many_packets_in_one_read, .init = setup)
{
	uint8_t wire[5000];
	size_t n = 0;

	for (uint8_t i = 0; i < 40; i++)
		n += frame(wire + n, 1u + i, i);
	feed(wire, n);
	for (uint8_t i = 0; i < 40; i++)
		expect(1u + i, i);
	cr_assert_eq(next(), 0);
}

Test(ovpn_stream, length_zero_is_never_right, .init = setup)
{
	uint8_t wire[8];
	size_t n = frame(wire, 3, 1);

	memset(wire + n, 0, 2);
	feed(wire, n + 1);
	expect(3, 1);
	cr_assert_eq(next(), 0);
	feed(wire + n + 1, 1);
	cr_assert_eq(next(), -EBADMSG);
	cr_assert_eq(next(), -EBADMSG, "and stays so");
	ovpn_stream_init(&s, buf, sizeof(buf));
	ovpn_stream_trust(&s);
	feed((const uint8_t *)"\0\0", 2);
	cr_assert_eq(next(), -EBADMSG);
}

Test(ovpn_stream, other_services_are_known_by_two_bytes, .init = setup)
{
	static const char *const greetings[] = { "HTTP/1.1 400", "SSH-2.0", "220 mail", "\x15\x03\x03", "\x16\x03\x03", "* OK", "<html>" };

	for (size_t i = 0; i < ARRAY_SIZE(greetings); i++) {
		ovpn_stream_init(&s, buf, sizeof(buf));
		feed((const uint8_t *)greetings[i], 2);
		cr_assert_eq(next(), -EBADMSG, "%s", greetings[i]);
	}
}

Test(ovpn_stream, the_limit_is_exact_and_lifted_by_trust, .init = setup)
{
	uint8_t *wire = malloc(OVPN_STREAM_BUFFER_MIN);

	cr_assert_not_null(wire);
	feed(wire, frame(wire, OVPN_STREAM_FIRST_MAX, 5));
	expect(OVPN_STREAM_FIRST_MAX, 5);
	ovpn_stream_prefix(wire, OVPN_STREAM_FIRST_MAX + 1);
	feed(wire, 2);
	cr_assert_eq(next(), -EBADMSG);
	ovpn_stream_trust(&s);
	cr_assert_eq(next(), 0);
	free(wire);
}

Test(ovpn_stream, the_longest_packet_always_has_room, .init = setup)
{
	uint8_t *wire = malloc(OVPN_STREAM_BUFFER_MIN);
	size_t n, room;

	cr_assert_not_null(wire);
	ovpn_stream_trust(&s);
	for (unsigned round = 0; round < 3; round++) {
		/* a small one in front, so that the long one begins in the middle of the buffer */
		feed(wire, frame(wire, 60, 1));
		n = frame(wire, OVPN_STREAM_FRAME_MAX, 2);
		feed(wire, 30);
		expect(60, 1);
		for (size_t at = 30; at < n; at += room) {
			cr_assert_eq(next(), 0);
			(void)ovpn_stream_room(&s, &room);
			cr_assert_gt(room, 0);
			room = MIN(room, n - at);
			feed(wire + at, room);
		}
		expect(OVPN_STREAM_FRAME_MAX, 2);
		cr_assert_eq(next(), 0);
	}
	free(wire);
}

Test(ovpn_stream, a_reader_that_counts_too_far_is_stopped, .init = setup)
{
	ovpn_stream_add(&s, SIZE + 5);
	cr_assert_eq(s.end, SIZE);
}
