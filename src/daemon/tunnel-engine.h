/* The engines of a tunnel: their start, their end and what follows from it. */
#pragma once

#include "daemon/tunnel.h"

/* For engine_proc_start() and engine_proc_adopt(); userdata is the tunnel. */
extern const struct engine_proc_events tunnel_engine_events;

/* Whether requests of an engine have any business: while it is leaving they have not. */
bool tunnel_wants_engine(const struct tunnel *t);
/* tun device (kept over the lives of engines) and engine. What fails is retried or ends in FAILED. */
void tunnel_launch(struct tunnel *t);
/* The next engine after the back-off; nothing where none is wanted. */
void tunnel_schedule_engine(struct tunnel *t);
/* Default route and opening away, engine ended, no new one; ENGINE_GONE follows. */
void tunnel_retire_engine(struct tunnel *t);
