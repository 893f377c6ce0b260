/* places.h: defaults, overrides for root, sibling programs. */
#include <criterion/criterion.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* ---- rootless: each test in a process of its own, as places are decided once ---- */

static char *new_runtime_dir(mode_t mode)
{
	char *path = strdup("/tmp/nsvpn-places-XXXXXX");

	cr_assert(path && mkdtemp(path) && chmod(path, mode) == 0);
	return path;
}

Test(places, rootless_places_are_the_users_own)
{
	_cleanup_(freep) char *dir = new_runtime_dir(0700), *error = NULL, *want = str_format("%s/nsvpn", dir);

	cr_expect_not(place_is_rootless());
	setenv("XDG_RUNTIME_DIR", dir, 1);
	setenv("XDG_CONFIG_HOME", "/srv/config", 1);
	cr_assert_eq(places_use_rootless(&error), 0, "%s", error ? error : "");
	cr_expect(place_is_rootless() && place_is_ours());
	cr_expect_str_eq(place_etc(), "/srv/config/nsvpn");
	cr_expect_str_eq(place_run(), want);

	_cleanup_(freep) char *etc = place_tunnel_etc("home"), *netns = place_netns("home"), *state = str_format("%s/.state", want);

	cr_expect_str_eq(etc, "/srv/config/nsvpn/tunnels/home");
	cr_expect(str_has_prefix(netns, want));
	cr_expect_str_eq(place_state(), state);
	(void)rmdir(dir);
}

Test(places, a_passing_tunnel_is_found_before_a_configured_one)
{
	_cleanup_(freep) char *dir = new_runtime_dir(0700), *error = NULL, *command = NULL, *passing = NULL, *etc = NULL;

	setenv("XDG_RUNTIME_DIR", dir, 1);
	cr_assert_eq(places_use_rootless(&error), 0);
	passing = place_passing();
	command = str_format("mkdir -p %s/tunnels/home", passing);
	cr_assert_eq(system(command), 0);
	etc = place_tunnel_etc("home");
	cr_expect(str_has_prefix(etc, passing));
	free(command);
	command = str_format("rm -r %s", dir);
	cr_expect_eq(system(command), 0);
}

Test(places, a_runtime_folder_that_others_may_enter_is_refused)
{
	_cleanup_(freep) char *dir = new_runtime_dir(0750), *error = NULL;

	setenv("XDG_RUNTIME_DIR", dir, 1);
	cr_expect_eq(places_use_rootless(&error), -EPERM);
	cr_expect(error && strstr(error, dir) && strstr(error, "chmod 700"));
	cr_expect_not(place_is_rootless());
	(void)rmdir(dir);
}

Test(places, a_missing_runtime_folder_is_named)
{
	_cleanup_(freep) char *error = NULL;

	setenv("XDG_RUNTIME_DIR", "/nowhere/at/all", 1);
	cr_expect_eq(places_use_rootless(&error), -ENOENT);
	cr_expect(error && strstr(error, "/nowhere/at/all"));
}
