/*
 * Time: how long getting up may take, and what keeps a connection alive or ends it. Nothing here reads a clock: deadline()
 * names the next moment at which tick() has something to do. The data path touches three time stamps and no list.
 */
#include "proto/ovpn-client.h"

#include <stdio.h>

#define PUSH_INTERVAL (5 * USEC_PER_SEC)

/* ---- getting up ---- */

/* Nothing usable within the time: which step got stuck, in words. */
static void fail_stuck(struct ovpn_client *c, usec_t now)
{
	const struct ovpn_session *s = c->session;
	unsigned long long seconds = (now - c->began + USEC_PER_SEC / 2) / USEC_PER_SEC;
	char name[OVPN_CLIENT_SERVER_MAX];

	(void)ovpn_client_server(c, name, sizeof(name));
	if (!c->heard)
		ovpn_client_fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
				 "no answer from %s within %llu s: the server is down, the port is wrong, a firewall is in between%s", name,
				 seconds,
				 c->options->wrap == CONTROL_WRAP_NONE ?
					 "" :
					 ", or the tls-auth or tls-crypt key of the profile is not the server's");
	else if (s->primary->state == OVPN_KEY_RESET && s->n_unwrap_failed)
		ovpn_client_fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
				 "%s answers, but its packets fail the %s check: the key, its direction or `auth` differ from the server's",
				 name, c->options->wrap == CONTROL_WRAP_TLS_AUTH ? "tls-auth" : c->options->wkc ? "tls-crypt-v2" : "tls-crypt");
	else if (s->primary->state == OVPN_KEY_RESET)
		ovpn_client_fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
				 "something at %s answers, but not as an OpenVPN server would (waited %llu s); check address and port, and whether the server wants tls-auth or tls-crypt",
				 name, seconds);
	else if (s->primary->state == OVPN_KEY_TLS)
		ovpn_client_fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
				 "%s answered, but the TLS handshake did not finish within %llu s: it rejects us silently, or large packets get lost on the way",
				 name, seconds);
	else if (s->primary->state == OVPN_KEY_EXCHANGE)
		ovpn_client_fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
				 "%s finished TLS, but did not answer the key exchange within %llu s: %s", name, seconds,
				 c->options->cert || c->options->pkcs12 ?
					 "it may have refused our certificate; its log will say why" :
					 "it may want a client certificate (`cert` and `key`), and the profile has none");
	else if (c->auth_pending)
		ovpn_client_fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
				 "%s waited for something outside (a second factor, perhaps), and it did not come within %llu s", name,
				 seconds);
	else
		ovpn_client_fail(c, FAIL_SILENT, PROTO_ADVICE_RETRY,
				 "%s let us in, but sent no settings (PUSH_REPLY) within %llu s; its log will say why", name, seconds);
}

static usec_t handshake_deadline(const struct ovpn_client *c)
{
	usec_t at = c->session->primary->deadline, connect = c->connect_timeout;

	return !c->heard && connect ? MIN(at, c->began + connect) : at;
}

void ovpn_client_tick_handshake(struct ovpn_client *c, usec_t now)
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

/* ---- staying up ---- */

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
		ovpn_client_fail(c, FAIL_TIMEOUT, PROTO_ADVICE_RETRY,
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
	char name[OVPN_CLIENT_SERVER_MAX];

	(void)ovpn_client_server(c, name, sizeof(name));
	if (timer_expired(c->last_in, c->ping_exit, now))
		ovpn_client_fail(c, FAIL_TIMEOUT, PROTO_ADVICE_GIVE_UP,
				 "nothing came from %s for %llu s, and `ping-exit` says to end the connection then", name,
				 in_seconds(c->ping_exit));
	else if (now >= silence_deadline(c))
		ovpn_client_fail(c, FAIL_TIMEOUT, PROTO_ADVICE_RETRY,
				 "nothing came from %s for %llu s: server or network is gone; connecting again", name,
				 in_seconds(now - c->last_in));
	else if (timer_expired(c->up_at, c->session_timeout, now))
		ovpn_client_fail(c, FAIL_TIMEOUT, PROTO_ADVICE_RETRY,
				 "the session has reached the age that the server allows (%llu s); connecting again",
				 in_seconds(c->session_timeout));
	else if (timer_expired(c->last_out, c->ping, now))
		c->ping_due = true;
	tick_inactive(c, now);
}

void ovpn_client_tick(struct proto *p, usec_t now)
{
	struct ovpn_client *c = client_of(p);

	switch (c->phase) {
	case PHASE_NEW:
	case PHASE_STOPPING:
	case PHASE_FAILED:
		return;
	case PHASE_HANDSHAKE:
	case PHASE_PUSH:
		ovpn_client_tick_handshake(c, now);
		break;
	case PHASE_CONFIGURE:
		break;
	case PHASE_UP:
		tick_up(c, now);
		break;
	}
	ovpn_session_tick(c->session, now);
	ovpn_client_look(c, now);
}

usec_t ovpn_client_deadline(const struct proto *p)
{
	const struct ovpn_client *c = const_client_of(p);
	usec_t at = USEC_INFINITY;

	switch (c->phase) {
	case PHASE_NEW:
	case PHASE_FAILED:
		return USEC_INFINITY;
	case PHASE_STOPPING:
		return USEC_INFINITY; /* next_wire() has all that is left to send */
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
