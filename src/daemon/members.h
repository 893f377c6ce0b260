/*
 * Who is in the tunnels of a rootless helper, and the end of tunnels that exist for their programs only.
 *
 * Theory. `nsvpn exec --rootless --config FILE` makes a passing tunnel: its configuration lies in the runtime folder
 * (place_passing()), and it goes when nobody needs it any more. Needed it is by a program that entered (known by its pidfd
 * from the moment it got the namespaces, so nothing falls between), by what such a program left running in the namespace,
 * and, while any client is connected, by somebody who may be about to enter. So it is asked again whenever a client leaves,
 * a program ends or a tunnel has come to rest, and once a second while only processes without a pidfd are left.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "daemon/manager.h"

struct members;

/* settled: told when something was tidied away. What an earlier helper's passing tunnels left is removed by the first look. */
int members_new(struct members **ret, sd_event *event, struct manager *m, void (*settled)(void *userdata), void *userdata);
struct members *members_free(struct members *m);
DEFINE_CLEANUP(struct members *, members_free)

/* pidfd is taken over, also on failure. 0 or -errno. */
int members_add(struct members *m, const char *tunnel, int pidfd);
/* Takes down and forgets passing tunnels that nobody needs. */
void members_consider(struct members *m, bool has_clients);
/* No passing tunnel is left. */
bool members_is_idle(const struct members *m);
