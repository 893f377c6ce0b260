/* A clean process; contract in process-setup.h. */
#include "daemon/process-setup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "daemon/privileges.h"

static int fix_environment(void)
{
	static const char *const kept[] = {
		"NSVPN_ETC", "NSVPN_RUN", "NSVPN_STATE", "NSVPN_FAILPOINT" /* tests, see apply.c */,
		"NOTIFY_SOCKET", /* sd_notify() */
	};
	char *values[ARRAY_SIZE(kept)] = { NULL };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		const char *v = secure_getenv(kept[i]);

		values[i] = v ? strdup(v) : NULL;
		if (v && !values[i])
			r = -ENOMEM;
	}
	if (clearenv() != 0 || setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1) < 0 || setenv("LC_ALL", "C", 1) < 0)
		r = -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (values[i] && setenv(kept[i], values[i], 1) < 0)
			r = -ENOMEM;
		free(values[i]);
	}
	return r;
}

/* Descriptors 0-2 exist, nothing else but keep_fd, or n_listen from 3 on, does. */
static int fix_descriptors(int keep_fd, unsigned n_listen)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
	} while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return -errno;
	(void)close(fd); /* one more than needed */
	if (keep_fd >= 0) {
		if (keep_fd > 3 && close_range(3, (unsigned)keep_fd - 1, 0) < 0)
			return -errno;
		if (close_range((unsigned)keep_fd + 1, ~0U, 0) < 0 || fcntl(keep_fd, F_SETFD, FD_CLOEXEC) < 0)
			return -errno;
		return 0;
	}
	return close_range(3 + n_listen, ~0U, 0) < 0 ? -errno : 0;
}

int process_setup(int keep_fd, unsigned n_listen)
{
	int r;

	(void)umask(077); /* returns the old one, which is of no interest */
	if (chdir("/") < 0)
		return -errno;
	r = fix_descriptors(keep_fd, n_listen);
	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail: a valid signal */
	(void)signal(SIGCHLD, SIG_DFL); /* ignored by who started us, it would hide how an engine ended */
	/* No core file and no ptrace by anybody else: credentials pass through this memory. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	r = privileges_reduce();
	if (r < 0)
		return r;
	return fix_environment();
}
