/*
 * The engines of a tunnel: at most one at a time. One that dies has cut itself off (its tun and the locks stay), and the
 * next one starts after a back-off; one that gives up says why, and a person is needed.
 */
#include "daemon/tunnel-engine.h"

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/str.h"
#include "daemon/auth-pair.h"

#define BACKOFF_MIN (100 * USEC_PER_MSEC)
#define BACKOFF_MAX (30 * USEC_PER_SEC)
#define EARLY_DEATHS_MAX 3 /* engines that end before they are ready: then nothing will make the next one work */

/* ---- what an engine does -------------------------------------------------------------------------------------------- */

bool tunnel_wants_engine(const struct tunnel *t)
{
	return (t->state == TUNNEL_STATE_CONNECTING || t->state == TUNNEL_STATE_CONNECTED ||
		t->state == TUNNEL_STATE_RECONNECTING) && !t->manager->shutting_down;
}

static void give_up(struct tunnel *t, const char *error_name, char *sentence)
{
	_cleanup_(freep) struct netproc *inside = NULL;
	_cleanup_(freep) char *cause = sentence ? strdup(sentence) : NULL;
	size_t n = 0;
	bool first;

	/* Unknown counts as somebody. */
	first = !t->was_connected && !t->recovering && tunnel_processes(t, &inside, &n) >= 0 && n == 0;
	tunnel_set_error(t, error_name, sentence);
	(void)tunnel_event(t, first ? TUNNEL_EVENT_GAVE_UP_FIRST : TUNNEL_EVENT_GAVE_UP, cause ? cause : "engine gave up");
}

static int on_message(void *userdata, const struct ipc_msg *m)
{
	struct tunnel *t = userdata;

	if (!tunnel_wants_engine(t) && m->type != IPC_REQ_LOG)
		return 0;
	return monitor_message(t, m);
}

static void on_closed(void *userdata, const char *why)
{
	struct tunnel *t = userdata;
	bool early = t->monitor.phase == MONITOR_PHASE_HELLO;

	monitor_done(&t->monitor);
	tunnel_set_question(t, QUESTION_NONE, NULL);
	if (!tunnel_wants_engine(t))
		return; /* whoever ended it waits for on_exited */
	tunnel_set_error(t, BUS_ERROR_FAILED,
			 str_format("the engine of tunnel %s %s; a new one is being started", t->name, why ? why : "ended"));
	if (early && ++t->early_deaths >= EARLY_DEATHS_MAX && !t->was_connected) {
		give_up(t, BUS_ERROR_FAILED,
			str_format("the engine of tunnel %s ends before it is ready, see `nsvpn logs %s` and %s", t->name, t->name,
				   "whether nsvpn-engine is installed beside nsvpnd and seccomp is available"));
		return;
	}
	(void)tunnel_event(t, TUNNEL_EVENT_ENGINE_GONE, why ? why : "engine ended");
}

static void on_exited(void *userdata, int status)
{
	struct tunnel *t = userdata;
	char text[96];

	log_tunnel_info(t, "engine %s", engine_proc_describe(status, text, sizeof(text)));
	t->engine = engine_proc_free(t->engine);
	if (tunnel_wants_engine(t)) /* more exact than what on_closed() could know */
		tunnel_set_error(t, BUS_ERROR_FAILED,
				 str_format("the engine of tunnel %s %s; a new one is being started", t->name, text));
	engine_proc_note(t->name, 0);
	tunnel_changed(t, "EnginePid", "DataPath", "DataPathReason", NULL);
	if (t->state == TUNNEL_STATE_STOPPING || t->state == TUNNEL_STATE_UNDOING)
		(void)tunnel_event(t, TUNNEL_EVENT_ENGINE_GONE, "engine ended");
	else if (t->manager->settled)
		t->manager->settled(t->manager->userdata);
}

static void on_stderr_line(void *userdata, const char *line)
{
	const struct tunnel *t = userdata;

	log_tunnel_warning(t, "engine: %s", line);
}

const struct engine_proc_events tunnel_engine_events = {
	.message = on_message,
	.closed = on_closed,
	.exited = on_exited,
	.stderr_line = on_stderr_line,
};

/* ---- start and end -------------------------------------------------------------------------------------------------- */

