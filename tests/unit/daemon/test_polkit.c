/*
 * polkit.c, sender.c and system-bus.c together: the helper's end of a bus connection, with the bus daemon, polkit and the
 * callers played at the other end. What counts is that only a clear yes of polkit, about a sender whom the bus knows, has any
 * effect.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "base/bus-api.h"
#include "daemon/polkit.h"
#include "daemon/system-bus.h"
#include "world.h"

static enum polkit_says { SAYS_YES, SAYS_NO, SAYS_CHALLENGE, SAYS_DISMISSED, SAYS_ERROR, SAYS_GARBAGE, SAYS_NOTHING } says;
static struct system_bus *bus;
static sd_bus *far_end; /* everybody else on the bus */
static sd_bus_message *held; /* the last question to polkit that was not answered */
static struct {
	char id[40];
	sd_bus_message *question;
} open_questions[32]; /* SAYS_NOTHING: until they are cancelled */
static unsigned asked, cancelled, introduced, activity;
static char subject[64], action[64], tunnel[32];
static uint32_t flags;
static const char *error_name; /* SAYS_ERROR */
static bool is_stranger; /* the bus knows nobody */
static bool never_ends;  /* polkit answers nothing that was cancelled */

static int on_credentials(sd_bus_message *m, void *userdata _unused_, sd_bus_error *error)
{
	sd_bus_message *reply = NULL;
	const char *name;
	int r;

	introduced++;
	cr_assert_geq(sd_bus_message_read(m, "s", &name), 0);
	if (is_stranger)
		return sd_bus_error_set(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "nobody");
	/* :1.0 is root, :1.N is user 4200 + N. */
	cr_assert_geq(sd_bus_message_new_method_return(m, &reply), 0);
	cr_assert_geq(sd_bus_message_append(reply, "a{sv}", 4, "UnixUserID", "u",
					    str_eq(name, ":1.0") ? 0 : 4200 + (uint32_t)(name[3] - '0'), "ProcessID", "u", 77U,
					    "LinuxSecurityLabel", "ay", 2, 'x', 0, "UnixGroupIDs", "au", 2, 4242U, 100U), 0);
	r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

static void answer(sd_bus_message *m, bool yes)
{
	int r = sd_bus_reply_method_return(m, "(bba{ss})", (int)yes, 0, 0);

	cr_assert_geq(r, 0, "%d", r);
}

static int on_check(sd_bus_message *m, void *userdata _unused_, sd_bus_error *error)
{
	const char *kind, *key, *name, *a, *d, *v = "", *id;

	asked++;
	cr_assert_geq(sd_bus_message_read(m, "(sa{sv})", &kind, 1, &key, "s", &name), 0);
	cr_assert_geq(sd_bus_message_read(m, "s", &a), 0);
	cr_assert_geq(sd_bus_message_enter_container(m, 'a', "{ss}"), 0);
	while (sd_bus_message_read(m, "{ss}", &d, &v) > 0)
		cr_expect_str_eq(d, "tunnel");
	cr_assert_geq(sd_bus_message_exit_container(m), 0);
	cr_assert_geq(sd_bus_message_read(m, "us", &flags, &id), 0);
	cr_expect_str_eq(kind, "system-bus-name");
	cr_expect_str_eq(key, "name");
	(void)snprintf(subject, sizeof(subject), "%s", name);
	(void)snprintf(action, sizeof(action), "%s", a);
	(void)snprintf(tunnel, sizeof(tunnel), "%s", v);
	switch (says) {
	case SAYS_YES:
	case SAYS_NO:
		answer(m, says == SAYS_YES);
		return 1;
	case SAYS_CHALLENGE:
		return sd_bus_reply_method_return(m, "(bba{ss})", 0, 1, 0);
	case SAYS_DISMISSED:
		return sd_bus_reply_method_return(m, "(bba{ss})", 0, 0, 1, "polkit.dismissed", "true");
	case SAYS_ERROR:
		return sd_bus_error_set(error, error_name ? error_name : "org.freedesktop.PolicyKit1.Error.Failed",
					"out of order");
	case SAYS_GARBAGE:
		return sd_bus_reply_method_return(m, "sb", "yes", 1);
	case SAYS_NOTHING:
		sd_bus_message_unref(held);
		held = sd_bus_message_ref(m);
		for (size_t i = 0; i < ARRAY_SIZE(open_questions); i++) {
			if (open_questions[i].question)
				continue;
			open_questions[i].question = sd_bus_message_ref(m);
			(void)snprintf(open_questions[i].id, sizeof(open_questions[i].id), "%s", id);
			break;
		}
		return 1;
	}
	return -EINVAL;
}

static int on_cancel(sd_bus_message *m, void *userdata _unused_, sd_bus_error *error _unused_)
{
	const char *id;

	cancelled++;
	cr_assert_geq(sd_bus_message_read(m, "s", &id), 0);
	for (size_t i = 0; i < ARRAY_SIZE(open_questions) && !never_ends; i++) {
		if (!open_questions[i].question || !str_eq(open_questions[i].id, id))
			continue;
		cr_assert_geq(sd_bus_reply_method_errorf(open_questions[i].question, "org.freedesktop.PolicyKit1.Error.Cancelled",
							 "as you like"), 0);
		open_questions[i].question = sd_bus_message_unref(open_questions[i].question);
	}
	return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable dbus_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("GetConnectionCredentials", "s", "a{sv}", on_credentials, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* As a filter, not as an object: sd-bus would not let an object answer in another form than it declares. */
static int play_polkit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	if (sd_bus_message_is_method_call(m, "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization") > 0)
		return on_check(m, userdata, error);
	if (sd_bus_message_is_method_call(m, "org.freedesktop.PolicyKit1.Authority", "CancelCheckAuthorization") > 0)
		return on_cancel(m, userdata, error);
	return 0;
}

static int play_good(int sock, unsigned n _unused_)
{
	play_connect(sock);
	return play_wait(sock);
}

static void on_activity(void *userdata _unused_)
{
	activity++;
}

static void setup(void)
{
	static const struct system_bus_events events = { .activity = on_activity, .left = on_activity };
	sd_bus *near_end = NULL;
	sd_id128_t id;
	int pair[2];

	world_begin(play_good);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	cr_assert_geq(sd_id128_randomize(&id), 0);
	cr_assert_geq(sd_bus_new(&far_end), 0);
	cr_assert_geq(sd_bus_set_fd(far_end, pair[0], pair[0]), 0);
	cr_assert_geq(sd_bus_set_server(far_end, 1, id), 0);
	cr_assert_geq(sd_bus_negotiate_fds(far_end, 1), 0);
	cr_assert_geq(sd_bus_add_object_vtable(far_end, NULL, "/org/freedesktop/DBus", "org.freedesktop.DBus", dbus_vtable, NULL), 0);
	cr_assert_geq(sd_bus_add_filter(far_end, NULL, play_polkit, NULL), 0);
	cr_assert_geq(sd_bus_start(far_end), 0);
	cr_assert_geq(sd_bus_attach_event(far_end, world.event, 0), 0);
	cr_assert_geq(sd_bus_new(&near_end), 0);
	cr_assert_geq(sd_bus_set_fd(near_end, pair[1], pair[1]), 0);
	cr_assert_geq(sd_bus_negotiate_fds(near_end, 1), 0);
	cr_assert_geq(sd_bus_start(near_end), 0);
	cr_assert_eq(system_bus_new(&bus, world.event, world.manager, &events, NULL), 0);
	cr_assert_eq(system_bus_attach(bus, near_end), 0);
	sd_bus_unref(near_end);
	run_for(20 * USEC_PER_MSEC); /* a call right behind the handshake would stay in its buffer */
	polkit_set_patience(system_bus_polkit(bus), 200 * USEC_PER_MSEC);
}

static void teardown(void)
{
	if (!world.manager)
		return;
	held = sd_bus_message_unref(held);
	for (size_t i = 0; i < ARRAY_SIZE(open_questions); i++)
		sd_bus_message_unref(open_questions[i].question);
	bus = system_bus_free(bus);
	far_end = sd_bus_close_unref(far_end);
	world_end();
}

TestSuite(polkit, .init = setup, .fini = teardown, .timeout = 30);

/* ---- callers ---- */

struct call {
	bool done;
	char error[128], text[512];
};

static int on_reply_of_helper(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_)
{
	const sd_bus_error *e = sd_bus_message_get_error(m);
	struct call *c = userdata;

	c->done = true;
	(void)snprintf(c->error, sizeof(c->error), "%s", e ? e->name : "");
	(void)snprintf(c->text, sizeof(c->text), "%s", e && e->message ? e->message : "");
	return 0;
}

static bool is_done(void *call)
{
	return ((struct call *)call)->done;
}

static void begin(struct call *c, const char *sender, const char *path, const char *iface, const char *member, const char *types,
		  const char *text, bool interactive)
{
	sd_bus_message *m = NULL;

	*c = (struct call){ 0 };
	cr_assert_geq(sd_bus_message_new_method_call(far_end, &m, BUS_NAME, path, iface, member), 0);
	cr_assert_geq(sd_bus_message_set_sender(m, sender), 0);
	if (types)
		cr_assert_geq(sd_bus_message_append(m, types, text, 0), 0);
	cr_assert_geq(sd_bus_message_set_allow_interactive_authorization(m, interactive), 0);
	cr_assert_geq(sd_bus_call_async(far_end, NULL, m, on_reply_of_helper, c, 20 * USEC_PER_SEC), 0);
	sd_bus_message_unref(m);
}

static struct call call_up(const char *sender, bool interactive)
{
	struct call c;

	begin(&c, sender, BUS_PATH, BUS_IFACE_MANAGER, "Up", "sa{sv}", "home", interactive);
	cr_assert(run_until(is_done, &c, 10));
	return c;
}

static struct call call_get_all(const char *sender)
{
	struct call c;

	begin(&c, sender, BUS_PATH_TUNNEL_PREFIX "/home", "org.freedesktop.DBus.Properties", "GetAll", "s", BUS_IFACE_TUNNEL, false);
	cr_assert(run_until(is_done, &c, 10));
	return c;
}

static void leave(const char *name)
{
	sd_bus_message *m = NULL;

	cr_assert_geq(sd_bus_message_new_signal(far_end, &m, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged"), 0);
	cr_assert_geq(sd_bus_message_set_sender(m, "org.freedesktop.DBus"), 0);
	cr_assert_geq(sd_bus_message_append(m, "sss", name, name, ""), 0);
	cr_assert_geq(sd_bus_send(far_end, m, NULL), 0);
	sd_bus_message_unref(m);
}

static void expect_nothing_done(void)
{
	cr_expect_str_empty(net.calls);
	cr_expect_eq(world.starts, 0);
	cr_expect_not(system_bus_is_busy(bus));
}

/* ---- tests ---- */

Test(polkit, a_yes_lets_the_method_go_on)
{
	struct call c = call_up(":1.7", true);

	cr_expect_str_empty(c.error, "%s", c.text);
	cr_assert(run_until_state(home(), TUNNEL_STATE_CONNECTED));
	cr_expect_str_eq(subject, ":1.7");
	cr_expect_str_eq(action, "org.nsvpn1.control");
	cr_expect_str_eq(tunnel, "home");
	cr_expect_eq(flags, 1, "the caller allowed to ask somebody");
	cr_expect_eq(asked, 1);
	cr_expect_not(system_bus_is_busy(bus));
	(void)call_up(":1.7", false);
	cr_expect_eq(flags, 0);
	cr_expect_eq(asked, 2, "a yes counts once");
	cr_expect_eq(introduced, 1, "who somebody is is asked once");
}

Test(polkit, root_is_not_asked_about)
{
	struct call c;

	says = SAYS_ERROR;
	c = call_up(":1.0", false);
	cr_expect_str_empty(c.error, "%s", c.text);
	cr_expect_eq(asked, 0);
}

static const struct {
	enum polkit_says says;
	bool interactive;
	const char *error, *text;
} refusals[] = {
	{ SAYS_NO, true, BUS_ERROR_DENIED, "rules do not allow" },
	{ SAYS_CHALLENGE, true, BUS_ERROR_DENIED, "nobody who could be asked" },
	{ SAYS_CHALLENGE, false, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, "add you to group nsvpn" },
	{ SAYS_DISMISSED, true, BUS_ERROR_DENIED, "closed without a password" },
	{ SAYS_ERROR, false, BUS_ERROR_DENIED, "cannot be checked" },
	{ SAYS_GARBAGE, false, BUS_ERROR_DENIED, "not understood" },
	{ SAYS_NOTHING, false, BUS_ERROR_DENIED, "does not answer" },
};

Test(polkit, everything_but_a_yes_is_a_no)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct call c;

		says = refusals[i].says;
		c = call_up(":1.7", refusals[i].interactive);
		cr_expect_str_eq(c.error, refusals[i].error, "row %zu: %s", i, c.error);
		cr_expect_not_null(strstr(c.text, refusals[i].text), "row %zu: %s", i, c.text);
		expect_nothing_done();
	}
}

Test(polkit, what_the_bus_says_in_its_place_is_told_apart)
{
	static const struct {
		const char *name, *text;
	} rows[] = {
		{ SD_BUS_ERROR_SERVICE_UNKNOWN, "polkit is not there" },
		{ SD_BUS_ERROR_NAME_HAS_NO_OWNER, "polkit is not there" },
		{ "org.freedesktop.DBus.Error.TimedOut", "polkit does not start" }, /* the bus daemon: it waited for it */
		{ "org.freedesktop.DBus.Error.Spawn.ChildExited", "polkit does not start" },
		{ "org.freedesktop.systemd1.UnitMasked", "polkit does not start" },
		{ "org.example.Other", "polkit: org.example.Other" },
	};

	says = SAYS_ERROR;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct call c;

		error_name = rows[i / 2].name;
		c = call_up(":1.7", i % 2);
		cr_expect_str_eq(c.error, BUS_ERROR_DENIED, "row %zu: %s", i, c.error);
		cr_expect_not_null(strstr(c.text, rows[i / 2].text), "row %zu: %s", i, c.text);
		cr_expect_not_null(strstr(c.text, "use sudo"), "row %zu: %s", i, c.text);
		expect_nothing_done();
	}
}

Test(polkit, reading_properties_asks_too)
{
	struct call c = call_get_all(":1.7");

	cr_expect_str_empty(c.error);
	cr_expect_str_eq(action, "org.nsvpn1.inspect");
	says = SAYS_NO;
	c = call_get_all(":1.7");
	cr_expect_str_eq(c.error, BUS_ERROR_DENIED);
}

Test(polkit, a_caller_that_leaves_takes_the_question_along)
{
	struct call c;

	says = SAYS_NOTHING;
	begin(&c, ":1.7", BUS_PATH, BUS_IFACE_MANAGER, "Up", "sa{sv}", "home", true);
	while (!held)
		run_for(USEC_PER_MSEC);
	cr_expect(system_bus_is_busy(bus));
	leave(":1.7");
	run_for(50 * USEC_PER_MSEC);
	cr_expect_eq(cancelled, 1);
	answer(held, true); /* too late */
	run_for(50 * USEC_PER_MSEC);
	expect_nothing_done();
}

Test(polkit, a_yes_that_crosses_the_leaving_counts_for_nothing)
{
	struct call c;

	says = SAYS_NOTHING;
	begin(&c, ":1.7", BUS_PATH, BUS_IFACE_MANAGER, "Up", "sa{sv}", "home", true);
	while (!held)
		run_for(USEC_PER_MSEC);
	answer(held, true);
	leave(":1.7"); /* right behind it */
	run_for(100 * USEC_PER_MSEC);
	cr_expect_not(system_bus_is_busy(bus));
}

Test(polkit, whom_the_bus_does_not_know_nobody_serves)
{
	struct call c;

	is_stranger = true;
	c = call_up(":1.7", true);
	cr_expect_str_eq(c.error, BUS_ERROR_DENIED, "%s", c.error);
	c = call_get_all(":1.8");
	cr_expect_str_eq(c.error, BUS_ERROR_DENIED);
	cr_expect_eq(asked, 0);
	expect_nothing_done();
}

Test(polkit, a_tunnel_of_others_is_refused_before_polkit)
{
	struct call c;

	world_write("etc/tunnels/home/settings.conf", "[Access]\nUsers=4208\nGroups=999999\n");
	c = call_up(":1.7", true);
	cr_expect_str_eq(c.error, BUS_ERROR_DENIED);
	cr_expect_not_null(strstr(c.text, "is for the users 4208"), "%s", c.text);
	cr_expect_eq(asked, 0);
	c = call_get_all(":1.7");
	cr_expect_str_eq(c.error, BUS_ERROR_DENIED, "%s", c.error);
	expect_nothing_done();
	c = call_get_all(":1.8");
	cr_expect_str_empty(c.error, "%s", c.text);
	c = call_up(":1.8", true);
	cr_expect_str_empty(c.error, "%s", c.text);
}

Test(polkit, a_list_that_changes_while_somebody_types_counts)
{
	struct call c;

	says = SAYS_NOTHING;
	begin(&c, ":1.7", BUS_PATH, BUS_IFACE_MANAGER, "Up", "sa{sv}", "home", true);
	while (!held)
		run_for(USEC_PER_MSEC);
	world_write("etc/tunnels/home/settings.conf", "[Access]\nUsers=4208\n");
	answer(held, true);
	cr_assert(run_until(is_done, &c, 10));
	cr_expect_str_eq(c.error, BUS_ERROR_DENIED);
	expect_nothing_done();
}

/* ":1.7N" are more connections of the same user as ":1.7". */
static void begin_as(struct call *c, size_t n, bool interactive)
{
	for (size_t i = 0; i < n; i++) {
		char sender[16];

		(void)snprintf(sender, sizeof(sender), ":1.7%zu", i);
		begin(&c[i], sender, BUS_PATH, BUS_IFACE_MANAGER, "Up", "sa{sv}", "home", interactive);
	}
	run_for(100 * USEC_PER_MSEC);
}

Test(polkit, one_user_cannot_have_all_the_questions)
{
	struct call c[12];
	unsigned done = 0;

	says = SAYS_NOTHING;
	begin_as(c, ARRAY_SIZE(c), true);
	cr_expect_eq(asked, 4, "that wait for a person: %u", asked);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		cr_expect_not(c[i].done, "the others wait for their turn");
	says = SAYS_YES;
	cr_expect_str_empty(call_get_all(":1.8").error, "others are served");
	/* One that is open ends: the next one in the row is asked about, and so on to the last. */
	leave(":1.70");
	for (size_t round = 0; done + 4 < ARRAY_SIZE(c) && round < 50; round++) {
		run_for(20 * USEC_PER_MSEC);
		done = 0;
		for (size_t i = 0; i < ARRAY_SIZE(c); i++)
			done += c[i].done;
	}
	cr_expect_eq(done, ARRAY_SIZE(c) - 4, "all but those that are still open and the one that left: %u", done);
	for (size_t i = 4; i < ARRAY_SIZE(c); i++)
		cr_expect_str_empty(c[i].error, "%zu: %s", i, c[i].text);
}

/* The bus daemon counts what polkit has not answered, whether the caller is still there or not; beyond its limit it refuses. */
Test(polkit, questions_of_those_who_left_count_until_polkit_is_through_with_them)
{
	struct call c[4], other[3];

	says = SAYS_NOTHING;
	never_ends = true;
	begin_as(c, ARRAY_SIZE(c), true);
	cr_expect_eq(asked, 4, "%u", asked);
	for (char sender[] = ":1.70"; sender[4] < '4'; sender[4]++)
		leave(sender);
	run_for(50 * USEC_PER_MSEC);
	cr_expect_eq(cancelled, 4, "%u", cancelled);
	cr_expect(system_bus_is_busy(bus));
	begin_as(other, ARRAY_SIZE(other), true);
	cr_expect_eq(asked, 4, "nothing is asked for more than is open: %u", asked);
	for (size_t i = 0; i < ARRAY_SIZE(open_questions); i++)
		if (open_questions[i].question)
			answer(open_questions[i].question, true);
	says = SAYS_YES;
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		cr_assert(run_until(is_done, &other[i], 10), "%zu", i);
	cr_expect_not(system_bus_is_busy(bus));
}

Test(polkit, more_calls_than_may_be_asked_about_at_once_are_all_answered)
{
	struct call c[40];

	says = SAYS_NOTHING;
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		char sender[16];

		(void)snprintf(sender, sizeof(sender), ":1.7%zu", i / 4);
		begin(&c[i], sender, BUS_PATH_TUNNEL_PREFIX "/home", "org.freedesktop.DBus.Properties", "GetAll", "s", BUS_IFACE_TUNNEL,
		      false);
	}
	run_for(50 * USEC_PER_MSEC);
	cr_expect_eq(asked, 16, "%u", asked);
	says = SAYS_YES;
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		cr_assert(run_until(is_done, &c[i], 10), "%zu", i);
	for (size_t i = 16; i < ARRAY_SIZE(c); i++)
		cr_expect_str_empty(c[i].error, "%zu: %s", i, c[i].text);
	cr_expect_eq(asked, ARRAY_SIZE(c));
	cr_expect_not(system_bus_is_busy(bus));
}

