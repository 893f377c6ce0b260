/* Lifecycles with scripted engines: what exists in the "kernel" after each turn. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/bus-api.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/process.h"
#include "base/str.h"
#include "daemon/auth-pair.h"
#include "daemon/tunnel-inputs.h"
#include "world.h"

TestSuite(tunnel, .fini = world_end, .timeout = 30);

static int play_good(int sock, unsigned n _unused_)
{
	play_connect(sock);
	return play_wait(sock);
}

static void up_and_connect(script_fn script)
{
	world_begin(script);
	cr_assert_str_empty(up_and_wait().name);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
}

static struct reply down_by(uid_t killer)
{
	struct reply r = { 0 };

	tunnel_down(home(), killer, on_reply, &r);
	cr_assert(run_until(reply_is_done, &r, 10));
	return r;
}

static struct reply down_and_wait(bool kill_them)
{
	return down_by(kill_them ? 0 : TUNNEL_KILL_NOBODY);
}

Test(tunnel, comes_up_and_goes_down_leaving_nothing)
{
	struct tunnel *t;

	up_and_connect(play_good);
	t = home();
	cr_assert(net.locked && net.connected && net.transport);
	cr_assert_not_null(strstr(world.changed, "State,"));
	cr_assert(net_before("prepare", "tun") && net_before("tun", "transport") && net_before("transport", "connect"));
	{
		_cleanup_(freep) char *intent = world_read("state/home.intent");

		cr_assert_not_null(intent);
		cr_assert_not_null(strstr(intent, "want=up"));
	}
	cr_assert_str_empty(down_and_wait(false).name);
	cr_assert_eq(t->state, TUNNEL_STATE_DOWN);
	cr_assert(!net.locked && !net.connected);
	cr_assert_null(world_read("state/home.intent"));
	cr_assert_null(world_read("run/home.engine"));
	cr_assert(manager_is_idle(world.manager));
	/* The default route went before everything else. */
	cr_assert(strstr(strstr(net.calls, "connect,"), "disconnect,") < strstr(net.calls, "teardown,"));
}

Test(tunnel, up_when_up_and_down_when_down_do_nothing)
{
	char calls[sizeof(net.calls)];

	up_and_connect(play_good);
	(void)strcpy(calls, net.calls);
	cr_assert_str_empty(up_and_wait().name);
	cr_assert_str_eq(calls, net.calls);
	cr_assert_eq(world.starts, 1);
	(void)down_and_wait(false);
	(void)strcpy(calls, net.calls);
	cr_assert_str_empty(down_and_wait(false).name);
	cr_assert_str_eq(calls, net.calls);
}

Test(tunnel, up_during_down_is_queued)
{
	struct up_options o = { .auth_fd = -EBADF };
	struct reply down = { 0 }, up = { 0 }, up2 = { 0 }, down2 = { 0 };

	up_and_connect(play_good);
	tunnel_down(home(), TUNNEL_KILL_NOBODY, on_reply, &down);
	tunnel_up(home(), &o, on_reply, &up);
	tunnel_up(home(), &o, on_reply, &up2);
	tunnel_down(home(), TUNNEL_KILL_NOBODY, on_reply, &down2);
	cr_assert(!up.done && !down.done);
	cr_assert(run_until(reply_is_done, &up2, 10));
	cr_assert(down.done && down2.done && up.done);
	cr_assert_str_empty(up.name);
	cr_assert_str_empty(down.name);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	cr_assert_eq(world.starts, 2);
}

static int play_silent(int sock, unsigned n _unused_)
{
	say_hello(sock);
	(void)say_socket(sock, 0, 0);
	say_state(sock, ENGINE_STATE_CONNECTING, 0xff, "");
	return play_wait(sock);
}

Test(tunnel, down_while_connecting_works_at_once)
{
	world_begin(play_silent);
	(void)up_and_wait();
	run_for(50 * USEC_PER_MSEC);
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTING);
	cr_assert_str_empty(down_and_wait(false).name);
	cr_assert(!net.locked);
}

static int play_deaf(int sock, unsigned n _unused_)
{
	say_hello(sock);
	while (pause() < 0)
		;
	return 0;
}

