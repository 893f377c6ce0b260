/* Up, down, twice, over both uplinks, on a machine that must be the same afterwards. */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/str.h"
#include "machine.h"
#include "net/netns.h"

#define SERVER4 "198.51.100.1:1194"
#define SERVER6 "[2001:db8::1]:1194"

static void leaves_nothing(enum uplink uplink, const char *server)
{
	struct tunnelnet *n;
	struct session s;
	char *before;

	machine_start();
	before = machine_dump();
	n = machine_tunnel("home", uplink);
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_ABSENT);
	machine_up(n, server, &s);
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_LOCKED);
	must_ok(tunnelnet_disconnect(n, error));
	must_ok(tunnelnet_close_transport(n, error));
	must_ok(tunnelnet_teardown(n, error));
	must_ok(tunnelnet_teardown(n, error));
	(void)close(s.tun);
	(void)close(s.transport);
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_ABSENT);
	cr_assert_eq(tunnelnet_netns_fd(n), -EBADF);
	(void)rmdir("/run/nsvpn"); /* the helper's own folder */
	machine_must_be(before, "after down");
	tunnelnet_free(n);
	free(before);
}

Test(tunnelnet, veth_leaves_nothing)
{
	leaves_nothing(UPLINK_VETH, SERVER4);
}

Test(tunnelnet, veth_with_an_ipv6_server_leaves_nothing)
{
	leaves_nothing(UPLINK_VETH, SERVER6);
}

Test(tunnelnet, socket_leaves_nothing)
{
	leaves_nothing(UPLINK_SOCKET, SERVER4);
}

Test(tunnelnet, socket_with_an_ipv6_server_leaves_nothing)
{
	leaves_nothing(UPLINK_SOCKET, SERVER6);
}

static void second_time(enum uplink uplink, const char *server)
{
	struct settings settings;
	struct tunnelnet *n, *again;
	struct endpoint ep;
	struct session s;
	uint64_t writes;
	uint32_t mtu;
	int fd;

	machine_start();
	machine_settings(&settings);
	cr_assert(endpoint_parse(server, &ep) == 0);
	n = machine_tunnel("home", uplink);
	machine_up(n, server, &s);
	writes = rt_writes();
	cr_assert_gt(writes, 0);
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &fd, &mtu, error));
	must_ok(tunnelnet_connect(n, &settings, error));
	cr_assert_eq(rt_writes(), writes, "%lu writes", (unsigned long)(rt_writes() - writes));
	must_ok(tunnelnet_disconnect(n, error));
	writes = rt_writes();
	must_ok(tunnelnet_disconnect(n, error));
	must_ok(tunnelnet_prepare(n, error));
	cr_assert_eq(rt_writes(), writes);
	/* A helper that starts again and finds it. */
	again = machine_tunnel("home", uplink);
	cr_assert_eq(tunnelnet_presence(again), TUNNELNET_LOCKED);
	must_ok(tunnelnet_prepare(again, error));
	cr_assert_eq(rt_writes(), writes);
	tunnelnet_free(again);
	tunnelnet_free(n);
}

Test(tunnelnet, veth_second_time_writes_nothing)
{
	second_time(UPLINK_VETH, SERVER4);
}

Test(tunnelnet, veth_second_time_writes_nothing_over_ipv6)
{
	second_time(UPLINK_VETH, SERVER6);
}

Test(tunnelnet, socket_second_time_writes_nothing)
{
	second_time(UPLINK_SOCKET, SERVER4);
}

/* ---- packets ---- */

struct wan_call {
	struct endpoint at;
	int fd;
};

static int wan_bind(void *userdata)
{
	struct wan_call *c = userdata;
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&c->at, &sa);

	c->fd = socket(c->at.addr.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return c->fd < 0 || bind(c->fd, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}

/* A UDP socket of the machine on the other side. */
static int wan_socket(const char *at)
{
	struct wan_call c = { .fd = -EBADF };
	uint64_t ino;
	int ns;

	cr_assert(endpoint_parse(at, &c.at) == 0);
	cr_assert(netns_open("/run/netns/wan", &ns, &ino) == 0);
	cr_assert(netns_call(ns, wan_bind, &c) == 0, "bind %s: %m", at);
	(void)close(ns);
	return c.fd;
}

static bool arrives(int fd, int milliseconds)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, milliseconds) == 1 && (p.revents & POLLIN);
}

