/* tunnel-settings.c: keys, mistakes with line and column, and the manual page that lists the same keys. */
#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "profile/tunnel-settings.h"
#include "sample.h"

Test(tunnel_settings, reads_every_key)
{
	static const char text[] =
		"# comment\r\n[Tunnel]\r\nUplink = socket\r\nAutostart=yes\nReady=locked\nDNS=9.9.9.9  2620:fe::fe\n"
		"DefaultRoute=no\n[Access]\nUsers=nobody\nUsers=alice  1000 CORP\\bob\nGroups=vpn\n";
	struct tunnel_settings s;
	char *error = NULL;

	cr_assert_eq(tunnel_settings_parse(text, sizeof(text) - 1, "s.conf", &s, &error), 0, "%s", error);
	cr_assert_eq(s.uplink, UPLINK_SOCKET);
	cr_assert(s.autostart);
	cr_assert(s.ready_when_locked);
	cr_assert_eq(s.n_dns, 2);
	cr_assert_eq(s.dns[1].family, AF_INET6);
	cr_assert_eq(s.default_route, DEFAULT_ROUTE_NO);
	cr_assert_eq(strv_len(s.users), 3);
	cr_assert_str_eq(s.users[0], "alice");
	cr_assert_str_eq(s.users[1], "1000");
	cr_assert_str_eq(s.users[2], "CORP\\bob");
	cr_assert_eq(strv_len(s.groups), 1);
	cr_assert_str_eq(s.groups[0], "vpn");
	tunnel_settings_done(&s);
	cr_assert_eq(tunnel_settings_parse("", 0, "s.conf", &s, &error), 0);
	cr_assert_eq(s.uplink, UPLINK_VETH);
	cr_assert_eq(s.default_route, DEFAULT_ROUTE_AUTO);
	cr_assert_null(s.users);
	cr_assert_null(s.groups);
}

Test(tunnel_settings, exceptions_add_up)
{
	static const char text[] = "[Exceptions]\nPublish=tcp:8080:80  udp:51413\nAllow=192.168.1.7/24\n"
				   "Publish=tcp:22@machine\nAllow=fd00:1::/32 203.0.113.9\n";
	static const char *const want[] = { "Publish=tcp:8080:80", "Publish=udp:51413",	  "Publish=tcp:22@machine",
					    "Allow=192.168.1.0/24", "Allow=fd00:1::/32", "Allow=203.0.113.9/32" };
	struct tunnel_settings s;
	char *error = NULL, buf[EXCEPTION_STR_MAX];

	cr_assert_eq(tunnel_settings_parse(text, sizeof(text) - 1, "s.conf", &s, &error), 0, "%s", error);
	cr_assert_eq(s.exceptions.n_publish + s.exceptions.n_allow, ARRAY_SIZE(want));
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
		cr_assert_str_eq(exceptions_format(&s.exceptions, i, buf, sizeof(buf)), want[i]);
	tunnel_settings_done(&s);
}