Test(tunnel, an_engine_that_does_not_stop_is_killed)
{
	world_begin(play_deaf);
	(void)up_and_wait();
	run_for(50 * USEC_PER_MSEC);
	cr_assert_str_empty(down_and_wait(false).name);
	cr_assert_eq(home()->state, TUNNEL_STATE_DOWN);
}

Test(tunnel, a_killed_engine_costs_the_default_route_at_once_and_is_replaced)
{
	struct tunnel *t;
	unsigned tuns;

	up_and_connect(play_good);
	t = home();
	tuns = net_count("tun");
	cr_assert_eq(kill(engine_proc_pid(t->engine), SIGKILL), 0);
	cr_assert(run_until_state(t, TUNNEL_STATE_RECONNECTING));
	cr_assert(net.locked && !net.connected && !net.transport);
	cr_assert_eq(t->settings.n_addrs, 0);
	cr_assert(run_until_state(t, TUNNEL_STATE_CONNECTED));
	cr_assert_eq(world.starts, 2);
	cr_assert_eq(net_count("tun"), tuns, "the device stays for the programs");
	cr_assert_null(t->last_error);
}

static int play_dies_often(int sock, unsigned n)
{
	play_connect(sock);
	if (n < 4)
		return 3;
	return play_wait(sock);
}

Test(tunnel, engines_are_started_again_with_back_off)
{
	world_begin(play_dies_often);
	(void)up_and_wait();
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	for (int i = 0; i < 100 && world.starts < 4; i++)
		run_for(50 * USEC_PER_MSEC);
	cr_assert_eq(world.starts, 4);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
}

static int play_lost_and_back(int sock, unsigned n _unused_)
{
	struct settings s = good_settings();

	play_connect(sock);
	say_state(sock, ENGINE_STATE_WAITING, FAIL_TIMEOUT, "the server went silent");
	usleep(300000);
	if (!say_socket(sock, 0, 0).ans_socket.ok || !say_settings(sock, &s).ans_settings.ok)
		return 1;
	say_state(sock, ENGINE_STATE_CONNECTED, 0xff, "");
	return play_wait(sock);
}

Test(tunnel, a_lost_connection_is_cut_and_comes_back)
{
	struct tunnel *t;

	world_begin(play_lost_and_back);
	(void)up_and_wait();
	t = home();
	cr_assert(run_until_state(t, TUNNEL_STATE_RECONNECTING));
	cr_assert(!net.connected && net.locked);
	cr_assert(!net.transport, "between tries nothing is open");
	cr_assert_str_eq(t->last_error, "the server went silent");
	cr_assert(run_until_state(t, TUNNEL_STATE_CONNECTED));
	cr_assert_null(t->last_error);
	cr_assert_eq(world.starts, 1);
}

static int play_refused(int sock, unsigned n _unused_)
{
	say_hello(sock);
	(void)say_socket(sock, 0, 0);
	say_failed(sock, FAIL_AUTH, "the server refused the user name or password");
	return 0;
}

Test(tunnel, a_first_try_that_fails_for_good_leaves_nothing)
{
	struct tunnel *t;

	world_begin(play_refused);
	cr_assert_str_empty(up_and_wait().name);
	t = home();
	cr_assert(run_until_state(t, TUNNEL_STATE_FAILED));
	cr_assert_str_eq(t->last_error_name, BUS_ERROR_AUTH_FAILED);
	cr_assert(!net.locked && !t->in_kernel);
	cr_assert_null(world_read("state/home.intent"));
	cr_assert(manager_is_idle(world.manager));
}

static int play_refused_later(int sock, unsigned n)
{
	if (n == 1) {
		play_connect(sock);
		say_failed(sock, FAIL_AUTH, "the server refused the user name or password");
		return 0;
	}
	play_connect(sock);
	return play_wait(sock);
}

