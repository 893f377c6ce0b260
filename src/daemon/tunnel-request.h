/* Callers that wait (tunnel_up() and tunnel_down() are in tunnel.h). */
#pragma once

#include "daemon/tunnel.h"

/* Answers all of them: the helper is ending. */
void tunnel_end_requests(struct tunnel *t);