Test(polkit, one_sender_cannot_fill_the_queue)
{
	struct call c[20];
	unsigned refused = 0;

	says = SAYS_NOTHING;
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		begin(&c[i], ":1.7", BUS_PATH, BUS_IFACE_MANAGER, "Up", "sa{sv}", "home", true);
	run_for(100 * USEC_PER_MSEC);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		refused += str_eq(c[i].error, SD_BUS_ERROR_LIMITS_EXCEEDED);
	cr_expect_eq(refused, 4);
	says = SAYS_YES;
	cr_expect_str_empty(call_get_all(":1.8").error, "others are served");
}

Test(polkit, one_user_with_many_connections_cannot_either)
{
	struct call c[400];
	unsigned refused = 0;

	says = SAYS_NOTHING;
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		char sender[16];

		(void)snprintf(sender, sizeof(sender), ":1.7%zu", 10 + i / 10);
		begin(&c[i], sender, BUS_PATH, BUS_IFACE_MANAGER, "Up", "sa{sv}", "home", true);
		if (i % 50 == 49)
			run_for(20 * USEC_PER_MSEC);
	}
	run_for(200 * USEC_PER_MSEC);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		refused += str_eq(c[i].error, SD_BUS_ERROR_LIMITS_EXCEEDED);
	cr_expect_eq(refused, 400 - 320, "%u", refused);
	cr_expect_eq(asked, 4, "%u", asked);
	says = SAYS_YES;
	cr_expect_str_empty(call_get_all(":1.8").error, "others are served");
}

Test(polkit, one_sender_whom_the_bus_has_not_introduced_yet_leaves_room_for_others)
{
	struct call c[100];
	unsigned refused = 0;

	says = SAYS_NO;
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		begin(&c[i], ":1.7", BUS_PATH, BUS_IFACE_MANAGER, "Up", "sa{sv}", "home", true);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		cr_assert(run_until(is_done, &c[i], 10));
		refused += strstr(c[i].text, "calls at a time") ? 1 : 0;
	}
	cr_expect_eq(refused, 100 - 64, "%u", refused);
	expect_nothing_done();
}
