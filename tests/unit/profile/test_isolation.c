/* The table of --isolate, and that the manual page has the same rows. */
#include <criterion/criterion.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "profile/isolation.h"

Test(isolation, covers_come_first_and_lie_under_everything_that_is_made_kept_or_closed)
{
	size_t n;
	const struct isolation *t = isolation_table(&n);
	bool behind = false;

	for (size_t i = 0; i < n; i++) {
		if (t[i].kind != ISOLATION_COVER)
			behind = true;
		else
			cr_assert(!behind, "%s", t[i].name);
		if (t[i].kind != ISOLATION_UNSET)
			cr_assert(isolation_is_covered(t[i].name), "%s", t[i].name);
		cr_assert(t[i].kind == ISOLATION_COVER || !isolation_is_cover(t[i].name), "%s", t[i].name);
	}
}

Test(isolation, nothing_is_kept_and_closed)
{
	size_t n;
	const struct isolation *t = isolation_table(&n);

	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++)
			cr_assert(!str_eq(t[i].name, t[k].name), "%s", t[i].name);
}

Test(isolation, paths_are_compared_by_their_parts)
{
	cr_assert(isolation_is_covered("/tmp") && isolation_is_covered("/tmp/x") && isolation_is_cover("/tmp"));
	cr_assert(!isolation_is_cover("/tmp/x") && !isolation_is_cover("/") && !isolation_is_cover("/run/user"));
	cr_assert(!isolation_is_covered("/tmpfoo") && !isolation_is_covered("/var") && !isolation_is_covered("/home/run"));
	cr_assert(!isolation_is_covered("tmp") && !isolation_is_covered(""));
}

Test(isolation, the_users_number_is_filled_in)
{
	const struct isolation with = { ISOLATION_CLOSED, "/tmp/tmux-UID/default", "x" };
	const struct isolation without = { ISOLATION_CLOSED, "/run/docker.sock", "x" };
	_cleanup_(freep) char *a = isolation_path(&with, 4294967294U), *b = isolation_path(&without, 5);

	cr_assert_str_eq(a, "/tmp/tmux-4294967294/default");
	cr_assert_str_eq(b, "/run/docker.sock");
}

static const char *heading_of(enum isolation_kind kind)
{
	switch (kind) {
	case ISOLATION_COVER:
		return "Covered with an empty folder";
	case ISOLATION_MAKE:
		return "Made in it, empty";
	case ISOLATION_KEEP_SOCKET:
	case ISOLATION_KEEP_FILE:
	case ISOLATION_KEEP_FOLDER:
	case ISOLATION_KEEP_DISKS:
		return "Kept, where it is there";
	case ISOLATION_CLOSED:
		return "Closed by this";
	case ISOLATION_UNSET:
		return "Not in the environment";
	}
	return "";
}

/* The table as section ISOLATION of the page has it: a heading for each kind, then ".TP", ".I NAME" and what it is. */
static char *as_page(void)
{
	struct strbuf b = { 0 };
	const char *heading = "";
	size_t n;
	const struct isolation *t = isolation_table(&n);

	for (size_t i = 0; i < n; i++) {
		if (!str_eq(heading, heading_of(t[i].kind))) {
			heading = heading_of(t[i].kind);
			strbuf_addf(&b, ".SS %s\n", heading);
		}
		strbuf_addf(&b, ".TP\n.I %s\n%s\n", t[i].name, t[i].what);
	}
	return strbuf_take(&b);
}

/* What the page has from the first heading to the end of the last list, "\-" read as "-". */
static char *from_page(char *page)
{
	char *start = strstr(page, ".SS Covered with an empty folder\n"), *end, *to;

	end = start ? strstr(start, ".SS \"What stays open\"\n") : NULL;
	if (!end)
		return NULL;
	*end = '\0';
	to = start;
	for (const char *from = start; *from; from++)
		if (from[0] != '\\' || from[1] != '-')
			*to++ = *from;
	*to = '\0';
	return start;
}

Test(isolation, manual_page_has_the_same_rows)
{
	_cleanup_(freep) char *page = NULL, *want = as_page();
	char *have;
	size_t len;

	if (file_read(AT_FDCWD, "src/man/nsvpn.1", 1 << 20, &page, &len) == -ENOENT)
		cr_skip_test("not started in the source tree, so the manual page is not at hand");
	have = from_page(page);
	cr_assert(have, "the page has no section ISOLATION in the expected form");
	cr_assert_str_eq(have, want, "the table says:\n%s", want);
}
