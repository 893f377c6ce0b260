/* Which steps, in which order, for which reason; and the same for people. */
#include "net/plan.h"

#include <assert.h>
#include <linux/if_addr.h>
#include <string.h>

#include "base/str.h"
#include "net/uplink.h"

#define WITH_NETNS "goes with the namespace"

struct step *plan_add(struct plan *p, const struct step_ops *ops, const char *name, bool inside, const char *why,
		      const char *undone)
{
	struct step *s;

	assert(p->n < PLAN_STEPS_MAX);
	s = &p->v[p->n++];
	memset(s, 0, sizeof(*s));
	s->ops = ops;
	s->name = name;
	s->inside = inside;
	s->why = why;
	s->undone = undone;
	return s;
}

/*
 * A new namespace takes some IPv4 values from the machine's first one, so everything that matters is said. ip_forward
 * comes first: writing it resets others.
 */
static const struct sysctl_row netns_rows[] = {
	{ "ipv4/ip_forward", 0 },
	{ "ipv4/conf/all/rp_filter", 0 },
	{ "ipv4/conf/default/rp_filter", 0 },
	{ "ipv4/conf/all/accept_redirects", 0 },
	{ "ipv4/conf/default/accept_redirects", 0 },
	{ "ipv4/conf/all/send_redirects", 0 },
	{ "ipv4/conf/default/send_redirects", 0 },
	{ "ipv4/conf/all/accept_source_route", 0 },
	{ "ipv4/conf/default/accept_source_route", 0 },
	{ "ipv4/conf/all/route_localnet", 0 },
	{ "ipv4/conf/default/route_localnet", 0 },
	{ "ipv4/conf/all/arp_ignore", 0 }, /* the larger one counts */
	{ "ipv4/conf/default/arp_ignore", 8 },
	{ "ipv4/conf/all/arp_announce", 2 },
	{ "ipv4/conf/default/arp_announce", 2 },
	{ "ipv6/conf/all/disable_ipv6", 0 },
	{ "ipv6/conf/default/disable_ipv6", 0 },
	{ "ipv6/conf/all/forwarding", 0 },
	{ "ipv6/conf/default/forwarding", 0 },
	{ "ipv6/conf/all/accept_ra", 0 },
	{ "ipv6/conf/default/accept_ra", 0 },
	{ "ipv6/conf/all/autoconf", 0 },
	{ "ipv6/conf/default/autoconf", 0 },
	{ "ipv6/conf/all/accept_redirects", 0 },
	{ "ipv6/conf/default/accept_redirects", 0 },
	{ "ipv6/conf/all/addr_gen_mode", 1 },
	{ "ipv6/conf/default/addr_gen_mode", 1 },
};

static const struct sysctl_row tun_rows[] = {
	{ "ipv4/conf/" NET_TUN "/route_localnet", 1 },
	{ "ipv4/conf/" NET_TUN "/arp_ignore", 1 }, /* a tap answers for its own addresses */
};

static void add_floor(struct plan *p, const char *name, int family, uint32_t table, const char *why)
{
	struct step *s = plan_add(p, &step_route, name, true, why, WITH_NETNS);

	s->route.route.dst.addr.family = family;
	s->route.route.type = RTN_UNREACHABLE;
	s->route.route.table = table;
	s->route.route.metric = NET_METRIC_FLOOR;
	s->route.route.protocol = RT_PROTOCOL_NSVPN;
}

