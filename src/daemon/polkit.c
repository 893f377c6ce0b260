/* polkit; theory in polkit.h. */
#include "daemon/polkit.h"

#include "base/bus-api.h"
#include "base/log.h"
#include "base/str.h"

#define POLKIT "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_IFACE "org.freedesktop.PolicyKit1.Authority"
#define ALLOW_INTERACTION 1U

/* A message may hold sixteen descriptors. */
#define REQUESTS_MAX 1024
#define REQUESTS_PER_USER 320
#define REQUESTS_PER_SENDER 16
/* The bus daemon lets a connection wait for 128 answers, those of the service manager included. */
#define ASKED_MAX 64
#define ASKED_PER_USER 16
#define ASKED_OF_PEOPLE_PER_USER 4
#define PATIENCE (10 * USEC_PER_SEC)
#define PATIENCE_WITH_PEOPLE (120 * USEC_PER_SEC)

enum decision { DECISION_OPEN, DECISION_YES, DECISION_NO };

struct request {
	struct request *next;
	struct polkit *owner;
	sd_bus_message *message; /* NULL: its sender has gone, and polkit's answer, which nobody reads, is still due */
	const char *action;      /* static */
	char *tunnel;       /* or NULL */
	uint64_t id;
	uid_t uid;
	bool interactive;
	sd_bus_slot *slot;  /* NULL with DECISION_OPEN: its turn has not come */
	enum decision decision;
	const char *error_name; /* DECISION_NO: NULL means BUS_ERROR_DENIED */
	char *why;              /* DECISION_NO; NULL without memory */
};

struct polkit {
	sd_bus *bus; /* borrowed */
	struct request *requests;
	struct request *current; /* decided, of the message that is being dispatched */
	uint64_t last_id;
	usec_t patience;
};

static void unlink_request(struct request *q)
{
	for (struct request **p = &q->owner->requests; *p; p = &(*p)->next) {
		if (*p == q) {
			*p = q->next;
			break;
		}
	}
}

static void request_free(struct request *q)
{
	if (!q)
		return;
	unlink_request(q);
	sd_bus_slot_unref(q->slot);
	sd_bus_message_unref(q->message);
	free(q->tunnel);
	free(q->why);
	free(q);
}

static void format_id(const struct request *q, char buf[static 40])
{
	(void)snprintf(buf, 40, "nsvpn-%llu", (unsigned long long)q->id); /* fits */
}

/* polkit takes the dialogue away. Nobody waits for its answer. */
static void withdraw(const struct request *q)
{
	char id[40];

	if (q->decision != DECISION_OPEN || !q->slot)
		return;
	format_id(q, id);
	(void)sd_bus_call_method_async(q->owner->bus, NULL, POLKIT, POLKIT_PATH, POLKIT_IFACE, "CancelCheckAuthorization", NULL,
				       NULL, "s", id);
}

/* ---- the answer ------------------------------------------------------------------------------------------------------- */

struct verdict {
	int authorised, challenge; /* sd-bus' booleans */
	bool dismissed;
};

static int read_verdict(sd_bus_message *m, struct verdict *v)
{
	const char *key, *value;
	int r;

	r = sd_bus_message_enter_container(m, 'r', "bba{ss}");
	if (r >= 0)
		r = sd_bus_message_read(m, "bb", &v->authorised, &v->challenge);
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "{ss}");
	while (r >= 0 && (r = sd_bus_message_read(m, "{ss}", &key, &value)) > 0)
		if (str_eq(key, "polkit.dismissed"))
			v->dismissed = true;
	return r;
}

/* The bus daemon or the service manager answered in polkit's place: it is installed and cannot be started. */
static bool could_not_start(const sd_bus_error *e)
{
	return sd_bus_error_has_name(e, "org.freedesktop.DBus.Error.TimedOut") ||
	       (e->name && (str_has_prefix(e->name, "org.freedesktop.DBus.Error.Spawn.") ||
			    str_has_prefix(e->name, "org.freedesktop.systemd1.")));
}

static char *sentence_of_error(const struct request *q, const sd_bus_error *e)
{
	bool silent = sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT) ||
		      sd_bus_error_get_errno(e) == ETIMEDOUT;

	if (sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) || sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
		return str_format("permission for %s cannot be checked because polkit is not there, so only root may; use sudo, or "
				  "install polkit",
				  q->action);
	if (could_not_start(e))
		return str_format("permission for %s cannot be checked because polkit does not start, so only root may; use sudo, "
				  "or see what 'systemctl status polkit' says",
				  q->action);
	if (silent && q->interactive)
		return str_format("nobody confirmed %s in time; try again, or use sudo", q->action);
	if (silent)
		return str_format("permission for %s cannot be checked because polkit does not answer, so only root may; use sudo, "
				  "or see what 'systemctl status polkit' says",
				  q->action);
	return str_format("permission for %s cannot be checked (polkit: %s), so only root may; use sudo", q->action,
			  e->name ? e->name : "unknown error");
}

