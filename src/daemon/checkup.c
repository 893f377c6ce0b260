/* See checkup.h. */
#include "daemon/checkup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/bus-api.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/manager-bus.h"
#include "daemon/tunnel.h"
#include "net/examine.h"

#define ENGINE_USER "nsvpn-engine"
#define MAX_AGE USEC_PER_SEC

static bool is_alive(void *userdata, const char *name)
{
	const struct manager *m = userdata;

	for (const struct tunnel *t = m ? m->tunnels : NULL; t; t = t->next)
		if (str_eq(t->name, name))
			return t->state != TUNNEL_STATE_DOWN;
	return false;
}

/* What tunnels show as their last error is said here, too. */
static void tunnels(struct manager *m, struct findings *f)
{
	for (const struct tunnel *t = m ? m->tunnels : NULL; t; t = t->next)
		if (t->last_error && t->state != TUNNEL_STATE_CONNECTED)
			findings_add(f, FINDING_WARNING, "tunnels", t->name, NULL, "tunnel %s is %s: %s", t->name,
				     tunnel_state_to_string(t->state), t->last_error);
}

/* In the file, as engine-proc.c looks for it: no foreign code is asked. */
static void engine_user(struct findings *f)
{
	_cleanup_(freep) char *text = NULL;
	size_t len;
	bool found = file_read(AT_FDCWD, "/etc/passwd", 1U << 20, &text, &len) == 0 &&
		     (str_has_prefix(text, ENGINE_USER ":") || strstr(text, "\n" ENGINE_USER ":"));

	if (found)
		findings_add(f, FINDING_OK, "service", ENGINE_USER, NULL, "the engine's user " ENGINE_USER " exists");
	else
		findings_add(f, FINDING_NOTE, "service", ENGINE_USER,
			     "systemd-sysusers, or useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin --user-group "
			     ENGINE_USER,
			     "there is no user " ENGINE_USER ", so engines run under a number that nobody has");
}

void checkup(struct manager *m, struct findings *f)
{
	examine_kernel(f);
	tunnels(m, f);
	examine_places(f);
	examine_profiles(f);
	if (place_is_rootless())
		return; /* the machine's namespace is not where this helper is */
	examine_exceptions(f);
	examine_firewall(f);
	engine_user(f);
	examine_leftovers(f, is_alive, m);
}

/* Tunnels that somebody may not use are not named to him. */
static bool may_see(struct bus_context *c, sd_bus_message *m, const struct finding *x, bool is_root)
{
	if (is_root || (!str_eq(x->topic, "tunnels") && !str_eq(x->topic, "leftovers")))
		return true;
	return str_eq(x->topic, "tunnels") && bus_context_may_use(c, m, x->object, NULL);
}

static const char *remedy_for(const struct finding *x, bool is_root)
{
	return is_root || !str_eq(x->topic, "firewall") || !*x->remedy ? x->remedy
								       : "let the administrator run: sudo nsvpn doctor";
}

int checkup_method(struct bus_context *c, sd_bus_message *m, sd_bus_error *error _unused_)
{
	static struct findings last;
	static usec_t last_at;
	const struct sender *who = bus_context_sender(c, m);
	bool is_root = who && who->uid == 0;
	sd_bus_message *reply = NULL;
	int r;

	if (is_root || !last_at || clock_boottime() - last_at > MAX_AGE) {
		findings_done(&last);
		checkup(c->manager, &last);
		last_at = clock_boottime();
	}
	r = last.failed ? -ENOMEM : sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(sssss)");
	for (size_t i = 0; i < last.n && r >= 0; i++)
		if (may_see(c, m, &last.v[i], is_root))
			r = sd_bus_message_append(reply, "(sssss)", finding_level_to_string(last.v[i].level), last.v[i].topic,
						  last.v[i].object, last.v[i].text, remedy_for(&last.v[i], is_root));
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

int checkup_print(void)
{
	struct findings f = { 0 };
	bool failed;

	checkup(NULL, &f);
	for (size_t i = 0; i < f.n; i++)
		printf("%s\t%s\t%s\t%s\t%s\n", finding_level_to_string(f.v[i].level), f.v[i].topic, f.v[i].object, f.v[i].text,
		       f.v[i].remedy);
	failed = f.failed || fflush(stdout) != 0;
	findings_done(&f);
	return failed ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
