/* The supervisor against real children: start, stop, continue, signals, ends; with and without a terminal. */
#include "launch/supervise.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/bus-api.h"
#include "base/cleanup.h"
#include "base/launch-api.h"
#include "base/str.h"

struct told {
	struct launch_message m;
	char text[LAUNCH_TEXT_MAX + 1];
};

static int run_shell(void *userdata, char **ret_error)
{
	const char *script = userdata;

	(void)execl("/bin/sh", "sh", "-c", script, NULL);
	*ret_error = strdup("no shell");
	return EXIT_CODE_EXEC_NOT_FOUND;
}

static int run_nothing(void *userdata _unused_, char **ret_error)
{
	*ret_error = strdup("prog: not found in PATH");
	return EXIT_CODE_EXEC_NOT_FOUND;
}

/* Forks a supervisor; slave >= 0: its streams. Returns our end of the control socket. */
static int begin(pid_t *ret, int (*run)(void *, char **), const char *script, int slave)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	*ret = fork();
	if (*ret == 0) {
		struct supervise s = { .control = pair[1], .terminal = slave >= 0, .run = run, .userdata = (void *)script };

		(void)close(pair[0]);
		if (slave >= 0)
			for (int i = 0; i < 3; i++)
				(void)dup2(slave, i);
		_exit(supervise(&s));
	}
	(void)close(pair[1]);
	return pair[0];
}

#define next(fd) next_at(fd, __LINE__)
static struct told next_at(int fd, int line)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct told t = { 0 };
	ssize_t n;

	cr_assert_eq(poll(&p, 1, 10000), 1, "line %d: the supervisor says nothing", line);
	n = recv(fd, &t, sizeof(t) - 1, 0);
	cr_assert_geq(n, (ssize_t)sizeof(t.m), "the supervisor ended without a word");
	return t;
}

