/* Policy rules that select a table by firewall mark. */
#pragma once

#include "nl/rtnl.h"

struct rt_rule {
	int family;
	uint32_t priority;
	uint32_t mark; /* compared whole */
	uint32_t table;
};

int rt_rule_add(struct rt *rt, const struct rt_rule *r);
int rt_rule_delete(struct rt *rt, const struct rt_rule *r);
/* 1 there, 0 not, -errno. */
int rt_rule_exists(struct rt *rt, const struct rt_rule *r);
