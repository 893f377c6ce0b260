/*
 * The engine's loop: what happens when the transport socket, the tun or the timer wants something.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/engine-parts.h"

#define STARVED_WAIT (1 * USEC_PER_MSEC)

/* ---- timer and readiness -------------------------------------------------------------------------------------------- */

/*
 * The keepalive deadline moves with every packet. The timer is therefore moved only when it would fire too late: firing
 * early costs one wake-up per interval, moving it would cost a system call per batch.
 */
void engine_arm(struct engine *e, usec_t now)
{
	usec_t next = USEC_INFINITY;

	if (e->phase == PHASE_WAITING)
		next = e->try_at;
	if (e->phase == PHASE_CONNECT || e->phase == PHASE_PROXY)
		next = e->connect_until;
	if (engine_asked_for(e->phase))
		next = e->patience.until;
	if (e->phase == PHASE_QUESTION)
		next = e->login.until;
	if (e->proto)
		next = MIN(next, e->proto->ops->deadline(e->proto));
	if (e->datapath.starved)
		next = MIN(next, now + STARVED_WAIT);
	if (next == e->armed || (e->armed > now && e->armed <= next))
		return;
	e->armed = next;
	(void)sd_event_source_set_time(e->timer, next); /* fails for dead sources only */
	(void)sd_event_source_set_enabled(e->timer, next == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* While the socket is connecting or full its writability is waited for; while it is full the tun is not read. */
static void update_interest(struct engine *e)
{
	bool out = e->phase == PHASE_CONNECT || way_wants_out(e) || (e->datapath.blocked && !e->datapath.starved);
	bool pause = e->datapath.blocked;

	if (e->wire_source && out != e->wire_wants_out) {
		e->wire_wants_out = out;
		(void)sd_event_source_set_io_events(e->wire_source, EPOLLIN | (out ? EPOLLOUT : 0));
	}
	if (e->tun_source && pause != e->tun_paused) {
		e->tun_paused = pause;
		(void)sd_event_source_set_io_events(e->tun_source, pause ? 0 : EPOLLIN);
	}
}

/* ---- after each input ----------------------------------------------------------------------------------------------- */

void engine_settle(struct engine *e, usec_t now)
{
	int error;

	if (e->proto && e->proto->ops->deadline(e->proto) <= now)
		e->proto->ops->tick(e->proto, now);
	engine_pump_events(e, now);
	(void)engine_pump_wire(e, now); /* what is left out is sent again by the protocol */
	if (e->datapath.heard) {
		e->datapath.heard = false;
		e->refused = 0;
	}
	error = datapath_take_error(&e->datapath);
	if (error < 0 && error != -EMSGSIZE && e->proto && e->phase != PHASE_ENDING)
		engine_on_socket_error(e, error, now);
	if (e->phase == PHASE_ENDING)
		return;
	update_interest(e);
	engine_arm(e, now);
}

static void move_from_tun(struct engine *e, usec_t now)
{
	int r;

	if (e->datapath.blocked)
		return;
	r = datapath_from_tun(&e->datapath, now);
	if (r < 0 && e->phase != PHASE_ENDING) {
		char text[128];

		(void)snprintf(text, sizeof(text), "the tun device is gone (%s)", strerror(-r));
		engine_give_up(e, FAIL_INTERNAL, text);
	}
}

int engine_on_wire(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct engine *e = userdata;
	usec_t now = engine_now(e);

	(void)source;
	(void)fd;
	if (e->phase == PHASE_ENDING || !e->proto)
		return 0;
	if (e->phase == PHASE_CONNECT) {
		engine_on_connected(e, now);
		engine_settle(e, now);
		return 0;
	}
	if (e->phase == PHASE_PROXY) {
		way_on_wire(e, now);
		engine_settle(e, now);
		return 0;
	}
	if (revents & EPOLLOUT) {
		datapath_resume(&e->datapath);
		move_from_tun(e, now);
	}
	if ((revents & ~(uint32_t)EPOLLOUT) && e->phase != PHASE_ENDING) {
		usec_t wait = moderation_wait(&e->moderation, now);

		if (wait > 0)
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = (long)wait * 1000 }, NULL);
		/* errors are taken by settle() */
		moderation_note(&e->moderation, now, datapath_from_wire(&e->datapath, now));
	}
	engine_settle(e, now);
	return 0;
}

int engine_on_tun(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct engine *e = userdata;
	usec_t now = engine_now(e);

	(void)source;
	(void)fd;
	(void)revents;
	if (e->phase == PHASE_ENDING)
		return 0;
	move_from_tun(e, now);
	engine_settle(e, now);
	return 0;
}

int engine_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct engine *e = userdata;
	usec_t now = engine_now(e);

	(void)source;
	(void)usec;
	e->armed = USEC_INFINITY;
	if (e->phase == PHASE_ENDING)
		return 0;
	engine_check_patience(e, now);
	login_check_patience(e, now);
	if (e->phase == PHASE_ENDING)
		return 0;
	if (e->phase == PHASE_WAITING && now >= e->try_at)
		engine_begin_try(e);
	if ((e->phase == PHASE_CONNECT || e->phase == PHASE_PROXY) && now >= e->connect_until)
		engine_on_connect_timeout(e, now);
	if (e->datapath.starved) {
		datapath_resume(&e->datapath);
		move_from_tun(e, now);
	}
	engine_settle(e, now);
	return 0;
}
