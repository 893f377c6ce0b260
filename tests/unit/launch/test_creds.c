/* The identity switch: complete, verified, without a way back. */
#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/str.h"
#include "launch/creds.h"
#include "unit/launch/room.h"

static unsigned long long status_caps(const char *which)
{
	const char *text = room_read("/proc/self/status");
	const char *p = text ? strstr(text, which) : NULL;

	room_check(p);
	return strtoull(p + strlen(which), NULL, 16);
}

static void become_nobody(void *arg _unused_)
{
	struct creds c;
	char *error = NULL;
	gid_t groups[16];
	int n;

	room_check(creds_lookup(ROOM_UID, ROOM_UID, &c) == 0);
	room_check(str_eq(c.name, "nobody") && str_eq(c.home, "/nonexistent"));
	room_check(creds_become(&c, &error) == 0);
	room_check(getuid() == ROOM_UID && geteuid() == ROOM_UID && getgid() == ROOM_UID && getegid() == ROOM_UID);
	n = getgroups(16, groups);
	room_check(n == 2 && groups[0] + groups[1] == 4242 + ROOM_UID);
	room_check(setuid(0) < 0 && seteuid(0) < 0 && setgid(0) < 0 && setgroups(0, NULL) < 0);
	room_check(status_caps("CapEff:\t") == 0 && status_caps("CapPrm:\t") == 0 && status_caps("CapInh:\t") == 0 &&
		   status_caps("CapAmb:\t") == 0);
	room_check(status_caps("CapBnd:\t") != 0);
	room_check(prctl(PR_GET_SECUREBITS) == SECUREBITS_DEFAULT);
}

Test(creds, becomes_a_user_for_good)
{
	cr_assert_eq(room_run(become_nobody, NULL), 0);
}

static void keep_caps_is_undone(void *arg _unused_)
{
	struct creds c;
	char *error = NULL;

	room_check(prctl(PR_SET_KEEPCAPS, 1) == 0);
	room_check(creds_lookup(ROOM_UID, ROOM_UID, &c) == 0);
	room_check(creds_become(&c, &error) == 0);
	room_check(status_caps("CapPrm:\t") == 0);
}

Test(creds, capabilities_do_not_survive_a_caller_who_kept_them)
{
	cr_assert_eq(room_run(keep_caps_is_undone, NULL), 0);
}

static void locked_bits_refuse(void *arg _unused_)
{
	struct creds c;
	char *error = NULL;

	/* A locked no-setuid-fixup would keep every capability across the switch. */
	room_check(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED) == 0);
	room_check(creds_lookup(ROOM_UID, ROOM_UID, &c) == 0);
	room_check(creds_become(&c, &error) < 0 && error && strstr(error, "nobody"));
}

Test(creds, refuses_when_the_switch_cannot_be_clean)
{
	cr_assert_eq(room_run(locked_bits_refuse, NULL), 0);
}

static void unprivileged(void *arg _unused_)
{
	struct creds c;
	char *error = NULL;

	room_check(setresuid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
	room_check(creds_lookup(0, 0, &c) == 0);
	room_check(creds_become(&c, &error) < 0 && error);
	room_check(getuid() == ROOM_UID);
}

Test(creds, without_privilege_nothing_changes_and_it_says_so)
{
	cr_assert_eq(room_run(unprivileged, NULL), 0);
}

static void borrowed(void *arg _unused_)
{
	const gid_t of_root[] = { 0, 17 };
	struct creds_own own;
	gid_t groups[16];
	int n;

	room_check(setgroups(2, of_root) == 0);
	room_check(creds_borrow(ROOM_UID, ROOM_UID, &own) == 0);
	room_check(geteuid() == ROOM_UID && getegid() == ROOM_UID && getuid() == 0);
	n = getgroups(16, groups);
	room_check(n == 2 && groups[0] + groups[1] == 4242 + ROOM_UID);
	room_check(creds_return(&own) == 0 && !own.groups);
	room_check(geteuid() == 0 && getegid() == 0 && getgroups(16, groups) == 2 && groups[0] == 0 && groups[1] == 17);
	room_check(setresuid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
	room_check(creds_borrow(0, 0, &own) == -EPERM && geteuid() == ROOM_UID);
}

Test(creds, root_is_a_user_for_a_while)
{
	cr_assert_eq(room_run(borrowed, NULL), 0);
}

static void unknown_user(void *arg _unused_)
{
	struct creds c;

	room_check(creds_lookup(54321, 54322, &c) == 0);
	room_check(str_eq(c.name, "54321") && str_eq(c.home, "/") && c.n_groups == 1 && c.groups[0] == 54322);
}

Test(creds, a_number_without_a_name_gets_its_own_group_only)
{
	cr_assert_eq(room_run(unknown_user, NULL), 0);
}

static void environment(void *arg _unused_)
{
	struct creds c;

	room_check(mkdir("/run/user", 0755) == 0 && mkdir("/run/user/65534", 0700) == 0);
	setenv("HOME", "/root", 1);
	setenv("SUDO_COMMAND", "nsvpn", 1);
	setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/0/bus", 1);
	setenv("FOO", "bar", 1);
	room_check(creds_lookup(ROOM_UID, ROOM_UID, &c) == 0);
	/* A folder of somebody else is not the user's runtime folder. */
	room_check(creds_environment(&c) == 0 && !getenv("XDG_RUNTIME_DIR"));
	room_check(chown("/run/user/65534", ROOM_UID, ROOM_UID) == 0);
	room_check(creds_environment(&c) == 0);
	room_check(str_eq(getenv("XDG_RUNTIME_DIR"), "/run/user/65534"));
	room_check(str_eq(getenv("HOME"), "/nonexistent") && str_eq(getenv("USER"), "nobody") &&
		   str_eq(getenv("LOGNAME"), "nobody") && str_eq(getenv("SHELL"), "/bin/sh"));
	room_check(!getenv("SUDO_COMMAND") && !getenv("DBUS_SESSION_BUS_ADDRESS") && str_eq(getenv("FOO"), "bar"));
}

Test(creds, environment_is_the_users)
{
	cr_assert_eq(room_run(environment, NULL), 0);
}
