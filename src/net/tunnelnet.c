/* The operations of tunnelnet.h, as walks over plans. */
#include "net/tunnelnet.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/str.h"
#include "net/netns.h"
#include "net/plan.h"
#include "net/sysctl.h"
#include "net/tun-open.h"
#include "net/uplink.h"
#include "nl/nft.h"

#define MARK_PREFIX 0x6e760000u /* "nv" */

/* ---- begin and end of an operation ---- */

static void begin(struct tunnelnet *n)
{
	free(n->error);
	n->error = NULL;
}

/* Hands the sentence out when the operation failed; there always is one then. */
static int finish(struct tunnelnet *n, int r, char **ret_error)
{
	if (r >= 0) {
		begin(n);
		return r;
	}
	if (!n->error)
		(void)net_error(n, r, "Tunnel %s: %s.", n->name, strerror(-r));
	if (ret_error)
		*ret_error = TAKE_PTR(n->error);
	return r;
}

/* ---- life ---- */

struct tunnelnet *tunnelnet_free(struct tunnelnet *n)
{
	if (!n)
		return NULL;
	net_leave(n);
	(void)rt_free(n->host);
	journal_done(&n->j);
	free(n->run_dir);
	free(n->journal_path);
	free(n->netns_path);
	free(n->avoid);
	free(n->error);
	free(n);
	return NULL;
}

/*
 * The namespace that the journal names, when it is still pinned there. No number yet: a crash right after it was made,
 * and since the path was free when the journal was written, it is ours.
 */
static void reopen_netns(struct tunnelnet *n)
{
	_cleanup_(closep) int fd = -EBADF;
	uint64_t ino;

	if (!n->have_journal || n->damaged || netns_open(n->netns_path, &fd, &ino) < 0 ||
	    (n->j.netns_ino && n->j.netns_ino != ino))
		return;
	n->j.netns_ino = ino;
	n->ns_fd = TAKE_FD(fd);
}

static int set_names(struct tunnelnet *n, const char *name)
{
	if (!str_copy(n->name, sizeof(n->name), name))
		return -EINVAL;
	(void)snprintf(n->veth, sizeof(n->veth), "nv-%.10s", n->name); /* valid names have at most 10 characters */
	(void)snprintf(n->table, sizeof(n->table), "nsvpn-%.10s", n->name);
	(void)snprintf(n->alias, sizeof(n->alias), "nsvpn %.10s", n->name);
	n->run_dir = place_tunnel_run(name);
	n->netns_path = place_netns(name);
	n->journal_path = n->run_dir ? str_format("%s/journal", n->run_dir) : NULL;
	return n->journal_path && n->netns_path ? 0 : -ENOMEM;
}

int tunnelnet_new(struct tunnelnet **ret, const char *name, enum uplink uplink, char **ret_error)
{
	_cleanup_(tunnelnet_freep) struct tunnelnet *n = NULL;
	int r;

	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->ns_fd = -EBADF;
	if (!tunnel_name_is_valid(name))
		return finish(n, net_error(n, -EINVAL, "A tunnel's name has 1 to 10 characters of a-z, 0-9 and -."), ret_error);
	r = set_names(n, name);
	if (r < 0)
		return finish(n, r, ret_error);
	n->wanted = uplink;
	r = journal_read(n->journal_path, &n->j);
	n->have_journal = r == 0 || r == -EUCLEAN;
	n->damaged = r == -EUCLEAN;
	if (r < 0 && r != -ENOENT && r != -EUCLEAN)
		return finish(n, net_error(n, r, "The journal %s cannot be read: %s.", n->journal_path, strerror(-r)),
			      ret_error);
	if (r < 0)
		n->j.uplink = uplink;
	n->uplink = uplink_ops(n->j.uplink);
	reopen_netns(n);
	*ret = TAKE_PTR(n);
	return 0;
}

