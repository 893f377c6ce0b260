/* Instances outside, against a /proc of the test's own. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "base/bus-api.h"
#include "cli/instances.h"
#include "unit/cli/desk.h"

static struct instances_query query(char *const *argv)
{
	static char netns[96], proc[96], state[96];

	(void)snprintf(netns, sizeof(netns), "%s/ns/tunnel", desk);
	(void)snprintf(proc, sizeof(proc), "%s/proc", desk);
	(void)snprintf(state, sizeof(state), "%s/state", desk);
	return (struct instances_query){
		.argv = argv, .tunnel = "home", .netns = netns, .proc = proc, .state_home = state, .uid = 1000,
	};
}

static void furnish(void)
{
	_cleanup_(freep) char *path = NULL;

	desk_make();
	path = str_format("%s/bin", desk);
	cr_assert(setenv("PATH", path, 1) == 0);
	desk_script("bin/firefox-esr", "\177ELF");
	desk_script("bin/firefox", "#!/bin/sh\nexec firefox-esr \"$@\"\n");
	desk_script("bin/nautilus", "\177ELF");
	desk_script("bin/odd", "\177ELF");
	desk_text("ns/tunnel", "");
	desk_process(1, 0, "/sbin/init", "init\0", "host");
	(void)fflush(stderr);
}

/* The exit code for `firefox ARGUMENT...`. */
static int check(bool new_instance, struct instances *ret, char *a, char *b, char *c)
{
	char *argv[] = { "firefox", a, b, c, NULL };
	struct instances_query q = query(argv);

	q.new_instance = new_instance;
	return instances_check(&q, ret);
}

static const char *said(void)
{
	static char buf[1024];
	size_t n;

	(void)fflush(stderr);
	n = fread(buf, 1, sizeof(buf) - 1, cr_get_redirected_stderr());
	buf[n] = '\0';
	return buf;
}

Test(instances, nobody_runs)
{
	struct instances i = { 0 };

	furnish();
	cr_expect_eq(check(false, &i, NULL, NULL, NULL), EXIT_CODE_OK);
	cr_expect_str_eq(str_base_name(i.program), "firefox-esr");
	cr_expect_null(i.argv);
	instances_done(&i);
}

Test(instances, one_outside_refuses, .init = cr_redirect_stderr)
{
	struct instances i = { 0 };
	const char *text;

	furnish();
	desk_process(77, 1, "/usr/lib/firefox-esr/firefox-esr", "firefox-esr\0", "host");
	cr_expect_eq(check(false, &i, NULL, NULL, NULL), EXIT_CODE_EXEC_FAILED);
	text = said();
	cr_expect(strstr(text, "pid 77") && strstr(text, "--new-instance"), "%s", text);
	cr_expect_null(i.program);
}

Test(instances, one_whose_namespace_may_not_be_read_counts_as_outside, .init = cr_redirect_stderr)
{
	struct instances i = { 0 };

	furnish();
	desk_process(77, 1, "/usr/lib/firefox-esr/firefox-esr", "firefox-esr\0", NULL);
	cr_expect_eq(check(false, &i, NULL, NULL, NULL), EXIT_CODE_EXEC_FAILED);
}

Test(instances, one_whose_file_may_not_be_read_is_known_by_its_name, .init = cr_redirect_stderr)
{
	struct instances i = { 0 };

	furnish();
	desk_process(77, 1, "firefox-esr", "\0", NULL);
	cr_expect_eq(check(false, &i, NULL, NULL, NULL), EXIT_CODE_EXEC_FAILED);
}

Test(instances, one_inside_and_its_children_in_empty_namespaces_are_fine)
{
	struct instances i = { 0 };

	furnish();
	desk_process(77, 1, "/usr/lib/firefox-esr/firefox-esr", "firefox-esr\0", "tunnel");
	desk_process(78, 77, "/usr/lib/firefox-esr/firefox-esr", "firefox-esr\0-contentproc\0", "empty");
	cr_expect_eq(check(false, &i, NULL, NULL, NULL), EXIT_CODE_OK);
	instances_done(&i);
}

