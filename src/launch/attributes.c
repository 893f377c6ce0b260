/* The caller's limits, umask, priority and the rest; contract and theory in attributes.h. */
#include "launch/attributes.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/str.h"

#define STATUS_MAX 65536
#define IOPRIO_WHO_PROCESS 1
#define KEYCTL_JOIN_SESSION_KEYRING 1
#define KEYCTL_LINK 8
#define KEY_SPEC_USER_KEYRING (-4)
#define KEY_SPEC_SESSION_KEYRING (-3)

/* The lines of /proc/PID/status that matter. */
struct status {
	unsigned long uids[4];
	unsigned long umask_;
	unsigned long no_new_privs, seccomp_filters;
	unsigned long long sig_ignored, cap_bounding;
	bool has_uids, has_bounding;
};

static int read_proc(pid_t pid, const char *name, char **ret)
{
	_cleanup_(freep) char *path = str_format("/proc/%d/%s", (int)pid, name);
	size_t len;

	return path ? file_read(AT_FDCWD, path, STATUS_MAX, ret, &len) : -ENOMEM;
}

static void parse_status_line(const char *line, struct status *s)
{
	unsigned long long v;

	/* The kernel wrote it: a line that does not match is one that this kernel does not have. */
	if (sscanf(line, "Uid: %lu %lu %lu %lu", &s->uids[0], &s->uids[1], &s->uids[2], &s->uids[3]) == 4)
		s->has_uids = true;
	else if (sscanf(line, "Umask: %llo", &v) == 1)
		s->umask_ = (unsigned long)v;
	else if (sscanf(line, "NoNewPrivs: %llu", &v) == 1)
		s->no_new_privs = (unsigned long)v;
	else if (sscanf(line, "Seccomp_filters: %llu", &v) == 1)
		s->seccomp_filters = (unsigned long)v;
	else if (sscanf(line, "SigIgn: %llx", &v) == 1)
		s->sig_ignored = v;
	else if (sscanf(line, "CapBnd: %llx", &v) == 1) {
		s->cap_bounding = v;
		s->has_bounding = true;
	}
}

static int read_status(pid_t pid, struct status *ret)
{
	_cleanup_(freep) char *text = NULL;
	struct status s = { .umask_ = 022 };
	char *save = NULL;
	int r = read_proc(pid, "status", &text);

	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		parse_status_line(line, &s);
	if (!s.has_uids || !s.has_bounding)
		return -ENODATA;
	*ret = s;
	return 0;
}

/* ---- is it confined? --------------------------------------------------------------------------------------------------- */

