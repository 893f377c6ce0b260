/*
 * Asking polkit whether a sender may do something.
 *
 * Theory. The subject is the sender's unique name on the bus ("system-bus-name"): polkit asks the bus daemon whose it is,
 * so there is no number that could be used again in between. The question is asynchronous and may take as long as a person
 * needs to type a password; meanwhile the helper serves others. The message waits here, and goes through the whole door
 * again when the answer is there (sd_bus_enqueue_for_read()): what changed while somebody was typing counts.
 *
 * Only "authorized" is a yes. An error, no polkit, no answer in time, a password that nobody can be asked for, a reply that
 * cannot be read: a no, with a sentence. A sender that leaves takes its question along, and nothing is done for it.
 *
 * Turns. The bus daemon limits how many answers we may wait for, and a question to a person stays open for minutes. So each
 * user has some questions open at a time, few that wait for a person; what he asks beyond that waits here until it is its
 * turn. However many calls one user makes, those of others are asked about at once.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "base/macro.h"

struct polkit;

int polkit_new(struct polkit **ret, sd_bus *bus);
struct polkit *polkit_free(struct polkit *p);
DEFINE_CLEANUP(struct polkit *, polkit_free)

/* m is about to be dispatched: what was decided about it is used in this round or never. To be called for each call. */
void polkit_dispatching(struct polkit *p, sd_bus_message *m);
/*
 * 1 allowed; 0 asked, m is kept and dispatched again later; < 0 refused, with BUS_ERROR_DENIED and a sentence in *error, or
 * D-Bus' own InteractiveAuthorizationRequired where the same call with permission to ask somebody may succeed. A decision is
 * used once. uid: the sender's, for whose turn it is; polkit finds out for itself. tunnel may be NULL; it is shown to the
 * person who is asked. The sender must be alive (polkit_forget() otherwise).
 */
int polkit_check(struct polkit *p, sd_bus_message *m, uid_t uid, const char *action, const char *tunnel, sd_bus_error *error);
/* The sender left the bus: its questions are withdrawn. */
void polkit_forget(struct polkit *p, const char *sender);
/* A question is open, or a decision waits for its message. */
bool polkit_is_busy(const struct polkit *p);
/* For tests: how long it is waited for when nobody can be asked. Default 10 s. */
void polkit_set_patience(struct polkit *p, usec_t patience);
