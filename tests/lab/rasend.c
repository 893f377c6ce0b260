/*
 * A router that advertises itself, with lifetimes of seconds: what radvd does not allow, and what a test can wait for.
 *
 *   rasend IF PREFIX/64 LIFETIME INTERVAL      until SIGTERM: a router advertisement every INTERVAL seconds
 *
 * Router lifetime and the prefix's lifetimes are LIFETIME seconds (the kernel keeps addresses longer: RFC 4862, 5.5.3).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/inaddr.h"
#include "base/parse.h"

struct advertisement {
	struct nd_router_advert head;
	struct nd_opt_prefix_info prefix;
};

static int open_socket(const char *ifname)
{
	int hops = 255, index = (int)if_nametoindex(ifname);
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);

	if (fd < 0 || index == 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index)) < 0)
		return -1;
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 all = { .sin6_family = AF_INET6 };
	struct advertisement a = { 0 };
	uint32_t lifetime, interval;
	struct inprefix prefix;
	int fd;

	if (argc != 5 || inprefix_parse(argv[2], &prefix) < 0 || prefix.addr.family != AF_INET6 || prefix.len != 64 ||
	    parse_u32(argv[3], 1, 9000, &lifetime) < 0 || parse_u32(argv[4], 1, 1800, &interval) < 0) {
		fprintf(stderr, "usage: rasend IF PREFIX/64 LIFETIME INTERVAL\n");
		return 2;
	}
	fd = open_socket(argv[1]);
	if (fd < 0 || inet_pton(AF_INET6, "ff02::1", &all.sin6_addr) != 1) {
		fprintf(stderr, "rasend: %s: %m\n", argv[1]);
		return 1;
	}
	a.head.nd_ra_type = ND_ROUTER_ADVERT;
	a.head.nd_ra_curhoplimit = 64;
	a.head.nd_ra_router_lifetime = htons((uint16_t)lifetime);
	a.prefix.nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION;
	a.prefix.nd_opt_pi_len = sizeof(a.prefix) / 8;
	a.prefix.nd_opt_pi_prefix_len = 64;
	a.prefix.nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO;
	a.prefix.nd_opt_pi_valid_time = a.prefix.nd_opt_pi_preferred_time = htonl(lifetime);
	a.prefix.nd_opt_pi_prefix = prefix.addr.in6;
	for (;;) {
		if (sendto(fd, &a, sizeof(a), 0, (const struct sockaddr *)&all, sizeof(all)) < 0)
			fprintf(stderr, "rasend: %m\n"); /* the link may be down for a moment */
		(void)sleep(interval);
	}
}
