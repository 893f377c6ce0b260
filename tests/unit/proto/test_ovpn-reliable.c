/* The reliability layer on a manual clock: windows, repetition, order, acks; and two of them over a lossy path. */
#include "proto/ovpn-reliable.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define S USEC_PER_SEC

static struct ovpn_reliable r;

static void push(const char *text)
{
	cr_assert_eq(ovpn_reliable_push(&r, OVPN_OP_CONTROL_V1, (const uint8_t *)text, strlen(text)), 0);
}

/* The ids that are due now, as a string of digits. */
static const char *due(usec_t now)
{
	static char ids[32];
	struct ovpn_reliable_msg m;
	size_t n = 0;

	while (ovpn_reliable_next(&r, now, &m))
		ids[n++] = (char)('0' + m.msgid % 10);
	ids[n] = '\0';
	return ids;
}

static void ack(uint32_t id)
{
	(void)ovpn_reliable_acked(&r, &id, 1);
}

static enum verdict receive(uint32_t id)
{
	return ovpn_reliable_receive(&r, id, OVPN_OP_CONTROL_V1, (const uint8_t *)&id, sizeof(id));
}

Test(ovpn_reliable, retransmits_every_timeout)
{
	struct ovpn_reliable_msg m;

	ovpn_reliable_init(&r, 0);
	cr_assert_eq(ovpn_reliable_deadline(&r), USEC_INFINITY);
	push("hello");
	cr_assert_eq(ovpn_reliable_deadline(&r), 0);
	cr_assert(ovpn_reliable_next(&r, 10 * S, &m));
	cr_assert_eq(m.msgid, 0);
	cr_assert_eq(m.opcode, OVPN_OP_CONTROL_V1);
	cr_assert_eq(m.len, 5);
	cr_assert_eq(memcmp(m.payload, "hello", 5), 0);
	cr_assert_eq(ovpn_reliable_deadline(&r), 12 * S);
	cr_assert_str_eq(due(12 * S - 1), "");
	cr_assert_str_eq(due(12 * S), "0");
	/* ... without growing: a road that loses much gets many tries */
	for (usec_t now = 14 * S; now < 300 * S; now += 2 * S) {
		cr_assert_eq(ovpn_reliable_deadline(&r), now);
		cr_assert_str_eq(due(now), "0");
	}
	ack(0);
	cr_assert_eq(ovpn_reliable_deadline(&r), USEC_INFINITY);
	cr_assert(ovpn_reliable_is_idle(&r));
	cr_assert_str_eq(due(1000 * S), "");
}

Test(ovpn_reliable, a_longer_timeout_is_kept_as_it_is)
{
	struct ovpn_reliable_msg m;

	ovpn_reliable_init(&r, 7 * S);
	push("hello");
	cr_assert(ovpn_reliable_next(&r, 0, &m));
	for (usec_t now = 7 * S; now < 100 * S; now += 7 * S) {
		cr_assert_eq(ovpn_reliable_deadline(&r), now);
		cr_assert_str_eq(due(now), "0");
	}
}

Test(ovpn_reliable, repetition_is_the_same_message)
{
	struct ovpn_reliable_msg a, b;
	uint8_t copy[5];

	ovpn_reliable_init(&r, S);
	push("first");
	cr_assert(ovpn_reliable_next(&r, 0, &a));
	memcpy(copy, a.payload, 5);
	cr_assert(ovpn_reliable_next(&r, S, &b));
	cr_assert_eq(a.msgid, b.msgid);
	cr_assert_eq(memcmp(copy, b.payload, 5), 0);
}

Test(ovpn_reliable, send_window_is_six)
{
	ovpn_reliable_init(&r, 0);
	for (int i = 0; i < 6; i++) {
		cr_assert(ovpn_reliable_can_push(&r));
		push("x");
	}
	cr_assert_not(ovpn_reliable_can_push(&r));
	cr_assert_eq(ovpn_reliable_push(&r, OVPN_OP_CONTROL_V1, NULL, 0), -EAGAIN);
	cr_assert_str_eq(due(S), "012345");
	ack(3);
	cr_assert(ovpn_reliable_can_push(&r));
	push("y");
	cr_assert_str_eq(due(S), "6", "only the new one: an ack of one later message is no reason yet");
	cr_assert_not(ovpn_reliable_can_push(&r));
}

