/*
 * Receive moderation, the idea of a network card's rx-usecs: when single datagrams arrive so fast that each costs a
 * wake-up, waiting a moment lets several be opened in one go, written to the tun as one packet and acknowledged once.
 *
 * A stock server sends packet by packet, so this is the common case of a download (performance.md 2.4). It never delays a
 * lone packet: it begins after some quick wake-ups in a row, and a wait that brought nothing more (a program that asks
 * and waits for each answer) switches it off for a while.
 */
#pragma once

#include "base/macro.h"

#define MODERATION_WAIT 60    /* microseconds */
#define MODERATION_GAP 400    /* wake-ups further apart than this are no stream */
#define MODERATION_ENOUGH 12  /* datagrams per wake-up that need no help */
#define MODERATION_STREAK 4   /* quick wake-ups before the first wait */
#define MODERATION_HOLDOFF 64 /* wake-ups without a wait after one that was for nothing */

struct moderation {
	usec_t last;
	int last_n;
	unsigned streak;
	unsigned holdoff;
	bool waited;
};

/* How long to wait before receiving, microseconds; 0: receive at once. now is the time of the wake-up. */
usec_t moderation_wait(struct moderation *m, usec_t now);
/* How many datagrams (or rows of them) came, < 0 for none. */
void moderation_note(struct moderation *m, usec_t now, int n);
