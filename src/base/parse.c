/* Text to values, strictly; and the text forms of bytes. */
#include "base/parse.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

/* ---- numbers ---- */

/* The leading digits of s; their count, 0 for none. Overflow is reported apart, so that the form is checked to the end. */
static size_t read_digits(const char *s, uint64_t *ret, bool *ret_overflow)
{
	uint64_t v = 0;
	bool over = false;
	size_t n = 0;

	for (; s[n] >= '0' && s[n] <= '9'; n++)
		over = over || __builtin_mul_overflow(v, 10ULL, &v) || __builtin_add_overflow(v, (uint64_t)(s[n] - '0'), &v);
	*ret = v;
	*ret_overflow = over;
	return n;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	bool over;
	size_t n = read_digits(s, &v, &over);

	if (n == 0 || s[n])
		return -EINVAL;
	if (over || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t v;
	int r = parse_u64(s, min, max, &v);

	if (r < 0)
		return r;
	*ret = (uint32_t)v;
	return 0;
}

int parse_port(const char *s, uint16_t *ret)
{
	uint64_t v;
	int r = parse_u64(s, 1, UINT16_MAX, &v);

	if (r < 0)
		return r;
	*ret = (uint16_t)v;
	return 0;
}

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = s[0] == '-';
	uint64_t magnitude;
	int64_t v;
	int r;

	r = parse_u64(s + negative, 0, (uint64_t)INT64_MAX + negative, &magnitude);
	if (r < 0)
		return r;
	v = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_bool(const char *s, bool *ret)
{
	static const char *const words[][2] = {
		{ "no", "yes" },
		{ "false", "true" },
		{ "off", "on" },
		{ "0", "1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		for (int v = 0; v < 2; v++)
			if (str_ieq(s, words[i][v])) {
				*ret = v;
				return 0;
			}
	return -EINVAL;
}

int parse_duration(const char *s, usec_t *ret)
{
	static const struct {
		const char *name;
		usec_t usec;
	} units[] = {
		{ "", USEC_PER_SEC },          { "us", 1 },
		{ "ms", USEC_PER_MSEC },       { "s", USEC_PER_SEC },
		{ "sec", USEC_PER_SEC },       { "min", 60 * USEC_PER_SEC },
		{ "m", 60 * USEC_PER_SEC },    { "h", 3600 * USEC_PER_SEC },
		{ "d", 86400 * USEC_PER_SEC },
	};
	uint64_t v;
	usec_t usec;
	bool over;
	size_t n = read_digits(s, &v, &over);
	const char *unit = s + n;

	if (n == 0)
		return -EINVAL;
	if (*unit == ' ' && unit[1])
		unit++;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (!str_eq(unit, units[i].name))
			continue;
		if (over || __builtin_mul_overflow(v, units[i].usec, &usec) || usec == USEC_INFINITY)
			return -ERANGE;
		*ret = usec;
		return 0;
	}
	return -EINVAL;
}

/* ---- bytes ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool in_range(unsigned char c, unsigned char from, unsigned char to)
{
	return c >= from && c <= to;
}

/* Range compares instead of a table: keys pass through here, and a table's cache lines would depend on them. */
static int base64_value(unsigned char c)
{
	int v = -1;

	v += in_range(c, 'A', 'Z') * (c - 'A' + 1);
	v += in_range(c, 'a', 'z') * (c - 'a' + 26 + 1);
	v += in_range(c, '0', '9') * (c - '0' + 52 + 1);
	v += (c == '+') * (62 + 1);
	v += (c == '/') * (63 + 1);
	return v;
}

static int hex_value(unsigned char c)
{
	int v = -1;

	v += in_range(c, '0', '9') * (c - '0' + 1);
	v += in_range(c, 'a', 'f') * (c - 'a' + 10 + 1);
	v += in_range(c, 'A', 'F') * (c - 'A' + 10 + 1);
	return v;
}

/* Decodes into out (room for len / 4 * 3 + 3); bytes written or -EINVAL. */
static ssize_t base64_decode(const char *s, size_t len, uint8_t *out)
{
	uint32_t group = 0;
	size_t n = 0, digits = 0, pads = 0;

	for (size_t i = 0; i < len; i++) {
		int v;

		if (is_space(s[i]))
			continue;
		if (s[i] == '=') {
			if (++pads > 2)
				return -EINVAL;
			continue;
		}
		v = base64_value((unsigned char)s[i]);
		if (v < 0 || pads)
			return -EINVAL;
		group = group << 6 | (uint32_t)v;
		if (++digits % 4 == 0) {
			out[n++] = (uint8_t)(group >> 16);
			out[n++] = (uint8_t)(group >> 8);
			out[n++] = (uint8_t)group;
			group = 0;
		}
	}
	if ((digits + pads) % 4 != 0 || (pads && digits % 4 != 4 - pads))
		return -EINVAL;
	/* One text for one value: the bits that padding leaves over are 0. */
	if (pads == 1) {
		if (group & 3)
			return -EINVAL;
		out[n++] = (uint8_t)(group >> 10);
		out[n++] = (uint8_t)(group >> 2);
	} else if (pads == 2) {
		if (group & 15)
			return -EINVAL;
		out[n++] = (uint8_t)(group >> 4);
	}
	return (ssize_t)n;
}

int parse_base64(const char *s, size_t len, uint8_t **ret, size_t *ret_len)
{
	size_t cap = len / 4 * 3 + 3;
	uint8_t *out = malloc(cap);
	ssize_t n;

	if (!out)
		return -ENOMEM;
	n = base64_decode(s, len, out);
	if (n < 0) {
		explicit_bzero(out, cap); /* it may be most of a key */
		free(out);
		return (int)n;
	}
	*ret = out;
	*ret_len = (size_t)n;
	return 0;
}

int parse_hex(const char *s, size_t len, uint8_t **ret, size_t *ret_len)
{
	size_t cap = len / 2 + 1, digits = 0;
	uint8_t *out = malloc(cap);
	int r = 0;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < len && r == 0; i++) {
		int v;

		if (is_space(s[i]))
			continue;
		v = hex_value((unsigned char)s[i]);
		if (v < 0)
			r = -EINVAL;
		else if (digits++ % 2 == 0)
			out[digits / 2] = (uint8_t)(v << 4);
		else
			out[digits / 2 - 1] |= (uint8_t)v;
	}
	if (digits % 2)
		r = -EINVAL;
	if (r < 0) {
		explicit_bzero(out, cap);
		free(out);
		return r;
	}
	*ret = out;
	*ret_len = digits / 2;
	return 0;
}

/* The reverse of base64_value, again without a table. */
static char base64_digit(uint32_t v)
{
	v &= 63;
	return (char)(v < 26 ? 'A' + v : v < 52 ? 'a' + v - 26 : v < 62 ? '0' + v - 52 : v == 62 ? '+' : '/');
}

char *format_base64(const void *p, size_t len)
{
	const uint8_t *in = p;
	size_t groups = len / 3 + (len % 3 != 0);
	char *s, *out;

	if (groups > SIZE_MAX / 8)
		return NULL;
	s = out = malloc(groups * 4 + 1);
	if (!s)
		return NULL;
	for (; len; in += MIN(len, (size_t)3), len -= MIN(len, (size_t)3)) {
		uint32_t g = (uint32_t)in[0] << 16 | (len > 1 ? (uint32_t)in[1] << 8 : 0) | (len > 2 ? in[2] : 0U);

		*out++ = base64_digit(g >> 18);
		*out++ = base64_digit(g >> 12);
		*out++ = len > 1 ? base64_digit(g >> 6) : '=';
		*out++ = len > 2 ? base64_digit(g) : '=';
	}
	*out = '\0';
	return s;
}

char *format_hex(const void *p, size_t len)
{
	const uint8_t *in = p;
	char *s;

	if (len > SIZE_MAX / 4)
		return NULL;
	s = malloc(len * 2 + 1);
	if (!s)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		unsigned hi = in[i] >> 4, lo = in[i] & 15;

		s[2 * i] = (char)(hi < 10 ? '0' + hi : 'a' + hi - 10);
		s[2 * i + 1] = (char)(lo < 10 ? '0' + lo : 'a' + lo - 10);
	}
	s[len * 2] = '\0';
	return s;
}

char *format_bytes(uint64_t n, char *buf, size_t cap)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)n / 1024;
	size_t i = 0;

	if (n < 1024) {
		(void)snprintf(buf, cap, "%" PRIu64 " B", n);
		return buf;
	}
	for (; v >= 1023.95 && i + 1 < ARRAY_SIZE(units); i++) /* 1023.95 would print as 1024.0 */
		v /= 1024;
	(void)snprintf(buf, cap, "%.1f %s", v, units[i]);
	return buf;
}

bool tunnel_name_is_valid(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++) {
		bool word = in_range((unsigned char)s[n], 'a', 'z') || in_range((unsigned char)s[n], '0', '9');

		if (n == 10 || (!word && (s[n] != '-' || n == 0)))
			return false;
	}
	return n > 0;
}
