/*
 * The engine.
 *
 * Theory. The protocol core knows no sockets and no clock; this file gives it both. All input (a datagram, a packet of
 * the tun, a timer, a message of the helper) ends in settle(): events out of the protocol, control datagrams out, timer
 * armed. Phases:
 *
 *   START      nothing known yet; the helper sends profile and tun
 *   AUTH       waiting for user name and password
 *   SOCKET     waiting for a transport socket to the address that attempt.c chose
 *   HANDSHAKE  a session is being made; packets of the tun are dropped
 *   SETTINGS   the server's settings are with the helper; still nothing passes
 *   CONNECTED  the data path is open
 *   WAITING    backing off before the next try
 *   ENDING     said goodbye or gave up; the loop ends
 *
 * The tun stays open in all of them and is drained where nothing can be sent, so that programs get no full queue. Only
 * CONNECTED passes packets. When the helper goes, the engine goes at once, and with the tun's last descriptor the device
 * and its routes. In START, AUTH, SOCKET and SETTINGS it is the helper's turn; a helper that says nothing for longer than
 * patience.h allows ends the engine with a sentence.
 */
#include "engine/engine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bus-api.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/tls.h"
#include "engine/attempt.h"
#include "engine/datapath.h"
#include "engine/moderation.h"
#include "engine/monitor-client.h"
#include "engine/patience.h"

/* Profiles come with their files inline. */
#define PROFILE_TEXT_MAX (8 * PROFILE_FILE_MAX)
#define AUTH_TEXT_MAX 8192
#define FAIL_NONE 0xff
/* Not more: to spread timers that are less exact, sd-event reads the boot id, and no file can be opened any more. */
#define TIMER_ACCURACY 1
#define STARVED_WAIT (1 * USEC_PER_MSEC)
#define GOODBYE_MAX (200 * USEC_PER_MSEC)
/* Refusals by a server that once answered: a restart takes it a moment; this much longer it is gone. */
#define REFUSED_FOR (3 * USEC_PER_SEC)
#define REFUSED_TIMES 3

enum phase { PHASE_START, PHASE_AUTH, PHASE_SOCKET, PHASE_HANDSHAKE, PHASE_SETTINGS, PHASE_CONNECTED, PHASE_WAITING,
	     PHASE_ENDING };

struct engine {
	sd_event *event;
	sd_event_source *timer, *tun_source, *udp_source;
	usec_t armed; /* what the timer is set to */
	struct monitor_client monitor;

	enum phase phase;
	struct patience patience; /* START, AUTH, SOCKET, SETTINGS: the helper has to say something */
	bool stale;               /* SOCKET: the answer will be for a try that is over */
	struct profile *profile;
	struct secret *username, *password; /* asked for; the profile's own stay in the profile */
	struct attempt attempt;
	usec_t try_at;       /* WAITING */
	usec_t connected_at; /* CONNECTED */
	usec_t refused_since;
	unsigned refused;

	struct proto *proto;
	int tun_fd, udp_fd;
	uint32_t tun_mtu_max;
	struct endpoint server;
	bool tun_paused, udp_wants_out;
	struct datapath datapath;
	struct moderation moderation;
	struct stats stats;
	char cipher[64];
	struct proto_event proto_event; /* large: not on the stack */
};

static void begin_try(struct engine *e);
static void settle(struct engine *e, usec_t now);

/* ---- the ways out ----------------------------------------------------------------------------------------------- */

static usec_t now_of(struct engine *e)
{
	usec_t now;

	return sd_event_now(e->event, CLOCK_BOOTTIME, &now) < 0 ? clock_boottime() : now;
}

static void end(struct engine *e, int code)
{
	e->phase = PHASE_ENDING;
	(void)sd_event_exit(e->event, code); /* fails only when the loop is over already */
}

/* A message that does not get through means that the helper is gone; the loop will see that itself. */
static void tell_state(struct engine *e, enum engine_state state, uint8_t fail, const char *text)
{
	uint16_t remote = e->attempt.n_remotes ? attempt_remote(&e->attempt) : 0;

	if (monitor_state(&e->monitor, state, fail, remote, e->cipher, text) < 0)
		end(e, EXIT_CODE_FAILED);
}

