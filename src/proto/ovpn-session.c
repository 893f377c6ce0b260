/*
 * Control channel state machine.
 *
 * Theory
 *
 * Packets go up through five gates: opcode and key id (cheap), wrap (authentic and new), layout, session ids, receive
 * window. Only then may they change anything; a bit-flipped, replayed or foreign packet leaves no trace but a
 * counter. What passes is acknowledged and, in order, fed to TLS. What TLS wants to say is cut to packets that fit 1250
 * bytes with all headers, and handed to the reliability layer as long as its window has room; the rest waits in TLS.
 *
 * Nothing is queued as finished packets: next_wire() wraps each transmission anew, from memory the key owns. So a key
 * can be freed at any moment and nothing refers to it any more.
 *
 * The stateless servers (2.6 and later) keep nothing for our first packet: our reset keeps its session id and message
 * id in every repetition, and all later packets repeat the acknowledgement of the server's reset.
 *
 * Soft reset. Either side may begin; the key id decides what a packet belongs to. Our own proposal and the server's for
 * the same id are one and the same new key. A renegotiation that fails leaves the old key in place, which is
 * tried again after a pause and dies at the end of tran-window; if it dies without a successor, the session ends.
 */
#include "proto/ovpn-session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define CONTROL_PACKET_MAX 1250 /* with outer headers and wrap: passes every path that carries IPv6 */
#define RENEGOTIATION_PAUSE (10 * USEC_PER_SEC)
#define TRAN_WINDOW_DEFAULT (3600 * USEC_PER_SEC)
#define RANDOM_TRIES 8
#define DYN_LABEL "EXPORTER-OpenVPN-dynamic-tls-crypt"
#define SEND_MAX 2048

static const char *const state_names[] = {
	[OVPN_KEY_RESET] = "reset",
	[OVPN_KEY_TLS] = "tls",
	[OVPN_KEY_EXCHANGE] = "exchange",
	[OVPN_KEY_ACTIVE] = "active",
	[OVPN_KEY_GENERATED] = "generated",
};
static_assert(ARRAY_SIZE(state_names) == _OVPN_KEY_STATE_MAX, "a name for each state");

const char *ovpn_key_state_to_string(enum ovpn_key_state s)
{
	return (unsigned)s < _OVPN_KEY_STATE_MAX ? state_names[s] : "unknown";
}

void ovpn_session_fail(struct ovpn_session *s, uint8_t fail, const char *fmt, ...)
{
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	s->fail = fail;
	va_start(ap, fmt);
	(void)vsnprintf(s->text, sizeof(s->text), fmt, ap); /* a cut sentence is still one */
	va_end(ap);
}

static uint8_t class_of(enum tls_fail fail)
{
	switch (fail) {
	case TLS_FAIL_CONFIG:
		return FAIL_CONFIG;
	case TLS_FAIL_CA:
	case TLS_FAIL_EXPIRED:
	case TLS_FAIL_NOT_YET_VALID:
	case TLS_FAIL_PURPOSE:
	case TLS_FAIL_NAME:
	case TLS_FAIL_REVOKED:
	case TLS_FAIL_CRL:
	case TLS_FAIL_WEAK:
	case TLS_FAIL_CERT:
		return FAIL_CERT;
	case TLS_FAIL_REJECTED:
		return FAIL_CERT_REJECTED;
	case TLS_FAIL_ALERT:
	case TLS_FAIL_VERSION:
	case TLS_FAIL_PROTOCOL:
	case TLS_FAIL_CLOSED:
		return FAIL_TLS;
	case TLS_FAIL_NONE:
	case TLS_FAIL_MEMORY:
	case _TLS_FAIL_MAX:
		break;
	}
	return FAIL_INTERNAL;
}

/* ---- keys ---- */

static void key_free(struct ovpn_key *k)
{
	if (!k)
		return;
	(void)tls_free(k->tls);
	(void)ovpn_data_free(k->data);
	ovpn_reliable_done(&k->reliable);
	secret_wipe(k, sizeof(*k)); /* randomness, plaintext */
	free(k);
}

