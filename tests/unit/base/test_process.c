/* process.h: exact descriptors, reported failures, signals, sessions, namespaces, parents that die. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/process.h"
#include "base/str.h"

/* Runs a shell line with the map; returns the status, and what it wrote to the pipe that `out` is mapped from. */
static int run(const char *line, struct spawn *s, int pipe_fds[2], char *out, size_t cap)
{
	char *argv[] = { "sh", "-c", (char *)line, NULL };
	char *envp[] = { "PATH=/usr/bin:/bin:/usr/sbin:/sbin", NULL };
	_cleanup_(closep) int pidfd = -EBADF;
	struct pollfd p;
	ssize_t n;
	pid_t pid;
	int r;

	s->path = "/bin/sh";
	s->argv = argv;
	s->envp = envp;
	r = process_spawn(s, &pid, &pidfd);
	close(pipe_fds[1]);
	if (r < 0)
		return r;
	n = fd_read_full(pipe_fds[0], out, cap - 1);
	out[MAX(n, (ssize_t)0)] = '\0';
	close(pipe_fds[0]);
	p = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	cr_expect_eq(poll(&p, 1, 10000), 1, "the pidfd tells the end");
	return process_wait(pid);
}

static void make_pipe(int fds[2])
{
	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
}

Test(process, status_and_output)
{
	int out[2];
	char buf[256];

	make_pipe(out);

	struct fd_map map[] = { { out[1], 1 } };
	struct spawn s = { .map = map, .n_map = 1, .netns_fd = -EBADF };

	cr_expect_eq(run("echo hello; exit 7", &s, out, buf, sizeof(buf)), 7);
	cr_expect_str_eq(buf, "hello\n");
}

Test(process, signals_read_as_128_plus_n)
{
	int out[2];
	char buf[256];

	make_pipe(out);

	struct spawn s = { .netns_fd = -EBADF };

	cr_expect_eq(run("kill -9 $$", &s, out, buf, sizeof(buf)), 128 + SIGKILL);
}

Test(process, exec_failures_are_reported)
{
	static const struct {
		const char *path;
		int r;
	} rows[] = {
		{ "/no/such/program", -ENOENT }, { "/etc/passwd", -EACCES }, { "/etc", -EACCES },
		{ "relative", -EINVAL },         { NULL, -EINVAL },
	};
	char *argv[] = { "x", NULL };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spawn s = { .path = rows[i].path, .argv = argv, .netns_fd = -EBADF };
		pid_t pid = 77;
		int pidfd = 77;

		cr_expect_eq(process_spawn(&s, &pid, &pidfd), rows[i].r, "row %zu", i);
		cr_expect_eq(pid, 77);
		cr_expect_eq(pidfd, 77);
	}
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "nobody is left behind");
	cr_expect_eq(errno, ECHILD);
}

Test(process, bad_maps_are_refused)
{
	char *argv[] = { "true", NULL };
	struct fd_map twice[] = { { 0, 5 }, { 1, 5 } }, negative[] = { { 0, -1 } }, closed[] = { { 999, 5 } };
	struct fd_map many[65];
	struct spawn s = { .path = "/bin/true", .argv = argv, .netns_fd = -EBADF };

	for (int i = 0; i < 65; i++)
		many[i] = (struct fd_map){ -1, i };
	s.map = twice, s.n_map = 2;
	cr_expect_eq(process_spawn(&s, NULL, NULL), -EINVAL);
	s.map = negative, s.n_map = 1;
	cr_expect_eq(process_spawn(&s, NULL, NULL), -EBADF);
	s.map = closed;
	cr_expect_eq(process_spawn(&s, NULL, NULL), -EBADF);
	s.map = many, s.n_map = 65;
	cr_expect_eq(process_spawn(&s, NULL, NULL), -EINVAL);
}

Test(process, nothing_but_the_map_is_inherited)
{
	int out[2], open_ones[50];
	char buf[1024];

	for (size_t i = 0; i < ARRAY_SIZE(open_ones); i++)
		open_ones[i] = open("/dev/zero", O_RDONLY); /* on purpose without O_CLOEXEC */
	make_pipe(out);

	struct fd_map map[] = { { out[1], 1 }, { out[1], 9 } };
	struct spawn s = { .map = map, .n_map = 2, .netns_fd = -EBADF };

	/* A moment first: the shell closes its own ends of the pipeline after it has started both sides. */
	cr_expect_eq(run("{ sleep 0.3; for f in /proc/$$/fd/*; do echo ${f##*/} $(readlink $f); done; } | sed 's/pipe:.*/pipe/'",
			 &s, out, buf, sizeof(buf)), 0);
	cr_expect_str_eq(buf, "0 /dev/null\n1 pipe\n2 /dev/null\n9 pipe\n");
}

