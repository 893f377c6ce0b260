/*
 * The steps that exceptions need beside the veth pair: addresses of IPv6, the ways inside, forwarding on the host.
 *
 * Theory. What is let through is in the two locks (lock-exceptions.nft, host-exceptions.nft). These steps only make ways,
 * in tables of their own, so that the main table still has no route over the pair:
 *   allow    the networks of Allow=, asked before the main table, so that no route of the server's takes them away; and
 *            the host's end, which is where this machine's own packets and all of UDP come from
 *   answers  a default route back over the pair, for what a published TCP port sends, and for nothing else
 * A client of a published TCP port keeps its address. For UDP the host's end stands in: a service that listens on all
 * addresses answers without saying from which, so its answer would follow the main table into the tunnel.
 */
#include <string.h>

#include "net/plan.h"
#include "net/sysctl.h"
#include "net/uplink.h"

#define WITH_EXCEPTIONS "removed with the exceptions"

static const struct sysctl_row localnet_rows[] = {
	{ "ipv4/conf/%s/route_localnet", 1 },
};

bool plan_has_exceptions(const struct tunnelnet *n, int family)
{
	uint32_t off = 0;

	if (!exceptions_have_family(&n->j.exceptions, family))
		return false;
	if (family == AF_INET)
		return true;
	/* A machine that switched IPv6 off for new interfaces does not want it on this one. */
	return sysctl_have_ipv6() && (sysctl_read("ipv6/conf/default/disable_ipv6", &off) < 0 || off == 0);
}

static void add_rule(struct plan *p, const char *name, int family)
{
	struct step *s = plan_add(p, &step_rule, name, true,
				  "where Allow= leads is decided by settings.conf, not by what the server says",
				  WITH_EXCEPTIONS);

	s->rule = (struct rt_rule){ .family = family, .priority = NET_RULE_ALLOW, .table = NET_TABLE_ALLOW };
}

void plan_exceptions(struct plan *p, const struct tunnelnet *n)
{
	const struct exceptions *e = &n->j.exceptions;
	struct step *s;

	if (!exceptions_any(e))
		return;
	if (plan_has_exceptions(n, AF_INET6))
		uplink_veth_addr6(p, n, true);
	if (e->n_publish > 0) {
		s = plan_add(p, &step_sysctls, PLAN_EXCEPTION "localhost", false,
			     "a published port is found on 127.0.0.1 too; the outer lock drops such addresses when they come "
			     "from inside",
			     "goes with the link");
		s->sysctls.rows = localnet_rows;
		s->sysctls.n = ARRAY_SIZE(localnet_rows);
	}
	add_rule(p, PLAN_EXCEPTION "rule4", AF_INET);
	add_rule(p, PLAN_EXCEPTION "rule6", AF_INET6);
	plan_add(p, &step_allow, PLAN_EXCEPTION "routes", true, "the ways of the exceptions, apart from the main table",
		 WITH_EXCEPTIONS);
	plan_add(p, &step_answers, PLAN_EXCEPTION "answers", true,
		 "what a published TCP port answers goes back where the question came from", WITH_EXCEPTIONS);
	plan_add(p, &step_forward_lan, PLAN_EXCEPTION "forward", false,
		 "packets of the exceptions are forwarded; the outer lock keeps this machine from routing anything else",
		 "put back to the old values, unless somebody changed them since or another tunnel needs them");
}
