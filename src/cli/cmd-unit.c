/*
 * nsvpn unit add, remove, list: services that live in a tunnel.
 *
 * Theory of add. First everything is looked at that could be in the way, then one file is written, then systemd reads its
 * units again and is asked what it will do now. If that is not what the file says, the file goes again: either the service
 * lives in the tunnel from its next start on, or nothing has changed and one sentence says why.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/service-manager.h"
#include "cli/tunnel-names.h"
#include "cli/unit-list.h"
#include "cli/unit-run.h"
#include "cli/unit-subject.h"
#include "profile/profile.h"

struct unit_options {
	const struct cli *cli;
	const char *tunnel;
	bool joins, now;
};

static int fail_objection(char *sentence, bool oom)
{
	return oom ? output_oom() : output_fail_take(EXIT_CODE_FAILED, sentence, "");
}

static int need_root(const char *verb, const char *unit)
{
	if (geteuid() != 0)
		return output_fail(EXIT_CODE_DENIED,
				   "only root may change the units of the machine: sudo nsvpn unit %s %s. A unit of your own (systemctl "
				   "--user) cannot live in a tunnel, since your service manager may not enter network namespaces; put `nsvpn "
				   "exec -t NAME --` in front of the program in its ExecStart=",
				   verb, unit);
	if (getenv("NSVPN_ETC") || getenv("NSVPN_RUN") || getenv("NSVPN_STATE"))
		return output_fail(EXIT_CODE_USAGE, "units live in the tunnels of the service nsvpnd, and NSVPN_ETC, NSVPN_RUN or NSVPN_STATE "
						    "means others; unset them");
	return EXIT_CODE_OK;
}

/* ---- add ---- */

/* Somebody's unit of that name: then the reason is another one than a mistake in typing. */
static bool is_user_unit(const char *name)
{
	static const char *const folders[] = { "/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user",
					       "/lib/systemd/user" };
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(folders) && !found; i++) {
		_cleanup_(freep) char *path = str_format("%s/%s", folders[i], name);

		found = path && access(path, F_OK) == 0;
	}
	return found;
}

static int check_template(const struct unit_subject *s)
{
	char *error = NULL;
	int r = s->kind == UNIT_KIND_TEMPLATE ? service_manager_find_template(s->bus, s->name, &error) : 0;

	if (r == -ENOENT)
		return output_fail(EXIT_CODE_FAILED, "%s does not exist; `systemctl list-unit-files` shows the units there are", s->name);
	return r < 0 ? unit_fail(r, error, "systemd does not tell about the unit") : EXIT_CODE_OK;
}

static int check_order(const struct unit_subject *s, const char *tunnel)
{
	_cleanup_(freep) char *anchor = dropin_anchor(tunnel);
	char *error = NULL;
	bool before = false;
	int r;

	if (!anchor)
		return output_oom();
	r = service_manager_is_before(s->bus, s->facts.id, anchor, &before, &error);
	if (r < 0)
		return unit_fail(r, error, "systemd does not tell the order of units");
	if (before)
		return output_fail(EXIT_CODE_FAILED, "%s cannot live in a tunnel: tunnels need it, they are started after it", s->name);
	return EXIT_CODE_OK;
}

static int check_anchor(const struct unit_subject *s, const char *tunnel)
{
	_cleanup_(freep) char *anchor = dropin_anchor(tunnel);
	struct unit_facts f = { 0 };
	char *error = NULL;
	int r;

	if (!anchor)
		return output_oom();
	r = service_manager_facts(s->bus, anchor, &f, &error);
	if (r < 0)
		return unit_fail(r, error, "systemd does not tell about the unit");
	r = str_eq(f.load_state, "loaded") ?
		    EXIT_CODE_OK :
		    output_fail(EXIT_CODE_FAILED, "systemd does not know %s (%s); install nsvpn (`make install`) and run `systemctl "
						  "daemon-reload`",
				anchor, f.load_state);
	unit_facts_done(&f);
	return r;
}

static int check_subject(const struct unit_subject *s, const char *tunnel, bool joins)
{
	enum dropin_form form = joins ? DROPIN_JOINS : DROPIN_PATH;
	bool oom;
	char *objection = unit_facts_object(&s->facts, form, s->has_own ? &s->own : NULL, &oom);
	int r;

	if (str_eq(s->facts.load_state, "not-found") && is_user_unit(s->name)) {
		free(objection);
		return output_fail(EXIT_CODE_FAILED,
				   "%s is a unit of users (systemctl --user), whose service managers may not enter network namespaces; put "
				   "`nsvpn exec -t %s --` in front of the program in its ExecStart= instead",
				   s->name, tunnel);
	}
	if (objection || oom)
		return fail_objection(objection, oom);
	r = check_anchor(s, tunnel);
	return r == EXIT_CODE_OK ? check_order(s, tunnel) : r;
}

