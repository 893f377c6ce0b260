/* The transition table of tunnel-state.h. A cell that is not written refuses its event. */
#include "daemon/tunnel-state.h"

#define S(state, act)                                                                                                  \
	{                                                                                                              \
		.action = TUNNEL_ACTION_##act, .next = TUNNEL_STATE_##state                                            \
	}
#define ON(event) [TUNNEL_EVENT_##event]

static const struct tunnel_transition transition[_TUNNEL_STATE_MAX][_TUNNEL_EVENT_MAX] = {
	[TUNNEL_STATE_DOWN] = {
		ON(UP) = S(PREPARING, PREPARE),
		ON(LOCK) = S(BLOCKED, HOLD),
		ON(DOWN) = S(STOPPING, STOP), /* recovery: a journal without intent */
	},
	[TUNNEL_STATE_PREPARING] = {
		ON(PREPARED) = S(CONNECTING, LAUNCH),
		ON(PREPARE_FAILED) = S(FAILED, ROLLBACK),
		ON(LOCK) = S(BLOCKED, HOLD),
	},
	[TUNNEL_STATE_CONNECTING] = {
		ON(UP) = S(CONNECTING, NONE),
		ON(CONNECTED) = S(CONNECTED, NONE),
		ON(LOST) = S(CONNECTING, NONE),
		ON(ENGINE_GONE) = S(CONNECTING, RESTART),
		ON(GAVE_UP) = S(FAILED, RETIRE),
		ON(GAVE_UP_FIRST) = S(UNDOING, RETIRE),
		ON(DOWN) = S(STOPPING, STOP),
	},
	[TUNNEL_STATE_CONNECTED] = {
		ON(UP) = S(CONNECTED, NONE),
		ON(CONNECTED) = S(CONNECTED, NONE),
		ON(LOST) = S(RECONNECTING, CUT),
		ON(ENGINE_GONE) = S(RECONNECTING, RESTART),
		ON(GAVE_UP) = S(FAILED, RETIRE),
		ON(DOWN) = S(STOPPING, STOP),
	},
	[TUNNEL_STATE_RECONNECTING] = {
		ON(UP) = S(RECONNECTING, NONE),
		ON(CONNECTED) = S(CONNECTED, NONE),
		ON(LOST) = S(RECONNECTING, NONE),
		ON(ENGINE_GONE) = S(RECONNECTING, RESTART),
		ON(GAVE_UP) = S(FAILED, RETIRE),
		ON(DOWN) = S(STOPPING, STOP),
	},
	[TUNNEL_STATE_BLOCKED] = {
		ON(UP) = S(PREPARING, PREPARE),
		ON(LOCK) = S(BLOCKED, NONE),
		ON(DOWN) = S(STOPPING, STOP),
		ON(ENGINE_GONE) = S(BLOCKED, NONE),
	},
	[TUNNEL_STATE_UNDOING] = {
		ON(UP) = S(UNDOING, QUEUE),
		ON(ENGINE_GONE) = S(UNDOING, UNDO),
		ON(UNDONE) = S(FAILED, NONE),
		ON(DOWN) = S(STOPPING, STOP),
	},
	[TUNNEL_STATE_STOPPING] = {
		ON(UP) = S(STOPPING, QUEUE),
		ON(ENGINE_GONE) = S(STOPPING, FINISH),
		ON(DOWN) = S(STOPPING, NONE),
		ON(EMPTIED) = S(DOWN, NONE),
		ON(OCCUPIED) = S(DRAINING, WATCH),
		ON(TEARDOWN_FAILED) = S(FAILED, NONE),
	},
	[TUNNEL_STATE_DRAINING] = {
		ON(UP) = S(PREPARING, PREPARE),
		ON(DOWN) = S(STOPPING, STOP),
		ON(EMPTIED) = S(DOWN, NONE),
	},
	[TUNNEL_STATE_FAILED] = {
		ON(UP) = S(PREPARING, PREPARE),
		ON(LOCK) = S(FAILED, NONE),
		ON(DOWN) = S(STOPPING, STOP),
		ON(ENGINE_GONE) = S(FAILED, NONE),
	},
};

struct tunnel_transition tunnel_state_next(enum tunnel_state state, enum tunnel_event event)
{
	return transition[state][event];
}

static const struct {
	const char *contract; /* CONTRACT.md */
	const char *log;
} state_names[] = {
	[TUNNEL_STATE_DOWN] = { "down", "down" },
	[TUNNEL_STATE_PREPARING] = { "connecting", "preparing" },
	[TUNNEL_STATE_CONNECTING] = { "connecting", "connecting" },
	[TUNNEL_STATE_CONNECTED] = { "connected", "connected" },
	[TUNNEL_STATE_RECONNECTING] = { "reconnecting", "reconnecting" },
	[TUNNEL_STATE_BLOCKED] = { "blocked", "blocked" },
	[TUNNEL_STATE_UNDOING] = { "connecting", "undoing" },
	[TUNNEL_STATE_STOPPING] = { "stopping", "stopping" },
	[TUNNEL_STATE_DRAINING] = { "blocked", "draining" },
	[TUNNEL_STATE_FAILED] = { "failed", "failed" },
};
static_assert(ARRAY_SIZE(state_names) == _TUNNEL_STATE_MAX, "a name for each state");

static const char *const event_names[] = {
	[TUNNEL_EVENT_UP] = "up",
	[TUNNEL_EVENT_PREPARED] = "prepared",
	[TUNNEL_EVENT_PREPARE_FAILED] = "preparing failed",
	[TUNNEL_EVENT_CONNECTED] = "connected",
	[TUNNEL_EVENT_LOST] = "connection lost",
	[TUNNEL_EVENT_ENGINE_GONE] = "engine gone",
	[TUNNEL_EVENT_GAVE_UP] = "engine gave up",
	[TUNNEL_EVENT_GAVE_UP_FIRST] = "engine gave up at the first try",
	[TUNNEL_EVENT_UNDONE] = "undone",
	[TUNNEL_EVENT_LOCK] = "lock",
	[TUNNEL_EVENT_DOWN] = "down",
	[TUNNEL_EVENT_EMPTIED] = "everything is gone",
	[TUNNEL_EVENT_OCCUPIED] = "programs remain",
	[TUNNEL_EVENT_TEARDOWN_FAILED] = "teardown failed",
};
static_assert(ARRAY_SIZE(event_names) == _TUNNEL_EVENT_MAX, "a name for each event");

const char *tunnel_state_to_string(enum tunnel_state state)
{
	return state_names[state].contract;
}

const char *tunnel_state_to_log(enum tunnel_state state)
{
	return state_names[state].log;
}

const char *tunnel_event_to_string(enum tunnel_event event)
{
	return event_names[event];
}