Test(instances, a_script_is_known_behind_its_interpreter, .init = cr_redirect_stderr)
{
	char *argv[] = { "terminator", NULL };
	struct instances_query q;
	struct instances i = { 0 };

	furnish();
	desk_script("bin/terminator", "#!/usr/bin/python3\n");
	desk_process(80, 1, "/usr/bin/python3.11", "python3\0-u\0/usr/bin/terminator\0", "host");
	q = query(argv);
	cr_expect_eq(instances_check(&q, &i), EXIT_CODE_EXEC_FAILED);
}

Test(instances, a_separate_one_gets_its_arguments_and_folder)
{
	_cleanup_(freep) char *folder = NULL;
	struct instances i = { 0 };
	struct stat st;

	furnish();
	desk_process(77, 1, "/usr/lib/firefox-esr/firefox-esr", "firefox-esr\0", "host");
	cr_assert_eq(check(true, &i, "https://x/", NULL, NULL), EXIT_CODE_OK);
	folder = desk_path("state/nsvpn/home/firefox");
	cr_assert_eq(strv_len(i.argv), 5);
	cr_expect_str_eq(i.argv[1], "--new-instance");
	cr_expect_str_eq(i.argv[2], "--profile");
	cr_expect_str_eq(i.argv[3], folder);
	cr_expect_str_eq(i.argv[4], "https://x/");
	cr_expect(stat(folder, &st) == 0 && (st.st_mode & 07777) == 0700);
	cr_expect(i.is_apart);
	instances_done(&i);
}

Test(instances, a_separate_one_that_runs_inside_takes_the_window)
{
	_cleanup_(freep) char *lock = NULL;
	struct instances i = { 0 };

	furnish();
	desk_process(90, 1, "/usr/lib/firefox-esr/firefox-esr", "firefox-esr\0", "tunnel");
	lock = desk_path("state/nsvpn/home/firefox/lock");
	cr_assert(symlink("127.0.1.1:+90", lock) == 0);
	cr_assert_eq(check(true, &i, NULL, NULL, NULL), EXIT_CODE_OK);
	cr_expect_str_eq(i.argv[1], "--profile");
	instances_done(&i);
}

Test(instances, the_folder_of_the_tunnel_in_use_outside, .init = cr_redirect_stderr)
{
	_cleanup_(freep) char *lock = NULL;
	struct instances i = { 0 };

	furnish();
	desk_process(90, 1, "/usr/lib/firefox-esr/firefox-esr", "firefox-esr\0", "host");
	lock = desk_path("state/nsvpn/home/firefox/SingletonLock");
	cr_assert(symlink("some-host-90", lock) == 0);
	cr_expect_eq(check(true, &i, NULL, NULL, NULL), EXIT_CODE_EXEC_FAILED);
}

Test(instances, the_callers_own_folder_decides, .init = cr_redirect_stderr)
{
	_cleanup_(freep) char *mine = NULL, *his = NULL, *lock = NULL;
	struct instances i = { 0 };

	furnish();
	mine = desk_path("mine");
	his = desk_path("his");
	lock = desk_path("his/lock");
	desk_process(77, 1, "/usr/lib/firefox-esr/firefox-esr", "firefox-esr\0", "host");
	cr_expect_eq(check(false, &i, "--profile", mine, NULL), EXIT_CODE_OK);
	cr_expect_null(i.argv);
	instances_done(&i);
	cr_assert(symlink("192.168.0.2:+77", lock) == 0);
	cr_expect_eq(check(false, &i, "--profile", his, NULL), EXIT_CODE_EXEC_FAILED);
	cr_expect_eq(check(true, &i, "--profile", his, NULL), EXIT_CODE_EXEC_FAILED);
	/* Left by a crash: the number is nobody's, or somebody else's. */
	cr_assert(unlink(lock) == 0 && symlink("192.168.0.2:+1", lock) == 0);
	cr_expect_eq(check(false, &i, "--profile", his, NULL), EXIT_CODE_OK);
	instances_done(&i);
}

