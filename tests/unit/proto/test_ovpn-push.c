#include "proto/ovpn-push.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-data.h"

static struct ovpn_options options;
static struct ovpn_push push;
static struct settings settings;
static char *error;

/* 1: complete and finished; else what failed. */
static int run_max(const char *text, uint32_t tun_mtu_max)
{
	int r;

	ovpn_push_done(&push);
	free(error);
	error = NULL;
	ovpn_push_init(&push, &options);
	memset(&settings, 0xee, sizeof(settings));
	r = ovpn_push_add(&push, text, &error);
	if (r == 1) {
		int f = ovpn_push_finish(&push, tun_mtu_max, &settings, &error);

		r = f < 0 ? f : 1;
	}
	cr_assert_eq(r < 0, error != NULL);
	return r;
}

static int run(const char *text)
{
	return run_max(text, 0);
}

static bool noted(const char *part)
{
	for (size_t i = 0; i < strv_len(push.notes); i++)
		if (strstr(push.notes[i], part))
			return true;
	return false;
}

static const char *addr(unsigned i)
{
	static char buf[INPREFIX_STR_MAX];

	return i < settings.n_addrs ? inprefix_format(&settings.addrs[i], buf, sizeof(buf)) : "-";
}

static bool routed(const char *text)
{
	struct inprefix want;

	cr_assert_eq(inprefix_parse(text, &want), 0);
	for (unsigned i = 0; i < settings.n_routes; i++)
		if (inprefix_eq(&settings.routes[i], &want))
			return true;
	return false;
}

static bool resolves(unsigned i, const char *text)
{
	struct inaddr want;

	cr_assert_eq(inaddr_parse(text, &want), 0);
	return i < settings.n_dns && inaddr_eq(&settings.dns[i], &want);
}

static void done(void)
{
	ovpn_push_done(&push);
	free(error);
}

TestSuite(ovpn_push, .fini = done);

#define SUBNET "topology subnet,ifconfig 10.8.0.2 255.255.255.0"

Test(ovpn_push, takes_a_usual_reply)
{
	cr_assert_eq(run("redirect-gateway def1 bypass-dhcp,dhcp-option DNS 10.8.0.1,dhcp-option DOMAIN example.net,"
			 "route-gateway 10.8.0.1," SUBNET ",ping 10,ping-restart 60,ifconfig-ipv6 fd00::2/64 fd00::1,"
			 "peer-id 7,cipher AES-256-GCM,protocol-flags cc-exit tls-ekm dyn-tls-crypt,tun-mtu 1400,"
			 "explicit-exit-notify 2,inactive 300 1000,session-timeout 86400"),
		     1);
	cr_assert_str_eq(addr(0), "10.8.0.2/24");
	cr_assert_str_eq(addr(1), "fd00::2/64");
	cr_assert_eq(settings.peer4.family, AF_UNSPEC);
	cr_assert(settings.default4 && !settings.default6 && !settings.block_ipv6);
	cr_assert_eq(settings.mtu, 1400);
	cr_assert(resolves(0, "10.8.0.1") && settings.n_dns == 1);
	cr_assert(settings.n_search == 1 && str_eq(settings.search[0], "example.net"));
	cr_assert_str_eq(push.cipher, "AES-256-GCM");
	cr_assert_eq(push.peer_id, 7);
	cr_assert(push.tls_ekm && push.cc_exit && push.dyn_tls_crypt);
	cr_assert(push.ping == 10 * USEC_PER_SEC && push.ping_restart == 60 * USEC_PER_SEC && push.exit_notify == 2);
	cr_assert(push.inactive == 300 * USEC_PER_SEC && push.inactive_bytes == 1000);
	cr_assert_eq(push.session_timeout, 86400 * USEC_PER_SEC);
	cr_assert_eq(strv_len(push.notes), 0);
}

static bool is_hop(const struct inaddr *hop, const char *text)
{
	struct inaddr want;

	cr_assert_eq(inaddr_parse(text, &want), 0);
	return inaddr_is_set(hop) && inaddr_eq(hop, &want);
}