static bool is_same_namespace(pid_t pid, const char *kind)
{
	_cleanup_(freep) char *his = str_format("/proc/%d/ns/%s", (int)pid, kind);
	_cleanup_(freep) char *ours = str_format("/proc/self/ns/%s", kind);
	struct stat a, b;

	return his && ours && stat(his, &a) == 0 && stat(ours, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A label of SELinux or AppArmor other than ours. Kernels without either have no file, or an empty one. */
static bool is_same_label(pid_t pid)
{
	_cleanup_(freep) char *his = NULL, *ours = NULL;
	int a = read_proc(pid, "attr/current", &his), b = read_proc(getpid(), "attr/current", &ours);

	if (a < 0 && b < 0)
		return true;
	if (a < 0 || b < 0)
		return false;
	if (str_has_prefix(his, "unconfined") || str_has_prefix(his, "kernel"))
		return true;
	return str_eq(his, ours);
}

static int check_confinement(pid_t pid, const struct status *his, char **ret_error)
{
	static const struct {
		const char *kind, *what;
	} spaces[] = {
		{ "user", "a user namespace" }, { "pid", "a process namespace" }, { "mnt", "a mount namespace" },
		{ "uts", "a host name" },       { "ipc", "an IPC namespace" },
	};
	struct status ours;
	int r = read_status(getpid(), &ours);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
		if (is_same_namespace(pid, spaces[i].kind))
			continue;
		*ret_error = str_format("nsvpn was called from a container or sandbox (it has %s of its own), which the program "
					"would leave; call it from outside of that",
					spaces[i].what);
		return -EPERM;
	}
	if (his->seccomp_filters > ours.seccomp_filters) {
		*ret_error = strdup("nsvpn was called from a sandbox (a system call filter), which the program would leave; call "
				    "it from outside of that");
		return -EPERM;
	}
	if (!is_same_label(pid)) {
		*ret_error = strdup("nsvpn was called from a process that is confined by AppArmor or SELinux, which the program "
				    "would leave; call it from an unconfined one");
		return -EPERM;
	}
	return 0;
}

/* ---- taking over ------------------------------------------------------------------------------------------------------- */

/*
 * /proc/PID/limits: a name of up to 26 columns, soft, hard. prlimit() would be simpler, but asks for CAP_SYS_RESOURCE, which
 * containers often withhold; for the same reason only what differs is set.
 */
static const struct {
	const char *name;
	int resource;
} limits[] = {
	{ "Max cpu time", RLIMIT_CPU },          { "Max file size", RLIMIT_FSIZE },
	{ "Max data size", RLIMIT_DATA },        { "Max stack size", RLIMIT_STACK },
	{ "Max core file size", RLIMIT_CORE },   { "Max resident set", RLIMIT_RSS },
	{ "Max processes", RLIMIT_NPROC },       { "Max open files", RLIMIT_NOFILE },
	{ "Max locked memory", RLIMIT_MEMLOCK }, { "Max address space", RLIMIT_AS },
	{ "Max file locks", RLIMIT_LOCKS },      { "Max pending signals", RLIMIT_SIGPENDING },
	{ "Max msgqueue size", RLIMIT_MSGQUEUE }, { "Max nice priority", RLIMIT_NICE },
	{ "Max realtime priority", RLIMIT_RTPRIO }, { "Max realtime timeout", RLIMIT_RTTIME },
};

static int parse_limit(const char *s, rlim_t *ret)
{
	unsigned long long v;

	if (str_eq(s, "unlimited")) {
		*ret = RLIM_INFINITY;
		return 0;
	}
	if (sscanf(s, "%llu", &v) != 1)
		return -EBADMSG;
	*ret = (rlim_t)v;
	return 0;
}

static int adopt_limit(int resource, char *values)
{
	const char *soft = str_next_word(&values), *hard = str_next_word(&values);
	struct rlimit his, ours;

	if (!soft || !hard || parse_limit(soft, &his.rlim_cur) < 0 || parse_limit(hard, &his.rlim_max) < 0)
		return -EBADMSG;
	if (getrlimit((__rlimit_resource_t)resource, &ours) == 0 && ours.rlim_cur == his.rlim_cur &&
	    ours.rlim_max == his.rlim_max)
		return 0;
	return setrlimit((__rlimit_resource_t)resource, &his) < 0 ? -errno : 0;
}

static int adopt_limits(pid_t pid)
{
	_cleanup_(freep) char *text = NULL;
	char *save = NULL;
	size_t found = 0;
	int r = read_proc(pid, "limits", &text);

	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
			if (!str_has_prefix(line, limits[i].name) || line[strlen(limits[i].name)] != ' ')
				continue;
			found++;
			r = adopt_limit(limits[i].resource, line + strlen(limits[i].name));
			if (r < 0)
				return r;
		}
	return found == ARRAY_SIZE(limits) ? 0 : -ENODATA;
}

static int adopt_scheduling(pid_t pid)
{
	struct sched_param param = { 0 };
	cpu_set_t cpus;
	int policy, nice;
	long io;

	errno = 0;
	nice = getpriority(PRIO_PROCESS, (id_t)pid);
	if (errno != 0 || setpriority(PRIO_PROCESS, 0, nice) < 0)
		return -errno;
	policy = sched_getscheduler(pid);
	if (policy < 0 || sched_getparam(pid, &param) < 0 || sched_setscheduler(0, policy, &param) < 0)
		return -errno;
	if (sched_getaffinity(pid, sizeof(cpus), &cpus) == 0 && sched_setaffinity(0, sizeof(cpus), &cpus) < 0)
		return -errno;
	io = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid);
	if (io >= 0)
		(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, (int)io); /* a hint to the disk's queue */
	return 0;
}

