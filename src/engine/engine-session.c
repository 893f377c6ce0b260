/*
 * Tries and sessions of the engine: asking for a socket, the protocol's events, and the ways out.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/str.h"
#include "engine/engine-parts.h"

/* Refusals by a server that once answered: a restart takes it a moment; this much longer it is gone. */
#define REFUSED_FOR (3 * USEC_PER_SEC)
#define REFUSED_TIMES 3
#define DEFAULT_PATH_MTU 1500

/* ---- the ways out --------------------------------------------------------------------------------------------------- */

usec_t engine_now(struct engine *e)
{
	usec_t now;

	return sd_event_now(e->event, CLOCK_BOOTTIME, &now) < 0 ? clock_boottime() : now;
}

void engine_end(struct engine *e, int code)
{
	e->phase = PHASE_ENDING;
	(void)sd_event_exit(e->event, code); /* fails only when the loop is over already */
}

/* A message that does not get through means that the helper is gone; the loop will see that itself. */
void engine_tell_state(struct engine *e, enum engine_state state, uint8_t fail, const char *text)
{
	uint16_t remote = e->attempt.n_remotes ? attempt_remote(&e->attempt) : 0;

	if (monitor_state(&e->monitor, state, fail, remote, e->cipher, text) < 0)
		engine_end(e, EXIT_CODE_FAILED);
}

void engine_drop_session(struct engine *e)
{
	char drops[512];

	e->wire_source = sd_event_source_disable_unref(e->wire_source);
	e->wire_wants_out = false;
	datapath_detach(&e->datapath);
	if (e->proto) {
		login_keep(e);
		e->proto->ops->free(e->proto);
		e->proto = NULL;
		if (*stats_format_drops(&e->stats, drops, sizeof(drops)))
			log_debug("dropped so far: %s", drops);
	}
	e->wire_fd = fd_close(e->wire_fd);
	way_drop(&e->way);
	e->cipher[0] = '\0';
	e->refused = 0;
	e->connected_at = 0;
	if (e->login.asks == LOGIN_ASKS_SESSION) {
		e->login.asks = LOGIN_ASKS_NOTHING;
		(void)monitor_question(&e->monitor, QUESTION_NONE, ""); /* a helper that is gone needs no word */
	}
	monitor_cancel(&e->monitor);
}

void engine_give_up(struct engine *e, enum fail_class fail, const char *text)
{
	engine_drop_session(e);
	(void)monitor_failed(&e->monitor, fail, text); /* gone already if it fails */
	engine_end(e, EXIT_CODE_FAILED);
}

const char *engine_asked_for(enum phase phase)
{
	switch (phase) {
	case PHASE_START:
		return "the profile";
	case PHASE_AUTH:
		return "user name and password";
	case PHASE_SOCKET:
		return "a socket to the server";
	case PHASE_SETTINGS:
		return "applying the server's settings";
	case PHASE_CONNECT:
	case PHASE_PROXY:
	case PHASE_QUESTION:
	case PHASE_HANDSHAKE:
	case PHASE_CONNECTED:
	case PHASE_WAITING:
	case PHASE_ENDING:
		break;
	}
	return NULL;
}

void engine_ask(struct engine *e, enum phase phase)
{
	e->phase = phase;
	patience_begin(&e->patience, engine_now(e));
}

void engine_check_patience(struct engine *e, usec_t now)
{
	const char *what = engine_asked_for(e->phase);
	char text[256];

	if (!what || !patience_is_over(&e->patience, now))
		return;
	(void)snprintf(text, sizeof(text), "nsvpnd was asked for %s and never answered; see `nsvpn logs`, then try again", what);
	if (!e->stats.last_handshake) {
		engine_give_up(e, FAIL_INTERNAL, text);
		return;
	}
	/* A tunnel that worked is worth another engine, which the helper starts by itself. */
	log_error("%s", text);
	engine_drop_session(e);
	engine_end(e, EXIT_CODE_FAILED);
}

/* Also while other settings are being applied, which a server may send at any time. */
static bool is_up(const struct engine *e)
{
	return e->connected_at != 0;
}

