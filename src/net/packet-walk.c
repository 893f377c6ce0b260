/*
 * The walk, and the few conditions that firewalls of machines are made of. Theory in packet-walk.h.
 *
 * A rule is read from left to right: each condition has a row in a table and takes its words; a word that begins no
 * condition and no statement makes the rule "perhaps", and reading goes on behind it until the verdict.
 */
#include "net/packet-walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"

#define DEPTH_MAX 16 /* the kernel's own limit of jumps */
#define STEPS_MAX 200000 /* words; what comes then decides nothing for certain */

enum tri { TRI_NO, TRI_MAYBE, TRI_YES };

enum flow { FLOW_ON, FLOW_RETURN, FLOW_ACCEPT, FLOW_DROP };

struct walk {
	const struct walk_packet *p;
	const struct nf_table *table;
	struct walk_result *result;
	bool maybe_accepted; /* in this base chain */
	size_t steps;
};

/* The words of a rule, from where we are. */
struct words {
	char *const *w;
	size_t i;
};

static const char *peek(const struct words *w)
{
	return w->w[w->i];
}

static bool at(const struct words *w, const char *s)
{
	return peek(w) && str_eq(peek(w), s);
}

static bool take(struct words *w, const char *s)
{
	if (!at(w, s))
		return false;
	w->i++;
	return true;
}

static enum tri both(enum tri a, enum tri b)
{
	return MIN(a, b);
}

static enum tri either(enum tri a, enum tri b)
{
	return MAX(a, b);
}

static enum tri invert(enum tri t)
{
	return t == TRI_YES ? TRI_NO : t == TRI_NO ? TRI_YES : TRI_MAYBE;
}

static enum tri tri(bool b)
{
	return b ? TRI_YES : TRI_NO;
}

/* ---- single values ---- */

typedef enum tri (*value_fn)(const struct walk_packet *p, const char *value);

static enum tri ifname_is(const char *ifname, const char *value)
{
	char plain[64];
	size_t n = strlen(value);

	if (n < 2 || value[0] != '"' || n - 2 >= sizeof(plain))
		return TRI_MAYBE; /* the number of an interface that has gone */
	(void)snprintf(plain, sizeof(plain), "%.*s", (int)(n - 2), value + 1);
	if (str_has_suffix(plain, "*")) {
		plain[strlen(plain) - 1] = '\0';
		return tri(str_has_prefix(ifname, plain));
	}
	return tri(str_eq(ifname, plain));
}

static enum tri value_iif(const struct walk_packet *p, const char *value)
{
	return ifname_is(p->iif, value);
}

static enum tri value_oif(const struct walk_packet *p, const char *value)
{
	return ifname_is(p->oif, value);
}

static enum tri addr_is(const struct inaddr *a, const char *value)
{
	char low[INADDR_STR_MAX];
	const char *dash = strchr(value, '-');
	struct inprefix prefix;
	struct inaddr from, to;

	if (!dash)
		return inprefix_parse(value, &prefix) < 0 ? TRI_MAYBE : tri(inprefix_contains(&prefix, a));
	if ((size_t)(dash - value) >= sizeof(low))
		return TRI_MAYBE;
	(void)snprintf(low, sizeof(low), "%.*s", (int)(dash - value), value);
	if (inaddr_parse(low, &from) < 0 || inaddr_parse(dash + 1, &to) < 0 || from.family != to.family)
		return TRI_MAYBE;
	return tri(from.family == a->family && memcmp(from.bytes, a->bytes, inaddr_len(a->family)) <= 0 &&
		   memcmp(a->bytes, to.bytes, inaddr_len(a->family)) <= 0);
}

static enum tri value_from(const struct walk_packet *p, const char *value)
{
	return addr_is(&p->from, value);
}

static enum tri value_to(const struct walk_packet *p, const char *value)
{
	return addr_is(&p->to, value);
}

static enum tri number_is(uint32_t n, const char *value)
{
	char low[16];
	const char *dash = strchr(value, '-');
	uint32_t from, to;

	if (!dash)
		return parse_u32(value, 0, UINT32_MAX, &from) < 0 ? TRI_MAYBE : tri(from == n);
	if ((size_t)(dash - value) >= sizeof(low))
		return TRI_MAYBE;
	(void)snprintf(low, sizeof(low), "%.*s", (int)(dash - value), value);
	if (parse_u32(low, 0, UINT32_MAX, &from) < 0 || parse_u32(dash + 1, 0, UINT32_MAX, &to) < 0)
		return TRI_MAYBE;
	return tri(from <= n && n <= to);
}

