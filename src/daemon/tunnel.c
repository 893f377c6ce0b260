/*
 * The lifecycle of one tunnel: events in, kernel objects and engines out. The states and what each of them means are in
 * tunnel-state.h. Beside this file: callers who want it up or down (tunnel-request.c), what is read for that
 * (tunnel-inputs.c), its engines (tunnel-engine.c), going down (tunnel-stop.c), a helper's start (tunnel-recover.c), what
 * people see (tunnel-info.c).
 *
 * Invariants kept here: the intent is on disk before the kernel is touched; the default route is cut before anything
 * else is thought about when a connection or an engine ends (tunnel_cut); at most one engine exists, and the next one
 * starts only when the last one is reaped; the state has one writer.
 */
#include "daemon/tunnel.h"

#include "base/bus-api.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/tunnel-blocked.h"
#include "daemon/tunnel-engine.h"
#include "daemon/tunnel-inputs.h"
#include "daemon/tunnel-request.h"
#include "daemon/tunnel-uplink.h"
#include "daemon/tunnel-watch.h"

/* ---- the object ----------------------------------------------------------------------------------------------------- */

int tunnel_new(struct tunnel **ret, struct manager *m, const char *name)
{
	struct tunnel *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->tun_fd = t->profile_fd = t->auth_fd = -EBADF;
	t->manager = m;
	t->state = TUNNEL_STATE_DOWN;
	monitor_init(&t->monitor);
	t->name = strdup(name);
	if (!t->name) {
		free(t);
		return -ENOMEM;
	}
	t->next = m->tunnels;
	m->tunnels = t;
	*ret = t;
	return 0;
}

