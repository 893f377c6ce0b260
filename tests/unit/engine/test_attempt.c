/* The walk over remotes and addresses, as tables of failures and what follows. */
#include <criterion/criterion.h>

#include "engine/attempt.h"

#define SEC USEC_PER_SEC

static enum attempt_step fail_with(struct attempt *a, enum fail_class fail, enum proto_advice advice, usec_t *wait)
{
	return attempt_failed(a, &(struct attempt_failure){ .fail = fail, .advice = advice }, wait);
}

static usec_t must_retry(struct attempt *a, enum fail_class fail)
{
	usec_t wait = 12345;

	cr_assert_eq(fail_with(a, fail, PROTO_ADVICE_RETRY, &wait), ATTEMPT_TRY);
	return wait;
}

Test(attempt, visits_each_address_of_each_remote_then_waits)
{
	static const struct {
		unsigned remote, address, n_addresses;
		usec_t wait;
	} walk[] = {
		{ 0, 0, 2, 0 }, { 0, 1, 2, 0 }, { 1, 0, 0, 0 }, { 2, 0, 1, 1 * SEC },
		{ 0, 0, 1, 0 }, { 1, 0, 1, 0 }, { 2, 0, 1, 1 * SEC },
		{ 0, 0, 1, 0 }, { 1, 0, 1, 0 }, { 2, 0, 1, 1 * SEC },
	};
	struct attempt a;

	attempt_init(&a, 3, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(walk); i++) {
		cr_assert_eq(attempt_remote(&a), walk[i].remote, "step %zu", i);
		cr_assert_eq(attempt_address(&a), walk[i].address, "step %zu", i);
		attempt_set_addresses(&a, walk[i].n_addresses);
		cr_assert_eq(must_retry(&a, FAIL_SILENT), walk[i].wait, "step %zu", i);
	}
}

Test(attempt, doubles_the_wait_after_five_rounds_up_to_the_limit)
{
	static const usec_t waits[] = { 2, 2, 2, 2, 2, 4, 8, 10, 10, 10 };
	struct attempt a;

	attempt_init(&a, 1, 2 * SEC, 10 * SEC);
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
		cr_assert_eq(must_retry(&a, FAIL_REFUSED), waits[i] * SEC, "round %zu", i);
	for (unsigned i = 0; i < 1000; i++) /* and no overflow ever */
		cr_assert_eq(must_retry(&a, FAIL_REFUSED), 10 * SEC);
}

