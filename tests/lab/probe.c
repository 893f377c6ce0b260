/*
 * The prober of the lab: tries to get packets out of a namespace in every way an unprivileged program can, each with a
 * token that the judge would recognise.
 *
 *   probe --token NSVPNPROBE-x [--kinds LIST] [--rate HZ] [--duration SECONDS] [--target4 A] [--target6 A]
 *         [--server ADDR:PORT] [--dns4 A] [--bind4 A]... [--bind-dev IF]...
 *   probe --connect-once ADDR:PORT [--timeout SECONDS]
 *
 * Every payload is "TOKEN kind sequence". The rate is rounds per second; a round tries every kind once (on every interface
 * or address where the kind means that); rounds that come late are left out, not caught up. It ends after the duration or
 * with SIGTERM and prints one JSON line: per kind how often it tried, how often the kernel took the packet ("sent"), errors
 * by name, and the longest time in ms that an error took to come. Kinds: see the table at the end.
 *
 * icmp4 uses the unprivileged ping socket, which net.ipv4.ping_group_range of the namespace must allow (a fresh one does
 * not), or, for root, a raw one.
 *
 * TCP probes alternate between an ordinary connect (the token follows when it succeeds) and TCP Fast Open without a cookie,
 * which puts the token into the SYN itself: a leaked first packet is then recognised, whoever answers.
 *
 * --connect-once prints "OK 12 ms" or "ENETUNREACH 0 ms"; exit status 0 when connected, else 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/cleanup.h"
#include "base/inaddr.h"
#include "base/parse.h"
#include "base/str.h"

#ifndef TCP_FASTOPEN_NO_COOKIE
#define TCP_FASTOPEN_NO_COOKIE 34
#endif
#define ERRNO_MAX 140
#define LIST_MAX 64
#define PENDING_MAX 512
#define PENDING_USEC (1 * USEC_PER_SEC)
#define UDP_PORT 9999
#define TCP_PORT 80

struct iface {
	unsigned index;
	char name[IF_NAMESIZE];
};

struct local {
	struct endpoint ep; /* port 0 */
	unsigned index;
};

struct stat {
	bool on;
	uint64_t seq, tries, sent;
	uint64_t errors[ERRNO_MAX];
	usec_t slowest_error;
};

struct pending {
	int fd;
	size_t kind;
	bool fast_open;
	usec_t since;
};

struct probe {
	const char *token;
	struct endpoint target4, target6, server, dns4;
	struct local extra_src[LIST_MAX];
	const char *extra_dev[LIST_MAX];
	size_t n_extra_src, n_extra_dev;
	usec_t period, end;

	struct iface ifaces[LIST_MAX];
	struct local locals[LIST_MAX];
	size_t n_ifaces, n_locals;
	usec_t listed_at;

	int connected_fd;
	bool connected;
	int epoll;
	struct pending pending[PENDING_MAX];
	size_t next_pending;
};

struct kind {
	const char *name;
	void (*round)(struct probe *p, size_t kind);
};

static const struct kind kinds[];
static struct stat stats[32];

/* ---- bookkeeping ---- */

static size_t payload(const struct probe *p, size_t kind, char buf[256])
{
	int n = snprintf(buf, 256, "%s %s %" PRIu64 "\n", p->token, kinds[kind].name, stats[kind].seq++);

	return MIN((size_t)MAX(n, 0), (size_t)255);
}

static void note_error(size_t kind, int error, usec_t since)
{
	usec_t took = clock_boottime() - since;

	stats[kind].errors[error > 0 && error < ERRNO_MAX ? error : 0]++;
	stats[kind].slowest_error = MAX(stats[kind].slowest_error, took);
}

/* ---- one datagram ---- */

