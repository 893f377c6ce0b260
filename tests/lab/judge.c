/*
 * The packet judge of the lab: watches one interface and says whether anything passed that must not.
 *
 *   judge IFACE [--allow SPEC]... [--log FILE] [--ready-fd N]   until SIGTERM or SIGINT; 0 clean, 1 not, 2 usage or trouble
 *   judge IFACE --seen TOKEN --timeout SECONDS                  0 as soon as TOKEN was in a frame, 1 when it never was
 *   judge IFACE --count                                         accepts everything, reports the tokens it saw
 *
 * SPEC: arp | nd (neighbour discovery, MLD) | icmp-err (errors about an allowed flow) | udp:ADDR:PORT | tcp:ADDR:PORT
 * (to or from that server; IPv6 in brackets).
 *
 * Theory: an AF_PACKET socket sees both directions of the interface, before any firewall rule of that namespace. Whatever
 * is not on the list is a violation. A probe token anywhere in a frame is one too, even inside an allowed flow, and so is
 * every IP fragment, because what a fragment belongs to cannot be told. Frames that the kernel had to drop might have been
 * anything, so they spoil the verdict as well. The result is one JSON line on stdout.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/cleanup.h"
#include "base/inaddr.h"
#include "base/parse.h"
#include "base/str.h"

#define TOKEN_MARK "NSVPNPROBE"
#define TOKEN_MARK_LOWER "nsvpnprobe" /* resolvers may fold case */
#define TOKEN_MAX 96
#define RULES_MAX 64
#define SHOWN_MAX 20
#define TOKENS_MAX 256
#define RCVBUF (256 << 20)

struct flow_rule {
	uint8_t proto; /* IPPROTO_UDP, IPPROTO_TCP */
	struct endpoint server;
};

/* A packet as far as the judge needs it. */
struct packet {
	struct endpoint src, dst;
	uint8_t proto;
	uint8_t type, code; /* ICMP */
	uint8_t hop_limit;
	bool fragment;
	bool extended;    /* IPv4 options or IPv6 extension headers other than one hop-by-hop */
	bool hop_by_hop;
	size_t len;       /* of the whole IP packet on the wire */
	const uint8_t *payload;
	size_t payload_len;
};

struct violation {
	char time[40];
	bool out;
	char what[256];
	char token[TOKEN_MAX];
};

struct token_count {
	char token[TOKEN_MAX];
	uint64_t n;
};

struct judge {
	const char *iface;
	bool raw_ip; /* no link-layer header (tun) */
	bool allow_arp, allow_nd, allow_icmp_err;
	struct flow_rule rules[RULES_MAX];
	size_t n_rules;
	bool count;
	const char *seen;
	usec_t timeout;
	FILE *log;
	int ready_fd;

	uint64_t frames, allowed, violations, drops;
	struct violation shown[SHOWN_MAX];
	struct token_count tokens[TOKENS_MAX];
	size_t n_tokens;
	uint64_t more_tokens; /* sightings beyond the table */
	bool found;
};

/* ---- parsing ---- */

static bool is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static void parse_transport(struct reader *r, struct packet *p)
{
	if (p->proto == IPPROTO_UDP || p->proto == IPPROTO_TCP) {
		p->src.port = read_be16(r);
		p->dst.port = read_be16(r);
	} else if (is_icmp(p->proto)) {
		p->type = read_u8(r);
		p->code = read_u8(r);
		(void)read_bytes(r, 6); /* checksum and the field before an embedded packet; a short one sticks in r */
		p->payload = r->p;
		p->payload_len = r->left;
	}
}

static bool parse_ipv4(const uint8_t *data, size_t len, struct packet *p)
{
	struct reader r = reader_init(data, len);
	unsigned ihl = (read_u8(&r) & 15U) * 4;
	uint16_t frag;

	(void)read_u8(&r); /* TOS */
	p->len = read_be16(&r);
	(void)read_be16(&r); /* identification */
	frag = read_be16(&r);
	p->fragment = (frag & 0x2000) || (frag & 0x1fff);
	p->hop_limit = read_u8(&r);
	p->proto = read_u8(&r);
	(void)read_be16(&r); /* checksum */
	p->src.addr.family = p->dst.addr.family = AF_INET;
	read_copy(&r, p->src.addr.bytes, 4);
	read_copy(&r, p->dst.addr.bytes, 4);
	if (r.failed || ihl < 20)
		return false;
	(void)read_bytes(&r, ihl - 20);
	p->extended = ihl > 20;
	if (!p->fragment)
		parse_transport(&r, p);
	return !r.failed;
}

