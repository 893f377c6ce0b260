/* The built nsvpn-engine against a real openvpn server; this process plays the helper. Skipped without root or peer. */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/engine/helper.h"
#include "unit/engine/live.h"

#define ALL (IPC_TUN_VNET_HDR | IPC_TUN_TSO | IPC_TUN_USO)
#define REMOTE "remote 10.199.0.2 1194"

static struct live live;
static struct helper helper;
static char *engine;

static void setup(void)
{
	const char *missing = live_missing();

	engine = helper_engine_path();
	if (missing)
		cr_skip_test("%s", missing);
	if (!engine)
		cr_skip_test("needs the built nsvpn-engine");
	cr_assert(live_setup(&live), "the lab cannot be built");
}

static void teardown(void)
{
	if (!engine)
		return;
	helper_done(&helper);
	live_done(&live);
	free(engine);
}

static void start(const char *remotes, const char *options, const char *ca, unsigned offload)
{
	char *profile = live_profile(&live, remotes, options, ca);

	cr_assert_not_null(profile);
	cr_assert_eq(helper_start(&helper, engine, profile, offload), 0);
	free(profile);
}

static void connect_now(void)
{
	cr_assert(helper_serve(&helper, ENGINE_STATE_CONNECTED, 15000), "not connected: %s", helper.fail_text);
}

/* Serves the engine until the child ends; its exit status. */
static int serve_while(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0)
		(void)helper_serve(&helper, -1, 20);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int ping(const char *to, unsigned count, size_t size)
{
	return serve_while(live_ping(to, count, size));
}

#define LIVE(name) Test(engine, name, .init = setup, .fini = teardown, .timeout = 60)

LIVE(connects_and_carries_packets_of_both_families)
{
	cr_assert(live_server(&live, "--data-ciphers AES-256-GCM"));
	start(REMOTE, "", NULL, ALL);
	connect_now();
	cr_assert_str_eq(helper.cipher, "AES-256-GCM");
	cr_assert_geq(helper.settings.n_addrs, 2);
	cr_assert_eq(ping("10.8.0.1", 20, 56), 0);
	cr_assert_eq(ping("fd00:8::1", 20, 56), 0);
	cr_assert_eq(ping("10.8.0.1", 5, helper.settings.mtu - 28), 0);
	cr_assert(helper_ask_stats(&helper));
	cr_assert_geq(helper.stats.rx_packets, 45);
	cr_assert_geq(helper.stats.tx_packets, 45);
	cr_assert_gt(helper.stats.last_handshake, 0);
	cr_assert_eq(helper.stats.auth_failed, 0);

	cr_assert_eq(helper_command(&helper, IPC_CMD_STOP), 0);
	cr_assert_eq(helper_wait(&helper), 0);
	cr_assert_neq(sh("ip link show " HELPER_TUN " >/dev/null 2>&1"), 0, "the device outlived the engine");
}

LIVE(a_stream_arrives_whole_in_both_directions)
{
	static const unsigned offloads[] = { ALL, IPC_TUN_VNET_HDR | IPC_TUN_TSO, IPC_TUN_VNET_HDR, 0 };

	cr_assert(live_server(&live, "--data-ciphers CHACHA20-POLY1305"));
	for (size_t i = 0; i < ARRAY_SIZE(offloads); i++) {
		start(REMOTE, "data-ciphers CHACHA20-POLY1305", NULL, offloads[i]);
		connect_now();
		for (unsigned down = 0; down < 2; down++) {
			cr_assert_eq(serve_while(live_stream("10.8.0.1", down, 20000000)), 0, "offload %#x, down %u", offloads[i], down);
			cr_assert_eq(serve_while(live_stream("fd00:8::1", down, 5000000)), 0, "offload %#x, down %u, v6", offloads[i], down);
		}
		cr_assert_eq(helper_command(&helper, IPC_CMD_STOP), 0);
		cr_assert_eq(helper_wait(&helper), 0);
		helper_done(&helper);
	}
}

/* ---- over TCP ---- */

#define TCP_SERVER "--proto tcp4-server --local 10.199.0.2"
#define TCP6_SERVER "--proto tcp6-server --local fd99::2"
#define TCP_REMOTE "remote 10.199.0.2 1194 tcp4"
#define TCP6_REMOTE "remote fd99::2 1194 tcp6"

