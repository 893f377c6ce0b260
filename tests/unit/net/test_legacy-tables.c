/* The answer of the kernel about the older tables: made by hand, and asked for. */
#include "net/legacy-tables.h"

#include <criterion/criterion.h>
#include <errno.h>
#include "machine.h" /* libc's net/if.h before the kernel's */

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <string.h>

struct table4 {
	struct ipt_entry first;
	struct xt_standard_target first_target;
	struct ipt_entry entry;
	struct xt_standard_target target;
};

static struct table4 table(int verdict)
{
	struct table4 t;

	memset(&t, 0, sizeof(t));
	t.entry.target_offset = sizeof(t.entry);
	t.entry.next_offset = sizeof(t.entry) + sizeof(t.target);
	t.target.verdict = verdict;
	return t;
}

Test(legacy_tables, read_the_verdict_of_the_policy)
{
	struct table4 t = table(-NF_DROP - 1);

	cr_assert_eq(legacy_policy_drops(AF_INET, &t, sizeof(t), offsetof(struct table4, entry)), 1);
	t = table(-NF_ACCEPT - 1);
	cr_assert_eq(legacy_policy_drops(AF_INET, &t, sizeof(t), offsetof(struct table4, entry)), 0);
}

Test(legacy_tables, refuse_offsets_outside)
{
	struct table4 t = table(-NF_DROP - 1);

	cr_assert_eq(legacy_policy_drops(AF_INET, &t, sizeof(t), sizeof(t)), -EBADMSG);
	cr_assert_eq(legacy_policy_drops(AF_INET, &t, sizeof(t), (size_t)-1), -EBADMSG);
	cr_assert_eq(legacy_policy_drops(AF_INET, &t, sizeof(t) - 1, offsetof(struct table4, entry)), -EBADMSG);
	t.entry.target_offset = 65535;
	cr_assert_eq(legacy_policy_drops(AF_INET, &t, sizeof(t), offsetof(struct table4, entry)), -EBADMSG);
	t.entry.target_offset = 0;
	cr_assert_eq(legacy_policy_drops(AF_INET, &t, sizeof(t), offsetof(struct table4, entry)), -EBADMSG);
}

/* In a namespace where nobody uses them: asking makes no table. */
Test(legacy_tables, are_not_made_by_looking)
{
	char *before, *after;

	machine_start();
	before = machine_output("cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null");
	cr_assert_eq(legacy_forward_drops(AF_INET), 0);
	cr_assert_eq(legacy_forward_drops(AF_INET6), 0);
	after = machine_output("cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null");
	cr_assert_str_eq(before, after);
	free(before);
	free(after);
}
