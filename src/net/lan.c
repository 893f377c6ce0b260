/*
 * The networks that this machine is in itself, without a router between: the addresses of its interfaces that have a
 * network around them. "The local network" of Publish= is these, interface by interface, so that an address of the local
 * network that comes in from elsewhere does not count.
 *
 * Left out: the loopback, our own veths, link-local addresses (nothing from there can be forwarded), addresses without a
 * network (/32, /128), and interfaces without a hardware address. The last are tunnels and dial-up lines, and who is at
 * their other end is no neighbour.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "net/netctx.h"

#define LAN_MAX 64

static bool is_neighbourhood(const struct rt_link *l)
{
	static const uint8_t none[6];

	return !l->loopback && !str_has_prefix(l->name, "nv-") && memcmp(l->mac, none, sizeof(none)) != 0;
}

static bool has_neighbours(const struct rt_addr *a)
{
	return a->local.len < inaddr_len(a->local.addr.family) * 8 && a->local.len > 0 && !inaddr_is_set(&a->peer) &&
	       !inaddr_is_special(&a->local.addr) && !inaddr_is_link_local(&a->local.addr);
}

static const struct rt_link *find_link(const struct rt_link *v, size_t n, int index)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].index == index)
			return &v[i];
	return NULL;
}

/* Of networks that overlap on one interface the largest says it all; the kernel's sets take no overlaps. */
static size_t add(struct lan_net *v, size_t n, const struct lan_net *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (str_eq(v[i].ifname, p->ifname) && v[i].net.addr.family == p->net.addr.family &&
		    inprefix_overlaps(&v[i].net, &p->net)) {
			if (v[i].net.len <= p->net.len)
				return n;
			continue;
		}
		v[kept++] = v[i];
	}
	v[kept] = *p;
	return kept + 1;
}

static int compare(const void *a, const void *b)
{
	const struct lan_net *x = a, *y = b;
	int c = strcmp(x->ifname, y->ifname);

	if (c == 0)
		c = x->net.addr.family - y->net.addr.family;
	return c != 0 ? c : memcmp(x->net.addr.bytes, y->net.addr.bytes, inaddr_len(x->net.addr.family));
}

int lan_refresh(struct tunnelnet *n)
{
	_cleanup_(freep) struct rt_link *links = NULL;
	_cleanup_(freep) struct rt_addr *addrs = NULL;
	_cleanup_(freep) struct lan_net *v = NULL;
	size_t n_links, n_addrs, count = 0;
	struct rt *host;
	int r;

	r = net_host(n, &host);
	if (r == 0)
		r = rt_link_list(host, &links, &n_links);
	if (r == 0)
		r = rt_addr_list(host, 0, &addrs, &n_addrs);
	if (r < 0)
		return net_error(n, r, "the networks of this machine cannot be read: %s", strerror(-r));
	v = calloc(LAN_MAX, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < n_addrs && count < LAN_MAX; i++) {
		const struct rt_link *l = find_link(links, n_links, addrs[i].ifindex);
		struct lan_net p = { .net = addrs[i].local };

		if (!l || !is_neighbourhood(l) || !has_neighbours(&addrs[i]))
			continue;
		inprefix_mask(&p.net);
		(void)str_copy(p.ifname, sizeof(p.ifname), l->name); /* both are IFNAMSIZ */
		count = add(v, count, &p);
	}
	qsort(v, count, sizeof(*v), compare); /* the same networks are the same lock, whatever order the kernel has */
	free(n->lan);
	n->lan = TAKE_PTR(v);
	n->n_lan = count;
	return 0;
}
