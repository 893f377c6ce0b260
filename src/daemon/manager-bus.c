/* The methods of org.nsvpn1.Manager; contract in manager-bus.h, signatures in base/bus-api.h. */
#include "daemon/manager-bus.h"

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/access.h"
#include "daemon/auth-pair.h"
#include "daemon/checkup.h"
#include "daemon/exec.h"
#include "daemon/tunnel.h"

typedef int (*method_fn)(struct bus_context *c, sd_bus_message *m, sd_bus_error *error);

static int method_up(struct bus_context *c, sd_bus_message *m, sd_bus_error *error);
static int method_down(struct bus_context *c, sd_bus_message *m, sd_bus_error *error);
static int method_plan(struct bus_context *c, sd_bus_message *m, sd_bus_error *error);
static int method_list(struct bus_context *c, sd_bus_message *m, sd_bus_error *error);
static int method_processes(struct bus_context *c, sd_bus_message *m, sd_bus_error *error);
static int method_reload(struct bus_context *c, sd_bus_message *m, sd_bus_error *error);
static int method_answer(struct bus_context *c, sd_bus_message *m, sd_bus_error *error);

#define ACTION_CONTROL "org.nsvpn1.control" /* start, stop */
#define ACTION_INSPECT "org.nsvpn1.inspect" /* look, change nothing */
#define ACTION_EXEC "org.nsvpn1.exec"       /* start a program in a tunnel, as oneself */
#define ACTION_ADMIN "org.nsvpn1.admin"     /* what concerns all users */

static const struct method {
	const char *member;
	const char *action;
	bool is_of_tunnel; /* the first argument names one */
	method_fn handle;
} methods[] = {
	{ "Up", ACTION_CONTROL, true, method_up },
	{ "Down", ACTION_CONTROL, true, method_down },
	{ "Answer", ACTION_CONTROL, true, method_answer },
	{ "Plan", ACTION_INSPECT, true, method_plan },
	{ "ListTunnels", ACTION_INSPECT, false, method_list },
	{ "Processes", ACTION_INSPECT, true, method_processes },
	{ "Reload", ACTION_ADMIN, false, method_reload },
	{ "Exec", ACTION_EXEC, true, exec_method },
	{ "Examine", ACTION_INSPECT, false, checkup_method },
};

static const struct method *find_method(const char *member)
{
	for (size_t i = 0; member && i < ARRAY_SIZE(methods); i++)
		if (str_eq(methods[i].member, member))
			return &methods[i];
	return NULL;
}

const char *manager_bus_action(const char *member)
{
	const struct method *row = find_method(member);

	return row ? row->action : NULL;
}

/* ---- who ------------------------------------------------------------------------------------------------------------ */

const struct sender *bus_context_sender(const struct bus_context *c, sd_bus_message *m)
{
	static const struct sender root = { .uid = 0 };

	return c->sender ? c->sender(c->userdata, m) : &root;
}

bool bus_context_may_use(const struct bus_context *c, sd_bus_message *m, const char *tunnel, sd_bus_error *error)
{
	const struct sender *who = bus_context_sender(c, m);
	_cleanup_(freep) char *why = NULL;

	if (who && access_check_tunnel(tunnel, who, &why) == 0)
		return true;
	/* The return value only repeats the error. */
	(void)sd_bus_error_set(error, BUS_ERROR_DENIED, why ? why : "it is not known who you are, so nothing is done for you");
	return false;
}

/* ---- the door ------------------------------------------------------------------------------------------------------- */

static int get_tunnel(struct bus_context *c, const char *name, struct tunnel **ret, sd_bus_error *error)
{
	_cleanup_(freep) char *shown = NULL;
	int r;

	r = manager_get(c->manager, name, ret);
	if (r >= 0)
		return 0;
	shown = str_escape(name, strlen(name), 40);
	if (r == -EINVAL)
		return sd_bus_error_setf(error, BUS_ERROR_USAGE,
					 "\"%s\" is not a tunnel name: 1 to 10 of a-z, 0-9 and -, not beginning with -",
					 shown ? shown : "");
	if (r == -ENOENT)
		return sd_bus_error_setf(error, BUS_ERROR_NOT_CONFIGURED,
					 "there is no tunnel %s; `nsvpn list` names those there are, `nsvpn import` makes one",
					 shown ? shown : "");
	return sd_bus_error_set_errno(error, r);
}

/* The tunnel that m is about, if this sender may use it; m is rewound for the method. */
static int check_tunnel(struct bus_context *c, sd_bus_message *m, const char **ret_name, sd_bus_error *error)
{
	struct tunnel *t;
	const char *name;
	int r;

	r = sd_bus_message_read_basic(m, 's', &name);
	if (r >= 0)
		r = get_tunnel(c, name, &t, error);
	if (r < 0)
		return r;
	if (!bus_context_may_use(c, m, name, error))
		return -EACCES;
	*ret_name = name; /* inside m */
	return sd_bus_message_rewind(m, 1);
}

