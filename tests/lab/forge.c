/*
 * Forged packets for the lab, and a listener that says what reached it.
 *
 *   forge --send IF FROM[:PORT] TO[:PORT] TEXT [--tcp]   one IPv4 UDP datagram (or TCP SYN) straight onto a device
 *   forge --listen ADDR:PORT SECONDS                     a line "FROM TEXT" per datagram; "ready" first
 *
 * Sending goes by a packet socket: neither routing nor netfilter of the sender has a say.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cleanup.h"

static int usage(void)
{
	(void)fprintf(stderr, "usage: forge --send IF FROM:PORT TO:PORT TEXT [--tcp] | --listen ADDR:PORT SECONDS\n");
	return 2;
}

static int parse(const char *s, struct sockaddr_in *ret)
{
	char host[INET_ADDRSTRLEN];
	const char *colon = strchr(s, ':');

	*ret = (struct sockaddr_in){ .sin_family = AF_INET };
	if (!colon || (size_t)(colon - s) >= sizeof(host))
		return -EINVAL;
	memcpy(host, s, (size_t)(colon - s));
	host[colon - s] = '\0';
	ret->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return inet_pton(AF_INET, host, &ret->sin_addr) == 1 ? 0 : -EINVAL;
}

static uint32_t sum16(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* UDP or a bare SYN; returns its length. */
static size_t transport(uint8_t *p, const struct sockaddr_in *from, const struct sockaddr_in *to, const char *text, bool tcp)
{
	size_t len = tcp ? sizeof(struct tcphdr) : sizeof(struct udphdr) + strlen(text);
	uint32_t pseudo = sum16(&from->sin_addr, 4, sum16(&to->sin_addr, 4, (uint32_t)len + (tcp ? IPPROTO_TCP : IPPROTO_UDP)));

	if (tcp) {
		struct tcphdr h = { .source = from->sin_port, .dest = to->sin_port, .seq = htonl(77), .doff = 5, .syn = 1,
				    .window = htons(1000) };

		h.check = fold(sum16(&h, sizeof(h), pseudo));
		memcpy(p, &h, sizeof(h));
	} else {
		struct udphdr h = { .source = from->sin_port, .dest = to->sin_port, .len = htons((uint16_t)len) };

		memcpy(p, &h, sizeof(h));
		memcpy(p + sizeof(h), text, strlen(text));
		h.check = fold(sum16(p, len, pseudo));
		memcpy(p, &h, sizeof(h));
	}
	return len;
}

static int forge_send(char **argv, bool tcp)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = (int)if_nametoindex(argv[0]) };
	_cleanup_(closep) int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a, b;
	uint8_t packet[1024];
	struct iphdr h = { .version = 4, .ihl = 5, .ttl = 64, .protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP };
	size_t len;

	if (!to.sll_ifindex || strlen(argv[3]) > 900 || parse(argv[1], &a) < 0 || parse(argv[2], &b) < 0)
		return usage();
	len = sizeof(h) + transport(packet + sizeof(h), &a, &b, argv[3], tcp);
	h.saddr = a.sin_addr.s_addr;
	h.daddr = b.sin_addr.s_addr;
	h.tot_len = htons((uint16_t)len);
	h.check = fold(sum16(&h, sizeof(h), 0));
	memcpy(packet, &h, sizeof(h));
	if (fd < 0 || sendto(fd, packet, len, 0, (const struct sockaddr *)&to, sizeof(to)) != (ssize_t)len) {
		perror("forge");
		return 1;
	}
	return 0;
}

static int forge_listen(const char *where, const char *seconds)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	usec_t end = clock_boottime() + strtoull(seconds, NULL, 10) * USEC_PER_SEC;
	struct sockaddr_in at;

	if (parse(where, &at) < 0)
		return usage();
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("forge");
		return 1;
	}
	printf("ready\n");
	for (usec_t now; fflush(stdout) == 0 && (now = clock_boottime()) < end;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		char text[1024], name[INET_ADDRSTRLEN];
		ssize_t n;

		if (poll(&p, 1, (int)((end - now) / USEC_PER_MSEC) + 1) <= 0)
			continue;
		n = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &from_len);
		if (n >= 0)
			printf("%s %.*s\n", inet_ntop(AF_INET, &from.sin_addr, name, sizeof(name)), (int)n, text);
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool tcp = argc == 7 && strcmp(argv[6], "--tcp") == 0;

	if ((argc == 6 || tcp) && strcmp(argv[1], "--send") == 0)
		return forge_send(argv + 2, tcp);
	if (argc == 4 && strcmp(argv[1], "--listen") == 0)
		return forge_listen(argv[2], argv[3]);
	return usage();
}
