/*
 * Pushed options to typed settings.
 *
 * Theory. A server may push what stands in the table below and nothing else; each row says how many values it takes
 * and whose business it is (routes, names), because `route-nopull` switches those classes off. Numbers have ranges,
 * addresses are parsed as addresses, domains have a character set. A bad value of an option that only concerns comfort
 * is ignored with a note; one that both ends must agree on (cipher, peer-id, protocol-flags) ends the attempt, since
 * going on would only fail later and silently.
 *
 * Default routes. In the tunnel's namespace "def1", gateways and metrics have no meaning: there is one device and, per
 * family, a default route or none. redirect-gateway gives IPv4 (unless !ipv4) and with `ipv6` IPv6; routes that add up
 * to everything count as the default of their family; a server that speaks of no route beyond its own subnet gets
 * all traffic, since sending it there is what the tunnel is for. Whatever has no route stays unreachable.
 *
 * Bounds: 256 routes, 8 resolvers, 10 domains, 24 notes; the rest is counted, not stored. A reply of ten thousand
 * routes costs time proportional to its length and no memory.
 */
#include "proto/ovpn-push.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "base/str.h"
#include "profile/ovpn-lexer.h"
#include "proto/ovpn-data.h"

#define OPTION_LEN_MAX 1024 /* of one pushed option; tokens of identity providers are long */
#define SECONDS_MAX (366u * 24 * 3600)
#define MTU_MIN 576
#define MTU_MIN6 1280
#define MTU_DEFAULT 1500

/* ---- notes ---- */

/* `what` was ignored because of `why`; once for each option name. */
static int note(struct ovpn_push *p, const char *name, const char *option, const char *why)
{
	_cleanup_(freep) char *shown = NULL, *key = NULL, *text = NULL;
	int r;

	if (strv_len(p->notes) >= OVPN_PUSH_NOTES_MAX)
		return 0;
	key = str_escape(name, strlen(name), 48);
	shown = str_escape(option, strlen(option), 96);
	if (!key || !shown)
		return -ENOMEM;
	if (p->noted && strv_contains(p->noted, key))
		return 0;
	text = str_format("ignored the pushed option \"%s\": %s", shown, why);
	if (!text)
		return -ENOMEM;
	r = strv_add(&p->noted, key);
	if (r < 0)
		return r;
	return strv_add(&p->notes, text);
}

/* ---- routes ---- */

enum {
	WHOLE4 = 1 << 0,
	WHOLE4_LOW = 1 << 1,
	WHOLE4_HIGH = 1 << 2,
	WHOLE6 = 1 << 3,
	WHOLE6_LOW = 1 << 4,
	WHOLE6_HIGH = 1 << 5,
	WHOLE6_GLOBAL_LOW = 1 << 6,
	WHOLE6_GLOBAL_HIGH = 1 << 7,
};

struct whole {
	uint8_t family_bits; /* 32 or 128: keeps the table short */
	uint8_t first;       /* first byte of the address; the rest is zero */
	uint8_t len;
	unsigned bit;
};

/* 2000::/3 is all of the global unicast space: what servers push to mean "everything". */
static const struct whole wholes[] = {
	{ 32, 0x00, 0, WHOLE4 },
	{ 32, 0x00, 1, WHOLE4_LOW },
	{ 32, 0x80, 1, WHOLE4_HIGH },
	{ 128, 0x00, 0, WHOLE6 },
	{ 128, 0x20, 3, WHOLE6 },
	{ 128, 0x00, 1, WHOLE6_LOW },
	{ 128, 0x80, 1, WHOLE6_HIGH },
	{ 128, 0x20, 4, WHOLE6_GLOBAL_LOW },
	{ 128, 0x30, 4, WHOLE6_GLOBAL_HIGH },
};

static void routes_store(struct ovpn_routes *routes, const struct inprefix *prefix)
{
	for (unsigned i = 0; i < routes->n; i++)
		if (inprefix_eq(&routes->v[i], prefix))
			return;
	if (routes->n < ARRAY_SIZE(routes->v))
		routes->v[routes->n++] = *prefix;
	else
		routes->n_lost++;
}

static void routes_add(struct ovpn_routes *routes, struct inprefix prefix)
{
	unsigned bits = prefix.addr.family == AF_INET ? 32 : 128;

	inprefix_mask(&prefix);
	for (size_t i = 0; i < ARRAY_SIZE(wholes); i++)
		if (wholes[i].family_bits == bits && wholes[i].len == prefix.len &&
		    wholes[i].first == prefix.addr.bytes[0]) {
			routes->whole |= wholes[i].bit;
			return;
		}
	routes_store(routes, &prefix);
}

