/*
 * The private socket <run>/nsvpnd.sock of a standalone helper: D-Bus without a bus. Each connection is an sd_bus in server
 * mode with the same objects that the system bus will show. Who may connect is decided once, by SO_PEERCRED: root, or the
 * user the helper itself runs as.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "daemon/manager.h"

struct bus_server;

/*
 * Listens (mode 0600; the caller holds the lock, so a socket file that exists is a dead one). changed is the hook for
 * manager->changed. on_clients: told when a client came or left; may be NULL.
 */
int bus_server_new(struct bus_server **ret, sd_event *event, struct manager *m, const char *path,
		   void (*on_clients)(void *userdata), void *userdata);
struct bus_server *bus_server_free(struct bus_server *s);
DEFINE_CLEANUP(struct bus_server *, bus_server_free)

/* Takes a connected socket (closed on failure); what accept does. Used by tests with a socketpair. */
int bus_server_add_client(struct bus_server *s, int fd);
size_t bus_server_n_clients(const struct bus_server *s);
/* To all clients. */
void bus_server_emit(struct bus_server *s, const struct tunnel *t, char *const *properties);
/*
 * Stops listening, for an idle helper that wants to leave. -EBUSY: a client slipped in meanwhile; the server goes on as
 * if nothing had been asked.
 */
int bus_server_close_listener(struct bus_server *s);
