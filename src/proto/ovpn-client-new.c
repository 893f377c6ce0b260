/* From a profile to a client: TLS context, what we say about ourselves, credentials, session. Refusals name the option. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "crypto/random.h"
#include "proto/ovpn-client.h"
#include "proto/ovpn-login.h"

static int default_random(void *userdata _unused_, void *buf, size_t len)
{
	return random_bytes(buf, len);
}

static int64_t default_realtime(void *userdata _unused_)
{
	return time(NULL);
}

static enum tls_name_check name_check_of(enum name_check check)
{
	switch (check) {
	case NAME_CHECK_NONE:
		return TLS_NAME_NONE;
	case NAME_CHECK_SUBJECT:
		return TLS_NAME_SUBJECT;
	case NAME_CHECK_NAME:
		return TLS_NAME_NAME;
	case NAME_CHECK_NAME_PREFIX:
		return TLS_NAME_NAME_PREFIX;
	}
	return TLS_NAME_SUBJECT; /* an unknown check must not become "none" */
}

static int make_tls(struct ovpn_client *c, char **ret_error)
{
	const struct ovpn_options *o = c->options;
	const struct tls_params p = {
		.ca = o->ca,
		.cert = o->cert,
		.key = o->key,
		.extra_certs = o->extra_certs,
		.pkcs12 = o->pkcs12,
		.key_password = o->key_password,
		.crl = o->crl,
		.cipher = o->tls_cipher,
		.ciphersuites = o->tls_ciphersuites,
		.groups = o->tls_groups,
		.cert_profile = o->tls_cert_profile,
		.version_min = o->tls_version_min,
		.version_max = o->tls_version_max,
		.require_server_cert = o->remote_cert_tls_server,
		.name_check = name_check_of(o->name_check),
		.name = o->name_check_value,
		.eku = o->remote_eku,
		.require_ku = o->remote_ku_required,
		.ku = o->remote_ku,
		.n_ku = o->n_remote_ku,
		.pins = o->peer_hashes,
		.n_pins = o->n_peer_hashes,
		.ca_pins = o->ca_hashes,
		.n_ca_pins = o->n_ca_hashes,
	};

	return tls_context_new(&c->tls, &p, ret_error);
}

static int invalid(char **ret_error, const char *text)
{
	*ret_error = strdup(text);
	return *ret_error ? -EINVAL : -ENOMEM;
}

/* What we say about ourselves in the key exchange. */
static int make_announcement(struct ovpn_client *c, char **ret_error)
{
	const struct ovpn_options *o = c->options;
	uint32_t tun_mtu = o->tun_mtu ? o->tun_mtu : OVPN_CLIENT_TUN_MTU;
	char ciphers[OVPN_CIPHERS_MAX], *colon;
	struct ovpn_occ occ = {
		.auth = o->auth,
		.tun_mtu = tun_mtu,
		.tcp = c->transport == TRANSPORT_TCP,
		.tap = o->tap,
		.framing = o->framing != FRAMING_NONE || o->lzo_option,
		.fragment = ovpn_client_fragment(c) != 0,
		.tls_auth = o->wrap == CONTROL_WRAP_TLS_AUTH,
		.key_direction = o->wrap == CONTROL_WRAP_TLS_AUTH ? o->key_direction : KEY_DIRECTION_BOTH,
	};
	int r;

	r = ovpn_peerinfo_ciphers(o->ciphers, ciphers, sizeof(ciphers));
	if (r < 0)
		return invalid(ret_error,
			       "the profile offers no data cipher that nsvpn has (AES-GCM, CHACHA20-POLY1305, AES-CBC); add one to `data-ciphers`");
	colon = strchr(ciphers, ':');
	if (colon)
		*colon = 0;
	occ.cipher = o->cipher_fallback ? o->cipher_fallback : ciphers;
	r = ovpn_occ_format(&occ, c->occ, sizeof(c->occ));
	if (r == 0)
		r = ovpn_peerinfo_format(o, c->tun_mtu_max ? c->tun_mtu_max : MAX(tun_mtu, (uint32_t)OVPN_CLIENT_TUN_MTU),
					 c->peer_info, sizeof(c->peer_info));
	return r < 0 ? invalid(ret_error, "the profile's own peer information (setenv UV_…) is too long; shorten it") : 0;
}

static int make_credentials(struct ovpn_client *c, const struct proto_params *p, char **ret_error)
{
	int r = 0;

	if (!c->options->auth_user_pass)
		return 0;
	if (!p->username || !p->password)
		return invalid(ret_error, "the profile wants a user name and a password (auth-user-pass), and none was given");
	r = secret_dup(&c->username, p->username);
	if (r == 0 && p->token)
		r = secret_dup(&c->token, p->token);
	if (r == 0 && p->token && p->token_user)
		r = secret_dup(&c->token_user, p->token_user);
	if (r == 0)
		r = p->answer ? ovpn_login_static(p->password, p->answer, c->options->static_challenge_concat, &c->password) :
				secret_dup(&c->password, p->password);
	return r == -EINVAL ? invalid(ret_error, "the answer to the profile's question is too long") : r;
}

static int make_session(struct ovpn_client *c, char **ret_error)
{
	const struct ovpn_session_params p = {
		.tls = c->tls,
		.options = c->options,
		.occ = c->occ,
		.peer_info = c->peer_info,
		.username = c->token && c->token_user ? c->token_user : c->username,
		.password = c->token ? c->token : c->password,
		.family = c->server.addr.family,
		.transport = c->transport,
		.random = c->random,
		.realtime = c->realtime,
		.userdata = c->userdata,
		.on_message = ovpn_client_on_message,
		.owner = c,
	};
	int r = ovpn_session_new(&c->session, &p);

	if (r == -EINVAL || r == -EOPNOTSUPP)
		return invalid(ret_error,
			       "the tls-auth or tls-crypt key cannot be used: it is not a 2048-bit static key, or `auth` names a digest that is not available");
	return r;
}

int ovpn_client_new(struct proto **ret, const struct proto_params *params, char **ret_error)
{
	struct ovpn_client *c;
	int r;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->proto.ops = &ovpn_client_ops;
	c->profile = params->profile;
	c->options = &params->profile->ovpn;
	c->server = params->server;
	c->transport = params->transport;
	c->path_mtu = params->path_mtu;
	c->tun_mtu_max = params->tun_mtu_max;
	c->connect_timeout = params->connect_timeout ? params->connect_timeout : c->options->connect_timeout;
	c->began = params->began;
	c->random = params->random ? params->random : default_random;
	c->realtime = params->realtime ? params->realtime : default_realtime;
	c->userdata = params->userdata;
	c->overhead = ovpn_mtu_overhead(true, NULL, NULL, c->options->framing, ovpn_client_fragment(c));
	ovpn_push_init(&c->push, c->options);

	r = make_tls(c, ret_error);
	if (r == 0)
		r = make_announcement(c, ret_error);
	if (r == 0)
		r = make_credentials(c, params, ret_error);
	if (r == 0)
		r = make_session(c, ret_error);
	if (r < 0) {
		ovpn_client_free(&c->proto);
		return r;
	}
	*ret = &c->proto;
	return 0;
}
