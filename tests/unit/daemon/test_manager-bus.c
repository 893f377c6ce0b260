/* The bus objects, peer to peer over a socketpair: methods, properties, signals, errors, introspection, permissions. */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "base/bus-api.h"
#include "base/clock.h"
#include "base/process.h"
#include "daemon/bus-server.h"
#include "daemon/manager-bus.h"
#include "world.h"

static struct bus_server *server;
static sd_bus *client;

static int play_good(int sock, unsigned n _unused_)
{
	play_connect(sock);
	return play_wait(sock);
}

static void on_changed_emit(void *userdata _unused_, const struct tunnel *t, char *const *properties)
{
	bus_server_emit(server, t, properties);
}

static void setup(void)
{
	char path[128];
	int pair[2];

	world_begin(play_good);
	(void)snprintf(path, sizeof(path), "%s/run/nsvpnd.sock", world.dir);
	cr_assert_eq(bus_server_new(&server, world.event, world.manager, path, NULL, NULL), 0);
	world.manager->changed = on_changed_emit;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	cr_assert_eq(bus_server_add_client(server, pair[0]), 0);
	cr_assert_geq(sd_bus_new(&client), 0);
	cr_assert_geq(sd_bus_set_fd(client, pair[1], pair[1]), 0);
	cr_assert_geq(sd_bus_negotiate_fds(client, 1), 0);
	cr_assert_geq(sd_bus_start(client), 0);
	cr_assert_geq(sd_bus_attach_event(client, world.event, 0), 0);
}

static void teardown(void)
{
	if (!world.manager)
		return;
	client = sd_bus_close_unref(client);
	world.manager->changed = NULL;
	server = bus_server_free(server);
	world_end();
}

TestSuite(manager_bus, .init = setup, .fini = teardown, .timeout = 30);

struct call {
	bool done;
	sd_bus_message *reply;
};

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_)
{
	struct call *c = userdata;

	c->done = true;
	c->reply = sd_bus_message_ref(m);
	return 0;
}

static bool call_is_done(void *call)
{
	return ((struct call *)call)->done;
}

/* Sends m, runs the one loop for both sides; the reply, also an error. */
static sd_bus_message *call(sd_bus_message *m)
{
	struct call c = { 0 };

	cr_assert_geq(sd_bus_call_async(client, NULL, m, on_answer, &c, 10 * USEC_PER_SEC), 0);
	sd_bus_message_unref(m);
	cr_assert(run_until(call_is_done, &c, 10));
	return c.reply;
}

static sd_bus_message *new_call(const char *path, const char *interface, const char *member)
{
	sd_bus_message *m = NULL;

	cr_assert_geq(sd_bus_message_new_method_call(client, &m, NULL, path, interface, member), 0);
	return m;
}

static sd_bus_message *manager_call(const char *member, const char *types, const char *name)
{
	sd_bus_message *m = new_call(BUS_PATH, BUS_IFACE_MANAGER, member);

	if (types)
		cr_assert_geq(sd_bus_message_append(m, types, name, 0), 0);
	return call(m);
}

static const char *error_of(sd_bus_message *reply)
{
	const sd_bus_error *e = sd_bus_message_get_error(reply);

	return e ? e->name : "";
}

static sd_bus_message *get(const char *property)
{
	sd_bus_message *m = new_call(BUS_PATH_TUNNEL_PREFIX "/home", "org.freedesktop.DBus.Properties", "Get");

	cr_assert_geq(sd_bus_message_append(m, "ss", BUS_IFACE_TUNNEL, property), 0);
	return call(m);
}

static void expect_string(const char *property, const char *want)
{
	sd_bus_message *reply = get(property);
	const char *s = NULL;

	cr_assert_str_empty(error_of(reply));
	cr_assert_geq(sd_bus_message_read(reply, "v", "s", &s), 0);
	cr_expect_str_eq(s, want, "%s is \"%s\"", property, s);
	sd_bus_message_unref(reply);
}

static unsigned signals;

static int on_signal(sd_bus_message *m _unused_, void *userdata _unused_, sd_bus_error *error _unused_)
{
	signals++;
	return 0;
}

