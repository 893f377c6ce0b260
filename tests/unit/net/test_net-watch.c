/* Others change the firewall, forwarding and rules: it is heard, put back, and meanwhile nothing leaves untranslated. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"
#include "machine.h"
#include "net/plan.h"

#define SERVER4 "198.51.100.1:1194"
#define SERVER6 "[2001:db8::1]:1194"

static bool is_told(struct tunnelnet *n)
{
	struct pollfd p = { .fd = tunnelnet_watch_fd(n), .events = POLLIN };

	return poll(&p, 1, 1000) == 1;
}

/* What was put back; "" when nothing was missing. */
static char *reassert(struct tunnelnet *n)
{
	char *done = NULL, *error = NULL;
	int r = tunnelnet_reassert(n, &done, &error);

	cr_assert_geq(r, 0, "%s", error ?: "");
	cr_assert_eq(r, done != NULL);
	return done ?: strdup("");
}

static void must_repair(struct tunnelnet *n, const char *change, const char *step)
{
	char *done;

	machine_run(change);
	cr_assert(is_told(n), "nobody heard of: %s", change);
	done = reassert(n);
	cr_assert(strstr(done, step), "after '%s': put back '%s', not %s", change, done, step);
	free(done);
	free(reassert(n)); /* notifications of our own repair */
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_LOCKED, "after: %s", change);
}

static void flush_and_more(enum uplink uplink, const char *server)
{
	struct tunnelnet *n;
	struct session s;
	uint64_t writes;
	char *before;

	machine_start();
	before = machine_dump();
	n = machine_tunnel("home", uplink);
	machine_up(n, server, &s);
	cr_assert_geq(tunnelnet_watch_fd(n), 0);
	cr_assert_eq(tunnelnet_watch_fd(n), tunnelnet_watch_fd(n));
	writes = rt_writes();
	free(reassert(n));
	cr_assert_eq(rt_writes(), writes, "nothing was missing");

	for (int i = 0; i < 3; i++)
		must_repair(n, "nft flush ruleset", "lock-outer");
	must_repair(n, "nft delete table inet nsvpn-home", "lock-outer");
	must_repair(n,
		    uplink == UPLINK_VETH ? "nft flush chain inet nsvpn-home output"
					  : "nft flush chain inet nsvpn-home engine_output",
		    "lock-outer");
	must_repair(n, "nft flush set inet nsvpn-home engine4; nft flush set inet nsvpn-home engine6", "lock-outer");
	must_repair(n, "ip netns exec home nft flush ruleset", "lock-inner");

	/* Somebody else's tables are nobody's business. */
	writes = rt_writes();
	machine_run("nft add table inet theirs; nft add chain inet theirs c; nft add rule inet theirs c accept");
	free(reassert(n));
	machine_run("nft delete table inet theirs");
	cr_assert_eq(rt_writes(), writes);

	must_ok(tunnelnet_teardown(n, error));
	/* After the teardown nothing comes back, whatever happens. */
	machine_run("nft add table inet theirs; nft flush ruleset");
	free(reassert(n));
	tunnelnet_free(n);
	(void)close(s.tun);
	(void)close(s.transport);
	(void)rmdir("/run/nsvpn");
	machine_must_be(before, "watched, repaired, taken down");
	free(before);
}

Test(net_watch, veth_comes_back_after_a_flush)
{
	flush_and_more(UPLINK_VETH, SERVER4);
}

Test(net_watch, veth_comes_back_after_a_flush_over_ipv6)
{
	flush_and_more(UPLINK_VETH, SERVER6);
}

Test(net_watch, socket_comes_back_after_a_flush)
{
	flush_and_more(UPLINK_SOCKET, SERVER4);
}

