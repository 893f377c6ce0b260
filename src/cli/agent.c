/* The password agent; contract in agent.h. */
#include "cli/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/process.h"

#define AGENT "/usr/bin/pkttyagent"
#define NOTIFY_FD 3
#define READY_MSEC 5000

int agent_start(pid_t *ret_pid)
{
	_cleanup_(closep) int reader = -EBADF, writer = -EBADF;
	char *const argv[] = { (char *)AGENT, (char *)"--notify-fd", (char *)"3", (char *)"--fallback", NULL };
	struct spawn s = {
		.path = AGENT, .argv = argv, .envp = environ, .netns_fd = -EBADF, .pdeathsig = SIGTERM,
	};
	int fds[2], r;

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return -ENOTTY;
	if (access(AGENT, X_OK) < 0)
		return -ENOENT;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	reader = fds[0];
	writer = fds[1];

	const struct fd_map map[] = { { 0, 0 }, { 1, 1 }, { 2, 2 }, { writer, NOTIFY_FD } };

	s.map = map;
	s.n_map = ARRAY_SIZE(map);
	r = process_spawn(&s, ret_pid, NULL);
	if (r < 0)
		return r;
	writer = fd_close(writer);
	/* It closes its end when it is registered, or when it ended because it could not be. */
	(void)poll(&(struct pollfd){ .fd = reader }, 1, READY_MSEC); /* no event asked for: POLLHUP comes all the same */
	return 0;
}

void agent_stop(pid_t pid)
{
	if (pid > 0)
		(void)process_kill_wait(pid, SIGTERM); /* however it ended */
}