Test(manager_bus, up_status_down)
{
	sd_bus_message *reply;
	uint64_t bytes = 0;

	cr_assert_geq(sd_bus_match_signal(client, NULL, NULL, BUS_PATH_TUNNEL_PREFIX "/home", "org.freedesktop.DBus.Properties",
					  "PropertiesChanged", on_signal, NULL), 0);
	expect_string("State", "down");
	expect_string("Protocol", "openvpn");
	expect_string("Uplink", "veth");
	reply = manager_call("Up", "sa{sv}", "home");
	cr_assert_str_empty(error_of(reply));
	sd_bus_message_unref(reply);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	expect_string("State", "connected");
	expect_string("RemoteHost", "127.0.0.1");
	expect_string("RemoteAddress", "127.0.0.1");
	expect_string("RemoteTransport", "udp");
	expect_string("Cipher", "AES");
	expect_string("Netns", "/run/netns/home");
	expect_string("DataPath", "userspace");
	expect_string("LastError", "");
	cr_assert_gt(signals, 2);
	run_for(50 * USEC_PER_MSEC);
	reply = get("RxBytes");
	cr_assert_geq(sd_bus_message_read(reply, "v", "t", &bytes), 0);
	cr_expect_eq(bytes, 11);
	sd_bus_message_unref(reply);
	reply = manager_call("Down", "sa{sv}", "home");
	cr_assert_str_empty(error_of(reply));
	cr_assert_str_eq(sd_bus_message_get_signature(reply, 1), "a(us)");
	sd_bus_message_unref(reply);
	expect_string("State", "down");
}

static void expect_strings(const char *property, const char *first, const char *second)
{
	sd_bus_message *reply = get(property);
	const char *a = "", *b = "";

	cr_assert_str_empty(error_of(reply));
	cr_assert_geq(sd_bus_message_enter_container(reply, 'v', "as"), 0);
	cr_assert_geq(sd_bus_message_enter_container(reply, 'a', "s"), 0);
	(void)sd_bus_message_read(reply, "s", &a);
	(void)sd_bus_message_read(reply, "s", &b);
	cr_expect_str_eq(a, first, "%s begins with \"%s\"", property, a);
	cr_expect_str_eq(b, second, "%s goes on with \"%s\"", property, b);
	sd_bus_message_unref(reply);
}

/* Those of the file while nothing stands, those that stand otherwise. */
Test(manager_bus, exceptions_are_shown)
{
	sd_bus_message *reply;

	expect_strings("Exceptions", "", "");
	world_write("etc/tunnels/home/settings.conf", "[Exceptions]\nPublish=tcp:8080:80\nAllow=192.168.1.0/24\n");
	tunnel_forget_profile(home());
	expect_strings("Exceptions", "Publish=tcp:8080:80", "Allow=192.168.1.0/24");
	expect_strings("ServiceAddresses", "", "");
	reply = manager_call("Up", "sa{sv}", "home");
	cr_assert_str_empty(error_of(reply));
	sd_bus_message_unref(reply);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	cr_expect_eq(net.exceptions.n_publish, 1);
	world_write("etc/tunnels/home/settings.conf", "[Exceptions]\nPublish=udp:1\n");
	expect_strings("Exceptions", "Publish=tcp:8080:80", "Allow=192.168.1.0/24");
	expect_strings("ServiceAddresses", "10.1.2.2", "");
}

Test(manager_bus, every_property_can_be_read)
{
	sd_bus_message *m = new_call(BUS_PATH_TUNNEL_PREFIX "/home", "org.freedesktop.DBus.Properties", "GetAll"), *reply;
	unsigned n = 0;

	cr_assert_geq(sd_bus_message_append(m, "s", BUS_IFACE_TUNNEL), 0);
	reply = call(m);
	cr_assert_str_empty(error_of(reply));
	cr_assert_gt(sd_bus_message_enter_container(reply, 'a', "{sv}"), 0);
	while (sd_bus_message_skip(reply, "{sv}") > 0)
		n++;
	cr_expect_eq(n, 30);
	sd_bus_message_unref(reply);
}

