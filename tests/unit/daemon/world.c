/* See world.h. */
#include "world.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"

struct fake_net net;
struct world world;
static script_fn play;

/* ---- net/ ------------------------------------------------------------------------------------------------------------ */

struct tunnelnet {
	int unused;
};

static void note(const char *call)
{
	size_t len = strlen(net.calls);

	(void)snprintf(net.calls + len, sizeof(net.calls) - len, "%s,", call);
}

unsigned net_count(const char *call)
{
	unsigned n = 0;

	for (const char *p = net.calls; (p = strstr(p, call)); p++)
		if ((p == net.calls || p[-1] == ',') && p[strlen(call)] == ',')
			n++;
	return n;
}

bool net_before(const char *a, const char *b)
{
	const char *pa = strstr(net.calls, a), *pb = strstr(net.calls, b);

	return pa && pb && pa < pb;
}

int tunnelnet_new(struct tunnelnet **ret, const char *name _unused_, enum uplink uplink _unused_, char **ret_error _unused_)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

struct tunnelnet *tunnelnet_free(struct tunnelnet *n)
{
	free(n);
	return NULL;
}

enum tunnelnet_presence tunnelnet_presence(struct tunnelnet *n _unused_)
{
	return net.locked ? TUNNELNET_LOCKED : TUNNELNET_ABSENT;
}

int tunnelnet_prepare(struct tunnelnet *n _unused_, char **ret_error)
{
	note("prepare");
	if (net.prepare_error < 0) {
		*ret_error = strdup("the kernel says no");
		return net.prepare_error;
	}
	net.locked = true;
	return 0;
}

int tunnelnet_open_transport(struct tunnelnet *n _unused_, const struct endpoint *server, enum transport transport _unused_,
			     const struct endpoint *local _unused_, int *ret_fd, uint32_t *ret_path_mtu, char **ret_error)
{
	note("transport");
	if (net.transport_error < 0) {
		*ret_error = strdup("this machine has no route to the server");
		return net.transport_error;
	}
	net.transport = true;
	net.server = *server;
	*ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	*ret_path_mtu = 1500;
	return 0;
}

int tunnelnet_open_relay(struct tunnelnet *n _unused_, uint16_t port, int *ret_fd, uint32_t *ret_path_mtu, char **ret_error)
{
	note("relay");
	if (net.transport_error < 0) {
		*ret_error = strdup("the relay cannot be opened");
		net.transport = false;
		return net.transport_error;
	}
	net.relay_port = port;
	*ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	*ret_path_mtu = 1500;
	return 0;
}

int tunnelnet_close_transport(struct tunnelnet *n _unused_, char **ret_error _unused_)
{
	note("close");
	net.transport = false;
	return 0;
}

int tunnelnet_open_tun(struct tunnelnet *n _unused_, bool tap _unused_, int *ret_fd, unsigned *ret_offload, char **ret_error)
{
	note("tun");
	if (net.tun_error < 0) {
		*ret_error = strdup("there is no /dev/net/tun");
		return net.tun_error;
	}
	*ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	*ret_offload = IPC_TUN_VNET_HDR;
	return 0;
}

int tunnelnet_connect(struct tunnelnet *n _unused_, const struct settings *settings, char **ret_error)
{
	note("connect");
	(void)usleep((useconds_t)net.slow);
	if (net.connect_error < 0) {
		*ret_error = strdup("the address is taken");
		return net.connect_error;
	}
	net.connected = true;
	net.settings = *settings;
	return 0;
}

void tunnelnet_set_exceptions(struct tunnelnet *n _unused_, const struct exceptions *e)
{
	net.exceptions = *e;
}

const struct exceptions *tunnelnet_exceptions(const struct tunnelnet *n _unused_)
{
	return &net.exceptions;
}

bool tunnelnet_service_address(const struct tunnelnet *n _unused_, int family, struct inaddr *ret)
{
	return net.exceptions.n_publish > 0 && family == AF_INET && inaddr_parse("10.1.2.2", ret) == 0;
}

void tunnelnet_adopt(struct tunnelnet *n _unused_, const struct settings *settings _unused_)
{
}

int tunnelnet_disconnect(struct tunnelnet *n _unused_, char **ret_error _unused_)
{
	note("disconnect");
	net.connected = false;
	return 0;
}

int tunnelnet_teardown(struct tunnelnet *n _unused_, char **ret_error)
{
	note("teardown");
	if (net.teardown_error < 0) {
		*ret_error = strdup("the namespace cannot be removed");
		return net.teardown_error;
	}
	net.connected = net.transport = false;
	if (net.n_inside > 0)
		return 1;
	net.locked = false;
	net.journal = false;
	return 0;
}

