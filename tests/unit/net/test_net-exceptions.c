/* Exceptions: built, changed, taken back; and what stands in their way. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "machine.h"
#include "net/plan.h"

#define SERVER4 "198.51.100.1:1194"
#define SERVER6 "[2001:db8::1]:1194"
#define SOME "Publish=tcp:8080:80 Publish=udp:51413 Publish=tcp:9000@machine Allow=192.0.2.0/24 Allow=2001:db8::/64"

static void done(struct tunnelnet *n, struct session *s)
{
	(void)close(s->tun);
	(void)close(s->transport);
	tunnelnet_free(n);
	(void)rmdir("/run/nsvpn"); /* the helper's own folder */
}

static void must_be(const char *line, const char *value)
{
	char *now = machine_output(line);

	cr_assert_str_eq(now, value, "%s", line);
	free(now);
}

static void twice_then_nothing(enum uplink uplink, const char *server)
{
	struct tunnelnet *n, *again;
	struct inaddr a, b;
	struct session s;
	uint64_t writes;
	char *before;

	machine_start();
	before = machine_dump();
	/* The server must not be where Allow= leads. */
	machine_exceptions(str_eq(server, SERVER6) ? "Publish=tcp:8080:80 Publish=udp:51413 Allow=192.0.2.0/24" : SOME);
	n = machine_tunnel("home", uplink);
	machine_up(n, server, &s);
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_LOCKED);
	cr_assert(tunnelnet_service_address(n, AF_INET, &a));
	must_be("cat /proc/sys/net/ipv4/conf/eth0/forwarding | tr -d '\\n'", "1");
	writes = rt_writes();
	must_ok(tunnelnet_prepare(n, error));
	cr_assert_eq(rt_writes(), writes);
	/* Closing the opening is not the end of the exceptions. */
	must_ok(tunnelnet_disconnect(n, error));
	must_ok(tunnelnet_close_transport(n, error));
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_LOCKED);
	must_be("cat /proc/sys/net/ipv4/conf/eth0/forwarding | tr -d '\\n'", "1");
	writes = rt_writes();
	again = machine_tunnel("home", uplink);
	must_ok(tunnelnet_prepare(again, error)); /* nobody said what is wanted: what stands, stays */
	cr_assert_eq(rt_writes(), writes);
	cr_assert(exceptions_equal(tunnelnet_exceptions(again), tunnelnet_exceptions(n)));
	tunnelnet_free(again);
	must_ok(tunnelnet_teardown(n, error));
	done(n, &s);
	machine_must_be(before, "after exceptions");

	n = machine_tunnel("home", uplink);
	machine_up(n, server, &s);
	cr_assert(tunnelnet_service_address(n, AF_INET, &b) && inaddr_eq(&a, &b), "another address than last time");
	must_ok(tunnelnet_teardown(n, error));
	done(n, &s);
	free(before);
}

Test(net_exceptions, veth_builds_once_and_leaves_nothing)
{
	twice_then_nothing(UPLINK_VETH, SERVER4);
}

Test(net_exceptions, veth_builds_once_and_leaves_nothing_over_ipv6)
{
	twice_then_nothing(UPLINK_VETH, SERVER6);
}

Test(net_exceptions, socket_builds_once_and_leaves_nothing)
{
	twice_then_nothing(UPLINK_SOCKET, SERVER4);
}

/* A running tunnel whose file was changed, seen by a helper that starts again. */
static void change(struct tunnelnet *n, const char *words)
{
	struct exceptions e = { 0 };
	struct publish p;

	if (*words) {
		cr_assert_eq(publish_parse(words, &p), 0);
		e.publish[e.n_publish++] = p;
	}
	tunnelnet_set_exceptions(n, &e);
	must_ok(tunnelnet_prepare(n, error));
	cr_assert(exceptions_equal(tunnelnet_exceptions(n), &e));
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_LOCKED, "%s", words);
}

