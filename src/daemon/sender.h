/*
 * Who sends a message on the system bus: uid, groups and pid as the bus daemon took them from the kernel when the sender
 * connected (GetConnectionCredentials). Never from the message.
 *
 * Theory. Asking the bus is a call of its own, so it is made once per unique name, before the sender's first message is
 * dispatched to anything (system-bus.c), and the answer is kept until the name leaves the bus. Unique names are never used
 * twice. Methods and property getters then find the answer without waiting; one that is missing means: refuse.
 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "base/macro.h"

struct sender {
	uid_t uid;
	pid_t pid;       /* 0: the bus did not say */
	gid_t *groups;   /* primary and supplementary, in no order */
	size_t n_groups; /* 0 also where an old bus does not tell groups */
};

struct senders;

/*
 * known: the credentials of this unique name have arrived (who set), or cannot be had (NULL). gone: it left the bus; told
 * also for names that never became known.
 */
struct senders_events {
	void (*known)(void *userdata, const char *name, const struct sender *who);
	void (*gone)(void *userdata, const char *name);
};

int senders_new(struct senders **ret, sd_bus *bus, const struct senders_events *events, void *userdata);
struct senders *senders_free(struct senders *s);
DEFINE_CLEANUP(struct senders *, senders_free)

/* Borrowed until the name is gone; NULL: not known (yet). */
const struct sender *senders_get(const struct senders *s, const char *name);
/* Begins to ask, if that has not been done. -EMFILE: too many at a time. */
int senders_ask(struct senders *s, const char *name);

/* For the test: reads the reply of GetConnectionCredentials. -EBADMSG without a uid. *ret->groups is malloc'ed. */
int sender_parse(sd_bus_message *reply, struct sender *ret);
