/* Samples for the profile tests. */
#include "sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sample_load(void *userdata, const char *path, struct secret **ret)
{
	const struct sample_file *f = userdata;

	for (; f && f->name; f++)
		if (str_eq(f->name, path))
			return secret_new_copy(ret, f->text, f->len ? f->len : strlen(f->text));
	return -ENOENT;
}

struct parsed sample_parse(const char *text, size_t len, const struct sample_file *files)
{
	struct parsed d = { 0 };

	d.r = profile_parse_ovpn(text, len, "x.ovpn", sample_load, (void *)files, &d.notes, &d.p, &d.error);
	cr_assert(d.r == 0 || d.r == -EINVAL, "%d", d.r);
	cr_assert_eq(d.r == 0, d.p != NULL);
	cr_assert_eq(d.r == 0, d.error == NULL);
	return d;
}

struct parsed sample_parse_text(const char *text)
{
	return sample_parse(text, strlen(text), NULL);
}

void parsed_done(struct parsed *d)
{
	profile_free(d->p);
	free(d->error);
	notes_done(&d->notes);
}

const struct note *parsed_note(const struct parsed *d, unsigned line)
{
	for (size_t i = d->notes.n; i > 0; i--)
		if (d->notes.v[i - 1].line == line)
			return &d->notes.v[i - 1];
	return NULL;
}

static bool text_eq(const char *a, const char *b)
{
	return a && b ? str_eq(a, b) : a == b;
}

static bool secret_eq(const struct secret *a, const struct secret *b)
{
	if (!a || !b)
		return a == b;
	return secret_len(a) == secret_len(b) && memcmp(secret_bytes(a), secret_bytes(b), secret_len(a)) == 0;
}

static bool strv_eq(char **a, char **b)
{
	if (strv_len(a) != strv_len(b))
		return false;
	for (size_t i = 0; i < strv_len(a); i++)
		if (!str_eq(a[i], b[i]))
			return false;
	return true;
}

static bool opt_inaddr_eq(const struct inaddr *a, const struct inaddr *b)
{
	return inaddr_is_set(a) && inaddr_is_set(b) ? inaddr_eq(a, b) : inaddr_is_set(a) == inaddr_is_set(b);
}

#define SAME(what, cond)                                                                                               \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			*ret_what = (what);                                                                            \
			return false;                                                                                  \
		}                                                                                                      \
	} while (0)
#define SAME_VALUE(f) SAME(#f, a->f == b->f)
#define SAME_TEXT(f) SAME(#f, text_eq(a->f, b->f))
#define SAME_SECRET(f) SAME(#f, secret_eq(a->f, b->f))

