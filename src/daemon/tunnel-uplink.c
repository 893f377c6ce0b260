/* See tunnel-uplink.h. */
#include "daemon/tunnel-uplink.h"

#include <sys/timerfd.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "daemon/tunnel-engine.h"
#include "daemon/tunnel.h"

#define SETTLE (300 * USEC_PER_MSEC)   /* a change is many messages */
#define CALM (3 * USEC_PER_SEC)	       /* two ways that take turns: not more often than this */
#define SHORT_SLEEP (5 * USEC_PER_SEC) /* nobody noticed */

static int on_time(sd_event_source *s, uint64_t usec, void *userdata);

static usec_t asleep_now(void)
{
	struct timespec b, m;

	if (clock_gettime(CLOCK_BOOTTIME, &b) < 0 || clock_gettime(CLOCK_MONOTONIC, &m) < 0)
		return 0;
	return (usec_t)((b.tv_sec - m.tv_sec) * (int64_t)USEC_PER_SEC + (b.tv_nsec - m.tv_nsec) / 1000);
}

static void wait_and_look(struct tunnel *t, usec_t wait)
{
	int r;

	if (t->uplink_timer)
		return;
	r = sd_event_add_time_relative(t->manager->event, &t->uplink_timer, CLOCK_BOOTTIME, wait, 10 * USEC_PER_MSEC, on_time, t);
	if (r < 0)
		(void)log_warning_errno(r, "%s: cannot set a timer; the keepalive will notice that the network changed: %m",
					t->name);
}

/* A connection is begun anew, or the wait between two tries ends. */
static void move(struct tunnel *t, const char *why)
{
	struct ipc_msg again = { .type = IPC_CMD_RECONNECT };
	usec_t now = clock_boottime();

	if (!t->engine || t->monitor.phase == MONITOR_PHASE_HELLO || !tunnel_wants_engine(t))
		return; /* the next engine begins at the beginning anyway */
	if (t->uplink_moved && now - t->uplink_moved < CALM) {
		wait_and_look(t, CALM - (now - t->uplink_moved));
		return;
	}
	t->uplink_moved = now;
	log_tunnel_notice(t, "%s; connecting again", why);
	(void)engine_proc_send(t->engine, &again, NULL, 0); /* one that does not read is ended elsewhere */
}

/* ---- ways ----------------------------------------------------------------------------------------------------------- */

static void look(struct tunnel *t)
{
	bool was_lost = t->uplink_lost, is_connected = t->state == TUNNEL_STATE_CONNECTED;
	struct uplink_way way;

	if (!inaddr_is_set(&t->uplink_to)) {
		move(t, "the network changed");
		return;
	}
	t->uplink_lost = tunnelnet_way(t->net, &t->uplink_to, &way) < 0;
	if (t->uplink_lost) {
		if (!was_lost)
			log_tunnel_notice(t, "this machine has no way to the server any more; waiting for one");
		return;
	}
	if (t->uplink_way.ifindex && !tunnelnet_way_changed(t->net, &t->uplink_way, &way)) {
		/* The same again: a connection may go on, a try need not wait. */
		if (was_lost && !is_connected)
			move(t, "the way to the server is back");
		return;
	}
	move(t, t->uplink_way.ifindex ? "the way to the server changed" : "there is a way to the server");
}

static int on_time(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct tunnel *t = userdata;

	t->uplink_timer = sd_event_source_disable_unref(t->uplink_timer);
	if (!t->net || !t->uplink_io)
		return 0;
	tunnelnet_way_drain(sd_event_source_get_io_fd(t->uplink_io));
	(void)sd_event_source_set_enabled(t->uplink_io, SD_EVENT_ON); /* cannot fail on a live source */
	tunnel_uplink_slept(t, asleep_now());
	look(t);
	return 0;
}

/* Off until the look, so that a storm of changes is one look. */
static int on_change(sd_event_source *s, int fd _unused_, uint32_t revents _unused_, void *userdata)
{
	(void)sd_event_source_set_enabled(s, SD_EVENT_OFF); /* as above */
	wait_and_look(userdata, SETTLE);
	return 0;
}

/* ---- sleep ---------------------------------------------------------------------------------------------------------- */

void tunnel_uplink_slept(struct tunnel *t, usec_t asleep)
{
	usec_t more = asleep > t->uplink_asleep ? asleep - t->uplink_asleep : 0;
	char span[32];

	if (more < SHORT_SLEEP)
		return;
	t->uplink_asleep = asleep;
	log_tunnel_notice(t, "this machine slept for %s", clock_format_span(more, span, sizeof(span)));
	move(t, "the server may have forgotten this connection");
}

/* Cancelled when the machine wakes up, or when somebody sets the clock. */
static int set_far_away(int fd)
{
	struct itimerspec far = { .it_value.tv_sec = (time_t)(sizeof(time_t) > 4 ? (int64_t)1 << 40 : INT32_MAX) };

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) < 0 ? -errno : 0;
}

static int on_clock(sd_event_source *s, int fd, uint32_t revents _unused_, void *userdata)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) >= 0 || errno != ECANCELED || set_far_away(fd) < 0)
		return sd_event_source_set_enabled(s, SD_EVENT_OFF); /* the way is looked at all the same */
	tunnel_uplink_slept(userdata, asleep_now());
	return 0;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static int listen_way(struct tunnel *t)
{
	_cleanup_(closep) int fd = -EBADF;
	int r = tunnelnet_way_watch(&fd);

	if (r >= 0)
		r = sd_event_add_io(t->manager->event, &t->uplink_io, fd, EPOLLIN, on_change, t);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(t->uplink_io, true);
	if (r >= 0)
		(void)TAKE_FD(fd);
	return r;
}

static int listen_clock(struct tunnel *t)
{
	_cleanup_(closep) int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	int r = fd < 0 ? -errno : set_far_away(fd);

	if (r >= 0)
		r = sd_event_add_io(t->manager->event, &t->uplink_clock, fd, EPOLLIN, on_clock, t);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(t->uplink_clock, true);
	if (r >= 0)
		(void)TAKE_FD(fd);
	return r;
}

void tunnel_uplink_start(struct tunnel *t, const struct inaddr *to)
{
	int r = 0;

	if (!t->uplink_io) {
		t->uplink_asleep = asleep_now();
		r = listen_way(t);
		if (r >= 0)
			r = listen_clock(t);
		if (r < 0) {
			tunnel_uplink_stop(t);
			(void)log_warning_errno(r, "%s: cannot watch this machine's network; the keepalive will notice changes: %m",
						t->name);
			return;
		}
	}
	t->uplink_to = *to;
	t->uplink_way = (struct uplink_way){ 0 };
	t->uplink_lost = !inaddr_is_set(to) || tunnelnet_way(t->net, to, &t->uplink_way) < 0;
}

void tunnel_uplink_stop(struct tunnel *t)
{
	t->uplink_io = sd_event_source_disable_unref(t->uplink_io);
	t->uplink_timer = sd_event_source_disable_unref(t->uplink_timer);
	t->uplink_clock = sd_event_source_disable_unref(t->uplink_clock);
	t->uplink_moved = 0;
}
