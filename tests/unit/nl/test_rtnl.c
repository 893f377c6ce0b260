/* rtnetlink against the kernel, in a namespace of its own. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "nl/nl-addr.h"
#include "nl/nl-link.h"
#include "nl/nl-neigh.h"
#include "nl/nl-route.h"
#include "nl/nl-rule.h"

static struct rt *rt;

static void room(void)
{
	if (geteuid() != 0)
		cr_skip_test("needs root: makes a network namespace of its own");
	cr_assert(unshare(CLONE_NEWNET) == 0, "unshare: %m");
	cr_assert_eq(rt_open(&rt, -1), 0);
}

static struct inaddr addr(const char *s)
{
	struct inaddr a;

	cr_assert(inaddr_parse(s, &a) == 0);
	return a;
}

static struct inprefix prefix(const char *s)
{
	struct inprefix p;

	cr_assert(inprefix_parse(s, &p) == 0);
	return p;
}

/* A pair whose ends are both here: "a" and "b". */
static int pair(void)
{
	static const uint8_t mac_a[6] = { 2, 0, 0, 0, 0, 1 }, mac_b[6] = { 2, 0, 0, 0, 0, 2 };
	int self = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct rt_veth v = { .name = "a", .mac = mac_a, .peer_name = "b", .peer_mac = mac_b, .peer_netns_fd = self };
	struct rt_link l;

	cr_assert_eq(rt_link_add_veth(rt, &v), 0);
	cr_assert_eq(rt_link_add_veth(rt, &v), -EEXIST);
	cr_assert_eq(rt_link_get(rt, "b", &l), 0);
	cr_assert(memcmp(l.mac, mac_b, 6) == 0 && !l.up);
	cr_assert_eq(rt_link_set_up(rt, l.index, true), 0);
	cr_assert_eq(rt_link_get(rt, "a", &l), 0);
	cr_assert_eq(rt_link_set_up(rt, l.index, true), 0);
	(void)close(self);
	return l.index;
}

Test(nl_link, life_of_a_pair)
{
	struct rt_link l, *v;
	size_t n;
	int index;

	room();
	cr_assert_eq(rt_link_get(rt, "nosuch", &l), -ENODEV);
	index = pair();
	cr_assert_eq(rt_link_set_alias(rt, index, "nsvpn test"), 0);
	cr_assert_eq(rt_link_set_sizes(rt, index, 1400, 500, 50000), 0);
	cr_assert_eq(rt_link_get_index(rt, index, &l), 0);
	cr_assert(l.up && l.mtu == 1400 && l.txqlen == 500 && l.gso_max_size == 50000);
	cr_assert_str_eq(l.alias, "nsvpn test");
	cr_assert_str_eq(l.kind, "veth");
	cr_assert_eq(rt_link_list(rt, &v, &n), 0);
	cr_assert_geq(n, 3);
	free(v);
	cr_assert_eq(rt_link_set_sizes(rt, index, 1, 0, 0), -EINVAL, "the kernel's own number is kept");
	cr_assert_eq(rt_link_delete(rt, index), 0);
	cr_assert_eq(rt_link_get(rt, "b", &l), -ENODEV);
	cr_assert_eq(rt_link_delete(rt, index), -ENODEV);
	rt_free(rt);
}

Test(nl_addr, set_list_remove)
{
	struct rt_addr a4, a6, p4, *v;
	size_t n;
	int index;

	room();
	index = pair();
	a4 = (struct rt_addr){ .ifindex = index, .local = prefix("10.1.2.3/24"), .flags = IFA_F_NOPREFIXROUTE };
	p4 = (struct rt_addr){ .ifindex = index, .local = prefix("10.9.0.6/32"), .peer = addr("10.9.0.5") };
	a6 = (struct rt_addr){ .ifindex = index, .local = prefix("fd00::3/64"), .flags = IFA_F_NODAD };
	cr_assert_eq(rt_addr_add(rt, &a4), 0);
	cr_assert_eq(rt_addr_add(rt, &p4), 0);
	cr_assert_eq(rt_addr_add(rt, &a6), 0);
	cr_assert_eq(rt_addr_add(rt, &a4), -EEXIST);
	cr_assert_eq(rt_addr_list(rt, index, &v, &n), 0);
	{
		int seen = 0;

		for (size_t i = 0; i < n; i++) {
			seen += inprefix_eq(&v[i].local, &a4.local) && (v[i].flags & IFA_F_NOPREFIXROUTE);
			seen += inprefix_eq(&v[i].local, &p4.local) && inaddr_eq(&v[i].peer, &p4.peer);
			seen += inprefix_eq(&v[i].local, &a6.local) && v[i].peer.family == AF_UNSPEC;
		}
		cr_assert_eq(seen, 3);
	}
	free(v);
	cr_assert_eq(rt_addr_delete(rt, &p4), 0);
	cr_assert_eq(rt_addr_delete(rt, &p4), -EADDRNOTAVAIL);
	rt_free(rt);
}

