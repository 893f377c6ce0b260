/* Routes over libnl-route. */
#include "nl/nl-route.h"

#include <string.h>

#include <netlink/cache.h>
#include <netlink/msg.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#define IP6_METRIC_DEFAULT 1024

static void route_put(struct rtnl_route **r)
{
	if (*r)
		rtnl_route_put(*r);
}

static uint32_t metric_of(const struct rt_route *r)
{
	return r->dst.addr.family == AF_INET6 && !r->metric ? IP6_METRIC_DEFAULT : r->metric;
}

bool rt_route_same(const struct rt_route *a, const struct rt_route *b)
{
	if (!inprefix_eq(&a->dst, &b->dst) || a->type != b->type || a->table != b->table ||
	    metric_of(a) != metric_of(b))
		return false;
	if (a->type != RTN_UNICAST)
		return true; /* an IPv6 unreachable route is listed with lo as its device */
	return a->oif == b->oif && a->via.family == b->via.family &&
	       (!inaddr_is_set(&a->via) || inaddr_eq(&a->via, &b->via));
}

static int set_nexthop(struct rtnl_route *route, const struct rt_route *in)
{
	_cleanup_(rt_nl_addr_putp) struct nl_addr *via = NULL;
	struct rtnl_nexthop *nh;

	if (!in->oif && !inaddr_is_set(&in->via))
		return 0;
	nh = rtnl_route_nh_alloc();
	if (!nh)
		return -ENOMEM;
	rtnl_route_nh_set_ifindex(nh, in->oif);
	if (inaddr_is_set(&in->via)) {
		via = rt_addr_to_nl(&in->via, (unsigned)inaddr_len(in->via.family) * 8);
		if (!via) {
			rtnl_route_nh_free(nh);
			return -ENOMEM;
		}
		rtnl_route_nh_set_gateway(nh, via);
	}
	if (in->onlink) {
		rtnl_route_nh_set_flags(nh, RTNH_F_ONLINK);
		rtnl_route_set_flags(route, RTNH_F_ONLINK); /* a single next hop's flags travel in the header */
	}
	rtnl_route_add_nexthop(route, nh); /* owns nh */
	return 0;
}

static int route_make(const struct rt_route *in, struct rtnl_route **ret)
{
	_cleanup_(route_put) struct rtnl_route *route = rtnl_route_alloc();
	_cleanup_(rt_nl_addr_putp) struct nl_addr *dst = rt_addr_to_nl(&in->dst.addr, in->dst.len);
	_cleanup_(rt_nl_addr_putp) struct nl_addr *src = NULL;
	int r;

	if (!route || !dst)
		return -ENOMEM;
	if (rtnl_route_set_family(route, (uint8_t)in->dst.addr.family) < 0 || rtnl_route_set_dst(route, dst) < 0 ||
	    rtnl_route_set_type(route, in->type) < 0)
		return -EINVAL;
	rtnl_route_set_table(route, in->table);
	rtnl_route_set_priority(route, in->metric);
	rtnl_route_set_protocol(route, in->protocol);
	if (inaddr_is_set(&in->src)) {
		src = rt_addr_to_nl(&in->src, (unsigned)inaddr_len(in->src.family) * 8);
		if (!src)
			return -ENOMEM;
		if (rtnl_route_set_pref_src(route, src) < 0)
			return -EINVAL;
	}
	r = set_nexthop(route, in);
	if (r < 0)
		return r;
	/* A device route without gateway is a link-scope route for IPv4; the rest is universe. */
	rtnl_route_set_scope(route,
			     in->dst.addr.family == AF_INET && in->type == RTN_UNICAST && !inaddr_is_set(&in->via)
				     ? RT_SCOPE_LINK
				     : RT_SCOPE_UNIVERSE);
	*ret = TAKE_PTR(route);
	return 0;
}

