/* The system bus; theory in system-bus.h. */
#include "daemon/system-bus.h"

#include "base/bus-api.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/polkit.h"
#include "daemon/sender.h"
#include "daemon/tunnel-bus.h"
#include "daemon/tunnel.h"

#define WAITING_MAX 512
#define WAITING_PER_SENDER 64
#define RETRY (1 * USEC_PER_SEC)
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define ACTION_OF_PROPERTIES "org.nsvpn1.inspect"

/* A call of somebody whom the bus has not introduced yet. */
struct waiting {
	struct waiting *next;
	sd_bus_message *message;
};

struct system_bus {
	sd_event *event;
	struct bus_context context;
	sd_bus *bus; /* NULL: away */
	struct senders *senders;
	struct polkit *polkit;
	struct waiting *waiting; /* oldest first */
	sd_bus_slot *leaving;
	sd_event_source *retry;
	const struct system_bus_events *events;
	void *userdata;
};

/* ---- senders ----------------------------------------------------------------------------------------------------------- */

static const struct sender *sender_of(void *userdata, sd_bus_message *m)
{
	const struct system_bus *s = userdata;

	return s->senders ? senders_get(s->senders, sd_bus_message_get_sender(m)) : NULL;
}

static int authorise(void *userdata, sd_bus_message *m, const char *action, const char *tunnel, sd_bus_error *error)
{
	struct system_bus *s = userdata;
	const struct sender *who = sender_of(s, m);

	if (!who)
		return sd_bus_error_set(error, BUS_ERROR_DENIED, "it is not known who you are, so nothing is done for you");
	return who->uid == 0 ? 1 : polkit_check(s->polkit, m, who->uid, action, tunnel, error);
}

static struct waiting *waiting_take(struct waiting **p)
{
	struct waiting *w = *p;

	*p = w->next;
	return w;
}

static void waiting_free(struct waiting *w)
{
	sd_bus_message_unref(w->message);
	free(w);
}

static void refuse_unknown(sd_bus_message *m)
{
	/* A sender that has gone needs no answer. */
	(void)sd_bus_reply_method_errorf(m, BUS_ERROR_DENIED, "the bus does not say who you are, so nothing is done for you");
}

static void on_known(void *userdata, const char *name, const struct sender *who)
{
	struct system_bus *s = userdata;
	struct waiting **p = &s->waiting;

	while (*p) {
		struct waiting *w;

		if (!str_eq(sd_bus_message_get_sender((*p)->message), name)) {
			p = &(*p)->next;
			continue;
		}
		w = waiting_take(p);
		if (!who || sd_bus_enqueue_for_read(s->bus, w->message) < 0)
			refuse_unknown(w->message);
		waiting_free(w);
	}
	s->events->activity(s->userdata);
}

static void on_gone(void *userdata, const char *name)
{
	struct system_bus *s = userdata;

	for (struct waiting **p = &s->waiting; *p;) {
		if (str_eq(sd_bus_message_get_sender((*p)->message), name))
			waiting_free(waiting_take(p));
		else
			p = &(*p)->next;
	}
	polkit_forget(s->polkit, name);
	s->events->activity(s->userdata);
}

static const struct senders_events senders_events = { .known = on_known, .gone = on_gone };

static int hold(struct system_bus *s, sd_bus_message *m, sd_bus_error *error)
{
	struct waiting **tail = &s->waiting, *w;
	const char *sender = sd_bus_message_get_sender(m);
	unsigned n = 0, senders = 0;
	int r;

	for (; *tail; tail = &(*tail)->next) {
		n++;
		senders += str_eq(sd_bus_message_get_sender((*tail)->message), sender);
	}
	if (n >= WAITING_MAX || senders >= WAITING_PER_SENDER)
		return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "too many calls at a time; try again");
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->message = sd_bus_message_ref(m);
	*tail = w;
	r = senders_ask(s->senders, sender);
	if (r < 0) {
		waiting_free(waiting_take(tail));
		return sd_bus_error_set(error, BUS_ERROR_DENIED, "the bus cannot be asked who you are; try again");
	}
	return 1;
}

/* ---- the filter --------------------------------------------------------------------------------------------------------- */

/* Get and GetAll of a tunnel. Whether it is the sender's to see comes later, in tunnel-bus.c. */
static int check_properties(struct system_bus *s, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_(freep) char *name = NULL;
	int r;

	if (sd_bus_path_decode(sd_bus_message_get_path(m), BUS_PATH_TUNNEL_PREFIX, &name) < 0)
		return -ENOMEM;
	r = authorise(s, m, ACTION_OF_PROPERTIES, name, error);
	return r > 0 ? 0 : r < 0 ? r : 1;
}

