/* See tunnel-watch.h. */
#include "daemon/tunnel-watch.h"

#include <string.h>

#include "base/clock.h"
#include "daemon/tunnel.h"

#define WAIT_MIN (50 * USEC_PER_MSEC)
#define WAIT_MAX (800 * USEC_PER_MSEC) /* back within a second, whatever happens */
#define CALM (10 * USEC_PER_SEC)       /* without a repair for so long: the next one is the first again */

static int on_time(sd_event_source *s, uint64_t usec, void *userdata);

static void wait_and_look(struct tunnel *t, usec_t wait)
{
	int r;

	t->watch_timer = sd_event_source_disable_unref(t->watch_timer);
	r = sd_event_add_time_relative(t->manager->event, &t->watch_timer, CLOCK_BOOTTIME, wait, 10 * USEC_PER_MSEC, on_time, t);
	if (r < 0)
		(void)log_warning_errno(r, "%s: cannot set a timer; locks that others remove come back at the next `nsvpn up`: %m",
					t->name);
}

/* The io source is off until the look, so that a storm of changes is one look. */
static int on_change(sd_event_source *s, int fd _unused_, uint32_t revents _unused_, void *userdata)
{
	struct tunnel *t = userdata;

	(void)sd_event_source_set_enabled(s, SD_EVENT_OFF); /* cannot fail on a live source */
	wait_and_look(t, t->watch_wait ? t->watch_wait : WAIT_MIN);
	return 0;
}

static int on_time(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct tunnel *t = userdata;
	_cleanup_(freep) char *done = NULL, *error = NULL;
	usec_t now = clock_boottime();
	int r;

	t->watch_timer = sd_event_source_disable_unref(t->watch_timer);
	r = tunnelnet_reassert(t->net, &done, &error);
	if (r < 0) {
		if (!t->watch_failed)
			log_tunnel_error(t, "%s; trying again", error ? error : strerror(-r));
		t->watch_failed = true;
		wait_and_look(t, WAIT_MAX);
		return 0;
	}
	t->watch_failed = false;
	if (r > 0) {
		log_tunnel_warning(t, "somebody changed this machine's firewall, rules or forwarding; put back: %s",
				   done ? done : "what was missing");
		t->watch_wait = now - t->watch_repaired > CALM ? WAIT_MIN : MIN(t->watch_wait * 2, (usec_t)WAIT_MAX);
		t->watch_repaired = now;
	} else if (now - t->watch_repaired > CALM) {
		t->watch_wait = WAIT_MIN;
	}
	if (t->watch)
		(void)sd_event_source_set_enabled(t->watch, SD_EVENT_ON); /* as above */
	return 0;
}

void tunnel_watch_start(struct tunnel *t)
{
	int fd, r;

	fd = tunnelnet_watch_fd(t->net);
	r = fd < 0 ? fd : 0;
	if (r >= 0 && !t->watch)
		r = sd_event_add_io(t->manager->event, &t->watch, fd, EPOLLIN, on_change, t);
	if (r < 0) {
		tunnel_watch_stop(t);
		(void)log_warning_errno(r, "%s: cannot watch the firewall; locks that others remove come back at the next `nsvpn up`: %m",
					t->name);
		return;
	}
	/* What happened before anybody listened. */
	if (!t->watch_timer)
		wait_and_look(t, WAIT_MIN);
}

void tunnel_watch_stop(struct tunnel *t)
{
	t->watch = sd_event_source_disable_unref(t->watch);
	t->watch_timer = sd_event_source_disable_unref(t->watch_timer);
	t->watch_wait = t->watch_repaired = 0;
	t->watch_failed = false;
}
