/* Packets through small rulesets: what each condition says, and where "perhaps" leads. */
#include "net/packet-walk.h"

#include <criterion/criterion.h>

#include "base/str.h"

static void packet(struct walk_packet *p, bool v6)
{
	*p = (struct walk_packet){ .iif = "nv-home", .oif = "eth0", .protocol = IPPROTO_UDP, .dport = 1194 };
	cr_assert_eq(inaddr_parse(v6 ? "fd00::2" : "10.99.0.2", &p->from), 0);
	cr_assert_eq(inaddr_parse(v6 ? "2001:db8::10" : "198.51.100.10", &p->to), 0);
}

static enum walk_verdict walk_text(const char *text, const struct walk_packet *p, char **ret_rule)
{
	struct ruleset *rs = NULL;
	struct walk_result w;

	cr_assert_eq(ruleset_parse(text, &rs), 0, "%s", text);
	packet_walk(rs, NF_HOOK_FORWARD, p, &w);
	if (ret_rule)
		*ret_rule = w.verdict == WALK_PASSES ? NULL : strdup(w.rule ? w.rule->text : "policy");
	ruleset_free(rs);
	return w.verdict;
}

/* One chain with these rules. */
static enum walk_verdict verdict(const char *rules, const char *policy, bool v6)
{
	_cleanup_(freep) char *text = str_format("table inet t {\nchain other {\naccept\n}\nchain back {\nreturn\n}\nchain empty {\n}\n"
						 "chain dropper {\ndrop\n}\n"
						 "chain f {\ntype filter hook forward priority 0; policy %s;\n%s\n}\n}\n",
						 policy, rules);
	struct walk_packet p;

	packet(&p, v6);
	return walk_text(text, &p, NULL);
}

