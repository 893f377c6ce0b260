/*
 * What the server's control messages mean: PUSH_REPLY to settings and data keys; refusals, restarts and farewells to the
 * end of the session with the right advice.
 *
 * SETTINGS comes only after the server's certificate, its name, the key exchange and the whole PUSH_REPLY were accepted.
 * Later PUSH_REPLY messages may only bring a token; other settings come as PUSH_UPDATE (ovpn-client-update.c).
 */
#include "proto/ovpn-client.h"
#include "proto/ovpn-p2p.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-login.h"
#include "proto/ovpn-mtu.h"

#define SHOWN_MAX 200
#define PING_RESTART_DEFAULT (120 * USEC_PER_SEC)

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

void ovpn_client_tell_notes(struct ovpn_client *c, char **notes, usec_t now)
{
	for (size_t i = 0; i < strv_len(notes); i++)
		ovpn_client_info(c, now, "%s", notes[i]);
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

void ovpn_client_adopt_timers(struct ovpn_client *c, usec_t now)
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
	if (p->keepalive) {
		c->ping = p->keepalive;
		c->ping_restart = p->keepalive_restart;
		c->restart_assumed = false;
		c->ping_exit = 0;
	}
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
		ovpn_client_fail(c, FAIL_INTERNAL, PROTO_ADVICE_RETRY, "out of memory");
	else
		ovpn_client_fail(c, class, ovpn_client_advice(c), "%s", text);
}

/*
 * The device gets the size that needs no outer fragments, so that programs and the kernel cut their packets themselves
 * (performance.md 6.3). Nothing is negotiated by that: the server may send up to its own tun-mtu. Over TCP all sizes fit.
 */
void ovpn_client_fit_path(const struct ovpn_client *c, struct settings *s)
{
	const struct ovpn_mtu m = ovpn_client_mtu(c);
	uint32_t least = SETTINGS_MTU_MIN;

	for (unsigned i = 0; i < s->n_addrs; i++)
		if (s->addrs[i].addr.family == AF_INET6)
			least = SETTINGS_MTU_MIN6;
	s->mtu = MIN(s->mtu, MAX(ovpn_mtu_inner_max(&m), least));
}

static int make_fragment(struct ovpn_client *c)
{
	/* The server's packets are as long as its own tun-mtu allows; ours is usually smaller. */
	size_t most = ovpn_client_inner_len(c, MAX(c->settings.mtu, (uint32_t)OVPN_CLIENT_TUN_MTU)) + FRAMING_GROWTH_MAX;

	c->fragment = calloc(1, sizeof(*c->fragment));
	return c->fragment ? fragment_init(c->fragment, MIN(most, (size_t)UINT16_MAX)) : -ENOMEM;
}

