/* Start, watch and end an engine; theory in engine-proc.h. */
#include "daemon/engine-proc.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/process.h"
#include "base/str.h"

/*
 * No engine holds up the others or the bus, however much it asks for: what its messages cost the helper is added up, half
 * of the time that passes is taken off, and who owes too much is not listened to for a while. An honest engine never
 * comes near.
 */
#define MESSAGES_PER_WAKEUP 16
#define WAKEUP_MAX (50 * USEC_PER_MSEC)
#define DEBT_MAX (300 * USEC_PER_MSEC)
#define MESSAGE_COST 500 /* at least, in usec: what a message costs others (log, bus, clients) is not measured here */
#define END_PATIENCE_MSEC 1000
#define STDERR_LINES_MAX 64 /* of one engine; more is noise */

struct engine_proc {
	pid_t pid;
	int pidfd, sock, err;
	bool reaped, closed_told;
	bool adopted; /* not our child */
	unsigned stderr_lines;
	usec_t debt, debt_at;
	const struct engine_spawn *spawn;
	const struct engine_proc_events *events;
	void *userdata;
	sd_event *event;
	sd_event_source *on_sock, *on_pidfd, *on_err, *deadline, *pause;
};

/* ---- the real child ------------------------------------------------------------------------------------------------ */

/*
 * What the engine may still do between exec and HELLO. CAP_DAC_OVERRIDE is for exec itself: a build tree below /root is
 * closed to every other user.
 */
static const int engine_caps[] = { CAP_SYS_ADMIN, CAP_SETPCAP, CAP_DAC_OVERRIDE };

struct child {
	uid_t uid;
	gid_t gid;
	bool stays; /* rootless: there is no other user */
	bool fresh_netns;
};

/* Becomes the user and keeps, through exec, no more of the helper's capabilities than the list (the ambient set). */
static int become_engine(const struct child *c)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[2], keep[2] = { 0 };

	if (syscall(SYS_capget, &header, have) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(engine_caps); i++) {
		unsigned word = (unsigned)engine_caps[i] / 32, bit = 1U << (engine_caps[i] % 32);

		keep[word].permitted |= have[word].permitted & bit; /* a container may not have them all */
	}
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++)
		keep[i].effective = keep[i].inheritable = keep[i].permitted;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (cap < 64 && (keep[cap / 32].permitted & 1U << (cap % 32)))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	}
	if (!c->stays && (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
			  setresgid(c->gid, c->gid, c->gid) < 0 || setresuid(c->uid, c->uid, c->uid) < 0))
		return -errno;
	if (syscall(SYS_capset, &header, keep) < 0)
		return -errno;
	for (int cap = 0; cap < 64; cap++)
		if ((keep[cap / 32].permitted & 1U << (cap % 32)) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -errno;
	return 0;
}

static int prepare_child(void *userdata)
{
	const struct child *c = userdata;
	struct rlimit none = { 0, 0 }, files = { 64, 64 };

	/* uplink=socket: the transport socket lives elsewhere, so the engine's own namespace has not even lo. */
	if (c->fresh_netns && unshare(CLONE_NEWNET) < 0)
		return -errno;
	if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	return become_engine(c);
}

static int real_start(void *userdata, int sock, int err, int netns_fd, pid_t *ret_pid, int *ret_pidfd)
{
	_cleanup_(freep) char *path = place_program("nsvpn-engine");
	char *argv[] = { "nsvpn-engine", NULL };
	char *envp[] = { NULL };
	struct fd_map map[] = { { sock, IPC_ENGINE_FD }, { err, 2 } };
	struct child c = { .fresh_netns = netns_fd < 0, .stays = place_is_rootless() };
	struct spawn s = {
		.path = path,
		.argv = argv,
		.envp = envp,
		.map = map,
		.n_map = ARRAY_SIZE(map),
		.netns_fd = netns_fd,
		.new_session = true,
		.pdeathsig = userdata ? 0 : SIGKILL, /* engine_spawn_lasting */
		.prepare = prepare_child,
		.userdata = &c,
	};

	if (!path)
		return -ENOMEM;
	engine_proc_ids(&c.uid, &c.gid);
	return process_spawn(&s, ret_pid, ret_pidfd);
}