static void drop_session(struct engine *e)
{
	char drops[512];

	e->udp_source = sd_event_source_disable_unref(e->udp_source);
	e->udp_wants_out = false;
	datapath_detach(&e->datapath);
	if (e->proto) {
		e->proto->ops->free(e->proto);
		e->proto = NULL;
		if (*stats_format_drops(&e->stats, drops, sizeof(drops)))
			log_debug("dropped so far: %s", drops);
	}
	e->udp_fd = fd_close(e->udp_fd);
	e->cipher[0] = '\0';
	e->refused = 0;
	e->connected_at = 0;
	monitor_cancel(&e->monitor);
}

static void give_up(struct engine *e, enum fail_class fail, const char *text)
{
	drop_session(e);
	(void)monitor_failed(&e->monitor, fail, text); /* gone already if it fails */
	end(e, EXIT_CODE_FAILED);
}

static void forget_credentials(struct engine *e)
{
	e->username = secret_free(e->username);
	e->password = secret_free(e->password);
}

/* What the helper has been asked for, in words; NULL: nothing. */
static const char *asked_for(enum phase phase)
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
	case PHASE_HANDSHAKE:
	case PHASE_CONNECTED:
	case PHASE_WAITING:
	case PHASE_ENDING:
		break;
	}
	return NULL;
}

static void ask(struct engine *e, enum phase phase)
{
	e->phase = phase;
	patience_begin(&e->patience, now_of(e));
}

static void check_patience(struct engine *e, usec_t now)
{
	const char *what = asked_for(e->phase);
	char text[256];

	if (!what || !patience_is_over(&e->patience, now))
		return;
	(void)snprintf(text, sizeof(text), "nsvpnd was asked for %s and never answered; see `nsvpn logs`, then try again", what);
	if (!e->stats.last_handshake) {
		give_up(e, FAIL_INTERNAL, text);
		return;
	}
	/* A tunnel that worked is worth another engine, which the helper starts by itself. */
	log_error("%s", text);
	drop_session(e);
	end(e, EXIT_CODE_FAILED);
}

static void ask_credentials(struct engine *e, bool again, const char *text)
{
	ask(e, PHASE_AUTH);
	forget_credentials(e);
	if (monitor_request_auth(&e->monitor, again, text) < 0)
		end(e, EXIT_CODE_FAILED);
}

/* This try or session is over; what next is up to attempt.c. */
static void session_failed(struct engine *e, const struct attempt_failure *failure, const char *text, usec_t now)
{
	struct attempt_failure f = *failure;
	usec_t wait = 0;

	f.connected = e->phase == PHASE_CONNECTED;
	f.lived = f.connected ? now - e->connected_at : 0;
	drop_session(e);
	if (f.advice == PROTO_ADVICE_ASK_AUTH) {
		if (e->profile->ovpn.auth_retry == AUTH_RETRY_INTERACT) {
			ask_credentials(e, true, text);
			return;
		}
		f.advice = e->profile->ovpn.auth_retry == AUTH_RETRY_NOINTERACT ? PROTO_ADVICE_RETRY : PROTO_ADVICE_GIVE_UP;
	}
	if (attempt_failed(&e->attempt, &f, &wait) == ATTEMPT_GIVE_UP) {
		give_up(e, f.fail, text);
		return;
	}
	log_notice("%s", text);
	tell_state(e, wait ? ENGINE_STATE_WAITING : ENGINE_STATE_CONNECTING, (uint8_t)f.fail, text);
	if (e->phase == PHASE_ENDING)
		return;
	e->phase = PHASE_WAITING;
	e->try_at = now + wait;
	if (wait == 0)
		begin_try(e);
}

static void fail_retry(struct engine *e, enum fail_class fail, const char *text, usec_t now)
{
	session_failed(e, &(struct attempt_failure){ .fail = fail, .advice = PROTO_ADVICE_RETRY }, text, now);
}

/* ---- timer and readiness ---------------------------------------------------------------------------------------- */

/*
 * The keepalive deadline moves with every packet. The timer is therefore moved only when it would fire too late: firing
 * early costs one wake-up per interval, moving it would cost a system call per batch.
 */
