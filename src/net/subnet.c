/*
 * A subnet for the veth that collides with nothing the host routes or uses.
 *
 * Candidates come from the private pools in an order that the tunnel's name decides (for IPv6 also the machine's own
 * number), so a tunnel keeps its subnet from one day to the next: published services have a stable address. A route shorter than /8 is somebody's way of writing "default" and covers everything; it does
 * not count. Machines that route all of 10/8 and its sisters get one from the benchmarking range.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "net/netctx.h"

#define TRIES_PER_POOL 256
#define DEFAULT_LIKE 8 /* bits */
#define ULA_LEN 48     /* of one site */

static const struct {
	uint32_t base;
	uint8_t len;
} pools[] = {
	{ 0x0a000000, 8 },  /* 10.0.0.0/8 */
	{ 0xac100000, 12 }, /* 172.16.0.0/12 */
	{ 0xc0a80000, 16 }, /* 192.168.0.0/16 */
	{ 0xc6120000, 15 }, /* 198.18.0.0/15 */
};

struct taken {
	struct inprefix *v;
	size_t n;
};

static int taken_add(struct taken *t, const struct inprefix *p)
{
	struct inprefix *v = reallocarray(t->v, t->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	t->v = v;
	t->v[t->n] = *p;
	inprefix_mask(&t->v[t->n++]);
	return 0;
}

static int taken_routes(struct tunnelnet *n, struct rt *rt, int own_index, int family, struct taken *t)
{
	_cleanup_(freep) struct rt_route *routes = NULL;
	size_t count;
	int r;

	r = rt_route_list(rt, family, 0, 0, &routes, &count);
	if (r < 0)
		return net_error(n, r, "the routes of this machine cannot be read: %s", strerror(-r));
	for (size_t i = 0; i < count && r == 0; i++)
		if (routes[i].dst.len >= DEFAULT_LIKE && (!own_index || routes[i].oif != own_index) &&
		    routes[i].type != RTN_MULTICAST)
			r = taken_add(t, &routes[i].dst);
	return r;
}

static int taken_addrs(struct tunnelnet *n, struct rt *rt, int own_index, struct taken *t)
{
	_cleanup_(freep) struct rt_addr *addrs = NULL;
	size_t count;
	int r;

	r = rt_addr_list(rt, 0, &addrs, &count);
	if (r < 0)
		return net_error(n, r, "the addresses of this machine cannot be read: %s", strerror(-r));
	for (size_t i = 0; i < count && r == 0; i++)
		if (!own_index || addrs[i].ifindex != own_index)
			r = taken_add(t, &addrs[i].local);
	return r;
}

static int taken_other(void *userdata, const struct journal *j)
{
	struct taken *t = userdata;
	int r = 0;

	if (inaddr_is_set(&j->net4.addr))
		r = taken_add(t, &j->net4);
	if (r == 0 && inaddr_is_set(&j->net6.addr))
		r = taken_add(t, &j->net6);
	return r;
}

static int taken_collect(struct tunnelnet *n, struct taken *t)
{
	struct rt_link own = { 0 };
	struct rt *rt;
	int r;

	r = net_host(n, &rt);
	if (r < 0)
		return r;
	if (rt_link_get(rt, n->veth, &own) < 0)
		own.index = 0;
	r = taken_routes(n, rt, own.index, AF_INET, t);
	if (r == 0)
		r = taken_routes(n, rt, own.index, AF_INET6, t);
	if (r == 0)
		r = taken_addrs(n, rt, own.index, t);
	if (r == 0)
		r = journal_foreach_other(n->name, taken_other, t);
	for (unsigned i = 0; i < n->j.exceptions.n_allow && r == 0; i++)
		r = taken_add(t, &n->j.exceptions.allow[i]);
	for (size_t i = 0; i < n->n_avoid && r == 0; i++)
		if (n->avoid[i].len >= DEFAULT_LIKE)
			r = taken_add(t, &n->avoid[i]);
	return r;
}

static bool is_taken(const struct taken *t, const struct inprefix *p)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].addr.family == p->addr.family && inprefix_overlaps(&t->v[i], p))
			return true;
	return false;
}

