/*
 * Checks of what a server wants the tunnel to look like. The helper calls this on what the engine proposes, so nothing
 * here may rely on how the values came about.
 */
#include "profile/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define MTU_MAX 65535

bool domain_is_valid(const char *s)
{
	size_t label = 0, len = strlen(s);

	if (!len || len >= SETTINGS_DOMAIN_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c == '.') {
			if (!label)
				return false;
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		      c == '_'))
			return false;
		if (c == '-' && !label)
			return false; /* a program could take it for an option */
		if (++label > 63)
			return false;
	}
	return true;
}

_printf_(2, 3) static int wrong(char **ret_why, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(ret_why, fmt, ap);
	va_end(ap);
	if (r < 0) {
		*ret_why = NULL;
		return -ENOMEM;
	}
	return -EINVAL;
}

static bool prefix_is_sound(const struct inprefix *p)
{
	return inaddr_is_set(&p->addr) && p->len <= inaddr_len(p->addr.family) * 8;
}

static int verify_addrs(const struct settings *s, bool *ret_has6, char **ret_why)
{
	char buf[INPREFIX_STR_MAX];
	bool has6 = false;

	if (!s->n_addrs || s->n_addrs > SETTINGS_ADDRS_MAX)
		return wrong(ret_why, "the server gave %u addresses; the tunnel takes 1 to %d", s->n_addrs,
			     SETTINGS_ADDRS_MAX);
	for (unsigned i = 0; i < s->n_addrs; i++) {
		const struct inprefix *a = &s->addrs[i];

		if (!prefix_is_sound(a) || a->len == 0)
			return wrong(ret_why, "the server gave a malformed address");
		if (inaddr_is_special(&a->addr))
			return wrong(ret_why, "the server gave %s, which cannot be the tunnel's own address",
				     inprefix_format(a, buf, sizeof(buf)));
		has6 |= a->addr.family == AF_INET6;
		for (unsigned k = 0; k < i; k++)
			if (inaddr_eq(&s->addrs[k].addr, &a->addr))
				return wrong(ret_why, "the server gave %s twice", inprefix_format(a, buf, sizeof(buf)));
	}
	if (s->peer4.family != AF_UNSPEC && (s->peer4.family != AF_INET || inaddr_is_special(&s->peer4)))
		return wrong(ret_why, "the server gave a peer address that cannot be used");
	*ret_has6 = has6;
	return 0;
}

static int verify_routes(const struct settings *s, char **ret_why)
{
	char buf[INPREFIX_STR_MAX];

	if (s->n_routes > SETTINGS_ROUTES_MAX)
		return wrong(ret_why, "the server gave %u routes; at most %d are taken", s->n_routes,
			     SETTINGS_ROUTES_MAX);
	for (unsigned i = 0; i < s->n_routes; i++) {
		struct inprefix masked = s->routes[i];

		if (!prefix_is_sound(&masked))
			return wrong(ret_why, "the server gave a malformed route");
		inprefix_mask(&masked);
		if (!inprefix_eq(&masked, &s->routes[i]))
			return wrong(ret_why, "the server gave the route %s with bits behind its prefix",
				     inprefix_format(&s->routes[i], buf, sizeof(buf)));
		if (masked.len == 0)
			return wrong(ret_why, "a default route was given as an ordinary route");
		/* 0.0.0.0/1 and ::/3 begin with the unspecified address and are common; loopback, multicast are not. */
		if (masked.len >= 8 && inaddr_is_special(&masked.addr))
			return wrong(ret_why, "the server gave the route %s, which no tunnel can carry",
				     inprefix_format(&masked, buf, sizeof(buf)));
	}
	return 0;
}

static int verify_names(const struct settings *s, char **ret_why)
{
	char buf[INADDR_STR_MAX];

	if (s->n_dns > SETTINGS_DNS_MAX)
		return wrong(ret_why, "the server gave %u name servers; at most %d are taken", s->n_dns,
			     SETTINGS_DNS_MAX);
	for (unsigned i = 0; i < s->n_dns; i++) {
		if (!inaddr_is_set(&s->dns[i]))
			return wrong(ret_why, "the server gave a malformed name server");
		if (inaddr_is_special(&s->dns[i]) || inaddr_is_link_local(&s->dns[i]))
			return wrong(ret_why,
				     "the server gave %s as name server, which is not reachable through the tunnel",
				     inaddr_format(&s->dns[i], buf, sizeof(buf)));
	}
	if (s->n_search > SETTINGS_SEARCH_MAX)
		return wrong(ret_why, "the server gave %u search domains; at most %d are taken", s->n_search,
			     SETTINGS_SEARCH_MAX);
	for (unsigned i = 0; i < s->n_search; i++) {
		_cleanup_(freep) char *shown = NULL;

		if (memchr(s->search[i], 0, SETTINGS_DOMAIN_LEN) && domain_is_valid(s->search[i]))
			continue;
		shown = str_escape(s->search[i], strnlen(s->search[i], SETTINGS_DOMAIN_LEN), 60);
		return shown ? wrong(ret_why, "the server gave '%s', which is not a domain name", shown) : -ENOMEM;
	}
	return 0;
}

