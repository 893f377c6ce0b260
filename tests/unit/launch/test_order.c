/* The order of nsvpnd: nothing but a whole and sensible one is taken, and nothing stays open of the others. */
#include "launch/order.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"

static struct launch_order head;
static size_t len;

static void good(void)
{
	memset(&head, 0, sizeof(head));
	head.magic = LAUNCH_ORDER_MAGIC;
	strcpy(head.tunnel, "home");
	head.caller_pid = 77;
	head.uid = head.gid = 1500;
	head.n_groups = 2;
	head.groups[0] = 1500;
	head.groups[1] = 27;
	len = offsetof(struct launch_order, groups) + 2 * sizeof(head.groups[0]);
}

static size_t n_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static int pass(size_t n_fds)
{
	int pair[2], fds[FD_PASS_MAX], r;
	struct order o;
	size_t before = n_open();

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	for (size_t i = 0; i < n_fds; i++)
		fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	cr_assert_eq(fd_send_msg(pair[0], &head, len, fds, n_fds), 0);
	for (size_t i = 0; i < n_fds; i++)
		(void)close(fds[i]);
	r = order_receive(pair[1], &o);
	if (r == 0)
		order_done(&o);
	(void)close(pair[0]);
	(void)close(pair[1]);
	cr_assert_eq(n_open(), before, "a descriptor stays open");
	return r;
}

Test(order, a_whole_one_is_taken)
{
	good();
	cr_assert_eq(pass(LAUNCH_FD_COUNT), 0);
}

Test(order, descriptors_are_counted)
{
	good();
	for (size_t n = 0; n <= FD_PASS_MAX; n++)
		if (n != LAUNCH_FD_COUNT)
			cr_assert_lt(pass(n), 0, "%zu", n);
}

Test(order, every_other_length_is_refused)
{
	good();
	for (size_t l = 1; l < sizeof(head); l += l < 200 ? 1 : 61) {
		bool whole = l == offsetof(struct launch_order, groups) + 2 * sizeof(head.groups[0]);

		len = l;
		cr_assert_eq(pass(LAUNCH_FD_COUNT) == 0, whole, "%zu", l);
	}
}

Test(order, senseless_values_are_refused)
{
	good();
	head.magic++;
	cr_assert_eq(pass(LAUNCH_FD_COUNT), -EBADMSG);
	good();
	head.uid = 0;
	cr_assert_eq(pass(LAUNCH_FD_COUNT), -EPERM);
	good();
	head.gid = UINT32_MAX;
	cr_assert_eq(pass(LAUNCH_FD_COUNT), -EPERM);
	good();
	head.caller_pid = 0;
	cr_assert_eq(pass(LAUNCH_FD_COUNT), -EBADMSG);
	good();
	head.n_groups = LAUNCH_GROUPS_MAX + 1;
	cr_assert_eq(pass(LAUNCH_FD_COUNT), -EBADMSG);
	good();
	strcpy(head.tunnel, "../home");
	cr_assert_eq(pass(LAUNCH_FD_COUNT), -EBADMSG);
	good();
	memset(head.tunnel, 'a', sizeof(head.tunnel));
	cr_assert_eq(pass(LAUNCH_FD_COUNT), -EBADMSG);
}
