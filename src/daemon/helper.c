/* The helper's life; theory in helper.h. */
#include "daemon/helper.h"

#include <signal.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/bus-server.h"
#include "daemon/engine-proc.h"
#include "daemon/handover.h"
#include "daemon/logfile.h"
#include "daemon/manager.h"
#include "daemon/members.h"
#include "daemon/run-lock.h"
#include "daemon/system-bus.h"
#include "net/netns.h"

#define LINGER (300 * USEC_PER_MSEC)     /* idle this long: leave */
#define FIRST_LINGER (2 * USEC_PER_SEC)  /* nobody came yet: they were about to */
#define SERVICE_LINGER (30 * USEC_PER_SEC) /* the same for the service: being started again costs a caller more */
#define SHUTDOWN_MAX (5 * USEC_PER_SEC)
#define NOTIFY_MAX (2 * USEC_PER_SEC)
#define LEAVING_STEP (100 * USEC_PER_MSEC)

struct helper {
	sd_event *event;
	struct manager *manager;
	struct bus_server *server; /* standalone */
	struct members *members;   /* rootless */
	struct system_bus *bus;    /* service */
	sd_event_source *idle_timer;
	bool had_client;
	bool leaving;  /* service: the name is being given back, or was */
	bool has_left;
	bool shutting_down;
};

/* ---- coming and going ------------------------------------------------------------------------------------------------ */

static bool is_idle(const struct helper *h)
{
	if (!manager_is_idle(h->manager) || (h->members && !members_is_idle(h->members)))
		return false;
	return h->server ? bus_server_n_clients(h->server) == 0 : !system_bus_is_busy(h->bus);
}

/* The order is explained in system-bus.h. */
static int begin_to_leave(struct helper *h)
{
	int r;

	(void)sd_notify(0, "STOPPING=1\nSTATUS=Nothing to do."); /* no service manager: nobody queues anything either */
	r = sd_notify_barrier(0, NOTIFY_MAX);
	if (r < 0)
		(void)log_debug_errno(r, "the service manager did not confirm that we stop, ignoring: %m");
	h->leaving = true;
	r = system_bus_leave(h->bus);
	return r < 0 ? sd_event_exit(h->event, EXIT_CODE_OK) : 0; /* no bus: nobody can call */
}

static int on_idle(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct helper *h = userdata;

	h->idle_timer = sd_event_source_disable_unref(h->idle_timer);
	if (!is_idle(h))
		return 0;
	if (h->bus)
		return begin_to_leave(h);
	if (bus_server_close_listener(h->server) < 0)
		return 0; /* a client came, and its leaving will bring us here again */
	return sd_event_exit(h->event, EXIT_CODE_OK);
}

static void wait_for_idleness_to_last(struct helper *h)
{
	usec_t linger = h->bus ? SERVICE_LINGER : h->had_client ? LINGER : FIRST_LINGER;
	int r;

	r = sd_event_add_time_relative(h->event, &h->idle_timer, CLOCK_BOOTTIME, linger, 10 * USEC_PER_MSEC, on_idle, h);
	if (r < 0)
		(void)log_warning_errno(r, "cannot set the idle timer, the helper stays: %m");
}

static void shut_down(struct helper *h);
static void consider_leaving(void *userdata);

static int on_look_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct helper *h = userdata;

	h->idle_timer = sd_event_source_disable_unref(h->idle_timer);
	consider_leaving(h);
	return 0;
}

/*
 * The name is given back and nobody can reach us any more, but somebody may have done so in the last moment. What was begun
 * for him stands on disk and in the kernel; once he has his answer, the next helper goes on with it.
 */
static void finish_leaving(struct helper *h)
{
	if (is_idle(h)) {
		(void)sd_event_exit(h->event, EXIT_CODE_OK); /* fails only when it is already exiting */
		return;
	}
	if (manager_is_waited_for(h->manager) || system_bus_is_busy(h->bus)) {
		h->idle_timer = sd_event_source_disable_unref(h->idle_timer);
		if (sd_event_add_time_relative(h->event, &h->idle_timer, CLOCK_BOOTTIME, LEAVING_STEP, 0, on_look_again, h) >= 0)
			return;
	}
	system_bus_call_successor(h->bus);
	shut_down(h);
}

/* After each change: leave when quiet (SIGTERM), or begin to wait for the end of idleness. */
static void consider_leaving(void *userdata)
{
	struct helper *h = userdata;
	bool idle;

	if (!h->server && !h->bus)
		return; /* still recovering */
	if (h->shutting_down) {
		if (manager_is_quiet(h->manager))
			(void)sd_event_exit(h->event, EXIT_CODE_OK); /* fails only when it is already exiting */
		return;
	}
	if (h->leaving) {
		if (h->has_left)
			finish_leaving(h);
		return;
	}
	if (h->members)
		members_consider(h->members, bus_server_n_clients(h->server) > 0);
	h->had_client |= h->server && bus_server_n_clients(h->server) > 0;
	idle = is_idle(h);
	if (idle && h->idle_timer)
		return;
	h->idle_timer = sd_event_source_disable_unref(h->idle_timer);
	if (idle)
		wait_for_idleness_to_last(h);
}

