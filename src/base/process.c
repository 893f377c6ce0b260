/*
 * Child processes.
 *
 * Theory of process_spawn: the parent blocks all signals around fork, so no handler of ours runs in the child. The
 * child goes through numbered steps; the first failing one is written to a close-on-exec pipe that the parent reads to
 * its end: a number means that nothing was started (the child is reaped), end of file means that exec happened. (A
 * child killed between the two also reads as end of file; its wait status tells.) The callers are single-threaded, so
 * the child may use the whole of libc.
 */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/fd.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

#define SPAWN_MAP_MAX 64

/* ---- common to fork and spawn ---- */

static void reset_signals(void)
{
	/* The kernel's struct of every architecture, zero: SIG_DFL, no flags, no mask. */
	static const char none_at_all[64];
	sigset_t none;

	/*
	 * Not through libc, which keeps the signals behind SIGSYS to itself: who started us may have them ignored all the same.
	 * SIGKILL and SIGSTOP refuse, and have nothing to reset.
	 */
	for (int i = 1; i < _NSIG; i++)
		(void)syscall(SYS_rt_sigaction, i, none_at_all, NULL, _NSIG / 8);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
}

/* The parent may have died before the prctl; then the signal never comes and we go at once. */
static int set_pdeathsig(int signo, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, (unsigned long)signo) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

static int pidfd_open_pid(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0U);

	return fd < 0 ? -errno : fd;
}

/* fork with all signals blocked; the child starts with them blocked. */
static pid_t fork_blocked(void)
{
	sigset_t all, old;
	pid_t pid;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old); /* cannot fail with these arguments */
	pid = fork();
	if (pid == 0)
		return 0;
	if (pid < 0)
		pid = -errno;
	(void)sigprocmask(SIG_SETMASK, &old, NULL); /* as above */
	return pid;
}

/* Hands out pid and pidfd of a child of ours, or ends it. */
static int adopt(pid_t pid, pid_t *ret_pid, int *ret_pidfd)
{
	if (ret_pidfd) {
		int fd = pidfd_open_pid(pid);

		if (fd < 0) {
			(void)process_kill_wait(pid, SIGKILL); /* fd's error is the one to report */
			return fd;
		}
		*ret_pidfd = fd;
	}
	if (ret_pid)
		*ret_pid = pid;
	return 0;
}

int process_fork(int (*fn)(void *userdata), void *userdata, pid_t *ret_pid, int *ret_pidfd)
{
	pid_t parent = getpid(), pid;
	int status;

	pid = fork_blocked();
	if (pid < 0)
		return (int)pid;
	if (pid == 0) {
		reset_signals();
		if (set_pdeathsig(SIGKILL, parent) < 0)
			_exit(255);
		status = fn(userdata);
		_exit(status < 0 || status > 255 ? 255 : status);
	}
	return adopt(pid, ret_pid, ret_pidfd);
}

/* ---- the child's descriptors ---- */

/* For kernels and filters without close_range: as many as the limit allows, one by one. */
static void close_each(unsigned from, unsigned to, bool cloexec)
{
	long max = sysconf(_SC_OPEN_MAX);

	for (unsigned fd = from; fd <= to && (long)fd < max; fd++) {
		if (cloexec)
			(void)fcntl((int)fd, F_SETFD, FD_CLOEXEC); /* most numbers are not open */
		else
			(void)close((int)fd); /* the same */
	}
}

static void close_span(unsigned from, unsigned to, unsigned flags)
{
	if (from <= to && syscall(SYS_close_range, from, to, flags) < 0)
		close_each(from, to, flags & CLOSE_RANGE_CLOEXEC);
}

void process_cloexec_all(int from)
{
	close_span((unsigned)from, UINT_MAX, CLOSE_RANGE_CLOEXEC);
}

static bool map_has(const struct spawn *s, int to)
{
	for (size_t i = 0; i < s->n_map; i++)
		if (s->map[i].to == to)
			return true;
	return false;
}

/*
 * A source may sit on the number of another target (0<->1 swapped, say). So every source is first copied above all
 * targets, then every copy is put in its place. *error_fd moves above the targets as well.
 */