static int real_verify(void *userdata _unused_, pid_t pid)
{
	return engine_proc_verify_sandbox(pid);
}

const struct engine_spawn engine_spawn_real = { .start = real_start, .verify = real_verify };
const struct engine_spawn engine_spawn_lasting = { .start = real_start, .verify = real_verify, .userdata = "lasting" };

/* ---- who it becomes, and whether it did ------------------------------------------------------------------------- */

/* In the range that systemd hands out for a moment and no administrator for long. */
#define FREE_ID_MIN 61184
#define FREE_ID_MAX 65519

void engine_proc_ids(uid_t *ret_uid, gid_t *ret_gid)
{
	bool used[FREE_ID_MAX - FREE_ID_MIN + 1] = { false };
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *pw;
	uid_t id = FREE_ID_MAX;

	while (f && (pw = fgetpwent(f))) {
		if (str_eq(pw->pw_name, "nsvpn-engine") && pw->pw_uid != 0 && pw->pw_gid != 0) {
			*ret_uid = pw->pw_uid;
			*ret_gid = pw->pw_gid;
			(void)fclose(f); /* only read */
			return;
		}
		if (pw->pw_uid >= FREE_ID_MIN && pw->pw_uid <= FREE_ID_MAX)
			used[pw->pw_uid - FREE_ID_MIN] = true;
		if (pw->pw_gid >= FREE_ID_MIN && pw->pw_gid <= FREE_ID_MAX)
			used[pw->pw_gid - FREE_ID_MIN] = true;
	}
	if (f)
		(void)fclose(f); /* only read */
	while (id > FREE_ID_MIN && used[id - FREE_ID_MIN])
		id--;
	*ret_uid = id;
	*ret_gid = id;
}

static int read_proc(pid_t pid, const char *file, char **ret)
{
	_cleanup_(freep) char *path = str_format("/proc/%d/%s", pid, file);
	_cleanup_(closep) int fd = -EBADF;
	_cleanup_(freep) char *text = NULL;
	ssize_t n;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	text = calloc(1, 8192);
	if (!text)
		return -ENOMEM;
	n = fd_read_full(fd, text, 8191);
	if (n < 0)
		return (int)n;
	*ret = TAKE_PTR(text);
	return 0;
}

static bool line_is(const char *status, const char *key, const char *value)
{
	const char *p = strstr(status, key);

	if (!p)
		return false;
	p += strlen(key);
	p += strspn(p, "\t ");
	return strncmp(p, value, strlen(value)) == 0 && p[strlen(value)] == '\n';
}

int engine_proc_verify_sandbox(pid_t pid)
{
	static const char zero[] = "0000000000000000";
	_cleanup_(freep) char *status = NULL;
	unsigned uid[4];
	const char *p;
	int r;

	r = read_proc(pid, "status", &status);
	if (r < 0)
		return r;
	if (!line_is(status, "\nCapEff:", zero) || !line_is(status, "\nCapPrm:", zero) ||
	    !line_is(status, "\nCapInh:", zero) || !line_is(status, "\nNoNewPrivs:", "1") ||
	    !line_is(status, "\nSeccomp:", "2"))
		return -EPERM;
	p = strstr(status, "\nUid:");
	if (!p || sscanf(p, "\nUid: %u %u %u %u", &uid[0], &uid[1], &uid[2], &uid[3]) != 4)
		return -EPERM;
	for (size_t i = 0; i < ARRAY_SIZE(uid); i++)
		if (uid[i] == 0)
			return -EPERM;
	return 0;
}

char *engine_proc_describe(int status, char *buf, size_t cap)
{
	if (status == ENGINE_STATUS_UNKNOWN)
		(void)snprintf(buf, cap, "ended");
	else if (status == 0)
		(void)snprintf(buf, cap, "ended by itself");
	else if (status > 128)
		(void)snprintf(buf, cap, "was killed by signal %d (%s)", status - 128, strsignal(status - 128));
	else
		(void)snprintf(buf, cap, "ended with status %d", status);
	return buf;
}

/* ---- the note for the next helper ------------------------------------------------------------------------------- */

