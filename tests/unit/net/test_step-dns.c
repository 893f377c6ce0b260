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

/* Whatever the fullest settings are that pass the check: every line is a comment, a literal address or valid domains. */
Test(step_dns, writes_canonical_lines_only)
{
	static const char *const domains[] = { "a_b.example.", "xn--bcher-kva.example", "1.2.3.4" };
	struct settings s = { .n_dns = SETTINGS_DNS_MAX, .n_search = ARRAY_SIZE(domains) };
	char *t, *save = NULL;
	size_t servers = 0;

	for (unsigned i = 0; i < s.n_dns; i++)
		cr_assert_eq(inaddr_parse(i % 2 ? "FD00:0:0::0001" : "10.8.0.1", &s.dns[i]), 0);
	for (unsigned i = 0; i < s.n_search; i++)
		cr_assert(domain_is_valid(domains[i]) && str_copy(s.search[i], sizeof(s.search[i]), domains[i]));
	t = dns_format_resolv("home", &s);
	for (char *line = strtok_r(t, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (str_eq(line, "nameserver 10.8.0.1") || str_eq(line, "nameserver fd00::1"))
			servers++;
		else
			cr_assert(*line == '#' || str_eq(line, "search a_b.example. xn--bcher-kva.example 1.2.3.4"), "%s", line);
	}
	cr_assert_eq(servers, SETTINGS_DNS_MAX);
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
