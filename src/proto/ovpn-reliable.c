/* The reliability layer; rules and limits are in the header. */
#include "proto/ovpn-reliable.h"

#include "base/secret.h"

#define TIMEOUT_DEFAULT (2 * USEC_PER_SEC)
#define EARLY_RESEND_ACKS 3

void ovpn_reliable_init(struct ovpn_reliable *r, usec_t timeout)
{
	memset(r, 0, sizeof(*r));
	r->timeout = timeout ? MIN(timeout, OVPN_RELIABLE_TIMEOUT_MAX) : TIMEOUT_DEFAULT;
}

void ovpn_reliable_done(struct ovpn_reliable *r)
{
	secret_wipe(r, sizeof(*r));
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

static struct ovpn_reliable_slot *slot_free(struct ovpn_reliable_slot *slots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!slots[i].used)
			return &slots[i];
	return NULL;
}

static struct ovpn_reliable_slot *slot_find(struct ovpn_reliable_slot *slots, size_t n, uint32_t msgid)
{
	for (size_t i = 0; i < n; i++)
		if (slots[i].used && slots[i].msgid == msgid)
			return &slots[i];
	return NULL;
}

static void slot_fill(struct ovpn_reliable_slot *s, uint32_t msgid, uint8_t opcode, const uint8_t *payload, size_t len)
{
	s->used = true;
	s->opcode = opcode;
	s->later_acks = 0;
	s->msgid = msgid;
	s->due = 0;
	s->len = (uint16_t)len;
	if (len)
		memcpy(s->payload, payload, len);
}

static void slot_hand_out(const struct ovpn_reliable_slot *s, struct ovpn_reliable_msg *ret)
{
	*ret = (struct ovpn_reliable_msg){ s->msgid, s->opcode, s->payload, s->len };
}

bool ovpn_reliable_can_push(const struct ovpn_reliable *r)
{
	if (r->next_send == UINT32_MAX)
		return false;
	for (size_t i = 0; i < OVPN_RELIABLE_SEND_WINDOW; i++)
		if (!r->send[i].used)
			return true;
	return false;
}