static bool parse_ipv6(const uint8_t *data, size_t len, struct packet *p)
{
	struct reader r = reader_init(data, len);
	uint8_t next;

	(void)read_be32(&r); /* version, class, label */
	p->len = read_be16(&r) + 40U;
	next = read_u8(&r);
	p->hop_limit = read_u8(&r);
	p->src.addr.family = p->dst.addr.family = AF_INET6;
	read_copy(&r, p->src.addr.bytes, 16);
	read_copy(&r, p->dst.addr.bytes, 16);
	for (int i = 0; i < 8 && !r.failed; i++) {
		if (next == IPPROTO_FRAGMENT)
			p->fragment = true;
		else if (next == IPPROTO_HOPOPTS && i == 0)
			p->hop_by_hop = true;
		else if (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS)
			p->extended = true;
		else
			break;
		uint8_t after = read_u8(&r), size = read_u8(&r);

		(void)read_bytes(&r, next == IPPROTO_FRAGMENT ? 6 : size * 8U + 6); /* a short one sticks in r */
		next = after;
	}
	p->proto = next;
	if (!r.failed && !p->fragment)
		parse_transport(&r, p);
	return !r.failed;
}

static bool parse_ip(const uint8_t *data, size_t len, struct packet *ret)
{
	*ret = (struct packet){ 0 };
	if (len && data[0] >> 4 == 4)
		return parse_ipv4(data, len, ret);
	if (len && data[0] >> 4 == 6)
		return parse_ipv6(data, len, ret);
	return false;
}

/* ---- the rules ---- */

static bool in_flow(const struct judge *j, const struct packet *p)
{
	if (p->fragment || p->extended || p->hop_by_hop)
		return false;
	for (size_t i = 0; i < j->n_rules; i++)
		if (j->rules[i].proto == p->proto &&
		    (endpoint_eq(&p->src, &j->rules[i].server) || endpoint_eq(&p->dst, &j->rules[i].server)))
			return true;
	return false;
}

static bool is_neighbour_discovery(const struct packet *p)
{
	if (p->proto != IPPROTO_ICMPV6 || p->fragment || p->extended)
		return false;
	if (p->type >= 133 && p->type <= 137)
		return p->hop_limit == 255 && !p->hop_by_hop; /* RFC 4861: 255 shows that no router passed it on */
	return (p->type == 143 || (p->type >= 130 && p->type <= 132)) && p->hop_limit == 1;
}

static bool is_error_about_flow(const struct judge *j, const struct packet *p)
{
	bool v4 = p->proto == IPPROTO_ICMP && p->src.addr.family == AF_INET && (p->type == 3 || p->type == 11);
	bool v6 = p->proto == IPPROTO_ICMPV6 && p->src.addr.family == AF_INET6 && p->type >= 1 && p->type <= 4;
	struct packet inner;

	if ((!v4 && !v6) || p->fragment || p->extended || p->hop_by_hop)
		return false;
	return parse_ip(p->payload, p->payload_len, &inner) && in_flow(j, &inner);
}

static bool packet_is_allowed(const struct judge *j, const struct packet *p)
{
	return !p->fragment && ((j->allow_nd && is_neighbour_discovery(p)) || in_flow(j, p) ||
				(j->allow_icmp_err && is_error_about_flow(j, p)));
}

/* ---- description ---- */

