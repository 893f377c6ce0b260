/* Policy rules: a firewall mark, and perhaps an incoming interface or a sender, select a table or end the search. */
#pragma once

#include <net/if.h>

#include "nl/rtnl.h"

struct rt_rule {
	int family;
	uint32_t priority;
	uint32_t mark; /* compared whole, 0 too */
	uint32_t table;
	char iif[IFNAMSIZ]; /* "": any; need not exist */
	bool prohibit;	    /* such packets are refused; no table then */
	struct inaddr src;  /* AF_UNSPEC: any */
	uint8_t ipproto;    /* 0: any; with sport, the sender's port */
	uint16_t sport;
};

int rt_rule_add(struct rt *rt, const struct rt_rule *r);
int rt_rule_delete(struct rt *rt, const struct rt_rule *r);
/* 1 there, 0 not, -errno. */
int rt_rule_exists(struct rt *rt, const struct rt_rule *r);
