/* The replay window: table cases at its edges, and a comparison with a naive model. */
#include "crypto/replay.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static bool take(struct replay *r, uint64_t id)
{
	if (!replay_check(r, id))
		return false;
	replay_commit(r, id);
	return true;
}

Test(replay, accepts_each_id_once)
{
	struct replay r;

	cr_assert_eq(replay_init(&r, 64), 0);
	cr_assert_not(take(&r, 0), "id 0 is never valid");
	for (uint64_t id = 1; id < 1000; id++) {
		cr_assert(take(&r, id));
		cr_assert_not(take(&r, id));
	}
	replay_done(&r);
}

Test(replay, checking_changes_nothing)
{
	struct replay r;

	cr_assert_eq(replay_init(&r, 64), 0);
	cr_assert(take(&r, 10));
	/* a forged packet with a huge id is looked at and then found to be forged */
	cr_assert(replay_check(&r, UINT64_MAX));
	cr_assert(replay_check(&r, 9));
	cr_assert(take(&r, 9));
	cr_assert(take(&r, 11));
	replay_done(&r);
}

Test(replay, window_is_exactly_as_long_as_said)
{
	static const unsigned sizes[] = { 64, 65, 100, 128, 256, 1000, 65536 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t size = sizes[i], top = 1000000;
		struct replay r;

		cr_assert_eq(replay_init(&r, sizes[i]), 0);
		cr_assert(take(&r, top));
		cr_assert_not(replay_check(&r, top));
		cr_assert(replay_check(&r, top - 1));
		cr_assert(replay_check(&r, top - size + 1), "size %u", sizes[i]);
		cr_assert_not(replay_check(&r, top - size), "size %u", sizes[i]);
		cr_assert_not(replay_check(&r, 1));
		/* every place in it can be filled, once */
		for (uint64_t id = top - size + 1; id < top; id++)
			cr_assert(take(&r, id));
		for (uint64_t id = top - size + 1; id <= top; id++)
			cr_assert_not(take(&r, id));
		replay_done(&r);
	}
}

Test(replay, size_is_clamped)
{
	struct replay r;

	cr_assert_eq(replay_init(&r, 0), 0);
	cr_assert_eq(r.size, REPLAY_SIZE_MIN);
	replay_done(&r);
	cr_assert_eq(replay_init(&r, 4000000), 0);
	cr_assert_eq(r.size, REPLAY_SIZE_MAX);
	replay_done(&r);
}

Test(replay, edges_of_32_and_64_bits)
{
	static const uint64_t edges[] = { 0xFF000000, 0xFFFFFFFF, 0x100000000, 0x61D3BF6C00000001, UINT64_MAX };
	struct replay r;

	cr_assert_eq(replay_init(&r, 64), 0);
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		cr_assert(take(&r, edges[i]));
		cr_assert_not(take(&r, edges[i]));
		cr_assert(take(&r, edges[i] - 2));
		cr_assert_not(take(&r, edges[i] - 64));
	}
	cr_assert_not(take(&r, 1), "there is no wrap");
	replay_reset(&r);
	cr_assert(take(&r, 1));
	replay_done(&r);
}

Test(replay, agrees_with_a_naive_model)
{
	enum { N = 4096 };
	static bool seen[N * 4];
	struct replay r;
	uint64_t top = 0;

	srand(1);
	cr_assert_eq(replay_init(&r, 128), 0);
	for (unsigned i = 0; i < 200000; i++) {
		int step = rand() % 400 - 250;
		uint64_t id = (int64_t)top + step < 0 ? 0 : top + (uint64_t)(int64_t)(i % 50 ? step % 140 : step);
		bool fresh;

		if (id >= N * 4)
			break;
		fresh = id && (id > top || (top - id < 128 && !seen[id]));
		cr_assert_eq(take(&r, id), fresh, "id %llu, top %llu", (unsigned long long)id, (unsigned long long)top);
		if (fresh) {
			seen[id] = true;
			top = id > top ? id : top;
		}
	}
	cr_assert_gt(top, 1000);
	replay_done(&r);
}
