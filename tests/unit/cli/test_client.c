/* Error names to exit codes; a tunnel read from a helper on the other end of a socketpair, and shown as JSON. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/tunnel-view.h"
#include "unit/cli/folder.h"

Test(client, error_names_have_exit_codes)
{
	static const struct {
		const char *name;
		enum exit_code code;
	} table[] = {
		{ BUS_ERROR_FAILED, 1 },	 { BUS_ERROR_USAGE, 2 },  { BUS_ERROR_NOT_CONFIGURED, 3 },
		{ BUS_ERROR_NOT_UP, 3 },	 { BUS_ERROR_AUTH_FAILED, 4 }, { BUS_ERROR_DENIED, 6 },
		{ BUS_ERROR_TIMED_OUT, 7 },	 { BUS_ERROR_NEED_CREDENTIALS, 1 },
		{ BUS_ERROR_NEED_PASSPHRASE, 1 }, { BUS_ERROR_NEED_BOTH, 1 },
		{ SD_BUS_ERROR_ACCESS_DENIED, 6 }, { "org.example.Other", 1 }, { NULL, 1 }, { "", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		cr_expect_eq(client_exit_code(table[i].name), table[i].code, "%s", table[i].name);
}

Test(client, a_failed_call_is_one_sentence, .init = cr_redirect_stderr)
{
	sd_bus_error e = SD_BUS_ERROR_MAKE_CONST(BUS_ERROR_AUTH_FAILED, "the server refuses alice");

	cr_expect_eq(client_fail(&e, -EACCES), EXIT_CODE_AUTH);
	fflush(stderr);
	cr_expect_stderr_eq_str("nsvpn: the server refuses alice\n");
}

Test(client, a_full_queue_of_the_bus_is_explained, .init = cr_redirect_stderr)
{
	sd_bus_error e = SD_BUS_ERROR_MAKE_CONST(SD_BUS_ERROR_LIMITS_EXCEEDED, "Rejected: destination has a full message queue, "
									       "0 matched rules; type=\"method_call\"");

	cr_expect_eq(client_fail(&e, -ENOBUFS), EXIT_CODE_FAILED);
	fflush(stderr);
	cr_expect_stderr_eq_str("nsvpn: the service nsvpnd has more calls waiting on the system bus than that takes; try again in a "
				"moment\n");
}

Test(client, nobody_listens_is_no_error)
{
	struct client *c = (struct client *)1;

	folder_make();
	cr_assert_eq(client_open(CLIENT_IF_RUNNING, &c), EXIT_CODE_OK);
	cr_expect_null(c);
}

/* ---- a helper in a child ---- */

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
		    void *userdata, sd_bus_error *e)
{
	(void)bus, (void)path, (void)interface, (void)property, (void)e;
	return sd_bus_message_append(reply, "s", *(const char **)userdata);
}

static int get_strings(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
		       void *userdata, sd_bus_error *e)
{
	(void)bus, (void)path, (void)interface, (void)property, (void)userdata, (void)e;
	return sd_bus_message_append(reply, "as", 2, "10.8.0.2/24", "fd00::2/64");
}

static int get_exceptions(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
			  void *userdata, sd_bus_error *e)
{
	(void)bus, (void)path, (void)interface, (void)property, (void)userdata, (void)e;
	return sd_bus_message_append(reply, "as", 2, "Publish=tcp:8080", "Allow=192.168.1.0/24");
}

struct helper {
	const char *name, *state, *host, *empty;
	uint16_t port;
	uint32_t mtu;
	int full;
	uint64_t since, rx;
};

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", get_text, offsetof(struct helper, name), 0),
	SD_BUS_PROPERTY("State", "s", get_text, offsetof(struct helper, state), 0),
	SD_BUS_PROPERTY("RemoteHost", "s", get_text, offsetof(struct helper, host), 0),
	SD_BUS_PROPERTY("LastError", "s", get_text, offsetof(struct helper, empty), 0),
	SD_BUS_PROPERTY("OfALaterVersion", "s", get_text, offsetof(struct helper, empty), 0),
	SD_BUS_PROPERTY("Addresses", "as", get_strings, 0, 0),
	SD_BUS_PROPERTY("Exceptions", "as", get_exceptions, 0, 0),
	SD_BUS_PROPERTY("ServiceAddresses", "as", get_strings, 0, 0),
	SD_BUS_PROPERTY("RemotePort", "q", NULL, offsetof(struct helper, port), 0),
	SD_BUS_PROPERTY("Mtu", "u", NULL, offsetof(struct helper, mtu), 0),
	SD_BUS_PROPERTY("FullTunnel", "b", NULL, offsetof(struct helper, full), 0),
	SD_BUS_PROPERTY("Since", "t", NULL, offsetof(struct helper, since), 0),
	SD_BUS_PROPERTY("RxBytes", "t", NULL, offsetof(struct helper, rx), 0),
	SD_BUS_VTABLE_END,
};

