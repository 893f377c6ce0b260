/*
 * The lab's "internet" in one process.
 *
 *   echod [--http ADDR:PORT]... [--dns ADDR[:PORT]]... [--name NAME=A4,A6]... [--log FILE]
 *         [--tcp-sink ADDR:PORT]... [--tcp-source ADDR:PORT]... [--tcp-echo ADDR:PORT]... [--udp-echo ADDR:PORT]...
 *         [--stun ADDR:PORT]... [--page FILE] [--http-log FILE]
 *
 *   --http        HTTP/1.0: any request is answered with the client's address as text and a newline, but /page... with the
 *                 file of --page as HTML. Each request is a line "CLIENT PATH" in the log of --http-log
 *   --stun        binding requests of RFC 5389 are answered with the client's address and port
 *   --dns         UDP and TCP; A and AAAA of the names and of everything below them, NXDOMAIN for others. Each query is a
 *                 line "CLIENT NAME TYPE" in the log, before it is answered
 *   --tcp-source  an endless pattern: the 64-bit big-endian numbers 0, 1, 2, ...
 *
 * Prints "ready" on stdout when everything listens; runs until SIGTERM. Exit status 2 when something cannot listen.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/inaddr.h"
#include "base/str.h"

#define NAMES_MAX 64
#define BUFFER_MAX 16384
#define HTTP_IDLE (10 * USEC_PER_SEC)
#define TYPE_A 1
#define TYPE_AAAA 28

enum role { HTTP, DNS, SINK, SOURCE, ECHO, STUN };

/* A listener, a datagram socket or a connection: whatever sits in the epoll. */
struct peer {
	int fd;
	enum role role;
	bool listening, datagram, closing;
	struct peer *prev, *next; /* connections only, the latest first */
	usec_t since;
	char client[ENDPOINT_STR_MAX];
	uint64_t offset; /* SOURCE: bytes sent */
	size_t len, done; /* of buf; done: already written */
	uint8_t buf[BUFFER_MAX];
};

struct name {
	const char *name;
	struct inaddr a4, a6;
};

static struct name names[NAMES_MAX];
static size_t n_names;
static struct peer *connections;
static FILE *query_log, *http_log;
static char *page; /* HTML, or NULL */
static int epoll_fd;

/* ---- names ---- */

/* Names are compared in lower case; dots separate labels. */
static const struct name *find_name(const char *qname)
{
	for (size_t i = 0; i < n_names; i++) {
		size_t n = strlen(qname), m = strlen(names[i].name);

		if (n >= m && str_ieq(qname + n - m, names[i].name) && (n == m || qname[n - m - 1] == '.'))
			return &names[i];
	}
	return NULL;
}

/* The uncompressed name of a question as text; false when it is malformed. */
static bool read_name(struct reader *r, char *buf, size_t cap)
{
	size_t n = 0;
	uint8_t len;

	while ((len = read_u8(r))) {
		const uint8_t *label = len < 64 ? read_bytes(r, len) : NULL;

		if (!label || n + len + 2 > cap)
			return false;
		if (n)
			buf[n++] = '.';
		for (size_t i = 0; i < len; i++)
			buf[n++] = label[i] > 0x20 && label[i] < 0x7f && label[i] != '.' ? (char)label[i] : '?';
	}
	buf[n] = '\0';
	return !r->failed;
}

static void log_query(const char *client, const char *qname, uint16_t type)
{
	if (!query_log)
		return;
	if (type == TYPE_A || type == TYPE_AAAA)
		(void)fprintf(query_log, "%s %s %s\n", client, qname, type == TYPE_A ? "A" : "AAAA");
	else
		(void)fprintf(query_log, "%s %s TYPE%u\n", client, qname, type);
	(void)fflush(query_log); /* a full disk shows as missing lines in the test */
}

