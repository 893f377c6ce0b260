/* The process of --isolate: no rights, no way into the user's other processes, the environment. */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "launch/creds.h"
#include "launch/isolate.h"
#include "profile/isolation.h"
#include "unit/launch/room.h"

static void expect_status(const char *line)
{
	const char *text = room_read("/proc/self/status");

	if (!text || !strstr(text, line))
		dprintf(2, "no '%s' in:\n%s\n", line, text ? text : "");
	room_check(text && strstr(text, line));
}

static void check(int r, char *error)
{
	if (r < 0)
		dprintf(2, "%s\n", error ? error : strerror(-r));
	room_check(r >= 0);
}

static void become_nobody(void)
{
	struct creds c;
	char *error = NULL;

	room_check(creds_lookup(ROOM_UID, ROOM_UID, &c) == 0);
	check(isolate_enter(ROOM_UID, &error), error);
	check(creds_become(&c, &error), error);
	check(isolate_seal(&error), error);
	creds_done(&c);
}

/* Another process of the user, outside. */
static pid_t outside(void)
{
	pid_t pid = fork();
	char path[64], to[64];

	room_check(pid >= 0);
	if (pid == 0) {
		room_check(setgroups(0, NULL) == 0 && setresgid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
		room_check(setresuid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
		execl("/bin/sleep", "sleep", "60", NULL);
		_exit(1);
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	for (int i = 0; i < 500 && !str_eq(room_read(path), "sleep\n"); i++)
		usleep(10000);
	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	room_check(readlink(path, to, sizeof(to)) > 0);
	return pid;
}

static int look_into(pid_t pid, const char *what)
{
	char path[64], to[256];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	return readlink(path, to, sizeof(to)) < 0 ? -errno : 0;
}

static void no_rights(void *arg _unused_)
{
	gid_t groups[8];

	become_nobody();
	expect_status("NoNewPrivs:\t1");
	expect_status("CapBnd:\t0000000000000000");
	expect_status("CapPrm:\t0000000000000000");
	expect_status("CapEff:\t0000000000000000");
	expect_status("CapInh:\t0000000000000000");
	expect_status("CapAmb:\t0000000000000000");
	expect_status("Uid:\t65534\t65534\t65534\t65534");
	room_check(getgroups(8, groups) == 2); /* that of the passwd entry and "extra", as without --isolate */
	room_check(setresuid(0, 0, 0) < 0 && setgroups(0, NULL) < 0);
}

static void root_has_none(void *arg _unused_)
{
	char *error = NULL;
	struct stat st;

	check(isolate_enter(0, &error), error);
	check(isolate_seal(&error), error);
	expect_status("CapBnd:\t0000000000000000");
	expect_status("CapEff:\t0000000000000000");
	room_check(stat("/etc/passwd", &st) == 0 && st.st_uid == 0 && getuid() == 0);
	/* An exec as root gives none back. */
	execl("/bin/grep", "grep", "-q", "^CapEff:.0000000000000000$", "/proc/self/status", NULL);
}

Test(isolate, no_right_is_left_and_none_comes_back)
{
	cr_expect_eq(room_run(no_rights, NULL), 0);
	cr_expect_eq(room_run(root_has_none, NULL), 0);
}

static void other_processes(void *arg)
{
	pid_t pid = outside(), child;
	int fd, status;

	child = fork();
	room_check(child >= 0);
	if (child == 0) {
		if (arg) {
			become_nobody();
		} else {
			room_check(setgroups(0, NULL) == 0 && setresgid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
			room_check(setresuid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
		}
		fd = (int)syscall(SYS_pidfd_open, pid, 0);
		room_check(fd >= 0);
		status = look_into(pid, "root") == 0 && look_into(pid, "cwd") == 0 && look_into(pid, "fd/0") == 0;
		/* Yama may refuse this one to everybody. */
		if (arg)
			room_check(syscall(SYS_pidfd_getfd, fd, 0, 0) < 0 && errno == EPERM);
		_exit(status);
	}
	room_check(waitpid(child, &status, 0) == child && WIFEXITED(status));
	(void)kill(pid, SIGKILL);
	_exit(WEXITSTATUS(status));
}

Test(isolate, processes_of_the_same_user_outside_are_out_of_reach)
{
	cr_expect_eq(room_run(other_processes, NULL), 1); /* the positive control: reached */
	cr_expect_eq(room_run(other_processes, (void *)1), 0);
}

/* The other way round: the user's tools outside go on seeing the program. */
static void from_outside(void *arg _unused_)
{
	int ready[2], status;
	pid_t program, viewer;
	char c;

	room_check(pipe2(ready, O_CLOEXEC) == 0);
	program = fork();
	room_check(program >= 0);
	if (program == 0) {
		become_nobody();
		execl("/bin/sleep", "sleep", "60", NULL);
		_exit(1);
	}
	close(ready[1]);
	room_check(read(ready[0], &c, 1) == 0); /* exec'ed */
	viewer = fork();
	room_check(viewer >= 0);
	if (viewer == 0) {
		room_check(setgroups(0, NULL) == 0 && setresgid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
		room_check(setresuid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
		_exit(look_into(program, "ns/net") == 0 && look_into(program, "root") == 0 ? 0 : 1);
	}
	room_check(waitpid(viewer, &status, 0) == viewer && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	(void)kill(program, SIGKILL);
}

Test(isolate, the_user_outside_sees_the_program)
{
	cr_expect_eq(room_run(from_outside, NULL), 0);
}

static void unprivileged(void *arg _unused_)
{
	char *error = NULL;

	room_check(setresgid(ROOM_UID, ROOM_UID, ROOM_UID) == 0 && setresuid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
	room_check(isolate_enter(ROOM_UID, &error) < 0 && error && strstr(error, "--isolate"));
	free(error);
}

/* The sysctl is of a user namespace: this one allows no more. */
static void no_more(void *arg _unused_)
{
	char *error = NULL;
	int fd;

	check(isolate_enter(0, &error), error);
	fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
	room_check(fd >= 0 && write(fd, "0", 1) == 1);
	room_check(isolate_enter(0, &error) < 0 && strstr(error, "max_user_namespaces"));
}

static void not_sealed(void *arg _unused_)
{
	char *error = NULL;

	room_check(isolate_seal(&error) == -EPERM && strstr(error, "--isolate")); /* the bounding set is full */
}

Test(isolate, less_than_promised_is_a_sentence)
{
	cr_expect_eq(room_run(unprivileged, NULL), 0);
	cr_expect_eq(room_run(no_more, NULL), 0);
	cr_expect_eq(room_run(not_sealed, NULL), 0);
}

static void environment(void *arg _unused_)
{
	size_t n;
	const struct isolation *t = isolation_table(&n);
	char *error = NULL;

	for (size_t i = 0; i < n; i++)
		if (t[i].kind == ISOLATION_UNSET)
			setenv(t[i].name, "unix:path=/run/user/65534/x", 1);
	setenv("XDG_RUNTIME_DIR", "/run/user/65534", 1);
	setenv("WAYLAND_DISPLAY", "wayland-0", 1);
	check(isolate_environment(ROOM_UID, &error), error);
	for (size_t i = 0; i < n; i++)
		room_check(t[i].kind != ISOLATION_UNSET || !getenv(t[i].name));
	room_check(str_eq(getenv("XDG_RUNTIME_DIR"), "/run/user/65534") && getenv("WAYLAND_DISPLAY"));
	setenv("XDG_RUNTIME_DIR", "/run/user/1000", 1);
	room_check(isolate_environment(ROOM_UID, &error) == 0 && !getenv("XDG_RUNTIME_DIR"));
	setenv("XDG_RUNTIME_DIR", "/etc", 1);
	room_check(isolate_environment(ROOM_UID, &error) == -EPERM && strstr(error, "/etc"));
	unsetenv("XDG_RUNTIME_DIR");
	setenv("DBUS_SESSION_BUS_ADDRESS", "unix:abstract=/x;unix:path=/etc/passwd,guid=1", 1);
	room_check(isolate_environment(ROOM_UID, &error) == -EPERM && strstr(error, "/etc/passwd,") && getenv("DBUS_SESSION_BUS_ADDRESS"));
	setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere", 1);
	room_check(isolate_environment(ROOM_UID, &error) == 0 && !getenv("DBUS_SESSION_BUS_ADDRESS"));
}

Test(isolate, environment_names_nothing_that_is_closed)
{
	cr_expect_eq(room_run(environment, NULL), 0);
}

static void folder(void *arg _unused_)
{
	struct stat was;
	char *error = NULL;

	room_check(mkdir("/run/x", 0755) == 0 && chdir("/run/x") == 0 && stat(".", &was) == 0);
	room_check(isolate_folder("/run/x", &was, &error) == 0);
	room_check(mount("x", "/run/x", "tmpfs", 0, NULL) == 0);
	room_check(isolate_folder("/run/x", &was, &error) == -ENOENT && strstr(error, "/run/x"));
	room_check(isolate_folder("/run", &was, &error) == 0); /* a cover */
	room_check(isolate_folder(NULL, &was, &error) == -ENOENT && isolate_folder("(unreachable)/x", &was, &error) == -ENOENT);
}

Test(isolate, working_folder_is_the_same_or_a_cover)
{
	cr_expect_eq(room_run(folder, NULL), 0);
}
