/*
 * locked <-> connected: the tun device, and what a server's settings make of it. What the server says was checked by
 * settings_verify() and is checked here once more, together with what only this folder knows: the veth's own subnet.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "net/plan.h"
#include "net/tun-open.h"

int net_remove_tun(struct tunnelnet *n)
{
	struct rt_link link;
	struct rt *inside;
	int r;

	if (net_inside(n, &inside) < 0 || rt_link_get(inside, NET_TUN, &link) < 0)
		return 0;
	r = rt_link_delete(inside, link.index);
	return r == -ENODEV ? 0 : r;
}

int tunnelnet_open_tun(struct tunnelnet *n, bool tap, int *ret_fd, unsigned *ret_offload, char **ret_error)
{
	int r;

	net_begin(n);
	if (n->ns_fd < 0 || n->damaged)
		return net_finish(n, net_not_prepared(n), ret_error);
	r = failpoint("up", "tun", false);
	if (r == 0)
		r = tun_open(n->ns_fd, NET_TUN, tap, ret_fd, ret_offload);
	if (r == -EBUSY) {
		/* An engine that a dead helper left behind holds it. In our namespace the name is ours. */
		r = net_remove_tun(n);
		if (r == 0)
			r = tun_open(n->ns_fd, NET_TUN, tap, ret_fd, ret_offload);
	}
	if (r < 0)
		(void)net_error(n, r, "the device %s of tunnel %s cannot be made: %s%s", NET_TUN, n->name,
				strerror(-r),
				r == -ENOENT || r == -ENODEV ? " (is /dev/net/tun there? try: modprobe tun)" : "");
	return net_finish(n, r, ret_error);
}

/* ---- connect ---- */

static int refuse_overlap(struct tunnelnet *n, const struct inprefix *p, const char *what)
{
	const struct inprefix *own = p->addr.family == AF_INET ? &n->j.net4 : &n->j.net6;
	char theirs[INPREFIX_STR_MAX], ours[INPREFIX_STR_MAX];

	if (!inaddr_is_set(&own->addr) || p->addr.family != own->addr.family || !inprefix_overlaps(own, p))
		return 0;
	return net_error(n, -EADDRINUSE,
			 "the server gives tunnel %s %s %s, but its veth uses %s; `nsvpn down %s` and up again takes "
			 "another subnet, Uplink=socket needs none",
			 n->name, what, inprefix_format(p, theirs, sizeof(theirs)),
			 inprefix_format(own, ours, sizeof(ours)), n->name);
}

static struct inprefix whole(const struct inaddr *a)
{
	return (struct inprefix){ .addr = *a, .len = (uint8_t)(inaddr_len(a->family) * 8) };
}

/*
 * What the server says may not touch the veth's own subnet. A route that only covers it from far above (10.0.0.0/8, or
 * a default route) is no conflict: the engine's route is in a table of its own, and the one address that programs
 * cannot reach through the tunnel is the veth's inner end.
 */
static int refuse_collision(struct tunnelnet *n, const struct settings *s)
{
	struct inprefix p;
	int r = 0;

	if (!journal_has_veth(&n->j))
		return 0;
	for (unsigned i = 0; i < s->n_addrs && r == 0; i++) {
		p = whole(&s->addrs[i].addr);
		r = refuse_overlap(n, &p, "the address");
	}
	for (unsigned i = 0; i < s->n_dns && r == 0; i++) {
		p = whole(&s->dns[i]);
		r = refuse_overlap(n, &p, "the name server");
	}
	if (r == 0 && s->peer4.family == AF_INET) {
		p = whole(&s->peer4);
		r = refuse_overlap(n, &p, "the peer address");
	}
	for (unsigned i = 0; i < s->n_routes && r == 0; i++) {
		p = s->routes[i];
		if (p.len >= (p.addr.family == AF_INET ? n->j.net4.len : n->j.net6.len))
			r = refuse_overlap(n, &p, "the route");
	}
	if (r < 0)
		(void)tunnelnet_avoid(n, &p); /* so that the next choice differs; without memory it may not */
	return r;
}

int net_undo_connect(struct tunnelnet *n)
{
	struct plan plan;

	plan_connect(&plan, n);
	n->connected = false;
	return plan_undo(&plan, n);
}

int tunnelnet_connect(struct tunnelnet *n, const struct settings *settings, char **ret_error)
{
	_cleanup_(freep) char *why = NULL;
	struct plan plan;
	int r;

	net_begin(n);
	if (n->ns_fd < 0 || n->damaged)
		return net_finish(n, net_not_prepared(n), ret_error);
	r = settings_verify(settings, &why);
	if (r < 0)
		return net_finish(n, net_error(n, r, "%s", why ?: "the server's settings are not valid"), ret_error);
	r = refuse_collision(n, settings);
	if (r == 0)
		r = exceptions_refuse_settings(n, settings);
	if (r < 0)
		return net_finish(n, r, ret_error);
	if (n->connected && !settings_equal(&n->settings, settings)) {
		r = net_undo_connect(n); /* no packet goes by half of the old and half of the new */
		if (r < 0)
			return net_finish(n, r, ret_error);
	}
	n->settings = *settings;
	n->connected = true;
	plan_connect(&plan, n);
	r = plan_apply(&plan, n, false);
	if (r < 0)
		(void)net_undo_connect(n); /* r is the error to report */
	return net_finish(n, r, ret_error);
}

void tunnelnet_adopt(struct tunnelnet *n, const struct settings *settings)
{
	n->settings = *settings;
	n->connected = true;
}

int tunnelnet_disconnect(struct tunnelnet *n, char **ret_error)
{
	net_begin(n);
	if (n->ns_fd < 0 || n->damaged) {
		n->connected = false;
		return net_finish(n, 0, ret_error);
	}
	return net_finish(n, net_undo_connect(n), ret_error);
}