/* What may be done to a socket before it sends; 0 and NULL mean "not". */
struct how {
	const char *device;              /* SO_BINDTODEVICE */
	const struct endpoint *bind;
	const struct endpoint *pktinfo;  /* source in a control message */
	unsigned pktinfo_index;
	unsigned unicast_if, multicast_if;
	bool broadcast, v4mapped;
};

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int prepare_socket(int fd, int family, const struct how *h)
{
	bool v4 = family == AF_INET;
	struct sockaddr_storage ss;
	socklen_t len;
	int r = 0;

	if (h->v4mapped)
		r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (r == 0 && h->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, h->device, (socklen_t)strlen(h->device)) < 0)
		r = -errno;
	if (r == 0 && h->broadcast)
		r = set_int(fd, SOL_SOCKET, SO_BROADCAST, 1);
	if (r == 0 && h->unicast_if)
		r = set_int(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_UNICAST_IF : IPV6_UNICAST_IF,
			    (int)htonl(h->unicast_if));
	if (r == 0 && h->multicast_if && v4) {
		struct ip_mreqn mreq = { .imr_ifindex = (int)h->multicast_if };

		r = setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &mreq, sizeof(mreq)) < 0 ? -errno : 0;
	} else if (r == 0 && h->multicast_if) {
		r = set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)h->multicast_if);
	}
	if (r == 0 && h->bind) {
		len = endpoint_to_sockaddr(h->bind, &ss);
		(void)set_int(fd, IPPROTO_IP, IP_FREEBIND, 1); /* foreign addresses too, where the kernel lets us */
		r = bind(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
	}
	return r;
}

/* A control message that asks for a source address and an interface; returns its size. */
static size_t make_pktinfo(int family, const struct how *h, char *buf, size_t cap)
{
	struct cmsghdr *c = (struct cmsghdr *)buf;

	memset(buf, 0, cap);
	if (family == AF_INET) {
		struct in_pktinfo info = { .ipi_ifindex = (int)h->pktinfo_index };

		if (h->pktinfo)
			info.ipi_spec_dst = h->pktinfo->addr.in;
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	}
	struct in6_pktinfo info6 = { .ipi6_ifindex = h->pktinfo_index };

	if (h->pktinfo)
		info6.ipi6_addr = h->pktinfo->addr.in6;
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info6));
	memcpy(CMSG_DATA(c), &info6, sizeof(info6));
	return CMSG_SPACE(sizeof(info6));
}

static void v4_to_mapped(const struct endpoint *v4, struct endpoint *ret)
{
	*ret = (struct endpoint){ .addr.family = AF_INET6, .port = v4->port };
	ret->addr.bytes[10] = ret->addr.bytes[11] = 0xff;
	memcpy(ret->addr.bytes + 12, v4->addr.bytes, 4);
}

/* A fresh socket, one datagram, closed. data NULL: the token. */
static void send_udp(struct probe *p, size_t kind, const struct endpoint *to, const struct how *h, const void *data,
		     size_t data_len)
{
	static const struct how plain;
	union {
		struct cmsghdr align;
		char buf[128];
	} control;
	usec_t since = clock_boottime();
	struct endpoint mapped;
	struct sockaddr_storage ss;
	char text[256];
	struct iovec iov = { (void *)data, data_len };
	struct msghdr msg = { .msg_name = &ss, .msg_iov = &iov, .msg_iovlen = 1 };
	int r;

	if (!inaddr_is_set(&to->addr))
		return;
	h = h ? h : &plain;
	if (h->v4mapped) {
		v4_to_mapped(to, &mapped);
		to = &mapped;
	}
	stats[kind].tries++;
	if (!data)
		iov = (struct iovec){ text, payload(p, kind, text) };

	_cleanup_(closep) int fd = socket(to->addr.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	r = fd < 0 ? -errno : prepare_socket(fd, to->addr.family, h);
	if (r == 0) {
		msg.msg_namelen = endpoint_to_sockaddr(to, &ss);
		if (h->pktinfo || h->pktinfo_index) {
			msg.msg_control = control.buf;
			msg.msg_controllen = make_pktinfo(to->addr.family, h, control.buf, sizeof(control.buf));
		}
		r = sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
	}
	if (r < 0)
		note_error(kind, -r, since);
	else
		stats[kind].sent++;
}

/* ---- TCP ---- */

static void drop_pending(struct pending *t)
{
	if (t->fd >= 0)
		(void)close(t->fd); /* also leaves the epoll */
	t->fd = -EBADF;
}

static void send_tcp(struct probe *p, size_t kind, const struct endpoint *to)
{
	bool fast = stats[kind].seq % 2 == 0;
	struct pending *t = &p->pending[p->next_pending];
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, &ss);
	usec_t since = clock_boottime();
	char text[256];
	size_t n;
	int r;

	if (!inaddr_is_set(&to->addr))
		return;
	stats[kind].tries++;
	n = payload(p, kind, text);

	_cleanup_(closep) int fd = socket(to->addr.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		note_error(kind, errno, since);
		return;
	}
	if (fast) {
		(void)set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1); /* without it the SYN is merely empty */
		r = sendto(fd, text, n, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
	} else {
		r = connect(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
	}
	if (r < 0 && r != -EINPROGRESS) {
		note_error(kind, -r, since);
		return;
	}
	stats[kind].sent++;
	drop_pending(t); /* the oldest of many: enough time for it */
	*t = (struct pending){ .fd = TAKE_FD(fd), .kind = kind, .fast_open = fast, .since = since };
	(void)epoll_ctl(p->epoll, EPOLL_CTL_ADD, t->fd,
			&(struct epoll_event){ .events = EPOLLOUT, .data.u64 = p->next_pending }); /* else it just expires */
	p->next_pending = (p->next_pending + 1) % PENDING_MAX;
}

static void on_tcp_event(struct probe *p, struct pending *t)
{
	socklen_t len = sizeof(int);
	char text[256];
	int error = 0;

	if (t->fd < 0)
		return;
	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error)
		note_error(t->kind, error, t->since);
	else if (!t->fast_open)
		(void)send(t->fd, text, payload(p, t->kind, text), MSG_NOSIGNAL); /* connected: that alone says enough */
	drop_pending(t);
}

