/* Putting fragments together; the format and its rules are in the header. */
#include "proto/fragment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum piece_kind { PIECE_WHOLE, PIECE_MORE, PIECE_LAST, PIECE_TEST };

struct piece {
	enum piece_kind kind;
	uint8_t seq;
	uint8_t number;
	uint16_t size; /* of all pieces but the last */
	const uint8_t *p;
	uint16_t len;
};

int fragment_init(struct fragment_state *f, size_t packet_max)
{
	*f = (struct fragment_state){ .packet_max = packet_max };
	if (packet_max == 0 || packet_max > UINT16_MAX)
		return -EINVAL;
	f->room = calloc(FRAGMENT_SLOTS, packet_max);
	return f->room ? 0 : -ENOMEM;
}

void fragment_done(struct fragment_state *f)
{
	free(f->room);
	*f = (struct fragment_state){ 0 };
}

static struct piece parse(const uint8_t *head, size_t len)
{
	uint32_t word = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
	struct piece p = {
		.kind = (enum piece_kind)(word & 3),
		.seq = (uint8_t)(word >> 2),
		.number = word >> 10 & 31,
		.p = head + FRAGMENT_HEAD_LEN,
		.len = (uint16_t)(len - FRAGMENT_HEAD_LEN),
	};

	p.size = p.kind == PIECE_LAST ? (uint16_t)((word >> 15 & 0x3fff) << 2) : p.len;
	return p;
}

/* A packet that is put together has an end for each piece: sizes are known, not zero, and fit the room. */
static bool is_sound(const struct fragment_state *f, const struct piece *p)
{
	return p->size > 0 && p->len > 0 && p->len <= p->size && (size_t)p->number * p->size + p->len <= f->packet_max;
}

/* The slot of the piece's packet, begun anew when it held another one. */
static struct fragment_slot *slot_of(struct fragment_state *f, const struct piece *p)
{
	struct fragment_slot *s = &f->slots[p->seq % FRAGMENT_SLOTS];

	if (!s->used || s->seq != p->seq || s->size != p->size || f->now - s->since > FRAGMENT_LIFETIME)
		*s = (struct fragment_slot){ .used = true, .seq = p->seq, .size = p->size, .since = f->now };
	return s;
}

/* A piece behind the last one, or two last ones, cannot be of one packet. */
static bool contradicts(const struct fragment_slot *s, const struct piece *p)
{
	if (p->kind == PIECE_LAST)
		return (s->last_known && s->last != p->number) || s->have >> p->number > 1;
	return s->last_known && p->number >= s->last;
}

static ssize_t join(struct fragment_state *f, struct fragment_slot *s, uint8_t *out, size_t room)
{
	size_t total = (size_t)s->last * s->size + s->last_len;

	s->used = false;
	if (total > room)
		return -VERDICT_DROP_FRAMING;
	memcpy(out, f->room + (size_t)(s - f->slots) * f->packet_max, total);
	f->n_joined++;
	return (ssize_t)total;
}

ssize_t fragment_take(struct fragment_state *f, uint8_t *head, size_t len, size_t room)
{
	struct fragment_slot *s;
	struct piece p;

	if (len < FRAGMENT_HEAD_LEN || len - FRAGMENT_HEAD_LEN > UINT16_MAX)
		return -VERDICT_DROP_FRAMING;
	p = parse(head, len);
	if (p.kind == PIECE_WHOLE)
		return p.len;
	if (p.kind == PIECE_TEST || !is_sound(f, &p))
		return -VERDICT_DROP_FRAMING;
	s = slot_of(f, &p);
	if (contradicts(s, &p)) {
		s->used = false;
		return -VERDICT_DROP_FRAMING;
	}
	memcpy(f->room + (size_t)(s - f->slots) * f->packet_max + (size_t)p.number * p.size, p.p, p.len);
	s->have |= 1u << p.number;
	if (p.kind == PIECE_LAST) {
		s->last = p.number;
		s->last_len = p.len;
		s->last_known = true;
	}
	if (!s->last_known || s->have != (uint32_t)((2ULL << s->last) - 1))
		return 0;
	return join(f, s, head + FRAGMENT_HEAD_LEN, room);
}