Test(ovpn_push, a_tap_device_is_told_its_gateways)
{
	options.tap = true;
	/* As `server-bridge` pushes it: without a topology. */
	cr_assert_eq(run("route-gateway 10.8.0.1,ifconfig 10.8.0.2 255.255.255.0,ifconfig-ipv6 fd00::2/64 fd00::1,redirect-gateway def1 ipv6"), 1, "%s", error);
	cr_assert_str_eq(addr(0), "10.8.0.2/24");
	cr_assert(settings.ethernet && settings.default4 && settings.default6);
	cr_assert(is_hop(&settings.gateway4, "10.8.0.1") && is_hop(&settings.gateway6, "fd00::1"));
	cr_assert_eq(settings.peer4.family, AF_UNSPEC);

	cr_assert_eq(run("ifconfig 10.8.0.2 255.255.255.0,redirect-gateway,route 10.1.0.0 255.255.0.0"), 1);
	cr_assert(!settings.default4 && settings.n_routes == 0 && !inaddr_is_set(&settings.gateway4));
	cr_assert(noted("route-gateway"));
	cr_assert_eq(run("ifconfig 10.8.0.2 255.255.255.0,route-gateway 10.9.0.1"), 1); /* not a neighbour */
	cr_assert(!settings.default4 && !inaddr_is_set(&settings.gateway4) && noted("route-gateway"));
	cr_assert_eq(run("ifconfig 10.8.0.2 255.255.255.0,route-gateway 10.8.0.2"), 1); /* ourselves */
	cr_assert(!settings.default4 && noted("route-gateway"));
	cr_assert_eq(run("ifconfig 10.8.0.2 255.255.255.0,route-gateway dhcp"), 1);
	cr_assert(!settings.default4 && noted("DHCP"));
	cr_assert_eq(run("route-gateway dhcp"), -EPROTO);
	cr_assert(strstr(error, "DHCP"));
	cr_assert_eq(run("ifconfig 10.8.0.2 10.8.0.1"), -EPROTO); /* no point-to-point on Ethernet */

	cr_assert_eq(inaddr_parse("10.8.0.254", &options.gateway4), 0);
	cr_assert_eq(run("ifconfig 10.8.0.2 255.255.255.0"), 1);
	cr_assert(settings.default4 && is_hop(&settings.gateway4, "10.8.0.254"));
	options.tap = false;
	options.gateway4 = (struct inaddr){ 0 };
	cr_assert_eq(run("route-gateway 10.8.0.1,ifconfig 10.8.0.2 255.255.255.0"), 1);
	cr_assert(!settings.ethernet && !inaddr_is_set(&settings.gateway4));
}

