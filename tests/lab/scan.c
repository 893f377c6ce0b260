/*
 * A port scanner for the lab: which ports of an address answer.
 *
 *   scan [--udp] [--timeout MS] ADDR FIRST LAST
 *
 * TCP: a port is open when a connection is made. UDP: every port gets a datagram, and a port is open when something comes
 * back from it that is no error. Prints the open ports in one line, "80 8080"; exit status 0 whatever it found.
 *
 * TCP ends when every port said yes or no, or MS (default 3000) after the last one was asked; UDP always waits that long
 * after the last answer. Lost datagrams are made up for by asking three times.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/inaddr.h"
#include "base/parse.h"
#include "base/str.h"

#define AT_ONCE 500
#define UDP_ROUNDS 3
#define PORTS 65536

static bool is_open[PORTS];
static struct inaddr target;
static usec_t patience = 3 * USEC_PER_SEC;

static int socket_to(int type, uint16_t port)
{
	struct endpoint e = { .addr = target, .port = port };
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&e, &sa);
	int fd = socket(target.family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		perror("scan: socket");
		exit(2);
	}
	if (type == SOCK_DGRAM || port == 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&sa, len) == 0 || errno == EINPROGRESS)
		return fd;
	(void)close(fd);
	return -EBADF;
}

/* On the machine itself a socket may be given the very port that it asks, and then it answers itself. */
static uint16_t own_port(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint e;

	return getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
			       endpoint_from_sockaddr((struct sockaddr *)&sa, len, &e) == 0
		       ? e.port
		       : 0;
}

static void tcp_answered(int fd, uint16_t port)
{
	socklen_t len = sizeof(int);
	int error = 0;

	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	is_open[port] |= error == 0 && own_port(fd) != port;
	(void)close(fd);
}

static void scan_tcp(unsigned first, unsigned last)
{
	struct pollfd fds[AT_ONCE];
	uint16_t ports[AT_ONCE];
	usec_t asked = clock_boottime();
	unsigned next = first;
	nfds_t n = 0;

	while (next <= last || n > 0) {
		while (next <= last && n < AT_ONCE) {
			int fd = socket_to(SOCK_STREAM, (uint16_t)next);

			asked = clock_boottime();
			if (fd >= 0) {
				fds[n] = (struct pollfd){ .fd = fd, .events = POLLOUT };
				ports[n++] = (uint16_t)next;
			}
			next++;
		}
		if (n > 0 && poll(fds, n, 100) < 0)
			return;
		for (nfds_t i = n; i-- > 0;)
			if (fds[i].revents) {
				tcp_answered(fds[i].fd, ports[i]);
				n--;
				fds[i] = fds[n];
				ports[i] = ports[n];
			}
		if (clock_boottime() - asked < patience)
			continue;
		while (n > 0) /* these will not answer */
			(void)close(fds[--n].fd);
	}
}

/* Errors of ports that are closed come by the same way; only datagrams count. */
static void udp_read(int fd, usec_t wait)
{
	usec_t until = clock_boottime() + wait;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct sockaddr_storage sa;
		socklen_t len = sizeof(sa);
		struct endpoint from;
		usec_t now = clock_boottime();
		char buf[64];

		if (now > until || poll(&p, 1, (int)((until - now) / USEC_PER_MSEC)) < 0)
			return;
		if (recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&sa, &len) >= 0) {
			if (endpoint_from_sockaddr((struct sockaddr *)&sa, len, &from) == 0 &&
			    inaddr_eq(&from.addr, &target))
				is_open[from.port] = true;
		} else if (errno == EAGAIN && wait == 0) {
			return;
		}
	}
}

static void scan_udp(unsigned first, unsigned last)
{
	int fd = socket_to(SOCK_DGRAM, 0);

	for (int round = 0; round < UDP_ROUNDS; round++)
		for (unsigned port = first; port <= last; port++) {
			struct endpoint e = { .addr = target, .port = (uint16_t)port };
			struct sockaddr_storage sa;
			socklen_t len = endpoint_to_sockaddr(&e, &sa);

			(void)sendto(fd, "scan\n", 5, 0, (struct sockaddr *)&sa, len); /* refused ones are closed ones */
			udp_read(fd, 0);
		}
	udp_read(fd, patience);
	is_open[own_port(fd)] = false;
	(void)close(fd);
}

int main(int argc, char **argv)
{
	struct rlimit files = { 1024, 1024 };
	uint16_t first, last;
	bool udp = false;
	uint32_t ms;
	int i = 1;

	for (; i < argc && str_has_prefix(argv[i], "--"); i++) {
		if (str_eq(argv[i], "--udp"))
			udp = true;
		else if (str_eq(argv[i], "--timeout") && i + 1 < argc && parse_u32(argv[++i], 1, 60000, &ms) == 0)
			patience = ms * USEC_PER_MSEC;
		else
			i = argc;
	}
	if (argc - i != 3 || inaddr_parse(argv[i], &target) < 0 || parse_port(argv[i + 1], &first) < 0 ||
	    parse_port(argv[i + 2], &last) < 0) {
		(void)fputs("usage: scan [--udp] [--timeout MS] ADDR FIRST LAST\n", stderr);
		return 2;
	}
	(void)setrlimit(RLIMIT_NOFILE, &files); /* it is at least that in most places */
	if (udp)
		scan_udp(first, last);
	else
		scan_tcp(first, last);
	for (unsigned port = first, n = 0; port <= last; port++)
		if (is_open[port])
			printf("%s%u", n++ ? " " : "", port);
	putchar('\n');
	return 0;
}
