/*
 * The two locks. Which texts make a lock, and the values in front of them.
 *
 * Theory. A lock is rendered from the journal (server, mark, subnets, guarded interfaces, exceptions and, for those that
 * are published, the networks of the machine) and, for the inner one, from
 * the settings while connected. One transaction replaces all rules and the elements of all sets; counters stay. Right
 * after, the kernel's own listing is read and its hash kept beside the hash of the text: the lock is "as it should be"
 * when the text would be the same and the listing still is. So a flush or an edit by hand is seen, and doing it twice
 * writes nothing.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "net/plan.h"
#include "net/sysctl.h"
#include "net/uplink.h"
#include "nl/nft.h"

static const char text_lock_inner[] =
#include "net/lock-inner.nft.inc"
	;
static const char text_lock_veth[] =
#include "net/lock-veth.nft.inc"
	;
static const char text_lock_exceptions[] =
#include "net/lock-exceptions.nft.inc"
	;
static const char text_lock_ethernet[] =
#include "net/lock-ethernet.nft.inc"
	;
static const char text_host_table[] =
#include "net/host-table.nft.inc"
	;
static const char text_host_veth_engine[] =
#include "net/host-veth-engine.nft.inc"
	;
static const char text_host_exceptions[] =
#include "net/host-exceptions.nft.inc"
	;
static const char text_host_veth[] =
#include "net/host-veth.nft.inc"
	;
static const char text_host_guard6[] =
#include "net/host-guard6.nft.inc"
	;
static const char text_host_socket[] =
#include "net/host-socket.nft.inc"
	;

static const char *lock_table(const struct tunnelnet *n, enum lock_id id)
{
	return id == LOCK_INNER ? NET_INNER_TABLE : n->table;
}

static int lock_netns(const struct tunnelnet *n, enum lock_id id)
{
	return id == LOCK_INNER ? n->ns_fd : -EBADF; /* the default namespace is where we are */
}

static const char *lock_name(enum lock_id id)
{
	return id == LOCK_INNER ? "inner" : "outer";
}

/* ---- rendering ---- */

static void add_server(const struct tunnelnet *n, struct nft_text *t)
{
	const char *set = n->j.server.addr.family == AF_INET ? "engine4" : "engine6";
	struct endpoint relay = n->j.server;

	if (!n->j.have_server)
		return;
	nft_element_tuple(t, set, &n->j.server, n->j.transport == TRANSPORT_TCP);
	relay.port = n->j.relay_port;
	if (relay.port)
		nft_element_tuple(t, set, &relay, false);
}

/*
 * Where programs that see the machine's own resolv.conf look for a name server of this machine: libc's default, the two
 * of systemd-resolved, and the one that NetworkManager's dnsmasq has. The rest of 127.0.0.0/8 stays the programs' own.
 */
static const char *const local_names[] = { "127.0.0.1", "127.0.0.53", "127.0.0.54", "127.0.1.1" };

/* An IPv4 question cannot become an IPv6 one, so a tunnel with IPv6 resolvers only has none. */
static const struct inaddr *resolver_for_local(const struct settings *s)
{
	for (unsigned i = 0; i < s->n_dns; i++)
		if (s->dns[i].family == AF_INET)
			return &s->dns[i];
	return NULL;
}

static void add_local_names(const struct settings *s, struct nft_text *t)
{
	const struct inaddr *resolver = resolver_for_local(s);
	struct inaddr a;

	for (size_t i = 0; resolver && i < ARRAY_SIZE(local_names); i++)
		if (inaddr_parse(local_names[i], &a) == 0) /* constants: they all parse */
			nft_element_map(t, "local_names4", &a, resolver);
}

static void add_tunnel(const struct settings *s, struct nft_text *t)
{
	for (unsigned i = 0; i < s->n_addrs; i++)
		nft_element_addr(t, s->addrs[i].addr.family == AF_INET ? "own4" : "own6", &s->addrs[i].addr);
	for (unsigned i = 0; i < s->n_dns; i++)
		nft_element_addr(t, s->dns[i].family == AF_INET ? "resolver4" : "resolver6", &s->dns[i]);
	add_local_names(s, t);
}

