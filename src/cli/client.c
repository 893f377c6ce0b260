/*
 * Talking to the helper.
 *
 * Theory. Three ways lead to it, and they are tried in this order. A standalone helper listens on <run>/nsvpnd.sock; there is
 * no bus daemon between us, the kernel says who we are, and only root is heard. The service is on the system bus, which
 * starts it (client-system.h); this is the only way for users. Where neither is to be had, root starts a standalone helper:
 * as a grandchild, so that the program that `exec` turns into does not inherit a child, in a session of its own, with nothing
 * but a pipe on which it says READY or one sentence. Who sets NSVPN_RUN and the like means a helper of his own, not the
 * service. A rootless user has a helper of his own, which is reached and started like root's. A helper without work leaves by itself; so a connection may also be refused or cut between two looks, and the way
 * in is tried again a few times.
 *
 * Signals. SIGINT, SIGTERM and SIGHUP are blocked and only let in while ppoll() sleeps: no race between "was it pressed"
 * and "go to sleep", and no half-done conversation.
 */
#include "cli/client.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/places.h"
#include "base/process.h"
#include "base/str.h"
#include "cli/agent.h"
#include "cli/client-system.h"
#include "cli/output.h"

#define CALL_TIMEOUT_USEC (60 * USEC_PER_SEC)
#define ASKED_TIMEOUT_USEC (150 * USEC_PER_SEC) /* somebody types a password; the helper gives up after 120 s */
#define START_TIMEOUT_MSEC 20000
#define START_TRIES 3
#define READY_FD 3

/* ---- errors ---- */

enum exit_code client_exit_code(const char *name)
{
	static const struct {
		const char *name;
		enum exit_code code;
	} table[] = {
		{ BUS_ERROR_FAILED, EXIT_CODE_FAILED },
		{ BUS_ERROR_USAGE, EXIT_CODE_USAGE },
		{ BUS_ERROR_NOT_CONFIGURED, EXIT_CODE_NOT_UP },
		{ BUS_ERROR_NOT_UP, EXIT_CODE_NOT_UP },
		{ BUS_ERROR_AUTH_FAILED, EXIT_CODE_AUTH },
		{ BUS_ERROR_DENIED, EXIT_CODE_DENIED },
		{ BUS_ERROR_TIMED_OUT, EXIT_CODE_TIMED_OUT },
		{ BUS_ERROR_NEED_CREDENTIALS, EXIT_CODE_FAILED },
		{ BUS_ERROR_NEED_PASSPHRASE, EXIT_CODE_FAILED },
		{ BUS_ERROR_NEED_BOTH, EXIT_CODE_FAILED },
		{ SD_BUS_ERROR_ACCESS_DENIED, EXIT_CODE_DENIED },
		{ SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, EXIT_CODE_DENIED },
	};

	for (size_t i = 0; name && i < ARRAY_SIZE(table); i++)
		if (str_eq(table[i].name, name))
			return table[i].code;
	return EXIT_CODE_FAILED;
}

/* dbus-daemon's own words ("Rejected: destination has a full message queue, 0 matched rules; ..."), which tell nobody anything. */
static bool is_full_queue(const sd_bus_error *e)
{
	return sd_bus_error_has_name(e, SD_BUS_ERROR_LIMITS_EXCEEDED) && e->message && str_has_prefix(e->message, "Rejected:");
}

int client_fail(const sd_bus_error *e, int r)
{
	if (e && is_full_queue(e))
		return output_fail(EXIT_CODE_FAILED, "the service nsvpnd has more calls waiting on the system bus than that takes; try "
						     "again in a moment");
	if (e && sd_bus_error_is_set(e)) {
		if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(e, SD_BUS_ERROR_DISCONNECTED))
			r = -ECONNRESET;
		else
			return output_fail(client_exit_code(e->name), "%s",
					   e->message && *e->message ? e->message : e->name);
	}
	if (r == -ENOMEM)
		return output_oom();
	if (r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE || r == -ESHUTDOWN)
		return output_fail(EXIT_CODE_FAILED, "the helper nsvpnd went away; tunnels stay locked, and `nsvpn up` or "
						     "`nsvpn down` starts it again (its log: %s/nsvpnd.log)",
				   place_run());
	if (r == -ETIME || r == -ETIMEDOUT)
		return output_fail(EXIT_CODE_TIMED_OUT, "the helper nsvpnd does not answer (its log: %s/nsvpnd.log)",
				   place_run());
	return output_fail(EXIT_CODE_FAILED, "the conversation with the helper nsvpnd failed: %s", strerror(-r));
}