static void expire_pending(struct probe *p, usec_t now)
{
	for (size_t i = 0; i < PENDING_MAX; i++)
		if (p->pending[i].fd >= 0 && now - p->pending[i].since > PENDING_USEC)
			drop_pending(&p->pending[i]);
}

/* ---- what there is ---- */

static void list_interfaces(struct probe *p)
{
	struct if_nameindex *all = if_nameindex();
	struct ifaddrs *addrs = NULL;

	p->n_ifaces = p->n_locals = 0;
	for (size_t i = 0; all && all[i].if_index && p->n_ifaces < LIST_MAX; i++) {
		struct iface *f = &p->ifaces[p->n_ifaces++];

		f->index = all[i].if_index;
		(void)str_copy(f->name, sizeof(f->name), all[i].if_name); /* the kernel's own size */
	}
	if (all)
		if_freenameindex(all);
	if (getifaddrs(&addrs) < 0)
		return;
	for (struct ifaddrs *a = addrs; a && p->n_locals < LIST_MAX; a = a->ifa_next) {
		struct local *l = &p->locals[p->n_locals];

		if (!a->ifa_addr || endpoint_from_sockaddr(a->ifa_addr, a->ifa_addr->sa_family == AF_INET ?
				sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6), &l->ep) < 0)
			continue;
		l->index = if_nametoindex(a->ifa_name);
		p->n_locals++;
	}
	freeifaddrs(addrs);
}

static const struct endpoint *target_of(const struct probe *p, int family)
{
	return family == AF_INET ? &p->target4 : &p->target6;
}

/* ---- the kinds ---- */

static void round_udp4(struct probe *p, size_t kind)
{
	send_udp(p, kind, &p->target4, NULL, NULL, 0);
}

static void round_udp6(struct probe *p, size_t kind)
{
	send_udp(p, kind, &p->target6, NULL, NULL, 0);
}

static void round_tcp(struct probe *p, size_t kind, const struct endpoint *target)
{
	struct endpoint to = *target;

	to.port = TCP_PORT;
	send_tcp(p, kind, &to);
}

static void round_tcp4(struct probe *p, size_t kind)
{
	round_tcp(p, kind, &p->target4);
}

static void round_tcp6(struct probe *p, size_t kind)
{
	round_tcp(p, kind, &p->target6);
}