Test(attempt, gives_up_where_nothing_can_help)
{
	static const struct {
		enum fail_class fail;
		enum proto_advice advice;
		enum attempt_step step;
	} table[] = {
		{ FAIL_AUTH, PROTO_ADVICE_GIVE_UP, ATTEMPT_GIVE_UP },
		{ FAIL_SERVER, PROTO_ADVICE_GIVE_UP, ATTEMPT_GIVE_UP },
		{ FAIL_CONFIG, PROTO_ADVICE_RETRY, ATTEMPT_GIVE_UP },
		{ FAIL_AUTH, PROTO_ADVICE_RETRY, ATTEMPT_TRY },
		{ FAIL_RESOLVE, PROTO_ADVICE_RETRY, ATTEMPT_TRY },
		{ FAIL_UNREACHABLE, PROTO_ADVICE_RETRY, ATTEMPT_TRY },
		{ FAIL_REFUSED, PROTO_ADVICE_RETRY, ATTEMPT_TRY },
		{ FAIL_SILENT, PROTO_ADVICE_RETRY, ATTEMPT_TRY },
		{ FAIL_TLS, PROTO_ADVICE_RETRY, ATTEMPT_TRY },
		{ FAIL_NEGOTIATION, PROTO_ADVICE_RETRY, ATTEMPT_TRY },
		{ FAIL_SERVER, PROTO_ADVICE_SAME, ATTEMPT_TRY },
		{ FAIL_TIMEOUT, PROTO_ADVICE_RETRY, ATTEMPT_TRY },
		{ FAIL_INTERNAL, PROTO_ADVICE_RETRY, ATTEMPT_TRY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct attempt a;
		usec_t wait;

		attempt_init(&a, 2, 0, 0);
		cr_assert_eq(fail_with(&a, table[i].fail, table[i].advice, &wait), table[i].step, "row %zu", i);
	}
}

Test(attempt, certificates_end_the_first_round)
{
	static const struct {
		enum fail_class fails[3];
		enum attempt_step last;
	} table[] = {
		{ { FAIL_CERT, FAIL_CERT, FAIL_CERT }, ATTEMPT_GIVE_UP },
		{ { FAIL_CERT, FAIL_CERT_REJECTED, FAIL_CERT }, ATTEMPT_GIVE_UP },
		{ { FAIL_UNREACHABLE, FAIL_RESOLVE, FAIL_CERT }, ATTEMPT_GIVE_UP }, /* never reached: says nothing */
		{ { FAIL_CERT, FAIL_SILENT, FAIL_CERT }, ATTEMPT_TRY },
		{ { FAIL_CERT, FAIL_CERT, FAIL_REFUSED }, ATTEMPT_TRY },
		{ { FAIL_UNREACHABLE, FAIL_UNREACHABLE, FAIL_UNREACHABLE }, ATTEMPT_TRY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct attempt a;
		usec_t wait;

		attempt_init(&a, 3, 0, 0);
		cr_assert_eq(fail_with(&a, table[i].fails[0], PROTO_ADVICE_RETRY, &wait), ATTEMPT_TRY);
		cr_assert_eq(fail_with(&a, table[i].fails[1], PROTO_ADVICE_RETRY, &wait), ATTEMPT_TRY);
		cr_assert_eq(fail_with(&a, table[i].fails[2], PROTO_ADVICE_RETRY, &wait), table[i].last, "row %zu", i);
	}
}

Test(attempt, certificates_do_not_end_a_tunnel_that_worked)
{
	struct attempt a;
	usec_t wait;

	attempt_init(&a, 1, 0, 0);
	(void)attempt_failed(&a, &(struct attempt_failure){ .fail = FAIL_TIMEOUT, .advice = PROTO_ADVICE_RETRY,
							    .connected = true, .lived = 3600 * SEC }, &wait);
	cr_assert_eq(wait, 0); /* it lived: at once */
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(fail_with(&a, FAIL_CERT, PROTO_ADVICE_RETRY, &wait), ATTEMPT_TRY);
}

Test(attempt, same_means_the_same_address)
{
	struct attempt a;
	usec_t wait = 1;

	attempt_init(&a, 3, 0, 0);
	(void)must_retry(&a, FAIL_SILENT);
	attempt_set_addresses(&a, 3);
	(void)must_retry(&a, FAIL_SILENT);
	cr_assert_eq(attempt_failed(&a, &(struct attempt_failure){ .fail = FAIL_SERVER, .advice = PROTO_ADVICE_SAME,
								   .connected = true, .lived = 60 * SEC }, &wait), ATTEMPT_TRY);
	cr_assert_eq(wait, 0);
	cr_assert_eq(attempt_remote(&a), 1);
	cr_assert_eq(attempt_address(&a), 1);
}

Test(attempt, a_server_that_sends_everyone_away_is_not_hammered)
{
	struct attempt a;
	usec_t wait = 0, last = SEC;

	attempt_init(&a, 1, 0, 0);
	for (unsigned i = 0; i < 10; i++) {
		(void)attempt_failed(&a, &(struct attempt_failure){ .fail = FAIL_SERVER, .advice = PROTO_ADVICE_SAME,
								    .connected = true, .lived = SEC / 10 }, &wait);
		cr_assert_geq(wait, last);
		last = wait;
	}
	cr_assert_geq(last, 16 * SEC);
}

Test(attempt, a_server_that_sends_everyone_away_does_not_keep_us_from_the_others)
{
	struct attempt_failure away = { .fail = FAIL_SERVER, .advice = PROTO_ADVICE_SAME };
	unsigned tries = 0;
	struct attempt a;
	usec_t wait;

	attempt_init(&a, 2, 0, 0);
	for (; attempt_remote(&a) == 0 && tries < 100; tries++)
		cr_assert_eq(attempt_failed(&a, &away, &wait), ATTEMPT_TRY);
	cr_assert_eq(tries, ATTEMPT_SENT_AWAY_MAX + 1);
	for (; attempt_remote(&a) == 1 && tries < 100; tries++)
		cr_assert_eq(attempt_failed(&a, &away, &wait), ATTEMPT_TRY);
	cr_assert_eq(tries, 2 * (ATTEMPT_SENT_AWAY_MAX + 1), "the count is for each server");
	cr_assert_gt(wait, 0, "a whole round was in vain");

	/* Sessions that lived in between are what the advice is for. */
	for (unsigned i = 0; i < 10; i++) {
		unsigned before = attempt_remote(&a);

		away.connected = true;
		away.lived = i % 2 ? 60 * SEC : 0;
		cr_assert_eq(attempt_failed(&a, &away, &wait), ATTEMPT_TRY);
		cr_assert_eq(attempt_remote(&a), before);
	}
}

Test(attempt, the_servers_wish_is_the_least_wait)
{
	struct attempt a;
	usec_t wait;

	attempt_init(&a, 1, 0, 0);
	(void)attempt_failed(&a, &(struct attempt_failure){ .fail = FAIL_AUTH, .advice = PROTO_ADVICE_RETRY, .wish = 30 * SEC },
			     &wait);
	cr_assert_eq(wait, 30 * SEC);
}

Test(attempt, a_network_change_starts_over)
{
	struct attempt a;

	attempt_init(&a, 2, 0, 0);
	for (unsigned i = 0; i < 7; i++)
		(void)must_retry(&a, FAIL_UNREACHABLE);
	attempt_restart(&a);
	cr_assert_eq(attempt_remote(&a), 0);
	cr_assert_eq(must_retry(&a, FAIL_UNREACHABLE), 0);
	cr_assert_eq(must_retry(&a, FAIL_UNREACHABLE), 1 * SEC);
}

Test(attempt, shuffles_without_losing_one)
{
	uint32_t words[PROFILE_REMOTES_MAX];
	bool seen[PROFILE_REMOTES_MAX] = { 0 };
	bool moved = false;
	struct attempt a;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = (uint32_t)(i * 2654435761u);
	attempt_init(&a, PROFILE_REMOTES_MAX + 5, 0, 0);
	cr_assert_eq(a.n_remotes, PROFILE_REMOTES_MAX);
	attempt_shuffle(&a, words);
	for (size_t i = 0; i < a.n_remotes; i++) {
		cr_assert_lt(a.order[i], PROFILE_REMOTES_MAX);
		cr_assert_not(seen[a.order[i]]);
		seen[a.order[i]] = true;
		moved |= a.order[i] != i;
	}
	cr_assert(moved);
}
