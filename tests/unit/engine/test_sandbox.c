/* The closed sandbox, from inside (a forked child) and from outside (/proc). */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/sandbox.h"
#include "engine/stream.h"

/* What the child does once it is closed in; its value is the exit status. */
typedef int (*inside_fn)(void);

/* Runs fn in a closed child; the raw wait status. */
static int run_closed(inside_fn fn)
{
	int status = 0;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct sandbox_report report;
		const char *stage = NULL;
		int r = sandbox_enter(&report, &stage);

		if (r < 0)
			_exit(99);
		syscall(SYS_exit_group, fn());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static int do_open(void)
{
	return open("/dev/null", O_RDONLY) >= 0;
}

static int do_openat_cwd(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, ".", O_RDONLY);
}

static int do_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0) >= 0;
}

static int do_socketpair(void)
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0 });
}

static int do_execve(void)
{
	return execve("/bin/true", (char *[]){ (char *)"true", NULL }, NULL);
}

static int do_fork(void)
{
	return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static int do_mmap_exec(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static int do_mprotect_exec(void)
{
	return mprotect((void *)((uintptr_t)&errno & ~4095ul), 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int do_ptrace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static int do_kill(void)
{
	return kill(getppid(), 0);
}

static int do_mount(void)
{
	return mount("x", "/", "tmpfs", 0, NULL);
}

static int do_setns(void)
{
	return setns(0, 0);
}

static int do_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int do_setuid(void)
{
	return setuid(0);
}

static int do_connect(void)
{
	return connect(0, NULL, 0);
}

static int do_bind(void)
{
	return bind(0, NULL, 0);
}

static int do_bpf(void)
{
	return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int do_unlink(void)
{
	return unlink("x");
}

static int do_stat(void)
{
#ifdef SYS_newfstatat
	const long call = SYS_newfstatat;
#else
	const long call = SYS_fstatat64;
#endif

	return (int)syscall(call, AT_FDCWD, "/", NULL, 0);
}

static int do_sendto(void)
{
	struct sockaddr sa = { .sa_family = AF_INET };

	return sendto(0, "x", 1, 0, &sa, sizeof(sa)) < 0;
}

static int do_udp_option(void)
{
	int on = 1;

	return setsockopt(0, IPPROTO_UDP, 100, &on, sizeof(on));
}

Test(sandbox, a_forbidden_call_ends_the_process)
{
	static const struct {
		const char *what;
		inside_fn fn;
	} forbidden[] = {
		{ "open", do_open }, { "openat", do_openat_cwd }, { "socket", do_socket }, { "socketpair", do_socketpair },
		{ "execve", do_execve }, { "clone", do_fork }, { "mmap executable", do_mmap_exec },
		{ "mprotect executable", do_mprotect_exec }, { "ptrace", do_ptrace }, { "kill", do_kill }, { "mount", do_mount },
		{ "setns", do_setns }, { "unshare", do_unshare }, { "setuid", do_setuid }, { "connect", do_connect },
		{ "bind", do_bind }, { "bpf", do_bpf }, { "unlink", do_unlink }, { "stat of a path", do_stat },
		{ "sendto with an address", do_sendto }, { "another UDP option", do_udp_option },
	};

#ifdef NSVPN_SANITIZE
	cr_skip_test("the extended list of a sanitizer build refuses instead of ending the process");
#endif
	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		int status = run_closed(forbidden[i].fn);

		cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: status %#x", forbidden[i].what, status);
	}
}

/* The C libraries of 32-bit machines make the same functions of other calls. */
Test(sandbox, a_call_that_passes_has_its_twin_of_32_bit_machines_beside_it)
{
	static const struct {
		const char *call, *twin;
	} twins[] = {
		{ "clock_nanosleep", "clock_nanosleep_time64" }, { "clock_gettime", "clock_gettime64" },
		{ "clock_getres", "clock_getres_time64" },	 { "timerfd_settime", "timerfd_settime64" },
		{ "timerfd_gettime", "timerfd_gettime64" },	 { "ppoll", "ppoll_time64" },
		{ "recvmmsg", "recvmmsg_time64" },		 { "futex", "futex_time64" },
		{ "mmap", "mmap2" },				 { "fcntl", "fcntl64" },
		{ "fstat", "fstat64" },				 { "fstat", "statx" },
		{ "lseek", "_llseek" },				 { "sendto", "send" },
		{ "recvfrom", "recv" },				 { "getuid", "getuid32" },
		{ "geteuid", "geteuid32" },			 { "getgid", "getgid32" },
		{ "getegid", "getegid32" },			 { "rt_sigreturn", "sigreturn" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(twins); i++) {
		int call = seccomp_syscall_resolve_name(twins[i].call), twin = seccomp_syscall_resolve_name(twins[i].twin);

		cr_assert_neq(twin, __NR_SCMP_ERROR, "%s", twins[i].twin);
		cr_assert(sandbox_knows(call), "%s", twins[i].call);
		cr_assert(sandbox_knows(twin), "%s", twins[i].twin);
	}
	cr_assert_not(sandbox_knows(SCMP_SYS(openat)));
	cr_assert_not(sandbox_knows(SCMP_SYS(socket)));
}

/* Made before the filter closes, as the helper's socket is. */
static struct stream tcp;
static int tcp_peer;

static int everyday_tcp(void)
{
	if (stream_connected(&tcp) != 0 || stream_send(&tcp, (const uint8_t *)"x", 1) != 1)
		return 10;
	if (send(tcp_peer, "\0\1y", 3, 0) != 3 || stream_receive(&tcp) != 3)
		return 11;
	return stream_finish(&tcp) < 0 || stream_is_over(&tcp) ? 12 : 0;
}

static int everyday(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), tfd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC), on = 1;
	struct epoll_event ev = { .events = EPOLLIN };
	time_t t = 1700000000;
	struct tm tm;
	char buf[64];
	void *p;

	if (ep < 0 || tfd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, tfd, &ev) < 0 || epoll_wait(ep, &ev, 1, 0) != 0)
		return 1;
	if (fcntl(tfd, F_SETFL, O_NONBLOCK) < 0 || fcntl(tfd, F_DUPFD_CLOEXEC, 5) < 0)
		return 2;
	p = malloc(1 << 20);
	if (!p)
		return 3;
	free(p);
	if (getrandom(buf, sizeof(buf), 0) != sizeof(buf) || clock_boottime() == 0)
		return 4;
	if (clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = 1000 }, NULL) != 0)
		return 9;
	if (!gmtime_r(&t, &tm) || !strftime(buf, sizeof(buf), "%F", &tm))
		return 5;
	/* refused, not fatal */
	if (setsockopt(0, SOL_SOCKET, SO_RCVBUF, &on, sizeof(on)) == 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0)
		return 6;
	if (ioctl(0, FIONBIO, &on) == 0)
		return 7;
	(void)snprintf(buf, sizeof(buf), "%s", strerror(ENOENT));
	return write(STDERR_FILENO, "", 0) == 0 ? everyday_tcp() : 8;
}