Test(manager_bus, introspection_shows_both_interfaces)
{
	static const struct {
		const char *path, *want;
	} rows[] = {
		{ BUS_PATH, "<interface name=\"" BUS_IFACE_MANAGER "\">" },
		{ BUS_PATH, "<method name=\"Up\">" },
		{ BUS_PATH_TUNNEL_PREFIX, "<node name=\"home\"/>" },
		{ BUS_PATH_TUNNEL_PREFIX "/home", "<property name=\"LastErrorName\" type=\"s\" access=\"read\">" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		sd_bus_message *reply = call(new_call(rows[i].path, "org.freedesktop.DBus.Introspectable", "Introspect"));
		const char *xml = "";

		cr_assert_str_empty(error_of(reply));
		cr_assert_geq(sd_bus_message_read(reply, "s", &xml), 0);
		cr_expect_not_null(strstr(xml, rows[i].want), "%s: no %s in\n%s", rows[i].path, rows[i].want, xml);
		sd_bus_message_unref(reply);
	}
}

Test(manager_bus, errors_have_the_names_of_the_contract)
{
	static const struct {
		const char *member, *name, *want;
	} rows[] = {
		{ "Up", "nowhere", BUS_ERROR_NOT_CONFIGURED },
		{ "Down", "nowhere", BUS_ERROR_NOT_CONFIGURED },
		{ "Up", "../../etc", BUS_ERROR_USAGE },
		{ "Up", "", BUS_ERROR_USAGE },
		{ "Down", "UPPER", BUS_ERROR_USAGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		sd_bus_message *reply = manager_call(rows[i].member, "sa{sv}", rows[i].name);

		cr_expect_str_eq(error_of(reply), rows[i].want, "%s %s: %s", rows[i].member, rows[i].name, error_of(reply));
		sd_bus_message_unref(reply);
	}
}

static sd_bus_message *up_with(const char *option, const char *type, const char *value, int fd)
{
	sd_bus_message *m = new_call(BUS_PATH, BUS_IFACE_MANAGER, "Up");

	cr_assert_geq(sd_bus_message_append(m, "s", "home"), 0);
	cr_assert_geq(sd_bus_message_open_container(m, 'a', "{sv}"), 0);
	if (*type == 'h')
		cr_assert_geq(sd_bus_message_append(m, "{sv}", option, type, fd), 0);
	else
		cr_assert_geq(sd_bus_message_append(m, "{sv}", option, type, value), 0);
	cr_assert_geq(sd_bus_message_close_container(m), 0);
	return call(m);
}

Test(manager_bus, options_are_checked)
{
	_cleanup_(closep) int bad = memfd_sealed("test", "only-a-name", 11), good = memfd_sealed("test", "u\np\n", 4);
	sd_bus_message *reply;

	reply = up_with("speed", "s", "fast", -1);
	cr_expect_str_eq(error_of(reply), BUS_ERROR_USAGE);
	sd_bus_message_unref(reply);
	reply = up_with("uplink", "s", "carrier pigeon", -1);
	cr_expect_str_eq(error_of(reply), BUS_ERROR_USAGE);
	sd_bus_message_unref(reply);
	reply = up_with("uplink", "h", NULL, good);
	cr_expect_str_eq(error_of(reply), BUS_ERROR_USAGE);
	sd_bus_message_unref(reply);
	reply = up_with("credentials", "h", NULL, bad);
	cr_expect_str_eq(error_of(reply), BUS_ERROR_USAGE);
	sd_bus_message_unref(reply);
	cr_expect_str_empty(net.calls);
	reply = up_with("credentials", "h", NULL, good);
	cr_expect_str_empty(error_of(reply));
	sd_bus_message_unref(reply);
}

Test(manager_bus, the_uplink_of_an_up_is_kept)
{
	sd_bus_message *reply = up_with("uplink", "s", "socket", -1);
	_cleanup_(freep) char *intent = world_read("state/home.intent");

	cr_expect_str_empty(error_of(reply));
	sd_bus_message_unref(reply);
	expect_string("Uplink", "socket");
	cr_assert_not_null(intent);
	cr_expect_not_null(strstr(intent, "uplink=socket"));
}

Test(manager_bus, plan_list_processes_reload)
{
	sd_bus_message *reply;
	const char *text;
	char **names = NULL;

	reply = manager_call("Plan", "s", "home");
	cr_assert_geq(sd_bus_message_read(reply, "s", &text), 0);
	cr_expect_str_eq(text, "plan of home\n");
	sd_bus_message_unref(reply);
	reply = manager_call("ListTunnels", NULL, NULL);
	cr_assert_geq(sd_bus_message_read_strv(reply, &names), 0);
	cr_assert(strv_len(names) == 1 && str_eq(names[0], "home"));
	strv_free(names);
	sd_bus_message_unref(reply);
	reply = manager_call("Processes", "s", "home");
	cr_expect_str_empty(error_of(reply));
	sd_bus_message_unref(reply);
	reply = manager_call("Reload", NULL, NULL);
	cr_expect_str_empty(error_of(reply));
	sd_bus_message_unref(reply);
}

Test(manager_bus, a_refused_credential_call_says_what_is_needed)
{
	_cleanup_(freep) char *text = world_read("etc/tunnels/home/tunnel.ovpn"), *with = NULL;
	sd_bus_message *reply;

	with = str_format("auth-user-pass\n%s", text);
	world_write("etc/tunnels/home/tunnel.ovpn", with);
	reply = manager_call("Up", "sa{sv}", "home");
	cr_expect_str_eq(error_of(reply), BUS_ERROR_NEED_CREDENTIALS);
	sd_bus_message_unref(reply);
}

static bool no_clients(void *userdata _unused_)
{
	return bus_server_n_clients(server) == 0;
}

Test(manager_bus, a_client_that_leaves_in_the_middle_is_forgotten)
{
	struct tunnel *t = home();
	sd_bus_message *m = new_call(BUS_PATH, BUS_IFACE_MANAGER, "Up");

	cr_assert_geq(sd_bus_message_append(m, "sa{sv}", "home", 0), 0);
	cr_assert_geq(sd_bus_send(client, m, NULL), 0);
	sd_bus_message_unref(m);
	while (t->state == TUNNEL_STATE_DOWN)
		run_for(USEC_PER_MSEC);
	client = sd_bus_close_unref(client);
	cr_assert(run_until(no_clients, NULL, 10));
	cr_assert(run_until_state(t, TUNNEL_STATE_CONNECTED));
}

static int garble(void *userdata)
{
	char noise[4096];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)(i * 37 + 11);
	return send(*(int *)userdata, noise, sizeof(noise), MSG_NOSIGNAL) < 0;
}

Test(manager_bus, garbage_on_the_socket_costs_only_that_client)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	cr_assert_eq(bus_server_add_client(server, pair[0]), 0);
	cr_assert_eq(bus_server_n_clients(server), 2);
	cr_assert_eq(garble(&pair[1]), 0);
	run_for(100 * USEC_PER_MSEC);
	cr_assert_eq(bus_server_n_clients(server), 1);
	expect_string("State", "down");
	fd_close(pair[1]);
}

