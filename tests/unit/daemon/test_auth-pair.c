/* Credentials from a pipe or a memfd. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/process.h"
#include "base/str.h"
#include "daemon/auth-pair.h"

static int from_memfd(const char *text, size_t len, char *out, size_t *ret_len)
{
	_cleanup_(closep) int in = memfd_sealed("test", text, len), fd = -EBADF;
	_cleanup_(freep) char *error = NULL;
	ssize_t n;
	int r;

	r = auth_pair_read(in, &fd, &error);
	cr_assert(r >= 0 || error);
	if (r < 0)
		return r;
	n = pread(fd, out, 8192, 0);
	cr_assert_geq(n, 0);
	*ret_len = (size_t)n;
	return 0;
}

Test(auth_pair, accepts_the_usual_line_ends)
{
	static const char *const good[] = { "alice\nsecret\n", "alice\nsecret", "alice\r\nsecret\r\n" };
	char out[8192];
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		cr_assert_eq(from_memfd(good[i], strlen(good[i]), out, &len), 0, "%zu", i);
		cr_assert_eq(len, sizeof("alice\0secret"));
		cr_assert_eq(memcmp(out, "alice\0secret", len), 0);
	}
}

Test(auth_pair, a_pass_phrase_comes_third)
{
	static const struct {
		const char *in, *out;
		size_t len;
		int parts;
	} rows[] = {
		{ "alice\nsecret\nopen sesame\n", "alice\0secret\0open sesame", 25, AUTH_PAIR_LOGIN | AUTH_PAIR_PHRASE },
		{ "alice\nsecret\r\nx", "alice\0secret\0x", 15, AUTH_PAIR_LOGIN | AUTH_PAIR_PHRASE },
		{ "\n\nopen sesame\n", "\0\0open sesame", 14, AUTH_PAIR_PHRASE },
		{ "alice\nsecret\n\n", "alice\0secret\0", 14, AUTH_PAIR_LOGIN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(closep) int in = memfd_sealed("test", rows[i].in, strlen(rows[i].in)), fd = -EBADF;
		_cleanup_(freep) char *error = NULL;
		char out[64];

		cr_assert_eq(auth_pair_read(in, &fd, &error), rows[i].parts, "row %zu: %s", i, error);
		cr_assert_eq(pread(fd, out, sizeof(out), 0), (ssize_t)rows[i].len, "row %zu", i);
		cr_assert_eq(memcmp(out, rows[i].out, rows[i].len), 0, "row %zu", i);
	}
}

Test(auth_pair, the_answer_can_be_forgotten)
{
	static const struct {
		const char *in, *out;
		size_t len;
		bool has_phrase;
	} rows[] = {
		{ "alice\nsecret\n42\n", "alice\0secret", 13, false },
		{ "alice\nsecret\n", "alice\0secret", 13, false },
		{ "alice\nsecret\n", "alice\0secret", 13, true },
		{ "alice\nsecret\nphrase\n", "alice\0secret\0phrase", 20, true },
		{ "alice\nsecret\nphrase\n42\n", "alice\0secret\0phrase", 20, true },
		{ "\n\nphrase\n42\n", "\0\0phrase", 9, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(freep) char *error = NULL;
		_cleanup_(closep) int in = memfd_sealed("test", rows[i].in, strlen(rows[i].in)), fd = -EBADF;
		char out[64];

		cr_assert_geq(auth_pair_read(in, &fd, &error), 0, "row %zu: %s", i, error);
		cr_assert_eq(auth_pair_forget_answer(&fd, rows[i].has_phrase), 0);
		cr_assert_eq(pread(fd, out, sizeof(out), 0), (ssize_t)rows[i].len, "row %zu", i);
		cr_expect_eq(memcmp(out, rows[i].out, rows[i].len), 0, "row %zu", i);
	}
	cr_expect_eq(auth_pair_forget_answer(&(int){ -EBADF }, false), 0);
}

Test(auth_pair, an_answer_is_one_line)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = { { "42\n", true }, { "42", true }, { "two words\r\n", true }, { "", false }, { "\n", false }, { "a\nb\n", false } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(freep) char *error = NULL;
		_cleanup_(closep) int in = memfd_sealed("test", rows[i].text, strlen(rows[i].text)), fd = -EBADF;

		cr_assert_geq(in, 0);
		cr_expect_eq(auth_answer_read(in, &fd, &error) == 0, rows[i].ok, "row %zu", i);
		cr_expect_eq(error == NULL, rows[i].ok, "row %zu", i);
	}
}

Test(auth_pair, refuses_everything_else)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = { { "", 0 }, { "alice", 5 }, { "alice\n", 6 }, { "\nsecret\n", 8 }, { "a\nb\nc\nd\ne\n", 10 }, { "\n\n\n", 3 },
		    { "\n\n", 2 }, { "a\n\nc\n", 5 }, { "\nb\nc\n", 5 },
		    { "a\0b\nc\n", 6 }, { "a\nb\0\n", 5 }, { "a\n\n", 3 } };
	char out[8192];
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_lt(from_memfd(bad[i].text, bad[i].len, out, &len), 0, "%zu", i);
}

Test(auth_pair, refuses_more_than_its_limit)
{
	char text[AUTH_PAIR_MAX + 2], out[8192];
	size_t len;

	memset(text, 'x', sizeof(text));
	text[10] = '\n';
	cr_assert_eq(from_memfd(text, AUTH_PAIR_MAX, out, &len), 0);
	cr_assert_lt(from_memfd(text, AUTH_PAIR_MAX + 1, out, &len), 0);
}

Test(auth_pair, reads_a_pipe_and_waits_for_nobody)
{
	_cleanup_(freep) char *error = NULL;
	int p[2], fd = -EBADF;

	cr_assert_eq(pipe2(p, O_CLOEXEC), 0);
	cr_assert_eq(write(p[1], "u\np\n", 4), 4);
	cr_assert_eq(auth_pair_read(p[0], &fd, &error), AUTH_PAIR_LOGIN, "%s", error);
	fd_close(fd);
	cr_assert_eq(write(p[1], "u\n", 2), 2); /* and never more: the writer stays */
	cr_assert_lt(auth_pair_read(p[0], &fd, &error), 0);
}