static int finish(pid_t pid)
{
	int status;

	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void say(int fd, int signo)
{
	struct launch_message m = { .type = LAUNCH_SIGNAL, .value = signo };

	cr_assert_eq(send(fd, &m, sizeof(m), MSG_NOSIGNAL), (ssize_t)sizeof(m));
}

Test(supervise, exit_status_passes)
{
	pid_t pid;
	int fd = begin(&pid, run_shell, "exit 7", -1);
	struct told t;

	cr_assert_eq(next(fd).m.type, LAUNCH_STARTED);
	t = next(fd);
	cr_assert_eq(t.m.type, LAUNCH_EXITED);
	cr_assert_eq(WEXITSTATUS(t.m.value), 7);
	cr_assert_eq(finish(pid), 7);
}

Test(supervise, death_by_signal_passes)
{
	pid_t pid;
	int fd = begin(&pid, run_shell, "kill -SEGV $$", -1);
	struct told t;

	(void)next(fd);
	t = next(fd);
	cr_assert(WIFSIGNALED(t.m.value));
	cr_assert_eq(WTERMSIG(t.m.value), SIGSEGV);
	cr_assert_eq(finish(pid), 128 + SIGSEGV);
}

Test(supervise, a_program_that_is_not_there)
{
	pid_t pid;
	int fd = begin(&pid, run_nothing, NULL, -1);
	struct told t = next(fd);

	cr_assert_eq(t.m.type, LAUNCH_FAILED);
	cr_assert_eq(t.m.value, 127);
	cr_assert_str_eq(t.text, "prog: not found in PATH");
	cr_assert_eq(finish(pid), 127);
}

Test(supervise, signals_reach_the_whole_group)
{
	pid_t pid;
	int fd = begin(&pid, run_shell, "trap 'exit 9' TERM; sleep 100 & wait; wait", -1);

	(void)next(fd);
	(void)usleep(100000);
	say(fd, SIGTERM);
	cr_assert_eq(WEXITSTATUS(next(fd).m.value), 9);
	cr_assert_eq(finish(pid), 9);
}

Test(supervise, stop_and_continue_are_told)
{
	pid_t pid;
	int fd = begin(&pid, run_shell, "kill -STOP $$; exit 5", -1);
	struct told t;

	(void)next(fd);
	t = next(fd);
	cr_assert_eq(t.m.type, LAUNCH_STOPPED);
	cr_assert_eq(t.m.value, SIGSTOP);
	say(fd, SIGCONT);
	do
		t = next(fd);
	while (t.m.type == LAUNCH_CONTINUED);
	cr_assert_eq(WEXITSTATUS(t.m.value), 5);
	cr_assert_eq(finish(pid), 5);
}

Test(supervise, a_caller_that_is_gone_means_hangup)
{
	pid_t pid;
	int fd = begin(&pid, run_shell, "trap 'exit 11' HUP; while :; do sleep 0.1; done", -1);

	(void)next(fd);
	(void)usleep(100000);
	(void)close(fd);
	cr_assert_eq(finish(pid), 11);
}

Test(supervise, nonsense_on_the_control_socket_is_ignored)
{
	struct launch_message bad[] = { { 99, 1 }, { LAUNCH_SIGNAL, 0 }, { LAUNCH_SIGNAL, 9999 }, { LAUNCH_EXITED, 0 } };
	pid_t pid;
	int fd = begin(&pid, run_shell, "sleep 0.3; exit 4", -1);

	(void)next(fd);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_gt(send(fd, &bad[i], sizeof(bad[i]), MSG_NOSIGNAL), 0);
	cr_assert_eq(WEXITSTATUS(next(fd).m.value), 4);
	cr_assert_eq(finish(pid), 4);
}

/* Exit status 0: the program itself still ignores SIGCHLD. (A shell would have changed that.) */
static int run_looker(void *userdata _unused_, char **ret_error _unused_)
{
	(void)execlp("grep", "grep", "-q", "^SigIgn:.*[13579bdf]....$", "/proc/self/status", NULL);
	return EXIT_CODE_EXEC_NOT_FOUND;
}

/* Desktops that never wait for what they start hand that down. */
Test(supervise, the_end_is_seen_although_the_caller_ignores_sigchld, .timeout = 60)
{
	void (*was)(int) = signal(SIGCHLD, SIG_IGN);
	struct told t;
	pid_t pid;
	int fd = begin(&pid, run_looker, NULL, -1);

	(void)signal(SIGCHLD, was);
	cr_assert_eq(next(fd).m.type, LAUNCH_STARTED);
	t = next(fd);
	cr_assert_eq(t.m.type, LAUNCH_EXITED);
	cr_assert_eq(t.m.value, 0);
	cr_assert_eq(finish(pid), 0);
}

/* Reads the master until text appears. */
static void expect_on(int master, const char *text)
{
	char buf[4096];
	size_t len = 0;

	while (len < sizeof(buf) - 1) {
		struct pollfd p = { .fd = master, .events = POLLIN };
		ssize_t n;

		cr_assert_eq(poll(&p, 1, 10000), 1, "no \"%s\" on the terminal", text);
		n = read(master, buf + len, sizeof(buf) - 1 - len);
		cr_assert_gt(n, 0, "no \"%s\" on the terminal", text);
		len += (size_t)n;
		buf[len] = '\0';
		if (strstr(buf, text))
			return;
	}
	cr_assert_fail("no \"%s\" on the terminal", text);
}

Test(supervise, a_terminal_of_its_own_with_ctrl_c_and_ctrl_z)
{
	int master, slave, fd;
	struct told t;
	pid_t pid;

	cr_assert_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	/* Built-ins only: a shell that is stopped in the middle of vfork() is not seen as stopped. */
	fd = begin(&pid, run_shell, "tty -s </dev/tty && echo has-tty; trap 'echo got-int; exit 3' INT; while :; do read x; done", slave);
	(void)next(fd);
	expect_on(master, "has-tty");
	cr_assert_eq(write(master, "\032", 1), 1); /* Ctrl-Z */
	t = next(fd);
	cr_assert_eq(t.m.type, LAUNCH_STOPPED);
	cr_assert_eq(t.m.value, SIGTSTP);
	say(fd, SIGCONT);
	(void)usleep(200000);
	cr_assert_eq(write(master, "\003", 1), 1); /* Ctrl-C */
	expect_on(master, "got-int");
	do
		t = next(fd);
	while (t.m.type == LAUNCH_CONTINUED);
	cr_assert_eq(t.m.type, LAUNCH_EXITED);
	cr_assert_eq(finish(pid), 3);
}
