/* Credentials from a file. The terminal's side is tested in the lab, with a real one. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "cli/ask.h"
#include "cli/output.h"
#include "unit/cli/folder.h"

static int ask(const char *content, struct secret **ret)
{
	char path[128];

	folder_make();
	folder_write("cred", content);
	(void)snprintf(path, sizeof(path), "%s/cred", folder_path);
	return ask_file(path, ret);
}

Test(ask, two_lines_become_the_helpers_form)
{
	static const char *const files[] = { "alice\nopen sesame\n", "alice\nopen sesame", "alice\r\nopen sesame\r\n",
					     "alice\nopen sesame\n\n\n" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(secret_freep) struct secret *s = NULL;

		cr_assert_eq(ask(files[i], &s), EXIT_CODE_OK);
		cr_expect_str_eq(secret_string(s), "alice\nopen sesame\n");
		folder_remove();
	}
}

Test(ask, a_pass_phrase_stands_third_or_alone)
{
	static const struct {
		const char *file, *want;
	} rows[] = {
		{ "alice\nopen sesame\nthe key's\n", "alice\nopen sesame\nthe key's\n" },
		{ "alice\nopen sesame\nthe key's\n123456\n", "alice\nopen sesame\nthe key's\n123456\n" },
		{ "alice\nopen sesame\nthe key's\n123456\nand more\n", "alice\nopen sesame\nthe key's\n123456\n" },
		{ "the key's", "\n\nthe key's\n" },
		{ "the key's\r\n", "\n\nthe key's\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(secret_freep) struct secret *s = NULL;

		cr_assert_eq(ask(rows[i].file, &s), EXIT_CODE_OK);
		cr_expect_str_eq(secret_string(s), rows[i].want);
		folder_remove();
	}
}

Test(ask, other_files_are_refused, .init = cr_redirect_stderr)
{
	static const char *const files[] = { "", "\n", "\nsecret\n", "alice\n\n", "\n\nphrase\n" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(secret_freep) struct secret *s = NULL;

		cr_expect_eq(ask(files[i], &s), EXIT_CODE_FAILED, "%zu", i);
		cr_expect_null(s);
		folder_remove();
	}
}

Test(ask, a_missing_file_is_named, .init = cr_redirect_stderr)
{
	_cleanup_(secret_freep) struct secret *s = NULL;

	cr_expect_eq(ask_file("/nonexistent/cred", &s), EXIT_CODE_FAILED);
	fflush(stderr);
	cr_expect_stderr_eq_str("nsvpn: the credentials in /nonexistent/cred cannot be read: No such file or directory\n");
}
