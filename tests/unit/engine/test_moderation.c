/* Receive moderation: streams are gathered, lone packets and question-and-answer traffic are not delayed. */
#include <criterion/criterion.h>

#include "engine/moderation.h"

static unsigned waits(struct moderation *m, unsigned wakeups, usec_t gap, int without, int with)
{
	static usec_t now = 1000000;
	unsigned n = 0;

	for (unsigned i = 0; i < wakeups; i++) {
		bool waited = moderation_wait(m, now) > 0;

		n += waited;
		moderation_note(m, now, waited ? with : without);
		now += gap;
	}
	return n;
}

Test(moderation, lone_packets_are_never_delayed)
{
	struct moderation m = { 0 };

	cr_assert_eq(waits(&m, 1000, 1000, 1, 1), 0);
}

Test(moderation, a_stream_of_single_datagrams_is_gathered)
{
	struct moderation m = { 0 };

	cr_assert_geq(waits(&m, 1000, 100, 1, 4), 990);
}

Test(moderation, what_comes_in_batches_needs_no_wait)
{
	struct moderation m = { 0 };

	cr_assert_eq(waits(&m, 1000, 100, MODERATION_ENOUGH, MODERATION_ENOUGH), 0);
}

Test(moderation, question_and_answer_is_left_alone_soon)
{
	struct moderation m = { 0 };

	/* Every wait brings just the one answer: about one wait in seventy. */
	cr_assert_leq(waits(&m, 1000, 100, 1, 1), 1000 / MODERATION_HOLDOFF);
}
