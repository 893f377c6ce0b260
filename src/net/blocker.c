/*
 * See blocker.h. A remedy lets through what has to do with the veth; what of that may pass is the outer lock's decision
 * (host-veth.nft), so it opens nothing else.
 */
#include "net/blocker.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/legacy-tables.h"
#include "nl/nft.h"

void blocker_done(struct blocker *b)
{
	free(b->who);
	free(b->table);
	free(b->remedy);
	*b = (struct blocker){ 0 };
}

/* Whose table it is is known by the names that their programs give. */
static char *remedy(const struct walk_result *r, const char *veth)
{
	const struct nf_table *t = r->table;
	const char *iptables = str_eq(t->family, "ip6") ? "ip6tables" : "iptables";
	bool is_iptables = (str_eq(t->family, "ip") || str_eq(t->family, "ip6")) && str_eq(t->name, "filter") &&
			   nf_table_chain(t, "FORWARD");

	if (str_eq(t->name, "firewalld"))
		return str_format("firewall-cmd --permanent --zone=trusted --add-interface=%s && firewall-cmd --reload", veth);
	if (is_iptables && (nf_table_chain(t, "ufw-before-forward") || nf_table_chain(t, "ufw6-before-forward")))
		return str_format("ufw route allow in on %s && ufw route allow out on %s", veth, veth);
	if (is_iptables && nf_table_chain(t, "DOCKER-USER"))
		return str_format("%s -I DOCKER-USER -i %s -j ACCEPT && %s -I DOCKER-USER -o %s -j ACCEPT", iptables, veth, iptables,
				  veth);
	if (is_iptables)
		return str_format("%s -I FORWARD -i %s -j ACCEPT && %s -I FORWARD -o %s -j ACCEPT", iptables, veth, iptables, veth);
	return str_format("nft 'insert rule %s %s %s iifname \"%s\" accept; insert rule %s %s %s oifname \"%s\" accept'", t->family,
			  t->name, r->chain->name, veth, t->family, t->name, r->chain->name, veth);
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

static int fill(const struct walk_result *r, const char *veth, bool is_answer, struct blocker *ret)
{
	struct blocker b = { .verdict = r->verdict, .is_answer = is_answer };

	b.who = who(r);
	b.table = str_format("%s %s", r->table->family, r->table->name);
	b.remedy = remedy(r, veth);
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
				     .dport = way->server.port };
	(void)str_copy(ret->iif, sizeof(ret->iif), way->veth); /* all are IFNAMSIZ */
	(void)str_copy(ret->oif, sizeof(ret->oif), way->outgoing);
}

static void packet_back(const struct blocker_way *way, struct walk_packet *ret)
{
	*ret = (struct walk_packet){ .from = way->server.addr, .to = way->inside, .protocol = way->protocol,
				     .sport = way->server.port, .established = true };
	(void)str_copy(ret->iif, sizeof(ret->iif), way->outgoing); /* as above */
	(void)str_copy(ret->oif, sizeof(ret->oif), way->veth);
}

int blocker_find(const struct ruleset *rs, int legacy, const struct blocker_way *way, struct blocker *ret)
{
	static const enum nf_hook hooks[] = { NF_HOOK_PREROUTING, NF_HOOK_FORWARD, NF_HOOK_POSTROUTING };
	int r = 0;

	*ret = (struct blocker){ .verdict = WALK_PASSES };
	/* There and back; the first that drops for certain, else the first that may. */
	for (unsigned back = 0; back < 2 && r == 0; back++) {
		struct walk_packet p;

		back ? packet_back(way, &p) : packet_out(way, &p);
		for (size_t i = 0; i < ARRAY_SIZE(hooks) && r == 0 && ret->verdict != WALK_DROPS; i++) {
			struct walk_result w;
			struct walk_packet here = p;

			if (hooks[i] == NF_HOOK_PREROUTING)
				here.oif[0] = '\0';
			packet_walk(rs, hooks[i], &here, &w);
			if (w.verdict > ret->verdict)
				r = fill(&w, way->veth, back, ret);
		}
	}
	if (r == 0 && legacy > 0 && ret->verdict != WALK_DROPS)
		r = fill_legacy(way, ret);
	if (r < 0)
		blocker_done(ret);
	return r;
}

int blocker_look(const struct blocker_way *way, struct blocker *ret)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	_cleanup_(freep) char *text = NULL;
	int r;

	r = nft_list_ruleset(-EBADF, &text);
	if (r == 0)
		r = ruleset_parse(text, &rs);
	/* What cannot be read of the older tables is as if it were not there. */
	return r < 0 ? r : blocker_find(rs, legacy_forward_drops(way->server.addr.family), way, ret);
}
