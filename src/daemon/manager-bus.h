/*
 * org.nsvpn1.Manager on any sd_bus connection: the private socket of the standalone helper (bus-server.c) or a bus. Every
 * method goes through one door: look up its row, authorise the row's polkit action, decode, act.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager.h"

struct bus_context {
	struct manager *manager;
	/*
	 * Whether the sender may do this: 1 yes; 0 not known yet, the method is called again when it is (polkit); < 0 no,
	 * with error filled. NULL: the connection itself was the proof (private socket, SO_PEERCRED).
	 */
	int (*authorise)(void *userdata, sd_bus_message *m, const char *action, sd_bus_error *error);
	void *userdata;
};

/* Installs the vtable; context is borrowed while the connection lives. */
int manager_bus_add(sd_bus *bus, struct bus_context *context);
/* The polkit action of a method of org.nsvpn1.Manager, or NULL. */
const char *manager_bus_action(const char *member);
/* For the test: the vtable as registered. */
const sd_bus_vtable *manager_bus_vtable(void);
