/*
 * An engine that somebody has taken over (t-badengine.sh, invariant 44). It is no part of the product: the lab puts it as
 * `nsvpn-engine` beside a copy of nsvpnd, which finds its engine there.
 *
 *   badengine --list [GROUP]     one line for each act: name, group, "killed" or "answered"
 *
 * Started by nsvpnd it looks for three files in its own folder:
 *   script   an act per line; absent: it becomes nsvpn-engine.real, so that other tunnels have an honest engine
 *   report   "life N ACT" when an act begins, "alive N ACT: WORDS" when it ends and the helper has not killed us
 *   count    one byte for each message sent
 * Every life does the act of the next line, after an honest start as far as the act wants one. When the script is used up
 * it parks: connects with the same plain settings as always and keeps still, so that the lab can compare.
 *
 * Theory. What an attacker in the engine has is the real sandbox (the same sandbox.c), the control socket, tun and transport
 * socket. So acts are: messages in every form, order and amount, descriptors sent along, system calls, packets on the
 * transport socket to others than the server, packets that come out of the tun. Whatever the helper does not kill must be
 * harmless; the lab looks at the machine, not at us.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/inaddr.h"
#include "base/str.h"
#include "engine/sandbox.h"
#include "ipc/ipc.h"

#define PATIENCE_MSEC 8000
#define FLOOD_USEC (3 * USEC_PER_SEC)
#define TUN_VNET_HDR_LEN 10 /* struct virtio_net_hdr */
#define TOKEN "NSVPNPROBE-bad"

enum phase { AT_HELLO, AT_IDLE, AT_SOCKET, AT_APPLIED, AT_CONNECTED };

struct bad {
	unsigned life;
	int report, count;
	int sock, tun, profile, transport;
	uint8_t offload;
	uint32_t seq;
	uint64_t rng;
	struct inaddr inner; /* the transport's own address: with uplink=veth that of the veth's end inside */
};

struct act {
	const char *name, *group;
	bool killed;
	enum phase phase;
	void (*fn)(struct bad *b, const struct act *a);
	long arg, arg2;
	const char *text;
};

/* ---- saying --------------------------------------------------------------------------------------------------------- */

_printf_(2, 3) static void report(struct bad *b, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0)
		(void)fd_write_full(b->report, line, MIN((size_t)n, sizeof(line) - 1)); /* the lab misses what does not come */
}

static uint64_t next_random(struct bad *b)
{
	b->rng ^= b->rng << 13;
	b->rng ^= b->rng >> 7;
	b->rng ^= b->rng << 17;
	return b->rng;
}

static unsigned below(struct bad *b, unsigned n)
{
	return (unsigned)(next_random(b) >> 11) % n;
}

