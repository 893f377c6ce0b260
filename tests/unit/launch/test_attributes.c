/*
 * What a program has from its parent besides identity. A caller changes everything about itself, a taker (as PID 1 would start
 * it, with values of its own) takes over, and both are looked at from outside, through the kernel.
 */
#include "launch/attributes.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

#define CALLER 65534
#define IOPRIO_BE_7 (2 << 13 | 7)
#define IOPRIO_WHO_PROCESS 1
#define KEYCTL_GET_KEYRING_ID 0
#define KEY_SPEC_SESSION_KEYRING (-3)

typedef void (*setup_fn)(void);

struct taken {
	int r;
	char sentence[512];
};

/* A child that has done fn and says so; what it is then can be read at leisure. `become`: it is the caller's user. */
static pid_t start(setup_fn fn, bool become)
{
	int ready[2];
	char c;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		if (fn)
			fn();
		if (become && (setresgid(CALLER, CALLER, CALLER) < 0 || setresuid(CALLER, CALLER, CALLER) < 0))
			_exit(1);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a new identity forgets it */
		(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	cr_assert_eq(read(ready[0], &c, 1), 1, "the child did not get ready");
	(void)close(ready[0]);
	return pid;
}

static void finish(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

/* A child that does fn and then takes over; it stays, to be looked at. */
static pid_t take_over(setup_fn fn, pid_t from, uid_t uid, struct taken *ret)
{
	int result[2];
	pid_t pid;

	cr_assert_eq(pipe(result), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct taken t = { 0 };
		char *error = NULL;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fn)
			fn();
		t.r = attributes_adopt(from, uid, &error);
		(void)str_copy(t.sentence, sizeof(t.sentence), error ? error : "");
		(void)!write(result[1], &t, sizeof(t));
		for (;;)
			(void)pause();
	}
	(void)close(result[1]);
	cr_assert_eq(fd_read_full(result[0], ret, sizeof(*ret)), sizeof(*ret));
	(void)close(result[0]);
	return pid;
}

static void add_file(struct strbuf *b, pid_t pid, const char *name)
{
	_cleanup_(freep) char *path = str_format("/proc/%d/%s", (int)pid, name), *text = NULL;
	size_t len;

	if (file_read(AT_FDCWD, path, 65536, &text, &len) == 0)
		strbuf_addf(b, "%s: %s\n", name, text);
}

/* Everything that must be the same, as text. */
static char *look(pid_t pid)
{
	static const char *const lines[] = { "Umask:", "SigIgn:", "CapBnd:", "NoNewPrivs:" };
	_cleanup_(freep) char *path = str_format("/proc/%d/status", (int)pid), *status = NULL;
	struct sched_param param = { 0 };
	struct strbuf b = { 0 };
	char *save = NULL;
	cpu_set_t cpus;
	size_t len;

	cr_assert_eq(file_read(AT_FDCWD, path, 65536, &status, &len), 0);
	for (char *line = strtok_r(status, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
			if (str_has_prefix(line, lines[i]))
				strbuf_addf(&b, "%s\n", line);
	add_file(&b, pid, "limits");
	add_file(&b, pid, "oom_score_adj");
	add_file(&b, pid, "timerslack_ns");
	add_file(&b, pid, "loginuid");
	CPU_ZERO(&cpus);
	cr_assert_geq(sched_getaffinity(pid, sizeof(cpus), &cpus), 0);
	(void)sched_getparam(pid, &param); /* of a living child */
	strbuf_addf(&b, "nice %d, policy %d, priority %d, processors %d, first %d, io %ld\n", getpriority(PRIO_PROCESS, (id_t)pid),
		    sched_getscheduler(pid), param.sched_priority, CPU_COUNT(&cpus), CPU_ISSET(0, &cpus),
		    syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid));
	return strbuf_take(&b);
}

/* ---- what is taken over --------------------------------------------------------------------------------------------- */

static void set_limit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard)
{
	if (setrlimit(resource, &(struct rlimit){ soft, hard }) < 0)
		_exit(2);
}

/* A hard one could not be raised again where CAP_SYS_RESOURCE is withheld. */
static void set_soft_limit(__rlimit_resource_t resource, rlim_t soft)
{
	struct rlimit l;

	if (getrlimit(resource, &l) < 0)
		_exit(2);
	set_limit(resource, soft, l.rlim_max);
}

static void write_own(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || fd_write_full(fd, text, strlen(text)) < 0)
		_exit(3);
	(void)close(fd);
}