/* ---- connecting ---- */

/* A connected descriptor or -errno. */
static int connect_socket(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_(freep) char *path = str_format("%s/nsvpnd.sock", place_run());
	_cleanup_(closep) int fd = -EBADF;

	if (!path)
		return -ENOMEM;
	if (!str_copy(sa.sun_path, sizeof(sa.sun_path), path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* The first call shows that somebody is there and listens to us. Takes fd. */
static int greet(int fd_take, sd_bus **ret)
{
	_cleanup_(closep) int fd = fd_take;
	sd_bus *bus = NULL;
	int r;

	r = sd_bus_new(&bus);
	if (r < 0)
		return r;
	r = sd_bus_set_fd(bus, fd, fd);
	if (r >= 0) {
		(void)TAKE_FD(fd); /* the bus closes it now */
		r = sd_bus_start(bus);
	}
	if (r >= 0)
		r = sd_bus_call_method(bus, NULL, "/", "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL);
	if (r < 0) {
		sd_bus_close_unref(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

static bool is_nobody_there(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE || r == -ESHUTDOWN;
}

static int try_connect(sd_bus **ret)
{
	int fd = connect_socket();

	return fd < 0 ? fd : greet(fd, ret);
}

/* ---- starting the helper ---- */

/* What the helper may know of our environment: paths and language, nothing of the user's session. */
static int helper_environment(char ***ret)
{
	/* The last three: where a rootless helper finds its places. */
	static const char *const names[] = { "LANG=", "LC_ALL=", "TZ=", "NSVPN_", "HOME=", "XDG_CONFIG_HOME=", "XDG_RUNTIME_DIR=" };
	_cleanup_(strv_freep) char **env = NULL;
	int r = strv_add(&env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");

	for (char **e = environ; r >= 0 && *e; e++)
		for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(names); i++)
			if (str_has_prefix(*e, names[i]))
				r = strv_add(&env, *e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(env);
	return 0;
}

static int leave_folder(void *userdata _unused_)
{
	(void)umask(022); /* cannot fail */
	return chdir("/") < 0 ? -errno : 0;
}

struct start {
	const char *program;
	char **env;
	int ready; /* its end of the pipe */
};

/* In the middle process: the helper becomes an orphan when this one ends. Exit status: 0 or an errno value. */
static int spawn_helper(void *userdata)
{
	const struct start *s = userdata;
	char fd_text[] = { '0' + READY_FD, '\0' };
	char *argv[] = { (char *)"nsvpnd", (char *)"--standalone", (char *)"--ready-fd", fd_text,
			 place_is_rootless() ? (char *)"--rootless" : NULL, NULL };
	const struct fd_map map[] = { { s->ready, READY_FD } };
	const struct spawn spawn = {
		.path = s->program,
		.argv = argv,
		.envp = s->env,
		.map = map,
		.n_map = ARRAY_SIZE(map),
		.netns_fd = -EBADF,
		.new_session = true,
		.prepare = leave_folder,
	};

	return -process_spawn(&spawn, NULL, NULL);
}

/* Reads "READY" or a sentence until the line's end. 0; -ETIME; -EPIPE with *ret_sentence (may be NULL). */
static int read_ready(int fd, char **ret_sentence)
{
	usec_t deadline = clock_boottime() + START_TIMEOUT_MSEC * USEC_PER_MSEC;
	char text[1024];
	size_t len = 0;

	while (len < sizeof(text) - 1 && !memchr(text, '\n', len)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		usec_t now = clock_boottime();
		ssize_t n;

		if (now >= deadline)
			return -ETIME;
		if (poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) <= 0)
			continue;
		n = read(fd, text + len, sizeof(text) - 1 - len);
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		if (n > 0)
			len += (size_t)n;
	}
	text[len] = '\0';
	if (str_has_prefix(text, "READY"))
		return 0;
	*ret_sentence = len ? strdup(str_trim(text)) : NULL;
	return -EPIPE;
}

/* 0, or -errno with a sentence. */
static int start_helper(char **ret_error)
{
	_cleanup_(freep) char *program = place_program("nsvpnd");
	_cleanup_(strv_freep) char **env = NULL;
	_cleanup_(closep) int reader = -EBADF, writer = -EBADF;
	struct start s;
	int fds[2], r;
	pid_t pid;

	if (!program || helper_environment(&env) < 0)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	reader = fds[0];
	writer = fds[1];
	s = (struct start){ .program = program, .env = env, .ready = writer };
	r = process_fork(spawn_helper, &s, &pid, NULL);
	if (r < 0)
		return r;
	writer = fd_close(writer);
	r = process_wait(pid);
	/* -ECHILD: who started us ignores SIGCHLD, so the kernel took its status. What comes through the pipe tells as well. */
	if (r != 0 && r != -ECHILD) {
		*ret_error = str_format("the helper %s cannot be started: %s; is nsvpn installed completely? (`nsvpn doctor`)",
					program, r > 0 ? strerror(r) : "it was killed");
		return -ENOEXEC;
	}
	r = read_ready(reader, ret_error);
	if (r < 0 && !*ret_error)
		*ret_error = str_format("the helper %s %s (its log: %s/nsvpnd.log)", program,
					r == -ETIME ? "does not get ready" : "ended without a word", place_run());
	return r;
}

/* Root's private helper: there, or started. As client_open(). */
static int connect_or_start(enum client_start start, sd_bus **ret)
{
	char *error = NULL;
	int r = -ENOENT;

	for (int i = 0; i < START_TRIES; i++) {
		r = try_connect(ret);
		if (r >= 0) {
			free(error);
			return EXIT_CODE_OK;
		}
		if (!is_nobody_there(r))
			break;
		/* A refused start may mean that another one was quicker: then the next try finds it. */
		if (error || start == CLIENT_IF_RUNNING)
			break;
		r = start_helper(&error);
		if (r < 0 && !error)
			return client_fail(NULL, r);
	}
	if (error)
		return output_fail_take(EXIT_CODE_FAILED, error, "");
	if (is_nobody_there(r) && start == CLIENT_IF_RUNNING)
		return EXIT_CODE_OK;
	return client_fail(NULL, r);
}

static bool has_own_places(void)
{
	return getenv("NSVPN_ETC") || getenv("NSVPN_RUN") || getenv("NSVPN_STATE");
}

static int open_as_root(enum client_start start, struct client *c)
{
	char *error = NULL;
	int r = has_own_places() ? -ENOENT : try_connect(&c->bus);

	if (r == 0)
		return EXIT_CODE_OK;
	if (!has_own_places() && is_nobody_there(r)) {
		r = client_system_open(start == CLIENT_START_HELPER, &c->bus, &error);
		c->is_system = r == 0;
		if (r != -ENOENT)
			return r == 0 ? EXIT_CODE_OK : output_fail_take(EXIT_CODE_FAILED, error, "out of memory");
	}
	return connect_or_start(start, &c->bus);
}

/* What users may see is the helper's to say, so it is started also to be asked. */
static int open_as_user(enum client_start start, struct client *c)
{
	char *error = NULL;
	int r = client_system_open(true, &c->bus, &error);

	if (r == 0) {
		c->is_system = true;
		return EXIT_CODE_OK;
	}
	if (r != -ENOENT)
		return output_fail_take(EXIT_CODE_FAILED, error, "out of memory");
	if (start == CLIENT_IF_RUNNING)
		return EXIT_CODE_OK;
	return output_fail(EXIT_CODE_DENIED, "there is no service nsvpnd on this machine, or no system bus to reach it, so only root can "
					     "do this; use sudo, ask the administrator to install the service, or make a tunnel of your "
					     "own with --rootless");
}

int client_open(enum client_start start, struct client **ret)
{
	_cleanup_(client_freep) struct client *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return output_oom();
	if (place_is_rootless())
		r = connect_or_start(start, &c->bus);
	else
		r = geteuid() == 0 ? open_as_root(start, c) : open_as_user(start, c);
	if (r != EXIT_CODE_OK)
		return r;
	*ret = c->bus ? TAKE_PTR(c) : NULL;
	return EXIT_CODE_OK;
}

struct client *client_free(struct client *c)
{
	if (!c)
		return NULL;
	client_release(c);
	agent_stop(c->agent);
	sd_bus_flush_close_unref(c->bus);
	free(c);
	return NULL;
}

/* ---- signals and waiting ---- */

static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
	caught = signo;
}

void client_catch(struct client *c)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t set;

	if (c->catching)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	caught = 0;
	/* None of these can fail with these arguments. */
	(void)sigprocmask(SIG_BLOCK, &set, &c->old_mask);
	(void)sigaction(SIGINT, &sa, &c->old_int);
	(void)sigaction(SIGTERM, &sa, &c->old_term);
	(void)sigaction(SIGHUP, NULL, &c->old_hup);
	if (c->old_hup.sa_handler != SIG_IGN) /* nohup stays nohup */
		(void)sigaction(SIGHUP, &sa, NULL);
	c->catching = true;
}

void client_release(struct client *c)
{
	if (!c->catching)
		return;
	/* The mask last: a signal that came in the last moment does what it would have done to the caller. */
	(void)sigaction(SIGINT, &c->old_int, NULL);
	(void)sigaction(SIGTERM, &c->old_term, NULL);
	(void)sigaction(SIGHUP, &c->old_hup, NULL);
	(void)sigprocmask(SIG_SETMASK, &c->old_mask, NULL);
	c->catching = false;
}

/* The mask while asleep: the caller's, with our three let in. */
static sigset_t sleeping_mask(const struct client *c)
{
	sigset_t mask = c->old_mask;

	sigdelset(&mask, SIGINT);
	sigdelset(&mask, SIGTERM);
	sigdelset(&mask, SIGHUP);
	return mask;
}

int client_wait(struct client *c, usec_t deadline)
{
	sigset_t mask = sleeping_mask(c);
	usec_t now = clock_boottime();
	struct timespec ts;
	struct pollfd p;
	uint64_t timer;
	int r;

	r = sd_bus_process(c->bus, NULL);
	if (r < 0)
		return r;
	if (r > 0)
		return 0;
	if (now >= deadline)
		return -ETIME;
	p = (struct pollfd){ .fd = sd_bus_get_fd(c->bus) };
	r = sd_bus_get_events(c->bus);
	if (p.fd < 0 || r < 0)
		return p.fd < 0 ? p.fd : r;
	p.events = (short)r;
	/* The bus has timers of its own (calls without an answer), on CLOCK_MONOTONIC: a second's sleep at most hits them. */
	if (sd_bus_get_timeout(c->bus, &timer) > 0)
		deadline = MIN(deadline, now + USEC_PER_SEC);
	if (deadline != USEC_INFINITY)
		ts = (struct timespec){ .tv_sec = (time_t)((deadline - now) / USEC_PER_SEC),
					.tv_nsec = (long)((deadline - now) % USEC_PER_SEC * 1000) };
	r = ppoll(&p, 1, deadline == USEC_INFINITY ? NULL : &ts, c->catching ? &mask : NULL);
	if (r < 0)
		r = errno == EINTR && !caught ? 0 : -errno;
	if (caught) {
		caught = 0;
		return -EINTR;
	}
	return r < 0 ? r : 0;
}

/* ---- calls ---- */

struct pending {
	bool done;
	int r;
	sd_bus_error *error;
	sd_bus_message *reply;
};

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *e _unused_)
{
	struct pending *p = userdata;
	const sd_bus_error *failed = sd_bus_message_get_error(m);

	p->done = true;
	if (failed)
		p->r = sd_bus_error_copy(p->error, failed);
	else
		p->reply = sd_bus_message_ref(m);
	return 1;
}

static int call_in_time(struct client *c, sd_bus_message *m, usec_t timeout, usec_t deadline, sd_bus_error *e,
			sd_bus_message **ret_reply)
{
	struct pending p = { .error = e };
	sd_bus_slot *slot = NULL;
	int r;

	r = sd_bus_call_async(c->bus, &slot, m, on_reply, &p, timeout);
	while (r >= 0 && !p.done)
		r = client_wait(c, deadline);
	sd_bus_slot_unref(slot);
	if (r >= 0)
		r = p.r;
	if (r >= 0 && ret_reply && p.reply)
		*ret_reply = sd_bus_message_ref(p.reply);
	sd_bus_message_unref(p.reply);
	return r < 0 ? r : 0;
}

/* The same call, which may now bring up a question for a password. */
static int copy_interactive(struct client *c, sd_bus_message *m, sd_bus_message **ret)
{
	sd_bus_message *copy = NULL;
	int r;

	r = client_new_call(c, sd_bus_message_get_member(m), &copy);
	if (r >= 0)
		r = sd_bus_message_rewind(m, 1);
	if (r >= 0)
		r = sd_bus_message_copy(copy, m, 1);
	if (r >= 0)
		r = sd_bus_message_set_allow_interactive_authorization(copy, 1);
	if (r < 0) {
		sd_bus_message_unref(copy);
		return r;
	}
	*ret = copy;
	return 0;
}

/*
 * Most calls need no password, so the first one is made without anybody to ask. Only where the helper says that one is
 * needed, and somebody sits at a terminal, an agent is started and the call made again.
 */
int client_call(struct client *c, sd_bus_message *m, usec_t deadline, sd_bus_error *e, sd_bus_message **ret_reply)
{
	sd_bus_message *again = NULL;
	int r;

	r = call_in_time(c, m, CALL_TIMEOUT_USEC, deadline, e, ret_reply);
	if (r >= 0 || !sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
		return r;
	if ((c->agent == 0 && agent_start(&c->agent) < 0) || copy_interactive(c, m, &again) < 0)
		return r; /* its sentence says what to do */
	sd_bus_error_free(e);
	r = call_in_time(c, again, ASKED_TIMEOUT_USEC, MAX(deadline, clock_boottime() + ASKED_TIMEOUT_USEC), e, ret_reply);
	sd_bus_message_unref(again);
	return r;
}

int client_new_call(struct client *c, const char *method, sd_bus_message **ret)
{
	int r = sd_bus_message_new_method_call(c->bus, ret, BUS_NAME, BUS_PATH, BUS_IFACE_MANAGER, method);

	return r < 0 ? r : 0;
}

char *client_tunnel_path(const char *name)
{
	char *path = NULL;

	return sd_bus_path_encode(BUS_PATH_TUNNEL_PREFIX, name, &path) < 0 ? NULL : path;
}

int client_list(struct client *c, char ***ret)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	char **names = NULL;
	int r, code = EXIT_CODE_OK;

	r = sd_bus_call_method(c->bus, BUS_NAME, BUS_PATH, BUS_IFACE_MANAGER, "ListTunnels", &e, &reply, NULL);
	if (r >= 0)
		r = sd_bus_message_read_strv(reply, &names);
	if (r < 0)
		code = client_fail(&e, r);
	else
		*ret = names;
	sd_bus_message_unref(reply);
	sd_bus_error_free(&e);
	return code;
}

void client_reload(void)
{
	_cleanup_(freep) char *ignored = NULL;
	sd_bus *bus = NULL;

	if (try_connect(&bus) < 0 && (has_own_places() || client_system_open(false, &bus, &ignored) < 0))
		return;
	if (sd_bus_call_method(bus, BUS_NAME, BUS_PATH, BUS_IFACE_MANAGER, "Reload", NULL, NULL, NULL) < 0)
		log_debug("the helper did not look at the configuration again, ignoring");
	sd_bus_flush_close_unref(bus);
}