int ovpn_reliable_push(struct ovpn_reliable *r, uint8_t opcode, const uint8_t *payload, size_t len)
{
	struct ovpn_reliable_slot *s;

	if (len > OVPN_RELIABLE_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (r->next_send == UINT32_MAX)
		return -EOVERFLOW;
	s = slot_free(r->send, OVPN_RELIABLE_SEND_WINDOW);
	if (!s)
		return -EAGAIN;
	slot_fill(s, r->next_send++, opcode, payload, len);
	return 0;
}

static bool is_due(const struct ovpn_reliable_slot *s, usec_t now)
{
	return s->due <= now || s->later_acks >= EARLY_RESEND_ACKS;
}

bool ovpn_reliable_next(struct ovpn_reliable *r, usec_t now, struct ovpn_reliable_msg *ret)
{
	struct ovpn_reliable_slot *s = NULL;

	for (size_t i = 0; i < OVPN_RELIABLE_SEND_WINDOW; i++) {
		struct ovpn_reliable_slot *c = &r->send[i];

		if (c->used && is_due(c, now) && (!s || c->msgid < s->msgid))
			s = c;
	}
	if (!s)
		return false;
	s->due = now + r->timeout;
	s->later_acks = 0;
	slot_hand_out(s, ret);
	return true;
}

unsigned ovpn_reliable_acked(struct ovpn_reliable *r, const uint32_t *ids, unsigned n)
{
	unsigned settled = 0;

	for (unsigned i = 0; i < n; i++) {
		struct ovpn_reliable_slot *s = slot_find(r->send, OVPN_RELIABLE_SEND_WINDOW, ids[i]);

		/* An ack for what never left us cannot be honest. */
		if (!s || !s->due)
			continue;
		s->used = false;
		settled++;
		for (size_t j = 0; j < OVPN_RELIABLE_SEND_WINDOW; j++) {
			struct ovpn_reliable_slot *earlier = &r->send[j];

			if (earlier->used && earlier->due && earlier->msgid < ids[i] &&
			    earlier->later_acks < EARLY_RESEND_ACKS)
				earlier->later_acks++;
		}
	}
	return settled;
}

bool ovpn_reliable_is_idle(const struct ovpn_reliable *r)
{
	for (size_t i = 0; i < OVPN_RELIABLE_SEND_WINDOW; i++)
		if (r->send[i].used)
			return false;
	return true;
}

bool ovpn_reliable_is_acked(const struct ovpn_reliable *r, uint32_t msgid)
{
	if (msgid >= r->next_send)
		return false;
	for (size_t i = 0; i < OVPN_RELIABLE_SEND_WINDOW; i++)
		if (r->send[i].used && r->send[i].msgid <= msgid)
			return false;
	return true;
}

usec_t ovpn_reliable_deadline(const struct ovpn_reliable *r)
{
	usec_t first = USEC_INFINITY;

	for (size_t i = 0; i < OVPN_RELIABLE_SEND_WINDOW; i++) {
		const struct ovpn_reliable_slot *s = &r->send[i];

		if (s->used)
			first = MIN(first, s->later_acks >= EARLY_RESEND_ACKS ? 0 : s->due);
	}
	return first;
}

/* ---- Acks ------------------------------------------------------------------------------------------------------- */

/* False when no more acks can be owed; the message must then be refused, so that it comes again. */
static bool owe(struct ovpn_reliable *r, uint32_t msgid)
{
	for (unsigned i = 0; i < r->n_owed; i++)
		if (r->owed[i] == msgid)
			return true;
	if (r->n_owed == OVPN_RELIABLE_OWED_MAX)
		return false;
	r->owed[r->n_owed++] = msgid;
	return true;
}

/* Puts an id at the front of the recent list; one that was in it moves. */
static void remember(struct ovpn_reliable *r, uint32_t msgid)
{
	unsigned at = 0;

	while (at < r->n_recent && r->recent[at] != msgid)
		at++;
	if (at == OVPN_ACKS_MAX)
		at--;
	else if (at == r->n_recent)
		r->n_recent++;
	memmove(r->recent + 1, r->recent, at * sizeof(r->recent[0]));
	r->recent[0] = msgid;
}

bool ovpn_reliable_owes_acks(const struct ovpn_reliable *r)
{
	return r->n_owed > 0;
}

unsigned ovpn_reliable_take_acks(struct ovpn_reliable *r, unsigned max, uint32_t *ret_ids)
{
	unsigned n;

	max = MIN(max, (unsigned)OVPN_ACKS_MAX);
	n = MIN(max, (unsigned)r->n_owed);
	for (unsigned i = 0; i < n; i++)
		remember(r, r->owed[i]);
	r->n_owed -= (uint8_t)n;
	memmove(r->owed, r->owed + n, r->n_owed * sizeof(r->owed[0]));
	/* What was owed is now at the front of the recent list, and older acks follow. */
	n = MIN(max, (unsigned)r->n_recent);
	memcpy(ret_ids, r->recent, n * sizeof(ret_ids[0]));
	return n;
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

enum verdict ovpn_reliable_receive(struct ovpn_reliable *r, uint32_t msgid, uint8_t opcode, const uint8_t *payload,
				   size_t len)
{
	struct ovpn_reliable_slot *s;

	if (len > OVPN_RELIABLE_PAYLOAD_MAX)
		return VERDICT_DROP_MALFORMED;
	if (msgid >= r->next_recv && msgid - r->next_recv >= OVPN_RELIABLE_RECV_WINDOW)
		return VERDICT_DROP_WINDOW;
	if (!owe(r, msgid))
		return VERDICT_DROP_WINDOW;
	if (msgid < r->next_recv || slot_find(r->recv, OVPN_RELIABLE_RECV_WINDOW, msgid))
		return VERDICT_DROP_REPLAY;
	/* As many slots as ids in the window, and no id twice: there is a free one. */
	s = slot_free(r->recv, OVPN_RELIABLE_RECV_WINDOW);
	if (!s)
		return VERDICT_DROP_WINDOW;
	slot_fill(s, msgid, opcode, payload, len);
	return VERDICT_OK;
}

bool ovpn_reliable_deliver(struct ovpn_reliable *r, struct ovpn_reliable_msg *ret)
{
	struct ovpn_reliable_slot *s = slot_find(r->recv, OVPN_RELIABLE_RECV_WINDOW, r->next_recv);

	if (!s || r->next_recv == UINT32_MAX)
		return false;
	s->used = false;
	r->next_recv++;
	slot_hand_out(s, ret);
	return true;
}
