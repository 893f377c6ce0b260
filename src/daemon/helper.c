/* The helper's life; theory in helper.h. */
#include "daemon/helper.h"

#include <signal.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/bus-server.h"
#include "daemon/logfile.h"
#include "daemon/manager.h"
#include "daemon/run-lock.h"

#define LINGER (300 * USEC_PER_MSEC)     /* idle this long: leave */
#define FIRST_LINGER (2 * USEC_PER_SEC)  /* nobody came yet: they were about to */
#define SHUTDOWN_MAX (5 * USEC_PER_SEC)

struct helper {
	sd_event *event;
	struct manager *manager;
	struct bus_server *server;
	sd_event_source *idle_timer;
	bool had_client;
	bool shutting_down;
};

/* ---- coming and going ------------------------------------------------------------------------------------------------ */

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

void helper_report(int ready_fd, const char *sentence)
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
		helper_report(*ready_fd, "READY");
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
	(void)unlink(lock_path); /* while the lock is held; see run-lock.c */
	remove_folder("NSVPN_RUN", place_run());
}

/* NSVPN_RUN may name any place; a sticky /tmp is one, a folder that somebody else prepared there is not. */
static bool folder_is_ours(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022);
}

int helper_run(const struct helper_options *o)
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
		helper_report(o->ready_fd, error ? error : "no memory");
		return EXIT_CODE_FAILED;
	}
	if (r >= 0)
		r = lock = run_lock_take(lock_path, socket_path);
	if (r < 0) {
		error = r == -EAGAIN ? str_format("another nsvpnd is already running for %s", place_run())
				     : str_format("cannot use the runtime folder %s: %s", place_run(), strerror(-r));
		helper_report(o->ready_fd, error ? error : "no memory");
		return EXIT_CODE_FAILED;
	}
	logfile_install(o->ready_fd < 0);
	r = serve(&h, socket_path, &ready_fd, &error);
	if (r < 0) {
		log_error("%s", error ? error : strerror(-r));
		if (ready_fd >= 0)
			helper_report(ready_fd, error ? error : strerror(-r));
	}
	bus_server_free(TAKE_PTR(h.server));
	tidy(h.manager, lock_path);
	manager_free(h.manager);
	sd_event_source_disable_unref(h.idle_timer);
	sd_event_unref(h.event);
	return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
