/*
 * org.nsvpn1.Tunnel: one object per tunnel under BUS_PATH_TUNNEL_PREFIX, properties only. Signatures: base/bus-api.h.
 *
 * Who may not use a tunnel ([Access]) does not see its properties, nor its name in the tree. Signals on a bus go to everybody
 * who listens, so they carry names of properties and no values.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager-bus.h"

/* Installs vtable and enumerator; context is borrowed while the connection lives. */
int tunnel_bus_add(sd_bus *bus, struct bus_context *context);
/* PropertiesChanged for these properties (strv) of t. */
int tunnel_bus_emit(sd_bus *bus, const struct tunnel *t, char *const *properties);
