/*
 * Names. Resolvers that programs reach over a file's socket or the bus ask outside of every network namespace; in a tunnel
 * their sockets are covered and nsswitch.conf is another (profile/binds.c). So they are good to know, not a problem.
 */
#include <string.h>

#include "base/str.h"
#include "cli/doctor.h"

static const struct {
	const char *module; /* a word of the hosts line */
	const char *who;
} modules[] = {
	{ "resolve", "systemd-resolved" },	{ "mdns", "avahi" },	    { "mdns4", "avahi" },
	{ "mdns_minimal", "avahi" },		{ "mdns4_minimal", "avahi" }, { "mdns6_minimal", "avahi" },
	{ "wins", "winbind" },			{ "sss", "sssd" },	    { "ldap", "nslcd" },
	{ "libvirt", "libvirt" },		{ "libvirt_guest", "libvirt" }, { "mymachines", "systemd-machined" },
	{ "nis", "NIS" },
};

static const struct {
	const char *path, *who;
} sockets[] = {
	{ "/run/nscd/socket", "nscd" },
	{ "/run/systemd/resolve/io.systemd.Resolve", "systemd-resolved" },
	{ "/run/avahi-daemon/socket", "avahi" },
};

static const char *who_is(const char *module)
{
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		if (str_eq(modules[i].module, module))
			return modules[i].who;
	return NULL;
}

/* The words of "hosts:", without actions in brackets. */
static void hosts_line(struct doctor *d, char *line)
{
	struct strbuf b = { 0 };
	_cleanup_(freep) char *list = NULL;
	bool in_action = false;

	for (char *word; (word = str_next_word(&line));) {
		bool ends = str_has_suffix(word, "]"), skip = in_action || word[0] == '[';

		in_action = skip && !ends;
		if (!skip && who_is(word))
			strbuf_addf(&b, "%s%s (%s)", b.len ? ", " : "", word, who_is(word));
	}
	list = strbuf_take(&b);
	if (list && *list)
		findings_add(&d->found, FINDING_NOTE, "names", "/etc/nsswitch.conf", NULL,
			     "programs of this machine ask other programs for names: %s; those in a tunnel have an nsswitch.conf "
			     "without them", list);
	else
		findings_add(&d->found, FINDING_OK, "names", "/etc/nsswitch.conf", NULL,
			     "no program is asked for names but the resolver");
}

static void nsswitch(struct doctor *d)
{
	_cleanup_(freep) char *text = doctor_read(d, "/etc/nsswitch.conf");
	char *rest = text;

	for (char *line; rest && (line = strsep(&rest, "\n"));) {
		char *comment = strchr(line, '#');

		if (comment)
			*comment = '\0';
		line = str_trim(line);
		if (str_has_prefix(line, "hosts:")) {
			hosts_line(d, line + strlen("hosts:"));
			return;
		}
	}
	findings_add(&d->found, FINDING_OK, "names", "/etc/nsswitch.conf", NULL, "there is no hosts line; libc asks the resolver");
}

static void resolv_conf(struct doctor *d)
{
	_cleanup_(freep) char *text = doctor_read(d, "/etc/resolv.conf");

	if (!text)
		findings_add(&d->found, FINDING_WARNING, "names", "/etc/resolv.conf",
			     "make it, or a link to /run/systemd/resolve/stub-resolv.conf",
			     "/etc/resolv.conf cannot be read, so names of servers may not be found");
	else if (!strstr(text, "nameserver"))
		findings_add(&d->found, FINDING_NOTE, "names", "/etc/resolv.conf", NULL,
			     "/etc/resolv.conf names no name server; libc asks 127.0.0.1");
	else
		findings_add(&d->found, FINDING_OK, "names", "/etc/resolv.conf", NULL, "/etc/resolv.conf names a name server");
}

void doctor_names(struct doctor *d)
{
	resolv_conf(d);
	nsswitch(d);
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++)
		if (doctor_exists(d, sockets[i].path))
			findings_add(&d->found, FINDING_NOTE, "names", sockets[i].who, NULL,
				     "%s answers for names on %s; programs in a tunnel find that covered", sockets[i].who,
				     sockets[i].path);
}