Test(ovpn_reliable, three_later_acks_resend_at_once)
{
	ovpn_reliable_init(&r, 0);
	for (int i = 0; i < 6; i++)
		push("x");
	cr_assert_str_eq(due(S), "012345");
	ack(2);
	ack(3);
	cr_assert_str_eq(due(S), "");
	cr_assert_eq(ovpn_reliable_deadline(&r), 3 * S);
	ack(3); /* again: settles nothing, counts for nothing */
	cr_assert_str_eq(due(S), "");
	ack(4);
	cr_assert_eq(ovpn_reliable_deadline(&r), 0);
	cr_assert_str_eq(due(S + 1), "01", "0 and 1 were overtaken three times, 5 was not");
	cr_assert_str_eq(due(S + 1), "");
	cr_assert_eq(ovpn_reliable_deadline(&r), 3 * S, "message 5 still has its own time");
	ack(5);
	cr_assert_eq(ovpn_reliable_deadline(&r), 3 * S + 1, "an early resend does not double the interval");
}

Test(ovpn_reliable, acks_for_what_was_never_sent_are_ignored)
{
	uint32_t wild[] = { 1, 5, 6, 100, UINT32_MAX };

	ovpn_reliable_init(&r, 0);
	cr_assert_not(ovpn_reliable_is_acked(&r, 0));
	push("x");
	/* pushed, but not sent yet */
	cr_assert_eq(ovpn_reliable_acked(&r, &(uint32_t){ 0 }, 1), 0);
	cr_assert_not(ovpn_reliable_is_acked(&r, 0));
	cr_assert_str_eq(due(S), "0");
	cr_assert_eq(ovpn_reliable_acked(&r, wild, ARRAY_SIZE(wild)), 0);
	cr_assert_not(ovpn_reliable_is_idle(&r));
	cr_assert_eq(ovpn_reliable_acked(&r, &(uint32_t){ 0 }, 1), 1);
	cr_assert(ovpn_reliable_is_acked(&r, 0));
	cr_assert_not(ovpn_reliable_is_acked(&r, 1));
	cr_assert_eq(ovpn_reliable_acked(&r, &(uint32_t){ 0 }, 1), 0, "twice");
}

Test(ovpn_reliable, delivers_in_order_whatever_the_order_of_arrival)
{
	static const uint32_t arrival[] = { 3, 0, 2, 1, 4 }, complete[] = { 0, 1, 1, 4, 5 };
	struct ovpn_reliable_msg m;
	uint32_t next = 0;

	ovpn_reliable_init(&r, 0);
	for (size_t i = 0; i < ARRAY_SIZE(arrival); i++) {
		cr_assert_eq(receive(arrival[i]), VERDICT_OK);
		while (ovpn_reliable_deliver(&r, &m)) {
			cr_assert_eq(m.msgid, next);
			cr_assert_eq(m.len, sizeof(next));
			cr_assert_eq(memcmp(m.payload, &next, sizeof(next)), 0);
			next++;
		}
		/* behind the first arrival nothing is delivered, then everything up to the gap */
		cr_assert_eq(next, complete[i]);
	}
}

Test(ovpn_reliable, receive_window_is_twelve)
{
	struct ovpn_reliable_msg m;
	uint32_t ids[8];

	ovpn_reliable_init(&r, 0);
	cr_assert_eq(receive(12), VERDICT_DROP_WINDOW);
	cr_assert_eq(receive(1000), VERDICT_DROP_WINDOW);
	cr_assert_eq(receive(UINT32_MAX), VERDICT_DROP_WINDOW);
	cr_assert_not(ovpn_reliable_owes_acks(&r), "no ack for what was dropped");
	for (uint32_t i = 0; i < 12; i++)
		cr_assert_eq(receive(11 - i), VERDICT_OK);
	cr_assert_eq(receive(12), VERDICT_DROP_WINDOW);
	cr_assert(ovpn_reliable_deliver(&r, &m));
	cr_assert_eq(receive(12), VERDICT_OK);
	cr_assert_eq(receive(13), VERDICT_DROP_WINDOW);
	while (ovpn_reliable_owes_acks(&r))
		cr_assert_gt(ovpn_reliable_take_acks(&r, 8, ids), 0);
}

