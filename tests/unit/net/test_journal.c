/* Journals: what is written is read, and nothing else is. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/str.h"
#include "net/journal.h"

static void sample(struct journal *j)
{
	struct sysctl_save s = { .path = "ipv4/conf/eth0/forwarding", .new_value = 1 };

	*j = (struct journal){ .uplink = UPLINK_VETH,
			       .mark = 0x6e761234,
			       .netns_ino = 4026532251,
			       .have_server = true,
			       .transport = TRANSPORT_TCP,
			       .outgoing = "eth0",
			       .kept = true,
			       .locks = { { 1, 2 }, { 3, 4 } } };
	cr_assert(inprefix_parse("10.1.2.4/30", &j->net4) == 0 && inprefix_parse("fd00:1::2/127", &j->net6) == 0);
	cr_assert(endpoint_parse("[2001:db8::1]:443", &j->server) == 0);
	cr_assert(publish_parse("tcp:8080:80@machine", &j->exceptions.publish[j->exceptions.n_publish++]) == 0);
	cr_assert(inprefix_parse("192.168.1.0/24", &j->exceptions.allow[j->exceptions.n_allow++]) == 0);
	cr_assert(journal_save(j, &s) == 0);
	(void)str_copy(s.path, sizeof(s.path), "ipv6/conf/wlan0.7/accept_ra");
	s.old_value = 1;
	s.new_value = 2;
	cr_assert(journal_save(j, &s) == 0);
}

Test(journal, round_trip)
{
	struct journal j, k = { 0 };
	char *text, *again;

	sample(&j);
	text = journal_format(&j);
	cr_assert_eq(journal_parse(text, strlen(text), &k), 0, "%s", text);
	again = journal_format(&k);
	cr_assert_str_eq(text, again);
	cr_assert_eq(k.n_saves, 2);
	cr_assert(exceptions_equal(&k.exceptions, &j.exceptions) && journal_has_veth(&k));
	cr_assert(k.kept && k.have_server && k.mark == 0x6e761234 && k.transport == TRANSPORT_TCP);
	free(text);
	free(again);
	journal_done(&j);
	journal_done(&k);
}

Test(journal, any_flipped_bit_or_lost_end_is_damage)
{
	struct journal j, k;
	char *text;
	size_t len;

	sample(&j);
	text = journal_format(&j);
	len = strlen(text);
	for (size_t i = 0; i < len; i++)
		for (int bit = 0; bit < 8; bit++) {
			text[i] = (char)(text[i] ^ (1 << bit));
			k = (struct journal){ 0 };
			cr_assert_eq(journal_parse(text, len, &k), -EUCLEAN, "byte %zu bit %d", i, bit);
			journal_done(&k);
			text[i] = (char)(text[i] ^ (1 << bit));
		}
	for (size_t n = 0; n < len; n++) {
		char *cut = strndup(text, n);

		k = (struct journal){ 0 };
		cr_assert_eq(journal_parse(cut, n, &k), -EUCLEAN, "cut at %zu", n);
		cr_assert(!k.have_server && k.mark == 0, "a damaged journal must choose nothing");
		journal_done(&k);
		free(cut);
	}
	free(text);
	journal_done(&j);
}

Test(journal, damaged_one_still_tells_the_saves)
{
	struct journal j, k = { 0 };
	char *text;

	sample(&j);
	text = journal_format(&j);
	*strstr(text, "0x6e") = '9';
	cr_assert_eq(journal_parse(text, strlen(text), &k), -EUCLEAN);
	cr_assert(journal_find_save(&k, "ipv4/conf/eth0/forwarding"));
	free(text);
	journal_done(&j);
	journal_done(&k);
}

/* A checksum is no defence: paths and values are checked, since they are written with privilege. */
Test(journal, sysctl_lines_name_our_switches_only)
{
	static const char *const bad[] = {
		"sysctl kernel/core_pattern 0 1 0",
		"sysctl ipv4/conf/../forwarding 0 1 0",
		"sysctl ipv4/conf/eth0/../../../../kernel/panic 0 1 0",
		"sysctl ipv4/conf/eth0/rp_filter 0 1 0",
		"sysctl ipv4/conf/averyveryverylongname/forwarding 0 1 0",
		"sysctl ipv4/conf//forwarding 0 1 0",
		"sysctl ipv4/conf/eth0/forwarding 0 9 0",
		"sysctl ipv4/conf/eth0/forwarding 0",
		"surprise 1",
		"net4 10.0.0.0/8",
		"net6 fd00::/64",
		"mark 1",
		"server sctp 192.0.2.1:1 0 eth0",
		"server udp 192.0.2.1:1 0 a/b",
		"server udp [2001:db8::1]:1 3 eth0",
		"relay 0",
		"relay 65536",
		"relay",
		"lock middle 1 2",
		"publish tcp:0",
		"publish tcp:80",
		"allow 0.0.0.0/0",
		"allow 192.168.1.0/24",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *body = str_format("nsvpn-journal 1\nuplink socket\nmark 0x6e760001\nnetns 1\n%s\n", bad[i]);
		char *text = str_format("%send %llu\n", body, (unsigned long long)journal_hash(body, strlen(body)));
		struct journal j = { 0 };

		cr_assert_eq(journal_parse(text, strlen(text), &j), -EUCLEAN, "accepted: %s", bad[i]);
		cr_assert_eq(j.n_saves, 0, "kept: %s", bad[i]);
		journal_done(&j);
		free(body);
		free(text);
	}
}
