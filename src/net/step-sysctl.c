/*
 * Kernel switches. Those of the namespace and of the veth die with it. Those of the host's own interfaces are noted in
 * the journal with their old value, in the order of writing, and put back backwards: only when they still have our
 * value, when nobody switched the whole machine to forwarding meanwhile, and when no other tunnel's journal has them.
 *
 * IPv6 before 6.17 knows no forwarding per interface, only for the machine, and a forwarding machine stops listening
 * to router advertisements. So there accept_ra becomes 2 first wherever it was 1; writing the machine's switch flips
 * every interface's, so those that were on are noted and set again when it goes back.
 */
#include <dirent.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "net/netns.h"
#include "net/plan.h"
#include "net/sysctl.h"

#define IPV4_ALL "ipv4/conf/all/forwarding"
#define IPV6_ALL "ipv6/conf/all/forwarding"

/* ---- plain rows ---- */

/* False when it does not fit, which no interface name can cause. */
static bool conf_path(char path[SYSCTL_PATH_MAX], const char *family, const char *ifname, const char *tail)
{
	return snprintf(path, SYSCTL_PATH_MAX, "%s/conf/%s/%s", family, ifname, tail) < SYSCTL_PATH_MAX;
}

struct rows_call {
	const struct tunnelnet *n;
	const struct step *s;
	bool write;
	int wrong; /* rows that differed */
	char failed[SYSCTL_PATH_MAX];
};

static int rows_walk(void *userdata)
{
	struct rows_call *c = userdata;

	for (size_t i = 0; i < c->s->sysctls.n; i++) {
		const struct sysctl_row *row = &c->s->sysctls.rows[i];
		const char *mid = strstr(row->path, "%s");
		char path[SYSCTL_PATH_MAX];
		uint32_t now;
		int r;

		if (mid)
			(void)snprintf(path, sizeof(path), "%.*s%s%s", (int)(mid - row->path), row->path, c->n->veth,
				       mid + 2); /* fits: both are bounded */
		else
			(void)str_copy(path, sizeof(path), row->path);
		r = c->write ? sysctl_write(path, row->value) : sysctl_read(path, &now);
		if (r == -ENOENT)
			continue; /* this kernel has no such switch, or no IPv6 */
		if (r < 0) {
			(void)str_copy(c->failed, sizeof(c->failed), path);
			return r;
		}
		if (!c->write && now != row->value)
			c->wrong++;
	}
	return 0;
}

static int rows_run(struct tunnelnet *n, const struct step *s, bool write, int *ret_wrong)
{
	struct rows_call c = { .n = n, .s = s, .write = write };
	int r;

	r = s->inside ? netns_call(n->ns_fd, rows_walk, &c) : rows_walk(&c);
	if (r < 0)
		return net_error(n, r, "/proc/sys/net/%s cannot be %s: %s", c.failed, write ? "written" : "read",
				 strerror(-r));
	*ret_wrong = c.wrong;
	return 0;
}

static int sysctls_check(struct tunnelnet *n, const struct step *s)
{
	int wrong = 0, r;

	r = rows_run(n, s, false, &wrong);
	return r < 0 ? r : wrong == 0;
}

static int sysctls_apply(struct tunnelnet *n, const struct step *s)
{
	int wrong;

	return rows_run(n, s, true, &wrong);
}

static void sysctls_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	fprintf(f, "set kernel switches:");
	for (size_t i = 0; i < s->sysctls.n; i++) {
		const char *p = s->sysctls.rows[i].path, *mid = strstr(p, "%s");

		fprintf(f, "\n           net/%.*s%s%s = %u", mid ? (int)(mid - p) : (int)strlen(p), p,
			mid ? n->veth : "", mid ? mid + 2 : "", s->sysctls.rows[i].value);
	}
}

const struct step_ops step_sysctls = { sysctls_check, sysctls_apply, NULL, sysctls_print };

/* ---- forwarding: what is needed ---- */

struct others {
	const char *path;
	struct journal *into;
	bool found;
};

static int others_have(void *userdata, const struct journal *j)
{
	struct others *o = userdata;
	const struct sysctl_save *s = journal_find_save(j, o->path);

	if (!s)
		return 0;
	o->found = true;
	return o->into ? (journal_save(o->into, s) ?: 1) : 1;
}

