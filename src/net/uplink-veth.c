/*
 * uplink = veth: a veth pair whose inner end only the engine's packets can leave by.
 *
 * Theory. Programs have no route over the pair: the inner address is a /32, so there is no network on the link, and the
 * server's own route is in a table that only the engine's mark selects. That table ends in "unreachable", so a marked
 * packet never falls through to the tunnel. Both ends know each other's MAC address for good; there is no ARP and no
 * neighbour discovery that could be asked or fooled. IPv6 is on the pair only while the server is an IPv6 one.
 */
#include <linux/if_addr.h>
#include <string.h>

#include "base/str.h"
#include "net/uplink.h"

#define WITH_LINK "goes with the link"
#define VETH_MTU_MIN 1280

static const struct sysctl_row veth_rows[] = {
	{ "ipv4/conf/%s/forwarding", 1 },	{ "ipv4/conf/%s/rp_filter", 1 },
	{ "ipv4/conf/%s/accept_redirects", 0 }, { "ipv4/conf/%s/send_redirects", 0 },
	{ "ipv4/conf/%s/arp_ignore", 8 },	{ "ipv6/conf/%s/accept_ra", 0 },
	{ "ipv6/conf/%s/autoconf", 0 },		{ "ipv6/conf/%s/accept_redirects", 0 },
	{ "ipv6/conf/%s/addr_gen_mode", 1 },
};

static void add_neigh(struct plan *p, const struct tunnelnet *n, const char *name, bool inside, int family)
{
	struct step *s = plan_add(p, &step_neigh, name, inside,
				  "the ends know each other: nothing asks, nothing answers on this link", WITH_LINK);

	s->neigh.ifname = inside ? NET_UPLINK : n->veth;
	s->neigh.addr = inside ? net_host_addr(n, family) : net_inside_addr(n, family);
	net_mac(n, !inside, s->neigh.mac);
}

/*
 * Inside a bare /32 or /128, so that no network appears on the link. Outside the way to the other end comes with the
 * address: as the peer for IPv4, as a /127 for IPv6 (libnl knows peers for IPv4 only).
 */
static void add_addr(struct plan *p, const struct tunnelnet *n, const char *name, bool inside, int family)
{
	struct step *s = plan_add(p, &step_addr, name, inside,
				  inside ? "no network comes with it: programs get no way over this link"
					 : "a subnet that this machine does not route otherwise",
				  WITH_LINK);

	s->addr.ifname = inside ? NET_UPLINK : n->veth;
	s->addr.local.addr = inside ? net_inside_addr(n, family) : net_host_addr(n, family);
	s->addr.local.len = family == AF_INET ? 32 : inside ? 128 : 127;
	if (!inside && family == AF_INET)
		s->addr.peer = net_inside_addr(n, family);
	s->addr.flags = (inside ? IFA_F_NOPREFIXROUTE : 0) | (family == AF_INET6 ? IFA_F_NODAD : 0);
}

static void add_engine_table(struct plan *p, const struct tunnelnet *n, const char *rule, const char *floor, int family)
{
	struct step *s = plan_add(p, &step_route, floor, true, "a packet of the engine goes to its server or nowhere",
				  "removed with the link");

	s->route.route.dst.addr.family = family;
	s->route.route.type = RTN_UNREACHABLE;
	s->route.route.table = n->j.mark;
	s->route.route.metric = NET_METRIC_FLOOR;
	s->route.route.protocol = RT_PROTOCOL_NSVPN;
	s = plan_add(p, &step_rule, rule, true, "only the engine's marked packets find the way to the server",
		     "removed with the link");
	s->rule = (struct rt_rule){
		.family = family, .priority = NET_RULE_PRIORITY, .mark = n->j.mark, .table = n->j.mark
	};
}

/* The outer lock marks what it lets in (host-veth.nft, chain gate); what it did not see is routed nowhere. */
void uplink_veth_gates(struct plan *p, const struct tunnelnet *n)
{
	static const struct {
		const char *name;
		int family;
	} gates[] = { { "gate4", AF_INET }, { "gate6", AF_INET6 } };

	for (size_t i = 0; i < ARRAY_SIZE(gates); i++) {
		struct step *s = plan_add(p, &step_rule, gates[i].name, false,
					  "without the outer lock nothing of the veth is routed: a flush opens nothing",
					  "removed after the link");

		s->rule = (struct rt_rule){
			.family = gates[i].family, .priority = NET_RULE_PRIORITY, .prohibit = true
		};
		(void)str_copy(s->rule.iif, sizeof(s->rule.iif), n->veth); /* both are IFNAMSIZ */
	}
}

void uplink_veth_addr6(struct plan *p, const struct tunnelnet *n, bool exceptions)
{
	add_addr(p, n, exceptions ? PLAN_EXCEPTION "veth-addr6" : "veth-addr6", false, AF_INET6);
	add_addr(p, n, exceptions ? PLAN_EXCEPTION "uplink-addr6" : "uplink-addr6", true, AF_INET6);
	add_neigh(p, n, exceptions ? PLAN_EXCEPTION "veth-neigh6" : "veth-neigh6", false, AF_INET6);
	add_neigh(p, n, exceptions ? PLAN_EXCEPTION "uplink-neigh6" : "uplink-neigh6", true, AF_INET6);
}

