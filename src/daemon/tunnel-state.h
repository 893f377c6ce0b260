/*
 * The lifecycle of a tunnel as one table, transition[state][event] (tunnel-state.c): pure, so that it can be read on one
 * screen and tested without a kernel. tunnel.c looks a cell up, writes the new state and runs the action.
 *
 * Theory. For each state: what exists in the kernel, and what is allowed.
 *
 *   DOWN          nothing of the tunnel, no intent file. Programs cannot enter.
 *   PREPARING     the intent file is on disk; namespace and locks are being built, the locks before the links. A crash
 *                 here leaves a part of "locked" and the intent: the next start finishes it.
 *   CONNECTING    locked, tun0 without routes, an engine (or a restart timer). The only way out is the engine's own, to
 *                 the current server. Programs inside get "unreachable".
 *   CONNECTED     the above and tun0's addresses, routes, default route and resolvers. Only here packets of programs go
 *                 anywhere, and only into tun0.
 *   RECONNECTING  as CONNECTING; there was a connection before, so programs may be inside. tun0 stays for them.
 *   BLOCKED       locked, no engine: wanted up, but something that only a person can repair is in the way.
 *   UNDOING       the very first try failed for good and nobody is inside: the engine is leaving, then everything goes.
 *                 To the outside still "connecting": "failed" is said when nothing is left.
 *   STOPPING      intent file gone, default route gone; the engine says goodbye, then links, outer lock, namespace go. A
 *                 crash here leaves a journal without intent: the next start finishes the teardown.
 *   DRAINING      down was asked for, but programs live in the namespace: it and the inner lock stay for them. The end of
 *                 the last one finishes the teardown. To the outside "blocked".
 *   FAILED        no engine, and it will not be started again by itself. Either nothing is left (first try) or all is
 *                 locked (there had been a connection, or programs are inside); the intent file says which.
 *
 * The lock is complete before CONNECTING and goes only in STOPPING, UNDOING or out of DRAINING, with the namespace. No
 * event leads from a state with programs to one without lock.
 */
#pragma once

#include "base/macro.h"

enum tunnel_state {
	TUNNEL_STATE_DOWN,
	TUNNEL_STATE_PREPARING,
	TUNNEL_STATE_CONNECTING,
	TUNNEL_STATE_CONNECTED,
	TUNNEL_STATE_RECONNECTING,
	TUNNEL_STATE_BLOCKED,
	TUNNEL_STATE_UNDOING,
	TUNNEL_STATE_STOPPING,
	TUNNEL_STATE_DRAINING,
	TUNNEL_STATE_FAILED,
	_TUNNEL_STATE_MAX,
};

enum tunnel_event {
	TUNNEL_EVENT_UP,             /* somebody wants it up, or the intent of an earlier helper does */
	TUNNEL_EVENT_PREPARED,       /* the kernel has all of "locked" */
	TUNNEL_EVENT_PREPARE_FAILED, /* it has not, and an explicit `up` asked for it */
	TUNNEL_EVENT_CONNECTED,      /* settings applied, data flows */
	TUNNEL_EVENT_LOST,           /* the engine lives but has no connection (any more) */
	TUNNEL_EVENT_ENGINE_GONE,    /* the engine's process ended */
	TUNNEL_EVENT_GAVE_UP,        /* the engine's final word, when there was a connection or somebody is inside */
	TUNNEL_EVENT_GAVE_UP_FIRST,  /* the same in the very first try with nobody inside */
	TUNNEL_EVENT_UNDONE,         /* nothing is left of the failed first try */
	TUNNEL_EVENT_LOCK,           /* state file damaged, profile unusable at recovery: hold the lock, do not connect */
	TUNNEL_EVENT_DOWN,
	TUNNEL_EVENT_EMPTIED,        /* everything is gone from the kernel */
	TUNNEL_EVENT_OCCUPIED,       /* all but namespace and inner lock is gone; programs live inside */
	TUNNEL_EVENT_TEARDOWN_FAILED,
	_TUNNEL_EVENT_MAX,
};

/* What tunnel.c does after the state was written. */
enum tunnel_action {
	TUNNEL_ACTION_REFUSE, /* the event has no meaning here: nothing happens, state unchanged */
	TUNNEL_ACTION_NONE,
	TUNNEL_ACTION_PREPARE,  /* build up to "locked" */
	TUNNEL_ACTION_LAUNCH,   /* tun device and engine */
	TUNNEL_ACTION_ROLLBACK, /* prepare failed: take away what it built */
	TUNNEL_ACTION_CUT,      /* default route away */
	TUNNEL_ACTION_RESTART,  /* default route and opening away, new engine after the back-off */
	TUNNEL_ACTION_RETIRE,   /* default route and opening away, engine ended, no new one */
	TUNNEL_ACTION_UNDO,     /* tear down after a failed first try */
	TUNNEL_ACTION_HOLD,     /* make sure that the lock is there */
	TUNNEL_ACTION_QUEUE,    /* an `up` that waits for the end of a `down` */
	TUNNEL_ACTION_STOP,     /* default route away, goodbye to the server, engine ended */
	TUNNEL_ACTION_FINISH,   /* the engine is gone: tear down */
	TUNNEL_ACTION_WATCH,    /* wait for the last program */
	_TUNNEL_ACTION_MAX,
};

struct tunnel_transition {
	enum tunnel_action action; /* REFUSE: `next` means nothing */
	enum tunnel_state next;
};

/* The cell of the table. */
struct tunnel_transition tunnel_state_next(enum tunnel_state state, enum tunnel_event event);

/* The names of CONTRACT.md: several states share one. */
const char *tunnel_state_to_string(enum tunnel_state state);
/* The full name, for the log. */
const char *tunnel_state_to_log(enum tunnel_state state);
const char *tunnel_event_to_string(enum tunnel_event event);