static bool has_bits(unsigned set, unsigned bits)
{
	return (set & bits) == bits;
}

static bool routes_whole4(unsigned whole)
{
	return has_bits(whole, WHOLE4) || has_bits(whole, WHOLE4_LOW | WHOLE4_HIGH);
}

static bool routes_whole6(unsigned whole)
{
	return has_bits(whole, WHOLE6) || has_bits(whole, WHOLE6_LOW | WHOLE6_HIGH) ||
	       has_bits(whole, WHOLE6_GLOBAL_LOW | WHOLE6_GLOBAL_HIGH);
}

/* Halves without their other half are ordinary routes after all. */
static void routes_restore_halves(struct ovpn_routes *routes)
{
	for (size_t i = 0; i < ARRAY_SIZE(wholes); i++) {
		const struct whole *w = &wholes[i];
		struct inprefix prefix = { .len = w->len };
		bool v4 = w->family_bits == 32;

		if (!(routes->whole & w->bit) || (v4 ? routes_whole4(routes->whole) : routes_whole6(routes->whole)))
			continue;
		prefix.addr.family = v4 ? AF_INET : AF_INET6;
		prefix.addr.bytes[0] = w->first;
		routes_store(routes, &prefix);
	}
}

/* ---- option parsers ---- */

/* One option, cut into words. */
struct option {
	const char *text;
	char *const *words;
	unsigned n;
};

/*
 * 0: taken. 1: *why says why it is ignored. -EPROTO: *why says why the connection cannot go on. -ENOMEM. The text of
 * *why is static.
 */
typedef int (*option_fn)(struct ovpn_push *p, const struct option *o, const char **why);

#define IGNORE(reason)                                                                                             \
	({                                                                                                         \
		*why = (reason);                                                                                   \
		1;                                                                                                 \
	})
#define REFUSE(reason)                                                                                             \
	({                                                                                                         \
		*why = (reason);                                                                                   \
		-EPROTO;                                                                                           \
	})

static int on_ifconfig(struct ovpn_push *p, const struct option *o, const char **why)
{
	struct inaddr local, remote;

	if (inaddr_parse(o->words[1], &local) < 0 || inaddr_parse(o->words[2], &remote) < 0 ||
	    local.family != AF_INET || remote.family != AF_INET || inaddr_is_special(&local))
		return REFUSE("its addresses make no sense");
	p->local4 = local;
	p->remote4 = remote;
	return 0;
}

static int on_ifconfig_ipv6(struct ovpn_push *p, const struct option *o, const char **why)
{
	struct inprefix local;

	if (inprefix_parse(o->words[1], &local) < 0 || local.addr.family != AF_INET6 ||
	    inaddr_is_special(&local.addr) || local.len == 0)
		return IGNORE("its address makes no sense");
	if (!strchr(o->words[1], '/'))
		local.len = 64;
	p->local6 = local;
	return 0;
}

static int on_topology(struct ovpn_push *p, const struct option *o, const char **why)
{
	static const char *const names[] = {
		[TOPOLOGY_NET30] = "net30",
		[TOPOLOGY_P2P] = "p2p",
		[TOPOLOGY_SUBNET] = "subnet",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(o->words[1], names[i])) {
			p->topology = (enum topology)i;
			p->topology_set = true;
			return 0;
		}
	return IGNORE("not a topology that exists");
}

/* 0.0.0.0/1 and ::/3 begin with the unspecified address; they are large networks all the same. */
static bool is_large_from_zero(const struct inprefix *p)
{
	static const uint8_t zero[16];

	return p->len < 8 && memcmp(p->addr.bytes, zero, inaddr_len(p->addr.family)) == 0;
}

static int add_route(struct ovpn_push *p, const struct inprefix *prefix, const char **why)
{
	struct inprefix masked = *prefix;

	inprefix_mask(&masked);
	if (inaddr_is_special(&masked.addr) && !is_large_from_zero(&masked))
		return IGNORE("loopback, multicast and the like are never routed into a tunnel");
	if (inaddr_is_link_local(&masked.addr))
		return IGNORE("link-local addresses are never routed");
	routes_add(&p->routes, masked);
	return 0;
}

