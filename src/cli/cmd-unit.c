/*
 * nsvpn unit add, remove, list: services that live in a tunnel.
 *
 * Theory of add. First everything is looked at that could be in the way, then one file is written, then systemd reads its
 * units again and is asked what it will do now. If that is not what the file says, the file goes again: either the service
 * lives in the tunnel from its next start on, or nothing has changed and one sentence says why.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/places.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/service-manager.h"
#include "cli/tunnel-names.h"
#include "cli/unit-run.h"

#define UNITS "/etc/systemd/system"
#define DROPIN_MAX 65536

struct unit_options {
	const struct cli *cli;
	const char *tunnel;
	bool joins, now;
};

/* One service on its way through add or remove. */
struct subject {
	const struct unit_options *o;
	sd_bus *bus;
	enum unit_kind kind;
	char *name, *folder, *path; /* UNITS/NAME.d, and the file in it */
	char **running;             /* names of what runs of it before the change */
	char *old;                  /* the text of a drop-in that is there */
	struct dropin own;          /* what it says */
	bool has_own;
	struct unit_facts facts;
};

static void subject_done(struct subject *s)
{
	unit_facts_done(&s->facts);
	sd_bus_flush_close_unref(s->bus);
	free(s->name);
	free(s->folder);
	free(s->path);
	strv_free(s->running);
	free(s->old);
}

/* An exit code for -errno and sentence of the modules below. */
static int fail(int r, char *error, const char *fallback)
{
	return r == -ENOMEM ? output_oom() : output_fail_take(EXIT_CODE_FAILED, error, fallback);
}

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

/* ---- the file ---- */

static int set_places(struct subject *s)
{
	free(s->folder);
	free(s->path);
	s->folder = str_format(UNITS "/%s.d", s->name);
	s->path = str_format(UNITS "/%s.d/" DROPIN_FILE, s->name);
	return s->folder && s->path ? EXIT_CODE_OK : output_oom();
}

/* What is in our place already. A file that we did not write is somebody else's, and stays. */
static int read_own(struct subject *s)
{
	size_t len;
	int r = file_read(AT_FDCWD, s->path, DROPIN_MAX, &s->old, &len);

	if (r == -ENOENT)
		return EXIT_CODE_OK;
	if (r < 0)
		return output_fail(EXIT_CODE_FAILED, "%s cannot be read: %s", s->path, strerror(-r));
	if (dropin_parse(s->old, &s->own) < 0)
		return output_fail(EXIT_CODE_FAILED, "%s was not written by nsvpn; rename it, or remove it", s->path);
	s->has_own = true;
	return EXIT_CODE_OK;
}

static int write_file(const struct subject *s, const char *text)
{
	int r = dir_make(s->folder, 0755);

	if (r >= 0)
		r = file_write_atomic(AT_FDCWD, s->path, text, strlen(text), 0644);
	return r < 0 ? output_fail(EXIT_CODE_FAILED, "%s cannot be written: %s", s->path, strerror(-r)) : EXIT_CODE_OK;
}

static int remove_file(const struct subject *s)
{
	if (unlink(s->path) < 0)
		return output_fail(EXIT_CODE_FAILED, "%s cannot be removed: %m", s->path);
	(void)rmdir(s->folder); /* not empty: it stays */
	return EXIT_CODE_OK;
}

static int reload(const struct subject *s)
{
	char *error = NULL;
	int r = service_manager_reload(s->bus, &error);

	return r < 0 ? fail(r, error, "systemd cannot read its units again") : EXIT_CODE_OK;
}

/* What was there before, for an add that did not work out. */
static void put_back(const struct subject *s)
{
	char *error = NULL;

	if (s->has_own)
		(void)write_file(s, s->old);
	else
		(void)remove_file(s);
	(void)service_manager_reload(s->bus, &error); /* the sentence that counts has been printed */
	free(error);
}

/* ---- which unit ---- */

static int read_name(struct subject *s, const char *given)
{
	char *error = NULL;
	int r = unit_name_read(given, &s->kind, &s->name, &error);

	if (r < 0)
		return output_oom();
	if (s->kind == UNIT_KIND_OTHER)
		return output_fail_take(EXIT_CODE_FAILED, error, "");
	if (s->kind == UNIT_KIND_INVALID)
		return output_fail_take(EXIT_CODE_USAGE, error, "");
	return EXIT_CODE_OK;
}

