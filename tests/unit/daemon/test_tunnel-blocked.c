/* A tunnel whose packets do not leave the machine: who is told, when, and who is not. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "daemon/tunnel-blocked.h"
#include "world.h"

TestSuite(tunnel_blocked, .fini = world_end, .timeout = 30);

/* A server that says nothing. */
static int play_silent(int sock, unsigned n _unused_)
{
	say_hello(sock);
	(void)say_socket(sock, 0, 0);
	return play_wait(sock);
}

static int play_late(int sock, unsigned n _unused_)
{
	say_hello(sock);
	(void)say_socket(sock, 0, 0);
	(void)usleep(2000 * 1000);
	{
		struct settings s = good_settings();

		(void)say_settings(sock, &s);
	}
	say_state(sock, ENGINE_STATE_CONNECTED, 0xff, "");
	return play_wait(sock);
}

static int play_good(int sock, unsigned n _unused_)
{
	play_connect(sock);
	return play_wait(sock);
}

static usec_t up_until(enum tunnel_state state)
{
	usec_t before = clock_boottime();

	cr_assert_str_empty(up_and_wait().name);
	cr_assert(run_until_state(home(), state));
	return clock_boottime() - before;
}

Test(tunnel_blocked, a_first_up_fails_with_the_sentence_and_leaves_nothing)
{
	world_begin(play_silent);
	net.entered = 2;
	net.is_blocked = true;
	(void)up_until(TUNNEL_STATE_FAILED);
	cr_assert_str_eq(home()->last_error, "this machine's firewall drops the packets: table t");
	cr_assert_eq(net_count("blocker-proven"), 1);
	cr_assert_not(net.locked);
}

Test(tunnel_blocked, what_leaves_the_machine_is_looked_at_again_and_then_there_may_be_a_culprit)
{
	world_begin(play_silent);
	net.entered = net.left = 2;
	net.is_blocked = true;
	(void)up_until(TUNNEL_STATE_FAILED);
	cr_assert_eq(net_count("blocker-proven"), 0, "it did leave");
	cr_assert_eq(net_count("blocker"), 1);
}

Test(tunnel_blocked, a_silent_server_is_nobody_s_fault)
{
	world_begin(play_silent);
	net.entered = net.left = 2;
	cr_assert_str_empty(up_and_wait().name);
	run_for(4 * USEC_PER_SEC);
	cr_assert_eq(net_count("blocker"), 1);
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTING);
	cr_assert_null(home()->last_error);
	cr_assert_null(home()->blocked_timer);
}

/* The figures are read one after the other: the packet is in the later one only. */
Test(tunnel_blocked, a_packet_that_passes_during_a_look_is_nobody_s_fault)
{
	world_begin(play_silent);
	net.entered = net.left = 2;
	net.passing = 1;
	cr_assert_str_empty(up_and_wait().name);
	run_for(4500 * USEC_PER_MSEC);
	cr_assert_eq(net.entered, 3);
	cr_assert_eq(net_count("blocker-proven"), 0);
	cr_assert_eq(net_count("blocker"), 1);
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTING);
}

Test(tunnel_blocked, a_slow_server_is_waited_for)
{
	world_begin(play_late);
	net.entered = net.left = 2;
	(void)up_until(TUNNEL_STATE_CONNECTED);
	cr_assert_null(home()->blocked_timer, "nothing to look for any more");
	cr_assert_eq(net_count("blocker"), 0);
}

Test(tunnel_blocked, counters_that_cannot_be_read_blame_nobody)
{
	world_begin(play_silent);
	net.traffic_error = -ENOENT;
	net.is_blocked = true;
	cr_assert_str_empty(up_and_wait().name);
	run_for(4 * USEC_PER_SEC);
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTING);
}

