/* Routes and rules. */
#include <string.h>

#include "base/cleanup.h"
#include "net/plan.h"
#include "net/sysctl.h"

/* A kernel without IPv6 has no IPv6 routes and needs none: nothing can leave by them. */
static bool family_missing(int family)
{
	return family == AF_INET6 && !sysctl_have_ipv6();
}

/* ---- one route ---- */

static int route_wanted(struct tunnelnet *n, const struct step *s, struct rt **ret_rt, struct rt_route *ret)
{
	int r;

	*ret = s->route.route;
	r = step_rt(n, s, ret_rt);
	if (r < 0)
		return r;
	if (s->route.ifname) {
		ret->oif = step_ifindex(*ret_rt, s->route.ifname);
		if (!ret->oif)
			return -ENODEV;
	}
	return 0;
}

static int route_find(struct rt *rt, const struct rt_route *want)
{
	_cleanup_(freep) struct rt_route *v = NULL;
	size_t count;
	int r;

	r = rt_route_list(rt, want->dst.addr.family, want->table, 0, &v, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (rt_route_same(&v[i], want))
			return 1;
	return 0;
}

static int route_check(struct tunnelnet *n, const struct step *s)
{
	struct rt_route want;
	struct rt *rt;
	int r;

	if (family_missing(s->route.route.dst.addr.family))
		return 1;
	r = route_wanted(n, s, &rt, &want);
	if (r == -ENODEV)
		return 0;
	return r < 0 ? r : route_find(rt, &want);
}

static int route_apply(struct tunnelnet *n, const struct step *s)
{
	char buf[INPREFIX_STR_MAX];
	struct rt_route want;
	struct rt *rt;
	int r;

	r = route_wanted(n, s, &rt, &want);
	if (r == 0)
		r = rt_route_add(rt, &want);
	if (r < 0)
		return net_error(n, r, "the route to %s in tunnel %s cannot be set: %s",
				 inprefix_format(&s->route.route.dst, buf, sizeof(buf)), n->name, strerror(-r));
	return 0;
}

/* Gone, or going with its device at this moment (the last descriptor of a tun was closed): what was wanted. */
static int remove_route(struct rt *rt, const struct rt_route *route)
{
	int r = rt_route_delete(rt, route);

	return r == -ESRCH || r == -ENODEV ? 0 : r;
}

static int route_undo(struct tunnelnet *n, const struct step *s)
{
	struct rt_route want;
	struct rt *rt;

	if (s->route.route.table == RT_TABLE_MAIN && s->route.route.type == RTN_UNREACHABLE)
		return 0; /* the floor stays as long as the namespace */
	if (route_wanted(n, s, &rt, &want) < 0 || route_find(rt, &want) <= 0)
		return 0;
	return remove_route(rt, &want);
}

static void route_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	const struct rt_route *r = &s->route.route;
	char dst[INPREFIX_STR_MAX], via[INADDR_STR_MAX];

	(void)n; /* the step has it all */
	fprintf(f, "route: ");
	if (r->type == RTN_UNREACHABLE)
		fprintf(f, "unreachable ");
	if (!inaddr_is_set(&r->dst.addr))
		fprintf(f, "the server's address");
	else if (r->dst.len == 0)
		fprintf(f, "default (%s)", r->dst.addr.family == AF_INET ? "IPv4" : "IPv6");
	else
		fprintf(f, "%s", inprefix_format(&r->dst, dst, sizeof(dst)));
	if (inaddr_is_set(&r->via))
		fprintf(f, " via %s", inaddr_format(&r->via, via, sizeof(via)));
	if (s->route.ifname)
		fprintf(f, " dev %s", s->route.ifname);
	if (r->table != RT_TABLE_MAIN)
		fprintf(f, ", in table 0x%08x", r->table);
}

const struct step_ops step_route = { route_check, route_apply, route_undo, route_print };

/* ---- the rule that sends marked packets to the engine's table ---- */

static int rule_check(struct tunnelnet *n, const struct step *s)
{
	struct rt *rt;
	int r;

	if (family_missing(s->rule.family))
		return 1;
	r = step_rt(n, s, &rt);
	return r < 0 ? r : rt_rule_exists(rt, &s->rule);
}

static int rule_apply(struct tunnelnet *n, const struct step *s)
{
	struct rt *rt;
	int r;

	r = step_rt(n, s, &rt);
	if (r == 0)
		r = rt_rule_add(rt, &s->rule);
	if (r < 0)
		return net_error(n, r, "the policy rule of tunnel %s cannot be set: %s%s", n->name, strerror(-r),
				 r == -EOPNOTSUPP ? " (this kernel has no policy routing; set Uplink=socket)" : "");
	return 0;
}

