/*
 * See blocker.h. A remedy for forwarded packets lets through what has to do with the veth; what of that may pass is the outer
 * lock's decision (host-veth.nft), so it opens nothing else. One for packets of the machine itself names server and port.
 */
#include "net/blocker.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"
#include "net/legacy-tables.h"
#include "nl/nft.h"
#include "nl/nl-link.h"
#include "nl/nl-route.h"
#include "nl/rtnl.h"

void blocker_done(struct blocker *b)
{
	free(b->who);
	free(b->table);
	free(b->remedy);
	*b = (struct blocker){ 0 };
}

/* Whose table it is is known by the names that their programs give. */
static bool is_iptables(const struct nf_table *t, const char *chain)
{
	return (str_eq(t->family, "ip") || str_eq(t->family, "ip6")) && str_eq(t->name, "filter") && nf_table_chain(t, chain);
}

static bool is_ufw(const struct nf_table *t)
{
	return nf_table_chain(t, "ufw-before-forward") || nf_table_chain(t, "ufw6-before-forward");
}

static char *forward_remedy(const struct walk_result *r, const char *veth)
{
	const struct nf_table *t = r->table;
	const char *iptables = str_eq(t->family, "ip6") ? "ip6tables" : "iptables";
	bool of_iptables = is_iptables(t, "FORWARD");

	if (str_eq(t->name, "firewalld"))
		return str_format("firewall-cmd --permanent --zone=trusted --add-interface=%s && firewall-cmd --reload", veth);
	if (of_iptables && is_ufw(t))
		return str_format("ufw route allow in on %s && ufw route allow out on %s", veth, veth);
	if (of_iptables && nf_table_chain(t, "DOCKER-USER"))
		return str_format("%s -I DOCKER-USER -i %s -j ACCEPT && %s -I DOCKER-USER -o %s -j ACCEPT", iptables, veth, iptables,
				  veth);
	if (of_iptables)
		return str_format("%s -I FORWARD -i %s -j ACCEPT && %s -I FORWARD -o %s -j ACCEPT", iptables, veth, iptables, veth);
	return str_format("nft 'insert rule %s %s %s iifname \"%s\" accept; insert rule %s %s %s oifname \"%s\" accept'", t->family,
			  t->name, r->chain->name, veth, t->family, t->name, r->chain->name, veth);
}

/* A packet that this machine sends, or the answer to it. */
static char *own_remedy(const struct walk_result *r, const struct blocker_way *way, bool is_answer)
{
	const struct nf_table *t = r->table;
	const char *iptables = str_eq(t->family, "ip6") ? "ip6tables" : "iptables", *ip = way->server.addr.family == AF_INET6 ? "ip6" : "ip";
	const char *protocol = way->protocol == IPPROTO_TCP ? "tcp" : "udp", *chain = is_answer ? "INPUT" : "OUTPUT";
	char addr[INADDR_STR_MAX];

	(void)inaddr_format(&way->server.addr, addr, sizeof(addr));
	if (is_iptables(t, chain) && is_ufw(t))
		return is_answer ? str_format("ufw allow in proto %s from %s port %u to any", protocol, addr, way->server.port) :
				   str_format("ufw allow out proto %s to %s port %u", protocol, addr, way->server.port);
	if (is_iptables(t, chain))
		return str_format("%s -I %s -p %s -%s %s --%s %u -j ACCEPT", iptables, chain, protocol, is_answer ? "s" : "d", addr,
				  is_answer ? "sport" : "dport", way->server.port);
	return str_format("nft 'insert rule %s %s %s %s %s %s %s %s %u accept'", t->family, t->name, r->chain->name, ip,
			  is_answer ? "saddr" : "daddr", addr, protocol, is_answer ? "sport" : "dport", way->server.port);
}

static char *who(const struct walk_result *r)
{
	_cleanup_(freep) char *shown = NULL;

	if (!r->rule)
		return str_format("the policy drop of chain %s in table %s %s", r->chain->name, r->table->family, r->table->name);
	shown = str_escape(r->rule->text, strlen(r->rule->text), 200);
	return shown ? str_format("the rule '%s' of chain %s in table %s %s", shown, r->chain->name, r->table->family,
				  r->table->name)
		     : NULL;
}

static int fill(const struct walk_result *r, const struct blocker_way *way, bool is_answer, struct blocker *ret)
{
	struct blocker b = { .verdict = r->verdict, .is_answer = is_answer };

	b.who = who(r);
	b.table = str_format("%s %s", r->table->family, r->table->name);
	b.remedy = way->veth[0] ? forward_remedy(r, way->veth) : own_remedy(r, way, is_answer);
	if (!b.who || !b.table || !b.remedy) {
		blocker_done(&b);
		return -ENOMEM;
	}
	blocker_done(ret);
	*ret = b;
	return 0;
}

static int fill_legacy(const struct blocker_way *way, struct blocker *ret)
{
	const char *iptables = way->server.addr.family == AF_INET6 ? "ip6tables-legacy" : "iptables-legacy";
	struct blocker b = { .verdict = WALK_MAY_DROP };

	b.who = str_format("the policy DROP of chain FORWARD of %s", iptables);
	b.table = str_format("%s filter", iptables);
	b.remedy = str_format("%s -I FORWARD -i %s -j ACCEPT && %s -I FORWARD -o %s -j ACCEPT", iptables, way->veth, iptables,
			      way->veth);
	if (!b.who || !b.table || !b.remedy) {
		blocker_done(&b);
		return -ENOMEM;
	}
	blocker_done(ret);
	*ret = b;
	return 0;
}

