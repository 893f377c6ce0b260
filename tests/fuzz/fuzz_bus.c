/*
 * The methods of org.nsvpn1.Manager as a caller on the bus can use them: real messages over a socket pair, through sd-bus and
 * the one door, into decoding and the checks of what comes along. What the methods then do to tunnels is played here, so
 * nothing of the machine is touched.
 *
 * Input: method, who calls and the tunnel's state, name, then arguments; see the functions that take() them. Each call is answered once, with success
 * or with an error of ours or of sd-bus, in clean text.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "base/bus-api.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/launch-api.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/str.h"
#include "daemon/access.h"
#include "daemon/auth-pair.h"
#include "daemon/checkup.h"
#include "daemon/manager-bus.h"
#include "daemon/program-count.h"
#include "daemon/tunnel.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STRANGER 4
#define USER 4242 /* whom root plays */
#define REQUIRE(cond) ((cond) ? (void)0 : abort())

static const uint8_t *in;
static size_t left;
static struct sender who;
static struct tunnel tunnel = { .state = TUNNEL_STATE_CONNECTED };
static sd_bus *server, *client;
static unsigned answers;

/* ---- what is behind the methods ------------------------------------------------------------------------------------- */

int manager_get(struct manager *m _unused_, const char *name, struct tunnel **ret)
{
	if (!tunnel_name_is_valid(name))
		return -EINVAL;
	if (!str_eq(name, "home"))
		return -ENOENT;
	*ret = &tunnel;
	return 0;
}

int manager_names(struct manager *m _unused_, char ***ret)
{
	return strv_add(ret, "home");
}

void manager_reload(struct manager *m _unused_)
{
}

void manager_refresh_stats(struct manager *m _unused_)
{
}

/* What is used once goes, the rest stays as it was. */
static void forget_answer(int fd, ssize_t before)
{
	char buf[AUTH_PAIR_MAX + 3];
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	ssize_t n;

	REQUIRE(copy >= 0 && auth_pair_forget_answer(&copy, before & 1) == 0);
	n = pread(copy, buf, sizeof(buf), 0);
	REQUIRE(n >= 2 && n <= before && buf[n - 1] == '\0');
	(void)close(copy);
}

void tunnel_up(struct tunnel *t, const struct up_options *options, tunnel_reply_fn fn, void *userdata)
{
	char buf[AUTH_PAIR_MAX + 3];
	ssize_t n;

	if (options->auth_fd >= 0) { /* what an engine would get: two strings, in a memfd that nobody can change */
		n = pread(options->auth_fd, buf, sizeof(buf), 0);
		REQUIRE(n >= 2 && buf[n - 1] == '\0' && memchr(buf, '\0', (size_t)n) != buf + n - 1);
		REQUIRE(fcntl(options->auth_fd, F_GET_SEALS) & F_SEAL_WRITE);
		forget_answer(options->auth_fd, n);
	}
	fn(userdata, t, NULL, NULL);
}

void tunnel_down(struct tunnel *t, uid_t killer _unused_, tunnel_reply_fn fn, void *userdata)
{
	fn(userdata, t, NULL, NULL);
}

int tunnel_plan(struct tunnel *t _unused_, char **ret, char **ret_error _unused_)
{
	*ret = strdup("a plan");
	return *ret ? 0 : -ENOMEM;
}

int tunnel_processes(struct tunnel *t _unused_, struct netproc **ret _unused_, size_t *ret_n _unused_)
{
	return -ESRCH;
}

int tunnel_answer(struct tunnel *t _unused_, int fd)
{
	char buf[AUTH_PAIR_MAX + 2];
	ssize_t n = pread(fd, buf, sizeof(buf), 0); /* what an engine would get: a string, in a memfd that nobody can change */

	REQUIRE(n >= 1 && n <= AUTH_PAIR_MAX + 1 && memchr(buf, '\0', (size_t)n) == buf + n - 1);
	REQUIRE(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE);
	return buf[0] == 'n' ? -ENODATA : 0;
}

int checkup_method(struct bus_context *c _unused_, sd_bus_message *m, sd_bus_error *error _unused_)
{
	return sd_bus_reply_method_return(m, "a(sssss)", 0);
}

/* The machine's cgroups are not looked at. */
size_t program_count(const char *cgroups _unused_, uid_t uid _unused_)
{
	return tunnel.state == TUNNEL_STATE_RECONNECTING ? 1000 : 0;
}

/* access.c looks into the configuration: here everybody may but one. */
int access_check_tunnel(const char *name _unused_, const struct sender *sender, char **ret_error)
{
	if (sender->uid != STRANGER)
		return 0;
	*ret_error = strdup("tunnel home is for others");
	return -EACCES;
}

