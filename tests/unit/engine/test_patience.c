/* patience.h: a helper that never answers is given up, a machine that slept is not the helper's fault. */
#include <criterion/criterion.h>

#include "engine/patience.h"

Test(patience, ends_after_all_parts_and_not_before)
{
	struct patience p;
	usec_t now = 5 * USEC_PER_SEC;

	patience_begin(&p, now);
	for (unsigned i = 0; i < PATIENCE_PARTS; i++) {
		cr_assert_not(patience_is_over(&p, p.until - 1));
		cr_assert_eq(patience_is_over(&p, p.until), i + 1 == PATIENCE_PARTS);
	}
	cr_assert_geq(p.until, now + PATIENCE_PART * PATIENCE_PARTS);
}

Test(patience, a_night_asleep_leaves_time_for_the_answer)
{
	struct patience p;
	usec_t morning = 8 * 3600 * USEC_PER_SEC;

	patience_begin(&p, 0);
	cr_assert_not(patience_is_over(&p, morning));
	cr_assert_eq(p.until, morning + PATIENCE_PART);
	cr_assert_not(patience_is_over(&p, morning + PATIENCE_PART - 1));
	cr_assert(patience_is_over(&p, morning + PATIENCE_PART));
}

Test(patience, each_question_begins_anew)
{
	struct patience p;

	patience_begin(&p, 0);
	cr_assert_not(patience_is_over(&p, PATIENCE_PART));
	patience_begin(&p, PATIENCE_PART);
	cr_assert_not(patience_is_over(&p, 2 * PATIENCE_PART));
	cr_assert(patience_is_over(&p, 3 * PATIENCE_PART));
}