/* One who writes a byte now and then, for a minute and a half. */
static int drip(void *userdata)
{
	int fd = *(int *)userdata;

	for (int i = 0; i < 4500; i++) {
		(void)usleep(20000);
		if (write(fd, "x", 1) != 1)
			break;
	}
	return 0;
}

Test(auth_pair, a_slow_writer_keeps_nobody, .timeout = 60)
{
	_cleanup_(freep) char *error = NULL;
	int p[2], fd = -EBADF, flags;
	usec_t begin;
	pid_t pid;

	cr_assert_eq(pipe2(p, O_CLOEXEC), 0);
	flags = fcntl(p[0], F_GETFL);
	cr_assert_eq(process_fork(drip, &p[1], &pid, NULL), 0);
	begin = clock_boottime();
	cr_expect_lt(auth_pair_read(p[0], &fd, &error), 0);
	cr_expect_lt(clock_boottime() - begin, 20 * USEC_PER_SEC);
	cr_expect_eq(fcntl(p[0], F_GETFL), flags, "the caller's own pipe is as it was");
	(void)process_kill_wait(pid, SIGKILL);
}

Test(auth_pair, a_pipe_with_a_name_is_a_file_of_somebodys_choice)
{
	char path[] = "/tmp/nsvpn-auth-XXXXXX";
	_cleanup_(freep) char *error = NULL, *fifo = NULL;
	int in, fd = -EBADF;

	cr_assert_not_null(mkdtemp(path));
	fifo = str_format("%s/fifo", path);
	cr_assert_eq(mkfifo(fifo, 0600), 0);
	in = open(fifo, O_RDWR | O_CLOEXEC);
	cr_assert_eq(write(in, "u\np\n", 4), 4);
	cr_expect_lt(auth_pair_read(in, &fd, &error), 0);
	(void)close(in);
	cr_assert_eq(unlink(fifo), 0);
	cr_assert_eq(rmdir(path), 0);
}

Test(auth_pair, refuses_files_and_devices)
{
	static const char *const paths[] = { "/dev/zero", "/etc/passwd", "/" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_(closep) int in = open(paths[i], O_RDONLY | O_CLOEXEC), fd = -EBADF;
		_cleanup_(freep) char *error = NULL;

		cr_expect_lt(auth_pair_read(in, &fd, &error), 0, "%s", paths[i]);
	}
}
