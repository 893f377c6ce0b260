/*
 * Pushed routes, and which family gets a default route.
 *
 * Theory. In the tunnel's namespace "def1", gateways and metrics have no meaning: there is one device and, per
 * family, a default route or none. redirect-gateway gives IPv4 (unless !ipv4) and with `ipv6` IPv6; routes that add up
 * to everything count as the default of their family; a server that speaks of no route beyond its own subnet gets
 * all traffic, since sending it there is what the tunnel is for. Whatever has no route stays unreachable.
 */
#include "proto/ovpn-push-option.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

/* ---- gathering ---- */

enum {
	WHOLE4 = 1 << 0,
	WHOLE4_LOW = 1 << 1,
	WHOLE4_HIGH = 1 << 2,
	WHOLE6 = 1 << 3,
	WHOLE6_LOW = 1 << 4,
	WHOLE6_HIGH = 1 << 5,
	WHOLE6_GLOBAL_LOW = 1 << 6,
	WHOLE6_GLOBAL_HIGH = 1 << 7,
};

struct whole {
	uint8_t family_bits; /* 32 or 128: keeps the table short */
	uint8_t first;       /* first byte of the address; the rest is zero */
	uint8_t len;
	unsigned bit;
};

/* 2000::/3 is all of the global unicast space: what servers push to mean "everything". */
static const struct whole wholes[] = {
	{ 32, 0x00, 0, WHOLE4 },
	{ 32, 0x00, 1, WHOLE4_LOW },
	{ 32, 0x80, 1, WHOLE4_HIGH },
	{ 128, 0x00, 0, WHOLE6 },
	{ 128, 0x20, 3, WHOLE6 },
	{ 128, 0x00, 1, WHOLE6_LOW },
	{ 128, 0x80, 1, WHOLE6_HIGH },
	{ 128, 0x20, 4, WHOLE6_GLOBAL_LOW },
	{ 128, 0x30, 4, WHOLE6_GLOBAL_HIGH },
};

static void routes_store(struct ovpn_routes *routes, const struct inprefix *prefix)
{
	for (unsigned i = 0; i < routes->n; i++)
		if (inprefix_eq(&routes->v[i], prefix))
			return;
	if (routes->n < ARRAY_SIZE(routes->v))
		routes->v[routes->n++] = *prefix;
	else
		routes->n_lost++;
}

static void routes_add(struct ovpn_routes *routes, struct inprefix prefix)
{
	unsigned bits = prefix.addr.family == AF_INET ? 32 : 128;

	inprefix_mask(&prefix);
	for (size_t i = 0; i < ARRAY_SIZE(wholes); i++)
		if (wholes[i].family_bits == bits && wholes[i].len == prefix.len &&
		    wholes[i].first == prefix.addr.bytes[0]) {
			routes->whole |= wholes[i].bit;
			return;
		}
	routes_store(routes, &prefix);
}

static bool has_bits(unsigned set, unsigned bits)
{
	return (set & bits) == bits;
}

static bool routes_whole4(unsigned whole)
{
	return has_bits(whole, WHOLE4) || has_bits(whole, WHOLE4_LOW | WHOLE4_HIGH);
}

static bool routes_whole6(unsigned whole)
{
	return has_bits(whole, WHOLE6) || has_bits(whole, WHOLE6_LOW | WHOLE6_HIGH) ||
	       has_bits(whole, WHOLE6_GLOBAL_LOW | WHOLE6_GLOBAL_HIGH);
}

/* Halves without their other half are ordinary routes after all. */
static void routes_restore_halves(struct ovpn_routes *routes)
{
	for (size_t i = 0; i < ARRAY_SIZE(wholes); i++) {
		const struct whole *w = &wholes[i];
		struct inprefix prefix = { .len = w->len };
		bool v4 = w->family_bits == 32;

		if (!(routes->whole & w->bit) || (v4 ? routes_whole4(routes->whole) : routes_whole6(routes->whole)))
			continue;
		prefix.addr.family = v4 ? AF_INET : AF_INET6;
		prefix.addr.bytes[0] = w->first;
		routes_store(routes, &prefix);
	}
}

/* ---- options ---- */

/* 0.0.0.0/1 and ::/3 begin with the unspecified address; they are large networks all the same. */
static bool is_large_from_zero(const struct inprefix *p)
{
	static const uint8_t zero[16];

	return p->len < 8 && memcmp(p->addr.bytes, zero, inaddr_len(p->addr.family)) == 0;
}

static int add_route(struct ovpn_push *p, const struct inprefix *prefix, const char **why)
{
	struct inprefix masked = *prefix;

	inprefix_mask(&masked);
	if (inaddr_is_special(&masked.addr) && !is_large_from_zero(&masked))
		return IGNORE("loopback, multicast and the like are never routed into a tunnel");
	if (inaddr_is_link_local(&masked.addr))
		return IGNORE("link-local addresses are never routed");
	routes_add(&p->routes, masked);
	return 0;
}