static int own_program(char **ret)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return output_fail(EXIT_CODE_FAILED, "/proc/self/exe does not say where nsvpn is: %m");
	path[n] = '\0';
	if (strpbrk(path, " \t\"'\\$%;"))
		return output_fail(EXIT_CODE_FAILED, "%s has characters in its path that units do not take; install nsvpn (`make install`)",
				   path);
	*ret = strdup(path);
	return *ret ? EXIT_CODE_OK : output_oom();
}

static int verify(struct unit_subject *s, const struct dropin *d)
{
	char *difference;
	bool oom;
	int r = unit_subject_read_facts(s);

	if (r != EXIT_CODE_OK)
		return r;
	difference = unit_facts_differ(&s->facts, d, s->path, &oom);
	return difference || oom ? fail_objection(difference, oom) : EXIT_CODE_OK;
}

/*
 * A service that runs is bound to the tunnel from the moment on in which systemd has read the drop-in, and would be stopped
 * where that is not up.
 */
static int start_anchor(const struct unit_subject *s, const char *tunnel)
{
	_cleanup_(freep) char *anchor = dropin_anchor(tunnel);
	char *error = NULL;
	int r;

	if (!anchor)
		return output_oom();
	r = s->running ? service_manager_start(s->bus, anchor, false, &error) : 0;
	return r < 0 ? unit_fail(r, error, "systemd cannot start the tunnel") : EXIT_CODE_OK;
}

/*
 * What JoinsNamespaceOf= says holds in both directions. When systemd reads its units again while a service runs that has private
 * things of its own (a PrivateTmp=, a namespace by path) and now joins the tunnel's unit, it may as well give the tunnel's unit what
 * the service has; whatever joins afterwards is then in no tunnel, and the guard refuses it. So nothing of the service may run.
 */
static bool must_not_run(const struct unit_options *o, const struct unit_subject *s)
{
	return o->joins && s->running && !(s->has_own && s->own.form == DROPIN_JOINS);
}

static int check_running(const struct unit_options *o, const struct unit_subject *s)
{
	if (must_not_run(o, s) && !o->now)
		return output_fail(EXIT_CODE_FAILED,
				   "%s runs, and systemd may mix up namespaces when a running service comes to join another; add --now, which "
				   "stops it first, or leave out --joins-namespace-of",
				   *s->running);
	return EXIT_CODE_OK;
}

/* After a failure (r): what had to be stopped runs again. */
static int start_again(const struct unit_options *o, const struct unit_subject *s, int r)
{
	if (must_not_run(o, s))
		(void)unit_subject_after_change(s, NULL, true, true); /* has said what was wrong; r stays the answer */
	return r;
}

static int write_and_verify(const struct unit_options *o, struct unit_subject *s, const char *tunnel)
{
	struct dropin d = { .form = o->joins ? DROPIN_JOINS : DROPIN_PATH };
	_cleanup_(freep) char *program = NULL, *text = NULL;
	int r = own_program(&program);

	if (r != EXIT_CODE_OK)
		return r;
	(void)str_copy(d.tunnel, sizeof(d.tunnel), tunnel); /* checked names fit */
	text = dropin_format(s->name, tunnel, d.form, program);
	if (!text)
		return output_oom();
	r = start_anchor(s, tunnel);
	if (r == EXIT_CODE_OK && must_not_run(o, s))
		r = unit_subject_stop(s);
	if (r == EXIT_CODE_OK)
		r = unit_subject_write(s, text);
	if (r != EXIT_CODE_OK)
		return start_again(o, s, r);
	r = unit_subject_reload(s);
	if (r == EXIT_CODE_OK)
		r = verify(s, &d);
	if (r == EXIT_CODE_OK)
		return r;
	unit_subject_put_back(s);
	return start_again(o, s, r);
}

static int which_tunnel(const char *given, char **ret)
{
	int r;

	if (!given)
		return tunnel_names_default(NULL, ret);
	r = tunnel_names_check(given);
	if (r == EXIT_CODE_OK)
		r = tunnel_names_expect(given);
	if (r != EXIT_CODE_OK)
		return r;
	*ret = strdup(given);
	return *ret ? EXIT_CODE_OK : output_oom();
}

