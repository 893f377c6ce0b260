/* org.nsvpn1.Tunnel: one object per tunnel under BUS_PATH_TUNNEL_PREFIX, properties only. Signatures: base/bus-api.h. */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager.h"

/* Installs vtable and enumerator; manager is borrowed while the connection lives. */
int tunnel_bus_add(sd_bus *bus, struct manager *manager);
/* PropertiesChanged for these properties (strv) of t. */
int tunnel_bus_emit(sd_bus *bus, const struct tunnel *t, char *const *properties);