int ovpn_push_on_route(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	struct inprefix prefix = { .len = 32 };
	struct inaddr mask;

	if (o->n > 3 && str_eq(o->words[3], "net_gateway"))
		return IGNORE("net_gateway would lead around the tunnel, which nsvpn never does");
	if (str_eq(o->words[1], "vpn_gateway") || str_eq(o->words[1], "net_gateway") ||
	    str_eq(o->words[1], "remote_host"))
		return IGNORE("this keyword has no meaning inside the tunnel's namespace");
	if (inaddr_parse(o->words[1], &prefix.addr) < 0 || prefix.addr.family != AF_INET)
		return IGNORE("only numeric IPv4 networks are accepted from a server");
	if (o->n > 2 && !str_eq(o->words[2], "default") &&
	    (inaddr_parse(o->words[2], &mask) < 0 || mask.family != AF_INET ||
	     netmask_to_len(&mask, &prefix.len) < 0))
		return IGNORE("its netmask makes no sense");
	return add_route(p, &prefix, why);
}

int ovpn_push_on_route_ipv6(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	struct inprefix prefix;

	if (o->n > 2 && str_eq(o->words[2], "net_gateway_ipv6"))
		return IGNORE("net_gateway_ipv6 would lead around the tunnel, which nsvpn never does");
	if (inprefix_parse(o->words[1], &prefix) < 0 || prefix.addr.family != AF_INET6)
		return IGNORE("only numeric IPv6 networks are accepted from a server");
	return add_route(p, &prefix, why);
}

static unsigned redirect_flags(const struct ovpn_push_option *o)
{
	unsigned flags = 0;

	/* local, autolocal, def1, bypass-*, block-local: about the host's routes, which nobody touches here. */
	for (unsigned i = 1; i < o->n; i++) {
		if (str_eq(o->words[i], "ipv6"))
			flags |= REDIRECT_IPV6;
		else if (str_eq(o->words[i], "!ipv4"))
			flags |= REDIRECT_NOT_IPV4;
	}
	return flags;
}

int ovpn_push_on_redirect_gateway(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why _unused_)
{
	/* Each one speaks for IPv4 anew: the last word counts. */
	p->redirect = (p->redirect & ~REDIRECT_NOT_IPV4) | REDIRECT_GATEWAY | redirect_flags(o);
	return 0;
}

int ovpn_push_on_redirect_private(struct ovpn_push *p, const struct ovpn_push_option *o _unused_, const char **why _unused_)
{
	p->redirect_private = true;
	return 0;
}

int ovpn_push_on_block_ipv6(struct ovpn_push *p, const struct ovpn_push_option *o _unused_, const char **why _unused_)
{
	p->block_ipv6 = true;
	return 0;
}

/* ---- merging ---- */

bool ovpn_push_has_family(const struct settings *s, int family)
{
	for (unsigned i = 0; i < s->n_addrs; i++)
		if (s->addrs[i].addr.family == family)
			return true;
	return false;
}

/* True for routes that only reach the VPN's own addresses. */
static bool is_own_subnet(const struct settings *s, const struct inprefix *route)
{
	for (unsigned i = 0; i < s->n_addrs; i++) {
		struct inprefix own = s->addrs[i];

		if (own.addr.family != route->addr.family)
			continue;
		/*
		 * A point-to-point address does not tell its pool. Servers push the route to their own address or to the pool
		 * ("route 10.8.0.1"): taken as own when it is that narrow and that near.
		 */
		if (own.addr.family == AF_INET && inaddr_is_set(&s->peer4))
			own.len = route->len == 32 ? 16 : 24;
		inprefix_mask(&own);
		if (route->len >= own.len && inprefix_contains(&own, &route->addr))
			return true;
		if (route->len >= 16 && inprefix_contains(route, &s->addrs[i].addr))
			return true;
	}
	return false;
}

/* The server's redirect-gateway has the last word about IPv4. */
static unsigned merge_redirect(const struct ovpn_push *p)
{
	unsigned own = p->options->redirect;

	return p->redirect ? (own & ~REDIRECT_NOT_IPV4) | p->redirect : own;
}

/* Returns how many routes did not fit. */
unsigned ovpn_push_finish_routes(const struct ovpn_push *p, struct settings *s)
{
	const struct ovpn_options *o = p->options;
	unsigned redirect = merge_redirect(p);
	bool has4 = ovpn_push_has_family(s, AF_INET), has6 = ovpn_push_has_family(s, AF_INET6), beyond;
	struct ovpn_routes all = { 0 };

	for (size_t i = 0; i < o->n_routes; i++)
		routes_add(&all, o->routes[i]);
	for (unsigned i = 0; i < p->routes.n; i++)
		routes_store(&all, &p->routes.v[i]);
	all.whole |= p->routes.whole;
	routes_restore_halves(&all);

	beyond = (redirect & (REDIRECT_GATEWAY | REDIRECT_PRIVATE)) || p->redirect_private || all.whole;
	for (unsigned i = 0; i < all.n; i++)
		beyond |= !is_own_subnet(s, &all.v[i]);

	s->default4 = has4 && (!beyond || routes_whole4(all.whole) ||
			       ((redirect & REDIRECT_GATEWAY) && !(redirect & REDIRECT_NOT_IPV4)));
	s->block_ipv6 = p->block_ipv6 || o->block_ipv6;
	s->default6 = has6 && !s->block_ipv6 &&
		      (!beyond || routes_whole6(all.whole) || has_bits(redirect, REDIRECT_GATEWAY | REDIRECT_IPV6));
	for (unsigned i = 0; i < all.n; i++)
		if (ovpn_push_has_family(s, all.v[i].addr.family))
			s->routes[s->n_routes++] = all.v[i];
	return all.n_lost + p->routes.n_lost;
}
