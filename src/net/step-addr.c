/* Addresses and permanent neighbours. */
#include <linux/if_addr.h>
#include <string.h>

#include "base/cleanup.h"
#include "net/plan.h"
#include "net/sysctl.h"

/* ---- one address ---- */

static bool addr_same(const struct rt_addr *a, const struct rt_addr *b)
{
	const uint32_t cared = IFA_F_NOPREFIXROUTE | IFA_F_NODAD;

	return inprefix_eq(&a->local, &b->local) && a->peer.family == b->peer.family &&
	       (!inaddr_is_set(&a->peer) || inaddr_eq(&a->peer, &b->peer)) && (a->flags & cared) == (b->flags & cared);
}

static struct rt_addr wanted_addr(const struct step *s, int ifindex)
{
	return (struct rt_addr){
		.ifindex = ifindex, .local = s->addr.local, .peer = s->addr.peer, .flags = s->addr.flags
	};
}

/* 1 there, 0 not. */
static int addr_find(struct rt *rt, const struct rt_addr *want)
{
	_cleanup_(freep) struct rt_addr *v = NULL;
	size_t count;
	int r;

	r = rt_addr_list(rt, want->ifindex, &v, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (addr_same(&v[i], want))
			return 1;
	return 0;
}

static int addr_check(struct tunnelnet *n, const struct step *s)
{
	struct rt_addr want;
	struct rt *rt;
	int r, index;

	r = step_rt(n, s, &rt);
	if (r < 0)
		return r;
	index = step_ifindex(rt, s->addr.ifname);
	if (!index)
		return 0;
	want = wanted_addr(s, index);
	return addr_find(rt, &want);
}

static int addr_change(struct tunnelnet *n, const struct step *s, bool add)
{
	struct rt_addr want;
	struct rt *rt;
	char buf[INPREFIX_STR_MAX];
	int r;

	r = step_rt(n, s, &rt);
	if (r < 0)
		return r;
	want = wanted_addr(s, step_ifindex(rt, s->addr.ifname));
	r = add ? rt_addr_add(rt, &want) : rt_addr_delete(rt, &want);
	if (r < 0)
		return net_error(n, r, "the address %s of %s cannot be %s: %s",
				 inprefix_format(&s->addr.local, buf, sizeof(buf)), s->addr.ifname,
				 add ? "set" : "removed", strerror(-r));
	return 0;
}

static int addr_apply(struct tunnelnet *n, const struct step *s)
{
	return addr_change(n, s, true);
}

static int addr_undo(struct tunnelnet *n, const struct step *s)
{
	return addr_check(n, s) > 0 ? addr_change(n, s, false) : 0;
}

static void addr_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	char local[INPREFIX_STR_MAX], peer[INADDR_STR_MAX];

	(void)n; /* the step has it all */
	fprintf(f, "give %s the address %s", s->addr.ifname, inprefix_format(&s->addr.local, local, sizeof(local)));
	if (inaddr_is_set(&s->addr.peer))
		fprintf(f, " (other end %s)", inaddr_format(&s->addr.peer, peer, sizeof(peer)));
}

const struct step_ops step_addr = { addr_check, addr_apply, addr_undo, addr_print };

/* ---- a neighbour ---- */

static struct rt_neigh wanted_neigh(const struct step *s, int ifindex)
{
	struct rt_neigh want = { .ifindex = ifindex, .addr = s->neigh.addr };

	memcpy(want.mac, s->neigh.mac, sizeof(want.mac));
	return want;
}

static int neigh_check(struct tunnelnet *n, const struct step *s)
{
	struct rt_neigh want;
	struct rt *rt;
	int r, index;

	r = step_rt(n, s, &rt);
	if (r < 0)
		return r;
	index = step_ifindex(rt, s->neigh.ifname);
	want = wanted_neigh(s, index);
	return index ? rt_neigh_exists(rt, &want) : 0;
}

static int neigh_apply(struct tunnelnet *n, const struct step *s)
{
	struct rt_neigh want;
	struct rt *rt;
	int r;

	r = step_rt(n, s, &rt);
	if (r < 0)
		return r;
	want = wanted_neigh(s, step_ifindex(rt, s->neigh.ifname));
	r = rt_neigh_set(rt, &want);
	if (r < 0)
		return net_error(n, r, "the neighbour entry of %s cannot be set: %s", s->neigh.ifname, strerror(-r));
	return 0;
}