static bool options_equal(const struct ovpn_options *a, const struct ovpn_options *b, const char **ret_what)
{
	SAME_SECRET(ca);
	SAME_SECRET(cert);
	SAME_SECRET(key);
	SAME_SECRET(extra_certs);
	SAME_SECRET(pkcs12);
	SAME_SECRET(key_password);
	SAME_SECRET(static_key);
	SAME_SECRET(wkc);
	SAME_SECRET(username);
	SAME_SECRET(password);
	SAME_TEXT(crl);
	SAME_TEXT(tls_cipher);
	SAME_TEXT(tls_ciphersuites);
	SAME_TEXT(tls_groups);
	SAME_TEXT(tls_cert_profile);
	SAME_TEXT(name_check_value);
	SAME_TEXT(remote_eku);
	SAME_VALUE(remote_ku_required);
	SAME_VALUE(n_remote_ku);
	SAME_VALUE(n_peer_hashes);
	SAME_VALUE(n_ca_hashes);
	SAME_TEXT(ciphers);
	SAME_TEXT(cipher_fallback);
	SAME_TEXT(auth);
	SAME_VALUE(tls_version_min);
	SAME_VALUE(tls_version_max);
	SAME_VALUE(remote_cert_tls_server);
	SAME_VALUE(name_check);
	SAME_VALUE(wrap);
	SAME_VALUE(key_password_asked);
	SAME_VALUE(key_direction);
	SAME_VALUE(hand_window);
	SAME_VALUE(tls_timeout);
	SAME_VALUE(reneg_sec);
	SAME_VALUE(tran_window);
	SAME_VALUE(reneg_bytes);
	SAME_VALUE(reneg_pkts);
	SAME_VALUE(framing);
	SAME_VALUE(lzo_option);
	SAME_VALUE(no_compression);
	SAME_VALUE(fragment);
	SAME_VALUE(fragment_mtu);
	SAME_VALUE(replay_window);
	SAME_VALUE(auth_user_pass);
	SAME_VALUE(auth_retry);
	SAME_VALUE(auth_nocache);
	SAME_TEXT(static_challenge);
	SAME_VALUE(static_challenge_echo);
	SAME_VALUE(static_challenge_concat);
	SAME_VALUE(push_peer_info);
	SAME_VALUE(ping);
	SAME_VALUE(ping_restart);
	SAME_VALUE(ping_restart_set);
	SAME_VALUE(ping_exit);
	SAME_VALUE(connect_retry);
	SAME_VALUE(connect_retry_max);
	SAME_VALUE(connect_timeout);
	SAME_VALUE(explicit_exit_notify);
	SAME_VALUE(remote_random);
	SAME_VALUE(pull);
	SAME_VALUE(topology);
	SAME_VALUE(topology_set);
	SAME("ifconfig4",
	     opt_inaddr_eq(&a->ifconfig4.addr, &b->ifconfig4.addr) && a->ifconfig4.len == b->ifconfig4.len);
	SAME("ifconfig4_peer", opt_inaddr_eq(&a->ifconfig4_peer, &b->ifconfig4_peer));
	SAME("ifconfig6",
	     opt_inaddr_eq(&a->ifconfig6.addr, &b->ifconfig6.addr) && a->ifconfig6.len == b->ifconfig6.len);
	SAME_VALUE(tap);
	SAME("gateway4", opt_inaddr_eq(&a->gateway4, &b->gateway4));
	SAME("gateway6", opt_inaddr_eq(&a->gateway6, &b->gateway6));
	SAME_VALUE(redirect);
	SAME_VALUE(block_ipv6);
	SAME_VALUE(route_nopull);
	SAME_VALUE(n_routes);
	for (size_t i = 0; i < a->n_routes; i++)
		SAME("routes", inprefix_eq(&a->routes[i], &b->routes[i]));
	SAME_VALUE(n_dns);
	for (size_t i = 0; i < a->n_dns; i++)
		SAME("dns", inaddr_eq(&a->dns[i], &b->dns[i]));
	SAME("search", strv_eq(a->search, b->search));
	SAME_VALUE(n_pull_filters);
	for (size_t i = 0; i < a->n_pull_filters; i++)
		SAME("pull_filters", a->pull_filters[i].action == b->pull_filters[i].action &&
					     str_eq(a->pull_filters[i].prefix, b->pull_filters[i].prefix));
	SAME_VALUE(tun_mtu);
	SAME_VALUE(tun_mtu_set);
	SAME_VALUE(mssfix);
	SAME_VALUE(mssfix_mode);
	SAME("ui_ver", strv_eq(a->ui_ver, b->ui_ver));
	return true;
}

static bool proxies_equal(const struct proxy *a, const struct proxy *b)
{
	if (!a || !b)
		return a == b;
	return a->kind == b->kind && str_eq(a->host, b->host) && a->port == b->port && a->auth == b->auth && a->http11 == b->http11 &&
	       strv_eq(a->headers, b->headers) && text_eq(a->agent, b->agent) && secret_eq(a->username, b->username) &&
	       secret_eq(a->password, b->password);
}

bool profiles_equal(const struct profile *a, const struct profile *b, const char **ret_what)
{
	SAME_VALUE(protocol);
	SAME_VALUE(n_remotes);
	for (size_t i = 0; i < a->n_remotes; i++)
		SAME("remotes", str_eq(a->remotes[i].host, b->remotes[i].host) &&
					a->remotes[i].port == b->remotes[i].port &&
					a->remotes[i].transport == b->remotes[i].transport &&
					a->remotes[i].family == b->remotes[i].family &&
					opt_inaddr_eq(&a->remotes[i].local, &b->remotes[i].local) &&
					a->remotes[i].local_port == b->remotes[i].local_port &&
					proxies_equal(profile_proxy(a, &a->remotes[i]), profile_proxy(b, &b->remotes[i])));
	return options_equal(&a->ovpn, &b->ovpn, ret_what);
}
