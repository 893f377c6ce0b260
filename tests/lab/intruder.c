/*
 * What somebody tries from inside a tunnel, or from beside it (t-attackers.sh).
 *
 *   intruder who             ids, no_new_privs and effective capabilities; as a setuid program it shows what it gained
 *   intruder write FILE...   tries to open each for writing and to mount over it
 *   intruder capture         every way to see the packets of this network namespace
 *   intruder enter FILE...   every way into these namespaces
 *
 * One line per try: its name, then "passed" or the error.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"

static void tell(const char *what, long r)
{
	(void)printf("%s %s\n", what, r >= 0 ? "passed" : strerrorname_np(errno));
	(void)fflush(stdout);
}

static int who(void)
{
	uid_t r, e, s;

	(void)getresuid(&r, &e, &s); /* cannot fail */
	(void)printf("uids %u %u %u, no_new_privs %d\n", r, e, s, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	return 0;
}

static int try_write(char **files)
{
	for (; *files; files++) {
		(void)printf("%s ", *files);
		tell("write", open(*files, O_WRONLY | O_CLOEXEC));
		(void)printf("%s ", *files);
		tell("replace", unlink(*files));
	}
	return 0;
}

static void try_sockets(const char *where)
{
	static const struct {
		const char *name;
		int domain, type, protocol;
	} rows[] = {
		{ "packet", AF_PACKET, SOCK_RAW, 0x0300 /* ETH_P_ALL, as on the wire */ },
		{ "packet-dgram", AF_PACKET, SOCK_DGRAM, 0x0300 },
		{ "raw-icmp", AF_INET, SOCK_RAW, IPPROTO_ICMP },
		{ "raw-udp", AF_INET, SOCK_RAW, IPPROTO_UDP },
		{ "raw-6", AF_INET6, SOCK_RAW, IPPROTO_UDP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = socket(rows[i].domain, rows[i].type, rows[i].protocol);

		(void)printf("%s ", where);
		tell(rows[i].name, fd);
		if (fd >= 0)
			(void)close(fd);
	}
}

/* Root of a user namespace of one's own has every capability there, and none over a network namespace that is not its own. */
static int in_userns(void (*fn)(void *), void *arg)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) < 0)
			_exit(9);
		fn(arg);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	if (WEXITSTATUS(status) == 9)
		(void)printf("userns not available\n");
	return 0;
}

static void sockets_as_root(void *arg _unused_)
{
	try_sockets("userns");
}

static int capture(void)
{
	try_sockets("plain");
	return in_userns(sockets_as_root, NULL);
}

static void enter_as_root(void *arg)
{
	int fd = open(arg, O_RDONLY | O_CLOEXEC);

	(void)printf("userns %s ", (char *)arg);
	tell("enter", fd < 0 ? -1 : setns(fd, 0));
}

static int enter(char **files)
{
	for (; *files; files++) {
		int fd = open(*files, O_RDONLY | O_CLOEXEC);

		(void)printf("plain %s ", *files);
		tell("enter", fd < 0 ? -1 : setns(fd, 0));
		if (fd >= 0)
			(void)close(fd);
		(void)fflush(stdout);
		if (in_userns(enter_as_root, *files) < 0)
			return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && str_eq(argv[1], "who"))
		return who();
	if (argc >= 2 && str_eq(argv[1], "write"))
		return try_write(argv + 2);
	if (argc >= 2 && str_eq(argv[1], "capture"))
		return capture();
	if (argc >= 2 && str_eq(argv[1], "enter"))
		return enter(argv + 2);
	(void)fprintf(stderr, "usage: intruder who | write FILE... | capture | enter FILE...\n");
	return 2;
}