/* PUSH_REPLY is complete (or there is none to come): keys, then the proposal. */
static void on_pushed(struct ovpn_client *c, usec_t now)
{
	_cleanup_(freep) char *error = NULL;
	struct ovpn_session_data d = {
		.peer_id = c->push.peer_id,
		.ekm = c->push.tls_ekm,
		.dyn_tls_crypt = c->push.dyn_tls_crypt,
		.epoch = c->push.epoch,
		.framing = &c->framing,
	};
	int r;

	r = ovpn_push_finish(&c->push, c->tun_mtu_max, &c->settings, &error);
	if (r == 0)
		r = ovpn_peerinfo_select_cipher(c->options, c->push.cipher, c->session->primary->server_options,
						&c->cipher, &error);
	ovpn_client_tell_notes(c, c->push.notes, now);
	if (r < 0) {
		fail_errno(c, r, FAIL_NEGOTIATION, error);
		return;
	}
	if (d.epoch && (!d.ekm || d.peer_id == OVPN_PEER_ID_V1 || !c->cipher->aead)) {
		ovpn_client_fail(c, FAIL_NEGOTIATION, ovpn_client_advice(c),
				 "the server wants epoch keys (aead-epoch) without what they need: tls-ekm, a peer id and an AEAD cipher");
		return;
	}
	/* Compressed packets are taken unless the profile forbids them; none is ever sent. */
	r = framing_init(&c->framing, c->push.framing, !c->options->no_compression,
			 ovpn_client_inner_len(c, c->settings.mtu));
	if (r < 0) {
		fail_errno(c, -ENOMEM, FAIL_INTERNAL, NULL);
		return;
	}
	c->framing_made = true;
	if (ovpn_client_fragment(c) && make_fragment(c) < 0) {
		fail_errno(c, -ENOMEM, FAIL_INTERNAL, NULL);
		return;
	}
	d.fragment = c->fragment;
	d.cipher = c->cipher;
	if (ovpn_session_generate(c->session, &d, now) < 0) {
		ovpn_client_adopt_failure(c);
		ovpn_client_fail(c, FAIL_INTERNAL, PROTO_ADVICE_RETRY, "the data keys could not be made");
		return;
	}
	c->overhead = ovpn_mtu_overhead(c->push.peer_id != OVPN_PEER_ID_V1, c->cipher, hash_digest_find(c->options->auth),
					c->push.framing, ovpn_client_fragment(c));
	c->overhead.outside += d.epoch ? OVPN_DATA_EPOCH_GROWTH : 0;
	c->overhead.inside += c->options->tap ? OVPN_ETHERNET_HEAD : 0;
	ovpn_client_fit_path(c, &c->settings);
	take_token(c, &c->push);
	ovpn_client_adopt_timers(c, now);
	c->phase = PHASE_CONFIGURE;
	ovpn_client_report_settings(c);
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
		ovpn_client_fail(c, FAIL_NEGOTIATION, PROTO_ADVICE_RETRY, "%s", error);
	else if (r < 0 && r != -EBADMSG)
		fail_errno(c, r, FAIL_NEGOTIATION, error);
}

/* ---- other control messages ---- */

/* A refusal that is a question: the next login answers it. */
static void on_challenge(struct ovpn_client *c, const char *text)
{
	char name[OVPN_CLIENT_SERVER_MAX];
	int r;

	(void)ovpn_client_server(c, name, sizeof(name));
	proto_challenge_done(&c->challenge);
	r = ovpn_login_crv1(text, &c->challenge);
	if (r == -ENOMEM)
		fail_errno(c, r, FAIL_INTERNAL, NULL);
	else if (r < 0)
		ovpn_client_fail(c, FAIL_AUTH, ovpn_client_advice(c), "%s asks something in a form that nobody understands (dynamic "
				 "challenge)", name);
	else
		ovpn_client_fail(c, FAIL_AUTH, PROTO_ADVICE_CHALLENGE, "%s asks: %s", name, c->challenge.text);
}