void plan_prepare(struct plan *p, const struct tunnelnet *n)
{
	struct step *s;

	p->n = 0;
	plan_add(p, &step_netns, "netns", true, "programs and the tunnel live there, apart from everything else",
		 "unpinned last, and only when no program lives inside");
	s = plan_add(p, &step_sysctls, "netns-sysctls", true,
		     "nothing configures itself there: no router advertisements, redirects, ARP answers, forwarding",
		     WITH_NETNS);
	s->sysctls.rows = netns_rows;
	s->sysctls.n = ARRAY_SIZE(netns_rows);
	s = plan_add(p, &step_lock, "lock-inner", true,
		     "the kill switch: it stands before there is any link and outlives every process",
		     "never removed; it goes when the namespace does");
	s->lock = LOCK_INNER;
	if (!n->rootless) {
		s = plan_add(p, &step_lock, "lock-outer", false, "the second lock, which does not trust the first",
			     "the tables are deleted, after the link is gone");
		s->lock = LOCK_OUTER;
	}
	add_floor(p, "floor4", AF_INET, RT_TABLE_MAIN, "a program gets an error at once when the tunnel is not up");
	add_floor(p, "floor6", AF_INET6, RT_TABLE_MAIN, "the same for IPv6");
	s = plan_add(p, &step_up, "lo", true, "the loopback works as everywhere", WITH_NETNS);
	s->up.ifname = "lo";
	plan_add(p, &step_dns, "dns", true, "programs ask for names inside, or not at all", "the files are removed");
	n->uplink->plan_prepare(p, n);
}

void plan_open(struct plan *p, const struct tunnelnet *n, uint32_t mtu)
{
	struct step *s;

	p->n = 0;
	if (!n->rootless) {
		s = plan_add(p, &step_opening, "open-outer", false, "one server at a time, and nothing else",
			     "closed when the server changes or the tunnel stops");
		s->lock = LOCK_OUTER;
	}
	n->uplink->plan_open(p, n, mtu);
}

void plan_connect(struct plan *p, const struct tunnelnet *n)
{
	struct step *s;

	(void)n; /* the steps read the settings when they run */
	p->n = 0;
	s = plan_add(p, &step_opening, "tun-lock", true,
		     "nothing but the tunnel's own traffic enters the tunnel, and names go to its resolvers only",
		     "closed the moment the tunnel stops");
	s->lock = LOCK_INNER;
	plan_add(p, &step_tun_sizes, "tun-mtu", true, "packets that fit need no fragments", "goes with the device");
	s = plan_add(p, &step_sysctls, "tun-sysctls", true,
		     "a program that asks 127.0.0.53 gets its answer from the tunnel's resolver; the inner lock drops "
		     "loopback addresses that come over the wire",
		     "goes with the device");
	s->sysctls.rows = tun_rows;
	s->sysctls.n = ARRAY_SIZE(tun_rows);
	s = plan_add(p, &step_up, "tun-up", true, "", "goes with the device");
	s->up.ifname = NET_TUN;
	plan_add(p, &step_tun_addrs, "tun-addrs", true, "what the server gave to this tunnel", "goes with the device");
	plan_add(p, &step_tun_routes, "tun-routes", true, "the networks behind the tunnel",
		 "removed right after the default route");
	plan_add(p, &step_tun_dns, "tun-dns", true, "", "the file then names no server");
	plan_add(p, &step_tun_default, "tun-default", true, "last of all: everything else stands",
		 "the first thing to go, however the tunnel stops");
}

/* ---- for people ---- */

static void print_step(const struct step *s, size_t number, const struct tunnelnet *n, FILE *f)
{
	fprintf(f, "  %2zu. ", number);
	s->ops->print(n, s, f);
	fputc('\n', f);
	if (*s->why)
		fprintf(f, "         why:  %s\n", s->why);
	fprintf(f, "         undo: %s\n", s->undone);
}

static void print_group(const struct plan *plans, size_t n_plans, bool inside, const struct tunnelnet *n, FILE *f)
{
	size_t number = 0, printed = 0;

	for (size_t i = 0; i < n_plans; i++)
		for (size_t k = 0; k < plans[i].n; k++) {
			number++;
			if (plans[i].v[k].inside != inside)
				continue;
			print_step(&plans[i].v[k], number, n, f);
			printed++;
		}
	if (!printed)
		fprintf(f, "  nothing\n");
}

void plan_print(const struct plan *plans, size_t n_plans, const struct tunnelnet *n, FILE *f)
{
	fprintf(f, "In the default namespace (this machine):\n");
	print_group(plans, n_plans, false, n, f);
	fprintf(f, "\nIn the tunnel's namespace and its folder:\n");
	print_group(plans, n_plans, true, n, f);
}