/* `nsvpn status --watch` and Ctrl-Z, while an engine says something new all the time. */
Test(manager_bus, a_client_that_does_not_read_is_dropped)
{
	char *names[] = { (char *)"State", NULL };

	expect_string("State", "down"); /* so it is connected */
	cr_assert_geq(sd_bus_detach_event(client), 0);
	for (unsigned i = 0; i < 100000; i++)
		bus_server_emit(server, home(), names);
	cr_assert(run_until(no_clients, NULL, 10));
}

Test(manager_bus, a_full_client_does_not_hold_up_the_end)
{
	char *names[] = { (char *)"State", NULL };

	expect_string("State", "down");
	cr_assert_geq(sd_bus_detach_event(client), 0);
	for (unsigned i = 0; i < 25000; i++)
		bus_server_emit(server, home(), names);
	world.manager->changed = NULL;
	server = bus_server_free(server); /* the suite's time-out says so otherwise */
}

Test(manager_bus, an_idle_server_closes_unless_somebody_came)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/run/nsvpnd.sock", world.dir);
	cr_assert_eq(bus_server_close_listener(server), -EBUSY, "a client is there");
	cr_assert_eq(access(path, F_OK), 0);
	client = sd_bus_close_unref(client);
	cr_assert(run_until(no_clients, NULL, 10));
	cr_assert_eq(bus_server_close_listener(server), 0);
	cr_assert_neq(access(path, F_OK), 0);
}

