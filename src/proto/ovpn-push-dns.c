/* Pushed resolvers and domains: addresses are parsed as addresses, domains have a character set. */
#include "proto/ovpn-push-option.h"

#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"

static int add_search(struct ovpn_push *p, const char *domain, const char **why)
{
	if (!domain_is_valid(domain))
		return IGNORE("the domain has characters that domains do not have");
	for (unsigned i = 0; i < p->n_search; i++)
		if (str_ieq(p->search[i], domain))
			return 0;
	if (p->n_search >= SETTINGS_SEARCH_MAX)
		return IGNORE("too many search domains");
	if (!str_copy(p->search[p->n_search], SETTINGS_DOMAIN_LEN, domain))
		return IGNORE("the domain is too long");
	p->n_search++;
	return 0;
}

static int add_addr(struct inaddr *v, unsigned *n, const struct inaddr *a)
{
	for (unsigned i = 0; i < *n; i++)
		if (inaddr_eq(&v[i], a))
			return 0;
	if (*n >= SETTINGS_DNS_MAX)
		return -ENOSPC;
	v[(*n)++] = *a;
	return 0;
}

static int add_dns(struct ovpn_push *p, const char *text, const char **why)
{
	struct inaddr a;

	if (inaddr_parse(text, &a) < 0 || inaddr_is_special(&a) || inaddr_is_link_local(&a))
		return IGNORE("not the address of a resolver in a tunnel");
	return add_addr(p->dns, &p->n_dns, &a) < 0 ? IGNORE("too many resolvers") : 0;
}

int ovpn_push_on_dhcp_option(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	const char *kind = o->words[1];

	if (str_eq(kind, "DNS") || str_eq(kind, "DNS6"))
		return o->n > 2 ? add_dns(p, o->words[2], why) : IGNORE("it lacks the address");
	if (str_eq(kind, "DOMAIN") || str_eq(kind, "DOMAIN-SEARCH") || str_eq(kind, "ADAPTER_DOMAIN_SUFFIX"))
		return o->n > 2 ? add_search(p, o->words[2], why) : IGNORE("it lacks the domain");
	return IGNORE("only DNS and DOMAIN options have a meaning here");
}

static struct ovpn_dns_server *server_of(struct ovpn_push *p, uint8_t priority)
{
	struct ovpn_dns_server *s;

	for (unsigned i = 0; i < p->n_servers; i++)
		if (p->servers[i].priority == priority)
			return &p->servers[i];
	if (p->n_servers >= OVPN_PUSH_SERVERS_MAX)
		return NULL;
	s = &p->servers[p->n_servers++];
	s->priority = priority;
	return s;
}

/* "10.8.0.1", "10.8.0.1:53", "fd00::1", "[fd00::1]:53"; another port cannot be written to a resolv.conf. */
static bool parse_server_addr(const char *text, struct inaddr *ret)
{
	struct endpoint e;
	size_t len = strlen(text);
	char bare[INADDR_STR_MAX];

	if (inaddr_parse(text, ret) == 0)
		return true;
	if (text[0] == '[' && len > 2 && len < sizeof(bare) + 2 && text[len - 1] == ']') {
		memcpy(bare, text + 1, len - 2);
		bare[len - 2] = 0;
		return inaddr_parse(bare, ret) == 0;
	}
	if (endpoint_parse(text, &e) < 0 || e.port != 53)
		return false;
	*ret = e.addr;
	return true;
}

static int on_dns_address(struct ovpn_dns_server *s, const struct ovpn_push_option *o, const char **why)
{
	int r = 0;

	for (unsigned i = 4; i < o->n; i++) {
		struct inaddr a;

		if (!parse_server_addr(o->words[i], &a) || inaddr_is_special(&a) || inaddr_is_link_local(&a))
			r = IGNORE_PART("an address of it cannot be used as a resolver (numeric, port 53)");
		else
			(void)add_addr(s->addrs, &s->n_addrs, &a); /* more than eight: the first eight do */
	}
	return r;
}

int ovpn_push_on_dns(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	struct ovpn_dns_server *s;
	uint32_t n;

	if (str_eq(o->words[1], "search-domains")) {
		int r = 0;

		for (unsigned i = 2; i < o->n && r == 0; i++)
			r = add_search(p, o->words[i], why);
		return r > 0 ? IGNORE_PART(*why) : r; /* the ones before it stay */
	}
	if (!str_eq(o->words[1], "server") || o->n < 4 || parse_u32(o->words[2], 0, 127, &n) < 0)
		return IGNORE("not a form of `dns` that exists");
	s = server_of(p, (uint8_t)n);
	if (!s)
		return IGNORE("too many `dns server` entries");
	if (str_eq(o->words[3], "address"))
		return on_dns_address(s, o, why);
	if (str_eq(o->words[3], "transport") && o->n > 4 && !str_ieq(o->words[4], "plain")) {
		s->unusable = true;
		return IGNORE_PART("encrypted name service (DoT, DoH) is not available here");
	}
	return 0; /* resolve-domains, dnssec, sni: no meaning without a local resolver */
}

static const struct ovpn_dns_server *best_server(const struct ovpn_push *p)
{
	const struct ovpn_dns_server *best = NULL;

	for (unsigned i = 0; i < p->n_servers; i++) {
		const struct ovpn_dns_server *s = &p->servers[i];

		if (!s->unusable && s->n_addrs && (!best || s->priority < best->priority))
			best = s;
	}
	return best;
}

/* The profile's own resolvers come first; then `dns server`, or dhcp-option where there is none. */
void ovpn_push_finish_names(const struct ovpn_push *p, struct settings *s)
{
	const struct ovpn_options *o = p->options;
	const struct ovpn_dns_server *server = best_server(p);
	const struct inaddr *pushed = server ? server->addrs : p->dns;
	unsigned n = server ? server->n_addrs : p->n_dns;

	for (unsigned i = 0; i < o->n_dns; i++)
		(void)add_addr(s->dns, &s->n_dns, &o->dns[i]); /* eight are enough for anybody */
	for (unsigned i = 0; i < n; i++)
		(void)add_addr(s->dns, &s->n_dns, &pushed[i]);
	for (char **d = o->search; d && *d && s->n_search < SETTINGS_SEARCH_MAX; d++)
		if (domain_is_valid(*d) && str_copy(s->search[s->n_search], SETTINGS_DOMAIN_LEN, *d))
			s->n_search++;
	for (unsigned i = 0; i < p->n_search && s->n_search < SETTINGS_SEARCH_MAX; i++)
		(void)str_copy(s->search[s->n_search++], SETTINGS_DOMAIN_LEN, p->search[i]);
}