static int rule_undo(struct tunnelnet *n, const struct step *s)
{
	struct rt *rt;

	if (family_missing(s->rule.family) || step_rt(n, s, &rt) < 0 || rt_rule_exists(rt, &s->rule) <= 0)
		return 0;
	return rt_rule_delete(rt, &s->rule);
}

static void rule_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	(void)n; /* the step has it all */
	if (s->rule.prohibit) {
		fprintf(f, "rule (%s): packets from %s that the outer lock did not mark are refused",
			s->rule.family == AF_INET ? "IPv4" : "IPv6", s->rule.iif);
		return;
	}
	fprintf(f, "rule (%s): packets marked 0x%08x look in table 0x%08x", s->rule.family == AF_INET ? "IPv4" : "IPv6",
		s->rule.mark, s->rule.table);
}

const struct step_ops step_rule = { rule_check, rule_apply, rule_undo, rule_print };

/* ---- the routes of tun0: exactly those of the settings ---- */

struct wanted {
	struct rt_route *v;
	size_t n;
};

static bool family_blocked(const struct settings *s, int family)
{
	return family == AF_INET6 && (s->block_ipv6 || family_missing(family));
}

/* Ethernet has to know who takes a packet on. */
static const struct inaddr *next_hop(const struct settings *s, int family)
{
	return !s->ethernet ? NULL : family == AF_INET ? &s->gateway4 : &s->gateway6;
}

/* via: the next hop; NULL: none is needed. */
static void wanted_add(struct wanted *w, int index, const struct inprefix *dst, const struct inaddr *via)
{
	struct rt_route route = {
		.dst = *dst, .type = RTN_UNICAST, .table = RT_TABLE_MAIN, .oif = index, .protocol = RT_PROTOCOL_NSVPN
	};

	if (via)
		route.via = *via;

	inprefix_mask(&route.dst);
	for (size_t i = 0; i < w->n; i++)
		if (inprefix_eq(&w->v[i].dst, &route.dst))
			return; /* a server may push one twice */
	w->v[w->n++] = route;
}

/* Networks of the own addresses, the peer, and the pushed routes; without the defaults. */
static int wanted_routes(const struct tunnelnet *n, int index, struct wanted *w)
{
	const struct settings *s = &n->settings;
	struct inprefix peer = { .addr = s->peer4, .len = 32 };

	w->v = calloc(SETTINGS_ADDRS_MAX + SETTINGS_ROUTES_MAX + 1, sizeof(*w->v));
	if (!w->v)
		return -ENOMEM;
	if (s->peer4.family == AF_INET)
		wanted_add(w, index, &peer, NULL);
	for (unsigned i = 0; i < s->n_addrs; i++) {
		const struct inprefix *a = &s->addrs[i];
		bool p2p = a->addr.family == AF_INET && s->peer4.family == AF_INET;

		if (!p2p && a->len < inaddr_len(a->addr.family) * 8 && !family_blocked(s, a->addr.family))
			wanted_add(w, index, a, NULL);
	}
	for (unsigned i = 0; i < s->n_routes; i++)
		if (s->routes[i].len > 0 && !family_blocked(s, s->routes[i].addr.family))
			wanted_add(w, index, &s->routes[i], next_hop(s, s->routes[i].addr.family));
	return 0;
}

static bool have_family(const struct settings *s, int family)
{
	for (unsigned i = 0; i < s->n_addrs; i++)
		if (s->addrs[i].addr.family == family)
			return true;
	return false;
}

/* A default route for a family without an address would turn an error at once into silence. */
static int wanted_defaults(const struct tunnelnet *n, int index, struct wanted *w)
{
	const struct settings *s = &n->settings;

	w->v = calloc(2, sizeof(*w->v));
	if (!w->v)
		return -ENOMEM;
	for (int six = 0; six <= 1; six++) {
		int family = six ? AF_INET6 : AF_INET;
		struct inprefix any;

		if (!(six ? s->default6 : s->default4) || family_blocked(s, family) || !have_family(s, family))
			continue;
		memset(&any, 0, sizeof(any));
		any.addr.family = family;
		wanted_add(w, index, &any, next_hop(s, family));
	}
	return 0;
}

static bool route_among(const struct rt_route *a, const struct rt_route *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rt_route_same(a, &v[i]))
			return true;
	return false;
}

