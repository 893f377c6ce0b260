/*
 * Sliding replay window over 64-bit ids.
 *
 * Checking and committing are separate: check before the (expensive) authentication, commit only after it succeeded,
 * or a forged packet could move the window. 32-bit packet ids, and OpenVPN's time << 32 | id, are both such numbers.
 */
#pragma once

#include "base/macro.h"

#define REPLAY_SIZE_MIN 64
#define REPLAY_SIZE_MAX 65536

struct replay {
	uint64_t top;    /* highest id committed; 0: none yet */
	uint64_t size;   /* ids <= top - size are too old */
	uint64_t mask;   /* words in the ring - 1 */
	uint64_t *bits;  /* owned; bit (id % 64) of word (id / 64) & mask */
};

/* size is clamped to REPLAY_SIZE_MIN..REPLAY_SIZE_MAX. 0 or -ENOMEM. */
int replay_init(struct replay *r, unsigned size);
void replay_done(struct replay *r);
/* Forgets everything (a new key). */
void replay_reset(struct replay *r);
/* True when the id is new and not too old. Id 0 never is. Changes nothing. */
bool replay_check(const struct replay *r, uint64_t id);
/* Marks an id that replay_check() accepted and whose packet was authentic. */
void replay_commit(struct replay *r, uint64_t id);