static struct inprefix candidate4(const struct tunnelnet *n, size_t pool, unsigned i)
{
	char seed[64];
	struct inprefix p = { .len = 30 };
	uint32_t host_bits = UINT32_MAX >> pools[pool].len, a;

	(void)snprintf(seed, sizeof(seed), "%s/%zu/%u", n->name, pool, i); /* fits */
	a = pools[pool].base | ((uint32_t)journal_hash(seed, strlen(seed)) & host_bits & ~3u);
	p.addr.family = AF_INET;
	p.addr.in.s_addr = htonl(a);
	return p;
}

/*
 * RFC 4193: 40 bits that nobody else has. Here they come from the machine's number, which stays in the hash: 56 bits of
 * it are used, and the address is seen on this machine only. Machines without a number get random ones.
 */
static int seed6(const struct tunnelnet *n, unsigned i, uint64_t *ret)
{
	_cleanup_(freep) char *id = NULL, *text = NULL;
	size_t len;

	if (file_read(AT_FDCWD, "/etc/machine-id", 64, &id, &len) < 0 || len < 32)
		return getrandom(ret, sizeof(*ret), 0) == sizeof(*ret) ? 0 : -EIO;
	text = str_format("%s/%s/%u", n->name, id, i);
	if (!text)
		return -ENOMEM;
	*ret = journal_hash(text, strlen(text));
	return 0;
}

/* The pair is ::2 and ::3, because ::0 is the routers' anycast address. */
static int candidate6(const struct tunnelnet *n, unsigned i, struct inprefix *ret)
{
	struct inprefix p = { .len = 127 };
	uint64_t seed;
	int r = seed6(n, i, &seed);

	if (r < 0)
		return r;
	memset(&p.addr, 0, sizeof(p.addr));
	p.addr.family = AF_INET6;
	memcpy(p.addr.bytes + 1, &seed, 7);
	p.addr.bytes[0] = 0xfd;
	p.addr.bytes[15] = 2;
	*ret = p;
	return 0;
}

/* Somebody's route to all of fd00::/8 does not mean that there is a machine at our address. */
static int choose6(struct tunnelnet *n, const struct taken *t, struct inprefix *ret)
{
	struct inprefix p;

	for (unsigned i = 0; i < TRIES_PER_POOL; i++) {
		int r = candidate6(n, i, &p);
		bool free_one = true;

		if (r < 0)
			return net_error(n, r, "no IPv6 addresses can be chosen for tunnel %s: %s", n->name, strerror(-r));
		for (size_t k = 0; k < t->n && free_one; k++)
			free_one = t->v[k].addr.family != AF_INET6 || t->v[k].len < ULA_LEN ||
				   !inprefix_overlaps(&t->v[k], &p);
		if (free_one) {
			*ret = p;
			return 0;
		}
	}
	return net_error(n, -EADDRINUSE, "no IPv6 addresses are left for the veth of tunnel %s", n->name);
}

static int choose(struct tunnelnet *n, const struct taken *t)
{
	int r;

	for (size_t pool = 0; pool < ARRAY_SIZE(pools); pool++)
		for (unsigned i = 0; i < TRIES_PER_POOL; i++) {
			struct inprefix p4 = candidate4(n, pool, i), p6;

			if (is_taken(t, &p4))
				continue;
			r = choose6(n, t, &p6);
			if (r < 0)
				return r;
			n->j.net4 = p4;
			n->j.net6 = p6;
			return 0;
		}
	return net_error(n, -EADDRINUSE,
			 "this machine already routes every private IPv4 network, so the veth of tunnel %s can get no "
			 "address; set Uplink=socket in its settings.conf, which needs none",
			 n->name);
}

int subnet_choose(struct tunnelnet *n)
{
	struct taken t = { 0 };
	int r;

	r = taken_collect(n, &t);
	if (r == 0)
		r = choose(n, &t);
	free(t.v);
	return r;
}

int subnet_collides(struct tunnelnet *n, const struct inprefix *p)
{
	struct taken t = { 0 };
	int r;

	r = taken_collect(n, &t);
	if (r == 0)
		r = is_taken(&t, p);
	free(t.v);
	return r;
}