/* This try or session is over; what next is up to attempt.c. */
static void session_failed(struct engine *e, const struct attempt_failure *failure, const char *text, usec_t now)
{
	struct attempt_failure f = *failure;
	usec_t wait = 0;

	f.connected = is_up(e);
	f.lived = f.connected ? now - e->connected_at : 0;
	if (f.advice == PROTO_ADVICE_CHALLENGE && login_ask_challenge(e))
		return;
	engine_drop_session(e);
	if (f.advice == PROTO_ADVICE_ASK_AUTH) {
		if (e->profile->ovpn.auth_retry == AUTH_RETRY_INTERACT) {
			login_ask_credentials(e, true, text);
			return;
		}
		f.advice = e->profile->ovpn.auth_retry == AUTH_RETRY_NOINTERACT ? PROTO_ADVICE_RETRY : PROTO_ADVICE_GIVE_UP;
	}
	if (attempt_failed(&e->attempt, &f, &wait) == ATTEMPT_GIVE_UP) {
		engine_give_up(e, f.fail, text);
		return;
	}
	log_notice("%s", text);
	engine_tell_state(e, wait ? ENGINE_STATE_WAITING : ENGINE_STATE_CONNECTING, (uint8_t)f.fail, text);
	if (e->phase == PHASE_ENDING)
		return;
	e->phase = PHASE_WAITING;
	e->try_at = now + wait;
	if (wait == 0)
		engine_begin_try(e);
}

void engine_fail(struct engine *e, enum fail_class fail, const char *text, usec_t now)
{
	session_failed(e, &(struct attempt_failure){ .fail = fail, .advice = PROTO_ADVICE_RETRY }, text, now);
}

/* ---- protocol events ------------------------------------------------------------------------------------------------ */

static void on_settings_event(struct engine *e, const struct proto_event *ev)
{
	(void)str_copy(e->cipher, sizeof(e->cipher), ev->cipher);
	engine_ask(e, PHASE_SETTINGS);
	if (monitor_request_settings(&e->monitor, &ev->settings) < 0)
		engine_end(e, EXIT_CODE_FAILED);
}

static void on_proto_event(struct engine *e, const struct proto_event *ev, usec_t now)
{
	switch (ev->type) {
	case PROTO_EVENT_AUTHENTICATING:
		login_used(e);
		engine_tell_state(e, ENGINE_STATE_AUTHENTICATING, FAIL_NONE, "");
		break;
	case PROTO_EVENT_SETTINGS:
		on_settings_event(e, ev);
		break;
	case PROTO_EVENT_REKEYED:
		(void)str_copy(e->cipher, sizeof(e->cipher), ev->cipher);
		e->stats.last_handshake = clock_realtime();
		log_info("new data keys are in use (%s)", e->cipher);
		break;
	case PROTO_EVENT_INFO:
		log_info("%s", ev->text);
		break;
	case PROTO_EVENT_QUESTION:
		login_ask_in_session(e, ev);
		break;
	case PROTO_EVENT_FAILED:
		session_failed(e, &(struct attempt_failure){ .fail = ev->fail < _FAIL_CLASS_MAX ? ev->fail : FAIL_INTERNAL,
							     .advice = ev->advice, .wish = ev->wait }, ev->text, now);
		break;
	}
}

void engine_pump_events(struct engine *e, usec_t now)
{
	while (e->proto && e->phase != PHASE_ENDING && e->proto->ops->next_event(e->proto, &e->proto_event))
		on_proto_event(e, &e->proto_event, now);
}

bool engine_pump_wire(struct engine *e, usec_t now)
{
	uint8_t buf[PROTO_WIRE_MAX];
	bool all = true;
	size_t n;

	while (e->proto && (n = e->proto->ops->next_wire(e->proto, buf, now)) > 0)
		all &= datapath_send_control(&e->datapath, buf, n) >= 0;
	return all;
}

/* ---- socket errors -------------------------------------------------------------------------------------------------- */

static void on_refused(struct engine *e, usec_t now)
{
	char peer[WAY_PEER_MAX], text[WAY_PEER_MAX + 128];

	e->stats.refused++;
	if (e->refused++ == 0)
		e->refused_since = now;
	if (is_up(e) && (e->refused < REFUSED_TIMES || now - e->refused_since < REFUSED_FOR))
		return;
	(void)snprintf(text, sizeof(text), is_up(e) ?
		       "%s is gone: its host answers that nobody listens there any more" :
		       "%s refused the connection: nobody listens on that port%s",
		       way_peer(e, peer),
		       datapath_is_stream(&e->datapath) ? " (TCP)" : " (ICMP port unreachable)");
	engine_fail(e, FAIL_REFUSED, text, now);
}