/* The interface in ".../conf/IF/tail". */
static bool save_ifname(const struct sysctl_save *s, char ret[IFNAMSIZ])
{
	const char *start = s->path + strlen("ipv4/conf/"), *end = strchr(start, '/');

	return end && (size_t)(end - start) < IFNAMSIZ &&
	       snprintf(ret, IFNAMSIZ, "%.*s", (int)(end - start), start) > 0;
}

/*
 * An interface that forwarded nothing before forwards nothing now, but for tunnels. When somebody switched the whole
 * machine to forwarding since, routing is wanted, and the guard steps aside.
 */
static void add_guards(const struct tunnelnet *n, struct nft_text *t)
{
	uint32_t machine4 = 0, machine6 = 0;
	char ifname[IFNAMSIZ];

	if (sysctl_read("ipv4/conf/all/forwarding", &machine4) < 0)
		machine4 = 0;
	if (sysctl_read("ipv6/conf/all/forwarding", &machine6) < 0)
		machine6 = 0;
	for (size_t i = 0; i < n->j.n_saves; i++) {
		const struct sysctl_save *s = &n->j.saves[i];

		if (s->old_value != 0 || !save_ifname(s, ifname))
			continue;
		if (str_eq(s->path, "ipv6/conf/all/forwarding"))
			nft_text_embed(t, text_host_guard6);
		else if (str_has_suffix(s->path, "/force_forwarding") && machine6 == s->global)
			nft_element_ifname(t, "guarded6", ifname);
		else if (str_has_prefix(s->path, "ipv4/") && machine4 == s->global)
			nft_element_ifname(t, "guarded4", ifname);
	}
}

static void add_allowed(const struct exceptions *e, struct nft_text *t)
{
	for (unsigned i = 0; i < e->n_allow; i++)
		nft_element_prefix(t, e->allow[i].addr.family == AF_INET ? "allow4" : "allow6", &e->allow[i]);
}

static void add_published(const struct exceptions *e, struct nft_text *t)
{
	for (unsigned i = 0; i < e->n_publish; i++) {
		const struct publish *p = &e->publish[i];

		nft_element_port_map(t, "published", p->tcp, p->port, p->inner);
		nft_element_port(t, "services", p->tcp, p->inner);
		if (p->scope != PUBLISH_LAN)
			continue;
		nft_element_port_map(t, "published_lan", p->tcp, p->port, p->inner);
		nft_element_port(t, "services_lan", p->tcp, p->inner);
	}
}

/* An interface with a name that nft would not take is not published to. */
static void add_lan(const struct tunnelnet *n, struct nft_text *t)
{
	for (size_t i = 0; i < n->n_lan && exceptions_have_lan(&n->j.exceptions); i++)
		if (nft_ifname_is_plain(n->lan[i].ifname))
			nft_element_network(t, n->lan[i].net.addr.family == AF_INET ? "lan4" : "lan6",
					    n->lan[i].ifname, &n->lan[i].net);
}

static void define_ends(const struct tunnelnet *n, struct nft_text *t)
{
	struct inaddr a = net_inside_addr(n, AF_INET);

	nft_define_addr(t, "inside4", &a);
	a = net_inside_addr(n, AF_INET6);
	nft_define_addr(t, "inside6", &a);
	a = net_host_addr(n, AF_INET);
	nft_define_addr(t, "host4", &a);
	a = net_host_addr(n, AF_INET6);
	nft_define_addr(t, "host6", &a);
}

static void render_inner(const struct tunnelnet *n, struct nft_text *t)
{
	const struct exceptions *e = &n->j.exceptions;

	if (journal_has_veth(&n->j))
		define_ends(n, t);
	nft_text_embed(t, text_lock_inner);
	if (n->j.uplink == UPLINK_VETH) {
		nft_text_embed(t, text_lock_veth);
		add_server(n, t);
	}
	if (exceptions_any(e)) {
		nft_text_embed(t, text_lock_exceptions);
		add_allowed(e, t);
		for (unsigned i = 0; i < e->n_publish; i++)
			nft_element_port(t, "services", e->publish[i].tcp, e->publish[i].inner);
	}
	if (n->connected && n->settings.ethernet)
		nft_text_embed(t, text_lock_ethernet);
	if (n->connected)
		add_tunnel(&n->settings, t);
}

