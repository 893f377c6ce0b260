/*
 * Going down, in the order of security.md 6.2: intent away, default route away, engine away, then links and outer lock;
 * namespace and inner lock last, and only when nobody lives there. A crash at any line leaves locks and a journal without
 * intent, which the next start takes down.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/str.h"
#include "daemon/tunnel-watch.h"
#include "daemon/tunnel.h"

#define GOODBYE USEC_PER_SEC /* for the engine's exit notification */
#define KILL_ROUND (100 * USEC_PER_MSEC)
#define KILL_TERM_ROUNDS 20 /* two seconds between SIGTERM and SIGKILL */
#define KILL_ROUNDS_MAX 30
#define STATUS_MAX 65536
#define DRAIN_RECHECK (5 * USEC_PER_SEC) /* for whoever came in after the watches were set */

void tunnel_stop_done(struct tunnel *t)
{
	t->stop_timer = sd_event_source_disable_unref(t->stop_timer);
	for (size_t i = 0; i < t->n_watches; i++)
		sd_event_source_disable_unref(t->watches[i]);
	free(TAKE_PTR(t->watches));
	t->n_watches = 0;
}

/* Everything of the tunnel is out of the kernel. */
static void forget_kernel(struct tunnel *t)
{
	tunnel_watch_stop(t);
	t->net = tunnelnet_free(t->net);
	t->in_kernel = false;
	t->was_connected = false;
	t->auth_fd = fd_close(t->auth_fd);
	t->profile_fd = fd_close(t->profile_fd);
	free(TAKE_PTR(t->remote_host));
	memset(&t->server, 0, sizeof(t->server));
	memset(&t->stats, 0, sizeof(t->stats));
	t->cipher[0] = '\0';
	t->dropped = 0;
	t->n_processes = 0;
	tunnel_changed(t, "RemoteHost", "RemoteAddress", "RemotePort", "RemoteTransport", "Cipher", NULL);
}

static void remove_intent(struct tunnel *t)
{
	_cleanup_(freep) char *error = NULL;

	if (store_remove(t->name, &error) < 0)
		log_tunnel_error(t, "%s; the tunnel goes down, but the next start may bring it up again",
				 error ? error : "cannot remove the state file");
}

/* ---- first try failed, or prepare did: nobody asked for `down`, and nobody waits ---------------------------------- */

void tunnel_stop_undo(struct tunnel *t)
{
	_cleanup_(freep) char *error = NULL;
	int r = 0;

	remove_intent(t);
	t->tun_fd = fd_close(t->tun_fd);
	if (t->net)
		r = tunnelnet_teardown(t->net, &error);
	if (r == 0)
		forget_kernel(t);
	else if (r < 0)
		log_tunnel_error(t, "%s", error ? error : "cannot be taken down completely");
	else
		log_tunnel_notice(t, "stays locked: programs live in its namespace");
	if (t->state == TUNNEL_STATE_UNDOING)
		(void)tunnel_event(t, TUNNEL_EVENT_UNDONE, r == 0 ? "nothing is left" : "locked");
	tunnel_answer_ups(t);
}

/* ---- down ------------------------------------------------------------------------------------------------------------ */

void tunnel_stop_begin(struct tunnel *t)
{
	tunnel_stop_done(t);
	remove_intent(t);
	tunnel_cut(t, false);
	t->monitor.query = resolve_free(t->monitor.query);
	t->kill_rounds = 0;
	if (t->engine)
		engine_proc_stop(t->engine, GOODBYE);
	else
		(void)tunnel_event(t, TUNNEL_EVENT_ENGINE_GONE, "no engine");
}

static void teardown(struct tunnel *t)
{
	_cleanup_(freep) char *error = NULL;
	int r = 0;

	t->tun_fd = fd_close(t->tun_fd);
	if (t->net)
		r = tunnelnet_teardown(t->net, &error);
	if (r == 0) {
		forget_kernel(t);
		tunnel_set_error(t, NULL, NULL);
		(void)tunnel_event(t, TUNNEL_EVENT_EMPTIED, "everything is gone");
		tunnel_answer_downs(t, NULL, NULL);
	} else if (r > 0) {
		(void)tunnel_event(t, TUNNEL_EVENT_OCCUPIED, "programs live in the namespace");
		tunnel_set_error(t, BUS_ERROR_FAILED,
				 str_format("programs are still inside tunnel %s, they stay locked in; `nsvpn down --kill %s` ends them",
					    t->name, t->name));
		tunnel_answer_downs(t, NULL, NULL);
	} else {
		if (!error)
			error = str_format("tunnel %s cannot be taken down: %s; run `nsvpn down %s` again", t->name, strerror(-r),
					   t->name);
		log_tunnel_error(t, "%s", error ? error : strerror(-r));
		tunnel_set_error(t, BUS_ERROR_FAILED, error ? strdup(error) : NULL);
		(void)tunnel_event(t, TUNNEL_EVENT_TEARDOWN_FAILED, "teardown failed");
		tunnel_answer_downs(t, BUS_ERROR_FAILED, error ? error : "no memory");
	}
	tunnel_answer_ups(t);
}