static int start_engine(struct tunnel *t, char **ret_error)
{
	int netns_fd = t->uplink == UPLINK_VETH ? tunnelnet_netns_fd(t->net) : -EBADF, r;

	if (t->tun_fd < 0) {
		r = tunnelnet_open_tun(t->net, t->profile->ovpn.tap, &t->tun_fd, &t->tun_offload, ret_error);
		if (r < 0) {
			t->tun_fd = -EBADF;
			return r;
		}
	}
	if (t->uplink == UPLINK_VETH && netns_fd < 0) {
		*ret_error = str_format("the namespace of tunnel %s has gone away; run `nsvpn down %s`, then `nsvpn up %s`", t->name,
					t->name, t->name);
		return -ENOENT;
	}
	monitor_init(&t->monitor);
	r = engine_proc_start(&t->engine, t->manager->event, t->manager->spawn, netns_fd, &tunnel_engine_events, t);
	if (r < 0) {
		errno = -r;
		*ret_error = str_format("cannot start nsvpn-engine for tunnel %s: %m; check that it is installed beside nsvpnd",
					t->name);
		return r;
	}
	engine_proc_note(t->name, engine_proc_pid(t->engine));
	log_tunnel_info(t, "engine %d started", engine_proc_pid(t->engine));
	tunnel_changed(t, "EnginePid", "DataPath", "DataPathReason", NULL);
	return 0;
}

void tunnel_launch(struct tunnel *t)
{
	char *error = NULL;
	int r;

	if (t->engine) { /* the last one is ended but not reaped yet: `up` came quickly */
		tunnel_schedule_engine(t);
		return;
	}
	r = start_engine(t, &error);
	if (r >= 0)
		return;
	log_tunnel_error(t, "%s", error ? error : strerror(-r));
	if (!t->was_connected && !t->recovering) {
		give_up(t, BUS_ERROR_FAILED, error ? error : strdup(strerror(-r)));
		return;
	}
	tunnel_set_error(t, BUS_ERROR_FAILED, error);
	tunnel_schedule_engine(t);
}

static int on_restart_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct tunnel *t = userdata;

	t->restart_timer = sd_event_source_disable_unref(t->restart_timer);
	if (!tunnel_wants_engine(t))
		return 0;
	tunnel_launch(t);
	return 0;
}

void tunnel_schedule_engine(struct tunnel *t)
{
	int r;

	if (!tunnel_wants_engine(t) || t->restart_timer)
		return;
	t->backoff = t->backoff ? MIN(t->backoff * 2, (usec_t)BACKOFF_MAX) : BACKOFF_MIN;
	r = sd_event_add_time_relative(t->manager->event, &t->restart_timer, CLOCK_BOOTTIME, t->backoff, 0, on_restart_timer, t);
	if (r < 0)
		(void)log_error_errno(r, "%s: cannot set the timer for a new engine, the tunnel stays locked: %m", t->name);
}

void tunnel_retire_engine(struct tunnel *t)
{
	t->restart_timer = sd_event_source_disable_unref(t->restart_timer);
	tunnel_cut(t, true);
	if (t->engine)
		engine_proc_kill(t->engine, NULL); /* on_exited goes on from here */
	else
		(void)tunnel_event(t, TUNNEL_EVENT_ENGINE_GONE, "no engine");
}

/* ---- what the monitor made of its messages -------------------------------------------------------------------------- */

void tunnel_engine_connected(struct tunnel *t, const char *cipher)
{
	int r;

	(void)str_copy(t->cipher, sizeof(t->cipher), cipher); /* same size */
	t->was_connected = true;
	t->recovering = false;
	t->backoff = 0;
	tunnel_set_error(t, NULL, NULL);
	tunnel_changed(t, "Cipher", NULL);
	r = auth_pair_forget_answer(&t->auth_fd, t->profile && t->profile->ovpn.key_password_asked);
	if (r < 0)
		log_tunnel_warning(t, "the one-time code that came with the credentials cannot be forgotten: %s", strerror(-r));
	(void)tunnel_event(t, TUNNEL_EVENT_CONNECTED, "settings applied");
	tunnel_refresh_stats(t);
}

void tunnel_engine_lost(struct tunnel *t, const char *cause)
{
	tunnel_cut(t, false);
	(void)tunnel_event(t, TUNNEL_EVENT_LOST, cause);
}

void tunnel_engine_gave_up(struct tunnel *t, enum fail_class fail, const char *text)
{
	if (fail == FAIL_AUTH)
		t->auth_fd = fd_close(t->auth_fd); /* of no use any more */
	give_up(t, tunnel_error_name(fail),
		text[0] ? strdup(text) : str_format("the engine of tunnel %s gave up without a reason", t->name));
}

void tunnel_engine_unsafe(struct tunnel *t, int error)
{
	errno = -error;
	give_up(t, BUS_ERROR_FAILED,
		str_format("the engine of tunnel %s could not lock itself in (%m), so it was given nothing; %s", t->name,
			   "seccomp and capabilities of this kernel or container are needed"));
}

/* A person who waits for his first `up` is told at once; whatever else wants the tunnel up goes on trying. */
void tunnel_engine_blocked(struct tunnel *t, char *sentence)
{
	log_tunnel_error(t, "%s", sentence);
	if (!t->was_connected && !t->recovering) {
		give_up(t, BUS_ERROR_FAILED, sentence);
		return;
	}
	tunnel_set_error(t, BUS_ERROR_FAILED, sentence);
	t->blocked_said = true;
}