/* A call: idleness begins anew behind it. */
static void on_bus_activity(void *userdata)
{
	struct helper *h = userdata;

	h->idle_timer = sd_event_source_disable_unref(h->idle_timer);
	consider_leaving(h);
}

static void on_bus_left(void *userdata)
{
	struct helper *h = userdata;

	h->has_left = true;
	consider_leaving(h);
}

static const struct system_bus_events bus_events = { .activity = on_bus_activity, .left = on_bus_left };

static int on_shutdown_over(sd_event_source *s, uint64_t usec _unused_, void *userdata _unused_)
{
	return sd_event_exit(sd_event_source_get_event(s), EXIT_CODE_OK);
}

static void shut_down(struct helper *h)
{
	h->shutting_down = true;
	manager_shutdown(h->manager);
	if (sd_event_add_time_relative(h->event, NULL, CLOCK_BOOTTIME, SHUTDOWN_MAX, 0, on_shutdown_over, NULL) < 0)
		(void)sd_event_exit(h->event, EXIT_CODE_OK); /* as in consider_leaving() */
	consider_leaving(h);
}

static int on_terminate(sd_event_source *s _unused_, const struct signalfd_siginfo *si, void *userdata)
{
	struct helper *h = userdata;

	if (h->shutting_down)
		return 0;
	log_notice("signal %u: leaving; locks stay", si->ssi_signo);
	(void)sd_notify(0, "STOPPING=1"); /* without a service manager nobody hears it */
	shut_down(h);
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
	if (h->bus)
		system_bus_emit(h->bus, t, properties);
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

static int listen_standalone(struct helper *h, const char *socket_path, char **ret_error)
{
	int r = bus_server_new(&h->server, h->event, h->manager, socket_path, consider_leaving, h);

	if (r < 0)
		*ret_error = str_format("cannot listen on %s: %s", socket_path, strerror(-r));
	return r;
}

static int listen_on_bus(struct helper *h, char **ret_error)
{
	_cleanup_(system_bus_freep) struct system_bus *bus = NULL;
	int r = system_bus_new(&bus, h->event, h->manager, &bus_events, h);

	if (r < 0)
		return r;
	r = system_bus_open(bus, ret_error);
	if (r < 0)
		return r;
	h->bus = TAKE_PTR(bus);
	return 0;
}

static int serve(struct helper *h, const struct helper_options *o, const char *socket_path, int *ready_fd, char **ret_error)
{
	int r;

	r = sd_event_default(&h->event);
	if (r >= 0)
		r = add_signals(h);
	if (r >= 0)
		r = manager_new(&h->manager, h->event, o->standalone ? &engine_spawn_real : &engine_spawn_lasting);
	if (r < 0) {
		*ret_error = str_format("cannot start: %s", strerror(-r));
		return r;
	}
	if (!o->standalone) {
		r = netns_pin_for_all();
		if (r < 0) {
			*ret_error = str_format("cannot reach the mounts of PID 1 (%s), and namespaces pinned anywhere else would "
						"be seen by nobody; check the unit's sandbox (nsvpnd(8))",
						strerror(-r));
			return r;
		}
	}
	h->manager->changed = on_changed;
	h->manager->settled = on_settled;
	h->manager->userdata = h;
	h->manager->keeps_tunnels = !o->standalone;
	h->manager->handover = o->handover;
	if (place_is_rootless()) {
		r = members_new(&h->members, h->event, h->manager, consider_leaving, h);
		if (r < 0)
			return r;
		h->manager->members = h->members;
	}
	/* Recovery before anybody can ask: an `up` then sees what is there. */
	r = manager_recover(h->manager);
	h->manager->handover = handover_free(o->handover);
	if (r < 0)
		(void)log_error_errno(r, "cannot look at what an earlier helper left, ignoring: %m");
	r = o->standalone ? listen_standalone(h, socket_path, ret_error) : listen_on_bus(h, ret_error);
	if (r < 0)
		return r;
	consider_leaving(h);
	(void)sd_notify(0, "READY=1"); /* the same for service managers, where there is one */
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

	r = !socket_path || !lock_path ? -ENOMEM : dir_make(place_run(), place_is_rootless() ? 0700 : 0755);
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
	r = serve(&h, o, socket_path, &ready_fd, &error);
	if (r < 0) {
		log_error("%s", error ? error : strerror(-r));
		if (ready_fd >= 0)
			helper_report(ready_fd, error ? error : strerror(-r));
	}
	bus_server_free(TAKE_PTR(h.server));
	system_bus_free(TAKE_PTR(h.bus));
	tidy(h.manager, lock_path);
	members_free(h.members);
	manager_free(h.manager);
	sd_event_source_disable_unref(h.idle_timer);
	sd_event_unref(h.event);
	return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
