/*
 * nsvpn-engine: started by nsvpnd with one descriptor, never by hand. See sandbox.c for the order of things.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bus-api.h"
#include "engine/engine.h"
#include "engine/sandbox.h"
#include "ipc/ipc.h"

#ifdef NSVPN_SANITIZE
/* At exit the leak checker would start a thread and read /proc; behind the filter it waits for ever instead. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}
#endif

/* The only way in: no arguments, and a SOCK_SEQPACKET socket of the local kind as descriptor 3. */
static bool started_by_helper(int argc)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int type = 0;

	if (argc != 1 || getsockname(IPC_ENGINE_FD, (struct sockaddr *)&sa, &len) < 0 || sa.ss_family != AF_UNIX)
		return false;
	len = sizeof(type);
	return getsockopt(IPC_ENGINE_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

static int fail(const char *what, int error)
{
	(void)fprintf(stderr, "nsvpn-engine: %s failed: %s\n", what, strerror(-error));
	return EXIT_CODE_FAILED;
}

int main(int argc, char **argv)
{
	struct sandbox_report report;
	struct engine *e = NULL;
	const char *stage = NULL;
	int r;

	(void)argv;
	if (!started_by_helper(argc)) {
		(void)fprintf(stderr, "nsvpn-engine: this program is started by nsvpnd with a control socket; use \"nsvpn up\" "
				      "instead of starting it by hand\n");
		return EXIT_CODE_USAGE;
	}
	if (fcntl(IPC_ENGINE_FD, F_SETFD, FD_CLOEXEC) < 0)
		return fail("closing the control socket on exec", -errno);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return fail("ignoring SIGPIPE", -errno);

	/* The waits of moderation.h are of some ten microseconds; the default slack is as long. */
	if (prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0) < 0)
		return fail("setting the timer slack", -errno);
	r = engine_warm_up();
	if (r < 0)
		return fail("preparing the cryptographic library", r);
	r = engine_new(&e, IPC_ENGINE_FD);
	if (r < 0)
		return fail("setting up the event loop", r);
	r = sandbox_enter(&report, &stage);
	if (r < 0) {
		engine_free(e);
		return fail(stage, r);
	}
	r = engine_run(e, report.mounts_empty);
	engine_free(e);
	return r < 0 ? fail("the event loop", r) : r;
}
