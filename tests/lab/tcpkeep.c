/*
 * Does a TCP connection live through it all?
 *
 *   tcpkeep server ADDR:PORT                                       until SIGTERM; any number of clients
 *   tcpkeep client ADDR:PORT --seconds N [--rate HZ | --bulk] [--patience SECONDS]
 *
 * Theory: both sides send numbered blocks to each other, `rate` a second (default 10) or with --bulk as fast as they can.
 * Every byte of a block's body is determined by its number and direction, and the receiver computes it again, so a lost,
 * doubled, swapped or damaged byte cannot pass. After N seconds the client sends an end block with its totals, the server
 * answers with its own end block and what it received, and each side compares. The connection counts as broken when it is
 * reset, ends early, or stays silent for longer than the patience (default 60 s).
 *
 * The client prints one JSON line; it exits 0 only when not one block was lost, doubled or damaged in either direction,
 * 1 otherwise, 2 for usage. The server prints such a line for every client and exits 1 after SIGTERM if one of them failed.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/cleanup.h"
#include "base/inaddr.h"
#include "base/parse.h"
#include "base/str.h"

#define MAGIC 0x4e564b42U /* "NVKB" */
#define HEADER 24
#define BODY_PACED 1000
#define BODY_BULK 32768
#define SESSIONS_MAX 64

enum block_type { BLOCK_HELLO = 1, BLOCK_DATA = 2, BLOCK_END = 3 };

/*
 * Header, big-endian: magic 32, type 8, bulk 8, body words 16, number 64, argument 64.
 * HELLO: number = rate. DATA: number counts from 0, argument = a sum over the body. END: number = data blocks sent,
 * argument = data blocks received (server) or 0.
 */
struct session {
	int fd;
	bool server;
	bool bulk;
	bool greeted;      /* the server knows the client's mode */
	bool end_sent, end_received, over;
	const char *error; /* the first thing that went wrong */
	int error_errno;
	uint64_t sent, received, bytes_in, bytes_out;
	uint64_t peer_sent, peer_received;
	usec_t period, next, began, end_at, patience;
	usec_t last_in, longest_silence;
	size_t out_len, out_done, in_len;
	uint8_t out[HEADER + BODY_BULK];
	uint8_t in[HEADER + BODY_BULK];
};

/* ---- blocks ---- */

/* The word of a body: a mix of direction, block and place (splitmix64). */
static uint64_t body_word(bool from_server, uint64_t number, uint64_t place)
{
	uint64_t x = (number * 8192 + place) * 2 + from_server;

	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static void put_block(struct session *s, enum block_type type, uint64_t number, uint64_t argument, size_t words)
{
	struct writer w = writer_init(s->out, sizeof(s->out));
	uint64_t sum = argument;

	for (size_t i = 0; i < words; i++) {
		uint64_t x = body_word(s->server, number, i);

		memcpy(s->out + HEADER + i * 8, &x, 8);
		sum += x ^ i;
	}
	write_be32(&w, MAGIC);
	write_u8(&w, (uint8_t)type);
	write_u8(&w, s->bulk);
	write_be16(&w, (uint16_t)words);
	write_be64(&w, number);
	write_be64(&w, sum);
	s->out_len = HEADER + words * 8;
	s->out_done = 0;
}

static bool fail(struct session *s, const char *what, int error)
{
	if (!s->error) {
		s->error = what;
		s->error_errno = error;
	}
	s->over = true;
	return false;
}

static bool check_body(struct session *s, uint64_t number, uint64_t sum, size_t words)
{
	uint64_t computed = 0;

	for (size_t i = 0; i < words; i++) {
		uint64_t x;

		memcpy(&x, s->in + HEADER + i * 8, 8);
		if (x != body_word(!s->server, number, i))
			return fail(s, "a damaged block", 0);
		computed += x ^ i;
	}
	return computed == sum || fail(s, "a block with a wrong sum", 0);
}

/* A whole block is in s->in. */
static bool on_block(struct session *s, uint8_t type, bool bulk, uint64_t number, uint64_t argument, size_t words)
{
	switch (type) {
	case BLOCK_HELLO:
		if (!s->server || s->greeted || number == 0 || number > 100000)
			return fail(s, "a greeting out of place", 0);
		s->greeted = true;
		s->bulk = bulk;
		s->period = USEC_PER_SEC / number;
		s->next = clock_boottime();
		return true;
	case BLOCK_DATA:
		if (!s->greeted || s->end_received || number != s->received)
			return fail(s, "a lost, doubled or swapped block", 0);
		if (!check_body(s, number, argument, words))
			return false;
		s->received++;
		return true;
	case BLOCK_END:
		s->end_received = true;
		s->peer_sent = number;
		s->peer_received = argument;
		if (s->peer_sent != s->received || (!s->server && s->peer_received != s->sent))
			return fail(s, "the totals differ", 0);
		return true;
	default:
		return fail(s, "a block of an unknown kind", 0);
	}
}

static bool take_blocks(struct session *s)
{
	size_t at = 0;

	while (s->in_len - at >= HEADER) {
		struct reader r = reader_init(s->in + at, HEADER);
		uint32_t magic = read_be32(&r);
		uint8_t type = read_u8(&r);
		bool bulk = read_u8(&r);
		size_t words = read_be16(&r), need = HEADER + words * 8;
		uint64_t number = read_be64(&r), argument = read_be64(&r);

		if (magic != MAGIC || need > sizeof(s->in))
			return fail(s, "a damaged header", 0);
		if (s->in_len - at < need)
			break;
		if (at) { /* check_body wants it in front */
			memmove(s->in, s->in + at, s->in_len - at);
			s->in_len -= at;
		}
		at = need;
		if (!on_block(s, type, bulk, number, argument, words))
			return false;
	}
	memmove(s->in, s->in + at, s->in_len - at);
	s->in_len -= at;
	return true;
}

/* ---- a session ---- */

static bool read_some(struct session *s)
{
	usec_t now;

	for (int i = 0; i < 16; i++) {
		ssize_t n = recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0)
			return fail(s, "the connection broke", errno);
		if (n == 0) {
			if (s->end_received && s->in_len == 0)
				s->over = true;
			else
				fail(s, "the other side closed early", 0);
			return false;
		}
		now = clock_boottime();
		s->longest_silence = MAX(s->longest_silence, now - s->last_in);
		s->last_in = now;
		s->bytes_in += (uint64_t)n;
		s->in_len += (size_t)n;
		if (!take_blocks(s))
			return false;
	}
	return true;
}