static int on_route(struct ovpn_push *p, const struct option *o, const char **why)
{
	struct inprefix prefix = { .len = 32 };
	struct inaddr mask;

	if (o->n > 3 && str_eq(o->words[3], "net_gateway"))
		return IGNORE("net_gateway would lead around the tunnel, which nsvpn never does");
	if (str_eq(o->words[1], "vpn_gateway") || str_eq(o->words[1], "net_gateway") ||
	    str_eq(o->words[1], "remote_host"))
		return IGNORE("this keyword has no meaning inside the tunnel's namespace");
	if (inaddr_parse(o->words[1], &prefix.addr) < 0 || prefix.addr.family != AF_INET)
		return IGNORE("only numeric IPv4 networks are accepted from a server");
	if (o->n > 2 && !str_eq(o->words[2], "default") &&
	    (inaddr_parse(o->words[2], &mask) < 0 || mask.family != AF_INET ||
	     netmask_to_len(&mask, &prefix.len) < 0))
		return IGNORE("its netmask makes no sense");
	return add_route(p, &prefix, why);
}

static int on_route_ipv6(struct ovpn_push *p, const struct option *o, const char **why)
{
	struct inprefix prefix;

	if (o->n > 2 && str_eq(o->words[2], "net_gateway_ipv6"))
		return IGNORE("net_gateway_ipv6 would lead around the tunnel, which nsvpn never does");
	if (inprefix_parse(o->words[1], &prefix) < 0 || prefix.addr.family != AF_INET6)
		return IGNORE("only numeric IPv6 networks are accepted from a server");
	return add_route(p, &prefix, why);
}

/* On a device of its own namespace a gateway's address plays no part: every route leaves by the device. */
static int on_nothing(struct ovpn_push *p _unused_, const struct option *o _unused_, const char **why _unused_)
{
	return 0;
}

static unsigned redirect_flags(const struct option *o)
{
	unsigned flags = 0;

	/* local, autolocal, def1, bypass-*, block-local: about the host's routes, which nobody touches here. */
	for (unsigned i = 1; i < o->n; i++) {
		if (str_eq(o->words[i], "ipv6"))
			flags |= REDIRECT_IPV6;
		else if (str_eq(o->words[i], "!ipv4"))
			flags |= REDIRECT_NOT_IPV4;
	}
	return flags;
}

static int on_redirect_gateway(struct ovpn_push *p, const struct option *o, const char **why _unused_)
{
	/* Each one speaks for IPv4 anew: the last word counts. */
	p->redirect = (p->redirect & ~REDIRECT_NOT_IPV4) | REDIRECT_GATEWAY | redirect_flags(o);
	return 0;
}

static int on_redirect_private(struct ovpn_push *p, const struct option *o _unused_, const char **why _unused_)
{
	p->redirect_private = true;
	return 0;
}

static int on_block_ipv6(struct ovpn_push *p, const struct option *o _unused_, const char **why _unused_)
{
	p->block_ipv6 = true;
	return 0;
}

/* ---- names ---- */

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

static int on_dhcp_option(struct ovpn_push *p, const struct option *o, const char **why)
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

static int on_dns_address(struct ovpn_dns_server *s, const struct option *o, const char **why)
{
	int r = 0;

	for (unsigned i = 4; i < o->n; i++) {
		struct inaddr a;

		if (!parse_server_addr(o->words[i], &a) || inaddr_is_special(&a) || inaddr_is_link_local(&a))
			r = IGNORE("an address of it cannot be used as a resolver (numeric, port 53)");
		else
			(void)add_addr(s->addrs, &s->n_addrs, &a); /* more than eight: the first eight do */
	}
	return r;
}

static int on_dns(struct ovpn_push *p, const struct option *o, const char **why)
{
	struct ovpn_dns_server *s;
	uint32_t n;

	if (str_eq(o->words[1], "search-domains")) {
		int r = 0;

		for (unsigned i = 2; i < o->n && r == 0; i++)
			r = add_search(p, o->words[i], why);
		return r;
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
		return IGNORE("encrypted name service (DoT, DoH) is not available here");
	}
	return 0; /* resolve-domains, dnssec, sni: no meaning without a local resolver */
}

/* ---- interface and session ---- */

static int on_tun_mtu(struct ovpn_push *p, const struct option *o, const char **why)
{
	uint32_t mtu;

	if (parse_u32(o->words[1], MTU_MIN, 65535, &mtu) < 0)
		return IGNORE("an MTU is 576 to 65535");
	p->tun_mtu = mtu;
	return 0;
}