/* Routes of one family through tun0, defaults or the others. Unwanted ones go first. Returns the differences. */
static int exact_family(struct rt *rt, int index, int family, bool defaults, const struct wanted *w, bool fix)
{
	_cleanup_(freep) struct rt_route *have = NULL;
	size_t n_have = 0;
	int r, wrong = 0;

	r = rt_route_list(rt, family, RT_TABLE_MAIN, index, &have, &n_have);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_have && r == 0; i++)
		if ((have[i].dst.len == 0) == defaults && !route_among(&have[i], w->v, w->n)) {
			wrong++;
			r = fix ? remove_route(rt, &have[i]) : 0;
		}
	for (size_t i = 0; i < w->n && r == 0; i++)
		if (w->v[i].dst.addr.family == family && !route_among(&w->v[i], have, n_have)) {
			wrong++;
			r = fix ? rt_route_add(rt, &w->v[i]) : 0;
		}
	return r < 0 ? r : wrong;
}

static int exact(struct rt *rt, int index, bool defaults, const struct wanted *w, bool fix)
{
	int r4, r6 = 0;

	r4 = exact_family(rt, index, AF_INET, defaults, w, fix);
	if (r4 >= 0 && sysctl_have_ipv6())
		r6 = exact_family(rt, index, AF_INET6, defaults, w, fix);
	return r4 < 0 ? r4 : r6 < 0 ? r6 : r4 + r6;
}

static int tun_walk(struct tunnelnet *n, const struct step *s, bool defaults, bool fix)
{
	struct wanted w = { 0 };
	struct rt *rt;
	int r, index;

	r = step_rt(n, s, &rt);
	if (r < 0)
		return r;
	index = step_ifindex(rt, NET_TUN);
	if (!index)
		return -ENODEV;
	r = defaults ? wanted_defaults(n, index, &w) : wanted_routes(n, index, &w);
	if (r == 0)
		r = exact(rt, index, defaults, &w, fix);
	free(w.v);
	if (r < 0)
		return net_error(n, r, "the routes of tunnel %s cannot be set: %s", n->name, strerror(-r));
	return r;
}

static int tun_remove(struct tunnelnet *n, const struct step *s, bool defaults)
{
	struct wanted none = { 0 };
	struct rt *rt;
	int r, index;

	if (step_rt(n, s, &rt) < 0)
		return 0;
	index = step_ifindex(rt, NET_TUN);
	if (!index)
		return 0; /* they went with the device */
	r = exact(rt, index, defaults, &none, true);
	if (r < 0)
		return net_error(n, r, "the routes of tunnel %s cannot be removed: %s", n->name, strerror(-r));
	return 0;
}

static int tun_routes_check(struct tunnelnet *n, const struct step *s)
{
	int r = tun_walk(n, s, false, false);

	return r < 0 ? r : r == 0;
}

static int tun_routes_apply(struct tunnelnet *n, const struct step *s)
{
	int r = tun_walk(n, s, false, true);

	return r < 0 ? r : 0;
}

static int tun_routes_undo(struct tunnelnet *n, const struct step *s)
{
	return tun_remove(n, s, false);
}

static void tun_routes_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	char buf[INPREFIX_STR_MAX];

	(void)s; /* no parameters */
	fprintf(f, "routes dev %s: the networks of its addresses", NET_TUN);
	if (!n->connected)
		fprintf(f, ", and what the server says");
	for (unsigned i = 0; n->connected && i < n->settings.n_routes; i++)
		fprintf(f, ", %s", inprefix_format(&n->settings.routes[i], buf, sizeof(buf)));
}

const struct step_ops step_tun_routes = { tun_routes_check, tun_routes_apply, tun_routes_undo, tun_routes_print };

static int tun_default_check(struct tunnelnet *n, const struct step *s)
{
	int r = tun_walk(n, s, true, false);

	return r < 0 ? r : r == 0;
}

static int tun_default_apply(struct tunnelnet *n, const struct step *s)
{
	int r = tun_walk(n, s, true, true);

	return r < 0 ? r : 0;
}

static int tun_default_undo(struct tunnelnet *n, const struct step *s)
{
	return tun_remove(n, s, true);
}

static void tun_default_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	(void)s; /* no parameters */
	if (!n->connected)
		fprintf(f, "default routes dev %s, for the families that the server serves", NET_TUN);
	else if (n->settings.default4 || n->settings.default6)
		fprintf(f, "default route dev %s:%s%s", NET_TUN, n->settings.default4 ? " IPv4" : "",
			n->settings.default6 && !n->settings.block_ipv6 ? " IPv6" : "");
	else
		fprintf(f, "no default route: only the routes above lead into the tunnel");
}

const struct step_ops step_tun_default = { tun_default_check, tun_default_apply, tun_default_undo, tun_default_print };
