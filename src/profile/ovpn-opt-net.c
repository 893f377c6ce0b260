/*
 * Options about what the tunnel looks like inside: addresses, routes, default route, names, filters on pushed options.
 *
 * Theory. In a namespace of its own a route needs no gateway: everything goes to the tunnel device, and what must not
 * (net_gateway) has no meaning and is dropped. Names are given by addresses only, never through a program. Of several
 * `dns server` entries the one with the lowest number that an ordinary resolver can use counts, and any of them
 * replaces the older dhcp-option form.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "profile/profile-ovpn.h"

#define PULL_FILTERS_MAX 256
#define DNS_PORT 53

int ovpn_opt_topology(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *s = it->words[1];

	if (str_eq(s, "net30"))
		p->o->topology = TOPOLOGY_NET30;
	else if (str_eq(s, "p2p"))
		p->o->topology = TOPOLOGY_P2P;
	else if (str_eq(s, "subnet"))
		p->o->topology = TOPOLOGY_SUBNET;
	else
		return ovpn_refuse(p, "takes net30, p2p or subnet; correct line %u", it->line);
	p->o->topology_set = true;
	return 0;
}

static int parse_address(struct ovpn_parser *p, const char *s, int family, struct inaddr *ret)
{
	_cleanup_(freep) char *shown = NULL;

	if (inaddr_parse(s, ret) == 0 && (family == AF_UNSPEC || ret->family == family))
		return 0;
	shown = str_escape(s, strlen(s), 60);
	if (!shown)
		return -ENOMEM;
	return ovpn_refuse(p, "'%s' is not an %s address; correct line %u", shown,
			   family == AF_INET	? "IPv4"
			   : family == AF_INET6 ? "IPv6"
						: "IP",
			   p->item->line);
}

int ovpn_opt_ifconfig(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct inaddr local, remote;
	int r;

	r = parse_address(p, it->words[1], AF_INET, &local);
	if (r == 0)
		r = parse_address(p, it->words[2], AF_INET, &remote);
	if (r < 0)
		return r;
	if (inaddr_is_special(&local))
		return ovpn_refuse(p, "%s cannot be the tunnel's own address; correct line %u", it->words[1], it->line);
	p->ifconfig_local = local;
	p->ifconfig_remote = remote;
	p->ifconfig_line = it->line;
	return 0;
}

int ovpn_opt_ifconfig_ipv6(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct inprefix local;
	struct inaddr remote;
	int r;

	if (inprefix_parse(it->words[1], &local) < 0 || local.addr.family != AF_INET6 || inaddr_is_special(&local.addr))
		return ovpn_refuse(p, "takes an IPv6 address with its prefix length (2001:db8::2/64); correct line %u",
				   it->line);
	if (it->n_words > 2) {
		r = parse_address(p, it->words[2], AF_INET6, &remote);
		if (r < 0)
			return r;
		p->o->gateway6 = remote;
	}
	p->o->ifconfig6 = local;
	return 0;
}

/* A tun device needs no next hop. Which one it is stands at another place of the file: see finish_gateway(). */
int ovpn_opt_route_gateway(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct inaddr gateway;
	int r;

	if (str_eq(it->words[1], "dhcp"))
		return ovpn_note(p, FATE_IGNORED, "nsvpn asks for nothing by DHCP; the server has to push the gateway");
	r = parse_address(p, it->words[1], AF_INET, &gateway);
	if (r < 0)
		return r;
	p->gateway_note = p->notes ? p->notes->n : 0;
	p->o->gateway4 = gateway;
	return ovpn_note(p, FATE_IGNORED, "a tun device is the way for every route in the namespace");
}

/* ---- routes ---- */

