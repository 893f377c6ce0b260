/*
 * The OpenVPN client behind struct proto_ops: when data may flow.
 *
 * Theory
 *
 *   HANDSHAKE  hard reset, TLS, key method 2 (ovpn-session.c)
 *   PUSH       the control channel is up; PUSH_REQUEST every 5 s until the reply is complete
 *   CONFIGURE  data keys exist, SETTINGS was reported; waiting for settings_applied()
 *   UP         data flows; SETTINGS is reported again when the server changes them (PUSH_UPDATE), and data goes on meanwhile
 *   STOPPING   we said goodbye
 *   FAILED     over; one FAILED event was reported, the first reason counts
 *
 * No inner packet passes before UP, in either direction, nor after it.
 */
#include "proto/ovpn-client.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/ovpn-login.h"
#include "proto/ovpn-mtu.h"

#define MISFRAMED_MAX 3 /* then it is no accident */

/* ---- after every input and tick: what changed below us ---- */

static void on_authenticating(struct ovpn_client *c, usec_t now)
{
	char text[300];

	c->told_authenticating = true;
	c->event_authenticating = true;
	ovpn_client_info(c, now, "TLS is up: %s", tls_describe(c->session->primary->tls, text, sizeof(text)));
	if (!c->options->remote_cert_tls_server && !c->options->remote_eku && c->options->name_check == NAME_CHECK_NONE &&
	    !c->options->n_peer_hashes)
		ovpn_client_info(c, now,
				 "any certificate of this `ca` could pose as the server: add `remote-cert-tls server` or `verify-x509-name` to the profile");
}

void ovpn_client_look(struct ovpn_client *c, usec_t now)
{
	const struct ovpn_session *s = c->session;

	ovpn_client_adopt_failure(c);
	if (c->phase == PHASE_FAILED || c->phase == PHASE_STOPPING)
		return;
	if (s->established && !c->told_authenticating)
		on_authenticating(c, now);
	if (c->phase == PHASE_HANDSHAKE && s->primary->state == OVPN_KEY_ACTIVE)
		ovpn_client_enter_push(c, now);
	if (c->n_rekeys_told != s->n_rekeys) {
		c->n_rekeys_told = s->n_rekeys;
		c->event_rekeyed = true;
	}
	if (c->n_rekeys_failed_told != s->n_rekeys_failed) {
		c->n_rekeys_failed_told = s->n_rekeys_failed;
		ovpn_client_info(c, now, "renewing the data keys failed (%s); the old ones stay in use and it will be tried again",
				 s->rekey_why);
	}
}

/* ---- data ---- */

/* Authentic bytes that are no packet: the user would see a tunnel that is up and passes nothing. Told once. */
static void tell_framing(struct ovpn_client *c, usec_t now)
{
	if (c->framing_told)
		return;
	if (c->framing.n_compressed && !c->framing.decompress)
		ovpn_client_info(c, now,
				 "the server compresses packets, which the profile forbids (allow-compression no), and they are dropped: remove `comp-lzo` or `compress` on the server");
	else if (c->framing.n_unknown)
		ovpn_client_info(c, now,
				 "the server compresses packets with a method that nsvpn has not, and they are dropped: it has LZO and LZ4; remove `compress` on the server");
	else if (++c->n_misframed >= MISFRAMED_MAX)
		ovpn_client_info(c, now,
				 "the server's packets open well, but what is inside is neither IP nor a sign of life: `comp-lzo`, `compress` or `fragment` differs between the server and this profile; make them the same");
	else
		return;
	c->framing_told = true;
}

/* It works; what is compressed together with a secret tells of it by its length. Told once. */
static void tell_compression(struct ovpn_client *c, usec_t now)
{
	c->compression_told = true;
	ovpn_client_info(c, now,
			 "the server compresses packets, which can betray what is inside (VORACLE): ask its operator to remove `comp-lzo` or `compress`; nsvpn itself compresses nothing");
}

