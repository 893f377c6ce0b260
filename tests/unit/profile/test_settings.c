/* settings.c: what a hostile server could put in. */
#include <errno.h>

#include "sample.h"

static struct settings sound(void)
{
	struct settings s = { .mtu = 1500, .default4 = true };

	cr_assert_eq(inprefix_parse("10.8.0.2/24", &s.addrs[0]), 0);
	cr_assert_eq(inprefix_parse("fd00::2/64", &s.addrs[1]), 0);
	s.n_addrs = 2;
	cr_assert_eq(inprefix_parse("10.0.0.0/8", &s.routes[0]), 0);
	cr_assert_eq(inprefix_parse("2000::/3", &s.routes[1]), 0);
	cr_assert_eq(inprefix_parse("0.0.0.0/1", &s.routes[2]), 0);
	s.n_routes = 3;
	cr_assert_eq(inaddr_parse("10.8.0.1", &s.dns[0]), 0);
	s.n_dns = 1;
	(void)str_copy(s.search[0], sizeof(s.search[0]), "corp.example");
	s.n_search = 1;
	return s;
}

static void addr(struct settings *s, const char *text)
{
	(void)inprefix_parse(text, &s->addrs[0]);
}
static void route(struct settings *s, const char *text)
{
	(void)inprefix_parse(text, &s->routes[0]);
}
static void dns(struct settings *s, const char *text)
{
	(void)inaddr_parse(text, &s->dns[0]);
}
static void search(struct settings *s, const char *text)
{
	(void)str_copy(s->search[0], sizeof(s->search[0]), text);
}
static void peer(struct settings *s, const char *text)
{
	(void)inaddr_parse(text, &s->peer4);
}
static void mtu(struct settings *s, const char *text)
{
	s->mtu = (uint32_t)strtoul(text, NULL, 10);
}
static void n_addrs(struct settings *s, const char *text)
{
	s->n_addrs = (unsigned)strtoul(text, NULL, 10);
}
static void n_routes(struct settings *s, const char *text)
{
	s->n_routes = (unsigned)strtoul(text, NULL, 10);
}
static void n_dns(struct settings *s, const char *text)
{
	s->n_dns = (unsigned)strtoul(text, NULL, 10);
}
static void n_search(struct settings *s, const char *text)
{
	s->n_search = (unsigned)strtoul(text, NULL, 10);
}
static void unterminated(struct settings *s, const char *text)
{
	memset(s->search[0], *text, sizeof(s->search[0]));
}
static void addr_len(struct settings *s, const char *text)
{
	s->addrs[0].len = (uint8_t)strtoul(text, NULL, 10);
}
static void route_len(struct settings *s, const char *text)
{
	s->routes[0].len = (uint8_t)strtoul(text, NULL, 10);
}
static void family(struct settings *s, const char *text)
{
	s->dns[0].family = (int)strtoul(text, NULL, 10);
}
static void twice(struct settings *s, const char *text)
{
	(void)text;
	s->addrs[1] = s->addrs[0];
}
static void ethernet(struct settings *s, const char *text)
{
	s->ethernet = true;
	s->n_routes = 1;
	(void)inaddr_parse(text, &s->gateway4);
}
static void ethernet6(struct settings *s, const char *text)
{
	ethernet(s, "10.8.0.1");
	s->default6 = true;
	(void)inaddr_parse(text, &s->gateway6);
}
static void ethernet_peer(struct settings *s, const char *text)
{
	ethernet(s, "10.8.0.1");
	peer(s, text);
}
static void gateway(struct settings *s, const char *text)
{
	(void)inaddr_parse(text, &s->gateway4);
}

