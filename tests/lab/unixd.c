/*
 * Unix sockets of the lab: real listeners, and somebody who tries to reach them.
 *
 *   unixd --listen PATH...    makes the folders, listens at each path (everybody may connect), prints "ready", and answers
 *                             each connection with "hello" until it is killed
 *   unixd --connect PATH...   one line for each: PATH and "hello", or the error's name
 *
 * A path that begins with '@' is an abstract socket.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"

#define PATHS_MAX 256

static socklen_t address(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!str_copy(ret->sun_path, sizeof(ret->sun_path), path)) {
		fprintf(stderr, "unixd: %s: too long\n", path);
		exit(2);
	}
	if (*path != '@')
		return sizeof(*ret);
	ret->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
}

static int listen_at(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct sockaddr_un sa;
	socklen_t len = address(path, &sa);

	if (*path == '/') {
		(void)str_copy(folder, sizeof(folder), path); /* fits: address() looked */
		*strrchr(folder, '/') = '\0';
		(void)dir_make(folder, 0755); /* bind() tells */
		(void)unlink(path);
	}
	if (fd < 0 || bind(fd, (const struct sockaddr *)&sa, len) < 0 || listen(fd, 16) < 0 ||
	    (*path == '/' && chmod(path, 0666) < 0)) {
		fprintf(stderr, "unixd: %s: %m\n", path);
		exit(1);
	}
	return fd;
}

static void serve(struct pollfd *p, nfds_t n)
{
	printf("ready\n");
	(void)fflush(stdout); /* whoever waits for it notices */
	while (poll(p, n, -1) > 0)
		for (nfds_t i = 0; i < n; i++) {
			int c = p[i].revents ? accept(p[i].fd, NULL, NULL) : -1;

			if (c < 0)
				continue;
			(void)send(c, "hello", 5, MSG_NOSIGNAL); /* a caller who left did not want it */
			(void)close(c);
		}
}

static void reach(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa;
	socklen_t len = address(path, &sa);
	char answer[8] = "";

	if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, len) < 0)
		printf("%s %s\n", path, strerrorname_np(errno));
	else
		printf("%s %s\n", path, fd_read_full(fd, answer, 5) == 5 ? answer : "silent");
	(void)fd_close(fd);
}

int main(int argc, char **argv)
{
	struct pollfd p[PATHS_MAX];
	nfds_t n = 0;

	if (argc < 3 || argc > PATHS_MAX || (!str_eq(argv[1], "--listen") && !str_eq(argv[1], "--connect"))) {
		fprintf(stderr, "usage: unixd --listen|--connect PATH...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		if (str_eq(argv[1], "--connect"))
			reach(argv[i]);
		else
			p[n++] = (struct pollfd){ .fd = listen_at(argv[i]), .events = POLLIN };
	if (n > 0)
		serve(p, n);
	return 0;
}
