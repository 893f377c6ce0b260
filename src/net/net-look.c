/* Looking without touching: processes, counters, names, the plan for people and the names of the failpoints. */
#include <dirent.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "base/parse.h"
#include "base/places.h"
#include "net/netns.h"
#include "net/plan.h"
#include "net/uplink.h"
#include "nl/nft.h"
#include "nl/nl-watch.h"

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
	r = n->have_journal && !n->rootless ? nft_read_counter(-EBADF, n->table, "dropped", &outer) : 0;
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = inner + outer;
	return 0;
}

int tunnelnet_way(struct tunnelnet *n, const struct inaddr *to, struct uplink_way *ret)
{
	struct rt_route way;
	struct rt *host;
	int r;

	net_begin(n);
	r = net_host(n, &host);
	if (r == 0)
		r = rt_route_lookup(host, to, &way);
	if (r == 0 && (!way.oif || way.type != RTN_UNICAST))
		r = -ENETUNREACH;
	if (r < 0)
		return r;
	*ret = (struct uplink_way){ .ifindex = way.oif, .src = way.src, .via = way.via };
	return 0;
}

static bool is_own_address(struct tunnelnet *n, const struct inaddr *a)
{
	struct rt_route way;
	struct rt *host;

	return net_host(n, &host) == 0 && rt_route_lookup(host, a, &way) == 0 && way.type == RTN_LOCAL;
}

static bool same_addr(const struct inaddr *a, const struct inaddr *b)
{
	return inaddr_is_set(a) == inaddr_is_set(b) && (!inaddr_is_set(a) || inaddr_eq(a, b));
}

int tunnelnet_way_changed(struct tunnelnet *n, const struct uplink_way *old, const struct uplink_way *now)
{
	if (old->ifindex != now->ifindex || !same_addr(&old->via, &now->via))
		return 1;
	return inaddr_is_set(&old->src) && !same_addr(&old->src, &now->src) && !is_own_address(n, &old->src);
}

int tunnelnet_way_watch(int *ret_fd)
{
	return way_watch_open(ret_fd);
}

void tunnelnet_way_drain(int fd)
{
	(void)rt_watch_drain(fd); /* whatever it says, the caller looks */
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
	for (size_t i = 0; i < p->n_remotes; i++) {
		const struct proxy *x = profile_proxy(p, &p->remotes[i]);

		fprintf(f, "%s%s port %u %s", i ? ", " : " ", p->remotes[i].host, p->remotes[i].port,
			transport_to_string(p->remotes[i].transport));
		if (x)
			fprintf(f, " through the proxy %s port %u", x->host, x->port);
	}
}

static void print_exceptions(const struct tunnelnet *n, FILE *f)
{
	const struct exceptions *e = &n->j.exceptions;
	char buf[EXCEPTION_STR_MAX];

	for (unsigned i = 0; i < e->n_publish + e->n_allow; i++)
		fprintf(f, "%s %s", i ? "," : "Exceptions, which do not go through the tunnel:",
			exceptions_format(e, i, buf, sizeof(buf)));
	if (exceptions_any(e))
		fprintf(f, "\n");
}

/* The first remote when it is written as an address; else the steps say "the server". */
static void guess_server(struct tunnelnet *n, const struct profile *p)
{
	const struct proxy *x = p->n_remotes ? profile_proxy(p, &p->remotes[0]) : NULL;
	struct inaddr a;

	memset(&n->j.server, 0, sizeof(n->j.server));
	if (p->n_remotes == 0 || inaddr_parse(x ? x->host : p->remotes[0].host, &a) < 0)
		return;
	n->j.server.addr = a;
	n->j.server.port = x ? x->port : p->remotes[0].port;
}

int tunnelnet_print_plan(struct tunnelnet *n, const struct profile *p, const struct settings *settings, FILE *f)
{
	struct journal kept = n->j;
	struct settings kept_settings = n->settings;
	bool kept_connected = n->connected;
	struct plan plans[3];
	int r = 0;

	net_begin(n);
	if (!n->have_journal || n->damaged) {
		n->j = (struct journal){ .uplink = n->wanted, .exceptions = n->exceptions };
		r = net_choose(n);
	} else {
		n->j.exceptions = n->exceptions;
		if (journal_has_veth(&n->j) && !inaddr_is_set(&n->j.net4.addr))
			r = subnet_choose(n);
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
		fprintf(f,
			"Plan of tunnel %s, uplink %s. The numbers give the order; taking it down goes "
			"backwards.\nServers, one at a time:",
			n->name, uplink_to_string(n->j.uplink));
		print_remotes(p, f);
		fprintf(f, "\n");
		print_exceptions(n, f);
		fprintf(f, "\n");
		plan_print(plans, ARRAY_SIZE(plans), n, f);
	}
	n->j = kept;
	n->settings = kept_settings;
	n->connected = kept_connected;
	return net_finish(n, r, NULL);
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
	/* The longest plan: a veth, an IPv6 server and exceptions. The steps of the other uplink are among these. */
	struct tunnelnet n = { .name = "any", .uplink = &uplink_veth, .ns_fd = -EBADF };
	_cleanup_(strv_freep) char **v = NULL;
	struct plan plans[3];
	int r;

	n.j.server.addr.family = AF_INET6;
	plan_open(&plans[1], &n, 0);
	plan_connect(&plans[2], &n);
	n.j.exceptions.n_publish = n.j.exceptions.n_allow = 1; /* what they are does not matter for the names */
	plan_prepare(&plans[0], &n);
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
