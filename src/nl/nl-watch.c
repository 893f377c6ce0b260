/* Multicast groups of netfilter and rtnetlink, read with libmnl's parsers. */
#include "nl/nl-watch.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/str.h"

#define BUFFER_MAX 32768 /* the kernel's batches are at most a quarter of this */
/* In every message about tables and what is in them, the first attribute is the table's name. */
#define ATTR_TABLE_NAME NFTA_TABLE_NAME

static int watch_open(int protocol, const int *groups, size_t n_groups, int *ret_fd)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	_cleanup_(closep) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	for (size_t i = 0; i < n_groups; i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
			return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int nft_watch_open(int *ret_fd)
{
	static const int groups[] = { NFNLGRP_NFTABLES };

	return watch_open(NETLINK_NETFILTER, groups, ARRAY_SIZE(groups), ret_fd);
}

int rt_watch_open(bool addresses, int *ret_fd)
{
	static const int groups[] = { RTNLGRP_IPV4_RULE,    RTNLGRP_IPV6_RULE,	 RTNLGRP_IPV4_NETCONF,
				      RTNLGRP_IPV6_NETCONF, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR };
	static const size_t n_address_groups = 2;

	return watch_open(NETLINK_ROUTE, groups, ARRAY_SIZE(groups) - (addresses ? 0 : n_address_groups), ret_fd);
}

int way_watch_open(int *ret_fd)
{
	static const int groups[] = { RTNLGRP_LINK,	   RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
				      RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE };

	return watch_open(NETLINK_ROUTE, groups, ARRAY_SIZE(groups), ret_fd);
}

/* One datagram. 1: it concerns us; 0: not; -EAGAIN: none waits. concerns NULL: everything does. */
static int drain_one(int fd, bool (*concerns)(const struct nlmsghdr *h, const char *table), const char *table)
{
	static char buf[BUFFER_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct sockaddr_nl from = { 0 };
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_TRUNC, (struct sockaddr *)&from, &from_len);
	int left;

	if (n < 0)
		return errno == ENOBUFS ? 1 : -errno;
	if (from.nl_pid != 0)
		return 0; /* not from the kernel */
	if (!concerns || (size_t)n > sizeof(buf))
		return 1;
	left = (int)n;
	for (const struct nlmsghdr *h = (const struct nlmsghdr *)buf; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		if (concerns(h, table))
			return 1;
	return 0;
}

static int drain(int fd, bool (*concerns)(const struct nlmsghdr *h, const char *table), const char *table)
{
	int touched = 0;

	for (;;) {
		int r = drain_one(fd, concerns, table);

		if (r == -EAGAIN)
			return touched;
		if (r < 0 && r != -EINTR)
			return r;
		touched |= r > 0;
	}
}

static bool names_table(const struct nlmsghdr *h, const char *table)
{
	const struct nlattr *attr;

	if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_NFTABLES || NFNL_MSG_TYPE(h->nlmsg_type) == NFT_MSG_NEWGEN)
		return false;
	mnl_attr_for_each(attr, h, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(attr) == ATTR_TABLE_NAME)
			return mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0 &&
			       str_eq(mnl_attr_get_str(attr), table);
	return false;
}

int nft_watch_drain(int fd, const char *table)
{
	return drain(fd, names_table, table);
}

int rt_watch_drain(int fd)
{
	return drain(fd, NULL, NULL);
}