int tunnelnet_avoid(struct tunnelnet *n, const struct inprefix *p)
{
	struct inprefix *v = reallocarray(n->avoid, n->n_avoid + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	n->avoid = v;
	n->avoid[n->n_avoid++] = *p;
	return 0;
}

enum tunnelnet_presence tunnelnet_presence(struct tunnelnet *n)
{
	enum tunnelnet_presence p = TUNNELNET_LOCKED;
	struct plan plan;

	if (!n->have_journal)
		return TUNNELNET_ABSENT;
	if (n->damaged)
		return TUNNELNET_LOCKED;
	begin(n);
	plan_prepare(&plan, n);
	for (size_t i = 0; i < plan.n && p == TUNNELNET_LOCKED; i++)
		if ((plan.v[i].inside && n->ns_fd < 0) || plan.v[i].ops->check(n, &plan.v[i]) <= 0)
			p = TUNNELNET_PARTIAL;
	begin(n);
	return p;
}

int tunnelnet_netns_fd(struct tunnelnet *n)
{
	return n->ns_fd < 0 ? -EBADF : n->ns_fd;
}

/* ---- prepare ---- */

/* Before there is a journal, nothing of these names can be ours. */
static int check_foreign(struct tunnelnet *n)
{
	struct rt_link link;
	struct rt *host;
	int r;

	if (access(n->netns_path, F_OK) == 0)
		return net_error(n, -EEXIST,
				 "%s exists and nsvpn did not make it; remove it (ip netns del %s) or give the tunnel "
				 "another name.",
				 n->netns_path, n->name);
	r = lock_outer_exists(n);
	if (r > 0)
		return net_error(n, -EEXIST,
				 "An nftables table %s exists and this nsvpn did not make it; remove it (nft delete table "
				 "inet %s; nft delete table arp %s) or give the tunnel another name.",
				 n->table, n->table, n->table);
	if (r < 0)
		return net_error(n, r, "The nftables tables of this machine cannot be read: %s%s.", strerror(-r),
				 r == -EPROTO || r == -EINVAL ? " (does this kernel have nf_tables?)" : "");
	r = net_host(n, &host);
	if (r < 0)
		return r;
	r = rt_link_get(host, n->veth, &link);
	if (r == 0)
		return net_error(n, -EEXIST,
				 "A link named %s exists and this nsvpn did not make it; rename or remove it (ip link del "
				 "%s).",
				 n->veth, n->veth);
	return r == -ENODEV ? 0 : r;
}

static int same_mark(void *userdata, const struct journal *j)
{
	return j->mark == *(const uint32_t *)userdata;
}

static int choose_mark(struct tunnelnet *n)
{
	uint64_t h = journal_hash(n->run_dir, strlen(n->run_dir));
	int r;

	for (unsigned i = 0; i <= UINT16_MAX; i++) {
		n->j.mark = MARK_PREFIX | (uint16_t)(h + i);
		r = journal_foreach_other(n->name, same_mark, &n->j.mark);
		if (r <= 0)
			return r;
	}
	return -ENOSPC;
}

static int choose(struct tunnelnet *n)
{
	int r = choose_mark(n);

	if (r < 0)
		return net_error(n, r, "No firewall mark is left for tunnel %s: %s.", n->name, strerror(-r));
	return n->j.uplink == UPLINK_VETH ? subnet_choose(n) : 0;
}

static int begin_journal(struct tunnelnet *n)
{
	int r;

	r = check_foreign(n);
	if (r == 0)
		r = choose(n);
	if (r < 0)
		return r;
	r = dir_make(n->run_dir, 0755);
	if (r < 0)
		return net_error(n, r, "The folder %s cannot be made: %s.", n->run_dir, strerror(-r));
	return net_journal(n);
}

static int remove_journal(struct tunnelnet *n)
{
	if (unlink(n->journal_path) < 0 && errno != ENOENT)
		return net_error(n, -errno, "The journal %s cannot be removed: %s.", n->journal_path, strerror(errno));
	(void)rmdir(n->run_dir); /* somebody else may keep files there */
	journal_done(&n->j);
	n->j.uplink = n->wanted;
	n->uplink = uplink_ops(n->wanted);
	n->have_journal = n->damaged = false;
	return 0;
}

/* Left by a helper that died: an old engine may still hold the device, and its default route stands. */
static int drop_stale_tun(struct tunnelnet *n)
{
	struct plan plan;
	struct rt *inside;

	if (n->connected || n->ns_fd < 0 || net_inside(n, &inside) < 0 || !step_ifindex(inside, NET_TUN))
		return 0;
	plan_connect(&plan, n);
	for (size_t i = plan.n; i-- > 0;)
		if (plan.v[i].ops == &step_tun_default || plan.v[i].ops == &step_tun_routes) {
			int r = plan.v[i].ops->undo(n, &plan.v[i]);

			if (r < 0)
				return r;
		}
	return 0;
}

static int refuse_prepare(struct tunnelnet *n)
{
	if (n->damaged)
		return net_error(n, -EUCLEAN,
				 "The journal %s is damaged, so tunnel %s stays locked as it is; `nsvpn down %s` removes "
				 "what is left of it.",
				 n->journal_path, n->name, n->name);
	if (n->have_journal && n->j.uplink != n->wanted)
		return net_error(n, -EBUSY,
				 "Tunnel %s is still built with Uplink=%s; `nsvpn down %s` first, then the new setting "
				 "takes effect.",
				 n->name, uplink_to_string(n->j.uplink), n->name);
	return 0;
}

int tunnelnet_prepare(struct tunnelnet *n, char **ret_error)
{
	bool fresh = !n->have_journal;
	struct plan plan;
	int r;

	begin(n);
	r = refuse_prepare(n);
	if (r == 0 && fresh)
		r = begin_journal(n);
	if (r == 0)
		r = failpoint("up", "journal", true);
	if (r == 0)
		r = drop_stale_tun(n);
	if (r == 0) {
		plan_prepare(&plan, n);
		r = plan_apply(&plan, n, true);
	}
	if (r < 0 && fresh && n->ns_fd < 0 && !n->damaged)
		(void)remove_journal(n); /* rolled back: nothing is left to remember; r is the error to report */
	if (r == 0 && n->j.kept) {
		n->j.kept = false;
		r = net_journal(n);
	}
	return finish(n, r, ret_error);
}

/* ---- the server ---- */

static int not_prepared(struct tunnelnet *n)
{
	return net_error(n, -ENOTCONN, "Tunnel %s has no namespace yet.", n->name);
}

/* Both locks without the server, then what led to it. */
static int close_opening(struct tunnelnet *n)
{
	struct plan plan;

	plan_open(&plan, n, 0); /* with the server that is going */
	n->j.have_server = false;
	return plan_undo(&plan, n);
}

int tunnelnet_close_transport(struct tunnelnet *n, char **ret_error)
{
	begin(n);
	return finish(n, n->ns_fd < 0 || n->damaged ? 0 : close_opening(n), ret_error);
}

static int look_up_way(struct tunnelnet *n, const struct endpoint *server, struct rt_route *ret_way,
		       struct rt_link *ret_link)
{
	char buf[INADDR_STR_MAX];
	struct rt *host;
	int r;

	(void)inaddr_format(&server->addr, buf, sizeof(buf)); /* returns buf */
	r = net_host(n, &host);
	if (r < 0)
		return r;
	r = rt_route_lookup(host, &server->addr, ret_way);
	if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)
		r = -ENETUNREACH; /* this kernel has no IPv6 */
	if (r == 0 && !ret_way->oif)
		r = -ENETUNREACH;
	if (r < 0)
		return net_error(n, r, "This machine has no route to %s (%s); is its network up%s?", buf, strerror(-r),
				 server->addr.family == AF_INET6 ? ", and does it have IPv6" : "");
	r = rt_link_get_index(host, ret_way->oif, ret_link);
	if (r < 0)
		return net_error(n, r, "The interface that leads to %s went away.", buf);
	return 0;
}

