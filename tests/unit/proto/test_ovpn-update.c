/* PUSH_UPDATE on lists of options: what goes, what comes, what needs a new connection. */
#include "proto/ovpn-update.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define BASE "topology subnet,ifconfig 10.8.0.2 255.255.255.0,route 192.168.1.0 255.255.255.0,route 192.168.2.0 255.255.255.0"

static struct ovpn_options options;
static struct ovpn_push base, next;
static struct settings settings;
static char *error;

static void init(void)
{
	options = (struct ovpn_options){ 0 };
}

static void fini(void)
{
	ovpn_push_done(&base);
	ovpn_push_done(&next);
	free(error);
	error = NULL;
}

TestSuite(ovpn_update, .init = init, .fini = fini);

static void begin(const char *pushed)
{
	fini();
	memset(&next, 0, sizeof(next));
	ovpn_push_init(&base, &options);
	cr_assert_eq(ovpn_push_add(&base, pushed, &error), 1, "%s", error);
}

/* The messages, separated by |, onto `base`. 1: done, settings and next hold the result; 0: incomplete; or the error. */
static int update(const char *messages)
{
	_cleanup_(freep) char *copy = strdup(messages);
	struct ovpn_update *u = NULL;
	char *save = NULL;
	int r = 0;

	ovpn_push_done(&next);
	memset(&next, 0, sizeof(next));
	free(error);
	error = NULL;
	cr_assert_eq(ovpn_update_new(&u, &base), 0);
	for (char *m = strtok_r(copy, "|", &save); m && r == 0; m = strtok_r(NULL, "|", &save))
		r = ovpn_update_add(u, m, &error);
	if (r == 1) {
		int f = ovpn_update_finish(u, 0, &next, &settings, &error);

		r = f < 0 ? f : 1;
	}
	ovpn_update_free(u);
	cr_assert_eq(r < 0, error != NULL, "%s: %d", messages, r);
	return r;
}

static const char *routes(void)
{
	static char all[2000];
	char text[INPREFIX_STR_MAX];

	all[0] = '\0';
	for (unsigned i = 0; i < settings.n_routes; i++)
		(void)strcat(strcat(all, i ? " " : ""), inprefix_format(&settings.routes[i], text, sizeof(text)));
	return all;
}

static bool noted(const char *part)
{
	for (char **n = next.notes; n && *n; n++)
		if (strstr(*n, part))
			return true;
	return false;
}

