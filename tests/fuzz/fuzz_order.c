/* What nsvpn-launch takes as an order: the first byte says how many descriptors come along, the rest is the message. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "launch/order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond) ((cond) ? (void)0 : abort())

static void check(struct order *o, size_t len, size_t n_fds)
{
	const struct launch_order *h = &o->head;

	REQUIRE(n_fds == LAUNCH_FD_COUNT);
	REQUIRE(h->n_groups <= LAUNCH_GROUPS_MAX && len == offsetof(struct launch_order, groups) + h->n_groups * sizeof(h->groups[0]));
	REQUIRE(memchr(h->tunnel, '\0', sizeof(h->tunnel)) && tunnel_name_is_valid(h->tunnel));
	REQUIRE(h->uid != 0 && h->uid != UINT32_MAX && h->gid != UINT32_MAX && h->caller_pid > 0);
	for (int i = 0; i < LAUNCH_FD_COUNT; i++)
		REQUIRE(fcntl(o->fds[i], F_GETFD) & FD_CLOEXEC);
	order_done(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2], fds[FD_PASS_MAX], first, last;
	size_t n_fds = size ? data[0] % (FD_PASS_MAX + 1) : 0;
	struct order o;
	int r;

	if (size < 2 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return 0;
	first = dup(0);
	for (size_t i = 0; i < n_fds; i++)
		fds[i] = 0;
	if (fd_send_msg(pair[0], data + 1, size - 1, fds, n_fds) == 0) {
		r = order_receive(pair[1], &o);
		REQUIRE(r == 0 || r == -EBADMSG || r == -EPERM || r == -EMSGSIZE);
		if (r == 0)
			check(&o, size - 1, n_fds);
	}
	(void)close(first);
	last = dup(0); /* the same number again: nothing has stayed open */
	REQUIRE(first == last);
	(void)close(last);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return 0;
}