Test(tunnel, a_later_failure_stays_locked_until_up_or_down)
{
	struct tunnel *t;

	world_begin(play_refused_later);
	(void)up_and_wait();
	t = home();
	cr_assert(run_until_state(t, TUNNEL_STATE_FAILED));
	run_for(300 * USEC_PER_MSEC);
	cr_assert(net.locked && !net.connected && !net.transport);
	cr_assert_eq(world.starts, 1, "no new try by itself");
	cr_assert(!manager_is_idle(world.manager));
	{
		_cleanup_(freep) char *intent = world_read("state/home.intent");

		cr_assert_not_null(intent);
	}
	cr_assert_str_empty(up_and_wait().name);
	cr_assert(run_until_state(t, TUNNEL_STATE_CONNECTED));
}

Test(tunnel, what_cannot_be_prepared_is_rolled_back)
{
	struct reply r;

	world_begin(play_good);
	net.prepare_error = -EEXIST;
	r = up_and_wait();
	cr_assert_str_eq(r.name, BUS_ERROR_FAILED);
	cr_assert_str_eq(r.text, "the kernel says no");
	cr_assert_eq(net_count("teardown"), 1);
	cr_assert_null(world_read("state/home.intent"));
	cr_assert(manager_is_idle(world.manager));
}

Test(tunnel, without_a_tun_device_up_fails_and_leaves_nothing)
{
	struct reply r;

	world_begin(play_good);
	net.tun_error = -ENOENT;
	r = up_and_wait();
	cr_assert_str_eq(r.text, "there is no /dev/net/tun");
	cr_assert(!net.locked);
	cr_assert_null(world_read("state/home.intent"));
}

static int play_stillborn(int sock _unused_, unsigned n _unused_)
{
	return 1;
}

Test(tunnel, an_engine_that_never_gets_ready_is_given_up)
{
	struct tunnel *t;

	world_begin(play_stillborn);
	(void)up_and_wait();
	t = home();
	cr_assert(run_until_state(t, TUNNEL_STATE_FAILED));
	cr_assert_eq(world.starts, 3);
	cr_assert(!net.locked);
}

Test(tunnel, a_full_disk_refuses_up_and_changes_nothing)
{
	struct reply r;
	char path[128];

	world_begin(play_good);
	(void)snprintf(path, sizeof(path), "%s/state", world.dir);
	cr_assert_eq(symlink("/dev/null/nowhere", path), 0); /* no folder can be made there */
	r = up_and_wait();
	cr_assert_str_eq(r.name, BUS_ERROR_FAILED);
	cr_assert_not_null(strstr(r.text, "nothing was changed"), "%s", r.text);
	cr_assert_str_empty(net.calls);
	cr_assert_eq(home()->state, TUNNEL_STATE_DOWN);
}

Test(tunnel, an_unknown_tunnel_is_not_configured)
{
	struct tunnel *t;

	world_begin(play_good);
	cr_assert_eq(manager_get(world.manager, "nowhere", &t), -ENOENT);
	cr_assert_eq(manager_get(world.manager, "../etc", &t), -EINVAL);
	cr_assert_eq(manager_get(world.manager, "", &t), -EINVAL);
}

static int play_auth(int sock, unsigned n _unused_)
{
	struct ipc_msg m = { 0 };
	int fds[8];
	size_t n_fds = 0;
	char buf[64];

	say_hello(sock);
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_AUTH, .req_auth = { .seq = 5 } });
	if (ipc_recv(sock, &m, fds, &n_fds) <= 0 || m.type != IPC_ANS_AUTH || !m.ans_auth.ok || n_fds != 1)
		return 1;
	if (read(fds[0], buf, sizeof(buf)) != 12 || memcmp(buf, "alice\0secret", 12) != 0)
		return 1;
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_AUTH, .req_auth = { .seq = 6, .again = 1 } });
	m = expect(sock, IPC_ANS_AUTH);
	say_failed(sock, FAIL_AUTH, m.ans_auth.ok ? "wrong" : "right");
	return 0;
}