static int refuse_server(struct tunnelnet *n, const struct endpoint *server)
{
	if (n->ns_fd < 0 || n->damaged)
		return not_prepared(n);
	if (!inaddr_is_set(&server->addr) || !server->port)
		return net_error(n, -EINVAL, "Tunnel %s has a server without address or port.", n->name);
	return 0;
}

/* A network that appeared on the host since would be shadowed by our subnet: take another while nothing runs over it. */
static int renumber(struct tunnelnet *n)
{
	struct plan plan, tail = { 0 };
	size_t i = 0;
	int r;

	r = close_opening(n);
	plan_prepare(&plan, n);
	while (i < plan.n && plan.v[i].ops != &step_veth)
		i++;
	for (; i < plan.n; i++)
		tail.v[tail.n++] = plan.v[i];
	if (r == 0)
		r = plan_undo(&tail, n);
	if (r == 0)
		r = subnet_choose(n);
	if (r == 0)
		r = net_journal(n);
	if (r == 0) {
		plan_prepare(&plan, n);
		r = plan_apply(&plan, n, false);
	}
	return r;
}

static bool same_opening(const struct tunnelnet *n, const struct endpoint *server, enum transport transport,
			 const char *outgoing)
{
	return n->j.have_server && endpoint_eq(&n->j.server, server) && n->j.transport == transport &&
	       str_eq(n->j.outgoing, outgoing);
}

