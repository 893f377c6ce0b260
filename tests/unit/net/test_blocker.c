/* Whose firewall it is, in the words for a person; with rulesets of real machines. */
#include "net/blocker.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"

static struct blocker look(const char *name, const char *server)
{
	_cleanup_(freep) char *path = str_format("tests/golden/ruleset-%s.txt", name), *text = NULL;
	struct blocker_way way = { .veth = "nv-home", .outgoing = "eth0", .protocol = IPPROTO_UDP };
	struct ruleset *rs = NULL;
	struct blocker b;
	size_t len;

	cr_assert_eq(endpoint_parse(server, &way.server), 0);
	cr_assert_eq(inaddr_parse(way.server.addr.family == AF_INET ? "10.99.0.2" : "fd00::2", &way.inside), 0);
	cr_assert_eq(file_read(AT_FDCWD, path, 1 << 20, &text, &len), 0, "%s (run from the top folder)", path);
	cr_assert_eq(ruleset_parse(text, &rs), 0);
	cr_assert_eq(blocker_find(rs, 0, &way, &b), 0);
	ruleset_free(rs);
	return b;
}

static void must_block(const char *name, const char *server, const char *who, const char *remedy)
{
	struct blocker b = look(name, server);

	cr_assert_eq(b.verdict, WALK_DROPS, "%s: %d", name, b.verdict);
	cr_assert_str_eq(b.who, who);
	cr_assert_str_eq(b.remedy, remedy);
	blocker_done(&b);
}

Test(blocker, docker_has_a_policy)
{
	must_block("docker", "198.51.100.10:1194", "the policy drop of chain FORWARD in table ip filter",
		   "iptables -I DOCKER-USER -i nv-home -j ACCEPT && iptables -I DOCKER-USER -o nv-home -j ACCEPT");
}

Test(blocker, docker_is_seen_without_the_extensions_of_iptables)
{
	must_block("docker-no-extensions", "198.51.100.10:1194", "the policy drop of chain FORWARD in table ip filter",
		   "iptables -I DOCKER-USER -i nv-home -j ACCEPT && iptables -I DOCKER-USER -o nv-home -j ACCEPT");
}

Test(blocker, docker_has_nothing_about_ipv6)
{
	struct blocker b = look("docker", "[2001:db8::10]:1194");

	cr_assert_eq(b.verdict, WALK_PASSES);
	blocker_done(&b);
}

Test(blocker, ufw_is_known_by_its_chains)
{
	must_block("ufw", "198.51.100.10:1194", "the policy drop of chain FORWARD in table ip filter",
		   "ufw route allow in on nv-home && ufw route allow out on nv-home");
	must_block("ufw", "[2001:db8::10]:1194", "the policy drop of chain FORWARD in table ip6 filter",
		   "ufw route allow in on nv-home && ufw route allow out on nv-home");
}

/* Both in the same zone: forwarded. The other way out is in no zone that forwards. */
Test(blocker, firewalld_is_walked_zone_by_zone)
{
	struct blocker b = look("firewalld", "198.51.100.10:1194");

	cr_assert_eq(b.verdict, WALK_PASSES, "%s", b.who);
	blocker_done(&b);
	b = look("firewalld", "[2001:db8::10]:1194");
	cr_assert_eq(b.verdict, WALK_PASSES, "%s", b.who);
	blocker_done(&b);
	b = look("firewalld-excepted", "198.51.100.10:1194");
	cr_assert_eq(b.verdict, WALK_PASSES, "%s", b.who);
	blocker_done(&b);
}

static struct blocker look_at(const char *text, int legacy)
{
	struct blocker_way way = { .veth = "nv-home", .outgoing = "eth0", .protocol = IPPROTO_UDP };
	struct ruleset *rs = NULL;
	struct blocker b;

	cr_assert_eq(endpoint_parse("198.51.100.10:1194", &way.server), 0);
	cr_assert_eq(inaddr_parse("10.99.0.2", &way.inside), 0);
	cr_assert_eq(ruleset_parse(text, &rs), 0);
	cr_assert_eq(blocker_find(rs, legacy, &way, &b), 0);
	ruleset_free(rs);
	return b;
}

Test(blocker, of_the_answers_is_found_too)
{
	struct blocker b = look_at("table inet mine {\nchain fwd {\ntype filter hook forward priority 0; policy accept;\n"
				   "iifname \"eth0\" counter drop comment \"in\"\n}\n}\n", 0);

	cr_assert_eq(b.verdict, WALK_DROPS);
	cr_assert(b.is_answer);
	cr_assert_str_eq(b.who, "the rule 'iifname \"eth0\" counter drop comment \"in\"' of chain fwd in table inet mine");
	cr_assert_str_eq(b.remedy, "nft 'insert rule inet mine fwd iifname \"nv-home\" accept; insert rule inet mine fwd "
				   "oifname \"nv-home\" accept'");
	blocker_done(&b);
}