static enum tri port_is(uint16_t port, const char *value)
{
	return port ? number_is(port, value) : TRI_MAYBE;
}

static enum tri value_sport(const struct walk_packet *p, const char *value)
{
	return port_is(p->sport, value);
}

static enum tri value_dport(const struct walk_packet *p, const char *value)
{
	return port_is(p->dport, value);
}

static enum tri value_protocol(const struct walk_packet *p, const char *value)
{
	static const struct {
		const char *name;
		uint8_t number;
	} names[] = {
		{ "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "icmp", IPPROTO_ICMP }, { "icmpv6", IPPROTO_ICMPV6 },
		{ "ipv6-icmp", IPPROTO_ICMPV6 }, { "sctp", IPPROTO_SCTP }, { "esp", IPPROTO_ESP }, { "ah", IPPROTO_AH },
		{ "gre", IPPROTO_GRE }, { "dccp", IPPROTO_DCCP }, { "udplite", IPPROTO_UDPLITE }, { "igmp", IPPROTO_IGMP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(value, names[i].name))
			return tri(names[i].number == p->protocol);
	return number_is(p->protocol, value);
}

static enum tri value_family(const struct walk_packet *p, const char *value)
{
	if (str_eq(value, "ipv4") || str_eq(value, "ip"))
		return tri(p->from.family == AF_INET);
	if (str_eq(value, "ipv6") || str_eq(value, "ip6"))
		return tri(p->from.family == AF_INET6);
	return TRI_MAYBE;
}

static enum tri value_ct_state(const struct walk_packet *p, const char *value)
{
	static const char *const others[] = { "related", "invalid", "untracked" };

	if (str_eq(value, "new"))
		return tri(!p->established);
	if (str_eq(value, "established"))
		return tri(p->established);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (str_eq(value, others[i]))
			return TRI_NO;
	return TRI_MAYBE;
}

/* Nobody redirected the packet; its own translation comes later. */
static enum tri value_ct_status(const struct walk_packet *p, const char *value)
{
	(void)p; /* the same for all */
	return str_eq(value, "dnat") ? TRI_NO : TRI_MAYBE;
}

static enum tri value_unknown(const struct walk_packet *p, const char *value)
{
	(void)p; /* that is the point */
	(void)value;
	return TRI_MAYBE;
}

/* ---- conditions ---- */

static const struct condition {
	const char *first, *second; /* second NULL: there is none */
	int family;		    /* it is about this one only; 0: any */
	uint8_t protocol;	    /* the same */
	value_fn is;
} conditions[] = {
	{ "iifname", NULL, 0, 0, value_iif },
	{ "iif", NULL, 0, 0, value_iif },
	{ "oifname", NULL, 0, 0, value_oif },
	{ "oif", NULL, 0, 0, value_oif },
	{ "meta", "iifname", 0, 0, value_iif },
	{ "meta", "oifname", 0, 0, value_oif },
	{ "meta", "l4proto", 0, 0, value_protocol },
	{ "meta", "nfproto", 0, 0, value_family },
	{ "meta", "protocol", 0, 0, value_family },
	{ "ip", "saddr", AF_INET, 0, value_from },
	{ "ip", "daddr", AF_INET, 0, value_to },
	{ "ip", "protocol", AF_INET, 0, value_protocol },
	{ "ip6", "saddr", AF_INET6, 0, value_from },
	{ "ip6", "daddr", AF_INET6, 0, value_to },
	{ "ip6", "nexthdr", AF_INET6, 0, value_protocol },
	{ "udp", "sport", 0, IPPROTO_UDP, value_sport },
	{ "udp", "dport", 0, IPPROTO_UDP, value_dport },
	{ "tcp", "sport", 0, IPPROTO_TCP, value_sport },
	{ "tcp", "dport", 0, IPPROTO_TCP, value_dport },
	{ "th", "sport", 0, 0, value_sport },
	{ "th", "dport", 0, 0, value_dport },
	{ "ct", "state", 0, 0, value_ct_state },
	{ "ct", "status", 0, 0, value_ct_status },
};

/* Headers that our packet has or has not, whatever is asked about them. */
static enum tri has_header(const struct walk_packet *p, const char *word)
{
	if (str_eq(word, "ip"))
		return tri(p->from.family == AF_INET);
	if (str_eq(word, "ip6"))
		return tri(p->from.family == AF_INET6);
	if (str_eq(word, "tcp") || str_eq(word, "udp") || str_eq(word, "sctp") || str_eq(word, "icmp") || str_eq(word, "icmpv6"))
		return value_protocol(p, word);
	return TRI_YES;
}

/* "established,related" is one word. */
static enum tri match_list(value_fn is, const struct walk_packet *p, const char *list)
{
	enum tri t = TRI_NO;
	char part[256];

	if (list[0] == '"')
		return is(p, list);
	while (*list) {
		size_t n = strcspn(list, ",");

		if (n >= sizeof(part))
			return TRI_MAYBE;
		(void)snprintf(part, sizeof(part), "%.*s", (int)n, list);
		t = either(t, is(p, part));
		list += n + (list[n] == ',');
	}
	return t;
}

/* Behind "{". */
static enum tri match_set(struct words *w, value_fn is, const struct walk_packet *p)
{
	enum tri t = TRI_NO;

	for (; peek(w) && !at(w, "}"); w->i++)
		if (!at(w, ","))
			t = either(t, is(p, peek(w)));
	(void)take(w, "}");
	return t;
}

static bool is_mask_or_order(const char *word)
{
	static const char *const words[] = { "&", "and", "|", "or", "^", "xor", "<", ">", "<=", ">=", ".", "<<", ">>" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(word, words[i]))
			return true;
	return false;
}

/* What follows the name of a condition: [!=] value, list, set or @set. */
static enum tri match_operand(struct words *w, value_fn is, const struct walk_packet *p)
{
	bool negated = false;
	enum tri t;

	if (!peek(w) || is_mask_or_order(peek(w)))
		return TRI_MAYBE; /* the rest is skipped word by word */
	(void)take(w, "==");
	negated = take(w, "!=") || take(w, "!");
	if (!peek(w))
		return TRI_MAYBE;
	if (take(w, "{")) {
		t = match_set(w, is, p);
	} else {
		t = peek(w)[0] == '@' ? TRI_MAYBE : match_list(is, p, peek(w));
		w->i++;
	}
	if (peek(w) && is_mask_or_order(peek(w)))
		return TRI_MAYBE;
	return negated ? invert(t) : t;
}

static const struct condition *find_condition(const struct words *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++) {
		const struct condition *c = &conditions[i];

		if (at(w, c->first) && (!c->second || (w->w[w->i + 1] && str_eq(w->w[w->i + 1], c->second))))
			return c;
	}
	return NULL;
}

static enum tri match_condition(struct words *w, const struct condition *c, const struct walk_packet *p)
{
	enum tri t;