/* As kill(2) would have it. The real uid: a setuid program and our own supervisor are still the user's. */
static bool may_end(uid_t killer, pid_t pid)
{
	_cleanup_(freep) char *path = str_format("/proc/%d/status", (int)pid), *text = NULL;
	const char *line;
	unsigned uid;
	size_t len;

	if (killer == 0)
		return true;
	if (!path || file_read(AT_FDCWD, path, STATUS_MAX, &text, &len) < 0)
		return false; /* it just ended */
	line = strstr(text, "\nUid:");
	return line && sscanf(line, "\nUid: %u", &uid) == 1 && uid == killer;
}

/* A pidfd first, so that the signal reaches the process that was seen and no later one of the same number. */
static void signal_all(struct tunnel *t, const struct netproc *inside, size_t n, int signo)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(closep) int pidfd = (int)syscall(SYS_pidfd_open, inside[i].pid, 0);

		/* Gone; or gone since, and its number is somebody else's, whom the pidfd does not mean. */
		if (pidfd < 0 || !may_end(t->killer, inside[i].pid))
			continue;
		log_tunnel_info(t, "signal %d to process %d (%s)", signo, inside[i].pid, inside[i].comm);
		(void)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0); /* it may have ended just now */
	}
}

/* Of those inside, whom this `down --kill` ends; in place. How many. */
static size_t keep_killable(const struct tunnel *t, struct netproc *inside, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (may_end(t->killer, inside[i].pid))
			inside[kept++] = inside[i];
	return kept;
}

static int on_kill_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct tunnel *t = userdata;

	t->stop_timer = sd_event_source_disable_unref(t->stop_timer);
	tunnel_stop_finish(t);
	return 0;
}

/* SIGTERM, two seconds, SIGKILL, one second. True: another round is coming. */
static bool kill_round(struct tunnel *t)
{
	_cleanup_(freep) struct netproc *inside = NULL;
	size_t n = 0;

	if (!t->kill || t->kill_rounds >= KILL_ROUNDS_MAX || tunnel_processes(t, &inside, &n) < 0)
		return false;
	n = keep_killable(t, inside, n);
	if (n == 0)
		return false;
	if (t->kill_rounds == 0)
		signal_all(t, inside, n, SIGTERM);
	else if (t->kill_rounds >= KILL_TERM_ROUNDS)
		signal_all(t, inside, n, SIGKILL); /* again each round: a fork may have slipped through the last one */
	t->kill_rounds++;
	return sd_event_add_time_relative(t->manager->event, &t->stop_timer, CLOCK_BOOTTIME, KILL_ROUND, 0, on_kill_timer, t) >= 0;
}

void tunnel_stop_finish(struct tunnel *t)
{
	if (!kill_round(t))
		teardown(t);
}

/* ---- programs remain ------------------------------------------------------------------------------------------------- */

static void drain(struct tunnel *t)
{
	_cleanup_(freep) char *error = NULL;
	int r;

	tunnel_stop_done(t);
	r = tunnelnet_teardown(t->net, &error);
	if (r < 0)
		log_tunnel_error(t, "%s", error ? error : "cannot be taken down");
	if (r != 0) {
		tunnel_stop_watch(t);
		return;
	}
	forget_kernel(t);
	tunnel_set_error(t, NULL, NULL);
	(void)tunnel_event(t, TUNNEL_EVENT_EMPTIED, "the last program ended");
}

static int on_program_ended(sd_event_source *s, int fd _unused_, uint32_t revents _unused_, void *userdata)
{
	struct tunnel *t = userdata;
	_cleanup_(freep) struct netproc *inside = NULL;
	size_t n = 0;

	(void)sd_event_source_set_enabled(s, SD_EVENT_OFF); /* a pidfd stays readable */
	if (tunnel_processes(t, &inside, &n) >= 0 && n == 0)
		drain(t);
	return 0;
}

static int on_recheck(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	drain(userdata);
	return 0;
}

void tunnel_stop_watch(struct tunnel *t)
{
	_cleanup_(freep) struct netproc *inside = NULL;
	size_t n = 0;
	int r;

	tunnel_watch_start(t); /* of the namespace's own lock */
	if (tunnel_processes(t, &inside, &n) < 0)
		n = 0;
	t->watches = calloc(n + 1, sizeof(*t->watches));
	for (size_t i = 0; t->watches && i < n; i++) {
		int pidfd = (int)syscall(SYS_pidfd_open, inside[i].pid, 0);
		sd_event_source *s = NULL;

		if (pidfd < 0)
			continue; /* gone: the recheck sees it */
		if (sd_event_add_io(t->manager->event, &s, pidfd, EPOLLIN, on_program_ended, t) < 0) {
			fd_close(pidfd);
			continue;
		}
		(void)sd_event_source_set_io_fd_own(s, true); /* cannot fail on a live io source */
		t->watches[t->n_watches++] = s;
	}
	r = sd_event_add_time_relative(t->manager->event, &t->stop_timer, CLOCK_BOOTTIME, DRAIN_RECHECK, 0, on_recheck, t);
	if (r < 0)
		(void)log_error_errno(r, "%s: cannot set a timer; run `nsvpn down` again when its programs have ended: %m", t->name);
}
