/* daemon/userns.h: who forbids user namespaces, and what to do about it, per system. */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "daemon/userns.h"

/* A <proc> with one switch. */
static char *fake_proc(const char *name, const char *value)
{
	char *dir = strdup("/tmp/nsvpn-proc-XXXXXX");
	_cleanup_(freep) char *command = NULL;

	cr_assert(dir && mkdtemp(dir));
	command = str_format("mkdir -p %s/sys/user %s/sys/kernel %s/self/ns && touch %s/self/ns/user && echo %s >%s/sys/%s", dir, dir, dir,
			     dir, value, dir, name);
	cr_assert_eq(system(command), 0);
	return dir;
}

static void remove_proc(const char *dir)
{
	_cleanup_(freep) char *command = str_format("rm -r %s", dir);

	cr_expect_eq(system(command), 0);
}

Test(userns, each_refusal_names_its_switch_and_the_remedy)
{
	static const struct {
		const char *name, *value;
		int error;
		const char *says, *not;
	} rows[] = {
		{ "user/max_user_namespaces", "0", ENOSPC, "sysctl user.max_user_namespaces=", NULL },
		{ "user/max_user_namespaces", "63000", ENOSPC, "user.max_user_namespaces is 63000", "is 0" },
		{ "kernel/unprivileged_userns_clone", "0", EPERM, "sysctl kernel.unprivileged_userns_clone=1", NULL },
		{ "kernel/unprivileged_userns_clone", "1", EPERM, "seccomp", "unprivileged_userns_clone" },
		{ "kernel/apparmor_restrict_unprivileged_userns", "1", EACCES, "examples/apparmor-nsvpnd", NULL },
		{ "kernel/apparmor_restrict_unprivileged_userns", "0", EACCES, "security module", "AppArmor" },
		{ "kernel/apparmor_restrict_unprivileged_userns", "nonsense", EPERM, "security module", "AppArmor" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(freep) char *proc = fake_proc(rows[i].name, rows[i].value), *text = userns_explain(proc, rows[i].error);

		cr_expect(text && strstr(text, rows[i].says), "row %zu: %s", i, text ? text : "");
		cr_expect(!rows[i].not || !strstr(text, rows[i].not), "row %zu: %s", i, text);
		cr_expect(strstr(text, "nsvpnd") || rows[i].error == ENOSPC, "row %zu: %s", i, text);
		remove_proc(proc);
	}
}

Test(userns, a_kernel_without_them)
{
	_cleanup_(freep) char *text = userns_explain("/nowhere", EINVAL);

	cr_expect(strstr(text, "CONFIG_USER_NS"), "%s", text);
}

Test(userns, nobody_is_inside_before_it_is_entered)
{
	cr_expect_not(userns_is_inside(getpid()));
	cr_expect_eq(userns_open(), -ENOTTY);
}