	w->i += c->second ? 2 : 1;
	t = match_operand(w, c->is, p);
	if (c->family && c->family != p->from.family)
		return TRI_NO;
	if (c->protocol && c->protocol != p->protocol)
		return TRI_NO;
	return t;
}

/*
 * "fib saddr . mark . iif oif missing" asks the routing table. The source of our packet is behind the veth or this machine,
 * with a route; anything else than that and whether it is to this machine is not known.
 */
static enum tri match_fib(struct words *w, const struct walk_packet *p)
{
	bool is_source;

	w->i++;
	is_source = at(w, "saddr");
	while (peek(w) && !at(w, "oif") && !at(w, "oifname") && !at(w, "type"))
		w->i++;
	if (take(w, "oif") || take(w, "oifname")) {
		if (is_source && take(w, "missing"))
			return TRI_NO;
		if (is_source && take(w, "exists"))
			return TRI_YES;
		return match_operand(w, value_unknown, p);
	}
	(void)take(w, "type");
	if (!is_source && take(w, "local"))
		return tri(p->to_machine);
	return match_operand(w, value_unknown, p);
}

/* ---- statements that decide nothing ---- */

static const char *const of_counter[] = { "packets", "bytes", "name" };
static const char *const of_log[] = { "prefix", "level", "flags", "group", "snaplen", "queue-threshold" };

/* Names with a value each. */
static void take_pairs(struct words *w, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (take(w, names[i])) {
			w->i += peek(w) != NULL;
			i = (size_t)-1; /* from the beginning again */
		}
	}
}

