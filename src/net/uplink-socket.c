/*
 * uplink = socket: the engine's transport socket lives in the default namespace, the namespace has the tun only. No
 * veth, no forwarding, no address translation, nothing to collide with: unless settings.conf has exceptions. For them
 * alone there is a veth then, and the engine's packets do not go that way. Here too: making the socket for both uplinks.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/cleanup.h"
#include "net/netns.h"
#include "net/uplink.h"

#define SOCKET_BUFFER (4 * 1024 * 1024)
#define TCP_UNSENT_MAX (128 * 1024)
#define TCP_SILENCE_MAX_MSEC (120 * 1000) /* as long as OpenVPN's ping-restart where nobody sets it */
#define TCP_IDLE_SEC 60
#define TCP_PROBE_SEC 15

static void socket_plan_prepare(struct plan *p, const struct tunnelnet *n)
{
	if (!exceptions_any(&n->j.exceptions))
		return; /* nothing on the host but the lock */
	uplink_veth_pair(p, n, false);
	plan_exceptions(p, n);
}

static void socket_plan_open(struct plan *p, const struct tunnelnet *n, uint32_t mtu)
{
	(void)p; /* the outer lock is all */
	(void)n;
	(void)mtu;
}

static int socket_accepts(struct tunnelnet *n, const struct endpoint *server, const struct rt_route *way)
{
	(void)n; /* whatever the machine itself can reach */
	(void)server;
	(void)way;
	return 0;
}

static int socket_netns(const struct tunnelnet *n)
{
	(void)n; /* here: the helper lives in the default namespace */
	return -EBADF;
}

const struct uplink_ops uplink_socket = {
	.plan_prepare = socket_plan_prepare,
	.plan_open = socket_plan_open,
	.accepts = socket_accepts,
	.socket_netns = socket_netns,
	.forwards = false,
};

const struct uplink_ops *uplink_ops(enum uplink u)
{
	return u == UPLINK_SOCKET ? &uplink_socket : &uplink_veth;
}

/* ---- the socket ---- */

struct opening {
	uint32_t mark; /* 0: none */
	const struct endpoint *server, *local;
	enum transport transport;
	int fd;
};

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/*
 * Path MTU. IPv4 over UDP: no DF bit, and what ICMP says about the path is not believed (OMIT): a forged "fragmentation
 * needed" cannot shrink us, and a path that silently eats large packets still gets them in fragments. The tunnel's own
 * MTU and MSS keep packets below the outgoing link's, so on a 1500-byte path there are none. IPv6: routers do not
 * fragment, so the kernel's discovery (WANT, the default) is needed. TCP: the kernel's default.
 *
 * All of these are for speed or robustness; without them the socket works as well.
 */
static void set_udp_options(int fd, const struct opening *o)
{
	if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER) < 0) /* without rights: as large as the system lets us */
		(void)set_int(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER) < 0)
		(void)set_int(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	if (o->server->addr.family == AF_INET)
		(void)set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
	if (o->server->addr.family == AF_INET6)
		(void)set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT);
}

/*
 * The kernel sizes the buffers itself; what it holds unsent is kept small, so that keepalives and key exchanges do not
 * stand behind megabytes of programs' data, and the engine stops reading the tun early. Closing means reset: a closed
 * socket that went on by itself would knock at the locks and hold its network namespace for minutes.
 */
static void set_tcp_options(int fd)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	/* As above: without them it works as well. */
	(void)set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	(void)set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, TCP_UNSENT_MAX);
	(void)set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_SILENCE_MAX_MSEC);
	(void)set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, TCP_IDLE_SEC);
	(void)set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, TCP_PROBE_SEC);
	(void)set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

/* Our own end, where the profile names it. */
static int bind_local(int fd, const struct opening *o)
{
	struct endpoint local = *o->local;
	struct sockaddr_storage sa;
	socklen_t len;

	if (!local.port && !inaddr_is_set(&local.addr))
		return 0;
	if (!inaddr_is_set(&local.addr))
		local.addr = (struct inaddr){ .family = o->server->addr.family }; /* any */
	(void)set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* the last connection's end may be in the way for a moment */
	len = endpoint_to_sockaddr(&local, &sa);
	return bind(fd, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}

static int open_in_place(void *userdata)
{
	struct opening *o = userdata;
	_cleanup_(closep) int fd = -EBADF;
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(o->server, &sa);
	int r;

	fd = socket(o->server->addr.family,
		    (o->transport == TRANSPORT_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Before connect: the mark decides the route. */
	r = o->mark ? set_int(fd, SOL_SOCKET, SO_MARK, (int)o->mark) : 0;
	if (r < 0)
		return r;
	if (o->transport == TRANSPORT_TCP)
		set_tcp_options(fd);
	else
		set_udp_options(fd, o);
	r = bind_local(fd, o);
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
		return -errno;
	o->fd = TAKE_FD(fd);
	return 0;
}

int uplink_open_socket(int netns_fd, uint32_t mark, const struct endpoint *server, const struct endpoint *local,
		       enum transport transport, int *ret)
{
	struct opening o = { .mark = mark, .server = server, .local = local, .transport = transport, .fd = -EBADF };
	int r = netns_fd >= 0 ? netns_call(netns_fd, open_in_place, &o) : open_in_place(&o);

	if (r < 0)
		return r;
	*ret = o.fd;
	return 0;
}
