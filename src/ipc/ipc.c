/*
 * The socket between helper and engine: one message, one packet, with exactly the descriptors that its type must carry.
 * Whatever is not exactly so is refused whole and its descriptors are closed.
 */
#include "ipc/ipc.h"

#include <errno.h>

#include "base/fd.h"

static_assert(FD_PASS_MAX == 8, "ipc_recv() takes room for 8");

int ipc_send(int sock, const struct ipc_msg *m, const int *fds, size_t n_fds)
{
	uint8_t buf[IPC_MSG_MAX];
	ssize_t len;

	if (n_fds != ipc_msg_fds(m))
		return -EINVAL;
	len = ipc_msg_encode(m, buf, sizeof(buf));
	if (len < 0)
		return (int)len;
	return fd_send_msg(sock, buf, (size_t)len, fds, n_fds);
}

int ipc_recv(int sock, struct ipc_msg *ret, int fds[static 8], size_t *ret_n_fds)
{
	int got[FD_PASS_MAX];
	uint8_t buf[IPC_MSG_MAX];
	struct ipc_msg m;
	size_t n_fds = 0;
	ssize_t len;
	int r;

	len = fd_recv_msg(sock, buf, sizeof(buf), got, &n_fds);
	if (len == -EMSGSIZE)
		return -EBADMSG;
	if (len <= 0)
		return (int)len;
	r = ipc_msg_decode(&m, buf, (size_t)len);
	if (r == 0 && n_fds != ipc_msg_fds(&m))
		r = -EBADMSG;
	if (r < 0) {
		for (size_t i = 0; i < n_fds; i++)
			(void)fd_close(got[i]); /* always -EBADF */
		return r;
	}
	for (size_t i = 0; i < n_fds; i++)
		fds[i] = got[i];
	*ret = m;
	*ret_n_fds = n_fds;
	return 1;
}