static void engine_traffic(enum uplink uplink, const char *server, const char *other_port)
{
	struct sockaddr_storage from, elsewhere;
	socklen_t from_len = sizeof(from), len;
	struct endpoint ep;
	struct tunnelnet *n;
	struct session s;
	uint64_t dropped;
	char buf[16];
	int wan, stranger;

	machine_start();
	wan = wan_socket(server);
	stranger = wan_socket(other_port);
	n = machine_tunnel("home", uplink);
	machine_up(n, server, &s);
	cr_assert(send(s.transport, "hello", 5, 0) == 5, "send: %m");
	cr_assert(arrives(wan, 2000), "the engine's packet did not get to the server");
	cr_assert(recvfrom(wan, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len) == 5);
	cr_assert(sendto(wan, "back", 4, 0, (struct sockaddr *)&from, from_len) == 4);
	cr_assert(arrives(s.transport, 2000), "the server's answer did not come back");
	/* The same socket to another port of the server: a connected UDP socket may try. */
	cr_assert(endpoint_parse(other_port, &ep) == 0);
	len = endpoint_to_sockaddr(&ep, &elsewhere);
	(void)sendto(s.transport, "leak", 4, 0, (struct sockaddr *)&elsewhere, len);
	cr_assert(!arrives(stranger, 300), "a packet of the engine went to another port");
	cr_assert(tunnelnet_dropped(n, &dropped) == 0);
	cr_assert_gt(dropped, 0);
	/* After the close nothing goes to the server either. */
	must_ok(tunnelnet_close_transport(n, error));
	(void)send(s.transport, "late", 4, 0);
	cr_assert(!arrives(wan, 300), "the opening was not closed");
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

Test(tunnelnet, veth_carries_the_engine_and_nothing_else)
{
	engine_traffic(UPLINK_VETH, SERVER4, "198.51.100.1:1195");
}

Test(tunnelnet, veth_carries_the_engine_over_ipv6)
{
	engine_traffic(UPLINK_VETH, SERVER6, "[2001:db8::1]:1195");
}

Test(tunnelnet, socket_carries_the_engine_and_nothing_else)
{
	engine_traffic(UPLINK_SOCKET, SERVER4, "198.51.100.1:1195");
}

Test(tunnelnet, socket_carries_the_engine_over_ipv6)
{
	engine_traffic(UPLINK_SOCKET, SERVER6, "[2001:db8::1]:1195");
}

/* Something small that a program inside tries; the number is its errno. */
static int try_inside(void *userdata)
{
	struct endpoint ep;
	struct sockaddr_storage sa;
	const char *const *what = userdata; /* destination, device or NULL */
	int fd, r = 0;
	socklen_t len;

	if (endpoint_parse(what[0], &ep) < 0)
		return -EINVAL;
	len = endpoint_to_sockaddr(&ep, &sa);
	fd = socket(ep.addr.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (what[1] && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, what[1], (socklen_t)strlen(what[1]) + 1) < 0)
		r = -errno;
	if (r == 0 && sendto(fd, "leak", 4, 0, (struct sockaddr *)&sa, len) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

static int inside(struct tunnelnet *n, const char *to, const char *device)
{
	const char *what[] = { to, device };

	return netns_call(tunnelnet_netns_fd(n), try_inside, what);
}

Test(tunnelnet, programs_cannot_use_the_veth)
{
	struct tunnelnet *n;
	struct endpoint ep;
	uint32_t mtu;
	int wan, fd;

	machine_start();
	wan = wan_socket(SERVER4);
	cr_assert(endpoint_parse(SERVER4, &ep) == 0);
	n = machine_tunnel("home", UPLINK_VETH);
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &fd, &mtu, error));
	cr_assert_lt(inside(n, SERVER4, NULL), 0, "there is a route for programs");
	cr_assert_lt(inside(n, SERVER4, "uplink0"), 0);
	cr_assert(!arrives(wan, 300), "a program's packet got out over the veth");
	/* The judge sees: the same without the inner lock, with a route as others make it. */
	machine_run("ip netns exec home nft delete table inet nsvpn");
	machine_run("gw=$(ip -n home route show table all | sed -n 's/.* via \\([0-9.]*\\) dev uplink0.*/\\1/p'); "
		    "ip -n home route add 198.51.100.1 via $gw dev uplink0 onlink");
	cr_assert_eq(inside(n, SERVER4, NULL), 0);
	cr_assert(arrives(wan, 2000), "the control was not seen: this test proves nothing");
	/* And prepare sees that the lock is gone. */
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_PARTIAL);
	must_ok(tunnelnet_prepare(n, error));
	cr_assert_lt(inside(n, SERVER4, NULL), 0, "the lock did not come back");
	tunnelnet_free(n);
}

/* Reads what programs send into the tunnel; true when there was something within the time. */
static bool tun_gets(int tun, int milliseconds)
{
	struct pollfd p = { .fd = tun, .events = POLLIN };
	char buf[2048];

	return poll(&p, 1, milliseconds) == 1 && read(tun, buf, sizeof(buf)) > 0;
}