/* True when one was taken. */
static bool take_statement(struct words *w)
{
	size_t i = w->i;

	if ((at(w, "meta") || at(w, "ct")) && w->w[i + 1] && w->w[i + 2] && str_eq(w->w[i + 2], "set") && w->w[i + 3]) {
		w->i += 4;
		return true;
	}
	if (take(w, "notrack") || take(w, "masquerade"))
		return true;
	if (take(w, "comment")) {
		w->i += peek(w) != NULL;
		return true;
	}
	if (take(w, "counter")) {
		take_pairs(w, of_counter, ARRAY_SIZE(of_counter));
		return true;
	}
	if (take(w, "log")) {
		take_pairs(w, of_log, ARRAY_SIZE(of_log));
		return true;
	}
	return false;
}

/* ---- rules and chains ---- */

static enum flow walk_chain(struct walk *k, const struct nf_chain *c, enum tri sure, unsigned depth);

static enum flow note_drop(struct walk *k, const struct nf_chain *c, const struct nf_rule *rule, enum tri sure)
{
	struct walk_result *r = k->result;
	bool certain = sure == TRI_YES && !k->maybe_accepted;

	if (certain || r->verdict == WALK_PASSES)
		*r = (struct walk_result){ certain ? WALK_DROPS : WALK_MAY_DROP, k->table, c, rule };
	return sure == TRI_YES ? FLOW_DROP : FLOW_ON;
}

static enum flow note_accept(struct walk *k, enum tri sure)
{
	if (sure == TRI_YES)
		return FLOW_ACCEPT;
	k->maybe_accepted = true;
	return FLOW_ON;
}

/* A chain that is entered perhaps does not end anything for certain. */
static enum flow jump(struct walk *k, const char *name, enum tri sure, bool goes, unsigned depth)
{
	const struct nf_chain *c = nf_table_chain(k->table, name);
	enum flow f;

	k->steps += k->table->n_chains / 8; /* looking for it */
	f = c && depth < DEPTH_MAX ? walk_chain(k, c, sure, depth + 1) : FLOW_ON;

	if (f == FLOW_RETURN || f == FLOW_ON)
		return goes && sure == TRI_YES ? FLOW_RETURN : FLOW_ON;
	return f;
}

/* Reads a verdict, when there is one. False: it is no verdict. */
static bool take_verdict(struct walk *k, const struct nf_chain *c, const struct nf_rule *rule, struct words *w, enum tri sure,
			 unsigned depth, enum flow *ret)
{
	bool goes;

	if (take(w, "accept")) {
		*ret = note_accept(k, sure);
	} else if (take(w, "drop") || take(w, "reject")) {
		*ret = note_drop(k, c, rule, sure);
	} else if (take(w, "queue")) {
		*ret = note_drop(k, c, rule, both(sure, TRI_MAYBE)); /* a program decides */
	} else if (take(w, "return")) {
		*ret = sure == TRI_YES ? FLOW_RETURN : FLOW_ON;
		if (sure == TRI_MAYBE)
			k->maybe_accepted = true; /* what follows is seen by some packets only */
	} else if (at(w, "jump") || at(w, "goto")) {
		goes = at(w, "goto");
		w->i++;
		*ret = peek(w) ? jump(k, peek(w), sure, goes, depth) : FLOW_ON;
		w->i += peek(w) != NULL;
	} else {
		return false;
	}
	return true;
}

/* "vmap { a : accept, b : jump c }" behind "KEY vmap {". The first entry that matches for certain decides. */
static enum flow walk_map(struct walk *k, const struct nf_chain *c, const struct nf_rule *rule, struct words *w, value_fn is,
			  enum tri sure, unsigned depth)
{
	enum flow f = FLOW_ON;

	while (peek(w) && !at(w, "}")) {
		enum tri t = both(sure, match_list(is, k->p, peek(w)));

		w->i++;
		while (peek(w) && !at(w, ":") && !at(w, "}")) { /* a key of several words */
			t = both(t, TRI_MAYBE);
			w->i++;
		}
		if (!take(w, ":"))
			break;
		if (t != TRI_NO && take_verdict(k, c, rule, w, t, depth, &f) && f != FLOW_ON)
			return f;
		while (peek(w) && !at(w, ",") && !at(w, "}"))
			w->i++;
		(void)take(w, ",");
	}
	(void)take(w, "}");
	return f;
}

/* A map of its own name: what is in it was not listed. */
static enum flow walk_named_map(struct walk *k, const struct nf_chain *c, const struct nf_rule *rule, struct words *w,
				enum tri sure)
{
	w->i++;
	return note_drop(k, c, rule, both(sure, TRI_MAYBE));
}