static int refuse_all(void *userdata, sd_bus_message *m _unused_, const char *action, const char *tunnel _unused_,
		      sd_bus_error *error)
{
	*(const char **)userdata = action;
	return sd_bus_error_set(error, BUS_ERROR_DENIED, "no");
}

Test(manager_bus, every_method_has_a_polkit_action)
{
	unsigned n = 0;

	for (const sd_bus_vtable *v = manager_bus_vtable(); v->type != _SD_BUS_VTABLE_END;
	     v = (const sd_bus_vtable *)((const char *)v + manager_bus_vtable()->x.start.element_size)) {
		const char *action;

		if (v->type != _SD_BUS_VTABLE_METHOD)
			continue;
		n++;
		action = manager_bus_action(v->x.method.member);
		cr_assert_not_null(action, "%s has none", v->x.method.member);
		cr_expect(str_has_prefix(action, "org.nsvpn1."), "%s: %s", v->x.method.member, action);
	}
	cr_expect_eq(n, 9);
	cr_expect_null(manager_bus_action("Destroy"));
	/* The action of looking must not open what changes something (firewalld's CVE-2026-4948). */
	cr_expect_str_eq(manager_bus_action("Up"), "org.nsvpn1.control");
	cr_expect_str_eq(manager_bus_action("Down"), "org.nsvpn1.control");
	cr_expect_str_eq(manager_bus_action("Reload"), "org.nsvpn1.admin");
	cr_expect_str_eq(manager_bus_action("Plan"), "org.nsvpn1.inspect");
}

Test(manager_bus, what_is_not_authorised_has_no_effect)
{
	static const struct {
		const char *member, *types;
	} rows[] = { { "Up", "sa{sv}" }, { "Down", "sa{sv}" }, { "Plan", "s" }, { "ListTunnels", NULL },
		     { "Processes", "s" }, { "Reload", NULL }, { "Examine", NULL } };
	const char *asked = NULL;
	struct bus_context context = { .manager = world.manager, .authorise = refuse_all, .userdata = &asked };
	sd_bus *ours = NULL;
	sd_id128_t id = { 0 };
	int pair[2];

	client = sd_bus_close_unref(client);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	cr_assert_geq(sd_bus_new(&ours), 0);
	cr_assert_geq(sd_bus_set_fd(ours, pair[0], pair[0]), 0);
	id.bytes[0] = 1;
	cr_assert_geq(sd_bus_set_server(ours, 1, id), 0);
	cr_assert_geq(manager_bus_add(ours, &context), 0);
	cr_assert_geq(sd_bus_attach_event(ours, world.event, 0), 0);
	cr_assert_geq(sd_bus_start(ours), 0);
	cr_assert_geq(sd_bus_new(&client), 0);
	cr_assert_geq(sd_bus_set_fd(client, pair[1], pair[1]), 0);
	cr_assert_geq(sd_bus_start(client), 0);
	cr_assert_geq(sd_bus_attach_event(client, world.event, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		sd_bus_message *reply;

		asked = NULL;
		reply = manager_call(rows[i].member, rows[i].types, "home");
		cr_expect_str_eq(error_of(reply), BUS_ERROR_DENIED, "%s", rows[i].member);
		cr_expect_not_null(asked, "%s", rows[i].member);
		sd_bus_message_unref(reply);
	}
	cr_expect_str_empty(net.calls);
	sd_bus_close_unref(ours);
}
