/* Read with getsockopt(), as iptables-legacy does; see legacy-tables.h. */
#include "net/legacy-tables.h"

#include <fcntl.h>
#include <netinet/in.h> /* before the kernel's */
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define TABLE "filter"
#define ENTRIES_MAX (16U << 20)

/* The kernel would load the module and make the table for whoever asks. */
static bool table_exists(int family)
{
	_cleanup_(freep) char *names = NULL;
	size_t len;

	if (file_read(AT_FDCWD, family == AF_INET6 ? "/proc/net/ip6_tables_names" : "/proc/net/ip_tables_names", 4096, &names,
		      &len) < 0)
		return false;
	for (char *line = names; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, TABLE "\n", strlen(TABLE) + 1) == 0)
			return true;
	return false;
}

int legacy_policy_drops(int family, const void *entries, size_t size, size_t policy_offset)
{
	struct xt_standard_target target;
	size_t head = family == AF_INET6 ? sizeof(struct ip6t_entry) : sizeof(struct ipt_entry);
	uint16_t at;

	if (policy_offset > size || size - policy_offset < head + sizeof(target))
		return -EBADMSG;
	memcpy(&at,
	       (const char *)entries + policy_offset +
		       (family == AF_INET6 ? offsetof(struct ip6t_entry, target_offset) : offsetof(struct ipt_entry, target_offset)),
	       sizeof(at));
	if (at < head || at > size - policy_offset - sizeof(target))
		return -EBADMSG;
	memcpy(&target, (const char *)entries + policy_offset + at, sizeof(target));
	return target.verdict == -NF_DROP - 1;
}

static int read_policy4(int fd)
{
	struct ipt_getinfo info = { .name = TABLE };
	socklen_t len = sizeof(info);
	_cleanup_(freep) struct ipt_get_entries *e = NULL;

	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info, &len) < 0)
		return -errno;
	if (info.size > ENTRIES_MAX)
		return -EFBIG;
	len = (socklen_t)(sizeof(*e) + info.size);
	e = calloc(1, len);
	if (!e)
		return -ENOMEM;
	memcpy(e->name, TABLE, sizeof(TABLE));
	e->size = info.size;
	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_ENTRIES, e, &len) < 0)
		return -errno;
	return legacy_policy_drops(AF_INET, e->entrytable, info.size, info.underflow[NF_INET_FORWARD]);
}

static int read_policy6(int fd)
{
	struct ip6t_getinfo info = { .name = TABLE };
	socklen_t len = sizeof(info);
	_cleanup_(freep) struct ip6t_get_entries *e = NULL;

	if (getsockopt(fd, IPPROTO_IPV6, IP6T_SO_GET_INFO, &info, &len) < 0)
		return -errno;
	if (info.size > ENTRIES_MAX)
		return -EFBIG;
	len = (socklen_t)(sizeof(*e) + info.size);
	e = calloc(1, len);
	if (!e)
		return -ENOMEM;
	memcpy(e->name, TABLE, sizeof(TABLE));
	e->size = info.size;
	if (getsockopt(fd, IPPROTO_IPV6, IP6T_SO_GET_ENTRIES, e, &len) < 0)
		return -errno;
	return legacy_policy_drops(AF_INET6, e->entrytable, info.size, info.underflow[NF_INET_FORWARD]);
}

int legacy_forward_drops(int family)
{
	_cleanup_(closep) int fd = -EBADF;

	if (!table_exists(family))
		return 0;
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	return family == AF_INET6 ? read_policy6(fd) : read_policy4(fd);
}
