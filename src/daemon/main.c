/*
 * nsvpnd, the privileged helper. Standalone (this file's only mode so far) it serves <run>/nsvpnd.sock and is started by
 * root's `nsvpn` when there is work; it ends when nothing needs it: no tunnel in the kernel, no client.
 *
 * Theory. Privilege lives here, so little else may: no packet from the network is parsed, no TLS linked, no shell or
 * other program run but nsvpn-engine, by absolute path. The environment is fixed at the start (only the three roots
 * NSVPN_ETC, NSVPN_RUN, NSVPN_STATE and the tests' failpoint are taken over), descriptors above stderr are closed, signals arrive through the loop.
 * Its death, however it comes, unlocks nothing: locks are kernel state, the intent is on disk, and the tun device with its
 * default route goes with the last descriptor.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/process.h"
#include "base/str.h"
#include "daemon/bus-server.h"
#include "daemon/logfile.h"
#include "daemon/manager.h"
#include "daemon/privileges.h"
#include "net/tunnelnet.h"

#define LINGER (300 * USEC_PER_MSEC)     /* idle this long: leave */
#define FIRST_LINGER (2 * USEC_PER_SEC)  /* nobody came yet: they were about to */
#define SHUTDOWN_MAX (5 * USEC_PER_SEC)
#define LOCK_PATIENCE 200 /* times LOCK_STEP: for a helper that is on its way out */
#define LOCK_STEP (10 * USEC_PER_MSEC)

struct options {
	bool standalone;
	int ready_fd;
};

struct helper {
	sd_event *event;
	struct manager *manager;
	struct bus_server *server;
	sd_event_source *idle_timer;
	bool had_client;
	bool shutting_down;
};

static const char help_text[] =
	"nsvpnd --standalone [--ready-fd N]\n"
	"\n"
	"The privileged helper of nsvpn. `nsvpn up` starts it when it is needed; see nsvpnd(8).\n"
	"\n"
	"  --standalone    serve the private socket nsvpnd.sock in the runtime folder, without system bus\n"
	"  --ready-fd N    write READY, or one sentence that says what is wrong, to descriptor N\n"
	"  --help, --version\n";

/* ---- command line ---------------------------------------------------------------------------------------------------- */

static _noreturn_ void usage_error(const char *what, const char *arg)
{
	_cleanup_(freep) char *shown = str_escape(arg, strlen(arg), 60);

	fprintf(stderr, "nsvpnd: %s \"%s\"; usage: nsvpnd --standalone [--ready-fd N], see nsvpnd(8)\n", what, shown ? shown : "");
	exit(EXIT_CODE_USAGE);
}

/* For tests: where net/ can be made to fail or die. */
static _noreturn_ void list_failpoints(void)
{
	_cleanup_(strv_freep) char **names = NULL;

	if (tunnelnet_failpoints(&names) < 0)
		exit(EXIT_CODE_FAILED);
	for (size_t i = 0; i < strv_len(names); i++)
		puts(names[i]);
	exit(EXIT_CODE_OK);
}

static struct options parse_options(int argc, char **argv)
{
	struct options o = { .ready_fd = -EBADF };
	uint32_t fd;

	for (int i = 1; i < argc; i++) {
		if (str_eq(argv[i], "--help") || str_eq(argv[i], "--version")) {
			fputs(str_eq(argv[i], "--help") ? help_text : "nsvpnd " NSVPN_VERSION "\n", stdout);
			exit(EXIT_CODE_OK);
		} else if (str_eq(argv[i], "--list-failpoints")) {
			list_failpoints();
		} else if (str_eq(argv[i], "--standalone")) {
			o.standalone = true;
		} else if (str_eq(argv[i], "--ready-fd")) {
			if (++i >= argc)
				usage_error("a descriptor number must follow", "--ready-fd");
			if (parse_u32(argv[i], 3, 1023, &fd) < 0 || fcntl((int)fd, F_GETFD) < 0)
				usage_error("not the number of an open descriptor above 2:", argv[i]);
			o.ready_fd = (int)fd;
		} else {
			usage_error("unknown argument", argv[i]);
		}
	}
	if (!o.standalone)
		usage_error("only the standalone mode exists in this version; missing", "--standalone");
	return o;
}

/* ---- a clean process -------------------------------------------------------------------------------------------------- */

static int fix_environment(void)
{
	static const char *const kept[] = { "NSVPN_ETC", "NSVPN_RUN", "NSVPN_STATE", "NSVPN_FAILPOINT" /* tests, see apply.c */ };
	char *values[ARRAY_SIZE(kept)] = { NULL };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		const char *v = secure_getenv(kept[i]);

		values[i] = v ? strdup(v) : NULL;
		if (v && !values[i])
			r = -ENOMEM;
	}
	if (clearenv() != 0 || setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1) < 0 || setenv("LC_ALL", "C", 1) < 0)
		r = -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (values[i] && setenv(kept[i], values[i], 1) < 0)
			r = -ENOMEM;
		free(values[i]);
	}
	return r;
}