static int key_new(struct ovpn_key **ret, const struct ovpn_session *s, uint8_t id, uint8_t opcode, usec_t now)
{
	const struct ovpn_options *o = s->p.options;
	struct ovpn_key *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->state = OVPN_KEY_RESET;
	k->id = id;
	k->deadline = now + ovpn_session_hand_window(o);
	k->must_die = USEC_INFINITY;
	ovpn_reliable_init(&k->reliable, o->tls_timeout);
	r = ovpn_reliable_push(&k->reliable, opcode, NULL, 0);
	if (r < 0) {
		key_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

static uint8_t next_key_id(uint8_t id)
{
	return id >= OVPN_KEY_ID_MAX ? 1 : id + 1;
}

static bool is_generated(const struct ovpn_key *k)
{
	return k && k->state == OVPN_KEY_GENERATED;
}

/* The one place that decides which key seals. */
static void update_seal(struct ovpn_session *s, usec_t now)
{
	bool lame_usable = is_generated(s->lame) && !ovpn_data_is_exhausted(s->lame->data);

	if (!is_generated(s->primary)) {
		s->seal = is_generated(s->lame) ? s->lame->data : NULL;
	} else if (lame_usable && now < s->switch_at) {
		s->seal = s->lame->data;
	} else {
		s->seal = s->primary->data;
		s->switch_at = USEC_INFINITY;
	}
}

static void drop_lame(struct ovpn_session *s, usec_t now)
{
	key_free(TAKE_PTR(s->lame));
	update_seal(s, now);
}

static usec_t switch_delay(const struct ovpn_options *o)
{
	usec_t hand = ovpn_session_hand_window(o);

	return o->reneg_sec ? MIN(hand, o->reneg_sec / 2) : hand;
}

/* A renegotiation came to nothing: back to the old key, and try again later. */
static void abandon_renegotiation(struct ovpn_session *s, const char *why, usec_t now)
{
	(void)str_copy(s->rekey_why, sizeof(s->rekey_why), why); /* cut is fine */
	key_free(s->primary);
	s->primary = TAKE_PTR(s->lame);
	s->n_rekeys_failed++;
	s->rekey_not_before = now + RENEGOTIATION_PAUSE;
	update_seal(s, now);
}

/* Why and class; for the first key the session ends, later ones are given up. */
static void key_fail_tls(struct ovpn_session *s, struct ovpn_key *k, usec_t now)
{
	if (k == s->lame)
		return; /* its control channel is of no use any more; its data keys are */
	if (is_generated(k))
		return; /* the session lives on its data keys; the next renegotiation is a new TLS session */
	if (s->lame) {
		abandon_renegotiation(s, tls_failure_text(k->tls), now);
		return;
	}
	s->tls_fail = tls_failure(k->tls);
	ovpn_session_fail(s, class_of(s->tls_fail), "%s", tls_failure_text(k->tls));
}

static void key_fail(struct ovpn_session *s, struct ovpn_key *k, uint8_t fail, const char *text, usec_t now)
{
	if (k == s->primary && s->lame && !is_generated(k))
		abandon_renegotiation(s, text, now);
	else if (k == s->primary)
		ovpn_session_fail(s, fail, "%s", text);
}

/* ---- data keys ---- */

static int derive(const struct ovpn_session *s, struct ovpn_key *k, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *block = NULL;
	int r;

	if (!s->data.ekm)
		return ovpn_keys_derive_prf(&k->mine, &k->peer, &s->sid, &s->peer_sid, ret);
	r = secret_new(&block, OVPN_KEY_BLOCK_LEN);
	if (r < 0)
		return r;
	r = tls_export(k->tls, OVPN_EKM_LABEL_DATA, secret_data(block), OVPN_KEY_BLOCK_LEN);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(block);
	return 0;
}

static int make_data_keys(struct ovpn_session *s, struct ovpn_key *k, usec_t now)
{
	_cleanup_(secret_freep) struct secret *block = NULL;
	struct ovpn_data_params p = {
		.cipher = s->data.cipher,
		.key_id = k->id,
		.peer_id = s->data.peer_id,
		.replay_window = s->p.options->replay_window,
		.framing = s->data.framing,
	};
	int r;

	r = derive(s, k, &block);
	if (r == 0) {
		p.keys = secret_bytes(block);
		r = ovpn_data_new(&k->data, &p);
	}
	ovpn_key_source_wipe(&k->mine);
	ovpn_key_source_wipe(&k->peer);
	if (r < 0)
		return r;
	k->state = OVPN_KEY_GENERATED;
	k->generated_at = now;
	s->switch_at = s->lame ? now + switch_delay(s->p.options) : USEC_INFINITY;
	update_seal(s, now);
	return 0;
}

static void fail_derive(struct ovpn_session *s, struct ovpn_key *k, int error, usec_t now)
{
	key_fail(s, k, error == -ENOMEM ? FAIL_INTERNAL : FAIL_NEGOTIATION,
		 error == -EOPNOTSUPP ?
			 "the server wants data keys made with MD5 and SHA-1 (no tls-ekm), which this system's OpenSSL does not offer; use a server of version 2.6 or later" :
			 "the data keys could not be made",
		 now);
}

/* From the first key's TLS, mixed with the static key where there is one: the wrap of all soft resets. */
static int make_dyn_wrap(struct ovpn_session *s, struct ovpn_key *k)
{
	const struct ovpn_options *o = s->p.options;
	_cleanup_(secret_freep) struct secret *key = NULL;
	struct ovpn_wrap_params p = {
		.mode = CONTROL_WRAP_TLS_CRYPT,
		.direction = KEY_DIRECTION_BOTH,
		.time = (uint32_t)s->p.realtime(s->p.userdata),
	};
	int r;

	r = secret_new(&key, OVPN_KEY_BLOCK_LEN);
	if (r < 0)
		return r;
	r = tls_export(k->tls, DYN_LABEL, secret_data(key), OVPN_KEY_BLOCK_LEN);
	if (r < 0)
		return r;
	if (o->wrap != CONTROL_WRAP_NONE)
		for (size_t i = 0; i < OVPN_KEY_BLOCK_LEN; i++)
			secret_data(key)[i] ^= secret_bytes(o->static_key)[i];
	p.key = secret_bytes(key);
	return ovpn_wrap_new(&s->wrap_dyn, &p);
}

int ovpn_session_generate(struct ovpn_session *s, const struct ovpn_session_data *d, usec_t now)
{
	struct ovpn_key *k = s->primary;
	int r;

	if (s->data_set || !k || k->state != OVPN_KEY_ACTIVE)
		return -EINVAL;
	s->data = *d;
	s->data_set = true;
	r = d->dyn_tls_crypt ? make_dyn_wrap(s, k) : 0;
	if (r == 0)
		r = make_data_keys(s, k, now);
	if (r < 0)
		fail_derive(s, k, r, now);
	return r;
}

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
	r = make_data_keys(s, k, now);
	if (r < 0)
		fail_derive(s, k, r, now);
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
			key_fail(s, k, FAIL_TLS, "the server's key exchange message makes no sense; is it an OpenVPN server?", now);
		else if (r == 0)
			on_exchanged(s, k, now);
		return;
	}
	while (is_alive(s, k) && ovpn_message_next(&k->reader, &p, &len, &line))
		s->p.on_message(s->p.owner, line, now);
}

