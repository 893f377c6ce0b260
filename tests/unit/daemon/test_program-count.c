/* Control groups as systemd makes them, in a folder of our own. */
#include "daemon/program-count.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

static char root[] = "/tmp/nsvpn-count-XXXXXX";

static void begin(void)
{
	cr_assert_not_null(mkdtemp(root));
}

static void end(void)
{
	cr_assert_eq(dir_remove(AT_FDCWD, root), 0);
}

TestSuite(program_count, .init = begin, .fini = end);

static void make(const char *path)
{
	_cleanup_(freep) char *full = str_format("%s/%s", root, path);

	cr_assert_eq(dir_make(full, 0755), 0);
}

Test(program_count, none_where_there_is_nothing)
{
	cr_expect_eq(program_count(root, 1000), 0);
	make("user.slice/user-1000.slice");
	cr_expect_eq(program_count(root, 1000), 0);
}

Test(program_count, programs_of_this_user_and_nothing_else)
{
	make("user.slice/user-1000.slice/nsvpn-exec-home-0123456789abcdef.service");
	make("user.slice/user-1000.slice/nsvpn-exec-work-0123456789abcdef.service");
	make("user.slice/user-1000.slice/session-1.scope");
	make("user.slice/user-1000.slice/user@1000.service");
	make("user.slice/user-1000.slice/nsvpn-exec-home.slice");
	make("user.slice/user-1001.slice/nsvpn-exec-home-0123456789abcdef.service");
	cr_expect_eq(program_count(root, 1000), 2);
	cr_expect_eq(program_count(root, 1001), 1);
	cr_expect_eq(program_count(root, 1002), 0);
}

Test(program_count, older_trees)
{
	make("unified/user.slice/user-1000.slice/nsvpn-exec-home-0123456789abcdef.service");
	make("systemd/user.slice/user-1000.slice/nsvpn-exec-home-0123456789abcdef.service");
	cr_expect_eq(program_count(root, 1000), 1, "the same one, seen twice");
}
