/* Phases: which message an engine may send when, and what happens to one that does otherwise. */
#include <criterion/criterion.h>
#include <signal.h>

#include "base/bus-api.h"
#include "daemon/monitor.h"
#include "world.h"

TestSuite(monitor, .fini = world_end, .timeout = 30);

static const enum ipc_type requests[] = { IPC_REQ_HELLO, IPC_REQ_SOCKET, IPC_REQ_SETTINGS, IPC_REQ_AUTH,
					  IPC_REQ_STATE, IPC_REQ_STATS,  IPC_REQ_LOG,      IPC_REQ_FAILED,
					  IPC_REQ_RELAY };

static void nothing(void)
{
}

Test(monitor, table_of_phases, .fini = nothing)
{
	static const char expected[_MONITOR_PHASE_MAX][ARRAY_SIZE(requests) + 1] = {
		/*                          HSEATRLFP: hello socket settings auth state stats log failed relay */
		[MONITOR_PHASE_HELLO] = "y.....yy.",
		[MONITOR_PHASE_IDLE] = ".y.yyyyy.",
		[MONITOR_PHASE_SOCKET] = ".yyyyyyyy",
		[MONITOR_PHASE_APPLIED] = ".yyyyyyy.",
	};

	for (int p = 0; p < _MONITOR_PHASE_MAX; p++)
		for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
			cr_expect_eq(monitor_permits(p, requests[i]), expected[p][i] == 'y', "message %d in %s", requests[i],
				     monitor_phase_to_string(p));
}

Test(monitor, messages_of_the_helper_are_never_requests, .fini = nothing)
{
	for (int p = 0; p < _MONITOR_PHASE_MAX; p++)
		for (int type = 0; type < IPC_REQ_HELLO; type++)
			cr_expect(!monitor_permits(p, (enum ipc_type)type));
}

/* Each of these breaks a rule; all must end the engine, leave the lock, and open nothing. */
static int (*rogue)(int sock);

static int play_rogue(int sock, unsigned n)
{
	if (n > 1) {
		pause(); /* the helper tries again; one answer is enough */
		return 0;
	}
	return rogue(sock);
}

static int early_socket(int sock)
{
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_SOCKET });
	return play_wait(sock);
}

static int early_settings(int sock)
{
	struct settings s = good_settings();

	say_hello(sock);
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_SETTINGS, .req_settings = { 1, s } });
	return play_wait(sock);
}

static int another_device(int sock)
{
	struct settings s = good_settings();

	s.ethernet = true; /* the profile has a tun */
	say_hello(sock);
	(void)say_socket(sock, 0, 0);
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_SETTINGS, .req_settings = { 1, s } });
	return play_wait(sock);
}

static int early_connected(int sock)
{
	say_hello(sock);
	(void)say_socket(sock, 0, 0);
	say_state(sock, ENGINE_STATE_CONNECTED, 0xff, "");
	return play_wait(sock);
}

static int second_hello(int sock)
{
	say_hello(sock);
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_HELLO });
	return play_wait(sock);
}

static int foreign_remote(int sock)
{
	say_hello(sock);
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_SOCKET, .req_socket = { 1, 2, 0 } });
	return play_wait(sock);
}

/* The server is no proxy. */
static int relay_without_proxy(int sock)
{
	say_hello(sock);
	(void)say_socket(sock, 0, 0);
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_RELAY, .req_relay = { 1, 4000 } });
	return play_wait(sock);
}

static int helpers_own_message(int sock)
{
	say_hello(sock);
	say(sock, &(struct ipc_msg){ .type = IPC_CMD_STOP });
	return play_wait(sock);
}

static int garbage(int sock)
{
	say_hello(sock);
	if (send(sock, "garbage", 7, 0) != 7)
		return 1;
	return play_wait(sock);
}

static int with_descriptor(int sock)
{
	struct ipc_msg m = { .type = IPC_CMD_START, .start = { .tunnel = "home", .tun_mtu_max = 1500 } };
	int fds[] = { 0, 1 };

	say_hello(sock);
	if (ipc_send(sock, &m, fds, 2) < 0)
		return 1;
	return play_wait(sock);
}

