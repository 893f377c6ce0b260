/*
 * The engine's life: everything is allocated before the sandbox closes, then it says hello and runs until the helper says
 * stop or goes away. What it does in between is in engine-parts.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/log.h"
#include "engine/engine-parts.h"

/* Not more: to spread timers that are less exact, sd-event reads the boot id, and no file can be opened any more. */
#define TIMER_ACCURACY 1

static void log_to_helper(void *userdata, enum log_level level, const char *object, const char *line)
{
	struct engine *e = userdata;

	(void)object; /* the helper knows whose engine this is */
	monitor_log(&e->monitor, level, line, clock_boottime());
}

int engine_new(struct engine **ret, int control_fd)
{
	struct engine *e;
	int r;

	e = calloc(1, sizeof(*e));
	if (!e) {
		fd_close(control_fd);
		return -ENOMEM;
	}
	e->tun_fd = e->wire_fd = -EBADF;
	way_init(&e->way);
	e->armed = USEC_INFINITY;
	e->monitor.fd = -EBADF;
	r = sd_event_new(&e->event);
	if (r >= 0)
		r = monitor_client_init(&e->monitor, e->event, TAKE_FD(control_fd), &engine_monitor_ops, e);
	if (r >= 0)
		r = sd_event_add_time(e->event, &e->timer, CLOCK_BOOTTIME, USEC_INFINITY, TIMER_ACCURACY, engine_on_timer, e);
	if (r >= 0)
		r = sd_event_source_set_priority(e->timer, SD_EVENT_PRIORITY_IMPORTANT);
	if (r >= 0)
		r = datapath_init(&e->datapath, &e->stats);
	if (r < 0) {
		fd_close(control_fd);
		engine_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

struct engine *engine_free(struct engine *e)
{
	if (!e)
		return NULL;
	engine_drop_session(e);
	log_set_sink(NULL, NULL);
	login_done(&e->login);
	way_done(&e->way);
	if (e->profile)
		profile_free(e->profile);
	e->timer = sd_event_source_disable_unref(e->timer);
	e->tun_source = sd_event_source_disable_unref(e->tun_source);
	monitor_client_done(&e->monitor);
	datapath_done(&e->datapath);
	fd_close(e->tun_fd);
	e->event = sd_event_unref(e->event);
	free(e);
	return NULL;
}

int engine_run(struct engine *e, bool mounts_empty)
{
	int r;

	log_set_sink(log_to_helper, e);
	engine_ask(e, PHASE_START);
	r = monitor_hello(&e->monitor);
	if (r < 0)
		return r;
	engine_arm(e, engine_now(e));
	if (!mounts_empty)
		log_debug("the engine keeps its view of the file system: this kernel gives it no mount namespace of its own");
	return sd_event_loop(e->event);
}
