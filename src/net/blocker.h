/*
 * Who on this machine drops the packets of a tunnel on their way to the server, or the answers on their way back? An accept
 * of ours cannot override somebody's drop, so all that can be done is to say whose it is and how to make an exception.
 *
 * Two ways: from the veth to the outgoing interface, forwarded; and from this machine itself, where the socket is opened in
 * the default namespace (uplink = socket) and where names of servers are asked for.
 */
#pragma once

#include "net/packet-walk.h"

struct blocker_way {
	char veth[IFNAMSIZ]; /* "": packets of this machine itself */
	char outgoing[IFNAMSIZ];
	struct inaddr inside; /* who sends: the veth's end in the namespace, or this machine's address */
	struct endpoint server;
	uint8_t protocol;
	bool to_machine; /* the server is this machine: a resolver of its own */
};

struct blocker {
	enum walk_verdict verdict;
	bool is_answer; /* what it drops are the answers */
	char *who;	/* "rule \"...\" in chain C of table ip T", for a sentence */
	char *table;	/* "ip filter" */
	char *remedy;	/* one line for a shell */
};

/* ret is filled, also with WALK_PASSES. 0 or -ENOMEM. legacy: legacy_forward_drops(), for a veth. */
int blocker_find(const struct ruleset *rs, int legacy, const struct blocker_way *way, struct blocker *ret);
void blocker_done(struct blocker *b);

/* All rules of the machine as they are now; -errno of reading them. */
int blocker_read(struct ruleset **ret);
/* blocker_find() in what blocker_read() says. */
int blocker_look(const struct blocker_way *way, struct blocker *ret);
/*
 * The first name server of /etc/resolv.conf, when for certain somebody drops the questions to every one of them or their
 * answers. 1: *ret and *ret_server are filled; 0: nobody does; -errno. rt: of the default namespace.
 */
struct rt;
int blocker_of_names(const struct ruleset *rs, struct rt *rt, struct blocker *ret, struct endpoint *ret_server);
