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