Test(process, overlapping_maps_are_simultaneous)
{
	int out[2], a[2], b[2], low = 20, high = 21;
	char buf[256];

	make_pipe(out);
	make_pipe(a);
	make_pipe(b);
	cr_assert_eq(fd_write_full(a[1], "A\n", 2), 0);
	cr_assert_eq(fd_write_full(b[1], "B\n", 2), 0);
	dup2(a[0], low);
	dup2(b[0], high);

	/* low and high change places, and one source goes to two targets */
	struct fd_map map[] = { { low, high }, { high, low }, { out[1], 1 }, { out[1], 0 }, { -1, 5 } };
	struct spawn s = { .map = map, .n_map = ARRAY_SIZE(map), .netns_fd = -EBADF };

	cr_expect_eq(run("read -r x </proc/$$/fd/20; read -r y </proc/$$/fd/21; echo $x$y; echo zero >&0; readlink /proc/$$/fd/5", &s, out,
			 buf, sizeof(buf)), 0);
	cr_expect_str_eq(buf, "BA\nzero\n/dev/null\n");
}

Test(process, standard_descriptors_may_be_closed)
{
	int out[2];
	char buf[256];

	close(0); /* the pipe and /dev/null may now land on 0 */
	make_pipe(out);

	struct fd_map map[] = { { out[1], 1 } };
	struct spawn s = { .map = map, .n_map = 1, .netns_fd = -EBADF };

	cr_expect_eq(run("readlink /proc/$$/fd/0", &s, out, buf, sizeof(buf)), 0);
	cr_expect_str_eq(buf, "/dev/null\n");
}

Test(process, signal_state_is_fresh)
{
	int out[2];
	char buf[512];
	sigset_t set, now;

	make_pipe(out);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);

	struct fd_map map[] = { { out[1], 1 } };
	struct spawn s = { .map = map, .n_map = 1, .netns_fd = -EBADF };

	cr_expect_eq(run("grep -E '^Sig(Blk|Ign)' /proc/self/status", &s, out, buf, sizeof(buf)), 0);
	cr_expect_str_eq(buf, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	sigprocmask(SIG_SETMASK, NULL, &now);
	cr_expect(sigismember(&now, SIGTERM), "the parent's mask is unchanged");
	cr_expect_not(sigismember(&now, SIGUSR1));
}

Test(process, environment_is_exactly_what_was_given)
{
	int out[2];
	char buf[512];
	char *argv[] = { "env", NULL };
	pid_t pid;
	ssize_t n;

	make_pipe(out);
	setenv("SECRET", "x", 1);

	struct fd_map map[] = { { out[1], 1 } };
	struct spawn s = { .path = "/usr/bin/env", .argv = argv, .map = map, .n_map = 1, .netns_fd = -EBADF };

	cr_assert_eq(process_spawn(&s, &pid, NULL), 0);
	close(out[1]);
	n = fd_read_full(out[0], buf, sizeof(buf));
	cr_expect_eq(process_wait(pid), 0);
	cr_expect_eq(n, 0);
}

Test(process, new_session)
{
	int out[2];
	char buf[256];

	make_pipe(out);

	struct fd_map map[] = { { out[1], 1 } };
	struct spawn s = { .map = map, .n_map = 1, .netns_fd = -EBADF, .new_session = true };

	cr_expect_eq(run("set -- $(cat /proc/$$/stat); [ $$ = $6 ] && echo leader", &s, out, buf, sizeof(buf)), 0);
	cr_expect_str_eq(buf, "leader\n");
}

static int say_prepared(void *userdata)
{
	return fd_write_full(1, userdata, strlen(userdata));
}

static int refuse(void *userdata)
{
	(void)userdata;
	return -EXDEV;
}

Test(process, prepare_runs_after_the_descriptors)
{
	int out[2];
	char buf[256];

	make_pipe(out);

	struct fd_map map[] = { { out[1], 1 } };
	struct spawn s = { .map = map, .n_map = 1, .netns_fd = -EBADF, .prepare = say_prepared, .userdata = "before " };

	cr_expect_eq(run("echo after", &s, out, buf, sizeof(buf)), 0);
	cr_expect_str_eq(buf, "before after\n");
}

Test(process, prepare_can_refuse)
{
	char *argv[] = { "true", NULL };
	struct spawn s = { .path = "/bin/true", .argv = argv, .netns_fd = -EBADF, .prepare = refuse };

	cr_expect_eq(process_spawn(&s, NULL, NULL), -EXDEV);
}

static int become_nobody(void *userdata)
{
	(void)userdata;
	return geteuid() == 0 && setresuid(65534, 65534, 65534) < 0 ? -errno : 0;
}

