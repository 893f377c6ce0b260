/* clock.h: the clocks move, and times read well. */
#include <criterion/criterion.h>

#include "base/clock.h"

Test(clock, moves_forward)
{
	usec_t a = clock_boottime(), b = clock_boottime();

	cr_assert_gt(a, 0);
	cr_assert_geq(b, a);
	cr_assert_gt(clock_realtime(), 1600000000ULL * USEC_PER_SEC);
}

Test(clock, utc)
{
	char buf[32], small[8];

	cr_expect_str_eq(clock_format_utc(1767225600ULL * USEC_PER_SEC, buf, sizeof(buf)), "2026-01-01T00:00:00Z");
	cr_expect_str_eq(clock_format_utc(USEC_PER_SEC + 999999, buf, sizeof(buf)), "1970-01-01T00:00:01Z");
	cr_expect_str_eq(clock_format_utc(0, buf, sizeof(buf)), "");
	cr_expect_str_eq(clock_format_utc(USEC_INFINITY, buf, sizeof(buf)), "");
	cr_expect_str_eq(clock_format_utc(USEC_PER_SEC, small, sizeof(small)), "");
	cr_expect_str_eq(clock_format_utc(USEC_PER_SEC, buf, 21), "1970-01-01T00:00:01Z");
}

Test(clock, spans)
{
	static const struct {
		usec_t span;
		const char *s;
	} rows[] = {
		{ 0, "0 s" },
		{ 999, "0 s" },
		{ 350 * USEC_PER_MSEC, "350 ms" },
		{ 1999999, "1 s" },
		{ 61 * USEC_PER_SEC, "1 min 1 s" },
		{ 120 * USEC_PER_SEC, "2 min" },
		{ 7500 * USEC_PER_SEC, "2 h 5 min" },
		{ 90000 * USEC_PER_SEC, "1 d 1 h" },
		{ USEC_INFINITY, "for ever" },
	};
	char buf[48];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_str_eq(clock_format_span(rows[i].span, buf, sizeof(buf)), rows[i].s);
}
