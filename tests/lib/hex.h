/* Published vectors are hex; these turn them into bytes and compare. White space between digits is ignored. */
#pragma once

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"

static inline _unused_ int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Returns how many bytes; fails the test on anything that is not hex or does not fit. */
static inline _unused_ size_t unhex(const char *s, uint8_t *out, size_t cap)
{
	size_t n = 0;

	while (*s) {
		if (*s == ' ' || *s == '\n' || *s == '\t') {
			s++;
			continue;
		}
		cr_assert(hex_digit(s[0]) >= 0 && hex_digit(s[1]) >= 0 && n < cap, "bad hex at \"%s\"", s);
		out[n++] = (uint8_t)(hex_digit(s[0]) << 4 | hex_digit(s[1]));
		s += 2;
	}
	return n;
}

static inline _unused_ void assert_hex(const void *p, size_t len, const char *want)
{
	uint8_t bytes[4096];
	size_t n = unhex(want, bytes, sizeof(bytes));

	cr_assert_eq(len, n, "%zu bytes, expected %zu", len, n);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(((const uint8_t *)p)[i], bytes[i], "byte %zu is %02x, expected %02x", i,
			     ((const uint8_t *)p)[i], bytes[i]);
}