static const struct {
	void (*change)(struct settings *s, const char *text);
	const char *text, *want; /* NULL: still sound */
} cases[] = {
	{ addr, "192.168.255.6/32", NULL },
	{ addr, "127.0.0.1/8", "127.0.0.1" },
	{ addr, "224.0.0.1/4", "own address" },
	{ addr, "0.0.0.0/8", "own address" },
	{ addr, "::ffff:1.2.3.4/120", "own address" },
	{ addr_len, "33", "malformed" },
	{ addr_len, "0", "malformed" },
	{ twice, "", "twice" },
	{ n_addrs, "0", "0 addresses" },
	{ n_addrs, "5", "5 addresses" },
	{ n_addrs, "4294967295", "addresses" },
	{ peer, "10.8.0.1", NULL },
	{ peer, "127.0.0.1", "peer" },
	{ peer, "fd00::1", "peer" },
	{ mtu, "1280", NULL },
	{ mtu, "1279", "IPv6" },
	{ mtu, "575", "575" },
	{ mtu, "65536", "65536" },
	{ route, "::/3", NULL },
	{ route, "fc00::/7", NULL },
	{ route, "0.0.0.0/0", "default route" },
	{ route, "10.1.2.3/8", "bits behind" },
	{ route, "127.0.0.0/8", "no tunnel can carry" },
	{ route, "224.0.0.0/8", "no tunnel can carry" },
	{ route_len, "200", "malformed" },
	{ n_routes, "257", "257 routes" },
	{ dns, "2001:db8::53", NULL },
	{ dns, "127.0.0.53", "127.0.0.53" },
	{ dns, "fe80::1", "not reachable" },
	{ dns, "0.0.0.0", "not reachable" },
	{ family, "77", "malformed" },
	{ n_dns, "9", "9 name servers" },
	{ search, "a_b.example.", NULL },
	{ search, "x;id", "not a domain" },
	{ search, "a\nnameserver 1.2.3.4", "not a domain" },
	{ search, "", "not a domain" },
	{ search, "-a.example", "not a domain" },
	{ search, "a..b", "not a domain" },
	{ unterminated, "a", "not a domain" },
	{ n_search, "11", "11 search" },
	{ ethernet, "10.8.0.1", NULL },
	{ ethernet, "10.8.1.1", "not in the tunnel's own network" },
	{ ethernet, "10.8.0.2", "not in the tunnel's own network" }, /* itself */
	{ ethernet, "fd00::1", "not in the tunnel's own network" },
	{ ethernet, "127.0.0.1", "not in the tunnel's own network" },
	{ ethernet, "none", "without a gateway" },
	{ ethernet6, "fd00::1", NULL },
	{ ethernet6, "fd01::1", "not in the tunnel's own network" },
	{ ethernet6, "none", "without a gateway" },
	{ ethernet_peer, "10.8.0.1", "point-to-point" },
	{ gateway, "10.8.0.1", "not in the tunnel's own network" }, /* no Ethernet */
};

Test(settings, verify_refuses_each_hostile_value)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct settings s = sound();
		_cleanup_(freep) char *why = NULL;
		int r;

		cases[i].change(&s, cases[i].text);
		r = settings_verify(&s, &why);
		cr_assert_eq(r, cases[i].want ? -EINVAL : 0, "case %zu %s: %s", i, cases[i].text, why);
		if (cases[i].want)
			cr_assert(strstr(why, cases[i].want) && !strchr(why, '\n'), "case %zu: %s", i, why);
	}
}

Test(settings, equal_sees_each_difference)
{
	struct settings a = sound(), b = sound();

	b.addrs[3].len = 9; /* behind the count: does not matter */
	cr_assert(settings_equal(&a, &b));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		b = sound();
		cases[i].change(&b, cases[i].text);
		if (cases[i].change != unterminated && b.n_addrs <= SETTINGS_ADDRS_MAX &&
		    b.n_routes <= SETTINGS_ROUTES_MAX && b.n_dns <= SETTINGS_DNS_MAX &&
		    b.n_search <= SETTINGS_SEARCH_MAX)
			cr_assert(!settings_equal(&a, &b), "case %zu %s", i, cases[i].text);
	}
	b = sound();
	b.default6 = true;
	cr_assert(!settings_equal(&a, &b));
	b = sound();
	b.block_ipv6 = true;
	cr_assert(!settings_equal(&a, &b));
}

Test(settings, domains)
{
	char name[300];

	cr_assert(domain_is_valid("a"));
	cr_assert(domain_is_valid("_dmarc.xn--bcher-kva.example"));
	cr_assert(!domain_is_valid("."));
	cr_assert(!domain_is_valid("a b"));
	cr_assert(!domain_is_valid("caf\xc3\xa9"));
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	cr_assert(domain_is_valid(name));
	name[63] = 'a';
	name[64] = '\0';
	cr_assert(!domain_is_valid(name));
	for (size_t i = 0; i < 254; i++)
		name[i] = i % 2 ? '.' : 'a';
	name[253] = '\0';
	cr_assert(domain_is_valid(name));
	name[253] = '.';
	name[254] = '\0';
	cr_assert(!domain_is_valid(name));
}