/* The journal first, then the kernel; on failure nothing is open. */
static int make_opening(struct tunnelnet *n, const struct endpoint *server, enum transport transport,
			const struct rt_link *out, uint32_t mtu)
{
	bool same = same_opening(n, server, transport, out->name);
	struct plan plan;
	int r = 0;

	if (!same) {
		if (n->j.have_server)
			r = close_opening(n);
		if (r < 0)
			return r;
		n->j.server = *server;
		n->j.transport = transport;
		n->j.have_server = true;
		(void)str_copy(n->j.outgoing, sizeof(n->j.outgoing), out->name); /* both are IFNAMSIZ */
		if (n->uplink->forwards)
			r = forward_note(n);
		if (r == 0)
			r = net_journal(n);
	}
	if (r == 0) {
		plan_open(&plan, n, mtu);
		r = plan_apply(&plan, n, false);
	}
	if (r < 0)
		(void)close_opening(n); /* r is the error to report */
	return r;
}

int tunnelnet_open_transport(struct tunnelnet *n, const struct endpoint *server, enum transport transport, int *ret_fd,
			     uint32_t *ret_path_mtu, char **ret_error)
{
	char buf[ENDPOINT_STR_MAX];
	struct rt_route way;
	struct rt_link out;
	uint32_t mtu;
	int fd, r;

	begin(n);
	r = refuse_server(n, server);
	if (r == 0)
		r = look_up_way(n, server, &way, &out);
	if (r == 0)
		r = n->uplink->accepts(n, server, &way);
	if (r == 0 && n->uplink->forwards && (r = subnet_collides(n, &n->j.net4)) > 0)
		r = renumber(n);
	if (r < 0)
		return finish(n, r, ret_error);
	mtu = way.mtu ? way.mtu : MIN(out.mtu, 65535u);
	r = make_opening(n, server, transport, &out, mtu);
	if (r == 0) {
		r = uplink_open_socket(n->uplink->socket_netns(n), n->j.mark, server, transport, &fd);
		if (r < 0)
			(void)net_error(n, r, "No connection to %s can be opened: %s.",
					endpoint_format(server, buf, sizeof(buf)), strerror(-r));
	}
	if (r < 0)
		return finish(n, r, ret_error);
	*ret_fd = fd;
	*ret_path_mtu = mtu;
	return finish(n, 0, ret_error);
}

/* ---- the tun device ---- */

static int remove_tun(struct tunnelnet *n)
{
	struct rt_link link;
	struct rt *inside;
	int r;

	if (net_inside(n, &inside) < 0 || rt_link_get(inside, NET_TUN, &link) < 0)
		return 0;
	r = rt_link_delete(inside, link.index);
	return r == -ENODEV ? 0 : r;
}