static void describe(const struct packet *p, char *buf, size_t cap)
{
	static const struct {
		uint8_t proto;
		const char *name;
	} names[] = { { IPPROTO_TCP, "TCP" }, { IPPROTO_UDP, "UDP" }, { IPPROTO_ICMP, "ICMP" }, { IPPROTO_ICMPV6, "ICMPv6" },
		      { IPPROTO_IGMP, "IGMP" } };
	const char *family = p->src.addr.family == AF_INET ? "IPv4" : "IPv6", *name = NULL;
	char src[ENDPOINT_STR_MAX], dst[ENDPOINT_STR_MAX], proto[32];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].proto == p->proto)
			name = names[i].name;
	if (!name)
		(void)snprintf(proto, sizeof(proto), "protocol %u", p->proto);
	else if (is_icmp(p->proto))
		(void)snprintf(proto, sizeof(proto), "%s type %u code %u", name, p->type, p->code);
	else
		(void)snprintf(proto, sizeof(proto), "%s", name);

	if (p->src.port || p->dst.port) {
		endpoint_format(&p->src, src, sizeof(src));
		endpoint_format(&p->dst, dst, sizeof(dst));
	} else {
		inaddr_format(&p->src.addr, src, sizeof(src));
		inaddr_format(&p->dst.addr, dst, sizeof(dst));
	}
	(void)snprintf(buf, cap, "%s %s%s %s > %s len %zu", family, p->fragment ? "fragment " : "", proto, src, dst, p->len);
}

/* ---- tokens ---- */

static bool token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.", c);
}

/* Copies the token at or behind p into buf; the place behind it, or NULL when there is none. */
static const uint8_t *find_token(const uint8_t *p, const uint8_t *end, char buf[TOKEN_MAX])
{
	const uint8_t *at = memmem(p, (size_t)(end - p), TOKEN_MARK, strlen(TOKEN_MARK));
	size_t n = 0;

	if (!at)
		at = memmem(p, (size_t)(end - p), TOKEN_MARK_LOWER, strlen(TOKEN_MARK_LOWER));
	if (!at)
		return NULL;
	while (at + n < end && n < TOKEN_MAX - 1 && at[n] && token_char((char)at[n])) {
		buf[n] = (char)at[n];
		n++;
	}
	buf[n] = '\0';
	return at + n;
}

static void count_token(struct judge *j, const char *token)
{
	for (size_t i = 0; i < j->n_tokens; i++)
		if (str_eq(j->tokens[i].token, token)) {
			j->tokens[i].n++;
			return;
		}
	if (j->n_tokens == TOKENS_MAX) {
		j->more_tokens++;
		return;
	}
	(void)str_copy(j->tokens[j->n_tokens].token, TOKEN_MAX, token); /* as long as the buffer it comes from */
	j->tokens[j->n_tokens++].n = 1;
}

/* ---- one frame ---- */

/* What the frame is, and whether the rules allow it. */
static bool examine(const struct judge *j, const uint8_t *data, size_t len, char *what, size_t cap)
{
	struct reader r = reader_init(data, len);
	struct packet p;
	uint16_t ethertype;

	if (!j->raw_ip) {
		(void)read_bytes(&r, 12);
		ethertype = read_be16(&r);
		if (r.failed) {
			(void)snprintf(what, cap, "a frame of only %zu bytes", len);
			return false;
		}
		if (ethertype == ETH_P_ARP) {
			(void)snprintf(what, cap, "ARP len %zu", len);
			return j->allow_arp;
		}
		if (ethertype != ETH_P_IP && ethertype != ETH_P_IPV6) {
			(void)snprintf(what, cap, "ethertype 0x%04x len %zu", ethertype, len);
			return false;
		}
	}
	if (!parse_ip(r.p, r.left, &p)) {
		(void)snprintf(what, cap, "a malformed IP packet len %zu", len);
		return false;
	}
	describe(&p, what, cap);
	return packet_is_allowed(j, &p);
}

static void judge_frame(struct judge *j, const uint8_t *data, size_t len, bool out, const struct timespec *ts)
{
	const uint8_t *p = data, *end = data + len;
	struct violation v = { .out = out };
	char token[TOKEN_MAX];
	bool allowed;

	j->frames++;
	while ((p = find_token(p, end, token))) {
		count_token(j, token);
		if (!*v.token)
			(void)str_copy(v.token, sizeof(v.token), token); /* the same size */
	}
	if (j->seen) {
		j->found = j->found || memmem(data, len, j->seen, strlen(j->seen));
		return;
	}
	if (j->count)
		return;
	allowed = examine(j, data, len, v.what, sizeof(v.what));
	if (allowed && !*v.token) {
		j->allowed++;
		return;
	}
	(void)snprintf(v.time, sizeof(v.time), "%lld.%06ld", (long long)ts->tv_sec, ts->tv_nsec / 1000);
	if (j->violations < SHOWN_MAX)
		j->shown[j->violations] = v;
	j->violations++;
	if (j->log)
		(void)fprintf(j->log, "%s %s %s%s%s\n", v.time, v.out ? "out" : "in", v.what, *v.token ? " token " : "", v.token);
}