static void write_ciphertext(const struct ovpn_session *s, struct ovpn_key *k)
{
	uint8_t buf[CONTROL_PACKET_MAX];
	size_t n;

	while (ovpn_reliable_can_push(&k->reliable) && (n = tls_drain(k->tls, buf, s->payload_max)) > 0)
		if (ovpn_reliable_push(&k->reliable, OVPN_OP_CONTROL_V1, buf, n) < 0)
			return; /* ids used up: the handshake window will end this key */
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
			key_fail(s, k, FAIL_CONFIG,
				 "user name, password and peer info are too long for the OpenVPN protocol (2048 bytes); use shorter ones",
				 now);
			return true;
		}
		if (r < 0 && tls_failure(k->tls) == TLS_FAIL_NONE) {
			key_fail(s, k, FAIL_INTERNAL, "the key exchange message could not be made", now);
			return true;
		}
	}
	while (is_alive(s, k) && (n = tls_read(k->tls, buf, sizeof(buf))) > 0)
		read_plaintext(s, k, buf, (size_t)n, now);
	secret_wipe(buf, sizeof(buf));
	return !is_alive(s, k) || tls_failure(k->tls) == TLS_FAIL_NONE;
}

static void pump(struct ovpn_session *s, struct ovpn_key *k, usec_t now)
{
	struct ovpn_reliable_msg m;
	bool ok;

	if (k->state == OVPN_KEY_RESET) {
		if (!s->peer_known || !ovpn_reliable_is_acked(&k->reliable, 0))
			return;
		if (tls_new(&k->tls, s->p.tls, s->p.realtime(s->p.userdata)) < 0) {
			key_fail(s, k, FAIL_INTERNAL, "out of memory for TLS", now);
			return;
		}
		k->state = OVPN_KEY_TLS;
	}
	while (ovpn_reliable_deliver(&k->reliable, &m))
		if (m.opcode == OVPN_OP_CONTROL_V1 && tls_feed(k->tls, m.payload, m.len) == -ENOBUFS)
			break; /* nobody needs that much; TLS will miss it and fail */
	ok = run_tls(s, k, now);
	if (k != s->primary && k != s->lame)
		return; /* freed on the way */
	write_ciphertext(s, k);
	if (!ok)
		key_fail_tls(s, k, now);
}

