/* exceptions.c: one form for file, journal and bus; what is refused. */
#include <errno.h>

#include "base/str.h"
#include "profile/exceptions.h"
#include "sample.h"

Test(exceptions, published_ports_are_written_as_they_are_read)
{
	static const struct {
		const char *text, *shown;
		struct publish p;
	} good[] = {
		{ "tcp:8080", "tcp:8080", { true, 8080, 8080, PUBLISH_LAN } },
		{ "udp:1", "udp:1", { false, 1, 1, PUBLISH_LAN } },
		{ "tcp:8080:80", "tcp:8080:80", { true, 8080, 80, PUBLISH_LAN } },
		{ "tcp:80:80@lan", "tcp:80", { true, 80, 80, PUBLISH_LAN } },
		{ "udp:65535:1@machine", "udp:65535:1@machine", { false, 65535, 1, PUBLISH_MACHINE } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct publish p, q;
		char buf[EXCEPTION_STR_MAX];

		cr_assert_eq(publish_parse(good[i].text, &p), 0, "%s", good[i].text);
		cr_assert(p.tcp == good[i].p.tcp && p.port == good[i].p.port && p.inner == good[i].p.inner &&
			  p.scope == good[i].p.scope);
		cr_assert_str_eq(publish_format(&p, buf, sizeof(buf)), good[i].shown);
		cr_assert_eq(publish_parse(buf, &q), 0);
		cr_assert(q.port == p.port && q.inner == p.inner && q.scope == p.scope);
	}
}

Test(exceptions, other_ports_are_refused)
{
	static const char *const bad[] = { "",	       "tcp",	    "tcp:",	 "tcp:0",     "tcp:65536", "tcp:1:",	 "tcp:1:0",
					   "tcp:1:2:3", "sctp:1",   "TCP:1",	 "tcp:1@",    "tcp:1@LAN", "tcp:1@internet", "1",
					   "tcp: 1",	"tcp:-1",   "tcp:1-2",	 "udp:1@lan@machine",
					   "tcp:000000000000000000000000000000000000000000000000000000000000000001" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct publish p = { .port = 77 };

		cr_assert_eq(publish_parse(bad[i], &p), -EINVAL, "%s", bad[i]);
		cr_assert_eq(p.port, 77, "output touched");
	}
}

Test(exceptions, networks_are_masked_and_bounded)
{
	static const struct {
		const char *text;
		int want;
		const char *shown;
	} table[] = {
		{ "192.168.1.77/24", 0, "192.168.1.0/24" },
		{ "10.0.0.0/8", 0, "10.0.0.0/8" },
		{ "203.0.113.9", 0, "203.0.113.9/32" },
		{ "fc00::/7", 0, "fc00::/7" },
		{ "2001:db8::/32", 0, "2001:db8::/32" },
		{ "0.0.0.0/0", -EDOM, NULL },
		{ "128.0.0.0/1", -EDOM, NULL },
		{ "8.0.0.0/7", -EDOM, NULL },
		{ "::/0", -EDOM, NULL },
		{ "2000::/3", -EDOM, NULL },
		{ "127.0.0.1", -EDOM, NULL },
		{ "169.254.169.254/32", -EDOM, NULL },
		{ "224.0.0.251", -EDOM, NULL },
		{ "255.255.255.255", -EDOM, NULL },
		{ "fe80::/64", -EDOM, NULL },
		{ "ff02::fb/128", -EDOM, NULL },
		{ "::1/128", -EDOM, NULL },
		{ "::ffff:192.168.1.1/128", -EDOM, NULL },
		{ "192.168.1.0/33", -EINVAL, NULL },
		{ "lan", -EINVAL, NULL },
		{ "", -EINVAL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct inprefix p = { .len = 99 };
		const char *why = NULL;
		char buf[INPREFIX_STR_MAX];

		cr_assert_eq(allow_parse(table[i].text, &p, &why), table[i].want, "%s", table[i].text);
		if (table[i].want == 0)
			cr_assert_str_eq(inprefix_format(&p, buf, sizeof(buf)), table[i].shown);
		else
			cr_assert_eq(p.len, 99, "output touched");
		cr_assert_eq(why != NULL, table[i].want == -EDOM);
	}
}

Test(exceptions, lists_are_bounded_and_have_nothing_twice)
{
	struct exceptions e = { 0 };
	struct inprefix net, inner;
	struct publish p = { .tcp = true, .port = 1, .inner = 1 };

	for (unsigned i = 0; i < EXCEPTIONS_PUBLISH_MAX; i++) {
		p.port = (uint16_t)(i + 1);
		cr_assert_eq(exceptions_add_publish(&e, &p), 0);
	}
	cr_assert_eq(exceptions_add_publish(&e, &p), -EEXIST);
	p.tcp = false;
	cr_assert_eq(exceptions_add_publish(&e, &p), -E2BIG);
	cr_assert(inprefix_parse("10.0.0.0/8", &net) == 0 && inprefix_parse("10.1.0.0/16", &inner) == 0);
	cr_assert_eq(exceptions_add_allow(&e, &net), 0);
	cr_assert_eq(exceptions_add_allow(&e, &inner), -EEXIST);
	cr_assert_eq(exceptions_find_allow(&e, &inner), &e.allow[0]);
	for (unsigned i = 1; i < EXCEPTIONS_ALLOW_MAX; i++) {
		net.addr.bytes[0] = (uint8_t)(10 + i);
		cr_assert_eq(exceptions_add_allow(&e, &net), 0);
	}
	net.addr.bytes[0] = 99;
	cr_assert_eq(exceptions_add_allow(&e, &net), -E2BIG);
	cr_assert_null(exceptions_find_allow(&e, &net));
}

Test(exceptions, families_scopes_and_equality)
{
	struct exceptions e = { 0 }, f = { 0 };
	struct publish p;
	struct inprefix net;

	cr_assert(!exceptions_any(&e) && !exceptions_have_family(&e, AF_INET) && exceptions_equal(&e, &f));
	cr_assert(inprefix_parse("192.168.1.0/24", &net) == 0 && exceptions_add_allow(&e, &net) == 0);
	cr_assert(exceptions_any(&e) && exceptions_have_family(&e, AF_INET) && !exceptions_have_family(&e, AF_INET6));
	cr_assert(!exceptions_equal(&e, &f));
	cr_assert(publish_parse("tcp:80@machine", &p) == 0 && exceptions_add_publish(&e, &p) == 0);
	cr_assert(exceptions_have_family(&e, AF_INET6) && !exceptions_have_lan(&e));
	f = e;
	cr_assert(exceptions_equal(&e, &f));
	f.publish[0].scope = PUBLISH_LAN;
	cr_assert(!exceptions_equal(&e, &f) && exceptions_have_lan(&f));
}