/* At boot nobody is there to be asked. What is wrong with the profile itself, `up` says. */
static void warn_of_password(const char *tunnel)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	char *error = NULL;

	if (profile_load_tunnel(tunnel, &p, NULL, &error) == 0 && p->protocol == PROTOCOL_OPENVPN && p->ovpn.auth_user_pass &&
	    !(p->ovpn.username && p->ovpn.password))
		log_warning("tunnel %s asks for user name and password, and at boot nobody is there to answer; name a file with both in its "
			    "profile (auth-user-pass FILE) and import it again",
			    tunnel);
	free(error);
}

static int add(const struct unit_options *o, const char *given)
{
	_cleanup_(freep) char *tunnel = NULL;
	struct unit_subject s = { 0 };
	int r = need_root("add", given);

	if (r == EXIT_CODE_OK)
		r = which_tunnel(o->tunnel, &tunnel);
	if (r == EXIT_CODE_OK)
		r = unit_subject_find(&s, given);
	if (r == EXIT_CODE_OK)
		r = check_template(&s);
	if (r == EXIT_CODE_OK)
		r = unit_subject_read_own(&s);
	if (r == EXIT_CODE_OK)
		r = check_subject(&s, tunnel, o->joins);
	s.running = r == EXIT_CODE_OK ? unit_subject_running(&s) : NULL;
	if (r == EXIT_CODE_OK)
		r = check_running(o, &s);
	if (r == EXIT_CODE_OK)
		r = write_and_verify(o, &s, tunnel);
	if (r == EXIT_CODE_OK) {
		if (!o->cli->quiet)
			printf("%s lives in tunnel %s from its next start on (%s)\n", s.name, tunnel, s.path);
		warn_of_password(tunnel);
		r = unit_subject_after_change(&s, tunnel, o->now, o->cli->quiet);
	}
	unit_subject_done(&s);
	return r;
}

/* ---- remove ---- */

static int remove_unit(const struct unit_options *o, const char *given)
{
	struct unit_subject s = { 0 };
	int r = need_root("remove", given);

	/* Its unit may be gone meanwhile (a package that was removed); the file is what counts. */
	if (r == EXIT_CODE_OK)
		r = unit_subject_find(&s, given);
	if (r == EXIT_CODE_OK)
		r = unit_subject_read_own(&s);
	if (r == EXIT_CODE_OK && !s.has_own)
		r = output_fail(EXIT_CODE_FAILED, "%s lives in no tunnel (%s is not there); `nsvpn unit list` shows those that do", s.name,
				s.path);
	s.running = r == EXIT_CODE_OK ? unit_subject_running(&s) : NULL;
	if (r == EXIT_CODE_OK)
		r = unit_subject_remove(&s);
	if (r == EXIT_CODE_OK)
		r = unit_subject_reload(&s);
	if (r == EXIT_CODE_OK) {
		if (!o->cli->quiet)
			printf("%s is as it was before, outside of tunnel %s, from its next start on\n", s.name, s.own.tunnel);
		r = unit_subject_after_change(&s, NULL, o->now, o->cli->quiet);
	}
	unit_subject_done(&s);
	return r;
}

/* ---- the command ---- */

int cmd_unit(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct unit_options u = { .cli = cli };
	const struct option_spec table[] = { { "tunnel", 't', OPTION_TEXT, &u.tunnel },
					     { "joins-namespace-of", 0, OPTION_FLAG, &u.joins },
					     { "now", 0, OPTION_FLAG, &u.now } };
	struct options o = { .table = table, .n_table = ARRAY_SIZE(table), .min_operands = 1, .max_operands = 5,
			     .operand_name = "add, remove or list" };
	const char *verb;
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	verb = o.operands[0];
	if (str_eq(verb, "list") && o.n_operands == 1)
		return unit_list(cli);
	if (cli->json)
		return output_fail(EXIT_CODE_USAGE, "unit: only `unit list` prints data, --json has no meaning for %s", verb);
	if (str_eq(verb, "add") && o.n_operands == 2)
		return add(&u, o.operands[1]);
	if (str_eq(verb, "remove") && o.n_operands == 2)
		return remove_unit(&u, o.operands[1]);
	if (unit_run(o.operands, o.n_operands, &r))
		return r;
	return output_fail(EXIT_CODE_USAGE, "unit: say `add UNIT`, `remove UNIT` or `list`; usage: nsvpn unit %s", self->usage);
}
