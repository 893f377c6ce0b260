/*
 * The keeper: stays in a program's mount namespace and covers again what the host has uncovered.
 *
 * Theory. A rename or unlink by the host takes our mount away with the directory entry it lay on (mounts.c). The kernel
 * says so at once: /proc/self/mountinfo becomes readable for poll() with every change of the namespace's mounts. The keeper
 * waits for that, looks, and places what is missing. The event comes in the middle of a rename, when the old entry takes
 * no mount any more and the new one is not there, and a file that is made again makes no event at all: so while a target is
 * missing it looks again, soon at first.
 *
 * It lives as long as somebody uses the mount namespace: until the program that it was started for has ended and no other
 * process has this namespace. It has its own, empty network namespace, so that it does not count as a program of the
 * tunnel; no terminal, no descriptors of the caller; of root's capabilities the two it needs. What it reads are names and
 * numbers of the kernel, never the content of a file. When it dies (somebody's kill, no memory), names may stop to work
 * after the host's next change; they do not leak, that is the lock's business.
 */
#include "launch/keeper.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

#define KEEPER_NAME "nsvpn-keeper"
#define SOON_MSEC 2	     /* while a target is missing: the first look after an event, doubled ... */
#define LATER_MSEC 1000	     /* ... up to this */
#define GONE_MSEC 500	     /* after the program's end: is somebody left? */
#define REST_MSEC 20	     /* after each change: no storm, whatever the host does */

/* setns-free work: mounts, and looking whose namespaces others have. */
static int keep_capabilities(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = { 0 };

	d[0].effective = d[0].permitted = 1U << CAP_SYS_ADMIN | 1U << CAP_SYS_PTRACE;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &h, d) < 0)
		return -errno;
	return 0;
}

/* Some process but us is in our mount namespace; also when that cannot be found out. */
static bool somebody_is_left(void)
{
	struct stat own, st;
	bool found = false;
	DIR *d;

	d = opendir("/proc");
	if (!d || stat("/proc/self/ns/mnt", &own) < 0) {
		if (d)
			(void)closedir(d); /* only read */
		return true;
	}
	for (struct dirent *e; !found && (e = readdir(d));) {
		char path[64];

		if (*e->d_name < '1' || *e->d_name > '9' || strtol(e->d_name, NULL, 10) == getpid() ||
		    snprintf(path, sizeof(path), "%.20s/ns/mnt", e->d_name) < 0)
			continue;
		found = fstatat(dirfd(d), path, &st, 0) == 0 && st.st_dev == own.st_dev && st.st_ino == own.st_ino;
	}
	(void)closedir(d); /* only read */
	return found;
}

static void watch(struct pieces *m, int program)
{
	_cleanup_(closep) int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	const struct timespec rest = { .tv_nsec = REST_MSEC * 1000000L };
	struct pollfd p[] = { { .fd = mounts, .events = POLLPRI }, { .fd = program, .events = POLLIN } };
	int again = SOON_MSEC;

	while (mounts >= 0) {
		_cleanup_(freep) char *error = NULL;
		size_t placed = 0, missing = 0;

		/* A target that cannot be covered now (a folder in place of a file) may be another time. */
		if (pieces_place(m, &placed, &missing, &error) < 0)
			missing++;
		if (placed > 0)
			(void)nanosleep(&rest, NULL); /* a shorter rest is fine */
		if (p[1].fd < 0 && !somebody_is_left())
			return;
		if (poll(p, ARRAY_SIZE(p), missing ? again : p[1].fd < 0 ? GONE_MSEC : -1) < 0 && errno != EINTR)
			return;
		again = p[0].revents ? SOON_MSEC : MIN(again * 2, LATER_MSEC);
		if (p[1].fd >= 0 && p[1].revents)
			p[1].fd = -1;
	}
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* What is open above 2 and is not ours. Our files stay open: under --isolate their folder has no name any more. */
static int close_others(const struct pieces *m, int program)
{
	int fds[PIECES_MAX + 1], from = 3;
	size_t n = 0;

	fds[n++] = program;
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].fd >= 0)
			fds[n++] = m->v[i].fd;
	qsort(fds, n, sizeof(fds[0]), compare_fds);
	for (size_t i = 0; i < n; from = fds[i++] + 1)
		if (fds[i] > from && syscall(SYS_close_range, (unsigned)from, (unsigned)fds[i] - 1, 0U) < 0)
			return -errno;
	return syscall(SYS_close_range, (unsigned)from, ~0U, 0U) < 0 ? -errno : 0;
}

/* Only `program`, our files and the null device survive. */
static int leave_everything(const struct pieces *m, int program)
{
	int null, r;

	if (setsid() < 0 || unshare(CLONE_NEWNET) < 0 || chdir("/") < 0)
		return -errno;
	r = close_others(m, program);
	if (r < 0)
		return r;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i <= 2; i++)
		if (null < 0 || dup2(null, i) < 0)
			return -errno;
	fd_close(null);
	return prctl(PR_SET_NAME, KEEPER_NAME) < 0 ? -errno : keep_capabilities();
}

static void keeper(const struct pieces *have, int program)
{
	struct pieces m = *have;

	if (leave_everything(&m, program) == 0)
		watch(&m, program);
}

/* Without a signal to the parent, which is about to become somebody's program and expects no child's end. */
static pid_t quiet_fork(void)
{
	return (pid_t)syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
}

int keeper_start(const struct pieces *m, int program, char **ret_error)
{
	pid_t pid = quiet_fork();
	int r;

	if (pid == 0) {
		if (quiet_fork() == 0)
			keeper(m, program);
		_exit(0);
	}
	if (pid < 0) {
		r = -errno;
		*ret_error = str_format("cannot start the keeper of the tunnel's resolver files: %s; nothing was started",
					strerror(-r));
		return r;
	}
	do
		r = waitpid(pid, NULL, __WALL) < 0 ? -errno : 0;
	while (r == -EINTR);
	return 0; /* r: an ignored SIGCHLD reaps by itself */
}