/* Another tunnel noted this switch before us: its old value is the true one. */
static int copy_from_others(struct tunnelnet *n, const char *path, bool *ret_found)
{
	struct others o = { .path = path, .into = &n->j };
	int r = journal_foreach_other(n->name, others_have, &o);

	*ret_found = o.found;
	return r < 0 ? r : 0;
}

static int note(struct tunnelnet *n, const char *path, uint32_t new_value, const char *global_path)
{
	struct sysctl_save s = { .new_value = new_value };
	bool found = false;
	int r;

	if (journal_find_save(&n->j, path))
		return 0;
	r = copy_from_others(n, path, &found);
	if (r < 0 || found)
		return r;
	r = sysctl_read(path, &s.old_value);
	if (r < 0)
		return r;
	if (s.old_value == new_value)
		return 0; /* the administrator's own */
	r = sysctl_read(global_path, &s.global);
	if (r < 0)
		return r;
	(void)str_copy(s.path, sizeof(s.path), path); /* built by us, fits */
	return journal_save(&n->j, &s);
}

static int note_interface6(struct tunnelnet *n, const char *ifname)
{
	struct sysctl_save s = { .new_value = 1 };
	char path[SYSCTL_PATH_MAX];
	uint32_t v;
	int r = 0;

	if (str_has_prefix(ifname, "nv-") || str_eq(ifname, "all") || ifname[0] == '.' ||
	    !conf_path(path, "ipv6", ifname, "accept_ra") || !conf_path(s.path, "ipv6", ifname, "forwarding"))
		return 0;
	if (sysctl_read(path, &v) == 0 && v == 1)
		r = note(n, path, 2, IPV6_ALL);
	if (r == 0 && sysctl_read(s.path, &s.old_value) == 0 && s.old_value == 1)
		r = journal_save(&n->j, &s);
	return r;
}

static int copy_all6(void *userdata, const struct journal *j)
{
	struct journal *into = userdata;
	int r = 0;

	if (!journal_find_save(j, IPV6_ALL))
		return 0;
	for (size_t i = 0; i < j->n_saves && r == 0; i++)
		if (str_has_prefix(j->saves[i].path, "ipv6/"))
			r = journal_save(into, &j->saves[i]);
	return r < 0 ? r : 1;
}

/* The machine's own switch, with everything that it flips. */
static int note_machine6(struct tunnelnet *n)
{
	DIR *d;
	int r;

	if (journal_find_save(&n->j, IPV6_ALL))
		return 0;
	r = journal_foreach_other(n->name, copy_all6, &n->j);
	if (r != 0)
		return r < 0 ? r : 0;
	d = opendir("/proc/sys/net/ipv6/conf");
	if (!d)
		return -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d));)
		r = note_interface6(n, e->d_name);
	(void)closedir(d); /* only read */
	return r < 0 ? r : note(n, IPV6_ALL, 1, IPV6_ALL);
}

static int note_interface(struct tunnelnet *n, int family, const char *ifname)
{
	char path[SYSCTL_PATH_MAX];

	if (family == AF_INET)
		return conf_path(path, "ipv4", ifname, "forwarding") ? note(n, path, 1, IPV4_ALL) : -EINVAL;
	if (!conf_path(path, "ipv6", ifname, "force_forwarding"))
		return -EINVAL;
	return n->no_force_forwarding || !sysctl_exists(path) ? note_machine6(n) : note(n, path, 1, IPV6_ALL);
}

int forward_note(struct tunnelnet *n)
{
	int r = note_interface(n, n->j.server.addr.family, n->j.outgoing);

	if (r < 0)
		return net_error(n, r, "forwarding on %s cannot be prepared: %s; Uplink=socket needs none",
				 n->j.outgoing, strerror(-r));
	return 0;
}

/* ---- forwarding: on and off ---- */