/* The next block, when it is time for one. */
static bool next_block(struct session *s, usec_t now)
{
	size_t words = (s->bulk ? BODY_BULK : BODY_PACED) / 8;
	bool stop = s->server ? s->end_received : now >= s->end_at;

	if (!s->greeted || s->end_sent)
		return false;
	if (stop) {
		put_block(s, BLOCK_END, s->sent, s->server ? s->received : 0, 0);
		s->end_sent = true;
		return true;
	}
	if (!s->bulk && now < s->next)
		return false;
	put_block(s, BLOCK_DATA, s->sent, 0, words);
	s->sent++;
	s->next += s->period;
	return true;
}

static bool write_some(struct session *s)
{
	for (int i = 0; i < 16; i++) {
		ssize_t n;

		if (s->out_done == s->out_len && !next_block(s, clock_boottime()))
			break;
		n = send(s->fd, s->out + s->out_done, s->out_len - s->out_done, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0)
			return fail(s, "the connection broke", errno);
		s->out_done += (size_t)n;
		s->bytes_out += (uint64_t)n;
	}
	/* The server closes when both ends are through; the client waits for that. */
	if (s->server && s->end_sent && s->out_done == s->out_len)
		s->over = true;
	return true;
}

static struct session *session_new(int fd, bool server)
{
	struct session *s = calloc(1, sizeof(*s));
	int on = 1;

	if (!s) {
		(void)fputs("tcpkeep: no memory\n", stderr);
		exit(2);
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only pacing would suffer */
	s->fd = fd;
	s->server = server;
	s->patience = 60 * USEC_PER_SEC;
	s->began = s->last_in = clock_boottime();
	s->end_at = USEC_INFINITY;
	return s;
}

/* What to wait for, and until when at the latest. */
static short session_events(const struct session *s, usec_t now, usec_t *wake)
{
	bool waiting = s->out_done < s->out_len, more = s->greeted && !s->end_sent;
	usec_t next = USEC_INFINITY;

	if (more && !waiting)
		next = s->bulk ? now : MIN(s->next, s->end_at);
	*wake = MIN(*wake, MIN(next, s->last_in + s->patience));
	return waiting ? POLLIN | POLLOUT : POLLIN;
}

static void session_step(struct session *s, short revents)
{
	if (revents && !read_some(s))
		return;
	if (!write_some(s))
		return;
	if (!s->over && clock_boottime() - s->last_in > s->patience)
		fail(s, "silence for longer than the patience", 0);
}

static bool session_finish(struct session *s)
{
	bool ok = !s->error && s->end_received && s->end_sent;
	const char *why = s->error ? s->error : ok ? NULL : "ended early";

	(void)printf("{\"ok\":%s,\"role\":\"%s\",\"seconds\":%.1f,\"sent\":%" PRIu64 ",\"received\":%" PRIu64
		     ",\"bytes_out\":%" PRIu64 ",\"bytes_in\":%" PRIu64 ",\"longest_silence_ms\":%" PRIu64,
		     ok ? "true" : "false", s->server ? "server" : "client", (double)(clock_boottime() - s->began) / 1e6,
		     s->sent, s->received, s->bytes_out, s->bytes_in, s->longest_silence / 1000);
	if (why)
		(void)printf(",\"error\":\"%s%s%s\"", why, s->error_errno ? ": " : "",
			     s->error_errno ? strerror(s->error_errno) : "");
	(void)puts("}");
	(void)fflush(stdout); /* the exit status says the same */
	(void)close(s->fd);
	free(s);
	return ok;
}

/* ---- roles ---- */

static int wait_ms(usec_t wake, usec_t now)
{
	return wake == USEC_INFINITY ? -1 : wake <= now ? 0 : (int)MIN((wake - now + 999) / 1000, (usec_t)60000);
}

static int run_client(const struct endpoint *to, struct session *settings)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, &ss);
	struct session *s;
	int fd = socket(to->addr.family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len) < 0) {
		(void)printf("{\"ok\":false,\"role\":\"client\",\"error\":\"cannot connect: %s\"}\n", strerror(errno));
		return 1;
	}
	s = session_new(fd, false);
	s->bulk = settings->bulk;
	s->period = settings->period;
	s->patience = settings->patience;
	s->end_at = s->began + settings->end_at;
	s->greeted = true;
	s->next = s->began;
	put_block(s, BLOCK_HELLO, USEC_PER_SEC / s->period, 0, 0);
	while (!s->over) {
		usec_t now = clock_boottime(), wake = USEC_INFINITY;
		struct pollfd p = { .fd = fd, .events = session_events(s, now, &wake) };

		if (poll(&p, 1, wait_ms(wake, now)) < 0 && errno != EINTR)
			fail(s, "poll", errno);
		else
			session_step(s, p.revents);
	}
	return session_finish(s) ? 0 : 1;
}

