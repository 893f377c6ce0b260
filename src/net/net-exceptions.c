/*
 * The exceptions of settings.conf as a whole: may they be built, and what happens when the file says something else than
 * what stands. What they are made of is in plan-exceptions.c.
 *
 * Theory. The journal has the exceptions that are built, so a crash leaves nothing that nobody knows of. They change in
 * prepare only: what the old ones built is undone, the new ones go to the journal, and the walk of prepare builds them.
 * Conflicts are looked for at that moment and not later: what stands, stands.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/places.h"
#include "base/str.h"
#include "net/plan.h"
#include "net/uplink.h"

/* ---- somebody has that port ---- */

#define TCP_LISTEN_STATE 0x0a
#define UDP_UNCONNECTED_STATE 0x07

/* One table of /proc/net; a kernel without that family has no such file, and nobody listens. */
static bool listed(const char *table, unsigned state, uint16_t port)
{
	_cleanup_(freep) char *path = str_format("/proc/thread-self/net/%s", table);
	_cleanup_(fclosep) FILE *f = path ? fopen(path, "re") : NULL;
	unsigned local, st;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " %*u: %*32[0-9A-Fa-f]:%x %*32[0-9A-Fa-f]:%*x %x", &local, &st) == 2 && st == state &&
		    local == port)
			return true;
	return false;
}

static bool port_is_taken(const struct publish *p)
{
	return p->tcp ? listed("tcp", TCP_LISTEN_STATE, p->port) || listed("tcp6", TCP_LISTEN_STATE, p->port)
		      : listed("udp", UDP_UNCONNECTED_STATE, p->port) || listed("udp6", UDP_UNCONNECTED_STATE, p->port);
}

static bool publishes(const struct journal *j, const struct publish *p)
{
	for (unsigned i = 0; i < j->exceptions.n_publish && !j->kept; i++)
		if (j->exceptions.publish[i].tcp == p->tcp && j->exceptions.publish[i].port == p->port)
			return true;
	return false;
}

static int refuse_other(struct tunnelnet *n, const char *other, const struct publish *p)
{
	_cleanup_(freep) char *path = str_format("%s/%s/journal", place_run(), other);
	struct journal j = { 0 };
	bool same;
	int r;

	if (!path)
		return -ENOMEM;
	if (str_eq(other, n->name))
		return 0;
	r = journal_read(path, &j);
	same = r == 0 && publishes(&j, p);
	if (r == 0 || r == -EUCLEAN)
		journal_done(&j);
	if (!same)
		return 0; /* a journal that cannot be read names no port */
	return net_error(n, -EADDRINUSE,
			 "tunnel %s publishes %s port %u already; choose another port in Publish= of tunnel %s, or take "
			 "%s down first",
			 other, p->tcp ? "TCP" : "UDP", p->port, n->name, other);
}

static int refuse_port(struct tunnelnet *n, char *const *others, const struct publish *p)
{
	int r = 0;

	for (size_t i = 0; others[i] && r == 0; i++)
		r = refuse_other(n, others[i], p);
	if (r < 0 || !port_is_taken(p))
		return r;
	return net_error(n, -EADDRINUSE,
			 "a program of this machine listens on %s port %u, which Publish= of tunnel %s names; stop it, or "
			 "publish another port, as in Publish=%s:%u:%u",
			 p->tcp ? "TCP" : "UDP", p->port, n->name, p->tcp ? "tcp" : "udp",
			 p->port < 50000 ? p->port + 10000u : p->port - 10000u, p->inner);
}

int exceptions_refuse(struct tunnelnet *n)
{
	_cleanup_(strv_freep) char **others = NULL;
	int r;

	r = tunnelnet_list(&others);
	if (r < 0)
		return net_error(n, r, "the folder %s cannot be read: %s", place_run(), strerror(-r));
	for (unsigned i = 0; i < n->exceptions.n_publish && r == 0; i++)
		r = refuse_port(n, others, &n->exceptions.publish[i]);
	return r;
}

/* ---- the server is among them ---- */

static int refuse_network(struct tunnelnet *n, const struct inprefix *p, const char *what)
{
	const struct inprefix *allow = exceptions_find_allow(&n->j.exceptions, p);
	char here[INPREFIX_STR_MAX], there[INPREFIX_STR_MAX];

	if (!allow)
		return 0;
	return net_error(n, -EADDRINUSE,
			 "%s %s lies in Allow=%s of tunnel %s, so programs would reach it around the tunnel; name smaller "
			 "networks in Allow=",
			 what, inprefix_format(p, here, sizeof(here)), inprefix_format(allow, there, sizeof(there)),
			 n->name);
}

static struct inprefix single(const struct inaddr *a)
{
	return (struct inprefix){ .addr = *a, .len = (uint8_t)(inaddr_len(a->family) * 8) };
}

int exceptions_refuse_server(struct tunnelnet *n, const struct inaddr *server)
{
	struct inprefix p = single(server);

	return refuse_network(n, &p, "The server");
}

/* Pushed routes are no conflict: where both lead, the administrator's exception is the one that counts. */
int exceptions_refuse_settings(struct tunnelnet *n, const struct settings *s)
{
	struct inprefix p;
	int r = 0;

	for (unsigned i = 0; i < s->n_addrs && r == 0; i++) {
		p = s->addrs[i];
		inprefix_mask(&p);
		r = refuse_network(n, &p, "The tunnel's network");
	}
	for (unsigned i = 0; i < s->n_dns && r == 0; i++) {
		p = single(&s->dns[i]);
		r = refuse_network(n, &p, "The tunnel's name server");
	}
	if (r == 0 && s->peer4.family == AF_INET) {
		p = single(&s->peer4);
		r = refuse_network(n, &p, "The tunnel's peer");
	}
	return r;
}

/* ---- change ---- */

/* The pair stays where it is the engine's way out, too; with uplink=socket all behind the common steps is made for this. */
static int undo_old(struct tunnelnet *n)
{
	struct plan all, old = { 0 };
	bool common = true;

	if (n->j.kept)
		return 0; /* undone by the teardown that kept it */
	plan_prepare(&all, n);
	for (size_t i = 0; i < all.n; i++) {
		if (str_has_prefix(all.v[i].name, PLAN_EXCEPTION) || (!common && n->j.uplink == UPLINK_SOCKET))
			old.v[old.n++] = all.v[i];
		common &= all.v[i].ops != &step_dns;
	}
	return plan_undo(&old, n);
}

/* There was none, or it lies in a network that is allowed now. */
static int choose_subnet(struct tunnelnet *n)
{
	bool have = inaddr_is_set(&n->j.net4.addr);

	if (!journal_has_veth(&n->j) || (have && !exceptions_find_allow(&n->j.exceptions, &n->j.net4)))
		return 0;
	return have && !n->j.kept ? net_renumber(n) : subnet_choose(n);
}

int exceptions_renew(struct tunnelnet *n)
{
	bool same = exceptions_equal(&n->exceptions, &n->j.exceptions);
	int r;

	if (same && !n->j.kept)
		return 0;
	r = exceptions_refuse(n);
	if (r == 0 && !same)
		r = undo_old(n);
	if (r < 0 || same)
		return r;
	n->j.exceptions = n->exceptions;
	r = choose_subnet(n);
	if (r == 0 && n->j.have_server && n->uplink->forwards)
		r = forward_note(n); /* what was undone put the switches of the opening back as well */
	net_watch_addresses(n);
	return r < 0 ? r : net_journal(n);
}
