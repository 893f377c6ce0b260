/* PID 1 on the bus; contract in service-manager.h. Interfaces: org.freedesktop.systemd1(5). */
#include "cli/service-manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/output.h"

#define NAME "org.freedesktop.systemd1"
#define PATH "/org/freedesktop/systemd1"
#define IFACE_MANAGER NAME ".Manager"
#define IFACE_UNIT NAME ".Unit"
#define IFACE_SERVICE NAME ".Service"
#define IFACE_SOCKET NAME ".Socket"

#define RELOAD_USEC (90 * USEC_PER_SEC)  /* generators run */
#define RESTART_USEC (300 * USEC_PER_SEC) /* a service may take its time to stop */
#define UNITS_MAX 4096

static int fail(char **ret_error, int r, const sd_bus_error *e, const char *what, const char *unit)
{
	if (r != -ENOMEM)
		*ret_error = str_format("systemd cannot %s%s%s: %s", what, *unit ? " " : "", unit,
					e && e->message && *e->message ? e->message : strerror(-r));
	return r;
}

int service_manager_open(sd_bus **ret)
{
	sd_bus *bus = NULL;
	int r = sd_bus_open_system(&bus);

	if (r >= 0)
		r = sd_bus_call_method(bus, NAME, PATH, "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL);
	if (r >= 0) {
		*ret = bus;
		return EXIT_CODE_OK;
	}
	sd_bus_flush_close_unref(bus);
	return output_fail(EXIT_CODE_FAILED, "systemd does not answer on the system bus (%s), and units are its business; without it, start "
					     "programs with `nsvpn exec`",
			   strerror(-r));
}

static char *unit_path(const char *unit)
{
	char *path = NULL;

	return sd_bus_path_encode(PATH "/unit", unit, &path) < 0 ? NULL : path;
}

/* ---- one unit's properties ---- */

/* "a(sasasttttuii)": only whose the first condition is counts. Theirs may stand before or behind. */
static int read_conditions(sd_bus_message *m, struct unit_facts *f)
{
	bool first = true;
	int r = sd_bus_message_enter_container(m, 'a', "(sasasttttuii)");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "sasasttttuii")) > 0) {
		char **argv = NULL;
		const char *path;
		bool ours;

		r = sd_bus_message_read(m, "s", &path);
		if (r >= 0)
			r = sd_bus_message_read_strv(m, &argv);
		if (r < 0)
			return r;
		ours = strv_len(argv) == 4 && str_eq(argv[1], "unit") && str_eq(argv[2], "guard");
		strv_free(argv);
		f->guarded |= ours;
		f->guarded_first |= first && ours;
		f->has_conditions |= !ours;
		first = false;
		r = sd_bus_message_skip(m, "asttttuii");
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_stop_post(sd_bus_message *m, struct unit_facts *f)
{
	int r = sd_bus_message_enter_container(m, 'a', "(sasasttttuii)");

	while (r >= 0 && (r = sd_bus_message_at_end(m, 0)) == 0) {
		f->has_stop_post = true;
		r = sd_bus_message_skip(m, "(sasasttttuii)");
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* "(aiai)": statuses and signals. */
static int read_success(sd_bus_message *m, struct unit_facts *f)
{
	const void *statuses = NULL;
	size_t size = 0;
	int r = sd_bus_message_enter_container(m, 'r', "aiai");

	if (r >= 0)
		r = sd_bus_message_read_array(m, 'i', &statuses, &size);
	for (size_t i = 0; r >= 0 && i < size / sizeof(int32_t); i++) {
		int32_t status;

		memcpy(&status, (const char *)statuses + i * sizeof(status), sizeof(status));
		f->counts_255_as_done |= status == 255;
	}
	if (r >= 0)
		r = sd_bus_message_skip(m, "ai");
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

enum field_kind { FIELD_STRING, FIELD_STRV, FIELD_BOOL, FIELD_U32, FIELD_OWN };

static const struct field {
	const char *name, *signature;
	enum field_kind kind;
	size_t offset;
	int (*read)(sd_bus_message *m, struct unit_facts *f);
} fields[] = {
	{ "Id", "s", FIELD_STRING, offsetof(struct unit_facts, id), NULL },
	{ "LoadState", "s", FIELD_STRING, offsetof(struct unit_facts, load_state), NULL },
	{ "ActiveState", "s", FIELD_STRING, offsetof(struct unit_facts, active_state), NULL },
	{ "NetworkNamespacePath", "s", FIELD_STRING, offsetof(struct unit_facts, netns_path), NULL },
	{ "JoinsNamespaceOf", "as", FIELD_STRV, offsetof(struct unit_facts, joins), NULL },
	{ "BindsTo", "as", FIELD_STRV, offsetof(struct unit_facts, binds_to), NULL },
	{ "After", "as", FIELD_STRV, offsetof(struct unit_facts, after), NULL },
	{ "TriggeredBy", "as", FIELD_STRV, offsetof(struct unit_facts, triggered_by), NULL },
	{ "DropInPaths", "as", FIELD_STRV, offsetof(struct unit_facts, files), NULL },
	{ "PrivateNetwork", "b", FIELD_BOOL, offsetof(struct unit_facts, private_network), NULL },
	{ "DefaultDependencies", "b", FIELD_BOOL, offsetof(struct unit_facts, default_dependencies), NULL },
	{ "MainPID", "u", FIELD_U32, offsetof(struct unit_facts, main_pid), NULL },
	{ "ExecConditionEx", "a(sasasttttuii)", FIELD_OWN, 0, read_conditions },
	{ "ExecStopPostEx", "a(sasasttttuii)", FIELD_OWN, 0, read_stop_post },
	{ "SuccessExitStatus", "(aiai)", FIELD_OWN, 0, read_success },
};

static int read_field(sd_bus_message *m, const struct field *row, struct unit_facts *f)
{
	void *target = (char *)f + row->offset;
	const char *s;
	int r;

	switch (row->kind) {
	case FIELD_STRING:
		r = sd_bus_message_read(m, "s", &s);
		if (r < 0)
			return r;
		free(*(char **)target);
		*(char **)target = strdup(s);
		return *(char **)target ? 0 : -ENOMEM;
	case FIELD_STRV:
		strv_free(*(char ***)target);
		*(char ***)target = NULL;
		return sd_bus_message_read_strv(m, target);
	case FIELD_BOOL:
		return sd_bus_message_read_basic(m, 'b', target);
	case FIELD_U32:
		return sd_bus_message_read_basic(m, 'u', target);
	case FIELD_OWN:
		return row->read(m, f);
	}
	return -EINVAL;
}

/* One "{sv}"; what is not in the table, or has another type in a newer systemd, is skipped. */
static int read_property(sd_bus_message *m, struct unit_facts *f)
{
	const char *name, *contents;
	const struct field *row = NULL;
	int r;

	r = sd_bus_message_read(m, "s", &name);
	if (r >= 0)
		r = sd_bus_message_peek_type(m, NULL, &contents);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (str_eq(fields[i].name, name) && str_eq(fields[i].signature, contents))
			row = &fields[i];
	if (!row)
		return sd_bus_message_skip(m, "v");
	r = sd_bus_message_enter_container(m, 'v', contents);
	if (r >= 0)
		r = read_field(m, row, f);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_interface(sd_bus *bus, const char *unit, const char *iface, struct unit_facts *f, sd_bus_error *e)
{
	_cleanup_(freep) char *path = unit_path(unit);
	sd_bus_message *reply = NULL;
	int r;

	if (!path)
		return -ENOMEM;
	r = sd_bus_call_method(bus, NAME, path, "org.freedesktop.DBus.Properties", "GetAll", e, &reply, "s", iface);
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		r = read_property(reply, f);
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	sd_bus_message_unref(reply);
	return r < 0 ? r : 0;
}

/* ---- sockets that start it ---- */

/* "a(ss)", kind and address: is one of them of a network? Sockets with a path (or '@') are not. */
static int find_address(sd_bus_message *m, char **ret)
{
	int r = sd_bus_message_enter_container(m, 'a', "(ss)");
	const char *kind, *address;

	while (r >= 0 && (r = sd_bus_message_read(m, "(ss)", &kind, &address)) > 0) {
		bool is_socket = str_eq(kind, "Stream") || str_eq(kind, "Datagram") || str_eq(kind, "SequentialPacket");

		if (!*ret && is_socket && address[0] != '/' && address[0] != '@' && !str_has_prefix(address, "vsock:")) {
			*ret = strdup(address);
			if (!*ret)
				return -ENOMEM;
		}
	}
	return r;
}

/* If this socket unit listens in a network, it is the one of the facts. */
static int look_at_socket(sd_bus *bus, const char *socket, struct unit_facts *f, sd_bus_error *e)
{
	_cleanup_(freep) char *path = unit_path(socket);
	sd_bus_message *reply = NULL;
	int r = path ? sd_bus_get_property(bus, NAME, path, IFACE_SOCKET, "Listen", e, &reply, "a(ss)") : -ENOMEM;

	if (r >= 0)
		r = find_address(reply, &f->address);
	if (r >= 0 && f->address) {
		f->socket = strdup(socket);
		r = f->socket ? 0 : -ENOMEM;
	}
	sd_bus_message_unref(reply);
	return r;
}

/* x.socket of x@...service: it is there, makes an instance for each connection (Accept=yes), and is on, now or at boot. */
static int is_accepting(sd_bus *bus, const char *socket, bool *ret, sd_bus_error *e)
{
	_cleanup_(freep) char *path = unit_path(socket), *active = NULL, *file = NULL;
	int accept = 0, r;

	if (!path)
		return -ENOMEM;
	r = sd_bus_get_property_trivial(bus, NAME, path, IFACE_SOCKET, "Accept", e, 'b', &accept);
	if (r >= 0)
		r = sd_bus_get_property_string(bus, NAME, path, IFACE_UNIT, "ActiveState", e, &active);
	if (r >= 0)
		r = sd_bus_get_property_string(bus, NAME, path, IFACE_UNIT, "UnitFileState", e, &file);
	if (r >= 0)
		*ret = accept && (str_has_prefix(file, "enabled") || !(str_eq(active, "inactive") || str_eq(active, "failed")));
	return r;
}

/* A socket that makes instances triggers none of them before there is a connection; by its name it is found all the same. */
static int look_at_accepting(sd_bus *bus, struct unit_facts *f, sd_bus_error *e)
{
	const char *at = f->id ? strchr(f->id, '@') : NULL;
	_cleanup_(freep) char *socket = NULL;
	bool found = false;
	int r;

	if (!at)
		return 0;
	socket = str_format("%.*s.socket", (int)(at - f->id), f->id);
	r = socket ? is_accepting(bus, socket, &found, e) : -ENOMEM;
	return r >= 0 && found ? look_at_socket(bus, socket, f, e) : r;
}

static int look_at_sockets(sd_bus *bus, struct unit_facts *f, sd_bus_error *e)
{
	int r = look_at_accepting(bus, f, e);

	for (char **t = f->triggered_by; r >= 0 && t && *t && !f->socket; t++)
		if (str_has_suffix(*t, ".socket"))
			r = look_at_socket(bus, *t, f, e);
	return r < 0 ? r : 0;
}

int service_manager_facts(sd_bus *bus, const char *unit, struct unit_facts *ret, char **ret_error)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct unit_facts f = { 0 };
	int r;

	r = read_interface(bus, unit, IFACE_UNIT, &f, &e);
	if (r >= 0)
		r = read_interface(bus, unit, IFACE_SERVICE, &f, &e);
	if (r >= 0)
		r = look_at_sockets(bus, &f, &e);
	if (r >= 0 && (!f.id || !f.load_state))
		r = -EBADMSG;
	if (r >= 0)
		*ret = f;
	else {
		unit_facts_done(&f);
		(void)fail(ret_error, r, &e, "tell about", unit);
	}
	sd_bus_error_free(&e);
	return r < 0 ? r : 0;
}

int service_manager_find_template(sd_bus *bus, const char *template, char **ret_error)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = sd_bus_call_method(bus, NAME, PATH, IFACE_MANAGER, "GetUnitFileState", &e, NULL, "s", template);

	if (r == -ENOENT || sd_bus_error_has_name(&e, SD_BUS_ERROR_FILE_NOT_FOUND) ||
	    sd_bus_error_has_name(&e, "org.freedesktop.systemd1.NoSuchUnit"))
		r = -ENOENT;
	else if (r < 0)
		(void)fail(ret_error, r, &e, "tell about", template);
	sd_bus_error_free(&e);
	return r < 0 ? r : 0;
}

/* ---- order ---- */

/* Adds the After= of unit to the list, without those that are there. */
static int add_predecessors(sd_bus *bus, const char *unit, char ***list, sd_bus_error *e)
{
	_cleanup_(strv_freep) char **after = NULL;
	_cleanup_(freep) char *path = unit_path(unit);
	int r;

	if (!path)
		return -ENOMEM;
	r = sd_bus_get_property_strv(bus, NAME, path, IFACE_UNIT, "After", e, &after);
	for (char **a = after; r >= 0 && a && *a; a++)
		if (!strv_contains(*list, *a))
			r = strv_add(list, *a);
	return r < 0 ? r : 0;
}

int service_manager_is_before(sd_bus *bus, const char *unit, const char *other, bool *ret, char **ret_error)
{
	_cleanup_(strv_freep) char **seen = NULL;
	sd_bus_error e = SD_BUS_ERROR_NULL;
	size_t i = 0;
	int r = strv_add(&seen, other);

	for (; r >= 0 && seen[i] && i < UNITS_MAX && !strv_contains(seen, unit); i++)
		r = add_predecessors(bus, seen[i], &seen, &e);
	if (r >= 0)
		*ret = strv_contains(seen, unit);
	else
		(void)fail(ret_error, r, &e, "tell about", i ? seen[i - 1] : other);
	sd_bus_error_free(&e);
	return r < 0 ? r : 0;
}

int service_manager_names(sd_bus *bus, const char *pattern, char ***ret, char **ret_error)
{
	_cleanup_(strv_freep) char **names = NULL;
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *name;
	int r;

	r = sd_bus_call_method(bus, NAME, PATH, IFACE_MANAGER, "ListUnitsByPatterns", &e, &reply, "asas", 0, 1, pattern);
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "ssssssouso")) > 0) {
		r = sd_bus_message_read(reply, "s", &name);
		if (r >= 0)
			r = strv_add(&names, name);
		if (r >= 0)
			r = sd_bus_message_skip(reply, "sssssouso");
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	sd_bus_message_unref(reply);
	if (r >= 0)
		*ret = TAKE_PTR(names);
	else
		(void)fail(ret_error, r, &e, "list", pattern);
	sd_bus_error_free(&e);
	return r < 0 ? r : 0;
}

/* ---- changing ---- */

int service_manager_reload(sd_bus *bus, char **ret_error)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, NAME, PATH, IFACE_MANAGER, "Reload");

	if (r >= 0)
		r = sd_bus_call(bus, m, RELOAD_USEC, &e, NULL);
	sd_bus_message_unref(m);
	/* An older one closes the connection while it reloads. */
	if (r < 0 && sd_bus_error_has_name(&e, SD_BUS_ERROR_NO_REPLY))
		r = 0;
	if (r < 0)
		(void)fail(ret_error, r, &e, "read its units again (daemon-reload)", "");
	sd_bus_error_free(&e);
	return r < 0 ? r : 0;
}

