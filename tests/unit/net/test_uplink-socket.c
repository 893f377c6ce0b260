/* Transport sockets over TCP: through the locks to their server alone, and set up for what they are. */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "machine.h"
#include "net/netns.h"
#include "net/uplink.h"

#define SERVER4 "198.51.100.1:1194"
#define SERVER6 "[2001:db8::1]:1194"

struct wish {
	const char *at;
	int type;
	int fd;
};

static int bind_there(void *userdata)
{
	struct wish *w = userdata;
	struct sockaddr_storage sa;
	struct endpoint ep;
	socklen_t len;
	int on = 1;

	if (endpoint_parse(w->at, &ep) < 0)
		return -EINVAL;
	len = endpoint_to_sockaddr(&ep, &sa);
	w->fd = socket(sa.ss_family, w->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (w->fd < 0 || setsockopt(w->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(w->fd, (struct sockaddr *)&sa, len) < 0)
		return -errno;
	return w->type == SOCK_STREAM && listen(w->fd, 5) < 0 ? -errno : 0;
}

static int in_wan(const char *at, int type)
{
	struct wish w = { .at = at, .type = type, .fd = -EBADF };
	uint64_t ino;
	int ns;

	cr_assert(netns_open("/run/netns/wan", &ns, &ino) == 0);
	cr_assert(netns_call(ns, bind_there, &w) == 0, "%s: %m", at);
	fd_close(ns);
	return w.fd;
}

static short ready(int fd, short events, int msec)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, msec) == 1 ? p.revents : 0;
}

static int get_int(int fd, int level, int option)
{
	int v = -1;
	socklen_t len = sizeof(v);

	cr_assert(getsockopt(fd, level, option, &v, &len) == 0);
	return v;
}

/* What the socket of an engine that was taken over could try: the same mark, another port or protocol. */
static int try_elsewhere(const struct tunnelnet *n, const char *at, enum transport transport)
{
	struct endpoint ep;
	int fd = -EBADF;

	cr_assert(endpoint_parse(at, &ep) == 0);
	if (uplink_open_socket(n->uplink->socket_netns(n), n->j.mark, &ep, &(struct endpoint){ 0 }, transport, &fd) < 0)
		return -EBADF;
	if (transport == TRANSPORT_UDP)
		(void)send(fd, "leak", 4, 0);
	return fd;
}

