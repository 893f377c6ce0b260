/* Routes: add, delete, list, and "which way would this go". */
#pragma once

#include <linux/rtnetlink.h>

#include "nl/rtnl.h"

struct rt_route {
	struct inprefix dst; /* masked; len 0 is a default route (the family is always set) */
	uint8_t type;	     /* RTN_UNICAST, RTN_UNREACHABLE, ... */
	uint32_t table;
	uint32_t metric; /* as the kernel keeps it: 0 for IPv6 is stored as 1024 */
	int oif;	 /* 0: none */
	struct inaddr via, src;
	bool onlink;
	uint8_t protocol;
	uint32_t mtu; /* of the route, 0: the link's (lookups and lists only) */
};

int rt_route_add(struct rt *rt, const struct rt_route *r); /* -EEXIST when there is one */
int rt_route_delete(struct rt *rt, const struct rt_route *r);
/* malloc'ed array; family AF_INET or AF_INET6; table 0: all; oif 0: all. Cloned (cache) routes are left out. */
int rt_route_list(struct rt *rt, int family, uint32_t table, int oif, struct rt_route **ret, size_t *ret_n);
/* Same destination, type, table, metric, and (unicast) interface and gateway. */
bool rt_route_same(const struct rt_route *a, const struct rt_route *b);
/* The kernel's own decision for a packet to dst. -ENETUNREACH, -EHOSTUNREACH, ... */
int rt_route_lookup(struct rt *rt, const struct inaddr *dst, struct rt_route *ret);