struct tunnel *tunnel_free(struct tunnel *t)
{
	if (!t)
		return NULL;
	for (struct tunnel **p = &t->manager->tunnels; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	tunnel_end_requests(t);
	tunnel_stop_done(t);
	sd_event_source_disable_unref(t->restart_timer);
	monitor_done(&t->monitor);
	if (t->released)
		engine_proc_release(TAKE_PTR(t->engine));
	engine_proc_free(t->engine);
	fd_close(t->tun_fd);
	tunnel_watch_stop(t);
	tunnel_blocked_stop(t);
	tunnel_uplink_stop(t);
	tunnelnet_free(t->net);
	tunnel_forget_inputs(t);
	free(t->last_error);
	free(t->question);
	free(t->remote_host);
	free(t->name);
	free(t);
	return NULL;
}

/* ---- state ---------------------------------------------------------------------------------------------------------- */

void tunnel_set_state(struct tunnel *t, enum tunnel_state state, const char *cause)
{
	enum tunnel_state old = t->state;

	if (old == state)
		return;
	t->state = state;
	if (state != TUNNEL_STATE_CONNECTING && state != TUNNEL_STATE_RECONNECTING)
		tunnel_blocked_stop(t);
	if (!tunnel_wants_engine(t))
		tunnel_uplink_stop(t);
	log_tunnel_notice(t, "%s -> %s (%s)", tunnel_state_to_log(old), tunnel_state_to_log(state), cause);
	if (state == TUNNEL_STATE_CONNECTED)
		t->since = clock_realtime();
	else if (old == TUNNEL_STATE_CONNECTED || state == TUNNEL_STATE_DOWN)
		t->since = 0;
	if (t->manager->keeps_tunnels && state == TUNNEL_STATE_CONNECTED) {
		t->stored = handover_store(t);
	} else {
		tunnel_forget_stored(t);
	}
	tunnel_changed(t, "State", "Since", "LastHandshake", "Netns", "Exceptions", "ServiceAddresses", NULL);
	if (t->manager->settled)
		t->manager->settled(t->manager->userdata);
}

void tunnel_forget_stored(struct tunnel *t)
{
	if (!t->stored)
		return;
	handover_drop(t->name);
	t->stored = false;
}

void tunnel_cut(struct tunnel *t, bool transport_too)
{
	_cleanup_(freep) char *error = NULL, *transport_error = NULL;

	tunnel_forget_stored(t);
	if (!t->net || !t->in_kernel)
		return;
	if (tunnelnet_disconnect(t->net, &error) < 0)
		log_tunnel_error(t, "%s", error ? error : "cannot remove the default route");
	if (transport_too && tunnelnet_close_transport(t->net, &transport_error) < 0)
		log_tunnel_error(t, "%s", transport_error ? transport_error : "cannot close the opening to the server");
	if (t->settings.n_addrs > 0)
		tunnel_clear_settings(t);
}

/* ---- events --------------------------------------------------------------------------------------------------------- */

void tunnel_tell_exceptions(struct tunnel *t)
{
	if (t->net && t->profile && !place_is_rootless())
		tunnelnet_set_exceptions(t->net, &t->profile->settings.exceptions);
}

static int build(struct tunnel *t, char **ret_error)
{
	int r;

	engine_proc_end_stale(t->name);
	if (!t->net) {
		r = tunnelnet_new(&t->net, t->name, t->uplink, ret_error);
		if (r < 0)
			return r;
	}
	t->in_kernel = true;
	tunnel_tell_exceptions(t);
	r = tunnelnet_prepare(t->net, ret_error);
	if (r >= 0)
		tunnel_watch_start(t);
	return r;
}

static void prepare(struct tunnel *t)
{
	char *error = NULL;
	int r;

	tunnel_stop_done(t);
	t->was_connected = false;
	t->early_deaths = 0;
	t->backoff = 0;
	t->kill = false;
	r = build(t, &error);
	if (r >= 0) {
		(void)tunnel_event(t, TUNNEL_EVENT_PREPARED, "locked");
		return;
	}
	if (!error)
		error = str_format("tunnel %s cannot be prepared: %s", t->name, strerror(-r));
	log_tunnel_error(t, "%s", error ? error : strerror(-r));
	tunnel_set_error(t, BUS_ERROR_FAILED, error);
	(void)tunnel_event(t, t->recovering ? TUNNEL_EVENT_LOCK : TUNNEL_EVENT_PREPARE_FAILED, "cannot be prepared");
}

/* BLOCKED: whatever of the lock is missing is put in place, if anything can still say what it should be. */
static void hold(struct tunnel *t)
{
	_cleanup_(freep) char *error = NULL;

	tunnel_cut(t, true);
	if (!t->net)
		return;
	t->in_kernel = true;
	tunnel_tell_exceptions(t);
	if (tunnelnet_prepare(t->net, &error) < 0)
		log_tunnel_error(t, "%s", error ? error : "the lock cannot be completed");
	else
		tunnel_watch_start(t);
}

bool tunnel_event(struct tunnel *t, enum tunnel_event event, const char *cause)
{
	struct tunnel_transition tr = tunnel_state_next(t->state, event);

	if (tr.action == TUNNEL_ACTION_REFUSE) {
		(void)log_full(LOG_LEVEL_DEBUG, 0, t->name, "\"%s\" means nothing in state %s, ignoring", tunnel_event_to_string(event),
			       tunnel_state_to_log(t->state));
		return false;
	}
	tunnel_set_state(t, tr.next, cause);
	switch (tr.action) {
	case TUNNEL_ACTION_REFUSE:
	case TUNNEL_ACTION_NONE:
	case TUNNEL_ACTION_QUEUE:
	case _TUNNEL_ACTION_MAX:
		break;
	case TUNNEL_ACTION_PREPARE:
		prepare(t);
		break;
	case TUNNEL_ACTION_LAUNCH:
		tunnel_launch(t);
		break;
	case TUNNEL_ACTION_CUT:
		tunnel_cut(t, false);
		break;
	case TUNNEL_ACTION_RESTART:
		tunnel_cut(t, true);
		tunnel_schedule_engine(t);
		break;
	case TUNNEL_ACTION_RETIRE:
		tunnel_retire_engine(t);
		break;
	case TUNNEL_ACTION_HOLD:
		hold(t);
		break;
	case TUNNEL_ACTION_ROLLBACK:
	case TUNNEL_ACTION_UNDO:
		tunnel_stop_undo(t);
		break;
	case TUNNEL_ACTION_STOP:
		t->restart_timer = sd_event_source_disable_unref(t->restart_timer);
		tunnel_stop_begin(t);
		break;
	case TUNNEL_ACTION_FINISH:
		tunnel_stop_finish(t);
		break;
	case TUNNEL_ACTION_WATCH:
		tunnel_stop_watch(t);
		break;
	}
	return true;
}

/* ---- the helper ends ------------------------------------------------------------------------------------------------ */

void tunnel_shutdown(struct tunnel *t)
{
	if (t->stored && t->state == TUNNEL_STATE_CONNECTED) {
		t->released = true;
		return;
	}
	t->restart_timer = sd_event_source_disable_unref(t->restart_timer);
	if (t->state == TUNNEL_STATE_STOPPING || t->state == TUNNEL_STATE_UNDOING)
		return; /* ends by itself */
	tunnel_cut(t, false);
	t->monitor.query = resolve_free(t->monitor.query);
	if (t->engine)
		engine_proc_stop(t->engine, USEC_PER_SEC);
}

bool tunnel_is_idle(const struct tunnel *t)
{
	return !t->in_kernel && !t->engine && (t->state == TUNNEL_STATE_DOWN || t->state == TUNNEL_STATE_FAILED);
}

bool tunnel_is_quiet(const struct tunnel *t)
{
	if (t->released)
		return true;
	return !t->engine && t->state != TUNNEL_STATE_STOPPING && t->state != TUNNEL_STATE_UNDOING;
}
