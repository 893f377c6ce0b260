/*
 * The OpenVPN client behind struct proto_ops: what the messages of the control channel mean, when data may flow, and
 * the timers of a connection that lives.
 *
 * Theory
 *
 *   HANDSHAKE  hard reset, TLS, key method 2 (ovpn-session.c)
 *   PUSH       the control channel is up; PUSH_REQUEST every 5 s until the reply is complete
 *   CONFIGURE  data keys exist, SETTINGS was reported; waiting for settings_applied()
 *   UP         data flows
 *   STOPPING   we said goodbye
 *   FAILED     over; one FAILED event was reported, the first reason counts
 *
 * SETTINGS comes once, and only after the server's certificate, its name, the key exchange and the whole PUSH_REPLY were
 * accepted; no inner packet passes before UP, in either direction. Later PUSH_REPLY messages may only bring a token.
 *
 * Time. Nothing here reads a clock: deadline() names the next moment at which tick() has something to do. The data path
 * touches two time stamps and no list. Events are kept by value in a ring; when a hostile server fills it with
 * noise, INFO is dropped, the others have places of their own.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "base/str.h"
#include "crypto/random.h"
#include "proto/ovpn-mtu.h"
#include "proto/ovpn-peerinfo.h"
#include "proto/ovpn-push.h"
#include "proto/ovpn-session.h"

#define PUSH_INTERVAL (5 * USEC_PER_SEC)
#define EXIT_INTERVAL (1 * USEC_PER_SEC)
#define INFO_RING 16
#define INFO_RATE_MAX 20 /* per minute: what a server can make us write to the log */
#define INFO_RATE_WINDOW (60 * USEC_PER_SEC)
#define SHOWN_MAX 200
#define TUN_MTU_DEFAULT 1500
#define PING_RESTART_DEFAULT (120 * USEC_PER_SEC)
#define MISFRAMED_MAX 3 /* then it is no accident */

enum phase {
	PHASE_NEW,
	PHASE_HANDSHAKE,
	PHASE_PUSH,
	PHASE_CONFIGURE,
	PHASE_UP,
	PHASE_STOPPING,
	PHASE_FAILED,
};

struct ovpn_client {
	struct proto proto;
	enum phase phase;

	/* what every packet touches */
	struct ovpn_session *session;
	usec_t last_in, last_out; /* authentic packet from the server; data packet to it */
	usec_t unanswered;        /* first packet sent since then; 0: none */
	uint64_t traffic;         /* bytes of those since the last look (inactive) */

	const struct ovpn_options *options;
	const struct profile *profile;
	struct endpoint server;
	enum transport transport;
	uint32_t path_mtu, tun_mtu_max;
	int (*random)(void *userdata, void *buf, size_t len);
	int64_t (*realtime)(void *userdata);
	void *userdata;

	struct tls_context *tls;
	struct secret *username, *password;         /* as given */
	struct secret *token, *token_user;          /* from the server; take their place */
	char occ[OVPN_OCC_MAX];
	char peer_info[OVPN_PEERINFO_MAX];
	struct framing_state framing;
	bool framing_made, framing_told;
	unsigned n_misframed;     /* authentic, and not a packet */

	struct ovpn_push push;
	const struct aead_cipher *cipher;
	struct settings settings;
	uint32_t data_overhead;

	usec_t started, up_at;
	usec_t push_since;        /* the control channel is up */
	bool auth_pending;        /* the server waits for somebody */
	usec_t push_request_at;   /* next one */
	usec_t ping, ping_restart, ping_exit, inactive, session_timeout; /* in force; 0: off */
	bool restart_assumed;     /* nobody set ping_restart: it runs only while packets of ours are unanswered */
	uint64_t inactive_bytes, inactive_mark;
	usec_t inactive_at;       /* when the bytes are looked at */
	unsigned exit_notify;
	bool cc_exit;
	unsigned exits_left;
	usec_t exit_at;
	bool ping_due;
	bool heard;               /* any datagram from the server's address */
	uint64_t n_rekeys_told, n_rekeys_failed_told;

	/* events, in the order they are handed out */
	bool told_authenticating, event_authenticating, event_settings, event_rekeyed;
	struct proto_event failed;
	bool event_failed;
	char *info[INFO_RING];
	unsigned info_first, info_n;
	usec_t info_window;
	unsigned info_count;
};

static struct ovpn_client *client_of(struct proto *p)
{
	return container_of(p, struct ovpn_client, proto);
}

static const struct ovpn_client *const_client_of(const struct proto *p)
{
	return (const struct ovpn_client *)((const char *)p - offsetof(struct ovpn_client, proto));
}

/* ---- events ---- */

static void info_push(struct ovpn_client *c, char *text)
{
	if (!text)
		return;
	if (c->info_n == INFO_RING) {
		free(text);
		return;
	}
	c->info[(c->info_first + c->info_n++) % INFO_RING] = text;
}

/* For the log. What a server can trigger passes here with a limit. */
_printf_(3, 4) static void info(struct ovpn_client *c, usec_t now, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (now >= c->info_window + INFO_RATE_WINDOW) {
		c->info_window = now;
		c->info_count = 0;
	}
	if (++c->info_count > INFO_RATE_MAX)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL; /* no memory, no log line */
	va_end(ap);
	info_push(c, text);
}

