/* The transition table: what must be true of it whatever it says in detail. */
#include <criterion/criterion.h>

#include "base/str.h"
#include "daemon/tunnel-state.h"

static bool has(enum tunnel_state s, enum tunnel_event e)
{
	return tunnel_state_next(s, e).action != TUNNEL_ACTION_REFUSE;
}

Test(tunnel_state, down_is_possible_in_every_lasting_state)
{
	for (int s = 0; s < _TUNNEL_STATE_MAX; s++) {
		if (s == TUNNEL_STATE_PREPARING) /* never outlives one call */
			continue;
		cr_expect(has(s, TUNNEL_EVENT_DOWN), "state %s", tunnel_state_to_log(s));
		cr_expect_eq(tunnel_state_next(s, TUNNEL_EVENT_DOWN).next, TUNNEL_STATE_STOPPING);
	}
}

Test(tunnel_state, up_is_answered_in_every_lasting_state)
{
	for (int s = 0; s < _TUNNEL_STATE_MAX; s++)
		if (s != TUNNEL_STATE_PREPARING)
			cr_expect(has(s, TUNNEL_EVENT_UP), "state %s", tunnel_state_to_log(s));
}

Test(tunnel_state, a_dead_engine_never_leaves_connected)
{
	for (int s = 0; s < _TUNNEL_STATE_MAX; s++) {
		struct tunnel_transition tr = tunnel_state_next(s, TUNNEL_EVENT_ENGINE_GONE);

		if (tr.action == TUNNEL_ACTION_REFUSE)
			continue;
		cr_expect_neq(tr.next, TUNNEL_STATE_CONNECTED, "state %s", tunnel_state_to_log(s));
		cr_expect_neq(tr.next, TUNNEL_STATE_DOWN, "state %s", tunnel_state_to_log(s));
	}
}

Test(tunnel_state, only_connected_makes_connected)
{
	for (int s = 0; s < _TUNNEL_STATE_MAX; s++)
		for (int e = 0; e < _TUNNEL_EVENT_MAX; e++) {
			struct tunnel_transition tr = tunnel_state_next(s, e);

			if (tr.action == TUNNEL_ACTION_REFUSE || tr.next != TUNNEL_STATE_CONNECTED)
				continue;
			cr_expect(e == TUNNEL_EVENT_CONNECTED || s == TUNNEL_STATE_CONNECTED, "%s in %s",
				  tunnel_event_to_string(e), tunnel_state_to_log(s));
		}
}

Test(tunnel_state, the_lock_goes_only_on_the_way_down)
{
	/* DOWN is entered only when the kernel is empty, and that is only found out after a teardown was asked for. */
	for (int s = 0; s < _TUNNEL_STATE_MAX; s++)
		for (int e = 0; e < _TUNNEL_EVENT_MAX; e++) {
			struct tunnel_transition tr = tunnel_state_next(s, e);

			if (tr.action == TUNNEL_ACTION_REFUSE)
				continue;
			if (tr.next == TUNNEL_STATE_DOWN)
				cr_expect(e == TUNNEL_EVENT_EMPTIED &&
					  (s == TUNNEL_STATE_STOPPING || s == TUNNEL_STATE_DRAINING));
			if (tr.action == TUNNEL_ACTION_FINISH)
				cr_expect_eq(s, TUNNEL_STATE_STOPPING);
			if (tr.action == TUNNEL_ACTION_UNDO)
				cr_expect_eq(s, TUNNEL_STATE_UNDOING);
			if (tr.action == TUNNEL_ACTION_ROLLBACK)
				cr_expect_eq(s, TUNNEL_STATE_PREPARING);
		}
}

Test(tunnel_state, leaving_connected_cuts_first)
{
	for (int e = 0; e < _TUNNEL_EVENT_MAX; e++) {
		struct tunnel_transition tr = tunnel_state_next(TUNNEL_STATE_CONNECTED, e);

		if (tr.action == TUNNEL_ACTION_REFUSE || tr.next == TUNNEL_STATE_CONNECTED)
			continue;
		cr_expect(tr.action == TUNNEL_ACTION_CUT || tr.action == TUNNEL_ACTION_RESTART ||
			  tr.action == TUNNEL_ACTION_RETIRE || tr.action == TUNNEL_ACTION_STOP,
			  "%s", tunnel_event_to_string(e));
	}
}

Test(tunnel_state, every_state_has_a_contract_name)
{
	static const char *const names[] = { "down", "connecting", "connected", "reconnecting", "blocked", "stopping", "failed" };

	for (int s = 0; s < _TUNNEL_STATE_MAX; s++) {
		bool found = false;

		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			found |= str_eq(names[i], tunnel_state_to_string(s));
		cr_expect(found, "%s", tunnel_state_to_string(s));
	}
}
