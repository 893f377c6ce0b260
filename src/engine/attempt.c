/* The walk over remotes and addresses. */
#include "engine/attempt.h"

#define RETRY_DEFAULT (1 * USEC_PER_SEC)
#define RETRY_MAX_DEFAULT (300 * USEC_PER_SEC)

void attempt_init(struct attempt *a, size_t n_remotes, usec_t retry, usec_t retry_max)
{
	*a = (struct attempt){
		.n_remotes = MIN(n_remotes, (size_t)PROFILE_REMOTES_MAX),
		.retry = retry ? retry : RETRY_DEFAULT,
		.retry_max = retry_max ? retry_max : RETRY_MAX_DEFAULT,
	};
	if (a->retry_max < a->retry)
		a->retry_max = a->retry;
	for (size_t i = 0; i < a->n_remotes; i++)
		a->order[i] = (uint16_t)i;
}

void attempt_shuffle(struct attempt *a, const uint32_t *random)
{
	for (size_t i = a->n_remotes; i > 1; i--) {
		size_t j = random[i - 1] % i;
		uint16_t tmp = a->order[i - 1];

		a->order[i - 1] = a->order[j];
		a->order[j] = tmp;
	}
}

void attempt_set_addresses(struct attempt *a, unsigned n)
{
	a->n_addresses = n;
}

void attempt_restart(struct attempt *a)
{
	a->at = 0;
	a->address = a->n_addresses = 0;
	a->tried = 0;
	a->rounds = 0;
	a->sent_away = 0;
}

static usec_t back_off(const struct attempt *a)
{
	usec_t wait = a->retry;

	for (unsigned i = ATTEMPT_EVEN_ROUNDS; i < a->rounds && wait < a->retry_max; i++)
		wait *= 2;
	return MIN(wait, a->retry_max);
}

/* The next remote; after a whole round the time to wait. */
static usec_t next_remote(struct attempt *a)
{
	a->at = (a->at + 1) % a->n_remotes;
	a->address = a->n_addresses = 0;
	a->sent_away = 0;
	if (++a->tried < a->n_remotes)
		return 0;
	a->tried = 0;
	a->rounds++;
	return back_off(a);
}

/*
 * Certificates do not heal by trying again. A remote that was never reached (no address, no route) says nothing about
 * them, so it does not keep the walk alive: a list "udp6, udp4" on a network without IPv6 still gets its clear answer.
 */
static void note_first_round(struct attempt *a, enum fail_class fail)
{
	if (fail == FAIL_CERT || fail == FAIL_CERT_REJECTED)
		a->cert_failed = true;
	else if (fail != FAIL_RESOLVE && fail != FAIL_UNREACHABLE)
		a->other_failed = true;
}

static bool only_certificates(struct attempt *a)
{
	if (a->judged || a->tried != 0)
		return false;
	a->judged = true;
	return !a->ever_connected && a->cert_failed && !a->other_failed;
}

enum attempt_step attempt_failed(struct attempt *a, const struct attempt_failure *f, usec_t *ret_wait)
{
	bool lived = f->connected && f->lived >= ATTEMPT_LIVED;
	usec_t wait;

	if (f->advice == PROTO_ADVICE_GIVE_UP || f->fail == FAIL_CONFIG || a->n_remotes == 0)
		return ATTEMPT_GIVE_UP;
	if (f->connected)
		a->ever_connected = true;
	if (lived)
		a->rounds = 0, a->tried = 0, a->sent_away = 0;

	/* "Come back" is meant for a restart; a server that says it each time would keep us from the others. */
	if (f->advice == PROTO_ADVICE_SAME && (lived || a->sent_away++ < ATTEMPT_SENT_AWAY_MAX)) {
		/* A server that sends everyone away at once would have us back at once, for ever. */
		if (!lived)
			a->rounds++;
		*ret_wait = lived ? f->wish : MAX(f->wish, back_off(a));
		return ATTEMPT_TRY;
	}
	note_first_round(a, f->fail);
	if (a->address + 1 < a->n_addresses && !f->connected) {
		a->address++;
		*ret_wait = f->wish;
		return ATTEMPT_TRY;
	}
	wait = next_remote(a);
	if (only_certificates(a))
		return ATTEMPT_GIVE_UP;
	if (lived) /* with one remote the round is over at once, but it was a good one */
		a->rounds = 0, wait = 0;
	*ret_wait = MAX(f->wish, wait);
	return ATTEMPT_TRY;
}