static void tunnel_traffic(enum uplink uplink)
{
	struct tunnelnet *n;
	struct session s;

	machine_start();
	n = machine_tunnel("home", uplink);
	machine_up(n, SERVER4, &s);
	while (tun_gets(s.tun, 50))
		; /* what the kernel says when the device comes up */
	cr_assert_eq(inside(n, "203.0.113.7:80", NULL), 0);
	cr_assert(tun_gets(s.tun, 1000), "IPv4 does not enter the tunnel");
	cr_assert_eq(inside(n, "[2001:db8:9::7]:80", NULL), 0);
	cr_assert(tun_gets(s.tun, 1000), "IPv6 does not enter the tunnel");
	cr_assert_eq(inside(n, "10.8.0.1:53", NULL), 0);
	cr_assert(tun_gets(s.tun, 1000), "the resolver is not reachable");
	cr_assert_lt(inside(n, "203.0.113.7:53", NULL), 0, "names may be asked of strangers");
	cr_assert_lt(inside(n, "203.0.113.7:853", NULL), 0);
	cr_assert_lt(inside(n, "169.254.169.254:80", NULL), 0);
	cr_assert_lt(inside(n, "224.0.0.251:5353", "tun0"), 0);
	cr_assert(!tun_gets(s.tun, 200), "something refused entered the tunnel");
	must_ok(tunnelnet_disconnect(n, error));
	cr_assert_lt(inside(n, "203.0.113.7:80", NULL), 0);
	cr_assert_lt(inside(n, "203.0.113.7:80", "tun0"), 0);
	cr_assert_lt(inside(n, "[2001:db8:9::7]:80", NULL), 0);
	cr_assert(!tun_gets(s.tun, 200), "the tunnel is open after disconnect");
	tunnelnet_free(n);
}

Test(tunnelnet, veth_lets_programs_into_the_tunnel_only_while_connected)
{
	tunnel_traffic(UPLINK_VETH);
}

Test(tunnelnet, socket_lets_programs_into_the_tunnel_only_while_connected)
{
	tunnel_traffic(UPLINK_SOCKET);
}

Test(tunnelnet, host_and_neighbours_are_out_of_reach)
{
	char *gw, *ours, *to;
	struct tunnelnet *n;
	struct session s;
	int wan, local;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	gw = machine_output(
		"ip -n home route show table all | sed -n 's/.* via \\([0-9.]*\\) dev uplink0.*/\\1/p' | tr -d '\\n'");
	ours = machine_output(
		"ip -n home -4 -o addr show dev uplink0 | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p' | tr -d '\\n'");
	cr_assert(*gw && *ours);
	/* A neighbour that routes the veth's subnet via this machine gets no answer and reaches nobody. */
	machine_run("ip -n wan route add 10.0.0.0/8 via 192.0.2.2");
	wan = wan_socket("192.0.2.1:4000");
	local = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert(bind(local,
		       (struct sockaddr *)&(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(4001) },
		       sizeof(struct sockaddr_in)) == 0);
	cr_assert(wan >= 0 && local >= 0);
	{
		struct sockaddr_in to_host = { .sin_family = AF_INET, .sin_port = htons(4001) };

		cr_assert(inet_pton(AF_INET, "192.0.2.2", &to_host.sin_addr) == 1);
		cr_assert(sendto(wan, "x", 1, 0, (struct sockaddr *)&to_host, sizeof(to_host)) == 1);
		cr_assert(arrives(local, 2000), "the control was not seen: this test proves nothing");
		cr_assert(recv(local, &(char){ 0 }, 1, 0) == 1);
		cr_assert(inet_pton(AF_INET, gw, &to_host.sin_addr) == 1);
		(void)sendto(wan, "x", 1, 0, (struct sockaddr *)&to_host, sizeof(to_host));
		cr_assert(!arrives(local, 300), "the veth's host address answers to the network");
		cr_assert(!arrives(wan, 100), "and even says so");
	}
	to = str_format("%s:4001", gw);
	(void)inside(n, to, "uplink0");
	cr_assert(!arrives(local, 300), "a host service is reachable from the namespace");
	tunnelnet_free(n);
	free(gw);
	free(ours);
	free(to);
}