/* ---- soft reset ---- */

static int begin_soft_reset(struct ovpn_session *s, usec_t now)
{
	const struct ovpn_options *o = s->p.options;
	struct ovpn_key *k;
	int r;

	r = key_new(&k, s, next_key_id(s->primary->id), OVPN_OP_SOFT_RESET_V1, now);
	if (r < 0)
		return r;
	key_free(s->lame);
	s->lame = s->primary;
	if (s->lame->must_die == USEC_INFINITY)
		s->lame->must_die = now + (o->tran_window ? o->tran_window : TRAN_WINDOW_DEFAULT);
	s->primary = k;
	s->switch_at = USEC_INFINITY;
	update_seal(s, now);
	return 0;
}

void ovpn_session_proved(struct ovpn_session *s, const struct ovpn_data *d, usec_t now)
{
	if (s->switch_at == USEC_INFINITY || d != s->primary->data)
		return;
	s->switch_at = now;
	update_seal(s, now);
}

int ovpn_session_rekey(struct ovpn_session *s, usec_t now)
{
	return !s->failed && is_generated(s->primary) ? begin_soft_reset(s, now) : 0;
}

/* By volume: what the profile's limits and the cipher say about the key. */
static bool is_spent(const struct ovpn_session *s)
{
	const struct ovpn_options *o = s->p.options;
	const struct ovpn_data *d = s->primary->data;

	return (o->reneg_bytes && d->bytes_sealed + d->bytes_opened >= o->reneg_bytes) ||
	       (o->reneg_pkts && d->n_sealed + d->n_opened >= o->reneg_pkts) || ovpn_data_wants_rekey(d);
}

/* When the next soft reset should begin; the primary is GENERATED. 0: now. */
static usec_t rekey_at(const struct ovpn_session *s)
{
	const struct ovpn_options *o = s->p.options;

	if (is_spent(s))
		return s->rekey_not_before;
	return o->reneg_sec ? MAX(s->primary->generated_at + o->reneg_sec, s->rekey_not_before) : USEC_INFINITY;
}

/* ---- input ---- */

static struct ovpn_key *key_by_id(const struct ovpn_session *s, uint8_t id)
{
	if (s->primary && s->primary->id == id)
		return s->primary;
	if (s->lame && s->lame->id == id)
		return s->lame;
	return NULL;
}

static struct ovpn_wrap *wrap_of(const struct ovpn_session *s, uint8_t key_id)
{
	return key_id && s->wrap_dyn ? s->wrap_dyn : s->wrap;
}

static bool acks_our_reset(const struct ovpn_control *c)
{
	for (unsigned i = 0; i < c->n_acks; i++)
		if (c->acks[i] == 0)
			return true;
	return false;
}

/* Session ids. The first answer teaches us the server's; it must name ours, which nobody off the path knows. */
static enum verdict check_session(struct ovpn_session *s, const struct ovpn_key *k, const struct ovpn_control *c)
{
	if (c->n_acks && !ovpn_sid_eq(&c->peer_sid, &s->sid))
		return VERDICT_DROP_SESSION;
	if (s->peer_known)
		return ovpn_sid_eq(&c->sid, &s->peer_sid) ? VERDICT_OK : VERDICT_DROP_SESSION;
	if (c->opcode != OVPN_OP_HARD_RESET_SERVER_V2 || !k || k->id != 0 || !acks_our_reset(c))
		return VERDICT_DROP_SESSION;
	s->peer_sid = c->sid;
	s->peer_known = true;
	return VERDICT_OK;
}

enum verdict ovpn_session_control_in(struct ovpn_session *s, const uint8_t *wire, size_t len, usec_t now)
{
	uint8_t plain[OVPN_RELIABLE_PAYLOAD_MAX + OVPN_CONTROL_HEADER_MAX];
	struct ovpn_control c;
	struct ovpn_key *k;
	enum verdict v;
	bool fresh;
	ssize_t n;

