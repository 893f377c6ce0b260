/* Asking through the machine's password agents; contract in ask-agent.h. */
#include "cli/ask-agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"
#include "base/str.h"

#define ASK_PASSWORD "/usr/bin/systemd-ask-password"
#define SYSTEMD_RUNS "/run/systemd/system"
#define WAIT_SECONDS "100" /* below what units/nsvpn-netns@.service gives `nsvpn up` */
#define ANSWER_MAX 512

bool ask_agent_is_there(void)
{
	return geteuid() == 0 && access(SYSTEMD_RUNS, F_OK) == 0 && access(ASK_PASSWORD, X_OK) == 0;
}

/* The line that the program prints. Its length, or -errno. */
static ssize_t read_answer(int fd, char buf[static ANSWER_MAX])
{
	ssize_t n = fd_read_full(fd, buf, ANSWER_MAX);

	if (n == ANSWER_MAX)
		return -EMSGSIZE;
	return n > 0 && buf[n - 1] == '\n' ? n - 1 : n;
}

static int start(const char *name, const char *question, bool echo, pid_t *ret_pid, int *ret_fd)
{
	_cleanup_(freep) char *id = str_format("--id=nsvpn:%s", name);
	_cleanup_(closep) int reader = -EBADF, writer = -EBADF;
	char *const argv[] = { (char *)ASK_PASSWORD, id, (char *)"--no-tty", (char *)"--timeout=" WAIT_SECONDS,
			       (char *)"--icon=network-vpn", (char *)(echo ? "--echo" : "--"), (char *)(echo ? "--" : question),
			       (char *)(echo ? question : NULL), NULL };
	struct spawn s = { .path = ASK_PASSWORD, .argv = argv, .envp = environ, .netns_fd = -EBADF, .pdeathsig = SIGTERM };
	int fds[2], r;

	if (!id)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	reader = fds[0];
	writer = fds[1];

	const struct fd_map map[] = { { -1, 0 }, { writer, 1 }, { 2, 2 } };

	s.map = map;
	s.n_map = ARRAY_SIZE(map);
	r = process_spawn(&s, ret_pid, NULL);
	if (r >= 0)
		*ret_fd = TAKE_FD(reader);
	return r;
}

int ask_agent(const char *name, const char *question, bool echo, struct secret **ret)
{
	_cleanup_(closep) int fd = -EBADF;
	char buf[ANSWER_MAX];
	pid_t pid = 0;
	ssize_t n;
	int r, status;

	r = start(name, question, echo, &pid, &fd);
	if (r < 0)
		return r;
	n = read_answer(fd, buf);
	status = process_wait(pid);
	if (n < 0)
		r = (int)n;
	else if (status != 0)
		r = status < 0 ? status : -ETIME;
	else
		r = memchr(buf, '\n', (size_t)n) || memchr(buf, '\0', (size_t)n) ? -EINVAL : secret_new_copy(ret, buf, (size_t)n);
	secret_wipe(buf, sizeof(buf));
	return r;
}
