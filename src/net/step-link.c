/* Links: the veth pair, up, sizes. */
#include <string.h>

#include "base/str.h"
#include "net/plan.h"

#define TUN_TXQLEN 1000
#define GSO_BEST 60000	/* measured best for one UDP_SEGMENT send; larger spills into a second, short one */
#define GSO_OVERHEAD 64 /* our header, tag, and the outer headers */
#define GSO_SEGMENTS 64

/* ---- up ---- */

static int up_check(struct tunnelnet *n, const struct step *s)
{
	struct rt_link link;
	struct rt *rt;
	int r;

	r = step_rt(n, s, &rt);
	if (r < 0)
		return r;
	r = rt_link_get(rt, s->up.ifname, &link);
	return r < 0 ? 0 : link.up;
}

static int up_apply(struct tunnelnet *n, const struct step *s)
{
	struct rt *rt;
	int r;

	if (s->up.after_locks)
		for (int id = 0; id < _LOCK_MAX; id++) {
			r = lock_check(n, (enum lock_id)id);
			if (r <= 0)
				return net_error(
					n, r < 0 ? r : -EPERM,
					"the locks of tunnel %s are not in the kernel as they were written, so "
					"%s stays down; look at `nft list ruleset`",
					n->name, s->up.ifname);
		}
	r = step_rt(n, s, &rt);
	if (r == 0)
		r = rt_link_set_up(rt, step_ifindex(rt, s->up.ifname), true);
	if (r < 0)
		return net_error(n, r, "the link %s of tunnel %s cannot be set up: %s", s->up.ifname, n->name,
				 strerror(-r));
	return 0;
}

static int up_undo(struct tunnelnet *n, const struct step *s)
{
	struct rt *rt;
	int index;

	if (!s->up.after_locks)
		return 0; /* goes with its namespace */
	if (step_rt(n, s, &rt) < 0)
		return 0;
	index = up_check(n, s) > 0 ? step_ifindex(rt, s->up.ifname) : 0;
	return index ? rt_link_set_up(rt, index, false) : 0;
}

static void up_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	(void)n; /* the step has it all */
	fprintf(f, "set %s up%s", s->up.ifname,
		s->up.after_locks ? ", after reading both locks back from the kernel" : "");
}

const struct step_ops step_up = { up_check, up_apply, up_undo, up_print };

/* ---- the pair ---- */

/*
 * The MAC address is there from the link's first moment, the alias (for people) comes right after: either says that it
 * is ours. Without a readable journal the mark in the MAC address is not known.
 */
static bool veth_is_ours(const struct tunnelnet *n, const struct rt_link *link)
{
	uint8_t mac[6];

	net_mac(n, false, mac);
	if (n->damaged) {
		mac[3] = link->mac[3];
		mac[4] = link->mac[4];
	}
	return str_eq(link->kind, "veth") &&
	       (str_eq(link->alias, n->alias) || memcmp(link->mac, mac, sizeof(mac)) == 0);
}

static int veth_look(struct tunnelnet *n, struct rt_link *ret)
{
	struct rt *host;
	int r;

	r = net_host(n, &host);
	if (r < 0)
		return r;
	r = rt_link_get(host, n->veth, ret);
	if (r < 0)
		return r;
	if (!veth_is_ours(n, ret))
		return net_error(
			n, -EEXIST,
			"a link named %s exists and nsvpn did not make it; rename or remove it (ip link del %s)",
			n->veth, n->veth);
	return 0;
}

bool veth_is_there(struct tunnelnet *n)
{
	struct rt_link link;
	struct rt *host;
	int r;

	r = net_host(n, &host);
	if (r == 0)
		r = rt_link_get(host, n->veth, &link);
	return r == 0 ? veth_is_ours(n, &link) : r != -ENODEV;
}

static int veth_check(struct tunnelnet *n, const struct step *s)
{
	struct rt_link link, inner;
	struct rt *inside;
	int r;

	(void)s; /* no parameters */
	r = veth_look(n, &link);
	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return r;
	return str_eq(link.alias, n->alias) && net_inside(n, &inside) == 0 &&
	       rt_link_get(inside, NET_UPLINK, &inner) == 0;
}

static int veth_undo(struct tunnelnet *n, const struct step *s)
{
	struct rt_link link;
	int r;

	(void)s; /* no parameters */
	r = veth_look(n, &link);
	if (r == -ENODEV || r == -EEXIST)
		return 0; /* gone, or not ours */
	if (r == 0)
		r = rt_link_delete(n->host, link.index);
	if (r < 0 && r != -ENODEV)
		return net_error(n, r, "the link %s cannot be removed: %s", n->veth, strerror(-r));
	return 0;
}