static int write_self(const char *name, const char *text)
{
	_cleanup_(freep) char *path = str_format("/proc/self/%s", name);
	_cleanup_(closep) int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -ENOMEM;

	return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

/* Values that /proc shows and takes. Those of kernels or containers that do not allow it stay as PID 1 made them. */
static int adopt_proc(pid_t pid)
{
	_cleanup_(freep) char *oom = NULL, *login = NULL, *slack = NULL;
	unsigned long long ns;

	if (read_proc(pid, "oom_score_adj", &oom) == 0) {
		int r = write_self("oom_score_adj", oom);

		if (r < 0)
			return r;
	}
	if (read_proc(pid, "loginuid", &login) == 0)
		(void)write_self("loginuid", login); /* set once only, and not in every container: audit's, not ours */
	if (read_proc(pid, "timerslack_ns", &slack) == 0 && sscanf(slack, "%llu", &ns) == 1 && ns > 0)
		(void)prctl(PR_SET_TIMERSLACK, (unsigned long)ns, 0, 0, 0); /* cannot fail */
	return 0;
}

static int adopt_bounding(unsigned long long bounding)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (cap < 64 && !(bounding & 1ULL << cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

/* nohup's ignored SIGHUP is inherited; everything else is as for a fresh program. */
static void adopt_signals(unsigned long long ignored)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)signal(sig, sig <= 64 && (ignored & 1ULL << (sig - 1)) ? SIG_IGN : SIG_DFL); /* libc's own: refused */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* both fail for wrong arguments only */
}

/* *ret_what: what could not be taken over. */
static int adopt(pid_t pid, const struct status *s, const char **ret_what)
{
	int r;

	*ret_what = "priority and processors";
	r = adopt_scheduling(pid);
	if (r >= 0) {
		*ret_what = "out-of-memory score";
		r = adopt_proc(pid);
	}
	if (r >= 0) {
		*ret_what = "bounding set of capabilities";
		r = adopt_bounding(s->cap_bounding);
	}
	if (r >= 0) {
		*ret_what = "limits";
		r = adopt_limits(pid);
	}
	if (r >= 0 && s->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r < 0)
		return r;
	(void)umask((mode_t)s->umask_ & 0777); /* returns the old one */
	adopt_signals(s->sig_ignored);
	return 0;
}

static bool has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) != 0;
}

static int check_uids(const struct status *s, uid_t uid)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->uids); i++)
		if (s->uids[i] != uid)
			return -EPERM;
	return 0;
}

/* It may have become a setuid program in between, whose limits are not the user's. */
static int check_again(pid_t pid, uid_t uid, const char **ret_what)
{
	struct status s;
	int r = read_status(pid, &s);

	*ret_what = "identity";
	return r < 0 ? r : check_uids(&s, uid);
}

int attributes_adopt(pid_t pid, uid_t uid, char **ret_error)
{
	_cleanup_(closep) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	const char *what = "identity";
	struct status s;
	char *error = NULL;
	int r;

	r = pidfd < 0 ? -errno : read_status(pid, &s);
	if (r >= 0)
		r = check_uids(&s, uid);
	if (r >= 0)
		r = check_confinement(pid, &s, &error);
	if (r >= 0)
		r = adopt(pid, &s, &what);
	if (r >= 0)
		r = check_again(pid, uid, &what);
	if (r >= 0 && has_ended(pidfd))
		r = -ESRCH;
	if (r < 0)
		*ret_error = error ? error :
				     str_format("the %s of the calling process %d cannot be taken over: %s", what, (int)pid,
						strerror(-r));
	return r;
}

void attributes_new_keyring(void)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0)
		(void)syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING);
}
