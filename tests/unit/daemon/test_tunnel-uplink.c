/* The machine's network changes under a tunnel: when the engine is told, and when it is left alone. */
#include <criterion/criterion.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "daemon/tunnel-uplink.h"
#include "world.h"

TestSuite(tunnel_uplink, .fini = world_end, .timeout = 30);

/* Connects, and connects again each time it is told to; in between it says what it was told by asking for a socket. */
static int play_obedient(int sock, unsigned n _unused_)
{
	play_connect(sock);
	for (;;) {
		struct ipc_msg m;
		int fds[FD_PASS_MAX];
		size_t n_fds = 0;
		int r = ipc_recv(sock, &m, fds, &n_fds);

		if (r == -EAGAIN) {
			(void)usleep(1000);
			continue;
		}
		if (r <= 0)
			return 1;
		if (m.type == IPC_CMD_STOP)
			return 0;
		if (m.type != IPC_CMD_RECONNECT)
			continue;
		(void)say_socket(sock, 0, 0);
		{
			struct settings s = good_settings();

			(void)say_settings(sock, &s);
		}
		say_state(sock, ENGINE_STATE_CONNECTED, 0xff, "");
	}
}

/* Has no connection and waits between two tries, until it is told. */
static int play_waiting(int sock, unsigned n _unused_)
{
	say_hello(sock);
	(void)say_socket(sock, 0, 0);
	say_state(sock, ENGINE_STATE_WAITING, FAIL_UNREACHABLE, "no route");
	(void)expect(sock, IPC_CMD_RECONNECT);
	(void)say_socket(sock, 0, 0);
	{
		struct settings s = good_settings();

		(void)say_settings(sock, &s);
	}
	say_state(sock, ENGINE_STATE_CONNECTED, 0xff, "");
	return play_wait(sock);
}

static void begin(script_fn script)
{
	world_begin(script);
	cr_assert_str_empty(up_and_wait().name);
}

static void connect_first(void)
{
	begin(play_obedient);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	cr_assert_eq(net_count("transport"), 1);
}

static void tell(void)
{
	cr_assert_eq(eventfd_write(net.way_watch, 1), 0);
}

static bool has_two_transports(void *userdata _unused_)
{
	return net_count("transport") == 2;
}

static void must_move(void)
{
	cr_assert(run_until(has_two_transports, NULL, 10));
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
}

static void must_stay(void)
{
	run_for(USEC_PER_SEC);
	cr_assert_eq(net_count("transport"), 1);
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTED);
}

Test(tunnel_uplink, another_way_is_taken_at_once)
{
	connect_first();
	net.way = 7;
	tell();
	must_move();
	cr_assert_eq(net_count("way-drain"), 1, "one look");
}

Test(tunnel_uplink, news_about_the_same_way_change_nothing)
{
	connect_first();
	tell();
	must_stay();
}

Test(tunnel_uplink, a_way_that_is_gone_for_a_moment_ends_nothing)
{
	connect_first();
	net.way = -ENETUNREACH;
	tell();
	must_stay();
	cr_assert(home()->uplink_lost);
	net.way = 0;
	tell();
	must_stay();
	cr_assert_not(home()->uplink_lost);
}

Test(tunnel_uplink, a_way_that_comes_back_elsewhere_is_taken)
{
	connect_first();
	net.way = -ENETUNREACH;
	tell();
	must_stay();
	net.way = 3;
	tell();
	must_move();
}

Test(tunnel_uplink, who_waits_for_the_network_is_told_that_it_is_there)
{
	world_begin(play_waiting);
	net.way = -ENETUNREACH;
	cr_assert_str_empty(up_and_wait().name);
	run_for(USEC_PER_SEC);
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTING);
	net.way = 0;
	tell();
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
}

Test(tunnel_uplink, two_ways_that_take_turns_are_followed_slowly)
{
	usec_t before;

	connect_first();
	net.way = 7;
	tell();
	must_move();
	before = clock_boottime();
	net.way = 8;
	tell();
	while (net_count("transport") < 3 && clock_boottime() - before < 10 * USEC_PER_SEC)
		run_for(100 * USEC_PER_MSEC);
	cr_assert_eq(net_count("transport"), 3);
	cr_assert_gt(clock_boottime() - before, 2 * USEC_PER_SEC);
}

Test(tunnel_uplink, a_long_sleep_begins_anew)
{
	connect_first();
	tunnel_uplink_slept(home(), home()->uplink_asleep + 60 * USEC_PER_SEC);
	must_move();
}

Test(tunnel_uplink, a_nap_does_not)
{
	connect_first();
	tunnel_uplink_slept(home(), home()->uplink_asleep + USEC_PER_SEC);
	must_stay();
}

Test(tunnel_uplink, without_a_watch_it_works_all_the_same)
{
	world_begin(play_obedient);
	net.way_watch_error = -EMFILE;
	cr_assert_str_empty(up_and_wait().name);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	cr_assert_null(home()->uplink_io);
}

Test(tunnel_uplink, a_tunnel_that_is_down_listens_to_nothing)
{
	struct reply r = { 0 };

	connect_first();
	tunnel_down(home(), TUNNEL_KILL_NOBODY, on_reply, &r);
	cr_assert(run_until(reply_is_done, &r, 10));
	cr_assert_null(home()->uplink_io);
	cr_assert_null(home()->uplink_clock);
	cr_assert_null(home()->uplink_timer);
}
