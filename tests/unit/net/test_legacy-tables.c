/* The answer of the kernel about the older tables: made by hand, and asked for. */
#include "net/legacy-tables.h"

#include <criterion/criterion.h>
#include <errno.h>
#include "machine.h" /* libc's net/if.h before the kernel's */

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <string.h>

/* Two entries with a standard target each; the policy is the second. */
#define ENTRY (sizeof(struct ipt_entry) + sizeof(struct xt_standard_target))
#define POLICY ENTRY

static void table(uint8_t buf[2 * ENTRY], int verdict, uint16_t target_offset)
{
	struct xt_standard_target target = { .verdict = verdict };

	memset(buf, 0, 2 * ENTRY);
	memcpy(buf + POLICY + offsetof(struct ipt_entry, target_offset), &target_offset, sizeof(target_offset));
	memcpy(buf + POLICY + sizeof(struct ipt_entry), &target, sizeof(target));
}

Test(legacy_tables, read_the_verdict_of_the_policy)
{
	uint8_t buf[2 * ENTRY];

	table(buf, -NF_DROP - 1, sizeof(struct ipt_entry));
	cr_assert_eq(legacy_policy_drops(AF_INET, buf, sizeof(buf), POLICY), 1);
	table(buf, -NF_ACCEPT - 1, sizeof(struct ipt_entry));
	cr_assert_eq(legacy_policy_drops(AF_INET, buf, sizeof(buf), POLICY), 0);
}

Test(legacy_tables, refuse_offsets_outside)
{
	uint8_t buf[2 * ENTRY];

	table(buf, -NF_DROP - 1, sizeof(struct ipt_entry));
	cr_assert_eq(legacy_policy_drops(AF_INET, buf, sizeof(buf), sizeof(buf)), -EBADMSG);
	cr_assert_eq(legacy_policy_drops(AF_INET, buf, sizeof(buf), (size_t)-1), -EBADMSG);
	cr_assert_eq(legacy_policy_drops(AF_INET, buf, sizeof(buf) - 1, POLICY), -EBADMSG);
	table(buf, -NF_DROP - 1, 65535);
	cr_assert_eq(legacy_policy_drops(AF_INET, buf, sizeof(buf), POLICY), -EBADMSG);
	table(buf, -NF_DROP - 1, 0);
	cr_assert_eq(legacy_policy_drops(AF_INET, buf, sizeof(buf), POLICY), -EBADMSG);
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
