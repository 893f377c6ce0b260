/* The parts of engine-proc that need no engine. */
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/process.h"
#include "daemon/engine-proc.h"
#include "world.h"

static void nothing(void)
{
}

TestSuite(engine_proc, .timeout = 30);

Test(engine_proc, this_test_is_no_sandbox)
{
	cr_assert_eq(engine_proc_verify_sandbox(getpid()), -EPERM);
	cr_assert_lt(engine_proc_verify_sandbox(0x7ffffffe), 0);
}

Test(engine_proc, its_user_is_never_root)
{
	uid_t uid = 0;
	gid_t gid = 0;

	engine_proc_ids(&uid, &gid);
	cr_assert_neq(uid, 0);
	cr_assert_neq(gid, 0);
}

Test(engine_proc, describes_ends)
{
	char buf[96];

	cr_assert_str_eq(engine_proc_describe(0, buf, sizeof(buf)), "ended by itself");
	cr_assert_str_eq(engine_proc_describe(3, buf, sizeof(buf)), "ended with status 3");
	cr_assert_str_eq(engine_proc_describe(128 + SIGKILL, buf, sizeof(buf)), "was killed by signal 9 (Killed)");
}

static int sleep_for_ever(void *userdata _unused_)
{
	while (pause() < 0)
		;
	return 0;
}

Test(engine_proc, a_stale_engine_is_ended_but_no_other_process, .init = nothing, .fini = world_end)
{
	_cleanup_(freep) char *note = NULL, *wrong = NULL;
	pid_t pid;

	world_begin(NULL);
	cr_assert_eq(process_fork(sleep_for_ever, NULL, &pid, NULL), 0);
	engine_proc_note("home", pid);
	note = world_read("run/home.engine");
	cr_assert_not_null(note);
	/* The number was used again by a later process: another start time. */
	wrong = str_format("%d 1\n", pid);
	world_write("run/home.engine", wrong);
	engine_proc_end_stale("home");
	cr_assert_eq(kill(pid, 0), 0);
	usleep(20000);
	cr_assert_eq(waitpid(pid, NULL, WNOHANG), 0, "still alive");
	world_write("run/home.engine", note);
	engine_proc_end_stale("home");
	cr_assert_eq(process_wait(pid), 128 + SIGKILL);
	cr_assert_null(world_read("run/home.engine"));
	engine_proc_end_stale("home"); /* nothing there: nothing happens */
	world_write("run/home.engine", "1 1\n");
	engine_proc_end_stale("home");
	world_write("run/home.engine", "garbage");
	engine_proc_end_stale("home");
}