Test(tunnelnet, machine_does_not_become_a_router)
{
	struct tunnelnet *n;
	struct session s;
	int lan;

	machine_start();
	/* A second network behind this machine. */
	machine_run("ip netns add lan && ip link add lan0 type veth peer name eth0 netns lan && "
		    "ip addr add 203.0.113.1/24 dev lan0 && ip link set lan0 up && ip -n lan link set eth0 up && "
		    "ip -n lan addr add 203.0.113.2/24 dev eth0 && ip -n lan route add default via 203.0.113.1 && "
		    "ip -n wan route add 203.0.113.0/24 via 192.0.2.2");
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	{
		struct wan_call c = { .fd = -EBADF };
		uint64_t ino;
		int ns, wan = wan_socket("192.0.2.1:4000");
		struct sockaddr_storage sa;
		socklen_t len;

		cr_assert(endpoint_parse("203.0.113.2:4000", &c.at) == 0);
		cr_assert(netns_open("/run/netns/lan", &ns, &ino) == 0 && netns_call(ns, wan_bind, &c) == 0);
		lan = c.fd;
		len = endpoint_to_sockaddr(&c.at, &sa);
		(void)sendto(wan, "x", 1, 0, (struct sockaddr *)&sa, len);
		cr_assert(!arrives(lan, 300), "forwarding for the veth made this machine a router");
		/* The control: without the guard it would. */
		machine_run("nft flush set inet nsvpn-home guarded4");
		(void)sendto(wan, "x", 1, 0, (struct sockaddr *)&sa, len);
		cr_assert(arrives(lan, 2000), "the control was not seen: this test proves nothing");
	}
	tunnelnet_free(n);
}

/* ---- what is in the way, and what others do meanwhile ---- */

static void foreign(enum uplink uplink, const char *make, const char *unmake, const char *word)
{
	struct tunnelnet *n;
	char *before;

	machine_start();
	machine_run(make);
	before = machine_dump();
	n = machine_tunnel("home", uplink);
	must_fail(tunnelnet_prepare(n, error), EEXIST, word);
	must_ok(tunnelnet_teardown(n, error));
	(void)rmdir("/run/nsvpn"); /* the helper's own folder */
	machine_must_be(before, "with a foreign object in the way");
	machine_run(unmake);
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
	free(before);
}

Test(tunnelnet, foreign_namespace_is_not_touched)
{
	foreign(UPLINK_VETH, "ip netns add home", "ip netns del home", "/run/netns/home");
}

Test(tunnelnet, foreign_namespace_is_not_touched_with_socket)
{
	foreign(UPLINK_SOCKET, "ip netns add home", "ip netns del home", "/run/netns/home");
}

Test(tunnelnet, foreign_file_at_the_path_is_not_touched)
{
	foreign(UPLINK_SOCKET, "echo mine >/run/netns/home", "rm /run/netns/home", "/run/netns/home");
}

Test(tunnelnet, foreign_link_is_not_touched)
{
	foreign(UPLINK_VETH, "ip link add nv-home type bridge", "ip link del nv-home", "nv-home");
}

Test(tunnelnet, foreign_table_is_not_touched)
{
	foreign(UPLINK_VETH, "nft add table inet nsvpn-home", "nft delete table inet nsvpn-home", "nsvpn-home");
}