/* Field 22 of /proc/PID/stat, clock ticks since boot: with it a process number names one process for ever. */
static int start_time(pid_t pid, uint64_t *ret)
{
	_cleanup_(freep) char *stat = NULL;
	char *p;
	int r;

	r = read_proc(pid, "stat", &stat);
	if (r < 0)
		return r;
	p = strrchr(stat, ')'); /* the command name may contain anything */
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
			 ret) != 1)
		return -EBADMSG;
	return 0;
}

static char *note_path(const char *name)
{
	return str_format("%s/%s.engine", place_run(), name);
}

void engine_proc_note(const char *name, pid_t pid)
{
	_cleanup_(freep) char *path = note_path(name);
	char text[64];
	uint64_t start;

	if (!path)
		return;
	if (pid == 0) {
		(void)unlink(path); /* absent is what is wanted */
		return;
	}
	if (start_time(pid, &start) < 0)
		return;
	(void)snprintf(text, sizeof(text), "%d %" PRIu64 "\n", pid, start);
	/* Without the note only the rare case above stays unrepaired. */
	(void)file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600);
}

void engine_proc_end_stale(const char *name)
{
	_cleanup_(freep) char *path = note_path(name), *text = NULL;
	_cleanup_(closep) int pidfd = -EBADF;
	uint64_t noted, start;
	size_t len;
	pid_t pid;

	if (!path || file_read(AT_FDCWD, path, 64, &text, &len) < 0)
		return;
	if (sscanf(text, "%d %" SCNu64, &pid, &noted) == 2 && pid > 1) {
		/* The pidfd first: what start_time() then says is about the process that the signal will reach. */
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (pidfd >= 0 && start_time(pid, &start) >= 0 && start == noted)
			(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0); /* it may have ended just now */
	}
	(void)unlink(path); /* absent is what is wanted */
}

/* ---- the parent's side -------------------------------------------------------------------------------------------- */

static void tell_closed(struct engine_proc *e, const char *why)
{
	if (e->closed_told)
		return;
	e->closed_told = true;
	e->on_sock = sd_event_source_disable_unref(e->on_sock);
	e->pause = sd_event_source_disable_unref(e->pause);
	e->sock = fd_close(e->sock);
	e->events->closed(e->userdata, why);
}

static void send_kill(struct engine_proc *e)
{
	if (!e->reaped)
		(void)syscall(SYS_pidfd_send_signal, e->pidfd, SIGKILL, NULL, 0); /* it may have ended meanwhile */
}

void engine_proc_kill(struct engine_proc *e, const char *why)
{
	send_kill(e);
	tell_closed(e, why);
}

static int on_pause_over(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct engine_proc *e = userdata;

	e->pause = sd_event_source_disable_unref(e->pause);
	(void)sd_event_source_set_enabled(e->on_sock, SD_EVENT_ON); /* there as long as the pause is */
	return 0;
}

/* Since `began` the helper worked for this engine, on so many messages. */
static void account(struct engine_proc *e, usec_t began, unsigned n)
{
	usec_t now = clock_boottime(), forgiven = (now - e->debt_at) / 2;

	e->debt = (e->debt > forgiven ? e->debt - forgiven : 0) + MAX(now - began, (usec_t)n * MESSAGE_COST);
	e->debt_at = now;
	if (e->closed_told || e->debt < DEBT_MAX)
		return;
	if (sd_event_add_time_relative(e->event, &e->pause, CLOCK_BOOTTIME, e->debt, 0, on_pause_over, e) >= 0)
		(void)sd_event_source_set_enabled(e->on_sock, SD_EVENT_OFF); /* cannot fail on a live source */
}

/* One message. False: no more for now. */
static bool handle_message(struct engine_proc *e)
{
	struct ipc_msg m;
	int fds[8];
	size_t n_fds = 0;
	int r;

	r = ipc_recv(e->sock, &m, fds, &n_fds);
	if (r == -ECONNRESET) /* it ended without reading our last message: said once, and what it sent is still there */
		r = ipc_recv(e->sock, &m, fds, &n_fds);
	if (r == -EAGAIN || r == -EINTR)
		return false;
	if (r == 0 || r == -ECONNRESET) {
		/* Without this socket it has no job. One that was told to stop may still be saying goodbye. */
		if (!e->deadline)
			send_kill(e);
		tell_closed(e, "closed its control socket");
		return false;
	}
	if (r > 0)
		for (size_t k = 0; k < n_fds; k++)
			fd_close(fds[k]);
	if (r < 0 || n_fds > 0) {
		engine_proc_kill(e, "sent a malformed message");
		return false;
	}
	r = e->events->message(e->userdata, &m);
	if (r < 0)
		engine_proc_kill(e, "sent a request that is not allowed at this point");
	return !e->closed_told;
}