static void changes(enum uplink uplink)
{
	const char *veth = "ip -o link show | grep -c nv-home | tr -d '\\n'";
	const char *forward = "cat /proc/sys/net/ipv4/conf/eth0/forwarding | tr -d '\\n'";
	struct tunnelnet *n;
	struct session s;
	char *before, *put_back = NULL;

	machine_start();
	before = machine_dump();
	machine_exceptions("");
	n = machine_tunnel("home", uplink);
	machine_up(n, SERVER4, &s);
	must_be(veth, uplink == UPLINK_VETH ? "1" : "0");
	change(n, "tcp:8080:80");
	must_be(veth, "1");
	must_be(forward, "1");
	must_be("nft list map inet nsvpn-home published_lan | grep -o '8080 : 80' | tr -d '\\n'", "8080 : 80");
	change(n, "udp:51413@machine");
	must_be("nft list map inet nsvpn-home published | grep -o '8080 : 80' | tr -d '\\n'", "");
	must_be("nft list map inet nsvpn-home published_lan | grep -c 51413 | tr -d '\\n'", "0");
	must_be("ip netns exec home ip rule | grep -c ipproto | tr -d '\\n'", "0");
	change(n, "");
	must_be(veth, uplink == UPLINK_VETH ? "1" : "0");
	must_be("ip netns exec home ip rule | grep -c '^9[89]:' | tr -d '\\n'", "0");
	must_be("nft list table inet nsvpn-home | grep -c dnat | tr -d '\\n'", "0");
	/* The engine's opening stands as before: its switches came back with what differs. */
	if (uplink == UPLINK_VETH) {
		cr_assert_geq(tunnelnet_watch_fd(n), 0);
		machine_run("nft flush ruleset");
		must_ok(MIN(tunnelnet_reassert(n, &put_back, error), 0));
		must_be(forward, "1");
	}
	must_ok(tunnelnet_teardown(n, error));
	done(n, &s);
	machine_must_be(before, "after changes");
	free(put_back);
	free(before);
}

Test(net_exceptions, veth_follows_the_file)
{
	changes(UPLINK_VETH);
}

Test(net_exceptions, socket_follows_the_file)
{
	changes(UPLINK_SOCKET);
}

Test(net_exceptions, ports_that_are_taken_are_refused)
{
	struct exceptions e = { .n_publish = 1 };
	struct tunnelnet *a, *b;
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(8080), .sin6_addr = IN6ADDR_ANY_INIT };
	char *before;
	int fd;

	machine_start();
	before = machine_dump();
	cr_assert_eq(publish_parse("tcp:8080:80", &e.publish[0]), 0);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	cr_assert(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 1) == 0);
	a = machine_tunnel("home", UPLINK_SOCKET);
	tunnelnet_set_exceptions(a, &e);
	must_fail(tunnelnet_prepare(a, error), EADDRINUSE, "as in Publish=tcp:18080:80");
	cr_assert_eq(tunnelnet_presence(a), TUNNELNET_ABSENT);
	machine_must_be(before, "a refused port");
	/* The same number of the other protocol is another port. */
	e.publish[0].tcp = false;
	tunnelnet_set_exceptions(a, &e);
	must_ok(tunnelnet_prepare(a, error));
	must_ok(tunnelnet_teardown(a, error));
	e.publish[0].tcp = true;
	(void)close(fd);
	tunnelnet_set_exceptions(a, &e);
	must_ok(tunnelnet_prepare(a, error));
	b = machine_tunnel("work", UPLINK_SOCKET);
	tunnelnet_set_exceptions(b, &e);
	must_fail(tunnelnet_prepare(b, error), EADDRINUSE, "tunnel home publishes TCP port 8080 already");
	/* What stands is not looked at again: somebody who listens now does not take the tunnel down. */
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	cr_assert(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 1) == 0);
	must_ok(tunnelnet_prepare(a, error));
	(void)close(fd);
	must_ok(tunnelnet_teardown(a, error));
	must_ok(tunnelnet_prepare(b, error));
	must_ok(tunnelnet_teardown(b, error));
	tunnelnet_free(a);
	tunnelnet_free(b);
	(void)rmdir("/run/nsvpn"); /* the helper's own folder */
	machine_must_be(before, "after conflicts");
	free(before);
}

Test(net_exceptions, tunnel_and_server_are_never_exceptions)
{
	static const struct {
		const char *allow, *word;
	} bad[] = {
		{ "10.8.0.0/16", "The tunnel's network 10.8.0.0/24" },
		{ "10.8.0.128/25", "The tunnel's network 10.8.0.0/24" },
		{ "fd00::/16", "The tunnel's network fd00:8::/64" },
	};
	struct settings settings;
	struct endpoint server;
	struct tunnelnet *n;
	struct session s;
	uint32_t mtu;
	int fd;

	machine_start();
	machine_settings(&settings);
	cr_assert(endpoint_parse(SERVER4, &server) == 0);
	machine_exceptions("Allow=172.16.0.0/12");
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *why;

		cr_assert_eq(allow_parse(bad[i].allow, &n->j.exceptions.allow[0], &why), 0);
		must_fail(tunnelnet_connect(n, &settings, error), EADDRINUSE, bad[i].word);
	}
	cr_assert(inprefix_parse("198.51.100.0/24", &n->j.exceptions.allow[0]) == 0);
	must_fail(tunnelnet_open_transport(n, &server, TRANSPORT_UDP, NULL, &fd, &mtu, error), EADDRINUSE, "Allow=198.51.100.0/24");
	tunnelnet_free(n);
}

