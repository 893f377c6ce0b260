/*
 * Control channel state machine: packets in, packets out, life.
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
 * id in every repetition, and all later packets repeat the acknowledgement of the server's reset. With tls-crypt-v2 the
 * server does not know our key either: the wrapped key (WKc) follows our reset in clear, and once more the first packet
 * with TLS bytes when the server's reset asks for it; until that one has arrived, nothing else could be opened there.
 */
#include "proto/ovpn-session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ovpn-slots.h"

#define RANDOM_TRIES 8
#define SEND_MAX 2048
#define FIRST_ID_EARLY 0x0f000000u /* says "I can send the wrapped key again" */

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
	fresh = !k && ovpn_packet_opcode(wire[0]) == OVPN_OP_SOFT_RESET_V1 && ovpn_slots_is_generated(s->primary) &&
		ovpn_packet_key_id(wire[0]) == ovpn_slots_next_id(s->primary->id);
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
		if (c.msgid != 0 || ovpn_slots_begin(s, now) < 0)
			return VERDICT_DROP_MALFORMED;
		k = s->primary;
	}
	(void)ovpn_reliable_acked(&k->reliable, c.acks, c.n_acks);
	if (c.opcode != OVPN_OP_ACK_V1)
		v = ovpn_reliable_receive(&k->reliable, c.msgid, c.opcode, c.payload, c.payload_len);
	ovpn_exchange_pump(s, k, now);
	return v;
}

/* ---- output ---- */

static bool carries_wkc(const struct ovpn_session *s, const struct ovpn_control *c)
{
	return s->p.options->wkc &&
	       (c->opcode == OVPN_OP_HARD_RESET_CLIENT_V3 || c->opcode == OVPN_OP_CONTROL_WKC_V1);
}

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
	if (n <= 0)
		return 0;
	if (carries_wkc(s, c)) {
		const struct secret *wkc = s->p.options->wkc;

		if (secret_len(wkc) > cap - (size_t)n)
			return 0;
		memcpy(buf + n, secret_bytes(wkc), secret_len(wkc));
		n += (ssize_t)secret_len(wkc);
	}
	return (size_t)n;
}

/* An ACK_V1 before the server has our key once more would only be dropped there; it rides with that packet. */
static bool may_ack(const struct ovpn_session *s, const struct ovpn_key *k)
{
	return s->peer_known && (!s->resend_wkc || k->id != 0 || ovpn_reliable_is_acked(&k->reliable, 1));
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
	} else if (!may_ack(s, k) || !ovpn_reliable_owes_acks(&k->reliable)) {
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
	ovpn_exchange_write(s, k);
	return 0;
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
	ovpn_slots_key_free(s->primary);
	ovpn_slots_key_free(s->lame);
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

	return OVPN_CONTROL_PACKET_MAX - outer - header - wrap;
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
		if (secret_len(o->static_key) != OVPN_KEY_BLOCK_LEN || secret_len(o->wkc) > OVPN_WKC_MAX)
			return -EINVAL;
		wrap.key = secret_bytes(o->static_key);
		wrap.first_id = o->wkc ? FIRST_ID_EARLY : 0;
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
	uint8_t opcode = s->p.options->wkc ? OVPN_OP_HARD_RESET_CLIENT_V3 : OVPN_OP_HARD_RESET_CLIENT_V2;

	return s->primary ? -EALREADY : ovpn_slots_key_new(&s->primary, s, 0, opcode, now);
}
