/* bytes.h: cursors never leave their buffer, and errors stick. */
#include <criterion/criterion.h>

#include "base/bytes.h"

Test(bytes, reads_big_endian)
{
	static const uint8_t in[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17 };
	struct reader r = reader_init(in, sizeof(in));
	uint8_t two[2];

	cr_expect_eq(read_u8(&r), 0x01);
	cr_expect_eq(read_be16(&r), 0x0203);
	cr_expect_eq(read_be32(&r), 0x04050607);
	cr_expect_eq(read_be64(&r), 0x08090a0b0c0d0e0fULL);
	cr_expect(read_copy(&r, two, 2));
	cr_expect_eq(two[1], 17);
	cr_expect_not(r.failed);
	cr_expect_eq(r.left, 0);
}

Test(bytes, a_short_read_sticks)
{
	static const uint8_t in[] = { 0xff, 0xff, 0xff };
	struct reader r = reader_init(in, sizeof(in));
	uint8_t two[2] = { 9, 9 };

	cr_expect_eq(read_be32(&r), 0);
	cr_expect(r.failed);
	cr_expect_eq(read_u8(&r), 0, "bytes are left, but the parse has failed");
	cr_expect_not(read_copy(&r, two, 2));
	cr_expect_eq(two[0], 0);
	cr_expect_null(read_bytes(&r, 0));
}

Test(bytes, writes_what_is_read)
{
	uint8_t buf[15];
	struct writer w = writer_init(buf, sizeof(buf));

	write_u8(&w, 0x01);
	write_be16(&w, 0x0203);
	write_be32(&w, 0x04050607);
	write_be64(&w, 0x08090a0b0c0d0e0fULL);
	cr_expect_not(w.failed);
	cr_expect_eq(w.len, 15);
	for (size_t i = 0; i < sizeof(buf); i++)
		cr_expect_eq(buf[i], i + 1);
	write_u8(&w, 0xee);
	cr_expect(w.failed);
	cr_expect_eq(w.len, 15);
}

Test(bytes, a_full_writer_sticks)
{
	uint8_t buf[3] = { 0 };
	struct writer w = writer_init(buf, sizeof(buf));

	write_be32(&w, 0x01020304);
	cr_expect(w.failed);
	write_u8(&w, 0xee);
	cr_expect_eq(w.len, 0);
	cr_expect_eq(buf[0], 0);
	cr_expect_null(write_space(&w, 1));
}

Test(bytes, nested_min_max)
{
	int x = 3, calls = 0;

	cr_expect_eq(MIN(MAX(1, x), MIN(7, 5)), 3);
	cr_expect_eq(MAX(MAX(1, 2), MAX(4, x)), 4);
	cr_expect_eq(MAX(calls++, -1), 0);
	cr_expect_eq(calls, 1, "arguments are evaluated once");
}
