/* The ways of the exceptions inside: routes and rules in tables of their own (plan-exceptions.c says why). */
#include <string.h>

#include "net/plan.h"

static const int families[] = { AF_INET, AF_INET6 };

/* ---- routes ---- */

struct walk {
	struct tunnelnet *n;
	struct rt *rt;
	int uplink; /* index of the inner end */
	enum { WALK_LOOK, WALK_ADD, WALK_REMOVE } what;
	int wrong;
};

static int begin(struct tunnelnet *n, const struct step *s, struct walk *w)
{
	int r = step_rt(n, s, &w->rt);

	w->n = n;
	if (r == 0)
		w->uplink = step_ifindex(w->rt, NET_UPLINK);
	return r < 0 ? r : w->uplink ? 0 : -ENODEV;
}

static int have_route(struct rt *rt, const struct rt_route *want)
{
	struct rt_route *v = NULL;
	size_t count = 0;
	int r = rt_route_list(rt, want->dst.addr.family, want->table, want->oif, &v, &count);
	bool found = false;

	for (size_t i = 0; r == 0 && i < count; i++)
		found |= rt_route_same(&v[i], want);
	free(v);
	return r < 0 ? r : found;
}

static int one_route(struct walk *w, uint32_t table, const struct inprefix *dst, bool via)
{
	int family = dst->addr.family, r;
	struct rt_route route = {
		.dst = *dst,
		.type = RTN_UNICAST,
		.table = table,
		.oif = w->uplink,
		.src = net_inside_addr(w->n, family),
		.protocol = RT_PROTOCOL_NSVPN,
	};

	if (via) {
		route.via = net_host_addr(w->n, family);
		route.onlink = true;
	}
	r = have_route(w->rt, &route);
	if (r < 0 || (r > 0) == (w->what != WALK_REMOVE))
		return MIN(r, 0);
	w->wrong++;
	switch (w->what) {
	case WALK_LOOK:
		return 0;
	case WALK_ADD:
		return rt_route_add(w->rt, &route);
	case WALK_REMOVE:
		r = rt_route_delete(w->rt, &route);
		return r == -ESRCH || r == -ENODEV ? 0 : r;
	}
	return 0;
}

static int walk_family(struct walk *w, int family)
{
	const struct exceptions *e = &w->n->j.exceptions;
	struct inprefix end = { .addr = net_host_addr(w->n, family), .len = (uint8_t)(inaddr_len(family) * 8) }, any = { 0 };
	int r = 0;

	if (e->n_publish > 0) {
		any.addr.family = family;
		r = one_route(w, NET_TABLE_ALLOW, &end, false);
		if (r == 0)
			r = one_route(w, NET_TABLE_ANSWERS, &any, true);
	}
	for (unsigned i = 0; i < e->n_allow && r == 0; i++)
		if (e->allow[i].addr.family == family)
			r = one_route(w, NET_TABLE_ALLOW, &e->allow[i], true);
	return r;
}

static int walk_routes(struct walk *w)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++)
		if (plan_has_exceptions(w->n, families[i]))
			r = walk_family(w, families[i]);
	return r;
}

static int allow_check(struct tunnelnet *n, const struct step *s)
{
	struct walk w = { .what = WALK_LOOK };
	int r = begin(n, s, &w);

	if (r == 0)
		r = walk_routes(&w);
	return r == -ENODEV ? 0 : r < 0 ? r : w.wrong == 0;
}

static int allow_apply(struct tunnelnet *n, const struct step *s)
{
	struct walk w = { .what = WALK_ADD };
	int r = begin(n, s, &w);

	if (r == 0)
		r = walk_routes(&w);
	return r < 0 ? net_error(n, r, "the routes of the exceptions of tunnel %s cannot be set: %s", n->name, strerror(-r))
		     : 0;
}

static int allow_undo(struct tunnelnet *n, const struct step *s)
{
	struct walk w = { .what = WALK_REMOVE };
	int r = begin(n, s, &w);

	if (r == 0)
		r = walk_routes(&w);
	return r == -ENODEV ? 0 : r; /* they went with the link */
}

static void allow_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	const struct exceptions *e = &n->j.exceptions;
	char buf[INPREFIX_STR_MAX];

	(void)s; /* the journal has it all */
	fprintf(f, "routes dev %s, in tables %u and %u:", NET_UPLINK, NET_TABLE_ALLOW, NET_TABLE_ANSWERS);
	for (unsigned i = 0; i < e->n_allow; i++)
		fprintf(f, "%s %s", i ? "," : "", inprefix_format(&e->allow[i], buf, sizeof(buf)));
	if (e->n_publish > 0)
		fprintf(f, "%s the other end of the link; for answers, everywhere", e->n_allow ? "," : "");
}

const struct step_ops step_allow = { allow_check, allow_apply, allow_undo, allow_print };

/* ---- rules: which packets are answers ---- */

static int one_rule(struct walk *w, int family, uint16_t port)
{
	struct rt_rule rule = {
		.family = family,
		.priority = NET_RULE_ANSWERS,
		.table = NET_TABLE_ANSWERS,
		.src = net_inside_addr(w->n, family),
		.ipproto = IPPROTO_TCP,
		.sport = port,
	};
	int r = rt_rule_exists(w->rt, &rule);

	if (r < 0 || (r > 0) == (w->what != WALK_REMOVE))
		return MIN(r, 0);
	w->wrong++;
	switch (w->what) {
	case WALK_LOOK:
		return 0;
	case WALK_ADD:
		return rt_rule_add(w->rt, &rule);
	case WALK_REMOVE:
		return rt_rule_delete(w->rt, &rule);
	}
	return 0;
}

static int walk_rules(struct tunnelnet *n, const struct step *s, struct walk *w)
{
	const struct exceptions *e = &n->j.exceptions;
	int r = step_rt(n, s, &w->rt);

	w->n = n;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		for (unsigned k = 0; k < e->n_publish && r == 0 && plan_has_exceptions(n, families[i]); k++)
			if (e->publish[k].tcp)
				r = one_rule(w, families[i], e->publish[k].inner);
	return r;
}

static int answers_check(struct tunnelnet *n, const struct step *s)
{
	struct walk w = { .what = WALK_LOOK };
	int r = walk_rules(n, s, &w);

	return r < 0 ? r : w.wrong == 0;
}

static int answers_apply(struct tunnelnet *n, const struct step *s)
{
	struct walk w = { .what = WALK_ADD };
	int r = walk_rules(n, s, &w);

	return r < 0 ? net_error(n, r, "the policy rules of the published ports of tunnel %s cannot be set: %s", n->name,
				 strerror(-r))
		     : 0;
}

static int answers_undo(struct tunnelnet *n, const struct step *s)
{
	struct walk w = { .what = WALK_REMOVE };

	return walk_rules(n, s, &w);
}

static void answers_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	const struct exceptions *e = &n->j.exceptions;
	bool first = true;

	(void)s; /* the journal has it all */
	fprintf(f, "rules: packets from %s's address and TCP port", NET_UPLINK);
	for (unsigned i = 0; i < e->n_publish; i++)
		if (e->publish[i].tcp) {
			fprintf(f, "%s %u", first ? "" : ",", e->publish[i].inner);
			first = false;
		}
	fprintf(f, "%s look in table %u", first ? " (none)" : "", NET_TABLE_ANSWERS);
}

const struct step_ops step_answers = { answers_check, answers_apply, answers_undo, answers_print };
