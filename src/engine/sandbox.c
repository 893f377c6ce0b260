/*
 * The sandbox of the engine.
 *
 * Theory. The helper starts the engine with its own uid, in its network namespace, with nothing open but the control
 * socket. What it cannot do for a program that still has to be loaded, the engine does to itself, in this order:
 *
 *   descriptors received       fd 3 and nothing else (main.c)
 *   libraries warmed up        OpenSSL and the time zone have read whatever files they want (main.c)
 *   limits                     no dump, no core, no new process, few descriptors, no new privileges
 *   namespaces emptied         a mount namespace with nothing in it, where the kernel lets us
 *   capabilities dropped       all sets, also the bounding set where allowed; read back and checked
 *   seccomp installed          an allow-list; anything else ends the process
 *   first untrusted byte       IPC_REQ_HELLO is sent, the profile arrives
 *
 * What holds afterwards: no file, socket, process or program can be made; descriptors come over the control socket only;
 * memory never becomes executable. What does not: a socket that is there may send to any address (a filter cannot look
 * into sendmsg), which is why the locks of the namespace allow the server's address only.
 */
#include "engine/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define DESCRIPTORS_MAX 48 /* control, log, epoll, timer, tun, socket; the old socket beside the new; answers in flight */

/* ---- limits ----------------------------------------------------------------------------------------------------- */

int sandbox_limit(void)
{
	static const struct {
		__rlimit_resource_t resource;
		rlim_t value;
	} limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_NOFILE, DESCRIPTORS_MAX },
		{ RLIMIT_NPROC, 0 },
	};

	/* Not dumpable: no core, and no other process of this uid can read the keys. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (setrlimit(limits[i].resource, &(struct rlimit){ limits[i].value, limits[i].value }) < 0)
			return -errno;
	return 0;
}

/* ---- mounts ----------------------------------------------------------------------------------------------------- */

/*
 * An empty read-only tmpfs becomes the root, and everything else is detached. Needs CAP_SYS_ADMIN over the mount
 * namespace: what is left of it, or that of a fresh user namespace. -EPERM where neither is to be had; the filter closes
 * the file system then alone.
 */
int sandbox_empty_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -errno;
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return -errno;
	/* /proc/self is always there, always a folder, and nobody needs it any more. */
	if (mount("none", "/proc", "tmpfs", MS_NODEV | MS_NOEXEC | MS_NOSUID, "nr_inodes=2,size=4096,mode=0555") < 0)
		return -errno;
	if (chdir("/proc") < 0)
		return -errno;
	/* Both on the same place: the old root ends up on top and is taken away (pivot_root(2), NOTES). */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV | MS_NOEXEC | MS_NOSUID, NULL) < 0)
		return -errno;
	return 0;
}

/* ---- capabilities ----------------------------------------------------------------------------------------------- */

int sandbox_drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	/* The first two need CAP_SETPCAP; without it there is nothing in the sets that could come back either. */
	for (int cap = 0; cap <= 63; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break; /* not permitted, or behind the last one the kernel knows */
	(void)prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
		    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
		    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, 0, 0, 0);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (size_t i = 0; i < 2; i++)
		if (data[i].effective | data[i].permitted | data[i].inheritable)
			return -EPERM;
	return 0;
}

/* ---- seccomp ---------------------------------------------------------------------------------------------------- */

