/* ipc.h over a real socket pair: messages, descriptors, malformed packets, end of file. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "ipc/ipc.h"

static int pair[2];

static void setup(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
}

static void teardown(void)
{
	(void)fd_close(pair[0]);
	(void)fd_close(pair[1]);
}

TestSuite(ipc, .init = setup, .fini = teardown);

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

Test(ipc, message_and_descriptors_arrive)
{
	struct ipc_msg m = { .type = IPC_CMD_START, .start = { .tunnel = "home", .tun_mtu_max = 1500 } }, got;
	int fds[8], pipes[2];
	size_t n = 99;

	cr_assert_eq(pipe(pipes), 0);
	cr_assert_eq(ipc_recv(pair[1], &got, fds, &n), -EAGAIN);
	cr_assert_eq(ipc_send(pair[0], &m, pipes, 2), 0);
	cr_assert_eq(ipc_recv(pair[1], &got, fds, &n), 1);
	cr_assert_eq(n, 2);
	cr_assert_str_eq(got.start.tunnel, "home");
	cr_assert_eq(write(fds[1], "x", 1), 1);
	(void)fd_close(fds[0]);
	(void)fd_close(fds[1]);
}

Test(ipc, wrong_number_of_descriptors_is_refused_at_both_ends)
{
	struct ipc_msg hello = { .type = IPC_REQ_HELLO },
		       start = { .type = IPC_CMD_START, .start = { .tunnel = "a", .tun_mtu_max = 1500 } }, got;
	uint8_t buf[IPC_MSG_MAX];
	int fds[8], zero = 0;
	size_t n = 99;
	unsigned before;
	ssize_t len;

	cr_assert_eq(ipc_send(pair[0], &hello, &zero, 1), -EINVAL);
	cr_assert_eq(ipc_send(pair[0], &start, &zero, 1), -EINVAL);
	before = open_fds();
	len = ipc_msg_encode(&hello, buf, sizeof(buf));
	cr_assert_eq(fd_send_msg(pair[0], buf, (size_t)len, &zero, 1), 0);
	cr_assert_eq(ipc_recv(pair[1], &got, fds, &n), -EBADMSG);
	len = ipc_msg_encode(&start, buf, sizeof(buf));
	cr_assert_eq(fd_send_msg(pair[0], buf, (size_t)len, &zero, 1), 0);
	cr_assert_eq(ipc_recv(pair[1], &got, fds, &n), -EBADMSG);
	cr_assert_eq(n, 99, "output touched");
	cr_assert_eq(open_fds(), before, "descriptors leaked");
}

Test(ipc, malformed_packets_lose_their_descriptors_and_do_not_end_the_talk)
{
	struct ipc_msg m = { .type = IPC_REQ_LOG, .req_log = { .text = "still here" } }, got;
	int fds[8], three[3] = { 0, 1, 2 };
	unsigned before = open_fds();
	size_t n;

	cr_assert_eq(fd_send_msg(pair[0], "garbage", 7, three, 3), 0);
	cr_assert_eq(ipc_recv(pair[1], &got, fds, &n), -EBADMSG);
	cr_assert_eq(open_fds(), before);
	cr_assert_eq(ipc_send(pair[0], &m, NULL, 0), 0);
	cr_assert_eq(ipc_recv(pair[1], &got, fds, &n), 1);
	cr_assert_str_eq(got.req_log.text, "still here");
}

Test(ipc, packets_that_are_too_long_are_refused)
{
	static uint8_t large[IPC_MSG_MAX + 1];
	struct ipc_msg got;
	int fds[8];
	size_t n;

	cr_assert_eq(send(pair[0], large, sizeof(large), 0), (ssize_t)sizeof(large));
	cr_assert_eq(ipc_recv(pair[1], &got, fds, &n), -EBADMSG);
}

Test(ipc, values_out_of_range_are_not_sent)
{
	struct ipc_msg m = { .type = IPC_REQ_LOG, .req_log = { .level = 200 } };

	cr_assert_eq(ipc_send(pair[0], &m, NULL, 0), -EINVAL);
}

Test(ipc, end_of_file_is_zero)
{
	struct ipc_msg got;
	int fds[8];
	size_t n;

	pair[0] = fd_close(pair[0]);
	cr_assert_eq(ipc_recv(pair[1], &got, fds, &n), 0);
}