Test(blocker, in_another_hook_is_found_too)
{
	struct blocker b = look_at("table inet raw {\nchain pre {\ntype filter hook prerouting priority -300; policy accept;\n"
				   "ip saddr 10.0.0.0/8 drop\n}\n}\n", 0);

	cr_assert_eq(b.verdict, WALK_DROPS);
	cr_assert_not(b.is_answer);
	blocker_done(&b);
}

Test(blocker, the_older_tables_only_may)
{
	struct blocker b = look_at("", 1);

	cr_assert_eq(b.verdict, WALK_MAY_DROP);
	cr_assert(strstr(b.who, "FORWARD of iptables-legacy"));
	blocker_done(&b);
	b = look_at("", -EPERM);
	cr_assert_eq(b.verdict, WALK_PASSES);
	blocker_done(&b);
}

/* ---- packets of the machine itself ---- */

static struct blocker look_own(const char *text, const char *server, bool to_machine)
{
	struct blocker_way way = { .outgoing = "eth0", .protocol = IPPROTO_UDP, .to_machine = to_machine };
	struct ruleset *rs = NULL;
	struct blocker b;

	cr_assert_eq(endpoint_parse(server, &way.server), 0);
	cr_assert_eq(inaddr_parse(way.server.addr.family == AF_INET ? "192.168.77.2" : "2001:db8:77::2", &way.inside), 0);
	cr_assert_eq(ruleset_parse(text, &rs), 0);
	cr_assert_eq(blocker_find(rs, 1, &way, &b), 0);
	ruleset_free(rs);
	return b;
}

static void own_is_blocked(const char *text, const char *server, bool is_answer, const char *who, const char *remedy)
{
	struct blocker b = look_own(text, server, false);

	cr_assert_eq(b.verdict, WALK_DROPS, "%s: %d", text, b.verdict);
	cr_assert_eq(b.is_answer, is_answer);
	cr_assert_str_eq(b.who, who);
	cr_assert_str_eq(b.remedy, remedy);
	blocker_done(&b);
}

Test(blocker, of_the_machine_s_own_packets_is_in_output_and_input)
{
	own_is_blocked("table inet m {\nchain o {\ntype filter hook output priority 0; policy drop;\noifname \"lo\" accept\n}\n}\n",
		       "198.51.100.10:1194", false, "the policy drop of chain o in table inet m",
		       "nft 'insert rule inet m o ip daddr 198.51.100.10 udp dport 1194 accept'");
	own_is_blocked("table ip filter {\nchain INPUT {\ntype filter hook input priority 0; policy drop;\n}\n}\n",
		       "198.51.100.10:1194", true, "the policy drop of chain INPUT in table ip filter",
		       "iptables -I INPUT -p udp -s 198.51.100.10 --sport 1194 -j ACCEPT");
	own_is_blocked("table ip6 filter {\nchain ufw6-before-forward {\n}\nchain OUTPUT {\ntype filter hook output priority 0; policy drop;\n}\n}\n",
		       "[2001:db8::10]:1194", false, "the policy drop of chain OUTPUT in table ip6 filter",
		       "ufw allow out proto udp to 2001:db8::10 port 1194");
}

Test(blocker, of_the_machine_s_own_packets_is_not_who_forwards_nothing)
{
	static const char *const texts[] = {
		"table ip filter {\nchain FORWARD {\ntype filter hook forward priority 0; policy drop;\n}\n}\n",
		"table inet m {\nchain i {\ntype filter hook input priority 0; policy drop;\nct state established accept\n}\n}\n",
		("table inet m {\nchain o {\ntype filter hook output priority 0; policy drop;\n"
		 "ip daddr 198.51.100.10 udp dport 1194 accept\n}\n}\n"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct blocker b = look_own(texts[i], "198.51.100.10:1194", false);

		cr_assert_eq(b.verdict, WALK_PASSES, "%s: %s", texts[i], b.who);
		blocker_done(&b);
	}
}

Test(blocker, knows_packets_to_the_machine_itself)
{
	static const char text[] = "table inet m {\nchain o {\ntype filter hook output priority 0; policy drop;\n"
				   "fib daddr type local accept\n}\n}\n";
	struct blocker b = look_own(text, "127.0.0.53:53", true);

	cr_assert_eq(b.verdict, WALK_PASSES);
	blocker_done(&b);
	b = look_own(text, "198.51.100.10:53", false);
	cr_assert_eq(b.verdict, WALK_DROPS);
	blocker_done(&b);
}
