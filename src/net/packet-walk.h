/*
 * Which rule of somebody's ruleset would drop this packet?
 *
 * Theory. The packet is walked through the base chains of one hook in the order of their priorities, as the kernel does.
 * Each condition answers yes, no, or perhaps (a set that was not listed, a mark, a match that we have no words for).
 * "Perhaps" is carried on: what is dropped behind it is dropped perhaps, and what is accepted behind it does not protect
 * from a later rule. So WALK_DROPS is a statement, and WALK_MAY_DROP is a place to look at. Chains of type nat do not
 * count, and tables of ours (nsvpn-*) neither.
 */
#pragma once

#include <net/if.h>

#include "base/inaddr.h"
#include "net/ruleset.h"

struct walk_packet {
	char iif[IFNAMSIZ], oif[IFNAMSIZ];
	struct inaddr from, to;
	uint8_t protocol;      /* IPPROTO_UDP, IPPROTO_TCP */
	uint16_t sport, dport; /* 0: any */
	bool established;      /* else the first of its connection */
	bool to_machine;       /* an address of this machine */
};

enum walk_verdict { WALK_PASSES, WALK_MAY_DROP, WALK_DROPS, _WALK_VERDICT_MAX };

struct walk_result {
	enum walk_verdict verdict;
	/* of the first that drops, or may; borrowed from the ruleset */
	const struct nf_table *table;
	const struct nf_chain *chain;
	const struct nf_rule *rule; /* NULL: the chain's policy */
};

void packet_walk(const struct ruleset *rs, enum nf_hook hook, const struct walk_packet *p, struct walk_result *ret);
