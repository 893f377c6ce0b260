/*
 * Options about the servers: remote, proto, port, <connection>, the device and the role.
 *
 * Theory. A bare `remote` takes port and protocol from the end of the file, a `remote` in a <connection> block from
 * its block, which starts as a copy of what stood before it. As soon as one block exists the bare remotes do not count.
 * `proto-force` leaves out the servers of the other transport; when nothing is left the file is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "profile/profile-ovpn.h"

#define DEFAULT_PORT 1194

struct proto_word {
	const char *word;
	enum transport transport;
	int family;
};

static const struct proto_word proto_words[] = {
	{ "udp", TRANSPORT_UDP, AF_UNSPEC },	    { "udp4", TRANSPORT_UDP, AF_INET },
	{ "udp6", TRANSPORT_UDP, AF_INET6 },	    { "tcp", TRANSPORT_TCP, AF_UNSPEC },
	{ "tcp4", TRANSPORT_TCP, AF_INET },	    { "tcp6", TRANSPORT_TCP, AF_INET6 },
	{ "tcp-client", TRANSPORT_TCP, AF_UNSPEC }, { "tcp4-client", TRANSPORT_TCP, AF_INET },
	{ "tcp6-client", TRANSPORT_TCP, AF_INET6 },
};

static int parse_proto(struct ovpn_parser *p, const char *s, const struct proto_word **ret)
{
	_cleanup_(freep) char *shown = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(proto_words); i++)
		if (str_ieq(s, proto_words[i].word)) {
			*ret = &proto_words[i];
			return 0;
		}
	if (str_ieq(s, "tcp-server") || str_ieq(s, "tcp4-server") || str_ieq(s, "tcp6-server"))
		return ovpn_refuse(p,
				   "a server's protocol, so this is not a client profile; ask for the client's file");
	shown = str_escape(s, strlen(s), 40);
	if (!shown)
		return -ENOMEM;
	return ovpn_refuse(p, "'%s' is not a protocol; use udp, udp4, udp6, tcp, tcp4 or tcp6", shown);
}

struct ovpn_conn *ovpn_conn(struct ovpn_parser *p)
{
	return p->block_line ? &p->block : &p->global;
}

char *ovpn_host(struct ovpn_parser *p, const char *s, int *ret_r)
{
	_cleanup_(freep) char *host = NULL, *shown = NULL;
	struct inaddr a;
	size_t len = strlen(s);

	if (len > 2 && s[0] == '[' && s[len - 1] == ']')
		host = strndup(s + 1, len - 2);
	else
		host = strdup(s);
	shown = str_escape(s, len, 60);
	if (!host || !shown) {
		*ret_r = -ENOMEM;
		return NULL;
	}
	if (inaddr_parse(host, &a) == 0 || domain_is_valid(host))
		return TAKE_PTR(host);
	*ret_r = ovpn_refuse(p, "'%s' is neither a host name nor an address; correct it", shown);
	return NULL;
}

static int add_remote(struct ovpn_parser *p, struct ovpn_pending_remote *r)
{
	struct ovpn_pending_remote *v;

	if (p->n_remotes == PROFILE_REMOTES_MAX)
		return ovpn_refuse(p, "more than %d servers; remove some `remote` lines", PROFILE_REMOTES_MAX);
	v = realloc(p->remotes, (p->n_remotes + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	p->remotes = v;
	v[p->n_remotes++] = *r;
	r->host = NULL;
	return 0;
}

int ovpn_opt_remote(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct ovpn_pending_remote pending = { .line = it->line, .in_block = p->block_line != 0 };
	const struct proto_word *proto;
	uint64_t port;
	int r = 0;

	if (p->block_line && p->block_remotes++ > 0)
		return ovpn_refuse(p, "the second `remote` of the <connection> of line %u; give it a block of its own",
				   p->block_line);
	if (it->n_words > 2) {
		r = ovpn_number(p, it->words[2], 1, 65535, &port);
		if (r < 0)
			return r;
		pending.port = (uint16_t)port;
	}
	if (it->n_words > 3) {
		r = parse_proto(p, it->words[3], &proto);
		if (r < 0)
			return r;
		pending.proto_set = true;
		pending.transport = proto->transport;
		pending.family = proto->family;
	}
	pending.host = ovpn_host(p, it->words[1], &r);
	if (!pending.host)
		return r;
	pending.note = p->notes ? p->notes->n : 0;
	r = add_remote(p, &pending);
	free(pending.host);
	return r;
}

int ovpn_opt_proto(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const struct proto_word *proto;
	int r;

	r = parse_proto(p, it->words[1], &proto);
	if (r < 0)
		return r;
	ovpn_conn(p)->proto_set = true;
	ovpn_conn(p)->transport = proto->transport;
	ovpn_conn(p)->family = proto->family;
	return 0;
}

int ovpn_opt_proto_force(struct ovpn_parser *p, const struct ovpn_item *it)
{
	bool tcp = str_ieq(it->words[1], "tcp");

	if (!tcp && !str_ieq(it->words[1], "udp"))
		return ovpn_refuse(p, "takes udp or tcp; correct or remove line %u", it->line);
	p->force_line = it->line;
	p->force = tcp ? TRANSPORT_TCP : TRANSPORT_UDP;
	return 0;
}

int ovpn_opt_port(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t port;
	int r;

	r = ovpn_number(p, it->words[1], 1, 65535, &port);
	if (r < 0)
		return r;
	ovpn_conn(p)->port = (uint16_t)port;
	return 0;
}

/* What `explain` says about a tap device. */
#define TAP_MEANS "Ethernet: tun0 inside the namespace is a tap device in the server's network"

