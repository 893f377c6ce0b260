/* places.h: defaults, overrides for root, sibling programs. */
#include <criterion/criterion.h>

#include <limits.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/places.h"
#include "base/str.h"

Test(places, defaults)
{
	unsetenv("NSVPN_ETC");
	unsetenv("NSVPN_RUN");
	unsetenv("NSVPN_STATE");
	cr_expect_str_eq(place_etc(), "/etc/nsvpn");
	cr_expect_str_eq(place_run(), "/run/nsvpn");
	cr_expect_str_eq(place_state(), "/var/lib/nsvpn");

	_cleanup_(freep) char *etc = place_tunnel_etc("home"), *run = place_tunnel_run("home"), *ns = place_netns("home");

	cr_expect_str_eq(etc, "/etc/nsvpn/tunnels/home");
	cr_expect_str_eq(run, "/run/nsvpn/home");
	cr_expect_str_eq(ns, "/run/netns/home");
}

Test(places, root_may_override_with_an_absolute_path)
{
	static const struct {
		const char *value, *etc;
	} rows[] = {
		{ "/srv/x", "/srv/x" },  { "/srv/x//", "/srv/x" }, { "relative", "/etc/nsvpn" },
		{ "", "/etc/nsvpn" },    { "/", "/etc/nsvpn" },    { "///", "/etc/nsvpn" },
	};
	char long_path[PATH_MAX + 10];

	if (geteuid() != 0)
		cr_skip("the environment is heard for root only");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setenv("NSVPN_ETC", rows[i].value, 1);
		cr_expect_str_eq(place_etc(), rows[i].etc, "row %zu", i);
	}
	memset(long_path, '/', sizeof(long_path));
	memset(long_path + 1, 'a', sizeof(long_path) - 2);
	long_path[sizeof(long_path) - 1] = '\0';
	setenv("NSVPN_ETC", long_path, 1);
	cr_expect_str_eq(place_etc(), "/etc/nsvpn");
}

Test(places, an_ordinary_user_changes_nothing)
{
	int status;
	pid_t pid;

	setenv("NSVPN_ETC", "/srv/x", 1);
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(2);
		_exit(str_eq(place_etc(), "/etc/nsvpn") ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 0);
}

Test(places, siblings_first_then_libexec)
{
	_cleanup_(freep) char *sibling = place_program("test_base"), *elsewhere = place_program("no-such-program");

	cr_expect(str_has_suffix(sibling, "/test_base"), "%s", sibling);
	cr_expect_eq(access(sibling, X_OK), 0);
	cr_expect_str_eq(elsewhere, NSVPN_LIBEXECDIR "/no-such-program");
}