/* TCP delivers what was sent, so a packet that does not open is not the only one: the stream or the keys are out of step. */
static void fail_stream(struct ovpn_client *c)
{
	char name[OVPN_CLIENT_SERVER_MAX];

	ovpn_client_fail(c, FAIL_SERVER, PROTO_ADVICE_RETRY,
			 "a packet in the TCP stream from %s does not open, so it is out of step; connecting again",
			 ovpn_client_server(c, name, sizeof(name)));
}

static ssize_t data_in(struct ovpn_client *c, struct ovpn_data *d, const uint8_t *wire, size_t len, uint8_t *out,
		       usec_t now)
{
	enum ovpn_inner kind;
	ssize_t n;

	if (c->fragment)
		c->fragment->now = now;
	n = ovpn_data_open(d, wire, len, out, MAX(len, (size_t)PROTO_OUT_ROOM), &kind);
	if (c->transport == TRANSPORT_TCP && (n == -VERDICT_DROP_AUTH || n == -VERDICT_DROP_SHORT))
		fail_stream(c);
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
	if (c->framing.n_compressed && !c->compression_told)
		tell_compression(c, now);
	switch (kind) {
	case OVPN_INNER_IP:
		c->traffic += (size_t)n;
		return n;
	case OVPN_INNER_EXIT:
		ovpn_client_on_exit(c);
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
	ovpn_client_look(c, now);
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
		ovpn_client_look(c, now);
		if (c->session->seal && c->session->seal != d)
			n = ovpn_data_seal(c->session->seal, inner, len, out);
	}
	return n;
}

/* Solicitations and announcements are sent into every interface and get no answer anywhere. */
static bool is_multicast(const struct ovpn_client *c, const uint8_t *inner, size_t len)
{
	if (c->options->tap)
		return len > 0 && (inner[0] & 1);
	if (len >= 20 && inner[0] >> 4 == 4)
		return inner[16] >= 224;
	return len >= 40 && inner[0] >> 4 == 6 && inner[24] == 0xff;
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
		if (!c->unanswered && !is_multicast(c, inner, len))
			c->unanswered = now;
	}
	return n;
}

/* ---- output ---- */