static int on_socket(sd_event_source *s _unused_, int fd _unused_, uint32_t revents _unused_, void *userdata)
{
	struct engine_proc *e = userdata;
	usec_t began = clock_boottime();
	unsigned n = 0;

	while (n++ < MESSAGES_PER_WAKEUP && handle_message(e) && clock_boottime() - began < WAKEUP_MAX)
		;
	account(e, began, n);
	return 0;
}

static int on_stderr(sd_event_source *s _unused_, int fd, uint32_t revents _unused_, void *userdata)
{
	struct engine_proc *e = userdata;
	char buf[1024];
	char *rest = buf, *line;
	ssize_t n;

	n = read(fd, buf, sizeof(buf) - 1);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		e->on_err = sd_event_source_disable_unref(e->on_err);
		return 0;
	}
	buf[n] = 0;
	while ((line = strsep(&rest, "\n"))) {
		_cleanup_(freep) char *clean = str_escape(line, strlen(line), 400);

		if (clean && *clean && e->stderr_lines++ < STDERR_LINES_MAX)
			e->events->stderr_line(e->userdata, clean);
	}
	return 0;
}

static int on_exit_of_process(sd_event_source *s _unused_, int fd _unused_, uint32_t revents _unused_, void *userdata)
{
	struct engine_proc *e = userdata;
	int status;

	e->on_pidfd = sd_event_source_disable_unref(e->on_pidfd);
	e->deadline = sd_event_source_disable_unref(e->deadline);
	status = e->adopted ? ENGINE_STATUS_UNKNOWN : process_wait(e->pid);
	e->reaped = true;
	/* Its last words, also when it was not listened to just now. */
	for (unsigned n = 0; n < MESSAGES_PER_WAKEUP && !e->closed_told && handle_message(e); n++)
		;
	if (e->on_err)
		(void)on_stderr(NULL, e->err, 0, e);
	tell_closed(e, "died");
	e->events->exited(e->userdata, status); /* may free e */
	return 0;
}

static int on_patience_over(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct engine_proc *e = userdata;

	e->deadline = sd_event_source_disable_unref(e->deadline);
	engine_proc_kill(e, NULL);
	return 0;
}

static int watch(struct engine_proc *e)
{
	int r;

	r = sd_event_add_io(e->event, &e->on_sock, e->sock, EPOLLIN, on_socket, e);
	if (r < 0)
		return r;
	/* What it said before it died is heard before its death. */
	r = sd_event_source_set_priority(e->on_sock, SD_EVENT_PRIORITY_NORMAL - 1);
	if (r < 0)
		return r;
	r = sd_event_add_io(e->event, &e->on_pidfd, e->pidfd, EPOLLIN, on_exit_of_process, e);
	if (r < 0)
		return r;
	return sd_event_add_io(e->event, &e->on_err, e->err, EPOLLIN, on_stderr, e);
}

