/* Small things that all files of this folder share. */
#include "net/netctx.h"

#include <stdarg.h>
#include <string.h>

#include "base/fd.h"
#include "net/plan.h"

int net_error(struct tunnelnet *n, int r, const char *fmt, ...)
{
	va_list ap;

	if (n->error)
		return r; /* the first one is nearest to the cause */
	va_start(ap, fmt);
	if (vasprintf(&n->error, fmt, ap) < 0)
		n->error = NULL;
	va_end(ap);
	return r;
}

void net_begin(struct tunnelnet *n)
{
	free(n->error);
	n->error = NULL;
}

int net_finish(struct tunnelnet *n, int r, char **ret_error)
{
	if (r >= 0) {
		net_begin(n);
		return r;
	}
	if (!n->error)
		(void)net_error(n, r, "tunnel %s: %s", n->name, strerror(-r));
	if (ret_error)
		*ret_error = TAKE_PTR(n->error);
	return r;
}

int net_not_prepared(struct tunnelnet *n)
{
	return net_error(n, -ENOTCONN, "tunnel %s has no namespace yet", n->name);
}

int net_host(struct tunnelnet *n, struct rt **ret)
{
	int r;

	if (!n->host) {
		r = rt_open(&n->host, -EBADF);
		if (r < 0)
			return net_error(n, r, "the kernel gives no netlink socket: %s", strerror(-r));
	}
	*ret = n->host;
	return 0;
}

int net_inside(struct tunnelnet *n, struct rt **ret)
{
	int r;

	if (n->ns_fd < 0)
		return -EBADF;
	if (!n->inside) {
		r = rt_open(&n->inside, n->ns_fd);
		if (r < 0)
			return net_error(n, r, "the kernel gives no netlink socket in %s: %s", n->netns_path,
					 strerror(-r));
	}
	*ret = n->inside;
	return 0;
}

void net_leave(struct tunnelnet *n)
{
	net_watch_leave(n);
	n->inside = rt_free(n->inside);
	n->ns_fd = fd_close(n->ns_fd);
}

int net_journal(struct tunnelnet *n)
{
	int r = journal_write(n->journal_path, &n->j);

	if (r < 0)
		return net_error(
			n, r,
			"the journal %s cannot be written: %s; make room there, or nsvpn cannot undo what it does",
			n->journal_path, strerror(-r));
	n->have_journal = true;
	return 0;
}

/* .1 and .2 of the /30; ::2 and ::3 of the /127. */
static struct inaddr end_addr(const struct tunnelnet *n, int family, bool inside)
{
	struct inaddr a = family == AF_INET ? n->j.net4.addr : n->j.net6.addr;

	if (family == AF_INET)
		a.bytes[3] = (uint8_t)(a.bytes[3] + (inside ? 2 : 1));
	else
		a.bytes[15] = (uint8_t)(a.bytes[15] + (inside ? 1 : 0));
	return a;
}

struct inaddr net_host_addr(const struct tunnelnet *n, int family)
{
	return end_addr(n, family, false);
}

struct inaddr net_inside_addr(const struct tunnelnet *n, int family)
{
	return end_addr(n, family, true);
}

void net_mac(const struct tunnelnet *n, bool inside, uint8_t ret[6])
{
	const uint8_t mac[6] = { 0x02, 'n', 'v', (uint8_t)(n->j.mark >> 8), (uint8_t)n->j.mark, inside ? 2 : 1 };

	memcpy(ret, mac, sizeof(mac));
}

int step_rt(struct tunnelnet *n, const struct step *s, struct rt **ret)
{
	return s->inside ? net_inside(n, ret) : net_host(n, ret);
}

int step_ifindex(struct rt *rt, const char *ifname)
{
	struct rt_link link;

	return rt_link_get(rt, ifname, &link) < 0 ? 0 : link.index;
}