/* Any bytes with any number of descriptors; blocks while the helper does not listen. */
static int send_raw(struct bad *b, const void *buf, size_t len, const int *fds, size_t n_fds)
{
	struct iovec iov = { (void *)buf, len };
	_cleanup_(freep) char *control = calloc(1, CMSG_SPACE(sizeof(int) * (n_fds + 1)));
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (!control)
		return -ENOMEM;
	if (n_fds > 0) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)control;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
		h.msg_control = control;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	}
	(void)fd_write_full(b->count, ".", 1); /* as report() */
	return sendmsg(b->sock, &h, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int say(struct bad *b, const struct ipc_msg *m)
{
	uint8_t buf[IPC_MSG_MAX];
	ssize_t len = ipc_msg_encode(m, buf, sizeof(buf));

	return len < 0 ? (int)len : send_raw(b, buf, (size_t)len, NULL, 0);
}

/* One message from the helper, or < 0. What comes along goes where an engine keeps it. */
static int hear(struct bad *b, struct ipc_msg *ret, int timeout_msec)
{
	struct pollfd p = { .fd = b->sock, .events = POLLIN };
	int fds[8];
	size_t n = 0;
	int r;

	if (poll(&p, 1, timeout_msec) <= 0)
		return -ETIMEDOUT;
	r = ipc_recv(b->sock, ret, fds, &n);
	if (r <= 0)
		return r < 0 ? r : -EPIPE;
	if (ret->type == IPC_CMD_START && n == 2) {
		b->profile = fds[0];
		b->tun = fds[1];
		b->offload = ret->start.tun_offload;
	} else if (ret->type == IPC_ANS_SOCKET && n == 1) {
		b->transport = fds[0];
	} else {
		for (size_t i = 0; i < n; i++)
			fd_close(fds[i]);
	}
	return 0;
}

/* The answer of this type; in between the helper may ask for figures. */
static int await(struct bad *b, enum ipc_type type, struct ipc_msg *ret)
{
	int r;

	do {
		r = hear(b, ret, PATIENCE_MSEC);
		if (r == 0 && ret->type == IPC_CMD_STATS)
			r = say(b, &(struct ipc_msg){ .type = IPC_REQ_STATS });
	} while (r == 0 && ret->type != type);
	return r;
}

static int ask_socket(struct bad *b, uint16_t remote, uint16_t address, struct ipc_msg *ret)
{
	struct ipc_msg m = { .type = IPC_REQ_SOCKET, .req_socket = { ++b->seq, remote, address } };
	int r = say(b, &m);

	return r < 0 ? r : await(b, IPC_ANS_SOCKET, ret);
}

static int ask_settings(struct bad *b, const struct settings *s, struct ipc_msg *ret)
{
	struct ipc_msg m = { .type = IPC_REQ_SETTINGS, .req_settings = { ++b->seq, *s } };
	int r = say(b, &m);

	return r < 0 ? r : await(b, IPC_ANS_SETTINGS, ret);
}

static struct settings plain_settings(void)
{
	struct settings s = { .n_addrs = 1, .mtu = 1234, .default4 = true, .n_dns = 1, .n_search = 1 };

	(void)inprefix_parse("10.66.0.2/24", &s.addrs[0]); /* all literals */
	(void)inaddr_parse("10.66.0.1", &s.dns[0]);
	(void)strcpy(s.search[0], "markmarkmark");
	return s;
}

static int say_connected(struct bad *b)
{
	return say(b, &(struct ipc_msg){ .type = IPC_REQ_STATE,
					 .req_state = { .state = ENGINE_STATE_CONNECTED, .fail = 0xff, .cipher = "NONE" } });
}

/* As an honest engine would, up to this phase. */
static int behave(struct bad *b, enum phase phase)
{
	struct settings s = plain_settings();
	struct ipc_msg m;
	struct sockaddr_storage sa;
	struct endpoint self;
	socklen_t len = sizeof(sa);
	int r = 0;

	if (phase >= AT_IDLE) {
		r = say(b, &(struct ipc_msg){ .type = IPC_REQ_HELLO });
		if (r >= 0)
			r = await(b, IPC_CMD_START, &m);
	}
	if (r >= 0 && phase >= AT_SOCKET) {
		r = ask_socket(b, 0, 0, &m);
		if (r >= 0 && !m.ans_socket.ok)
			r = -ENOTCONN;
		if (r >= 0 && getsockname(b->transport, (struct sockaddr *)&sa, &len) == 0 &&
		    endpoint_from_sockaddr((struct sockaddr *)&sa, len, &self) == 0)
			b->inner = self.addr;
	}
	if (r >= 0 && phase >= AT_APPLIED) {
		r = ask_settings(b, &s, &m);
		if (r >= 0 && !m.ans_settings.ok)
			r = -EINVAL;
	}
	return r >= 0 && phase >= AT_CONNECTED ? say_connected(b) : r;
}

static void park(struct bad *b)
{
	struct ipc_msg m;

	report(b, "parked %u\n", b->life);
	while (hear(b, &m, -1) == 0 && m.type != IPC_CMD_STOP)
		if (m.type == IPC_CMD_STATS)
			(void)say(b, &(struct ipc_msg){ .type = IPC_REQ_STATS }); /* the next hear() notices the end */
}

/* ---- a message in the wrong phase, or of the wrong direction ------------------------------------------------------- */

static struct ipc_msg some_message(enum ipc_type type)
{
	struct ipc_msg m = { .type = type };

	if (type == IPC_REQ_SETTINGS)
		m.req_settings.settings = plain_settings();
	if (type == IPC_REQ_STATE)
		m.req_state = (struct ipc_req_state){ .state = ENGINE_STATE_CONNECTED, .fail = 0xff };
	if (type == IPC_CMD_START) {
		(void)strcpy(m.start.tunnel, "other");
		m.start.tun_mtu_max = 1500;
	}
	return m;
}

static void do_message(struct bad *b, const struct act *a)
{
	struct ipc_msg m = some_message((enum ipc_type)a->arg);

	(void)say(b, &m); /* what follows is what counts */
}

static void do_socket_twice(struct bad *b, const struct act *a _unused_)
{
	struct ipc_msg m = { .type = IPC_REQ_SOCKET, .req_socket = { 1, 0, 0 } };

	for (int i = 0; i < 20; i++)
		(void)say(b, &m); /* as do_message() */
}

static void do_socket_remote(struct bad *b, const struct act *a)
{
	(void)say(b, &(struct ipc_msg){ .type = IPC_REQ_SOCKET, .req_socket = { 1, (uint16_t)a->arg, 0 } }); /* as above */
}

/* ---- malformed ------------------------------------------------------------------------------------------------------ */

/* A good message of this type in which, `arg2` bytes behind the first `find` (or behind its start), stands something else. */
struct patch {
	enum ipc_type type;
	const char *find;
	size_t n_find;
	int skip;
	const char *put;
	size_t n_put;
};
#define B(s) s, sizeof(s) - 1
#define MARK "markmarkmark"
#define MTU "\0\0\4\xd2"
#define ADDR "\x0a\x42\0\2"

static const struct patch patches[] = {
	{ IPC_REQ_LOG, B(""), 0, B("\2") },              /* version */
	{ IPC_REQ_LOG, B(""), 1, B("\0") },              /* types that are none */
	{ IPC_REQ_LOG, B(""), 1, B("\xff") },
	{ IPC_REQ_LOG, B(""), 2, B("\xff") },            /* level */
	{ IPC_REQ_LOG, B(MARK), 0, B("a\nb") },          /* texts */
	{ IPC_REQ_LOG, B(MARK), 0, B("a\0b") },
	{ IPC_REQ_LOG, B(MARK), 0, B("\x1b[2J") },
	{ IPC_REQ_LOG, B(MARK), 0, B("\xc0\xaf\xff") },
	{ IPC_REQ_LOG, B(MARK), -2, B("\xff\xff") },     /* a length beyond the message */
	{ IPC_REQ_STATE, B(""), 2, B("\xff") },
	{ IPC_REQ_STATE, B(""), 3, B("\xc8") },
	{ IPC_REQ_STATE, B(""), 4, B("\xff\xff") },
	{ IPC_REQ_SOCKET, B(""), 6, B("\xff\xff") },
	{ IPC_REQ_FAILED, B(""), 2, B("\xff") },
	{ IPC_REQ_AUTH, B(""), 6, B("\2") },
	{ IPC_REQ_SETTINGS, B(MTU), 0, B("\0\0\0\0") },  /* MTU */
	{ IPC_REQ_SETTINGS, B(MTU), 0, B("\0\0\2\x3f") },
	{ IPC_REQ_SETTINGS, B(MTU), 0, B("\0\1\0\0") },
	{ IPC_REQ_SETTINGS, B(MTU), 0, B("\xff\xff\xff\xff") },
	{ IPC_REQ_SETTINGS, B(MTU), 4, B("\2") },        /* a bool */
	{ IPC_REQ_SETTINGS, B(MTU), 7, B("\1\1") },      /* number of routes: 257, and more than there are */
	{ IPC_REQ_SETTINGS, B(MTU), 7, B("\xff\xff") },
	{ IPC_REQ_SETTINGS, B(ADDR), -3, B("\0\5") },    /* number of addresses */
	{ IPC_REQ_SETTINGS, B(ADDR), -1, B("\7") },      /* family */
	{ IPC_REQ_SETTINGS, B(ADDR), 4, B("\x21") },     /* prefix length */
	{ IPC_REQ_SETTINGS, B(MARK), 0, B("x;id>/tmp/x|") },
	{ IPC_REQ_SETTINGS, B(MARK), 0, B("../../../etc") },
	{ IPC_REQ_SETTINGS, B(MARK), 0, B("a\nnameserver") },
	{ IPC_REQ_SETTINGS, B(MARK), 0, B("%n%n$(id)`id`") },
};

static void do_patched(struct bad *b, const struct act *a)
{
	const struct patch *p = &patches[a->arg];
	struct ipc_msg m = some_message(p->type);
	uint8_t buf[IPC_MSG_MAX], *at;
	ssize_t len;

	if (p->type == IPC_REQ_LOG)
		(void)strcpy(m.req_log.text, MARK);
	len = ipc_msg_encode(&m, buf, sizeof(buf));
	at = len < 0 ? NULL : p->n_find ? memmem(buf, (size_t)len, p->find, p->n_find) : buf;
	if (!at) {
		report(b, "alive %u %s: it cannot be made\n", b->life, a->name);
		return;
	}
	memcpy(at + p->skip, p->put, p->n_put);
	(void)send_raw(b, buf, (size_t)len, NULL, 0); /* as do_message() */
}

/* A whole message and `arg` bytes more or less. */
static void do_length(struct bad *b, const struct act *a)
{
	static uint8_t buf[IPC_MSG_MAX * 2];
	struct ipc_msg m = some_message(IPC_REQ_SETTINGS);
	ssize_t len = ipc_msg_encode(&m, buf, sizeof(buf));
	size_t want = a->arg2 ? (size_t)a->arg2 : (size_t)(len + a->arg);

	(void)send_raw(b, buf, want == 1 ? 0 : want, NULL, 0); /* as do_message() */
}

static void do_descriptors(struct bad *b, const struct act *a)
{
	struct ipc_msg m = { .type = IPC_REQ_LOG, .req_log = { .level = 3, .text = MARK } };
	uint8_t buf[IPC_MSG_MAX];
	ssize_t len = ipc_msg_encode(&m, buf, sizeof(buf));
	int fds[250];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = i % 3 == 0 ? b->tun : i % 3 == 1 ? b->transport : b->sock;
	for (int i = 0; i < 50; i++)
		(void)send_raw(b, buf, (size_t)len, fds, (size_t)a->arg); /* as do_message() */
}

/* ---- settings ------------------------------------------------------------------------------------------------------- */

/* Changes to the plain settings, one letter each: Address, Route, Dns, Peer, Mtu, six; '=': the veth's inner address +N. */
static bool change(struct bad *b, struct settings *s, const char *text)
{
	struct inprefix p;

	if (text[0] == 'm') {
		s->mtu = (uint32_t)strtoul(text + 1, NULL, 10);
		return true;
	}
	if (text[1] == '=') {
		if (b->inner.family != AF_INET)
			return false;
		p.addr = b->inner;
		p.addr.bytes[3] = (uint8_t)(p.addr.bytes[3] + atoi(text + 3));
		p.len = (uint8_t)(text[0] == 'r' ? 30 + (text[2] - '0') : 32);
		inprefix_mask(&p);
	} else if (inprefix_parse(text + 1, &p) < 0) {
		return false;
	}
	switch (text[0]) {
	case 'a':
		s->addrs[0] = p;
		return true;
	case '6': /* besides the plain one */
		s->addrs[1] = p;
		s->n_addrs = 2;
		s->default6 = true;
		return true;
	case 'r':
		s->routes[0] = p;
		s->n_routes = 1;
		return true;
	case 'd':
		s->dns[0] = p.addr;
		return true;
	case 'p':
		s->peer4 = p.addr;
		return true;
	}
	return false;
}

/* Each must be answered with no. */
static const char *const refused_settings[] = {
	"a127.0.0.1/8", "a0.0.0.0/24", "a224.0.0.1/24", "a255.255.255.255/32", "a10.66.0.2/0", "6::1/128", "6ff02::1/64",
	"6::/64", "6::ffff:192.0.2.1/128", "r127.0.0.0/8", "r127.0.0.53/32", "r224.0.0.0/8", "r255.255.255.255/32", "rff00::/8",
	"r::1/128", "d127.0.0.1", "d127.0.0.53", "d169.254.169.254", "d224.0.0.251", "d0.0.0.0", "d255.255.255.255", "dfe80::1",
	"d::1", "p127.0.0.1", "p255.255.255.255",
};
/* With uplink=veth, where the veth's own subnet is touched. */
static const char *const refused_veth[] = { "a=2+0", "a=2+1", "a=2-1", "r=0+0", "r=1+0", "r=2+0", "r=2+1", "d=2+0", "d=2+1", "d=2-1", "p=2+1" };
/* Each may be taken; all it does happens in the tunnel's own namespace. */
static const char *const wild_settings[] = {
	"m576", "m1280", "m65535", "a192.168.77.2/24", "a192.168.77.1/32", "a198.51.100.10/32", "a10.10.0.2/24", "a203.0.113.53/8",
	"62001:db8:77::2/64", "6fe80::1/64", "r0.0.0.0/1", "r128.0.0.0/1", "r192.168.77.0/24", "r198.51.100.10/32", "r10.0.0.0/8",
	"r169.254.0.0/16", "r203.0.113.53/32", "r2000::/3", "rfe80::/10", "d203.0.113.53", "d192.168.77.1", "d198.51.100.10",
	"p192.168.77.1", "p198.51.100.10",
};

static void many_routes(struct settings *s)
{
	s->n_routes = SETTINGS_ROUTES_MAX;
	for (unsigned i = 0; i < s->n_routes; i++)
		s->routes[i] = (struct inprefix){ .addr = { .family = AF_INET, .bytes = { 192, 168, (uint8_t)i, 0 } }, .len = 24 };
}

static void do_refused(struct bad *b, const struct act *a)
{
	const char *const *v = a->arg ? refused_veth : refused_settings;
	size_t n = a->arg ? ARRAY_SIZE(refused_veth) : ARRAY_SIZE(refused_settings), tried = 0;
	struct ipc_msg m;

	for (size_t i = 0; i < n; i++) {
		struct settings s = plain_settings();
		int r;

		if (!change(b, &s, v[i]))
			continue;
		tried++;
		r = ask_settings(b, &s, &m);
		if (r < 0 || m.ans_settings.ok)
			report(b, "wrong: %s was %s\n", v[i], r < 0 ? "deadly" : "taken");
	}
	report(b, "alive %u %s: %zu refused\n", b->life, a->name, tried);
}

static void do_wild(struct bad *b, const struct act *a)
{
	unsigned taken = 0, refused = 0;
	struct ipc_msg m;

	for (size_t i = 0; i <= ARRAY_SIZE(wild_settings); i++) {
		struct settings s = plain_settings();

		if (i == ARRAY_SIZE(wild_settings))
			many_routes(&s);
		else if (!change(b, &s, wild_settings[i]))
			report(b, "wrong: %s is no setting\n", wild_settings[i]);
		if (ask_settings(b, &s, &m) < 0)
			return;
		if (m.ans_settings.ok && say_connected(b) == 0)
			taken++;
		else
			refused++;
		(void)poll(NULL, 0, 60); /* the probes inside shall see this one */
	}
	report(b, "alive %u %s: %u taken, %u refused\n", b->life, a->name, taken, refused);
}

/* ---- packets -------------------------------------------------------------------------------------------------------- */

static const char *const elsewhere[] = {
	"192.0.2.80:9999", "192.0.2.80:7", "203.0.113.53:53", "198.51.100.10:53", "198.51.100.10:1197", "198.51.100.10:1198",
	"198.51.100.1:1195", "192.168.77.1:53", "192.168.77.1:1195", "192.168.77.50:1195", "192.168.77.2:4009", "127.0.0.1:4009",
	"127.0.0.53:53", "192.168.77.255:1195", "255.255.255.255:1195", "224.0.0.251:5353", "239.255.255.250:1900",
	"169.254.169.254:80", "10.10.0.1:53", "0.0.0.0:4009",
};

/* From the transport socket, to an address that it was not made for. Returns 0 when the kernel took it. */
static int send_elsewhere(struct bad *b, const char *where, const char *token)
{
	char payload[128];
	struct sockaddr_storage sa;
	struct endpoint e;
	struct iovec iov = { payload, 0 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	iov.iov_len = (size_t)snprintf(payload, sizeof(payload), "%s to %s", token, where ? where : "the server");
	if (where && endpoint_parse(where, &e) < 0)
		return -EINVAL;
	if (where) {
		h.msg_namelen = endpoint_to_sockaddr(&e, &sa);
		h.msg_name = &sa;
	}
	return sendmsg(b->transport, &h, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void do_elsewhere(struct bad *b, const struct act *a)
{
	unsigned taken = 0, veth = 0;

	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++)
			taken += send_elsewhere(b, elsewhere[i], TOKEN "-elsewhere") == 0;
	for (int i = -2; i <= 2 && b->inner.family == AF_INET; i++) {
		struct inaddr near = b->inner;
		char text[INADDR_STR_MAX], where[INADDR_STR_MAX + 8];

		near.bytes[3] = (uint8_t)(near.bytes[3] + i);
		(void)snprintf(where, sizeof(where), "%s:4009", inaddr_format(&near, text, sizeof(text)));
		veth += send_elsewhere(b, where, TOKEN "-elsewhere") == 0;
	}
	report(b, "alive %u %s: the kernel took %u of %zu, %u of 5\n", b->life, a->name, taken, ARRAY_SIZE(elsewhere) * 3, veth);
}

/* Tokens to the server itself (arg 0), or by a socket whose opening has moved on (1). */
static void do_server(struct bad *b, const struct act *a)
{
	int old = b->transport;
	unsigned taken = 0;
	struct ipc_msg m;

	if (a->arg == 1) {
		if (ask_socket(b, 1, 0, &m) < 0 || !m.ans_socket.ok)
			return;
		fd_close(b->transport);
		b->transport = old;
	}
	for (int i = 0; i < 20; i++) {
		taken += send_elsewhere(b, NULL, a->text) == 0;
		taken += send_elsewhere(b, "198.51.100.10:1195", a->text) == 0;
	}
	report(b, "alive %u %s: the kernel took %u\n", b->life, a->name, taken);
}

static uint16_t checksum(const void *p, size_t len)
{
	const uint8_t *v = p;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)v[i] << 8 | v[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* An IPv4 packet as if it came out of the tunnel: UDP with a token, or an ICMP redirect. */
static int inject(struct bad *b, const char *src, const char *dst, bool redirect)
{
	struct {
		struct iphdr ip;
		union {
			struct udphdr udp;
			struct icmphdr icmp;
		};
		char payload[64];
	} p = { 0 };
	size_t skip = b->offload & IPC_TUN_VNET_HDR ? TUN_VNET_HDR_LEN : 0, len = sizeof(p);
	uint8_t out[256] = { 0 };

	p.ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .tot_len = htons((uint16_t)len), .protocol = redirect ? IPPROTO_ICMP : IPPROTO_UDP };
	p.ip.saddr = inet_addr(src);
	p.ip.daddr = inet_addr(dst);
	p.ip.check = htons(checksum(&p.ip, sizeof(p.ip)));
	(void)snprintf(p.payload, sizeof(p.payload), TOKEN "-inject %s", dst);
	if (redirect) {
		p.icmp = (struct icmphdr){ .type = ICMP_REDIRECT, .code = ICMP_REDIR_HOST, .un.gateway = inet_addr("10.66.0.1") };
		p.icmp.checksum = htons(checksum(&p.icmp, len - sizeof(p.ip)));
	} else {
		p.udp = (struct udphdr){ .source = htons(53), .dest = htons(4009), .len = htons((uint16_t)(len - sizeof(p.ip))) };
	}
	memcpy(out + skip, &p, len);
	return write(b->tun, out, skip + len) < 0 ? -errno : 0;
}

static void do_inject(struct bad *b, const struct act *a)
{
	static const char *const sources[] = { "10.66.0.1", "192.168.77.2", "127.0.0.1", "10.66.0.2", "192.0.2.80" };
	static const char *const targets[] = { "10.66.0.2", "192.168.77.2", "192.168.77.50", "192.0.2.80", "127.0.0.1",
					       "198.51.100.10", "10.10.0.2", "255.255.255.255", "224.0.0.251" };
	unsigned taken = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sources) * ARRAY_SIZE(targets); i++) {
		taken += inject(b, sources[i / ARRAY_SIZE(targets)], targets[i % ARRAY_SIZE(targets)], false) == 0;
		taken += inject(b, sources[i / ARRAY_SIZE(targets)], targets[i % ARRAY_SIZE(targets)], true) == 0;
	}
	report(b, "alive %u %s: the kernel took %u\n", b->life, a->name, taken);
}

/* ---- too much ------------------------------------------------------------------------------------------------------- */

static void do_flood(struct bad *b, const struct act *a)
{
	struct ipc_msg m = some_message((enum ipc_type)a->arg), ans;
	usec_t end = clock_boottime() + FLOOD_USEC;
	unsigned n = 0;

	if (m.type == IPC_REQ_LOG)
		memset(m.req_log.text, 'x', sizeof(m.req_log.text) - 1);
	if (m.type == IPC_REQ_STATE) {
		m.req_state.state = ENGINE_STATE_CONNECTING;
		m.req_state.fail = 0;
		memset(m.req_state.text, 'y', sizeof(m.req_state.text) - 1);
	}
	for (; clock_boottime() < end; n++) {
		if (m.type == IPC_REQ_SETTINGS)
			m.req_settings.settings.mtu = 1000 + n % 2;
		if (say(b, &m) < 0)
			return;
		if (m.type == IPC_REQ_SETTINGS && await(b, IPC_ANS_SETTINGS, &ans) < 0)
			return;
		if (m.type == IPC_REQ_AUTH && await(b, IPC_ANS_AUTH, &ans) < 0)
			return;
		if (m.type == IPC_REQ_SOCKET) {
			if (await(b, IPC_ANS_SOCKET, &ans) < 0)
				return;
			b->transport = fd_close(b->transport);
		}
		while (hear(b, &ans, 0) == 0)
			;
	}
	report(b, "alive %u %s: %u messages\n", b->life, a->name, n);
}

/* Questions whose answers nobody reads. */
static void do_deaf(struct bad *b, const struct act *a _unused_)
{
	struct ipc_msg m = { .type = IPC_REQ_AUTH };

	while (say(b, &m) == 0)
		;
}

static void do_auth(struct bad *b, const struct act *a)
{
	struct ipc_msg m = { .type = IPC_REQ_AUTH }, ans;

	if (say(b, &m) == 0 && await(b, IPC_ANS_AUTH, &ans) == 0)
		report(b, "alive %u %s: credentials %s\n", b->life, a->name, ans.ans_auth.ok ? "given" : "none");
}

static void do_far(struct bad *b, const struct act *a)
{
	struct ipc_msg m;

	if (ask_socket(b, 0, UINT16_MAX, &m) == 0)
		report(b, "alive %u %s: %s\n", b->life, a->name, m.ans_socket.ok ? "given" : "refused");
}

static void do_give_up(struct bad *b, const struct act *a)
{
	report(b, "alive %u %s: done\n", b->life, a->name);
	(void)say(b, &(struct ipc_msg){ .type = IPC_REQ_FAILED, .req_failed = { .fail = (uint8_t)a->arg, .text = "no more" } });
}

/* ---- system calls --------------------------------------------------------------------------------------------------- */

static void do_syscall(struct bad *b, const struct act *a)
{
	static char stack[16];
	long r = syscall(a->arg, a->arg2, stack, 0, 0, 0, 0);

	report(b, "alive %u %s: %ld\n", b->life, a->name, r);
}

static void do_send_to(struct bad *b, const struct act *a)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(4009), .sin_addr.s_addr = inet_addr("192.0.2.80") };
	long r = a->arg ? connect(b->transport, (struct sockaddr *)&sa, sizeof(sa)) :
			  sendto(b->transport, TOKEN, sizeof(TOKEN), 0, (struct sockaddr *)&sa, sizeof(sa));

	report(b, "alive %u %s: %ld\n", b->life, a->name, r);
}

