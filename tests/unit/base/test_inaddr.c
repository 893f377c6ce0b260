/* inaddr.h: text forms, prefixes, special addresses, socket addresses. */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include "base/inaddr.h"

static struct inaddr A(const char *s)
{
	struct inaddr a = { 0 };

	cr_assert_eq(inaddr_parse(s, &a), 0, "%s", s);
	return a;
}

static struct inprefix P(const char *s)
{
	struct inprefix p = { 0 };

	cr_assert_eq(inprefix_parse(s, &p), 0, "%s", s);
	return p;
}

Test(inaddr, addresses_round_trip)
{
	static const char *const rows[][2] = {
		{ "10.8.0.1", "10.8.0.1" }, { "255.255.255.255", "255.255.255.255" }, { "::", "::" },
		{ "FD00:0::2", "fd00::2" }, { "::ffff:1.2.3.4", "::ffff:1.2.3.4" },
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
	};
	char buf[INADDR_STR_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct inaddr a = A(rows[i][0]);

		cr_expect_str_eq(inaddr_format(&a, buf, sizeof(buf)), rows[i][1]);
	}
}

Test(inaddr, refuses_what_is_no_literal)
{
	static const char *const bad[] = { "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "0x7f.1", " 1.2.3.4", "1.2.3.4 ",
					   "fe80::1%eth0", "fe80::1%2", "[::1]", "::1/64", ":::", "host", "1::2::3", "12345::" };
	struct inaddr a = { .family = 77 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_eq(inaddr_parse(bad[i], &a), -EINVAL, "%s", bad[i]);
	cr_expect_eq(a.family, 77);
}

Test(inaddr, prefixes)
{
	static const struct {
		const char *s;
		int r;
		const char *out;
	} rows[] = {
		{ "10.0.0.0/8", 0, "10.0.0.0/8" }, { "10.1.2.3", 0, "10.1.2.3/32" }, { "::/0", 0, "::/0" },
		{ "fd00::1", 0, "fd00::1/128" },   { "10.0.0.0/33", -ERANGE, NULL }, { "::/129", -ERANGE, NULL },
		{ "10.0.0.0/", -EINVAL, NULL },    { "10.0.0.0/8/8", -EINVAL, NULL }, { "/8", -EINVAL, NULL },
		{ "10.0.0.0/-1", -EINVAL, NULL },  { "10.0.0.0/255.0.0.0", -EINVAL, NULL },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa/64", -EINVAL, NULL },
	};
	char buf[INPREFIX_STR_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct inprefix p;

		cr_expect_eq(inprefix_parse(rows[i].s, &p), rows[i].r, "%s", rows[i].s);
		if (rows[i].r == 0)
			cr_expect_str_eq(inprefix_format(&p, buf, sizeof(buf)), rows[i].out);
	}
}

Test(inaddr, endpoints)
{
	static const struct {
		const char *s;
		int r;
	} rows[] = {
		{ "192.0.2.1:1194", 0 },      { "[2001:db8::1]:443", 0 },  { "[fe80::1%3]:80", 0 },
		{ "2001:db8::1:443", -EINVAL }, { "[192.0.2.1]:1", -EINVAL }, { "192.0.2.1", -EINVAL },
		{ "192.0.2.1:", -EINVAL },    { "192.0.2.1:0", -ERANGE },  { "192.0.2.1:70000", -ERANGE },
		{ "[::1]", -EINVAL },         { "[::1]x:1", -EINVAL },     { "[]:1", -EINVAL },
		{ "[:1", -EINVAL },           { ":1", -EINVAL },           { "", -EINVAL },
		{ "[2001:db8::1%3]:1", -EINVAL }, { "[fe80::1%eth0]:1", -EINVAL }, { "10.0.0.1%1:1", -EINVAL },
	};
	char buf[ENDPOINT_STR_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct endpoint e;

		cr_expect_eq(endpoint_parse(rows[i].s, &e), rows[i].r, "%s", rows[i].s);
		if (rows[i].r == 0)
			cr_expect_str_eq(endpoint_format(&e, buf, sizeof(buf)), rows[i].s);
	}
}

Test(inaddr, unset_formats_as_nothing)
{
	struct endpoint e = { 0 };
	struct inprefix p = { 0 };
	char buf[ENDPOINT_STR_MAX] = "x", tiny[4];
	struct inaddr a = A("10.20.30.40");

	cr_expect_str_eq(endpoint_format(&e, buf, sizeof(buf)), "");
	cr_expect_str_eq(inprefix_format(&p, buf, sizeof(buf)), "");
	cr_expect_str_eq(inaddr_format(&p.addr, buf, sizeof(buf)), "");
	cr_expect_str_eq(inaddr_format(&a, tiny, sizeof(tiny)), ""); /* too small: nothing, not a half address */
}

Test(inaddr, netmasks)
{
	static const struct {
		const char *mask;
		int r;
		uint8_t len;
	} rows[] = {
		{ "0.0.0.0", 0, 0 },          { "255.255.255.0", 0, 24 },      { "255.255.255.255", 0, 32 },
		{ "255.255.254.0", 0, 23 },   { "255.0.255.0", -EINVAL, 0 },   { "0.0.0.255", -EINVAL, 0 },
		{ "255.255.255.253", -EINVAL, 0 }, { "ffff:ffff::", 0, 32 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct inaddr m = A(rows[i].mask);
		uint8_t len = 77;

		cr_expect_eq(netmask_to_len(&m, &len), rows[i].r, "%s", rows[i].mask);
		cr_expect_eq(len, rows[i].r == 0 ? rows[i].len : 77);
	}
	cr_expect_eq(netmask_to_len(&(struct inaddr){ 0 }, &(uint8_t){ 0 }), -EINVAL);
}

Test(inaddr, masking)
{
	static const char *const rows[][2] = {
		{ "10.255.255.255/9", "10.128.0.0/9" }, { "10.1.2.3/32", "10.1.2.3/32" }, { "10.1.2.3/0", "0.0.0.0/0" },
		{ "2001:db8:ffff::1/33", "2001:db8:8000::/33" }, { "fd00::1/128", "fd00::1/128" },
	};
	char buf[INPREFIX_STR_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct inprefix p = P(rows[i][0]);

		inprefix_mask(&p);
		cr_expect_str_eq(inprefix_format(&p, buf, sizeof(buf)), rows[i][1]);
	}
}

Test(inaddr, contains_and_overlaps)
{
	static const struct {
		const char *prefix, *addr;
		bool in;
	} in[] = {
		{ "10.0.0.0/8", "10.255.0.1", true }, { "10.0.0.0/8", "11.0.0.0", false }, { "0.0.0.0/0", "1.2.3.4", true },
		{ "0.0.0.0/0", "::1", false },        { "::/0", "1.2.3.4", false },        { "10.0.0.1/30", "10.0.0.3", true },
		{ "2000::/3", "3fff::1", true },      { "2000::/3", "4000::", false },     { "fd00::1", "fd00::2", false },
	};
	static const struct {
		const char *a, *b;
		bool overlap;
	} over[] = {
		{ "10.0.0.0/8", "10.1.0.0/16", true }, { "10.0.0.0/16", "10.1.0.0/16", false }, { "0.0.0.0/0", "10.0.0.0/8", true },
		{ "0.0.0.0/0", "::/0", false },        { "fd00::/8", "fd00:1::/32", true },     { "10.0.0.9/24", "10.0.0.200/25", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
		struct inprefix p = P(in[i].prefix);
		struct inaddr a = A(in[i].addr);

		cr_expect_eq(inprefix_contains(&p, &a), in[i].in, "row %zu", i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(over); i++) {
		struct inprefix a = P(over[i].a), b = P(over[i].b);

		cr_expect_eq(inprefix_overlaps(&a, &b), over[i].overlap, "row %zu", i);
		cr_expect_eq(inprefix_overlaps(&b, &a), over[i].overlap, "row %zu", i);
	}
	cr_expect_not(inprefix_contains(&(struct inprefix){ 0 }, &(struct inaddr){ 0 }));
}

Test(inaddr, special_addresses)
{
	static const struct {
		const char *s;
		bool special, link_local;
	} rows[] = {
		{ "0.0.0.0", true, false },    { "127.1.2.3", true, false },   { "224.0.0.1", true, false },
		{ "239.255.255.250", true, false }, { "255.255.255.255", true, false }, { "10.0.0.1", false, false },
		{ "169.254.1.1", false, true }, { "::", true, false },         { "::1", true, false },
		{ "ff02::1", true, false },    { "::ffff:10.0.0.1", true, false }, { "fe80::1", false, true },
		{ "fd00::1", false, false },   { "2001:db8::1", false, false }, { "223.255.255.255", false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct inaddr a = A(rows[i].s);

		cr_expect_eq(inaddr_is_special(&a), rows[i].special, "%s", rows[i].s);
		cr_expect_eq(inaddr_is_link_local(&a), rows[i].link_local, "%s", rows[i].s);
	}
	cr_expect(inaddr_is_special(&(struct inaddr){ 0 }));
}

Test(inaddr, equality)
{
	struct inaddr a = A("10.0.0.1"), b = A("10.0.0.1"), c = A("10.0.0.2"), v6 = A("::1");
	struct endpoint e = { .addr = a, .port = 1 }, f = { .addr = b, .port = 1 }, g = { .addr = b, .port = 2 };
	struct inprefix p = P("10.0.0.0/8"), q = P("10.0.0.0/9");

	memset(b.bytes + 4, 0xff, 12); /* bytes beyond an IPv4 address mean nothing */
	cr_expect(inaddr_eq(&a, &b));
	cr_expect_not(inaddr_eq(&a, &c));
	cr_expect_not(inaddr_eq(&a, &v6));
	cr_expect(endpoint_eq(&e, &f));
	cr_expect_not(endpoint_eq(&e, &g));
	cr_expect(inprefix_eq(&p, &p));
	cr_expect_not(inprefix_eq(&p, &q));
}

Test(inaddr, socket_addresses_round_trip)
{
	static const char *const rows[] = { "192.0.2.1:1194", "[2001:db8::1]:443", "[fe80::1%3]:80" };
	struct sockaddr_storage ss;
	struct endpoint e, back;
	char buf[ENDPOINT_STR_MAX];
	socklen_t len;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_assert_eq(endpoint_parse(rows[i], &e), 0);
		len = endpoint_to_sockaddr(&e, &ss);
		cr_assert_eq(endpoint_from_sockaddr((struct sockaddr *)&ss, len, &back), 0);
		cr_expect(endpoint_eq(&e, &back));
		cr_expect_str_eq(endpoint_format(&back, buf, sizeof(buf)), rows[i]);
		cr_expect_lt(endpoint_from_sockaddr((struct sockaddr *)&ss, len - 1, &back), 0);
	}
	cr_expect_eq(endpoint_to_sockaddr(&(struct endpoint){ 0 }, &ss), 0);
	cr_expect_lt(endpoint_from_sockaddr((struct sockaddr *)&ss, 0, &back), 0);
	ss.ss_family = AF_UNIX;
	cr_expect_eq(endpoint_from_sockaddr((struct sockaddr *)&ss, sizeof(ss), &back), -EAFNOSUPPORT);
}