Test(ovpn_reliable, duplicates_are_acknowledged_again_and_delivered_once)
{
	struct ovpn_reliable_msg m;
	uint32_t ids[8];

	ovpn_reliable_init(&r, 0);
	cr_assert_eq(receive(0), VERDICT_OK);
	cr_assert_eq(ovpn_reliable_take_acks(&r, 8, ids), 1);
	cr_assert_not(ovpn_reliable_owes_acks(&r));
	cr_assert_eq(receive(0), VERDICT_DROP_REPLAY, "still waiting to be delivered");
	cr_assert(ovpn_reliable_owes_acks(&r));
	cr_assert_eq(ovpn_reliable_take_acks(&r, 8, ids), 1);
	cr_assert(ovpn_reliable_deliver(&r, &m));
	cr_assert_not(ovpn_reliable_deliver(&r, &m));
	cr_assert_eq(receive(0), VERDICT_DROP_REPLAY, "delivered long ago");
	cr_assert(ovpn_reliable_owes_acks(&r));
	cr_assert_not(ovpn_reliable_deliver(&r, &m));
}

Test(ovpn_reliable, acks_owed_first_then_recent_ones_again)
{
	struct ovpn_reliable_msg m;
	uint32_t ids[8];

	ovpn_reliable_init(&r, 0);
	for (uint32_t i = 0; i < 6; i++)
		cr_assert_eq(receive(i), VERDICT_OK);
	cr_assert_eq(ovpn_reliable_take_acks(&r, OVPN_ACKS_CONTROL, ids), 4);
	for (uint32_t i = 0; i < 4; i++)
		cr_assert_eq(ids[i], 3 - i);
	cr_assert(ovpn_reliable_owes_acks(&r), "4 and 5 are still owed");
	cr_assert_eq(ovpn_reliable_take_acks(&r, OVPN_ACKS_MAX, ids), 6);
	cr_assert_eq(ids[0], 5);
	cr_assert_eq(ids[1], 4);
	cr_assert_eq(ids[5], 0);
	cr_assert_not(ovpn_reliable_owes_acks(&r));
	cr_assert_eq(ovpn_reliable_take_acks(&r, OVPN_ACKS_CONTROL, ids), 4, "recent ones ride along");
	cr_assert_eq(ids[0], 5);
	while (ovpn_reliable_deliver(&r, &m))
		;
	for (uint32_t i = 6; i < 12; i++)
		cr_assert_eq(receive(i), VERDICT_OK);
	cr_assert_eq(ovpn_reliable_take_acks(&r, 100, ids), 8, "never more than eight");
	cr_assert_eq(ids[0], 11);
	cr_assert_eq(ids[7], 4);
	cr_assert_eq(receive(5), VERDICT_DROP_REPLAY);
	cr_assert_eq(ovpn_reliable_take_acks(&r, 8, ids), 8);
	cr_assert_eq(ids[0], 5, "an id in the list moves to the front, it does not come twice");
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < i; j++)
			cr_assert_neq(ids[i], ids[j]);
}

Test(ovpn_reliable, too_many_owed_acks_refuse_the_message_instead_of_forgetting_one)
{
	struct ovpn_reliable_msg m;
	uint32_t id = 0;

	ovpn_reliable_init(&r, 0);
	while (receive(id) == VERDICT_OK && ovpn_reliable_deliver(&r, &m))
		id++;
	cr_assert_eq(id, OVPN_RELIABLE_OWED_MAX);
	cr_assert_eq(ovpn_reliable_receive(&r, id, 4, NULL, 0), VERDICT_DROP_WINDOW);
	cr_assert_eq(r.next_recv, id);
}