void uplink_veth_pair(struct plan *p, const struct tunnelnet *n, bool engine)
{
	struct step *s;

	uplink_veth_gates(p, n);
	plan_add(p, &step_veth, "veth", false,
		 engine ? "the way out for the engine's encrypted packets" : "the way of the exceptions, and of nothing else",
		 "deleted");
	s = plan_add(p, &step_sysctls, "veth-sysctls", false,
		     "the host end forwards, and learns nothing from the other end", WITH_LINK);
	s->sysctls.rows = veth_rows;
	s->sysctls.n = ARRAY_SIZE(veth_rows);
	add_addr(p, n, "veth-addr", false, AF_INET);
	add_addr(p, n, "uplink-addr", true, AF_INET);
	add_neigh(p, n, "veth-neigh", false, AF_INET);
	add_neigh(p, n, "uplink-neigh", true, AF_INET);
	if (engine) {
		add_engine_table(p, n, "engine-rule4", "engine-floor4", AF_INET);
		add_engine_table(p, n, "engine-rule6", "engine-floor6", AF_INET6);
	}
	s = plan_add(p, &step_up, "veth-up", false, "from here on the pair carries what both locks let through",
		     "set down first of the links");
	s->up.ifname = n->veth;
	s->up.after_locks = true;
	s = plan_add(p, &step_up, "uplink-up", true, "", WITH_LINK);
	s->up.ifname = NET_UPLINK;
}

static void veth_plan_prepare(struct plan *p, const struct tunnelnet *n)
{
	uplink_veth_pair(p, n, true);
	plan_exceptions(p, n);
}

/* Exceptions need the switches and IPv6 whatever the engine's server is: then they are not the opening's to undo. */
static void veth_plan_open(struct plan *p, const struct tunnelnet *n, uint32_t mtu)
{
	struct step *s;
	int family = n->j.server.addr.family;

	plan_add(p, exceptions_any(&n->j.exceptions) ? &step_forward_kept : &step_forward, "forward", false,
		 "packets of the veth are forwarded; the outer lock keeps this machine from routing anything else",
		 "put back to the old values, unless somebody changed them since or another tunnel needs them");
	s = plan_add(p, &step_mtu, "veth-mtu", false, "the engine's packets need no fragments", WITH_LINK);
	s->mtu = mtu ? MAX(mtu, (uint32_t)VETH_MTU_MIN) : 0;
	if (family == AF_INET6 && !plan_has_exceptions(n, AF_INET6))
		uplink_veth_addr6(p, n, false);
	s = plan_add(p, &step_opening, "open-inner", true,
		     "the engine's marked packets to this server, and nothing else",
		     "closed when the server changes or the tunnel stops");
	s->lock = LOCK_INNER;
	s = plan_add(p, &step_route, "engine-route", true, "the way to the server, for marked packets only",
		     "removed when the server changes or the tunnel stops");
	s->route.ifname = NET_UPLINK;
	s->route.route.dst.addr = n->j.server.addr;
	s->route.route.dst.len = family == AF_INET6 ? 128 : 32;
	s->route.route.type = RTN_UNICAST;
	s->route.route.table = n->j.mark;
	s->route.route.via = net_host_addr(n, family == AF_INET6 ? AF_INET6 : AF_INET);
	s->route.route.src = net_inside_addr(n, family == AF_INET6 ? AF_INET6 : AF_INET);
	s->route.route.onlink = true;
	s->route.route.protocol = RT_PROTOCOL_NSVPN;
}

static int veth_accepts(struct tunnelnet *n, const struct endpoint *server, const struct rt_route *way)
{
	char buf[INADDR_STR_MAX];

	if (way->type == RTN_LOCAL || way->type == RTN_BROADCAST || way->type == RTN_MULTICAST)
		return net_error(n, -EHOSTUNREACH,
				 "the server %s is an address of this machine itself, which a veth cannot reach; set "
				 "Uplink=socket in the settings.conf of tunnel %s",
				 inaddr_format(&server->addr, buf, sizeof(buf)), n->name);
	if (inaddr_is_link_local(&server->addr))
		return net_error(
			n, -EHOSTUNREACH,
			"the server %s is a link-local address, which is not forwarded; set Uplink=socket in the "
			"settings.conf of tunnel %s",
			inaddr_format(&server->addr, buf, sizeof(buf)), n->name);
	return 0;
}

static int veth_socket_netns(const struct tunnelnet *n)
{
	return n->ns_fd;
}

const struct uplink_ops uplink_veth = {
	.plan_prepare = veth_plan_prepare,
	.plan_open = veth_plan_open,
	.accepts = veth_accepts,
	.socket_netns = veth_socket_netns,
	.forwards = true,
};