/* Calls that are refused without a death. */
static void do_harmless(struct bad *b, const struct act *a)
{
	static const int options[] = { SO_MARK, SO_BINDTODEVICE, SO_DONTROUTE, SO_BROADCAST, SO_RCVBUFFORCE };
	static const unsigned long requests[] = { TUNSETPERSIST, TUNSETOWNER, TUNSETLINK, TUNSETQUEUE, TUNSETOFFLOAD, TUNSETSNDBUF,
						  TUNGETDEVNETNS, SIOCGSKNS };
	int one = 1, wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		wrong += setsockopt(b->transport, SOL_SOCKET, options[i], &one, sizeof(one)) == 0;
	wrong += setsockopt(b->transport, IPPROTO_IP, IP_OPTIONS, &one, sizeof(one)) == 0;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		wrong += ioctl(b->tun, requests[i], &one) == 0;
	report(b, "alive %u %s: %d passed\n", b->life, a->name, wrong);
}

/* ---- anything ------------------------------------------------------------------------------------------------------- */

static const enum ipc_type all_types[] = {
	IPC_CMD_START, IPC_ANS_SOCKET, IPC_ANS_SETTINGS, IPC_ANS_AUTH, IPC_CMD_STOP, IPC_CMD_STATS, IPC_CMD_RECONNECT, IPC_REQ_HELLO,
	IPC_REQ_SOCKET, IPC_REQ_SETTINGS, IPC_REQ_AUTH, IPC_REQ_STATE, IPC_REQ_STATS, IPC_REQ_LOG, IPC_REQ_SETTINGS, IPC_REQ_SOCKET,
	IPC_REQ_STATE, IPC_REQ_SETTINGS,
};