Test(ovpn_update, the_first_of_a_kind_replaces_the_later_ones_add)
{
	static const struct {
		const char *update, *routes;
	} cases[] = {
		{ "route 10.1.0.0 255.255.0.0", "10.1.0.0/16" },
		{ "route 10.1.0.0 255.255.0.0,route 10.2.0.0 255.255.0.0", "10.1.0.0/16 10.2.0.0/16" },
		{ "-route", "" },
		{ "-route,route 10.1.0.0 255.255.0.0", "10.1.0.0/16" },
		{ "route 10.1.0.0 255.255.0.0,-route,route 10.2.0.0 255.255.0.0", "10.1.0.0/16 10.2.0.0/16" },
		{ "-route 192.168.1.0 255.255.255.0", "" }, /* the name alone counts */
		{ " - route ", "" },
		{ "-?route", "" },
		{ "dhcp-option DNS 10.8.0.1", "192.168.1.0/24 192.168.2.0/24" },
		{ "", NULL },
		{ "push-continuation 2,route 10.1.0.0 255.255.0.0|push-continuation 1,route 10.2.0.0 255.255.0.0",
		  "10.1.0.0/16 10.2.0.0/16" },
		{ "route 10.1.0.0 255.255.0.0,push-continuation 2|-route", "10.1.0.0/16" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(BASE);
		if (!cases[i].routes) {
			cr_assert_eq(update(cases[i].update), 0);
			continue;
		}
		cr_assert_eq(update(cases[i].update), 1, "%s: %s", cases[i].update, error);
		cr_expect_str_eq(routes(), cases[i].routes, "%s: %s", cases[i].update, routes());
		cr_expect_eq(settings.n_addrs, 1);
	}
}

Test(ovpn_update, changes_each_kind)
{
	begin(BASE ",dhcp-option DNS 10.8.0.1,tun-mtu 1400,ping 5");
	cr_assert_eq(update("ifconfig 10.9.0.2 255.255.0.0,ifconfig-ipv6 fd00::2/64 fd00::1,redirect-gateway ipv6,-route,"
			    "-dhcp-option,dns server 1 address 10.9.0.53,tun-mtu 1380,keepalive 7 70"), 1, "%s", error);
	cr_assert_eq(settings.n_addrs, 2);
	cr_assert_eq(settings.addrs[0].len, 16);
	cr_assert(settings.default4 && settings.default6);
	cr_assert_eq(settings.n_routes, 0);
	cr_assert_eq(settings.n_dns, 1);
	cr_assert_eq(settings.dns[0].bytes[1], 9);
	cr_assert_eq(settings.mtu, 1380);
	cr_assert_eq(next.keepalive, 7 * USEC_PER_SEC);
	cr_assert_eq(next.keepalive_restart, 70 * USEC_PER_SEC);
}

Test(ovpn_update, one_update_stands_on_the_other)
{
	begin(BASE);
	cr_assert_eq(update("redirect-private,-route,route 10.1.0.0 255.255.0.0"), 1);
	cr_assert_not(settings.default4);
	ovpn_push_done(&base);
	base = next;
	memset(&next, 0, sizeof(next));
	cr_assert_eq(update("redirect-gateway def1"), 1);
	cr_assert(settings.default4);
	cr_assert_not(next.redirect_private); /* the two speak of the same */
	cr_assert_str_eq(routes(), "10.1.0.0/16");
}

static const char *names(void)
{
	static char all[2000];
	char text[INADDR_STR_MAX];

	all[0] = '\0';
	for (unsigned i = 0; i < settings.n_dns; i++)
		(void)strcat(strcat(all, inaddr_format(&settings.dns[i], text, sizeof(text))), " ");
	for (unsigned i = 0; i < settings.n_search; i++)
		(void)strcat(strcat(all, settings.search[i]), " ");
	return all;
}

/* What was usable of an option is still there after an update of something else, and what made it unusable too. */
Test(ovpn_update, what_was_taken_in_part_stays)
{
	static const struct {
		const char *pushed, *names;
	} cases[] = {
		{ "dns server 1 address 10.8.0.1 nonsense", "10.8.0.1 " },
		{ "dns search-domains a.example b..example", "a.example " },
		{ "dns server 1 address 10.8.0.1,dns server 1 transport DoT,dns server 2 address 10.8.0.2", "10.8.0.2 " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *pushed = str_format("%s,%s", BASE, cases[i].pushed);

		begin(pushed);
		cr_assert_eq(update("-route"), 1, "%s", error);
		cr_assert_str_eq(names(), cases[i].names);
	}
	begin(BASE);
	cr_assert_eq(update(cases[0].pushed), 1, "%s", error);
	cr_assert_str_eq(names(), cases[0].names);
}

Test(ovpn_update, what_cannot_be_changed_needs_a_new_connection)
{
	static const char *const fatal[] = { "cipher AES-128-GCM", "-cipher", "auth-token s3cret", "peer-id 7", "no-such-option",
					     "ping 10", "route 'x", "-", "ifconfig 10.8.0.2 x", "-ifconfig", "up /bin/sh" };

	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
		begin(BASE);
		cr_expect_eq(update(fatal[i]), -EPROTO, "%s", fatal[i]);
		cr_expect(!error || !strstr(error, "s3cret"), "%s", error);
	}
	begin(BASE);
	cr_assert_eq(update("?cipher AES-128-GCM,?no-such-option x,?ifconfig 10.8.0.9 x,?route 10.1.0.0 255.255.0.0,?-route-ipv6"), -EPROTO);
	cr_assert(strstr(error, "no address"), "%s", error); /* the old address went when the new one came */
	cr_assert_eq(update("?cipher AES-128-GCM,?no-such-option x,?tun-mtu 7,?route 10.1.0.0 255.255.0.0"), 1, "%s", error);
	cr_assert_str_eq(routes(), "10.1.0.0/16");
	cr_assert(noted("cipher") && noted("no-such-option") && noted("tun-mtu"));
}

Test(ovpn_update, filters_of_the_profile_count)
{
	static struct pull_filter filters[] = { { PULL_FILTER_IGNORE, "route 10." }, { PULL_FILTER_REJECT, "block-ipv6" } };

	options.pull_filters = filters;
	options.n_pull_filters = 2;
	begin(BASE);
	cr_assert_eq(update("route   '10.1.0.0' 255.255.0.0,dhcp-option DNS 10.8.0.1"), 1);
	cr_assert_str_eq(routes(), "192.168.1.0/24 192.168.2.0/24");
	cr_assert_eq(update("?block-ipv6"), -EACCES);
	options.n_pull_filters = 0;
	options.route_nopull = true;
	begin(BASE);
	cr_assert_eq(update("route 10.1.0.0 255.255.0.0,dhcp-option DNS 10.8.0.1,tun-mtu 1400"), 1);
	cr_assert_eq(settings.n_routes, 0);
	cr_assert_eq(settings.n_dns, 0);
	cr_assert_eq(settings.mtu, 1400);
}

Test(ovpn_update, has_bounds)
{
	struct strbuf b = { 0 };
	_cleanup_(freep) char *many = NULL;
	struct ovpn_update *u = NULL;
	int r = 0;

	for (unsigned i = 0; i < OVPN_PUSH_KEPT_MAX + 1; i++)
		strbuf_addf(&b, "%sroute 10.%u.%u.0 255.255.255.0", i ? "," : "", i / 256, i % 256);
	many = strbuf_take(&b);
	begin(BASE);
	cr_assert_eq(update(many), -EPROTO);
	ovpn_push_done(&base);
	ovpn_push_init(&base, &options);
	cr_assert_eq(ovpn_push_add(&base, many, &error), 1);
	cr_assert(base.kept_lost && strv_len(base.kept) == OVPN_PUSH_KEPT_MAX);
	cr_assert_eq(update("tun-mtu 1400"), -EPROTO);
	begin(BASE);
	cr_assert_eq(update("tun-mtu 1400\x01"), -EBADMSG);
	cr_assert_eq(ovpn_update_new(&u, &base), 0);
	for (unsigned i = 0; i <= OVPN_PUSH_MESSAGES_MAX && r == 0; i++)
		r = ovpn_update_add(u, "push-continuation 2", &error);
	cr_assert_eq(r, -EPROTO);
	ovpn_update_free(u);
	cr_assert_null(ovpn_update_free(NULL));
}

Test(ovpn_update, no_token_is_ever_kept)
{
	begin(BASE ",auth-token s3cret,auth-token-user YWJj,cipher AES-256-GCM");
	for (char **k = base.kept; *k; k++)
		cr_assert(!strstr(*k, "auth") && !strstr(*k, "cipher"), "%s", *k);
	cr_assert_eq(strv_len(base.kept), 4);
}
