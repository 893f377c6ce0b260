/* Permanent neighbour entries: a link whose ends know each other needs no ARP and no neighbour discovery. */
#pragma once

#include "nl/rtnl.h"

struct rt_neigh {
	int ifindex;
	struct inaddr addr;
	uint8_t mac[6];
};

int rt_neigh_set(struct rt *rt, const struct rt_neigh *n);
int rt_neigh_delete(struct rt *rt, const struct rt_neigh *n);
/* 1: this very entry, permanent; 0: not; -errno. */
int rt_neigh_exists(struct rt *rt, const struct rt_neigh *n);