int tunnelnet_processes(struct tunnelnet *n _unused_, pid_t engine _unused_, struct netproc **ret, size_t *ret_n)
{
	*ret = calloc(net.n_inside + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	*ret_n = 0;
	for (unsigned i = 0; i < net.n_inside; i++) {
		/* A dead child of ours is gone as far as a namespace is concerned. */
		siginfo_t si = { 0 };

		if (waitid(P_PID, (id_t)net.inside[i], &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid != 0)
			continue;
		(*ret)[*ret_n].pid = net.inside[i];
		(void)str_copy((*ret)[(*ret_n)++].comm, 16, "firefox");
	}
	net.n_inside = (unsigned)*ret_n;
	return 0;
}

int tunnelnet_dropped(struct tunnelnet *n _unused_, uint64_t *ret)
{
	*ret = 7;
	return 0;
}

int tunnelnet_traffic(struct tunnelnet *n _unused_, struct tunnelnet_traffic *ret)
{
	*ret = (struct tunnelnet_traffic){ net.left, net.entered, net.left + net.passing };
	net.entered += net.passing;
	net.left += net.passing;
	net.passing = 0;
	return net.traffic_error;
}

int tunnelnet_names_blocker(struct tunnelnet *n _unused_, char **ret_sentence)
{
	note("blocker-names");
	if (!net.names_are_blocked)
		return 0;
	*ret_sentence = strdup("this machine's firewall drops the questions: table t");
	return 1;
}

int tunnelnet_blocker(struct tunnelnet *n _unused_, bool proven, char **ret_sentence)
{
	note(proven ? "blocker-proven" : "blocker");
	if (!net.is_blocked)
		return 0;
	*ret_sentence = strdup("this machine's firewall drops the packets: table t");
	return 1;
}

int tunnelnet_way(struct tunnelnet *n _unused_, const struct inaddr *to _unused_, struct uplink_way *ret)
{
	if (net.way < 0)
		return net.way;
	*ret = (struct uplink_way){ .ifindex = 1 + net.way };
	return 0;
}

int tunnelnet_way_changed(struct tunnelnet *n _unused_, const struct uplink_way *old, const struct uplink_way *now)
{
	return old->ifindex != now->ifindex;
}

int tunnelnet_way_watch(int *ret_fd)
{
	if (net.way_watch_error < 0)
		return net.way_watch_error;
	net.way_watch = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*ret_fd = net.way_watch;
	return 0;
}

void tunnelnet_way_drain(int fd)
{
	eventfd_t v;

	note("way-drain");
	(void)eventfd_read(fd, &v); /* empty is fine */
}

int tunnelnet_netns_fd(struct tunnelnet *n _unused_)
{
	static int fd = -EBADF;

	if (fd < 0)
		fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return fd;
}

int tunnelnet_print_plan(struct tunnelnet *n _unused_, const struct profile *p, const struct settings *settings _unused_,
			 FILE *f)
{
	fprintf(f, "plan of %s\n", p->name);
	return 0;
}

int tunnelnet_watch_fd(struct tunnelnet *n _unused_)
{
	if (net.watch_error < 0)
		return net.watch_error;
	if (net.watch <= 0)
		net.watch = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return net.watch;
}

int tunnelnet_reassert(struct tunnelnet *n _unused_, char **ret_done, char **ret_error)
{
	eventfd_t v;

	note("reassert");
	(void)eventfd_read(net.watch, &v); /* empty is fine */
	if (net.reassert_error < 0) {
		*ret_error = strdup("the lock cannot be set");
		return net.reassert_error;
	}
	if (net.locked)
		return 0;
	net.locked = true;
	*ret_done = strdup("lock-outer");
	return 1;
}

int tunnelnet_list(char ***ret)
{
	*ret = NULL;
	return net.journal ? strv_add(ret, "home") : 0;
}

/* ---- engines --------------------------------------------------------------------------------------------------------- */

static int play_child(void *userdata)
{
	int sock = *(int *)userdata;

	/* The helper's ends, and those of clients in this test, are not an engine's. */
	if (close_range(3, (unsigned)sock - 1, 0) < 0 || close_range((unsigned)sock + 1, ~0U, 0) < 0)
		return 96;
	return play(sock, world.starts);
}

static int start_script(void *userdata _unused_, int sock, int err _unused_, int netns_fd _unused_, pid_t *ret_pid,
			int *ret_pidfd)
{
	int copy = fd_dup(sock), r;

	world.starts++;
	/* A number that is easy to keep while everything else goes. */
	if (dup2(copy, 200) < 0)
		return -errno;
	fd_close(copy);
	copy = 200;
	r = process_fork(play_child, &copy, ret_pid, ret_pidfd);
	close(200);
	return r;
}

static int verify_script(void *userdata _unused_, pid_t pid _unused_)
{
	return world.verify_error;
}

static const struct engine_spawn scripted = { .start = start_script, .verify = verify_script };

/* ---- the helper ------------------------------------------------------------------------------------------------------ */

static const char profile_text[] =
	"client\n"
	"dev tun\n"
	"remote 127.0.0.1 1194 udp4\n"
	"remote localhost.invalid 1195 udp4\n"
	"remote-cert-tls server\n"
	"%s"
	"<ca>\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n</ca>\n"
	"<cert>\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n</cert>\n"
	"<key>\n-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n</key>\n";

static void on_changed(void *userdata _unused_, const struct tunnel *t _unused_, char *const *properties)
{
	for (; *properties; properties++) {
		size_t len = strlen(world.changed);

		(void)snprintf(world.changed + len, sizeof(world.changed) - len, "%s,", *properties);
	}
}

static void make_manager(void)
{
	cr_assert_geq(sd_event_new(&world.event), 0);
	cr_assert_eq(manager_new(&world.manager, world.event, &scripted), 0);
	world.manager->changed = on_changed;
}

void world_begin(script_fn script)
{
	char path[128], text[2048];

	if (geteuid() != 0)
		cr_skip_test("needs root: the folders of an ordinary user's helper cannot be moved");
	play = script;
	memset(&net, 0, sizeof(net));
	memset(&world, 0, sizeof(world));
	(void)strcpy(world.dir, "/tmp/nsvpn-test-XXXXXX");
	cr_assert_not_null(mkdtemp(world.dir));
	(void)snprintf(path, sizeof(path), "%s/etc", world.dir);
	setenv("NSVPN_ETC", path, 1);
	(void)snprintf(path, sizeof(path), "%s/run", world.dir);
	setenv("NSVPN_RUN", path, 1);
	mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/state", world.dir);
	setenv("NSVPN_STATE", path, 1);
	(void)snprintf(path, sizeof(path), "%s/etc/tunnels/home", world.dir);
	cr_assert_eq(dir_make(path, 0700), 0);
	(void)snprintf(text, sizeof(text), profile_text, "");
	world_write("etc/tunnels/home/tunnel.ovpn", text);
	log_set_max_level(getenv("NSVPN_TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	make_manager();
}

static void forget_helper(void)
{
	world.manager = manager_free(world.manager);
	world.event = sd_event_unref(world.event);
}

void world_restart(void)
{
	forget_helper();
	net.connected = net.transport = false; /* the tun is gone with its descriptors */
	make_manager();
}

static int remove_one(const char *path, const struct stat *st _unused_, int flag _unused_, struct FTW *ftw _unused_)
{
	return remove(path);
}

void world_end(void)
{
	forget_helper();
	(void)nftw(world.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* below /tmp; a leftover hurts nobody */
}

void world_write(const char *path, const char *text)
{
	_cleanup_(freep) char *full = str_format("%s/%s", world.dir, path);

	cr_assert_eq(file_write_atomic(AT_FDCWD, full, text, strlen(text), 0600), 0);
}

char *world_read(const char *path)
{
	_cleanup_(freep) char *full = str_format("%s/%s", world.dir, path);
	char *text;
	size_t len;

	return file_read(AT_FDCWD, full, 65536, &text, &len) < 0 ? NULL : text;
}

bool run_until(bool (*cond)(void *), void *userdata, unsigned seconds)
{
	usec_t end = clock_boottime() + seconds * USEC_PER_SEC;

	while (!cond(userdata)) {
		usec_t now = clock_boottime();

		if (now >= end)
			return false;
		cr_assert_geq(sd_event_run(world.event, MIN(end - now, 50 * USEC_PER_MSEC)), 0);
	}
	return true;
}

void run_for(usec_t span)
{
	usec_t end = clock_boottime() + span;

	while (clock_boottime() < end)
		cr_assert_geq(sd_event_run(world.event, 5 * USEC_PER_MSEC), 0);
}

struct wanted {
	struct tunnel *t;
	enum tunnel_state state;
};

static bool is_in_state(void *userdata)
{
	const struct wanted *w = userdata;

	return w->t->state == w->state;
}

bool run_until_state(struct tunnel *t, enum tunnel_state state)
{
	struct wanted w = { t, state };
	bool ok = run_until(is_in_state, &w, 10);

	if (!ok)
		cr_log_error("state is %s, wanted %s; last error: %s; calls: %s", tunnel_state_to_log(t->state),
			     tunnel_state_to_log(state), t->last_error ? t->last_error : "none", net.calls);
	return ok;
}

void on_reply(void *userdata, struct tunnel *t _unused_, const char *error_name, const char *error)
{
	struct reply *r = userdata;

	cr_assert(!r->done, "answered twice");
	r->done = true;
	(void)str_copy(r->name, sizeof(r->name), error_name ? error_name : "");
	(void)str_copy(r->text, sizeof(r->text), error ? error : "");
}

bool reply_is_done(void *reply)
{
	return ((struct reply *)reply)->done;
}

struct tunnel *home(void)
{
	struct tunnel *t;

	cr_assert_eq(manager_get(world.manager, "home", &t), 0);
	return t;
}

struct reply up_and_wait(void)
{
	struct up_options o = { .auth_fd = -EBADF };
	struct reply r = { 0 };

	tunnel_up(home(), &o, on_reply, &r);
	cr_assert(run_until(reply_is_done, &r, 10));
	return r;
}

/* ---- scripts --------------------------------------------------------------------------------------------------------- */

void say(int sock, const struct ipc_msg *m)
{
	if (ipc_send(sock, m, NULL, 0) < 0)
		_exit(98);
}

struct ipc_msg expect(int sock, enum ipc_type type)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct ipc_msg m;
	int fds[8];
	size_t n = 0;

	do {
		if (poll(&p, 1, 10000) <= 0 || ipc_recv(sock, &m, fds, &n) <= 0)
			_exit(99);
	} while (m.type == IPC_CMD_STATS && type != IPC_CMD_STATS); /* may come at any time */
	if (m.type != type)
		_exit(99);
	for (size_t i = 0; i < n; i++)
		fd_close(fds[i]);
	return m;
}

void say_hello(int sock)
{
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_HELLO });
	(void)expect(sock, IPC_CMD_START);
}

struct ipc_msg say_socket(int sock, uint16_t remote, uint16_t address)
{
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_SOCKET, .req_socket = { 1, remote, address } });
	return expect(sock, IPC_ANS_SOCKET);
}