/* One socket from the start on, as long-lived programs have it: it keeps the route it once got. */
static void round_conn_udp4(struct probe *p, size_t kind)
{
	usec_t since = clock_boottime();
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&p->target4, &ss);
	char text[256];

	if (p->connected_fd < 0 || !inaddr_is_set(&p->target4.addr))
		return;
	stats[kind].tries++;
	if (!p->connected && connect(p->connected_fd, (struct sockaddr *)&ss, len) < 0) {
		note_error(kind, errno, since);
		return;
	}
	p->connected = true;
	if (send(p->connected_fd, text, payload(p, kind, text), MSG_NOSIGNAL) < 0)
		note_error(kind, errno, since);
	else
		stats[kind].sent++;
}

static uint16_t internet_checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The unprivileged ping socket where the group range allows it, else (for root) a raw one. */
static void round_icmp4(struct probe *p, size_t kind)
{
	usec_t since = clock_boottime();
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&p->target4, &ss);
	uint8_t packet[8 + 256] = { ICMP_ECHO };
	uint16_t sum;
	size_t n;

	if (!inaddr_is_set(&p->target4.addr))
		return;
	stats[kind].tries++;

	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);

	if (fd < 0)
		fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);
	if (fd < 0) {
		note_error(kind, errno, since);
		return;
	}
	n = 8 + payload(p, kind, (char *)packet + 8);
	sum = internet_checksum(packet, n);
	packet[2] = (uint8_t)(sum >> 8);
	packet[3] = (uint8_t)sum;
	if (sendto(fd, packet, n, MSG_NOSIGNAL, (struct sockaddr *)&ss, len) < 0)
		note_error(kind, errno, since);
	else
		stats[kind].sent++;
}

static void round_bindtodevice(struct probe *p, size_t kind)
{
	for (size_t i = 0; i < p->n_ifaces + p->n_extra_dev; i++) {
		struct how h = { .device = i < p->n_ifaces ? p->ifaces[i].name : p->extra_dev[i - p->n_ifaces] };

		send_udp(p, kind, &p->target4, &h, NULL, 0);
		send_udp(p, kind, &p->target6, &h, NULL, 0);
	}
}

static void round_bindsrc(struct probe *p, size_t kind)
{
	for (size_t i = 0; i < p->n_locals + p->n_extra_src; i++) {
		const struct local *l = i < p->n_locals ? &p->locals[i] : &p->extra_src[i - p->n_locals];
		struct how h = { .bind = &l->ep };

		send_udp(p, kind, target_of(p, l->ep.addr.family), &h, NULL, 0);
		if (p->server.addr.family == l->ep.addr.family) /* the one destination with a route of its own */
			send_udp(p, kind, &p->server, &h, NULL, 0);
	}
}

static void round_pktinfo(struct probe *p, size_t kind)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		struct how h = { .pktinfo_index = p->ifaces[i].index };

		send_udp(p, kind, &p->target4, &h, NULL, 0);
		send_udp(p, kind, &p->target6, &h, NULL, 0);
	}
	for (size_t i = 0; i < p->n_locals; i++) {
		const struct local *l = &p->locals[i];
		struct how source = { .pktinfo = &l->ep }, both = { .pktinfo = &l->ep, .pktinfo_index = l->index };

		send_udp(p, kind, target_of(p, l->ep.addr.family), &source, NULL, 0);
		send_udp(p, kind, target_of(p, l->ep.addr.family), &both, NULL, 0);
	}
}

static void round_unicast_if(struct probe *p, size_t kind)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		struct how h = { .unicast_if = p->ifaces[i].index };

		send_udp(p, kind, &p->target4, &h, NULL, 0);
		send_udp(p, kind, &p->target6, &h, NULL, 0);
	}
}

/* The server's own address is the one hole in the lock: other ports of it, and its port from other sockets. */
static void round_server(struct probe *p, size_t kind, void (*send_one)(struct probe *, size_t, const struct endpoint *))
{
	const uint16_t ports[] = { p->server.port, (uint16_t)(p->server.port + 1), 53, 9999 };

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		struct endpoint to = p->server;

		to.port = ports[i];
		send_one(p, kind, &to);
	}
}

static void send_plain_udp(struct probe *p, size_t kind, const struct endpoint *to)
{
	send_udp(p, kind, to, NULL, NULL, 0);
}

static void round_server_udp(struct probe *p, size_t kind)
{
	round_server(p, kind, send_plain_udp);
}

