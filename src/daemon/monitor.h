/*
 * Answers the requests of one engine. The engine is treated as hostile: it reads the network.
 *
 * Theory. Every request has a row in one table: type, phases in which it is allowed, whether it may come once only, and
 * a handler (style.md 2.11). A request outside its phase is not answered with an error but ends the engine; the locks
 * stay. The phases follow what the engine holds:
 *
 *   HELLO     it has just started and has nothing. HELLO proves (with /proc) that its sandbox is closed.
 *   IDLE      it has profile and tun, but no socket: there is no opening in the locks.
 *   SOCKET    it holds a socket to one server; the locks are open for exactly that server and the engine's mark. A proxy
 *             counts as the server, and may have a UDP port besides (RELAY).
 *   APPLIED   its settings were checked and applied: the default route exists.
 *
 * What an engine can reach at most: the servers of its own profile, addresses and routes inside its own namespace that
 * settings_verify() lets through, and the credentials of its own tunnel.
 */
#pragma once

#include "daemon/resolve.h"
#include "ipc/ipc-msg.h"

struct tunnel;

enum monitor_phase {
	MONITOR_PHASE_HELLO,
	MONITOR_PHASE_IDLE,
	MONITOR_PHASE_SOCKET,
	MONITOR_PHASE_APPLIED,
	_MONITOR_PHASE_MAX,
};

struct monitor {
	enum monitor_phase phase;
	uint32_t seen; /* bits of the rows marked once */
	struct resolve *query;
	struct ipc_req_socket request; /* what query is for */
	uint32_t seq;                  /* of the socket that is asked for */
	bool relayed;                  /* the proxy's second socket was asked for */
	usec_t log_since;
	unsigned log_lines;
};

void monitor_init(struct monitor *m);
/* Forgets the engine; cancels what runs for it. */
void monitor_done(struct monitor *m);
/* One message of the tunnel's engine: 0, or < 0: not allowed, the engine must go. */
int monitor_message(struct tunnel *t, const struct ipc_msg *msg);
/* True when a message of this type is permitted in this phase; for the unit test. */
bool monitor_permits(enum monitor_phase phase, enum ipc_type type);
const char *monitor_phase_to_string(enum monitor_phase p);
