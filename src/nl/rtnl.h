/*
 * One rtnetlink conversation in one network namespace, over libnl.
 *
 * Our symbols start with rt_: the prefixes rtnl_ and nl_ belong to libnl. libnl answers with -NLE_* and forgets the
 * kernel's errno on the way, so the socket keeps the number that the kernel sent, and rt_result() is the one place
 * where either becomes -errno.
 */
#pragma once

#include "base/cleanup.h"
#include "base/inaddr.h"

struct nl_addr;
struct nl_cache;
struct nl_msg;
struct nl_sock;

/* Routes and rules that we make carry this protocol number, so that a person sees whose they are (0x6e: "n"). */
#define RT_PROTOCOL_NSVPN 0x6e

struct rt {
	struct nl_sock *sk;
	int kernel_error; /* -errno of the last answer, 0 */
};

/* netns_fd < 0: the caller's namespace. The socket stays in that namespace for its life. */
int rt_open(struct rt **ret, int netns_fd);
struct rt *rt_free(struct rt *rt);
DEFINE_CLEANUP(struct rt *, rt_free)

/* Translates libnl's answer. A positive value or 0 is 0. */
int rt_result(struct rt *rt, int nle);

/* Sends a request that changes something and waits for its acknowledgement. Takes msg (NULL: -ENOMEM). */
int rt_write_take(struct rt *rt, struct nl_msg *msg);

/*
 * How often this process asked the kernel to change something, over rtnetlink and nftables. Tests compare it: doing a
 * thing twice writes nothing the second time.
 */
uint64_t rt_writes(void);
void rt_writes_count(void);

/* Conversions. rt_addr_to_nl: NULL without memory; len in bits, owned by the caller (nl_addr_put). */
struct nl_addr *rt_addr_to_nl(const struct inaddr *a, unsigned len);
/* False (and *ret AF_UNSPEC) when there is no IP address in it. */
bool rt_addr_from_nl(const struct nl_addr *a, struct inaddr *ret);
/* The two cleanups of libnl's types that every file here needs; opaque pointers, so that no libnl header is needed. */
void rt_nl_addr_putp(struct nl_addr **a);
void rt_nl_cache_freep(struct nl_cache **c);