int rt_route_add(struct rt *rt, const struct rt_route *in)
{
	_cleanup_(route_put) struct rtnl_route *route = NULL;
	struct nl_msg *msg;
	int r;

	r = route_make(in, &route);
	if (r < 0)
		return r;
	r = rt_result(rt, rtnl_route_build_add_request(route, NLM_F_CREATE | NLM_F_EXCL, &msg));
	return r < 0 ? r : rt_write_take(rt, msg);
}

int rt_route_delete(struct rt *rt, const struct rt_route *in)
{
	_cleanup_(route_put) struct rtnl_route *route = NULL;
	struct nl_msg *msg;
	int r;

	r = route_make(in, &route);
	if (r < 0)
		return r;
	r = rt_result(rt, rtnl_route_build_del_request(route, 0, &msg));
	return r < 0 ? r : rt_write_take(rt, msg);
}

static bool route_read(struct rtnl_route *route, struct rt_route *ret)
{
	struct nl_addr *dst = rtnl_route_get_dst(route);
	struct rtnl_nexthop *nh;

	*ret = (struct rt_route){
		.type = rtnl_route_get_type(route),
		.table = rtnl_route_get_table(route),
		.metric = rtnl_route_get_priority(route),
		.protocol = rtnl_route_get_protocol(route),
		.onlink = rtnl_route_get_flags(route) & RTNH_F_ONLINK,
	};
	if (rtnl_route_get_flags(route) & RTM_F_CLONED)
		return false;
	ret->dst.addr.family = rtnl_route_get_family(route);
	if (!inaddr_len(ret->dst.addr.family))
		return false;
	if (dst) {
		struct inaddr a;

		if (rt_addr_from_nl(dst, &a))
			ret->dst.addr = a;
		ret->dst.len = (uint8_t)nl_addr_get_prefixlen(dst);
	}
	(void)rt_addr_from_nl(rtnl_route_get_pref_src(route), &ret->src); /* AF_UNSPEC when there is none */
	if (rtnl_route_get_metric(route, RTAX_MTU, &ret->mtu) < 0)
		ret->mtu = 0;
	nh = rtnl_route_get_nnexthops(route) > 0 ? rtnl_route_nexthop_n(route, 0) : NULL;
	if (nh) {
		ret->oif = rtnl_route_nh_get_ifindex(nh);
		(void)rt_addr_from_nl(rtnl_route_nh_get_gateway(nh), &ret->via); /* as above */
	}
	return true;
}

int rt_route_list(struct rt *rt, int family, uint32_t table, int oif, struct rt_route **ret, size_t *ret_n)
{
	_cleanup_(rt_nl_cache_freep) struct nl_cache *cache = NULL;
	struct rt_route *v;
	size_t n = 0;
	int r;

	r = rt_result(rt, rtnl_route_alloc_cache(rt->sk, family, 0, &cache));
	if (r < 0)
		return r;
	v = calloc((size_t)nl_cache_nitems(cache) + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		if (!route_read((struct rtnl_route *)o, &v[n]))
			continue;
		if ((table && v[n].table != table) || (oif && v[n].oif != oif))
			continue;
		n++;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

int rt_route_lookup(struct rt *rt, const struct inaddr *dst, struct rt_route *ret)
{
	_cleanup_(rt_nl_addr_putp) struct nl_addr *a = rt_addr_to_nl(dst, (unsigned)inaddr_len(dst->family) * 8);
	_cleanup_(route_put) struct rtnl_route *route = NULL;
	struct rt_route out;
	int r;

	if (!a)
		return -ENOMEM;
	r = rt_result(rt, rtnl_route_lookup(rt->sk, a, &route));
	if (r == -ENOENT || r == -ESRCH)
		return -ENETUNREACH;
	if (r < 0)
		return r;
	rtnl_route_unset_flags(route, RTM_F_CLONED); /* every answer to a lookup is one */
	if (!route_read(route, &out))
		return -ENETUNREACH;
	if (out.type == RTN_UNREACHABLE)
		return -EHOSTUNREACH;
	if (out.type == RTN_PROHIBIT || out.type == RTN_BLACKHOLE)
		return -EACCES;
	*ret = out;
	return 0;
}
