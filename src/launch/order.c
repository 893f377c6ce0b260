/* Receiving an order; contract in order.h. */
#include "launch/order.h"

#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/parse.h"

void order_done(struct order *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(o->fds); i++)
		o->fds[i] = fd_close(o->fds[i]);
}

/* Who made the socket pair: nsvpnd, so root (or, in tests, whoever we are). */
static int check_peer(int sock)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid == 0 || peer.uid == geteuid() ? 0 : -EPERM;
}

static int check(const struct launch_order *o, size_t len)
{
	size_t head = offsetof(struct launch_order, groups);

	if (len < head || o->magic != LAUNCH_ORDER_MAGIC || o->n_groups > LAUNCH_GROUPS_MAX ||
	    len != head + o->n_groups * sizeof(o->groups[0]))
		return -EBADMSG;
	if (!memchr(o->tunnel, '\0', sizeof(o->tunnel)) || !tunnel_name_is_valid(o->tunnel) || o->caller_pid <= 0)
		return -EBADMSG;
	/* Root starts programs itself. */
	return o->uid == 0 || o->uid == UINT32_MAX || o->gid == UINT32_MAX ? -EPERM : 0;
}

int order_receive(int sock, struct order *ret)
{
	struct order o = { 0 };
	int fds[FD_PASS_MAX], r;
	size_t n_fds = 0;
	ssize_t n;

	r = check_peer(sock);
	if (r < 0)
		return r;
	n = fd_recv_msg(sock, &o.head, sizeof(o.head), fds, &n_fds);
	if (n < 0)
		return (int)n;
	r = n_fds == LAUNCH_FD_COUNT ? check(&o.head, (size_t)n) : -EBADMSG;
	if (r < 0) {
		for (size_t i = 0; i < n_fds; i++)
			(void)fd_close(fds[i]);
		return r;
	}
	memcpy(o.fds, fds, sizeof(o.fds));
	*ret = o;
	return 0;
}