/* ---- the two ends ---------------------------------------------------------------------------------------------------- */

static const struct sender *sender_of(void *userdata _unused_, sd_bus_message *m _unused_)
{
	return who.uid == (uid_t)-1 ? NULL : &who;
}

static int authorise(void *userdata _unused_, sd_bus_message *m _unused_, const char *action, const char *name,
		     sd_bus_error *error _unused_)
{
	REQUIRE(str_has_prefix(action, "org.nsvpn1.") && (!name || str_eq(name, "home")));
	return 1;
}

/* PID 1, at the client's end: Exec hands over no more than an order. */
static int on_start_unit(sd_bus_message *m, void *userdata _unused_, sd_bus_error *error _unused_)
{
	return sd_bus_reply_method_return(m, "o", "/job");
}

static const sd_bus_vtable pid1[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", on_start_unit, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int LLVMFuzzerInitialize(int *argc _unused_, char ***argv _unused_)
{
	static struct bus_context context = { .authorise = authorise, .sender = sender_of };
	static gid_t groups[64];
	int pair[2], n;

	log_set_max_level(LOG_LEVEL_ERROR);
	tunnel.name = (char *)"home";
	n = getgroups(63, groups);
	groups[n > 0 ? n : 0] = getgid();
	who = (struct sender){ .groups = groups, .n_groups = (size_t)(n > 0 ? n : 0) + 1 };
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	REQUIRE(sd_bus_new(&server) >= 0 && sd_bus_set_fd(server, pair[0], pair[0]) >= 0);
	REQUIRE(sd_bus_set_server(server, 1, (sd_id128_t){ .bytes = { 1 } }) >= 0 && sd_bus_set_anonymous(server, 0) >= 0);
	REQUIRE(sd_bus_negotiate_fds(server, 1) >= 0 && manager_bus_add(server, &context) >= 0 && sd_bus_start(server) >= 0);
	REQUIRE(sd_bus_new(&client) >= 0 && sd_bus_set_fd(client, pair[1], pair[1]) >= 0 && sd_bus_negotiate_fds(client, 1) >= 0);
	REQUIRE(sd_bus_add_object_vtable(client, NULL, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", pid1,
					 NULL) >= 0);
	REQUIRE(sd_bus_start(client) >= 0);
	/* A message with a descriptor would wait for the greetings to end, and nobody but us can end them. */
	while (sd_bus_is_ready(client) == 0 || sd_bus_is_ready(server) == 0)
		REQUIRE(sd_bus_process(client, NULL) >= 0 && sd_bus_process(server, NULL) >= 0);
	return 0;
}

/* ---- input ----------------------------------------------------------------------------------------------------------- */

static uint8_t take(void)
{
	if (!left)
		return 0;
	left--;
	return *in++;
}

/* A word of the language, or up to 31 bytes of anything that is text. */
static const char *take_text(char buf[static 32])
{
	static const char *const words[] = { "home", "other", "credentials", "uplink", "kill", "isolate", "no-new-privs", "terminal",
					     "background", "veth", "socket", "" };
	uint8_t n = take();

	if (n >= 32)
		return words[n % ARRAY_SIZE(words)];
	n = (uint8_t)MIN((size_t)n, left);
	memcpy(buf, in, n);
	buf[n] = '\0';
	in += n;
	left -= n;
	return buf;
}

static uid_t user(void)
{
	return getuid() == 0 ? USER : getuid();
}

/* A socket pair belongs to who makes it; root starts no programs by Exec, so it is somebody else meanwhile. */
static int play_user(bool on)
{
	return getuid() == 0 ? seteuid(on ? USER : 0) : 0;
}

/* Something that a caller could pass as a descriptor; the content of files is input. */
static int take_fd(int keep[static 1])
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	uint8_t kind = take();
	size_t n = MIN((size_t)take(), left);
	int pair[2], fd;

	switch (kind % 8) {
	case 0:
		fd = memfd_sealed("x", in, n);
		break;
	case 1:
		fd = memfd_create("x", MFD_CLOEXEC);
		if (fd >= 0)
			(void)!write(fd, in, n);
		break;
	case 2:
		return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	case 3:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 4:
		return open("/", O_PATH | O_CLOEXEC);
	case 5:
		return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	case 6:
		if (pipe2(pair, O_CLOEXEC) < 0)
			return -EBADF;
		(void)!write(pair[1], in, n);
		(void)close(pair[1]);
		fd = pair[0];
		break;
	default:
		if (play_user(true) < 0 || socketpair(AF_UNIX, types[n % 3] | SOCK_CLOEXEC, 0, pair) < 0 || play_user(false) < 0)
			abort();
		keep[0] = pair[1];
		return pair[0];
	}
	in += n;
	left -= n;
	return fd;
}

