/* Who asks for a program: the control socket and the bus must say the same. */
#include "daemon/exec.h"

#include <criterion/criterion.h>
#include <grp.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/launch-api.h"

static struct launch_order order;
static char *why;

/* A control socket that a process of this uid and gid made, with these groups. */
static int made_by(uid_t uid, gid_t gid, const gid_t *groups, size_t n)
{
	int carry[2], fds[FD_PASS_MAX], pair[2];
	size_t n_fds = 0;
	char byte = 0;
	pid_t pid;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, carry), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(carry[0]);
		if (setgroups(n, groups) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ||
		    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 || fd_send_msg(carry[1], &byte, 1, pair, 1) < 0)
			_exit(1);
		(void)recv(carry[1], &byte, 1, 0); /* stays until the test has ended */
		_exit(0);
	}
	(void)close(carry[1]);
	cr_assert_eq(fd_recv_msg(carry[0], &byte, 1, fds, &n_fds), 1);
	cr_assert_eq(n_fds, 1);
	return fds[0]; /* carry[0] stays open: so does the child */
}

#define SENDER(u, ...) \
	(const struct sender){ .uid = (u), .groups = (gid_t[]){ __VA_ARGS__ }, .n_groups = sizeof((gid_t[]){ __VA_ARGS__ }) / sizeof(gid_t) }

static int identify(int fd, const struct sender *who)
{
	memset(&order, 0, sizeof(order));
	free(why);
	why = NULL;
	return exec_identify(fd, who, &order, &why);
}

static bool is_root(void)
{
	if (geteuid() == 0)
		return true;
	cr_skip("needs root to play users");
	return false;
}

Test(exec, the_caller_is_who_made_the_socket)
{
	const gid_t groups[] = { 2000, 2001 };
	const struct sender who = SENDER(1500, 1500, 2000, 2001, 2002);

	if (!is_root())
		return;
	cr_assert_eq(identify(made_by(1500, 1500, groups, 2), &who), 0, "%s", why);
	cr_assert_eq(order.uid, 1500);
	cr_assert_eq(order.gid, 1500);
	cr_assert_eq(order.n_groups, 2);
	cr_assert_gt(order.caller_pid, 0);
}

Test(exec, another_users_socket_is_refused)
{
	const struct sender who = SENDER(1501, 1500, 1501);

	if (!is_root())
		return;
	cr_assert_eq(identify(made_by(1500, 1500, NULL, 0), &who), -EPERM);
	cr_assert_not_null(strstr(why, "another user"));
}

Test(exec, more_groups_than_the_sender_has_are_refused)
{
	const gid_t groups[] = { 27 };
	const struct sender who = SENDER(1500, 1500);

	if (!is_root())
		return;
	cr_assert_eq(identify(made_by(1500, 1500, groups, 1), &who), -EPERM);
	cr_assert_eq(identify(made_by(1500, 27, NULL, 0), &who), -EPERM);
}

Test(exec, root_is_refused)
{
	const struct sender who = SENDER(0, 0);

	if (!is_root())
		return;
	cr_assert_eq(identify(made_by(0, 0, NULL, 0), &who), -EPERM);
}

Test(exec, only_a_seqpacket_pair_will_do)
{
	const struct sender who = SENDER(1500, 1500);
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	cr_assert_eq(identify(pair[0], &who), -EINVAL);
	cr_assert_eq(identify(socket(AF_INET, SOCK_DGRAM, 0), &who), -EINVAL);
	cr_assert_eq(identify(open("/dev/null", O_RDWR), &who), -EINVAL);
	/* not connected to anybody */
	cr_assert_lt(identify(socket(AF_UNIX, SOCK_SEQPACKET, 0), &who), 0);
}

Test(exec, a_request_that_can_change_is_refused)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_eq(exec_check_request(fd, &why), -EPERM);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL), 0);
	cr_assert_eq(exec_check_request(fd, &why), -EPERM);
	cr_assert_eq(exec_check_request(open("/etc/passwd", O_RDONLY), &why), -EPERM);
	cr_assert_eq(exec_check_request(memfd_sealed("x", "y", 1), &why), 0);
}

Test(exec, a_request_that_is_too_large_is_refused)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_eq(ftruncate(fd, LAUNCH_REQUEST_MAX + 1), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
	cr_assert_eq(exec_check_request(fd, &why), -E2BIG);
}