static int listen_on(const struct endpoint *at)
{
	int fd = socket(at->addr.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(at, &ss);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 64) < 0) {
		perror("tcpkeep: cannot listen");
		exit(2);
	}
	return fd;
}

static int run_server(const struct endpoint *at, const struct session *settings)
{
	struct session *sessions[SESSIONS_MAX];
	size_t n = 0;
	int listener = listen_on(at), signals, failures = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0) {
		perror("tcpkeep: signalfd");
		return 2;
	}
	for (;;) {
		struct pollfd p[SESSIONS_MAX + 2] = { { .fd = signals, .events = POLLIN },
						      { .fd = n < SESSIONS_MAX ? listener : -1, .events = POLLIN } };
		usec_t now = clock_boottime(), wake = USEC_INFINITY;
		size_t left = 0, known = n;

		for (size_t i = 0; i < n; i++)
			p[i + 2] = (struct pollfd){ .fd = sessions[i]->fd, .events = session_events(sessions[i], now, &wake) };
		if (poll(p, n + 2, wait_ms(wake, now)) < 0 && errno != EINTR)
			return 2;
		if (p[0].revents)
			break;
		for (size_t i = 0; i < known; i++) {
			session_step(sessions[i], p[i + 2].revents);
			if (!sessions[i]->over)
				sessions[left++] = sessions[i];
			else
				failures += !session_finish(sessions[i]);
		}
		n = left;
		if (p[1].revents) {
			int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0) {
				sessions[n] = session_new(fd, true);
				sessions[n++]->patience = settings->patience;
			}
		}
	}
	for (size_t i = 0; i < n; i++)
		failures += !session_finish(sessions[i]);
	return failures ? 1 : 0;
}

static _noreturn_ void usage(const char *why, const char *what)
{
	(void)fprintf(stderr, "tcpkeep: %s%s\nusage: tcpkeep server ADDR:PORT [--patience SECONDS]\n       tcpkeep client ADDR:PORT "
			      "--seconds N [--rate HZ | --bulk] [--patience SECONDS]\n", why, what);
	exit(2);
}

int main(int argc, char **argv)
{
	static struct session settings = { .period = USEC_PER_SEC / 10, .patience = 60 * USEC_PER_SEC };
	struct endpoint e;
	bool server;

	if (argc < 3)
		usage("what shall I do?", "");
	server = str_eq(argv[1], "server");
	if (!server && !str_eq(argv[1], "client"))
		usage("neither server nor client: ", argv[1]);
	if (endpoint_parse(argv[2], &e) < 0)
		usage("cannot read ", argv[2]);
	for (int i = 3; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		uint32_t n;

		if (str_eq(argv[i], "--bulk")) {
			settings.bulk = true;
			continue;
		}
		if (str_eq(argv[i], "--rate") && parse_u32(value, 1, 100000, &n) == 0)
			settings.period = USEC_PER_SEC / n;
		else if (str_eq(argv[i], "--seconds") && parse_duration(value, &settings.end_at) == 0 && settings.end_at)
			settings.end_at += 0;
		else if (!str_eq(argv[i], "--patience") || parse_duration(value, &settings.patience) < 0)
			usage("cannot read ", argv[i]);
		i++;
	}
	if (server)
		return run_server(&e, &settings);
	if (!settings.end_at)
		usage("--seconds is missing", "");
	return run_client(&e, &settings);
}