static int apply_map(const struct spawn *s, int *error_fd)
{
	int copies[SPAWN_MAP_MAX], highest = 2, floor, null;

	for (size_t i = 0; i < s->n_map; i++)
		highest = MAX(highest, s->map[i].to);
	floor = highest + 1;

	*error_fd = fcntl(*error_fd, F_DUPFD_CLOEXEC, floor);
	if (*error_fd < 0)
		return -errno;
	null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (null < 0)
		return -errno;
	null = fcntl(null, F_DUPFD_CLOEXEC, floor);
	if (null < 0)
		return -errno;

	for (size_t i = 0; i < s->n_map; i++) {
		copies[i] = s->map[i].from == -1 ? null : fcntl(s->map[i].from, F_DUPFD_CLOEXEC, floor);
		if (copies[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < s->n_map; i++)
		if (dup2(copies[i], s->map[i].to) < 0)
			return -errno;
	for (int fd = 0; fd <= highest; fd++) {
		if (map_has(s, fd))
			continue;
		if (fd > 2)
			(void)close(fd); /* often not open */
		else if (dup2(null, fd) < 0)
			return -errno;
	}
	close_span((unsigned)floor, (unsigned)*error_fd - 1, 0);
	close_span((unsigned)*error_fd + 1, UINT_MAX, 0);
	return 0;
}

/* ---- spawn ---- */

/* Everything between fork and exec; returns only an error. */
static int child_steps(const struct spawn *s, pid_t parent, int *error_fd)
{
	static char *const no_environment[] = { NULL };
	int r;

	/* 1. No signal state, session or parent but our own. */
	reset_signals();
	if (s->new_session && setsid() < 0)
		return -errno;
	r = s->pdeathsig ? set_pdeathsig(s->pdeathsig, parent) : 0;
	if (r < 0)
		return r;
	/* 2. The namespace, while its descriptor is still open. */
	if (s->netns_fd >= 0 && setns(s->netns_fd, CLONE_NEWNET) < 0)
		return -errno;
	/* 3. Exactly the descriptors of the map. */
	r = apply_map(s, error_fd);
	if (r < 0)
		return r;
	/* 4. The caller's part. The kernel forgets the parent-death signal when credentials change, so it is set again. */
	if (s->prepare) {
		r = s->prepare(s->userdata);
		if (r < 0)
			return r;
		r = s->pdeathsig ? set_pdeathsig(s->pdeathsig, parent) : 0;
		if (r < 0)
			return r;
	}
	/* 5. The program. */
	execve(s->path, s->argv, s->envp ? s->envp : no_environment);
	return -errno;
}

static int check_spawn(const struct spawn *s)
{
	if (!s->path || s->path[0] != '/' || !s->argv || !s->argv[0] || s->n_map > SPAWN_MAP_MAX)
		return -EINVAL;
	for (size_t i = 0; i < s->n_map; i++) {
		if (s->map[i].to < 0 || s->map[i].from < -1)
			return -EBADF;
		/* Now, before our own pipe may take the number of a descriptor that is not open. */
		if (s->map[i].from >= 0 && fcntl(s->map[i].from, F_GETFD) < 0)
			return -EBADF;
		for (size_t j = 0; j < i; j++)
			if (s->map[j].to == s->map[i].to)
				return -EINVAL;
	}
	return 0;
}

int process_spawn(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd)
{
	_cleanup_(closep) int reader = -EBADF, writer = -EBADF;
	pid_t parent = getpid(), pid;
	int pipe_fds[2], error = 0, r;
	ssize_t n;

	r = check_spawn(s);
	if (r < 0)
		return r;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	reader = pipe_fds[0];
	writer = pipe_fds[1];

	pid = fork_blocked();
	if (pid < 0)
		return (int)pid;
	if (pid == 0) {
		int error_fd = writer;

		r = child_steps(s, parent, &error_fd);
		(void)fd_write_full(error_fd, &r, sizeof(r)); /* then the parent sees only our status */
		_exit(127);
	}
	writer = fd_close(writer);

	n = fd_read_full(reader, &error, sizeof(error));
	if (n == sizeof(error)) {
		(void)process_wait(pid); /* it is on its way out; its error is the one to report */
		return error < 0 ? error : -EIO;
	}
	if (n < 0) {
		(void)process_kill_wait(pid, SIGKILL); /* as above */
		return (int)n;
	}
	return adopt(pid, ret_pid, ret_pidfd);
}

/* ---- waiting ---- */

int process_wait(pid_t pid)
{
	int status;
	pid_t r;

	if (pid <= 0)
		return -EINVAL;
	do {
		r = waitpid(pid, &status, 0);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_kill_wait(pid_t pid, int signo)
{
	if (pid <= 0)
		return -EINVAL; /* 0 and -1 would mean everybody */
	if (kill(pid, signo) < 0 && errno != ESRCH)
		return -errno;
	return process_wait(pid);
}