/* A template has no state of its own; that of an instance which nobody has started is read in its place. */
static char *instance_of(const struct subject *s)
{
	if (s->kind != UNIT_KIND_TEMPLATE)
		return strdup(s->name);
	return str_format("%.*snsvpn.service", (int)(strlen(s->name) - strlen(".service")), s->name);
}

static int read_facts(struct subject *s)
{
	_cleanup_(freep) char *instance = instance_of(s);
	char *error = NULL;
	int r;

	if (!instance)
		return output_oom();
	unit_facts_done(&s->facts);
	r = service_manager_facts(s->bus, instance, &s->facts, &error);
	if (r < 0)
		return fail(r, error, "systemd does not tell about the unit");
	return EXIT_CODE_OK;
}

static int check_template(const struct subject *s)
{
	char *error = NULL;
	int r = s->kind == UNIT_KIND_TEMPLATE ? service_manager_find_template(s->bus, s->name, &error) : 0;

	if (r == -ENOENT)
		return output_fail(EXIT_CODE_FAILED, "%s does not exist; `systemctl list-unit-files` shows the units there are", s->name);
	return r < 0 ? fail(r, error, "systemd does not tell about the unit") : EXIT_CODE_OK;
}

/* An alias leads to the unit itself: only there systemd looks for its drop-ins in every case. */
static int follow_alias(struct subject *s)
{
	if (s->kind == UNIT_KIND_TEMPLATE || str_eq(s->facts.id, s->name))
		return EXIT_CODE_OK;
	free(s->name);
	s->name = strdup(s->facts.id);
	return s->name ? set_places(s) : output_oom();
}

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

static int find(struct subject *s, const char *given)
{
	int r = read_name(s, given);

	if (r == EXIT_CODE_OK)
		r = service_manager_open(&s->bus);
	if (r == EXIT_CODE_OK)
		r = set_places(s);
	if (r == EXIT_CODE_OK)
		r = check_template(s);
	if (r == EXIT_CODE_OK)
		r = read_facts(s);
	return r == EXIT_CODE_OK ? follow_alias(s) : r;
}

/* ---- add ---- */

static int check_order(const struct subject *s, const char *tunnel)
{
	_cleanup_(freep) char *anchor = dropin_anchor(tunnel);
	char *error = NULL;
	bool before = false;
	int r;

	if (!anchor)
		return output_oom();
	r = service_manager_is_before(s->bus, s->facts.id, anchor, &before, &error);
	if (r < 0)
		return fail(r, error, "systemd does not tell the order of units");
	if (before)
		return output_fail(EXIT_CODE_FAILED, "%s cannot live in a tunnel: tunnels need it, they are started after it", s->name);
	return EXIT_CODE_OK;
}

static int check_anchor(const struct subject *s, const char *tunnel)
{
	_cleanup_(freep) char *anchor = dropin_anchor(tunnel);
	struct unit_facts f = { 0 };
	char *error = NULL;
	int r;

	if (!anchor)
		return output_oom();
	r = service_manager_facts(s->bus, anchor, &f, &error);
	if (r < 0)
		return fail(r, error, "systemd does not tell about the unit");
	r = str_eq(f.load_state, "loaded") ?
		    EXIT_CODE_OK :
		    output_fail(EXIT_CODE_FAILED, "systemd does not know %s (%s); install nsvpn (`make install`) and run `systemctl "
						  "daemon-reload`",
				anchor, f.load_state);
	unit_facts_done(&f);
	return r;
}

