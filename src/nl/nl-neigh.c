/* Neighbour entries over libnl-route. */
#include "nl/nl-neigh.h"

#include <linux/neighbour.h>
#include <string.h>

#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/msg.h>
#include <netlink/route/neighbour.h>

static void neigh_put(struct rtnl_neigh **n)
{
	if (*n)
		rtnl_neigh_put(*n);
}

static int neigh_make(const struct rt_neigh *in, struct rtnl_neigh **ret)
{
	_cleanup_(neigh_put) struct rtnl_neigh *n = rtnl_neigh_alloc();
	_cleanup_(rt_nl_addr_putp) struct nl_addr *dst = NULL;
	_cleanup_(rt_nl_addr_putp) struct nl_addr *mac = nl_addr_build(AF_LLC, in->mac, sizeof(in->mac));

	dst = rt_addr_to_nl(&in->addr, (unsigned)inaddr_len(in->addr.family) * 8);
	if (!n || !dst || !mac)
		return -ENOMEM;
	rtnl_neigh_set_ifindex(n, in->ifindex);
	rtnl_neigh_set_family(n, in->addr.family);
	if (rtnl_neigh_set_dst(n, dst) < 0)
		return -EINVAL;
	rtnl_neigh_set_lladdr(n, mac);
	rtnl_neigh_set_state(n, NUD_PERMANENT);
	*ret = TAKE_PTR(n);
	return 0;
}

int rt_neigh_set(struct rt *rt, const struct rt_neigh *in)
{
	_cleanup_(neigh_put) struct rtnl_neigh *n = NULL;
	struct nl_msg *msg;
	int r;

	r = neigh_make(in, &n);
	if (r < 0)
		return r;
	r = rt_result(rt, rtnl_neigh_build_add_request(n, NLM_F_CREATE | NLM_F_REPLACE, &msg));
	return r < 0 ? r : rt_write_take(rt, msg);
}

int rt_neigh_delete(struct rt *rt, const struct rt_neigh *in)
{
	_cleanup_(neigh_put) struct rtnl_neigh *n = NULL;
	struct nl_msg *msg;
	int r;

	r = neigh_make(in, &n);
	if (r < 0)
		return r;
	r = rt_result(rt, rtnl_neigh_build_delete_request(n, 0, &msg));
	return r < 0 ? r : rt_write_take(rt, msg);
}

int rt_neigh_exists(struct rt *rt, const struct rt_neigh *in)
{
	_cleanup_(rt_nl_cache_freep) struct nl_cache *cache = NULL;
	int r;

	r = rt_result(rt, rtnl_neigh_alloc_cache(rt->sk, &cache));
	if (r < 0)
		return r;
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		struct rtnl_neigh *n = (struct rtnl_neigh *)o;
		struct nl_addr *mac = rtnl_neigh_get_lladdr(n);
		struct inaddr dst;

		if (rtnl_neigh_get_ifindex(n) == in->ifindex && rt_addr_from_nl(rtnl_neigh_get_dst(n), &dst) &&
		    inaddr_eq(&dst, &in->addr) && rtnl_neigh_get_state(n) == NUD_PERMANENT && mac &&
		    nl_addr_get_len(mac) == sizeof(in->mac) &&
		    memcmp(nl_addr_get_binary_addr(mac), in->mac, sizeof(in->mac)) == 0)
			return 1;
	}
	return 0;
}