int tunnelnet_open_tun(struct tunnelnet *n, int *ret_fd, unsigned *ret_offload, char **ret_error)
{
	int r;

	begin(n);
	if (n->ns_fd < 0 || n->damaged)
		return finish(n, not_prepared(n), ret_error);
	r = failpoint("up", "tun", false);
	if (r == 0)
		r = tun_open(n->ns_fd, NET_TUN, ret_fd, ret_offload);
	if (r == -EBUSY) {
		/* An engine that a dead helper left behind holds it. In our namespace the name is ours. */
		r = remove_tun(n);
		if (r == 0)
			r = tun_open(n->ns_fd, NET_TUN, ret_fd, ret_offload);
	}
	if (r < 0)
		(void)net_error(n, r, "The device %s of tunnel %s cannot be made: %s%s.", NET_TUN, n->name, strerror(-r),
				r == -ENOENT || r == -ENODEV ? " (is /dev/net/tun there? try: modprobe tun)" : "");
	return finish(n, r, ret_error);
}

/* ---- connect ---- */

static int refuse_overlap(struct tunnelnet *n, const struct inprefix *p, const char *what)
{
	const struct inprefix *own = p->addr.family == AF_INET ? &n->j.net4 : &n->j.net6;
	char theirs[INPREFIX_STR_MAX], ours[INPREFIX_STR_MAX];

	if (!inaddr_is_set(&own->addr) || p->addr.family != own->addr.family || !inprefix_overlaps(own, p))
		return 0;
	return net_error(n, -EADDRINUSE,
			 "The server gives tunnel %s %s %s, but its veth uses %s; `nsvpn down %s` and up again takes "
			 "another subnet, Uplink=socket needs none.",
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

	if (n->j.uplink != UPLINK_VETH)
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
	for (unsigned i = 0; i < s->n_routes && r == 0; i++)
		if (s->routes[i].len >= (s->routes[i].addr.family == AF_INET ? n->j.net4.len : n->j.net6.len))
			r = refuse_overlap(n, &s->routes[i], "the route");
	if (r < 0)
		(void)tunnelnet_avoid(n, &p); /* so that the next choice differs; without memory it may not */
	return r;
}

/* In the order of tunnelnet.h: default route, resolvers, routes, lock. */
static int undo_connect(struct tunnelnet *n)
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

	begin(n);
	if (n->ns_fd < 0 || n->damaged)
		return finish(n, not_prepared(n), ret_error);
	r = settings_verify(settings, &why);
	if (r < 0)
		return finish(n, net_error(n, r, "%s", why ?: "The server's settings are not valid."), ret_error);
	r = refuse_collision(n, settings);
	if (r < 0)
		return finish(n, r, ret_error);
	if (n->connected && !settings_equal(&n->settings, settings)) {
		r = undo_connect(n); /* no packet goes by half of the old and half of the new */
		if (r < 0)
			return finish(n, r, ret_error);
	}
	n->settings = *settings;
	n->connected = true;
	plan_connect(&plan, n);
	r = plan_apply(&plan, n, false);
	if (r < 0)
		(void)undo_connect(n); /* r is the error to report */
	return finish(n, r, ret_error);
}

int tunnelnet_disconnect(struct tunnelnet *n, char **ret_error)
{
	begin(n);
	if (n->ns_fd < 0 || n->damaged) {
		n->connected = false;
		return finish(n, 0, ret_error);
	}
	return finish(n, undo_connect(n), ret_error);
}

/* ---- teardown ---- */

static int count_processes(struct tunnelnet *n, size_t *ret)
{
	_cleanup_(freep) struct netproc *v = NULL;

	*ret = 0;
	return n->ns_fd < 0 ? 0 : netns_processes(n->j.netns_ino, 0, &v, ret);
}

/* A damaged journal names no namespace; one that holds our lock, pinned at our path, is ours. */
static void adopt_by_lock(struct tunnelnet *n)
{
	_cleanup_(closep) int fd = -EBADF;
	_cleanup_(freep) char *text = NULL;
	uint64_t ino;

	if (netns_open(n->netns_path, &fd, &ino) < 0 || nft_list_table(fd, "inet", NET_INNER_TABLE, &text) < 0)
		return;
	n->ns_fd = TAKE_FD(fd);
	n->j.netns_ino = ino;
}