/* A middle process spawns a sleeper with pdeathsig and dies; the sleeper must go too, also after a change of user. */
static int middle(void *userdata)
{
	char *argv[] = { "sleep", "60", NULL };
	struct fd_map map[] = { { *(int *)userdata, 3 } };
	struct spawn s = { .path = "/bin/sleep",
			   .argv = argv,
			   .map = map,
			   .n_map = 1,
			   .netns_fd = -EBADF,
			   .pdeathsig = SIGKILL,
			   .prepare = become_nobody };

	return process_spawn(&s, NULL, NULL) == 0 ? 0 : 1;
}

Test(process, children_die_with_their_parent, .timeout = 20)
{
	int alive[2];
	char byte;
	pid_t pid;

	make_pipe(alive);
	cr_assert_eq(process_fork(middle, &alive[1], &pid, NULL), 0);
	close(alive[1]);
	cr_expect_eq(process_wait(pid), 0);
	cr_expect_eq(fd_read_full(alive[0], &byte, 1), 0, "end of file: the sleeper's copy is closed");
}

static int other_netns(void *userdata)
{
	int out[2], ns;
	struct stat here, there;
	char buf[256], want[64];

	(void)userdata;
	ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ns < 0 || unshare(CLONE_NEWNET) < 0)
		return 99;
	if (fstat(ns, &there) < 0 || stat("/proc/self/ns/net", &here) < 0 || here.st_ino == there.st_ino)
		return 1;
	make_pipe(out);

	struct fd_map map[] = { { out[1], 1 } };
	struct spawn s = { .map = map, .n_map = 1, .netns_fd = ns };

	(void)snprintf(want, sizeof(want), "net:[%lu]\n", (unsigned long)there.st_ino);
	if (run("readlink /proc/self/ns/net", &s, out, buf, sizeof(buf)) != 0)
		return 2;
	return str_eq(buf, want) ? 0 : 3;
}

Test(process, starts_in_another_network_namespace)
{
	pid_t pid;
	int r;

	cr_assert_eq(process_fork(other_netns, NULL, &pid, NULL), 0);
	r = process_wait(pid);
	if (r == 99)
		cr_skip("no network namespace here");
	cr_expect_eq(r, 0);
}

Test(process, a_wrong_namespace_descriptor_starts_nothing)
{
	_cleanup_(closep) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char *argv[] = { "true", NULL };
	struct spawn s = { .path = "/bin/true", .argv = argv, .netns_fd = fd };

	cr_expect_eq(process_spawn(&s, NULL, NULL), -EINVAL);
}

static int status_of(void *userdata)
{
	return *(int *)userdata;
}

Test(process, fork_runs_a_function)
{
	static const struct {
		int status, want;
	} rows[] = { { 0, 0 }, { 42, 42 }, { 255, 255 }, { 256, 255 }, { -1, 255 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(closep) int pidfd = -EBADF;
		pid_t pid;

		cr_assert_eq(process_fork(status_of, (void *)&rows[i].status, &pid, &pidfd), 0);
		cr_expect_geq(pidfd, 0);
		cr_expect(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
		cr_expect_eq(process_wait(pid), rows[i].want);
	}
}

static int sleep_long(void *userdata)
{
	(void)userdata;
	sleep(60);
	return 0;
}

Test(process, kill_and_wait, .timeout = 20)
{
	pid_t pid;

	signal(SIGTERM, SIG_IGN); /* the child's is reset */
	cr_assert_eq(process_fork(sleep_long, NULL, &pid, NULL), 0);
	cr_expect_eq(process_kill_wait(pid, SIGTERM), 128 + SIGTERM);
	cr_expect_eq(process_wait(pid), -ECHILD);
	cr_expect_eq(process_kill_wait(0, SIGTERM), -EINVAL);
	cr_expect_eq(process_kill_wait(-1, SIGTERM), -EINVAL);
	cr_expect_eq(process_wait(-1), -EINVAL);
}

static int mark_all(void *userdata)
{
	int low = open("/dev/null", O_RDONLY), high = fcntl(low, F_DUPFD, 200);

	(void)userdata;
	process_cloexec_all(3);
	return (fcntl(low, F_GETFD) & FD_CLOEXEC) && (fcntl(high, F_GETFD) & FD_CLOEXEC) &&
		!(fcntl(2, F_GETFD) & FD_CLOEXEC) ? 0 : 1;
}

Test(process, cloexec_everything)
{
	pid_t pid;

	cr_assert_eq(process_fork(mark_all, NULL, &pid, NULL), 0);
	cr_expect_eq(process_wait(pid), 0);
}