/* What ended a TCP connection that had been made, and what follows from it. */
static const char *describe_end(const struct engine *e, int error, enum fail_class *ret_fail)
{
	bool up = e->phase == PHASE_CONNECTED || e->phase == PHASE_SETTINGS;

	*ret_fail = FAIL_SERVER;
	if (e->phase == PHASE_PROXY)
		return "closed the TCP connection without an answer; check its address, port and kind (HTTP or SOCKS)";
	switch (error) {
	case -EBADMSG:
		*ret_fail = FAIL_NEGOTIATION;
		return up ? "sent a length that cannot be, so what follows in its TCP stream means nothing; connecting again" :
			    "does not speak OpenVPN over TCP; check address, port and protocol";
	case -ETIMEDOUT:
		*ret_fail = FAIL_TIMEOUT;
		return "takes nothing any more: the TCP connection has timed out; connecting again";
	case -ENOTCONN:
	case -ECONNRESET:
	case -EPIPE:
		break;
	default:
		return strerror(-error);
	}
	return up ? "closed the TCP connection; connecting again" :
		    "closed the TCP connection before the tunnel was up: its log will say why; a tls-auth or tls-crypt key that differs is a usual cause";
}

static void on_connection_over(struct engine *e, int error, usec_t now)
{
	char peer[WAY_PEER_MAX], text[WAY_PEER_MAX + 256];
	enum fail_class fail;
	const char *what = describe_end(e, error, &fail);

	(void)snprintf(text, sizeof(text), "%s %s", way_peer(e, peer), what);
	engine_fail(e, fail, text, now);
}

void engine_on_socket_error(struct engine *e, int error, usec_t now)
{
	char peer[WAY_PEER_MAX], text[WAY_PEER_MAX + 128];

	if (datapath_is_stream(&e->datapath) && e->phase != PHASE_CONNECT) {
		on_connection_over(e, error, now);
		return;
	}
	if (error == -ECONNREFUSED) {
		on_refused(e, now);
		return;
	}
	/* Between two networks anything may come; a session that lived is ended by its keepalive only. */
	if (e->phase == PHASE_CONNECTED || e->phase == PHASE_SETTINGS) {
		e->stats.refused++;
		return;
	}
	(void)snprintf(text, sizeof(text), "%s cannot be reached: %s", way_peer(e, peer),
		       error == -EPERM ? "a firewall of this machine refuses packets to it; let them out" : strerror(-error));
	engine_fail(e, FAIL_UNREACHABLE, text, now);
}

/* ---- a try ---------------------------------------------------------------------------------------------------------- */

void engine_begin_try(struct engine *e)
{
	if (login_ask_first(e))
		return;
	engine_ask(e, PHASE_SOCKET);
	way_begin_try(&e->way);
	e->stale = false;
	if (attempt_address(&e->attempt) == 0)
		engine_tell_state(e, ENGINE_STATE_RESOLVING, FAIL_NONE, "");
	if (e->phase != PHASE_ENDING &&
	    monitor_request_socket(&e->monitor, attempt_remote(&e->attempt), attempt_address(&e->attempt)) < 0)
		engine_end(e, EXIT_CODE_FAILED);
}

static int start_session(struct engine *e, const struct ipc_ans_socket *answer, usec_t now, char **ret_error)
{
	const struct remote *remote = &e->profile->remotes[attempt_remote(&e->attempt)];
	uint32_t overhead = (uint32_t)way_overhead(e), path_mtu = answer->path_mtu ? answer->path_mtu : DEFAULT_PATH_MTU;
	enum transport transport = way_proxy(e) ? TRANSPORT_TCP : remote->transport;
	struct proto_params params = {
		.profile = e->profile,
		.server = answer->server,
		.transport = remote->transport,
		.connect_timeout = remote->connect_timeout,
		.path_mtu = path_mtu - MIN(overhead, path_mtu / 2),
		.tun_mtu_max = e->tun_mtu_max,
		.began = now,
	};
	int r;

	r = login_fill(e, &params);
	if (r < 0)
		return r;
	r = fd_set_nonblock(e->wire_fd, true);
	if (r < 0)
		return r;
	r = sd_event_add_io(e->event, &e->wire_source, e->wire_fd, EPOLLIN, engine_on_wire, e);
	if (r < 0)
		return r;
	r = ovpn_client_new(&e->proto, &params, ret_error);
	if (r < 0)
		return r;
	datapath_attach(&e->datapath, e->wire_fd, transport, e->proto);
	e->server = answer->server;
	e->phase = transport == TRANSPORT_TCP ? PHASE_CONNECT : PHASE_HANDSHAKE;
	e->connect_until = now + remote->connect_timeout;
	engine_tell_state(e, ENGINE_STATE_CONNECTING, FAIL_NONE, "");
	return e->phase == PHASE_HANDSHAKE ? e->proto->ops->start(e->proto, now) : 0;
}