/* Everything but the namespace, its lock and the files that programs inside see. */
static int undo_host(struct tunnelnet *n)
{
	struct plan all, host = { 0 };
	int first, r;

	first = undo_connect(n);
	r = failpoint("down", "tun", false);
	if (r == 0)
		r = remove_tun(n);
	first = first < 0 ? first : r;
	r = close_opening(n);
	first = first < 0 ? first : r;
	plan_prepare(&all, n);
	for (size_t i = 0; i < all.n; i++)
		if (all.v[i].ops != &step_netns && all.v[i].ops != &step_dns)
			host.v[host.n++] = all.v[i];
	r = plan_undo(&host, n);
	return first < 0 ? first : r;
}

/* Only names and tags are known: the link by its alias, the tables by their names, the switches that could be read. */
static int undo_damaged(struct tunnelnet *n)
{
	struct plan p = { 0 };
	int first, r;

	n->connected = false;
	adopt_by_lock(n);
	first = remove_tun(n);
	plan_add(&p, &step_lock, "lock-outer", false, "", "")->lock = LOCK_OUTER;
	(void)plan_add(&p, &step_veth, "veth", false, "", "");
	r = plan_undo(&p, n);
	first = first < 0 ? first : r;
	r = forward_restore(n);
	return first < 0 ? first : r;
}

static int undo_namespace(struct tunnelnet *n)
{
	struct plan all, rest = { 0 };
	int r;

	plan_prepare(&all, n);
	for (size_t i = 0; i < all.n; i++)
		if (all.v[i].ops == &step_netns || all.v[i].ops == &step_dns)
			rest.v[rest.n++] = all.v[i];
	/* A path that was never recorded as ours, with a journal that cannot say, is left alone. */
	if (n->damaged && !n->j.netns_ino)
		rest.v[0] = rest.v[--rest.n];
	r = plan_undo(&rest, n);
	return r < 0 ? r : failpoint("down", "journal", false);
}

int tunnelnet_teardown(struct tunnelnet *n, char **ret_error)
{
	size_t inside;
	int r, first;

	begin(n);
	if (!n->have_journal)
		return finish(n, 0, ret_error);
	first = n->damaged ? undo_damaged(n) : undo_host(n);
	r = count_processes(n, &inside);
	if (r < 0 || first < 0)
		return finish(n, first < 0 ? first : r, ret_error);
	if (inside > 0) {
		if (n->damaged)
			return finish(n, 1, ret_error);
		n->j.kept = true;
		r = net_journal(n);
		return finish(n, r < 0 ? r : 1, ret_error);
	}
	r = undo_namespace(n);
	if (r == 0)
		r = remove_journal(n);
	return finish(n, r, ret_error);
}

/* ---- looking ---- */

int tunnelnet_processes(struct tunnelnet *n, pid_t engine, struct netproc **ret, size_t *ret_n)
{
	if (n->ns_fd >= 0)
		return netns_processes(n->j.netns_ino, engine, ret, ret_n);
	*ret = calloc(1, sizeof(**ret));
	*ret_n = 0;
	return *ret ? 0 : -ENOMEM;
}

int tunnelnet_dropped(struct tunnelnet *n, uint64_t *ret)
{
	uint64_t inner = 0, outer = 0;
	int r = 0;

	if (n->ns_fd >= 0)
		r = nft_read_counter(n->ns_fd, NET_INNER_TABLE, "dropped", &inner);
	if (r < 0 && r != -ENOENT)
		return r;
	r = n->have_journal ? nft_read_counter(-EBADF, n->table, "dropped", &outer) : 0;
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = inner + outer;
	return 0;
}