static void arm(struct engine *e, usec_t now)
{
	usec_t next = USEC_INFINITY;

	if (e->phase == PHASE_WAITING)
		next = e->try_at;
	if (asked_for(e->phase))
		next = e->patience.until;
	if (e->proto)
		next = MIN(next, e->proto->ops->deadline(e->proto));
	if (e->datapath.starved)
		next = MIN(next, now + STARVED_WAIT);
	if (next == e->armed || (e->armed > now && e->armed <= next))
		return;
	e->armed = next;
	(void)sd_event_source_set_time(e->timer, next); /* fails for dead sources only */
	(void)sd_event_source_set_enabled(e->timer, next == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* While the socket is full its writability is waited for and the tun is not read. */
static void update_interest(struct engine *e)
{
	bool out = e->datapath.blocked && !e->datapath.starved;
	bool pause = e->datapath.blocked;

	if (e->udp_source && out != e->udp_wants_out) {
		e->udp_wants_out = out;
		(void)sd_event_source_set_io_events(e->udp_source, EPOLLIN | (out ? EPOLLOUT : 0));
	}
	if (e->tun_source && pause != e->tun_paused) {
		e->tun_paused = pause;
		(void)sd_event_source_set_io_events(e->tun_source, pause ? 0 : EPOLLIN);
	}
}

/* ---- protocol events -------------------------------------------------------------------------------------------- */

static void on_settings_event(struct engine *e, const struct proto_event *ev)
{
	(void)str_copy(e->cipher, sizeof(e->cipher), ev->cipher);
	ask(e, PHASE_SETTINGS);
	if (monitor_request_settings(&e->monitor, &ev->settings) < 0)
		end(e, EXIT_CODE_FAILED);
}

static void on_proto_event(struct engine *e, const struct proto_event *ev, usec_t now)
{
	switch (ev->type) {
	case PROTO_EVENT_AUTHENTICATING:
		tell_state(e, ENGINE_STATE_AUTHENTICATING, FAIL_NONE, "");
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
	case PROTO_EVENT_FAILED:
		session_failed(e, &(struct attempt_failure){ .fail = ev->fail < _FAIL_CLASS_MAX ? ev->fail : FAIL_INTERNAL,
							     .advice = ev->advice, .wish = ev->wait }, ev->text, now);
		break;
	}
}

static void pump_events(struct engine *e, usec_t now)
{
	while (e->proto && e->phase != PHASE_ENDING && e->proto->ops->next_event(e->proto, &e->proto_event))
		on_proto_event(e, &e->proto_event, now);
}

/* False when a datagram had to be left out because the socket is full. */
static bool pump_wire(struct engine *e, usec_t now)
{
	uint8_t buf[PROTO_WIRE_MAX];
	bool all = true;
	size_t n;

	while (e->proto && (n = e->proto->ops->next_wire(e->proto, buf, now)) > 0)
		all &= datapath_send_control(&e->datapath, buf, n) >= 0;
	return all;
}

/* ---- socket errors ---------------------------------------------------------------------------------------------- */

static void on_refused(struct engine *e, usec_t now)
{
	char server[ENDPOINT_STR_MAX], text[256];

	e->stats.refused++;
	if (e->refused++ == 0)
		e->refused_since = now;
	if (e->phase == PHASE_CONNECTED && (e->refused < REFUSED_TIMES || now - e->refused_since < REFUSED_FOR))
		return;
	(void)snprintf(text, sizeof(text), e->phase == PHASE_CONNECTED ?
		       "server %s is gone: its host answers that nobody listens there any more" :
		       "server %s refused the connection: nobody listens on that port (ICMP port unreachable)",
		       endpoint_format(&e->server, server, sizeof(server)));
	fail_retry(e, FAIL_REFUSED, text, now);
}

static void on_socket_error(struct engine *e, int error, usec_t now)
{
	char server[ENDPOINT_STR_MAX], text[256];

	if (error == -ECONNREFUSED) {
		on_refused(e, now);
		return;
	}
	/* Between two networks anything may come; a session that lived is ended by its keepalive only. */
	if (e->phase == PHASE_CONNECTED || e->phase == PHASE_SETTINGS) {
		e->stats.refused++;
		return;
	}
	(void)snprintf(text, sizeof(text), "server %s cannot be reached: %s",
		       endpoint_format(&e->server, server, sizeof(server)), strerror(-error));
	fail_retry(e, FAIL_UNREACHABLE, text, now);
}

/* ---- after each input ------------------------------------------------------------------------------------------- */

static void settle(struct engine *e, usec_t now)
{
	int error;

	if (e->proto && e->proto->ops->deadline(e->proto) <= now)
		e->proto->ops->tick(e->proto, now);
	pump_events(e, now);
	(void)pump_wire(e, now); /* what is left out is sent again by the protocol */
	if (e->datapath.heard) {
		e->datapath.heard = false;
		e->refused = 0;
	}
	error = datapath_take_error(&e->datapath);
	if (error < 0 && error != -EMSGSIZE && e->proto && e->phase != PHASE_ENDING)
		on_socket_error(e, error, now);
	if (e->phase == PHASE_ENDING)
		return;
	update_interest(e);
	arm(e, now);
}

static void move_from_tun(struct engine *e, usec_t now)
{
	int r;

	if (e->datapath.blocked)
		return;
	r = datapath_from_tun(&e->datapath, now);
	if (r < 0 && e->phase != PHASE_ENDING) {
		char text[128];

		(void)snprintf(text, sizeof(text), "the tun device is gone (%s)", strerror(-r));
		give_up(e, FAIL_INTERNAL, text);
	}
}

static int on_udp(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct engine *e = userdata;
	usec_t now = now_of(e);

	(void)source;
	(void)fd;
	if (e->phase == PHASE_ENDING || !e->proto)
		return 0;
	if (revents & EPOLLOUT) {
		datapath_resume(&e->datapath);
		move_from_tun(e, now);
	}
	if ((revents & ~(uint32_t)EPOLLOUT) && e->phase != PHASE_ENDING) {
		usec_t wait = moderation_wait(&e->moderation, now);

		if (wait > 0)
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = (long)wait * 1000 }, NULL);
		/* errors are taken by settle() */
		moderation_note(&e->moderation, now, datapath_from_udp(&e->datapath, now));
	}
	settle(e, now);
	return 0;
}