static void session_impossible(struct engine *e, int r, const char *error, usec_t now)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "the session cannot be set up: %s", error ? error : strerror(-r));
	session_failed(e, &(struct attempt_failure){ .fail = r == -EINVAL ? FAIL_CONFIG : FAIL_INTERNAL,
						     .advice = PROTO_ADVICE_RETRY }, text, now);
}

void engine_on_connected(struct engine *e, usec_t now)
{
	int r = stream_connected(&e->datapath.stream);

	if (r < 0) {
		engine_on_socket_error(e, r, now);
		return;
	}
	if (way_proxy(e)) {
		r = way_begin(e, now);
		if (r < 0)
			session_impossible(e, r, r == -EOPNOTSUPP ? "this OpenSSL has no MD5, which the proxy's Digest wants" : NULL, now);
		else
			way_on_wire(e, now);
		return;
	}
	e->phase = PHASE_HANDSHAKE;
	r = e->proto->ops->start(e->proto, now);
	engine_pump_events(e, now); /* says why, where the protocol knows */
	if (r < 0 && e->phase == PHASE_HANDSHAKE)
		session_impossible(e, r, NULL, now);
}

void engine_on_connect_timeout(struct engine *e, usec_t now)
{
	char peer[WAY_PEER_MAX], text[WAY_PEER_MAX + 160];

	(void)snprintf(text, sizeof(text),
		       e->phase == PHASE_PROXY ?
		       "the %s has not said within %llu s whether it reaches the server: it, or the server, is down" :
		       "no TCP connection to %s within %llu s: it is down, the port is wrong, or a firewall is in between",
		       way_peer(e, peer),
		       (unsigned long long)(e->profile->remotes[attempt_remote(&e->attempt)].connect_timeout / USEC_PER_SEC));
	engine_fail(e, FAIL_SILENT, text, now);
}

void engine_on_socket(void *userdata, const struct ipc_ans_socket *answer, int fd)
{
	struct engine *e = userdata;
	_cleanup_(freep) char *error = NULL;
	usec_t now = engine_now(e);
	int r;

	if (e->phase != PHASE_SOCKET) {
		fd_close(fd);
		return;
	}
	if (e->stale) {
		fd_close(fd);
		engine_drop_session(e);
		engine_begin_try(e);
		engine_settle(e, now);
		return;
	}
	if (!e->way.relaying)
		attempt_set_addresses(&e->attempt, answer->n_addresses);
	if (!answer->ok) {
		fd_close(fd);
		engine_fail(e, answer->fail, answer->text, now);
		engine_settle(e, now);
		return;
	}
	e->wire_fd = fd;
	r = e->way.relaying ? way_on_relay(e, fd, now) : start_session(e, answer, now, &error);
	engine_pump_events(e, now); /* says why, where the protocol knows */
	if (r < 0 && (e->phase == PHASE_HANDSHAKE || e->phase == PHASE_SOCKET) && e->wire_fd == fd)
		session_impossible(e, r, error, now);
	if (e->phase != PHASE_ENDING)
		engine_settle(e, now);
}

void engine_on_settings(void *userdata, const struct ipc_ans_settings *answer)
{
	struct engine *e = userdata;
	usec_t now = engine_now(e);

	if (e->phase != PHASE_SETTINGS || !e->proto)
		return;
	if (answer->ok)
		e->phase = PHASE_CONNECTED;
	if (answer->ok && !is_up(e)) {
		e->connected_at = now;
		e->stats.last_handshake = clock_realtime();
	}
	e->proto->ops->settings_applied(e->proto, answer->ok, now);
	if (answer->ok) {
		datapath_open(&e->datapath);
		if (e->profile->ovpn.auth_nocache)
			login_forget(&e->login);
		if (e->login.asks != LOGIN_ASKS_NOTHING) { /* it got in without */
			e->login.asks = LOGIN_ASKS_NOTHING;
			(void)monitor_question(&e->monitor, QUESTION_NONE, ""); /* the next message finds a dead helper */
		}
		engine_tell_state(e, ENGINE_STATE_CONNECTED, FAIL_NONE, "");
	} else {
		char text[IPC_TEXT_MAX + 64];

		(void)snprintf(text, sizeof(text), "the server's settings were refused: %s", answer->text);
		engine_fail(e, FAIL_NEGOTIATION, text, now);
	}
	if (e->phase != PHASE_ENDING)
		engine_settle(e, now);
}