/* Descriptors 0-2 exist, nothing else but keep_fd does. */
static int fix_descriptors(int keep_fd)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
	} while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return -errno;
	(void)close(fd); /* one more than needed */
	if (keep_fd >= 0) {
		if (keep_fd > 3 && close_range(3, (unsigned)keep_fd - 1, 0) < 0)
			return -errno;
		if (close_range((unsigned)keep_fd + 1, ~0U, 0) < 0 || fcntl(keep_fd, F_SETFD, FD_CLOEXEC) < 0)
			return -errno;
		return 0;
	}
	return close_range(3, ~0U, 0) < 0 ? -errno : 0;
}

static int clean_process(const struct options *o)
{
	int r;

	(void)umask(077); /* returns the old one, which is of no interest */
	if (chdir("/") < 0)
		return -errno;
	r = fix_descriptors(o->ready_fd);
	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail: a valid signal */
	/* No core file and no ptrace by anybody else: credentials pass through this memory. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	r = privileges_reduce();
	if (r < 0)
		return r;
	return fix_environment();
}

/* ---- one helper per runtime folder ------------------------------------------------------------------------------------ */

/* Whether a helper answers on the socket: then the lock is not on its way to us. */
static bool somebody_listens(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && str_copy(sa.sun_path, sizeof(sa.sun_path), path) &&
	       connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
}

/* The lock counts only on the file that has the name: the last owner may just have removed it. */
static int try_lock(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat mine, named;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (fstat(fd, &mine) < 0)
		return -errno;
	if (stat(path, &named) < 0 || mine.st_ino != named.st_ino || mine.st_dev != named.st_dev)
		return -EAGAIN;
	return TAKE_FD(fd);
}

static int take_lock(const char *lock_path, const char *socket_path)
{
	int fd = -EAGAIN;

	for (unsigned i = 0; i < LOCK_PATIENCE; i++) {
		fd = try_lock(lock_path);
		if (fd != -EAGAIN || somebody_listens(socket_path))
			break;
		(void)usleep(LOCK_STEP); /* interrupted is as good */
	}
	return fd;
}

/* ---- coming and going -------------------------------------------------------------------------------------------------- */

static int on_idle(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct helper *h = userdata;

	h->idle_timer = sd_event_source_disable_unref(h->idle_timer);
	if (!manager_is_idle(h->manager) || bus_server_n_clients(h->server) > 0)
		return 0;
	if (bus_server_close_listener(h->server) < 0)
		return 0; /* a client came, and its leaving will bring us here again */
	return sd_event_exit(h->event, EXIT_CODE_OK);
}

/* After each change: leave when quiet (SIGTERM), or begin to wait for the end of idleness. */
static void consider_leaving(void *userdata)
{
	struct helper *h = userdata;
	bool idle;
	int r;

	if (!h->server)
		return; /* still recovering */
	if (h->shutting_down) {
		if (manager_is_quiet(h->manager))
			(void)sd_event_exit(h->event, EXIT_CODE_OK); /* fails only when it is already exiting */
		return;
	}
	h->had_client |= bus_server_n_clients(h->server) > 0;
	idle = manager_is_idle(h->manager) && bus_server_n_clients(h->server) == 0;
	if (idle && h->idle_timer)
		return;
	h->idle_timer = sd_event_source_disable_unref(h->idle_timer);
	if (!idle)
		return;
	r = sd_event_add_time_relative(h->event, &h->idle_timer, CLOCK_BOOTTIME, h->had_client ? LINGER : FIRST_LINGER,
				       10 * USEC_PER_MSEC, on_idle, h);
	if (r < 0)
		(void)log_warning_errno(r, "cannot set the idle timer, the helper stays: %m");
}

static int on_shutdown_over(sd_event_source *s, uint64_t usec _unused_, void *userdata _unused_)
{
	return sd_event_exit(sd_event_source_get_event(s), EXIT_CODE_OK);
}

static int on_terminate(sd_event_source *s _unused_, const struct signalfd_siginfo *si, void *userdata)
{
	struct helper *h = userdata;

	if (h->shutting_down)
		return 0;
	log_notice("signal %u: engines end, locks stay", si->ssi_signo);
	h->shutting_down = true;
	manager_shutdown(h->manager);
	if (sd_event_add_time_relative(h->event, NULL, CLOCK_BOOTTIME, SHUTDOWN_MAX, 0, on_shutdown_over, NULL) < 0)
		return sd_event_exit(h->event, EXIT_CODE_OK);
	consider_leaving(h);
	return 0;
}

static int on_hangup(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_, void *userdata)
{
	struct helper *h = userdata;

	manager_reload(h->manager);
	return 0;
}

static int add_signals(struct helper *h)
{
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	r = sd_event_add_signal(h->event, NULL, SIGTERM, on_terminate, h);
	if (r >= 0)
		r = sd_event_add_signal(h->event, NULL, SIGINT, on_terminate, h);
	if (r >= 0)
		r = sd_event_add_signal(h->event, NULL, SIGHUP, on_hangup, h);
	return r;
}

static void on_changed(void *userdata, const struct tunnel *t, char *const *properties)
{
	struct helper *h = userdata;

	if (h->server)
		bus_server_emit(h->server, t, properties);
}

static void on_settled(void *userdata)
{
	consider_leaving(userdata);
}

/* Says it where somebody hears it: the ready descriptor, else stderr. */
static void report(int ready_fd, const char *sentence)
{
	if (ready_fd >= 0) {
		(void)fd_write_full(ready_fd, sentence, strlen(sentence)); /* a starter that has gone away needs no word */
		(void)fd_write_full(ready_fd, "\n", 1);
	} else {
		fprintf(stderr, "nsvpnd: %s\n", sentence);
	}
}

static int serve(struct helper *h, const char *socket_path, int *ready_fd, char **ret_error)
{
	int r;

	r = sd_event_default(&h->event);
	if (r >= 0)
		r = add_signals(h);
	if (r >= 0)
		r = manager_new(&h->manager, h->event, &engine_spawn_real);
	if (r < 0) {
		*ret_error = str_format("cannot start: %s", strerror(-r));
		return r;
	}
	h->manager->changed = on_changed;
	h->manager->settled = on_settled;
	h->manager->userdata = h;
	/* Recovery before anybody can ask: an `up` then sees what is there. */
	r = manager_recover(h->manager);
	if (r < 0)
		(void)log_error_errno(r, "cannot look at what an earlier helper left, ignoring: %m");
	r = bus_server_new(&h->server, h->event, h->manager, socket_path, consider_leaving, h);
	if (r < 0) {
		*ret_error = str_format("cannot listen on %s: %s", socket_path, strerror(-r));
		return r;
	}
	consider_leaving(h);
	if (*ready_fd >= 0) {
		report(*ready_fd, "READY");
		*ready_fd = fd_close(*ready_fd);
	}
	return sd_event_loop(h->event);
}

/* A folder that the environment named belongs to whoever named it; ours go when they are empty. */
static void remove_folder(const char *variable, const char *path)
{
	if (!getenv(variable))
		(void)rmdir(path); /* not empty: it stays */
}

/* What is left in the runtime folder afterwards is what must stay: journals and logs of tunnels that are locked. */
static void tidy(const struct manager *m, const char *lock_path)
{
	if (!m || manager_is_idle(m))
		logfile_remove_all();
	remove_folder("NSVPN_STATE", place_state());
	(void)unlink(lock_path); /* while the lock is held; see try_lock() */
	remove_folder("NSVPN_RUN", place_run());
}

/* NSVPN_RUN may name any place; a sticky /tmp is one, a folder that somebody else prepared there is not. */
static bool folder_is_ours(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022);
}