static void be_special(void)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	(void)umask(0137);
	set_limit(RLIMIT_NOFILE, 300, 600);
	set_limit(RLIMIT_CORE, 0, 0);
	set_limit(RLIMIT_STACK, 4U << 20, 64U << 20);
	set_limit(RLIMIT_FSIZE, 1U << 30, RLIM_INFINITY);
	set_limit(RLIMIT_MEMLOCK, 12345, 23456);
	set_limit(RLIMIT_NPROC, 5000, 5001);
	set_limit(RLIMIT_RTTIME, 1000000, 2000000);
	write_own("/proc/self/oom_score_adj", "321");
	if (setpriority(PRIO_PROCESS, 0, 7) < 0 || sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 }) < 0 ||
	    sched_setaffinity(0, sizeof(first), &first) < 0 || prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0) < 0 ||
	    prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_BE_7) < 0 || signal(SIGHUP, SIG_IGN) == SIG_ERR ||
	    signal(SIGUSR2, SIG_IGN) == SIG_ERR)
		_exit(4);
}

/* As little like any caller as possible; what is unlike must go. */
static void be_odd(void)
{
	sigset_t all;

	(void)umask(0);
	set_soft_limit(RLIMIT_NOFILE, 64);
	set_soft_limit(RLIMIT_STACK, 1U << 20);
	set_soft_limit(RLIMIT_CORE, 0);
	(void)sigfillset(&all);
	if (setpriority(PRIO_PROCESS, 0, -3) < 0 || sigprocmask(SIG_SETMASK, &all, NULL) < 0 ||
	    signal(SIGTERM, SIG_IGN) == SIG_ERR || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    prctl(PR_SET_TIMERSLACK, 999999, 0, 0, 0) < 0)
		_exit(5);
}

static void must_be_root(void)
{
	if (geteuid() != 0)
		cr_skip_test("needs root, as the launcher does");
}

static void compare(setup_fn caller_is, setup_fn taker_is)
{
	pid_t caller, taker;
	struct taken t;

	must_be_root();
	caller = start(caller_is, true);
	taker = take_over(taker_is, caller, CALLER, &t);
	cr_assert_eq(t.r, 0, "%s", t.sentence);
	{
		_cleanup_(freep) char *a = look(caller), *b = look(taker);

		cr_expect_str_eq(a, b);
	}
	finish(taker);
	finish(caller);
}

Test(attributes, everything_of_a_special_caller)
{
	compare(be_special, NULL);
}

Test(attributes, nothing_of_the_takers_own_stays)
{
	compare(NULL, be_odd);
}

Test(attributes, both)
{
	compare(be_special, be_odd);
}

Test(attributes, the_tests_see_a_difference)
{
	pid_t a, b;

	must_be_root();
	a = start(be_special, true);
	b = start(be_odd, true);
	{
		_cleanup_(freep) char *x = look(a), *y = look(b);

		cr_expect_str_neq(x, y);
	}
	finish(a);
	finish(b);
}

Test(attributes, no_signal_stays_blocked)
{
	_cleanup_(freep) char *path = NULL, *status = NULL;
	pid_t caller, taker;
	struct taken t;
	size_t len;

	must_be_root();
	caller = start(be_odd, true); /* has all of them blocked itself */
	taker = take_over(be_odd, caller, CALLER, &t);
	cr_assert_eq(t.r, 0, "%s", t.sentence);
	path = str_format("/proc/%d/status", (int)taker);
	cr_assert_eq(file_read(AT_FDCWD, path, 65536, &status, &len), 0);
	cr_expect_not_null(strstr(status, "SigBlk:\t0000000000000000\n"));
	finish(taker);
	finish(caller);
}

/* ---- who is refused ------------------------------------------------------------------------------------------------- */

/* Refused with this in the sentence, and the taker is as it was. */
static void refused(pid_t caller, uid_t uid, int error, const char *word)
{
	pid_t plain = start(NULL, false), taker;
	struct taken t;

	taker = take_over(NULL, caller, uid, &t);
	cr_expect_eq(t.r, error, "%d: %s", t.r, t.sentence);
	cr_expect_not_null(strstr(t.sentence, word), "'%s' is not in '%s'", word, t.sentence);
	{
		_cleanup_(freep) char *a = look(plain), *b = look(taker);

		cr_expect_str_eq(a, b, "something was taken over");
	}
	finish(taker);
	finish(plain);
}

