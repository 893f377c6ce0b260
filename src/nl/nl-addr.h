/* Addresses of links. */
#pragma once

#include "nl/rtnl.h"

struct rt_addr {
	int ifindex;
	struct inprefix local; /* with host bits; len is the peer's when there is one */
	struct inaddr peer;    /* AF_UNSPEC: none */
	uint32_t flags;	       /* IFA_F_* */
};

int rt_addr_add(struct rt *rt, const struct rt_addr *a);
int rt_addr_delete(struct rt *rt, const struct rt_addr *a);
/* malloc'ed array; ifindex 0: all links. */
int rt_addr_list(struct rt *rt, int ifindex, struct rt_addr **ret, size_t *ret_n);