Test(ovpn_reliable, sizes_are_checked)
{
	static uint8_t big[OVPN_RELIABLE_PAYLOAD_MAX + 1];

	ovpn_reliable_init(&r, 0);
	cr_assert_eq(ovpn_reliable_push(&r, 4, big, sizeof(big)), -EMSGSIZE);
	cr_assert_eq(ovpn_reliable_push(&r, 4, big, sizeof(big) - 1), 0);
	cr_assert_eq(ovpn_reliable_push(&r, 4, NULL, 0), 0);
	cr_assert_eq(ovpn_reliable_receive(&r, 0, 4, big, sizeof(big)), VERDICT_DROP_MALFORMED);
	cr_assert_not(ovpn_reliable_owes_acks(&r));
	cr_assert_eq(ovpn_reliable_receive(&r, 0, 4, big, sizeof(big) - 1), VERDICT_OK);
	r.next_send = UINT32_MAX;
	cr_assert_not(ovpn_reliable_can_push(&r));
	cr_assert_eq(ovpn_reliable_push(&r, 4, NULL, 0), -EOVERFLOW);
}

/* ---- Two ends and a path that loses, doubles and reorders ------------------------------------------------------- */

struct letter {
	int to;
	bool has_msg;
	uint32_t msgid;
	uint8_t text[4];
	unsigned n_acks;
	uint32_t acks[8];
};

static struct ovpn_reliable end[2];
static struct letter path[64];
static unsigned n_path;

static void post(struct letter l, unsigned loss_percent)
{
	for (int copies = 0; copies < 2; copies++) {
		if ((unsigned)rand() % 100 < (copies ? 90 : loss_percent) || n_path == ARRAY_SIZE(path))
			continue;
		path[n_path++] = l;
	}
}

static void flush(int i, usec_t now, unsigned loss_percent)
{
	struct ovpn_reliable_msg m;

	while (ovpn_reliable_next(&end[i], now, &m)) {
		struct letter l = { .to = !i, .has_msg = true, .msgid = m.msgid };

		cr_assert_eq(m.len, sizeof(l.text));
		memcpy(l.text, m.payload, m.len);
		l.n_acks = ovpn_reliable_take_acks(&end[i], OVPN_ACKS_CONTROL, l.acks);
		post(l, loss_percent);
	}
	while (ovpn_reliable_owes_acks(&end[i])) {
		struct letter l = { .to = !i };

		l.n_acks = ovpn_reliable_take_acks(&end[i], OVPN_ACKS_MAX, l.acks);
		post(l, loss_percent);
	}
}

static void simulate(unsigned seed, unsigned loss_percent)
{
	uint32_t pushed[2] = { 0 }, got[2] = { 0 };
	const uint32_t total = 200;
	usec_t now = 1;

	srand(seed);
	n_path = 0;
	ovpn_reliable_init(&end[0], S);
	ovpn_reliable_init(&end[1], S);
	for (unsigned step = 0; step < 200000 && (got[0] < total || got[1] < total); step++) {
		for (int i = 0; i < 2; i++) {
			while (pushed[i] < total && ovpn_reliable_can_push(&end[i])) {
				cr_assert_eq(ovpn_reliable_push(&end[i], 4, (uint8_t *)&pushed[i], 4), 0);
				pushed[i]++;
			}
			flush(i, now, loss_percent);
		}
		if (!n_path) {
			now = MIN(ovpn_reliable_deadline(&end[0]), ovpn_reliable_deadline(&end[1]));
			cr_assert_neq(now, USEC_INFINITY, "nothing on the way and nobody wants to send: stuck");
			continue;
		}
		unsigned pick = (unsigned)rand() % n_path;
		struct letter l = path[pick];
		struct ovpn_reliable_msg m;

		path[pick] = path[--n_path];
		now += 1000;
		(void)ovpn_reliable_acked(&end[l.to], l.acks, l.n_acks);
		if (l.has_msg)
			(void)ovpn_reliable_receive(&end[l.to], l.msgid, 4, l.text, sizeof(l.text));
		while (ovpn_reliable_deliver(&end[l.to], &m)) {
			cr_assert_eq(memcmp(m.payload, &got[l.to], 4), 0);
			got[l.to]++;
		}
	}
	cr_assert_eq(got[0], total, "seed %u, loss %u", seed, loss_percent);
	cr_assert_eq(got[1], total, "seed %u, loss %u", seed, loss_percent);
}

Test(ovpn_reliable, everything_arrives_over_a_bad_path)
{
	for (unsigned seed = 1; seed <= 20; seed++)
		for (unsigned loss = 0; loss <= 60; loss += 20)
			simulate(seed, loss);
}