Test(attributes, a_process_of_somebody_else_is_refused)
{
	pid_t caller;

	must_be_root();
	caller = start(be_special, true);
	refused(caller, CALLER - 1, -EPERM, "identity");
	refused(caller, 0, -EPERM, "identity");
	finish(caller);
	refused(getpid(), CALLER, -EPERM, "identity");
}

static void real_other(void)
{
	if (setresuid(CALLER - 1, CALLER, CALLER) < 0)
		_exit(6);
}

static void effective_other(void)
{
	if (setresuid(CALLER, CALLER - 1, CALLER) < 0)
		_exit(6);
}

static void saved_other(void)
{
	if (setresuid(CALLER, CALLER, CALLER - 1) < 0)
		_exit(6);
}

/* A program that is changing its identity (setuid root, say) is nobody's. */
Test(attributes, all_four_uids_must_be_the_callers)
{
	static const setup_fn fns[] = { real_other, effective_other, saved_other };

	must_be_root();
	for (size_t i = 0; i < ARRAY_SIZE(fns); i++) {
		pid_t caller = start(fns[i], false);

		refused(caller, CALLER, -EPERM, "identity");
		finish(caller);
	}
}

static void leave(int flags)
{
	if (unshare(flags) < 0)
		_exit(7);
}

static void leave_uts(void)
{
	leave(CLONE_NEWUTS);
}

static void leave_ipc(void)
{
	leave(CLONE_NEWIPC);
}

static void leave_mounts(void)
{
	leave(CLONE_NEWNS);
}

static void leave_users(void)
{
	if (setresgid(CALLER, CALLER, CALLER) < 0 || setresuid(CALLER, CALLER, CALLER) < 0)
		_exit(6);
	leave(CLONE_NEWUSER);
}

static void leave_network(void)
{
	leave(CLONE_NEWNET);
}

static void be_filtered(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &all };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(8);
}

/* To ask for a program must not be a way out. */
Test(attributes, callers_in_containers_and_sandboxes_are_refused)
{
	static const struct {
		setup_fn fn;
		bool become;
		const char *word;
	} rows[] = {
		{ leave_uts, true, "a host name of its own" },	 { leave_ipc, true, "an IPC namespace of its own" },
		{ leave_mounts, true, "a mount namespace of its own" }, { leave_users, false, "a user namespace of its own" },
		{ be_filtered, true, "a system call filter" },
	};

	must_be_root();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t caller = start(rows[i].fn, rows[i].become);

		refused(caller, CALLER, -EPERM, rows[i].word);
		finish(caller);
	}
}

Test(attributes, a_network_namespace_is_no_sandbox)
{
	compare(leave_network, NULL);
}

Test(attributes, a_caller_that_has_ended_is_refused)
{
	pid_t caller;

	must_be_root();
	caller = start(NULL, true);
	finish(caller);
	refused(caller, CALLER, -ESRCH, "cannot be taken over");
}

/* Its number is still there and its /proc, too. */
Test(attributes, a_caller_that_is_a_zombie_is_refused)
{
	siginfo_t si;
	pid_t caller, taker;
	struct taken t;

	must_be_root();
	caller = start(NULL, true);
	cr_assert_eq(kill(caller, SIGKILL), 0);
	cr_assert_eq(waitid(P_PID, (id_t)caller, &si, WEXITED | WNOWAIT), 0);
	taker = take_over(NULL, caller, CALLER, &t);
	cr_expect_lt(t.r, 0);
	cr_expect_str_not_empty(t.sentence);
	finish(taker);
	cr_assert_eq(waitpid(caller, NULL, 0), caller);
}

/* ---- keyring -------------------------------------------------------------------------------------------------------- */

Test(attributes, the_session_keyring_is_a_new_one)
{
	long before = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1), after;

	if (before < 0)
		cr_skip_test("no keyrings here");
	attributes_new_keyring();
	after = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
	cr_expect_gt(after, 0);
	cr_expect_neq(before, after);
}