static int take_seconds(const char *word, usec_t *ret, const char **why)
{
	uint32_t s;

	if (parse_u32(word, 0, SECONDS_MAX, &s) < 0)
		return IGNORE("not a number of seconds between 0 and one year");
	*ret = s * USEC_PER_SEC;
	return 0;
}

static int on_ping(struct ovpn_push *p, const struct option *o, const char **why)
{
	int r = take_seconds(o->words[1], &p->ping, why);

	p->ping_set |= r == 0;
	return r;
}

/* ping-restart and ping-exit are one timer with two ends: the later word counts. */
static int on_ping_restart(struct ovpn_push *p, const struct option *o, const char **why)
{
	int r = take_seconds(o->words[1], &p->ping_restart, why);

	if (r == 0) {
		p->ping_restart_set = true;
		p->ping_exit_set = true;
		p->ping_exit = 0;
	}
	return r;
}

static int on_ping_exit(struct ovpn_push *p, const struct option *o, const char **why)
{
	int r = take_seconds(o->words[1], &p->ping_exit, why);

	if (r == 0) {
		p->ping_exit_set = true;
		p->ping_restart_set = true;
		p->ping_restart = 0;
	}
	return r;
}

static int on_exit_notify(struct ovpn_push *p, const struct option *o, const char **why)
{
	uint32_t n = 1;

	if (o->n > 1 && parse_u32(o->words[1], 0, 10, &n) < 0)
		return IGNORE("a count is 0 to 10");
	p->exit_notify = n;
	p->exit_notify_set = true;
	return 0;
}

static int on_inactive(struct ovpn_push *p, const struct option *o, const char **why)
{
	uint64_t bytes = 0;
	int r;

	if (o->n > 2 && parse_u64(o->words[2], 0, UINT64_MAX, &bytes) < 0)
		return IGNORE("its number of bytes is not a number");
	r = take_seconds(o->words[1], &p->inactive, why);
	if (r == 0)
		p->inactive_bytes = bytes;
	return r;
}

static int on_session_timeout(struct ovpn_push *p, const struct option *o, const char **why)
{
	return take_seconds(o->words[1], &p->session_timeout, why);
}

static int on_comp_lzo(struct ovpn_push *p, const struct option *o _unused_, const char **why _unused_)
{
	p->framing = FRAMING_LZO; /* also `comp-lzo no`: it says "do not compress", not "do not frame" */
	p->framing_set = true;
	return 0;
}

static int on_compress(struct ovpn_push *p, const struct option *o, const char **why)
{
	static const struct {
		const char *name;
		enum framing framing;
	} kinds[] = {
		{ "stub", FRAMING_SWAP },	{ "lz4", FRAMING_SWAP },    { "lzo", FRAMING_LZO },
		{ "stub-v2", FRAMING_STUB_V2 }, { "lz4-v2", FRAMING_STUB_V2 },
	};
	const char *kind = o->n > 1 ? o->words[1] : "stub";

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kind, kinds[i].name)) {
			p->framing = kinds[i].framing;
			p->framing_set = true;
			return 0;
		}
	return REFUSE("not a compression framing that nsvpn knows");
}

static int on_cipher(struct ovpn_push *p, const struct option *o, const char **why)
{
	if (!o->words[1][0] || !str_copy(p->cipher, sizeof(p->cipher), o->words[1]))
		return REFUSE("not the name of a cipher");
	return 0;
}

static int on_peer_id(struct ovpn_push *p, const struct option *o, const char **why)
{
	if (parse_u32(o->words[1], 0, OVPN_PEER_ID_UNDEF, &p->peer_id) < 0)
		return REFUSE("a peer id is 0 to 16777215");
	return 0;
}

static int on_key_derivation(struct ovpn_push *p, const struct option *o, const char **why)
{
	if (!str_eq(o->words[1], "tls-ekm"))
		return REFUSE("not a key derivation that was offered");
	p->tls_ekm = true;
	return 0;
}

static int on_protocol_flags(struct ovpn_push *p, const struct option *o, const char **why)
{
	for (unsigned i = 1; i < o->n; i++) {
		if (str_eq(o->words[i], "tls-ekm"))
			p->tls_ekm = true;
		else if (str_eq(o->words[i], "cc-exit"))
			p->cc_exit = true;
		else if (str_eq(o->words[i], "dyn-tls-crypt"))
			p->dyn_tls_crypt = true;
		else
			return REFUSE("it names a protocol flag that was not offered");
	}
	return 0;
}