/* The only door. A method without a row is refused: forgetting one must not open it. */
static int on_method(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_context *c = userdata;
	const struct method *row = find_method(sd_bus_message_get_member(m));
	const char *tunnel = NULL;
	int r;

	if (!row)
		return sd_bus_error_set(error, BUS_ERROR_DENIED, "this method has no permission rule");
	r = row->is_of_tunnel ? check_tunnel(c, m, &tunnel, error) : 0;
	if (r < 0)
		return r;
	r = c->authorise ? c->authorise(c->userdata, m, row->action, tunnel, error) : 1;
	if (r <= 0)
		return r < 0 ? r : 1;
	return row->handle(c, m, error);
}

/* ---- decoding ------------------------------------------------------------------------------------------------------- */

struct options {
	const char *uplink;
	int credentials; /* borrowed from the message */
	int kill;
};

struct option_row {
	const char *name, *signature;
	size_t offset;
};

/* Reads a{sv} by a table; an unknown name is the caller's error, not something to skip. */
static int read_options(sd_bus_message *m, const struct option_row *rows, size_t n_rows, struct options *ret,
			sd_bus_error *error)
{
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		const struct option_row *row = NULL;
		const char *name;

		r = sd_bus_message_read_basic(m, 's', &name);
		if (r < 0)
			return r;
		for (size_t i = 0; i < n_rows; i++)
			if (str_eq(rows[i].name, name))
				row = &rows[i];
		if (!row) {
			_cleanup_(freep) char *shown = str_escape(name, strlen(name), 40);

			return sd_bus_error_setf(error, BUS_ERROR_USAGE, "unknown option \"%s\"", shown ? shown : "");
		}
		r = sd_bus_message_read(m, "v", row->signature, (char *)ret + row->offset);
		if (r < 0)
			return sd_bus_error_setf(error, BUS_ERROR_USAGE, "option \"%s\" is of type %s", row->name, row->signature);
		r = sd_bus_message_exit_container(m);
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	return r;
}

static int append_processes(sd_bus_message *reply, struct tunnel *t)
{
	_cleanup_(freep) struct netproc *inside = NULL;
	size_t n = 0;
	int r;

	r = tunnel_processes(t, &inside, &n);
	if (r < 0)
		n = 0;
	r = sd_bus_message_open_container(reply, 'a', "(us)");
	for (size_t i = 0; i < n && r >= 0; i++) {
		_cleanup_(freep) char *comm = str_escape(inside[i].comm, strnlen(inside[i].comm, sizeof(inside[i].comm)), 64);

		r = sd_bus_message_append(reply, "(us)", (uint32_t)inside[i].pid, comm ? comm : "?");
	}
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r;
}

/* ---- methods -------------------------------------------------------------------------------------------------------- */

/* A caller that has gone by now needs no answer. */
static void done_up(void *userdata, struct tunnel *t _unused_, const char *error_name, const char *error)
{
	sd_bus_message *m = userdata;

	if (error)
		(void)sd_bus_reply_method_errorf(m, error_name, "%s", error);
	else
		(void)sd_bus_reply_method_return(m, NULL);
	sd_bus_message_unref(m);
}

static int method_up(struct bus_context *c, sd_bus_message *m, sd_bus_error *error)
{
	static const struct option_row rows[] = {
		{ "credentials", "h", offsetof(struct options, credentials) },
		{ "uplink", "s", offsetof(struct options, uplink) },
	};
	struct options o = { .credentials = -EBADF };
	struct up_options up = { .auth_fd = -EBADF };
	_cleanup_(closep) int auth_fd = -EBADF;
	_cleanup_(freep) char *why = NULL;
	struct tunnel *t;
	const char *name;
	int r;

	r = sd_bus_message_read_basic(m, 's', &name);
	if (r >= 0)
		r = read_options(m, rows, ARRAY_SIZE(rows), &o, error);
	if (r >= 0)
		r = get_tunnel(c, name, &t, error);
	if (r < 0)
		return r;
	if (o.uplink) {
		if (uplink_from_string(o.uplink, &up.uplink) < 0)
			return sd_bus_error_set(error, BUS_ERROR_USAGE, "the uplink is \"veth\" or \"socket\"");
		up.uplink_set = true;
	}
	if (o.credentials >= 0) {
		r = auth_pair_read(o.credentials, &auth_fd, &why);
		if (r < 0)
			return sd_bus_error_set(error, BUS_ERROR_USAGE, why ? why : "the credentials cannot be read");
		up.auth_fd = auth_fd;
		up.auth_parts = r;
	}
	tunnel_up(t, &up, done_up, sd_bus_message_ref(m));
	return 1;
}

static int method_answer(struct bus_context *c, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_(closep) int answer = -EBADF;
	_cleanup_(freep) char *why = NULL;
	struct tunnel *t;
	const char *name;
	int fd, r;

	r = sd_bus_message_read(m, "sh", &name, &fd);
	if (r >= 0)
		r = get_tunnel(c, name, &t, error);
	if (r < 0)
		return r;
	r = auth_answer_read(fd, &answer, &why);
	if (r < 0)
		return sd_bus_error_set(error, BUS_ERROR_USAGE, why ? why : "the answer cannot be read");
	r = tunnel_answer(t, answer);
	if (r == -ENODATA)
		return sd_bus_error_set(error, BUS_ERROR_USAGE, "the tunnel asks nothing (any more)");
	return r < 0 ? sd_bus_error_set_errno(error, r) : sd_bus_reply_method_return(m, NULL);
}

