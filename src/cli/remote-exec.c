/*
 * The part of a user's `nsvpn exec` that stays in the user's shell.
 *
 * Theory. To the shell we are the program: we get its signals, stop when it stops, and end as it ends. All signals that mean
 * something are blocked and read from a signalfd, so nothing runs in a handler and the terminal's mode is restored on every
 * way out. What happens to the program is told by its supervisor over the control socket (base/launch-api.h); nsvpnd is not
 * part of it any more once it has answered.
 *
 *   Ctrl-Z, stop    the program's own terminal stops it; the supervisor says STOPPED; we give the terminal back and stop
 *                   ourselves by the same signal; SIGCONT (fg, bg) is passed on.
 *   hang-up         we leave at once; the control socket closes, and the supervisor sends SIGHUP.
 *   other signals   are passed on.
 */
#include "cli/remote-exec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/launch-api.h"
#include "base/str.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "launch/request.h"

#define CALL_TIMEOUT (150 * USEC_PER_SEC) /* somebody may have to type a password for polkit */

struct remote {
	const struct remote_exec *x;
	struct terminal *terminal; /* NULL: none of the streams is one */
	int control;
	int signals;
	sigset_t old;
	bool is_over;
	int code;
};

/* ---- asking ------------------------------------------------------------------------------------------------------------- */

static int append_flag(sd_bus_message *m, const char *name, bool on)
{
	return on ? sd_bus_message_append(m, "{sv}", name, "b", true) : 0;
}

static int build_call(const struct remote *s, sd_bus_message *m, int request, int cwd, int control)
{
	bool background = s->terminal && !terminal_is_foreground(s->terminal);
	int r;

	r = sd_bus_message_append(m, "shhhhhh", s->x->tunnel, request, cwd, terminal_stream(s->terminal, 0),
				  terminal_stream(s->terminal, 1), terminal_stream(s->terminal, 2), control);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "{sv}");
	if (r >= 0)
		r = append_flag(m, "isolate", s->x->isolate);
	if (r >= 0)
		r = append_flag(m, "no-new-privs", s->x->no_new_privs);
	if (r >= 0)
		r = append_flag(m, "terminal", s->terminal);
	if (r >= 0)
		r = append_flag(m, "background", background);
	return r >= 0 ? sd_bus_message_close_container(m) : r;
}

/* An exit code; *control is our end of the control socket. */
static int ask(struct remote *s, struct client *c)
{
	_cleanup_(closep) int request = request_build(s->x->argv, environ);
	_cleanup_(closep) int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), theirs = -EBADF;
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int pair[2], r, code = EXIT_CODE_OK;

	if (request < 0)
		return output_fail(EXIT_CODE_EXEC_FAILED, "arguments and environment cannot be handed over: %s",
				   request == -E2BIG  ? "larger than 4 MiB together" :
				   request == -EFBIG ? "larger than your limit of file sizes (ulimit -f)" :
						       strerror(-request));
	if (cwd < 0)
		return output_fail(EXIT_CODE_EXEC_FAILED, "the working folder cannot be opened: %m; change to another one");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return output_fail(EXIT_CODE_EXEC_FAILED, "no socket pair: %m");
	s->control = pair[0];
	theirs = pair[1];
	r = client_new_call(c, "Exec", &m);
	if (r >= 0)
		r = build_call(s, m, request, cwd, theirs);
	client_catch(c);
	if (r >= 0)
		r = client_call(c, m, clock_boottime() + CALL_TIMEOUT, &e, NULL);
	client_release(c);
	if (r == -EINTR)
		code = 130;
	else if (r < 0)
		code = client_fail(&e, r) ? EXIT_CODE_EXEC_FAILED : EXIT_CODE_OK; /* printed; the number is ours */
	sd_bus_message_unref(m);
	sd_bus_error_free(&e);
	return code;
}

/* ---- signals ------------------------------------------------------------------------------------------------------------ */

static const int handled[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT, SIGTSTP };

static int catch_signals(struct remote *s)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(handled); i++)
		(void)sigaddset(&set, handled[i]);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return -errno;
	/* Writing to the terminal from the background must not stop us. */
	(void)sigaddset(&set, SIGTTOU);
	(void)sigaddset(&set, SIGTTIN);
	(void)sigaddset(&set, SIGPIPE);
	return sigprocmask(SIG_BLOCK, &set, &s->old) < 0 ? -errno : 0;
}

static void send_signal(const struct remote *s, int signo)
{
	const struct launch_message m = { .type = LAUNCH_SIGNAL, .value = signo };

	(void)send(s->control, &m, sizeof(m), MSG_NOSIGNAL); /* a supervisor that is gone is noticed by recv() */
}

