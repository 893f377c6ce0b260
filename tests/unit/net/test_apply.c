/* Crashes and failures at every step of up and down: the next start finishes or undoes. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/str.h"
#include "machine.h"

#define SERVER4 "198.51.100.1:1194"
#define SERVER6 "[2001:db8::1]:1194"

/* The cycle in a child with the failpoint set. Returns its wait status. */
static int cycle_in_child(const char *point, const char *what, enum uplink uplink, const char *server)
{
	pid_t pid = fork();
	int status = 0;

	cr_assert(pid >= 0);
	if (pid == 0) {
		char *value = str_format("%s:%s", point, what);

		if (!value || setenv("NSVPN_FAILPOINT", value, 1) < 0)
			_exit(100);
		_exit(machine_cycle("home", uplink, server) < 0 ? 1 : 0);
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	return status;
}

/* Every second time up comes first: it finishes what was begun; then down, always. */
static void recover(size_t i, enum uplink uplink, const char *before, const char *point)
{
	struct tunnelnet *n = machine_tunnel("home", uplink);
	struct session s = { -1, -1 };

	if (i % 2)
		machine_up(n, SERVER4, &s);
	must_ok(tunnelnet_teardown(n, error));
	cr_assert_eq(tunnelnet_presence(n), TUNNELNET_ABSENT);
	tunnelnet_free(n);
	if (s.tun >= 0) {
		(void)close(s.tun);
		(void)close(s.transport);
	}
	(void)rmdir("/run/nsvpn"); /* the helper's own folder */
	machine_must_be(before, point);
}

/*
 * after_too: also behind each step, not only before the next one. Each part takes every n-th point, because parts run
 * side by side.
 */
static void crash_everywhere_with(const char *exceptions, const char *only, enum uplink uplink, const char *server,
				  bool after_too, size_t part, size_t parts, size_t at_least)
{
	char **points, *before;
	size_t killed = 0;

	machine_start();
	machine_exceptions(exceptions);
	before = machine_dump();
	cr_assert_eq(tunnelnet_failpoints(&points), 0);
	for (size_t i = 0; points[i]; i++) {
		int status;

		if (i % parts != part || !strstr(points[i], only) || (!after_too && str_has_suffix(points[i], "+")))
			continue;
		status = cycle_in_child(points[i], "kill", uplink, server);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			killed++;
		else
			cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %d", points[i], status);
		recover(killed, uplink, before, points[i]);
	}
	cr_assert_geq(killed, at_least, "only %zu", killed);
	strv_free(points);
	free(before);
}

static void crash_everywhere(enum uplink uplink, const char *server, bool after_too, size_t part, size_t parts,
			     size_t at_least)
{
	crash_everywhere_with("", "", uplink, server, after_too, part, parts, at_least);
}

#define SOME_EXCEPTIONS "Publish=tcp:8080:80 Publish=udp:51413 Allow=192.0.2.0/24 Allow=2001:db8::/64"

/* clang-format off */
Test(apply, killed_at_any_step_of_exceptions_with_veth, .timeout = 600)
{
	crash_everywhere_with(SOME_EXCEPTIONS, ".exc-", UPLINK_VETH, SERVER4, true, 0, 1, 20);
}
Test(apply, killed_at_any_step_of_exceptions_with_socket, .timeout = 600)
{
	crash_everywhere_with(SOME_EXCEPTIONS, ".exc-", UPLINK_SOCKET, SERVER4, true, 0, 1, 20);
}
Test(apply, killed_at_any_step_with_veth_1, .timeout = 600) { crash_everywhere(UPLINK_VETH, SERVER6, true, 0, 3, 20); }
Test(apply, killed_at_any_step_with_veth_2, .timeout = 600) { crash_everywhere(UPLINK_VETH, SERVER6, true, 1, 3, 20); }
Test(apply, killed_at_any_step_with_veth_3, .timeout = 600) { crash_everywhere(UPLINK_VETH, SERVER6, true, 2, 3, 20); }
Test(apply, killed_at_any_step_with_socket, .timeout = 600) { crash_everywhere(UPLINK_SOCKET, SERVER4, false, 0, 1, 20); }
/* clang-format on */

static void error_everywhere(enum uplink uplink)
{
	char **points, *before;
	size_t failed = 0;

	machine_start();
	before = machine_dump();
	cr_assert_eq(tunnelnet_failpoints(&points), 0);
	for (size_t i = 0; points[i]; i++) {
		int status;

		if (str_has_suffix(points[i], "+"))
			continue; /* the same for the caller */
		status = cycle_in_child(points[i], "error", uplink, SERVER4);
		cr_assert(WIFEXITED(status), "%s: status %d", points[i], status);
		failed += WEXITSTATUS(status) == 1;
		recover(0, uplink, before, points[i]);
	}
	cr_assert_geq(failed, (size_t)12);
	strv_free(points);
	free(before);
}

Test(apply, failing_at_any_step_with_veth, .timeout = 600)
{
	error_everywhere(UPLINK_VETH);
}

Test(apply, failing_at_any_step_with_socket, .timeout = 600)
{
	error_everywhere(UPLINK_SOCKET);
}

/* A prepare that fails takes back what it did, by itself. */
Test(apply, failed_prepare_rolls_back)
{
	static const char *const steps[] = { "netns",	"netns-sysctls", "lock-inner", "lock-outer", "floor6",
					     "lo",	"dns",		 "veth",       "veth-addr",  "engine-rule6",
					     "veth-up", "uplink-up" };
	char *before;

	machine_start();
	before = machine_dump();
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct tunnelnet *n = machine_tunnel("home", UPLINK_VETH);
		char *value = str_format("up.%s%s:error", steps[i], i % 2 ? "+" : "");

		cr_assert(setenv("NSVPN_FAILPOINT", value, 1) == 0);
		must_fail(tunnelnet_prepare(n, error), EIO, steps[i]);
		cr_assert_eq(tunnelnet_presence(n), TUNNELNET_ABSENT);
		(void)rmdir("/run/nsvpn"); /* the helper's own folder */
		machine_must_be(before, value);
		tunnelnet_free(n);
		free(value);
	}
	free(before);
}

Test(apply, failpoints_are_not_heard_without_a_run_folder_of_ones_own)
{
	struct tunnelnet *n;

	machine_start();
	cr_assert(setenv("NSVPN_FAILPOINT", "up.netns:error", 1) == 0 && unsetenv("NSVPN_RUN") == 0);
	n = machine_tunnel("home", UPLINK_SOCKET); /* /run is private here */
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
}

/* A link that cannot be removed keeps the lock that stands before it. */
Test(apply, outer_lock_stays_while_its_link_does)
{
	struct tunnelnet *n;
	struct session s;
	char *before, *why = NULL;

	machine_start();
	before = machine_dump();
	n = machine_tunnel("home", UPLINK_VETH);
	machine_up(n, SERVER4, &s);
	cr_assert_eq(setenv("NSVPN_FAILPOINT", "down.veth:error", 1), 0);
	cr_assert_lt(tunnelnet_teardown(n, &why), 0);
	cr_assert_not_null(why);
	free(why);
	machine_run("ip link show nv-home >/dev/null && nft list table inet nsvpn-home >/dev/null");
	cr_assert_eq(unsetenv("NSVPN_FAILPOINT"), 0);
	must_ok(tunnelnet_teardown(n, error));
	tunnelnet_free(n);
	(void)close(s.tun);
	(void)close(s.transport);
	(void)rmdir("/run/nsvpn");
	machine_must_be(before, "taken down at the second try");
	free(before);
}
