/*
 * The window is a ring of 64-bit words (RFC 6479): moving forward clears whole words, never shifts bits. The ring has
 * at least one word more than the window needs, so a word that is being cleared holds no id that is still acceptable.
 */
#include "crypto/replay.h"

#include <string.h>

#include "base/cleanup.h"

int replay_init(struct replay *r, unsigned size)
{
	uint64_t words = 2;

	size = size < REPLAY_SIZE_MIN ? REPLAY_SIZE_MIN : size > REPLAY_SIZE_MAX ? REPLAY_SIZE_MAX : size;
	while (words * 64 < (uint64_t)size + 64)
		words *= 2;
	*r = (struct replay){ .size = size, .mask = words - 1 };
	r->bits = calloc(words, sizeof(*r->bits));
	return r->bits ? 0 : -ENOMEM;
}

void replay_done(struct replay *r)
{
	free(r->bits);
	*r = (struct replay){ 0 };
}

void replay_reset(struct replay *r)
{
	r->top = 0;
	memset(r->bits, 0, (r->mask + 1) * sizeof(*r->bits));
}

bool replay_check(const struct replay *r, uint64_t id)
{
	if (id > r->top)
		return true;
	if (id == 0 || r->top - id >= r->size)
		return false;
	return !(r->bits[id / 64 & r->mask] >> (id % 64) & 1);
}

void replay_commit(struct replay *r, uint64_t id)
{
	if (id > r->top) {
		uint64_t from = r->top / 64, n = id / 64 - from;

		if (n > r->mask + 1)
			n = r->mask + 1;
		for (uint64_t i = 0; i < n; i++)
			r->bits[(id / 64 - i) & r->mask] = 0;
		r->top = id;
	}
	r->bits[id / 64 & r->mask] |= 1ULL << (id % 64);
}
