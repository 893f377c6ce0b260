/*
 * PUSH_UPDATE of a connection that is up: other settings, reported as one, so that the helper applies them as one change.
 * Data flows on with the old ones until then. What cannot be changed like that is had by a new connection.
 */
#include "proto/ovpn-client.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"

void ovpn_client_report_settings(struct ovpn_client *c)
{
	/* One at a time: the answer to the first says nothing about the second. */
	c->apply_again = c->applying;
	c->event_settings = !c->applying;
}

static void reconnect(struct ovpn_client *c, const char *why)
{
	char name[OVPN_CLIENT_SERVER_MAX];

	ovpn_client_fail(c, FAIL_SERVER, PROTO_ADVICE_SAME, "%s sent new settings (PUSH_UPDATE) that need a new connection: %s",
			 ovpn_client_server(c, name, sizeof(name)), why ? why : "out of memory");
}

/* What the session was made for must still hold: buffers were sized for the first MTU. */
static bool is_too_large(const struct ovpn_client *c, const struct settings *s)
{
	return ovpn_client_inner_len(c, s->mtu) > c->framing.inner_max && (c->framing.decompress || c->fragment);
}

/* The next state of what the server has said; the cipher, the peer id and the like are the session's and stay. */
static void adopt(struct ovpn_client *c, struct ovpn_push *next)
{
	strv_free(c->push.kept);
	c->push.kept = TAKE_PTR(next->kept);
	c->push.n_kept = next->n_kept;
	c->push.keepalive = next->keepalive;
	c->push.keepalive_restart = next->keepalive_restart;
}

static void on_complete(struct ovpn_client *c, usec_t now)
{
	_cleanup_(freep) struct settings *s = calloc(1, sizeof(*s));
	_cleanup_(freep) struct ovpn_push *next = calloc(1, sizeof(*next));
	_cleanup_(freep) char *error = NULL;
	int r = s && next ? ovpn_update_finish(c->update, c->tun_mtu_max, next, s, &error) : -ENOMEM;

	c->update = ovpn_update_free(c->update);
	if (r < 0) {
		reconnect(c, error);
		return;
	}
	ovpn_client_tell_notes(c, next->notes, now);
	if (is_too_large(c, s)) {
		reconnect(c, "its packets are larger than the ones that were agreed");
	} else {
		adopt(c, next);
		ovpn_client_adopt_timers(c, now);
		ovpn_client_fit_path(c, s);
		if (!settings_equal(s, &c->settings)) {
			ovpn_client_info(c, now, "the server sent new settings (PUSH_UPDATE)");
			c->settings = *s;
			ovpn_client_report_settings(c);
		}
	}
	ovpn_push_done(next);
}

void ovpn_client_on_update(struct ovpn_client *c, const char *text, usec_t now)
{
	_cleanup_(freep) char *error = NULL;
	int r = 0;

	if (!c->options->pull || (c->phase != PHASE_CONFIGURE && c->phase != PHASE_UP)) {
		ovpn_client_info(c, now, "ignored a PUSH_UPDATE of the server: there are no settings of its own to change");
		return;
	}
	if (!c->update)
		r = ovpn_update_new(&c->update, &c->push);
	if (r == 0)
		r = ovpn_update_add(c->update, text, &error);
	if (r == 1)
		on_complete(c, now);
	else if (r == -EBADMSG)
		ovpn_client_info(c, now, "ignored a PUSH_UPDATE: %s", error);
	else if (r < 0)
		reconnect(c, error);
}