Test(tunnel, says_what_has_to_be_asked_for)
{
	static const struct {
		const char *lines;
		int parts; /* given */
		const char *error, *part;
	} rows[] = {
		{ "askpass\n", 0, BUS_ERROR_NEED_PASSPHRASE, "the pass phrase of its private key" },
		{ "askpass\n", AUTH_PAIR_LOGIN, BUS_ERROR_NEED_PASSPHRASE, "pass phrase" },
		{ "askpass\nauth-user-pass\n", 0, BUS_ERROR_NEED_BOTH, "a user name and a password and the pass phrase" },
		{ "askpass\nauth-user-pass\n", AUTH_PAIR_LOGIN, BUS_ERROR_NEED_BOTH, "pass phrase" },
		{ "askpass\nauth-user-pass\n", AUTH_PAIR_PHRASE, BUS_ERROR_NEED_BOTH, "pass phrase" },
		{ "auth-user-pass\n", AUTH_PAIR_PHRASE, BUS_ERROR_NEED_CREDENTIALS, "a user name and a password;" },
	};
	_cleanup_(freep) char *text = NULL;

	world_begin(play_auth);
	text = world_read("etc/tunnels/home/tunnel.ovpn");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(freep) char *with = str_format("%s%s", rows[i].lines, text), *error = NULL;
		_cleanup_(closep) int fd = rows[i].parts ? memfd_sealed("test", "x", 1) : -EBADF;
		struct up_options o = { .auth_fd = fd, .auth_parts = rows[i].parts };
		const char *name = NULL;

		world_write("etc/tunnels/home/tunnel.ovpn", with);
		cr_assert_lt(tunnel_load_inputs(home(), &o, &name, &error), 0, "row %zu", i);
		cr_expect_str_eq(name, rows[i].error, "row %zu", i);
		cr_expect(error && strstr(error, rows[i].part), "row %zu: %s", i, error);
	}
	cr_assert_str_empty(net.calls);
}

Test(tunnel, credentials_are_asked_for_before_anything_is_touched)
{
	_cleanup_(freep) char *text = NULL, *with = NULL;
	struct up_options o = { .auth_fd = -EBADF };
	struct reply r;

	world_begin(play_auth);
	text = world_read("etc/tunnels/home/tunnel.ovpn");
	with = str_format("auth-user-pass\n%s", text);
	world_write("etc/tunnels/home/tunnel.ovpn", with);
	r = up_and_wait();
	cr_assert_str_eq(r.name, BUS_ERROR_NEED_CREDENTIALS);
	cr_assert_str_empty(net.calls);
	cr_assert_null(world_read("state/home.intent"));

	memset(&r, 0, sizeof(r));
	o.auth_fd = memfd_sealed("test", "alice\0secret", 12);
	o.auth_parts = AUTH_PAIR_LOGIN;
	tunnel_up(home(), &o, on_reply, &r);
	fd_close(o.auth_fd);
	cr_assert(r.done);
	cr_assert_str_empty(r.name, "%s", r.text);
	cr_assert(run_until_state(home(), TUNNEL_STATE_FAILED));
	cr_assert_str_eq(home()->last_error, "right");
}

/* ---- programs inside --------------------------------------------------------------------------------------------- */

static int sleep_for_ever(void *userdata)
{
	(void)signal(SIGTERM, userdata ? SIG_IGN : SIG_DFL);
	while (pause() < 0)
		;
	return 0;
}

static void put_inside(bool stubborn)
{
	cr_assert_eq(process_fork(sleep_for_ever, stubborn ? &net : NULL, &net.inside[net.n_inside], NULL), 0);
	net.n_inside++;
	usleep(20000); /* until it has its signal handler */
}

Test(tunnel, programs_stay_locked_in_and_the_last_one_turns_off_the_light)
{
	struct tunnel *t;
	pid_t pid;

	up_and_connect(play_good);
	t = home();
	put_inside(false);
	pid = net.inside[0];
	cr_assert_str_empty(down_and_wait(false).name);
	cr_assert_eq(t->state, TUNNEL_STATE_DRAINING);
	cr_assert_str_eq(tunnel_state_to_string(t->state), "blocked");
	cr_assert(net.locked && !net.connected);
	cr_assert(!manager_is_idle(world.manager));
	cr_assert_eq(kill(pid, 0), 0, "alive");
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert(run_until_state(t, TUNNEL_STATE_DOWN));
	cr_assert(!net.locked);
}

Test(tunnel, a_tunnel_with_programs_inside_comes_up_again_under_them)
{
	up_and_connect(play_good);
	put_inside(false);
	(void)down_and_wait(false);
	cr_assert_str_empty(up_and_wait().name);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	cr_assert_eq(process_kill_wait(net.inside[0], SIGKILL), 128 + SIGKILL);
	run_for(100 * USEC_PER_MSEC);
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTED, "no watch of the draining is left");
}