static int on_auth_token(struct ovpn_push *p, const struct option *o, const char **why)
{
	struct secret *s;
	int r;

	if (!o->words[1][0])
		return IGNORE("it is empty");
	r = secret_new_copy(&s, o->words[1], strlen(o->words[1]));
	if (r < 0)
		return r;
	p->auth_token = (secret_free(p->auth_token), s);
	return 0;
}

static int on_auth_token_user(struct ovpn_push *p, const struct option *o, const char **why)
{
	uint8_t *raw = NULL;
	struct secret *s;
	size_t len = 0;
	int r;

	if (parse_base64(o->words[1], strlen(o->words[1]), &raw, &len) < 0)
		return IGNORE("not base64");
	if (len == 0 || !str_is_clean_utf8((const char *)raw, len)) {
		free(raw);
		return IGNORE("not a user name");
	}
	r = secret_new_copy(&s, raw, len);
	secret_wipe(raw, len);
	free(raw);
	if (r < 0)
		return r;
	p->auth_token_user = (secret_free(p->auth_token_user), s);
	return 0;
}

/* ---- the allow-list ---- */

enum option_class { CLASS_ROUTE = 1, CLASS_DNS = 2 };

struct option_kind {
	const char *name;
	uint8_t min, max; /* values */
	uint8_t class;
	option_fn parse;  /* NULL: known, of no effect here, not worth a word */
};

#define ANY (OVPN_WORDS_MAX - 1)

static const struct option_kind kinds[] = {
	{ "route", 1, 4, CLASS_ROUTE, on_route },
	{ "route-ipv6", 1, 3, CLASS_ROUTE, on_route_ipv6 },
	{ "dhcp-option", 1, 3, CLASS_DNS, on_dhcp_option },
	{ "ifconfig", 2, 2, 0, on_ifconfig },
	{ "ifconfig-ipv6", 1, 2, 0, on_ifconfig_ipv6 },
	{ "topology", 1, 1, 0, on_topology },
	{ "route-gateway", 1, 2, 0, on_nothing },
	{ "redirect-gateway", 0, ANY, CLASS_ROUTE, on_redirect_gateway },
	{ "redirect-private", 0, ANY, CLASS_ROUTE, on_redirect_private },
	{ "block-ipv6", 0, 0, 0, on_block_ipv6 },
	{ "dns", 2, ANY, CLASS_DNS, on_dns },
	{ "tun-mtu", 1, 2, 0, on_tun_mtu },
	{ "ping", 1, 1, 0, on_ping },
	{ "ping-restart", 1, 1, 0, on_ping_restart },
	{ "ping-exit", 1, 1, 0, on_ping_exit },
	{ "explicit-exit-notify", 0, 1, 0, on_exit_notify },
	{ "inactive", 1, 2, 0, on_inactive },
	{ "session-timeout", 1, 1, 0, on_session_timeout },
	{ "comp-lzo", 0, 1, 0, on_comp_lzo },
	{ "compress", 0, 1, 0, on_compress },
	{ "cipher", 1, 1, 0, on_cipher },
	{ "peer-id", 1, 1, 0, on_peer_id },
	{ "auth-token", 1, 1, 0, on_auth_token },
	{ "auth-token-user", 1, 1, 0, on_auth_token_user },
	{ "key-derivation", 1, 1, 0, on_key_derivation },
	{ "protocol-flags", 1, ANY, 0, on_protocol_flags },
	/* known, without effect in a namespace of its own */
	{ "sndbuf", 0, ANY, 0, NULL },
	{ "rcvbuf", 0, ANY, 0, NULL },
	{ "socket-flags", 0, ANY, 0, NULL },
	{ "route-metric", 0, ANY, 0, NULL },
	{ "route-delay", 0, ANY, 0, NULL },
	{ "route-method", 0, ANY, 0, NULL },
	{ "echo", 0, ANY, 0, NULL },
	{ "parameter", 0, ANY, 0, NULL },
	{ "persist-key", 0, ANY, 0, NULL },
	{ "persist-tun", 0, ANY, 0, NULL },
	{ "verb", 0, ANY, 0, NULL },
	{ "mute", 0, ANY, 0, NULL },
	{ "setenv-safe", 0, ANY, 0, NULL },
	{ "ping-timer-rem", 0, ANY, 0, NULL },
	{ "ifconfig-nowarn", 0, ANY, 0, NULL },
	{ "block-outside-dns", 0, ANY, 0, NULL },
	{ "register-dns", 0, ANY, 0, NULL },
	{ "ip-win32", 0, ANY, 0, NULL },
	{ "tap-sleep", 0, ANY, 0, NULL },
	{ "tun-ipv6", 0, ANY, 0, NULL },
};

