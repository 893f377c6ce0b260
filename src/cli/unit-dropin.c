/*
 * Drop-ins as text.
 *
 * Theory. Five things make a service live in a tunnel, and each of them holds when another fails:
 *
 *   BindsTo=, After=   it starts when the tunnel is locked (and connected), and stops before the tunnel is taken down
 *   the namespace      by path, which fails hard when it is not there; or by JoinsNamespaceOf=, which does not
 *   ExecCondition=     the guard (launch/guard.h). Not ExecStartPre=: lines of a drop-in come behind those of the unit, and
 *                      what the unit runs there would be started unguarded; conditions come before all of them. Its exit
 *                      status 255 makes the unit fail, where a smaller one would only skip it
 *   binds and masks    the table of profile/binds.h in systemd's words: names must not be asked outside over sockets
 *   ExecStartPost=     a keeper, which puts the binds back when the machine replaces its own files (launch/keeper.h)
 *
 * The guard and the keeper have "+": root's rights and the machine's mounts, whatever the unit restricts; the network
 * namespace is the unit's all the same.
 */
#include "cli/unit-dropin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/places.h"
#include "base/str.h"
#include "profile/binds.h"

#define MARK "# nsvpn: tunnel="
#define UNIT_NAME_MAX 200 /* systemd's is 255; ".d" and the file must fit behind it */

static const char *const forms[] = { [DROPIN_PATH] = "path", [DROPIN_JOINS] = "joins" };
static_assert(ARRAY_SIZE(forms) == _DROPIN_FORM_MAX, "a name for each form");

const char *dropin_form_to_string(enum dropin_form f)
{
	return forms[f];
}

char *dropin_anchor(const char *tunnel)
{
	return str_format("nsvpn@%s.service", tunnel);
}

/* Something of the table lies in this folder. */
static bool holds_files(const struct bind *table, size_t n, const char *folder)
{
	size_t len = strlen(folder);

	for (size_t i = 0; i < n; i++)
		if (table[i].kind == BIND_FILE && str_has_prefix(table[i].target, folder) && table[i].target[len] == '/')
			return true;
	return false;
}

static void add_binds(struct strbuf *b, const char *run)
{
	const struct bind *table;
	size_t n;

	table = binds_table(&n);
	for (size_t i = 0; i < n; i++) {
		const struct bind *row = &table[i];

		strbuf_addf(b, "# %s\n", row->why);
		if (row->kind == BIND_FILE)
			strbuf_addf(b, "BindReadOnlyPaths=%s/%s:%s\n", run, row->source, row->target);
		else if (row->make || holds_files(table, n, row->target))
			strbuf_addf(b, "TemporaryFileSystem=%s:ro\n", row->target);
		else
			strbuf_addf(b, "InaccessiblePaths=-%s\n", row->target);
	}
}

static void add_namespace(struct strbuf *b, const char *anchor, const char *netns, enum dropin_form form)
{
	strbuf_addf(b, "[Unit]\n"
		       "# Starts after the tunnel, stops before it, and never runs without it.\n"
		       "BindsTo=%s\n"
		       "After=%s\n",
		    anchor, anchor);
	if (form == DROPIN_JOINS)
		strbuf_addf(b, "JoinsNamespaceOf=%s\n", anchor);
	strbuf_add(b, "\n[Service]\n");
	if (form == DROPIN_JOINS)
		strbuf_add(b, "# Without the guard below this would fail open: see nsvpn@.service(8).\nPrivateNetwork=yes\n");
	else
		strbuf_addf(b, "NetworkNamespacePath=%s\n", netns);
}

char *dropin_format(const char *unit, const char *tunnel, enum dropin_form form, const char *program)
{
	_cleanup_(freep) char *anchor = dropin_anchor(tunnel), *netns = place_netns(tunnel), *run = place_tunnel_run(tunnel);
	struct strbuf b = { 0 };

	if (!anchor || !netns || !run)
		return NULL;
	strbuf_addf(&b,
		    "# Written by `nsvpn unit add`: %s lives in tunnel %s. `nsvpn unit remove %s` takes it away.\n" MARK
		    "%s form=%s\n",
		    unit, tunnel, unit, tunnel, forms[form]);
	add_namespace(&b, anchor, netns, form);
	strbuf_addf(&b,
		    "Environment=NSVPN_TUNNEL=%s\n"
		    "# The guard: nothing of this unit is started but in the tunnel's locked namespace.\n"
		    "ExecCondition=+%s unit guard %s\n",
		    tunnel, program, tunnel);
	add_binds(&b, run);
	strbuf_addf(&b,
		    "# puts these back when the machine replaces its own\n"
		    "ExecStartPost=-+%s unit keep %s\n",
		    program, tunnel);
	return strbuf_take(&b);
}

int dropin_parse(const char *text, struct dropin *ret)
{
	const char *mark = strstr(text, "\n" MARK);
	struct dropin d = { 0 };
	char form[16];

	if (!mark || sscanf(mark + 1, MARK "%15s form=%15s", d.tunnel, form) != 2 || !tunnel_name_is_valid(d.tunnel))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (str_eq(forms[i], form)) {
			d.form = (enum dropin_form)i;
			*ret = d;
			return 0;
		}
	return -EINVAL;
}

/* ---- names of units ---- */

static const struct {
	const char *suffix;
	const char *why;
} others[] = {
	{ ".socket", "listens outside: systemd opens its socket in the machine's network, before any tunnel is there; add the service "
		     "that it starts, and let that listen by itself" },
	{ ".timer", "only starts a service; add that service (`systemctl show -P Unit` of the timer names it)" },
	{ ".path", "only starts a service; add that service (`systemctl show -P Unit` of the path unit names it)" },
	{ ".scope", "is made of processes that somebody else has started already; start them with `nsvpn exec`" },
	{ ".slice", "runs no program of its own; add the services in it" },
	{ ".target", "runs no program of its own; add the services that it wants" },
	{ ".mount", "is mounted by the kernel in the machine's network, and a network namespace does not change that" },
	{ ".automount", "is mounted by the kernel in the machine's network, and a network namespace does not change that" },
	{ ".swap", "runs no program" },
	{ ".device", "runs no program" },
};

/* systemd's characters, without those that need quoting or could leave the folder. */
static bool is_name(const char *s, size_t len)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";

	return len > 0 && len <= UNIT_NAME_MAX && s[0] != '.' && s[0] != '@' && strspn(s, chars) >= len;
}

int unit_name_read(const char *given, enum unit_kind *ret_kind, char **ret_name, char **ret_error)
{
	size_t len = strlen(given);
	const char *at;
	char *name;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (str_has_suffix(given, others[i].suffix)) {
			*ret_kind = UNIT_KIND_OTHER;
			*ret_error = str_format("%s %s", given, others[i].why);
			return *ret_error ? 0 : -ENOMEM;
		}
	if (str_has_suffix(given, ".service"))
		len -= strlen(".service");
	if (!is_name(given, len)) {
		_cleanup_(freep) char *shown = str_escape(given, strlen(given), 60);

		*ret_kind = UNIT_KIND_INVALID;
		*ret_error = shown ? str_format("'%s' is no name of a unit; say it as `systemctl status` does, for example kodi.service",
						shown) :
				     NULL;
		return *ret_error ? 0 : -ENOMEM;
	}
	name = str_format("%.*s.service", (int)len, given);
	if (!name)
		return -ENOMEM;
	at = strchr(name, '@');
	*ret_kind = at && str_eq(at, "@.service") ? UNIT_KIND_TEMPLATE : UNIT_KIND_SERVICE;
	*ret_name = name;
	return 0;
}