LIVE(over_tcp_streams_arrive_whole_in_both_directions)
{
	static const char *const servers[] = { TCP_SERVER, TCP6_SERVER }, *const remotes[] = { TCP_REMOTE, TCP6_REMOTE };

	for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
		cr_assert(live_server(&live, servers[i]));
		start(remotes[i], "", NULL, ALL);
		connect_now();
		cr_assert_eq(ping("10.8.0.1", 5, 56), 0);
		cr_assert_eq(ping("10.8.0.1", 5, helper.settings.mtu - 28), 0);
		for (unsigned down = 0; down < 2; down++)
			cr_assert_eq(serve_while(live_stream("10.8.0.1", down, 20000000)), 0, "%s, down %u", remotes[i], down);
		cr_assert_eq(helper_command(&helper, IPC_CMD_STOP), 0);
		cr_assert_eq(helper_wait(&helper), 0);
		helper_done(&helper);
		live_server_kill(&live, SIGTERM);
	}
}

LIVE(over_tcp_renegotiates_under_traffic)
{
	cr_assert(live_server(&live, TCP_SERVER " --reneg-sec 3"));
	start(TCP_REMOTE, "", NULL, ALL);
	connect_now();
	cr_assert_eq(serve_while(live_stream("10.8.0.1", false, 40000000)), 0);
	cr_assert_eq(ping("10.8.0.1", 400, 56), 0);
	cr_assert_eq(helper.connected, 1);
}

LIVE(over_tcp_a_server_that_closes_is_come_back_to)
{
	cr_assert(live_server(&live, TCP_SERVER));
	start(TCP_REMOTE, "", NULL, ALL);
	connect_now();
	helper.state = -1;
	live_server_kill(&live, SIGKILL);
	cr_assert(helper_serve(&helper, ENGINE_STATE_WAITING, 5000), "long before its keepalive");
	cr_assert(live_server(&live, TCP_SERVER));
	connect_now();
	cr_assert_eq(ping("10.8.0.1", 5, 56), 0);
	cr_assert_eq(helper_command(&helper, IPC_CMD_RECONNECT), 0);
	connect_now();
	cr_assert_eq(ping("10.8.0.1", 5, 56), 0);
}

LIVE(over_tcp_a_stalled_server_is_left_at_its_keepalive_and_nothing_grows)
{
	int child;

	cr_assert(live_server(&live, TCP_SERVER));
	start(TCP_REMOTE, "", NULL, ALL);
	connect_now();
	cr_assert_eq(sh("grep VmRSS /proc/%d/status | tr -dc 0-9 >%s/rss", helper.pid, live.dir), 0);
	cr_assert_eq(kill(live.server_pid, SIGSTOP), 0);
	child = live_stream("10.8.0.1", false, 40000000); /* stands still, and ends with the lab */
	cr_assert(helper_serve(&helper, ENGINE_STATE_WAITING, 30000) || helper.sockets > 1, "ping-restart is 10 s");
	cr_assert_eq(helper.fail, FAIL_TIMEOUT, "%d: %s", helper.fail, helper.fail_text);
	cr_assert_eq(sh("test $(grep VmRSS /proc/%d/status | tr -dc 0-9) -lt $(($(cat %s/rss) + 4096))", helper.pid, live.dir), 0);
	cr_assert_eq(kill(live.server_pid, SIGCONT), 0);
	connect_now();
	cr_assert_eq(ping("10.8.0.1", 5, 56), 0);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}

LIVE(over_tcp_dead_remotes_are_left_for_the_next_with_a_reason)
{
	usec_t begin = clock_boottime();

	cr_assert(live_server(&live, TCP_SERVER));
	start("remote 10.199.0.2 1 tcp\nremote 10.199.0.2 1 udp\nremote nowhere.invalid 1194 tcp\n" TCP_REMOTE, "", NULL, ALL);
	connect_now();
	cr_assert_eq(helper.sockets, 4);
	cr_assert_lt(clock_boottime() - begin, 5 * USEC_PER_SEC);
}