static void random_settings(struct bad *b, struct settings *s)
{
	*s = plain_settings();
	for (unsigned n = below(b, 4); n > 0; n--) {
		unsigned k = below(b, ARRAY_SIZE(wild_settings) + ARRAY_SIZE(refused_settings));
		const char *text = k < ARRAY_SIZE(wild_settings) ? wild_settings[k] : refused_settings[k - ARRAY_SIZE(wild_settings)];

		(void)change(b, s, text); /* one that does not fit changes nothing */
	}
	if (below(b, 8) == 0)
		many_routes(s);
	s->default4 = below(b, 2);
	s->block_ipv6 = below(b, 2);
}

static ssize_t random_message(struct bad *b, uint8_t *buf, size_t cap)
{
	struct ipc_msg m = some_message(all_types[below(b, ARRAY_SIZE(all_types))]);

	if (below(b, 100) == 0)
		m = (struct ipc_msg){ .type = IPC_REQ_FAILED, .req_failed = { .fail = (uint8_t)below(b, _FAIL_CLASS_MAX), .text = MARK } };
	if (m.type == IPC_REQ_SETTINGS)
		random_settings(b, &m.req_settings.settings);
	if (m.type == IPC_REQ_SOCKET)
		m.req_socket = (struct ipc_req_socket){ (uint32_t)next_random(b), (uint16_t)below(b, 3), (uint16_t)below(b, 2) };
	if (m.type == IPC_REQ_STATE) {
		m.req_state.state = (uint8_t)below(b, _ENGINE_STATE_MAX);
		m.req_state.fail = (uint8_t)(below(b, 2) ? 0xff : below(b, _FAIL_CLASS_MAX));
	}
	if (m.type == IPC_REQ_STATS)
		m.req_stats.rx_bytes = next_random(b);
	return ipc_msg_encode(&m, buf, cap);
}