Test(net_watch, rules_and_switches_come_back)
{
	struct tunnelnet *n;
	struct session s;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	cr_assert_geq(tunnelnet_watch_fd(n), 0);
	free(reassert(n));
	must_repair(n, "ip rule del pref 100", "gate4");
	must_repair(n, "ip -6 rule del pref 100", "gate6");
	/* What sysctl --system does on a machine whose configuration says that it is no router. */
	must_repair(n, "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.ip_forward=0", "veth-sysctls");
	must_repair(n, "sysctl -qw net.ipv4.conf.eth0.forwarding=0", "forward");
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

/* The machine becomes a router while the tunnel is up (Docker starts, say): the guard steps aside. */
Test(net_watch, guard_steps_aside_for_an_administrator)
{
	struct tunnelnet *n;
	struct session s;
	char *text;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	cr_assert_geq(tunnelnet_watch_fd(n), 0);
	free(reassert(n));
	text = machine_output("nft list set inet nsvpn-home guarded4");
	cr_assert(strstr(text, "eth0"), "the control: %s", text);
	free(text);
	must_repair(n, "sysctl -qw net.ipv4.ip_forward=1", "lock-outer");
	text = machine_output("nft list set inet nsvpn-home guarded4");
	cr_assert(!strstr(text, "eth0"), "%s", text);
	free(text);
	must_ok(tunnelnet_teardown(n, error));
	text = machine_output("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/eth0/forwarding");
	cr_assert_str_eq(text, "1\n1\n", "what the administrator wanted stays");
	free(text);
	tunnelnet_free(n);
}

/* Packets that the wan got with a source that is not the machine's own. */
static unsigned foreign_packets(void)
{
	char *text = machine_output("ip netns exec wan nft list counter inet judge foreign | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p'");
	unsigned v = (unsigned)strtoul(text, NULL, 10);

	free(text);
	return v;
}

static void untranslated(const char *server)
{
	struct tunnelnet *n;
	struct session s;

	machine_start();
	machine_run("ip netns exec wan nft -f - <<'EOF'\n"
		    "table inet judge {\n"
		    "  counter foreign { }\n"
		    "  chain in { type filter hook prerouting priority -300;\n"
		    "    iifname eth0 meta l4proto udp ip saddr != 192.0.2.2 counter name foreign\n"
		    "    iifname eth0 meta l4proto udp ip6 saddr != 2001:db8::2 counter name foreign\n"
		    "  }\n"
		    "}\n"
		    "EOF");
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, server, &s);
	for (int i = 0; i < 20; i++)
		(void)send(s.transport, "before", 6, 0);
	cr_assert_eq(foreign_packets(), 0);
	machine_run("nft flush ruleset");
	for (int i = 0; i < 200; i++)
		(void)send(s.transport, "during", 6, 0);
	(void)usleep(200000);
	cr_assert_eq(foreign_packets(), 0, "%u packets left with the veth's own address", foreign_packets());
	/* The judge sees: without the gates they would have. */
	machine_run("ip rule del pref 100; ip -6 rule del pref 100");
	for (int i = 0; i < 20; i++)
		(void)send(s.transport, "control", 7, 0);
	(void)usleep(200000);
	cr_assert_gt(foreign_packets(), 0, "the control was not seen: this test proves nothing");
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

Test(net_watch, flush_lets_nothing_out_untranslated)
{
	untranslated(SERVER4);
}

Test(net_watch, flush_lets_nothing_out_untranslated_over_ipv6)
{
	untranslated(SERVER6);
}

/* A connection that was seen while the table was gone stays untranslated for ever; it is stopped behind the NAT. */
Test(net_watch, untracked_packets_are_stopped)
{
	struct tunnelnet *n;
	struct session s;
	uint64_t before, after;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	machine_run("nft add table inet theirs && "
		    "nft 'add chain inet theirs raw { type filter hook prerouting priority -305; }' && "
		    "nft add rule inet theirs raw notrack");
	machine_run("ip netns exec wan nft -f - <<'EOF'\n"
		    "table inet judge {\n"
		    "  counter foreign { }\n"
		    "  chain in { type filter hook prerouting priority -300;\n"
		    "    iifname eth0 meta l4proto udp ip saddr != 192.0.2.2 counter name foreign\n"
		    "  }\n"
		    "}\n"
		    "EOF");
	cr_assert_eq(tunnelnet_dropped(n, &before), 0);
	for (int i = 0; i < 20; i++)
		(void)send(s.transport, "untracked", 9, 0);
	(void)usleep(200000);
	cr_assert_eq(tunnelnet_dropped(n, &after), 0);
	cr_assert_eq(foreign_packets(), 0);
	cr_assert_geq(after - before, (uint64_t)20, "they did not get as far as the last chain");
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

/* A server may repeat itself; what the helper remembers does not grow. */
Test(net_watch, avoided_subnets_are_bounded)
{
	struct tunnelnet *n;
	struct inprefix p;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	cr_assert(inprefix_parse("10.1.2.0/30", &p) == 0);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(tunnelnet_avoid(n, &p), 0);
	cr_assert_eq(n->n_avoid, 1);
	for (int i = 0; i < 5000; i++) {
		p.addr.bytes[1] = (uint8_t)(i >> 8);
		p.addr.bytes[2] = (uint8_t)i;
		(void)tunnelnet_avoid(n, &p);
	}
	cr_assert_leq(n->n_avoid, 1024);
	tunnelnet_free(n);
}
