/*
 * The machine's own network changes: Wi-Fi to Ethernet, another address, another router, a cable that was out, sleep.
 *
 * Theory. The kernel says that something about links, addresses or routes changed; a moment later, when the change is
 * complete, the way to the server is looked up and compared with the one that the transport socket was opened on. When it is
 * another one, the engine is told to start again at once, with a fresh socket, and does not wait for its keepalive; when
 * there is none, nothing is done until there is one. A tunnel that waits between two tries tries at once. The clock that
 * goes on while the machine sleeps is compared with the one that does not: behind a longer sleep the server has forgotten us.
 */
#pragma once

#include "base/inaddr.h"

struct tunnel;

/* With each try, whether a socket could be opened or not. `to` not set: the name did not resolve. */
void tunnel_uplink_start(struct tunnel *t, const struct inaddr *to);
/* The tunnel is not wanted any more. */
void tunnel_uplink_stop(struct tunnel *t);
/* asleep: how long this machine has slept since it was started. For the clock, and for tests. */
void tunnel_uplink_slept(struct tunnel *t, usec_t asleep);