/* A route that the server pushes takes nothing away from Allow=, and gives nothing to the tunnel. */
Test(net_exceptions, pushed_routes_do_not_win)
{
	struct settings settings;
	struct tunnelnet *n;
	struct session s;

	machine_start();
	machine_exceptions("Allow=192.0.2.0/24");
	n = machine_tunnel("home", UPLINK_SOCKET);
	machine_up(n, SERVER4, &s);
	machine_settings(&settings);
	cr_assert(inprefix_parse("192.0.2.0/25", &settings.routes[0]) == 0);
	must_ok(tunnelnet_connect(n, &settings, error));
	must_be("ip netns exec home ip route get 192.0.2.1 | grep -o 'dev [a-z0-9]*' | tr -d '\\n'", "dev uplink0");
	must_be("ip netns exec home ip route get 192.0.3.1 | grep -o 'dev [a-z0-9]*' | tr -d '\\n'", "dev tun0");
	/* And the main table has no way over the pair. */
	must_be("ip netns exec home ip route show table main | grep -c uplink0 | tr -d '\\n'", "0");
	must_be("ip netns exec home ip -6 route show table main | grep -c uplink0 | tr -d '\\n'", "0");
	must_ok(tunnelnet_teardown(n, error));
	done(n, &s);
}

Test(net_exceptions, subnet_is_none_of_the_allowed_networks)
{
	struct tunnelnet *n;
	struct session s;
	struct inprefix ten, fd;

	machine_start();
	machine_run("ip -6 route add unreachable fd00::/8"); /* as some do with all local networks */
	machine_exceptions("Allow=10.0.0.0/8 Allow=192.168.0.0/16 Publish=tcp:80");
	cr_assert(inprefix_parse("10.0.0.0/8", &ten) == 0 && inprefix_parse("fd00::/8", &fd) == 0);
	n = machine_tunnel("home", UPLINK_VETH);
	must_ok((tunnelnet_set_exceptions(n, &(struct exceptions){ .n_allow = 1, .allow = { ten } }),
		 tunnelnet_prepare(n, error)));
	cr_assert(!inprefix_overlaps(&n->j.net4, &ten));
	cr_assert(inprefix_overlaps(&n->j.net6, &fd));
	must_ok(tunnelnet_teardown(n, error));
	/* And it moves out of one that is allowed later. */
	tunnelnet_set_exceptions(n, &(struct exceptions){ 0 });
	must_ok(tunnelnet_prepare(n, error));
	ten = n->j.net4;
	ten.len = 16;
	inprefix_mask(&ten);
	tunnelnet_set_exceptions(n, &(struct exceptions){ .n_allow = 1, .allow = { ten } });
	must_ok(tunnelnet_prepare(n, error));
	cr_assert(!inprefix_overlaps(&n->j.net4, &ten));
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_LOCKED);
	must_ok(tunnelnet_teardown(n, error));
	(void)s;
	tunnelnet_free(n);
}

Test(net_exceptions, older_kernels_forward_for_the_machine_and_put_it_back)
{
	struct tunnelnet *n;
	struct session s;
	char *before;

	machine_start();
	machine_run("sysctl -qw net.ipv6.conf.eth0.accept_ra=1");
	before = machine_dump();
	machine_exceptions("Publish=tcp:80");
	n = machine_tunnel("home", UPLINK_SOCKET);
	n->no_force_forwarding = true;
	machine_up(n, SERVER4, &s);
	must_be("cat /proc/sys/net/ipv6/conf/eth0/accept_ra | tr -d '\\n'", "2");
	must_be("cat /proc/sys/net/ipv6/conf/all/forwarding | tr -d '\\n'", "1");
	must_be("nft list chain inet nsvpn-home forward | grep -c 'nfproto ipv6.*iifname != .nv-' | tr -d '\\n'", "1");
	must_ok(tunnelnet_teardown(n, error));
	done(n, &s);
	machine_must_be(before, "after IPv6 forwarding for the whole machine");
	free(before);
}

Test(net_exceptions, machines_without_ipv6_get_ipv4_only)
{
	struct tunnelnet *n;
	struct session s;
	struct inaddr a;

	machine_start();
	machine_run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
	machine_exceptions("Publish=tcp:80");
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	cr_assert(tunnelnet_service_address(n, AF_INET, &a));
	cr_assert(!tunnelnet_service_address(n, AF_INET6, &a));
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_LOCKED);
	must_ok(tunnelnet_teardown(n, error));
	done(n, &s);
}
