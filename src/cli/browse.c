/*
 * See browse.h.
 *
 * Theory. xdg-open may become the browser, which outlives us, so it is started by a child that ends at once. A pipe that
 * closes with the exec tells whether there was one.
 */
#include "cli/browse.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"
#include "base/str.h"

#define STATUS_MISSING 1
#define STATUS_FAILED 2

static _Noreturn void become_xdg_open(const char *url, int report)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), error;

	(void)setsid(); /* the terminal's Ctrl-C is not for the browser */
	if (null >= 0 && dup2(null, 0) >= 0 && dup2(null, 1) >= 0 && dup2(null, 2) >= 0)
		execlp("xdg-open", "xdg-open", url, (char *)NULL);
	error = errno;
	(void)!write(report, &error, sizeof(error)); /* the parent takes silence for success; it is one word into an empty pipe */
	_exit(STATUS_FAILED);
}

/* The child in between. */
static int start(void *userdata)
{
	int report[2], error = 0;
	ssize_t n;
	pid_t pid;

	if (prctl(PR_SET_PDEATHSIG, 0) < 0 || pipe2(report, O_CLOEXEC) < 0)
		return STATUS_FAILED;
	pid = fork();
	if (pid == 0)
		become_xdg_open(userdata, report[1]);
	(void)close(report[1]);
	if (pid < 0)
		return STATUS_FAILED;
	do
		n = read(report[0], &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	return n > 0 && error == ENOENT ? STATUS_MISSING : STATUS_FAILED;
}

int browse(const char *url)
{
	_cleanup_(closep) int pidfd = -EBADF;
	pid_t pid;
	int r;

	if (!str_has_prefix(url, "https://"))
		return -EINVAL;
	r = process_fork(start, (void *)url, &pid, &pidfd);
	if (r >= 0)
		r = process_wait(pid);
	if (r > 0)
		r = r == STATUS_MISSING ? -ENOENT : -EIO;
	return r;
}