static void fail_full(struct ovpn_client *c, uint8_t fail, enum proto_advice advice, usec_t wait, const char *text)
{
	if (c->phase == PHASE_FAILED || c->phase == PHASE_STOPPING)
		return;
	c->phase = PHASE_FAILED;
	c->failed = (struct proto_event){ .type = PROTO_EVENT_FAILED, .fail = fail, .advice = advice, .wait = wait };
	(void)str_copy(c->failed.text, sizeof(c->failed.text), text); /* cut is fine */
	c->event_failed = true;
	c->event_settings = false;
	/* No data from here on; a last control packet (an alert) may still go out. */
	ovpn_session_fail(c->session, fail, "%s", text);
}

_printf_(4, 5) static void fail(struct ovpn_client *c, uint8_t class, enum proto_advice advice, const char *fmt, ...)
{
	char text[sizeof(c->failed.text)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut is fine */
	va_end(ap);
	fail_full(c, class, advice, 0, text);
}

/* Another server of the list may do better; a single one will not. */
static enum proto_advice advice_if_alternatives(const struct ovpn_client *c)
{
	return c->profile->n_remotes > 1 ? PROTO_ADVICE_RETRY : PROTO_ADVICE_GIVE_UP;
}

static char *server_name(const struct ovpn_client *c, char *buf, size_t cap)
{
	char endpoint[ENDPOINT_STR_MAX];

	(void)snprintf(buf, cap, "%s/%s", endpoint_format(&c->server, endpoint, sizeof(endpoint)),
		       c->transport == TRANSPORT_TCP ? "tcp" : "udp");
	return buf;
}

/* The session ended by itself: its words, our advice. */
static void adopt_session_failure(struct ovpn_client *c)
{
	const struct ovpn_session *s = c->session;
	enum proto_advice advice = PROTO_ADVICE_RETRY;
	char name[ENDPOINT_STR_MAX + 8];

	if (!s->failed || c->phase == PHASE_FAILED)
		return;
	if (s->fail == FAIL_CONFIG || s->fail == FAIL_NEGOTIATION || s->tls_fail == TLS_FAIL_VERSION)
		advice = advice_if_alternatives(c);
	fail(c, s->fail, advice, "%s: %s", server_name(c, name, sizeof(name)), s->text);
}

/* ---- PUSH_REPLY ---- */

static bool text_of(const char *text, char **ret)
{
	*ret = text[0] ? str_escape(text, strlen(text), SHOWN_MAX) : NULL;
	return *ret != NULL;
}

static void take_token(struct ovpn_client *c, struct ovpn_push *push)
{
	if (!push->auth_token)
		return;
	c->token = (secret_free(c->token), TAKE_PTR(push->auth_token));
	if (push->auth_token_user)
		c->token_user = (secret_free(c->token_user), TAKE_PTR(push->auth_token_user));
	ovpn_session_set_credentials(c->session, c->token_user ? c->token_user : c->username, c->token);
}

static void tell_notes(struct ovpn_client *c, char **notes, usec_t now)
{
	for (size_t i = 0; i < strv_len(notes); i++)
		info(c, now, "%s", notes[i]);
}

/* The second PUSH_REPLY and all after it: settings stay, only a token counts. */
static void on_later_push(struct ovpn_client *c, const char *text)
{
	_cleanup_(freep) char *error = NULL;
	struct ovpn_push *push = calloc(1, sizeof(*push));

	if (!push)
		return; /* the old token stays in use */
	ovpn_push_init(push, c->options);
	if (ovpn_push_add(push, text, &error) >= 0)
		take_token(c, push);
	ovpn_push_done(push);
	free(push);
}

static void adopt_timers(struct ovpn_client *c, usec_t now)
{
	const struct ovpn_options *o = c->options;
	const struct ovpn_push *p = &c->push;

	c->ping = p->ping_set ? p->ping : o->ping;
	c->ping_restart = p->ping_restart_set ? p->ping_restart : o->ping_restart;
	/*
	 * Nobody said anything about keepalive. 120 s is the customary default; a server that sends no pings is silent while
	 * nothing is to be said, so only packets that get no answer count. Over TCP the socket notices.
	 */
	if (!p->ping_restart_set && !o->ping_restart_set && o->pull && c->transport == TRANSPORT_UDP) {
		c->ping_restart = PING_RESTART_DEFAULT;
		c->restart_assumed = true;
	}
	c->ping_exit = p->ping_exit_set ? p->ping_exit : o->ping_exit;
	c->exit_notify = p->exit_notify_set ? p->exit_notify : o->explicit_exit_notify;
	c->cc_exit = p->cc_exit;
	c->inactive = p->inactive;
	c->inactive_bytes = p->inactive_bytes;
	c->session_timeout = p->session_timeout;
	c->last_in = c->last_out = now;
}

static void fail_errno(struct ovpn_client *c, int error, uint8_t class, const char *text)
{
	if (error == -ENOMEM || !text)
		fail(c, FAIL_INTERNAL, PROTO_ADVICE_RETRY, "out of memory");
	else
		fail(c, class, advice_if_alternatives(c), "%s", text);
}

/* PUSH_REPLY is complete (or there is none to come): keys, then the proposal. */
static void on_pushed(struct ovpn_client *c, usec_t now)
{
	_cleanup_(freep) char *error = NULL;
	struct ovpn_session_data d = {
		.peer_id = c->push.peer_id,
		.ekm = c->push.tls_ekm,
		.dyn_tls_crypt = c->push.dyn_tls_crypt,
		.framing = &c->framing,
	};
	int r;

	r = ovpn_push_finish(&c->push, c->tun_mtu_max, &c->settings, &error);
	if (r == 0)
		r = ovpn_peerinfo_select_cipher(c->options, c->push.cipher, c->session->primary->server_options,
						&c->cipher, &error);
	tell_notes(c, c->push.notes, now);
	if (r < 0) {
		fail_errno(c, r, FAIL_NEGOTIATION, error);
		return;
	}
	/* Compressed packets are taken only where the profile itself speaks of compression; none is ever sent. */
	r = framing_init(&c->framing, c->push.framing, c->options->lzo_option, c->settings.mtu);
	if (r < 0) {
		fail_errno(c, -ENOMEM, FAIL_INTERNAL, NULL);
		return;
	}
	c->framing_made = true;
	d.cipher = c->cipher;
	if (ovpn_session_generate(c->session, &d, now) < 0) {
		adopt_session_failure(c);
		fail(c, FAIL_INTERNAL, PROTO_ADVICE_RETRY, "the data keys could not be made");
		return;
	}
	c->data_overhead = ovpn_mtu_overhead(c->push.peer_id != OVPN_PEER_ID_V1, c->push.framing);
	take_token(c, &c->push);
	adopt_timers(c, now);
	c->phase = PHASE_CONFIGURE;
	c->event_settings = true;
}

static void on_push_reply(struct ovpn_client *c, const struct ovpn_message *m, usec_t now)
{
	_cleanup_(freep) char *error = NULL;
	int r;

	if (c->phase == PHASE_CONFIGURE || c->phase == PHASE_UP) {
		on_later_push(c, m->text);
		return;
	}
	if (c->phase != PHASE_PUSH)
		return;
	r = ovpn_push_add(&c->push, m->text, &error);
	if (r == 1)
		on_pushed(c, now);
	else if (r == -EACCES)
		fail(c, FAIL_NEGOTIATION, PROTO_ADVICE_RETRY, "%s", error);
	else if (r < 0 && r != -EBADMSG)
		fail_errno(c, r, FAIL_NEGOTIATION, error);
}

/* ---- other control messages ---- */

static void on_auth_failed(struct ovpn_client *c, const struct ovpn_message *m, usec_t now _unused_)
{
	_cleanup_(freep) char *why = NULL;
	bool told = text_of(m->text, &why);
	char name[ENDPOINT_STR_MAX + 8], text[sizeof(c->failed.text)];
	enum proto_advice advice = PROTO_ADVICE_ASK_AUTH;

	(void)server_name(c, name, sizeof(name));
	if (m->temporary) {
		(void)snprintf(text, sizeof(text), "%s cannot check the login at the moment%s%s", name, told ? ": " : "",
			       told ? why : "");
		fail_full(c, FAIL_SERVER, m->advance == OVPN_ADVANCE_NO ? PROTO_ADVICE_SAME : PROTO_ADVICE_RETRY,
			  m->backoff * USEC_PER_SEC, text);
		return;
	}
	if (c->token) {
		/* The token has run out, not the password: one more try with that, at once. Without one it was the password. */
		fail(c, FAIL_AUTH, PROTO_ADVICE_SAME, "%s ended the session token; logging in again", name);
		return;
	}
	if (str_has_prefix(m->text, "Data channel cipher negotiation failed")) {
		/* Servers have no other message for it; the login was fine. */
		fail(c, FAIL_NEGOTIATION, advice_if_alternatives(c),
		     "%s and this profile have no data cipher in common; nsvpn has AES-256-GCM, AES-192-GCM, AES-128-GCM and CHACHA20-POLY1305: add one to the server's `data-ciphers`",
		     name);
		return;
	}
	if (c->options->auth_retry == AUTH_RETRY_NOINTERACT)
		advice = PROTO_ADVICE_RETRY;
	if (m->challenge)
		fail(c, FAIL_AUTH, advice, "%s asks a question that nsvpn cannot answer (dynamic challenge)%s%s%s", name,
		     told ? ": \"" : "", told ? why : "", told ? "\"" : "");
	else
		fail(c, FAIL_AUTH, advice, "%s refused %s%s%s; check %s", name,
		     c->options->auth_user_pass ? "the user name or password" : "the login", told ? ": " : "",
		     told ? why : "", c->options->auth_user_pass ? "both" : "the profile's certificate");
}

static void on_auth_pending(struct ovpn_client *c, const struct ovpn_message *m, usec_t now)
{
	usec_t hand = ovpn_session_hand_window(c->options), most = MAX(c->options->reneg_sec / 2, hand);
	usec_t span = m->timeout ? m->timeout * USEC_PER_SEC : hand;

	if (c->phase != PHASE_PUSH)
		return;
	c->auth_pending = true;
	ovpn_session_extend(c->session, MIN(now + span, c->push_since + most)); /* however often it asks for more */
	info(c, now, "the server waits for something outside (a second factor, perhaps)");
}

static void on_restart(struct ovpn_client *c, const struct ovpn_message *m, usec_t now _unused_)
{
	_cleanup_(freep) char *why = NULL;
	bool told = text_of(m->text, &why);
	char name[ENDPOINT_STR_MAX + 8];

	fail(c, FAIL_SERVER, m->next_remote ? PROTO_ADVICE_RETRY : PROTO_ADVICE_SAME,
	     "%s asks for a new connection (RESTART)%s%s", server_name(c, name, sizeof(name)), told ? ": " : "",
	     told ? why : "");
}

static void on_halt(struct ovpn_client *c, const struct ovpn_message *m, usec_t now _unused_)
{
	_cleanup_(freep) char *why = NULL;
	bool told = text_of(m->text, &why);
	char name[ENDPOINT_STR_MAX + 8];

	fail(c, FAIL_SERVER, PROTO_ADVICE_GIVE_UP, "%s sends this client away (HALT)%s%s",
	     server_name(c, name, sizeof(name)), told ? ": " : "", told ? why : "");
}

static void on_exit_message(struct ovpn_client *c)
{
	char name[ENDPOINT_STR_MAX + 8];

	fail(c, FAIL_SERVER, PROTO_ADVICE_SAME, "%s said goodbye (it stops or restarts); connecting again",
	     server_name(c, name, sizeof(name)));
}

static void on_info(struct ovpn_client *c, const struct ovpn_message *m, usec_t now)
{
	_cleanup_(freep) char *text = NULL;

	if (text_of(m->text, &text))
		info(c, now, "the server says: %s", text);
}

/* The key exchange is over. */
static void enter_push(struct ovpn_client *c, usec_t now)
{
	c->phase = PHASE_PUSH;
	c->push_request_at = c->push_since = now;
	if (!c->options->pull)
		on_pushed(c, now);
}

/* Called by the session for each control message: clean text, inside TLS, from the verified server. */
static void on_message(void *owner, const char *line, usec_t now)
{
	struct ovpn_client *c = owner;
	_cleanup_(freep) char *shown = NULL;
	struct ovpn_message m;

	if (c->phase == PHASE_FAILED || c->phase == PHASE_STOPPING)
		return;
	if (c->phase == PHASE_HANDSHAKE)
		enter_push(c, now); /* or there would be no message */
	ovpn_message_parse(line, &m);
	switch (m.type) {
	case OVPN_MESSAGE_PUSH_REPLY:
		on_push_reply(c, &m, now);
		break;
	case OVPN_MESSAGE_AUTH_FAILED:
		on_auth_failed(c, &m, now);
		break;
	case OVPN_MESSAGE_AUTH_PENDING:
		on_auth_pending(c, &m, now);
		break;
	case OVPN_MESSAGE_RESTART:
		on_restart(c, &m, now);
		break;
	case OVPN_MESSAGE_HALT:
		on_halt(c, &m, now);
		break;
	case OVPN_MESSAGE_EXIT:
		on_exit_message(c);
		break;
	case OVPN_MESSAGE_INFO:
		on_info(c, &m, now);
		break;
	case OVPN_MESSAGE_PUSH_UPDATE:
	case OVPN_MESSAGE_UNKNOWN:
	case _OVPN_MESSAGE_MAX:
		shown = str_escape(line, strcspn(line, ","), 60); /* behind the comma may be a token */
		info(c, now, "ignored a message of the server: %s", shown ? shown : "?");
		break;
	case OVPN_MESSAGE_IGNORED:
		break;
	}
}

/* ---- after every input and tick: what changed below us ---- */

static void on_authenticating(struct ovpn_client *c, usec_t now)
{
	char text[300];

	c->told_authenticating = true;
	c->event_authenticating = true;
	info(c, now, "TLS is up: %s", tls_describe(c->session->primary->tls, text, sizeof(text)));
	if (!c->options->remote_cert_tls_server && c->options->name_check == NAME_CHECK_NONE)
		info(c, now,
		     "any certificate of this `ca` could pose as the server: add `remote-cert-tls server` or `verify-x509-name` to the profile");
}

static void look_at_session(struct ovpn_client *c, usec_t now)
{
	const struct ovpn_session *s = c->session;

	adopt_session_failure(c);
	if (c->phase == PHASE_FAILED || c->phase == PHASE_STOPPING)
		return;
	if (s->established && !c->told_authenticating)
		on_authenticating(c, now);
	if (c->phase == PHASE_HANDSHAKE && s->primary->state == OVPN_KEY_ACTIVE)
		enter_push(c, now);
	if (c->n_rekeys_told != s->n_rekeys) {
		c->n_rekeys_told = s->n_rekeys;
		c->event_rekeyed = true;
	}
	if (c->n_rekeys_failed_told != s->n_rekeys_failed) {
		c->n_rekeys_failed_told = s->n_rekeys_failed;
		info(c, now, "renewing the data keys failed (%s); the old ones stay in use and it will be tried again",
		     s->rekey_why);
	}
}

/* ---- data ---- */

/* Authentic bytes that are no packet: the user would see a tunnel that is up and passes nothing. Told once. */
static void tell_framing(struct ovpn_client *c, usec_t now)
{
	if (c->framing_told)
		return;
	if (c->framing.n_compressed)
		info(c, now,
		     "the server compresses packets, which is unsafe (VORACLE), and this profile does not ask for it: they are dropped; remove `comp-lzo` or `compress` on the server");
	else if (++c->n_misframed >= MISFRAMED_MAX)
		info(c, now,
		     "the server's packets open well, but what is inside is neither IP nor a sign of life: `comp-lzo` or `compress` differs between the server and this profile; make them the same");
	else
		return;
	c->framing_told = true;
}

static ssize_t data_in(struct ovpn_client *c, struct ovpn_data *d, const uint8_t *wire, size_t len, uint8_t *out,
		       usec_t now)
{
	enum ovpn_inner kind;
	ssize_t n;

	n = ovpn_data_open(d, wire, len, out, MAX(len, (size_t)PROTO_OUT_ROOM), &kind);
	if (n < 0 && n != -VERDICT_DROP_FRAMING)
		return n;
	/* Authentic, whatever it is: the server lives. */
	c->last_in = now;
	c->unanswered = 0;
	ovpn_session_proved(c->session, d, now);
	if (n < 0) {
		tell_framing(c, now);
		return n;
	}
	switch (kind) {
	case OVPN_INNER_IP:
		c->traffic += (size_t)n;
		return n;
	case OVPN_INNER_EXIT:
		on_exit_message(c);
		return 0;
	case OVPN_INNER_PING:
	case OVPN_INNER_OCC:
		break;
	}
	return 0;
}

static ssize_t client_wire_in(struct proto *p, const uint8_t *wire, size_t len, uint8_t *out, usec_t now)
{
	struct ovpn_client *c = client_of(p);
	struct ovpn_data *d;
	enum verdict v;
	uint8_t key_id;

	if (len == 0)
		return -VERDICT_DROP_SHORT;
	if (ovpn_data_peek(wire, len, &key_id)) {
		if (c->phase != PHASE_UP)
			return -VERDICT_DROP_NOT_READY;
		d = ovpn_session_open_key(c->session, key_id);
		return d ? data_in(c, d, wire, len, out, now) : -VERDICT_DROP_KEY_ID;
	}
	if (c->phase == PHASE_NEW || c->phase == PHASE_FAILED || c->phase == PHASE_STOPPING)
		return -VERDICT_DROP_NOT_READY;
	c->heard = true;
	v = ovpn_session_control_in(c->session, wire, len, now);
	if (v == VERDICT_OK) {
		c->last_in = now;
		c->unanswered = 0;
	}
	look_at_session(c, now);
	return -(ssize_t)v;
}

/* Seals with the key in charge; when that one is used up, with its successor. */
static ssize_t seal(struct ovpn_client *c, const uint8_t *inner, size_t len, uint8_t *out, usec_t now)
{
	struct ovpn_data *d = c->session->seal;
	ssize_t n;

	if (!d)
		return -VERDICT_DROP_NOT_READY;
	n = ovpn_data_seal(d, inner, len, out);
	if (n == -VERDICT_DROP_EXHAUSTED) {
		ovpn_session_tick(c->session, now);
		look_at_session(c, now);
		if (c->session->seal && c->session->seal != d)
			n = ovpn_data_seal(c->session->seal, inner, len, out);
	}
	return n;
}

static ssize_t client_inner_out(struct proto *p, const uint8_t *inner, size_t len, uint8_t *out, usec_t now)
{
	struct ovpn_client *c = client_of(p);
	ssize_t n;

	if (c->phase != PHASE_UP)
		return -VERDICT_DROP_NOT_READY;
	n = seal(c, inner, len, out, now);
	if (n > 0) {
		c->last_out = now;
		c->traffic += len;
		if (!c->unanswered)
			c->unanswered = now;
	}
	return n;
}

/* ---- time ---- */

/* Nothing usable within the time: which step got stuck, in words. */
static void fail_stuck(struct ovpn_client *c, usec_t now)
{
	const struct ovpn_session *s = c->session;
	unsigned long long seconds = (now - c->started + USEC_PER_SEC / 2) / USEC_PER_SEC;
	char name[ENDPOINT_STR_MAX + 8];

	(void)server_name(c, name, sizeof(name));
	if (!c->heard)
		fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
		     "no answer from %s within %llu s: the server is down, the port is wrong, a firewall is in between%s", name,
		     seconds,
		     c->options->wrap == CONTROL_WRAP_NONE ? "" :
							     ", or the tls-auth or tls-crypt key of the profile is not the server's");
	else if (s->primary->state == OVPN_KEY_RESET && s->n_unwrap_failed)
		fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
		     "%s answers, but its packets fail the %s check: the key, its direction or `auth` differ from the server's",
		     name, c->options->wrap == CONTROL_WRAP_TLS_AUTH ? "tls-auth" : "tls-crypt");
	else if (s->primary->state == OVPN_KEY_RESET)
		fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
		     "something at %s answers, but not as an OpenVPN server would (waited %llu s); check address and port, and whether the server wants tls-auth or tls-crypt",
		     name, seconds);
	else if (s->primary->state == OVPN_KEY_TLS)
		fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
		     "%s answered, but the TLS handshake did not finish within %llu s: it rejects us silently, or large packets get lost on the way",
		     name, seconds);
	else if (s->primary->state == OVPN_KEY_EXCHANGE)
		fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
		     "%s finished TLS, but did not answer the key exchange within %llu s: %s", name, seconds,
		     c->options->cert || c->options->pkcs12 ?
			     "it may have refused our certificate; its log will say why" :
			     "it may want a client certificate (`cert` and `key`), and the profile has none");
	else if (c->auth_pending)
		fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
		     "%s waited for something outside (a second factor, perhaps), and it did not come within %llu s", name,
		     seconds);
	else
		fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
		     "%s let us in, but sent no settings (PUSH_REPLY) within %llu s; its log will say why", name, seconds);
}