static int on_tun(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct engine *e = userdata;
	usec_t now = now_of(e);

	(void)source;
	(void)fd;
	(void)revents;
	if (e->phase == PHASE_ENDING)
		return 0;
	move_from_tun(e, now);
	settle(e, now);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct engine *e = userdata;
	usec_t now = now_of(e);

	(void)source;
	(void)usec;
	e->armed = USEC_INFINITY;
	if (e->phase == PHASE_ENDING)
		return 0;
	check_patience(e, now);
	if (e->phase == PHASE_ENDING)
		return 0;
	if (e->phase == PHASE_WAITING && now >= e->try_at)
		begin_try(e);
	if (e->datapath.starved) {
		datapath_resume(&e->datapath);
		move_from_tun(e, now);
	}
	settle(e, now);
	return 0;
}

/* ---- a try ------------------------------------------------------------------------------------------------------ */

static bool needs_credentials(const struct engine *e)
{
	const struct ovpn_options *o = &e->profile->ovpn;

	return o->auth_user_pass && !e->username && !(o->username && o->password);
}

static void begin_try(struct engine *e)
{
	if (needs_credentials(e)) {
		ask_credentials(e, false, "user name and password for the server");
		return;
	}
	ask(e, PHASE_SOCKET);
	e->stale = false;
	if (attempt_address(&e->attempt) == 0)
		tell_state(e, ENGINE_STATE_RESOLVING, FAIL_NONE, "");
	if (e->phase != PHASE_ENDING &&
	    monitor_request_socket(&e->monitor, attempt_remote(&e->attempt), attempt_address(&e->attempt)) < 0)
		end(e, EXIT_CODE_FAILED);
}

static int start_session(struct engine *e, const struct ipc_ans_socket *answer, usec_t now, char **ret_error)
{
	const struct ovpn_options *o = &e->profile->ovpn;
	struct proto_params params = {
		.profile = e->profile,
		.server = answer->server,
		.transport = e->profile->remotes[attempt_remote(&e->attempt)].transport,
		.username = e->username ? e->username : o->username,
		.password = e->username ? e->password : o->password,
		.path_mtu = answer->path_mtu,
		.tun_mtu_max = e->tun_mtu_max,
	};
	int r;

	r = fd_set_nonblock(e->udp_fd, true);
	if (r < 0)
		return r;
	r = sd_event_add_io(e->event, &e->udp_source, e->udp_fd, EPOLLIN, on_udp, e);
	if (r < 0)
		return r;
	r = ovpn_client_new(&e->proto, &params, ret_error);
	if (r < 0)
		return r;
	datapath_attach(&e->datapath, e->udp_fd, e->proto);
	e->server = answer->server;
	e->phase = PHASE_HANDSHAKE;
	tell_state(e, ENGINE_STATE_CONNECTING, FAIL_NONE, "");
	return e->proto->ops->start(e->proto, now);
}