/* Hundreds of these, each with a life of its own: half of the messages are whole, half of them damaged. */
static void do_mutate(struct bad *b, const struct act *a)
{
	static uint8_t buf[IPC_MSG_MAX];
	struct ipc_msg ans;
	unsigned n = 0;

	while (n++ < 60) {
		ssize_t len = random_message(b, buf, sizeof(buf));
		int fds[3] = { b->sock, b->sock, b->sock };

		if (len < 0)
			continue;
		if (below(b, 10) == 0) {
			for (unsigned k = below(b, 6) + 1; k > 0; k--)
				buf[below(b, (unsigned)len)] = (uint8_t)next_random(b);
			if (below(b, 3) == 0)
				len = below(b, (unsigned)len) + 1;
		}
		if (send_raw(b, buf, (size_t)len, fds, below(b, 40) ? 0 : below(b, 4)) < 0)
			return;
		if (below(b, 2))
			(void)poll(NULL, 0, (int)below(b, 30));
		while (hear(b, &ans, 0) == 0)
			;
		if (b->transport >= 0)
			(void)send_elsewhere(b, elsewhere[below(b, ARRAY_SIZE(elsewhere))], TOKEN "-mutate"); /* nobody minds a no */
		if (b->tun >= 0)
			(void)inject(b, "10.66.0.1", "192.168.77.2", below(b, 2)); /* the same */
	}
	report(b, "alive %u %s: %u messages\n", b->life, a->name, n);
}