static usec_t handshake_deadline(const struct ovpn_client *c)
{
	usec_t at = c->session->primary->deadline, connect = c->options->connect_timeout;

	return !c->heard && connect ? MIN(at, c->started + connect) : at;
}

static void tick_handshake(struct ovpn_client *c, usec_t now)
{
	if (now >= handshake_deadline(c)) {
		fail_stuck(c, now);
		return;
	}
	if (c->phase == PHASE_PUSH && now >= c->push_request_at) {
		/* With continuations under way the server is not to begin anew. */
		if (c->push.n_messages == 0)
			(void)ovpn_session_send(c->session, "PUSH_REQUEST"); /* lost: the next one comes in 5 s */
		c->push_request_at = now + PUSH_INTERVAL;
	}
}

static bool timer_expired(usec_t since, usec_t span, usec_t now)
{
	return span && now >= since + span;
}

static unsigned long long in_seconds(usec_t t)
{
	return t / USEC_PER_SEC;
}

static void tick_inactive(struct ovpn_client *c, usec_t now)
{
	if (!c->inactive || now < c->inactive_at)
		return;
	if (c->traffic - c->inactive_mark < MAX(c->inactive_bytes, (uint64_t)1))
		fail(c, FAIL_TIMEOUT, PROTO_ADVICE_RETRY,
		     "no traffic for %llu s, and the server ends connections like that (`inactive`)",
		     in_seconds(c->inactive));
	c->inactive_mark = c->traffic;
	c->inactive_at = now + c->inactive;
}

