/*
 * The lifecycle of one tunnel: requests and events in, kernel objects and engines out. The states and what each of them
 * means are in tunnel-state.h; going down is in tunnel-stop.c.
 *
 * Invariants kept here: the intent is on disk before the kernel is touched; the default route is cut before anything
 * else is thought about when a connection or an engine ends (tunnel_cut); at most one engine exists, and the next one
 * starts only when the last one is reaped; the state has one writer.
 */
#include "daemon/tunnel.h"

#include <stdarg.h>

#include "base/bus-api.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "daemon/tunnel-watch.h"

#define BACKOFF_MIN (100 * USEC_PER_MSEC)
#define BACKOFF_MAX (30 * USEC_PER_SEC)
#define EARLY_DEATHS_MAX 3 /* engines that end before they are ready: then nothing will make the next one work */
#define STATS_MAX_AGE USEC_PER_SEC
#define STORED_PROFILE_MAX (4U << 20)

struct request {
	struct request *next;
	tunnel_reply_fn fn;
	void *userdata;
	struct up_options options; /* ups: auth_fd owned */
};

static const char *const settings_properties[] = { "Addresses", "Dns", "SearchDomains", "Mtu", "FullTunnel" };

/* ---- the object ---------------------------------------------------------------------------------------------------- */

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

static struct request *request_free(struct request *q)
{
	if (q) {
		fd_close(q->options.auth_fd);
		free(q);
	}
	return NULL;
}

static int request_add(struct request **list, tunnel_reply_fn fn, void *userdata, const struct up_options *options)
{
	struct request *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->fn = fn;
	q->userdata = userdata;
	q->options.auth_fd = -EBADF;
	if (options) {
		q->options = *options;
		q->options.auth_fd = options->auth_fd < 0 ? -EBADF : fd_dup(options->auth_fd);
	}
	while (*list)
		list = &(*list)->next;
	*list = q;
	return 0;
}

/* Everything that was read from the configuration and the caller. */
static void forget_inputs(struct tunnel *t)
{
	profile_free(TAKE_PTR(t->profile));
	t->profile_tried = false;
	t->profile_fd = fd_close(t->profile_fd);
	t->auth_fd = fd_close(t->auth_fd);
}

struct tunnel *tunnel_free(struct tunnel *t)
{
	struct request *q;