/* The server's very tuple, out of every interface: what only the engine's packets may be. */
static void round_server_dev(struct probe *p, size_t kind)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		struct how h = { .device = p->ifaces[i].name };

		send_udp(p, kind, &p->server, &h, NULL, 0);
	}
}

static void round_server_tcp(struct probe *p, size_t kind)
{
	round_server(p, kind, send_tcp);
}

static void send_literal(struct probe *p, size_t kind, const char *text, const struct how *h, unsigned scope)
{
	struct endpoint to;

	if (endpoint_parse(text, &to) < 0)
		abort(); /* a literal of this file */
	to.scope_id = scope;
	send_udp(p, kind, &to, h, NULL, 0);
}

static void round_mcast(struct probe *p, size_t kind)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		unsigned index = p->ifaces[i].index;
		struct how h = { .multicast_if = index };

		send_literal(p, kind, "224.0.0.251:5353", &h, 0);
		send_literal(p, kind, "239.255.255.250:1900", &h, 0);
		send_literal(p, kind, "[ff02::fb]:5353", &h, index);
	}
}

static void round_bcast(struct probe *p, size_t kind)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		struct how h = { .device = p->ifaces[i].name, .broadcast = true };

		send_literal(p, kind, "255.255.255.255:9999", &h, 0);
	}
}

/* A query whose name holds the token as a label of its own. */
static size_t make_query(const struct probe *p, size_t kind, uint8_t *buf, size_t cap)
{
	struct writer w = writer_init(buf, cap);
	char first[64];
	const char *labels[] = { first, p->token, "probe", "example", "net" };

	(void)snprintf(first, sizeof(first), "q%" PRIu64, stats[kind].seq++);
	write_be16(&w, (uint16_t)stats[kind].seq);
	write_be16(&w, 0x0100); /* recursion desired */
	write_be16(&w, 1);
	write_be32(&w, 0);
	write_be16(&w, 0);
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		size_t n = MIN(strlen(labels[i]), (size_t)63);

		write_u8(&w, (uint8_t)n);
		write_bytes(&w, labels[i], n);
	}
	write_u8(&w, 0);
	write_be16(&w, 1); /* A */
	write_be16(&w, 1); /* IN */
	return w.failed ? 0 : w.len;
}

static void round_dns(struct probe *p, size_t kind)
{
	static const struct endpoint public_one = { .addr = { AF_INET, { .bytes = { 8, 8, 8, 8 } } }, .port = 53 };
	uint8_t query[512];
	size_t n = make_query(p, kind, query, sizeof(query));

	send_udp(p, kind, &p->dns4, NULL, query, n);
	send_udp(p, kind, &public_one, NULL, query, n);
}

static void round_v4mapped(struct probe *p, size_t kind)
{
	struct how h = { .v4mapped = true };
	struct endpoint mapped;

	if (!inaddr_is_set(&p->target4.addr))
		return;
	send_udp(p, kind, &p->target4, &h, NULL, 0);
	v4_to_mapped(&p->target4, &mapped);
	round_tcp(p, kind, &mapped);
}

static void round_linklocal6(struct probe *p, size_t kind)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		send_literal(p, kind, "[ff02::1]:9999", NULL, p->ifaces[i].index);
		send_literal(p, kind, "[fe80::1]:9999", NULL, p->ifaces[i].index);
	}
}

static const struct kind kinds[] = {
	{ "udp4", round_udp4 },
	{ "udp6", round_udp6 },
	{ "tcp4", round_tcp4 },
	{ "tcp6", round_tcp6 },
	{ "conn-udp4", round_conn_udp4 },       /* one connected socket, opened at the start */
	{ "icmp4", round_icmp4 },
	{ "bindtodevice", round_bindtodevice }, /* SO_BINDTODEVICE to every interface */
	{ "bindsrc", round_bindsrc },           /* bind to every local address; also towards the server */
	{ "pktinfo", round_pktinfo },           /* source and interface by control message */
	{ "unicast-if", round_unicast_if },
	{ "server-udp", round_server_udp },     /* the server's address: its port, the next, 53, 9999 */
	{ "server-tcp", round_server_tcp },
	{ "server-dev", round_server_dev },     /* the server's address and port, out of every interface */
	{ "mcast", round_mcast },               /* mDNS and SSDP on every interface */
	{ "bcast", round_bcast },
	{ "dns", round_dns },
	{ "v4mapped", round_v4mapped },
	{ "linklocal6", round_linklocal6 },
};
static_assert(ARRAY_SIZE(kinds) <= ARRAY_SIZE(stats), "a counter for each kind");

