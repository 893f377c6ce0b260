/* Names to programs: PATH, links, wrapper scripts of distributions. */
#include "cli/program-file.h"
#include "unit/cli/desk.h"

static void resolves_to(const char *name, const char *expected, const char *also_named)
{
	_cleanup_(freep) char *list = str_format("/nonexistent:%s/bin", desk), *path = desk_path("%s", expected);
	struct program_file f = { 0 };

	cr_assert_eq(program_file_resolve(name, list, &f), 0, "%s", name);
	cr_expect_str_eq(f.path, path);
	cr_expect(strv_contains(f.names, also_named), "%s is not among the names", also_named);
	program_file_done(&f);
}

Test(program_file, plain_names_come_from_path)
{
	desk_make();
	desk_script("bin/app", "\177ELF");
	resolves_to("app", "bin/app", "app");
}

Test(program_file, links_are_followed_and_their_names_kept)
{
	desk_make();
	desk_script("lib/real", "\177ELF");
	desk_link("bin/app", "../lib/real");
	resolves_to("app", "lib/real", "app");
	resolves_to("app", "lib/real", "real");
}

Test(program_file, wrapper_of_debians_firefox)
{
	desk_make();
	desk_script("bin/firefox-esr", "\177ELF");
	desk_script("bin/firefox", "#!/bin/sh\n\nFIREFOX=\"$(which firefox)\"\n[ -x \"$FIREFOX.real\" ] && exec \"$FIREFOX.real\" \"$@\"\n"
				   "exec firefox-esr \"$@\"\n");
	resolves_to("firefox", "bin/firefox-esr", "firefox");
}

Test(program_file, wrapper_with_variables)
{
	_cleanup_(freep) char *script = NULL;

	desk_make();
	desk_script("lib/chromium/chromium", "\177ELF");
	script = str_format("#!/bin/sh\nLIBDIR='%s/lib/chromium'\nexport APPNAME=\"chromium\" # name\nif false; then\n\texec gdb\nfi\n"
			    "exec -a \"$0\" ${LIBDIR}/$APPNAME $FLAGS \"$@\"\n",
			    desk);
	desk_script("bin/web", script);
	resolves_to("web", "lib/chromium/chromium", "chromium");
}

Test(program_file, scripts_that_say_nothing_plain_are_the_program)
{
	static const char *const scripts[] = {
		"#!/bin/sh\nexec \"$(which x)\"\n", "#!/bin/sh\n# exec true\n",   "#!/bin/sh\nexecutable true\n",
		"#!/bin/sh\nexec `true`\n",         "#!/bin/sh\nexec ${A\n",      "#!/bin/sh\nexec\n",
		"#!/bin/sh\nexec \\",               "#!/bin/sh\nexec 3>&1\n",     "#!/bin/sh\nA=$A\nexec $A\n",
		"#!/bin/sh\nexec -a",               "#!/bin/sh\nexec -a x",       "#!/bin/sh\nexec \"unfinished",
	};

	desk_make();
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		desk_script("bin/app", scripts[i]);
		resolves_to("app", "bin/app", "app");
	}
}

Test(program_file, circles_end)
{
	desk_make();
	desk_script("bin/a", "#!/bin/sh\nexec b\n");
	desk_script("bin/b", "#!/bin/sh\nexec a\n");
	resolves_to("a", "bin/b", "a");
}

Test(program_file, what_is_not_there)
{
	struct program_file f = { 0 };

	desk_make();
	desk_text("bin/data", "x");
	cr_expect_eq(program_file_resolve("nothing-of-that-name", desk, &f), -ENOENT);
	cr_expect_eq(program_file_resolve("", desk, &f), -ENOENT);
	cr_expect_eq(program_file_resolve("/nonexistent/x", NULL, &f), -ENOENT);
	cr_expect_null(f.path);
}

Test(program_file, programs_that_run_another_one)
{
	char *plain[] = { "firefox", "env", NULL }, *env[] = { "/usr/bin/env", "-u", "X", "A=b", "-i", "firefox", "x", NULL };
	char *two[] = { "nohup", "setsid", "-w", "firefox", NULL }, *alone[] = { "env", "A=b", NULL };

	cr_expect_eq(program_file_skip_wrappers(plain), 0);
	cr_expect_eq(program_file_skip_wrappers(env), 5);
	cr_expect_eq(program_file_skip_wrappers(two), 3);
	cr_expect_eq(program_file_skip_wrappers(alone), 0);
}