/* 0: on to the objects; 1: waits; < 0: refused, with error. */
static int filter_call(struct system_bus *s, sd_bus_message *m, sd_bus_error *error)
{
	const char *interface = sd_bus_message_get_interface(m);

	if (interface && str_eq(interface, "org.freedesktop.DBus.Peer"))
		return 0;
	if (!sd_bus_message_get_sender(m))
		return sd_bus_error_set(error, BUS_ERROR_DENIED, "a call without a sender is not served");
	if (!sender_of(s, m))
		return hold(s, m, error);
	polkit_dispatching(s->polkit, m);
	return interface && str_eq(interface, PROPERTIES) ? check_properties(s, m, error) : 0;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_)
{
	struct system_bus *s = userdata;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	uint8_t type = 0;
	int r;

	if (sd_bus_message_get_type(m, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
		return 0;
	s->events->activity(s->userdata);
	r = filter_call(s, m, &error);
	if (r < 0) { /* a sender that has gone needs no answer */
		if (sd_bus_error_is_set(&error))
			(void)sd_bus_reply_method_error(m, &error);
		else
			(void)sd_bus_reply_method_errno(m, r, NULL);
	}
	sd_bus_error_free(&error);
	return r != 0;
}

/* ---- the connection ------------------------------------------------------------------------------------------------------ */

static void let_go(struct system_bus *s)
{
	s->leaving = sd_bus_slot_unref(s->leaving);
	while (s->waiting)
		waiting_free(waiting_take(&s->waiting));
	s->polkit = polkit_free(s->polkit);
	s->senders = senders_free(s->senders);
	s->bus = sd_bus_close_unref(s->bus);
}

static int on_retry(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata);

static void retry_later(struct system_bus *s)
{
	int r;

	s->retry = sd_event_source_disable_unref(s->retry);
	r = sd_event_add_time_relative(s->event, &s->retry, CLOCK_BOOTTIME, RETRY, 0, on_retry, s);
	if (r < 0)
		(void)log_error_errno(r, "the system bus will not be looked for again: %m");
}

static int on_retry(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata)
{
	struct system_bus *s = userdata;
	_cleanup_(freep) char *why = NULL;

	if (system_bus_open(s, &why) < 0)
		retry_later(s);
	else
		log_notice("the system bus is back");
	return 0;
}

static int on_disconnected(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_)
{
	struct system_bus *s = userdata;

	log_warning("the system bus is gone; tunnels and locks stay as they are until it is back");
	let_go(s);
	retry_later(s);
	s->events->activity(s->userdata);
	return 0;
}

int system_bus_attach(struct system_bus *s, sd_bus *bus)
{
	int r;

	s->bus = sd_bus_ref(bus);
	r = senders_new(&s->senders, bus, &senders_events, s);
	if (r >= 0)
		r = polkit_new(&s->polkit, bus);
	if (r >= 0)
		r = sd_bus_set_exit_on_disconnect(bus, 0);
	if (r >= 0)
		r = sd_bus_add_filter(bus, NULL, on_message, s);
	if (r >= 0)
		r = manager_bus_add(bus, &s->context);
	if (r >= 0)
		r = tunnel_bus_add(bus, &s->context);
	if (r >= 0)
		r = sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
					"Disconnected", on_disconnected, s);
	if (r >= 0)
		r = sd_bus_attach_event(bus, s->event, SD_EVENT_PRIORITY_NORMAL);
	if (r < 0)
		let_go(s);
	return r < 0 ? r : 0;
}

int system_bus_open(struct system_bus *s, char **ret_error)
{
	sd_bus *bus = NULL;
	int r;

	r = sd_bus_open_system_with_description(&bus, "nsvpnd");
	if (r >= 0)
		r = system_bus_attach(s, bus);
	sd_bus_unref(bus);
	if (r < 0) {
		*ret_error = str_format("cannot use the system bus (%s); check that dbus runs, or work as root without the "
					"service: `sudo nsvpn up` starts a helper of its own",
					strerror(-r));
		return r;
	}
	/* After the objects: who waits for the name calls the moment it appears. */
	r = sd_bus_request_name(s->bus, BUS_NAME, 0);
	if (r >= 0)
		return 0;
	*ret_error = r == -EEXIST ? strdup("another nsvpnd has the name " BUS_NAME " on the system bus; stop that one first") :
				    str_format("the system bus does not give us the name " BUS_NAME " (%s); install nsvpn's bus "
					       "policy org.nsvpn1.conf and reload dbus",
					       strerror(-r));
	let_go(s);
	return r;
}

static int on_released(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_)
{
	struct system_bus *s = userdata;

	s->leaving = sd_bus_slot_unref(s->leaving);
	s->events->left(s->userdata);
	return 0;
}

int system_bus_leave(struct system_bus *s)
{
	int r;

	if (s->leaving)
		return -EALREADY;
	r = s->bus ? sd_bus_release_name_async(s->bus, &s->leaving, BUS_NAME, on_released, s) : -ENOTCONN;
	return r < 0 ? r : 0;
}

void system_bus_call_successor(struct system_bus *s)
{
	if (!s->bus)
		return;
	/* The service manager starts it when we have ended; a caller starts it as well if this is lost. */
	(void)sd_bus_call_method_async(s->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
				       "StartServiceByName", NULL, NULL, "su", BUS_NAME, 0);
	(void)sd_bus_flush(s->bus);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------- */

int system_bus_new(struct system_bus **ret, sd_event *event, struct manager *m, const struct system_bus_events *events,
		   void *userdata)
{
	struct system_bus *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->event = sd_event_ref(event);
	s->context = (struct bus_context){ .manager = m, .authorise = authorise, .sender = sender_of, .userdata = s };
	s->events = events;
	s->userdata = userdata;
	*ret = s;
	return 0;
}

struct system_bus *system_bus_free(struct system_bus *s)
{
	if (!s)
		return NULL;
	if (s->bus)
		(void)sd_bus_flush(s->bus); /* last answers */
	let_go(s);
	sd_event_source_disable_unref(s->retry);
	sd_event_unref(s->event);
	free(s);
	return NULL;
}

void system_bus_emit(struct system_bus *s, const struct tunnel *t, char *const *properties)
{
	if (s->bus)
		(void)tunnel_bus_emit(s->bus, t, properties); /* a bus that has just gone is noticed by on_disconnected() */
}

bool system_bus_is_busy(const struct system_bus *s)
{
	return s->waiting || (s->polkit && polkit_is_busy(s->polkit));
}

struct polkit *system_bus_polkit(struct system_bus *s)
{
	return s->polkit;
}