static usec_t after(usec_t since, usec_t span)
{
	return span ? since + span : USEC_INFINITY;
}

/* When silence means that the server is gone. */
static usec_t silence_deadline(const struct ovpn_client *c)
{
	if (c->restart_assumed)
		return c->unanswered ? after(c->unanswered, c->ping_restart) : USEC_INFINITY;
	return after(c->last_in, c->ping_restart);
}

static void tick_up(struct ovpn_client *c, usec_t now)
{
	char name[ENDPOINT_STR_MAX + 8];

	(void)server_name(c, name, sizeof(name));
	if (timer_expired(c->last_in, c->ping_exit, now))
		fail(c, FAIL_TIMEOUT, PROTO_ADVICE_GIVE_UP,
		     "nothing came from %s for %llu s, and `ping-exit` says to end the connection then", name,
		     in_seconds(c->ping_exit));
	else if (now >= silence_deadline(c))
		fail(c, FAIL_TIMEOUT, PROTO_ADVICE_RETRY,
		     "nothing came from %s for %llu s: server or network is gone; connecting again", name,
		     in_seconds(now - c->last_in));
	else if (timer_expired(c->up_at, c->session_timeout, now))
		fail(c, FAIL_TIMEOUT, PROTO_ADVICE_RETRY,
		     "the session has reached the age that the server allows (%llu s); connecting again",
		     in_seconds(c->session_timeout));
	else if (timer_expired(c->last_out, c->ping, now))
		c->ping_due = true;
	tick_inactive(c, now);
}