Test(nl_route, set_list_look_up_remove)
{
	struct rt_route r, floor4 = { .dst = prefix("0.0.0.0/0"),
				      .type = RTN_UNREACHABLE,
				      .table = RT_TABLE_MAIN,
				      .metric = 4278198272u,
				      .protocol = RT_PROTOCOL_NSVPN };
	struct rt_route floor6 = floor4, net, *v, got;
	struct rt_addr a4;
	struct inaddr to = addr("10.7.0.1");
	size_t n;
	int index;

	room();
	cr_assert_eq(rt_route_lookup(rt, &to, &got), -ENETUNREACH);
	index = pair();
	a4 = (struct rt_addr){ .ifindex = index, .local = prefix("10.1.2.3/32"), .flags = IFA_F_NOPREFIXROUTE };
	cr_assert_eq(rt_addr_add(rt, &a4), 0);
	floor6.dst = prefix("::/0");
	cr_assert_eq(rt_route_add(rt, &floor4), 0);
	cr_assert_eq(rt_route_add(rt, &floor6), 0);
	cr_assert_eq(rt_route_add(rt, &floor4), -EEXIST);
	cr_assert_eq(rt_route_lookup(rt, &to, &got), -EHOSTUNREACH);
	r = (struct rt_route){ .dst = prefix("198.51.100.1/32"),
			       .type = RTN_UNICAST,
			       .table = 0x6e760001,
			       .oif = index,
			       .via = addr("10.1.2.1"),
			       .src = addr("10.1.2.3"),
			       .onlink = true,
			       .protocol = RT_PROTOCOL_NSVPN };
	cr_assert_eq(rt_route_add(rt, &r), 0);
	net = (struct rt_route){
		.dst = prefix("10.7.0.0/16"), .type = RTN_UNICAST, .table = RT_TABLE_MAIN, .oif = index
	};
	cr_assert_eq(rt_route_add(rt, &net), 0);
	cr_assert_eq(rt_route_lookup(rt, &to, &got), 0);
	cr_assert_eq(got.oif, index);
	cr_assert_eq(rt_route_list(rt, AF_INET, 0x6e760001, 0, &v, &n), 0);
	cr_assert(n == 1 && rt_route_same(&v[0], &r) && v[0].protocol == RT_PROTOCOL_NSVPN);
	free(v);
	cr_assert_eq(rt_route_list(rt, AF_INET6, RT_TABLE_MAIN, 0, &v, &n), 0);
	{
		bool seen = false;

		for (size_t i = 0; i < n; i++)
			seen |= rt_route_same(&v[i], &floor6);
		cr_assert(seen);
	}
	free(v);
	cr_assert_eq(rt_route_delete(rt, &r), 0);
	cr_assert_eq(rt_route_delete(rt, &r), -ESRCH);
	rt_free(rt);
}

Test(nl_route, same_means_the_same)
{
	struct rt_route a = { .dst = prefix("10.0.0.0/8"), .type = RTN_UNICAST, .table = 254, .oif = 3 }, b = a;

	cr_assert(rt_route_same(&a, &b));
	b.oif = 4;
	cr_assert(!rt_route_same(&a, &b));
	b = a;
	b.dst.len = 9;
	cr_assert(!rt_route_same(&a, &b));
	b = a;
	b.metric = 1;
	cr_assert(!rt_route_same(&a, &b));
	b = a;
	b.table = 1;
	cr_assert(!rt_route_same(&a, &b));
	b = a;
	b.via = addr("10.0.0.1");
	cr_assert(!rt_route_same(&a, &b));
	a.dst = b.dst = prefix("fd00::/8");
	b = a;
	b.metric = 1024;
	cr_assert(rt_route_same(&a, &b), "the kernel stores 0 as 1024");
}

