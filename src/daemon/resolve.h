/*
 * Names of servers to addresses, in the default namespace. nsvpnd parses no packet: the query runs in a short-lived child
 * without privileges and without any descriptor of the helper, and its answer is a few typed bytes through a pipe.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/inaddr.h"

#define RESOLVE_ADDRS_MAX 32

struct resolve;

/*
 * Called once, from the event loop. r >= 0: n >= 1 addresses in the resolver's order of preference, borrowed.
 * r < 0: why, for people ("Name or service not known"). The query may be freed inside.
 */
typedef void (*resolve_fn)(void *userdata, int r, const struct inaddr *addrs, size_t n, const char *why);

/*
 * host: a name or a literal (which needs no child). family: AF_UNSPEC, AF_INET or AF_INET6. Every call asks anew: nothing
 * is kept. After timeout the child is killed and the query fails with -ETIMEDOUT.
 */
int resolve_start(struct resolve **ret, sd_event *event, const char *host, int family, usec_t timeout, resolve_fn fn,
		  void *userdata);
/* Cancels when it still runs; fn is not called then. */
struct resolve *resolve_free(struct resolve *q);
DEFINE_CLEANUP(struct resolve *, resolve_free)

/* The child's answer, decoded: 0, or the negative error with *ret_why (static text). For the unit test. */
int resolve_decode(const uint8_t *buf, size_t len, struct inaddr *addrs, size_t *ret_n, const char **ret_why);
