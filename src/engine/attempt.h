/*
 * Which server address to try next, and how long to wait before: pure, no clock, no I/O.
 *
 * Theory. The remotes of the profile form a ring (shuffled once when the profile says so). A round visits each remote
 * once, each with all of its addresses. After a round without success the walk waits: connect-retry five times, as
 * openvpn(8) has it, then twice as long each time up to the limit. A session that lived for a while resets the round and the wait. Some failures end the walk, because
 * nothing that is tried again can help.
 */
#pragma once

#include "base/macro.h"
#include "profile/profile.h"
#include "proto/proto.h"

/* A session that lived at least this long counts as a success. */
#define ATTEMPT_LIVED (10 * USEC_PER_SEC)
/* So often the wait stays the same: a server that restarts is back soon. */
#define ATTEMPT_EVEN_ROUNDS 5
/* So often in a row a server may send us away and have us back; then the next one is tried. */
#define ATTEMPT_SENT_AWAY_MAX 3

struct attempt {
	uint16_t order[PROFILE_REMOTES_MAX];
	size_t n_remotes;
	size_t at;              /* position in order[] */
	unsigned address;       /* of that remote */
	unsigned n_addresses;   /* of that remote; 0: not known yet, or none */
	size_t tried;           /* remotes finished in this round */
	unsigned rounds;        /* rounds without success */
	unsigned sent_away;     /* how often in a row by this remote, before a session lived */
	bool ever_connected;
	usec_t retry, retry_max;
	/* The first round: did certificates alone stop us? */
	bool cert_failed, other_failed, judged;
};

/* order[] is 0..n-1 (n capped at PROFILE_REMOTES_MAX) until attempt_shuffle(). Zero times: 1 s and 300 s. */
void attempt_init(struct attempt *a, size_t n_remotes, usec_t retry, usec_t retry_max);
/* Fisher-Yates with the caller's random words, one for each remote. */
void attempt_shuffle(struct attempt *a, const uint32_t *random);

/* What is to be tried now. */
static inline uint16_t attempt_remote(const struct attempt *a)
{
	return a->order[a->at];
}
static inline uint16_t attempt_address(const struct attempt *a)
{
	return (uint16_t)a->address;
}

/* How many addresses the current remote's name has, as the helper said with its answer. */
void attempt_set_addresses(struct attempt *a, unsigned n);

enum attempt_step { ATTEMPT_TRY, ATTEMPT_GIVE_UP };

struct attempt_failure {
	enum fail_class fail;
	enum proto_advice advice;
	usec_t wish;      /* the server's back-off, 0: none */
	bool connected;   /* data was flowing */
	usec_t lived;     /* for how long */
};

/*
 * The current try is over. ATTEMPT_TRY: go on with attempt_remote() and attempt_address() after *ret_wait. The caller
 * handles PROTO_ADVICE_ASK_AUTH itself: it tries the same again with new credentials, or passes another advice.
 */
enum attempt_step attempt_failed(struct attempt *a, const struct attempt_failure *f, usec_t *ret_wait);

/* Start again with the first remote and without waiting (the network changed). */
void attempt_restart(struct attempt *a);