	if (s->failed || !s->primary)
		return VERDICT_DROP_NOT_READY;
	if (len == 0)
		return VERDICT_DROP_SHORT;
	if (!ovpn_opcode_is_from_server(ovpn_packet_opcode(wire[0])))
		return VERDICT_DROP_OPCODE;
	k = key_by_id(s, ovpn_packet_key_id(wire[0]));
	fresh = !k && ovpn_packet_opcode(wire[0]) == OVPN_OP_SOFT_RESET_V1 && is_generated(s->primary) &&
		ovpn_packet_key_id(wire[0]) == next_key_id(s->primary->id);
	if (!k && !fresh)
		return VERDICT_DROP_KEY_ID;

	n = ovpn_wrap_open(wrap_of(s, ovpn_packet_key_id(wire[0])), wire, len, plain, sizeof(plain));
	if (n < 0) {
		s->n_unwrap_failed += n == -VERDICT_DROP_AUTH;
		return (enum verdict)-n;
	}
	v = ovpn_packet_parse(plain, (size_t)n, &c);
	if (v != VERDICT_OK)
		return v;
	v = check_session(s, k, &c);
	if (v != VERDICT_OK)
		return v;
	if (fresh) {
		if (c.msgid != 0 || begin_soft_reset(s, now) < 0)
			return VERDICT_DROP_MALFORMED;
		k = s->primary;
	}
	(void)ovpn_reliable_acked(&k->reliable, c.acks, c.n_acks);
	if (c.opcode != OVPN_OP_ACK_V1)
		v = ovpn_reliable_receive(&k->reliable, c.msgid, c.opcode, c.payload, c.payload_len);
	pump(s, k, now);
	return v;
}

/* ---- output ---- */

static size_t build_wire(struct ovpn_session *s, struct ovpn_key *k, struct ovpn_control *c, uint8_t *buf, size_t cap)
{
	uint8_t plain[OVPN_RELIABLE_PAYLOAD_MAX + OVPN_CONTROL_HEADER_MAX];
	size_t len;
	ssize_t n;

	c->key_id = k->id;
	c->sid = s->sid;
	if (s->peer_known)
		c->n_acks = (uint8_t)ovpn_reliable_take_acks(&k->reliable, OVPN_ACKS_CONTROL, c->acks);
	if (c->n_acks)
		c->peer_sid = s->peer_sid;
	if (ovpn_packet_build(c, plain, sizeof(plain), &len) < 0)
		return 0;
	n = ovpn_wrap_seal(wrap_of(s, k->id), plain, len, buf, cap);
	return n > 0 ? (size_t)n : 0;
}

static size_t next_wire_of(struct ovpn_session *s, struct ovpn_key *k, uint8_t *buf, size_t cap, usec_t now)
{
	struct ovpn_control c = { .opcode = OVPN_OP_ACK_V1 };
	struct ovpn_reliable_msg m;

	if (!k)
		return 0;
	if (ovpn_reliable_next(&k->reliable, now, &m)) {
		c.opcode = m.opcode;
		c.msgid = m.msgid;
		c.payload = m.payload;
		c.payload_len = m.len;
	} else if (!s->peer_known || !ovpn_reliable_owes_acks(&k->reliable)) {
		return 0;
	}
	return build_wire(s, k, &c, buf, cap);
}

size_t ovpn_session_next_wire(struct ovpn_session *s, uint8_t *buf, size_t cap, usec_t now)
{
	size_t n = next_wire_of(s, s->primary, buf, cap, now);

	return n ? n : next_wire_of(s, s->lame, buf, cap, now);
}

int ovpn_session_send(struct ovpn_session *s, const char *line)
{
	struct ovpn_key *k = s->primary;
	size_t len = strlen(line) + 1;
	int r;

	if (k && k->state < OVPN_KEY_ACTIVE)
		k = s->lame;
	if (!k || k->state < OVPN_KEY_ACTIVE)
		return -EAGAIN;
	if (len > SEND_MAX)
		return -EMSGSIZE;
	r = tls_write(k->tls, line, len);
	if (r < 0)
		return r;
	write_ciphertext(s, k);
	return 0;
}

/* ---- time ---- */

static void tick_rekey(struct ovpn_session *s, usec_t now)
{
	if (!is_generated(s->primary)) {
		/* The first key's deadline is the owner's: it has the words for it. */
		if (s->lame && now >= s->primary->deadline)
			abandon_renegotiation(s, "no answer in time", now);
	} else if (now >= rekey_at(s) && begin_soft_reset(s, now) < 0) {
		s->rekey_not_before = now + RENEGOTIATION_PAUSE; /* no memory: later */
	}
}