int tunnelnet_list(char ***ret)
{
	_cleanup_(strv_freep) char **v = NULL;
	DIR *d = opendir(place_run());
	int r = 0;

	if (!d && errno != ENOENT)
		return -errno;
	for (struct dirent *e; d && r == 0 && (e = readdir(d));) {
		_cleanup_(freep) char *path = NULL;

		if (!tunnel_name_is_valid(e->d_name))
			continue;
		path = str_format("%s/%s/journal", place_run(), e->d_name);
		if (!path)
			r = -ENOMEM;
		else if (access(path, F_OK) == 0)
			r = strv_add(&v, e->d_name);
	}
	if (d)
		(void)closedir(d); /* only read */
	if (r == 0 && !v) {
		v = calloc(1, sizeof(*v));
		r = v ? 0 : -ENOMEM;
	}
	if (r == 0)
		*ret = TAKE_PTR(v);
	return r;
}

/* ---- the plan, for people ---- */

static void print_remotes(const struct profile *p, FILE *f)
{
	for (size_t i = 0; i < p->n_remotes; i++)
		fprintf(f, "%s%s port %u %s", i ? ", " : " ", p->remotes[i].host, p->remotes[i].port,
			transport_to_string(p->remotes[i].transport));
}

/* The first remote when it is written as an address; else the steps say "the server". */
static void guess_server(struct tunnelnet *n, const struct profile *p)
{
	struct inaddr a;

	memset(&n->j.server, 0, sizeof(n->j.server));
	if (p->n_remotes == 0 || inaddr_parse(p->remotes[0].host, &a) < 0)
		return;
	n->j.server.addr = a;
	n->j.server.port = p->remotes[0].port;
}

int tunnelnet_print_plan(struct tunnelnet *n, const struct profile *p, const struct settings *settings, FILE *f)
{
	struct journal kept = n->j;
	struct settings kept_settings = n->settings;
	bool kept_connected = n->connected;
	struct plan plans[3];
	int r = 0;

	begin(n);
	if (!n->have_journal || n->damaged) {
		n->j = (struct journal){ .uplink = n->wanted };
		r = choose(n);
	}
	if (r == 0) {
		if (!n->j.have_server)
			guess_server(n, p);
		n->connected = settings != NULL;
		if (settings)
			n->settings = *settings;
		plan_prepare(&plans[0], n);
		plan_open(&plans[1], n, 0);
		plan_connect(&plans[2], n);
		fprintf(f, "Plan of tunnel %s, uplink %s. The numbers give the order; taking it down goes backwards.\nServers, one at a time:",
			n->name, uplink_to_string(n->j.uplink));
		print_remotes(p, f);
		fprintf(f, "\n\n");
		plan_print(plans, ARRAY_SIZE(plans), n, f);
	}
	n->j = kept;
	n->settings = kept_settings;
	n->connected = kept_connected;
	return finish(n, r, NULL);
}

static int add_failpoints(char ***v, const char *name, bool has_undo)
{
	int r = 0;

	for (int i = 0; i < 4 && r == 0; i++) {
		_cleanup_(freep) char *point = NULL;

		if (i >= 2 && !has_undo)
			continue;
		point = str_format("%s.%s%s", i < 2 ? "up" : "down", name, i % 2 ? "+" : "");
		r = point ? strv_add(v, point) : -ENOMEM;
	}
	return r;
}

int tunnelnet_failpoints(char ***ret)
{
	/* The longest plan: a veth and an IPv6 server. The steps of the other uplink are among these. */
	struct tunnelnet n = { .name = "any", .uplink = &uplink_veth, .ns_fd = -EBADF };
	_cleanup_(strv_freep) char **v = NULL;
	struct plan plans[3];
	int r;

	n.j.server.addr.family = AF_INET6;
	plan_prepare(&plans[0], &n);
	plan_open(&plans[1], &n, 0);
	plan_connect(&plans[2], &n);
	r = strv_add(&v, "up.journal+");
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++)
		for (size_t k = 0; k < plans[i].n && r == 0; k++)
			r = add_failpoints(&v, plans[i].v[k].name, plans[i].v[k].ops->undo);
	if (r == 0)
		r = strv_add(&v, "up.tun");
	if (r == 0)
		r = strv_add(&v, "down.tun");
	if (r == 0)
		r = strv_add(&v, "down.journal");
	if (r == 0)
		*ret = TAKE_PTR(v);
	return r;
}
