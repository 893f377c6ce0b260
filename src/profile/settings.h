/*
 * What a connected tunnel looks like: the typed result of a server's push (or of a WireGuard file), as the engine
 * proposes it and the helper checks and applies it. Fixed sizes: it travels by value and is never half-filled.
 */
#pragma once

#include "base/inaddr.h"

#define SETTINGS_ADDRS_MAX 4
#define SETTINGS_ROUTES_MAX 256
#define SETTINGS_DNS_MAX 8
#define SETTINGS_SEARCH_MAX 10
#define SETTINGS_MTU_MIN 576   /* RFC 791 */
#define SETTINGS_MTU_MIN6 1280 /* RFC 8200, where an IPv6 address is present */
#define SETTINGS_DOMAIN_LEN 254 /* with the terminating NUL */

struct settings {
	struct inprefix addrs[SETTINGS_ADDRS_MAX]; /* with host bits: the tunnel's own addresses */
	unsigned n_addrs;
	struct inaddr peer4; /* point-to-point peer (net30, p2p); AF_UNSPEC for subnet topology */
	/*
	 * Ethernet (a tap device): routes beyond the networks of the own addresses need a next hop in one of these; a family
	 * without has none of them. Without Ethernet both are AF_UNSPEC.
	 */
	bool ethernet;
	struct inaddr gateway4, gateway6;
	uint32_t mtu;        /* of the tun device; SETTINGS_MTU_MIN..65535, or from SETTINGS_MTU_MIN6 on */
	/* A default route per family; where false the rest stays unreachable. */
	bool default4;
	bool default6;
	bool block_ipv6;     /* block-ipv6: IPv6 stays unreachable whatever the routes say */
	struct inprefix routes[SETTINGS_ROUTES_MAX]; /* masked; without the default routes */
	unsigned n_routes;
	struct inaddr dns[SETTINGS_DNS_MAX];
	unsigned n_dns;
	char search[SETTINGS_SEARCH_MAX][SETTINGS_DOMAIN_LEN];
	unsigned n_search;
};

/*
 * Everything a hostile server could put in: counts, families, special addresses, MTU bounds, characters of domains.
 * 0, or -EINVAL with a malloc'ed sentence in *ret_why.
 */
int settings_verify(const struct settings *s, char **ret_why);
bool settings_equal(const struct settings *a, const struct settings *b);
/* A name that may stand in resolv.conf: letters, digits, '-', '_', '.', labels of 1..63, at most 253. */
bool domain_is_valid(const char *s);
