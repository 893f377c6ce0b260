/* The plans for people, word for word, once per uplink; and their order. Golden texts: tests/golden/plan-*.txt. */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"
#include "machine.h"
#include "net/plan.h"

static const struct exceptions no_exceptions;

static char *plan_text(enum uplink uplink, bool with_settings, const struct exceptions *e)
{
	struct remote remotes[] = {
		{ .host = (char *)(uintptr_t) "vpn.example.net", .port = 1194 },
		{ .host = (char *)(uintptr_t) "198.51.100.1", .port = 443, .transport = TRANSPORT_TCP }
	};
	struct profile p = { .remotes = remotes, .n_remotes = ARRAY_SIZE(remotes) };
	struct tunnelnet *n = machine_tunnel("home", uplink);
	struct settings s;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	machine_settings(&s);
	tunnelnet_set_exceptions(n, e);
	cr_assert_eq(tunnelnet_print_plan(n, &p, with_settings ? &s : NULL, f), 0);
	(void)fclose(f);
	tunnelnet_free(n);
	return text;
}

static void golden_with(enum uplink uplink, bool with_settings, const struct exceptions *e, const char *path)
{
	char *before, *text, *want = NULL;
	size_t len;

	before = machine_dump();
	text = plan_text(uplink, with_settings, e);
	machine_must_be(before, "printing a plan changes nothing");
	if (getenv("NSVPN_WRITE_GOLDEN"))
		cr_assert_eq(file_write_inplace(path, text, strlen(text), 0644), 0);
	cr_assert_eq(file_read(AT_FDCWD, path, 65536, &want, &len), 0, "%s is missing (run from the top folder)", path);
	cr_assert_str_eq(text, want);
	free(text);
	free(want);
	free(before);
}

static void golden(enum uplink uplink, bool with_settings, const char *path)
{
	machine_start();
	golden_with(uplink, with_settings, &no_exceptions, path);
}

/* The IPv6 addresses come from the machine's number, so this one has IPv4 only. */
Test(plan, exceptions_read_like_the_golden_text)
{
	struct exceptions e = { .n_publish = 3, .n_allow = 1 };

	cr_assert(publish_parse("tcp:8080:80", &e.publish[0]) == 0 && publish_parse("udp:51413", &e.publish[1]) == 0 &&
		  publish_parse("tcp:22@machine", &e.publish[2]) == 0 && inprefix_parse("192.168.1.0/24", &e.allow[0]) == 0);
	machine_start();
	machine_run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
	golden_with(UPLINK_SOCKET, false, &e, "tests/golden/plan-socket-exceptions.txt");
}

Test(plan, veth_reads_like_the_golden_text)
{
	golden(UPLINK_VETH, false, "tests/golden/plan-veth.txt");
}

Test(plan, socket_reads_like_the_golden_text)
{
	golden(UPLINK_SOCKET, false, "tests/golden/plan-socket.txt");
}

Test(plan, veth_with_settings_reads_like_the_golden_text)
{
	golden(UPLINK_VETH, true, "tests/golden/plan-veth-connected.txt");
}

static size_t place(const struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->v[i].name, name))
			return i;
	cr_assert(false, "no step %s", name);
	return 0;
}

Test(plan, locks_come_before_links_and_the_default_route_last)
{
	struct tunnelnet *n = machine_tunnel("home", UPLINK_VETH);
	struct plan p;

	plan_prepare(&p, n);
	cr_assert_eq(place(&p, "netns"), 0);
	cr_assert_lt(place(&p, "netns-sysctls"), place(&p, "lock-inner"));
	cr_assert_lt(place(&p, "lock-inner"), place(&p, "lock-outer"));
	cr_assert_lt(place(&p, "lock-outer"), place(&p, "veth"));
	cr_assert_lt(place(&p, "veth-neigh"), place(&p, "veth-up"));
	cr_assert(p.v[place(&p, "veth-up")].up.after_locks);
	plan_open(&p, n, 1500);
	cr_assert_lt(place(&p, "open-outer"), place(&p, "forward"));
	cr_assert_lt(place(&p, "open-inner"), place(&p, "engine-route"));
	plan_connect(&p, n);
	cr_assert_eq(place(&p, "tun-lock"), 0);
	cr_assert_eq(place(&p, "tun-default"), p.n - 1);
	tunnelnet_free(n);
}

Test(plan, every_step_has_a_stable_name_and_says_how_it_goes)
{
	struct tunnelnet *n = machine_tunnel("home", UPLINK_VETH);
	struct plan plans[3];

	plan_prepare(&plans[0], n);
	plan_open(&plans[1], n, 1500);
	plan_connect(&plans[2], n);
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++)
		for (size_t k = 0; k < plans[i].n; k++) {
			cr_assert(*plans[i].v[k].name && *plans[i].v[k].undone);
			for (size_t m = k + 1; m < plans[i].n; m++)
				cr_assert_str_neq(plans[i].v[k].name, plans[i].v[m].name);
		}
	tunnelnet_free(n);
}
