/*
 * All tunnels of one helper: by name, loaded when somebody asks for them, recovered at start.
 *
 * Theory of recovery. Two things survive a helper: the intent file (what is wanted, store.h) and the kernel's objects with
 * the journal beside them (what is, tunnelnet.h). At start they are compared, per name:
 *
 *	intent up, this boot         build what is missing of "locked", start an engine
 *	intent damaged, unreadable   locked and left alone, state "blocked": a person says up or down
 *	intent down, or none         whatever the kernel still has is taken away (programs inside: it stays locked)
 *	intent of an earlier boot    forgotten: nothing of it can be left but files
 *
 * First start, restart after a crash and restart after a clean stop are this same code.
 */
#pragma once

#include <systemd/sd-event.h>

#include "daemon/engine-proc.h"
#include "daemon/store.h"

struct tunnel;

struct manager {
	sd_event *event; /* owned reference */
	struct tunnel *tunnels;
	const struct engine_spawn *spawn;
	char boot_id[STORE_BOOT_ID_LEN + 1];
	bool shutting_down;
	bool keeps_tunnels;        /* a service manager keeps descriptors for the next helper (handover.h) */
	struct handover *handover; /* during recovery; borrowed */
	struct members *members;   /* a rootless helper's; else NULL; borrowed */
	/* Somebody who tells the clients: names of properties of t that changed, strv. May be NULL. */
	void (*changed)(void *userdata, const struct tunnel *t, char *const *properties);
	/* Something ended: the helper may be idle or quiet now. May be NULL. */
	void (*settled)(void *userdata);
	void *userdata;
};

int manager_new(struct manager **ret, sd_event *event, const struct engine_spawn *spawn);
/* Ends engines; leaves every lock as it is. */
struct manager *manager_free(struct manager *m);
DEFINE_CLEANUP(struct manager *, manager_free)

/* In memory, or NULL. */
struct tunnel *manager_find(struct manager *m, const char *name);
/* In memory, or configured: loaded. -ENOENT: neither; -EINVAL: not a name; -ENOMEM. */
int manager_get(struct manager *m, const char *name, struct tunnel **ret);
/* Sorted names of all tunnels that are configured or exist. */
int manager_names(struct manager *m, char ***ret);
/* The configuration folder changed: forget what was read of tunnels that are down. */
void manager_reload(struct manager *m);

/* See above. Problems of one tunnel are logged and do not stop the others. */
int manager_recover(struct manager *m);

/* Asks every connected engine for fresh counters. */
void manager_refresh_stats(struct manager *m);

/* Nothing of any tunnel needs this process. */
bool manager_is_idle(const struct manager *m);
/* Some caller of Up or Down has not been answered yet. */
bool manager_is_waited_for(const struct manager *m);
/* SIGTERM: default routes away, engines end; locks and intents stay. settled is told when all is quiet. */
void manager_shutdown(struct manager *m);
/* No engine runs and nothing is being taken down. */
bool manager_is_quiet(const struct manager *m);
