/* Everybody else's rules, for `nsvpn doctor`; see examine.h. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/places.h"
#include "base/str.h"
#include "net/blocker.h"
#include "net/examine.h"
#include "net/legacy-tables.h"
#include "net/netctx.h"
#include "profile/profile.h"

struct look {
	struct findings *f;
	const struct ruleset *rs;
	struct rt *rt;
	char **said; /* who was named already */
	bool found;
};

/* Nobody's addresses, for what is not known before a tunnel is up. */
static const char *const nobody[2] = { "192.0.2.1", "2001:db8::1" }, *const nobody_inside[2] = { "10.253.0.2", "fd00::2" };

static int fill_way(struct look *k, int family, const struct remote *remote, struct blocker_way *ret)
{
	bool v6 = family == AF_INET6;
	struct rt_route route;
	struct rt_link link;
	int r = 0;

	if (!remote || inaddr_parse(remote->host, &ret->server.addr) < 0 || ret->server.addr.family != family)
		r = inaddr_parse(nobody[v6], &ret->server.addr);
	if (r == 0)
		r = inaddr_parse(nobody_inside[v6], &ret->inside);
	if (r == 0)
		r = rt_route_lookup(k->rt, &ret->server.addr, &route);
	if (r == 0)
		r = rt_link_get_index(k->rt, route.oif, &link);
	if (r < 0)
		return r;
	ret->server.port = remote ? remote->port : 1194;
	ret->protocol = remote && remote->transport == TRANSPORT_TCP ? IPPROTO_TCP : IPPROTO_UDP;
	if (!ret->veth[0])
		ret->inside = route.src;
	(void)str_copy(ret->outgoing, sizeof(ret->outgoing), link.name); /* both are IFNAMSIZ */
	return 0;
}

/* What a tunnel loses by it. */
enum stake { STAKE_NOTHING_YET, STAKE_EXCEPTIONS, STAKE_UPLINK, _STAKE_MAX };

static const char *const lost[_STAKE_MAX] = {
	[STAKE_NOTHING_YET] = "of tunnels with uplink veth",
	[STAKE_EXCEPTIONS] = "of Publish= and Allow=",
	[STAKE_UPLINK] = "of tunnels with uplink veth",
};

static const char *packets(const struct blocker *b)
{
	return b->is_answer ? "the answers to the packets" : "the packets";
}

static void say(struct look *k, enum finding_level level, const struct blocker *b, const char *remedy, const char *what)
{
	bool sure = b->verdict == WALK_DROPS;

	if (!remedy || !what)
		k->f->failed = true; /* no memory */
	else
		findings_add(k->f, sure ? level : FINDING_NOTE, "firewall", b->table, remedy, "%s %s %s", b->who,
			     sure ? "drops" : "may drop", what);
	k->found = true;
	(void)strv_add(&k->said, b->who); /* without memory it is said twice */
}

/* From the veth, to this remote or to nobody. */
static void look_forwarded(struct look *k, int family, const char *tunnel, const struct remote *remote, enum stake stake)
{
	bool all = stake == STAKE_UPLINK && family == AF_INET;
	_cleanup_(freep) char *remedy = NULL, *what = NULL;
	struct blocker_way way = { 0 };
	struct blocker b;

	(void)snprintf(way.veth, sizeof(way.veth), "nv-%s", tunnel); /* at most ten characters */
	if (fill_way(k, family, remote, &way) < 0 || blocker_find(k->rs, legacy_forward_drops(family), &way, &b) < 0)
		return;
	if (b.verdict != WALK_PASSES && !strv_contains(k->said, b.who)) {
		remedy = str_format("%smake an exception: %s",
				    stake == STAKE_EXCEPTIONS ? "" : "set Uplink=socket in settings.conf, or ", b.remedy);
		what = str_format("%s %s over %s", packets(&b), lost[stake], family == AF_INET6 ? "IPv6" : "IPv4");
		say(k, all ? FINDING_PROBLEM : FINDING_WARNING, &b, remedy, what);
	}
	blocker_done(&b);
}

/* From this machine itself, to this remote. Where it is a name, rules for its addresses are not seen: "unless". */
static void look_own(struct look *k, int family, const char *tunnel, const struct remote *remote)
{
	_cleanup_(freep) char *remedy = NULL, *what = NULL;
	struct blocker_way way = { 0 };
	struct inaddr literal;
	bool is_literal = inaddr_parse(remote->host, &literal) == 0;
	struct blocker b;

	if ((is_literal && literal.family != family) || fill_way(k, family, remote, &way) < 0 ||
	    blocker_find(k->rs, 0, &way, &b) < 0)
		return;
	if (b.verdict != WALK_PASSES && !strv_contains(k->said, b.who)) {
		remedy = is_literal ? str_format("make an exception: %s", b.remedy) :
				      str_format("make an exception for the server; nsvpn up %s says with which command", tunnel);
		what = str_format("%s of tunnels with uplink socket to %s port %u over %s%s", packets(&b),
				  transport_to_string(remote->transport), remote->port, family == AF_INET6 ? "IPv6" : "IPv4",
				  is_literal ? "" : ", unless its server is an exception");
		say(k, is_literal ? FINDING_PROBLEM : FINDING_WARNING, &b, remedy, what);
	}
	blocker_done(&b);
}