Test(tunnel_blocked, a_tunnel_that_was_connected_says_it_and_goes_on)
{
	struct tunnel *t;

	world_begin(play_good);
	(void)up_until(TUNNEL_STATE_CONNECTED);
	t = home();
	net.entered = net.left = 5;
	net.is_blocked = true;
	tunnel_engine_lost(t, "no packets");
	cr_assert_eq(t->state, TUNNEL_STATE_RECONNECTING);
	tunnel_blocked_start(t);
	run_for(2 * USEC_PER_SEC);
	net.entered = 9;
	run_for(3 * USEC_PER_SEC);
	cr_assert_eq(t->state, TUNNEL_STATE_RECONNECTING);
	cr_assert(net_count("blocker-proven") == 1);
	cr_assert_str_eq(t->last_error, "this machine's firewall drops the packets: table t");
}

/* Nothing is counted there: the rules are read, and nobody is blamed who only may drop. */
Test(tunnel_blocked, of_the_other_uplink_the_rules_are_read)
{
	world_begin(play_silent);
	cr_assert_str_empty(up_and_wait().name);
	home()->uplink = UPLINK_SOCKET;
	tunnel_blocked_stop(home());
	net.entered = 5; /* of something else */
	net.is_blocked = true;
	tunnel_blocked_start(home());
	cr_assert(run_until_state(home(), TUNNEL_STATE_FAILED));
	cr_assert_eq(net_count("blocker"), 1);
	cr_assert_eq(net_count("blocker-proven"), 0);
	cr_assert_str_eq(home()->last_error, "this machine's firewall drops the packets: table t");
}

Test(tunnel_blocked, the_other_uplink_is_looked_at_twice)
{
	world_begin(play_silent);
	cr_assert_str_empty(up_and_wait().name);
	home()->uplink = UPLINK_SOCKET;
	tunnel_blocked_stop(home());
	tunnel_blocked_start(home());
	run_for(4 * USEC_PER_SEC);
	cr_assert_eq(net_count("blocker"), 2);
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTING);
	cr_assert_null(home()->blocked_timer);
}

static bool has_socket(void *userdata)
{
	return ((struct tunnel *)userdata)->monitor.phase == MONITOR_PHASE_SOCKET;
}

Test(tunnel_blocked, questions_for_the_server_s_name_may_be_what_is_dropped)
{
	world_begin(play_silent);
	cr_assert_str_empty(up_and_wait().name);
	cr_assert(run_until(has_socket, home(), 10));
	tunnel_blocked_stop(home());
	net.names_are_blocked = true;
	tunnel_blocked_start_names(home());
	cr_assert(run_until_state(home(), TUNNEL_STATE_FAILED));
	cr_assert_str_eq(home()->last_error, "this machine's firewall drops the questions: table t");
}

Test(tunnel_blocked, a_server_that_has_an_address_by_then_is_another_look)
{
	world_begin(play_silent);
	cr_assert_str_empty(up_and_wait().name);
	cr_assert(run_until(has_socket, home(), 10));
	tunnel_blocked_stop(home());
	net.names_are_blocked = true;
	tunnel_blocked_start_names(home());
	tunnel_blocked_start(home());
	tunnel_blocked_start_names(home()); /* the next try's; the look at the socket goes on */
	run_for(2 * USEC_PER_SEC);
	cr_assert_eq(net_count("blocker-names"), 0);
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTING);
}

/* The engine sees less: "cannot be reached". */
Test(tunnel_blocked, who_it_is_stays_said_until_it_is_somebody_else)
{
	struct tunnel *t;

	world_begin(play_good);
	(void)up_until(TUNNEL_STATE_CONNECTED);
	t = home();
	t->uplink = UPLINK_SOCKET;
	net.is_blocked = true;
	tunnel_engine_lost(t, "no packets");
	tunnel_blocked_start(t);
	run_for(2 * USEC_PER_SEC);
	tunnel_set_failure(t, FAIL_UNREACHABLE, "server s cannot be reached");
	cr_assert_str_eq(t->last_error, "this machine's firewall drops the packets: table t");
	net.is_blocked = false;
	tunnel_blocked_start(t);
	run_for(4 * USEC_PER_SEC);
	tunnel_set_failure(t, FAIL_UNREACHABLE, "server s cannot be reached");
	cr_assert_str_eq(t->last_error, "server s cannot be reached");
}