/* ---- which ---------------------------------------------------------------------------------------------------------- */

#define MSG(p, t) { "at-" #p "-" #t, "order", true, AT_##p, do_message, IPC_##t }
#define PATCH(n) { "patch-" #n, "form", true, AT_CONNECTED, do_patched, n }
#define CALL(n, first) { "call-" #n, "call", true, AT_CONNECTED, do_syscall, SYS_##n, first }

static const struct act acts[] = {
	/* Those that never connect are followed by one that does: otherwise the helper would take longer and longer to start us. */
	MSG(HELLO, REQ_SOCKET), MSG(CONNECTED, CMD_START), MSG(HELLO, REQ_SETTINGS), MSG(CONNECTED, ANS_SOCKET), MSG(HELLO, REQ_AUTH),
	MSG(CONNECTED, ANS_SETTINGS), MSG(HELLO, REQ_STATE), MSG(CONNECTED, ANS_AUTH), MSG(HELLO, REQ_STATS), MSG(CONNECTED, CMD_STOP),
	MSG(IDLE, REQ_HELLO), MSG(CONNECTED, CMD_STATS), MSG(IDLE, REQ_SETTINGS), MSG(CONNECTED, CMD_RECONNECT), MSG(IDLE, REQ_STATE),
	{ "socket-twice", "order", true, AT_CONNECTED, do_socket_twice },
	MSG(SOCKET, REQ_HELLO),
	{ "socket-of-nobody", "order", true, AT_CONNECTED, do_socket_remote, 2 },
	MSG(SOCKET, REQ_STATE), MSG(CONNECTED, REQ_HELLO), MSG(APPLIED, REQ_HELLO),
	PATCH(0), PATCH(1), PATCH(2), PATCH(3), PATCH(4), PATCH(5), PATCH(6), PATCH(7), PATCH(8), PATCH(9), PATCH(10), PATCH(11),
	PATCH(12), PATCH(13), PATCH(14), PATCH(15), PATCH(16), PATCH(17), PATCH(18), PATCH(19), PATCH(20), PATCH(21), PATCH(22),
	PATCH(23), PATCH(24), PATCH(25), PATCH(26), PATCH(27), PATCH(28),
	{ "longer", "form", true, AT_CONNECTED, do_length, 1 },
	{ "shorter", "form", true, AT_CONNECTED, do_length, -1 },
	{ "empty", "form", true, AT_CONNECTED, do_length, 0, 1 },
	{ "too-long", "form", true, AT_CONNECTED, do_length, 0, IPC_MSG_MAX + 1 },
	{ "far-too-long", "form", true, AT_CONNECTED, do_length, 0, IPC_MSG_MAX * 2 },
	{ "descriptor", "form", true, AT_CONNECTED, do_descriptors, 1 },
	{ "descriptors-8", "form", true, AT_CONNECTED, do_descriptors, 8 },
	{ "descriptors-250", "form", true, AT_CONNECTED, do_descriptors, 250 },
	CALL(socket, AF_PACKET), CALL(openat, AT_FDCWD), CALL(execve, 0), CALL(clone, SIGCHLD), CALL(setns, 0), CALL(unshare, CLONE_NEWUSER),
	CALL(mount, 0), CALL(ptrace, 0), CALL(kill, -1), CALL(bpf, 0), CALL(io_uring_setup, 8), CALL(bind, 0), CALL(keyctl, 0),
	CALL(process_vm_readv, 1), CALL(pidfd_open, 1), CALL(setuid, 0), CALL(capset, 0), CALL(memfd_create, 0), CALL(chroot, 0),
	{ "call-connect", "call", true, AT_CONNECTED, do_send_to, 1 },
	{ "call-sendto", "call", true, AT_CONNECTED, do_send_to, 0 },
	{ "call-options", "packet", false, AT_CONNECTED, do_harmless },
	{ "control", "control", false, AT_CONNECTED, do_server, 0, 0, TOKEN "-control" },
	{ "old-socket", "packet", false, AT_CONNECTED, do_server, 1, 0, TOKEN "-old" },
	{ "elsewhere", "packet", false, AT_SOCKET, do_elsewhere },
	{ "elsewhere-connected", "packet", false, AT_CONNECTED, do_elsewhere },
	{ "inject", "packet", false, AT_CONNECTED, do_inject },
	{ "settings-refused", "settings", false, AT_SOCKET, do_refused, 0 },
	{ "settings-refused-connected", "settings", false, AT_CONNECTED, do_refused, 0 },
	{ "settings-veth", "veth", false, AT_CONNECTED, do_refused, 1 },
	{ "settings-wild", "settings", false, AT_CONNECTED, do_wild },
	{ "socket-far", "settings", false, AT_CONNECTED, do_far },
	{ "auth", "settings", false, AT_CONNECTED, do_auth },
	{ "flood-log", "flood", false, AT_CONNECTED, do_flood, IPC_REQ_LOG },
	{ "flood-state", "flood", false, AT_CONNECTED, do_flood, IPC_REQ_STATE },
	{ "flood-stats", "flood", false, AT_CONNECTED, do_flood, IPC_REQ_STATS },
	{ "flood-auth", "flood", false, AT_CONNECTED, do_flood, IPC_REQ_AUTH },
	{ "flood-settings", "flood", false, AT_CONNECTED, do_flood, IPC_REQ_SETTINGS },
	{ "flood-socket", "flood", false, AT_CONNECTED, do_flood, IPC_REQ_SOCKET },
	{ "deaf", "flood", true, AT_CONNECTED, do_deaf },
	{ "give-up", "end", false, AT_CONNECTED, do_give_up, FAIL_TLS },
	{ "give-up-auth", "end", false, AT_HELLO, do_give_up, FAIL_AUTH },
	{ "mutate", "mutate", false, AT_CONNECTED, do_mutate },
	{ "mutate-early", "mutate", false, AT_HELLO, do_mutate },
	{ "mutate-idle", "mutate", false, AT_IDLE, do_mutate },
};

