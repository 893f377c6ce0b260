/* The judgement about services: each thing that can be in the way, and each way in which another file can undo a drop-in. */
#include <criterion/criterion.h>

#include "base/cleanup.h"
#include "cli/unit-facts.h"

#define PATH "/etc/systemd/system/kodi.service.d/50-nsvpn.conf"

static char *anchors[] = { (char *)"nsvpn@home.service", NULL };
static char *others[] = { (char *)"other.service", NULL };
static char *own_file[] = { (char *)PATH, NULL };

static const struct dropin path_form = { .tunnel = "home", .form = DROPIN_PATH };
static const struct dropin joins_form = { .tunnel = "home", .form = DROPIN_JOINS };

/* As a plain service is. Strings are borrowed: never freed. */
static struct unit_facts plain(void)
{
	return (struct unit_facts){ .id = (char *)"kodi.service", .load_state = (char *)"loaded", .active_state = (char *)"inactive",
				    .netns_path = (char *)"", .default_dependencies = 1 };
}

static void objects(const struct unit_facts *f, enum dropin_form form, const struct dropin *own, const char *part)
{
	bool oom = true;
	_cleanup_(freep) char *s = unit_facts_object(f, form, own, &oom);

	cr_assert(!oom);
	if (!part)
		cr_assert_null(s, "%s", s);
	else
		cr_assert(s && strstr(s, part), "'%s' is not in '%s'", part, s ? s : "nothing");
}

Test(unit_facts, a_plain_service_is_taken)
{
	struct unit_facts f = plain();

	objects(&f, DROPIN_PATH, NULL, NULL);
	objects(&f, DROPIN_JOINS, NULL, NULL);
}

#define REFUSED(change, part)                                                                                          \
	do {                                                                                                           \
		struct unit_facts f = plain();                                                                         \
		change;                                                                                                \
		objects(&f, DROPIN_PATH, NULL, part);                                                                  \
		objects(&f, DROPIN_JOINS, NULL, part);                                                                 \
	} while (0)

Test(unit_facts, each_obstacle_is_named)
{
	REFUSED(f.load_state = (char *)"not-found", "does not exist");
	REFUSED(f.load_state = (char *)"masked", "unmask");
	REFUSED(f.load_state = (char *)"bad-setting", "systemctl status kodi.service");
	REFUSED(f.id = (char *)"nsvpnd.service", "part of nsvpn");
	REFUSED(f.id = (char *)"nsvpn@home.service", "part of nsvpn");
	REFUSED(f.id = (char *)"nsvpn-netns@home.service", "part of nsvpn");
	REFUSED(f.default_dependencies = 0, "DefaultDependencies=no");
	REFUSED((f.socket = (char *)"kodi.socket", f.address = (char *)"[::]:80"), "kodi.socket has opened outside ([::]:80)");
	REFUSED(f.counts_255_as_done = true, "SuccessExitStatus=");
	REFUSED(f.netns_path = (char *)"/run/netns/other", "NetworkNamespacePath=/run/netns/other");
	REFUSED(f.joins = others, "other.service");
	REFUSED(f.private_network = 1, "PrivateNetwork=no");
}

Test(unit_facts, a_condition_of_its_own_is_refused_where_systemd_fails_open)
{
	struct unit_facts f = plain();

	f.has_conditions = true;
	objects(&f, DROPIN_PATH, NULL, NULL);
	objects(&f, DROPIN_JOINS, NULL, "ExecCondition=");
}

Test(unit_facts, what_runs_after_a_refusal_is_refused_where_systemd_fails_open)
{
	struct unit_facts f = plain();

	f.has_stop_post = true;
	objects(&f, DROPIN_PATH, NULL, NULL);
	objects(&f, DROPIN_JOINS, NULL, "ExecStopPost=");
}

Test(unit_facts, a_drop_in_of_ours_is_no_obstacle)
{
	struct unit_facts f = plain();

	f.netns_path = (char *)"/run/netns/home";
	objects(&f, DROPIN_JOINS, &path_form, NULL);
	objects(&f, DROPIN_PATH, NULL, "NetworkNamespacePath=");
	f = plain();
	f.private_network = 1;
	f.joins = anchors;
	objects(&f, DROPIN_PATH, &joins_form, NULL);
	objects(&f, DROPIN_PATH, &path_form, "shares the namespace");
	f.joins = others;
	objects(&f, DROPIN_PATH, &joins_form, "other.service");
}

static struct unit_facts as_written(const struct dropin *d)
{
	struct unit_facts f = plain();

	f.files = own_file;
	f.binds_to = f.after = anchors;
	f.guarded = f.guarded_first = true;
	if (d->form == DROPIN_PATH)
		f.netns_path = (char *)"/run/netns/home";
	else {
		f.private_network = 1;
		f.joins = anchors;
	}
	return f;
}

static void differs(const struct unit_facts *f, const struct dropin *d, const char *part)
{
	bool oom = true;
	_cleanup_(freep) char *s = unit_facts_differ(f, d, PATH, &oom);

	cr_assert(!oom);
	if (!part)
		cr_assert_null(s, "%s", s);
	else
		cr_assert(s && strstr(s, part), "'%s' is not in '%s'", part, s ? s : "nothing");
}

#define DIFFERS(form, change, part)                                                                                    \
	do {                                                                                                           \
		struct unit_facts f = as_written(&(form));                                                             \
		change;                                                                                                \
		differs(&f, &(form), part);                                                                            \
	} while (0)

Test(unit_facts, what_was_written_is_what_systemd_does)
{
	DIFFERS(path_form, (void)0, NULL);
	DIFFERS(joins_form, (void)0, NULL);
}

Test(unit_facts, each_line_that_another_file_changes_is_found)
{
	DIFFERS(path_form, f.files = others, "does not read " PATH);
	DIFFERS(path_form, f.netns_path = (char *)"", "NetworkNamespacePath=");
	DIFFERS(path_form, f.netns_path = (char *)"/run/netns/other", "NetworkNamespacePath=");
	DIFFERS(path_form, f.binds_to = others, "BindsTo=");
	DIFFERS(path_form, f.after = NULL, "After=");
	DIFFERS(path_form, f.guarded = f.guarded_first = false, "ExecCondition=");
	DIFFERS(joins_form, f.netns_path = (char *)"/run/netns/home", "NetworkNamespacePath=");
	DIFFERS(joins_form, f.private_network = 0, "PrivateNetwork=");
	DIFFERS(joins_form, f.joins = others, "JoinsNamespaceOf=");
	DIFFERS(joins_form, f.binds_to = NULL, "BindsTo=");
	DIFFERS(joins_form, (f.guarded_first = false, f.has_conditions = true), "ExecCondition=");
}

/* A path that is not there fails hard before any condition runs. */
Test(unit_facts, a_condition_before_the_guard_is_fine_with_a_path)
{
	DIFFERS(path_form, (f.guarded_first = false, f.has_conditions = true), NULL);
}

Test(unit_facts, running)
{
	static const struct {
		const char *state;
		bool running;
	} rows[] = { { "active", true }, { "activating", true }, { "deactivating", true }, { "reloading", true },
		     { "inactive", false }, { "failed", false } };
	struct unit_facts f = plain();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		f.active_state = (char *)rows[i].state;
		cr_assert_eq(unit_facts_is_running(&f), rows[i].running, "%s", rows[i].state);
	}
	f.active_state = NULL;
	cr_assert(!unit_facts_is_running(&f));
}