/* ---- the loop ---- */

static void one_round(struct probe *p, usec_t now)
{
	if (now - p->listed_at > 50 * USEC_PER_MSEC) { /* interfaces come and go while a tunnel is built */
		list_interfaces(p);
		p->listed_at = now;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (stats[i].on)
			kinds[i].round(p, i);
}

static void run(struct probe *p, int signals)
{
	usec_t next = clock_boottime(), swept = next;
	struct epoll_event events[64];

	(void)epoll_ctl(p->epoll, EPOLL_CTL_ADD, signals,
			&(struct epoll_event){ .events = EPOLLIN, .data.u64 = PENDING_MAX }); /* fresh and valid */
	for (;;) {
		usec_t now = clock_boottime();
		struct timespec wait = { 0 };
		int n;

		if (now >= p->end)
			return;
		if (now >= next) {
			one_round(p, now);
			now = clock_boottime();
			next = MAX(next + p->period, now);
		}
		if (now - swept > 100 * USEC_PER_MSEC) {
			expire_pending(p, now);
			swept = now;
		}
		if (MIN(next, p->end) > now) { /* a round may have taken longer than there was time */
			wait.tv_sec = (time_t)((MIN(next, p->end) - now) / USEC_PER_SEC);
			wait.tv_nsec = (long)((MIN(next, p->end) - now) % USEC_PER_SEC * 1000);
		}
		n = epoll_pwait2(p->epoll, events, ARRAY_SIZE(events), &wait, NULL);
		for (int i = 0; i < n; i++) {
			if (events[i].data.u64 == PENDING_MAX)
				return;
			on_tcp_event(p, &p->pending[events[i].data.u64]);
		}
	}
}

static const char *errno_name(int error)
{
	const char *name = strerrorname_np(error);

	return error && name ? name : "unknown";
}

static void report(const struct probe *p, usec_t took)
{
	struct strbuf b = { 0 };
	const char *comma = "";

	strbuf_addf(&b, "{\"token\":\"%s\",\"seconds\":%.3f,\"kinds\":{", p->token, (double)took / 1e6);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *between = "";

		if (!stats[i].on)
			continue;
		strbuf_addf(&b, "%s\"%s\":{\"tries\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"errors\":{", comma, kinds[i].name,
			    stats[i].tries, stats[i].sent);
		for (int e = 0; e < ERRNO_MAX; e++)
			if (stats[i].errors[e]) {
				strbuf_addf(&b, "%s\"%s\":%" PRIu64, between, errno_name(e), stats[i].errors[e]);
				between = ",";
			}
		strbuf_addf(&b, "},\"max_error_ms\":%" PRIu64 "}", stats[i].slowest_error / 1000);
		comma = ",";
	}
	strbuf_add(&b, "}}");

	_cleanup_(freep) char *line = strbuf_take(&b);

	(void)puts(line ? line : "{}");
}

/* ---- --connect-once ---- */

static int connect_once(const struct endpoint *to, usec_t timeout)
{
	_cleanup_(closep) int fd = socket(to->addr.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	usec_t since = clock_boottime();
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, &ss);
	int error = 0;

	if (fd < 0) {
		error = errno;
	} else if (connect(fd, (struct sockaddr *)&ss, len) < 0) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		error = errno;
		if (error == EINPROGRESS) {
			len = sizeof(error);
			if (poll(&p, 1, (int)(timeout / 1000)) <= 0)
				error = ETIMEDOUT;
			else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
				error = errno;
		}
	}
	(void)printf("%s %" PRIu64 " ms\n", error ? errno_name(error) : "OK", (clock_boottime() - since) / 1000);
	return error ? 1 : 0;
}

/* ---- command line ---- */

