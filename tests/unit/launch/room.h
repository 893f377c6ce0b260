/*
 * A room for tests that mount, switch users or join namespaces: a child with a mount and a network namespace of its own,
 * an empty /run and an /etc of three files, so that nothing of the machine is touched. The child only ever _exit()s.
 */
#pragma once

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM_TUNNEL "home"
#define ROOM_RUN "/run/nsvpn/" ROOM_TUNNEL
#define ROOM_UID 65534

/* In the child: a failed line ends it with a number the test prints. */
#define room_check(cond)                                                                                               \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			dprintf(2, "%s:%d: %s: %m\n", __FILE__, __LINE__, #cond);                                      \
			_exit(99);                                                                                     \
		}                                                                                                      \
	} while (0)

static inline void room_write(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	room_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static inline const char *room_read(const char *path)
{
	static char buf[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		(void)close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return fd < 0 ? NULL : buf;
}

static inline void room_furnish(void)
{
	room_check(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0);
	room_check(mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0);
	room_check(mount("room", "/run", "tmpfs", 0, "mode=755") == 0);
	room_check(mount("room", "/etc", "tmpfs", 0, "mode=755") == 0);
	umask(022);
	room_write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:n:/nonexistent:/bin/sh\n");
	room_write("/etc/group", "root:x:0:\nnogroup:x:65534:\nextra:x:4242:nobody\n");
	room_write("/etc/nsswitch.conf", "passwd: files\ngroup: files\n");
	room_check(mkdir("/run/nsvpn", 0755) == 0 && mkdir(ROOM_RUN, 0755) == 0 && mkdir("/run/netns", 0755) == 0);
	room_write(ROOM_RUN "/resolv.conf", "nameserver 10.8.0.1\n");
	room_write(ROOM_RUN "/nsswitch.conf", "hosts: files dns\n");
	room_write(ROOM_RUN "/journal", "x");
	unsetenv("NSVPN_RUN");
	unsetenv("NSVPN_ETC");
}

/* fn in a room; its exit status. Skips the test when not root. */
static inline int room_run(void (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	if (geteuid() != 0)
		cr_skip_test("needs root for private namespaces");
	pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0) {
		room_furnish();
		fn(arg);
		_exit(0);
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
