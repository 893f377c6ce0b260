/*
 * Asks the kernel whether the inner lock holds in this namespace.
 *
 * Theory. A program may enter a tunnel's namespace only when the lock is there (security.md D2, invariant 5). The helper
 * installs it before anything else, but files under /run only say that it once did. So the launcher, already inside,
 * fetches one object: the base chain "output" of table inet nsvpn. Its presence, hook and policy are what makes a
 * packet without a matching accept disappear. Rules are not read: they belong to the helper, whose one transaction
 * brings chain and rules together.
 *
 * One request, one answer, plain netlink: this folder links libc only.
 */
#include "launch/lock.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define LOCK_TABLE "nsvpn"
#define LOCK_CHAIN "output"

struct request {
	struct nlmsghdr head;
	struct nfgenmsg family;
	char attrs[64];
};

static void request_add_string(struct request *q, uint16_t type, const char *value)
{
	size_t len = strlen(value) + 1;
	struct nlattr a = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type };
	char *p = (char *)q + NLMSG_ALIGN(q->head.nlmsg_len);

	assert(NLMSG_ALIGN(q->head.nlmsg_len) + NLA_ALIGN(a.nla_len) <= sizeof(*q));
	memcpy(p, &a, sizeof(a));
	memcpy(p + NLA_HDRLEN, value, len);
	q->head.nlmsg_len = NLMSG_ALIGN(q->head.nlmsg_len) + NLA_ALIGN(a.nla_len);
}

/* The payload of the first attribute of that type, or NULL; *ret_len is its length. */
static const char *find_attr(const char *p, size_t len, uint16_t type, size_t *ret_len)
{
	while (len >= NLA_HDRLEN) {
		struct nlattr a;
		size_t step;

		memcpy(&a, p, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || a.nla_len > len)
			return NULL;
		if ((a.nla_type & NLA_TYPE_MASK) == type) {
			*ret_len = a.nla_len - (size_t)NLA_HDRLEN;
			return p + NLA_HDRLEN;
		}
		step = NLA_ALIGN(a.nla_len);
		if (step >= len)
			return NULL;
		p += step;
		len -= step;
	}
	return NULL;
}

static int find_be32(const char *p, size_t len, uint16_t type, uint32_t *ret)
{
	size_t n;
	const char *v = find_attr(p, len, type, &n);
	uint32_t be;

	if (!v || n != sizeof(be))
		return -ENOENT;
	memcpy(&be, v, sizeof(be));
	*ret = ntohl(be);
	return 0;
}

/* Attributes of a NFT_MSG_NEWCHAIN message. */
static int judge_chain(const char *attrs, size_t len)
{
	uint32_t policy, hooknum;
	const char *hook;
	size_t hook_len;

	hook = find_attr(attrs, len, NFTA_CHAIN_HOOK, &hook_len);
	if (!hook || find_be32(hook, hook_len, NFTA_HOOK_HOOKNUM, &hooknum) < 0 || hooknum != NF_INET_LOCAL_OUT)
		return -EPERM;
	if (find_be32(attrs, len, NFTA_CHAIN_POLICY, &policy) < 0 || policy != NF_DROP)
		return -EPERM;
	return 0;
}

static int judge_answer(const char *buf, size_t len)
{
	struct nlmsghdr h;

	if (len < NLMSG_HDRLEN)
		return -EBADMSG;
	memcpy(&h, buf, sizeof(h));
	if (h.nlmsg_len < NLMSG_HDRLEN || h.nlmsg_len > len)
		return -EBADMSG;
	if (h.nlmsg_type == NLMSG_ERROR) {
		struct nlmsgerr e;

		if (h.nlmsg_len < NLMSG_HDRLEN + sizeof(e))
			return -EBADMSG;
		memcpy(&e, buf + NLMSG_HDRLEN, sizeof(e));
		return e.error < 0 ? e.error : -EBADMSG;
	}
	if (h.nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN) ||
	    h.nlmsg_len < NLMSG_HDRLEN + sizeof(struct nfgenmsg))
		return -EBADMSG;
	return judge_chain(buf + NLMSG_HDRLEN + sizeof(struct nfgenmsg),
			   h.nlmsg_len - NLMSG_HDRLEN - sizeof(struct nfgenmsg));
}

int lock_verify(void)
{
	struct request q = {
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg)),
			  .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN,
			  .nlmsg_flags = NLM_F_REQUEST },
		.family = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 },
	};
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	const struct timeval patience = { .tv_sec = 5 };
	_cleanup_(closep) int fd = -EBADF;
	char buf[8192];
	ssize_t n;

	request_add_string(&q, NFTA_CHAIN_TABLE, LOCK_TABLE);
	request_add_string(&q, NFTA_CHAIN_NAME, LOCK_CHAIN);

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	n = sendto(fd, &q, q.head.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
	if (n < 0)
		return -errno;
	do
		n = recv(fd, buf, sizeof(buf), 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : judge_answer(buf, (size_t)n);
}
