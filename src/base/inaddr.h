/* IPv4/IPv6 addresses, prefixes and endpoints: parse, format, compare. No name lookups here. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/macro.h"

struct inaddr {
	int family; /* AF_INET, AF_INET6; AF_UNSPEC: not set */
	union {
		struct in_addr in;
		struct in6_addr in6;
		uint8_t bytes[16];
	};
};

struct inprefix {
	struct inaddr addr;
	uint8_t len; /* bits */
};

struct endpoint {
	struct inaddr addr;
	uint16_t port;     /* host order */
	uint32_t scope_id; /* IPv6 link-local only, else 0 */
};

#define INADDR_STR_MAX 46
#define INPREFIX_STR_MAX 50
#define ENDPOINT_STR_MAX 72

int inaddr_parse(const char *s, struct inaddr *ret);                /* literal, no zone */
int inprefix_parse(const char *s, struct inprefix *ret);            /* "a/len"; without "/len" the full length */
int endpoint_parse(const char *s, struct endpoint *ret);            /* "a:port", "[v6]:port" */
/* Dotted netmask to prefix length; -EINVAL for non-contiguous masks. */
int netmask_to_len(const struct inaddr *mask, uint8_t *ret);

/* All format functions fill buf and return it. */
char *inaddr_format(const struct inaddr *a, char *buf, size_t cap);
char *inprefix_format(const struct inprefix *p, char *buf, size_t cap);
char *endpoint_format(const struct endpoint *e, char *buf, size_t cap);

bool inaddr_eq(const struct inaddr *a, const struct inaddr *b);
bool inprefix_eq(const struct inprefix *a, const struct inprefix *b);
bool endpoint_eq(const struct endpoint *a, const struct endpoint *b);
static inline bool inaddr_is_set(const struct inaddr *a)
{
	return a->family == AF_INET || a->family == AF_INET6;
}
size_t inaddr_len(int family); /* 4, 16, else 0 */

void inprefix_mask(struct inprefix *p); /* zero the host bits */
bool inprefix_contains(const struct inprefix *p, const struct inaddr *a);
bool inprefix_overlaps(const struct inprefix *a, const struct inprefix *b);
/* Loopback, multicast, broadcast, unspecified, v4-mapped: addresses that a peer may not assign to us. */
bool inaddr_is_special(const struct inaddr *a);
bool inaddr_is_link_local(const struct inaddr *a);

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret);
int endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct endpoint *ret);