static void client_tick(struct proto *p, usec_t now)
{
	struct ovpn_client *c = client_of(p);

	switch (c->phase) {
	case PHASE_NEW:
	case PHASE_STOPPING:
	case PHASE_FAILED:
		return;
	case PHASE_HANDSHAKE:
	case PHASE_PUSH:
		tick_handshake(c, now);
		break;
	case PHASE_CONFIGURE:
		break;
	case PHASE_UP:
		tick_up(c, now);
		break;
	}
	ovpn_session_tick(c->session, now);
	look_at_session(c, now);
}

static usec_t client_deadline(const struct proto *p)
{
	const struct ovpn_client *c = const_client_of(p);
	usec_t at = USEC_INFINITY;

	switch (c->phase) {
	case PHASE_NEW:
	case PHASE_FAILED:
		return USEC_INFINITY;
	case PHASE_STOPPING:
		return c->exits_left ? c->exit_at : USEC_INFINITY;
	case PHASE_HANDSHAKE:
		at = handshake_deadline(c);
		break;
	case PHASE_PUSH:
		at = MIN(handshake_deadline(c), c->push_request_at);
		break;
	case PHASE_CONFIGURE:
		break;
	case PHASE_UP:
		at = MIN(silence_deadline(c), after(c->last_in, c->ping_exit));
		at = MIN(at, c->ping_due ? USEC_INFINITY : after(c->last_out, c->ping));
		at = MIN(at, after(c->up_at, c->session_timeout));
		at = MIN(at, c->inactive ? c->inactive_at : USEC_INFINITY);
		break;
	}
	return MIN(at, ovpn_session_deadline(c->session));
}

