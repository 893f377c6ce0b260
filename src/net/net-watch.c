/*
 * Others change the firewall too: `nft flush ruleset`, a reload of firewalld, `sysctl --system`, `ip rule flush`.
 *
 * Theory. One epoll descriptor per tunnel, over sockets of the default namespace (tables; rules and forwarding; with
 * exceptions also addresses, which say what the local network is) and of the tunnel's (tables). It only says "look again". Looking is the walk of prepare and of the opening, which changes
 * what differs and nothing else. What we write ourselves to a lock is read away at once, before the lock is read back,
 * so that our own work does not wake us and a stranger's change right after it does. Never repaired here: the namespace
 * itself (programs live in the old one) and its files.
 */
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "net/netns.h"
#include "net/plan.h"
#include "net/uplink.h"
#include "nl/nl-watch.h"

struct net_watch {
	int epoll;
	int nft[_LOCK_MAX];
	int rt;
	bool touched; /* until a look was successful */
};

static int open_nft(void *userdata)
{
	return nft_watch_open(userdata);
}

static int add(struct net_watch *w, int fd)
{
	struct epoll_event e = { .events = EPOLLIN };

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

/* The removal is said: a child that was just forked may keep the socket alive behind the close. */
static void drop(struct net_watch *w, int *fd)
{
	if (*fd < 0)
		return;
	(void)epoll_ctl(w->epoll, EPOLL_CTL_DEL, *fd, NULL); /* it was added */
	*fd = fd_close(*fd);
}

void net_watch_leave(struct tunnelnet *n)
{
	if (n->watch)
		drop(n->watch, &n->watch->nft[LOCK_INNER]);
}

void net_watch_free(struct tunnelnet *n)
{
	if (!n->watch)
		return;
	drop(n->watch, &n->watch->nft[LOCK_INNER]);
	drop(n->watch, &n->watch->nft[LOCK_OUTER]);
	drop(n->watch, &n->watch->rt);
	(void)fd_close(n->watch->epoll);
	free(TAKE_PTR(n->watch));
}

void net_watch_addresses(struct tunnelnet *n)
{
	if (n->watch)
		drop(n->watch, &n->watch->rt); /* tunnelnet_watch_fd() opens the right one */
}

void net_watch_own_write(struct tunnelnet *n, enum lock_id id)
{
	if (n->watch && n->watch->nft[id] >= 0 && nft_watch_drain(n->watch->nft[id], "") < 0)
		n->watch->touched = true;
}

/* What is missing is opened: the socket inside follows the namespace. */
static int complete(struct tunnelnet *n)
{
	struct net_watch *w = n->watch;
	int r = 0;

	if (w->nft[LOCK_OUTER] < 0 && !n->rootless) {
		r = nft_watch_open(&w->nft[LOCK_OUTER]);
		if (r == 0)
			r = add(w, w->nft[LOCK_OUTER]);
	}
	if (r == 0 && w->rt < 0 && !n->rootless) {
		r = rt_watch_open(exceptions_any(&n->j.exceptions), &w->rt);
		if (r == 0)
			r = add(w, w->rt);
	}
	if (r == 0 && w->nft[LOCK_INNER] < 0 && n->ns_fd >= 0) {
		r = netns_call(n->ns_fd, open_nft, &w->nft[LOCK_INNER]);
		if (r == 0)
			r = add(w, w->nft[LOCK_INNER]);
		w->touched = true; /* nobody listened until now */
	}
	return r;
}

int tunnelnet_watch_fd(struct tunnelnet *n)
{
	struct net_watch *w = n->watch;
	int r;

	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		w->nft[LOCK_INNER] = w->nft[LOCK_OUTER] = w->rt = -EBADF;
		w->epoll = epoll_create1(EPOLL_CLOEXEC);
		if (w->epoll < 0) {
			r = -errno;
			free(w);
			return r;
		}
		n->watch = w;
	}
	r = complete(n);
	if (r < 0) {
		net_watch_free(n);
		return r;
	}
	return w->epoll;
}

/* A socket that cannot be read counts as news. */
static void listen_all(struct tunnelnet *n)
{
	struct net_watch *w = n->watch;

	if (w->nft[LOCK_OUTER] >= 0 && nft_watch_drain(w->nft[LOCK_OUTER], n->table) != 0)
		w->touched = true;
	if (w->nft[LOCK_INNER] >= 0 && nft_watch_drain(w->nft[LOCK_INNER], NET_INNER_TABLE) != 0)
		w->touched = true;
	if (w->rt >= 0 && rt_watch_drain(w->rt) != 0)
		w->touched = true;
}

static bool is_repaired(const struct tunnelnet *n, const struct step *s)
{
	if (n->j.kept) /* the host's part is gone on purpose */
		return s->ops == &step_lock && s->lock == LOCK_INNER;
	return s->ops != &step_netns && s->ops != &step_dns && s->ops != &step_mtu;
}

static int repair(struct tunnelnet *n, char ***done)
{
	struct plan all[2] = { 0 }, p = { 0 };
	int r = 0;

	plan_prepare(&all[0], n);
	if (n->j.have_server && !n->j.kept)
		plan_open(&all[1], n, 0);
	for (size_t i = 0; i < ARRAY_SIZE(all) && r == 0; i++) {
		p.n = 0;
		for (size_t k = 0; k < all[i].n; k++)
			if (is_repaired(n, &all[i].v[k]))
				p.v[p.n++] = all[i].v[k];
		r = plan_repair(&p, n, done);
	}
	return r;
}

int tunnelnet_reassert(struct tunnelnet *n, char **ret_done, char **ret_error)
{
	_cleanup_(strv_freep) char **done = NULL;
	struct strbuf b = { 0 };
	int r;

	net_begin(n);
	if (!n->watch)
		return net_finish(n, 0, ret_error);
	listen_all(n);
	if (!n->watch->touched)
		return net_finish(n, 0, ret_error);
	if (n->damaged || n->ns_fd < 0 || (!n->prepared && !n->j.kept)) {
		n->watch->touched = false;
		return net_finish(n, 0, ret_error);
	}
	n->watch->touched = false; /* what is heard from here on is news again */
	r = repair(n, &done);
	if (r < 0)
		n->watch->touched = true;
	for (size_t i = 0; i < strv_len(done); i++)
		strbuf_addf(&b, "%s%s", i ? ", " : "", done[i]);
	if (strv_len(done) == 0 || r < 0) {
		strbuf_done(&b);
		return net_finish(n, r, ret_error);
	}
	*ret_done = strbuf_take(&b);
	return net_finish(n, *ret_done ? 1 : -ENOMEM, ret_error);
}