static void packet_out(const struct blocker_way *way, struct walk_packet *ret)
{
	*ret = (struct walk_packet){ .from = way->inside, .to = way->server.addr, .protocol = way->protocol,
				     .dport = way->server.port, .to_machine = way->to_machine };
	(void)str_copy(ret->iif, sizeof(ret->iif), way->veth); /* all are IFNAMSIZ */
	(void)str_copy(ret->oif, sizeof(ret->oif), way->outgoing);
}

static void packet_back(const struct blocker_way *way, struct walk_packet *ret)
{
	*ret = (struct walk_packet){ .from = way->server.addr, .to = way->inside, .protocol = way->protocol,
				     .sport = way->server.port, .established = true, .to_machine = !way->veth[0] };
	(void)str_copy(ret->iif, sizeof(ret->iif), way->outgoing); /* as above */
	(void)str_copy(ret->oif, sizeof(ret->oif), way->veth);
}

int blocker_find(const struct ruleset *rs, int legacy, const struct blocker_way *way, struct blocker *ret)
{
	/* Of a packet that is sent and of its answer, each in its order. */
	static const enum nf_hook forwarded[] = { NF_HOOK_PREROUTING, NF_HOOK_FORWARD, NF_HOOK_POSTROUTING };
	static const enum nf_hook own[2][2] = { { NF_HOOK_OUTPUT, NF_HOOK_POSTROUTING }, { NF_HOOK_PREROUTING, NF_HOOK_INPUT } };
	bool is_own = !way->veth[0];
	int r = 0;

	*ret = (struct blocker){ .verdict = WALK_PASSES };
	/* There and back; the first that drops for certain, else the first that may. */
	for (unsigned back = 0; back < 2 && r == 0; back++) {
		struct walk_packet p;

		back ? packet_back(way, &p) : packet_out(way, &p);
		for (size_t i = 0; i < (is_own ? 2 : ARRAY_SIZE(forwarded)) && r == 0 && ret->verdict != WALK_DROPS; i++) {
			enum nf_hook hook = is_own ? own[back][i] : forwarded[i];
			struct walk_result w;
			struct walk_packet here = p;

			if (hook == NF_HOOK_PREROUTING)
				here.oif[0] = '\0';
			packet_walk(rs, hook, &here, &w);
			if (w.verdict > ret->verdict)
				r = fill(&w, way, back, ret);
		}
	}
	if (r == 0 && legacy > 0 && !is_own && ret->verdict != WALK_DROPS)
		r = fill_legacy(way, ret);
	if (r < 0)
		blocker_done(ret);
	return r;
}

int blocker_read(struct ruleset **ret)
{
	_cleanup_(freep) char *text = NULL;
	int r = nft_list_ruleset(-EBADF, &text);

	return r < 0 ? r : ruleset_parse(text, ret);
}

int blocker_look(const struct blocker_way *way, struct blocker *ret)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	int r = blocker_read(&rs);

	/* What cannot be read of the older tables is as if it were not there. */
	return r < 0 ? r : blocker_find(rs, legacy_forward_drops(way->server.addr.family), way, ret);
}

/* ---- names ---------------------------------------------------------------------------------------------------------- */

#define RESOLV_CONF "/etc/resolv.conf"
#define NAME_SERVERS_MAX 3 /* libc asks no more */

/* Of the libc that will ask: "nameserver ADDRESS" lines. A zone (fe80::1%eth0) is left out, so nobody is blamed for it. */
static size_t read_name_servers(struct inaddr *ret)
{
	_cleanup_(freep) char *text = NULL;
	char *rest = NULL;
	size_t len, n = 0;

	if (file_read(AT_FDCWD, RESOLV_CONF, 1U << 16, &text, &len) == 0)
		rest = text;
	for (char *line; n < NAME_SERVERS_MAX && (line = strsep(&rest, "\n"));) {
		char *key = str_next_word(&line), *value = key ? str_next_word(&line) : NULL;

		if (value && str_eq(key, "nameserver") && inaddr_parse(value, &ret[n]) < 0)
			return 0;
		n += value && str_eq(key, "nameserver");
	}
	return n;
}

/* -errno of the routing: there is no way. */
static int way_to_name_server(struct rt *rt, const struct inaddr *server, struct blocker_way *ret)
{
	struct rt_route route;
	struct rt_link link;
	int r;

	*ret = (struct blocker_way){ .server = { .addr = *server, .port = 53 }, .protocol = IPPROTO_UDP };
	r = rt_route_lookup(rt, server, &route);
	if (r == 0)
		r = rt_link_get_index(rt, route.oif, &link);
	if (r < 0)
		return r;
	ret->to_machine = route.type == RTN_LOCAL;
	ret->inside = inaddr_is_set(&route.src) ? route.src : *server;
	(void)str_copy(ret->outgoing, sizeof(ret->outgoing), link.name); /* both are IFNAMSIZ */
	return 0;
}

int blocker_of_names(const struct ruleset *rs, struct rt *rt, struct blocker *ret, struct endpoint *ret_server)
{
	struct inaddr servers[NAME_SERVERS_MAX];
	size_t n = read_name_servers(servers);
	struct blocker first = { 0 };
	struct endpoint who = { 0 };
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		struct blocker_way way;
		struct blocker b = { 0 };

		if (way_to_name_server(rt, &servers[i], &way) == 0)
			r = blocker_find(rs, 0, &way, &b);
		if (r < 0 || b.verdict != WALK_DROPS) {
			blocker_done(&b);
			blocker_done(&first);
			return r;
		}
		if (i > 0) {
			blocker_done(&b);
			continue;
		}
		first = b;
		who = way.server;
	}
	if (n == 0)
		return 0;
	*ret = first;
	*ret_server = who;
	return 1;
}
