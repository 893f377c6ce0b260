/* Programs that were started for a tunnel and run outside, against a /proc of the test's own. */
#include "cli/programs.h"
#include "unit/cli/desk.h"

static void environment(int pid, const char *text, size_t len)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "proc/%d/environ", pid);
	desk_write(name, text, len, 0644);
}

#define ENVIRONMENT(pid, text) environment(pid, text, sizeof(text))

Test(programs, escaped_ones_carry_the_name_and_have_no_ancestor_inside)
{
	_cleanup_(freep) char *proc = NULL, *netns = NULL;
	struct programs p = { 0 };

	desk_make();
	desk_text("ns/tunnel", "");
	desk_process(10, 1, "/bin/inside", "inside\0", "tunnel");
	desk_process(11, 10, "/bin/sandbox", "sandbox\0", "empty");
	desk_process(12, 1, "/bin/escaped", "escaped\0", "host");
	desk_process(13, 1, "/bin/other", "other\0", "host");
	desk_process(14, 1, "/bin/longer", "longer\0", "host");
	desk_process(15, 1, "/bin/silent", "silent\0", "host");
	for (int pid = 10; pid < 13; pid++)
		ENVIRONMENT(pid, "A=1\0NSVPN_TUNNEL=home");
	ENVIRONMENT(13, "NSVPN_TUNNEL=work");
	ENVIRONMENT(14, "NSVPN_TUNNEL=home2\0XNSVPN_TUNNEL=home");
	proc = desk_path("proc");
	netns = desk_path("ns/tunnel");
	cr_assert_eq(programs_escaped(proc, "home", netns, 1000, &p), 0);
	cr_assert_eq(p.n, 1);
	cr_expect_eq(p.items[0].pid, 12);
	cr_expect_str_eq(p.items[0].command, "escaped");
	programs_done(&p);
	cr_assert_eq(programs_escaped(proc, "home", netns, 1001, &p), 0);
	cr_expect_eq(p.n, 0, "another user's");
	programs_done(&p);
}
