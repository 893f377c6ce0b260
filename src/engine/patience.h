/*
 * How long the engine waits for an answer of the helper: pure, no clock, no I/O.
 *
 * Theory. Without a bound a lost answer would leave a tunnel "connecting" for ever, and nobody would say why. The bound is
 * far above what any answer takes, the look-up of a name included. The clock goes on while the machine sleeps, so that a
 * bound in one piece could end just because the lid was closed; it therefore comes in two: the end of the first part only
 * begins the second, in which a helper that was asleep as well has time to answer.
 */
#pragma once

#include "base/macro.h"

#define PATIENCE_PART (30 * USEC_PER_SEC)
#define PATIENCE_PARTS 2

struct patience {
	usec_t until; /* end of this part */
	unsigned parts_over;
};

/* A question has been asked. */
static inline void patience_begin(struct patience *p, usec_t now)
{
	*p = (struct patience){ .until = now + PATIENCE_PART };
}

/* To be called when p->until is reached (earlier does no harm). True: it has been long enough. */
static inline bool patience_is_over(struct patience *p, usec_t now)
{
	if (now < p->until)
		return false;
	if (++p->parts_over >= PATIENCE_PARTS)
		return true;
	p->until = now + PATIENCE_PART;
	return false;
}
