/* log.h: levels, sinks, the forms of a line on stderr. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"

struct caught {
	unsigned n;
	enum log_level level;
	char object[64];
	char line[4096];
};

static void catch(void *userdata, enum log_level level, const char *object, const char *line)
{
	struct caught *c = userdata;

	c->n++;
	c->level = level;
	(void)str_copy(c->object, sizeof(c->object), object ? object : "(none)"); /* test lines are short */
	(void)str_copy(c->line, sizeof(c->line), line);
}

Test(log, sink_gets_level_object_and_line)
{
	struct caught c = { 0 };

	log_set_sink(catch, &c);
	cr_expect_eq(log_full(LOG_LEVEL_NOTICE, 0, "home", "a %d", 1), 0);
	cr_expect_eq(c.level, LOG_LEVEL_NOTICE);
	cr_expect_str_eq(c.object, "home");
	cr_expect_str_eq(c.line, "a 1");
	log_info("b");
	cr_expect_str_eq(c.object, "(none)");
}

Test(log, errors_are_formatted_and_returned)
{
	struct caught c = { 0 };

	log_set_sink(catch, &c);
	errno = EAGAIN;
	cr_expect_eq(log_error_errno(-ENOENT, "opening x: %m"), -ENOENT);
	cr_expect_str_eq(c.line, "opening x: No such file or directory");
	cr_expect_eq(errno, EAGAIN, "errno is the caller's");
	cr_expect_eq(log_debug_errno(-EIO, "hidden"), -EIO);
	cr_expect_eq(c.n, 1);
}

Test(log, levels_above_the_maximum_are_dropped)
{
	struct caught c = { 0 };

	log_set_sink(catch, &c);
	cr_expect_eq(log_get_max_level(), LOG_LEVEL_INFO);
	log_debug("x");
	cr_expect_eq(c.n, 0);
	log_set_max_level(LOG_LEVEL_DEBUG);
	log_debug("x");
	cr_expect_eq(c.n, 1);
	log_set_max_level(LOG_LEVEL_ERROR);
	log_warning("x");
	cr_expect_eq(c.n, 1);
	log_error("x");
	cr_expect_eq(c.n, 2);
}

Test(log, a_message_is_one_harmless_line)
{
	struct caught c = { 0 };
	char big[5000];

	log_set_sink(catch, &c);
	log_info("a\nb\x1b[31m\tc\n");
	cr_expect_str_eq(c.line, "a b [31m\tc");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("%s", big);
	cr_expect_eq(strlen(c.line), 2047);
	cr_expect(str_has_suffix(c.line, "xxx..."));
}

Test(log, level_names)
{
	cr_expect_str_eq(log_level_to_string(LOG_LEVEL_WARNING), "warning");
	cr_expect_str_eq(log_level_to_string((enum log_level)99), "unknown");
}

/* Runs log lines with stderr on a temporary file; returns what they wrote. */
static void stderr_of(bool journal, char *buf, size_t cap)
{
	char path[] = "/tmp/nsvpn-log-XXXXXX", stream[64];
	int fd = mkstemp(path), saved = dup(STDERR_FILENO);
	struct stat st;
	ssize_t n;

	cr_assert_geq(fd, 0);
	unlink(path);
	cr_assert_eq(fstat(fd, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino + (journal ? 0 : 1));
	setenv("JOURNAL_STREAM", stream, 1);
	dup2(fd, STDERR_FILENO);
	log_set_program("nsvpnd");
	log_warning("one");
	(void)log_full(LOG_LEVEL_ERROR, 0, "home", "two");
	dup2(saved, STDERR_FILENO);
	n = pread(fd, buf, cap - 1, 0);
	cr_assert_geq(n, 0);
	buf[n] = '\0';
	close(fd);
	close(saved);
}

Test(log, stderr_lines_name_the_program)
{
	char buf[256];

	stderr_of(false, buf, sizeof(buf));
	cr_expect_str_eq(buf, "nsvpnd: one\nnsvpnd: home: two\n");
}

Test(log, journal_lines_carry_their_level)
{
	char buf[256];

	stderr_of(true, buf, sizeof(buf));
	cr_expect_str_eq(buf, "<4>one\n<3>home: two\n");
}