static void render_veth(const struct tunnelnet *n, struct nft_text *t)
{
	nft_define_ifname(t, "veth", n->veth);
	define_ends(n, t);
	nft_define_prefix(t, "net4", &n->j.net4);
	nft_define_prefix(t, "net6", &n->j.net6);
	nft_text_embed(t, text_host_veth);
	if (n->j.uplink == UPLINK_VETH)
		nft_text_embed(t, text_host_veth_engine);
	if (exceptions_any(&n->j.exceptions)) {
		nft_text_embed(t, text_host_exceptions);
		add_allowed(&n->j.exceptions, t);
		add_published(&n->j.exceptions, t);
		add_lan(n, t);
	}
	add_guards(n, t);
}

static void render_outer(const struct tunnelnet *n, struct nft_text *t)
{
	nft_text_embed(t, text_host_table);
	if (n->j.uplink == UPLINK_SOCKET)
		nft_text_embed(t, text_host_socket);
	if (journal_has_veth(&n->j))
		render_veth(n, t);
	add_server(n, t);
}

/* The networks of the machine are looked at once per text, so that they are the same for hash and kernel. */
static int lock_render(struct tunnelnet *n, enum lock_id id, struct nft_text *t)
{
	int r = 0;

	t->table = lock_table(n, id);
	nft_define_mark(t, "engine_mark", n->j.mark);
	switch (id) {
	case LOCK_INNER:
		render_inner(n, t);
		break;
	case LOCK_OUTER:
		if (exceptions_have_lan(&n->j.exceptions))
			r = lan_refresh(n);
		render_outer(n, t);
		break;
	case _LOCK_MAX:
		break;
	}
	return r < 0 ? r : nft_text_error(t);
}

/* ---- the kernel ---- */

/* Hash of everything that makes the lock; 0 with -ENOENT when it is not there. */
static int lock_listing(struct tunnelnet *n, enum lock_id id, uint64_t *ret)
{
	_cleanup_(freep) char *inet = NULL;
	_cleanup_(freep) char *arp = NULL;
	uint64_t h;
	int r;

	r = nft_list_table(lock_netns(n, id), "inet", lock_table(n, id), &inet);
	if (r < 0)
		return r;
	h = journal_hash(inet, strlen(inet));
	if (id == LOCK_OUTER && journal_has_veth(&n->j)) {
		r = nft_list_table(lock_netns(n, id), "arp", lock_table(n, id), &arp);
		if (r < 0)
			return r;
		h ^= journal_hash(arp, strlen(arp));
	}
	*ret = h;
	return 0;
}

int lock_check(struct tunnelnet *n, enum lock_id id)
{
	const struct lock_mark *mark = &n->j.locks[id];
	struct nft_text t = { 0 };
	uint64_t listing = 0;
	int r;

	if (id == LOCK_INNER && n->ns_fd < 0)
		return 0;
	r = lock_render(n, id, &t);
	if (r == 0)
		r = mark->text == journal_hash(t.b.s, t.b.len);
	nft_text_done(&t);
	if (r < 0)
		return net_error(n, r, "the %s lock of tunnel %s cannot be written down: %s", lock_name(id), n->name,
				 strerror(-r));
	if (r == 0)
		return 0;
	r = lock_listing(n, id, &listing);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return net_error(n, r, "the %s lock of tunnel %s cannot be read: %s", lock_name(id), n->name,
				 strerror(-r));
	return listing == mark->listing;
}

int lock_apply(struct tunnelnet *n, enum lock_id id)
{
	_cleanup_(freep) char *why = NULL;
	_cleanup_(freep) char *escaped = NULL;
	struct nft_text t = { 0 };
	struct lock_mark mark = { 0 };
	int r;

	r = lock_render(n, id, &t);
	if (r == 0) {
		r = nft_apply(lock_netns(n, id), &t, false, &why);
		net_watch_own_write(n, id);
	}
	if (r == 0) {
		mark.text = journal_hash(t.b.s, t.b.len);
		r = lock_listing(n, id, &mark.listing); /* a lock that cannot be read back is no lock */
	}
	nft_text_done(&t);
	if (r < 0) {
		escaped = why ? str_escape(why, strlen(why), 300) : NULL;
		return net_error(n, r, "the %s lock of tunnel %s cannot be set (nftables: %s)", lock_name(id), n->name,
				 escaped ?: strerror(-r));
	}
	n->j.locks[id] = mark;
	return n->damaged ? 0 : net_journal(n);
}