Test(tunnelnet, namespace_swapped_by_somebody_is_not_touched)
{
	struct tunnelnet *n;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	must_ok(tunnelnet_prepare(n, error));
	machine_run("ip netns del home && ip netns add home");
	must_fail(tunnelnet_prepare(n, error), EEXIST, "did not make");
	must_ok(tunnelnet_teardown(n, error));
	machine_run("ip netns del home"); /* still there: it was not ours */
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

Test(tunnelnet, lost_pieces_come_back)
{
	static const char *const breakers[] = {
		"ip link del nv-home",
		"nft flush ruleset",
		"nft delete table arp nsvpn-home",
		"ip netns exec home nft flush ruleset",
		"ip netns exec home nft flush chain inet nsvpn output",
		"ip -n home route flush table main",
		"ip -n home rule del pref 100",
		"ip -n home neigh flush all nud permanent",
		"ip link set nv-home down",
		"ip netns exec home sysctl -qw net.ipv6.conf.all.accept_ra=1",
		"rm /run/nsvpn/home/resolv.conf",
		"ip netns del home",
	};
	struct tunnelnet *n;
	char *before;

	machine_start();
	before = machine_dump();
	n = machine_tunnel("home", UPLINK_VETH);
	must_ok(tunnelnet_prepare(n, error));
	for (size_t i = 0; i < ARRAY_SIZE(breakers); i++) {
		machine_run(breakers[i]);
		cr_assert_eq(tunnelnet_presence(n), TUNNELNET_PARTIAL, "after %s", breakers[i]);
		must_ok(tunnelnet_prepare(n, error));
		cr_assert_eq(tunnelnet_presence(n), TUNNELNET_LOCKED, "after %s", breakers[i]);
	}
	must_ok(tunnelnet_teardown(n, error));
	(void)rmdir("/run/nsvpn"); /* the helper's own folder */
	machine_must_be(before, "after repairs and down");
	tunnelnet_free(n);
	free(before);
}

static char *forwarding(void)
{
	return machine_output("cat /proc/sys/net/ipv4/conf/eth0/forwarding | tr -d '\\n'");
}

static void must_forward(const char *value)
{
	char *now = forwarding();

	cr_assert_str_eq(now, value);
	free(now);
}

Test(tunnelnet, two_tunnels_share_the_hosts_switches)
{
	struct tunnelnet *a, *b;
	struct session sa, sb;
	char *before;
	int wan;

	machine_start();
	before = machine_dump();
	wan = wan_socket(SERVER4);
	a = machine_tunnel("home", UPLINK_VETH);
	b = machine_tunnel("work", UPLINK_VETH);
	machine_up(a, SERVER4, &sa);
	machine_up(b, SERVER4, &sb);
	cr_assert_neq(a->j.mark, b->j.mark);
	cr_assert(!inprefix_overlaps(&a->j.net4, &b->j.net4));
	must_forward("1");
	must_ok(tunnelnet_teardown(a, error));
	must_forward("1");
	cr_assert(send(sb.transport, "still", 5, 0) == 5);
	cr_assert(arrives(wan, 2000), "the first tunnel's down broke the second");
	must_ok(tunnelnet_teardown(b, error));
	must_forward("0");
	(void)rmdir("/run/nsvpn"); /* the helper's own folder */
	(void)close(sa.tun);
	(void)close(sb.tun);
	machine_must_be(before, "after two tunnels");
	tunnelnet_free(a);
	tunnelnet_free(b);
	free(before);
}

Test(tunnelnet, administrators_changes_are_not_overwritten)
{
	struct tunnelnet *n;
	struct session s;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	must_forward("1");
	machine_run("sysctl -qw net.ipv4.ip_forward=1"); /* as a container engine does when it starts */
	must_ok(tunnelnet_teardown(n, error));
	must_forward("1");
	machine_run("sysctl -qw net.ipv4.ip_forward=0");
	must_forward("0");
	machine_run("sysctl -qw net.ipv4.conf.eth0.forwarding=1");
	machine_up(n, SERVER4, &s);
	must_ok(tunnelnet_teardown(n, error));
	must_forward("1"); /* it was on before us */
	tunnelnet_free(n);
}

Test(tunnelnet, ipv6_forwarding_of_older_kernels_is_put_back)
{
	struct tunnelnet *a, *b;
	struct session sa, sb;
	char *before, *ra;
	int wan;

	machine_start();
	machine_run("sysctl -qw net.ipv6.conf.lo.forwarding=1 && sysctl -qw net.ipv6.conf.eth0.accept_ra=1");
	before = machine_dump();
	wan = wan_socket(SERVER6);
	a = machine_tunnel("home", UPLINK_VETH);
	b = machine_tunnel("work", UPLINK_VETH);
	a->no_force_forwarding = b->no_force_forwarding = true;
	machine_up(a, SERVER6, &sa);
	machine_up(b, SERVER6, &sb);
	ra = machine_output("cat /proc/sys/net/ipv6/conf/eth0/accept_ra | tr -d '\\n'");
	cr_assert_str_eq(ra, "2");
	cr_assert(send(sa.transport, "hello", 5, 0) == 5);
	cr_assert(arrives(wan, 2000), "no way over IPv6");
	must_ok(tunnelnet_teardown(b, error));
	must_ok(tunnelnet_teardown(a, error));
	(void)close(sa.tun);
	(void)close(sb.tun);
	(void)rmdir("/run/nsvpn"); /* the helper's own folder */
	machine_must_be(before, "after IPv6 forwarding for the whole machine");
	tunnelnet_free(a);
	tunnelnet_free(b);
	free(before);
	free(ra);
}

Test(tunnelnet, servers_change_one_at_a_time)
{
	struct tunnelnet *n;
	struct endpoint ep;
	struct session s;
	int first, second, fd;
	uint32_t mtu;

	machine_start();
	first = wan_socket(SERVER4);
	second = wan_socket(SERVER6);
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	cr_assert(endpoint_parse(SERVER6, &ep) == 0);
	must_ok(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &fd, &mtu, error));
	(void)send(s.transport, "old", 3, 0);
	cr_assert(!arrives(first, 300), "the former server's opening is still there");
	cr_assert(send(fd, "new", 3, 0) == 3);
	cr_assert(arrives(second, 2000));
	cr_assert(endpoint_parse(SERVER4, &ep) == 0);
	must_ok(tunnelnet_open_transport(n, &ep, TRANSPORT_TCP, NULL, &fd, &mtu, error));
	{
		char *six = machine_output("ip -n home -6 -o addr show dev uplink0; ip -6 -o addr show dev nv-home");

		cr_assert_str_eq(six, "", "IPv6 stays on the veth with an IPv4 server: %s", six);
		free(six);
	}
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

Test(tunnelnet, no_route_to_the_server_is_said)
{
	struct tunnelnet *n;
	struct endpoint ep;
	uint32_t mtu;
	int fd;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	cr_assert(endpoint_parse(SERVER4, &ep) == 0);
	must_fail(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &fd, &mtu, error), ENOTCONN, "home");
	must_ok(tunnelnet_prepare(n, error));
	machine_run("ip route del default");
	must_fail(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &fd, &mtu, error), ENETUNREACH, "198.51.100.1");
	machine_run("ip route add unreachable 198.51.100.0/24");
	must_fail(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &fd, &mtu, error), EHOSTUNREACH, "198.51.100.1");
	cr_assert(endpoint_parse("192.0.2.2:1194", &ep) == 0);
	must_fail(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &fd, &mtu, error), EHOSTUNREACH, "Uplink=socket");
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