/* ---- output ---- */

static size_t next_data_message(struct ovpn_client *c, uint8_t *buf, usec_t now)
{
	ssize_t n;

	if (c->phase == PHASE_STOPPING && c->exits_left && now >= c->exit_at) {
		c->exits_left--;
		c->exit_at = now + EXIT_INTERVAL;
		n = seal(c, ovpn_occ_exit, sizeof(ovpn_occ_exit), buf, now);
		return n > 0 ? (size_t)n : 0;
	}
	if (c->phase == PHASE_UP && c->ping_due) {
		c->ping_due = false;
		c->last_out = now; /* also when it could not be sealed: no busy loop */
		n = seal(c, ovpn_ping_magic, sizeof(ovpn_ping_magic), buf, now);
		return n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static size_t client_next_wire(struct proto *p, uint8_t *buf, usec_t now)
{
	struct ovpn_client *c = client_of(p);
	size_t n;

	if (c->phase == PHASE_NEW)
		return 0;
	/* After on_message there may be a request due that needs no timer. */
	if (c->phase == PHASE_PUSH && now >= c->push_request_at)
		tick_handshake(c, now);
	n = ovpn_session_next_wire(c->session, buf, PROTO_WIRE_MAX, now);
	return n ? n : next_data_message(c, buf, now);
}

static void begin_event(const struct ovpn_client *c, struct proto_event *ev, enum proto_event_type type)
{
	*ev = (struct proto_event){ .type = type };
	if (c->cipher && (type == PROTO_EVENT_SETTINGS || type == PROTO_EVENT_REKEYED))
		(void)str_copy(ev->cipher, sizeof(ev->cipher), c->cipher->name);
}

static bool next_info(struct ovpn_client *c, struct proto_event *ret)
{
	char *text;

	if (!c->info_n)
		return false;
	text = TAKE_PTR(c->info[c->info_first]);
	c->info_first = (c->info_first + 1) % INFO_RING;
	c->info_n--;
	begin_event(c, ret, PROTO_EVENT_INFO);
	(void)str_copy(ret->text, sizeof(ret->text), text); /* cut is fine */
	free(text);
	return true;
}

static bool client_next_event(struct proto *p, struct proto_event *ret)
{
	struct ovpn_client *c = client_of(p);

	if (c->event_authenticating) {
		c->event_authenticating = false;
		begin_event(c, ret, PROTO_EVENT_AUTHENTICATING);
		return true;
	}
	if (next_info(c, ret))
		return true;
	if (c->event_settings) {
		c->event_settings = false;
		begin_event(c, ret, PROTO_EVENT_SETTINGS);
		ret->settings = c->settings;
		return true;
	}
	if (c->event_rekeyed) {
		c->event_rekeyed = false;
		begin_event(c, ret, PROTO_EVENT_REKEYED);
		return true;
	}
	if (c->event_failed) {
		c->event_failed = false;
		*ret = c->failed;
		return true;
	}
	return false;
}

/* ---- life ---- */

static int client_start(struct proto *p, usec_t now)
{
	struct ovpn_client *c = client_of(p);
	int r;

	if (c->phase != PHASE_NEW)
		return -EALREADY;
	r = ovpn_session_start(c->session, now);
	if (r < 0)
		return r;
	c->phase = PHASE_HANDSHAKE;
	c->started = c->last_in = c->last_out = now;
	return 0;
}

static void client_settings_applied(struct proto *p, bool ok, usec_t now)
{
	struct ovpn_client *c = client_of(p);

	if (c->phase != PHASE_CONFIGURE)
		return;
	if (!ok) {
		fail(c, FAIL_NEGOTIATION, PROTO_ADVICE_RETRY, "the server's settings were refused on this machine");
		return;
	}
	c->phase = PHASE_UP;
	c->up_at = c->last_in = c->last_out = now;
	c->inactive_at = now + c->inactive;
	/* Two servers in one: some open the return path only after the first packet. */
	c->ping_due = c->ping != 0;
}

static void client_stop(struct proto *p, usec_t now)
{
	struct ovpn_client *c = client_of(p);

	if (c->phase == PHASE_UP || c->phase == PHASE_CONFIGURE) {
		bool sent = c->cc_exit && ovpn_session_send(c->session, "EXIT") == 0;

		if (!sent && c->transport == TRANSPORT_UDP)
			c->exits_left = c->exit_notify;
		c->exit_at = now;
	}
	if (c->phase != PHASE_FAILED && c->phase != PHASE_NEW)
		c->phase = PHASE_STOPPING;
}

static uint32_t client_mss_packet_max(const struct proto *p)
{
	const struct ovpn_client *c = const_client_of(p);
	const struct ovpn_mtu m = {
		.path_mtu = c->path_mtu,
		.family = c->server.addr.family,
		.transport = c->transport,
		.overhead = c->data_overhead ? c->data_overhead : ovpn_mtu_overhead(true, c->options->framing),
		.tun_mtu = c->settings.mtu ? c->settings.mtu : TUN_MTU_DEFAULT,
	};

	return ovpn_mtu_mss_packet_max(&m, c->options);
}

static void client_free(struct proto *p)
{
	struct ovpn_client *c;

	if (!p)
		return;
	c = client_of(p);
	ovpn_session_free(c->session);
	tls_context_free(c->tls);
	if (c->framing_made)
		framing_done(&c->framing);
	ovpn_push_done(&c->push);
	secret_free(c->username);
	secret_free(c->password);
	secret_free(c->token);
	secret_free(c->token_user);
	for (unsigned i = 0; i < INFO_RING; i++)
		free(c->info[i]);
	free(c);
}

static const struct proto_ops client_ops = {
	.name = "openvpn",
	.start = client_start,
	.wire_in = client_wire_in,
	.inner_out = client_inner_out,
	.tick = client_tick,
	.deadline = client_deadline,
	.next_wire = client_next_wire,
	.next_event = client_next_event,
	.settings_applied = client_settings_applied,
	.stop = client_stop,
	.mss_packet_max = client_mss_packet_max,
	.free = client_free,
};

static int default_random(void *userdata _unused_, void *buf, size_t len)
{
	return random_bytes(buf, len);
}

static int64_t default_realtime(void *userdata _unused_)
{
	return time(NULL);
}

static enum tls_name_check name_check_of(enum name_check check)
{
	switch (check) {
	case NAME_CHECK_NONE:
		return TLS_NAME_NONE;
	case NAME_CHECK_SUBJECT:
		return TLS_NAME_SUBJECT;
	case NAME_CHECK_NAME:
		return TLS_NAME_NAME;
	case NAME_CHECK_NAME_PREFIX:
		return TLS_NAME_NAME_PREFIX;
	}
	return TLS_NAME_SUBJECT; /* an unknown check must not become "none" */
}

static int make_tls(struct ovpn_client *c, char **ret_error)
{
	const struct ovpn_options *o = c->options;
	const struct tls_params p = {
		.ca = o->ca,
		.cert = o->cert,
		.key = o->key,
		.extra_certs = o->extra_certs,
		.pkcs12 = o->pkcs12,
		.key_password = o->key_password,
		.crl = o->crl,
		.cipher = o->tls_cipher,
		.ciphersuites = o->tls_ciphersuites,
		.groups = o->tls_groups,
		.cert_profile = o->tls_cert_profile,
		.version_min = o->tls_version_min,
		.version_max = o->tls_version_max,
		.require_server_cert = o->remote_cert_tls_server,
		.name_check = name_check_of(o->name_check),
		.name = o->name_check_value,
	};

	return tls_context_new(&c->tls, &p, ret_error);
}

static int invalid(char **ret_error, const char *text)
{
	*ret_error = strdup(text);
	return *ret_error ? -EINVAL : -ENOMEM;
}

/* What we say about ourselves in the key exchange. */
static int make_announcement(struct ovpn_client *c, char **ret_error)
{
	const struct ovpn_options *o = c->options;
	uint32_t tun_mtu = o->tun_mtu ? o->tun_mtu : TUN_MTU_DEFAULT;
	char ciphers[OVPN_CIPHERS_MAX], *colon;
	struct ovpn_occ occ = {
		.auth = o->auth,
		.tun_mtu = tun_mtu,
		.tcp = c->transport == TRANSPORT_TCP,
		.framing = o->framing != FRAMING_NONE || o->lzo_option,
		.tls_auth = o->wrap == CONTROL_WRAP_TLS_AUTH,
		.key_direction = o->wrap == CONTROL_WRAP_TLS_AUTH ? o->key_direction : KEY_DIRECTION_BOTH,
	};
	int r;

	r = ovpn_peerinfo_ciphers(o->ciphers, ciphers, sizeof(ciphers));
	if (r < 0)
		return invalid(ret_error,
			       "the profile offers no data cipher that nsvpn has (AES-256-GCM, AES-128-GCM, AES-192-GCM, CHACHA20-POLY1305); add one to `data-ciphers`");
	colon = strchr(ciphers, ':');
	if (colon)
		*colon = 0;
	occ.cipher = o->cipher_fallback ? o->cipher_fallback : ciphers;
	r = ovpn_occ_format(&occ, c->occ, sizeof(c->occ));
	if (r == 0)
		r = ovpn_peerinfo_format(o, c->tun_mtu_max ? c->tun_mtu_max : MAX(tun_mtu, (uint32_t)TUN_MTU_DEFAULT),
					 c->peer_info, sizeof(c->peer_info));
	return r < 0 ? invalid(ret_error, "the profile's own peer information (setenv UV_…) is too long; shorten it") : 0;
}

static int make_credentials(struct ovpn_client *c, const struct proto_params *p, char **ret_error)
{
	int r = 0;

	if (!c->options->auth_user_pass)
		return 0;
	if (!p->username || !p->password)
		return invalid(ret_error, "the profile wants a user name and a password (auth-user-pass), and none was given");
	r = secret_dup(&c->username, p->username);
	return r < 0 ? r : secret_dup(&c->password, p->password);
}

static int make_session(struct ovpn_client *c, char **ret_error)
{
	const struct ovpn_session_params p = {
		.tls = c->tls,
		.options = c->options,
		.occ = c->occ,
		.peer_info = c->peer_info,
		.username = c->username,
		.password = c->password,
		.family = c->server.addr.family,
		.transport = c->transport,
		.random = c->random,
		.realtime = c->realtime,
		.userdata = c->userdata,
		.on_message = on_message,
		.owner = c,
	};
	int r = ovpn_session_new(&c->session, &p);

	if (r == -EINVAL || r == -EOPNOTSUPP)
		return invalid(ret_error,
			       "the tls-auth or tls-crypt key cannot be used: it is not a 2048-bit static key, or `auth` names a digest that is not available");
	return r;
}

int ovpn_client_new(struct proto **ret, const struct proto_params *params, char **ret_error)
{
	struct ovpn_client *c;
	int r;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->proto.ops = &client_ops;
	c->profile = params->profile;
	c->options = &params->profile->ovpn;
	c->server = params->server;
	c->transport = params->transport;
	c->path_mtu = params->path_mtu;
	c->tun_mtu_max = params->tun_mtu_max;
	c->random = params->random ? params->random : default_random;
	c->realtime = params->realtime ? params->realtime : default_realtime;
	c->userdata = params->userdata;
	ovpn_push_init(&c->push, c->options);

	r = make_tls(c, ret_error);
	if (r == 0)
		r = make_announcement(c, ret_error);
	if (r == 0)
		r = make_credentials(c, params, ret_error);
	if (r == 0)
		r = make_session(c, ret_error);
	if (r < 0) {
		client_free(&c->proto);
		return r;
	}
	*ret = &c->proto;
	return 0;
}