/* ---- the socket ---- */

static int open_socket(struct judge *j)
{
	_cleanup_(closep) int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int size = RCVBUF, on = 1;
	struct ifreq ifr = { 0 };

	if (fd < 0)
		return -errno;
	if (!str_copy(ifr.ifr_name, sizeof(ifr.ifr_name), j->iface))
		return -ENODEV;
	sll.sll_ifindex = (int)if_nametoindex(j->iface);
	if (sll.sll_ifindex == 0 || ioctl(fd, SIOCGIFHWADDR, &ifr) < 0)
		return -errno;
	j->raw_ip = ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER && ifr.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sll, sizeof(sll)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static struct timespec time_of(struct msghdr *msg)
{
	struct timespec ts = { 0 };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS)
			memcpy(&ts, CMSG_DATA(c), sizeof(ts));
	return ts;
}

/* Everything that waits, but no frame later than `until` (realtime). 0, or -errno. */
static int drain(struct judge *j, int fd, usec_t until)
{
	static uint8_t frame[1 << 18];

	for (;;) {
		union {
			struct cmsghdr align;
			char buf[CMSG_SPACE(sizeof(struct timespec)) + 64];
		} control;
		struct sockaddr_ll from = { 0 };
		struct iovec iov = { frame, sizeof(frame) };
		struct msghdr msg = { .msg_name = &from,
				      .msg_namelen = sizeof(from),
				      .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control.buf,
				      .msg_controllen = sizeof(control.buf) };
		struct timespec ts;
		ssize_t n = recvmsg(fd, &msg, 0);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && (errno == EINTR || errno == ENETDOWN))
			continue; /* the interface may go down or away; what it carried until then counts */
		if (n < 0)
			return -errno;
		ts = time_of(&msg);
		if ((usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000 > until)
			return 0;
		judge_frame(j, frame, (size_t)n, from.sll_pkttype == PACKET_OUTGOING, &ts);
		if (j->found)
			return 0;
	}
}

static int watch(struct judge *j, int fd, int signals)
{
	usec_t deadline = j->seen ? clock_boottime() + j->timeout : USEC_INFINITY;

	for (;;) {
		struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
		usec_t now = clock_boottime();
		int r, wait = deadline == USEC_INFINITY ? -1 : now >= deadline ? 0 : (int)((deadline - now) / 1000 + 1);

		if (poll(p, ARRAY_SIZE(p), wait) < 0 && errno != EINTR)
			return -errno;
		/* On the way out: whatever was on the wire before the signal is still judged. */
		r = drain(j, fd, p[1].revents ? clock_realtime() : USEC_INFINITY);
		if (r < 0)
			return r;
		if (j->found || p[1].revents || clock_boottime() >= deadline)
			return 0;
	}
}

/* ---- report ---- */

static void report(const struct judge *j)
{
	struct strbuf b = { 0 };

	strbuf_addf(&b, "{\"interface\":\"%s\",\"frames\":%" PRIu64 ",\"allowed\":%" PRIu64 ",\"violations\":%" PRIu64
			",\"kernel_drops\":%" PRIu64 ",\"tokens\":{", j->iface, j->frames, j->allowed, j->violations, j->drops);
	for (size_t i = 0; i < j->n_tokens; i++)
		strbuf_addf(&b, "%s\"%s\":%" PRIu64, i ? "," : "", j->tokens[i].token, j->tokens[i].n);
	if (j->more_tokens)
		strbuf_addf(&b, ",\"(more)\":%" PRIu64, j->more_tokens);
	strbuf_add(&b, "}");
	if (j->seen)
		strbuf_addf(&b, ",\"seen\":%s", j->found ? "true" : "false");
	strbuf_add(&b, ",\"first\":[");
	for (size_t i = 0; i < MIN(j->violations, (uint64_t)SHOWN_MAX); i++) {
		const struct violation *v = &j->shown[i];

		strbuf_addf(&b, "%s{\"time\":%s,\"direction\":\"%s\",\"what\":\"%s\"", i ? "," : "", v->time,
			    v->out ? "out" : "in", v->what);
		if (*v->token)
			strbuf_addf(&b, ",\"token\":\"%s\"", v->token);
		strbuf_add(&b, "}");
	}
	strbuf_add(&b, "]}");

	_cleanup_(freep) char *line = strbuf_take(&b);

	(void)puts(line ? line : "{}");
	(void)fflush(stdout); /* a caller that closed it wants the status only */
}