static void on_socket(void *userdata, const struct ipc_ans_socket *answer, int fd)
{
	struct engine *e = userdata;
	_cleanup_(freep) char *error = NULL;
	usec_t now = now_of(e);
	int r;

	if (e->phase != PHASE_SOCKET) {
		fd_close(fd);
		return;
	}
	if (e->stale) {
		fd_close(fd);
		begin_try(e);
		settle(e, now);
		return;
	}
	attempt_set_addresses(&e->attempt, answer->n_addresses);
	if (!answer->ok) {
		fd_close(fd);
		fail_retry(e, answer->fail, answer->text, now);
		settle(e, now);
		return;
	}
	e->udp_fd = fd;
	r = start_session(e, answer, now, &error);
	pump_events(e, now); /* says why, where the protocol knows */
	if (r < 0 && (e->phase == PHASE_HANDSHAKE || e->phase == PHASE_SOCKET) && e->udp_fd == fd) {
		char text[512];

		(void)snprintf(text, sizeof(text), "the session cannot be set up: %s", error ? error : strerror(-r));
		session_failed(e, &(struct attempt_failure){ .fail = r == -EINVAL ? FAIL_CONFIG : FAIL_INTERNAL,
							     .advice = PROTO_ADVICE_RETRY }, text, now);
	}
	if (e->phase != PHASE_ENDING)
		settle(e, now);
}

static void on_settings(void *userdata, const struct ipc_ans_settings *answer)
{
	struct engine *e = userdata;
	usec_t now = now_of(e);

	if (e->phase != PHASE_SETTINGS || !e->proto)
		return;
	if (answer->ok) {
		e->phase = PHASE_CONNECTED;
		e->connected_at = now;
		e->stats.last_handshake = clock_realtime();
	}
	e->proto->ops->settings_applied(e->proto, answer->ok, now);
	if (answer->ok) {
		datapath_open(&e->datapath);
		if (e->profile->ovpn.auth_nocache)
			forget_credentials(e);
		tell_state(e, ENGINE_STATE_CONNECTED, FAIL_NONE, "");
	} else {
		char text[IPC_TEXT_MAX + 64];

		(void)snprintf(text, sizeof(text), "the server's settings were refused: %s", answer->text);
		fail_retry(e, FAIL_NEGOTIATION, text, now);
	}
	if (e->phase != PHASE_ENDING)
		settle(e, now);
}

/* ---- credentials ------------------------------------------------------------------------------------------------ */

/* "user NUL password NUL" */
static int take_credentials(struct engine *e, const char *text, size_t len)
{
	_cleanup_(secret_freep) struct secret *username = NULL, *password = NULL;
	const char *second = memchr(text, '\0', len);
	size_t left;
	int r;

	if (!second)
		return -EBADMSG;
	left = len - (size_t)(++second - text);
	if (left == 0 || !memchr(second, '\0', left))
		return -EBADMSG;
	r = secret_new_copy(&username, text, strlen(text));
	if (r >= 0)
		r = secret_new_copy(&password, second, strlen(second));
	if (r < 0)
		return r;
	forget_credentials(e);
	e->username = TAKE_PTR(username);
	e->password = TAKE_PTR(password);
	return 0;
}

/* A memfd is read from its beginning, wherever its writer left the offset. */
static int read_memfd(int fd, size_t max, char **ret, size_t *ret_len)
{
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return file_read_fd(fd, max, ret, ret_len);
}

static void on_auth(void *userdata, bool ok, int fd)
{
	struct engine *e = userdata;
	char *text = NULL;
	size_t len = 0;
	int r = -ENODATA;

	if (e->phase == PHASE_AUTH && ok && fd >= 0)
		r = read_memfd(fd, AUTH_TEXT_MAX, &text, &len);
	fd_close(fd);
	if (e->phase != PHASE_AUTH)
		return;
	if (r >= 0) {
		r = take_credentials(e, text, len);
		secret_wipe(text, len);
		free(text);
	}
	if (r < 0) {
		give_up(e, FAIL_AUTH, "the server wants a user name and a password, and none were given");
		return;
	}
	begin_try(e);
	settle(e, now_of(e));
}

/* ---- commands of the helper ------------------------------------------------------------------------------------- */

