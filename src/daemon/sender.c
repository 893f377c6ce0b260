/* Senders on the bus; theory in sender.h. */
#include "daemon/sender.h"

#include "base/str.h"

#define SENDERS_MAX 1024
#define GROUPS_MAX 65536 /* the kernel's NGROUPS_MAX */
#define ASK_TIMEOUT (10 * USEC_PER_SEC)

#define DBUS "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"

struct entry {
	struct entry *next;
	struct senders *owner;
	char *name;
	bool is_known;
	struct sender who;
	sd_bus_slot *ask, *watch;
};

struct senders {
	sd_bus *bus; /* borrowed: the owner frees us before the connection */
	struct entry *entries;
	size_t n;
	const struct senders_events *events;
	void *userdata;
};

static void entry_free(struct entry *e)
{
	for (struct entry **p = &e->owner->entries; *p; p = &(*p)->next) {
		if (*p == e) {
			*p = e->next;
			e->owner->n--;
			break;
		}
	}
	sd_bus_slot_unref(e->ask);
	sd_bus_slot_unref(e->watch);
	free(e->who.groups);
	free(e->name);
	free(e);
}

static struct entry *find(const struct senders *s, const char *name)
{
	for (struct entry *e = s->entries; e; e = e->next)
		if (str_eq(e->name, name))
			return e;
	return NULL;
}

const struct sender *senders_get(const struct senders *s, const char *name)
{
	const struct entry *e = name ? find(s, name) : NULL;

	return e && e->is_known ? &e->who : NULL;
}

/* ---- the answer ------------------------------------------------------------------------------------------------------- */

static int read_groups(sd_bus_message *m, struct sender *who)
{
	const void *v;
	size_t len;
	int r;

	r = sd_bus_message_enter_container(m, 'v', "au");
	if (r >= 0)
		r = sd_bus_message_read_array(m, 'u', &v, &len);
	if (r < 0)
		return r;
	if (len / sizeof(uint32_t) > GROUPS_MAX)
		return -EBADMSG;
	free(who->groups); /* a key that comes twice: the last one counts */
	who->groups = NULL;
	who->n_groups = 0;
	if (len) {
		who->groups = malloc(len);
		if (!who->groups)
			return -ENOMEM;
		memcpy(who->groups, v, len);
		who->n_groups = len / sizeof(gid_t);
	}
	return sd_bus_message_exit_container(m);
}

static int read_entry(sd_bus_message *m, struct sender *who, bool *has_uid)
{
	const char *key;
	uint32_t number;
	int r;

	r = sd_bus_message_read_basic(m, 's', &key);
	if (r < 0)
		return r;
	if (str_eq(key, "UnixGroupIDs"))
		return read_groups(m, who);
	if (!str_eq(key, "UnixUserID") && !str_eq(key, "ProcessID"))
		return sd_bus_message_skip(m, "v");
	r = sd_bus_message_read(m, "v", "u", &number);
	if (r < 0)
		return r;
	if (str_eq(key, "UnixUserID")) {
		who->uid = number;
		*has_uid = number != UINT32_MAX; /* "nobody in particular" to the kernel */
	} else {
		who->pid = (pid_t)number;
	}
	return 0;
}

int sender_parse(sd_bus_message *reply, struct sender *ret)
{
	struct sender who = { .uid = (uid_t)-1 };
	bool has_uid = false;
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		r = read_entry(reply, &who, &has_uid);
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	if (r >= 0 && !has_uid)
		r = -EBADMSG;
	if (r < 0) {
		free(who.groups);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	*ret = who;
	return 0;
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error _unused_)
{
	struct entry *e = userdata;
	struct senders *s = e->owner;
	_cleanup_(freep) char *name = strdup(e->name);

	e->ask = sd_bus_slot_unref(e->ask);
	if (sd_bus_message_is_method_error(reply, NULL) || sender_parse(reply, &e->who) < 0) {
		entry_free(e);
		if (name)
			s->events->known(s->userdata, name, NULL);
		return 0;
	}
	e->is_known = true;
	s->events->known(s->userdata, e->name, &e->who);
	return 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_)
{
	struct entry *e = userdata;
	struct senders *s = e->owner;
	const char *name, *old, *now;

	if (sd_bus_message_read(m, "sss", &name, &old, &now) < 0 || !str_eq(name, e->name) || *now)
		return 0;
	entry_free(e);
	s->events->gone(s->userdata, name); /* the message holds the name */
	return 0;
}

/* ---- asking ------------------------------------------------------------------------------------------------------------ */

/* A unique name holds no character that would need quoting in a match rule. */
static bool is_unique_name(const char *name)
{
	return name[0] == ':' && name[strspn(name, ":.0123456789_-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

/* First the match, then the question: a sender that leaves in between makes the question fail. */
static int begin(struct entry *e)
{
	struct senders *s = e->owner;
	_cleanup_(freep) char *rule =
		str_format("type='signal',sender='" DBUS "',path='" DBUS_PATH "',interface='" DBUS
			   "',member='NameOwnerChanged',arg0='%s'",
			   e->name);
	sd_bus_message *m = NULL;
	int r;

	if (!rule)
		return -ENOMEM;
	r = sd_bus_add_match_async(s->bus, &e->watch, rule, on_owner_changed, NULL, e);
	if (r >= 0)
		r = sd_bus_message_new_method_call(s->bus, &m, DBUS, DBUS_PATH, DBUS, "GetConnectionCredentials");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", e->name);
	if (r >= 0)
		r = sd_bus_call_async(s->bus, &e->ask, m, on_credentials, e, ASK_TIMEOUT);
	sd_bus_message_unref(m);
	return r;
}

int senders_ask(struct senders *s, const char *name)
{
	struct entry *e;
	int r;

	if (!is_unique_name(name))
		return -EINVAL;
	if (find(s, name))
		return 0;
	if (s->n >= SENDERS_MAX)
		return -EMFILE;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->owner = s;
	e->next = s->entries;
	s->entries = e;
	s->n++;
	e->name = strdup(name);
	r = e->name ? begin(e) : -ENOMEM;
	if (r < 0)
		entry_free(e);
	return r < 0 ? r : 0;
}

int senders_new(struct senders **ret, sd_bus *bus, const struct senders_events *events, void *userdata)
{
	struct senders *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->bus = bus;
	s->events = events;
	s->userdata = userdata;
	*ret = s;
	return 0;
}

struct senders *senders_free(struct senders *s)
{
	if (!s)
		return NULL;
	while (s->entries)
		entry_free(s->entries);
	free(s);
	return NULL;
}
