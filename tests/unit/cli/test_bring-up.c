/* Getting a tunnel connected, with a helper in a child that shows one state for ever and refuses every Up. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "cli/bring-up.h"
#include "unit/cli/folder.h"

struct helper {
	const char *state, *uplink;
};

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
		    void *userdata, sd_bus_error *e)
{
	(void)bus, (void)path, (void)interface, (void)property, (void)e;
	return sd_bus_message_append(reply, "s", *(const char **)userdata);
}

/* A second `up` of a tunnel that is on its way is answered at once. */
static int on_up(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	const struct helper *h = userdata;

	if (str_eq(h->state, "blocked"))
		return sd_bus_error_set(e, BUS_ERROR_FAILED, "up was called");
	return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable tunnel_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("State", "s", get_text, offsetof(struct helper, state), 0),
	SD_BUS_PROPERTY("Uplink", "s", get_text, offsetof(struct helper, uplink), 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Up", "sa{sv}", "", on_up, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static void serve(int fd, struct helper *h)
{
	_cleanup_(freep) char *path = client_tunnel_path("home");
	sd_id128_t id = { .bytes = { 1 } };
	sd_bus *bus = NULL;

	if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 || sd_bus_set_server(bus, 1, id) < 0 ||
	    sd_bus_start(bus) < 0 || sd_bus_add_object_vtable(bus, NULL, path, BUS_IFACE_TUNNEL, tunnel_vtable, h) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, BUS_PATH, BUS_IFACE_MANAGER, manager_vtable, h) < 0)
		_exit(1);
	for (;;) {
		int r = sd_bus_process(bus, NULL);

		if (r < 0)
			_exit(0); /* the client has gone */
		if (r == 0)
			(void)sd_bus_wait(bus, UINT64_MAX);
	}
}

/* bring_up() of tunnel "home", which is in that state. */
static int try(const char *state, struct bring_up b, bool *ret_was_up)
{
	struct helper h = { .state = state, .uplink = "veth" };
	struct tunnel_view v = { 0 };
	struct client c = { 0 };
	int fds[2], r;
	pid_t pid;

	folder_make();
	folder_add_tunnel("home");
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		serve(fds[1], &h);
	}
	close(fds[1]);
	cr_assert(sd_bus_new(&c.bus) >= 0 && sd_bus_set_fd(c.bus, fds[0], fds[0]) >= 0 && sd_bus_start(c.bus) >= 0);
	b.name = "home";
	b.timeout = 50 * USEC_PER_MSEC;
	r = bring_up(&c, &b, &v, ret_was_up);
	tunnel_view_done(&v);
	sd_bus_flush_close_unref(c.bus);
	waitpid(pid, NULL, 0);
	return r;
}

static const struct {
	const char *state;
	struct bring_up b;
	int code;
} cases[] = {
	{ "connected", { 0 }, EXIT_CODE_OK },
	{ "connected", { .uplink = "veth" }, EXIT_CODE_OK },
	{ "connected", { .uplink = "socket" }, EXIT_CODE_USAGE },
	{ "reconnecting", { .uplink = "socket" }, EXIT_CODE_USAGE },
	/* `nsvpn up` waits, `nsvpn exec` needs no more than the lock. */
	{ "reconnecting", { 0 }, EXIT_CODE_TIMED_OUT },
	{ "reconnecting", { .locked_is_enough = true }, EXIT_CODE_OK },
	{ "connecting", { .locked_is_enough = true }, EXIT_CODE_TIMED_OUT },
	{ "connecting", { .locked_is_enough = true, .no_wait = true }, EXIT_CODE_OK },
	{ "connecting", { .no_wait = true }, EXIT_CODE_OK },
	/* Nothing goes on there by itself: Up is called. */
	{ "blocked", { .locked_is_enough = true }, EXIT_CODE_FAILED },
};

Test(bring_up, how_much_is_enough, .init = cr_redirect_stderr, .timeout = 20)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool was_up = false;

		cr_expect_eq(try(cases[i].state, cases[i].b, &was_up), cases[i].code, "case %zu", i);
		folder_remove();
	}
}
