/* Names of tunnels: which are configured, which one is meant, what a file's name becomes. */
#pragma once

#include "base/str.h"

/* Configured tunnels, sorted: an exit code; *ret a strv, never NULL. */
int tunnel_names_configured(char ***ret);
/* True when <etc>/tunnels/NAME is there. */
bool tunnel_names_is_configured(const char *name);

/* 0, or exit code with the rule and a suggestion. */
int tunnel_names_check(const char *name);

/*
 * The tunnel meant when none was named: the setting Default= of <etc>/nsvpn.conf, else the only one there is. An exit
 * code: 3 when there is none, 2 when there are several (the sentence lists them). *ret malloc'ed.
 */
int tunnel_names_default(char **ret);
/* Only the setting: *ret NULL when it is not set. An exit code. */
int tunnel_names_default_setting(char **ret);

/* "Work VPN.ovpn" -> "work-vpn": the stem in lower case, what a name cannot hold as '-', at most 10. malloc'ed; NULL: oom. */
char *tunnel_names_from_file(const char *path);