/* The answer to a query, or 0 when it is none. */
static size_t answer_dns(const char *client, const uint8_t *query, size_t len, uint8_t *out, size_t cap)
{
	struct reader r = reader_init(query, len);
	struct writer w = writer_init(out, cap);
	uint16_t id = read_be16(&r), flags = read_be16(&r), questions = read_be16(&r), type;
	const struct inaddr *a;
	const struct name *name;
	const uint8_t *question;
	char qname[256];

	(void)read_bytes(&r, 6); /* other counts; a short one sticks in r */
	question = r.p;
	if (r.failed || (flags & 0xf800) || questions != 1 || !read_name(&r, qname, sizeof(qname)))
		return 0;
	type = read_be16(&r);
	(void)read_be16(&r); /* class */
	if (r.failed)
		return 0;
	log_query(client, qname, type);
	name = find_name(qname);
	a = !name ? NULL : type == TYPE_A ? &name->a4 : type == TYPE_AAAA ? &name->a6 : NULL;

	write_be16(&w, id);
	write_be16(&w, (uint16_t)(0x8480 | (flags & 0x0100) | (name ? 0 : 3))); /* authoritative; recursion available */
	write_be16(&w, 1);
	write_be16(&w, a && inaddr_is_set(a) ? 1 : 0);
	write_be32(&w, 0);
	write_bytes(&w, question, (size_t)(r.p - question));
	if (a && inaddr_is_set(a)) {
		write_be16(&w, 0xc00c); /* the name of the question */
		write_be16(&w, type);
		write_be16(&w, 1);
		write_be32(&w, 1); /* seconds to live: tests change things */
		write_be16(&w, (uint16_t)inaddr_len(a->family));
		write_bytes(&w, a->bytes, inaddr_len(a->family));
	}
	return w.failed ? 0 : w.len;
}

/* ---- sockets ---- */

static void watch(struct peer *p, uint32_t events, int op)
{
	struct epoll_event e = { .events = events, .data.ptr = p };

	if (epoll_ctl(epoll_fd, op, p->fd, &e) < 0) {
		perror("echod: epoll");
		exit(2);
	}
}

static struct peer *add_peer(int fd, enum role role)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p) {
		(void)fputs("echod: no memory\n", stderr);
		exit(2);
	}
	p->fd = fd;
	p->role = role;
	return p;
}

static void format_client(const struct sockaddr_storage *ss, socklen_t len, char buf[ENDPOINT_STR_MAX])
{
	struct endpoint e = { 0 };

	(void)endpoint_from_sockaddr((const struct sockaddr *)ss, len, &e); /* else "" */
	inaddr_format(&e.addr, buf, ENDPOINT_STR_MAX);
}

