/* What differs between the two uplinks: their steps, and where the engine's transport socket is made. */
#pragma once

#include "net/plan.h"

struct uplink_ops {
	/* Adds the steps behind the locks. */
	void (*plan_prepare)(struct plan *p, const struct tunnelnet *n);
	void (*plan_open)(struct plan *p, const struct tunnelnet *n, uint32_t mtu);
	/* 0, or -errno with a sentence: this server cannot be reached over this uplink. */
	int (*accepts)(struct tunnelnet *n, const struct endpoint *server, const struct rt_route *way);
	/* Where the socket is opened; borrowed; negative: where we are. */
	int (*socket_netns)(const struct tunnelnet *n);
	/* The host forwards for it. */
	bool forwards;
};

extern const struct uplink_ops uplink_veth;
extern const struct uplink_ops uplink_socket;

const struct uplink_ops *uplink_ops(enum uplink u);
/* uplink-veth.c: the two rules on the host, known by name alone. */
void uplink_veth_gates(struct plan *p, const struct tunnelnet *n);
/* The pair with its ends' addresses, up; `engine`: with the table that the engine's mark selects. */
void uplink_veth_pair(struct plan *p, const struct tunnelnet *n, bool engine);
/* IPv6 on the pair: for the engine while its server is an IPv6 one, or for the exceptions as long as there are some. */
void uplink_veth_addr6(struct plan *p, const struct tunnelnet *n, bool exceptions);
/* plan-exceptions.c: behind the uplink's own steps; nothing where there are none. */
void plan_exceptions(struct plan *p, const struct tunnelnet *n);
/* A non-blocking, connecting socket with the tunnel's mark (0: none, to set one needs rights), made in that namespace. */
int uplink_open_socket(int netns_fd, uint32_t mark, const struct endpoint *server, const struct endpoint *local,
		       enum transport transport, int *ret);