static void on_auth_failed(struct ovpn_client *c, const struct ovpn_message *m, usec_t now _unused_)
{
	_cleanup_(freep) char *why = NULL;
	bool told = text_of(m->text, &why);
	char name[OVPN_CLIENT_SERVER_MAX], text[sizeof(c->failed.text)];
	enum proto_advice advice = PROTO_ADVICE_ASK_AUTH;

	(void)ovpn_client_server(c, name, sizeof(name));
	if (m->temporary) {
		(void)snprintf(text, sizeof(text), "%s cannot check the login at the moment%s%s", name, told ? ": " : "",
			       told ? why : "");
		ovpn_client_fail_full(c, FAIL_SERVER, m->advance == OVPN_ADVANCE_NO ? PROTO_ADVICE_SAME : PROTO_ADVICE_RETRY,
				      m->backoff * USEC_PER_SEC, text);
		return;
	}
	if (c->token) {
		/* The token has run out, not the password: one more try with that, at once. Without one it was the password. */
		c->token = secret_free(c->token);
		c->token_user = secret_free(c->token_user);
		ovpn_client_fail(c, FAIL_AUTH, PROTO_ADVICE_SAME, "%s ended the session token; logging in again", name);
		return;
	}
	if (str_has_prefix(m->text, "Data channel cipher negotiation failed")) {
		/* Servers have no other message for it; the login was fine. */
		ovpn_client_fail(c, FAIL_NEGOTIATION, ovpn_client_advice(c),
				 "%s and this profile have no data cipher in common; the profile offers %s: add one to the server's `data-ciphers`, or what that has to the profile's",
				 name, c->options->ciphers);
		return;
	}
	if (m->challenge) {
		on_challenge(c, m->text);
		return;
	}
	if (c->options->auth_retry == AUTH_RETRY_NOINTERACT)
		advice = PROTO_ADVICE_RETRY;
	ovpn_client_fail(c, FAIL_AUTH, advice, "%s refused %s%s%s; check %s", name,
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
	ovpn_client_info(c, now, "the server waits for something outside (a second factor, perhaps)");
}

static void on_restart(struct ovpn_client *c, const struct ovpn_message *m, usec_t now _unused_)
{
	_cleanup_(freep) char *why = NULL;
	bool told = text_of(m->text, &why);
	char name[OVPN_CLIENT_SERVER_MAX];

	ovpn_client_fail(c, FAIL_SERVER, m->next_remote ? PROTO_ADVICE_RETRY : PROTO_ADVICE_SAME,
			 "%s asks for a new connection (RESTART)%s%s", ovpn_client_server(c, name, sizeof(name)), told ? ": " : "",
			 told ? why : "");
}

static void on_halt(struct ovpn_client *c, const struct ovpn_message *m, usec_t now _unused_)
{
	_cleanup_(freep) char *why = NULL;
	bool told = text_of(m->text, &why);
	char name[OVPN_CLIENT_SERVER_MAX];

	ovpn_client_fail(c, FAIL_SERVER, PROTO_ADVICE_GIVE_UP, "%s sends this client away (HALT)%s%s",
			 ovpn_client_server(c, name, sizeof(name)), told ? ": " : "", told ? why : "");
}

void ovpn_client_on_exit(struct ovpn_client *c)
{
	char name[OVPN_CLIENT_SERVER_MAX];

	ovpn_client_fail(c, FAIL_SERVER, PROTO_ADVICE_SAME, "%s said goodbye (it stops or restarts); connecting again",
			 ovpn_client_server(c, name, sizeof(name)));
}

static void on_info(struct ovpn_client *c, const struct ovpn_message *m, usec_t now)
{
	_cleanup_(freep) char *text = NULL;
	struct ovpn_login_request q;

	if (ovpn_login_request(m->text, &q)) {
		c->question = q.question;
		c->asks = q.question != PROTO_QUESTION_URL;
		(void)str_copy(c->question_text, sizeof(c->question_text), q.text); /* of the same size */
		c->event_question = true;
		return;
	}
	if (text_of(m->text, &text))
		ovpn_client_info(c, now, "the server says: %s", text);
}

/* The key exchange is over. */
void ovpn_client_enter_push(struct ovpn_client *c, usec_t now)
{
	c->phase = PHASE_PUSH;
	c->push_request_at = c->push_since = now;
	if (c->options->pull)
		return;
	ovpn_p2p_agree(c->session, &c->push); /* what PUSH_REPLY would have said */
	on_pushed(c, now);
}

/* Called by the session for each control message: clean text, inside TLS, from the verified server. */
void ovpn_client_on_message(void *owner, const char *line, usec_t now)
{
	struct ovpn_client *c = owner;
	_cleanup_(freep) char *shown = NULL;
	struct ovpn_message m;

	if (c->phase == PHASE_FAILED || c->phase == PHASE_STOPPING)
		return;
	if (c->phase == PHASE_HANDSHAKE)
		ovpn_client_enter_push(c, now); /* or there would be no message */
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
		ovpn_client_on_exit(c);
		break;
	case OVPN_MESSAGE_INFO:
		on_info(c, &m, now);
		break;
	case OVPN_MESSAGE_PUSH_UPDATE:
		ovpn_client_on_update(c, m.text, now);
		break;
	case OVPN_MESSAGE_UNKNOWN:
	case _OVPN_MESSAGE_MAX:
		shown = str_escape(line, strcspn(line, ","), 60); /* behind the comma may be a token */
		ovpn_client_info(c, now, "ignored a message of the server: %s", shown ? shown : "?");
		break;
	case OVPN_MESSAGE_IGNORED:
		break;
	}
}
