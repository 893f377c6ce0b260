/* lan.c: which networks are "the local network". */
#include <string.h>

#include "base/str.h"
#include "machine.h"

static char *lan_text(struct tunnelnet *n)
{
	struct strbuf b = { 0 };
	char buf[INPREFIX_STR_MAX];

	cr_assert_eq(lan_refresh(n), 0);
	for (size_t i = 0; i < n->n_lan; i++)
		strbuf_addf(&b, "%s%s %s", i ? ", " : "", n->lan[i].ifname, inprefix_format(&n->lan[i].net, buf, sizeof(buf)));
	return strbuf_take(&b);
}

static void must_be(struct tunnelnet *n, const char *want)
{
	char *text = lan_text(n);

	cr_assert_str_eq(text, want);
	free(text);
}

Test(lan, networks_of_ethernet_like_interfaces)
{
	struct tunnelnet *n;

	machine_start();
	n = machine_tunnel("home", UPLINK_VETH);
	must_be(n, "eth0 192.0.2.0/24, eth0 2001:db8::/64");
	machine_run("ip addr add 10.1.2.3/16 dev eth0; ip addr add 10.9.9.9/32 dev eth0; ip addr add 169.254.1.1/16 dev eth0");
	must_be(n, "eth0 10.1.0.0/16, eth0 192.0.2.0/24, eth0 2001:db8::/64");
	/* The larger of two that overlap, whichever came first. */
	machine_run("ip addr add 10.1.2.4/24 dev eth0; ip addr add 10.2.0.1/8 dev eth0; ip addr add 192.0.2.77/32 dev eth0");
	must_be(n, "eth0 10.0.0.0/8, eth0 192.0.2.0/24, eth0 2001:db8::/64");
	/* Not the loopback, not one of ours, not a tunnel. */
	machine_run("ip addr add 10.3.0.1/24 dev lo; ip link add nv-other type veth peer name x; ip addr add 10.4.0.1/24 dev nv-other;"
		    "ip tuntap add tun7 mode tun; ip addr add 10.5.0.1/24 dev tun7");
	must_be(n, "eth0 10.0.0.0/8, eth0 192.0.2.0/24, eth0 2001:db8::/64");
	machine_run("ip addr flush dev eth0");
	must_be(n, "");
	tunnelnet_free(n);
}
