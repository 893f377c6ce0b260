/*
 * Holds nsvpn@NAME.service active while the tunnel is locked.
 *
 * Theory. The unit tells everybody who is bound to it whether the tunnel is there, and PID 1's copy of the namespace, which
 * JoinsNamespaceOf= hands on, is this unit's. So its process is in the namespace itself, and asks the kernel, not the helper,
 * whether the lock holds (guard.h): before it says "ready", and every few seconds. The helper is asked for the rest: is it
 * connected, was it taken down. A helper that is gone for a moment (restart, upgrade, crash) or a bus that is changes
 * nothing: the lock is the kernel's. What ends this process:
 *
 *   SIGTERM         the unit is stopped; those bound to it have been stopped before (After=)
 *   taken down      `nsvpn down`: then those inside are stopped, too, and meanwhile the namespace stays locked for them
 *   failed          before it was ready: the start of the unit fails with the tunnel's own sentence
 *   no lock         for longer than the helper needs to put one back: failure, so that those inside are stopped
 *
 * It never takes anything down itself: that is nsvpn-netns@NAME.service's, which is stopped after it.
 */
#include "cli/unit-hold.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/places.h"
#include "cli/client-system.h"
#include "cli/tunnel-view.h"
#include "launch/guard.h"
#include "profile/profile.h"

#define TICK (5 * USEC_PER_SEC)
#define SOON (500 * USEC_PER_MSEC) /* the bus is away, or something is not as it should be */
#define ANSWER_MAX (2 * USEC_PER_SEC)
#define UNLOCKED_MAX (5 * USEC_PER_SEC)

struct hold {
	const char *tunnel;
	struct client c; /* its bus may be NULL: away */
	bool ready_when_locked;
	bool ready;
	bool dirty;
	usec_t unlocked_since; /* 0: locked */
	char *status;          /* what the service manager was told last */
};

static int on_changed(sd_bus_message *m _unused_, void *userdata, sd_bus_error *e _unused_)
{
	struct hold *h = userdata;

	h->dirty = true;
	return 0;
}

/* ---- telling ---- */

static void tell(struct hold *h, bool ready, char *status)
{
	if (!status)
		return; /* only a text */
	if ((ready && !h->ready) || !h->status || !str_eq(h->status, status))
		(void)sd_notifyf(0, "%sSTATUS=%s", ready && !h->ready ? "READY=1\n" : "", status); /* nobody listens: no unit */
	h->ready |= ready;
	free(h->status);
	h->status = status;
}

static void tell_state(struct hold *h, const struct tunnel_view *v)
{
	const char *state = tunnel_view_state(v);
	bool connected = str_eq(state, "connected"), told = v->last_error && *v->last_error;

	tell(h, connected || h->ready_when_locked,
	     str_format("locked, %s%s%s", state, told && !connected ? ": " : "", told && !connected ? v->last_error : ""));
}

/* ---- looking ---- */

/* Somebody said `nsvpn down`: the helper removes this file first of all. */
static bool is_wanted(const char *tunnel)
{
	_cleanup_(freep) char *path = str_format("%s/%s.intent", place_state(), tunnel);

	return !path || access(path, F_OK) == 0 || errno != ENOENT;
}

enum verdict { VERDICT_STAY, VERDICT_TAKEN_DOWN, VERDICT_FAILED, VERDICT_UNLOCKED };

/* What the kernel says. */
static enum verdict judge_lock(struct hold *h, char **ret_error)
{
	usec_t now = clock_boottime();

	if (guard_verify(h->tunnel, ret_error) == 0) {
		h->unlocked_since = 0;
		return VERDICT_STAY;
	}
	if (h->unlocked_since == 0)
		h->unlocked_since = now;
	if (now - h->unlocked_since > UNLOCKED_MAX)
		return VERDICT_UNLOCKED;
	free(*ret_error);
	*ret_error = NULL;
	return VERDICT_STAY;
}

/* What the helper says. */
static enum verdict judge_state(struct hold *h, const struct tunnel_view *v, char **ret_error)
{
	const char *state = tunnel_view_state(v);

	if (!is_wanted(h->tunnel) || str_eq(state, "stopping"))
		return VERDICT_TAKEN_DOWN;
	if (str_eq(state, "failed") && !h->ready) {
		*ret_error = strdup(v->last_error && *v->last_error ? v->last_error : "it failed; `nsvpn logs` has more");
		return VERDICT_FAILED;
	}
	tell_state(h, v);
	return VERDICT_STAY;
}

static enum verdict look(struct hold *h, char **ret_error)
{
	struct tunnel_view v = { 0 };
	enum verdict verdict = judge_lock(h, ret_error);

