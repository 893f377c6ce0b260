/*
 * org.nsvpn1.Manager on any sd_bus connection: the private socket of the standalone helper (bus-server.c) or the system bus
 * (system-bus.c). Every method goes through one door: look up its row, see whether the sender may use the tunnel it names
 * (access.h), authorise the row's polkit action, decode, act.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager.h"
#include "daemon/sender.h"

struct bus_context {
	struct manager *manager;
	/*
	 * Whether the sender may do this: 1 yes; 0 not known yet, the method is called again when it is (polkit); < 0 no,
	 * with error filled. tunnel: the one that the method names, or NULL. NULL: the connection itself was the proof (private
	 * socket, SO_PEERCRED).
	 */
	int (*authorise)(void *userdata, sd_bus_message *m, const char *action, const char *tunnel, sd_bus_error *error);
	/* Who sent m; NULL: not known, refuse. The function itself NULL: as with authorise, whoever is connected counts as root. */
	const struct sender *(*sender)(void *userdata, sd_bus_message *m);
	void *userdata;
};

/* Borrowed; NULL: not known, refuse. */
const struct sender *bus_context_sender(const struct bus_context *c, sd_bus_message *m);
/* May the sender of m use this tunnel ([Access])? False: with a sentence in *error, which may be NULL. */
bool bus_context_may_use(const struct bus_context *c, sd_bus_message *m, const char *tunnel, sd_bus_error *error);

/* Installs the vtable; context is borrowed while the connection lives. */
int manager_bus_add(sd_bus *bus, struct bus_context *context);
/* The polkit action of a method of org.nsvpn1.Manager, or NULL. */
const char *manager_bus_action(const char *member);
/* For the test: the vtable as registered. */
const sd_bus_vtable *manager_bus_vtable(void);
