/* Names of tunnels: which are configured, which one is meant, what a file's name becomes. */
#pragma once

#include "base/str.h"
#include "cli/client.h"

/* Configured tunnels, sorted: an exit code; *ret a strv, never NULL. */
int tunnel_names_configured(char ***ret);
/* True when <etc>/tunnels/NAME is there. */
bool tunnel_names_is_configured(const char *name);
/*
 * 0, or exit code 3 with a sentence when there is no such tunnel. The configuration is root's to read: for users the helper
 * says it when it is asked to do something.
 */
int tunnel_names_expect(const char *name);

/* 0, or exit code with the rule and a suggestion. */
int tunnel_names_check(const char *name);

/*
 * The tunnel meant when none was named: the setting Default= of <etc>/nsvpn.conf, else the only one there is; for a user, of
 * those that the helper shows him (c, which root does not need). An exit code: 3 when there is none, 2 when there are
 * several (the sentence lists them). *ret malloc'ed.
 */
int tunnel_names_default(struct client *c, char **ret);
/* Only the setting: *ret NULL when it is not set. An exit code. */
int tunnel_names_default_setting(char **ret);

/* "Work VPN.ovpn" -> "work-vpn": the stem in lower case, what a name cannot hold as '-', at most 10. malloc'ed; NULL: oom. */
char *tunnel_names_from_file(const char *path);