	h->dirty = false;
	if (verdict != VERDICT_STAY || h->unlocked_since != 0)
		return verdict;
	/* A question to the helper itself would start one that somebody has stopped. */
	if (h->c.bus && client_system_is_running(h->c.bus, NULL) > 0 && tunnel_view_read(&h->c, h->tunnel, &v, NULL) == 0)
		verdict = judge_state(h, &v, ret_error);
	else if (!is_wanted(h->tunnel))
		verdict = VERDICT_TAKEN_DOWN;
	else
		tell(h, h->ready_when_locked, strdup("locked; the helper nsvpnd does not answer"));
	tunnel_view_done(&v);
	return verdict;
}

/* ---- the bus ---- */

static void disconnect(struct hold *h)
{
	sd_bus_flush_close_unref(h->c.bus);
	h->c.bus = NULL;
}

static void connect_again(struct hold *h)
{
	_cleanup_(freep) char *path = client_tunnel_path(h->tunnel);
	int r;

	if (!path || sd_bus_open_system(&h->c.bus) < 0) {
		h->c.bus = NULL;
		return;
	}
	/* Whether it answers at all must not keep us from looking at the lock. */
	r = sd_bus_set_method_call_timeout(h->c.bus, ANSWER_MAX);
	if (r >= 0)
		r = sd_bus_match_signal(h->c.bus, NULL, NULL, path, "org.freedesktop.DBus.Properties", "PropertiesChanged", on_changed, h);
	if (r >= 0)
		r = sd_bus_match_signal(h->c.bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
					"NameOwnerChanged", on_changed, h);
	if (r < 0)
		disconnect(h);
}

static int load_settings(struct hold *h)
{
	struct tunnel_settings s = { 0 };
	char *error = NULL;
	int r = tunnel_settings_load(h->tunnel, &s, &error);

	if (r < 0)
		return output_fail_take(EXIT_CODE_FAILED, error, "the settings of the tunnel cannot be read");
	h->ready_when_locked = s.ready_when_locked;
	tunnel_settings_done(&s);
	return EXIT_CODE_OK;
}

/* Until a signal comes, a look says so, or the time is over for another look. -EINTR: the signal. */
static int wait_for_more(struct hold *h)
{
	usec_t until = clock_boottime() + (h->c.bus && h->unlocked_since == 0 ? TICK : SOON);
	int r = 0;

	if (!h->c.bus) {
		connect_again(h);
		if (!h->c.bus) {
			sigset_t mask = h->c.old_mask;
			struct timespec ts = { .tv_nsec = SOON * 1000L };

			return ppoll(NULL, 0, &ts, &mask) < 0 ? -errno : 0;
		}
		return 0;
	}
	while (!h->dirty && (r = client_wait(&h->c, until)) == 0)
		;
	if (r < 0 && r != -EINTR && r != -ETIME)
		disconnect(h);
	return r == -EINTR ? r : 0;
}

static int finish(const struct hold *h, enum verdict verdict, char *error)
{
	switch (verdict) {
	case VERDICT_STAY:
		return EXIT_CODE_OK;
	case VERDICT_TAKEN_DOWN:
		if (h->ready) {
			log_notice("tunnel %s was taken down; the services in it are stopped", h->tunnel);
			return EXIT_CODE_OK;
		}
		return output_fail(EXIT_CODE_NOT_UP, "tunnel %s was taken down while it was connecting", h->tunnel);
	case VERDICT_FAILED:
		return output_fail(EXIT_CODE_FAILED, "tunnel %s: %s", h->tunnel, error ? error : "failed");
	case VERDICT_UNLOCKED:
		return output_fail(EXIT_CODE_FAILED, "%s; the services in it are stopped", error ? error : "the tunnel is not locked");
	}
	return EXIT_CODE_FAILED;
}

int unit_hold(const char *tunnel)
{
	struct hold h = { .tunnel = tunnel };
	enum verdict verdict = VERDICT_STAY;
	char *error = NULL;
	int r;

	if (guard_verify(tunnel, &error) < 0)
		return output_fail_take(EXIT_CODE_FAILED, error, "out of memory");
	r = load_settings(&h);
	if (r != EXIT_CODE_OK)
		return r;
	client_catch(&h.c);
	connect_again(&h);
	while (verdict == VERDICT_STAY) {
		verdict = look(&h, &error);
		if (verdict == VERDICT_STAY && wait_for_more(&h) == -EINTR)
			break;
	}
	(void)sd_notify(0, "STOPPING=1"); /* nobody listens: no unit */
	r = finish(&h, verdict, error);
	client_release(&h.c);
	disconnect(&h);
	free(h.status);
	free(error);
	return r;
}