static int veth_apply(struct tunnelnet *n, const struct step *s)
{
	uint8_t host_mac[6], inner_mac[6];
	struct rt_veth v = {
		.name = n->veth,
		.mac = host_mac,
		.peer_name = NET_UPLINK,
		.peer_mac = inner_mac,
		.peer_netns_fd = n->ns_fd,
	};
	struct rt *host;
	int r;

	net_mac(n, false, host_mac);
	net_mac(n, true, inner_mac);
	r = veth_undo(n, s); /* half of one: its other end is not where it belongs */
	if (r == 0)
		r = net_host(n, &host);
	if (r == 0)
		r = rt_link_add_veth(host, &v);
	if (r == 0)
		r = rt_link_set_alias(host, step_ifindex(host, n->veth), n->alias);
	if (r < 0)
		return net_error(n, r, "the veth pair %s - %s cannot be made: %s%s", n->veth, NET_UPLINK, strerror(-r),
				 r == -EOPNOTSUPP ? "; this kernel has no veth, set Uplink=socket" : "");
	return 0;
}

static void veth_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	(void)s; /* no parameters */
	fprintf(f, "make the veth pair %s (here) - %s (inside), both down", n->veth, NET_UPLINK);
}

const struct step_ops step_veth = { veth_check, veth_apply, veth_undo, veth_print };

/* ---- the veth's MTU: that of the way to the server ---- */

static int mtu_check(struct tunnelnet *n, const struct step *s)
{
	struct rt_link link;
	struct rt *rt;

	for (int inside = 0; inside <= 1; inside++) {
		if ((inside ? net_inside(n, &rt) : net_host(n, &rt)) < 0 ||
		    rt_link_get(rt, inside ? NET_UPLINK : n->veth, &link) < 0 || link.mtu != s->mtu)
			return 0;
	}
	return 1;
}

static int mtu_apply(struct tunnelnet *n, const struct step *s)
{
	struct rt_link link;
	struct rt *rt;
	int r;

	for (int inside = 0; inside <= 1; inside++) {
		const char *ifname = inside ? NET_UPLINK : n->veth;

		r = inside ? net_inside(n, &rt) : net_host(n, &rt);
		if (r == 0)
			r = rt_link_get(rt, ifname, &link);
		if (r == 0 && link.mtu != s->mtu)
			r = rt_link_set_sizes(rt, link.index, s->mtu, 0, 0);
		if (r < 0)
			return net_error(n, r, "the MTU of %s cannot be set to %u: %s", ifname, s->mtu, strerror(-r));
	}
	return 0;
}

static void mtu_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	fprintf(f, "give %s and %s the MTU of the way to the server", n->veth, NET_UPLINK);
	if (s->mtu)
		fprintf(f, " (%u)", s->mtu);
}

const struct step_ops step_mtu = { mtu_check, mtu_apply, NULL, mtu_print };

/* ---- tun0 ---- */

/* One super-packet shall fill one UDP_SEGMENT send: that many segments and not one more. */
static uint32_t gso_size(uint32_t mtu)
{
	uint32_t segments = MIN((uint32_t)GSO_SEGMENTS, 65000u / (mtu + GSO_OVERHEAD)), headers = 40;

	if (segments <= 1)
		return MAX(mtu, 2048u);
	return MIN((uint32_t)GSO_BEST, headers + segments * (mtu - headers));
}

static int tun_sizes_check(struct tunnelnet *n, const struct step *s)
{
	struct rt_link link;
	struct rt *rt;
	int r;

	r = step_rt(n, s, &rt);
	if (r == 0)
		r = rt_link_get(rt, NET_TUN, &link);
	if (r < 0)
		return net_error(n, r, "tunnel %s has no %s to configure: %s", n->name, NET_TUN, strerror(-r));
	return link.mtu == n->settings.mtu && link.txqlen == TUN_TXQLEN &&
	       link.gso_max_size == gso_size(n->settings.mtu);
}

static int tun_sizes_apply(struct tunnelnet *n, const struct step *s)
{
	uint32_t mtu = n->settings.mtu;
	struct rt *rt;
	int index, r;

	r = step_rt(n, s, &rt);
	if (r < 0)
		return r;
	index = step_ifindex(rt, NET_TUN);
	r = rt_link_set_sizes(rt, index, mtu, TUN_TXQLEN, 0);
	if (r < 0)
		return net_error(n, r, "the MTU of %s cannot be set to %u: %s", NET_TUN, mtu, strerror(-r));
	/* Only speed hangs on this one. */
	(void)rt_link_set_sizes(rt, index, 0, 0, gso_size(mtu));
	return 0;
}

static void tun_sizes_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	(void)s; /* no parameters */
	if (n->connected)
		fprintf(f, "give %s the MTU %u", NET_TUN, n->settings.mtu);
	else
		fprintf(f, "give %s the MTU that the server says", NET_TUN);
}

const struct step_ops step_tun_sizes = { tun_sizes_check, tun_sizes_apply, NULL, tun_sizes_print };