	if (!t)
		return NULL;
	for (struct tunnel **p = &t->manager->tunnels; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	while ((q = t->downs)) {
		t->downs = q->next;
		q->fn(q->userdata, t, BUS_ERROR_FAILED, "the helper is ending");
		request_free(q);
	}
	while ((q = t->ups)) {
		t->ups = q->next;
		q->fn(q->userdata, t, BUS_ERROR_FAILED, "the helper is ending");
		request_free(q);
	}
	tunnel_stop_done(t);
	sd_event_source_disable_unref(t->restart_timer);
	monitor_done(&t->monitor);
	if (t->released)
		engine_proc_release(TAKE_PTR(t->engine));
	engine_proc_free(t->engine);
	fd_close(t->tun_fd);
	tunnel_watch_stop(t);
	tunnelnet_free(t->net);
	forget_inputs(t);
	free(t->last_error);
	free(t->remote_host);
	free(t->name);
	free(t);
	return NULL;
}

/* ---- what people see ------------------------------------------------------------------------------------------------ */

void tunnel_changed(struct tunnel *t, ...)
{
	char *names[16];
	size_t n = 0;
	va_list ap;

	va_start(ap, t);
	while (n < ARRAY_SIZE(names) - 1 && (names[n] = va_arg(ap, char *)))
		n++;
	va_end(ap);
	names[n] = NULL;
	if (t->manager->changed)
		t->manager->changed(t->manager->userdata, t, names);
}

void tunnel_set_error(struct tunnel *t, const char *error_name, char *error)
{
	if (!error && !t->last_error)
		return;
	free(t->last_error);
	t->last_error = error;
	t->last_error_name = error ? error_name : NULL;
	tunnel_changed(t, "LastError", "LastErrorName", NULL);
}

/* The only writer of ->state. */
static void tunnel_set_state(struct tunnel *t, enum tunnel_state state, const char *cause)
{
	enum tunnel_state old = t->state;

	if (old == state)
		return;
	t->state = state;
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
	tunnel_changed(t, "State", "Since", "LastHandshake", "Netns", NULL);
	if (t->manager->settled)
		t->manager->settled(t->manager->userdata);
}

static void clear_settings(struct tunnel *t)
{
	memset(&t->settings, 0, sizeof(t->settings));
	tunnel_changed(t, settings_properties[0], settings_properties[1], settings_properties[2], settings_properties[3],
		       settings_properties[4], NULL);
}

void tunnel_set_server(struct tunnel *t, const struct remote *remote, const struct endpoint *server)
{
	free(t->remote_host);
	t->remote_host = strdup(remote->host); /* without memory status shows the address alone */
	t->server = *server;
	t->transport = remote->transport;
	tunnel_changed(t, "RemoteHost", "RemoteAddress", "RemotePort", "RemoteTransport", NULL);
}

void tunnel_set_settings(struct tunnel *t, const struct settings *s)
{
	t->settings = *s;
	if (t->manager->keeps_tunnels && t->state == TUNNEL_STATE_CONNECTED)
		t->stored = handover_store(t);
	tunnel_changed(t, settings_properties[0], settings_properties[1], settings_properties[2], settings_properties[3],
		       settings_properties[4], NULL);
}

static const char *error_name_of(enum fail_class fail)
{
	switch (fail) {
	case FAIL_AUTH:
	case FAIL_CERT_REJECTED:
		return BUS_ERROR_AUTH_FAILED;
	case FAIL_SILENT:
	case FAIL_TIMEOUT:
		return BUS_ERROR_TIMED_OUT;
	case FAIL_INTERNAL:
	case FAIL_CONFIG:
	case FAIL_RESOLVE:
	case FAIL_UNREACHABLE:
	case FAIL_REFUSED:
	case FAIL_TLS:
	case FAIL_CERT:
	case FAIL_NEGOTIATION:
	case FAIL_SERVER:
	case _FAIL_CLASS_MAX:
		break;
	}
	return BUS_ERROR_FAILED;
}

void tunnel_set_failure(struct tunnel *t, enum fail_class fail, const char *text)
{
	if (text[0])
		tunnel_set_error(t, error_name_of(fail), strdup(text));
}

/* ---- engines -------------------------------------------------------------------------------------------------------- */

/* Whether requests of an engine have any business: while it is leaving they have not. */
static bool wants_engine(const struct tunnel *t)
{
	return (t->state == TUNNEL_STATE_CONNECTING || t->state == TUNNEL_STATE_CONNECTED ||
		t->state == TUNNEL_STATE_RECONNECTING) && !t->manager->shutting_down;
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
		clear_settings(t);
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

	if (!wants_engine(t) && m->type != IPC_REQ_LOG)
		return 0;
	return monitor_message(t, m);
}

static void on_closed(void *userdata, const char *why)
{
	struct tunnel *t = userdata;
	bool early = t->monitor.phase == MONITOR_PHASE_HELLO;

	monitor_done(&t->monitor);
	if (!wants_engine(t))
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
	if (wants_engine(t)) /* more exact than what on_closed() could know */
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

static const struct engine_proc_events engine_events = {
	.message = on_message,
	.closed = on_closed,
	.exited = on_exited,
	.stderr_line = on_stderr_line,
};

/* tun device (kept over the lives of engines) and engine. */
static int start_engine(struct tunnel *t, char **ret_error)
{
	int netns_fd = t->uplink == UPLINK_VETH ? tunnelnet_netns_fd(t->net) : -EBADF, r;

	if (t->tun_fd < 0) {
		r = tunnelnet_open_tun(t->net, &t->tun_fd, &t->tun_offload, ret_error);
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
	r = engine_proc_start(&t->engine, t->manager->event, t->manager->spawn, netns_fd, &engine_events, t);
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

static void schedule_engine(struct tunnel *t);

static void launch(struct tunnel *t)
{
	char *error = NULL;
	int r;

	if (t->engine) { /* the last one is ended but not reaped yet: `up` came quickly */
		schedule_engine(t);
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
	schedule_engine(t);
}

static int on_restart_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct tunnel *t = userdata;

	t->restart_timer = sd_event_source_disable_unref(t->restart_timer);
	if (!wants_engine(t))
		return 0;
	launch(t);
	return 0;
}

static void schedule_engine(struct tunnel *t)
{
	int r;

	if (!wants_engine(t) || t->restart_timer)
		return;
	t->backoff = t->backoff ? MIN(t->backoff * 2, (usec_t)BACKOFF_MAX) : BACKOFF_MIN;
	r = sd_event_add_time_relative(t->manager->event, &t->restart_timer, CLOCK_BOOTTIME, t->backoff, 0, on_restart_timer, t);
	if (r < 0)
		(void)log_error_errno(r, "%s: cannot set the timer for a new engine, the tunnel stays locked: %m", t->name);
}

static void retire_engine(struct tunnel *t)
{
	t->restart_timer = sd_event_source_disable_unref(t->restart_timer);
	tunnel_cut(t, true);
	if (t->engine)
		engine_proc_kill(t->engine, NULL); /* on_exited goes on from here */
	else
		(void)tunnel_event(t, TUNNEL_EVENT_ENGINE_GONE, "no engine");
}

void tunnel_engine_connected(struct tunnel *t, const char *cipher)
{
	(void)str_copy(t->cipher, sizeof(t->cipher), cipher); /* same size */
	t->was_connected = true;
	t->recovering = false;
	t->backoff = 0;
	tunnel_set_error(t, NULL, NULL);
	tunnel_changed(t, "Cipher", NULL);
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
	give_up(t, error_name_of(fail),
		text[0] ? strdup(text) : str_format("the engine of tunnel %s gave up without a reason", t->name));
}

void tunnel_engine_unsafe(struct tunnel *t, int error)
{
	errno = -error;
	give_up(t, BUS_ERROR_FAILED,
		str_format("the engine of tunnel %s could not lock itself in (%m), so it was given nothing; %s", t->name,
			   "seccomp and capabilities of this kernel or container are needed"));
}

/* ---- events --------------------------------------------------------------------------------------------------------- */

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
		launch(t);
		break;
	case TUNNEL_ACTION_CUT:
		tunnel_cut(t, false);
		break;
	case TUNNEL_ACTION_RESTART:
		tunnel_cut(t, true);
		schedule_engine(t);
		break;
	case TUNNEL_ACTION_RETIRE:
		retire_engine(t);
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

/* ---- up ------------------------------------------------------------------------------------------------------------- */

static void forget_secrets(struct profile *p)
{
	struct ovpn_options *o = &p->ovpn;
	struct secret **all[] = { &o->ca, &o->cert, &o->key, &o->extra_certs, &o->pkcs12, &o->key_password, &o->static_key,
				  &o->username, &o->password };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		*all[i] = secret_free(*all[i]);
}

/* Reads the configuration; nothing of the tunnel changes when it fails. */
static int load_inputs(struct tunnel *t, const struct up_options *options, const char **ret_error_name, char **ret_error)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_(secret_freep) struct secret *text = NULL;
	_cleanup_(closep) int profile_fd = -EBADF, auth_fd = -EBADF;
	enum uplink uplink;
	int r;

	*ret_error_name = BUS_ERROR_FAILED;
	r = profile_load_tunnel(t->name, &p, &text, ret_error);
	if (r >= 0)
		r = profile_verify(p, ret_error);
	if (r < 0) {
		if (r == -ENOENT) {
			*ret_error_name = BUS_ERROR_NOT_CONFIGURED;
			if (!*ret_error)
				*ret_error = str_format("there is no tunnel %s; `nsvpn list` names those there are, `nsvpn import` %s",
							t->name, "makes one");
		}
		return r;
	}
	if (p->protocol != PROTOCOL_OPENVPN) {
		*ret_error = str_format("tunnel %s: %s is not supported by this version", t->name, protocol_to_string(p->protocol));
		return -EOPNOTSUPP;
	}
	uplink = options->uplink_set ? options->uplink : p->settings.uplink;
	if (t->net && t->in_kernel && uplink != t->uplink) {
		*ret_error_name = BUS_ERROR_USAGE;
		*ret_error = str_format("tunnel %s is still locked with uplink %s; run `nsvpn down %s` before changing it", t->name,
					uplink_to_string(t->uplink), t->name);
		return -EBUSY;
	}
	if (p->ovpn.auth_user_pass && (!p->ovpn.username || !p->ovpn.password) && options->auth_fd < 0) {
		*ret_error_name = BUS_ERROR_NEED_CREDENTIALS;
		*ret_error = str_format("tunnel %s needs a user name and a password; run `nsvpn up %s`", t->name, t->name);
		return -ENOKEY;
	}
	profile_fd = memfd_sealed("nsvpn-profile", secret_bytes(text), secret_len(text));
	if (profile_fd < 0)
		return profile_fd;
	if (options->auth_fd >= 0) {
		auth_fd = fd_dup(options->auth_fd);
		if (auth_fd < 0)
			return auth_fd;
	}
	forget_secrets(p);
	forget_inputs(t);
	t->profile = TAKE_PTR(p);
	t->profile_tried = true;
	t->profile_fd = TAKE_FD(profile_fd);
	t->auth_fd = TAKE_FD(auth_fd);
	t->uplink = uplink;
	tunnel_changed(t, "Protocol", "Uplink", NULL);
	return 0;
}

static int save_intent(struct tunnel *t, char **ret_error)
{
	struct intent i = { .want_up = true, .uplink = t->uplink };

	memcpy(i.boot_id, t->manager->boot_id, sizeof(i.boot_id));
	return store_save(t->name, &i, ret_error);
}

void tunnel_up(struct tunnel *t, const struct up_options *options, tunnel_reply_fn fn, void *userdata)
{
	const char *error_name = BUS_ERROR_FAILED;
	_cleanup_(freep) char *error = NULL;
	enum tunnel_action action;
	int r;

	action = tunnel_state_next(t->state, TUNNEL_EVENT_UP).action;
	if (action == TUNNEL_ACTION_NONE) {
		fn(userdata, t, NULL, NULL);
		return;
	}
	if (action == TUNNEL_ACTION_QUEUE) {
		if (request_add(&t->ups, fn, userdata, options) < 0)
			fn(userdata, t, BUS_ERROR_FAILED, "no memory");
		return;
	}
	if (action != TUNNEL_ACTION_PREPARE || t->manager->shutting_down) {
		fn(userdata, t, BUS_ERROR_FAILED, "the helper is busy with this tunnel; try again in a moment");
		return;
	}
	r = load_inputs(t, options, &error_name, &error);
	if (r >= 0)
		r = save_intent(t, &error);
	if (r < 0) {
		fn(userdata, t, error_name, error ? error : strerror(-r));
		return;
	}
	tunnel_set_error(t, NULL, NULL);
	t->recovering = false;
	(void)tunnel_event(t, TUNNEL_EVENT_UP, "up");
	if (t->state == TUNNEL_STATE_FAILED)
		fn(userdata, t, t->last_error_name ? t->last_error_name : BUS_ERROR_FAILED,
		   t->last_error ? t->last_error : "the tunnel cannot be prepared");
	else
		fn(userdata, t, NULL, NULL);
}

void tunnel_answer_ups(struct tunnel *t)
{
	struct request *list = TAKE_PTR(t->ups);

	while (list) {
		struct request *q = list;

		list = q->next;
		tunnel_up(t, &q->options, q->fn, q->userdata);
		request_free(q);
	}
}

/* ---- down ----------------------------------------------------------------------------------------------------------- */

void tunnel_down(struct tunnel *t, bool kill, tunnel_reply_fn fn, void *userdata)
{
	if (t->state == TUNNEL_STATE_DOWN && !t->in_kernel) {
		fn(userdata, t, NULL, NULL);
		return;
	}
	if (request_add(&t->downs, fn, userdata, NULL) < 0) {
		fn(userdata, t, BUS_ERROR_FAILED, "no memory");
		return;
	}
	if (kill)
		t->kill = true;
	if (!tunnel_event(t, TUNNEL_EVENT_DOWN, "down"))
		tunnel_answer_downs(t, BUS_ERROR_FAILED, "the tunnel is being prepared");
}

void tunnel_answer_downs(struct tunnel *t, const char *error_name, const char *error)
{
	struct request *list = TAKE_PTR(t->downs);

	t->kill = false;
	while (list) {
		struct request *q = list;

		list = q->next;
		q->fn(q->userdata, t, error_name, error);
		request_free(q);
	}
}

/* ---- recovery ------------------------------------------------------------------------------------------------------- */

void tunnel_recover_up(struct tunnel *t, enum uplink uplink)
{
	struct up_options options = { .auth_fd = -EBADF, .uplink_set = true, .uplink = uplink };
	const char *error_name;
	char *error = NULL;

	t->recovering = true;
	if (load_inputs(t, &options, &error_name, &error) >= 0) {
		(void)tunnel_event(t, TUNNEL_EVENT_UP, "wanted up by the state file");
		return;
	}
	t->uplink = uplink;
	tunnel_recover_locked(t, error ? error : "its configuration cannot be read");
	if (t->last_error && str_eq(error_name, BUS_ERROR_NEED_CREDENTIALS)) {
		t->last_error_name = BUS_ERROR_NEED_CREDENTIALS;
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
		t->uplink = t->profile->settings.uplink;
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

/* What is there is looked at as in every recovery; only the engine and its device are not made anew. */
static int go_on(struct tunnel *t, const struct handover_record *rec, char **ret_error)
{
	int r;

	r = tunnelnet_new(&t->net, t->name, rec->uplink, ret_error);
	if (r < 0)
		return r;
	tunnelnet_adopt(t->net, &rec->settings);
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

/*
 * The engine has the profile that it was started with, whatever the file says by now, and counts its remotes; settings.conf
 * is the present one.
 */
static int load_stored_profile(struct tunnel *t, int fd, char **ret_error)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = file_read_fd(fd, STORED_PROFILE_MAX, &text, &len);
	if (r < 0)
		return r;
	/* Self-contained: there is nothing to load. */
	r = profile_parse_ovpn(text, len, t->name, NULL, NULL, NULL, &p, ret_error);
	explicit_bzero(text, len);
	if (r >= 0)
		r = tunnel_settings_load(t->name, &p->settings, ret_error);
	if (r < 0)
		return r;
	forget_secrets(p);
	forget_inputs(t);
	t->profile = TAKE_PTR(p);
	t->profile_tried = true;
	return 0;
}

bool tunnel_recover_running(struct tunnel *t, const struct handover_record *rec, int fds[HANDOVER_FD_COUNT])
{
	_cleanup_(freep) char *error = NULL;
	int r;

	r = load_stored_profile(t, fds[HANDOVER_FD_PROFILE], &error);
	if (r >= 0)
		r = engine_proc_adopt(&t->engine, t->manager->event, t->manager->spawn, fds[HANDOVER_FD_PIDFD],
				      fds[HANDOVER_FD_SOCKET], fds[HANDOVER_FD_STDERR], &engine_events, t);
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

/* ---- questions ------------------------------------------------------------------------------------------------------ */

void tunnel_describe(struct tunnel *t)
{
	_cleanup_(freep) char *error = NULL;

	if (t->profile_tried)
		return;
	t->profile_tried = true;
	if (profile_load_tunnel(t->name, &t->profile, NULL, &error) < 0) {
		t->profile = NULL;
		return;
	}
	forget_secrets(t->profile);
	if (!t->net)
		t->uplink = t->profile->settings.uplink;
}

void tunnel_forget_profile(struct tunnel *t)
{
	if (tunnel_is_idle(t))
		forget_inputs(t);
}

int tunnel_processes(struct tunnel *t, struct netproc **ret, size_t *ret_n)
{
	if (!t->net || !t->in_kernel) {
		*ret = NULL;
		*ret_n = 0;
		return 0;
	}
	return tunnelnet_processes(t->net, engine_proc_pid(t->engine), ret, ret_n);
}

void tunnel_refresh_stats(struct tunnel *t)
{
	struct ipc_msg ask = { .type = IPC_CMD_STATS };
	_cleanup_(freep) struct netproc *inside = NULL;
	usec_t now = clock_boottime();
	size_t n;

	if (t->engine && t->monitor.phase == MONITOR_PHASE_APPLIED && now - t->stats_asked >= STATS_MAX_AGE) {
		t->stats_asked = now;
		(void)engine_proc_send(t->engine, &ask, NULL, 0); /* the old figures stay */
	}
	if (now - t->counted_at < STATS_MAX_AGE)
		return;
	t->counted_at = now;
	if (!t->net || !t->in_kernel || tunnelnet_dropped(t->net, &t->dropped) < 0)
		t->dropped = 0;
	t->n_processes = tunnel_processes(t, &inside, &n) < 0 ? 0 : (uint32_t)n;
}

int tunnel_plan(struct tunnel *t, char **ret, char **ret_error)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_(tunnelnet_freep) struct tunnelnet *net = NULL;
	_cleanup_(freep) char *text = NULL;
	_cleanup_(fclosep) FILE *f = NULL;
	size_t len;
	int r;

	r = profile_load_tunnel(t->name, &p, NULL, ret_error);
	if (r < 0)
		return r;
	r = tunnelnet_new(&net, t->name, p->settings.uplink, ret_error);
	if (r < 0)
		return r;
	f = open_memstream(&text, &len);
	if (!f)
		return -ENOMEM;
	r = tunnelnet_print_plan(net, p, NULL, f);
	if (r < 0)
		return r;
	if (fclose(TAKE_PTR(f)) != 0)
		return -ENOMEM;
	*ret = TAKE_PTR(text);
	return 0;
}