/* Calls that pass whatever their arguments are. */
static const struct {
	int nr;
	const char *why;
} allowed[] = {
	{ SCMP_SYS(read), "tun, timer, memfd" },
	{ SCMP_SYS(pread64), "memfd" },
	{ SCMP_SYS(readv), "tun" },
	{ SCMP_SYS(write), "tun" },
	{ SCMP_SYS(writev), "stderr, tun" },
	{ SCMP_SYS(lseek), "memfd" },
	{ SCMP_SYS(_llseek), "memfd, 32 bit" },
	{ SCMP_SYS(close), "descriptors" },
	{ SCMP_SYS(fstat), "what kind of descriptor was handed in" },
	{ SCMP_SYS(fstat64), "the same, 32 bit" },
	{ SCMP_SYS(sendmsg), "packets, control socket" },
	{ SCMP_SYS(send), "packets to the connected peer, 32 bit" },
	{ SCMP_SYS(recv), "packets from the connected peer, 32 bit" },
	{ SCMP_SYS(sendmmsg), "packets where the device has no segmentation" },
	{ SCMP_SYS(recvmsg), "control socket" },
	{ SCMP_SYS(recvmmsg), "packets" },
	{ SCMP_SYS(recvmmsg_time64), "packets, 32 bit" },
	{ SCMP_SYS(getsockopt), "type and pending error of a socket" },
	{ SCMP_SYS(getsockname), "type of a socket" },
	{ SCMP_SYS(getpeername), "type of a socket" },
	{ SCMP_SYS(shutdown), "closing" },
	{ SCMP_SYS(poll), "waiting for the control socket" },
	{ SCMP_SYS(ppoll), "the same" },
	{ SCMP_SYS(ppoll_time64), "the same, 32 bit" },
	{ SCMP_SYS(epoll_create1), "sd-event" },
	{ SCMP_SYS(epoll_ctl), "sd-event" },
	{ SCMP_SYS(epoll_wait), "sd-event" },
	{ SCMP_SYS(epoll_pwait), "sd-event" },
	{ SCMP_SYS(epoll_pwait2), "sd-event" },
	{ SCMP_SYS(timerfd_create), "sd-event" },
	{ SCMP_SYS(timerfd_settime), "sd-event" },
	{ SCMP_SYS(timerfd_settime64), "sd-event, 32 bit" },
	{ SCMP_SYS(timerfd_gettime), "sd-event" },
	{ SCMP_SYS(timerfd_gettime64), "sd-event, 32 bit" },
	{ SCMP_SYS(clock_gettime), "where the vDSO does not do it" },
	{ SCMP_SYS(clock_gettime64), "the same, 32 bit" },
	{ SCMP_SYS(clock_getres), "libc" },
	{ SCMP_SYS(clock_getres_time64), "libc, 32 bit" },
	{ SCMP_SYS(gettimeofday), "OpenSSL" },
	{ SCMP_SYS(time), "OpenSSL" },
	{ SCMP_SYS(clock_nanosleep), "receive moderation" },
	{ SCMP_SYS(clock_nanosleep_time64), "the same, 32 bit" },
	{ SCMP_SYS(nanosleep), "the same, where libc makes it of that" },
	{ SCMP_SYS(getrandom), "keys" },
	{ SCMP_SYS(brk), "malloc" },
	{ SCMP_SYS(munmap), "malloc" },
	{ SCMP_SYS(mremap), "malloc; keeps the protection" },
	{ SCMP_SYS(madvise), "malloc, secrets" },
	{ SCMP_SYS(mlock), "secrets" },
	{ SCMP_SYS(mlock2), "secrets" },
	{ SCMP_SYS(munlock), "secrets" },
	{ SCMP_SYS(futex), "OpenSSL's locks" },
	{ SCMP_SYS(futex_time64), "the same, 32 bit" },
	{ SCMP_SYS(sched_yield), "OpenSSL's locks" },
	{ SCMP_SYS(rt_sigaction), "abort()" },
	{ SCMP_SYS(rt_sigprocmask), "abort(), sd-event" },
	{ SCMP_SYS(rt_sigreturn), "libc" },
	{ SCMP_SYS(sigreturn), "libc, 32 bit" },
	{ SCMP_SYS(restart_syscall), "poll after a stop signal" },
	{ SCMP_SYS(getpid), "sd-event, OpenSSL" },
	{ SCMP_SYS(gettid), "libc" },
	{ SCMP_SYS(getuid), "libc" },
	{ SCMP_SYS(geteuid), "libc" },
	{ SCMP_SYS(getgid), "libc" },
	{ SCMP_SYS(getegid), "libc" },
	{ SCMP_SYS(getuid32), "libc, 32 bit" },
	{ SCMP_SYS(geteuid32), "libc, 32 bit" },
	{ SCMP_SYS(getgid32), "libc, 32 bit" },
	{ SCMP_SYS(getegid32), "libc, 32 bit" },
	{ SCMP_SYS(sysinfo), "qsort of libc" },
	{ SCMP_SYS(exit), "the end" },
	{ SCMP_SYS(exit_group), "the end" },
#ifdef NSVPN_SANITIZE
	{ SCMP_SYS(prctl), "sanitizer runtime" },
	{ SCMP_SYS(sigaltstack), "sanitizer runtime" },
	{ SCMP_SYS(mmap), "sanitizer runtime" },
	{ SCMP_SYS(mprotect), "sanitizer runtime" },
	{ SCMP_SYS(set_robust_list), "sanitizer runtime" },
	{ SCMP_SYS(getrlimit), "sanitizer runtime" },
	{ SCMP_SYS(prlimit64), "sanitizer runtime" },
	{ SCMP_SYS(sched_getaffinity), "sanitizer runtime" },
#endif
};

