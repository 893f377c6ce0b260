/* Links: look, make a veth pair, change, delete. */
#pragma once

#include <net/if.h>

#include "nl/rtnl.h"

struct rt_link {
	int index;
	char name[IFNAMSIZ];
	char alias[128];
	char kind[16]; /* "veth", "tun"; "" for hardware */
	uint8_t mac[6];
	bool up;
	bool loopback;
	uint32_t mtu;
	uint32_t txqlen;
	uint32_t gso_max_size;
};

/* -ENODEV when there is none. */
int rt_link_get(struct rt *rt, const char *name, struct rt_link *ret);
int rt_link_get_index(struct rt *rt, int index, struct rt_link *ret);
/* malloc'ed array. */
int rt_link_list(struct rt *rt, struct rt_link **ret, size_t *ret_n);

struct rt_veth {
	const char *name;
	const uint8_t *mac;
	const char *peer_name;
	const uint8_t *peer_mac;
	int peer_netns_fd;
};
/*
 * Both ends down, the peer born in its namespace. (An up peer in the same message fails with ENOTCONN and costs 15 ms.)
 * -EEXIST when a link of that name exists.
 */
int rt_link_add_veth(struct rt *rt, const struct rt_veth *v);
int rt_link_delete(struct rt *rt, int index);
/* (The kernel does not take it in the message that makes the link.) */
int rt_link_set_alias(struct rt *rt, int index, const char *alias);
int rt_link_set_up(struct rt *rt, int index, bool up);
/* 0 leaves a value as it is. One message. */
int rt_link_set_sizes(struct rt *rt, int index, uint32_t mtu, uint32_t txqlen, uint32_t gso_max_size);