static const struct option_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

/* *why is static. As option_fn. */
static int apply_option(struct ovpn_push *p, const struct option *o, const char **why)
{
	const struct option_kind *kind = find_kind(o->words[0]);

	if (!kind)
		return IGNORE("a server may not push this, or nsvpn does not know it");
	if (!kind->parse)
		return 0;
	if (p->options->route_nopull && (kind->class & (CLASS_ROUTE | CLASS_DNS)))
		return IGNORE("`route-nopull` in the profile says so");
	if (o->n - 1 < kind->min || o->n - 1 > kind->max)
		return IGNORE("it has too few or too many values");
	return kind->parse(p, o, why);
}

/* White space runs become one blank, so that a filter's prefix means what it says. False: too long. */
static bool normalise(const char *s, size_t len, char *buf, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == ' ' && (n == 0 || buf[n - 1] == ' '))
			continue;
		if (n + 1 >= cap)
			return false;
		buf[n++] = s[i];
	}
	while (n && buf[n - 1] == ' ')
		n--;
	buf[n] = 0;
	return true;
}

/* First match wins. 0: use it, 1: leave it out, -EACCES: reject the server. */
static int filter(const struct ovpn_options *o, const char *text)
{
	for (size_t i = 0; i < o->n_pull_filters; i++) {
		if (!str_has_prefix(text, o->pull_filters[i].prefix))
			continue;
		switch (o->pull_filters[i].action) {
		case PULL_FILTER_ACCEPT:
			return 0;
		case PULL_FILTER_IGNORE:
			return 1;
		case PULL_FILTER_REJECT:
			return -EACCES;
		}
	}
	return 0;
}

static int sentence(char **ret_error, int error, const char *option, const char *format_why)
{
	_cleanup_(freep) char *shown = str_escape(option, strlen(option), 96);

	if (!shown)
		return -ENOMEM;
	*ret_error = str_format("the server pushed \"%s\": %s", shown, format_why);
	return *ret_error ? error : -ENOMEM;
}

/* What may be shown of an option: tokens are secrets, however they are quoted. name: NULL when it could not be read. */
static const char *showable(const char *name, const char *text)
{
	if (!name)
		return strstr(text, "auth") ? "(hidden)" : text;
	return str_has_prefix(name, "auth") ? "auth-token (hidden)" : text;
}

/* The words with one blank between them: what filters compare, so that neither blanks nor quotes are a way around. */
static void plain_text(const struct option *o, char *buf)
{
	char *at = buf;

	for (unsigned i = 0; i < o->n; i++) {
		size_t len = strlen(o->words[i]);

		if (i)
			*at++ = ' ';
		memcpy(at, o->words[i], len);
		at += len;
	}
	*at = 0;
}

/* text is normalised and not empty. 0, or as ovpn_push_add. */
static int add_option(struct ovpn_push *p, const char *text, unsigned *ret_continuation, char **ret_error)
{
	char buf[OPTION_LEN_MAX + 1], plain[OPTION_LEN_MAX + 1] = "", *words[OVPN_WORDS_MAX + 1];
	struct option o = { .text = text, .words = words };
	const char *why = NULL;
	int r;

	r = ovpn_split(text, strlen(text), buf, words, &o.n, &why);
	if (r < 0 || o.n == 0) {
		r = note(p, "unreadable", showable(NULL, text), why ? why : "it cannot be read");
		goto out;
	}
	if (str_eq(words[0], "push-continuation")) {
		if (o.n == 2 && (str_eq(words[1], "1") || str_eq(words[1], "2")))
			*ret_continuation = (unsigned)(words[1][0] - '0');
		r = 0;
		goto out;
	}
	plain_text(&o, plain); /* no longer than text: each word, and each blank between two, stands there too */
	r = filter(p->options, plain);
	if (r == -EACCES)
		r = sentence(ret_error, r, showable(words[0], text),
			     "a `pull-filter reject` of the profile forbids it; change the server or the filter");
	if (r < 0)
		goto out;
	if (r > 0)
		why = "`pull-filter` in the profile says so";
	else
		r = apply_option(p, &o, &why);
	if (r > 0)
		r = note(p, words[0], showable(words[0], text), why);
	else if (r == -EPROTO)
		r = sentence(ret_error, r, showable(words[0], text), why);
out:
	secret_wipe(buf, sizeof(buf)); /* it may have been a token */
	secret_wipe(plain, sizeof(plain));
	return r;
}