/* ---- subnets ---- */

Test(tunnelnet, subnet_avoids_what_the_host_routes)
{
	struct tunnelnet *n;
	struct inprefix pool;

	machine_start();
	machine_run("ip route add 10.0.0.0/8 via 192.0.2.1 && ip route add 172.16.0.0/12 via 192.0.2.1 && "
		    "ip addr add 192.168.7.1/16 dev eth0 && ip route add 0.0.0.0/1 via 192.0.2.1");
	n = machine_tunnel("home", UPLINK_VETH);
	must_ok(tunnelnet_prepare(n, error));
	cr_assert(inprefix_parse("198.18.0.0/15", &pool) == 0 && inprefix_overlaps(&pool, &n->j.net4));
	must_ok(tunnelnet_teardown(n, error));
	machine_run("ip route add 198.18.0.0/15 via 192.0.2.1");
	must_fail(tunnelnet_prepare(n, error), EADDRINUSE, "Uplink=socket");
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_ABSENT);
	tunnelnet_free(n);
}

Test(tunnelnet, subnet_is_changed_when_the_host_needs_it)
{
	struct tunnelnet *n;
	struct inprefix old;
	struct session s;
	struct endpoint ep;
	char *line, buf[INPREFIX_STR_MAX];
	uint32_t mtu;
	int fd, wan;

	machine_start();
	wan = wan_socket(SERVER4);
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	old = n->j.net4;
	line = str_format("ip route add %s via 192.0.2.1", inprefix_format(&old, buf, sizeof(buf)));
	machine_run(line);
	cr_assert(endpoint_parse(SERVER4, &ep) == 0);
	must_ok(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &fd, &mtu, error));
	cr_assert(!inprefix_overlaps(&old, &n->j.net4));
	cr_assert(send(fd, "hello", 5, 0) == 5);
	cr_assert(arrives(wan, 2000));
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
	free(line);
}

Test(tunnelnet, subnet_is_changed_when_the_server_has_a_route_in_it)
{
	struct tunnelnet *n;
	struct settings settings;
	struct session s;
	struct inprefix old;
	struct endpoint ep;
	uint32_t mtu;
	int fd;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	old = n->j.net4;
	machine_settings(&settings);
	settings.routes[0] = old;
	must_fail(tunnelnet_connect(n, &settings, error), EADDRINUSE, "the route");
	cr_assert(endpoint_parse(SERVER4, &ep) == 0);
	must_ok(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &fd, &mtu, error));
	cr_assert(!inprefix_overlaps(&old, &n->j.net4));
	must_ok(tunnelnet_connect(n, &settings, error));
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

/* ---- settings ---- */

/* Without the carrier of the veth, which comes when the kernel gets round to it. */
static const char home_dump[] = "ip -n home addr | sed -E 's/NO-CARRIER,|,LOWER_UP|state [A-Z]+//g'; ip -n home route; "
				"ip netns exec home nft -s list ruleset; cat /run/nsvpn/home/*";

Test(tunnelnet, hostile_settings_change_nothing)
{
	struct tunnelnet *n;
	struct settings s;
	unsigned offload;
	char *before;
	int tun;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_open_tun(n, false, &tun, &offload, error));
	before = machine_output(home_dump);
	machine_settings(&s);
	s.addrs[0].addr = net_inside_addr(n, AF_INET);
	must_fail(tunnelnet_connect(n, &s, error), EADDRINUSE, "veth");
	machine_settings(&s);
	s.routes[0] = n->j.net4;
	must_fail(tunnelnet_connect(n, &s, error), EADDRINUSE, "veth");
	machine_settings(&s);
	s.dns[0] = net_host_addr(n, AF_INET);
	must_fail(tunnelnet_connect(n, &s, error), EADDRINUSE, "veth");
	machine_settings(&s);
	s.mtu = 3;
	must_fail(tunnelnet_connect(n, &s, error), EINVAL, "");
	machine_settings(&s);
	cr_assert(inaddr_parse("127.0.0.1", &s.addrs[0].addr) == 0);
	must_fail(tunnelnet_connect(n, &s, error), EINVAL, "");
	machine_settings(&s);
	(void)str_copy(s.search[0], sizeof(s.search[0]), "a\nnameserver 6.6.6.6");
	must_fail(tunnelnet_connect(n, &s, error), EINVAL, "");
	machine_settings(&s);
	s.n_routes = SETTINGS_ROUTES_MAX + 1;
	must_fail(tunnelnet_connect(n, &s, error), EINVAL, "");
	{
		char *after = machine_output(home_dump);

		cr_assert_str_eq(after, before);
		free(after);
	}
	tunnelnet_free(n);
	free(before);
}