/* A next hop is somebody else in a network that the device is in. */
static bool hop_is_sound(const struct settings *s, const struct inaddr *hop, int family)
{
	bool near = false;

	if (hop->family == AF_UNSPEC)
		return true;
	if (!s->ethernet || hop->family != family || inaddr_is_special(hop))
		return false;
	for (unsigned i = 0; i < s->n_addrs; i++) {
		struct inprefix own = s->addrs[i];

		if (inaddr_eq(&own.addr, hop))
			return false;
		inprefix_mask(&own);
		near |= own.addr.family == family && inprefix_contains(&own, hop);
	}
	return near;
}

static int verify_ethernet(const struct settings *s, char **ret_why)
{
	bool need4 = s->default4, need6 = s->default6;

	if (!hop_is_sound(s, &s->gateway4, AF_INET) || !hop_is_sound(s, &s->gateway6, AF_INET6))
		return wrong(ret_why, "the server gave a gateway that is not in the tunnel's own network");
	if (!s->ethernet)
		return 0;
	if (s->peer4.family != AF_UNSPEC)
		return wrong(ret_why, "the server gave a point-to-point address to a tap device");
	for (unsigned i = 0; i < s->n_routes; i++) {
		need4 |= s->routes[i].addr.family == AF_INET;
		need6 |= s->routes[i].addr.family == AF_INET6;
	}
	if ((need4 && !inaddr_is_set(&s->gateway4)) || (need6 && !inaddr_is_set(&s->gateway6)))
		return wrong(ret_why, "the server gave routes for a tap device without a gateway");
	return 0;
}

int settings_verify(const struct settings *s, char **ret_why)
{
	bool has6 = false;
	int r;

	r = verify_addrs(s, &has6, ret_why);
	if (r < 0)
		return r;
	if (s->mtu < SETTINGS_MTU_MIN || s->mtu > MTU_MAX)
		return wrong(ret_why, "the MTU %u is outside of %d to %d", s->mtu, SETTINGS_MTU_MIN, MTU_MAX);
	if (has6 && s->mtu < SETTINGS_MTU_MIN6)
		return wrong(ret_why, "the MTU %u is too small for IPv6, which needs %d", s->mtu, SETTINGS_MTU_MIN6);
	r = verify_routes(s, ret_why);
	if (r == 0)
		r = verify_ethernet(s, ret_why);
	if (r < 0)
		return r;
	return verify_names(s, ret_why);
}

static bool addrs_equal(const struct inaddr *a, const struct inaddr *b)
{
	if (!inaddr_is_set(a) || !inaddr_is_set(b))
		return inaddr_is_set(a) == inaddr_is_set(b);
	return inaddr_eq(a, b);
}

bool settings_equal(const struct settings *a, const struct settings *b)
{
	if (a->n_addrs != b->n_addrs || a->mtu != b->mtu || a->default4 != b->default4 || a->default6 != b->default6 ||
	    a->block_ipv6 != b->block_ipv6 || a->n_routes != b->n_routes || a->n_dns != b->n_dns ||
	    a->n_search != b->n_search || a->ethernet != b->ethernet || !addrs_equal(&a->peer4, &b->peer4) ||
	    !addrs_equal(&a->gateway4, &b->gateway4) || !addrs_equal(&a->gateway6, &b->gateway6))
		return false;
	for (unsigned i = 0; i < a->n_addrs; i++)
		if (!inprefix_eq(&a->addrs[i], &b->addrs[i]))
			return false;
	for (unsigned i = 0; i < a->n_routes; i++)
		if (!inprefix_eq(&a->routes[i], &b->routes[i]))
			return false;
	for (unsigned i = 0; i < a->n_dns; i++)
		if (!inaddr_eq(&a->dns[i], &b->dns[i]))
			return false;
	for (unsigned i = 0; i < a->n_search; i++)
		if (!str_eq(a->search[i], b->search[i]))
			return false;
	return true;
}