bool service_manager_is_stopping(sd_bus *bus)
{
	_cleanup_(freep) char *state = NULL;

	return sd_bus_get_property_string(bus, NAME, PATH, IFACE_MANAGER, "SystemState", NULL, &state) >= 0 && str_eq(state, "stopping");
}

int service_manager_start(sd_bus *bus, const char *unit, bool at_once, char **ret_error)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = sd_bus_call_method(bus, NAME, PATH, IFACE_MANAGER, "StartUnit", &e, NULL, "ss", unit,
				   at_once ? "ignore-dependencies" : "replace");

	if (r < 0)
		(void)fail(ret_error, r, &e, "start", unit);
	sd_bus_error_free(&e);
	return r < 0 ? r : 0;
}

struct job {
	char *path, *result;
};

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *e _unused_)
{
	const char *path, *unit, *result;
	struct job *j = userdata;
	uint32_t id;

	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) >= 0 && j->path && str_eq(path, j->path) && !j->result)
		j->result = strdup(result); /* without memory: a time-out */
	return 0;
}

/* Whatever comes over the bus meanwhile, the end of the job is waited for no longer than this. */
static int wait_for_job(sd_bus *bus, const struct job *j)
{
	usec_t end = clock_boottime() + RESTART_USEC;

	while (!j->result) {
		usec_t now = clock_boottime();
		int r = sd_bus_process(bus, NULL);

		if (r == 0 && now < end)
			r = sd_bus_wait(bus, end - now);
		else if (r == 0)
			r = -ETIME;
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

/* Once for a connection; asking again is an error. */
static int subscribe(sd_bus *bus, sd_bus_error *e)
{
	int r = sd_bus_call_method(bus, NAME, PATH, IFACE_MANAGER, "Subscribe", e, NULL, NULL);

	if (r >= 0 || !sd_bus_error_has_name(e, NAME ".AlreadySubscribed"))
		return r;
	sd_bus_error_free(e);
	return 0;
}

/* A job of this method, until it is done; `verb` for the sentence. */
static int run_job(sd_bus *bus, const char *method, const char *verb, const char *unit, char **ret_error)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	sd_bus_slot *slot = NULL;
	struct job j = { 0 };
	const char *path;
	int r;

	r = sd_bus_match_signal(bus, &slot, NAME, PATH, IFACE_MANAGER, "JobRemoved", on_job_removed, &j);
	if (r >= 0)
		r = subscribe(bus, &e);
	if (r >= 0)
		r = sd_bus_call_method(bus, NAME, PATH, IFACE_MANAGER, method, &e, &reply, "ss", unit, "replace");
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0)
		r = (j.path = strdup(path)) ? wait_for_job(bus, &j) : -ENOMEM;
	if (r >= 0 && !str_eq(j.result, "done")) {
		*ret_error = str_format("systemd did not %s %s (%s); `systemctl status %s` says why", verb, unit, j.result, unit);
		r = -ECANCELED;
	} else if (r < 0)
		(void)fail(ret_error, r, &e, verb, unit);
	sd_bus_slot_unref(slot);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&e);
	free(j.path);
	free(j.result);
	return r < 0 ? r : 0;
}

int service_manager_restart(sd_bus *bus, const char *unit, char **ret_error)
{
	return run_job(bus, "RestartUnit", "restart", unit, ret_error);
}

int service_manager_stop(sd_bus *bus, const char *unit, char **ret_error)
{
	return run_job(bus, "StopUnit", "stop", unit, ret_error);
}
