/*
 * Where things are: /etc/nsvpn, /run/nsvpn, /var/lib/nsvpn, with NSVPN_ETC, NSVPN_RUN, NSVPN_STATE for root in
 * standalone mode only (an ordinary user's environment changes nothing).
 */
#pragma once

#include "base/macro.h"

const char *place_etc(void);   /* borrowed, absolute, without trailing slash */
const char *place_run(void);
const char *place_state(void);
/* malloc'ed "<etc>/tunnels/NAME", "<run>/NAME", ...; NULL without memory. */
char *place_tunnel_etc(const char *name);
char *place_tunnel_run(const char *name);
char *place_netns(const char *name); /* /run/netns/NAME */
/*
 * malloc'ed path of a sibling program ("nsvpnd", "nsvpn-engine"): next to the running executable (a build tree) if it
 * is there, else in the installed libexec folder. NULL without memory.
 */
char *place_program(const char *name);