static size_t next_data_message(struct ovpn_client *c, uint8_t *buf, usec_t now)
{
	ssize_t n;

	/* All in a row: the peer needs one of them, and nobody waits seconds for a program that is told to stop. */
	if (c->phase == PHASE_STOPPING && c->exits_left) {
		c->exits_left--;
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
	/* After ovpn_client_on_message there may be a request due that needs no timer. */
	if (c->phase == PHASE_PUSH && now >= c->push_request_at)
		ovpn_client_tick_handshake(c, now);
	n = ovpn_session_next_wire(c->session, buf, PROTO_WIRE_MAX, now);
	return n ? n : next_data_message(c, buf, now);
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
	c->last_in = c->last_out = now;
	if (!c->began)
		c->began = now;
	return 0;
}

static void client_settings_applied(struct proto *p, bool ok, usec_t now)
{
	struct ovpn_client *c = client_of(p);

	if (!c->applying || (c->phase != PHASE_CONFIGURE && c->phase != PHASE_UP))
		return;
	c->applying = false;
	if (!ok) {
		ovpn_client_fail(c, FAIL_NEGOTIATION, PROTO_ADVICE_RETRY, "the server's settings were refused on this machine");
		return;
	}
	if (c->apply_again)
		ovpn_client_report_settings(c);
	if (c->phase == PHASE_UP)
		return; /* a PUSH_UPDATE, under a connection that goes on */
	c->phase = PHASE_UP;
	c->up_at = c->last_in = c->last_out = now;
	c->inactive_at = now + c->inactive;
	/* Two servers in one: some open the return path only after the first packet. */
	c->ping_due = c->ping != 0;
}

static void client_stop(struct proto *p, usec_t now _unused_)
{
	struct ovpn_client *c = client_of(p);

	if (c->phase == PHASE_UP || c->phase == PHASE_CONFIGURE) {
		/*
		 * While keys are renewed nobody reads control messages of the old one, and that the server has begun to
		 * renew them may not have come here: where the profile or the server asks for it, the data channel says
		 * it once more.
		 */
		bool sent = c->cc_exit && c->session->primary->state >= OVPN_KEY_ACTIVE &&
			    ovpn_session_send(c->session, "EXIT") == 0;

		if (c->transport == TRANSPORT_UDP)
			c->exits_left = sent ? MIN(c->exit_notify, 1u) : MAX(c->exit_notify, c->cc_exit ? 1u : 0u);
	}
	if (c->phase != PHASE_FAILED && c->phase != PHASE_NEW)
		c->phase = PHASE_STOPPING;
}

struct ovpn_mtu ovpn_client_mtu(const struct ovpn_client *c)
{
	return (struct ovpn_mtu){
		.path_mtu = c->path_mtu,
		.family = c->server.addr.family,
		.transport = c->transport,
		.overhead = c->overhead,
		.fragment = ovpn_client_fragment(c),
		.fragment_mtu = c->options->fragment_mtu,
		.tun_mtu = c->settings.mtu ? c->settings.mtu : OVPN_CLIENT_TUN_MTU,
	};
}

static uint32_t client_mss_packet_max(const struct proto *p)
{
	const struct ovpn_client *c = const_client_of(p);
	const struct ovpn_mtu m = ovpn_client_mtu(c);

	return ovpn_mtu_mss_packet_max(&m, c->options);
}

/* ---- the login ---- */

static int client_answer(struct proto *p, const struct secret *answer, usec_t now _unused_)
{
	struct ovpn_client *c = client_of(p);
	char *line;
	int r;

	if (!c->asks || c->phase == PHASE_FAILED || c->phase == PHASE_STOPPING || secret_len(answer) > OVPN_ANSWER_MAX)
		return -EINVAL;
	line = ovpn_login_response(answer);
	r = line ? ovpn_session_send(c->session, line) : -ENOMEM;
	if (line)
		secret_wipe(line, strlen(line));
	free(line);
	if (r == 0)
		c->asks = false;
	return r;
}

static bool client_take_challenge(struct proto *p, struct proto_challenge *ret)
{
	struct ovpn_client *c = client_of(p);

	if (!c->challenge.prefix)
		return false;
	*ret = c->challenge;
	c->challenge = (struct proto_challenge){ 0 };
	return true;
}

static void client_take_token(struct proto *p, struct secret **ret_user, struct secret **ret_token)
{
	struct ovpn_client *c = client_of(p);

	*ret_user = TAKE_PTR(c->token_user);
	*ret_token = TAKE_PTR(c->token);
}

void ovpn_client_free(struct proto *p)
{
	struct ovpn_client *c;

	if (!p)
		return;
	c = client_of(p);
	ovpn_session_free(c->session);
	tls_context_free(c->tls);
	if (c->framing_made)
		framing_done(&c->framing);
	if (c->fragment)
		fragment_done(c->fragment);
	free(c->fragment);
	ovpn_push_done(&c->push);
	proto_challenge_done(&c->challenge);
	ovpn_update_free(c->update);
	secret_free(c->username);
	secret_free(c->password);
	secret_free(c->token);
	secret_free(c->token_user);
	for (unsigned i = 0; i < OVPN_CLIENT_INFO_RING; i++)
		free(c->info[i]);
	free(c);
}

const struct proto_ops ovpn_client_ops = {
	.name = "openvpn",
	.start = client_start,
	.wire_in = client_wire_in,
	.inner_out = client_inner_out,
	.tick = ovpn_client_tick,
	.deadline = ovpn_client_deadline,
	.next_wire = client_next_wire,
	.next_event = ovpn_client_next_event,
	.settings_applied = client_settings_applied,
	.stop = client_stop,
	.answer = client_answer,
	.take_challenge = client_take_challenge,
	.take_token = client_take_token,
	.mss_packet_max = client_mss_packet_max,
	.free = ovpn_client_free,
};