static int load_profile(struct engine *e, const char *tunnel, int fd, char **ret_error)
{
	char *text = NULL;
	size_t len = 0;
	int r;

	r = read_memfd(fd, PROFILE_TEXT_MAX, &text, &len);
	if (r < 0)
		return r;
	r = profile_parse_ovpn(text, len, tunnel, NULL, NULL, NULL, &e->profile, ret_error);
	secret_wipe(text, len);
	free(text);
	return r;
}

static int init_attempt(struct engine *e)
{
	const struct profile *p = e->profile;
	uint32_t words[PROFILE_REMOTES_MAX];
	int r;

	attempt_init(&e->attempt, p->n_remotes, p->ovpn.connect_retry, p->ovpn.connect_retry_max);
	for (size_t i = 0; i < p->n_remotes && i < PROFILE_REMOTES_MAX; i++)
		if (p->remotes[i].transport != TRANSPORT_UDP)
			attempt_exclude(&e->attempt, (uint16_t)i);
	if (p->ovpn.remote_random) {
		r = random_bytes(words, sizeof(words));
		if (r < 0)
			return r;
		attempt_shuffle(&e->attempt, words);
	}
	return e->attempt.n_remotes ? 0 : -EPROTONOSUPPORT;
}

static int init_tun(struct engine *e, const struct ipc_start *start)
{
	int r;

	r = fd_set_nonblock(e->tun_fd, true);
	if (r < 0)
		return r;
	tun_init(&e->datapath.tun, e->tun_fd, start->tun_offload);
	e->tun_mtu_max = start->tun_mtu_max;
	return sd_event_add_io(e->event, &e->tun_source, e->tun_fd, EPOLLIN, on_tun, e);
}

static void on_start(void *userdata, const struct ipc_start *start, int profile_fd, int tun_fd)
{
	struct engine *e = userdata;
	_cleanup_(freep) char *error = NULL;
	const char *text = NULL;
	int r;

	if (e->phase != PHASE_START || e->tun_fd >= 0) {
		fd_close(profile_fd);
		fd_close(tun_fd);
		return;
	}
	e->tun_fd = tun_fd;
	log_set_max_level(start->log_level < _LOG_LEVEL_MAX ? start->log_level : LOG_LEVEL_INFO);
	r = load_profile(e, start->tunnel, profile_fd, &error);
	fd_close(profile_fd);
	if (r >= 0) {
		r = init_attempt(e);
		if (r == -EPROTONOSUPPORT)
			text = "no remote of the profile uses UDP, and TCP is not supported yet; ask the provider for a UDP profile";
	}
	if (r < 0) {
		give_up(e, FAIL_CONFIG, error ? error : text ? text : strerror(-r));
		return;
	}
	r = init_tun(e, start);
	if (r < 0) {
		give_up(e, FAIL_INTERNAL, "the tun descriptor cannot be used");
		return;
	}
	begin_try(e);
	settle(e, now_of(e));
}

/* The exit notification is what the loop would send; a full socket is waited for, but not for long. */
static void on_stop(void *userdata)
{
	struct engine *e = userdata;
	usec_t now = clock_boottime(), until = now + GOODBYE_MAX;

	if (e->phase == PHASE_ENDING)
		return;
	if (e->proto) {
		struct pollfd p = { .fd = e->udp_fd, .events = POLLOUT };

		datapath_resume(&e->datapath);
		while (e->datapath.blocked && now < until) {
			(void)poll(&p, 1, 10); /* whatever it says, the clock ends this */
			datapath_resume(&e->datapath);
			now = clock_boottime();
		}
		e->proto->ops->stop(e->proto, now);
		while (!pump_wire(e, now) && now < until) {
			(void)poll(&p, 1, 10); /* as above */
			now = clock_boottime();
			e->proto->ops->stop(e->proto, now);
		}
	}
	drop_session(e);
	end(e, EXIT_CODE_OK);
}

static void on_stats(void *userdata)
{
	struct engine *e = userdata;
	struct ipc_req_stats s;

	stats_fill(&e->stats, &s);
	if (monitor_stats(&e->monitor, &s) < 0)
		end(e, EXIT_CODE_FAILED);
}

static void on_reconnect(void *userdata)
{
	struct engine *e = userdata;
	usec_t now = now_of(e);

	if (e->phase == PHASE_START || e->phase == PHASE_AUTH || e->phase == PHASE_ENDING)
		return;
	log_info("the network changed, connecting again");
	attempt_restart(&e->attempt);
	/* The helper works on one question at a time; its answer to the old one comes first. */
	if (e->phase == PHASE_SOCKET) {
		e->stale = true;
		return;
	}
	drop_session(e);
	begin_try(e);
	if (e->phase != PHASE_ENDING)
		settle(e, now);
}