int ovpn_opt_dev(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *dev = it->words[1];

	if (str_eq(dev, "null"))
		return ovpn_refuse(p, "a tunnel without a device carries nothing; use `dev tun`");
	p->dev_line = it->line;
	p->dev_is_tun = str_has_prefix(dev, "tun") || str_has_prefix(dev, "utun");
	p->dev_is_tap = str_has_prefix(dev, "tap");
	return p->dev_is_tap ? ovpn_note(p, FATE_HONOURED, TAP_MEANS) : 0;
}

int ovpn_opt_dev_type(struct ovpn_parser *p, const struct ovpn_item *it)
{
	p->dev_type_is_tap = str_eq(it->words[1], "tap");
	p->dev_type_is_tun = str_eq(it->words[1], "tun");
	if (!p->dev_type_is_tun && !p->dev_type_is_tap)
		return ovpn_refuse(p, "takes tun or tap; correct or remove line %u", it->line);
	return p->dev_type_is_tap ? ovpn_note(p, FATE_HONOURED, TAP_MEANS) : 0;
}

int ovpn_opt_mode(struct ovpn_parser *p, const struct ovpn_item *it)
{
	if (str_eq(it->words[1], "p2p"))
		return 0;
	if (str_eq(it->words[1], "server"))
		return ovpn_refuse(p, "this is a server's file, not a client profile; ask for the client's file");
	return ovpn_refuse(p, "takes p2p; correct or remove line %u", it->line);
}

/* client, tls-client, pull: the first is both others. */
int ovpn_opt_client(struct ovpn_parser *p, const struct ovpn_item *it)
{
	if (!str_eq(it->words[0], "pull"))
		p->client_line = it->line;
	if (!str_eq(it->words[0], "tls-client"))
		p->o->pull = true;
	return 0;
}

int ovpn_connection_begin(struct ovpn_parser *p)
{
	p->block_line = p->item->line;
	p->block_remotes = 0;
	p->n_blocks++;
	p->block = p->global;
	p->proxies_shared = p->profile->n_proxies;
	p->outer_connect_timeout = p->o->connect_timeout;
	return ovpn_note(p, FATE_HONOURED, "begins a server of its own");
}

int ovpn_connection_end(struct ovpn_parser *p)
{
	unsigned line = p->block_line;
	usec_t connect_timeout = p->o->connect_timeout;

	p->o->connect_timeout = p->outer_connect_timeout;
	if (p->block_remotes == 0) {
		p->block_line = 0;
		return ovpn_refuse_at(p, line, "<connection>", "holds no `remote`; add one, or remove the block");
	}
	for (size_t i = 0; i < p->n_remotes; i++) {
		struct ovpn_pending_remote *r = &p->remotes[i];

		if (r->line <= line)
			continue;
		r->connect_timeout = connect_timeout;
		r->block = p->block;
		if (!r->port)
			r->port = p->block.port;
		if (!r->proto_set) {
			r->proto_set = p->block.proto_set;
			r->transport = p->block.transport;
			r->family = p->block.family;
		}
	}
	p->block_line = 0;
	p->proxies_shared = p->profile->n_proxies;
	return ovpn_note(p, FATE_HONOURED, "ends the block");
}

/* The note of a remote that will not be used. */
static int drop(struct ovpn_parser *p, const struct ovpn_pending_remote *r, const char *why)
{
	struct note *note;
	char *text;

	if (!p->notes || r->note >= p->notes->n)
		return 0;
	note = &p->notes->v[r->note];
	text = strdup(why);
	if (!text)
		return -ENOMEM;
	free(note->text);
	note->text = text;
	note->fate = FATE_IGNORED;
	return 0;
}