static void done_down(void *userdata, struct tunnel *t, const char *error_name, const char *error)
{
	sd_bus_message *m = userdata, *reply = NULL;

	if (error) {
		(void)sd_bus_reply_method_errorf(m, error_name, "%s", error); /* as done_up */
	} else if (sd_bus_message_new_method_return(m, &reply) >= 0 && append_processes(reply, t) >= 0) {
		(void)sd_bus_send(NULL, reply, NULL); /* as done_up */
	}
	sd_bus_message_unref(reply);
	sd_bus_message_unref(m);
}

static int method_down(struct bus_context *c, sd_bus_message *m, sd_bus_error *error)
{
	static const struct option_row rows[] = { { "kill", "b", offsetof(struct options, kill) } };
	const struct sender *who = bus_context_sender(c, m);
	struct options o = { .kill = 0 };
	struct tunnel *t;
	const char *name;
	int r;

	r = sd_bus_message_read_basic(m, 's', &name);
	if (r >= 0)
		r = read_options(m, rows, ARRAY_SIZE(rows), &o, error);
	if (r >= 0)
		r = get_tunnel(c, name, &t, error);
	if (r < 0)
		return r;
	if (!who)
		return -EACCES;
	tunnel_down(t, o.kill ? who->uid : TUNNEL_KILL_NOBODY, done_down, sd_bus_message_ref(m));
	return 1;
}

static int method_plan(struct bus_context *c, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_(freep) char *text = NULL, *why = NULL;
	struct tunnel *t;
	const char *name;
	int r;

	r = sd_bus_message_read_basic(m, 's', &name);
	if (r >= 0)
		r = get_tunnel(c, name, &t, error);
	if (r < 0)
		return r;
	r = tunnel_plan(t, &text, &why);
	if (r < 0)
		return sd_bus_error_set(error, r == -ENOENT ? BUS_ERROR_NOT_CONFIGURED : BUS_ERROR_FAILED,
					why ? why : "the plan cannot be made");
	return sd_bus_reply_method_return(m, "s", text);
}

static int method_list(struct bus_context *c, sd_bus_message *m, sd_bus_error *error _unused_)
{
	_cleanup_(strv_freep) char **names = NULL, **mine = NULL;
	sd_bus_message *reply = NULL;
	int r;

	manager_refresh_stats(c->manager); /* who lists will read the properties next */
	r = manager_names(c->manager, &names);
	for (size_t i = 0; r >= 0 && names && names[i]; i++)
		if (bus_context_may_use(c, m, names[i], NULL))
			r = strv_add(&mine, names[i]);
	if (r >= 0)
		r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_append_strv(reply, mine);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

static int method_processes(struct bus_context *c, sd_bus_message *m, sd_bus_error *error)
{
	sd_bus_message *reply = NULL;
	struct tunnel *t;
	const char *name;
	int r;

	r = sd_bus_message_read_basic(m, 's', &name);
	if (r >= 0)
		r = get_tunnel(c, name, &t, error);
	if (r >= 0)
		r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = append_processes(reply, t);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

static int method_reload(struct bus_context *c, sd_bus_message *m, sd_bus_error *error _unused_)
{
	manager_reload(c->manager);
	return sd_bus_reply_method_return(m, NULL);
}

/* UNPRIVILEGED: who may do what is decided by on_method(), not by sd-bus's idea of a privileged sender. */
static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_NAMES("Up", "sa{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(options), "", , on_method,
				 SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("Down", "sa{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(options), "a(us)", SD_BUS_PARAM(processes),
				 on_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("Answer", "sh", SD_BUS_PARAM(name) SD_BUS_PARAM(answer), "", , on_method,
				 SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("Plan", "s", SD_BUS_PARAM(name), "s", SD_BUS_PARAM(text), on_method,
				 SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("ListTunnels", "", , "as", SD_BUS_PARAM(names), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("Processes", "s", SD_BUS_PARAM(name), "a(us)", SD_BUS_PARAM(processes), on_method,
				 SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Reload", "", "", on_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("Exec", "shhhhhha{sv}",
				 SD_BUS_PARAM(name) SD_BUS_PARAM(request) SD_BUS_PARAM(cwd) SD_BUS_PARAM(stdin) SD_BUS_PARAM(stdout)
				 SD_BUS_PARAM(stderr) SD_BUS_PARAM(control) SD_BUS_PARAM(options),
				 "s", SD_BUS_PARAM(unit), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("Examine", "", , "a(sssss)", SD_BUS_PARAM(findings), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

const sd_bus_vtable *manager_bus_vtable(void)
{
	return vtable;
}

int manager_bus_add(sd_bus *bus, struct bus_context *context)
{
	return sd_bus_add_object_vtable(bus, NULL, BUS_PATH, BUS_IFACE_MANAGER, vtable, context);
}