Test(tunnel, kill_ends_programs_also_stubborn_ones)
{
	up_and_connect(play_good);
	put_inside(false);
	put_inside(true);
	cr_assert_str_empty(down_and_wait(true).name);
	cr_assert_eq(home()->state, TUNNEL_STATE_DOWN);
	cr_assert(!net.locked);
}

static int sleep_as_another(void *userdata _unused_)
{
	/* Without root it stays ours, which the test knows. */
	if (geteuid() == 0 && setresuid(4242, 4242, 4242) < 0)
		return 1;
	return sleep_for_ever(NULL);
}

static uid_t real_uid(pid_t pid)
{
	_cleanup_(freep) char *path = str_format("/proc/%d/status", (int)pid), *text = NULL;
	unsigned uid = 0;
	size_t len;

	cr_assert_eq(file_read(AT_FDCWD, path, 65536, &text, &len), 0);
	cr_assert_eq(sscanf(strstr(text, "\nUid:"), "\nUid: %u", &uid), 1);
	return uid;
}

Test(tunnel, a_user_ends_his_own_programs_and_nobody_elses)
{
	uid_t another = geteuid() == 0 ? 4242 : geteuid();
	pid_t pid;

	up_and_connect(play_good);
	cr_assert_eq(process_fork(sleep_as_another, NULL, &pid, NULL), 0);
	net.inside[net.n_inside++] = pid;
	while (real_uid(pid) != another)
		(void)usleep(1000); /* the suite's time limit ends it */
	cr_assert_str_empty(down_by(4243).name);
	cr_assert_eq(home()->state, TUNNEL_STATE_DRAINING, "what is not his stays locked in");
	cr_assert_eq(kill(pid, 0), 0, "alive");
	cr_assert_str_empty(down_by(another).name);
	cr_assert_eq(home()->state, TUNNEL_STATE_DOWN);
}

Test(tunnel, a_failed_teardown_is_reported_and_can_be_repeated)
{
	struct reply r;

	up_and_connect(play_good);
	net.teardown_error = -EBUSY;
	r = down_and_wait(false);
	cr_assert_str_eq(r.text, "the namespace cannot be removed");
	cr_assert_eq(home()->state, TUNNEL_STATE_FAILED);
	net.teardown_error = 0;
	cr_assert_str_empty(down_and_wait(false).name);
	cr_assert_eq(home()->state, TUNNEL_STATE_DOWN);
}

/* ---- recovery ----------------------------------------------------------------------------------------------------- */

Test(tunnel, a_new_helper_brings_up_again_what_was_up)
{
	up_and_connect(play_good);
	net.journal = true;
	world_restart();
	cr_assert(net.locked, "the death of a helper unlocks nothing");
	cr_assert_eq(manager_recover(world.manager), 0);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
}

Test(tunnel, a_journal_without_intent_is_taken_down)
{
	world_begin(play_good);
	net.locked = net.journal = true;
	cr_assert_eq(manager_recover(world.manager), 0);
	cr_assert(!net.locked);
	cr_assert(manager_is_idle(world.manager));
}

Test(tunnel, a_damaged_intent_locks)
{
	struct tunnel *t;

	world_begin(play_good);
	(void)up_and_wait();
	(void)run_until_state(home(), TUNNEL_STATE_CONNECTED);
	world_write("state/home.intent", "nsvpn-intent 1\nwant=do");
	net.journal = true;
	world_restart();
	net.locked = false; /* the worst case: the crash came early */
	cr_assert_eq(manager_recover(world.manager), 0);
	t = home();
	cr_assert_eq(t->state, TUNNEL_STATE_BLOCKED);
	cr_assert(net.locked && !net.connected);
	cr_assert_not_null(strstr(t->last_error, "home.intent"));
	cr_assert_not_null(strstr(t->last_error, "nsvpn down home"));
	run_for(300 * USEC_PER_MSEC);
	cr_assert_eq(world.starts, 1, "no engine by itself");
	cr_assert_str_empty(up_and_wait().name);
	cr_assert(run_until_state(t, TUNNEL_STATE_CONNECTED));
	world_write("state/home.intent", "");
	world_restart();
	cr_assert_eq(manager_recover(world.manager), 0);
	cr_assert_str_empty(down_and_wait(false).name);
	cr_assert(!net.locked);
}