static char *sentence_of_verdict(const struct request *q, const struct verdict *v)
{
	if (v->dismissed)
		return str_format("the question for permission (%s) was closed without a password", q->action);
	if (v->challenge)
		return str_format("%s needs a password here and there is nobody who could be asked for one; run the command in a "
				  "terminal or on the desktop, use sudo, or ask the administrator to add you to group nsvpn",
				  q->action);
	return str_format("polkit's rules do not allow you %s; ask the administrator to add you to group nsvpn, or use sudo",
			  q->action);
}

/* Back through the door, or straight to the sender where that cannot be. */
static void dispatch_again(struct request *q)
{
	int r = sd_bus_enqueue_for_read(q->owner->bus, q->message);

	if (r >= 0)
		return;
	(void)log_warning_errno(r, "a call cannot be taken up again: %m");
	(void)sd_bus_reply_method_errno(q->message, r, NULL); /* a sender that has gone needs no answer */
	request_free(q);
}

static void ask_next(struct polkit *p);

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error _unused_)
{
	struct request *q = userdata;
	struct polkit *p = q->owner;
	const sd_bus_error *failed = sd_bus_message_get_error(reply);
	struct verdict v = { 0 };

	if (!q->message) {
		request_free(q);
		ask_next(p);
		return 0;
	}
	if (failed)
		withdraw(q);
	q->slot = sd_bus_slot_unref(q->slot);
	if (failed) {
		q->why = sentence_of_error(q, failed);
		q->decision = DECISION_NO;
	} else if (read_verdict(reply, &v) < 0) {
		q->why = str_format("permission for %s cannot be checked: polkit's answer is not understood; use sudo", q->action);
		q->decision = DECISION_NO;
	} else if (v.authorised) {
		q->decision = DECISION_YES;
	} else {
		q->why = sentence_of_verdict(q, &v);
		if (v.challenge && !q->interactive)
			q->error_name = SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED;
		q->decision = DECISION_NO;
	}
	dispatch_again(q);
	ask_next(p);
	return 0;
}

/* ---- the question ------------------------------------------------------------------------------------------------------ */

/* CheckAuthorization((sa{sv}) subject, s action, a{ss} details, u flags, s cancellation id) */
static int ask(struct request *q)
{
	struct polkit *p = q->owner;
	sd_bus_message *m = NULL;
	char id[40];
	int r;

	format_id(q, id);
	r = sd_bus_message_new_method_call(p->bus, &m, POLKIT, POLKIT_PATH, POLKIT_IFACE, "CheckAuthorization");
	if (r >= 0)
		r = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s",
					  sd_bus_message_get_sender(q->message), q->action);
	if (r >= 0)
		r = q->tunnel ? sd_bus_message_append(m, "a{ss}", 1, "tunnel", q->tunnel) : sd_bus_message_append(m, "a{ss}", 0);
	if (r >= 0)
		r = sd_bus_message_append(m, "us", q->interactive ? ALLOW_INTERACTION : 0, id);
	if (r >= 0)
		r = sd_bus_call_async(p->bus, &q->slot, m, on_answer, q, q->interactive ? PATIENCE_WITH_PEOPLE : p->patience);
	sd_bus_message_unref(m);
	return r;
}

static char *sentence_of_errno(const struct request *q, int r)
{
	return str_format("permission for %s cannot be checked (%s), so only root may; use sudo", q->action, strerror(-r));
}

static bool is_its_turn(const struct request *q)
{
	unsigned all = 0, of_user = 0, of_people = 0;

	for (const struct request *o = q->owner->requests; o; o = o->next) {
		if (!o->slot)
			continue;
		all++;
		of_user += o->uid == q->uid;
		of_people += o->uid == q->uid && o->interactive;
	}
	return all < ASKED_MAX && of_user < ASKED_PER_USER && (!q->interactive || of_people < ASKED_OF_PEOPLE_PER_USER);
}

/* The oldest of those whose turn it is, and again until there is none. */
static void ask_next(struct polkit *p)
{
	for (;;) {
		struct request *first = NULL;
		int r;

		for (struct request *q = p->requests; q; q = q->next)
			if (q->decision == DECISION_OPEN && !q->slot && (!first || q->id < first->id) && is_its_turn(q))
				first = q;
		if (!first)
			return;
		r = ask(first);
		if (r >= 0)
			continue;
		first->why = sentence_of_errno(first, r);
		first->decision = DECISION_NO;
		dispatch_again(first);
	}
}