struct ipc_msg say_settings(int sock, const struct settings *s)
{
	say(sock, &(struct ipc_msg){ .type = IPC_REQ_SETTINGS, .req_settings = { 2, *s } });
	return expect(sock, IPC_ANS_SETTINGS);
}

void say_state(int sock, enum engine_state state, uint8_t fail, const char *text)
{
	struct ipc_msg m = { .type = IPC_REQ_STATE, .req_state = { .state = (uint8_t)state, .fail = fail, .cipher = "AES" } };

	(void)str_copy(m.req_state.text, sizeof(m.req_state.text), text);
	say(sock, &m);
}

void say_failed(int sock, enum fail_class fail, const char *text)
{
	struct ipc_msg m = { .type = IPC_REQ_FAILED, .req_failed = { .fail = (uint8_t)fail } };

	(void)str_copy(m.req_failed.text, sizeof(m.req_failed.text), text);
	say(sock, &m);
}

struct settings good_settings(void)
{
	struct settings s = { .n_addrs = 1, .mtu = 1420, .default4 = true, .n_dns = 1 };

	cr_assert_eq(inprefix_parse("10.8.0.2/24", &s.addrs[0]), 0);
	cr_assert_eq(inaddr_parse("10.8.0.1", &s.dns[0]), 0);
	return s;
}

void play_connect(int sock)
{
	struct settings s = good_settings();

	say_hello(sock);
	if (!say_socket(sock, 0, 0).ans_socket.ok || !say_settings(sock, &s).ans_settings.ok)
		_exit(97);
	say_state(sock, ENGINE_STATE_CONNECTED, 0xff, "");
}

int play_wait(int sock)
{
	for (;;) {
		struct ipc_msg m;
		int fds[8];
		size_t n = 0;

		if (ipc_recv(sock, &m, fds, &n) <= 0)
			return 1;
		if (m.type == IPC_CMD_STOP)
			return 0;
		if (m.type == IPC_CMD_STATS)
			say(sock, &(struct ipc_msg){ .type = IPC_REQ_STATS, .req_stats = { .rx_bytes = 11, .tx_bytes = 22 } });
	}
}
