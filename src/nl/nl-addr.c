/* Addresses over libnl-route. */
#include "nl/nl-addr.h"

#include <linux/if_addr.h>

#include <netlink/cache.h>
#include <netlink/msg.h>
#include <netlink/route/addr.h>

static void addr_put(struct rtnl_addr **a)
{
	if (*a)
		rtnl_addr_put(*a);
}

static int addr_make(const struct rt_addr *in, struct rtnl_addr **ret)
{
	_cleanup_(addr_put) struct rtnl_addr *a = rtnl_addr_alloc();
	_cleanup_(rt_nl_addr_putp) struct nl_addr *local = NULL;
	_cleanup_(rt_nl_addr_putp) struct nl_addr *peer = NULL;

	local = rt_addr_to_nl(&in->local.addr, in->local.len);
	if (!a || !local)
		return -ENOMEM;
	rtnl_addr_set_ifindex(a, in->ifindex);
	rtnl_addr_set_family(a, in->local.addr.family);
	if (rtnl_addr_set_local(a, local) < 0)
		return -EINVAL;
	if (inaddr_is_set(&in->peer)) {
		peer = rt_addr_to_nl(&in->peer, in->local.len);
		if (!peer)
			return -ENOMEM;
		if (rtnl_addr_set_peer(a, peer) < 0)
			return -EINVAL;
	}
	rtnl_addr_set_prefixlen(a, in->local.len);
	if (in->flags)
		rtnl_addr_set_flags(a, in->flags);
	*ret = TAKE_PTR(a);
	return 0;
}

int rt_addr_add(struct rt *rt, const struct rt_addr *in)
{
	_cleanup_(addr_put) struct rtnl_addr *a = NULL;
	struct nl_msg *msg;
	int r;

	r = addr_make(in, &a);
	if (r < 0)
		return r;
	r = rt_result(rt, rtnl_addr_build_add_request(a, NLM_F_CREATE | NLM_F_EXCL, &msg));
	return r < 0 ? r : rt_write_take(rt, msg);
}

int rt_addr_delete(struct rt *rt, const struct rt_addr *in)
{
	_cleanup_(addr_put) struct rtnl_addr *a = NULL;
	struct nl_msg *msg;
	int r;

	r = addr_make(in, &a);
	if (r < 0)
		return r;
	r = rt_result(rt, rtnl_addr_build_delete_request(a, 0, &msg));
	return r < 0 ? r : rt_write_take(rt, msg);
}

static bool addr_read(struct rtnl_addr *a, struct rt_addr *ret)
{
	*ret = (struct rt_addr){
		.ifindex = rtnl_addr_get_ifindex(a),
		.flags = rtnl_addr_get_flags(a) & ~(unsigned)IFA_F_PERMANENT, /* a state, not a wish */
	};
	ret->local.len = (uint8_t)rtnl_addr_get_prefixlen(a);
	(void)rt_addr_from_nl(rtnl_addr_get_peer(a), &ret->peer); /* AF_UNSPEC when there is none */
	return rt_addr_from_nl(rtnl_addr_get_local(a), &ret->local.addr);
}

int rt_addr_list(struct rt *rt, int ifindex, struct rt_addr **ret, size_t *ret_n)
{
	_cleanup_(rt_nl_cache_freep) struct nl_cache *cache = NULL;
	struct rt_addr *v;
	size_t n = 0;
	int r;

	r = rt_result(rt, rtnl_addr_alloc_cache(rt->sk, &cache));
	if (r < 0)
		return r;
	v = calloc((size_t)nl_cache_nitems(cache) + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o))
		if (addr_read((struct rtnl_addr *)o, &v[n]) && (!ifindex || v[n].ifindex == ifindex))
			n++;
	*ret = v;
	*ret_n = n;
	return 0;
}
