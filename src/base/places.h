/*
 * Where things are: /etc/nsvpn, /run/nsvpn, /var/lib/nsvpn, with NSVPN_ETC, NSVPN_RUN, NSVPN_STATE for root in
 * standalone mode only (an ordinary user's environment changes nothing).
 *
 * Rootless, all is the user's own: $XDG_CONFIG_HOME/nsvpn and $XDG_RUNTIME_DIR/nsvpn. A process decides it once, before it
 * asks for any place. Tunnels of `exec --config FILE` are configured in the runtime folder (place_passing) and go with their
 * last program.
 */
#pragma once

#include "base/macro.h"

const char *place_etc(void);   /* borrowed, absolute, without trailing slash */
const char *place_run(void);
const char *place_state(void);
/* malloc'ed "<etc>/tunnels/NAME", "<run>/NAME", ...; NULL without memory. */
char *place_tunnel_etc(const char *name);
char *place_tunnel_run(const char *name);
char *place_netns(const char *name); /* /run/netns/NAME; rootless: visible in the helper's mounts only */
char *place_passing(void);           /* rootless: holds tunnels/NAME as <etc> does */
/*
 * malloc'ed path of a sibling program ("nsvpnd", "nsvpn-engine"): next to the running executable (a build tree) if it
 * is there, else in the installed libexec folder. NULL without memory.
 */
char *place_program(const char *name);

/* From here on the user's own places. 0, or -errno and (mostly) a sentence that names the variable and the remedy. */
int places_use_rootless(char **ret_error);
bool place_is_rootless(void);
/* These places are ours to read and change: root's, or a rootless user's. */
bool place_is_ours(void);