static _noreturn_ void usage(const char *why, const char *what)
{
	(void)fprintf(stderr, "probe: %s%s\nusage: probe --token NSVPNPROBE-x [--kinds LIST] [--rate HZ] [--duration SECONDS] "
			      "[--target4 A] [--target6 A] [--server ADDR:PORT] [--dns4 A] [--bind4 A]... [--bind-dev IF]...\n"
			      "       probe --connect-once ADDR:PORT [--timeout SECONDS]\n", why, what);
	exit(2);
}

static void want_kinds(char *list)
{
	for (char *name = strsep(&list, ","); name; name = strsep(&list, ",")) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			if (str_eq(name, kinds[i].name))
				known = stats[i].on = true;
		if (!known)
			usage("unknown kind ", name);
	}
}

static void want_address(const char *text, int family, uint16_t port, struct endpoint *ret)
{
	if (inaddr_parse(text, &ret->addr) < 0 || ret->addr.family != family)
		usage("cannot read the address ", text);
	ret->port = port;
}

/* A number with a fraction, such as 0.5, as microseconds. */
static usec_t want_seconds(const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (*end || !(v > 0 && v < 1e9))
		usage("cannot read the number ", text);
	return (usec_t)(v * 1e6);
}

static void parse_option(struct probe *p, const char *arg, char *value)
{
	uint32_t n;

	if (str_eq(arg, "--token"))
		p->token = value;
	else if (str_eq(arg, "--kinds"))
		want_kinds(value);
	else if (str_eq(arg, "--rate") && parse_u32(value, 1, 100000, &n) == 0)
		p->period = USEC_PER_SEC / n;
	else if (str_eq(arg, "--duration"))
		p->end = want_seconds(value);
	else if (str_eq(arg, "--target4"))
		want_address(value, AF_INET, UDP_PORT, &p->target4);
	else if (str_eq(arg, "--target6"))
		want_address(value, AF_INET6, UDP_PORT, &p->target6);
	else if (str_eq(arg, "--dns4"))
		want_address(value, AF_INET, 53, &p->dns4);
	else if (str_eq(arg, "--bind4") && p->n_extra_src < LIST_MAX)
		want_address(value, AF_INET, 0, &p->extra_src[p->n_extra_src++].ep);
	else if (str_eq(arg, "--bind-dev") && p->n_extra_dev < LIST_MAX)
		p->extra_dev[p->n_extra_dev++] = value;
	else if (!str_eq(arg, "--server") || endpoint_parse(value, &p->server) < 0)
		usage("cannot read ", arg);
}

static void check_token(const struct probe *p)
{
	if (!p->token || !str_has_prefix(p->token, "NSVPNPROBE") || strlen(p->token) > 63 ||
	    strspn(p->token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != strlen(p->token))
		usage("--token is NSVPNPROBE and letters, digits, - _ . behind it, at most 63 in all", "");
}

static void start(struct probe *p, int *ret_signals)
{
	struct rlimit files;
	sigset_t set;
	bool any = false;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	*ret_signals = signalfd(-1, &set, SFD_CLOEXEC);
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (*ret_signals < 0 || p->epoll < 0) {
		perror("probe");
		exit(2);
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files); /* the soft limit serves too, with EMFILE in the report */
	}
	for (size_t i = 0; i < PENDING_MAX; i++)
		p->pending[i].fd = -EBADF;
	p->connected_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		any = any || stats[i].on;
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && !any; i++)
		stats[i].on = true;
}

int main(int argc, char **argv)
{
	static struct probe p = { .period = USEC_PER_SEC / 10, .end = USEC_INFINITY };
	usec_t timeout = 5 * USEC_PER_SEC, began;
	struct endpoint once = { 0 };
	int signals;

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc)
			usage("a value is missing behind ", argv[i]);
		if (str_eq(argv[i], "--timeout"))
			timeout = want_seconds(argv[i + 1]);
		else if (!str_eq(argv[i], "--connect-once"))
			parse_option(&p, argv[i], argv[i + 1]);
		else if (endpoint_parse(argv[i + 1], &once) < 0)
			usage("cannot read ", argv[i + 1]);
	}
	if (once.port)
		return connect_once(&once, timeout);

	check_token(&p);
	start(&p, &signals);
	began = clock_boottime();
	if (p.end != USEC_INFINITY)
		p.end += began;
	run(&p, signals);
	report(&p, clock_boottime() - began);
	return 0;
}
