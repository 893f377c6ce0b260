/*
 * A bad road for datagrams: what arrives at LISTEN goes on to TARGET, and back, and on both ways some of it is lost, comes twice
 * or comes late.
 *
 *   relay LISTEN:PORT TARGET:PORT [--seed N] [--loss PERCENT] [--duplicate PERCENT] [--reorder PERCENT] [--delay MSEC]
 *
 * Theory: each datagram draws its fate from one generator, so the same seed gives the same road to the same traffic. Lost ones are
 * dropped; the others leave at once, or, for --reorder percent of them and for each second copy, after a time between 1 ms and --delay
 * (30), so that later ones overtake them. One client at a time: whoever sent last gets the answers. SIGUSR1 closes the road (nothing
 * passes any more), SIGUSR2 opens it again. Prints "ready", and at SIGTERM one JSON line with what it did; then the exit status is 0,
 * else 2.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "base/inaddr.h"
#include "base/parse.h"
#include "base/str.h"

#define DATAGRAM_MAX 65536
#define LATE_MAX 4096 /* datagrams that wait; more are lost */
#define POLL_MSEC 1000

struct late {
	usec_t due;
	bool back; /* to the client */
	size_t len;
	uint8_t *data;
};

struct road {
	int in, out; /* towards the client, towards the target */
	struct sockaddr_storage client;
	socklen_t client_len;
	uint64_t state;
	uint64_t loss, duplicate, reorder, delay; /* percent, and msec */
	bool closed;
	uint64_t taken, lost, doubled, late_ones, blocked;
	struct late late[LATE_MAX];
	size_t n_late;
};

/* splitmix64 */
static uint64_t draw(struct road *r)
{
	uint64_t x = r->state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static bool chance(struct road *r, uint64_t percent)
{
	return draw(r) % 100 < percent;
}

static void pass(struct road *r, bool back, const uint8_t *p, size_t len)
{
	/* An error is the road's: a datagram that the network refuses is lost. */
	if (!back)
		(void)send(r->out, p, len, MSG_DONTWAIT);
	else if (r->client_len)
		(void)sendto(r->in, p, len, MSG_DONTWAIT, (struct sockaddr *)&r->client, r->client_len);
}

static void pass_later(struct road *r, bool back, const uint8_t *p, size_t len, usec_t now)
{
	struct late *l = &r->late[r->n_late];

	if (r->n_late == LATE_MAX || !(l->data = malloc(len ? len : 1))) {
		r->lost++;
		return;
	}
	memcpy(l->data, p, len);
	l->len = len;
	l->back = back;
	l->due = now + USEC_PER_MSEC + draw(r) % (r->delay * USEC_PER_MSEC);
	r->n_late++;
	r->late_ones++;
}

static void pass_due(struct road *r, usec_t now)
{
	for (size_t i = 0; i < r->n_late;) {
		if (r->late[i].due > now) {
			i++;
			continue;
		}
		pass(r, r->late[i].back, r->late[i].data, r->late[i].len);
		free(r->late[i].data);
		r->late[i] = r->late[--r->n_late];
	}
}

static void on_datagram(struct road *r, bool back, const uint8_t *p, size_t len, usec_t now)
{
	bool lost = chance(r, r->loss), twice = chance(r, r->duplicate), late = chance(r, r->reorder);

	r->taken++;
	if (r->closed) {
		r->blocked++;
		return;
	}
	if (lost) {
		r->lost++;
		return;
	}
	if (late)
		pass_later(r, back, p, len, now);
	else
		pass(r, back, p, len);
	if (twice) {
		r->doubled++;
		pass_later(r, back, p, len, now);
	}
}

static void receive(struct road *r, bool back, usec_t now)
{
	static uint8_t buf[DATAGRAM_MAX];

	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(back ? r->out : r->in, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len);

		if (n < 0)
			return; /* nothing more, or an ICMP error that a lossy road does not mind */
		if (!back) {
			r->client = from;
			r->client_len = len;
		}
		on_datagram(r, back, buf, (size_t)n, now);
	}
}

static int wait_msec(const struct road *r, usec_t now)
{
	usec_t next = now + POLL_MSEC * USEC_PER_MSEC;

	for (size_t i = 0; i < r->n_late; i++)
		next = MIN(next, r->late[i].due);
	return next <= now ? 0 : (int)((next - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

static int run(struct road *r, int signals)
{
	struct pollfd p[] = { { .fd = r->in, .events = POLLIN }, { .fd = r->out, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo info;

	for (;;) {
		usec_t now = clock_boottime();

		pass_due(r, now);
		if (poll(p, ARRAY_SIZE(p), wait_msec(r, now)) < 0 && errno != EINTR)
			return -errno;
		now = clock_boottime();
		if (p[0].revents)
			receive(r, false, now);
		if (p[1].revents)
			receive(r, true, now);
		if (!(p[2].revents & POLLIN) || read(signals, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo == SIGTERM)
			return 0;
		r->closed = info.ssi_signo == SIGUSR1;
	}
}

static int open_socket(const char *at, bool target)
{
	struct endpoint e;
	struct sockaddr_storage sa;
	int size = 4 * 1024 * 1024;
	socklen_t len;
	int fd, r = endpoint_parse(at, &e);

	if (r < 0)
		return r;
	len = endpoint_to_sockaddr(&e, &sa);
	fd = socket(e.addr.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* what is lost here is lost without being drawn */
	r = target ? connect(fd, (struct sockaddr *)&sa, len) : bind(fd, (struct sockaddr *)&sa, len);
	if (r < 0) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	return fd;
}

static bool take_option(struct road *r, const char *name, const char *value)
{
	const struct {
		const char *name;
		uint64_t *field, min, max;
	} options[] = {
		{ "--seed", &r->state, 0, UINT64_MAX }, { "--loss", &r->loss, 0, 100 }, { "--duplicate", &r->duplicate, 0, 100 },
		{ "--reorder", &r->reorder, 0, 100 },	{ "--delay", &r->delay, 1, 10000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (str_eq(name, options[i].name))
			return value && parse_u64(value, options[i].min, options[i].max, options[i].field) == 0;
	return false;
}

int main(int argc, char **argv)
{
	static struct road r = { .delay = 30 };
	sigset_t mask;
	int signals, error;

	for (int i = 3; i < argc; i += 2)
		if (!take_option(&r, argv[i], argv[i + 1]))
			argc = 0;
	if (argc < 3) {
		(void)fprintf(stderr, "usage: relay LISTEN:PORT TARGET:PORT [--seed N] [--loss PERCENT] [--duplicate PERCENT] [--reorder PERCENT] "
				      "[--delay MSEC]\n");
		return 2;
	}
	(void)sigemptyset(&mask); /* cannot fail, nor can the next ones */
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGUSR1);
	(void)sigaddset(&mask, SIGUSR2);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	r.in = open_socket(argv[1], false);
	r.out = open_socket(argv[2], true);
	if (signals < 0 || r.in < 0 || r.out < 0) {
		(void)fprintf(stderr, "relay: cannot listen on %s or send to %s\n", argv[1], argv[2]);
		return 2;
	}
	(void)printf("ready\n");
	(void)fflush(stdout);
	error = run(&r, signals);
	(void)printf("{\"taken\":%llu,\"lost\":%llu,\"doubled\":%llu,\"late\":%llu,\"blocked\":%llu}\n", (unsigned long long)r.taken,
		     (unsigned long long)r.lost, (unsigned long long)r.doubled, (unsigned long long)r.late_ones,
		     (unsigned long long)r.blocked);
	return error < 0 ? 2 : 0;
}