static const struct act *find_act(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
		if (str_eq(acts[i].name, name))
			return &acts[i];
	return NULL;
}

static int list(const char *group)
{
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
		if (!group || str_eq(acts[i].group, group))
			(void)printf("%s %s %s\n", acts[i].name, acts[i].group, acts[i].killed ? "killed" : "answered");
	return 0;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

/* How many lives there were before this one. */
static unsigned count_lives(const char *text)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, "life ")); p++)
		n += p == text || p[-1] == '\n';
	return n;
}

/* The act of this life: the line of the script with its number. NULL: none is left. */
static const struct act *choose(char *script, unsigned life)
{
	char *save = NULL;

	for (char *line = strtok_r(script, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (life-- == 0)
			return find_act(line);
	return NULL;
}

static int live(struct bad *b, const struct act *a)
{
	struct pollfd p = { .fd = b->sock };
	int r = behave(b, a ? a->phase : AT_CONNECTED);

	if (r < 0) {
		report(b, "wrong: %s in life %u: it does not even start: %s\n", a ? a->name : "parking", b->life, strerror(-r));
		return 1;
	}
	if (!a) {
		park(b);
		return 0;
	}
	a->fn(b, a);
	if (!a->killed)
		return 0;
	/* The helper ends us by SIGKILL; when it does not, the lab shall know. */
	(void)poll(&p, 1, PATIENCE_MSEC);
	(void)poll(NULL, 0, 1000);
	report(b, "alive %u %s: nobody minded\n", b->life, a->name);
	return 1;
}

int main(int argc, char **argv)
{
	struct bad b = { .report = -EBADF, .count = -EBADF, .sock = IPC_ENGINE_FD, .tun = -EBADF, .profile = -EBADF, .transport = -EBADF };
	_cleanup_(freep) char *script = NULL, *past = NULL;
	struct sandbox_report closed;
	const struct act *a;
	const char *stage;
	char folder[256];
	size_t len;
	ssize_t n;

	if (argc > 1)
		return str_eq(argv[1], "--list") ? list(argv[2]) : 2;
	n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	folder[n > 0 ? n : 0] = '\0';
	if (n <= 0 || !strrchr(folder, '/'))
		return 2;
	*strrchr(folder, '/') = '\0';
	if (chdir(folder) < 0)
		return 2;
	if (file_read(AT_FDCWD, "script", 1 << 20, &script, &len) < 0) {
		execv("nsvpn-engine.real", (char *[]){ (char *)"nsvpn-engine", NULL });
		return 2;
	}
	b.report = open("report", O_RDWR | O_APPEND | O_CLOEXEC);
	b.count = open("count", O_RDWR | O_APPEND | O_CLOEXEC);
	if (b.report < 0 || b.count < 0 || file_read(AT_FDCWD, "report", 8 << 20, &past, &len) < 0)
		return 2;
	b.life = count_lives(past);
	b.rng = (b.life + 1) * 0x9e3779b97f4a7c15ULL;
	a = choose(script, b.life);
	if (sandbox_enter(&closed, &stage) < 0)
		return 2;
	if (a)
		report(&b, "life %u %s\n", b.life, a->name);
	return live(&b, a);
}