Test(tunnelnet, settings_change_under_a_connected_tunnel)
{
	struct settings s;
	struct tunnelnet *n;
	struct session session;
	char *now;

	machine_start();
	n = machine_tunnel("home", UPLINK_SOCKET);
	machine_up(n, SERVER4, &session);
	machine_settings(&s);
	s.n_addrs = 1;
	cr_assert(inprefix_parse("10.99.0.6/32", &s.addrs[0]) == 0 && inaddr_parse("10.99.0.5", &s.peer4) == 0);
	s.default6 = false;
	s.n_routes = 1;
	s.routes[0] = s.addrs[0];
	cr_assert(inprefix_parse("10.99.0.5/32", &s.routes[0]) == 0); /* pushed and implied: once is enough */
	s.n_dns = 0;
	s.mtu = 1300;
	must_ok(tunnelnet_connect(n, &s, error));
	now = machine_output(
		"ip -n home -o addr show dev tun0; ip -n home route; ip -n home -6 route; ip -n home link show tun0");
	cr_assert(strstr(now, "10.99.0.6 peer 10.99.0.5/32") && strstr(now, "default dev tun0") &&
		  strstr(now, "mtu 1300"));
	cr_assert(!strstr(now, "10.8.0.2") && !strstr(now, "fd00:8::") && !strstr(now, "10.0.0.0/8"), "%s", now);
	cr_assert(!strstr(now, "default dev tun0 proto 110 metric 1024"), "%s", now);
	free(now);
	now = machine_output("cat /run/nsvpn/home/resolv.conf");
	cr_assert(!strstr(now, "nameserver"), "%s", now);
	free(now);
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

Test(tunnelnet, block_ipv6_keeps_ipv6_unreachable)
{
	struct settings s;
	struct tunnelnet *n;
	unsigned offload;
	int tun;

	machine_start();
	n = machine_tunnel("home", UPLINK_SOCKET);
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_open_tun(n, false, &tun, &offload, error));
	machine_settings(&s);
	s.block_ipv6 = true;
	must_ok(tunnelnet_connect(n, &s, error));
	cr_assert_lt(inside(n, "[2001:db8:9::7]:80", NULL), 0);
	cr_assert_eq(inside(n, "203.0.113.7:80", NULL), 0);
	tunnelnet_free(n);
}

/* ---- processes, leftovers, damage ---- */

static int sleep_inside(void *userdata)
{
	pid_t *pid = userdata;

	*pid = fork();
	if (*pid == 0) {
		for (;;)
			pause();
	}
	return *pid < 0 ? -errno : 0;
}

