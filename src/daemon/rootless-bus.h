/*
 * org.nsvpn1.Rootless on the private socket of a rootless helper: the namespaces for a program that wants in. It is root's
 * launcher that needs no such thing (/run/netns) and users' exec that gets none (PID 1 starts it); here the caller joins by
 * itself, since the namespaces are his.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager.h"

/* Installs the interface where the helper is rootless (manager->members); nothing elsewhere. 0 or -errno. */
int rootless_bus_add(sd_bus *bus, struct manager *m);