static const struct {
	const char *name;
	int (*play)(int sock);
} rogues[] = {
	{ "asks for a relay where there is no proxy", relay_without_proxy },
	{ "socket before hello", early_socket },
	{ "settings without a socket", early_settings },
	{ "connected without settings", early_connected },
	{ "settings for another kind of device", another_device },
	{ "hello twice", second_hello },
	{ "a remote the profile does not have", foreign_remote },
	{ "a message of the helper", helpers_own_message },
	{ "garbage", garbage },
	{ "descriptors", with_descriptor },
};

static bool engine_was_replaced(void *userdata _unused_)
{
	return world.starts >= 2;
}

Test(monitor, rogue_engines_are_ended_and_the_lock_stays, .fini = nothing, .timeout = 60)
{
	for (size_t i = 0; i < ARRAY_SIZE(rogues); i++) {
		rogue = rogues[i].play;
		world_begin(play_rogue);
		cr_expect_str_empty(up_and_wait().name);
		cr_expect(run_until(engine_was_replaced, NULL, 10), "%s: still alive", rogues[i].name);
		cr_expect(net.locked && !net.connected && !net.transport, "%s: %s", rogues[i].name, net.calls);
		cr_expect_eq(net_count("connect"), 0, "%s", rogues[i].name);
		cr_expect_eq(home()->state, TUNNEL_STATE_CONNECTING, "%s", rogues[i].name);
		cr_expect_not_null(home()->last_error, "%s", rogues[i].name);
		world_end();
	}
}

static int play_idle(int sock, unsigned n _unused_)
{
	say_hello(sock);
	return play_wait(sock);
}

static bool is_idle_phase(void *t)
{
	return ((struct tunnel *)t)->monitor.phase == MONITOR_PHASE_IDLE;
}

Test(monitor, two_sockets_at_once_are_not_asked_for)
{
	struct ipc_msg m = { .type = IPC_REQ_SOCKET, .req_socket = { 1, 0, 0 } };
	struct tunnel *t;

	world_begin(play_idle);
	(void)up_and_wait();
	t = home();
	cr_assert(run_until(is_idle_phase, t, 10));
	cr_assert_eq(monitor_message(t, &m), 0);
	cr_assert_eq(monitor_message(t, &m), -EPROTO);
}

Test(monitor, an_engine_without_sandbox_is_given_nothing)
{
	struct tunnel *t;

	world_begin(play_idle);
	world.verify_error = -EPERM;
	(void)up_and_wait();
	t = home();
	cr_assert(run_until_state(t, TUNNEL_STATE_FAILED));
	cr_assert_not_null(strstr(t->last_error, "lock itself in"));
	cr_assert(!net.locked);
	cr_assert_eq(net_count("transport"), 0);
}

static int play_unresolvable(int sock, unsigned n _unused_)
{
	struct ipc_msg m;

	say_hello(sock);
	m = say_socket(sock, 1, 0);
	if (m.ans_socket.ok || m.ans_socket.fail != FAIL_RESOLVE)
		return 1;
	say_failed(sock, FAIL_RESOLVE, m.ans_socket.text);
	return play_wait(sock);
}

Test(monitor, a_name_that_does_not_resolve_is_named_with_its_line)
{
	struct tunnel *t;

	world_begin(play_unresolvable);
	(void)up_and_wait();
	t = home();
	cr_assert(run_until_state(t, TUNNEL_STATE_FAILED));
	cr_assert_not_null(strstr(t->last_error, "localhost.invalid (line 4 of "), "%s", t->last_error);
	cr_assert_not_null(strstr(t->last_error, "tunnel.ovpn"), "%s", t->last_error);
}

static int play_addresses(int sock, unsigned n _unused_)
{
	struct ipc_msg m;

	say_hello(sock);
	m = say_socket(sock, 0, 3);
	if (m.ans_socket.ok || m.ans_socket.n_addresses != 1)
		return 1;
	m = say_socket(sock, 0, 0);
	if (!m.ans_socket.ok || m.ans_socket.server.port != 1194 || m.ans_socket.path_mtu != 1500)
		return 1;
	say_failed(sock, FAIL_SILENT, "as expected");
	return play_wait(sock);
}

