/*
 * The life of a tunnel's network: known, prepared, taken down. Every operation is a walk over a plan. The server is in
 * net-server.c, the settings in net-connect.c, the looking in net-look.c.
 */
#include "net/tunnelnet.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/str.h"
#include "net/netns.h"
#include "net/plan.h"
#include "net/uplink.h"
#include "nl/nft.h"

#define AVOID_MAX 1024
#define MARK_PREFIX 0x6e760000u /* "nv" */

/* ---- life ---- */

struct tunnelnet *tunnelnet_free(struct tunnelnet *n)
{
	if (!n)
		return NULL;
	net_watch_free(n);
	net_leave(n);
	(void)rt_free(n->host);
	journal_done(&n->j);
	free(n->run_dir);
	free(n->journal_path);
	free(n->netns_path);
	free(n->avoid);
	free(n->lan);
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
		return net_finish(n, net_error(n, -EINVAL, "a tunnel's name has 1 to 10 characters of a-z, 0-9 and -"),
				  ret_error);
	r = set_names(n, name);
	if (r < 0)
		return net_finish(n, r, ret_error);
	n->wanted = uplink;
	n->rootless = place_is_rootless();
	n->no_force_forwarding = failpoint("kernel", "force-forwarding", false) < 0;
	r = journal_read(n->journal_path, &n->j);
	n->have_journal = r == 0 || r == -EUCLEAN;
	n->damaged = r == -EUCLEAN;
	if (r < 0 && r != -ENOENT && r != -EUCLEAN)
		return net_finish(n,
				  net_error(n, r, "the journal %s cannot be read: %s", n->journal_path, strerror(-r)),
				  ret_error);
	if (r < 0)
		n->j.uplink = uplink;
	n->exceptions = n->j.exceptions;
	n->uplink = uplink_ops(n->j.uplink);
	reopen_netns(n);
	*ret = TAKE_PTR(n);
	return 0;
}

void tunnelnet_set_exceptions(struct tunnelnet *n, const struct exceptions *e)
{
	n->exceptions = *e;
}

const struct exceptions *tunnelnet_exceptions(const struct tunnelnet *n)
{
	return &n->j.exceptions;
}

bool tunnelnet_service_address(const struct tunnelnet *n, int family, struct inaddr *ret)
{
	if (n->j.exceptions.n_publish == 0 || !plan_has_exceptions(n, family))
		return false;
	*ret = net_inside_addr(n, family);
	return true;
}

int tunnelnet_avoid(struct tunnelnet *n, const struct inprefix *p)
{
	struct inprefix *v;

	/* A server may say the same thing for ever: this list is remembered, not collected. */
	for (size_t i = 0; i < n->n_avoid; i++)
		if (inprefix_eq(&n->avoid[i], p))
			return 0;
	if (n->n_avoid >= AVOID_MAX)
		return -E2BIG;
	v = reallocarray(n->avoid, n->n_avoid + 1, sizeof(*v));
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
	net_begin(n);
	plan_prepare(&plan, n);
	for (size_t i = 0; i < plan.n && p == TUNNELNET_LOCKED; i++)
		if ((plan.v[i].inside && n->ns_fd < 0) || plan.v[i].ops->check(n, &plan.v[i]) <= 0)
			p = TUNNELNET_PARTIAL;
	net_begin(n);
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
				 "another name",
				 n->netns_path, n->name);
	if (n->rootless)
		return 0;
	r = lock_outer_exists(n);
	if (r > 0)
		return net_error(
			n, -EEXIST,
			"an nftables table %s exists and this nsvpn did not make it; remove it (nft delete table "
			"inet %s; nft delete table arp %s) or give the tunnel another name",
			n->table, n->table, n->table);
	if (r < 0)
		return net_error(n, r, "the nftables tables of this machine cannot be read: %s%s", strerror(-r),
				 r == -EPROTO || r == -EINVAL ? " (does this kernel have nf_tables, and this process CAP_NET_ADMIN?)" : "");
	r = net_host(n, &host);
	if (r < 0)
		return r;
	r = rt_link_get(host, n->veth, &link);
	if (r == 0)
		return net_error(
			n, -EEXIST,
			"a link named %s exists and this nsvpn did not make it; rename or remove it (ip link del "
			"%s)",
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

int net_choose(struct tunnelnet *n)
{
	int r = choose_mark(n);

	if (r < 0)
		return net_error(n, r, "no firewall mark is left for tunnel %s: %s", n->name, strerror(-r));
	return journal_has_veth(&n->j) ? subnet_choose(n) : 0;
}

static int begin_journal(struct tunnelnet *n)
{
	int r;

	r = check_foreign(n);
	if (r == 0)
		r = exceptions_refuse(n);
	if (r < 0)
		return r;
	n->j.exceptions = n->exceptions;
	r = net_choose(n);
	if (r < 0)
		return r;
	r = dir_make(n->run_dir, 0755);
	if (r < 0)
		return net_error(n, r, "the folder %s cannot be made: %s", n->run_dir, strerror(-r));
	return net_journal(n);
}

static int remove_journal(struct tunnelnet *n)
{
	if (unlink(n->journal_path) < 0 && errno != ENOENT)
		return net_error(n, -errno, "the journal %s cannot be removed: %s", n->journal_path, strerror(errno));
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
		return net_error(
			n, -EUCLEAN,
			"the journal %s is damaged, so tunnel %s stays locked as it is; `nsvpn down %s` removes "
			"what is left of it",
			n->journal_path, n->name, n->name);
	if (n->have_journal && n->j.uplink != n->wanted)
		return net_error(n, -EBUSY,
				 "tunnel %s is still built with Uplink=%s; `nsvpn down %s` first, then the new setting "
				 "takes effect",
				 n->name, uplink_to_string(n->j.uplink), n->name);
	return 0;
}

int tunnelnet_prepare(struct tunnelnet *n, char **ret_error)
{
	bool fresh = !n->have_journal;
	struct plan plan;
	int r;

	net_begin(n);
	r = refuse_prepare(n);
	if (r == 0)
		r = fresh ? begin_journal(n) : exceptions_renew(n);
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
	n->prepared = r == 0;
	return net_finish(n, r, ret_error);
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

	first = net_undo_connect(n);
	r = failpoint("down", "tun", false);
	if (r == 0)
		r = net_remove_tun(n);
	first = first < 0 ? first : r;
	r = net_close_opening(n);
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
	first = net_remove_tun(n);
	if (n->rootless)
		return first;
	plan_add(&p, &step_lock, "lock-outer", false, "", "")->lock = LOCK_OUTER;
	uplink_veth_gates(&p, n);
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

	net_begin(n);
	n->prepared = false;
	if (!n->have_journal)
		return net_finish(n, 0, ret_error);
	first = n->damaged ? undo_damaged(n) : undo_host(n);
	r = count_processes(n, &inside);
	if (r < 0 || first < 0)
		return net_finish(n, first < 0 ? first : r, ret_error);
	if (inside > 0) {
		if (n->damaged)
			return net_finish(n, 1, ret_error);
		n->j.kept = true;
		r = net_journal(n);
		return net_finish(n, r < 0 ? r : 1, ret_error);
	}
	r = undo_namespace(n);
	if (r == 0)
		r = remove_journal(n);
	return net_finish(n, r, ret_error);
}
