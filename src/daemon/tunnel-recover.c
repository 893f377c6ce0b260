/*
 * A helper starts and finds a tunnel that an earlier one left: wanted up, running still, damaged, or half taken down.
 * manager.c compares intent files, journals and kernel, and says which.
 */
#include "base/bus-api.h"
#include "base/fd.h"
#include "base/str.h"
#include "daemon/tunnel-engine.h"
#include "daemon/tunnel-inputs.h"
#include "daemon/tunnel-watch.h"
#include "daemon/tunnel.h"

void tunnel_recover_up(struct tunnel *t, enum uplink uplink)
{
	struct up_options options = { .auth_fd = -EBADF, .uplink_set = true, .uplink = uplink };
	const char *error_name;
	char *error = NULL;

	t->recovering = true;
	if (tunnel_load_inputs(t, &options, &error_name, &error) >= 0) {
		(void)tunnel_event(t, TUNNEL_EVENT_UP, "wanted up by the state file");
		return;
	}
	t->uplink = uplink;
	tunnel_recover_locked(t, error ? error : "its configuration cannot be read");
	/* The names are constants: somebody has to be asked, and `nsvpn up` will know for what. */
	if (t->last_error && (str_eq(error_name, BUS_ERROR_NEED_CREDENTIALS) || str_eq(error_name, BUS_ERROR_NEED_PASSPHRASE) ||
			      str_eq(error_name, BUS_ERROR_NEED_BOTH))) {
		t->last_error_name = error_name;
		tunnel_changed(t, "LastErrorName", NULL);
	}
	free(error);
}

void tunnel_recover_locked(struct tunnel *t, const char *why)
{
	char *error = NULL;

	t->recovering = true;
	tunnel_describe(t);
	if (t->profile && !t->net)
		t->uplink = tunnel_wanted_uplink(t->profile);
	if (!t->net && tunnelnet_new(&t->net, t->name, t->uplink, &error) < 0) {
		log_tunnel_error(t, "%s", error ? error : "its journal cannot be read");
		free(error);
	}
	t->in_kernel = t->net != NULL;
	engine_proc_end_stale(t->name);
	log_tunnel_error(t, "%s", why);
	tunnel_set_error(t, BUS_ERROR_FAILED,
			 str_format("%s; tunnel %s is locked until `nsvpn up %s` or `nsvpn down %s`", why, t->name, t->name, t->name));
	(void)tunnel_event(t, TUNNEL_EVENT_LOCK, why);
}

void tunnel_recover_down(struct tunnel *t)
{
	_cleanup_(freep) char *error = NULL;

	engine_proc_end_stale(t->name);
	if (tunnelnet_new(&t->net, t->name, UPLINK_VETH, &error) < 0) {
		log_tunnel_error(t, "%s", error ? error : "its journal cannot be read");
		return;
	}
	t->in_kernel = true;
	(void)tunnel_event(t, TUNNEL_EVENT_DOWN, "left over without a state file");
}

/* ---- one that runs -------------------------------------------------------------------------------------------------- */

/* What is there is looked at as in every recovery; only the engine and its device are not made anew. */
static int go_on(struct tunnel *t, const struct handover_record *rec, char **ret_error)
{
	int r;

	r = tunnelnet_new(&t->net, t->name, rec->uplink, ret_error);
	if (r < 0)
		return r;
	tunnelnet_adopt(t->net, &rec->settings);
	tunnel_tell_exceptions(t);
	r = tunnelnet_prepare(t->net, ret_error);
	return r < 0 ? r : tunnelnet_connect(t->net, &rec->settings, ret_error);
}

static void take_over(struct tunnel *t, const struct handover_record *rec, int fds[HANDOVER_FD_COUNT])
{
	t->in_kernel = true;
	t->was_connected = true;
	t->uplink = rec->uplink;
	t->transport = rec->transport;
	t->server = rec->server;
	t->settings = rec->settings;
	t->tun_offload = rec->tun_offload;
	t->tun_fd = TAKE_FD(fds[HANDOVER_FD_TUN]);
	t->profile_fd = TAKE_FD(fds[HANDOVER_FD_PROFILE]);
	t->auth_fd = TAKE_FD(fds[HANDOVER_FD_AUTH]);
	t->remote_host = strdup(rec->remote_host); /* for display */
	t->monitor.phase = MONITOR_PHASE_APPLIED;
	t->monitor.seen = rec->seen;
	(void)str_copy(t->cipher, sizeof(t->cipher), rec->cipher); /* same size */
	tunnel_watch_start(t);
	tunnel_set_state(t, TUNNEL_STATE_CONNECTED, "it went on without a helper");
	t->since = rec->since;
	t->stored = handover_store(t);
}

bool tunnel_recover_running(struct tunnel *t, const struct handover_record *rec, int fds[HANDOVER_FD_COUNT])
{
	_cleanup_(freep) char *error = NULL;
	int r;

	r = tunnel_load_stored(t, fds[HANDOVER_FD_PROFILE], &error);
	if (r >= 0)
		r = engine_proc_adopt(&t->engine, t->manager->event, t->manager->spawn, fds[HANDOVER_FD_PIDFD],
				      fds[HANDOVER_FD_SOCKET], fds[HANDOVER_FD_STDERR], &tunnel_engine_events, t);
	if (r >= 0) {
		fds[HANDOVER_FD_PIDFD] = fds[HANDOVER_FD_SOCKET] = fds[HANDOVER_FD_STDERR] = -EBADF;
		r = go_on(t, rec, &error);
	}
	if (r < 0) {
		log_tunnel_notice(t, "cannot go on with what an earlier helper left (%s), so it is connected anew",
				  error ? error : strerror(-r));
		t->engine = engine_proc_free(t->engine);
		t->net = tunnelnet_free(t->net);
		return false;
	}
	take_over(t, rec, fds);
	return true;
}