static void open_service(const struct endpoint *e, enum role role, bool datagram)
{
	int fd = socket(e->addr.family, (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(e, &ss);
	char text[ENDPOINT_STR_MAX];
	struct peer *p;
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (e->addr.family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    bind(fd, (struct sockaddr *)&ss, len) < 0 || (!datagram && listen(fd, 1024) < 0)) {
		(void)fprintf(stderr, "echod: cannot listen on %s: %s\n", endpoint_format(e, text, sizeof(text)), strerror(errno));
		exit(2);
	}
	p = add_peer(fd, role);
	p->listening = !datagram;
	p->datagram = datagram;
	watch(p, EPOLLIN, EPOLL_CTL_ADD);
}

/* The answer to a binding request: XOR-MAPPED-ADDRESS and nothing else; 0 when it is none. */
static size_t answer_stun(const struct sockaddr_storage *from, socklen_t from_len, const uint8_t *in, size_t len, uint8_t *out,
			  size_t cap)
{
	static const uint8_t cookie[] = { 0x21, 0x12, 0xa4, 0x42 };
	struct writer w = writer_init(out, cap);
	struct endpoint e = { 0 };
	uint8_t address[16];
	size_t n;

	if (len < 20 || in[0] != 0 || in[1] != 1 || memcmp(in + 4, cookie, sizeof(cookie)) != 0 ||
	    endpoint_from_sockaddr((const struct sockaddr *)from, from_len, &e) < 0)
		return 0;
	n = inaddr_len(e.addr.family);
	for (size_t i = 0; i < n; i++)
		address[i] = e.addr.bytes[i] ^ in[4 + i]; /* cookie, then the transaction's id */
	write_be16(&w, 0x0101);
	write_be16(&w, (uint16_t)(8 + n));
	write_bytes(&w, in + 4, 16);
	write_be16(&w, 0x0020);
	write_be16(&w, (uint16_t)(4 + n));
	write_be16(&w, e.addr.family == AF_INET ? 1 : 2);
	write_be16(&w, e.port ^ 0x2112);
	write_bytes(&w, address, n);
	return w.failed ? 0 : w.len;
}

static void on_datagrams(struct peer *p)
{
	static uint8_t in[65536], out[4096];

	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		char client[ENDPOINT_STR_MAX];
		ssize_t n = recvfrom(p->fd, in, sizeof(in), 0, (struct sockaddr *)&from, &len);

		if (n < 0)
			return;
		if (p->role == ECHO) {
			(void)sendto(p->fd, in, (size_t)n, 0, (struct sockaddr *)&from, len); /* UDP may lose */
			continue;
		}
		format_client(&from, len, client);
		if (p->role == STUN)
			n = (ssize_t)answer_stun(&from, len, in, (size_t)n, out, sizeof(out));
		else
			n = (ssize_t)answer_dns(client, in, (size_t)n, out, sizeof(out));
		if (n)
			(void)sendto(p->fd, out, (size_t)n, 0, (struct sockaddr *)&from, len); /* as above */
	}
}

static void on_connections(struct peer *listener)
{
	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		int fd = accept4(listener->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct peer *p;

		if (fd < 0)
			return;
		p = add_peer(fd, listener->role);
		p->since = clock_boottime();
		format_client(&from, len, p->client);
		p->next = connections;
		if (connections)
			connections->prev = p;
		connections = p;
		watch(p, p->role == SOURCE ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_ADD);
	}
}

static void drop(struct peer *p)
{
	if (p->prev)
		p->prev->next = p->next;
	else
		connections = p->next;
	if (p->next)
		p->next->prev = p->prev;
	(void)close(p->fd); /* leaves the epoll too */
	free(p);
}

/* ---- connections; each returns false when the connection is over ---- */

/* Writes buf[done..len]; afterwards waits for room, or for more input. */
static bool flush(struct peer *p)
{
	while (p->done < p->len) {
		ssize_t n = send(p->fd, p->buf + p->done, p->len - p->done, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			watch(p, EPOLLOUT, EPOLL_CTL_MOD);
			return true;
		}
		if (n < 0)
			return false;
		p->done += (size_t)n;
	}
	p->len = p->done = 0;
	if (p->closing)
		return false;
	watch(p, EPOLLIN, EPOLL_CTL_MOD);
	return true;
}

/* The path of the request in the log; true when it is that of the page. */
static bool note_request(const struct peer *p)
{
	const char *start = memchr(p->buf, ' ', p->len), *end;

	if (!start)
		return false;
	start++;
	for (end = start; end < (const char *)p->buf + p->len && *end > ' ' && *end < 0x7f;)
		end++;
	if (http_log) {
		(void)fprintf(http_log, "%s %.*s\n", p->client, (int)(end - start), start);
		(void)fflush(http_log); /* as in log_query() */
	}
	return end - start >= 5 && memcmp(start, "/page", 5) == 0;
}

static bool answer_http(struct peer *p)
{
	bool is_page = note_request(p) && page;
	const char *text = is_page ? page : p->client;
	int n = snprintf((char *)p->buf, sizeof(p->buf),
			 "HTTP/1.0 200 OK\r\nContent-Type: text/%s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
			 is_page ? "html" : "plain", strlen(text) + 1, text);

	p->len = (size_t)MAX(n, 0);
	p->done = 0;
	p->closing = true;
	(void)shutdown(p->fd, SHUT_RD); /* whatever else was sent is of no interest */
	return flush(p);
}

static bool on_http(struct peer *p, bool end)
{
	if (end && p->len == 0)
		return false;
	if (end || p->len == sizeof(p->buf) || memmem(p->buf, p->len, "\r\n\r\n", 4) || memmem(p->buf, p->len, "\n\n", 2))
		return answer_http(p);
	return true;
}

static bool on_dns_tcp(struct peer *p)
{
	uint8_t out[4096];
	size_t len = p->len >= 2 ? (size_t)p->buf[0] << 8 | p->buf[1] : 0, n;

	if (len + 2 > sizeof(p->buf))
		return false;
	if (p->len < 2 || p->len < len + 2)
		return true;
	n = answer_dns(p->client, p->buf + 2, len, out, sizeof(out));
	if (n == 0)
		return false;
	/* One query at a time: what came behind it is dropped, as no client of the lab does that. */
	p->buf[0] = (uint8_t)(n >> 8);
	p->buf[1] = (uint8_t)n;
	memcpy(p->buf + 2, out, n);
	p->len = n + 2;
	return flush(p);
}

static bool on_source(struct peer *p)
{
	for (int i = 0; i < 16; i++) {
		ssize_t n;

		for (size_t b = p->len ? sizeof(p->buf) : 0; b < sizeof(p->buf); b += 8) {
			struct writer w = writer_init(p->buf + b, 8);

			write_be64(&w, (p->offset + b) / 8);
		}
		p->len = sizeof(p->buf);
		n = send(p->fd, p->buf + p->done, p->len - p->done, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN;
		p->done += (size_t)n;
		if (p->done == p->len) {
			p->offset += p->len;
			p->len = p->done = 0;
		}
	}
	return true;
}

/* Input of a connection. SINK and SOURCE throw it away. */
static bool on_input(struct peer *p)
{
	static uint8_t waste[1 << 16];
	bool keep = p->role == HTTP || p->role == DNS || p->role == ECHO;
	ssize_t n = keep ? recv(p->fd, p->buf + p->len, sizeof(p->buf) - p->len, 0) : recv(p->fd, waste, sizeof(waste), 0);

	if (n < 0)
		return errno == EAGAIN;
	if (keep)
		p->len += (size_t)n;
	switch (p->role) {
	case HTTP:
		return on_http(p, n == 0);
	case DNS:
		return n > 0 && on_dns_tcp(p);
	case ECHO:
		return n > 0 && flush(p);
	case SINK:
	case SOURCE:
	case STUN:
		return n > 0;
	}
	return false;
}

static bool on_connection(struct peer *p, uint32_t events)
{
	if (p->role == SOURCE) {
		if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !on_input(p))
			return false;
		return !(events & EPOLLOUT) || on_source(p);
	}
	return events & EPOLLOUT ? flush(p) : on_input(p);
}

/* Probes open connections and vanish with their namespace; nothing ever tells us. */
static void drop_idle(void)
{
	usec_t now = clock_boottime();

	for (struct peer *p = connections, *next; p; p = next) {
		next = p->next;
		if (p->role == HTTP && now - p->since > HTTP_IDLE)
			drop(p);
	}
}

/* ---- command line ---- */

static _noreturn_ void usage(const char *why, const char *what)
{
	(void)fprintf(stderr, "echod: %s%s\nusage: echod [--http|--tcp-sink|--tcp-source|--tcp-echo|--udp-echo ADDR:PORT]... "
			      "[--dns ADDR[:PORT]]... [--name NAME=A4,A6]... [--log FILE] [--stun ADDR:PORT]... [--page FILE] [--http-log FILE]\n", why, what);
	exit(2);
}

static void add_name(char *spec)
{
	struct name *n = &names[n_names];
	char *list = strchr(spec, '=');

	if (!list || n_names == NAMES_MAX)
		usage("cannot take --name ", spec);
	*list++ = '\0';
	n->name = spec;
	for (char *a = strsep(&list, ","); a; a = strsep(&list, ",")) {
		struct inaddr addr;

		if (!*a)
			continue;
		if (inaddr_parse(a, &addr) < 0)
			usage("cannot read the address ", a);
		*(addr.family == AF_INET ? &n->a4 : &n->a6) = addr;
	}
	n_names++;
}

static void add_service(const char *arg, const char *value)
{
	static const struct {
		const char *arg;
		enum role role;
		bool stream, datagram;
	} services[] = {
		{ "--http", HTTP, true, false },         { "--dns", DNS, true, true },
		{ "--tcp-sink", SINK, true, false },     { "--tcp-source", SOURCE, true, false },
		{ "--tcp-echo", ECHO, true, false },     { "--udp-echo", ECHO, false, true },
		{ "--stun", STUN, false, true },
	};
	struct endpoint e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		if (!str_eq(arg, services[i].arg))
			continue;
		if (endpoint_parse(value, &e) < 0) {
			if (services[i].role != DNS || inaddr_parse(value, &e.addr) < 0)
				usage("cannot read the address ", value);
			e.port = 53;
		}
		if (services[i].datagram)
			open_service(&e, services[i].role, true);
		if (services[i].stream)
			open_service(&e, services[i].role, false);
		return;
	}
	usage("unknown option ", arg);
}