static int run(const struct options *o)
{
	_cleanup_(freep) char *socket_path = str_format("%s/nsvpnd.sock", place_run());
	_cleanup_(freep) char *lock_path = str_format("%s/nsvpnd.lock", place_run());
	_cleanup_(freep) char *error = NULL;
	_cleanup_(closep) int lock = -EBADF;
	struct helper h = { 0 };
	int ready_fd = o->ready_fd, r;

	r = !socket_path || !lock_path ? -ENOMEM : dir_make(place_run(), 0755);
	if (r >= 0 && !folder_is_ours(place_run())) {
		error = str_format("the runtime folder %s belongs to another user or can be written by others; what lies there "
				   "decides what root undoes, so use another (NSVPN_RUN) or `chown root` and `chmod 755` it",
				   place_run());
		report(o->ready_fd, error ? error : "no memory");
		return EXIT_CODE_FAILED;
	}
	if (r >= 0)
		r = lock = take_lock(lock_path, socket_path);
	if (r < 0) {
		error = r == -EAGAIN ? str_format("another nsvpnd is already running for %s", place_run())
				     : str_format("cannot use the runtime folder %s: %s", place_run(), strerror(-r));
		report(o->ready_fd, error ? error : "no memory");
		return EXIT_CODE_FAILED;
	}
	logfile_install(o->ready_fd < 0);
	r = serve(&h, socket_path, &ready_fd, &error);
	if (r < 0) {
		log_error("%s", error ? error : strerror(-r));
		if (ready_fd >= 0)
			report(ready_fd, error ? error : strerror(-r));
	}
	bus_server_free(TAKE_PTR(h.server));
	tidy(h.manager, lock_path);
	manager_free(h.manager);
	sd_event_source_disable_unref(h.idle_timer);
	sd_event_unref(h.event);
	return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

int main(int argc, char **argv)
{
	struct options o = parse_options(argc, argv);
	int r;

	log_set_program("nsvpnd");
	if (geteuid() != 0) {
		report(o.ready_fd, "must be started by root (try `sudo nsvpn up NAME`, which starts it when needed)");
		return EXIT_CODE_DENIED;
	}
	r = clean_process(&o);
	if (r < 0) {
		report(o.ready_fd, strerror(-r));
		return EXIT_CODE_FAILED;
	}
	return run(&o);
}
