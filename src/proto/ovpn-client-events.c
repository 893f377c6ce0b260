/*
 * What the caller is told: events are kept by value, INFO in a ring; when a hostile server fills it with noise, INFO is
 * dropped, the others have places of their own. The first FAILED counts.
 */
#include "proto/ovpn-client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define INFO_RATE_MAX 20 /* per minute: what a server can make us write to the log */
#define INFO_RATE_WINDOW (60 * USEC_PER_SEC)

/* ---- making them ---- */

static void info_push(struct ovpn_client *c, char *text)
{
	if (!text)
		return;
	if (c->info_n == OVPN_CLIENT_INFO_RING) {
		free(text);
		return;
	}
	c->info[(c->info_first + c->info_n++) % OVPN_CLIENT_INFO_RING] = text;
}

/* For the log. What a server can trigger passes here with a limit. */
void ovpn_client_info(struct ovpn_client *c, usec_t now, const char *fmt, ...)
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

void ovpn_client_fail_full(struct ovpn_client *c, uint8_t fail, enum proto_advice advice, usec_t wait, const char *text)
{
	if (c->phase == PHASE_FAILED || c->phase == PHASE_STOPPING)
		return;
	c->phase = PHASE_FAILED;
	c->failed = (struct proto_event){ .type = PROTO_EVENT_FAILED, .fail = fail, .advice = advice, .wait = wait };
	(void)str_copy(c->failed.text, sizeof(c->failed.text), text); /* cut is fine */
	c->event_failed = true;
	c->event_settings = c->event_question = c->asks = false;
	/* No data from here on; a last control packet (an alert) may still go out. */
	ovpn_session_fail(c->session, fail, "%s", text);
}

void ovpn_client_fail(struct ovpn_client *c, uint8_t class, enum proto_advice advice, const char *fmt, ...)
{
	char text[sizeof(c->failed.text)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut is fine */
	va_end(ap);
	ovpn_client_fail_full(c, class, advice, 0, text);
}

/* Another server of the list may do better; a single one will not. */
enum proto_advice ovpn_client_advice(const struct ovpn_client *c)
{
	return c->profile->n_remotes > 1 ? PROTO_ADVICE_RETRY : PROTO_ADVICE_GIVE_UP;
}

char *ovpn_client_server(const struct ovpn_client *c, char *buf, size_t cap)
{
	char endpoint[ENDPOINT_STR_MAX];

	(void)snprintf(buf, cap, "%s/%s", endpoint_format(&c->server, endpoint, sizeof(endpoint)),
		       c->transport == TRANSPORT_TCP ? "tcp" : "udp");
	return buf;
}

/* The session ended by itself: its words, our advice. */
void ovpn_client_adopt_failure(struct ovpn_client *c)
{
	const struct ovpn_session *s = c->session;
	enum proto_advice advice = PROTO_ADVICE_RETRY;
	char name[OVPN_CLIENT_SERVER_MAX];

	if (!s->failed || c->phase == PHASE_FAILED)
		return;
	if (s->fail == FAIL_CONFIG || s->fail == FAIL_NEGOTIATION || s->tls_fail == TLS_FAIL_VERSION)
		advice = ovpn_client_advice(c);
	ovpn_client_fail(c, s->fail, advice, "%s: %s", ovpn_client_server(c, name, sizeof(name)), s->text);
}

/* ---- handing them out ---- */

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
	c->info_first = (c->info_first + 1) % OVPN_CLIENT_INFO_RING;
	c->info_n--;
	begin_event(c, ret, PROTO_EVENT_INFO);
	(void)str_copy(ret->text, sizeof(ret->text), text); /* cut is fine */
	free(text);
	return true;
}

bool ovpn_client_next_event(struct proto *p, struct proto_event *ret)
{
	struct ovpn_client *c = client_of(p);

	if (c->event_authenticating) {
		c->event_authenticating = false;
		begin_event(c, ret, PROTO_EVENT_AUTHENTICATING);
		return true;
	}
	if (next_info(c, ret))
		return true;
	if (c->event_question) {
		c->event_question = false;
		begin_event(c, ret, PROTO_EVENT_QUESTION);
		ret->question = c->question;
		(void)str_copy(ret->text, sizeof(ret->text), c->question_text); /* of the same size */
		return true;
	}
	if (c->event_settings) {
		c->event_settings = false;
		c->applying = true;
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
