/* cli/rootless.h: commands are named as a rootless user types them. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/places.h"
#include "base/str.h"
#include "cli/rootless.h"

static void become_rootless(void)
{
	static char dir[] = "/tmp/nsvpn-rootless-XXXXXX";
	_cleanup_(freep) char *error = NULL;

	cr_assert(mkdtemp(dir));
	setenv("XDG_RUNTIME_DIR", dir, 1);
	cr_assert_eq(places_use_rootless(&error), 0, "%s", error ? error : "");
	(void)rmdir(dir);
}

Test(rootless, sentences_stay_as_they_are_otherwise)
{
	_cleanup_(freep) char *s = rootless_phrase(strdup("`nsvpn down home` first"));

	cr_expect_str_eq(s, "`nsvpn down home` first");
	cr_expect_str_eq(rootless_word(), "");
}

Test(rootless, commands_in_sentences_get_the_word)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "`nsvpn down home` first", "`nsvpn down --rootless home` first" },
		{ "use `nsvpn list`", "use `nsvpn list --rootless`" },
		{ "`nsvpn up x` or `nsvpn down --kill x`.", "`nsvpn up --rootless x` or `nsvpn down --rootless --kill x`." },
		{ "`nsvpn up --rootless x`", "`nsvpn up --rootless x`" },
		{ "`nsvpn --help` and `nsvpn desktop add` and `nsvpn upside`", "`nsvpn --help` and `nsvpn desktop add` and `nsvpn upside`" },
		{ "`sudo nsvpn import x`", "`sudo nsvpn import x`" },
		{ "", "" },
		{ "`nsvpn ", "`nsvpn " },
	};

	become_rootless();
	cr_expect_str_eq(rootless_word(), " --rootless");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(freep) char *s = rootless_phrase(strdup(rows[i].in));

		cr_expect_str_eq(s, rows[i].out, "row %zu: %s", i, s);
	}
}

Test(rootless, root_has_no_use_for_it)
{
	const struct command up = { .name = "up" }, demo = { .name = "demo" };

	if (geteuid() != 0)
		cr_skip("for root");
	cr_expect_eq(rootless_begin(&up), EXIT_CODE_USAGE);
	cr_expect_eq(rootless_begin(&demo), EXIT_CODE_USAGE);
	cr_expect_not(place_is_rootless());
}