Test(instances, two_of_the_same_words_are_the_same_folder, .init = cr_redirect_stderr)
{
	struct instances i = { 0 };

	furnish();
	desk_process(77, 1, "/usr/lib/firefox-esr/firefox-esr", "firefox-esr\0--profile\0/tmp/../tmp/p\0", "host");
	cr_expect_eq(check(false, &i, "--profile=/tmp/../tmp/p", NULL, NULL), EXIT_CODE_EXEC_FAILED);
}

Test(instances, no_way_to_be_apart, .init = cr_redirect_stderr)
{
	char *argv[] = { "nautilus", NULL }, *odd[] = { "odd", NULL };
	struct instances i = { 0 };
	struct instances_query q;

	furnish();
	desk_process(77, 1, "/usr/bin/nautilus", "nautilus\0", "host");
	q = query(argv);
	cr_expect_eq(instances_check(&q, &i), EXIT_CODE_EXEC_FAILED);
	q.new_instance = true;
	cr_expect_eq(instances_check(&q, &i), EXIT_CODE_EXEC_FAILED);
	q.new_instance = false;
	q.allow_running = true;
	cr_expect_eq(instances_check(&q, &i), EXIT_CODE_OK);
	instances_done(&i);
	q = query(odd);
	q.new_instance = true;
	cr_expect_eq(instances_check(&q, &i), EXIT_CODE_EXEC_FAILED);
}

Test(instances, a_hand_over_is_noticed, .init = cr_redirect_stderr)
{
	char *argv[] = { "odd", NULL };
	_cleanup_(freep) char *odd = NULL;
	struct instances i = { 0 };
	struct instances_query q;

	furnish();
	odd = desk_path("bin/odd");
	q = query(argv);
	cr_assert_eq(instances_check(&q, &i), EXIT_CODE_OK);
	cr_expect_not(instances_check_handover(&q, &i, USEC_PER_SEC, 0), "nobody is there");
	desk_process(99, 1, odd, "odd\0", "host");
	cr_expect_not(instances_check_handover(&q, &i, USEC_PER_SEC, 0), "no program of a desktop");
	desk_text("proc/99/environ", "A=b\nDISPLAY=");
	cr_expect_not(instances_check_handover(&q, &i, USEC_PER_SEC, 0));
	desk_text("proc/99/environ", "DISPLAY=:0");
	cr_expect(instances_check_handover(&q, &i, USEC_PER_SEC, 0));
	cr_expect(strstr(said(), "pid 99"));
	cr_expect_not(instances_check_handover(&q, &i, USEC_PER_SEC, 1), "it failed");
	cr_expect_not(instances_check_handover(&q, &i, 3 * USEC_PER_SEC, 0), "it worked for a while");
	i.is_apart = true;
	cr_expect_not(instances_check_handover(&q, &i, USEC_PER_SEC, 0), "it had its own folder");
	instances_done(&i);
}

Test(instances, a_program_that_is_not_found_is_left_to_exec)
{
	char *argv[] = { "no-such-program", NULL };
	struct instances i = { 0 };
	struct instances_query q;

	furnish();
	q = query(argv);
	cr_expect_eq(instances_check(&q, &i), EXIT_CODE_OK);
	cr_expect_null(i.program);
}

Test(instances, where_separate_folders_go)
{
	_cleanup_(freep) char *a = NULL, *b = NULL, *c = NULL;

	cr_assert(setenv("XDG_STATE_HOME", "/s", 1) == 0);
	a = instances_state_home("/h", true);
	b = instances_state_home("/h", false);
	cr_assert(setenv("XDG_STATE_HOME", "relative", 1) == 0);
	c = instances_state_home("/h", true);
	cr_expect_str_eq(a, "/s");
	cr_expect_str_eq(b, "/h/.local/state");
	cr_expect_str_eq(c, "/h/.local/state");
}