static int table_exists(struct tunnelnet *n, const char *family)
{
	_cleanup_(freep) char *text = NULL;
	int r = nft_list_table(-EBADF, family, n->table, &text);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int lock_outer_exists(struct tunnelnet *n)
{
	int r = table_exists(n, "inet");

	return r != 0 ? r : table_exists(n, "arp");
}

static int outer_delete(struct tunnelnet *n)
{
	static const char *const families[] = { "arp", "inet" };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		r = table_exists(n, families[i]);
		if (r > 0)
			r = nft_delete_table(-EBADF, families[i], n->table);
		if (r < 0 && r != -ENOENT)
			return net_error(n, r, "the nftables table %s %s cannot be removed: %s", families[i], n->table,
					 strerror(-r));
	}
	n->j.locks[LOCK_OUTER] = (struct lock_mark){ 0 };
	return 0;
}

static int step_lock_check(struct tunnelnet *n, const struct step *s)
{
	return lock_check(n, s->lock);
}

static int step_lock_apply(struct tunnelnet *n, const struct step *s)
{
	return lock_apply(n, s->lock);
}

/* The inner lock is never removed: it goes when its namespace does, and a program that slipped in stays locked. */
static int step_lock_undo(struct tunnelnet *n, const struct step *s)
{
	if (s->lock != LOCK_OUTER)
		return 0;
	if (veth_is_there(n))
		return net_error(n, -EBUSY, "the outer lock of tunnel %s stays because its link %s could not be removed",
				 n->name, n->veth);
	return outer_delete(n);
}

static void print_set(FILE *f, const char *what, const struct inaddr *a)
{
	char buf[INADDR_STR_MAX];

	fprintf(f, "\n           %s %s", what, inaddr_format(a, buf, sizeof(buf)));
}

static void step_lock_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	bool opening = s->name && str_has_prefix(s->name, "open-"), tun = s->name && str_has_prefix(s->name, "tun-");

	fprintf(f, "nftables: %s lock, table inet %s", lock_name(s->lock), lock_table(n, s->lock));
	if (s->lock == LOCK_OUTER && journal_has_veth(&n->j))
		fprintf(f, " and table arp %s", lock_table(n, s->lock));
	if (opening)
		fprintf(f, ": let the engine's packets through to the server's address, protocol and port");
	else if (!tun)
		fprintf(f, ", with no opening%s%s", exceptions_any(&n->j.exceptions) ? " but for the exceptions" : "",
			s->lock == LOCK_OUTER && journal_has_veth(&n->j)
				? "; and what will be let out leaves with this machine's address (masquerade)"
				: "");
	if (!tun)
		return;
	if (!n->connected) {
		fprintf(f,
			": let programs through to %s, from the tunnel's addresses only; names only to the tunnel's "
			"resolvers",
			NET_TUN);
		return;
	}
	fprintf(f, ": let programs through to %s", NET_TUN);
	for (unsigned i = 0; i < n->settings.n_addrs; i++)
		print_set(f, "from", &n->settings.addrs[i].addr);
	for (unsigned i = 0; i < n->settings.n_dns; i++)
		print_set(f, "names only to", &n->settings.dns[i]);
	if (resolver_for_local(&n->settings))
		print_set(f, "port 53 of 127.0.0.1 and 127.0.0.53 is", resolver_for_local(&n->settings));
}

const struct step_ops step_lock = { step_lock_check, step_lock_apply, step_lock_undo, step_lock_print };

/* Taken back by writing the lock again: what opened it is no longer in the journal or the settings. */
static int step_opening_undo(struct tunnelnet *n, const struct step *s)
{
	int r = lock_check(n, s->lock);

	return r != 0 ? MIN(r, 0) : lock_apply(n, s->lock);
}

const struct step_ops step_opening = { step_lock_check, step_lock_apply, step_opening_undo, step_lock_print };