/* Calls that pass with one argument as given: (argument & mask) == value. */
static const struct {
	int nr;
	unsigned arg;
	uint64_t mask, value;
	const char *why;
} limited[] = {
	{ SCMP_SYS(mmap), 2, PROT_EXEC, 0, "malloc, never executable" },
	{ SCMP_SYS(mmap2), 2, PROT_EXEC, 0, "the same, 32 bit" },
	{ SCMP_SYS(mprotect), 2, PROT_EXEC, 0, "malloc, never executable" },
	{ SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFL, "non-blocking descriptors" },
	{ SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETFL, "non-blocking descriptors" },
	{ SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFD, "close-on-exec" },
	{ SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETFD, "close-on-exec" },
	{ SCMP_SYS(fcntl), 1, UINT32_MAX, F_DUPFD_CLOEXEC, "sd-event keeps its descriptors above 2" },
	{ SCMP_SYS(fcntl64), 1, UINT32_MAX, F_GETFL, "32 bit" },
	{ SCMP_SYS(fcntl64), 1, UINT32_MAX, F_SETFL, "32 bit" },
	{ SCMP_SYS(fcntl64), 1, UINT32_MAX, F_GETFD, "32 bit" },
	{ SCMP_SYS(fcntl64), 1, UINT32_MAX, F_SETFD, "32 bit" },
	{ SCMP_SYS(fcntl64), 1, UINT32_MAX, F_DUPFD_CLOEXEC, "32 bit" },
	/* fstat() of newer C libraries; the path is empty then. */
	{ SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH, AT_EMPTY_PATH, "what kind of descriptor was handed in" },
	{ SCMP_SYS(statx), 2, AT_EMPTY_PATH, AT_EMPTY_PATH, "fstat() where seconds have 64 bits and words 32" },
	/* send() and recv(): without an address. */
	{ SCMP_SYS(sendto), 4, UINT64_MAX, 0, "packets to the connected peer" },
	{ SCMP_SYS(recvfrom), 4, UINT64_MAX, 0, "packets from the connected peer" },
};

/* Calls that fail with an error instead of ending the process: probes of libraries that cope with a no. */
static const struct {
	int nr;
	int error;
	const char *why;
} refused[] = {
	{ SCMP_SYS(ioctl), ENOTTY, "stdio asks whether stderr is a terminal" },
	{ SCMP_SYS(setsockopt), EPERM, "only the options of the table above" },
	{ SCMP_SYS(set_robust_list), ENOSYS, "libc" },
	{ SCMP_SYS(rseq), ENOSYS, "libc" },
	{ SCMP_SYS(sigaltstack), EPERM, "libc" },
	{ SCMP_SYS(prctl), EPERM, "libc names its memory areas" },
	{ SCMP_SYS(membarrier), ENOSYS, "libraries" },
	{ SCMP_SYS(uname), EPERM, "OpenSSL's processor probe" },
	{ SCMP_SYS(sched_getaffinity), EPERM, "number of processors" },
	{ SCMP_SYS(getrlimit), EPERM, "libc" },
	{ SCMP_SYS(prlimit64), EPERM, "libc" },
	{ SCMP_SYS(memfd_secret), ENOSYS, "secrets, where it exists" },
#ifdef NSVPN_SANITIZE
	{ SCMP_SYS(readlink), ENOENT, "symbolizer" },
	{ SCMP_SYS(readlinkat), ENOENT, "symbolizer" },
	{ SCMP_SYS(access), ENOENT, "symbolizer" },
	{ SCMP_SYS(pipe2), EMFILE, "symbolizer" },
	{ SCMP_SYS(pipe), EMFILE, "symbolizer" },
#endif
};

