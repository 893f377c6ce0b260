/* Parent of a user's program; contract and theory in supervise.h. */
#include "launch/supervise.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/bus-api.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/launch-api.h"

struct state {
	const struct supervise *s;
	int control;  /* -EBADF: nsvpn is gone */
	int terminal; /* the controlling one, or -EBADF */
	int signals;  /* signalfd */
	pid_t child;
	bool ended;
	int status;   /* of waitpid() */
	bool ignores_children; /* who asked ignores SIGCHLD, and so will the program */
};

/* ---- telling ---------------------------------------------------------------------------------------------------------- */

static void tell(int control, enum launch_message_type type, int value, const char *text)
{
	struct {
		struct launch_message m;
		char text[LAUNCH_TEXT_MAX];
	} out = { .m = { .type = type, .value = value } };
	size_t len = text ? strnlen(text, sizeof(out.text)) : 0;

	if (control < 0)
		return;
	memcpy(out.text, text ? text : "", len);
	/* Whoever does not listen any more need not be told. */
	(void)send(control, &out, sizeof(out.m) + len, MSG_NOSIGNAL);
}

void supervise_fail(int control, int code, const char *sentence)
{
	tell(control, LAUNCH_FAILED, code, sentence);
}

/* ---- starting --------------------------------------------------------------------------------------------------------- */

/* PID 1 made us leader of a session; a test may not have. */
static int take_terminal(struct state *st)
{
	(void)setsid(); /* fails when it is so already */
	if (!st->s->terminal)
		return 0;
	for (int fd = 0; fd <= 2; fd++) {
		if (!isatty(fd))
			continue;
		if (ioctl(fd, TIOCSCTTY, 0) < 0)
			return -errno;
		st->terminal = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return st->terminal < 0 ? -errno : 0;
	}
	return -ENOTTY;
}

/* Both sides do this, so that neither has to wait for the other. */
static void make_group(const struct state *st, pid_t pid, bool foreground)
{
	(void)setpgid(pid, pid); /* fails in the parent once the child has exec'ed: then the child did it */
	if (st->terminal >= 0 && foreground)
		(void)tcsetpgrp(st->terminal, pid);
}

struct report {
	int code;
	char text[LAUNCH_TEXT_MAX];
};

static _noreturn_ void be_program(const struct state *st, int report_fd)
{
	struct report report = { .code = EXIT_CODE_EXEC_FAILED };
	char *error = NULL;
	sigset_t none;

	make_group(st, getpid(), !st->s->background); /* SIGTTOU is still blocked */
	if (st->ignores_children)
		(void)signal(SIGCHLD, SIG_IGN); /* cannot fail: a valid signal */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail: a valid set */
	report.code = st->s->run(st->s->userdata, &error);
	if (error)
		(void)strncpy(report.text, error, sizeof(report.text) - 1);
	(void)fd_write_full(report_fd, &report, sizeof(report)); /* the parent reads until end of file */
	_exit(report.code);
}

/* The supervisor holds no stream open: a reader of the program's output sees its end when the program closes it. */
static int let_go_of_streams(void)
{
	_cleanup_(closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	return 0;
}

/* 0: it runs. An exit code: it did not start, and nsvpn was told. */
static int start(struct state *st)
{
	struct report report;
	int fds[2];
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return EXIT_CODE_EXEC_FAILED;
	st->child = fork();
	if (st->child == 0)
		be_program(st, fds[1]);
	(void)close(fds[1]); /* so that the read below ends */
	if (st->child < 0) {
		tell(st->control, LAUNCH_FAILED, EXIT_CODE_EXEC_FAILED,
		     errno == EAGAIN ? "no process can be started: your limit of processes (ulimit -u) is reached" :
				       "no process can be started");
		(void)close(fds[0]);
		return EXIT_CODE_EXEC_FAILED;
	}
	make_group(st, st->child, !st->s->background);
	(void)let_go_of_streams(); /* without it the program's reader only waits a little longer */
	n = fd_read_full(fds[0], &report, sizeof(report));
	(void)close(fds[0]);
	if (n != sizeof(report)) {
		tell(st->control, LAUNCH_STARTED, st->child, NULL);
		return 0;
	}
	report.text[sizeof(report.text) - 1] = '\0';
	tell(st->control, LAUNCH_FAILED, report.code, report.text);
	(void)waitpid(st->child, NULL, 0);
	return report.code;
}

/* ---- watching --------------------------------------------------------------------------------------------------------- */

static void signal_group(const struct state *st, int sig)
{
	/* A program that has just ended cannot be signalled, which is as good. */
	(void)kill(-st->child, sig);
}

static void on_child(struct state *st)
{
	int status;

	while (!st->ended && waitpid(st->child, &status, WNOHANG | WUNTRACED | WCONTINUED) > 0) {
		if (WIFSTOPPED(status)) {
			tell(st->control, LAUNCH_STOPPED, WSTOPSIG(status), NULL);
		} else if (WIFCONTINUED(status)) {
			tell(st->control, LAUNCH_CONTINUED, 0, NULL);
		} else {
			st->ended = true;
			st->status = status;
		}
	}
}

static void on_signals(struct state *st)
{
	struct signalfd_siginfo si;

	while (read(st->signals, &si, sizeof(si)) == sizeof(si))
		continue; /* only SIGCHLD means something, and waitpid() knows more */
	on_child(st);
}

static void on_hangup(struct state *st)
{
	st->control = -EBADF;
	signal_group(st, SIGHUP);
	signal_group(st, SIGCONT); /* a stopped one could not hear it */
}

static void on_control(struct state *st)
{
	struct launch_message m;
	ssize_t n = recv(st->control, &m, sizeof(m), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(m)) {
		on_hangup(st);
		return;
	}
	if (m.type != LAUNCH_SIGNAL || m.value <= 0 || m.value >= NSIG)
		return;
	if (m.value == SIGCONT && st->terminal >= 0)
		(void)tcsetpgrp(st->terminal, st->child); /* a terminal that is gone needs no foreground */
	signal_group(st, m.value);
}

static void watch(struct state *st)
{
	while (!st->ended) {
		struct pollfd p[] = { { .fd = st->signals, .events = POLLIN }, { .fd = st->control, .events = POLLIN } };

		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue; /* interrupted: look again */
		if (p[0].revents)
			on_signals(st);
		if (p[1].revents && st->control >= 0 && !st->ended)
			on_control(st);
	}
}

int supervise(const struct supervise *s)
{
	struct state st = { .s = s, .control = s->control, .terminal = -EBADF, .signals = -EBADF };
	sigset_t all;
	int r;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL); /* cannot fail: a valid set */
	/* Taken over from the caller, it would have the kernel reap the program, and nobody would hear of its end. */
	st.ignores_children = signal(SIGCHLD, SIG_DFL) == SIG_IGN;
	r = take_terminal(&st);
	if (r >= 0)
		r = st.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r < 0) {
		tell(st.control, LAUNCH_FAILED, EXIT_CODE_EXEC_FAILED, "the terminal cannot be taken over by the program");
		return EXIT_CODE_EXEC_FAILED;
	}
	r = start(&st);
	if (r != 0)
		return r;
	watch(&st);
	tell(st.control, LAUNCH_EXITED, st.status, NULL);
	return WIFSIGNALED(st.status) ? 128 + WTERMSIG(st.status) : WEXITSTATUS(st.status);
}
