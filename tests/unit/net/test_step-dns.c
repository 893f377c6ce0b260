/* The texts of the two files. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/str.h"
#include "net/plan.h"

Test(step_dns, names_no_server_while_not_connected)
{
	char *t = dns_format_resolv("home", NULL);

	cr_assert(str_has_prefix(t, "# Written by nsvpn for tunnel home."));
	cr_assert(!strstr(t, "\nnameserver") && strstr(t, "not connected"));
	free(t);
}

Test(step_dns, lists_resolvers_and_search_domains)
{
	struct settings s = { .n_dns = 2, .n_search = 2 };
	char *t;

	cr_assert(inaddr_parse("10.8.0.1", &s.dns[0]) == 0 && inaddr_parse("fd00::1", &s.dns[1]) == 0);
	(void)str_copy(s.search[0], sizeof(s.search[0]), "a.example");
	(void)str_copy(s.search[1], sizeof(s.search[1]), "b.example");
	t = dns_format_resolv("home", &s);
	cr_assert(strstr(t, "\nnameserver 10.8.0.1\nnameserver fd00::1\nsearch a.example b.example\n"), "%s", t);
	free(t);
}

Test(step_dns, nsswitch_replaces_the_hosts_line_and_keeps_the_rest)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "passwd: files systemd\nhosts: mymachines resolve [!UNAVAIL=return] files dns\nnetworks: files\n",
		  "passwd: files systemd\nhosts: files dns\nnetworks: files\n" },
		{ "  hosts:\tresolve\n", "hosts: files dns\n" },
		{ "hosts: a\nhosts: b\n", "hosts: files dns\n" },
		{ "passwd: files", "passwd: files\nhosts: files dns\n" },
		{ "# hosts: resolve\n", "# hosts: resolve\nhosts: files dns\n" },
		{ "", "hosts: files dns\n" },
		{ NULL, "hosts: files dns\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *t = dns_format_nsswitch(cases[i].in);

		cr_assert_str_eq(t, cases[i].out);
		free(t);
	}
}
