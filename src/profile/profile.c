/* The neutral model: names of its enums, the end of its life, and the question whether the whole is usable. */
#include "profile/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define STATIC_KEY_LEN 256

static const char *const protocol_names[] = {
	[PROTOCOL_OPENVPN] = "openvpn",
	[PROTOCOL_WIREGUARD] = "wireguard",
};
static_assert(ARRAY_SIZE(protocol_names) == _PROTOCOL_MAX, "a name for every protocol");

static const char *const uplink_names[] = {
	[UPLINK_VETH] = "veth",
	[UPLINK_SOCKET] = "socket",
};
static_assert(ARRAY_SIZE(uplink_names) == _UPLINK_MAX, "a name for every uplink");

static const char *const transport_names[] = {
	[TRANSPORT_UDP] = "udp",
	[TRANSPORT_TCP] = "tcp",
};
static_assert(ARRAY_SIZE(transport_names) == _TRANSPORT_MAX, "a name for every transport");

const char *protocol_to_string(enum protocol p)
{
	return (unsigned)p < _PROTOCOL_MAX ? protocol_names[p] : "unknown";
}

const char *uplink_to_string(enum uplink u)
{
	return (unsigned)u < _UPLINK_MAX ? uplink_names[u] : "unknown";
}

int uplink_from_string(const char *s, enum uplink *ret)
{
	for (size_t i = 0; i < _UPLINK_MAX; i++)
		if (str_eq(s, uplink_names[i])) {
			*ret = (enum uplink)i;
			return 0;
		}
	return -EINVAL;
}

const char *transport_to_string(enum transport t)
{
	return (unsigned)t < _TRANSPORT_MAX ? transport_names[t] : "unknown";
}

static void ovpn_options_done(struct ovpn_options *o)
{
	secret_free(o->ca);
	secret_free(o->cert);
	secret_free(o->key);
	secret_free(o->extra_certs);
	secret_free(o->pkcs12);
	secret_free(o->key_password);
	free(o->crl);
	free(o->tls_cipher);
	free(o->tls_ciphersuites);
	free(o->tls_groups);
	free(o->tls_cert_profile);
	free(o->name_check_value);
	free(o->remote_eku);
	free(o->peer_hashes);
	free(o->ca_hashes);
	secret_free(o->static_key);
	secret_free(o->wkc);
	free(o->ciphers);
	free(o->cipher_fallback);
	free(o->auth);
	secret_free(o->username);
	secret_free(o->password);
	free(o->auth_file);
	free(o->static_challenge);
	free(o->routes);
	strv_free(o->search);
	for (size_t i = 0; i < o->n_pull_filters; i++)
		free(o->pull_filters[i].prefix);
	free(o->pull_filters);
	strv_free(o->ui_ver);
}

static void proxy_done(struct proxy *x)
{
	free(x->host);
	secret_free(x->username);
	secret_free(x->password);
	free(x->agent);
	strv_free(x->headers);
}

const struct proxy *profile_proxy(const struct profile *p, const struct remote *r)
{
	return r->proxy && r->proxy <= p->n_proxies ? &p->proxies[r->proxy - 1] : NULL;
}

void profile_free(struct profile *p)
{
	if (!p)
		return;
	free(p->name);
	free(p->source);
	for (size_t i = 0; i < p->n_remotes; i++)
		free(p->remotes[i].host);
	free(p->remotes);
	for (size_t i = 0; i < p->n_proxies; i++)
		proxy_done(&p->proxies[i]);
	free(p->proxies);
	ovpn_options_done(&p->ovpn);
	tunnel_settings_done(&p->settings);
	free(p);
}

/* Each returns what is wrong, with its remedy, or NULL. */

static const char *check_remotes(const struct profile *p)
{
	if (!p->n_remotes)
		return "names no server; add a line `remote HOST PORT`, or ask the provider for the whole profile";
	if (p->n_remotes > PROFILE_REMOTES_MAX)
		return "names more than 64 servers; remove some `remote` lines";
	for (size_t i = 0; i < p->n_remotes; i++)
		if (!p->remotes[i].host || !p->remotes[i].port)
			return "holds a server without name or port; correct its `remote` line";
	return NULL;
}

static const char *check_identity(const struct ovpn_options *o)
{
	if (!o->ca && !o->pkcs12 && !o->n_peer_hashes)
		return "does not say which authority the server's certificate must come from; add a block <ca> with "
		       "the "
		       "provider's certificate";
	if (o->pkcs12 && (o->cert || o->key))
		return "names the client's certificate twice; keep either `pkcs12` or `cert` and `key`";
	if (o->cert && !o->key)
		return "holds a certificate without its private key; add `key`";
	if (o->key && !o->cert)
		return "holds a private key without its certificate; add `cert`";
	if (!o->cert && !o->pkcs12 && !o->auth_user_pass)
		return "holds nothing to log in with; add `cert` and `key`, or `auth-user-pass`";
	if (o->password && !o->username)
		return "holds a password without a user name; write the user name on the first line";
	return NULL;
}

static const char *check_tls(const struct ovpn_options *o)
{
	if (!o->remote_cert_tls_server && !o->remote_eku && o->name_check == NAME_CHECK_NONE && !o->n_peer_hashes)
		return "does not say how to know the server; add `remote-cert-tls server`";
	if (o->name_check != NAME_CHECK_NONE && (!o->name_check_value || !*o->name_check_value))
		return "checks the server's name without saying which; complete `verify-x509-name`";
	if (o->tls_version_min && o->tls_version_max && o->tls_version_min > o->tls_version_max)
		return "wants a TLS version that is newer than the newest it allows; correct tls-version-min or "
		       "tls-version-max";
	if ((o->wrap == CONTROL_WRAP_NONE) != (o->static_key == NULL) ||
	    (o->static_key && secret_len(o->static_key) != STATIC_KEY_LEN))
		return "holds an incomplete tls-auth or tls-crypt key; copy it again";
	if (!o->ciphers || !*o->ciphers || !o->auth)
		return "leaves no cipher to use; remove its data-ciphers line";
	return NULL;
}

static const char *check_inside(const struct ovpn_options *o)
{
	if (!o->pull && !inaddr_is_set(&o->ifconfig4.addr) && !inaddr_is_set(&o->ifconfig6.addr))
		return "gives the tunnel no address and asks the server for none; add `client`";
	if (o->tun_mtu_set && o->tun_mtu < 1280 && inaddr_is_set(&o->ifconfig6.addr))
		return "sets an IPv6 address and an MTU below 1280, which IPv6 needs; raise tun-mtu";
	if (o->n_routes > SETTINGS_ROUTES_MAX || o->n_dns > SETTINGS_DNS_MAX)
		return "sets more routes or name servers than are allowed; remove some";
	return NULL;
}

int profile_verify(const struct profile *p, char **ret_error)
{
	const char *why = NULL;

	if (p->protocol != PROTOCOL_OPENVPN)
		why = "is a WireGuard file, which is not supported yet";
	if (!why)
		why = check_remotes(p);
	if (!why)
		why = check_identity(&p->ovpn);
	if (!why)
		why = check_tls(&p->ovpn);
	if (!why)
		why = check_inside(&p->ovpn);
	if (!why)
		return 0;
	*ret_error = str_format("%s: %s", p->source ? p->source : "the profile", why);
	return *ret_error ? -EINVAL : -ENOMEM;
}