LIVE(over_tcp_a_host_that_does_not_answer_is_left_at_connect_timeout)
{
	cr_assert(live_server(&live, TCP_SERVER));
	cr_assert_eq(sh("ip neigh add 10.199.0.9 lladdr 02:00:00:00:00:09 dev vc nud permanent"), 0);
	start("remote 10.199.0.9 1194 tcp\n" TCP_REMOTE, "server-poll-timeout 2", NULL, ALL);
	connect_now();
	cr_assert_eq(helper.sockets, 2);
	cr_assert_eq(helper.fail, FAIL_SILENT, "%d: %s", helper.fail, helper.fail_text);
	cr_assert_not_null(strstr(helper.fail_text, "within 2 s"), "%s", helper.fail_text);
}

LIVE(over_tcp_another_service_is_named)
{
	int child = live_greeter(22, "SSH-2.0-x\r\n");

	cr_assert_gt(child, 0);
	start("remote 10.199.0.2 22 tcp", "", NULL, ALL);
	cr_assert(helper_serve(&helper, ENGINE_STATE_WAITING, 10000));
	cr_assert_eq(helper.fail, FAIL_NEGOTIATION, "%d: %s", helper.fail, helper.fail_text);
	cr_assert_not_null(strstr(helper.fail_text, "does not speak OpenVPN"), "%s", helper.fail_text);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}

/* ---- the process ---- */

LIVE(is_closed_in)
{
	cr_assert(live_server(&live, ""));
	start(REMOTE, "", NULL, ALL);
	connect_now();
	cr_assert_eq(sh("grep -qx 'CapEff:\t0000000000000000' /proc/%d/status", helper.pid), 0);
	cr_assert_eq(sh("grep -qx 'NoNewPrivs:\t1' /proc/%d/status", helper.pid), 0);
	cr_assert_eq(sh("grep -qx 'Seccomp:\t2' /proc/%d/status", helper.pid), 0);
	cr_assert_eq(sh("grep -q '^Uid:\t65534' /proc/%d/status", helper.pid), 0);
}

LIVE(dies_with_its_helper)
{
	cr_assert(live_server(&live, ""));
	start(REMOTE, "", NULL, ALL);
	connect_now();
	close(helper.sock);
	helper.sock = -1;
	cr_assert_neq(helper_wait(&helper), -1);
	cr_assert_neq(sh("ip link show " HELPER_TUN " >/dev/null 2>&1"), 0);
}

LIVE(renegotiates_under_traffic)
{
	cr_assert(live_server(&live, "--reneg-sec 3"));
	start(REMOTE, "", NULL, ALL);
	connect_now();
	cr_assert_eq(ping("10.8.0.1", 400, 56), 0);
	cr_assert_eq(helper.connected, 1);
}

LIVE(comes_back_when_the_server_restarts)
{
	cr_assert(live_server(&live, "--explicit-exit-notify 1"));
	start(REMOTE, "", NULL, ALL);
	connect_now();
	helper.state = -1;
	live_server_kill(&live, SIGTERM);
	cr_assert(live_server(&live, ""));
	connect_now();
	cr_assert_eq(ping("10.8.0.1", 5, 56), 0);
	cr_assert_eq(helper_command(&helper, IPC_CMD_RECONNECT), 0);
	connect_now();
	cr_assert_eq(ping("10.8.0.1", 5, 56), 0);
}

LIVE(a_new_network_while_a_socket_is_being_made_asks_once_more_and_in_turn)
{
	cr_assert(live_server(&live, "--explicit-exit-notify 1"));
	start(REMOTE, "", NULL, ALL);
	connect_now();
	helper.hold = true;
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(helper_command(&helper, IPC_CMD_RECONNECT), 0);
		(void)helper_serve(&helper, ENGINE_STATE_CONNECTED, 200);
	}
	cr_assert_eq(helper.sockets, 2);
	helper_release(&helper);
	connect_now();
	cr_assert_not(helper.out_of_turn);
	cr_assert_eq(helper.sockets, 3);
	cr_assert_eq(ping("10.8.0.1", 5, 56), 0);
}