Test(monitor, addresses_are_counted)
{
	struct tunnel *t;

	world_begin(play_addresses);
	(void)up_and_wait();
	t = home();
	cr_assert(run_until_state(t, TUNNEL_STATE_FAILED));
	cr_assert_str_eq(t->last_error, "as expected");
	cr_assert_str_eq(t->last_error_name, BUS_ERROR_TIMED_OUT);
}

static int play_bad_settings(int sock, unsigned n _unused_)
{
	struct settings s = good_settings();
	struct ipc_msg m;

	say_hello(sock);
	(void)say_socket(sock, 0, 0);
	if (inprefix_parse("127.0.0.1/8", &s.addrs[0]) < 0)
		return 1;
	m = say_settings(sock, &s);
	if (m.ans_settings.ok || !m.ans_settings.text[0])
		return 1;
	say_failed(sock, FAIL_NEGOTIATION, m.ans_settings.text);
	return play_wait(sock);
}

Test(monitor, hostile_settings_are_refused_and_nothing_is_applied)
{
	struct tunnel *t;

	world_begin(play_bad_settings);
	(void)up_and_wait();
	t = home();
	cr_assert(run_until_state(t, TUNNEL_STATE_FAILED));
	cr_assert_eq(net_count("connect"), 0);
	cr_assert_str_neq(t->last_error, "");
}

static int play_good(int sock, unsigned n _unused_)
{
	play_connect(sock);
	return play_wait(sock);
}

Test(monitor, settings_conf_comes_before_what_was_pushed)
{
	char text[INADDR_STR_MAX];

	world_begin(play_good);
	world_write("etc/tunnels/home/settings.conf", "[Tunnel]\nDNS=9.9.9.9\nDefaultRoute=no\n");
	(void)up_and_wait();
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	cr_assert_eq(net.settings.n_dns, 1);
	cr_assert_str_eq(inaddr_format(&net.settings.dns[0], text, sizeof(text)), "9.9.9.9");
	cr_assert(!net.settings.default4 && !net.settings.default6);
}

/* A server that changes its settings: once well, once badly. */
static int play_update(int sock, unsigned n _unused_)
{
	struct settings s = good_settings();
	struct ipc_msg m;

	play_connect(sock);
	s.n_routes = 1;
	s.routes[0] = (struct inprefix){ .addr = { .family = AF_INET, .bytes = { 172, 20, 0, 0 } }, .len = 16 };
	m = say_settings(sock, &s);
	if (!m.ans_settings.ok)
		return 1;
	s.n_addrs = 0;
	m = say_settings(sock, &s);
	if (m.ans_settings.ok || !m.ans_settings.text[0])
		return 2;
	return play_wait(sock);
}

Test(monitor, a_connected_tunnel_takes_other_settings_and_is_cut_when_they_are_bad)
{
	world_begin(play_update);
	(void)up_and_wait();
	cr_assert(run_until_state(home(), TUNNEL_STATE_RECONNECTING));
	cr_assert_eq(net_count("connect"), 2);
	cr_assert_eq(net.settings.n_routes, 1);
	cr_assert_geq(net_count("disconnect"), 1);
	cr_assert_eq(home()->settings.n_addrs, 0);
}

static int play_lines(int sock, unsigned n _unused_)
{
	play_connect(sock);
	for (int i = 0; i < 5000; i++)
		say(sock, &(struct ipc_msg){ .type = IPC_REQ_LOG, .req_log = { LOG_LEVEL_ERROR, "noise" } });
	say_state(sock, ENGINE_STATE_CONNECTING, 0xff, "done");
	return play_wait(sock);
}

static unsigned noise;

static void count_noise(void *userdata _unused_, enum log_level level _unused_, const char *object _unused_, const char *line)
{
	if (strstr(line, "noise"))
		noise++;
}

Test(monitor, log_lines_of_an_engine_are_bounded)
{
	world_begin(play_lines);
	log_set_sink(count_noise, NULL);
	(void)up_and_wait();
	cr_assert(run_until_state(home(), TUNNEL_STATE_RECONNECTING));
	log_set_sink(NULL, NULL);
	cr_assert_gt(noise, 0);
	cr_assert_leq(noise, 200);
}