static const struct {
	const char *text, *want;
} bads[] = {
	{ "[Tunnel]\n  Uplnk=veth\n", "s.conf:2:3: unknown key 'Uplnk' in [Tunnel]; did you mean 'Uplink'?" },
	{ "[Tunnel]\nqqqqqqqqqqqq=1\n", "s.conf:2:1: unknown key 'qqqqqqqqqqqq' in [Tunnel]; nsvpn.conf(5)" },
	{ "Uplink=veth\n", "s.conf:1:1: key 'Uplink' stands before any section" },
	{ "[Tunel]\nUplink=veth\n", "unknown section [Tunel]" },
	{ "[Tunnel]\nUplink=bridge\n",
	  "s.conf:2:1: 'bridge' is no value for Uplink= in [Tunnel]; give veth or socket" },
	{ "[Tunnel]\nUplink=\n", "veth or socket" },
	{ "[Tunnel]\nAutostart=maybe\n", "yes or no" },
	{ "[Tunnel]\nReady=soon\n", "connected or locked" },
	{ "[Tunnel]\nDefaultRoute=sometimes\n", "auto, yes or no" },
	{ "[Tunnel]\nDNS=\n", "addresses of name servers" },
	{ "[Tunnel]\nDNS=dns.example\n", "addresses of name servers" },
	{ "[Tunnel]\nDNS=127.0.0.53\n", "addresses of name servers" },
	{ "[Tunnel]\nDNS=1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9\n", "1 to 8" },
	{ "[Tunnel]\nVia=other\n", "s.conf:2:1: Via= in [Tunnel] is not supported yet" },
	{ "[Access]\nUsers=\n", "names or numbers of users" },
	{ "[Access]\nUsers=bob,alice\n", "names or numbers of users" },
	{ "[Access]\nUsers=-u\n", "names or numbers of users" },
	{ "[Access]\nUsers=../bob\n", "names or numbers of users" },
	{ "[Access]\nGroups=\n", "names or numbers of groups" },
	{ "[Access]\nGroups=a:b\n", "names or numbers of groups" },
	{ "[Exceptions]\nAllow=\n", "s.conf:2:1: '' is no value for Allow= in [Exceptions]; give networks as in" },
	{ "[Exceptions]\nAllow=lan\n", "networks as in" },
	{ "[Exceptions]\nAllow=192.168.0.0/16,10.0.0.0/8\n", "networks as in" },
	{ "[Exceptions]\nAllow=192.168.0.0/16 0.0.0.0/0\n", "is so large that the tunnel would protect little" },
	{ "[Exceptions]\nAllow=127.0.0.1\n", "never leave a machine or its link" },
	{ "[Exceptions]\nAllow=10.0.0.0/8 10.1.0.0/16\n", "networks that do not overlap" },
	{ "[Exceptions]\nAllow=10.0.0.0/8\nAllow=10.0.0.0/8\n", "s.conf:3:1:" },
	{ "[Exceptions]\nPublish=\n", "give ports as in tcp:8080" },
	{ "[Exceptions]\n  Publish=8080\n", "s.conf:2:3: '8080' is no value for Publish= in [Exceptions]; give ports as in" },
	{ "[Exceptions]\nPublish=tcp:8080 tcp:8080:80\n", "each port of a protocol once" },
	{ "[Exceptions]\nPublish=tcp:1\nPublish=tcp:1@machine\n", "s.conf:3:1: 'tcp:1@machine'" },
	{ "[Exceptions]\nPublish=tcp:8080@internet\n", "give ports as in" },
	{ "[Tunnel\n", "s.conf:1:" },
	{ "[Tunnel]\nUplink\n", "s.conf:2:" },
	{ "[Tunnel]\nUplink=ve\x01th\n", "s.conf:2:" },
};

Test(tunnel_settings, refuses_with_line_and_column)
{
	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		struct tunnel_settings s = { .n_dns = 77 };
		_cleanup_(freep) char *error = NULL;

		cr_assert_eq(tunnel_settings_parse(bads[i].text, strlen(bads[i].text), "s.conf", &s, &error), -EINVAL,
			     "%s", bads[i].text);
		cr_assert(strstr(error, bads[i].want), "%s\nwanted %s", error, bads[i].want);
		cr_assert_eq(s.n_dns, 77, "output touched");
	}
}

/* Each key stands in the page as "\fBKey=\fR" below its section's heading; and the page has no other. */
Test(tunnel_settings, manual_page_lists_the_same_keys)
{
	_cleanup_(freep) char *page = NULL;
	size_t n, len, listed = 0;
	const struct tunnel_key *keys = tunnel_settings_keys(&n);

	if (file_read(AT_FDCWD, "src/man/nsvpn.conf.5", 1 << 20, &page, &len) == -ENOENT)
		cr_skip_test("not started in the source tree, so the manual page is not at hand");
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *entry = str_format("\\fB%s=\\fR", keys[i].key);
		_cleanup_(freep) char *heading = str_format("[%s]", keys[i].section);

		cr_assert(strstr(page, entry), "%s is not in the manual page", keys[i].key);
		cr_assert(strstr(page, heading), "%s", heading);
	}
	for (const char *s = page; (s = strstr(s, "=\\fR")); s++)
		listed++;
	cr_assert_eq(listed, n, "the manual page lists %zu keys, the table %zu", listed, n);
}