static void serve(int fd)
{
	struct helper h = { .name = "home", .state = "connected", .host = "vpn.example.net", .empty = "", .port = 1194,
			    .mtu = 1420, .full = 1, .since = 1767225600ull * USEC_PER_SEC, .rx = 12345678901ull };
	_cleanup_(freep) char *path = client_tunnel_path("home");
	sd_id128_t id = { .bytes = { 1 } };
	sd_bus *bus = NULL;

	if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 || sd_bus_set_server(bus, 1, id) < 0 ||
	    sd_bus_start(bus) < 0 || sd_bus_add_object_vtable(bus, NULL, path, BUS_IFACE_TUNNEL, vtable, &h) < 0)
		_exit(1);
	for (;;) {
		int r = sd_bus_process(bus, NULL);

		if (r < 0)
			_exit(0); /* the client has gone */
		if (r == 0)
			(void)sd_bus_wait(bus, UINT64_MAX);
	}
}

static struct client connect_helper(pid_t *ret_pid)
{
	struct client c = { 0 };
	int fds[2];

	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		close(fds[0]);
		serve(fds[1]);
	}
	close(fds[1]);
	cr_assert(sd_bus_new(&c.bus) >= 0 && sd_bus_set_fd(c.bus, fds[0], fds[0]) >= 0 && sd_bus_start(c.bus) >= 0);
	return c;
}

Test(tunnel_view, reads_all_properties_and_prints_the_contracts_json, .timeout = 10)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct tunnel_view v = { 0 };
	struct strbuf b = { 0 };
	struct json j = { .out = &b };
	pid_t pid;
	struct client c = connect_helper(&pid);
	_cleanup_(freep) char *got = NULL;

	cr_assert_eq(tunnel_view_read(&c, "home", &v, &e), 0, "%s", e.message);
	tunnel_view_json(&v, &j);
	got = strbuf_take(&b);
	cr_expect_str_eq(got,
			 "{\"name\":\"home\",\"state\":\"connected\",\"protocol\":null,\"uplink\":null,\"data_path\":null,"
			 "\"data_path_reason\":null,\"remote\":{\"host\":\"vpn.example.net\",\"address\":null,\"port\":1194,"
			 "\"transport\":null},\"cipher\":null,\"addresses\":[\"10.8.0.2/24\",\"fd00::2/64\"],\"dns\":[],"
			 "\"mtu\":1420,\"netns\":null,\"since\":\"2026-01-01T00:00:00Z\",\"last_handshake\":null,"
			 "\"rx_bytes\":12345678901,\"tx_bytes\":0,\"dropped_by_lock\":0,\"engine_pid\":null,\"processes\":0,"
			 "\"exceptions\":[\"Publish=tcp:8080\",\"Allow=192.168.1.0/24\"],\"verdict\":null,\"last_error\":null,"
			 "\"search_domains\":[],\"service_addresses\":[\"10.8.0.2/24\",\"fd00::2/64\"],\"full_tunnel\":true,"
			 "\"programs\":[],\"question\":null}");
	cr_expect_eq(tunnel_view_read(&c, "other", &v, &e), -ENOENT);
	tunnel_view_done(&v);
	sd_bus_flush_close_unref(c.bus);
	waitpid(pid, NULL, 0);
}

Test(client, a_lost_connection_ends_the_wait, .timeout = 10)
{
	pid_t pid;
	struct client c = connect_helper(&pid);
	int r;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	do
		r = client_wait(&c, USEC_INFINITY);
	while (r == 0);
	cr_expect(r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE, "%d", r);
	sd_bus_flush_close_unref(c.bus);
}

Test(client, deadline_and_signals_end_the_wait_and_are_restored, .timeout = 10)
{
	struct sigaction sa;
	sigset_t mask;
	pid_t pid;
	struct client c = connect_helper(&pid);
	int r;

	usec_t deadline = clock_boottime() + 50 * USEC_PER_MSEC;

	client_catch(&c);
	do
		r = client_wait(&c, deadline);
	while (r == 0);
	cr_expect_eq(r, -ETIME);
	cr_assert(raise(SIGINT) == 0); /* blocked: arrives while asleep, not before */
	do
		r = client_wait(&c, USEC_INFINITY);
	while (r == 0);
	cr_expect_eq(r, -EINTR);
	client_release(&c);
	cr_assert(sigaction(SIGINT, NULL, &sa) == 0 && sigprocmask(SIG_BLOCK, NULL, &mask) == 0);
	cr_expect(sa.sa_handler == SIG_DFL);
	cr_expect_not(sigismember(&mask, SIGINT));
	sd_bus_flush_close_unref(c.bus);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

Test(tunnel_view, without_helper_a_journal_means_locked)
{
	struct tunnel_view v = { 0 };

	folder_make();
	cr_assert_eq(tunnel_view_offline("home", &v), 0);
	cr_expect_str_eq(tunnel_view_state(&v), "down");
	folder_add_tunnel("x"); /* makes nothing under run/ */
	cr_assert(dir_make(getenv("NSVPN_RUN"), 0755) == 0);
	folder_write("run/journal", "");

	char path[128];

	(void)snprintf(path, sizeof(path), "%s/home", getenv("NSVPN_RUN"));
	cr_assert(mkdir(path, 0755) == 0);
	folder_write("run/home/journal", "x");
	cr_assert_eq(tunnel_view_offline("home", &v), 0);
	cr_expect_str_eq(tunnel_view_state(&v), "blocked");
	cr_expect(strstr(v.last_error, "nsvpn down home"));
	tunnel_view_done(&v);
}