Test(tunnel, an_intent_of_an_earlier_boot_is_forgotten)
{
	struct intent i = { .want_up = true };
	_cleanup_(freep) char *error = NULL;

	world_begin(play_good);
	(void)str_copy(i.boot_id, sizeof(i.boot_id), "00000000-0000-0000-0000-000000000000");
	cr_assert_eq(store_save("home", &i, &error), 0);
	cr_assert_eq(manager_recover(world.manager), 0);
	cr_assert_null(world_read("state/home.intent"));
	cr_assert(manager_is_idle(world.manager));
	cr_assert_str_empty(net.calls);
}

Test(tunnel, a_profile_that_broke_meanwhile_locks)
{
	struct tunnel *t;

	up_and_connect(play_good);
	net.journal = true;
	world_write("etc/tunnels/home/tunnel.ovpn", "up /bin/sh\n");
	world_restart();
	cr_assert_eq(manager_recover(world.manager), 0);
	t = home();
	cr_assert_eq(t->state, TUNNEL_STATE_BLOCKED);
	cr_assert(net.locked);
	cr_assert_not_null(t->last_error);
}

Test(tunnel, a_terminated_helper_ends_engines_and_unlocks_nothing)
{
	_cleanup_(freep) char *intent = NULL;

	up_and_connect(play_good);
	manager_shutdown(world.manager);
	cr_assert(!net.connected, "default route first");
	for (int i = 0; i < 40 && !manager_is_quiet(world.manager); i++)
		run_for(50 * USEC_PER_MSEC);
	cr_assert(manager_is_quiet(world.manager));
	cr_assert(net.locked);
	cr_assert_eq(net_count("teardown"), 0);
	intent = world_read("state/home.intent");
	cr_assert_not_null(intent);
}

Test(tunnel, the_helpers_memory_keeps_no_keys)
{
	up_and_connect(play_good);
	cr_assert_not_null(home()->profile);
	cr_assert_null(home()->profile->ovpn.key);
	cr_assert_null(home()->profile->ovpn.cert);
	cr_assert_null(home()->profile->ovpn.ca);
}

Test(tunnel, plan_and_names)
{
	_cleanup_(freep) char *plan = NULL, *error = NULL;
	_cleanup_(strv_freep) char **names = NULL;

	world_begin(play_good);
	cr_assert_eq(tunnel_plan(home(), &plan, &error), 0);
	cr_assert_str_eq(plan, "plan of home\n");
	cr_assert_eq(manager_names(world.manager, &names), 0);
	cr_assert_eq(strv_len(names), 1);
	cr_assert_str_eq(names[0], "home");
}

static bool is_put_back(void *unused _unused_)
{
	return net.locked;
}

Test(tunnel, a_lock_that_somebody_removed_comes_back)
{
	up_and_connect(play_good);
	run_for(200 * USEC_PER_MSEC);
	for (int i = 0; i < 4; i++) {
		usec_t began = clock_boottime();

		net.locked = false; /* nft flush ruleset */
		cr_assert_eq(eventfd_write(net.watch, 1), 0);
		cr_assert(run_until(is_put_back, NULL, 2));
		cr_assert_lt(clock_boottime() - began, USEC_PER_SEC);
	}
	/* When it fails it is tried again. */
	net.locked = false;
	net.reassert_error = -EAGAIN;
	cr_assert_eq(eventfd_write(net.watch, 1), 0);
	run_for(USEC_PER_SEC);
	net.reassert_error = 0;
	cr_assert(run_until(is_put_back, NULL, 2));
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTED);
	cr_assert_str_empty(down_and_wait(false).name);
	cr_assert_null(home()->watch);
}

Test(tunnel, without_a_watch_it_works_all_the_same)
{
	world_begin(play_good);
	net.watch_error = -EMFILE;
	cr_assert_str_empty(up_and_wait().name);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	cr_assert_str_empty(down_and_wait(false).name);
}