/* ---- the interface ---- */

void ovpn_push_init(struct ovpn_push *p, const struct ovpn_options *options)
{
	*p = (struct ovpn_push){
		.options = options,
		.peer_id = OVPN_PEER_ID_V1,
		.topology = options->topology_set ? options->topology : TOPOLOGY_NET30,
		.framing = options->framing,
	};
}

void ovpn_push_done(struct ovpn_push *p)
{
	p->auth_token = secret_free(p->auth_token);
	p->auth_token_user = secret_free(p->auth_token_user);
	strv_free(p->notes);
	strv_free(p->noted);
	p->notes = p->noted = NULL;
}

int ovpn_push_add(struct ovpn_push *p, const char *text, char **ret_error)
{
	char option[OPTION_LEN_MAX];
	unsigned continuation = 1;
	int r = 0;

	if (strchr(text, '\t') || !str_is_clean_utf8(text, strlen(text))) {
		*ret_error = strdup("the server's settings hold control characters");
		return *ret_error ? -EBADMSG : -ENOMEM;
	}
	if (++p->n_messages > OVPN_PUSH_MESSAGES_MAX) {
		*ret_error = strdup("the server's settings (PUSH_REPLY) have no end");
		return *ret_error ? -EPROTO : -ENOMEM;
	}
	while (*text && r >= 0) {
		size_t len = strcspn(text, ",");

		if (!normalise(text, len, option, sizeof(option)))
			r = note(p, "long", "(too long)", "it is longer than 1023 bytes");
		else if (option[0])
			r = add_option(p, option, &continuation, ret_error);
		text += len;
		text += *text == ',';
	}
	secret_wipe(option, sizeof(option));
	if (r < 0)
		return r;
	return continuation == 2 ? 0 : 1;
}

/* ---- merging ---- */

static int finish_error(char **ret_error, const char *text)
{
	*ret_error = strdup(text);
	return *ret_error ? -EPROTO : -ENOMEM;
}

/* Second value of ifconfig: a netmask or a peer. What it looks like wins over a topology that cannot be meant. */
static bool is_subnet(enum topology topology, const struct inaddr *second, uint8_t *ret_len)
{
	uint8_t len = 0;
	bool mask = netmask_to_len(second, &len) == 0 && len > 0;

	if (topology == TOPOLOGY_SUBNET ? !mask : !(mask && second->bytes[0] == 255))
		return false;
	*ret_len = len;
	return true;
}

static int finish_addresses(const struct ovpn_push *p, struct settings *s, char **ret_error)
{
	const struct ovpn_options *o = p->options;
	struct inprefix *a = &s->addrs[0];

	if (inaddr_is_set(&p->local4)) {
		*a = (struct inprefix){ .addr = p->local4, .len = 32 };
		if (!is_subnet(p->topology, &p->remote4, &a->len)) {
			if (p->topology == TOPOLOGY_SUBNET || inaddr_is_special(&p->remote4))
				return finish_error(ret_error,
						    "the server's `ifconfig` has neither a netmask nor a peer address as its second value");
			s->peer4 = p->remote4;
		}
		s->n_addrs++;
	} else if (inaddr_is_set(&o->ifconfig4.addr)) {
		*a = o->ifconfig4;
		s->peer4 = o->ifconfig4_peer;
		s->n_addrs++;
	}
	if (inaddr_is_set(&p->local6.addr))
		s->addrs[s->n_addrs++] = p->local6;
	else if (inaddr_is_set(&o->ifconfig6.addr))
		s->addrs[s->n_addrs++] = o->ifconfig6;
	if (s->n_addrs == 0)
		return finish_error(ret_error,
				    "the server assigned no address (no `ifconfig` in PUSH_REPLY); it is not set up for clients like this one");
	return 0;
}

static bool has_family(const struct settings *s, int family)
{
	for (unsigned i = 0; i < s->n_addrs; i++)
		if (s->addrs[i].addr.family == family)
			return true;
	return false;
}

