/* A list of findings: its words, its worst, and what is in it that came from elsewhere. */
#include "base/finding.h"

#include <criterion/criterion.h>

#include "base/str.h"

Test(finding, levels_have_words)
{
	for (int i = 0; i < _FINDING_LEVEL_MAX; i++) {
		enum finding_level back;

		cr_assert_eq(finding_level_from_string(finding_level_to_string((enum finding_level)i), &back), 0);
		cr_assert_eq((int)back, i);
	}
	cr_assert_eq(finding_level_from_string("Problem", &(enum finding_level){ 0 }), -EINVAL);
	cr_assert_eq(finding_level_from_string("", &(enum finding_level){ 0 }), -EINVAL);
}

Test(finding, the_worst_counts)
{
	struct findings f = { 0 };

	cr_assert_eq(findings_worst(&f), FINDING_OK);
	findings_add(&f, FINDING_WARNING, "a", "b", NULL, "c %d", 1);
	findings_add(&f, FINDING_NOTE, "a", "b", "d", "c");
	cr_assert_eq(findings_worst(&f), FINDING_WARNING);
	cr_assert_str_eq(f.v[0].text, "c 1");
	cr_assert_str_eq(f.v[0].remedy, "");
	cr_assert_str_eq(f.v[1].remedy, "d");
	findings_done(&f);
	cr_assert_eq(f.n, 0);
}

/* They are printed on terminals, and one a line with tabs between. */
Test(finding, control_characters_are_escaped)
{
	struct findings f = { 0 };

	findings_add(&f, FINDING_OK, "a", "x\ny\tz", "\033[2J", "%s", "a\tb\rc");
	cr_assert_str_eq(f.v[0].object, "x\\ny\\tz");
	cr_assert_str_eq(f.v[0].text, "a\\tb\\x0dc");
	cr_assert_null(strpbrk(f.v[0].remedy, "\033\t\n"));
	findings_done(&f);
}