static void on_gone(void *userdata, int error)
{
	struct engine *e = userdata;

	(void)error; /* there is nobody left to tell */
	end(e, EXIT_CODE_FAILED);
}

static const struct monitor_ops monitor_ops = {
	.on_start = on_start,
	.on_socket = on_socket,
	.on_settings = on_settings,
	.on_auth = on_auth,
	.on_stop = on_stop,
	.on_stats = on_stats,
	.on_reconnect = on_reconnect,
	.on_gone = on_gone,
};

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void log_to_helper(void *userdata, enum log_level level, const char *object, const char *line)
{
	struct engine *e = userdata;

	(void)object; /* the helper knows whose engine this is */
	monitor_log(&e->monitor, level, line, clock_boottime());
}

int engine_warm_up(void)
{
	static const uint8_t key[64];
	static const char *const digests[] = { "sha1", "sha224", "sha256", "sha384", "sha512" };
	struct tls_context *tls = NULL;
	char *error = NULL;
	uint8_t word[8];
	int r;

	r = tls_init();
	if (r < 0)
		return r;
	r = random_bytes(word, sizeof(word));
	if (r < 0)
		return r;
	for (size_t i = 0; aead_cipher_at(i); i++) {
		struct aead *aead = NULL;

		if (aead_new(&aead, aead_cipher_at(i), AEAD_SEAL, key, sizeof(key)) >= 0)
			aead_free(aead);
	}
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		const struct hash_digest *d = hash_digest_find(digests[i]);
		struct hash_hmac *hmac = NULL;

		if (d && hash_hmac_new(&hmac, d, key, sizeof(key)) >= 0)
			hash_hmac_free(hmac);
	}
	/* Without a CA this is refused, but not before OpenSSL has built what it builds once. */
	if (tls_context_new(&tls, &(struct tls_params){ 0 }, &error) >= 0)
		tls_context_free(tls);
	free(error);

	/* Certificate dates pass gmtime_r(), which would read the zone file at its first call. */
	if (setenv("TZ", "UTC0", 1) < 0)
		return -errno;
	tzset();
	return 0;
}

int engine_new(struct engine **ret, int control_fd)
{
	struct engine *e;
	int r;

	e = calloc(1, sizeof(*e));
	if (!e) {
		fd_close(control_fd);
		return -ENOMEM;
	}
	e->tun_fd = e->udp_fd = -EBADF;
	e->armed = USEC_INFINITY;
	e->monitor.fd = -EBADF;
	r = sd_event_new(&e->event);
	if (r >= 0)
		r = monitor_client_init(&e->monitor, e->event, TAKE_FD(control_fd), &monitor_ops, e);
	if (r >= 0)
		r = sd_event_add_time(e->event, &e->timer, CLOCK_BOOTTIME, USEC_INFINITY, TIMER_ACCURACY, on_timer, e);
	if (r >= 0)
		r = sd_event_source_set_priority(e->timer, SD_EVENT_PRIORITY_IMPORTANT);
	if (r >= 0)
		r = datapath_init(&e->datapath, &e->stats);
	if (r < 0) {
		fd_close(control_fd);
		engine_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

struct engine *engine_free(struct engine *e)
{
	if (!e)
		return NULL;
	drop_session(e);
	log_set_sink(NULL, NULL);
	forget_credentials(e);
	if (e->profile)
		profile_free(e->profile);
	e->timer = sd_event_source_disable_unref(e->timer);
	e->tun_source = sd_event_source_disable_unref(e->tun_source);
	monitor_client_done(&e->monitor);
	datapath_done(&e->datapath);
	fd_close(e->tun_fd);
	e->event = sd_event_unref(e->event);
	free(e);
	return NULL;
}

int engine_run(struct engine *e, bool mounts_empty)
{
	int r;

	log_set_sink(log_to_helper, e);
	ask(e, PHASE_START);
	r = monitor_hello(&e->monitor);
	if (r < 0)
		return r;
	arm(e, now_of(e));
	if (!mounts_empty)
		log_debug("the engine keeps its view of the file system: this kernel gives it no mount namespace of its own");
	return sd_event_loop(e->event);
}
