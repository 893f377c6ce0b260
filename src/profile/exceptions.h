/*
 * [Exceptions] of settings.conf: what the lock lets through beside the tunnel, because the administrator said so. Both
 * kinds are values that are written down the same way everywhere: in the file, in the journal, on the bus.
 *
 *   Publish=tcp:8080         a service in the tunnel, reachable from this machine and its local networks
 *   Publish=udp:53:5353      ... that listens on another port inside
 *   Publish=tcp:8080@machine ... from this machine only
 *   Allow=192.168.1.0/24     a network that programs in the tunnel reach outside of it
 */
#pragma once

#include "base/inaddr.h"

#define EXCEPTIONS_ALLOW_MAX 32
#define EXCEPTIONS_PUBLISH_MAX 32
#define EXCEPTION_STR_MAX 64

enum publish_scope { PUBLISH_LAN, PUBLISH_MACHINE };

struct publish {
	bool tcp; /* else UDP */
	uint16_t port;
	uint16_t inner; /* where the service listens inside */
	enum publish_scope scope;
};

struct exceptions {
	struct inprefix allow[EXCEPTIONS_ALLOW_MAX]; /* masked */
	unsigned n_allow;
	struct publish publish[EXCEPTIONS_PUBLISH_MAX];
	unsigned n_publish;
};

/* PROTO:PORT[:INNER][@lan|@machine]. 0 or -EINVAL. */
int publish_parse(const char *s, struct publish *ret);
/* The shortest form that says the same. Both fill buf and return it. */
char *publish_format(const struct publish *p, char *buf, size_t cap);

/*
 * A network that may be an exception: not everything and not a large part of it, nothing that never leaves a machine or
 * a link. 0; -EINVAL: not a network; -EDOM: one that is refused, with the reason in *ret_why (static).
 */
int allow_parse(const char *s, struct inprefix *ret, const char **ret_why);

/* 0; -EEXIST: that port, or that network, is there already; -E2BIG. */
int exceptions_add_publish(struct exceptions *e, const struct publish *p);
int exceptions_add_allow(struct exceptions *e, const struct inprefix *p);

bool exceptions_any(const struct exceptions *e);
bool exceptions_equal(const struct exceptions *a, const struct exceptions *b);
/* Something of it concerns this family. A published service is of both. */
bool exceptions_have_family(const struct exceptions *e, int family);
/* Something is published beyond this machine. */
bool exceptions_have_lan(const struct exceptions *e);
/* The first network of Allow= that has addresses in common with p, or NULL. */
const struct inprefix *exceptions_find_allow(const struct exceptions *e, const struct inprefix *p);
/* "Publish=tcp:8080", "Allow=192.168.1.0/24": the i-th of n_publish + n_allow. Fills buf and returns it. */
char *exceptions_format(const struct exceptions *e, unsigned i, char *buf, size_t cap);