/* True for routes that only reach the VPN's own addresses. */
static bool is_own_subnet(const struct settings *s, const struct inprefix *route)
{
	for (unsigned i = 0; i < s->n_addrs; i++) {
		struct inprefix own = s->addrs[i];

		if (own.addr.family != route->addr.family)
			continue;
		/*
		 * A point-to-point address does not tell its pool. Servers push the route to their own address or to the pool
		 * ("route 10.8.0.1"): taken as own when it is that narrow and that near.
		 */
		if (own.addr.family == AF_INET && inaddr_is_set(&s->peer4))
			own.len = route->len == 32 ? 16 : 24;
		inprefix_mask(&own);
		if (route->len >= own.len && inprefix_contains(&own, &route->addr))
			return true;
		if (route->len >= 16 && inprefix_contains(route, &s->addrs[i].addr))
			return true;
	}
	return false;
}

/* The server's redirect-gateway has the last word about IPv4. */
static unsigned merge_redirect(const struct ovpn_push *p)
{
	unsigned own = p->options->redirect;

	return p->redirect ? (own & ~REDIRECT_NOT_IPV4) | p->redirect : own;
}

/* Returns how many routes did not fit. */
static unsigned finish_routes(const struct ovpn_push *p, struct settings *s)
{
	const struct ovpn_options *o = p->options;
	unsigned redirect = merge_redirect(p);
	bool has4 = has_family(s, AF_INET), has6 = has_family(s, AF_INET6), beyond;
	struct ovpn_routes all = { 0 };

	for (size_t i = 0; i < o->n_routes; i++)
		routes_add(&all, o->routes[i]);
	for (unsigned i = 0; i < p->routes.n; i++)
		routes_store(&all, &p->routes.v[i]);
	all.whole |= p->routes.whole;
	routes_restore_halves(&all);

	beyond = (redirect & REDIRECT_GATEWAY) || p->redirect_private || all.whole;
	for (unsigned i = 0; i < all.n; i++)
		beyond |= !is_own_subnet(s, &all.v[i]);

	s->default4 = has4 && (!beyond || routes_whole4(all.whole) ||
			       ((redirect & REDIRECT_GATEWAY) && !(redirect & REDIRECT_NOT_IPV4)));
	s->block_ipv6 = p->block_ipv6 || o->block_ipv6;
	s->default6 = has6 && !s->block_ipv6 &&
		      (!beyond || routes_whole6(all.whole) || has_bits(redirect, REDIRECT_GATEWAY | REDIRECT_IPV6));
	for (unsigned i = 0; i < all.n; i++)
		if (has_family(s, all.v[i].addr.family))
			s->routes[s->n_routes++] = all.v[i];
	return all.n_lost + p->routes.n_lost;
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
static void finish_names(const struct ovpn_push *p, struct settings *s)
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

static int finish_mtu(struct ovpn_push *p, uint32_t tun_mtu_max, struct settings *s)
{
	uint32_t mtu = p->options->tun_mtu ? p->options->tun_mtu : MTU_DEFAULT;

	if (p->tun_mtu)
		mtu = p->tun_mtu;
	if (tun_mtu_max >= MTU_MIN)
		mtu = MIN(mtu, tun_mtu_max);
	s->mtu = MIN(MAX(mtu, (uint32_t)MTU_MIN), 65535u);
	if (has_family(s, AF_INET6) && s->mtu < MTU_MIN6) {
		s->mtu = MTU_MIN6;
		return note(p, "tun-mtu", "tun-mtu", "IPv6 needs at least 1280");
	}
	return 0;
}

int ovpn_push_finish(struct ovpn_push *p, uint32_t tun_mtu_max, struct settings *ret, char **ret_error)
{
	_cleanup_(freep) struct settings *s = calloc(1, sizeof(*s)); /* 8 KiB: not on the stack */
	_cleanup_(freep) char *why = NULL;
	unsigned n_lost;
	int r;

	if (!s)
		return -ENOMEM;
	r = finish_addresses(p, s, ret_error);
	if (r < 0)
		return r;
	n_lost = finish_routes(p, s);
	finish_names(p, s);
	r = finish_mtu(p, tun_mtu_max, s);
	if (r < 0)
		return r;
	if (n_lost) {
		r = note(p, "too many routes", "route", "only the first 256 routes are used");
		if (r < 0)
			return r;
	}
	r = settings_verify(s, &why);
	if (r < 0) {
		if (!why)
			return -ENOMEM;
		*ret_error = str_format("the server's settings cannot be used: %s", why);
		return *ret_error ? -EPROTO : -ENOMEM;
	}
	*ret = *s;
	return 0;
}
