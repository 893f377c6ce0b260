/* The order of nsvpnd as nsvpn-launch receives it; format in base/launch-api.h. */
#pragma once

#include "base/launch-api.h"
#include "base/macro.h"

struct order {
	struct launch_order head;
	int fds[LAUNCH_FD_COUNT]; /* close-on-exec */
};

/*
 * Receives and checks one: from root, complete, a valid tunnel name, uid not root. 0 or -errno (-EBADMSG, -EPERM); nothing
 * stays open then.
 */
int order_receive(int sock, struct order *ret);
void order_done(struct order *o);