static void tick_death(struct ovpn_session *s, usec_t now)
{
	static const char words[] = "the data keys expired and the server did not take part in renewing them; connecting anew";

	if (s->lame && now >= s->lame->must_die) {
		if (!is_generated(s->primary))
			ovpn_session_fail(s, FAIL_TIMEOUT, "%s", words);
		else
			drop_lame(s, now);
	}
	/* A key that was to be replaced and came back has still only its old time. */
	if (is_generated(s->primary) && now >= s->primary->must_die)
		ovpn_session_fail(s, FAIL_TIMEOUT, "%s", words);
}

void ovpn_session_tick(struct ovpn_session *s, usec_t now)
{
	if (s->failed || !s->primary)
		return;
	tick_death(s, now);
	if (s->failed)
		return;
	tick_rekey(s, now);
	update_seal(s, now);
}

static usec_t reliable_deadline(const struct ovpn_key *k)
{
	return k ? ovpn_reliable_deadline(&k->reliable) : USEC_INFINITY;
}

static usec_t key_deadline(const struct ovpn_session *s)
{
	return is_generated(s->primary) ? MIN(rekey_at(s), s->primary->must_die) : s->primary->deadline;
}

usec_t ovpn_session_deadline(const struct ovpn_session *s)
{
	usec_t at;

	if (s->failed || !s->primary)
		return USEC_INFINITY;
	at = MIN(reliable_deadline(s->primary), reliable_deadline(s->lame));
	at = MIN(at, key_deadline(s));
	at = MIN(at, s->switch_at);
	return s->lame ? MIN(at, s->lame->must_die) : at;
}

/* ---- life ---- */

void ovpn_session_set_credentials(struct ovpn_session *s, const struct secret *username, const struct secret *password)
{
	s->p.username = username;
	s->p.password = password;
}

void ovpn_session_extend(struct ovpn_session *s, usec_t until)
{
	if (s->primary && !s->lame && until > s->primary->deadline)
		s->primary->deadline = until;
}

struct ovpn_session *ovpn_session_free(struct ovpn_session *s)
{
	if (!s)
		return NULL;
	key_free(s->primary);
	key_free(s->lame);
	(void)ovpn_wrap_free(s->wrap);
	(void)ovpn_wrap_free(s->wrap_dyn);
	secret_wipe(s, sizeof(*s));
	free(s);
	return NULL;
}

static size_t payload_room(const struct ovpn_session *s)
{
	size_t outer = (s->p.family == AF_INET6 ? 40 : 20) + (s->p.transport == TRANSPORT_TCP ? 20 + 2 : 8);
	size_t header = OVPN_HEAD_LEN + 1 + 4 * OVPN_ACKS_CONTROL + OVPN_SID_LEN + 4;
	/* Soft resets may be wrapped in dynamic tls-crypt whatever wraps the first key. */
	size_t wrap = MAX(ovpn_wrap_overhead(s->wrap), (size_t)40);

	return CONTROL_PACKET_MAX - outer - header - wrap;
}

int ovpn_session_new(struct ovpn_session **ret, const struct ovpn_session_params *p)
{
	_cleanup_(ovpn_session_freep) struct ovpn_session *s = calloc(1, sizeof(*s));
	const struct ovpn_options *o = p->options;
	struct ovpn_wrap_params wrap = {
		.mode = o->wrap,
		.digest = o->auth,
		.direction = o->key_direction,
		.time = (uint32_t)p->realtime(p->userdata),
	};
	int r;

	if (!s)
		return -ENOMEM;
	s->p = *p;
	s->switch_at = USEC_INFINITY;
	if (o->wrap != CONTROL_WRAP_NONE) {
		if (secret_len(o->static_key) != OVPN_KEY_BLOCK_LEN)
			return -EINVAL;
		wrap.key = secret_bytes(o->static_key);
	}
	r = ovpn_wrap_new(&s->wrap, &wrap);
	if (r < 0)
		return r;
	s->payload_max = payload_room(s);
	for (unsigned i = 0; i < RANDOM_TRIES && !ovpn_sid_is_set(&s->sid); i++) {
		r = p->random(p->userdata, s->sid.id, sizeof(s->sid.id));
		if (r < 0)
			return r;
	}
	if (!ovpn_sid_is_set(&s->sid))
		return -EIO; /* a generator of zeros */
	*ret = TAKE_PTR(s);
	return 0;
}

int ovpn_session_start(struct ovpn_session *s, usec_t now)
{
	return s->primary ? -EALREADY : key_new(&s->primary, s, 0, OVPN_OP_HARD_RESET_CLIENT_V2, now);
}
