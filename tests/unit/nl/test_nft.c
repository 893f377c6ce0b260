/* nftables: values, transactions, errors. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "nl/nft.h"
#include "nl/rtnl.h"

static const char text[] =
	"table inet @table@\n"
	"flush table inet @table@\n"
	"table inet @table@ {\n"
	"	counter dropped {\n	}\n"
	"	set engine4 {\n		type ipv4_addr . inet_proto . inet_service\n	}\n"
	"	set own6 {\n		type ipv6_addr\n	}\n"
	"	chain output {\n		type filter hook output priority filter; policy accept;\n"
	"		oifname $dev meta mark $engine_mark ip daddr $addr counter name dropped drop\n	}\n"
	"}\n"
	"flush set inet @table@ engine4\n"
	"flush set inet @table@ own6\n";

static void room(void)
{
	if (geteuid() != 0)
		cr_skip_test("needs root: makes a network namespace of its own");
	cr_assert(unshare(CLONE_NEWNET) == 0, "unshare: %m");
}

static void fill(struct nft_text *t, const char *dev, const char *server)
{
	struct inaddr a, six;
	struct endpoint ep;

	cr_assert(inaddr_parse("192.0.2.7", &a) == 0 && inaddr_parse("fd00::7", &six) == 0);
	cr_assert(endpoint_parse(server, &ep) == 0);
	t->table = "nsvpn-test";
	nft_define_ifname(t, "dev", dev);
	nft_define_mark(t, "engine_mark", 0x6e760001);
	nft_define_addr(t, "addr", &a);
	nft_text_embed(t, text);
	nft_element_tuple(t, "engine4", &ep, false);
	nft_element_addr(t, "own6", &six);
}

Test(nft, replaces_whole_and_lists_the_same)
{
	char *one = NULL, *two = NULL, *error = NULL;
	struct nft_text t = { 0 };
	uint64_t packets = 99, writes = rt_writes();

	room();
	fill(&t, "lo", "198.51.100.1:1194");
	cr_assert_eq(nft_list_table(-1, "inet", "nsvpn-test", &one), -ENOENT);
	cr_assert_eq(nft_apply(-1, &t, true, &error), 0, "%s", error);
	cr_assert_eq(rt_writes(), writes, "a dry run writes nothing");
	cr_assert_eq(nft_list_table(-1, "inet", "nsvpn-test", &one), -ENOENT);
	cr_assert_eq(nft_apply(-1, &t, false, &error), 0, "%s", error);
	cr_assert_eq(nft_list_table(-1, "inet", "nsvpn-test", &one), 0);
	cr_assert(strstr(one, "198.51.100.1 . ") && strstr(one, "fd00::7") && strstr(one, "0x6e760001"), "%s", one);
	cr_assert_eq(nft_apply(-1, &t, false, &error), 0, "%s", error);
	cr_assert_eq(nft_list_table(-1, "inet", "nsvpn-test", &two), 0);
	cr_assert_str_eq(one, two);
	nft_text_done(&t);
	free(two);
	/* Other values replace; nothing of the old stays. */
	t = (struct nft_text){ 0 };
	fill(&t, "lo", "198.51.100.2:443");
	cr_assert_eq(nft_apply(-1, &t, false, &error), 0);
	cr_assert_eq(nft_list_table(-1, "inet", "nsvpn-test", &two), 0);
	cr_assert(!strstr(two, "198.51.100.1") && strstr(two, "198.51.100.2"), "%s", two);
	cr_assert_eq(nft_read_counter(-1, "nsvpn-test", "dropped", &packets), 0);
	cr_assert_eq(packets, 0);
	cr_assert_eq(nft_read_counter(-1, "nsvpn-test", "nosuch", &packets), -ENOENT);
	cr_assert_eq(nft_delete_table(-1, "inet", "nsvpn-test"), 0);
	cr_assert_eq(nft_delete_table(-1, "inet", "nsvpn-test"), -ENOENT);
	nft_text_done(&t);
	free(one);
	free(two);
}

Test(nft, bad_text_changes_nothing_and_says_why)
{
	char *error = NULL, *list = NULL;
	struct nft_text t = { 0 };

	room();
	fill(&t, "lo", "198.51.100.1:1194");
	nft_text_embed(&t, "add rule inet @table@ output this is not a rule\n");
	cr_assert_eq(nft_apply(-1, &t, false, &error), -EINVAL);
	cr_assert(error && strstr(error, "syntax error"), "%s", error ? error : "");
	cr_assert_eq(nft_list_table(-1, "inet", "nsvpn-test", &list), -ENOENT);
	nft_text_done(&t);
	free(error);
}

/* Names of interfaces are the host's, and a host may be strange; nothing strange reaches the text. */
Test(nft, strange_values_are_refused)
{
	static const char *const names[] = {
		"", "eth0\"; drop; \"", "a b", "x\ny", "interface-too-long", "$eth", "{}"
	};
	struct inaddr none = { .family = AF_UNSPEC };
	struct inaddr some;
	struct endpoint no_port = { 0 };
	struct inprefix no_net = { 0 }, net;

	cr_assert_eq(inaddr_parse("127.0.0.53", &some), 0);
	cr_assert_eq(inprefix_parse("192.168.1.0/24", &net), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct nft_text t = { .table = "x" }, u = { .table = "x" };

		nft_define_ifname(&t, "dev", names[i]);
		if (i % 2)
			nft_element_ifname(&u, "set", names[i]);
		else
			nft_element_network(&u, "set", names[i], &net);
		cr_assert(!nft_ifname_is_plain(names[i]));
		cr_assert_eq(nft_text_error(&t), -EINVAL, "accepted: %s", names[i]);
		cr_assert_eq(nft_text_error(&u), -EINVAL, "accepted: %s", names[i]);
		cr_assert_eq(nft_apply(-1, &t, false, NULL), -EINVAL);
		nft_text_done(&t);
		nft_text_done(&u);
	}
	for (int i = 0; i < 10; i++) {
		struct nft_text t = { .table = "x" };

		if (i == 0)
			nft_define_addr(&t, "a", &none);
		else if (i == 1)
			nft_element_addr(&t, "s", &none);
		else if (i == 2)
			nft_element_tuple(&t, "s", &no_port, false);
		else if (i == 3)
			nft_element_map(&t, "m", &none, &some);
		else if (i == 4)
			nft_element_map(&t, "m", &some, &none);
		else if (i == 5)
			nft_element_prefix(&t, "s", &no_net);
		else if (i == 6)
			nft_element_network(&t, "s", "eth0", &no_net);
		else if (i == 7)
			nft_element_port(&t, "s", true, 0);
		else if (i == 8)
			nft_element_port_map(&t, "m", true, 1, 0);
		else
			nft_define_prefix(&t, "n", &no_net);
		cr_assert_eq(nft_text_error(&t), -EINVAL, "case %d", i);
		nft_text_done(&t);
	}
}

Test(nft, works_in_another_namespace)
{
	struct nft_text t = { 0 };
	char *list = NULL;
	int fd;

	room();
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	cr_assert(unshare(CLONE_NEWNET) == 0);
	fill(&t, "lo", "198.51.100.1:1194");
	cr_assert_eq(nft_apply(fd, &t, false, NULL), 0);
	cr_assert_eq(nft_list_table(-1, "inet", "nsvpn-test", &list), -ENOENT);
	cr_assert_eq(nft_list_table(fd, "inet", "nsvpn-test", &list), 0);
	cr_assert_eq(nft_apply(0, &t, false, NULL), -ENONET, "standard input is no namespace");
	nft_text_done(&t);
	free(list);
	(void)close(fd);
}
