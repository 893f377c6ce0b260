/* The socket, its errors, and the count of writes. */
#include "nl/rtnl.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

static uint64_t writes;

uint64_t rt_writes(void)
{
	return writes;
}

void rt_writes_count(void)
{
	writes++;
}

/* Index: NLE_*. What libnl could not name becomes EIO. Only used when the kernel's own number is not at hand. */
static const int nle_errno[] = {
	[NLE_FAILURE] = EIO,
	[NLE_INTR] = EINTR,
	[NLE_BAD_SOCK] = EBADF,
	[NLE_AGAIN] = EAGAIN,
	[NLE_NOMEM] = ENOMEM,
	[NLE_EXIST] = EEXIST,
	[NLE_INVAL] = EINVAL,
	[NLE_RANGE] = ERANGE,
	[NLE_MSGSIZE] = EMSGSIZE,
	[NLE_OPNOTSUPP] = EOPNOTSUPP,
	[NLE_AF_NOSUPPORT] = EAFNOSUPPORT,
	[NLE_OBJ_NOTFOUND] = ENOENT,
	[NLE_NOATTR] = ENODATA,
	[NLE_MISSING_ATTR] = EINVAL,
	[NLE_AF_MISMATCH] = EINVAL,
	[NLE_SEQ_MISMATCH] = EBADMSG,
	[NLE_MSG_OVERFLOW] = EOVERFLOW,
	[NLE_MSG_TRUNC] = EMSGSIZE,
	[NLE_NOADDR] = EADDRNOTAVAIL,
	[NLE_SRCRT_NOSUPPORT] = EOPNOTSUPP,
	[NLE_MSG_TOOSHORT] = EBADMSG,
	[NLE_MSGTYPE_NOSUPPORT] = EOPNOTSUPP,
	[NLE_OBJ_MISMATCH] = EINVAL,
	[NLE_NOCACHE] = EINVAL,
	[NLE_BUSY] = EBUSY,
	[NLE_PROTO_MISMATCH] = EPROTO,
	[NLE_NOACCESS] = EACCES,
	[NLE_PERM] = EPERM,
	[NLE_PKTLOC_FILE] = EIO,
	[NLE_PARSE_ERR] = EBADMSG,
	[NLE_NODEV] = ENODEV,
	[NLE_IMMUTABLE] = EPERM,
	[NLE_DUMP_INTR] = EINTR,
	[NLE_ATTRSIZE] = EINVAL,
};

int rt_result(struct rt *rt, int nle)
{
	int kernel = rt->kernel_error;

	rt->kernel_error = 0;
	if (nle >= 0)
		return 0;
	if (kernel < 0)
		return kernel;
	nle = -nle;
	return nle < (int)ARRAY_SIZE(nle_errno) && nle_errno[nle] ? -nle_errno[nle] : -EIO;
}

/* libnl calls this for every error answer; its return value ends the receive loop. */
static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *userdata)
{
	struct rt *rt = userdata;

	(void)from; /* the kernel is the only sender */
	rt->kernel_error = e->error < 0 ? e->error : -EPROTO;
	return -nl_syserr2nlerr(e->error);
}

struct rt *rt_free(struct rt *rt)
{
	if (!rt)
		return NULL;
	if (rt->sk)
		nl_socket_free(rt->sk);
	free(rt);
	return NULL;
}

static int connect_socket(struct rt *rt)
{
	int r;

	rt->sk = nl_socket_alloc();
	if (!rt->sk)
		return -ENOMEM;
	r = rt_result(rt, nl_connect(rt->sk, NETLINK_ROUTE)); /* close-on-exec: libnl sets it */
	if (r < 0)
		return r;
	/* A dump of a machine with many routes must not be lost for want of room. */
	(void)nl_socket_set_buffer_size(rt->sk, 1 << 20, 1 << 16); /* the default is only smaller */
	return rt_result(rt, nl_socket_modify_err_cb(rt->sk, NL_CB_CUSTOM, on_error, rt));
}

struct opening {
	struct rt *rt;
	int netns_fd;
	int r;
};

/*
 * A namespace belongs to a thread, so a thread of its own enters it and ends: the caller never is elsewhere, and there
 * is no way back that could fail.
 */
static void *open_inside(void *userdata)
{
	struct opening *o = userdata;

	if (setns(o->netns_fd, CLONE_NEWNET) < 0)
		o->r = -errno;
	else
		o->r = connect_socket(o->rt);
	return NULL;
}

int rt_open(struct rt **ret, int netns_fd)
{
	_cleanup_(rt_freep) struct rt *rt = NULL;
	struct opening o;
	pthread_t thread;
	int r;

	rt = calloc(1, sizeof(*rt));
	if (!rt)
		return -ENOMEM;
	if (netns_fd < 0) {
		r = connect_socket(rt);
	} else {
		o = (struct opening){ .rt = rt, .netns_fd = netns_fd };
		r = -pthread_create(&thread, NULL, open_inside, &o);
		if (r < 0)
			return r;
		(void)pthread_join(thread, NULL); /* cannot fail for a thread that we made */
		r = o.r;
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rt);
	return 0;
}

int rt_write_take(struct rt *rt, struct nl_msg *msg)
{
	int r;

	if (!msg)
		return -ENOMEM;
	rt_writes_count();
	rt->kernel_error = 0;
	r = nl_send_auto(rt->sk, msg);
	nlmsg_free(msg);
	if (r >= 0)
		r = nl_wait_for_ack(rt->sk);
	return rt_result(rt, r);
}

struct nl_addr *rt_addr_to_nl(const struct inaddr *a, unsigned len)
{
	struct nl_addr *n = nl_addr_build(a->family, a->bytes, inaddr_len(a->family));

	if (n)
		nl_addr_set_prefixlen(n, (int)len);
	return n;
}

bool rt_addr_from_nl(const struct nl_addr *a, struct inaddr *ret)
{
	struct inaddr out;
	size_t len;

	memset(&out, 0, sizeof(out)); /* all of the union: the kernel may send fewer bytes */
	*ret = out;
	if (!a)
		return false;
	len = inaddr_len(nl_addr_get_family((struct nl_addr *)a)); /* libnl's getters lack const */
	if (!len)
		return false;
	out.family = nl_addr_get_family((struct nl_addr *)a);
	/* A default route's destination may come with no bytes at all: zeros. */
	memcpy(out.bytes, nl_addr_get_binary_addr((struct nl_addr *)a),
	       MIN(len, (size_t)nl_addr_get_len((struct nl_addr *)a)));
	*ret = out;
	return true;
}

void rt_nl_addr_putp(struct nl_addr **a)
{
	if (*a)
		nl_addr_put(*a);
}

void rt_nl_cache_freep(struct nl_cache **c)
{
	if (*c)
		nl_cache_free(*c);
}