Test(nl_rule, set_find_remove)
{
	struct rt_rule r4 = { .family = AF_INET, .priority = 100, .mark = 0x6e760001, .table = 0x6e760001 }, r6 = r4,
		       other;

	room();
	r6.family = AF_INET6;
	cr_assert_eq(rt_rule_exists(rt, &r4), 0);
	cr_assert_eq(rt_rule_add(rt, &r4), 0);
	cr_assert_eq(rt_rule_add(rt, &r6), 0);
	cr_assert_eq(rt_rule_add(rt, &r4), -EEXIST);
	cr_assert_eq(rt_rule_exists(rt, &r4), 1);
	cr_assert_eq(rt_rule_exists(rt, &r6), 1);
	other = r4;
	other.mark++;
	cr_assert_eq(rt_rule_exists(rt, &other), 0);
	cr_assert_eq(rt_rule_delete(rt, &r4), 0);
	cr_assert_eq(rt_rule_exists(rt, &r4), 0);
	cr_assert_eq(rt_rule_delete(rt, &r4), -ENOENT);
	/* One that ends the search, for an interface that need not exist, and the mark 0. */
	r4 = (struct rt_rule){ .family = AF_INET, .priority = 100, .iif = "nv-home", .prohibit = true };
	cr_assert_eq(rt_rule_add(rt, &r4), 0);
	cr_assert_eq(rt_rule_exists(rt, &r4), 1);
	other = r4;
	other.iif[3] = 'x';
	cr_assert_eq(rt_rule_exists(rt, &other), 0);
	/* A sender, its protocol and port are part of what a rule is. */
	other = (struct rt_rule){ .family = AF_INET, .priority = 98, .table = 28278, .src = addr("10.1.2.2"), .ipproto = 6, .sport = 80 };
	cr_assert_eq(rt_rule_add(rt, &other), 0);
	cr_assert_eq(rt_rule_exists(rt, &other), 1);
	cr_assert_eq(system("ip rule | grep -qE 'from 10.1.2.2 .*ipproto [^ ]+ sport 80 lookup 28278'"), 0);
	other.sport = 81;
	cr_assert_eq(rt_rule_exists(rt, &other), 0);
	other.sport = 80;
	other.src = addr("10.1.2.3");
	cr_assert_eq(rt_rule_exists(rt, &other), 0);
	other.src = (struct inaddr){ 0 };
	cr_assert_eq(rt_rule_exists(rt, &other), 0);
	other.src = addr("10.1.2.2");
	cr_assert_eq(rt_rule_delete(rt, &other), 0);
	cr_assert_eq(rt_rule_exists(rt, &other), 0);
	cr_assert_eq(system("ip rule | grep -q 'fwmark 0.* iif nv-home .*prohibit'"), 0);
	cr_assert_eq(rt_rule_delete(rt, &r4), 0);
	cr_assert_eq(rt_rule_exists(rt, &r4), 0);
	rt_free(rt);
}

Test(nl_neigh, set_find_remove)
{
	struct rt_neigh n4, other;

	room();
	n4 = (struct rt_neigh){ .ifindex = pair(), .addr = addr("10.1.2.1"), .mac = { 2, 0, 0, 0, 0, 9 } };
	cr_assert_eq(rt_neigh_exists(rt, &n4), 0);
	cr_assert_eq(rt_neigh_set(rt, &n4), 0);
	cr_assert_eq(rt_neigh_set(rt, &n4), 0);
	cr_assert_eq(rt_neigh_exists(rt, &n4), 1);
	other = n4;
	other.mac[5] = 8;
	cr_assert_eq(rt_neigh_exists(rt, &other), 0);
	cr_assert_eq(rt_neigh_delete(rt, &n4), 0);
	cr_assert_eq(rt_neigh_exists(rt, &n4), 0);
	rt_free(rt);
}

Test(rtnl, opens_in_another_namespace_and_stays_here)
{
	struct rt_link l;
	struct rt *there;
	uint64_t writes;
	int fd;

	room();
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	(void)pair();
	cr_assert(unshare(CLONE_NEWNET) == 0);
	cr_assert_eq(rt_open(&there, fd), 0);
	cr_assert_eq(rt_link_get(there, "a", &l), 0);
	rt_free(rt);
	cr_assert_eq(rt_open(&rt, -1), 0);
	cr_assert_eq(rt_link_get(rt, "a", &l), -ENODEV);
	writes = rt_writes();
	cr_assert_eq(rt_link_get(there, "b", &l), 0);
	cr_assert_eq(rt_writes(), writes, "looking is not writing");
	cr_assert_eq(rt_link_delete(there, l.index), 0);
	cr_assert_eq(rt_writes(), writes + 1);
	rt_free(there);
	cr_assert_lt(rt_open(&there, 0), 0, "standard input is no namespace");
	rt_free(rt);
}