/* Packets of this family are forwarded for the tunnel; for which purpose. */
static enum stake stake_of(const struct tunnel_settings *s, int family)
{
	if (s->uplink == UPLINK_VETH)
		return STAKE_UPLINK;
	return exceptions_have_family(&s->exceptions, family) ? STAKE_EXCEPTIONS : STAKE_NOTHING_YET;
}

/* True: this is at stake for the tunnel. p: NULL when it cannot be read; then it is as if it had no settings. */
static bool look_for(struct look *k, const char *tunnel, const struct profile *p, int family, enum stake stake)
{
	static const struct tunnel_settings none = { .uplink = UPLINK_VETH };
	const struct tunnel_settings *s = p ? &p->settings : &none;

	if (stake_of(s, family) == stake && stake != STAKE_NOTHING_YET) {
		look_forwarded(k, family, tunnel, stake == STAKE_UPLINK && p && p->n_remotes ? &p->remotes[0] : NULL, stake);
		return true;
	}
	if (stake != STAKE_UPLINK || s->uplink != UPLINK_SOCKET)
		return false;
	for (size_t i = 0; i < p->n_remotes; i++)
		if (p->remotes[i].family == AF_UNSPEC || p->remotes[i].family == family)
			look_own(k, family, tunnel, &p->remotes[i]);
	return true;
}

/* True: there is a tunnel that has this at stake. */
static bool look_for_all(struct look *k, enum stake stake)
{
	static const int families[] = { AF_INET, AF_INET6 };
	_cleanup_(freep) char *path = str_format("%s/tunnels", place_etc());
	DIR *d = path ? opendir(path) : NULL;
	bool any = false;

	for (struct dirent *e; d && (e = readdir(d));) {
		_cleanup_(profile_freep) struct profile *p = NULL;
		_cleanup_(freep) char *error = NULL;

		if (!tunnel_name_is_valid(e->d_name))
			continue;
		if (profile_load_tunnel(e->d_name, &p, NULL, &error) < 0)
			p = NULL; /* `up` says what is wrong with it */
		for (size_t i = 0; i < ARRAY_SIZE(families); i++)
			any = look_for(k, e->d_name, p, families[i], stake) || any;
	}
	if (d)
		(void)closedir(d); /* only read */
	return any;
}

static void look_at_names(struct look *k)
{
	_cleanup_(freep) char *remedy = NULL, *what = NULL;
	char text[ENDPOINT_STR_MAX];
	struct endpoint server;
	struct blocker b;

	if (blocker_of_names(k->rs, k->rt, &b, &server) <= 0)
		return;
	remedy = str_format("make an exception: %s", b.remedy);
	what = str_format("%s this machine's name server %s, so names of servers have no address",
			  b.is_answer ? "the answers of" : "the questions to", endpoint_format(&server, text, sizeof(text)));
	say(k, FINDING_PROBLEM, &b, remedy, what);
	blocker_done(&b);
}

void examine_firewall(struct findings *f)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	_cleanup_(rt_freep) struct rt *rt = NULL;
	struct look k = { .f = f };
	bool any;
	int r;

	r = blocker_read(&rs);
	if (r == 0)
		r = rt_open(&rt, -EBADF);
	if (r < 0) {
		findings_add(f, FINDING_WARNING, "firewall", "nftables", NULL, "the rules of other programs cannot be read: %s",
			     strerror(-r));
		return;
	}
	k.rs = rs;
	k.rt = rt;
	any = look_for_all(&k, STAKE_UPLINK);
	any = look_for_all(&k, STAKE_EXCEPTIONS) || any; /* who is named already needs no second word */
	if (!any) {
		look_forwarded(&k, AF_INET, "NAME", NULL, STAKE_NOTHING_YET);
		look_forwarded(&k, AF_INET6, "NAME", NULL, STAKE_NOTHING_YET);
	}
	look_at_names(&k);
	if (!k.found)
		findings_add(f, FINDING_OK, "firewall", "nftables", NULL, "nobody's rules drop the packets of tunnels (%zu tables)",
			     rs->n_tables);
	strv_free(k.said);
}
