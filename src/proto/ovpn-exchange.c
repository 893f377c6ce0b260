/*
 * The pump: what the reliability layer delivers goes into TLS, what TLS wants to say is cut to packets; inside TLS, key
 * method 2 first and control messages after it.
 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-slots.h"

/* ---- key method 2 ---- */

static int send_key_message(struct ovpn_session *s, struct ovpn_key *k)
{
	const struct ovpn_session_params *p = &s->p;
	struct ovpn_key_message m = {
		.options = p->occ,
		.username = p->username ? secret_string(p->username) : NULL,
		.password = p->password ? secret_string(p->password) : NULL,
		.peer_info = p->peer_info,
	};
	uint8_t buf[OVPN_KEY_MESSAGE_MAX];
	size_t len = 0;
	int r;

	r = ovpn_key_source_fill(&k->mine, true, p->random, p->userdata);
	if (r == 0) {
		m.source = k->mine;
		r = ovpn_key_message_build(&m, true, buf, sizeof(buf), &len);
	}
	if (r == 0)
		r = tls_write(k->tls, buf, len);
	secret_wipe(buf, sizeof(buf));
	secret_wipe(&m, sizeof(m));
	return r;
}

/* Bytes of the server's key method 2 message. 0, -EAGAIN, -EBADMSG. */
static int receive_key_message(struct ovpn_key *k, const uint8_t *p, size_t len)
{
	struct ovpn_key_message m;
	int r;

	if (len > sizeof(k->exchange) - k->exchange_len)
		return -EBADMSG;
	memcpy(k->exchange + k->exchange_len, p, len);
	k->exchange_len += len;
	r = ovpn_key_message_parse(k->exchange, k->exchange_len, false, &m);
	if (r < 0)
		return r;
	k->peer = m.source;
	if (!m.options || !str_copy(k->server_options, sizeof(k->server_options), m.options))
		k->server_options[0] = 0; /* none, or too long to be one: it is only advice */
	if (!m.peer_info || !str_copy(k->server_info, sizeof(k->server_info), m.peer_info))
		k->server_info[0] = 0; /* the same */
	secret_wipe(&m, sizeof(m));
	secret_wipe(k->exchange, sizeof(k->exchange));
	return 0;
}

static void on_exchanged(struct ovpn_session *s, struct ovpn_key *k, usec_t now)
{
	int r;

	k->state = OVPN_KEY_ACTIVE;
	if (!s->data_set)
		return;
	/* A renegotiation: everything is agreed already. */
	r = ovpn_slots_make_data_keys(s, k, now);
	if (r < 0)
		ovpn_slots_fail_derive(s, k, r, now);
	else
		s->n_rekeys++;
}

/* ---- the pump: between reliability layer and TLS ---- */

static bool is_alive(const struct ovpn_session *s, const struct ovpn_key *k)
{
	return !s->failed && (k == s->primary || k == s->lame);
}

static void read_plaintext(struct ovpn_session *s, struct ovpn_key *k, const uint8_t *p, size_t len, usec_t now)
{
	const char *line;
	int r;

	if (k->state == OVPN_KEY_EXCHANGE) {
		/* A message of the server ends with its record: what follows in it is padding for the future. */
		r = receive_key_message(k, p, len);
		if (r == -EBADMSG)
			ovpn_slots_fail(s, k, FAIL_TLS, "the server's key exchange message makes no sense; is it an OpenVPN server?", now);
		else if (r == 0)
			on_exchanged(s, k, now);
		return;
	}
	while (is_alive(s, k) && ovpn_message_next(&k->reader, &p, &len, &line))
		s->p.on_message(s->p.owner, line, now);
}

void ovpn_exchange_write(const struct ovpn_session *s, struct ovpn_key *k)
{
	uint8_t buf[OVPN_CONTROL_PACKET_MAX];
	size_t n;

	while (ovpn_reliable_can_push(&k->reliable)) {
		bool wkc = s->resend_wkc && k->id == 0 && k->reliable.next_send == 1;
		uint8_t opcode = wkc ? OVPN_OP_CONTROL_WKC_V1 : OVPN_OP_CONTROL_V1;

		n = tls_drain(k->tls, buf, s->payload_max - (wkc ? secret_len(s->p.options->wkc) : 0));
		if (n == 0 || ovpn_reliable_push(&k->reliable, opcode, buf, n) < 0)
			return; /* nothing left; or ids used up: the handshake window will end this key */
	}
}

/* Handshake, then whatever there is to read. False: the key has failed. */
static bool run_tls(struct ovpn_session *s, struct ovpn_key *k, usec_t now)
{
	uint8_t buf[4096];
	ssize_t n;
	int r;

	r = tls_handshake(k->tls);
	if (r < 0)
		return false;
	if (r == 0)
		return true;
	if (k->state == OVPN_KEY_TLS) {
		s->established = true;
		k->state = OVPN_KEY_EXCHANGE;
		r = send_key_message(s, k);
		if (r == -EMSGSIZE) {
			ovpn_slots_fail(s, k, FAIL_CONFIG,
				 "user name, password and peer info are too long for the OpenVPN protocol (2048 bytes); use shorter ones",
				 now);
			return true;
		}
		if (r < 0 && tls_failure(k->tls) == TLS_FAIL_NONE) {
			ovpn_slots_fail(s, k, FAIL_INTERNAL, "the key exchange message could not be made", now);
			return true;
		}
	}
	while (is_alive(s, k) && (n = tls_read(k->tls, buf, sizeof(buf))) > 0)
		read_plaintext(s, k, buf, (size_t)n, now);
	secret_wipe(buf, sizeof(buf));
	return !is_alive(s, k) || tls_failure(k->tls) == TLS_FAIL_NONE;
}

void ovpn_exchange_pump(struct ovpn_session *s, struct ovpn_key *k, usec_t now)
{
	struct ovpn_reliable_msg m;
	bool ok;

	if (k->state == OVPN_KEY_RESET) {
		if (!s->peer_known || !ovpn_reliable_is_acked(&k->reliable, 0))
			return;
		if (tls_new(&k->tls, s->p.tls, s->p.realtime(s->p.userdata)) < 0) {
			ovpn_slots_fail(s, k, FAIL_INTERNAL, "out of memory for TLS", now);
			return;
		}
		k->state = OVPN_KEY_TLS;
	}
	while (ovpn_reliable_deliver(&k->reliable, &m)) {
		if (m.opcode == OVPN_OP_CONTROL_V1 && tls_feed(k->tls, m.payload, m.len) == -ENOBUFS)
			break; /* nobody needs that much; TLS will miss it and fail */
		if (m.opcode == OVPN_OP_HARD_RESET_SERVER_V2 && s->p.options->wkc &&
		    ovpn_packet_parse_early(m.payload, m.len, &s->resend_wkc) < 0) {
			ovpn_slots_fail(s, k, FAIL_TLS, "the server's first answer makes no sense; is it an OpenVPN server?", now);
			return;
		}
	}
	ok = run_tls(s, k, now);
	if (k != s->primary && k != s->lame)
		return; /* freed on the way */
	ovpn_exchange_write(s, k);
	if (!ok)
		ovpn_slots_fail_tls(s, k, now);
}