static void carries(enum uplink uplink, const char *server, const char *other)
{
	int listener, stranger, datagrams, client, fd, tried;
	struct linger linger;
	socklen_t len = sizeof(linger);
	struct tunnelnet *n;
	struct endpoint ep;
	uint32_t mtu;
	char buf[16];

	machine_start();
	listener = in_wan(server, SOCK_STREAM);
	datagrams = in_wan(server, SOCK_DGRAM);
	stranger = in_wan(other, SOCK_STREAM);
	n = machine_tunnel("home", uplink);
	cr_assert(endpoint_parse(server, &ep) == 0);
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_open_transport(n, &ep, TRANSPORT_TCP, NULL, &fd, &mtu, error));
	cr_assert(ready(fd, POLLOUT, 5000) & POLLOUT, "the connection is not made");
	cr_assert_eq(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
	cr_assert(ready(listener, POLLIN, 2000));
	client = accept(listener, NULL, NULL);
	cr_assert(client >= 0);
	cr_assert(send(fd, "hello", 5, 0) == 5);
	cr_assert(ready(client, POLLIN, 2000) && recv(client, buf, sizeof(buf), 0) == 5);
	cr_assert(send(client, "back", 4, 0) == 4);
	cr_assert(ready(fd, POLLIN, 2000) && recv(fd, buf, sizeof(buf), 0) == 4);

	cr_assert_eq(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	cr_assert_eq(get_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 128 * 1024);
	cr_assert_eq(get_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 120000);
	cr_assert_eq(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	cr_assert(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff && linger.l_linger == 0);

	tried = try_elsewhere(n, other, TRANSPORT_TCP);
	cr_assert(!ready(stranger, POLLIN, 300), "a connection to another port of the server");
	fd_close(tried);
	tried = try_elsewhere(n, server, TRANSPORT_UDP);
	cr_assert(!ready(datagrams, POLLIN, 300), "a datagram to the port of the TCP server");
	fd_close(tried);

	/* Closing is told at once, and nothing of the connection is left that could go on by itself. */
	fd_close(fd);
	cr_assert(ready(client, POLLIN, 2000));
	cr_assert(recv(client, buf, sizeof(buf), 0) < 0 && errno == ECONNRESET);
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

Test(uplink_socket, tcp_over_veth_reaches_its_server_alone)
{
	carries(UPLINK_VETH, SERVER4, "198.51.100.1:1195");
}

Test(uplink_socket, tcp_over_veth_and_ipv6)
{
	carries(UPLINK_VETH, SERVER6, "[2001:db8::1]:1195");
}

Test(uplink_socket, tcp_from_the_default_namespace_reaches_its_server_alone)
{
	carries(UPLINK_SOCKET, SERVER4, "198.51.100.1:1195");
}

Test(uplink_socket, tcp_from_the_default_namespace_and_ipv6)
{
	carries(UPLINK_SOCKET, SERVER6, "[2001:db8::1]:1195");
}

/* A SOCKS proxy: one address, a TCP port and the UDP port that it named. */
static void relays(enum uplink uplink, const char *server, const char *relay, const char *other)
{
	int listener, datagrams, stranger, fd, udp, tried;
	struct tunnelnet *n;
	struct endpoint ep, to;
	uint32_t mtu;

	machine_start();
	listener = in_wan(server, SOCK_STREAM);
	datagrams = in_wan(relay, SOCK_DGRAM);
	stranger = in_wan(other, SOCK_DGRAM);
	n = machine_tunnel("home", uplink);
	cr_assert(endpoint_parse(server, &ep) == 0 && endpoint_parse(relay, &to) == 0);
	must_ok(tunnelnet_prepare(n, error));
	must_fail(tunnelnet_open_relay(n, to.port, &udp, &mtu, error), EINVAL, "no proxy");
	must_ok(tunnelnet_open_transport(n, &ep, TRANSPORT_TCP, NULL, &fd, &mtu, error));
	tried = try_elsewhere(n, relay, TRANSPORT_UDP);
	cr_assert(!ready(datagrams, POLLIN, 300), "before it is asked for");
	fd_close(tried);
	must_ok(tunnelnet_open_relay(n, to.port, &udp, &mtu, error));
	cr_assert(ready(fd, POLLOUT, 5000) & POLLOUT && get_int(fd, SOL_SOCKET, SO_ERROR) == 0, "TCP goes on");
	cr_assert(ready(listener, POLLIN, 2000));
	cr_assert(send(udp, "hello", 5, 0) == 5);
	cr_assert(ready(datagrams, POLLIN, 2000));
	must_fail(tunnelnet_open_relay(n, to.port, &tried, &mtu, error), EINVAL, "no proxy");
	tried = try_elsewhere(n, other, TRANSPORT_UDP);
	cr_assert(!ready(stranger, POLLIN, 300), "another port of the proxy");
	fd_close(tried);
	must_ok(tunnelnet_close_transport(n, error));
	cr_assert_eq(n->j.relay_port, 0);
	(void)recv(datagrams, (char[8]){ 0 }, 8, MSG_DONTWAIT);
	(void)send(udp, "late", 4, 0);
	cr_assert(!ready(datagrams, POLLIN, 300), "closed with the rest");
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

Test(uplink_socket, a_relay_over_veth)
{
	relays(UPLINK_VETH, "198.51.100.1:1080", "198.51.100.1:4000", "198.51.100.1:4001");
}

Test(uplink_socket, a_relay_from_the_default_namespace_over_ipv6)
{
	relays(UPLINK_SOCKET, "[2001:db8::1]:1080", "[2001:db8::1]:4000", "[2001:db8::1]:4001");
}

/* What `local` and `lport` ask for. */
Test(uplink_socket, its_own_end_is_the_profiles)
{
	struct tunnelnet *n;
	struct endpoint ep, local = { .port = 4321 }, own;
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	uint32_t mtu;
	int fd;

	machine_start();
	n = machine_tunnel("home", UPLINK_SOCKET);
	cr_assert(endpoint_parse(SERVER4, &ep) == 0);
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, &local, &fd, &mtu, error));
	cr_assert(getsockname(fd, (struct sockaddr *)&sa, &len) == 0 && endpoint_from_sockaddr((struct sockaddr *)&sa, len, &own) == 0);
	cr_assert_eq(own.port, 4321);
	fd_close(fd);
	cr_assert(inaddr_parse("203.0.113.77", &local.addr) == 0);
	must_fail(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, &local, &fd, &mtu, error), EADDRNOTAVAIL, "`local`");
	cr_assert_not(n->j.have_server);
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

Test(uplink_socket, an_opening_without_a_socket_is_closed_again)
{
	struct tunnelnet *n;
	struct endpoint ep;
	uint32_t mtu;
	char *left;
	int fd;

	machine_start();
	n = machine_tunnel("home", UPLINK_SOCKET);
	must_ok(tunnelnet_prepare(n, error));
	cr_assert(endpoint_parse("224.0.0.1:9", &ep) == 0);
	must_fail(tunnelnet_open_transport(n, &ep, TRANSPORT_TCP, NULL, &fd, &mtu, error), ENETUNREACH, "224.0.0.1:9");
	cr_assert_not(n->j.have_server);
	left = machine_output("nft list ruleset | grep -F 224.0.0.1");
	cr_assert_str_eq(left, "", "%s", left);
	free(left);
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}
