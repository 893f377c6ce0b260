/* Lookups: literals without a child, the hosts file through one, hostile answers of the child. */
#include <criterion/criterion.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/str.h"
#include "daemon/resolve.h"

struct answer {
	bool done;
	int r;
	size_t n;
	struct inaddr first;
	char why[128];
};

static void on_answer(void *userdata, int r, const struct inaddr *addrs, size_t n, const char *why)
{
	struct answer *a = userdata;

	a->done = true;
	a->r = r;
	a->n = n;
	if (n > 0)
		a->first = addrs[0];
	(void)str_copy(a->why, sizeof(a->why), why ? why : "");
}

static struct answer ask(const char *host, int family, usec_t timeout)
{
	sd_event *event = NULL;
	struct resolve *q = NULL;
	struct answer a = { 0 };
	usec_t end = clock_boottime() + 15 * USEC_PER_SEC;

	cr_assert_geq(sd_event_new(&event), 0);
	cr_assert_eq(resolve_start(&q, event, host, family, timeout, on_answer, &a) < 0, false);
	cr_assert(!a.done, "never from inside resolve_start()");
	while (!a.done && clock_boottime() < end)
		cr_assert_geq(sd_event_run(event, 50 * USEC_PER_MSEC), 0);
	resolve_free(q);
	sd_event_unref(event);
	cr_assert(a.done);
	return a;
}

Test(resolve, literals_need_no_lookup)
{
	struct answer a = ask("192.0.2.7", AF_UNSPEC, USEC_PER_SEC);
	char text[INADDR_STR_MAX];

	cr_assert_eq(a.r, 0);
	cr_assert_eq(a.n, 1);
	cr_assert_str_eq(inaddr_format(&a.first, text, sizeof(text)), "192.0.2.7");
	a = ask("2001:db8::1", AF_INET6, USEC_PER_SEC);
	cr_assert_eq(a.r, 0);
	cr_assert_eq(a.first.family, AF_INET6);
}

Test(resolve, a_literal_of_the_other_family_is_refused)
{
	struct answer a = ask("192.0.2.7", AF_INET6, USEC_PER_SEC);

	cr_assert_eq(a.r, -ENOENT);
	cr_assert_neq(a.why[0], 0);
}

Test(resolve, names_of_the_hosts_file_resolve)
{
	struct answer a = ask("localhost", AF_INET, 5 * USEC_PER_SEC);
	char text[INADDR_STR_MAX];

	cr_assert_eq(a.r, 0, "%s", a.why);
	cr_assert_str_eq(inaddr_format(&a.first, text, sizeof(text)), "127.0.0.1");
}

Test(resolve, a_name_that_is_none_says_so)
{
	struct answer a = ask("a..b", AF_INET, 10 * USEC_PER_SEC);

	cr_assert_lt(a.r, 0);
	cr_assert_neq(a.why[0], 0);
}

Test(resolve, cancelling_leaves_no_child)
{
	sd_event *event = NULL;
	struct resolve *q = NULL;
	struct answer a = { 0 };

	cr_assert_geq(sd_event_new(&event), 0);
	cr_assert_eq(resolve_start(&q, event, "localhost", AF_INET, USEC_PER_SEC, on_answer, &a) < 0, false);
	resolve_free(q);
	cr_assert_geq(sd_event_run(event, 1000), 0);
	cr_assert(!a.done);
	sd_event_unref(event);
}

static int decode(const void *p, size_t len, size_t *ret_n)
{
	struct inaddr addrs[RESOLVE_ADDRS_MAX];
	const char *why = NULL;
	int r = resolve_decode(p, len, addrs, ret_n, &why);

	cr_assert(r >= 0 || why, "a failure has words");
	return r;
}

Test(resolve, hostile_answers_of_the_child_are_errors)
{
	uint8_t buf[1024];
	struct writer w = writer_init(buf, sizeof(buf));
	size_t n = 0;

	write_be32(&w, 0);
	write_u8(&w, 2);
	write_u8(&w, 4);
	write_bytes(&w, "\x7f\0\0\1", 4);
	write_u8(&w, 6);
	write_bytes(&w, "0123456789abcdef", 16);
	cr_assert_eq(decode(buf, w.len, &n), 0);
	cr_assert_eq(n, 2);
	for (size_t len = 0; len < w.len; len++)
		cr_assert_lt(decode(buf, len, &n), 0, "cut at %zu", len);
	cr_assert_lt(decode(buf, w.len + 1, &n), 0, "a tail");
	buf[5] = 5;
	cr_assert_lt(decode(buf, w.len, &n), 0, "a family that is none");
	buf[5] = 4;
	buf[4] = 255;
	cr_assert_lt(decode(buf, w.len, &n), 0, "more than it has");
	buf[4] = 0;
	cr_assert_lt(decode(buf, 5, &n), 0, "no address");
	buf[0] = 0x80;
	cr_assert_lt(decode(buf, 5, &n), 0, "a code that is none");
}
