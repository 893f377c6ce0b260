/* See machine.h. */
#include "machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/str.h"

void machine_run(const char *line)
{
	int r = system(line);

	cr_assert(r == 0, "'%s' failed: %d", line, r);
}

char *machine_output(const char *line)
{
	struct strbuf b = { 0 };
	char buf[4096];
	FILE *f = popen(line, "r");
	size_t n;

	cr_assert(f, "popen: %m");
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		strbuf_add_bytes(&b, buf, n);
	(void)pclose(f);
	return strbuf_take(&b);
}

void machine_start(void)
{
	if (geteuid() != 0)
		cr_skip_test("needs root: makes network and mount namespaces of its own");
	cr_assert(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0, "unshare: %m");
	cr_assert(mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0, "mount: %m");
	cr_assert(mount("machine", "/run", "tmpfs", 0, "mode=755") == 0, "mount: %m");
	cr_assert(setenv("NSVPN_RUN", "/run/nsvpn", 1) == 0);
	cr_assert(unsetenv("NSVPN_FAILPOINT") == 0);
	machine_run("ip netns add wan && ip link set lo up && ip -n wan link set lo up && "
		    "ip link add eth0 type veth peer name eth0 netns wan && "
		    "ip link set eth0 addrgenmode none && ip -n wan link set eth0 addrgenmode none && "
		    "ip link set eth0 up && ip -n wan link set eth0 up && "
		    "ip addr add 192.0.2.2/24 dev eth0 && ip -n wan addr add 192.0.2.1/24 dev eth0 && "
		    "ip -n wan addr add 198.51.100.1/32 dev lo && ip route add default via 192.0.2.1 && "
		    "ip addr add 2001:db8::2/64 dev eth0 nodad && ip -n wan addr add 2001:db8::1/64 dev eth0 nodad && "
		    "ip route add default via 2001:db8::1");
}

char *machine_dump(void)
{
	return machine_output(
		"{ ip -d -o link; ip -o addr; ip route show table all; ip -6 route show table all; ip rule; "
		"ip -6 rule; nft -s list ruleset; grep -r . /proc/sys/net/ipv4 /proc/sys/net/ipv6 | "
		"grep -vE 'fs-nr|_rekey|neigh/|/tcp_metrics|ip_local_port|route/' | sort; find /run | sort; "
		"cut -d' ' -f4- /proc/self/mountinfo; } 2>/dev/null | "
		"sed -E 's/ expires -?[0-9]+sec//'");
}

void machine_must_be(const char *before, const char *when)
{
	char *after = machine_dump();

	if (!str_eq(before, after)) {
		FILE *a = fopen("/run/before", "w"), *b = fopen("/run/after", "w");
		char *diff;

		cr_assert(a && b);
		(void)fputs(before, a);
		(void)fputs(after, b);
		(void)fclose(a);
		(void)fclose(b);
		diff = machine_output("diff /run/before /run/after");
		cr_assert(false, "%s:\n%s", when, diff);
	}
	free(after);
}

struct tunnelnet *machine_tunnel(const char *name, enum uplink uplink)
{
	struct tunnelnet *n = NULL;

	must_ok(tunnelnet_new(&n, name, uplink, error));
	return n;
}

void machine_settings(struct settings *s)
{
	memset(s, 0, sizeof(*s));
	s->mtu = 1420;
	s->n_addrs = 2;
	cr_assert(inprefix_parse("10.8.0.2/24", &s->addrs[0]) == 0);
	cr_assert(inprefix_parse("fd00:8::2/64", &s->addrs[1]) == 0);
	s->default4 = s->default6 = true;
	s->n_dns = 1;
	cr_assert(inaddr_parse("10.8.0.1", &s->dns[0]) == 0);
	s->n_routes = 2;
	cr_assert(inprefix_parse("10.0.0.0/8", &s->routes[0]) == 0);
	cr_assert(inprefix_parse("2000::/3", &s->routes[1]) == 0);
	s->n_search = 1;
	(void)str_copy(s->search[0], sizeof(s->search[0]), "example.net");
}

static struct exceptions wanted;

void machine_exceptions(const char *words)
{
	_cleanup_(freep) char *copy = strdup(words);
	char *rest = copy, *word;

	wanted = (struct exceptions){ 0 };
	while ((word = str_next_word(&rest))) {
		struct inprefix allow;
		struct publish p;
		const char *why;

		if (str_has_prefix(word, "Publish="))
			cr_assert(publish_parse(word + 8, &p) == 0 && exceptions_add_publish(&wanted, &p) == 0, "%s", word);
		else
			cr_assert(allow_parse(word + 6, &allow, &why) == 0 && exceptions_add_allow(&wanted, &allow) == 0,
				  "%s", word);
	}
}

void machine_up(struct tunnelnet *n, const char *server, struct session *ret)
{
	struct settings s;
	struct endpoint ep;
	unsigned offload;
	uint32_t mtu;

	machine_settings(&s);
	cr_assert(endpoint_parse(server, &ep) == 0);
	tunnelnet_set_exceptions(n, &wanted);
	must_ok(tunnelnet_prepare(n, error));
	must_ok(tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &ret->transport, &mtu, error));
	cr_assert_eq(mtu, 1500);
	must_ok(tunnelnet_open_tun(n, false, &ret->tun, &offload, error));
	must_ok(tunnelnet_connect(n, &s, error));
}

int machine_cycle(const char *name, enum uplink uplink, const char *server)
{
	struct tunnelnet *n = NULL;
	struct settings s;
	struct endpoint ep;
	unsigned offload;
	uint32_t mtu;
	int fd, tun, r;

	machine_settings(&s);
	r = endpoint_parse(server, &ep);
	if (r == 0)
		r = tunnelnet_new(&n, name, uplink, NULL);
	if (r == 0)
		tunnelnet_set_exceptions(n, &wanted);
	if (r == 0)
		r = tunnelnet_prepare(n, NULL);
	if (r == 0)
		r = tunnelnet_open_transport(n, &ep, TRANSPORT_UDP, NULL, &fd, &mtu, NULL);
	if (r == 0)
		r = tunnelnet_open_tun(n, false, &tun, &offload, NULL);
	if (r == 0)
		r = tunnelnet_connect(n, &s, NULL);
	if (r == 0)
		r = tunnelnet_disconnect(n, NULL);
	if (r == 0)
		r = tunnelnet_teardown(n, NULL);
	return r;
}
