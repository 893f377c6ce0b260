/* The table of single-instance programs: who is in it, and the arguments that it gives. */
#include <criterion/criterion.h>

#include "base/str.h"
#include "cli/families.h"

Test(families, names_and_paths_find_their_row)
{
	static const struct {
		const char *program, *title;
	} table[] = {
		{ "firefox", "Firefox" }, { "/usr/lib/firefox-esr/firefox-esr", "Firefox" }, { "thunderbird", "Thunderbird" },
		{ "/opt/google/chrome/chrome", "Chrome" }, { "soffice.bin", "LibreOffice" }, { "code", "Visual Studio Code" },
		{ "curl", NULL }, { "fire", NULL }, { "firefox-es", NULL }, { "", NULL }, { "/usr/bin/", NULL },
		{ "firefox firefox-esr", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct family *f = family_find(table[i].program);

		cr_expect_eq(!f, !table[i].title, "%s", table[i].program);
		if (f && table[i].title)
			cr_expect_str_eq(f->title, table[i].title);
	}
}

static char *joined(const char *program, bool is_in_use)
{
	_cleanup_(strv_freep) char **args = NULL;
	struct strbuf b = { 0 };

	cr_assert_eq(family_separate(family_find(program), "/d x", is_in_use, &args), 0);
	for (char **a = args; *a; a++)
		strbuf_addf(&b, "[%s]", *a);
	return strbuf_take(&b);
}

Test(families, arguments_of_a_separate_instance)
{
	static const struct {
		const char *program, *fresh, *used;
	} table[] = {
		{ "firefox", "[--new-instance][--profile][/d x]", "[--profile][/d x]" },
		{ "chromium", "[--user-data-dir=/d x]", "[--user-data-dir=/d x]" },
		{ "soffice", "[-env:UserInstallation=file:///d x]", "[-env:UserInstallation=file:///d x]" },
		{ "gedit", "[--standalone]", "[--standalone]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_(freep) char *fresh = joined(table[i].program, false), *used = joined(table[i].program, true);

		cr_expect_str_eq(fresh, table[i].fresh);
		cr_expect_str_eq(used, table[i].used);
	}
}

Test(families, some_have_no_way)
{
	char **args = NULL;

	cr_expect_eq(family_separate(family_find("nautilus"), "/d", false, &args), -EOPNOTSUPP);
	cr_expect_null(args);
}

Test(families, the_callers_own_folder_is_read_from_the_arguments)
{
	const struct family *firefox = family_find("firefox"), *chromium = family_find("chromium"), *office = family_find("soffice");
	char *separate[] = { "--profile", "/p", NULL }, *joint[] = { "x", "--profile=/p", NULL }, *open_end[] = { "--profile", NULL };
	char *behind[] = { "--", "--profile", "/p", NULL }, *none[] = { "--profilemanager", "/p", NULL };
	char *data[] = { "--user-data-dir=/p", NULL }, *env[] = { "-env:UserInstallation=file:///p", NULL };

	cr_expect_str_eq(family_own_folder(firefox, separate), "/p");
	cr_expect_str_eq(family_own_folder(firefox, joint), "/p");
	cr_expect_null(family_own_folder(firefox, open_end));
	cr_expect_null(family_own_folder(firefox, behind));
	cr_expect_null(family_own_folder(firefox, none));
	cr_expect_str_eq(family_own_folder(chromium, data), "/p");
	cr_expect_null(family_own_folder(chromium, separate));
	cr_expect_str_eq(family_own_folder(office, env), "/p");
}

Test(families, options_that_never_ask_a_running_instance)
{
	char *apart[] = { "https://x/", "--new-instance", NULL }, *not_apart[] = { "--new-window", NULL };

	cr_expect(family_is_apart(family_find("firefox"), apart));
	cr_expect_not(family_is_apart(family_find("firefox"), not_apart));
	cr_expect_not(family_is_apart(family_find("chromium"), apart));
}