Test(tunnelnet, programs_stay_locked_in)
{
	struct tunnelnet *n, *again;
	struct netproc *v = NULL;
	char *before, *left;
	struct session s;
	size_t count;
	pid_t pid;

	machine_start();
	before = machine_dump();
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	cr_assert_eq(netns_call(tunnelnet_netns_fd(n), sleep_inside, &pid), 0);
	cr_assert_eq(tunnelnet_processes(n, 0, &v, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_eq(v[0].pid, pid);
	free(v);
	cr_assert_eq(tunnelnet_processes(n, pid, &v, &count), 0);
	cr_assert_eq(count, 0, "the engine counts as a program");
	free(v);
	cr_assert_eq(tunnelnet_teardown(n, NULL), 1);
	cr_assert_eq(tunnelnet_teardown(n, NULL), 1);
	cr_assert_lt(inside(n, "203.0.113.7:80", NULL), 0);
	left = machine_output("ip -n home -o link; ip netns exec home nft list table inet nsvpn; ip -o link");
	cr_assert(strstr(left, "policy drop") && !strstr(left, "uplink0@") && !strstr(left, "tun0:") &&
			  !strstr(left, "nv-home"),
		  "%s", left);
	free(left);
	/* Up again under the running program, by a helper that only has the journal. */
	again = machine_tunnel("home", UPLINK_VETH);
	cr_assert(again->j.kept);
	must_ok(tunnelnet_prepare(again, error));
	cr_assert(!again->j.kept);
	cr_assert_eq(tunnelnet_teardown(again, NULL), 1);
	cr_assert(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	must_ok(tunnelnet_teardown(again, error));
	(void)rmdir("/run/nsvpn"); /* the helper's own folder */
	(void)close(s.tun);
	machine_must_be(before, "after the last program ended");
	tunnelnet_free(again);
	tunnelnet_free(n);
	free(before);
}

Test(tunnelnet, device_of_a_dead_helper_is_replaced)
{
	struct tunnelnet *n;
	struct session s;
	unsigned offload;
	int tun;

	machine_start();
	n = machine_tunnel("home", UPLINK_SOCKET);
	machine_up(n, SERVER4, &s);
	tunnelnet_free(n); /* the helper died, its engine still holds s.tun */
	n = machine_tunnel("home", UPLINK_SOCKET);
	must_ok(tunnelnet_prepare(n, error));
	cr_assert_lt(inside(n, "203.0.113.7:80", NULL), 0, "the default route outlives the helper's restart");
	must_ok(tunnelnet_open_tun(n, false, &tun, &offload, error));
	cr_assert(offload & 1);
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

static void damage(const char *how)
{
	struct tunnelnet *n;
	struct session s;
	struct settings settings;
	char *before;

	machine_start();
	before = machine_dump();
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	tunnelnet_free(n);
	machine_run(how);
	n = machine_tunnel("home", UPLINK_VETH);
	cr_assert(n->damaged);
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_LOCKED);
	machine_settings(&settings);
	must_fail(tunnelnet_prepare(n, error), EUCLEAN, "nsvpn down home");
	must_fail(tunnelnet_connect(n, &settings, error), ENOTCONN, "home");
	must_ok(tunnelnet_teardown(n, error));
	(void)rmdir("/run/nsvpn"); /* the helper's own folder */
	(void)close(s.tun);
	machine_must_be(before, how);
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
	free(before);
}

Test(tunnelnet, damaged_journal_stays_locked_and_can_be_taken_down)
{
	damage("sed -i 's/^mark .*/mark 0x00000001/' /run/nsvpn/home/journal");
}

Test(tunnelnet, truncated_journal_stays_locked_and_can_be_taken_down)
{
	damage("sed -i '$d' /run/nsvpn/home/journal");
}

Test(tunnelnet, other_uplink_is_refused_until_down)
{
	struct tunnelnet *n;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	must_ok(tunnelnet_prepare(n, error));
	tunnelnet_free(n);
	n = machine_tunnel("home", UPLINK_SOCKET);
	must_fail(tunnelnet_prepare(n, error), EBUSY, "nsvpn down home");
	must_ok(tunnelnet_teardown(n, error));
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

Test(tunnelnet, full_run_folder_is_said_and_nothing_is_left)
{
	struct tunnelnet *n;
	char *before;

	machine_start();
	cr_assert(mkdir("/run/nsvpn", 0755) == 0);
	cr_assert(mount("full", "/run/nsvpn", "tmpfs", 0, "size=4k,nr_inodes=16,mode=755") == 0);
	machine_run("head -c 4096 /dev/zero >/run/nsvpn/full");
	before = machine_dump();
	n = machine_tunnel("home", UPLINK_VETH);
	must_fail(tunnelnet_prepare(n, error), ENOSPC, "/run/nsvpn/home/journal");
	machine_must_be(before, "with a full run folder");
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_ABSENT);
	machine_run("rm /run/nsvpn/full && mount -o remount,size=64k /run/nsvpn");
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
	free(before);
}

Test(tunnelnet, names_are_checked)
{
	struct tunnelnet *n = NULL;

	must_fail(tunnelnet_new(&n, "../evil", UPLINK_VETH, error), EINVAL, "name");
	must_fail(tunnelnet_new(&n, "", UPLINK_VETH, error), EINVAL, "name");
	must_fail(tunnelnet_new(&n, "muchtoolong1", UPLINK_VETH, error), EINVAL, "name");
}

Test(tunnelnet, list_knows_half_built_tunnels)
{
	struct tunnelnet *n;
	char **v;

	machine_start();
	cr_assert_eq(tunnelnet_list(&v), 0);
	cr_assert_eq(strv_len(v), 0);
	strv_free(v);
	n = machine_tunnel("home", UPLINK_SOCKET);
	must_ok(tunnelnet_prepare(n, error));
	cr_assert(mkdir("/run/nsvpn/other", 0755) == 0);
	cr_assert_eq(tunnelnet_list(&v), 0);
	cr_assert(strv_len(v) == 1 && str_eq(v[0], "home"));
	strv_free(v);
	tunnelnet_free(n);
}