static int check_subject(const struct subject *s, const char *tunnel)
{
	enum dropin_form form = s->o->joins ? DROPIN_JOINS : DROPIN_PATH;
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

static int verify(struct subject *s, const struct dropin *d)
{
	char *difference;
	bool oom;
	int r = read_facts(s);

	if (r != EXIT_CODE_OK)
		return r;
	difference = unit_facts_differ(&s->facts, d, s->path, &oom);
	return difference || oom ? fail_objection(difference, oom) : EXIT_CODE_OK;
}

/* In the tunnel's network namespace? Also false when that cannot be seen. */
static bool is_inside(uint32_t pid, const char *tunnel)
{
	_cleanup_(freep) char *path = str_format("/proc/%u/ns/net", pid), *netns = place_netns(tunnel);
	struct stat a, b;

	return pid && path && netns && stat(path, &a) == 0 && stat(netns, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Names of what runs of it: itself, or a template's instances. NULL: nothing, or no memory. */
static char **running(const struct subject *s)
{
	_cleanup_(strv_freep) char **names = NULL;
	_cleanup_(freep) char *pattern = NULL;
	char **found = NULL;
	char *error = NULL;

	if (s->kind != UNIT_KIND_TEMPLATE) {
		if (unit_facts_is_running(&s->facts) && strv_add(&found, s->name) < 0)
			return NULL;
		return found;
	}
	pattern = str_format("%.*s*.service", (int)(strlen(s->name) - strlen(".service")), s->name);
	if (!pattern || service_manager_names(s->bus, pattern, &names, &error) < 0)
		free(error);
	for (char **n = names; n && *n; n++) {
		struct unit_facts f = { 0 };

		if (service_manager_facts(s->bus, *n, &f, &error) < 0) {
			free(TAKE_PTR(error));
			continue;
		}
		if (unit_facts_is_running(&f) && strv_add(&found, *n) < 0)
			log_debug("no memory for a name, ignoring");
		unit_facts_done(&f);
	}
	return found;
}

static int restart(const struct subject *s)
{
	for (char **n = s->running; n && *n; n++) {
		char *error = NULL;
		int r = service_manager_restart(s->bus, *n, &error);

		if (r < 0)
			return fail(r, error, "systemd cannot restart the unit");
		if (!s->o->cli->quiet)
			printf("%s was restarted\n", *n);
	}
	return output_flush();
}

/* What ran before the change. tunnel NULL: it leaves. */
static int after_change(const struct subject *s, const char *tunnel)
{
	if (s->o->now)
		return restart(s);
	for (char **n = s->running; n && *n; n++) {
		struct unit_facts f = { 0 };
		char *error = NULL;
		bool inside = false;

		if (service_manager_facts(s->bus, *n, &f, &error) == 0)
			inside = tunnel && is_inside(f.main_pid, tunnel);
		unit_facts_done(&f);
		free(error);
		if (!inside && !s->o->cli->quiet)
			printf("%s runs, and goes on %s until it is restarted: systemctl restart %s\n", *n,
			       tunnel ? "outside of the tunnel" : "where it is", *n);
	}
	return output_flush();
}

/*
 * A service that runs is bound to the tunnel from the moment on in which systemd has read the drop-in, and would be stopped
 * where that is not up.
 */
static int start_anchor(const struct subject *s, const char *tunnel)
{
	_cleanup_(freep) char *anchor = dropin_anchor(tunnel);
	char *error = NULL;
	int r;

	if (!anchor)
		return output_oom();
	r = s->running ? service_manager_start(s->bus, anchor, &error) : 0;
	return r < 0 ? fail(r, error, "systemd cannot start the tunnel") : EXIT_CODE_OK;
}

static int write_and_verify(struct subject *s, const char *tunnel)
{
	struct dropin d = { .form = s->o->joins ? DROPIN_JOINS : DROPIN_PATH };
	_cleanup_(freep) char *program = NULL, *text = NULL;
	int r = own_program(&program);

	if (r != EXIT_CODE_OK)
		return r;
	(void)str_copy(d.tunnel, sizeof(d.tunnel), tunnel); /* checked names fit */
	text = dropin_format(s->name, tunnel, d.form, program);
	if (!text)
		return output_oom();
	r = start_anchor(s, tunnel);
	if (r == EXIT_CODE_OK)
		r = write_file(s, text);
	if (r != EXIT_CODE_OK)
		return r;
	r = reload(s);
	if (r == EXIT_CODE_OK)
		r = verify(s, &d);
	if (r != EXIT_CODE_OK)
		put_back(s);
	return r;
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

static int add(const struct unit_options *o, const char *given)
{
	_cleanup_(freep) char *tunnel = NULL;
	struct subject s = { .o = o };
	int r = need_root("add", given);

	if (r == EXIT_CODE_OK)
		r = which_tunnel(o->tunnel, &tunnel);
	if (r == EXIT_CODE_OK)
		r = find(&s, given);
	if (r == EXIT_CODE_OK)
		r = read_own(&s);
	if (r == EXIT_CODE_OK)
		r = check_subject(&s, tunnel);
	s.running = r == EXIT_CODE_OK ? running(&s) : NULL;
	if (r == EXIT_CODE_OK)
		r = write_and_verify(&s, tunnel);
	if (r == EXIT_CODE_OK) {
		if (!o->cli->quiet)
			printf("%s lives in tunnel %s from its next start on (%s)\n", s.name, tunnel, s.path);
		r = after_change(&s, tunnel);
	}
	subject_done(&s);
	return r;
}

/* ---- remove ---- */

static int remove_unit(const struct unit_options *o, const char *given)
{
	struct subject s = { .o = o };
	int r = need_root("remove", given);

	/* Its unit may be gone meanwhile (a package that was removed); the file is what counts. */
	if (r == EXIT_CODE_OK)
		r = find(&s, given);
	if (r == EXIT_CODE_OK)
		r = read_own(&s);
	if (r == EXIT_CODE_OK && !s.has_own)
		r = output_fail(EXIT_CODE_FAILED, "%s lives in no tunnel (%s is not there); `nsvpn unit list` shows those that do", s.name,
				s.path);
	s.running = r == EXIT_CODE_OK ? running(&s) : NULL;
	if (r == EXIT_CODE_OK)
		r = remove_file(&s);
	if (r == EXIT_CODE_OK)
		r = reload(&s);
	if (r == EXIT_CODE_OK) {
		if (!o->cli->quiet)
			printf("%s is as it was before, outside of tunnel %s, from its next start on\n", s.name, s.own.tunnel);
		r = after_change(&s, NULL);
	}
	subject_done(&s);
	return r;
}

/* ---- list ---- */

struct listing {
	const struct cli *cli;
	sd_bus *bus; /* NULL: systemd does not answer */
	struct strbuf text;
	struct json json;
	size_t n;
};

static void list_one(struct listing *l, const char *unit, const char *path, const struct dropin *d)
{
	struct unit_facts f = { 0 };
	const char *state = "unknown", *where = NULL;
	char *error = NULL;

	if (strstr(unit, "@.service"))
		state = "template";
	else if (l->bus && service_manager_facts(l->bus, unit, &f, &error) == 0) {
		state = str_eq(f.load_state, "not-found") ? "not-found" : f.active_state ? f.active_state : "unknown";
		if (f.main_pid)
			where = is_inside(f.main_pid, d->tunnel) ? "tunnel" : "outside";
	}
	free(error);
	if (!l->cli->json)
		printf("%-10s  %-32s  %-5s  %s%s\n", d->tunnel, unit, dropin_form_to_string(d->form), state,
		       where && str_eq(where, "outside") ? ", still outside: restart it" : "");
	json_begin_object(&l->json);
	json_pair(&l->json, "unit", unit);
	json_pair(&l->json, "tunnel", d->tunnel);
	json_pair(&l->json, "form", dropin_form_to_string(d->form));
	json_pair(&l->json, "file", path);
	json_pair(&l->json, "state", state);
	json_pair(&l->json, "where", where);
	json_end_object(&l->json);
	unit_facts_done(&f);
	l->n++;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names of the units that have a file of our name; a strv. */
static int units_with_file(char ***ret)
{
	_cleanup_(strv_freep) char **names = NULL;
	DIR *dir = opendir(UNITS);
	int r = 0;

	for (struct dirent *e; dir && r == 0 && (e = readdir(dir));) {
		size_t len = strlen(e->d_name);

		if (!str_has_suffix(e->d_name, ".service.d"))
			continue;
		e->d_name[len - 2] = '\0';
		r = strv_add(&names, e->d_name);
	}
	if (dir)
		(void)closedir(dir); /* only read */
	if (r < 0)
		return r;
	if (names)
		qsort(names, strv_len(names), sizeof(*names), compare);
	*ret = TAKE_PTR(names);
	return 0;
}

static int list(const struct cli *cli)
{
	_cleanup_(strv_freep) char **names = NULL;
	struct listing l = { .cli = cli, .json = { .out = &l.text } };

	if (units_with_file(&names) < 0)
		return output_oom();
	if (sd_bus_open_system(&l.bus) < 0)
		l.bus = NULL;
	json_begin_envelope(&l.json);
	json_key(&l.json, "units");
	json_begin_array(&l.json);
	for (char **n = names; n && *n; n++) {
		_cleanup_(freep) char *path = str_format(UNITS "/%s.d/" DROPIN_FILE, *n), *text = NULL;
		struct dropin d;
		size_t len;

		if (path && file_read(AT_FDCWD, path, DROPIN_MAX, &text, &len) == 0 && dropin_parse(text, &d) == 0)
			list_one(&l, *n, path, &d);
	}
	json_end_array(&l.json);
	sd_bus_flush_close_unref(l.bus);
	if (cli->json)
		return json_end_envelope(&l.json);
	strbuf_done(&l.text);
	if (l.n == 0 && !cli->quiet)
		printf("no service lives in a tunnel; `nsvpn unit add UNIT` brings one in\n");
	return output_flush();
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
		return list(cli);
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
