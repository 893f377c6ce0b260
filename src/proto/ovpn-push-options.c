/*
 * Pushed options about the interface, the timers, the data channel and the token. A bad value of one that only concerns
 * comfort is ignored; one that both ends must agree on ends the attempt.
 */
#include "proto/ovpn-push-option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "proto/ovpn-packet.h"

#define SECONDS_MAX (366u * 24 * 3600)

/* ---- interface ---- */

int ovpn_push_on_ifconfig(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	struct inaddr local, remote;

	if (inaddr_parse(o->words[1], &local) < 0 || inaddr_parse(o->words[2], &remote) < 0 ||
	    local.family != AF_INET || remote.family != AF_INET || inaddr_is_special(&local))
		return REFUSE("its addresses make no sense");
	p->local4 = local;
	p->remote4 = remote;
	return 0;
}

int ovpn_push_on_ifconfig_ipv6(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	struct inprefix local;
	struct inaddr gateway;

	if (inprefix_parse(o->words[1], &local) < 0 || local.addr.family != AF_INET6 ||
	    inaddr_is_special(&local.addr) || local.len == 0)
		return IGNORE("its address makes no sense");
	if (!strchr(o->words[1], '/'))
		local.len = 64;
	p->local6 = local;
	p->gateway6 = (struct inaddr){ 0 };
	if (o->n > 2 && p->options->tap && (inaddr_parse(o->words[2], &gateway) == 0 && gateway.family == AF_INET6))
		p->gateway6 = gateway;
	return 0;
}

int ovpn_push_on_topology(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
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

/* A tun device is the way itself; Ethernet needs the gateway. */
int ovpn_push_on_route_gateway(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	struct inaddr gateway;

	if (!p->options->tap)
		return 0;
	if (str_eq(o->words[1], "dhcp"))
		return IGNORE("nsvpn asks for nothing by DHCP; the server has to push an address");
	if (inaddr_parse(o->words[1], &gateway) < 0 || gateway.family != AF_INET || inaddr_is_special(&gateway))
		return IGNORE("its address makes no sense");
	p->gateway4 = gateway;
	return 0;
}

int ovpn_push_on_tun_mtu(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	uint32_t mtu;

	if (parse_u32(o->words[1], SETTINGS_MTU_MIN, 65535, &mtu) < 0)
		return IGNORE("an MTU is 576 to 65535");
	p->tun_mtu = mtu;
	return 0;
}

/* ---- timers ---- */

static int take_seconds(const char *word, usec_t *ret, const char **why)
{
	uint32_t s;

	if (parse_u32(word, 0, SECONDS_MAX, &s) < 0)
		return IGNORE("not a number of seconds between 0 and one year");
	*ret = s * USEC_PER_SEC;
	return 0;
}

int ovpn_push_on_ping(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	int r = take_seconds(o->words[1], &p->ping, why);

	p->ping_set |= r == 0;
	return r;
}

/* ping-restart and ping-exit are one timer with two ends: the later word counts. */
int ovpn_push_on_ping_restart(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	int r = take_seconds(o->words[1], &p->ping_restart, why);

	if (r == 0) {
		p->ping_restart_set = true;
		p->ping_exit_set = true;
		p->ping_exit = 0;
	}
	return r;
}

int ovpn_push_on_ping_exit(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	int r = take_seconds(o->words[1], &p->ping_exit, why);

	if (r == 0) {
		p->ping_exit_set = true;
		p->ping_restart_set = true;
		p->ping_restart = 0;
	}
	return r;
}

/* In one line what ping and ping-restart are in two; a PUSH_UPDATE changes them this way only. */
int ovpn_push_on_keepalive(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	usec_t every, after;
	int r = take_seconds(o->words[1], &every, why);

	if (r == 0)
		r = take_seconds(o->words[2], &after, why);
	if (r != 0)
		return r;
	if (!every || after < 2 * every)
		return IGNORE("its second value has to be at least twice the first");
	p->keepalive = every;
	p->keepalive_restart = after;
	return 0;
}

int ovpn_push_on_exit_notify(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	uint32_t n = 1;

	if (o->n > 1 && parse_u32(o->words[1], 0, 10, &n) < 0)
		return IGNORE("a count is 0 to 10");
	p->exit_notify = n;
	p->exit_notify_set = true;
	return 0;
}

int ovpn_push_on_inactive(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
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

int ovpn_push_on_session_timeout(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	return take_seconds(o->words[1], &p->session_timeout, why);
}

/* ---- data channel and token ---- */

int ovpn_push_on_comp_lzo(struct ovpn_push *p, const struct ovpn_push_option *o _unused_, const char **why _unused_)
{
	p->framing = FRAMING_LZO; /* also `comp-lzo no`: it says "do not compress", not "do not frame" */
	p->framing_set = true;
	return 0;
}

int ovpn_push_on_compress(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
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

int ovpn_push_on_cipher(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	if (!o->words[1][0] || !str_copy(p->cipher, sizeof(p->cipher), o->words[1]))
		return REFUSE("not the name of a cipher");
	return 0;
}

int ovpn_push_on_peer_id(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	if (parse_u32(o->words[1], 0, OVPN_PEER_ID_UNDEF, &p->peer_id) < 0)
		return REFUSE("a peer id is 0 to 16777215");
	return 0;
}

int ovpn_push_on_key_derivation(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	if (!str_eq(o->words[1], "tls-ekm"))
		return REFUSE("not a key derivation that was offered");
	p->tls_ekm = true;
	return 0;
}

int ovpn_push_on_protocol_flags(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	for (unsigned i = 1; i < o->n; i++) {
		if (str_eq(o->words[i], "tls-ekm"))
			p->tls_ekm = true;
		else if (str_eq(o->words[i], "cc-exit"))
			p->cc_exit = true;
		else if (str_eq(o->words[i], "dyn-tls-crypt"))
			p->dyn_tls_crypt = true;
		else if (str_eq(o->words[i], "aead-epoch"))
			p->epoch = true;
		else
			return REFUSE("it names a protocol flag that was not offered");
	}
	return 0;
}

int ovpn_push_on_auth_token(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
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

int ovpn_push_on_auth_token_user(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
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
