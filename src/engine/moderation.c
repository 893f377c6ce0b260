/* When to wait for more datagrams; the reasons are in the header. Pure: no clock, no sleep. */
#include "engine/moderation.h"

usec_t moderation_wait(struct moderation *m, usec_t now)
{
	if (now - m->last > MODERATION_GAP || m->last_n >= MODERATION_ENOUGH) {
		m->streak = 0;
		return 0;
	}
	if (m->holdoff > 0) {
		m->holdoff--;
		return 0;
	}
	if (m->streak < MODERATION_STREAK) {
		m->streak++;
		return 0;
	}
	m->waited = true;
	return MODERATION_WAIT;
}

void moderation_note(struct moderation *m, usec_t now, int n)
{
	if (m->waited && n < 2) {
		m->holdoff = MODERATION_HOLDOFF;
		m->streak = 0;
	}
	m->waited = false;
	m->last = now;
	m->last_n = n;
}
