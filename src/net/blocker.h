/*
 * Who on this machine drops the packets of a tunnel on their way from the veth to the outgoing interface, or the answers on
 * their way back? An accept of ours cannot override somebody's drop, so all that can be done is to say whose it is and how
 * to make an exception.
 */
#pragma once

#include "net/packet-walk.h"

struct blocker_way {
	char veth[IFNAMSIZ], outgoing[IFNAMSIZ];
	struct inaddr inside; /* the veth's end in the namespace */
	struct endpoint server;
	uint8_t protocol;
};

struct blocker {
	enum walk_verdict verdict;
	bool is_answer; /* what it drops are the answers */
	char *who;	/* "rule \"...\" in chain C of table ip T", for a sentence */
	char *table;	/* "ip filter" */
	char *remedy;	/* one line for a shell */
};

/* ret is filled, also with WALK_PASSES. 0 or -ENOMEM. legacy: legacy_forward_drops(). */
int blocker_find(const struct ruleset *rs, int legacy, const struct blocker_way *way, struct blocker *ret);
void blocker_done(struct blocker *b);

/* The machine as it is now. Also -errno of reading it. */
int blocker_look(const struct blocker_way *way, struct blocker *ret);