/* The veth's own switch needs no note: it dies with the link. */
static bool veth_switch6(const struct tunnelnet *n, char path[SYSCTL_PATH_MAX])
{
	bool wanted = (n->j.uplink == UPLINK_VETH && n->j.server.addr.family == AF_INET6) ||
		      plan_has_exceptions(n, AF_INET6);

	return wanted && conf_path(path, "ipv6", n->veth, "force_forwarding") && !n->no_force_forwarding &&
	       sysctl_exists(path);
}

/* A third value is somebody else's, and stays. */
static bool ours_to_set(const struct sysctl_save *s, uint32_t now)
{
	return now == s->old_value && now != s->new_value;
}

static int forward_check(struct tunnelnet *n, const struct step *s)
{
	char path[SYSCTL_PATH_MAX];
	uint32_t now;

	(void)s; /* the journal has it all */
	for (size_t i = 0; i < n->j.n_saves; i++)
		if (sysctl_read(n->j.saves[i].path, &now) == 0 && ours_to_set(&n->j.saves[i], now))
			return 0;
	if (veth_switch6(n, path) && sysctl_read(path, &now) == 0 && now != 1)
		return 0;
	return 1;
}

static int forward_apply(struct tunnelnet *n, const struct step *s)
{
	char path[SYSCTL_PATH_MAX];
	int r = 0;

	(void)s; /* the journal has it all */
	for (size_t i = 0; i < n->j.n_saves && r >= 0; i++) {
		uint32_t now;

		(void)str_copy(path, sizeof(path), n->j.saves[i].path);
		r = sysctl_read(path, &now);
		if (r == 0 && ours_to_set(&n->j.saves[i], now))
			r = sysctl_write(path, n->j.saves[i].new_value);
		if (r == -ENOENT)
			r = 0; /* the interface went away */
	}
	if (r >= 0 && veth_switch6(n, path))
		r = sysctl_write(path, 1);
	if (r < 0)
		return net_error(n, r,
				 "forwarding cannot be switched on (/proc/sys/net/%s: %s); set Uplink=socket in the "
				 "tunnel's settings.conf, which needs none",
				 path, strerror(-r));
	return 0;
}

/* 1 when the machine's IPv6 switch went back and took all interfaces along. */
static int restore_one(const struct sysctl_save *s, bool machine6_restored)
{
	const char *global = str_has_prefix(s->path, "ipv4/") ? IPV4_ALL : IPV6_ALL;
	uint32_t now, machine;
	int r;

	if (sysctl_read(s->path, &now) < 0)
		return 0; /* the interface is gone, and its switch with it */
	if (s->old_value == s->new_value) {
		r = machine6_restored ? sysctl_write(s->path, s->old_value) : 0;
		return r < 0 ? r : 0;
	}
	if (now != s->new_value)
		return 0; /* somebody else changed it since: theirs */
	if (!str_eq(s->path, global) && !machine6_restored && !str_has_suffix(s->path, "/accept_ra") &&
	    sysctl_read(global, &machine) == 0 && machine != s->global)
		return 0; /* the whole machine forwards now: not for our sake */
	r = sysctl_write(s->path, s->old_value);
	return r < 0 ? r : str_eq(s->path, IPV6_ALL);
}

int forward_restore(struct tunnelnet *n)
{
	bool machine6 = false;
	int first = 0;

	for (size_t i = n->j.n_saves; i-- > 0;) {
		const struct sysctl_save *s = &n->j.saves[i];
		struct others o = { .path = s->path };
		int r = journal_foreach_other(n->name, others_have, &o);

		if (r < 0 || o.found)
			continue; /* still needed; its journal has the old value too */
		r = restore_one(s, machine6);
		if (r > 0)
			machine6 = true;
		if (r < 0 && first == 0)
			first = net_error(n, r, "/proc/sys/net/%s cannot be put back to %u: %s", s->path, s->old_value,
					  strerror(-r));
	}
	if (first == 0)
		n->j.n_saves = 0;
	return first;
}

static int forward_undo(struct tunnelnet *n, const struct step *s)
{
	int r;

	(void)s; /* the journal has it all */
	if (n->j.n_saves == 0)
		return 0;
	r = forward_restore(n);
	return r < 0 || !n->have_journal || n->damaged ? r : net_journal(n);
}