static enum flow walk_rule(struct walk *k, const struct nf_chain *c, const struct nf_rule *rule, enum tri sure, unsigned depth)
{
	struct words w = { .w = rule->words };
	value_fn last = value_unknown; /* the condition that a map follows */
	enum flow f = FLOW_ON;

	k->steps++; /* a verdict alone is one, too */
	for (size_t from = 0; peek(&w) && sure != TRI_NO && k->steps < STEPS_MAX; k->steps += 1 + w.i - from, from = w.i) {
		const struct condition *cond = find_condition(&w);
		size_t skip = cond ? (cond->second ? 2 : 1) : 0;
		struct condition part;

		if (cond && w.i > 0 && str_eq(w.w[w.i - 1], ".")) { /* a further part of "a . b @set" */
			part = *cond;
			part.is = value_unknown;
			cond = &part;
		}
		if (cond && w.w[w.i + skip] && str_eq(w.w[w.i + skip], "vmap")) {
			last = cond->is;
			w.i += skip;
		} else if (cond) {
			sure = both(sure, match_condition(&w, cond, k->p));
		} else if (at(&w, "fib")) {
			sure = both(sure, match_fib(&w, k->p));
		} else if (take(&w, "vmap")) {
			if (peek(&w) && peek(&w)[0] == '@')
				f = walk_named_map(k, c, rule, &w, sure);
			else if (take(&w, "{"))
				f = walk_map(k, c, rule, &w, last, sure, depth);
			if (f != FLOW_ON)
				return f;
		} else if (take_verdict(k, c, rule, &w, sure, depth, &f)) {
			return f;
		} else if (!take_statement(&w)) {
			sure = both(sure, both(TRI_MAYBE, has_header(k->p, peek(&w))));
			w.i++;
		}
	}
	return FLOW_ON;
}

static enum flow walk_chain(struct walk *k, const struct nf_chain *c, enum tri sure, unsigned depth)
{
	for (size_t i = 0; i < c->n_rules && k->steps < STEPS_MAX; i++) {
		enum flow f = walk_rule(k, c, &c->rules[i], sure, depth);

		if (f != FLOW_ON)
			return f;
	}
	return FLOW_ON;
}

static void walk_base(struct walk *k, const struct nf_chain *c)
{
	enum flow f;

	k->maybe_accepted = false;
	f = walk_chain(k, c, TRI_YES, 0);
	if (k->steps >= STEPS_MAX)
		k->maybe_accepted = true; /* by what was not read */
	if ((f == FLOW_ON || f == FLOW_RETURN) && c->drops)
		(void)note_drop(k, c, NULL, TRI_YES); /* the result has it */
}

static bool sees(const struct nf_table *t, const struct walk_packet *p)
{
	if (t->dormant || str_has_prefix(t->name, "nsvpn-"))
		return false;
	return str_eq(t->family, "inet") || str_eq(t->family, p->from.family == AF_INET6 ? "ip6" : "ip");
}

void packet_walk(const struct ruleset *rs, enum nf_hook hook, const struct walk_packet *p, struct walk_result *ret)
{
	struct walk k = { .p = p, .result = ret };
	int64_t done = INT64_MIN;

	*ret = (struct walk_result){ .verdict = WALK_PASSES };
	/* Each round takes the chains of the lowest priority that is left. */
	for (;;) {
		int64_t least = INT64_MAX;

		for (size_t i = 0; i < rs->n_tables; i++)
			for (size_t m = 0; sees(&rs->tables[i], p) && m < rs->tables[i].n_chains; m++) {
				const struct nf_chain *c = &rs->tables[i].chains[m];

				if (c->is_base && c->filters && c->hook == hook && c->priority > done && c->priority < least)
					least = c->priority;
			}
		if (least == INT64_MAX)
			return;
		for (size_t i = 0; i < rs->n_tables; i++)
			for (size_t m = 0; sees(&rs->tables[i], p) && m < rs->tables[i].n_chains; m++) {
				const struct nf_chain *c = &rs->tables[i].chains[m];

				k.table = &rs->tables[i];
				if (c->is_base && c->filters && c->hook == hook && c->priority == least)
					walk_base(&k, c);
				if (ret->verdict == WALK_DROPS)
					return;
			}
		done = least;
	}
}
