/* parse.h: every accepted form, and many that are not. */
#include <criterion/criterion.h>

#include <errno.h>

#include "base/parse.h"
#include "base/str.h"

Test(parse, u64)
{
	static const struct {
		const char *s;
		uint64_t min, max;
		int r;
		uint64_t v;
	} rows[] = {
		{ "0", 0, 10, 0, 0 },
		{ "0010", 0, 10, 0, 10 },
		{ "11", 0, 10, -ERANGE, 0 },
		{ "4", 5, 10, -ERANGE, 0 },
		{ "18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", 0, UINT64_MAX, -ERANGE, 0 },
		{ "99999999999999999999999999", 0, UINT64_MAX, -ERANGE, 0 },
		{ "99999999999999999999999999x", 0, UINT64_MAX, -EINVAL, 0 },
		{ "", 0, 10, -EINVAL, 0 },
		{ " 1", 0, 10, -EINVAL, 0 },
		{ "1 ", 0, 10, -EINVAL, 0 },
		{ "+1", 0, 10, -EINVAL, 0 },
		{ "-1", 0, 10, -EINVAL, 0 },
		{ "0x1", 0, 10, -EINVAL, 0 },
		{ "1.0", 0, 10, -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t v = 77;

		cr_expect_eq(parse_u64(rows[i].s, rows[i].min, rows[i].max, &v), rows[i].r, "row %zu", i);
		cr_expect_eq(v, rows[i].r == 0 ? rows[i].v : 77, "row %zu", i);
	}
}

Test(parse, u32_and_port)
{
	uint32_t v = 1;
	uint16_t port = 1;

	cr_expect_eq(parse_u32("4294967295", 0, UINT32_MAX, &v), 0);
	cr_expect_eq(v, UINT32_MAX);
	cr_expect_eq(parse_u32("4294967296", 0, UINT32_MAX, &v), -ERANGE);
	cr_expect_eq(parse_port("65535", &port), 0);
	cr_expect_eq(port, 65535);
	cr_expect_eq(parse_port("0", &port), -ERANGE);
	cr_expect_eq(parse_port("65536", &port), -ERANGE);
	cr_expect_eq(parse_port("http", &port), -EINVAL);
	cr_expect_eq(port, 65535);
}

Test(parse, i64)
{
	static const struct {
		const char *s;
		int r;
		int64_t v;
	} rows[] = {
		{ "-9223372036854775808", 0, INT64_MIN },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "9223372036854775808", -ERANGE, 0 },
		{ "-9223372036854775809", -ERANGE, 0 },
		{ "-0", 0, 0 },
		{ "-", -EINVAL, 0 },
		{ "--1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t v = 77;

		cr_expect_eq(parse_i64(rows[i].s, INT64_MIN, INT64_MAX, &v), rows[i].r, "row %zu", i);
		cr_expect_eq(v, rows[i].r == 0 ? rows[i].v : 77, "row %zu", i);
	}
	int64_t v;

	cr_expect_eq(parse_i64("-2", -1, 1, &v), -ERANGE);
}

Test(parse, boolean)
{
	static const char *const yes[] = { "yes", "TRUE", "On", "1" }, *const no[] = { "no", "False", "OFF", "0" };
	static const char *const bad[] = { "", "y", "2", "yes ", "enable" };
	bool v;

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		cr_expect_eq(parse_bool(yes[i], &v), 0);
		cr_expect(v);
		cr_expect_eq(parse_bool(no[i], &v), 0);
		cr_expect_not(v);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_eq(parse_bool(bad[i], &v), -EINVAL);
}

Test(parse, duration)
{
	static const struct {
		const char *s;
		int r;
		usec_t v;
	} rows[] = {
		{ "90", 0, 90000000 },     { "90s", 0, 90000000 },   { "5min", 0, 300000000 },
		{ "5 min", 0, 300000000 }, { "500ms", 0, 500000 },   { "7us", 0, 7 },
		{ "1h", 0, 3600000000 },   { "2d", 0, 172800000000 }, { "0", 0, 0 },
		{ "", -EINVAL, 0 },        { "s", -EINVAL, 0 },      { "5 ", -EINVAL, 0 },
		{ "5weeks", -EINVAL, 0 },  { "-5", -EINVAL, 0 },     { "1.5s", -EINVAL, 0 },
		{ "1h30min", -EINVAL, 0 }, { "18446744073709551615", -ERANGE, 0 },
		{ "18446744073709551615us", -ERANGE, 0 }, /* would be USEC_INFINITY */
		{ "99999999999999999999s", -ERANGE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		usec_t v = 77;

		cr_expect_eq(parse_duration(rows[i].s, &v), rows[i].r, "row %zu", i);
		cr_expect_eq(v, rows[i].r == 0 ? rows[i].v : 77, "row %zu", i);
	}
}

/* RFC 4648 section 10, and what its grammar forbids. */
Test(parse, base64)
{
	static const struct {
		const char *text, *value;
	} good[] = {
		{ "", "" },         { "Zg==", "f" },        { "Zm8=", "fo" },     { "Zm9v", "foo" },
		{ "Zm9vYg==", "foob" }, { "Zm9vYmE=", "fooba" }, { "Zm9vYmFy", "foobar" }, { " Zm9v\r\nYmFy\t", "foobar" },
	};
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zm9", "====", "=", "Zg==Zg==", "Z===", "Zm9v!", "Zh==",
					   "Zm9=", "Zm-_", "Zg===", "=Zg=", "Zm8=Zm9v" };
	uint8_t *out;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		cr_assert_eq(parse_base64(good[i].text, strlen(good[i].text), &out, &len), 0, "row %zu", i);
		cr_expect_eq(len, strlen(good[i].value));
		cr_expect_arr_eq(out, good[i].value, len);

		_cleanup_(freep) char *back = format_base64(out, len);

		if (i < 7)
			cr_expect_str_eq(back, good[i].text);
		free(out);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_eq(parse_base64(bad[i], strlen(bad[i]), &out, &len), -EINVAL, "%s", bad[i]);
	cr_expect_eq(parse_base64("Zg\0=", 4, &out, &len), -EINVAL);
}

Test(parse, base64_all_byte_values_round_trip)
{
	uint8_t all[256], *out;
	size_t len;

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	for (size_t n = 0; n <= sizeof(all); n++) {
		_cleanup_(freep) char *text = format_base64(all, n);

		cr_assert_eq(parse_base64(text, strlen(text), &out, &len), 0);
		cr_assert_eq(len, n);
		cr_assert_arr_eq(out, all, n);
		free(out);
	}
}

Test(parse, hex)
{
	static const char *const bad[] = { "a", "abc", "0g", "0x00", "a-b", "\xff\xff" };
	static const uint8_t want[] = { 0x00, 0x0f, 0xF0, 0xab, 0xCD };
	uint8_t *out;
	size_t len;

	cr_assert_eq(parse_hex("000f f0\nABcd", 12, &out, &len), 0);
	cr_assert_eq(len, 5);
	cr_assert_arr_eq(out, want, 5);

	_cleanup_(freep) char *back = format_hex(out, len);

	cr_expect_str_eq(back, "000ff0abcd");
	free(out);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_eq(parse_hex(bad[i], strlen(bad[i]), &out, &len), -EINVAL, "%s", bad[i]);
	cr_assert_eq(parse_hex("", 0, &out, &len), 0);
	cr_expect_eq(len, 0);
	free(out);
}

Test(parse, sizes_for_people)
{
	static const struct {
		uint64_t n;
		const char *s;
	} rows[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536 * 1024, "1.5 MiB" },
		{ 1048575, "1.0 MiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char buf[32];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_str_eq(format_bytes(rows[i].n, buf, sizeof(buf)), rows[i].s);
}

Test(parse, tunnel_names)
{
	static const char *const good[] = { "a", "0", "home", "work-2", "a-", "abcdefghij" };
	static const char *const bad[] = { "", "-a", "Home", "a_b", "a.b", "a/b", "..", "a b", "abcdefghijk", "a\n", "\xc3\xa9" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		cr_expect(tunnel_name_is_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_not(tunnel_name_is_valid(bad[i]), "%s", bad[i]);
}