static bool is_from(const struct request *q, const char *sender)
{
	return q->message && str_eq(sd_bus_message_get_sender(q->message), sender);
}

static struct request *find(const struct polkit *p, const sd_bus_message *m)
{
	for (struct request *q = p->requests; q; q = q->next)
		if (q->message == m)
			return q;
	return NULL;
}

static bool has_too_many(const struct polkit *p, const char *sender, uid_t uid)
{
	unsigned of_sender = 0, of_user = 0, all = 0;

	for (const struct request *q = p->requests; q; q = q->next) {
		all++;
		of_user += q->uid == uid;
		of_sender += is_from(q, sender);
	}
	return of_sender >= REQUESTS_PER_SENDER || of_user >= REQUESTS_PER_USER || all >= REQUESTS_MAX;
}

static void forget_current(struct polkit *p)
{
	request_free(p->current);
	p->current = NULL;
}

void polkit_dispatching(struct polkit *p, sd_bus_message *m)
{
	struct request *q = find(p, m);

	forget_current(p);
	if (!q || q->decision == DECISION_OPEN)
		return;
	unlink_request(q);
	p->current = q;
}

/* A yes for one thing is not a yes for another. */
static int use_decision(struct polkit *p, const char *action, sd_bus_error *error)
{
	const struct request *q = p->current;
	bool yes = q->decision == DECISION_YES && str_eq(q->action, action);

	if (!yes) /* the return value only repeats the error */
		(void)sd_bus_error_set(error, q->error_name ? q->error_name : BUS_ERROR_DENIED,
				       q->why ? q->why : "permission cannot be checked");
	forget_current(p);
	return yes ? 1 : -EACCES;
}

static struct request *request_new(struct polkit *p, sd_bus_message *m, uid_t uid, const char *action, const char *tunnel)
{
	struct request *q = calloc(1, sizeof(*q));
	char *copy = tunnel ? strdup(tunnel) : NULL;

	if (!q || (tunnel && !copy)) {
		free(q);
		free(copy);
		return NULL;
	}
	*q = (struct request){
		.next = p->requests,
		.owner = p,
		.message = sd_bus_message_ref(m),
		.action = action,
		.tunnel = copy,
		.id = ++p->last_id,
		.uid = uid,
		.interactive = sd_bus_message_get_allow_interactive_authorization(m) > 0,
	};
	p->requests = q;
	return q;
}

int polkit_check(struct polkit *p, sd_bus_message *m, uid_t uid, const char *action, const char *tunnel, sd_bus_error *error)
{
	_cleanup_(freep) char *why = NULL;
	const char *sender = sd_bus_message_get_sender(m);
	struct request *q;
	int r;

	if (p->current && p->current->message == m)
		return use_decision(p, action, error);
	if (find(p, m))
		return 0; /* still open */
	if (!sender)
		return sd_bus_error_set(error, BUS_ERROR_DENIED, "a call without a sender is not served");
	if (has_too_many(p, sender, uid))
		return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
					"too many of your calls wait for permission; try again when some of them are answered");
	q = request_new(p, m, uid, action, tunnel);
	if (!q)
		return -ENOMEM;
	r = is_its_turn(q) ? ask(q) : 0;
	if (r >= 0)
		return 0;
	why = sentence_of_errno(q, r);
	request_free(q);
	return sd_bus_error_set(error, BUS_ERROR_DENIED, why ? why : "permission cannot be checked");
}

void polkit_forget(struct polkit *p, const char *sender)
{
	struct request *next;

	for (struct request *q = p->requests; q; q = next) {
		next = q->next;
		if (!is_from(q, sender))
			continue;
		withdraw(q);
		if (q->decision != DECISION_OPEN)
			q->decision = DECISION_NO; /* in the queue already: it must find a "no" there, not a new question */
		else if (q->slot)
			q->message = sd_bus_message_unref(q->message); /* the bus counts it until polkit answers, so we do */
		else
			request_free(q);
	}
	ask_next(p);
}

bool polkit_is_busy(const struct polkit *p)
{
	return p->requests;
}

void polkit_set_patience(struct polkit *p, usec_t patience)
{
	p->patience = patience;
}

int polkit_new(struct polkit **ret, sd_bus *bus)
{
	struct polkit *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->bus = bus;
	p->patience = PATIENCE;
	*ret = p;
	return 0;
}

struct polkit *polkit_free(struct polkit *p)
{
	if (!p)
		return NULL;
	forget_current(p);
	while (p->requests)
		request_free(p->requests);
	free(p);
	return NULL;
}
