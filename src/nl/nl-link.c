/* Links over libnl-route; changes are small messages of our own, because libnl 3.7 cannot set gso_max_size. */
#include "nl/nl-link.h"

#include <linux/rtnetlink.h>

#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/msg.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>

#include "base/str.h"

static void link_put(struct rtnl_link **l)
{
	if (*l)
		rtnl_link_put(*l);
}

static void link_read(struct rtnl_link *l, struct rt_link *ret)
{
	struct nl_addr *mac = rtnl_link_get_addr(l);
	const char *s;

	*ret = (struct rt_link){
		.index = rtnl_link_get_ifindex(l),
		.up = rtnl_link_get_flags(l) & IFF_UP,
		.loopback = rtnl_link_get_flags(l) & IFF_LOOPBACK,
		.mtu = rtnl_link_get_mtu(l),
		.txqlen = rtnl_link_get_txqlen(l),
	};
	/* Truncation cannot happen for names; a foreign alias that is longer is only compared for equality. */
	(void)str_copy(ret->name, sizeof(ret->name), rtnl_link_get_name(l) ?: "");
	s = rtnl_link_get_ifalias(l);
	(void)str_copy(ret->alias, sizeof(ret->alias), s ?: "");
	s = rtnl_link_get_type(l);
	(void)str_copy(ret->kind, sizeof(ret->kind), s ?: "");
	if (mac && nl_addr_get_len(mac) == sizeof(ret->mac))
		memcpy(ret->mac, nl_addr_get_binary_addr(mac), sizeof(ret->mac));
	(void)rtnl_link_get_gso_max_size(l, &ret->gso_max_size); /* absent: stays 0 */
}

static int link_fetch(struct rt *rt, int index, const char *name, struct rt_link *ret)
{
	_cleanup_(link_put) struct rtnl_link *l = NULL;
	int r;

	r = rt_result(rt, rtnl_link_get_kernel(rt->sk, index, name, &l));
	if (r == -ENOENT)
		return -ENODEV;
	if (r < 0)
		return r;
	link_read(l, ret);
	return 0;
}

int rt_link_get(struct rt *rt, const char *name, struct rt_link *ret)
{
	return link_fetch(rt, 0, name, ret);
}

int rt_link_get_index(struct rt *rt, int index, struct rt_link *ret)
{
	return link_fetch(rt, index, NULL, ret);
}

int rt_link_list(struct rt *rt, struct rt_link **ret, size_t *ret_n)
{
	_cleanup_(rt_nl_cache_freep) struct nl_cache *cache = NULL;
	struct rt_link *v;
	size_t n = 0;
	int r;

	r = rt_result(rt, rtnl_link_alloc_cache(rt->sk, AF_UNSPEC, &cache));
	if (r < 0)
		return r;
	v = calloc((size_t)nl_cache_nitems(cache) + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o))
		link_read((struct rtnl_link *)o, &v[n++]);
	*ret = v;
	*ret_n = n;
	return 0;
}

/* Borrowed by the link, which takes its own reference. */
static int link_set_mac(struct rtnl_link *l, const uint8_t *mac)
{
	_cleanup_(rt_nl_addr_putp) struct nl_addr *a = nl_addr_build(AF_LLC, mac, 6);

	if (!a)
		return -ENOMEM;
	rtnl_link_set_addr(l, a);
	return 0;
}

int rt_link_add_veth(struct rt *rt, const struct rt_veth *v)
{
	_cleanup_(link_put) struct rtnl_link *l = NULL;
	_cleanup_(link_put) struct rtnl_link *peer = NULL;
	struct nl_msg *msg;
	int r;

	l = rtnl_link_veth_alloc();
	if (!l)
		return -ENOMEM;
	peer = rtnl_link_veth_get_peer(l);
	if (!peer)
		return -ENOMEM;
	rtnl_link_set_name(l, v->name);
	rtnl_link_set_name(peer, v->peer_name);
	rtnl_link_set_ns_fd(peer, v->peer_netns_fd);
	r = link_set_mac(l, v->mac);
	if (r == 0)
		r = link_set_mac(peer, v->peer_mac);
	if (r < 0)
		return r;
	r = rt_result(rt, rtnl_link_build_add_request(l, NLM_F_CREATE | NLM_F_EXCL, &msg));
	if (r < 0)
		return r;
	return rt_write_take(rt, msg);
}

static struct nl_msg *link_message(int type, const struct ifinfomsg *info)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, 0);

	if (msg && nlmsg_append(msg, (void *)(uintptr_t)info, sizeof(*info), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int rt_link_delete(struct rt *rt, int index)
{
	struct ifinfomsg info = { .ifi_index = index };

	return rt_write_take(rt, link_message(RTM_DELLINK, &info));
}

int rt_link_set_up(struct rt *rt, int index, bool up)
{
	struct ifinfomsg info = { .ifi_index = index, .ifi_change = IFF_UP, .ifi_flags = up ? IFF_UP : 0 };

	return rt_write_take(rt, link_message(RTM_NEWLINK, &info));
}

int rt_link_set_alias(struct rt *rt, int index, const char *alias)
{
	struct ifinfomsg info = { .ifi_index = index };
	struct nl_msg *msg = link_message(RTM_NEWLINK, &info);

	if (!msg)
		return -ENOMEM;
	if (nla_put_string(msg, IFLA_IFALIAS, alias) < 0) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return rt_write_take(rt, msg);
}

int rt_link_set_sizes(struct rt *rt, int index, uint32_t mtu, uint32_t txqlen, uint32_t gso_max_size)
{
	const struct {
		int attr;
		uint32_t value;
	} sizes[] = { { IFLA_MTU, mtu }, { IFLA_TXQLEN, txqlen }, { IFLA_GSO_MAX_SIZE, gso_max_size } };
	struct ifinfomsg info = { .ifi_index = index };
	struct nl_msg *msg = link_message(RTM_NEWLINK, &info);

	if (!msg)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (sizes[i].value && nla_put_u32(msg, sizes[i].attr, sizes[i].value) < 0) {
			nlmsg_free(msg);
			return -ENOMEM;
		}
	return rt_write_take(rt, msg);
}
