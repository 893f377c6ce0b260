/* What a tunnel is made from: profile, settings.conf, credentials. */
#pragma once

#include "daemon/tunnel.h"

/* Reads the configuration; nothing of the tunnel changes when it fails. ret_error_name always, ret_error may stay NULL. */
int tunnel_load_inputs(struct tunnel *t, const struct up_options *options, const char **ret_error_name, char **ret_error);
/*
 * The engine has the profile that it was started with (fd), whatever the file says by now, and counts its remotes;
 * settings.conf is the present one.
 */
int tunnel_load_stored(struct tunnel *t, int fd, char **ret_error);
/* The uplink of its settings; rootless there is only one. */
enum uplink tunnel_wanted_uplink(const struct profile *p);
/* Everything that was read from the configuration and the caller. */
void tunnel_forget_inputs(struct tunnel *t);
