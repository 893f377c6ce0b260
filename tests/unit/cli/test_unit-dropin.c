/* Drop-ins as text: word for word, once per form; read back; what may be a unit's name. Golden texts: tests/golden/dropin-*.conf. */
#include <criterion/criterion.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "cli/unit-dropin.h"
#include "profile/binds.h"

static void golden(enum dropin_form form, const char *path)
{
	_cleanup_(freep) char *text = NULL, *want = NULL;
	struct dropin d;
	size_t len;

	unsetenv("NSVPN_RUN");
	text = dropin_format("kodi.service", "home", form, "/usr/local/bin/nsvpn");
	cr_assert(text);
	if (getenv("NSVPN_UPDATE_GOLDEN"))
		cr_assert_eq(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644), 0);
	cr_assert_eq(file_read(AT_FDCWD, path, 65536, &want, &len), 0, "%s; run from the top folder", path);
	cr_assert_str_eq(text, want);
	cr_assert_eq(dropin_parse(text, &d), 0);
	cr_assert_str_eq(d.tunnel, "home");
	cr_assert_eq(d.form, form);
}

Test(unit_dropin, path_form_reads_like_the_golden_text)
{
	golden(DROPIN_PATH, "tests/golden/dropin-path.conf");
}

Test(unit_dropin, joins_form_reads_like_the_golden_text)
{
	golden(DROPIN_JOINS, "tests/golden/dropin-joins.conf");
}

Test(unit_dropin, both_forms_guard_bind_and_order)
{
	for (int f = 0; f < _DROPIN_FORM_MAX; f++) {
		_cleanup_(freep) char *text = dropin_format("a.service", "t1", (enum dropin_form)f, "/usr/bin/nsvpn");

		cr_assert(text);
		cr_assert(strstr(text, "\nBindsTo=nsvpn@t1.service\nAfter=nsvpn@t1.service\n"));
		cr_assert(strstr(text, "\nExecCondition=+/usr/bin/nsvpn unit guard t1\n"));
	}
}

/* One list: what exec covers, a unit covers. */
Test(unit_dropin, holds_every_row_of_the_table_of_binds)
{
	_cleanup_(freep) char *text = dropin_format("a.service", "home", DROPIN_PATH, "/usr/bin/nsvpn");
	const struct bind *table;
	size_t n;

	table = binds_table(&n);
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *file = str_format(":%s\n", table[i].target), *folder = str_format("=%s:ro\n", table[i].target),
				      *hidden = str_format("=-%s\n", table[i].target);

		cr_assert(strstr(text, file) || strstr(text, folder) || strstr(text, hidden), "%s", table[i].target);
	}
}

Test(unit_dropin, files_of_others_are_not_ours)
{
	static const char *const bads[] = {
		"", "[Service]\nNetworkNamespacePath=/run/netns/home\n", "# nsvpn: tunnel=home form=path\n",
		"x\n# nsvpn: tunnel=home form=other\n", "x\n# nsvpn: tunnel=../etc form=path\n", "x\n# nsvpn: tunnel= form=path\n",
		"x\n# nsvpn: tunnel=home\n", "x\n# nsvpn: tunnel=aaaaaaaaaaaaaaaaaaaaaaaaaaaa form=path\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		struct dropin d = { .tunnel = "kept" };

		cr_assert_eq(dropin_parse(bads[i], &d), -EINVAL, "%s", bads[i]);
		cr_assert_str_eq(d.tunnel, "kept");
	}
}

Test(unit_dropin, names)
{
	static const struct {
		const char *given;
		enum unit_kind kind;
		const char *name; /* or a part of the sentence */
	} rows[] = {
		{ "kodi", UNIT_KIND_SERVICE, "kodi.service" },
		{ "kodi.service", UNIT_KIND_SERVICE, "kodi.service" },
		{ "transmission-daemon", UNIT_KIND_SERVICE, "transmission-daemon.service" },
		{ "a.b", UNIT_KIND_SERVICE, "a.b.service" },
		{ "get@1.service", UNIT_KIND_SERVICE, "get@1.service" },
		{ "get@", UNIT_KIND_TEMPLATE, "get@.service" },
		{ "get@.service", UNIT_KIND_TEMPLATE, "get@.service" },
		{ "kodi.socket", UNIT_KIND_OTHER, "listens outside" },
		{ "kodi.timer", UNIT_KIND_OTHER, "add that service" },
		{ "kodi.path", UNIT_KIND_OTHER, "add that service" },
		{ "session-1.scope", UNIT_KIND_OTHER, "nsvpn exec" },
		{ "user.slice", UNIT_KIND_OTHER, "services in it" },
		{ "multi-user.target", UNIT_KIND_OTHER, "no program" },
		{ "mnt.mount", UNIT_KIND_OTHER, "kernel" },
		{ "", UNIT_KIND_INVALID, "no name" },
		{ ".service", UNIT_KIND_INVALID, "no name" },
		{ "@.service", UNIT_KIND_INVALID, "no name" },
		{ "../x", UNIT_KIND_INVALID, "no name" },
		{ "a/b.service", UNIT_KIND_INVALID, "no name" },
		{ "a b", UNIT_KIND_INVALID, "no name" },
		{ "a\nb", UNIT_KIND_INVALID, "no name" },
		{ "..", UNIT_KIND_INVALID, "no name" },
		{ "a%i", UNIT_KIND_INVALID, "no name" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(freep) char *name = NULL, *error = NULL;
		enum unit_kind kind;

		cr_assert_eq(unit_name_read(rows[i].given, &kind, &name, &error), 0);
		cr_assert_eq(kind, rows[i].kind, "%s", rows[i].given);
		if (kind == UNIT_KIND_SERVICE || kind == UNIT_KIND_TEMPLATE)
			cr_assert_str_eq(name, rows[i].name);
		else
			cr_assert(!name && strstr(error, rows[i].name), "%s: %s", rows[i].given, error);
	}
}

Test(unit_dropin, a_name_that_leaves_no_room_for_the_file_is_refused)
{
	_cleanup_(freep) char *name = NULL, *error = NULL;
	enum unit_kind kind;
	char given[300];

	memset(given, 'a', sizeof(given));
	given[201] = '\0';
	cr_assert_eq(unit_name_read(given, &kind, &name, &error), 0);
	cr_assert_eq(kind, UNIT_KIND_INVALID);
}