static void read_page(const char *path)
{
	size_t len;

	if (file_read(AT_FDCWD, path, BUFFER_MAX - 256, &page, &len) < 0)
		usage("cannot read ", path);
}

static void serve(void)
{
	usec_t swept = clock_boottime();

	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll_fd, events, ARRAY_SIZE(events), 1000);

		for (int i = 0; i < n; i++) {
			struct peer *p = events[i].data.ptr;

			if (p->datagram)
				on_datagrams(p);
			else if (p->listening)
				on_connections(p);
			else if (!on_connection(p, events[i].events))
				drop(p);
		}
		if (clock_boottime() - swept > USEC_PER_SEC) {
			drop_idle();
			swept = clock_boottime();
		}
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;

	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files); /* fewer connections then */
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		usage("epoll: ", strerror(errno));
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc)
			usage("a value is missing behind ", argv[i]);
		if (str_eq(argv[i], "--name")) {
			add_name(argv[i + 1]);
		} else if (str_eq(argv[i], "--log")) {
			query_log = fopen(argv[i + 1], "ae");
			if (!query_log)
				usage("cannot write ", argv[i + 1]);
		} else if (str_eq(argv[i], "--http-log")) {
			http_log = fopen(argv[i + 1], "ae");
			if (!http_log)
				usage("cannot write ", argv[i + 1]);
		} else if (str_eq(argv[i], "--page")) {
			read_page(argv[i + 1]);
		} else {
			add_service(argv[i], argv[i + 1]);
		}
	}
	(void)puts("ready");
	(void)fflush(stdout); /* without a reader nobody waits for it */
	serve();
	return 0;
}