static int play_late_failure(int sock, unsigned n)
{
	play_connect(sock);
	if (n == 1)
		say_failed(sock, FAIL_AUTH, "the server does not know you any more");
	return play_wait(sock);
}

/* `up` comes between the end of an engine and its reaping: there is never a second one beside it. */
Test(tunnel, up_right_after_the_engine_gave_up)
{
	struct reply r = { 0 };
	struct up_options options = { .auth_fd = -EBADF };

	world_begin(play_late_failure);
	cr_assert_str_empty(up_and_wait().name);
	while (home()->state != TUNNEL_STATE_FAILED)
		cr_assert_geq(sd_event_run(world.event, USEC_PER_SEC), 0);
	cr_assert_not_null(home()->engine, "the test came too late");
	tunnel_up(home(), &options, on_reply, &r);
	cr_assert(r.done);
	cr_assert_str_empty(r.name, "%s: %s", r.name, r.text);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	cr_assert_eq(world.starts, 2);
	run_for(300 * USEC_PER_MSEC);
	cr_assert_eq(home()->state, TUNNEL_STATE_CONNECTED);
	cr_assert_str_empty(down_and_wait(false).name);
}

static _noreturn_ void flood(int sock)
{
	struct ipc_msg m = { .type = IPC_REQ_SETTINGS };

	m.req_settings.settings = good_settings();
	for (;;)
		say(sock, &m);
}

static int play_flood(int sock, unsigned n _unused_)
{
	play_connect(sock);
	flood(sock);
}

static int count_ticks(sd_event_source *s, uint64_t usec _unused_, void *userdata)
{
	++*(unsigned *)userdata;
	cr_assert_geq(sd_event_source_set_time_relative(s, 10 * USEC_PER_MSEC), 0);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* A compromised engine may deny its own tunnel, not the helper. */
Test(tunnel, a_flood_of_messages_does_not_hold_up_the_rest)
{
	sd_event_source *s = NULL;
	unsigned ticks = 0;

	up_and_connect(play_flood);
	net.slow = 20 * USEC_PER_MSEC; /* what the kernel and nftables take */
	cr_assert_geq(sd_event_add_time_relative(world.event, &s, CLOCK_BOOTTIME, 0, 1, count_ticks, &ticks), 0);
	run_for(2 * USEC_PER_SEC);
	cr_assert_geq(ticks, 15, "only %u turns in two seconds", ticks);
	sd_event_source_disable_unref(s);
	cr_assert_str_empty(down_and_wait(false).name);
}

static int play_busy_and_refused(int sock, unsigned n _unused_)
{
	struct settings s = good_settings();

	play_connect(sock);
	for (int i = 0; i < 4; i++)
		(void)say_settings(sock, &s);
	say_failed(sock, FAIL_AUTH, "the server does not know you any more");
	return 0;
}

/* An engine that was not listened to for a while is heard when it has ended. */
Test(tunnel, last_words_are_heard_behind_a_pause)
{
	world_begin(play_busy_and_refused);
	net.slow = 150 * USEC_PER_MSEC;
	(void)up_and_wait();
	cr_assert(run_until_state(home(), TUNNEL_STATE_FAILED));
	cr_assert_str_eq(home()->last_error, "the server does not know you any more");
	cr_assert_eq(world.starts, 1);
}

static int play_deaf_and_refused(int sock, unsigned n _unused_)
{
	play_connect(sock);
	(void)usleep(200000); /* the helper asks for figures, and nobody reads the question */
	say_failed(sock, FAIL_AUTH, "the server does not know you any more");
	return 0;
}

/* The kernel says "reset" for a socket that was closed with something unread in it, before what was sent through it. */
Test(tunnel, last_words_are_heard_behind_a_reset)
{
	world_begin(play_deaf_and_refused);
	(void)up_and_wait();
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	(void)usleep(400000); /* message and end come in one go */
	cr_assert(run_until_state(home(), TUNNEL_STATE_FAILED));
	cr_assert_str_eq(home()->last_error, "the server does not know you any more");
	cr_assert_eq(world.starts, 1);
}