static int add_route(struct ovpn_parser *p, const struct inprefix *prefix)
{
	struct ovpn_options *o = p->o;
	struct inprefix *v;

	if (o->n_routes == SETTINGS_ROUTES_MAX)
		return ovpn_refuse(p, "more than %d routes; sum them up, or use `redirect-gateway`",
				   SETTINGS_ROUTES_MAX);
	v = realloc(o->routes, (o->n_routes + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	o->routes = v;
	v[o->n_routes] = *prefix;
	inprefix_mask(&v[o->n_routes++]);
	return 0;
}

/* The gateway word of a route. 1: through the tunnel; 0: around it, noted; or a refusal. */
static int check_gateway(struct ovpn_parser *p, const char *s, int family)
{
	struct inaddr a;
	int r;

	if (str_eq(s, "net_gateway") || str_eq(s, "net_gateway_ipv6"))
		return ovpn_note(p, FATE_IGNORED,
				 "would lead around the tunnel, which has no meaning inside it; dropped");
	if (str_eq(s, "default") || str_eq(s, "vpn_gateway") || str_eq(s, "remote_host") || str_eq(s, "dhcp"))
		return 1;
	r = parse_address(p, s, family, &a);
	return r < 0 ? r : 1;
}

static int refuse_route_name(struct ovpn_parser *p, const char *s)
{
	_cleanup_(freep) char *shown = str_escape(s, strlen(s), 60);

	if (!shown)
		return -ENOMEM;
	return ovpn_refuse(p,
			   "'%s' is not an address, and a name could not be looked up safely before the tunnel is up; "
			   "write its address",
			   shown);
}

int ovpn_opt_route(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct inprefix prefix = { .len = 32 };
	struct inaddr mask;
	uint64_t metric;
	int r;

	if (it->n_words > 4 && !str_eq(it->words[4], "default")) {
		r = ovpn_number(p, it->words[4], 0, UINT32_MAX, &metric);
		if (r < 0)
			return r;
	}
	if (it->n_words > 3) {
		r = check_gateway(p, it->words[3], AF_INET);
		if (r <= 0)
			return r;
	}
	if (str_eq(it->words[1], "remote_host") || str_eq(it->words[1], "net_gateway"))
		return ovpn_note(p, FATE_IGNORED,
				 "the way to the server is not a matter of the programs inside; dropped");
	if (str_eq(it->words[1], "vpn_gateway"))
		return ovpn_note(p, FATE_IGNORED, "the gateway is reached through the tunnel device in any case");
	if (inaddr_parse(it->words[1], &prefix.addr) < 0)
		return refuse_route_name(p, it->words[1]);
	if (prefix.addr.family != AF_INET)
		return ovpn_refuse(p, "takes an IPv4 network; use `route-ipv6` for this one");
	if (it->n_words > 2 && !str_eq(it->words[2], "default")) {
		r = parse_address(p, it->words[2], AF_INET, &mask);
		if (r < 0)
			return r;
		if (netmask_to_len(&mask, &prefix.len) < 0)
			return ovpn_refuse(p, "%s is not a netmask; correct line %u", it->words[2], it->line);
	}
	return add_route(p, &prefix);
}

int ovpn_opt_route_ipv6(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct inprefix prefix;
	uint64_t metric;
	int r;

	if (it->n_words > 3 && !str_eq(it->words[3], "default")) {
		r = ovpn_number(p, it->words[3], 0, UINT32_MAX, &metric);
		if (r < 0)
			return r;
	}
	if (it->n_words > 2) {
		r = check_gateway(p, it->words[2], AF_INET6);
		if (r <= 0)
			return r;
	}
	if (inprefix_parse(it->words[1], &prefix) < 0)
		return refuse_route_name(p, it->words[1]);
	if (prefix.addr.family != AF_INET6)
		return ovpn_refuse(p, "takes an IPv6 network; use `route` for this one");
	return add_route(p, &prefix);
}

static int redirect_flags(struct ovpn_parser *p, const struct ovpn_item *it, unsigned *ret)
{
	static const char *const without_effect[] = { "local",	     "autolocal",  "def1",
						      "bypass-dhcp", "bypass-dns", "block-local" };
	_cleanup_(freep) char *shown = NULL;
	unsigned flags = 0;

	for (unsigned i = 1; i < it->n_words; i++) {
		bool known = false;

		if (str_eq(it->words[i], "ipv6"))
			flags |= REDIRECT_IPV6;
		else if (str_eq(it->words[i], "!ipv4"))
			flags |= REDIRECT_NOT_IPV4;
		else
			for (size_t k = 0; k < ARRAY_SIZE(without_effect); k++)
				known |= str_eq(it->words[i], without_effect[k]);
		if (known || str_eq(it->words[i], "ipv6") || str_eq(it->words[i], "!ipv4"))
			continue;
		shown = str_escape(it->words[i], strlen(it->words[i]), 40);
		if (!shown)
			return -ENOMEM;
		return ovpn_refuse(p,
				   "unknown flag '%s'; the flags are def1, ipv6, !ipv4, local, autolocal, bypass-dhcp, "
				   "bypass-dns and block-local",
				   shown);
	}
	*ret = flags;
	return 0;
}

int ovpn_opt_redirect_gateway(struct ovpn_parser *p, const struct ovpn_item *it)
{
	unsigned flags;
	int r;

	r = redirect_flags(p, it, &flags);
	if (r < 0)
		return r;
	/* Each line speaks for IPv4 anew. */
	p->o->redirect = (p->o->redirect & ~REDIRECT_NOT_IPV4) | REDIRECT_GATEWAY | flags;
	return 0;
}

int ovpn_opt_redirect_private(struct ovpn_parser *p, const struct ovpn_item *it)
{
	unsigned flags;
	int r;

	r = redirect_flags(p, it, &flags);
	if (r < 0)
		return r;
	p->o->redirect |= REDIRECT_PRIVATE;
	return 0;
}

/* ---- names ---- */

static int add_dns(struct ovpn_parser *p, struct inaddr *v, unsigned *n, const struct inaddr *a)
{
	if (inaddr_is_special(a))
		return ovpn_refuse(p, "this address cannot be a name server inside the tunnel; remove line %u",
				   p->item->line);
	for (unsigned i = 0; i < *n; i++)
		if (inaddr_eq(&v[i], a))
			return 0;
	if (*n == SETTINGS_DNS_MAX)
		return ovpn_note(p, FATE_IGNORED, "more than %d name servers; the first ones are used",
				 SETTINGS_DNS_MAX);
	v[(*n)++] = *a;
	return 0;
}

static int add_domain(struct ovpn_parser *p, char ***list, const char *s)
{
	_cleanup_(freep) char *shown = NULL;

	if (!domain_is_valid(s)) {
		shown = str_escape(s, strlen(s), 60);
		if (!shown)
			return -ENOMEM;
		return ovpn_refuse(p, "'%s' is not a domain name; correct line %u", shown, p->item->line);
	}
	if (strv_contains(*list, s))
		return 0;
	if (strv_len(*list) == SETTINGS_SEARCH_MAX)
		return ovpn_note(p, FATE_IGNORED, "more than %d search domains; the first ones are used",
				 SETTINGS_SEARCH_MAX);
	return strv_add(list, s);
}

int ovpn_opt_dhcp_option(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *type = it->words[1];
	struct inaddr a;
	int r;

	if (str_ieq(type, "DNS") || str_ieq(type, "DNS6")) {
		if (it->n_words != 3)
			return ovpn_refuse(p, "takes one address; complete line %u", it->line);
		r = parse_address(p, it->words[2], str_ieq(type, "DNS6") ? AF_INET6 : AF_UNSPEC, &a);
		return r < 0 ? r : add_dns(p, p->o->dns, &p->o->n_dns, &a);
	}
	if (str_ieq(type, "DOMAIN") || str_ieq(type, "DOMAIN-SEARCH") || str_ieq(type, "ADAPTER_DOMAIN_SUFFIX")) {
		if (it->n_words != 3)
			return ovpn_refuse(p, "takes one domain; complete line %u", it->line);
		return add_domain(p, &p->o->search, it->words[2]);
	}
	return ovpn_note(p, FATE_IGNORED, "only DNS servers and search domains have an effect inside the tunnel");
}

static struct ovpn_dns_server *dns_server(struct ovpn_parser *p, int priority)
{
	for (unsigned i = 0; i < p->n_dns_servers; i++)
		if (p->dns_servers[i].priority == priority)
			return &p->dns_servers[i];
	if (p->n_dns_servers == OVPN_DNS_SERVERS_MAX)
		return NULL;
	p->dns_servers[p->n_dns_servers] = (struct ovpn_dns_server){ .priority = priority, .line = p->item->line };
	return &p->dns_servers[p->n_dns_servers++];
}

/* "192.0.2.53", "192.0.2.53:53", "2001:db8::53", "[2001:db8::53]:53". */
static int dns_address(struct ovpn_parser *p, struct ovpn_dns_server *server, const char *s)
{
	_cleanup_(freep) char *bare = NULL;
	struct endpoint e = { .port = DNS_PORT };
	size_t len = strlen(s);
	int r;

	if (len > 2 && s[0] == '[' && s[len - 1] == ']')
		bare = strndup(s + 1, len - 2);
	else
		bare = strdup(s);
	if (!bare)
		return -ENOMEM;
	if (inaddr_parse(bare, &e.addr) < 0 && endpoint_parse(bare, &e) < 0)
		return parse_address(p, s, AF_UNSPEC, &e.addr);
	if (e.port != DNS_PORT) {
		server->unusable = true;
		return ovpn_note(p, FATE_IGNORED, "a name server on port %u cannot be used by ordinary programs",
				 e.port);
	}
	r = add_dns(p, server->addrs, &server->n_addrs, &e.addr);
	return r;
}

static int dns_server_option(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct ovpn_dns_server *server;
	int64_t priority;
	int r = 0;

	if (it->n_words < 5)
		return ovpn_refuse(p, "takes `dns server N address ADDRESS…`; complete line %u", it->line);
	if (parse_i64(it->words[2], -128, 127, &priority) < 0)
		return ovpn_refuse(p, "the number has to be from -128 to 127; correct line %u", it->line);
	server = dns_server(p, (int)priority);
	if (!server)
		return ovpn_refuse(p, "more than %d name servers; remove some lines", OVPN_DNS_SERVERS_MAX);
	if (str_eq(it->words[3], "address")) {
		for (unsigned i = 4; i < it->n_words && r == 0; i++)
			r = dns_address(p, server, it->words[i]);
		return r;
	}
	if (str_eq(it->words[3], "transport") || str_eq(it->words[3], "type")) {
		if (str_ieq(it->words[4], "plain"))
			return 0;
		server->unusable = true;
		return ovpn_note(p, FATE_IGNORED,
				 "encrypted name service is not supported yet; this server is not used");
	}
	if (str_eq(it->words[3], "resolve-domains"))
		return ovpn_note(p, FATE_IGNORED, "all names go to the tunnel's servers, not these domains only");
	if (str_eq(it->words[3], "dnssec") || str_eq(it->words[3], "sni"))
		return ovpn_note(p, FATE_IGNORED, "no effect on ordinary programs");
	return ovpn_refuse(
		p, "unknown property of a name server; known are address, resolve-domains, dnssec, transport, sni");
}

int ovpn_opt_dns(struct ovpn_parser *p, const struct ovpn_item *it)
{
	int r = 0;

	if (str_eq(it->words[1], "server"))
		return dns_server_option(p, it);
	if (!str_eq(it->words[1], "search-domains"))
		return ovpn_refuse(p, "takes `server` or `search-domains`; correct line %u", it->line);
	if (it->n_words < 3)
		return ovpn_refuse(p, "takes at least one domain; complete line %u", it->line);
	for (unsigned i = 2; i < it->n_words && r == 0; i++)
		r = add_domain(p, &p->dns_search, it->words[i]);
	return r;
}

int ovpn_opt_dns_updown(struct ovpn_parser *p, const struct ovpn_item *it)
{
	if (it->n_words == 2 && (str_eq(it->words[1], "disable") || str_eq(it->words[1], "force")))
		return ovpn_note(p, FATE_IGNORED, "nsvpn writes the name servers itself");
	return ovpn_refuse(p, "nsvpn never runs a program from a profile; remove line %u, names are set without it",
			   it->line);
}

int ovpn_opt_pull_filter(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct ovpn_options *o = p->o;
	struct pull_filter filter = { 0 }, *v;
	char *dst;

	if (str_eq(it->words[1], "accept"))
		filter.action = PULL_FILTER_ACCEPT;
	else if (str_eq(it->words[1], "ignore"))
		filter.action = PULL_FILTER_IGNORE;
	else if (str_eq(it->words[1], "reject"))
		filter.action = PULL_FILTER_REJECT;
	else
		return ovpn_refuse(p, "the first value is accept, ignore or reject; correct line %u", it->line);
	if (o->n_pull_filters == PULL_FILTERS_MAX)
		return ovpn_refuse(p, "more than %d filters; remove some lines", PULL_FILTERS_MAX);
	filter.prefix = strdup(it->words[2]);
	if (!filter.prefix)
		return -ENOMEM;
	/* One blank for each run of blanks and none in front, as the pushed text is compared. A last one counts. */
	dst = filter.prefix;
	for (const char *s = it->words[2]; *s; s++)
		if (*s != ' ' || (dst > filter.prefix && dst[-1] != ' '))
			*dst++ = *s;
	*dst = '\0';
	v = realloc(o->pull_filters, (o->n_pull_filters + 1) * sizeof(*v));
	if (!v) {
		free(filter.prefix);
		return -ENOMEM;
	}
	o->pull_filters = v;
	v[o->n_pull_filters++] = filter;
	return 0;
}

/* ---- the whole ---- */

static int finish_ifconfig(struct ovpn_parser *p)
{
	struct ovpn_options *o = p->o;
	uint8_t len;

	if (!p->ifconfig_line)
		return 0;
	if (o->topology != TOPOLOGY_SUBNET && !o->tap) {
		o->ifconfig4 = (struct inprefix){ .addr = p->ifconfig_local, .len = 32 };
		o->ifconfig4_peer = p->ifconfig_remote;
		return 0;
	}
	if (netmask_to_len(&p->ifconfig_remote, &len) < 0)
		return ovpn_refuse_at(p, p->ifconfig_line, "ifconfig",
				      "with %s the second value has to be a netmask; correct line %u",
				      o->tap ? "`dev tap`" : "`topology subnet`", p->ifconfig_line);
	o->ifconfig4 = (struct inprefix){ .addr = p->ifconfig_local, .len = len };
	return 0;
}

static int finish_gateway(struct ovpn_parser *p)
{
	struct ovpn_options *o = p->o;
	struct note *note;
	char *text;

	if (!o->tap) {
		o->gateway4 = o->gateway6 = (struct inaddr){ 0 };
		return 0;
	}
	if (!inaddr_is_set(&o->gateway4) || !p->notes || p->gateway_note >= p->notes->n)
		return 0;
	text = strdup("the next hop for IPv4 routes, unless the server gives one");
	if (!text)
		return -ENOMEM;
	note = &p->notes->v[p->gateway_note];
	free(note->text);
	note->text = text;
	note->fate = FATE_HONOURED;
	return 0;
}

static int finish_dns(struct ovpn_parser *p)
{
	const struct ovpn_dns_server *best = NULL;
	struct ovpn_options *o = p->o;

	for (unsigned i = 0; i < p->n_dns_servers; i++) {
		const struct ovpn_dns_server *s = &p->dns_servers[i];

		if (!s->unusable && s->n_addrs && (!best || s->priority < best->priority))
			best = s;
	}
	if (best) {
		memcpy(o->dns, best->addrs, sizeof(o->dns));
		o->n_dns = best->n_addrs;
	}
	if (p->dns_search) {
		strv_free(o->search);
		o->search = TAKE_PTR(p->dns_search);
	}
	return 0;
}

int ovpn_finish_net(struct ovpn_parser *p)
{
	int r;

	r = finish_ifconfig(p);
	if (r == 0)
		r = finish_gateway(p);
	return r < 0 ? r : finish_dns(p);
}