static void neigh_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	char buf[INADDR_STR_MAX];

	(void)n; /* the step has it all */
	fprintf(f, "tell %s once and for all where %s is", s->neigh.ifname,
		inaddr_format(&s->neigh.addr, buf, sizeof(buf)));
}

static int neigh_undo(struct tunnelnet *n, const struct step *s)
{
	struct rt_neigh want;
	struct rt *rt;

	if (neigh_check(n, s) <= 0 || step_rt(n, s, &rt) < 0)
		return 0;
	want = wanted_neigh(s, step_ifindex(rt, s->neigh.ifname));
	return rt_neigh_delete(rt, &want);
}

const struct step_ops step_neigh = { neigh_check, neigh_apply, neigh_undo, neigh_print };

/* ---- the addresses of tun0: exactly those of the settings ---- */

static size_t tun_wanted(const struct tunnelnet *n, int index, struct rt_addr v[static SETTINGS_ADDRS_MAX])
{
	const struct settings *s = &n->settings;
	bool peer_used = false;
	size_t count = 0;

	for (unsigned i = 0; i < s->n_addrs; i++) {
		struct rt_addr a = { .ifindex = index, .local = s->addrs[i], .flags = IFA_F_NOPREFIXROUTE };

		if (a.local.addr.family == AF_INET6) {
			if (!sysctl_have_ipv6())
				continue;
			a.flags |= IFA_F_NODAD;
		} else if (s->peer4.family == AF_INET && !peer_used) {
			a.peer = s->peer4;
			a.local.len = 32;
			peer_used = true;
		}
		v[count++] = a;
	}
	return count;
}

static bool among(const struct rt_addr *a, const struct rt_addr *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (addr_same(a, &v[i]))
			return true;
	return false;
}

/* Differences between what is there and what is wanted; with fix they are removed, unwanted ones first. */
static int tun_addrs_walk(struct tunnelnet *n, const struct step *s, bool fix)
{
	struct rt_addr want[SETTINGS_ADDRS_MAX];
	_cleanup_(freep) struct rt_addr *have = NULL;
	size_t n_want, n_have;
	int r, index, wrong = 0;
	struct rt *rt;

	r = step_rt(n, s, &rt);
	if (r < 0)
		return r;
	index = step_ifindex(rt, NET_TUN);
	if (!index)
		return -ENODEV;
	n_want = tun_wanted(n, index, want);
	r = rt_addr_list(rt, index, &have, &n_have);
	for (size_t i = 0; i < n_have && r == 0; i++)
		if (!among(&have[i], want, n_want)) {
			wrong++;
			r = fix ? rt_addr_delete(rt, &have[i]) : 0;
		}
	for (size_t i = 0; i < n_want && r == 0; i++)
		if (!among(&want[i], have, n_have)) {
			wrong++;
			r = fix ? rt_addr_add(rt, &want[i]) : 0;
		}
	return r < 0 ? r : wrong;
}

static int tun_addrs_check(struct tunnelnet *n, const struct step *s)
{
	int r = tun_addrs_walk(n, s, false);

	return r < 0 ? r : r == 0;
}

static int tun_addrs_apply(struct tunnelnet *n, const struct step *s)
{
	int r = tun_addrs_walk(n, s, true);

	if (r < 0)
		return net_error(n, r, "the addresses of %s in tunnel %s cannot be set: %s", NET_TUN, n->name,
				 strerror(-r));
	return 0;
}

static void tun_addrs_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	char buf[INPREFIX_STR_MAX];

	(void)s; /* no parameters */
	fprintf(f, "give %s the addresses", NET_TUN);
	if (!n->connected)
		fprintf(f, " that the server says");
	for (unsigned i = 0; n->connected && i < n->settings.n_addrs; i++)
		fprintf(f, " %s", inprefix_format(&n->settings.addrs[i], buf, sizeof(buf)));
}

const struct step_ops step_tun_addrs = { tun_addrs_check, tun_addrs_apply, NULL, tun_addrs_print };