Test(sandbox, what_the_engine_does_every_day_passes)
{
	int status, pair[2];

#ifdef NSVPN_SANITIZE
	cr_skip_test("the extended list of a sanitizer build is another one");
#endif
	cr_assert_eq(engine_warm_up(), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	cr_assert_eq(stream_init(&tcp), 0);
	stream_attach(&tcp, pair[0]);
	tcp_peer = pair[1];
	status = run_closed(everyday);
	stream_done(&tcp);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}

static bool status_line(pid_t pid, const char *name, char *ret, size_t cap)
{
	char path[64], line[256];
	bool found = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
			line[strcspn(line, "\n")] = '\0';
			(void)snprintf(ret, cap, "%s", line + strlen(name) + 2);
			found = true;
		}
	fclose(f);
	return found;
}

static void expect(pid_t pid, const char *name, const char *want)
{
	char got[256];

	cr_assert(status_line(pid, name, got, sizeof(got)));
	cr_assert_str_eq(got, want, "%s is %s", name, got);
}

Test(sandbox, shows_from_outside)
{
	int up[2], down[2];
	char byte = 0;
	pid_t pid;

	cr_assert_eq(pipe2(up, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(down, O_CLOEXEC), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct sandbox_report report;
		const char *stage = NULL;
		int r = sandbox_enter(&report, &stage);

		byte = r < 0 ? 'n' : report.mounts_empty ? 'e' : 'y';
		if (write(up[1], &byte, 1) == 1)
			(void)!read(down[0], &byte, 1);
		syscall(SYS_exit_group, 0);
	}
	cr_assert_eq(read(up[0], &byte, 1), 1);
	cr_assert_neq(byte, 'n');
	expect(pid, "CapEff", "0000000000000000");
	expect(pid, "CapPrm", "0000000000000000");
	expect(pid, "CapInh", "0000000000000000");
	expect(pid, "CapAmb", "0000000000000000");
	if (geteuid() == 0)
		expect(pid, "CapBnd", "0000000000000000");
	expect(pid, "NoNewPrivs", "1");
	expect(pid, "Seccomp", "2");
	if (byte == 'e') {
		char path[64];

		(void)snprintf(path, sizeof(path), "/proc/%d/root/etc", pid);
		cr_assert_lt(access(path, F_OK), 0, "the file system is not empty");
	}
	cr_assert_eq(write(down[1], "x", 1), 1);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

Test(sandbox, works_without_any_privilege)
{
	int status;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct sandbox_report report;
		const char *stage = NULL;

		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(98);
		_exit(sandbox_enter(&report, &stage) < 0 ? 99 : 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}
