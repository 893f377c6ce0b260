/* The names of the drop reasons, for counters and logs. */
#include "proto/proto.h"

static const char *const names[] = {
	[VERDICT_OK] = "ok",
	[VERDICT_DROP_SHORT] = "too short",
	[VERDICT_DROP_OPCODE] = "opcode",
	[VERDICT_DROP_KEY_ID] = "unknown key",
	[VERDICT_DROP_PEER_ID] = "peer id",
	[VERDICT_DROP_REPLAY] = "replay",
	[VERDICT_DROP_AUTH] = "not authentic",
	[VERDICT_DROP_FRAMING] = "framing",
	[VERDICT_DROP_SESSION] = "session id",
	[VERDICT_DROP_WINDOW] = "outside the window",
	[VERDICT_DROP_NOT_READY] = "no key yet",
	[VERDICT_DROP_EXHAUSTED] = "key used up",
	[VERDICT_DROP_MALFORMED] = "malformed",
};
static_assert(ARRAY_SIZE(names) == _VERDICT_MAX, "a verdict has no name");

const char *verdict_to_string(enum verdict v)
{
	return (size_t)v < ARRAY_SIZE(names) && names[v] ? names[v] : "unknown";
}