LIVE(notices_a_server_that_died_before_its_keepalive_does)
{
	usec_t begin;

	cr_assert(live_server(&live, "")); /* ping-restart is 10 s */
	start(REMOTE, "", NULL, ALL);
	connect_now();
	begin = clock_boottime(); /* the first refusal may come while the server is being buried */
	live_server_kill(&live, SIGKILL);
	cr_assert(helper_serve(&helper, ENGINE_STATE_WAITING, 9000) || helper.sockets > 1);
	cr_assert_eq(helper.fail, FAIL_REFUSED, "%d: %s", helper.fail, helper.fail_text);
	cr_assert_geq(clock_boottime() - begin, 3 * USEC_PER_SEC);
	cr_assert(live_server(&live, ""));
	connect_now();
	cr_assert_eq(ping("10.8.0.1", 5, 56), 0);
}

LIVE(a_refusing_server_is_left_for_the_next_at_once)
{
	usec_t begin = clock_boottime();

	cr_assert(live_server(&live, ""));
	start("remote 10.199.0.2 1 udp\nremote nowhere.invalid 1194\n" REMOTE, "", NULL, ALL);
	connect_now();
	cr_assert_eq(helper.sockets, 3);
	cr_assert_lt(clock_boottime() - begin, 5 * USEC_PER_SEC);
}

LIVE(a_refusal_is_said_with_its_reason)
{
	start("remote 10.199.0.2 1 udp", "", NULL, ALL);
	cr_assert(helper_serve(&helper, ENGINE_STATE_WAITING, 5000));
	cr_assert_eq(helper.fail, FAIL_REFUSED, "%d: %s", helper.fail, helper.fail_text);
	cr_assert_not_null(strstr(helper.fail_text, "10.199.0.2:1"));
}

LIVE(a_wrong_ca_ends_the_engine)
{
	cr_assert(live_server(&live, ""));
	start(REMOTE, "", "other.crt", ALL);
	cr_assert(helper_serve(&helper, -1, 15000));
	cr_assert(helper.failed);
	cr_assert_eq(helper.fail, FAIL_CERT, "%d: %s", helper.fail, helper.fail_text);
	cr_assert_eq(helper_wait(&helper), 1);
}

LIVE(a_bad_profile_ends_the_engine)
{
	cr_assert_eq(helper_start(&helper, engine, "client\nremote 10.199.0.2\n<ca>\n", ALL), 0);
	cr_assert(helper_serve(&helper, -1, 5000));
	cr_assert(helper.failed);
	cr_assert_eq(helper.fail, FAIL_CONFIG);
	cr_assert_gt(strlen(helper.fail_text), 10);
	cr_assert_eq(helper_wait(&helper), 1);
}

LIVE(a_wrong_password_ends_the_engine)
{
	cr_assert_eq(sh("printf '#!/bin/sh\\ntest \"$(head -1 $1)\" = bob\\n' >%s/auth && chmod 755 %s/auth", live.dir, live.dir), 0);
	cr_assert(live_server(&live, "--script-security 2 --auth-user-pass-verify ./auth via-file"));
	start(REMOTE, "auth-user-pass", NULL, ALL);
	cr_assert(helper_serve(&helper, -1, 15000));
	cr_assert(helper.failed);
	cr_assert_eq(helper.fail, FAIL_AUTH, "%d: %s", helper.fail, helper.fail_text);
}

LIVE(a_right_password_connects)
{
	cr_assert_eq(sh("printf '#!/bin/sh\\ntest \"$(cat $1)\" = \"$(printf \"alice\\\\nwonderland\")\"\\n' >%s/auth && chmod 755 %s/auth",
			live.dir, live.dir), 0);
	cr_assert(live_server(&live, "--script-security 2 --auth-user-pass-verify ./auth via-file"));
	start(REMOTE, "auth-user-pass", NULL, ALL);
	connect_now();
	cr_assert_eq(ping("10.8.0.1", 3, 56), 0);
}

Test(engine, started_by_hand_says_one_sentence)
{
	char *path = helper_engine_path();

	if (!path)
		cr_skip_test("needs the built nsvpn-engine");
	cr_assert_eq(sh("%s 3<&- >/dev/null 2>/dev/null", path), 2);
	cr_assert_eq(sh("test $(%s --help 3</dev/null 2>&1 | wc -l) = 1", path), 0);
	free(path);
}
