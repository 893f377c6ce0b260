/*
 * The opening for one server: looked up, noted in the journal, made in the kernel, and the socket that goes through it.
 * The former server's opening is gone before the new one is begun.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "net/plan.h"
#include "net/uplink.h"

int net_close_opening(struct tunnelnet *n)
{
	struct plan plan;

	plan_open(&plan, n, 0); /* with the server that is going */
	n->j.have_server = false;
	n->j.relay_port = 0;
	return plan_undo(&plan, n);
}

int tunnelnet_close_transport(struct tunnelnet *n, char **ret_error)
{
	net_begin(n);
	return net_finish(n, n->ns_fd < 0 || n->damaged ? 0 : net_close_opening(n), ret_error);
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
		return net_error(n, r, "this machine has no route to %s (%s); is its network up%s?", buf, strerror(-r),
				 server->addr.family == AF_INET6 ? ", and does it have IPv6" : "");
	r = rt_link_get_index(host, ret_way->oif, ret_link);
	if (r < 0)
		return net_error(n, r, "the interface that leads to %s went away", buf);
	return 0;
}

static int refuse_server(struct tunnelnet *n, const struct endpoint *server)
{
	if (n->ns_fd < 0 || n->damaged)
		return net_not_prepared(n);
	if (!inaddr_is_set(&server->addr) || !server->port)
		return net_error(n, -EINVAL, "tunnel %s has a server without address or port", n->name);
	return 0;
}

/* A network that appeared on the host since would be shadowed by our subnet: take another, nothing runs over it now. */
int net_renumber(struct tunnelnet *n)
{
	struct plan plan, tail = { 0 };
	size_t i = 0;
	int r;

	r = net_close_opening(n);
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
	return n->j.have_server && !n->j.relay_port && endpoint_eq(&n->j.server, server) && n->j.transport == transport &&
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
			r = net_close_opening(n);
		if (r < 0)
			return r;
		n->j.server = *server;
		n->j.transport = transport;
		n->j.relay_port = 0;
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
		(void)net_close_opening(n); /* r is the error to report */
	return r;
}

/* The socket behind an opening; without it the opening is closed again. */
static int open_socket(struct tunnelnet *n, const struct endpoint *server, enum transport transport,
		       const struct endpoint *local, int *ret_fd)
{
	char buf[ENDPOINT_STR_MAX];
	struct endpoint from = { .port = local ? local->port : 0 };
	int r;

	/* Where packets are translated, the address is the translation's to choose. */
	if (local && !n->uplink->forwards && local->addr.family == server->addr.family)
		from.addr = local->addr;
	r = uplink_open_socket(n->uplink->socket_netns(n), n->rootless ? 0 : n->j.mark, server, &from, transport, ret_fd);
	if ((r == -EADDRNOTAVAIL || r == -EADDRINUSE || r == -EACCES) && (from.port || inaddr_is_set(&from.addr)))
		(void)net_error(n, r, "no connection to %s can come from where `local` and `lport` of the profile want it (%s); "
				"correct or remove them",
				endpoint_format(server, buf, sizeof(buf)), strerror(-r));
	else if (r < 0)
		(void)net_error(n, r, "no connection to %s can be opened: %s", endpoint_format(server, buf, sizeof(buf)),
				strerror(-r));
	if (r < 0)
		(void)net_close_opening(n); /* r is the error to report */
	return r;
}

int tunnelnet_open_relay(struct tunnelnet *n, uint16_t port, int *ret_fd, uint32_t *ret_path_mtu, char **ret_error)
{
	struct endpoint relay;
	struct rt_route way;
	struct rt_link out;
	struct plan plan;
	uint32_t mtu = 0;
	int fd, r;

	net_begin(n);
	if (!n->j.have_server || n->j.transport != TRANSPORT_TCP || n->j.relay_port || !port)
		return net_finish(n, net_error(n, -EINVAL, "tunnel %s has no proxy to send datagrams to", n->name), ret_error);
	relay = n->j.server;
	relay.port = port;
	r = look_up_way(n, &relay, &way, &out);
	if (r == 0) {
		mtu = way.mtu ? way.mtu : MIN(out.mtu, 65535u);
		n->j.relay_port = port;
		r = net_journal(n);
		if (r == 0) {
			plan_open(&plan, n, mtu);
			r = plan_apply(&plan, n, false);
		}
		if (r < 0)
			(void)net_close_opening(n); /* r is the error to report */
	}
	if (r == 0)
		r = open_socket(n, &relay, TRANSPORT_UDP, NULL, &fd);
	if (r < 0)
		return net_finish(n, r, ret_error);
	*ret_fd = fd;
	*ret_path_mtu = mtu;
	return net_finish(n, 0, ret_error);
}

int tunnelnet_open_transport(struct tunnelnet *n, const struct endpoint *server, enum transport transport,
			     const struct endpoint *local, int *ret_fd, uint32_t *ret_path_mtu, char **ret_error)
{
	struct rt_route way;
	struct rt_link out;
	uint32_t mtu;
	int fd, r;

	net_begin(n);
	r = refuse_server(n, server);
	if (r == 0)
		r = look_up_way(n, server, &way, &out);
	if (r == 0)
		r = n->uplink->accepts(n, server, &way);
	if (r == 0)
		r = exceptions_refuse_server(n, &server->addr);
	if (r == 0 && journal_has_veth(&n->j) && (r = subnet_collides(n, &n->j.net4)) > 0)
		r = net_renumber(n);
	if (r < 0)
		return net_finish(n, r, ret_error);
	mtu = way.mtu ? way.mtu : MIN(out.mtu, 65535u);
	r = make_opening(n, server, transport, &out, mtu);
	if (r == 0)
		r = open_socket(n, server, transport, local, &fd);
	if (r < 0)
		return net_finish(n, r, ret_error);
	*ret_fd = fd;
	*ret_path_mtu = mtu;
	return net_finish(n, 0, ret_error);
}