static void settle(struct ovpn_parser *p, struct ovpn_pending_remote *r)
{
	if (!r->in_block)
		r->block = p->global;
	if (!r->in_block && !r->port)
		r->port = p->global.port;
	if (!r->in_block && !r->proto_set) {
		r->transport = p->global.transport;
		r->family = p->global.family;
	}
	if (!r->port)
		r->port = DEFAULT_PORT;
}

static int check_role(struct ovpn_parser *p)
{
	int r = 0;

	/* The type has the last word, as a device may have any name. */
	p->o->tap = p->dev_type_is_tap || (p->dev_is_tap && !p->dev_type_is_tun);
	if (p->dev_line && !p->dev_is_tun && !p->dev_type_is_tun && !p->o->tap)
		r = ovpn_refuse_at(p, p->dev_line, "dev", "neither a tun nor a tap device; write `dev tun`, or add `dev-type tun`");
	if (r != -ENOMEM && !p->client_line && p->n_lines > 0 && !p->error)
		r = ovpn_refuse_at(p, 0, NULL,
				   "has no `client` line, so it is not a client profile; ask for the client's file");
	return r;
}

static enum proxy_kind proxy_kind(const struct ovpn_parser *p, const struct ovpn_pending_remote *r)
{
	return r->block.proxy ? p->profile->proxies[r->block.proxy - 1].kind : PROXY_NONE;
}

/* Nothing is left: is an HTTP proxy to blame? */
static const struct ovpn_pending_remote *stopped_by_proxy(const struct ovpn_parser *p)
{
	for (size_t i = 0; i < p->n_remotes; i++)
		if (p->remotes[i].transport == TRANSPORT_UDP && proxy_kind(p, &p->remotes[i]) == PROXY_HTTP)
			return &p->remotes[i];
	return NULL;
}

/* Why a server of the file will not be used; NULL: it will. */
static const char *unused(const struct ovpn_parser *p, const struct ovpn_pending_remote *r)
{
	if (p->n_blocks && !r->in_block)
		return "not used, since the file has <connection> blocks";
	if (p->force_line && r->transport != p->force)
		return "not used, since `proto-force` wants the other transport";
	if (r->transport == TRANSPORT_UDP && proxy_kind(p, r) == PROXY_HTTP)
		return "not used, since an HTTP proxy carries TCP only";
	return NULL;
}

/* Fills in port and protocol; returns how many servers count. */
static size_t count_used(struct ovpn_parser *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_remotes; i++) {
		settle(p, &p->remotes[i]);
		if (!unused(p, &p->remotes[i]))
			n++;
	}
	return n;
}

static struct remote finished(const struct ovpn_parser *p, struct ovpn_pending_remote *from)
{
	return (struct remote){
		.host = TAKE_PTR(from->host),
		.port = from->port,
		.transport = from->transport,
		.family = from->family,
		.line = from->line,
		.connect_timeout = from->connect_timeout ? from->connect_timeout : p->o->connect_timeout,
		.proxy = proxy_kind(p, from) == PROXY_NONE ? 0 : from->block.proxy,
		.local = from->block.nobind ? (struct inaddr){ .family = AF_UNSPEC } : from->block.local,
		.local_port = from->block.nobind ? 0 : from->block.local_port,
	};
}

int ovpn_finish_remotes(struct ovpn_parser *p)
{
	const struct ovpn_pending_remote *stopped;
	size_t n;
	int r;

	r = check_role(p);
	if (r == -ENOMEM)
		return r;
	n = count_used(p);
	if (!n && p->n_remotes && p->force_line)
		return ovpn_refuse_at(p, p->force_line, "proto-force",
				      "leaves no server, since all are of the other transport; remove the line");
	stopped = n ? NULL : stopped_by_proxy(p);
	if (stopped)
		return ovpn_refuse_at(p, stopped->line, "remote",
				      "an HTTP proxy carries TCP only, and no server of the file is reached over TCP; write `proto tcp` if the "
				      "server has it, or use a SOCKS proxy");
	if (!n)
		return 0; /* profile_verify() has the words */
	p->profile->remotes = calloc(n, sizeof(*p->profile->remotes));
	if (!p->profile->remotes)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_remotes; i++) {
		struct ovpn_pending_remote *from = &p->remotes[i];
		const char *why = unused(p, from);

		r = 0;
		if (why)
			r = drop(p, from, why);
		else
			p->profile->remotes[p->profile->n_remotes++] = finished(p, from);
		if (r < 0)
			return r;
	}
	return 0;
}