Test(ovpn_push, reads_ifconfig_by_topology)
{
	static const struct {
		const char *text, *addr, *peer;
	} cases[] = {
		{ "topology subnet,ifconfig 10.8.0.2 255.255.255.0", "10.8.0.2/24", NULL },
		{ "ifconfig 10.8.0.2 255.255.0.0,topology subnet", "10.8.0.2/16", NULL },
		{ "topology net30,ifconfig 10.8.0.6 10.8.0.5", "10.8.0.6/32", "10.8.0.5" },
		{ "ifconfig 10.8.0.6 10.8.0.5", "10.8.0.6/32", "10.8.0.5" },
		{ "topology p2p,ifconfig 10.8.0.6 10.8.0.1", "10.8.0.6/32", "10.8.0.1" },
		/* net30 is only the default: a mask can only mean a subnet */
		{ "ifconfig 10.8.0.6 255.255.255.252", "10.8.0.6/30", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct inaddr peer = { 0 };

		cr_expect_eq(run(cases[i].text), 1, "%s: %s", cases[i].text, error);
		cr_expect_str_eq(addr(0), cases[i].addr);
		if (cases[i].peer)
			cr_assert_eq(inaddr_parse(cases[i].peer, &peer), 0);
		cr_expect(settings.peer4.family == peer.family && (!cases[i].peer || inaddr_eq(&settings.peer4, &peer)));
	}
	cr_expect_eq(run("topology subnet,ifconfig 10.8.0.2 10.8.0.1"), -EPROTO);
	cr_expect_eq(run("ifconfig 10.8.0.2 10.8.0.x"), -EPROTO);
	cr_expect_eq(run("ifconfig 127.0.0.1 255.0.0.0"), -EPROTO);
	cr_expect_eq(run("ifconfig 10.8.0.2"), -EPROTO);
	cr_expect_eq(run("ping 10"), -EPROTO);
	cr_expect(strstr(error, "no address"));
}

struct default_case {
	const char *text;
	unsigned redirect;
	bool want4, want6;
	unsigned n_routes;
};

Test(ovpn_push, decides_default_routes)
{
#define BOTH SUBNET ",ifconfig-ipv6 fd00::2/64 fd00::1"
	static const struct default_case cases[] = {
		{ BOTH, 0, true, true, 0 },
		{ SUBNET, 0, true, false, 0 },
		{ "ifconfig-ipv6 fd00::2/64 fd00::1", 0, false, true, 0 },
		{ BOTH ",redirect-gateway def1", 0, true, false, 0 },
		{ BOTH ",redirect-gateway def1 ipv6", 0, true, true, 0 },
		{ SUBNET ",redirect-gateway def1 ipv6", 0, true, false, 0 },
		{ BOTH ",redirect-gateway ipv6 !ipv4", 0, false, true, 0 },
		{ BOTH, REDIRECT_GATEWAY, true, false, 0 },
		{ BOTH ",redirect-gateway", REDIRECT_GATEWAY | REDIRECT_IPV6, true, true, 0 },
		/* the last word counts, the server's after the file's */
		{ BOTH ",redirect-gateway ipv6 !ipv4,redirect-gateway def1", 0, true, true, 0 },
		{ BOTH ",redirect-gateway def1,redirect-gateway ipv6 !ipv4", 0, false, true, 0 },
		{ BOTH ",redirect-gateway def1", REDIRECT_GATEWAY | REDIRECT_IPV6 | REDIRECT_NOT_IPV4, true, true, 0 },
		{ BOTH ",ping 1", REDIRECT_GATEWAY | REDIRECT_IPV6 | REDIRECT_NOT_IPV4, false, true, 0 },
		{ BOTH ",redirect-private", 0, false, false, 0 },
		{ BOTH, REDIRECT_PRIVATE, false, false, 0 },
		{ BOTH ",redirect-gateway", REDIRECT_PRIVATE, true, false, 0 },
		{ BOTH ",route 10.8.0.0 255.255.255.0", 0, true, true, 1 },
		{ BOTH ",route 192.168.7.0 255.255.255.0", 0, false, false, 1 },
		{ BOTH ",route 0.0.0.0 0.0.0.0", 0, true, false, 0 },
		{ BOTH ",route 0.0.0.0 0.0.0.0 vpn_gateway", 0, true, false, 0 },
		{ BOTH ",route 0.0.0.0 128.0.0.0,route 128.0.0.0 128.0.0.0", 0, true, false, 0 },
		{ BOTH ",route 128.0.0.0 128.0.0.0", 0, false, false, 1 },
		{ BOTH ",route 0.0.0.0 128.0.0.0", 0, false, false, 1 },
		{ BOTH ",route-ipv6 2000::/3", 0, false, true, 0 },
		{ BOTH ",route-ipv6 ::/0", 0, false, true, 0 },
		{ BOTH ",route-ipv6 ::/1,route-ipv6 8000::/1", 0, false, true, 0 },
		{ BOTH ",route-ipv6 ::/3,route-ipv6 2000::/4,route-ipv6 3000::/4,route-ipv6 fc00::/7", 0, false, true, 2 },
		{ BOTH ",redirect-gateway def1,route-ipv6 2000::/3", 0, true, true, 0 },
		{ SUBNET ",redirect-gateway def1,route-ipv6 2000::/3", 0, true, false, 0 },
		{ BOTH ",block-ipv6,redirect-gateway ipv6", 0, true, false, 0 },
		/* net30: the route to the server or the pool is the VPN's own */
		{ "ifconfig 10.8.0.6 10.8.0.5,route 10.8.0.1", 0, true, false, 1 },
		{ "ifconfig 10.8.0.6 10.8.0.5,route 10.8.0.0 255.255.255.0", 0, true, false, 1 },
		{ "ifconfig 10.8.0.6 10.8.0.5,route 10.0.0.0 255.0.0.0", 0, false, false, 1 },
		{ "ifconfig 10.8.0.6 10.8.0.5,route 172.16.0.0 255.240.0.0", 0, false, false, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		options.redirect = cases[i].redirect;
		cr_expect_eq(run(cases[i].text), 1, "%s: %s", cases[i].text, error);
		cr_expect_eq(settings.default4, cases[i].want4, "%s", cases[i].text);
		cr_expect_eq(settings.default6, cases[i].want6, "%s", cases[i].text);
		cr_expect_eq(settings.n_routes, cases[i].n_routes, "%s", cases[i].text);
	}
}

Test(ovpn_push, masks_and_filters_routes)
{
	cr_assert_eq(run(SUBNET ",route 192.168.7.9 255.255.255.0,route 192.168.7.0 255.255.255.0 vpn_gateway 5,route 1.2.3.4,"
			 "route 9.9.9.9 255.0.255.0,route 8.8.8.8 255.255.255.255 net_gateway,route remote_host 255.255.255.255,"
			 "route host.example.net,route 127.0.0.0 255.0.0.0,route 224.0.0.0 240.0.0.0,route-ipv6 fd01::1/64"),
		     1);
	cr_assert_eq(settings.n_routes, 2);
	cr_assert(routed("192.168.7.0/24") && routed("1.2.3.4/32"));
	cr_assert_eq(strv_len(push.notes), 1); /* once for each option */
	cr_assert_eq(run(SUBNET ",route 8.8.8.8 255.255.255.255 net_gateway"), 1);
	cr_assert(noted("net_gateway"));
	/* a route that was ignored does not make it a split tunnel */
	cr_assert(settings.default4);
}

Test(ovpn_push, survives_ten_thousand_routes)
{
	struct strbuf b = { 0 };

	strbuf_add(&b, SUBNET);
	for (unsigned i = 0; i < 10000; i++)
		strbuf_addf(&b, ",route 11.%u.%u.0 255.255.255.0", i / 256, i % 256);
	cr_assert_eq(run(b.s), 1);
	cr_assert_eq(settings.n_routes, SETTINGS_ROUTES_MAX);
	cr_assert_eq(push.routes.n_lost, 10000 - SETTINGS_ROUTES_MAX);
	cr_assert(noted("256 routes"));
	strbuf_done(&b);
}

Test(ovpn_push, tells_of_a_route_lost_to_the_files_own)
{
	struct strbuf b = { 0 };
	struct inprefix own;

	cr_assert_eq(inprefix_parse("192.168.50.0/24", &own), 0);
	options.routes = &own;
	options.n_routes = 1;
	strbuf_add(&b, SUBNET);
	for (unsigned i = 0; i < SETTINGS_ROUTES_MAX; i++)
		strbuf_addf(&b, ",route 11.0.%u.0 255.255.255.0", i);
	cr_assert_eq(run(b.s), 1);
	cr_assert_eq(settings.n_routes, SETTINGS_ROUTES_MAX);
	cr_assert(routed("192.168.50.0/24"));
	cr_assert(noted("256 routes"));
	strbuf_done(&b);
}

Test(ovpn_push, reads_name_service_options)
{
	cr_assert_eq(run(SUBNET ",dhcp-option DNS 10.8.0.1,dhcp-option DNS6 fd00::1,dhcp-option DNS fd00::2,dhcp-option DNS 10.8.0.1,"
			 "dhcp-option DOMAIN-SEARCH a.example,dhcp-option ADAPTER_DOMAIN_SUFFIX b.example,dhcp-option NTP 1.2.3.4"),
		     1);
	cr_assert_eq(settings.n_dns, 3);
	cr_assert(resolves(0, "10.8.0.1") && resolves(1, "fd00::1") && resolves(2, "fd00::2"));
	cr_assert_eq(settings.n_search, 2);
	/* `dns server` beats dhcp-option; the lowest usable number counts */
	cr_assert_eq(run(SUBNET ",dhcp-option DNS 10.8.0.1,dns server 9 address 10.9.9.9,dns server 1 address 10.1.1.1:53 [fd00::53]:53,"
			 "dns server 0 address 10.0.0.5,dns server 0 transport DoT,dns search-domains x.example y.example"),
		     1);
	cr_assert_eq(settings.n_dns, 2);
	cr_assert(resolves(0, "10.1.1.1") && resolves(1, "fd00::53"));
	cr_assert_eq(settings.n_search, 2);
	cr_assert_eq(run(SUBNET ",dns server 1 address 10.1.1.1:5353,dns server 2 address 10.2.2.2"), 1);
	cr_assert(settings.n_dns == 1 && resolves(0, "10.2.2.2"));
	cr_assert_eq(run(SUBNET ",dns server 128 address 10.1.1.1,dns server -1 address 10.1.1.1,dns foo bar"), 1);
	cr_assert_eq(settings.n_dns, 0);
}

Test(ovpn_push, puts_the_profiles_resolvers_first)
{
	char *search[] = { "mine.example", NULL };

	cr_assert_eq(inaddr_parse("9.9.9.9", &options.dns[0]), 0);
	options.n_dns = 1;
	options.search = search;
	cr_assert_eq(run(SUBNET ",dhcp-option DNS 10.8.0.1,dhcp-option DOMAIN theirs.example"), 1);
	cr_assert(settings.n_dns == 2 && resolves(0, "9.9.9.9") && resolves(1, "10.8.0.1"));
	cr_assert_str_eq(settings.search[0], "mine.example");
	cr_assert_str_eq(settings.search[1], "theirs.example");
}

Test(ovpn_push, refuses_names_and_resolvers_that_bite)
{
	static const char *const bad[] = {
		"dhcp-option DOMAIN a;rm", "dhcp-option DOMAIN $(id)", "dhcp-option DOMAIN 'a b'", "dhcp-option DOMAIN -x",
		"dhcp-option DOMAIN ..", "dhcp-option DNS 127.0.0.1", "dhcp-option DNS ::1", "dhcp-option DNS 224.0.0.1",
		"dhcp-option DNS 10.8.0", "dhcp-option DNS", "dhcp-option DNS fe80::1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[200];

		snprintf(text, sizeof(text), SUBNET ",%s", bad[i]);
		cr_expect_eq(run(text), 1, "%s", bad[i]);
		cr_expect(settings.n_dns == 0 && settings.n_search == 0, "%s", bad[i]);
		cr_expect_eq(strv_len(push.notes), 1, "%s", bad[i]);
	}
	cr_expect_eq(run(SUBNET ",dhcp-option DOMAIN a\nnameserver 6.6.6.6"), -EBADMSG);
	cr_expect_eq(run(SUBNET "\x1b"), -EBADMSG);
	cr_expect_eq(run(SUBNET "\t"), -EBADMSG);
}

/* Whatever a value is, what comes out is refused or passes the helper's own check, and nothing of the text is in a name. */
static void takes_nothing_raw(const char *option, const char *value)
{
	_cleanup_(freep) char *text = str_format(SUBNET ",%s %s", option, value);
	_cleanup_(freep) char *why = NULL;

	cr_assert(text);
	if (run(text) != 1)
		return; /* refused with a sentence: run() looked */
	cr_expect_eq(settings_verify(&settings, &why), 0, "%s %s: %s", option, value, why);
	for (unsigned i = 0; i < settings.n_search; i++)
		cr_expect(domain_is_valid(settings.search[i]), "%s %s", option, value);
	for (size_t i = 0; i < strv_len(push.notes); i++)
		cr_expect(strlen(push.notes[i]) < 1000 && !strpbrk(push.notes[i], "\n\r\x1b"), "%s %s", option, value);
}

/* Invariant 33: each place that takes a value x what was ever found to bite somebody. */
Test(ovpn_push, hostile_dictionary_leaves_typed_values_only)
{
	static const char *const names[] = {
		"dhcp-option DNS", "dhcp-option DNS6", "dhcp-option DOMAIN", "dhcp-option DOMAIN-SEARCH",
		"dhcp-option ADAPTER_DOMAIN_SUFFIX", "dns search-domains", "dns server 0 address",
		"dns server 0 resolve-domains", "dns server", "route", "route 10.0.0.0", "route 10.0.0.0 255.0.0.0", "route-ipv6",
		"route-gateway", "ifconfig", "ifconfig 10.8.0.2", "ifconfig-ipv6", "ifconfig-ipv6 fd00::2/64", "topology", "tun-mtu",
		"redirect-gateway", "cipher", "peer-id", "ping", "setenv", "up", "script-security 2",
	};
	static const char *const values[] = {
		"", ";id", "x;id", "$(id)", "`id`", "|id", "a&&id", "../../etc/passwd", "..", ".", "/etc/shadow", "%n%n%s", "%s",
		"'", "\"", "\\", "a\\nb", "a\nnameserver 6.6.6.6", "a\rb", "\x1b[2J", "\x7f", "\xff\xfe", "caf\xc3\xa9",
		"*", "?", "~root", "-o", "--help", "#", "a#b", "a b", "a\tb", "0", "-1", "4294967296", "99999999999999999999", "0x7f.1",
		"127.0.0.1", "0.0.0.0", "255.255.255.255", "1.2.3", "1.2.3.4.5", "010.8.0.1", "1.2.3.4/33", "::", "::1", "fe80::1%eth0",
		"::ffff:127.0.0.1", "fd00::/129", "fd00::/-1", "fd00:::1", "[::1]:53", "ff02::1", "1::2::3", "${IFS}id", "a\";drop;\"",
		"} flush ruleset", "10.8.0.1 ; flush ruleset", "\n\n",
	};
	_cleanup_(freep) char *huge = malloc(65537);

	cr_assert(huge);
	memset(huge, 'a', 65536);
	huge[65536] = '\0';
	for (size_t o = 0; o < ARRAY_SIZE(names); o++) {
		for (size_t v = 0; v < ARRAY_SIZE(values); v++)
			takes_nothing_raw(names[o], values[v]);
		takes_nothing_raw(names[o], huge);
	}
}

struct critical_case {
	const char *text;
	int r;
};

Test(ovpn_push, is_strict_where_both_ends_must_agree)
{
	static const struct critical_case cases[] = {
		{ "peer-id 0", 1 },
		{ "peer-id 16777215", 1 },
		{ "peer-id 16777216", -EPROTO },
		{ "peer-id -1", -EPROTO },
		{ "protocol-flags tls-ekm", 1 },
		{ "protocol-flags tls-ekm aead-epoch", 1 },
		{ "protocol-flags new-thing", -EPROTO },
		{ "key-derivation tls-ekm", 1 },
		{ "key-derivation magic", -EPROTO },
		{ "compress zstd", -EPROTO },
		{ "compress", 1 },
		{ "cipher AES-256-GCM", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[200];

		snprintf(text, sizeof(text), SUBNET ",%s", cases[i].text);
		cr_expect_eq(run(text), cases[i].r, "%s", cases[i].text);
	}
}

Test(ovpn_push, knows_the_framings)
{
	static const struct {
		const char *text;
		enum framing framing;
	} cases[] = {
		{ "ping 1", FRAMING_NONE },		{ "comp-lzo no", FRAMING_LZO },
		{ "comp-lzo", FRAMING_LZO },		{ "comp-lzo adaptive", FRAMING_LZO },
		{ "compress", FRAMING_SWAP },		{ "compress stub", FRAMING_SWAP },
		{ "compress stub-v2", FRAMING_STUB_V2 }, { "compress lz4-v2", FRAMING_STUB_V2 },
		{ "compress lzo", FRAMING_LZO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[200];

		snprintf(text, sizeof(text), SUBNET ",%s", cases[i].text);
		cr_expect_eq(run(text), 1);
		cr_expect_eq(push.framing, cases[i].framing, "%s", cases[i].text);
	}
	options.framing = FRAMING_LZO;
	cr_assert_eq(run(SUBNET), 1);
	cr_assert_eq(push.framing, FRAMING_LZO);
	cr_assert_eq(run(SUBNET ",compress stub-v2"), 1);
	cr_assert_eq(push.framing, FRAMING_STUB_V2);
}

struct mtu_case {
	const char *text;
	uint32_t filed, max, want;
};

Test(ovpn_push, bounds_the_mtu)
{
	static const struct mtu_case cases[] = {
		{ SUBNET, 0, 0, 1500 },
		{ SUBNET, 1400, 0, 1400 },
		{ SUBNET ",tun-mtu 1300", 1400, 0, 1300 },
		{ SUBNET ",tun-mtu 1", 0, 0, 1500 },
		{ SUBNET ",tun-mtu 99", 0, 0, 1500 },
		{ SUBNET ",tun-mtu 575", 0, 0, 1500 },
		{ SUBNET ",tun-mtu 576", 0, 0, 576 },
		{ SUBNET ",tun-mtu 65535", 0, 0, 65535 },
		{ SUBNET ",tun-mtu 65536", 0, 0, 1500 },
		{ SUBNET ",tun-mtu 65535", 0, 9000, 9000 },
		{ SUBNET, 0, 1420, 1420 },
		{ SUBNET ",ifconfig-ipv6 fd00::2/64,tun-mtu 1000", 0, 0, 1280 },
		{ SUBNET ",ifconfig-ipv6 fd00::2/64,tun-mtu 1280", 0, 0, 1280 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		options.tun_mtu = cases[i].filed;
		cr_expect_eq(run_max(cases[i].text, cases[i].max), 1);
		cr_expect_eq(settings.mtu, cases[i].want, "%s", cases[i].text);
	}
}

Test(ovpn_push, gathers_continuations)
{
	char *why = NULL;

	ovpn_push_init(&push, &options);
	cr_assert_eq(ovpn_push_add(&push, SUBNET ",route 192.168.1.0 255.255.255.0,push-continuation 2", &why), 0);
	cr_assert_eq(ovpn_push_add(&push, "route 192.168.2.0 255.255.255.0,push-continuation 2", &why), 0);
	cr_assert_eq(ovpn_push_add(&push, "route 192.168.3.0 255.255.255.0,push-continuation 1", &why), 1);
	cr_assert_eq(ovpn_push_finish(&push, 0, &settings, &why), 0);
	cr_assert_eq(settings.n_routes, 3);
}

Test(ovpn_push, ends_a_reply_without_end)
{
	int r = 0, n = 0;

	ovpn_push_init(&push, &options);
	while ((r = ovpn_push_add(&push, "push-continuation 2", &error)) == 0)
		n++;
	cr_assert_eq(r, -EPROTO);
	cr_assert_eq(n, OVPN_PUSH_MESSAGES_MAX);
}

Test(ovpn_push, honours_filters_and_nopull)
{
	struct pull_filter filters[] = {
		{ PULL_FILTER_ACCEPT, "route 192.168.1." },
		{ PULL_FILTER_IGNORE, "route " },
		{ PULL_FILTER_IGNORE, "auth-token" },
		{ PULL_FILTER_REJECT, "block-ipv6" },
	};

	options.pull_filters = filters;
	options.n_pull_filters = ARRAY_SIZE(filters);
	cr_assert_eq(run(SUBNET ",route   192.168.1.0  255.255.255.0, route 192.168.2.0 255.255.255.0,auth-token s3cret"), 1);
	cr_assert_eq(settings.n_routes, 1);
	cr_assert(routed("192.168.1.0/24"));
	cr_assert_null(push.auth_token);
	cr_assert(noted("pull-filter"));
	cr_assert_not(noted("s3cret"));
	cr_assert_eq(run(SUBNET ",block-ipv6"), -EACCES);
	cr_assert(strstr(error, "pull-filter reject"));
	/* quotes are no way around a filter */
	cr_assert_eq(run(SUBNET ",\"block-ipv6\""), -EACCES);
	cr_assert_eq(run(SUBNET ",\"route\" 192.168.2.0 255.255.255.0,'ro'ute\\  192.168.3.0"), 1);
	cr_assert_eq(settings.n_routes, 0);
	options.n_pull_filters = 0;
	options.route_nopull = true;
	cr_assert_eq(run(SUBNET ",route 192.168.1.0 255.255.255.0,dhcp-option DNS 10.8.0.1,redirect-gateway def1,ping 10"), 1);
	cr_assert(settings.n_routes == 0 && settings.n_dns == 0 && push.redirect == 0 && push.ping_set);
}

Test(ovpn_push, merges_the_files_routes)
{
	struct inprefix own[2];

	cr_assert_eq(inprefix_parse("192.168.50.0/24", &own[0]), 0);
	cr_assert_eq(inprefix_parse("::/0", &own[1]), 0);
	options.routes = own;
	options.n_routes = 1;
	cr_assert_eq(run(SUBNET ",ifconfig-ipv6 fd00::2/64"), 1);
	cr_assert(routed("192.168.50.0/24") && !settings.default4 && !settings.default6);
	options.n_routes = 2;
	cr_assert_eq(run(SUBNET ",ifconfig-ipv6 fd00::2/64"), 1);
	cr_assert(!settings.default4 && settings.default6);
}

Test(ovpn_push, keeps_tokens_and_hides_them)
{
	cr_assert_eq(run(SUBNET ",auth-token s3cret,auth-token-user dXNlcg=="), 1);
	cr_assert_str_eq(secret_string(push.auth_token), "s3cret");
	cr_assert_str_eq(secret_string(push.auth_token_user), "user");
	cr_assert_eq(run(SUBNET ",auth-token \"s3cret,auth-token s3cret2 s3cret3,auth-token-user s3cret%"), 1);
	for (size_t i = 0; i < strv_len(push.notes); i++)
		cr_assert_null(strstr(push.notes[i], "s3cret"), "%s", push.notes[i]);
	/* quoted in every way, and with a filter that ends the connection */
	cr_assert_eq(run(SUBNET ",\"auth-token\" s3cret s3cret,'auth-token s3cret,\"auth\"-token s3cret x"), 1);
	for (size_t i = 0; i < strv_len(push.notes); i++)
		cr_assert_null(strstr(push.notes[i], "s3cret"), "%s", push.notes[i]);
}

Test(ovpn_push, an_empty_token_is_none)
{
	cr_assert_eq(run(SUBNET ",auth-token \"\""), 1);
	cr_assert_null(push.auth_token);
	cr_assert(noted("auth-token"));
}

Test(ovpn_push, ignores_what_a_server_may_not_push)
{
	static const char *const bad[] = { "setenv X y", "up /bin/sh", "script-security 3", "iproute /tmp/x", "lladdr 02:00:00:00:00:01",
					   "plugin x.so", "client-nat snat 1.2.3.4 255.255.255.255 5.6.7.8", "remote 6.6.6.6", "no-such-thing" };
	char text[400];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), SUBNET ",%s,%s", bad[i], bad[i]);
		cr_expect_eq(run(text), 1);
		cr_expect_eq(strv_len(push.notes), 1, "%s", bad[i]);
	}
	cr_assert_eq(run(SUBNET ",echo hello world,persist-tun,verb 3,sndbuf 0,block-outside-dns"), 1);
	cr_assert_eq(strv_len(push.notes), 0);
}

Test(ovpn_push, ping_restart_and_exit_exclude_each_other)
{
	cr_assert_eq(run(SUBNET ",ping-restart 60,ping-exit 30"), 1);
	cr_assert(push.ping_restart == 0 && push.ping_exit == 30 * USEC_PER_SEC);
	cr_assert_eq(run(SUBNET ",ping-exit 30,ping-restart 0"), 1);
	cr_assert(push.ping_restart == 0 && push.ping_exit == 0 && push.ping_restart_set);
	cr_assert_eq(run(SUBNET ",ping x,ping-restart 4294967296,ping -1"), 1);
	cr_assert(!push.ping_set && !push.ping_restart_set);
}

Test(ovpn_push, bounds_its_notes)
{
	struct strbuf b = { 0 };

	strbuf_add(&b, SUBNET);
	for (unsigned i = 0; i < 1000; i++)
		strbuf_addf(&b, ",thing%u x", i);
	cr_assert_eq(run(b.s), 1);
	cr_assert_eq(strv_len(push.notes), OVPN_PUSH_NOTES_MAX);
	strbuf_done(&b);
}

Test(ovpn_push, takes_odd_text)
{
	char *long_option = malloc(5000);

	cr_assert_eq(run(",,, ," SUBNET ",,"), 1);
	cr_assert_eq(run(SUBNET ",route 1.2.3.4 255.255.255.255 a b c d e f g h i j k l m n o p q r s t u v w"), 1);
	memset(long_option, 'a', 4999);
	long_option[4999] = 0;
	memcpy(long_option, SUBNET ",", strlen(SUBNET ","));
	cr_assert_eq(run(long_option), 1);
	cr_assert(noted("1023"));
	free(long_option);
}
