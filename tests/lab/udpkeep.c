/*
 * Checksummed data over a road that loses datagrams: numbered datagrams to an echo service, each sent again every 200 ms until its
 * echo has come back unchanged.
 *
 *   udpkeep ADDR:PORT --count N [--seconds S]
 *
 * Every byte of a datagram follows from its number, and its length does too (16 to 1215 bytes); an echo with a byte that differs is
 * the end. At most 32 are on their way. Prints one JSON line; exits 0 when all N have come back within S seconds (120), else 1, 2 for
 * usage.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/inaddr.h"
#include "base/parse.h"
#include "base/str.h"

#define WINDOW 32
#define AGAIN (200 * USEC_PER_MSEC)
#define HEADER 8
#define LEN_MIN 16
#define LEN_SPREAD 1200
#define COUNT_MAX 1000000

static uint8_t byte_of(uint64_t number, size_t place)
{
	uint64_t x = (number << 16 | place) + 0x9e3779b97f4a7c15ULL; /* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return (uint8_t)(x ^ x >> 31);
}

static size_t fill(uint64_t number, uint8_t *p)
{
	size_t len = LEN_MIN + number * 7919 % LEN_SPREAD;
	struct writer w = writer_init(p, HEADER);

	write_be64(&w, number);
	for (size_t i = HEADER; i < len; i++)
		p[i] = byte_of(number, i);
	return len;
}

static bool is_right(uint64_t number, const uint8_t *p, size_t len)
{
	uint8_t want[LEN_MIN + LEN_SPREAD];

	return len == fill(number, want) && memcmp(p, want, len) == 0;
}

struct flight {
	uint64_t number;
	usec_t due; /* 0: a free place */
};

struct keep {
	int fd;
	struct flight flights[WINDOW];
	uint64_t next, count, back, sent, again;
	bool damaged;
};

static void send_due(struct keep *k, usec_t now)
{
	uint8_t buf[LEN_MIN + LEN_SPREAD];

	for (size_t i = 0; i < WINDOW; i++) {
		struct flight *f = &k->flights[i];

		if (!f->due && k->next < k->count)
			*f = (struct flight){ .number = k->next++, .due = 1 };
		if (!f->due || f->due > now)
			continue;
		k->again += f->due > 1;
		k->sent++;
		f->due = now + AGAIN;
		(void)send(k->fd, buf, fill(f->number, buf), MSG_DONTWAIT); /* what the network refuses is sent again, too */
	}
}

static void receive(struct keep *k)
{
	uint8_t buf[2048];
	ssize_t n;

	while ((n = recv(k->fd, buf, sizeof(buf), MSG_DONTWAIT)) >= 0) {
		struct reader r = reader_init(buf, (size_t)n);
		uint64_t number = read_be64(&r);

		if (r.failed || number >= k->count || !is_right(number, buf, (size_t)n)) {
			k->damaged = true;
			return;
		}
		for (size_t i = 0; i < WINDOW; i++)
			if (k->flights[i].due && k->flights[i].number == number) {
				k->flights[i].due = 0;
				k->back++;
			}
	}
}

static int run(struct keep *k, usec_t until)
{
	struct pollfd p = { .fd = k->fd, .events = POLLIN };
	usec_t began = clock_boottime(), now = began;
	bool good;

	while (k->back < k->count && !k->damaged && now < until) {
		send_due(k, now);
		if (poll(&p, 1, 10) < 0 && errno != EINTR)
			break;
		receive(k);
		now = clock_boottime();
	}
	good = k->back == k->count && !k->damaged;
	(void)printf("{\"ok\":%s,\"datagrams\":%llu,\"sent\":%llu,\"again\":%llu,\"seconds\":%.1f%s}\n", good ? "true" : "false",
		     (unsigned long long)k->back, (unsigned long long)k->sent, (unsigned long long)k->again,
		     (double)(now - began) / (double)USEC_PER_SEC, k->damaged ? ",\"error\":\"a damaged datagram\"" : "");
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct keep k;
	struct sockaddr_storage sa;
	struct endpoint to;
	uint64_t seconds = 120;
	socklen_t len;

	for (int i = 2; i < argc; i += 2)
		if (i + 1 >= argc || !((str_eq(argv[i], "--count") && parse_u64(argv[i + 1], 1, COUNT_MAX, &k.count) == 0) ||
				       (str_eq(argv[i], "--seconds") && parse_u64(argv[i + 1], 1, 3600, &seconds) == 0)))
			argc = 0;
	if (argc < 4 || endpoint_parse(argv[1], &to) < 0) {
		(void)fprintf(stderr, "usage: udpkeep ADDR:PORT --count N [--seconds S]\n");
		return 2;
	}
	len = endpoint_to_sockaddr(&to, &sa);
	k.fd = socket(to.addr.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (k.fd < 0 || connect(k.fd, (struct sockaddr *)&sa, len) < 0) {
		(void)fprintf(stderr, "udpkeep: no way to %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	return run(&k, clock_boottime() + seconds * USEC_PER_SEC);
}