int engine_proc_start(struct engine_proc **ret, sd_event *event, const struct engine_spawn *spawn, int netns_fd,
		      const struct engine_proc_events *events, void *userdata)
{
	_cleanup_(engine_proc_freep) struct engine_proc *e = calloc(1, sizeof(*e));
	_cleanup_(closep) int theirs = -EBADF, their_err = -EBADF;
	int pair[2], err[2], r;

	if (!e)
		return -ENOMEM;
	*e = (struct engine_proc){
		.pidfd = -EBADF, .sock = -EBADF, .err = -EBADF, .reaped = true,
		.spawn = spawn, .events = events, .userdata = userdata, .event = sd_event_ref(event),
	};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	e->sock = pair[0];
	theirs = pair[1];
	if (pipe2(err, O_CLOEXEC) < 0)
		return -errno;
	e->err = err[0];
	their_err = err[1];
	r = fd_set_nonblock(e->sock, true);
	if (r >= 0)
		r = fd_set_nonblock(e->err, true);
	if (r >= 0)
		r = spawn->start(spawn->userdata, theirs, their_err, netns_fd, &e->pid, &e->pidfd);
	if (r < 0)
		return r;
	e->reaped = false;
	r = watch(e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(e);
	return 0;
}

/* The process that a pidfd is of, as our /proc numbers it. -ESRCH: it has ended. */
static int pidfd_to_pid(int pidfd, pid_t *ret)
{
	_cleanup_(freep) char *path = str_format("/proc/self/fdinfo/%d", pidfd), *text = NULL;
	const char *p;
	size_t len;
	int r, pid;

	if (!path)
		return -ENOMEM;
	r = file_read(AT_FDCWD, path, 4096, &text, &len);
	if (r < 0)
		return r;
	p = strstr(text, "Pid:");
	if (!p || sscanf(p, "Pid: %d", &pid) != 1)
		return -EBADF;
	if (pid <= 0)
		return -ESRCH;
	*ret = pid;
	return 0;
}

int engine_proc_adopt(struct engine_proc **ret, sd_event *event, const struct engine_spawn *spawn, int pidfd, int sock, int err,
		      const struct engine_proc_events *events, void *userdata)
{
	struct engine_proc *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	*e = (struct engine_proc){
		.pidfd = pidfd, .sock = sock, .err = err, .adopted = true,
		.spawn = spawn, .events = events, .userdata = userdata, .event = sd_event_ref(event),
	};
	r = pidfd_to_pid(pidfd, &e->pid);
	if (r >= 0)
		r = spawn->verify(spawn->userdata, e->pid);
	if (r >= 0)
		r = watch(e);
	if (r < 0) {
		e->pidfd = e->sock = e->err = -EBADF; /* still the caller's */
		engine_proc_release(e);
		return r;
	}
	*ret = e;
	return 0;
}

void engine_proc_release(struct engine_proc *e)
{
	if (!e)
		return;
	e->reaped = true; /* not for us to do */
	engine_proc_free(e);
}

int engine_proc_fd(const struct engine_proc *e, enum engine_fd which)
{
	if (!e)
		return -EBADF;
	return which == ENGINE_FD_SOCKET ? e->sock : which == ENGINE_FD_PIDFD ? e->pidfd : e->err;
}

/* A child is reaped; another helper's is waited for, so that what it held is free. */
static void await_end(struct engine_proc *e)
{
	struct pollfd p = { .fd = e->pidfd, .events = POLLIN };

	if (!e->adopted)
		(void)process_wait(e->pid); /* how it ended is of no interest here */
	else
		(void)poll(&p, 1, END_PATIENCE_MSEC); /* SIGKILL was sent: nothing more can be done */
}

struct engine_proc *engine_proc_free(struct engine_proc *e)
{
	if (!e)
		return NULL;
	sd_event_source_disable_unref(e->on_sock);
	sd_event_source_disable_unref(e->on_pidfd);
	sd_event_source_disable_unref(e->on_err);
	sd_event_source_disable_unref(e->deadline);
	sd_event_source_disable_unref(e->pause);
	if (!e->reaped) {
		send_kill(e);
		await_end(e);
	}
	fd_close(e->sock);
	fd_close(e->err);
	fd_close(e->pidfd);
	sd_event_unref(e->event);
	free(e);
	return NULL;
}

pid_t engine_proc_pid(const struct engine_proc *e)
{
	return e && !e->reaped ? e->pid : 0;
}

int engine_proc_verify(const struct engine_proc *e)
{
	return e->spawn->verify(e->spawn->userdata, e->pid);
}

int engine_proc_send(struct engine_proc *e, const struct ipc_msg *m, const int *fds, size_t n_fds)
{
	if (e->sock < 0)
		return -EPIPE;
	return ipc_send(e->sock, m, fds, n_fds);
}

void engine_proc_stop(struct engine_proc *e, usec_t patience)
{
	struct ipc_msg m = { .type = IPC_CMD_STOP };
	int r;

	r = engine_proc_send(e, &m, NULL, 0);
	if (r >= 0 && !e->deadline)
		r = sd_event_add_time_relative(e->event, &e->deadline, CLOCK_BOOTTIME, patience, 0, on_patience_over, e);
	if (r < 0)
		engine_proc_kill(e, NULL);
}
