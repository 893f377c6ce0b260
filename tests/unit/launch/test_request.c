/* The request of a user's exec: what is built is what is parsed, and nothing else is. */
#include "launch/request.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

#include "base/launch-api.h"
#include "base/str.h"

static char *argv[] = { "sh", "-c", "echo \"$A\"\n", "", NULL };
static char *envp[] = { "A=1=2", "EMPTY=", "LANG=C", "NOTHING", "=x", "", NULL }; /* the last three: execve() takes anything */

static void expect_same(char *const *a, char *const *b)
{
	cr_assert_eq(strv_len(a), strv_len(b));
	for (size_t i = 0; a[i]; i++)
		cr_assert_str_eq(a[i], b[i]);
}

Test(request, arguments_and_environment_arrive)
{
	int fd = request_build(argv, envp);
	struct request r;

	cr_assert_geq(fd, 0);
	cr_assert_eq(request_parse(fd, &r), 0);
	expect_same(r.argv, argv);
	expect_same(r.envp, envp);
	request_done(&r);
	(void)close(fd);
}

Test(request, is_sealed)
{
	int fd = request_build(argv, NULL);

	cr_assert_eq(fcntl(fd, F_GET_SEALS) & (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL),
		     F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	cr_assert_lt(write(fd, "x", 1), 0);
	(void)close(fd);
}

Test(request, needs_a_program)
{
	char *none[] = { NULL }, *empty[] = { "", NULL };
	struct request r;
	int fd;

	cr_assert_eq(request_build(none, envp), -EINVAL);
	fd = request_build(empty, envp);
	cr_assert_eq(request_parse(fd, &r), -EBADMSG);
	(void)close(fd);
}

Test(request, too_large_is_refused)
{
	_cleanup_(freep) char *big = malloc(LAUNCH_REQUEST_MAX + 1);
	char *v[] = { "x", big, NULL };

	memset(big, 'a', LAUNCH_REQUEST_MAX);
	big[LAUNCH_REQUEST_MAX] = '\0';
	cr_assert_eq(request_build(v, NULL), -E2BIG);
}

#define BAD(text) cr_assert_eq(request_parse_text(text, sizeof(text) - 1, &r), -EBADMSG, "%s", #text)
Test(request, anything_else_is_refused)
{
	struct request r;

	BAD("");
	BAD("nsvpn-request-1");
	BAD("nsvpn-request-2\0Ax\0");
	BAD("nsvpn-request-1\0");
	BAD("nsvpn-request-1\0E" "A=1\0");
	BAD("nsvpn-request-1\0Ax");
	BAD("nsvpn-request-1\0Ax\0X\0");
	BAD("nsvpn-request-1\0Ax\0\0");
	cr_assert_eq(request_parse_text("nsvpn-request-1\0Ax\0", 19, &r), 0);
	request_done(&r);
}