Test(packet_walk, conditions_that_hold)
{
	static const char *const rules[] = {
		"drop", "reject", "reject with icmpx admin-prohibited", "counter drop", "counter packets 3 bytes 99 drop",
		"counter name \"n\" drop", "log prefix \"drop: \" flags all level info group 3 drop", "iifname \"nv-home\" drop",
		"iifname \"nv-*\" drop", "iifname { \"eth1\", \"nv-home\" } drop", "iifname != \"eth1\" drop", "oif \"eth0\" drop",
		"meta l4proto udp drop", "meta l4proto { tcp, udp } drop", "meta l4proto 17 drop", "ip protocol udp drop",
		"ip saddr 10.0.0.0/8 drop", "ip saddr 10.99.0.1-10.99.0.9 drop", "ip daddr != 10.0.0.0/8 drop",
		"udp dport 1194 drop", "udp dport { 53, 1000-2000 } drop", "th dport 1194 drop", "ct state new drop",
		"ct state new,untracked drop", "ct state { new, invalid } drop", "ct state != established,related drop",
		"meta nfproto ipv4 drop", "meta protocol ip drop", "drop comment \"a \\ b\"", "meta mark set 0x00000001 drop",
		"ct state vmap { established : accept, new : drop }", "iifname vmap { \"eth1\" : accept, \"nv-home\" : goto dropper }",
		"jump dropper", "goto dropper", "jump empty\njump dropper", "jump back\ndrop", "iifname \"eth1\" accept\ndrop",
		"fib saddr . iif oif exists drop",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		cr_assert_eq(verdict(rules[i], "accept", false), WALK_DROPS, "%s", rules[i]);
	cr_assert_eq(verdict("", "drop", false), WALK_DROPS);
	cr_assert_eq(verdict("goto empty", "drop", true), WALK_DROPS);
	cr_assert_eq(verdict("ip6 saddr fd00::/8 drop", "accept", true), WALK_DROPS);
	cr_assert_eq(verdict("ip6 nexthdr udp ip6 daddr 2001:db8::/32 drop", "accept", true), WALK_DROPS);
}

Test(packet_walk, conditions_that_do_not_hold)
{
	static const char *const rules[] = {
		"iifname \"eth*\" drop", "iifname { \"eth1\", \"docker*\" } drop", "oifname != \"eth0\" drop", "meta l4proto tcp drop",
		"tcp dport 1194 drop", "tcp flags syn / fin,syn,rst,ack drop", "icmp type echo-request drop", "ip saddr 192.168.0.0/16 drop",
		"ip saddr 10.98.0.0-10.98.0.9 drop", "ip6 saddr ::/0 drop", "ip6 hoplimit 1 drop", "udp dport 1000-1193 drop",
		"ct state established drop", "ct state invalid drop", "ct status dnat drop", "meta nfproto ipv6 drop",
		"accept\ndrop", "jump other\ndrop", "ct state vmap { established : drop, new : accept }\ndrop",
		"iifname \"nv-home\" accept\ndrop", "iifname \"nv-*\" ip daddr 198.51.100.0/24 udp dport 1194 counter accept\ndrop",
		"fib saddr . mark . iif oif missing drop", "fib daddr type local drop", "jump nowhere", "counter", "log prefix \"drop\"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		cr_assert_eq(verdict(rules[i], "accept", false), WALK_PASSES, "%s", rules[i]);
	cr_assert_eq(verdict("accept", "drop", false), WALK_PASSES);
	cr_assert_eq(verdict("jump other", "drop", false), WALK_PASSES);
}

Test(packet_walk, conditions_that_nobody_can_tell)
{
	static const char *const rules[] = {
		"ip saddr @bad drop", "meta mark 0x00000005 drop", "ct mark & 0x000000ff == 0x00000001 drop",
		"limit rate 3/minute burst 10 packets drop", "limit rate over 10 mbytes/second drop", "XT match bpf not found counter drop",
		"ip saddr . udp dport { 1.2.3.4 . 22 } drop", "udp sport 500 drop", "queue num 1", "iif 17 drop",
		"meta mark 0x5 jump dropper", "ip daddr vmap @where", "ip saddr @good accept\ndrop", "meta mark 0x1 return\ndrop",
		"fib saddr type unicast drop", "iifname . oifname vmap { \"a\" . \"b\" : drop }",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		cr_assert_eq(verdict(rules[i], "accept", false), WALK_MAY_DROP, "%s", rules[i]);
	cr_assert_eq(verdict("ip saddr @good accept", "drop", false), WALK_MAY_DROP);
	/* "perhaps" before does not make a certain drop behind it uncertain */
	cr_assert_eq(verdict("ip saddr @bad drop\ndrop", "accept", false), WALK_DROPS);
}

Test(packet_walk, goes_through_tables_by_priority)
{
	struct walk_packet p;
	char *rule = NULL;

	packet(&p, false);
	cr_assert_eq(walk_text("table ip a {\nchain c {\ntype filter hook forward priority 10; policy accept;\ndrop comment \"late\"\n}\n}\n"
			       "table inet b {\nchain c {\ntype filter hook forward priority -10; policy accept;\n"
			       "accept\n}\nchain d {\ntype filter hook forward priority 0; policy accept;\n"
			       "drop comment \"early\"\n}\n}\n",
			       &p, &rule),
		     WALK_DROPS);
	cr_assert_str_eq(rule, "drop comment \"early\"");
	free(rule);
}

Test(packet_walk, leaves_out_what_does_not_decide)
{
	struct walk_packet p;

	packet(&p, false);
	cr_assert_eq(walk_text("table ip6 a {\nchain c {\ntype filter hook forward priority 0; policy drop;\n}\n}\n"
			       "table ip b {\nflags dormant\nchain c {\ntype filter hook forward priority 0; policy drop;\n}\n}\n"
			       "table ip d {\nchain c {\ntype nat hook postrouting priority 0; policy drop;\n}\n"
			       "chain e {\ntype filter hook input priority 0; policy drop;\n}\n}\n"
			       "table inet nsvpn-home {\nchain c {\ntype filter hook forward priority 0; policy drop;\n}\n}\n",
			       &p, NULL),
		     WALK_PASSES);
}

/* The kernel refuses such; what was not walked to its end is not certain. */
Test(packet_walk, ends_in_chains_that_call_each_other)
{
	struct walk_packet p;

	packet(&p, false);
	cr_assert_eq(walk_text("table ip a {\nchain x {\njump y\njump y\njump y\n}\nchain y {\njump x\njump x\njump x\n}\n"
			       "chain c {\ntype filter hook forward priority 0; policy drop;\njump x\n}\n}\n",
			       &p, NULL),
		     WALK_MAY_DROP);
}
