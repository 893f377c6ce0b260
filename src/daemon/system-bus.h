/*
 * The helper on the system bus: name org.nsvpn1, the same objects as on the private socket, polkit in front of them.
 *
 * Theory. Every method call passes one filter before it reaches an object. There the sender becomes known (sender.h): a call
 * of somebody unknown waits until the bus has told who it is, then comes again. Reading properties is a call, too, and the
 * filter asks for its action; the manager's methods ask for theirs in their own door (manager-bus.c), which knows the table.
 * Root is never asked about.
 *
 * The bus may go away. Then nobody can call, and nothing else changes: tunnels go on, and we knock every second until it
 * is back.
 *
 * Leaving. Whoever calls while we end must be served, by us or by the next helper, and not time out in between. So the
 * service manager is told first (from then on a start request queues behind our end), then the name is given back; the bus
 * delivers everything that was sent to the name before it confirms that. `left` is told after all of it was dispatched.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "daemon/manager-bus.h"

struct system_bus;

struct system_bus_events {
	void (*activity)(void *userdata); /* a call came, or one that waited for polkit is done with */
	void (*left)(void *userdata);     /* see system_bus_leave() */
};

int system_bus_new(struct system_bus **ret, sd_event *event, struct manager *m, const struct system_bus_events *events,
		   void *userdata);
struct system_bus *system_bus_free(struct system_bus *s);
DEFINE_CLEANUP(struct system_bus *, system_bus_free)

/* Connects, adds the objects, takes the name. -errno with a sentence. */
int system_bus_open(struct system_bus *s, char **ret_error);
/* The middle part of it, for a connection that is there (tests). Takes a reference. */
int system_bus_attach(struct system_bus *s, sd_bus *bus);

/* PropertiesChanged. */
void system_bus_emit(struct system_bus *s, const struct tunnel *t, char *const *properties);
/* Calls wait for the bus daemon or for polkit. */
bool system_bus_is_busy(const struct system_bus *s);
/* Gives the name back; left is told when every call that was sent to it has been dispatched. -errno: not possible now. */
int system_bus_leave(struct system_bus *s);
/* For a helper that has left and was given work all the same: has the bus start the next one, which recovers it. */
void system_bus_call_successor(struct system_bus *s);
/* For tests. */
struct polkit *system_bus_polkit(struct system_bus *s);