static int append_fd(sd_bus_message *m)
{
	int keep[1] = { -EBADF }, fd = take_fd(keep), r;

	if (fd < 0)
		return -EIO;
	r = sd_bus_message_append(m, "h", fd); /* a copy */
	(void)close(fd);
	fd_close(keep[0]);
	return r;
}

static int append_variant(sd_bus_message *m)
{
	char buf[32];

	switch (take() % 6) {
	case 0:
		return sd_bus_message_append(m, "v", "s", take_text(buf));
	case 1:
		return sd_bus_message_append(m, "v", "b", take() & 1);
	case 2: {
		int r = sd_bus_message_open_container(m, 'v', "h");

		r = r < 0 ? r : append_fd(m);
		return r < 0 ? r : sd_bus_message_close_container(m);
	}
	case 3:
		return sd_bus_message_append(m, "v", "u", (uint32_t)take() << 24);
	case 4:
		return sd_bus_message_append(m, "v", "as", 2, "a", take_text(buf));
	default:
		return sd_bus_message_append(m, "v", "v", "s", take_text(buf));
	}
}

static int append_options(sd_bus_message *m)
{
	int r = sd_bus_message_open_container(m, 'a', "{sv}");

	for (unsigned n = take() % 8; r >= 0 && n > 0; n--) {
		char buf[32];

		r = sd_bus_message_open_container(m, 'e', "sv");
		if (r >= 0)
			r = sd_bus_message_append(m, "s", take_text(buf));
		if (r >= 0)
			r = append_variant(m);
		if (r >= 0)
			r = sd_bus_message_close_container(m);
	}
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_arguments(sd_bus_message *m, const char *signature)
{
	char buf[32];
	int r = 0;

	for (; r >= 0 && *signature; signature++) {
		if (*signature == 's')
			r = sd_bus_message_append(m, "s", take_text(buf));
		else if (*signature == 'h')
			r = append_fd(m);
		else
			return append_options(m); /* the last one */
	}
	return r;
}

/* ---- one call -------------------------------------------------------------------------------------------------------- */

static int on_answer(sd_bus_message *m, void *userdata _unused_, sd_bus_error *error _unused_)
{
	const sd_bus_error *e = sd_bus_message_get_error(m);

	answers++;
	if (e)
		REQUIRE(e->name && e->message && str_is_clean_utf8(e->message, strlen(e->message)));
	return 0;
}

static int call(void)
{
	static const struct {
		const char *member, *signature;
	} methods[] = {
		{ "Up", "sa" }, { "Down", "sa" }, { "Plan", "s" }, { "ListTunnels", "" }, { "Processes", "s" }, { "Reload", "" },
		{ "Exec", "shhhhhha" }, { "Examine", "" }, { "Answer", "sh" },
	};
	static const uid_t callers[] = { (uid_t)-1, 0, STRANGER }; /* nobody knows who, root, somebody else */
	unsigned i = take() % ARRAY_SIZE(methods), turns = 0;
	sd_bus_message *m = NULL;
	uint8_t caller;
	int r;

	caller = take();
	tunnel.state = (enum tunnel_state)((TUNNEL_STATE_CONNECTED + (caller >> 3)) % _TUNNEL_STATE_MAX);
	caller %= 8;
	who.uid = caller < ARRAY_SIZE(callers) ? callers[caller] : user();
	r = sd_bus_message_new_method_call(client, &m, NULL, BUS_PATH, BUS_IFACE_MANAGER, methods[i].member);
	if (r >= 0)
		r = append_arguments(m, methods[i].signature);
	answers = 0;
	if (r >= 0)
		r = sd_bus_call_async(client, NULL, m, on_answer, NULL, UINT64_MAX);
	sd_bus_message_unref(m);
	if (r < 0)
		return 0; /* no such message can be made */
	while (answers == 0) {
		REQUIRE(++turns < 1000000);
		REQUIRE(sd_bus_process(client, NULL) >= 0 && sd_bus_process(server, NULL) >= 0);
	}
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = data;
	left = size;
	for (unsigned n = 0; left > 0 && n < 4; n++)
		(void)call(); /* what happens is checked on the way */
	/* The last answers of the server have been taken; nothing is left for the next input. */
	while (sd_bus_process(server, NULL) > 0 || sd_bus_process(client, NULL) > 0)
		;
	REQUIRE(answers <= 1);
	return 0;
}