/* ---- command line ---- */

static _noreturn_ void usage(const char *why, const char *what)
{
	(void)fprintf(stderr, "judge: %s%s\nusage: judge IFACE [--allow arp|nd|icmp-err|udp:ADDR:PORT|tcp:ADDR:PORT]... "
			      "[--seen TOKEN --timeout SECONDS | --count] [--log FILE] [--ready-fd N]\n", why, what);
	exit(2);
}

static void add_rule(struct judge *j, const char *spec)
{
	struct flow_rule *rule = &j->rules[j->n_rules];

	if (str_eq(spec, "arp")) {
		j->allow_arp = true;
	} else if (str_eq(spec, "nd")) {
		j->allow_nd = true;
	} else if (str_eq(spec, "icmp-err")) {
		j->allow_icmp_err = true;
	} else {
		if (j->n_rules == RULES_MAX)
			usage("too many --allow", "");
		rule->proto = str_has_prefix(spec, "udp:") ? IPPROTO_UDP : str_has_prefix(spec, "tcp:") ? IPPROTO_TCP : 0;
		if (!rule->proto || endpoint_parse(spec + 4, &rule->server) < 0)
			usage("cannot read --allow ", spec);
		j->n_rules++;
	}
}

static void parse_arguments(struct judge *j, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		uint32_t n;

		if (arg[0] != '-') {
			if (j->iface)
				usage("one interface only, not also ", arg);
			j->iface = arg;
			continue;
		}
		if (str_eq(arg, "--count")) {
			j->count = true;
			continue;
		}
		if (!value)
			usage("a value is missing behind ", arg);
		i++;
		if (str_eq(arg, "--allow")) {
			add_rule(j, value);
		} else if (str_eq(arg, "--seen") && *value) {
			j->seen = value;
		} else if (str_eq(arg, "--timeout") && parse_duration(value, &j->timeout) == 0) {
			continue;
		} else if (str_eq(arg, "--ready-fd") && parse_u32(value, 1, 1023, &n) == 0) {
			j->ready_fd = (int)n;
		} else if (str_eq(arg, "--log")) {
			j->log = fopen(value, "ae");
			if (!j->log)
				usage("cannot write ", value);
		} else {
			usage("cannot read ", arg);
		}
	}
	if (!j->iface)
		usage("which interface?", "");
}

int main(int argc, char **argv)
{
	static struct judge j = { .ready_fd = -EBADF, .timeout = 5 * USEC_PER_SEC };
	struct tpacket_stats stats = { 0 };
	socklen_t len = sizeof(stats);
	int fd, signals, r;
	sigset_t set;

	parse_arguments(&j, argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	fd = open_socket(&j);
	if (fd < 0 || signals < 0) {
		(void)fprintf(stderr, "judge: cannot watch %s: %s\n", j.iface, strerror(fd < 0 ? -fd : errno));
		return 2;
	}
	if (j.ready_fd >= 0 && write(j.ready_fd, "ready\n", 6) != 6)
		(void)fprintf(stderr, "judge: nobody reads descriptor %d, going on\n", j.ready_fd);

	r = watch(&j, fd, signals);
	if (r < 0) {
		(void)fprintf(stderr, "judge: reading from %s: %s\n", j.iface, strerror(-r));
		return 2;
	}
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0)
		j.drops = stats.tp_drops;
	if (j.log)
		(void)fclose(j.log); /* the verdict does not depend on it */
	report(&j);
	if (j.seen)
		return j.found ? 0 : 1;
	return j.count || (j.violations == 0 && j.drops == 0) ? 0 : 1;
}