static void go_on(struct remote *s)
{
	if (s->terminal)
		terminal_enter(s->terminal);
	send_signal(s, SIGCONT);
}

/*
 * As if the terminal had stopped us, with the rest of our pipeline. The signal is ignored by the kernel where nobody could
 * wake us (no job control): then the program goes on, too.
 */
static void stop_ourselves(struct remote *s, int signo)
{
	sigset_t set;

	if (s->terminal)
		terminal_leave(s->terminal);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, signo);
	(void)kill(signo == SIGSTOP ? getpid() : 0, signo); /* ourselves: cannot fail */
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	/* stopped here until somebody continues us */
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	go_on(s);
}

static void leave(struct remote *s, int code)
{
	s->is_over = true;
	s->code = code;
}

static void on_signals(struct remote *s)
{
	struct signalfd_siginfo si;

	while (!s->is_over && read(s->signals, &si, sizeof(si)) == sizeof(si)) {
		int signo = (int)si.ssi_signo;

		if (signo == SIGWINCH) {
			if (s->terminal)
				terminal_resize(s->terminal);
		} else if (signo == SIGCONT) {
			go_on(s);
		} else if (signo == SIGHUP) {
			leave(s, 128 + SIGHUP);
		} else {
			send_signal(s, signo);
		}
	}
}

/* ---- the supervisor ------------------------------------------------------------------------------------------------------ */

static void on_exited(struct remote *s, int status)
{
	if (s->terminal)
		terminal_drain(s->terminal);
	leave(s, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static void on_failed(struct remote *s, int code, const char *sentence)
{
	_cleanup_(freep) char *text = str_escape(sentence, strlen(sentence), LAUNCH_TEXT_MAX * 4);

	if (s->terminal)
		terminal_leave(s->terminal);
	if (code < EXIT_CODE_EXEC_FAILED || code > EXIT_CODE_EXEC_NOT_FOUND)
		code = EXIT_CODE_EXEC_FAILED;
	leave(s, output_fail((enum exit_code)code, "%s", text && *text ? text : "the program could not be started"));
}

static void on_control(struct remote *s)
{
	struct {
		struct launch_message m;
		char text[LAUNCH_TEXT_MAX + 1];
	} in;
	ssize_t n = recv(s->control, &in, sizeof(in) - 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < (ssize_t)sizeof(in.m)) {
		if (s->terminal)
			terminal_leave(s->terminal);
		leave(s, output_fail(EXIT_CODE_EXEC_FAILED,
				     "the program's supervisor ended without a word; `systemctl status 'nsvpn-exec-%s-*'` and the "
				     "journal may say why",
				     s->x->tunnel));
		return;
	}
	((char *)&in)[n] = '\0';
	if (in.m.type == LAUNCH_STOPPED)
		stop_ourselves(s, in.m.value);
	else if (in.m.type == LAUNCH_EXITED)
		on_exited(s, in.m.value);
	else if (in.m.type == LAUNCH_FAILED)
		on_failed(s, in.m.value, in.text);
	/* STARTED, CONTINUED: nothing to do */
}

static void stay(struct remote *s)
{
	while (!s->is_over) {
		struct pollfd p[2 + TERMINAL_POLL_COUNT] = {
			{ .fd = s->signals, .events = POLLIN },
			{ .fd = s->control, .events = POLLIN },
			{ .fd = -1 }, { .fd = -1 },
		};

		if (s->terminal)
			terminal_want(s->terminal, p + 2);
		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue; /* interrupted: look again */
		if (s->terminal)
			terminal_carry(s->terminal, p + 2);
		if (p[0].revents)
			on_signals(s);
		if (p[1].revents && !s->is_over)
			on_control(s);
	}
}

int remote_exec(struct client *c_take, const struct remote_exec *x)
{
	_cleanup_(client_freep) struct client *c = c_take;
	struct remote s = { .x = x, .control = -EBADF, .signals = -EBADF };
	int r;

	r = terminal_new(&s.terminal);
	if (r < 0)
		return output_fail(EXIT_CODE_EXEC_FAILED, "no pseudo-terminal can be made for the program: %s", strerror(-r));
	s.code = ask(&s, c);
	c = client_free(c);
	if (s.code == EXIT_CODE_OK) {
		r = catch_signals(&s);
		if (r < 0) {
			s.code = output_fail(EXIT_CODE_EXEC_FAILED, "signals cannot be caught: %s", strerror(-r));
		} else {
			if (s.terminal)
				terminal_enter(s.terminal);
			stay(&s);
		}
	}
	terminal_free(s.terminal);
	(void)fd_close(s.control);
	(void)fd_close(s.signals);
	return s.code;
}