static void forward_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	(void)s; /* no parameters */
	fprintf(f,
		"switch on forwarding for the interface that leads to the server (%s) and for %s, not for the machine",
		*n->j.outgoing ? n->j.outgoing : "OUT", n->veth);
}

const struct step_ops step_forward = { forward_check, forward_apply, forward_undo, forward_print };

const struct step_ops step_forward_kept = { forward_check, forward_apply, NULL, forward_print };

/* ---- forwarding for exceptions ---- */

/* Published to the local network: all of it. Allowed: the interfaces whose network that is. */
static bool lan_is_needed(const struct tunnelnet *n, const struct lan_net *lan)
{
	return plan_has_exceptions(n, lan->net.addr.family) &&
	       (exceptions_have_lan(&n->j.exceptions) || exceptions_find_allow(&n->j.exceptions, &lan->net));
}

/* Where a network of Allow= is that this machine is not in itself: behind some router. */
static bool way_to(struct tunnelnet *n, const struct inprefix *p, char ret[IFNAMSIZ])
{
	struct rt_route way;
	struct rt_link link;
	struct rt *host;

	if (net_host(n, &host) < 0 || rt_route_lookup(host, &p->addr, &way) < 0 || !way.oif ||
	    rt_link_get_index(host, way.oif, &link) < 0 || link.loopback)
		return false;
	return str_copy(ret, IFNAMSIZ, link.name);
}

/* Calls fn for each interface that must forward; a value other than 0 ends it. */
static int lan_foreach(struct tunnelnet *n, int (*fn)(struct tunnelnet *n, int family, const char *ifname))
{
	const struct exceptions *e = &n->j.exceptions;
	char ifname[IFNAMSIZ];
	int r = lan_refresh(n);

	for (size_t i = 0; i < n->n_lan && r == 0; i++)
		if (lan_is_needed(n, &n->lan[i]))
			r = fn(n, n->lan[i].net.addr.family, n->lan[i].ifname);
	for (unsigned i = 0; i < e->n_allow && r == 0; i++)
		if (plan_has_exceptions(n, e->allow[i].addr.family) && way_to(n, &e->allow[i], ifname))
			r = fn(n, e->allow[i].addr.family, ifname);
	return r;
}

/* 1: it forwards nothing yet and the journal does not know of it. */
static int lan_is_missing(struct tunnelnet *n, int family, const char *ifname)
{
	bool force6 = family == AF_INET6;
	char path[SYSCTL_PATH_MAX];
	uint32_t now = 0;

	if (!conf_path(path, force6 ? "ipv6" : "ipv4", ifname, force6 ? "force_forwarding" : "forwarding"))
		return 0;
	if (force6 && (n->no_force_forwarding || !sysctl_exists(path)))
		(void)str_copy(path, sizeof(path), IPV6_ALL);
	return sysctl_read(path, &now) == 0 && now == 0 && !journal_find_save(&n->j, path);
}

static int lan_note(struct tunnelnet *n, int family, const char *ifname)
{
	int r = note_interface(n, family, ifname);

	return r == -ENOENT ? 0 : r; /* it went away */
}

static int forward_lan_check(struct tunnelnet *n, const struct step *s)
{
	int r = lan_foreach(n, lan_is_missing);

	return r < 0 ? r : r > 0 ? 0 : forward_check(n, s);
}

/* The journal first, then the lock, which keeps the machine from routing by these switches, then the switches. */
static int forward_lan_apply(struct tunnelnet *n, const struct step *s)
{
	int r = lan_foreach(n, lan_note);

	if (r < 0)
		return net_error(n, r, "forwarding for the exceptions of tunnel %s cannot be prepared: %s", n->name,
				 strerror(-r));
	r = net_journal(n);
	if (r == 0)
		r = lock_check(n, LOCK_OUTER);
	if (r == 0)
		r = lock_apply(n, LOCK_OUTER);
	return r < 0 ? r : forward_apply(n, s);
}

static void forward_lan_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	(void)s; /* no parameters */
	fprintf(f, "switch on forwarding for the interfaces of the networks that the exceptions name, and for %s, not for the machine",
		n->veth);
}

const struct step_ops step_forward_lan = { forward_lan_check, forward_lan_apply, forward_undo, forward_lan_print };