bool sandbox_knows(int nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (allowed[i].nr == nr)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(limited); i++)
		if (limited[i].nr == nr)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (refused[i].nr == nr)
			return true;
	return false;
}

static int add_setsockopt(scmp_filter_ctx ctx)
{
	static const int options[] = { UDP_GRO, UDP_SEGMENT };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
				     SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, IPPROTO_UDP),
				     SCMP_A2(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)options[i]));
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * One rule for a call with an unconditional and a conditional action cannot be told to libseccomp, so a refused call
 * whose table row overlaps an allowed one is written as its complement where there are conditions.
 */
static int add_refused(scmp_filter_ctx ctx)
{
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		bool taken = false;

		for (size_t j = 0; j < ARRAY_SIZE(allowed); j++)
			taken |= allowed[j].nr == refused[i].nr;
		if (taken || refused[i].nr == SCMP_SYS(setsockopt))
			continue;
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)refused[i].error), refused[i].nr, 0);
		if (r < 0)
			return r;
	}
	/* Any level but UDP's: refused. Another option of UDP: the end. */
	return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setsockopt), 1,
				SCMP_A1(SCMP_CMP_NE, IPPROTO_UDP));
}

static int add_rules(scmp_filter_ctx ctx)
{
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i].nr, 0);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(limited); i++) {
		bool taken = false;

		for (size_t j = 0; j < ARRAY_SIZE(allowed); j++)
			taken |= allowed[j].nr == limited[i].nr;
		if (taken)
			continue;
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, limited[i].nr, 1,
				     SCMP_CMP(limited[i].arg, SCMP_CMP_MASKED_EQ, limited[i].mask, limited[i].value));
		if (r < 0)
			return r;
	}
	r = add_setsockopt(ctx);
	if (r < 0)
		return r;
	return add_refused(ctx);
}

int sandbox_filter(void)
{
	scmp_filter_ctx ctx;
	int r;

#ifdef NSVPN_SANITIZE
	/* The runtime opens /proc and its report; a refusal is enough to see what it wanted. */
	ctx = seccomp_init(SCMP_ACT_ERRNO(EACCES));
#else
	ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
#endif
	if (!ctx)
		return -ENOMEM;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r >= 0) /* a binary tree instead of a list: dozens of rules stand before recvmmsg otherwise */
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r >= 0)
		r = add_rules(ctx);
	if (r >= 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

/* ---- all -------------------------------------------------------------------------------------------------------- */

/*
 * Systems that do not let us have a mount namespace of our own say so with one of these. A table and not a chain of
 * comparisons: gcc 12 at -O3 folds that chain into a bit test which loses the case of success.
 */
static bool is_optional(int r)
{
	static const int errors[] = { EPERM, EACCES, ENOSPC, ENOSYS, EINVAL, EUSERS };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (r == -errors[i])
			return true;
	return false;
}

int sandbox_enter(struct sandbox_report *ret, const char **ret_stage)
{
	struct sandbox_report report = { 0 };
	int r;

	*ret_stage = "mount namespace";
	r = sandbox_empty_mounts();
	if (r < 0 && !is_optional(r))
		return r;
	report.mounts_empty = r >= 0;
	*ret_stage = "limits";
	r = sandbox_limit();
	if (r < 0)
		return r;
	*ret_stage = "capabilities";
	r = sandbox_drop_capabilities();
	if (r < 0)
		return r;
	*ret_stage = "seccomp filter";
	r = sandbox_filter();
	if (r < 0)
		return r;
	*ret_stage = NULL;
	*ret = report;
	return 0;
}
