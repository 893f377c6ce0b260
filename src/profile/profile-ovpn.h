/*
 * Inside of the .ovpn parser: the option table and what its handlers work with. Not for other folders.
 *
 * Theory. The lexer gives items; each item is looked up in one table that says for every option of the OpenVPN manual
 * what happens with it: honoured (by a handler, or needing none), ignored with a reason, or refused with a remedy. A
 * handler changes the profile or the parser's pending values; what depends on the whole file (which remotes are left,
 * the cipher list, the DNS servers) is settled by ovpn_finish_*() behind the last line. Nothing here runs, opens or
 * includes anything by itself: files come through the caller's loader only.
 */
#pragma once

#include "profile/ovpn-lexer.h"
#include "profile/profile.h"

struct ovpn_parser;

typedef int (*ovpn_handle_fn)(struct ovpn_parser *p, const struct ovpn_item *it);

#define OPT_INLINE (1u << 0)	 /* may be a <block> */
#define OPT_FILE (1u << 1)	 /* the first value names a file */
#define OPT_CONNECTION (1u << 2) /* may stand inside <connection> */
#define OPT_FILE3 (1u << 3)	 /* the third value names a file with user name and password */

/* One option. In `why` the sign @ stands for the line's number. */
struct ovpn_option {
	const char *name;
	enum fate fate;
	unsigned flags;
	uint8_t min_args, max_args; /* checked for honoured options only */
	ovpn_handle_fn handle;	    /* FATE_HONOURED: NULL means that nothing has to be done */
	size_t offset;		    /* field of struct ovpn_options for the generic handlers */
	uint64_t lo, hi;	    /* bounds for the generic handlers */
	const char *why;	    /* honoured: the effect; ignored: the reason; refused: reason and remedy */
};

/* The whole table, sorted by name. */
const struct ovpn_option *ovpn_options_table(size_t *ret_n);
const struct ovpn_option *ovpn_option_find(const char *name);
/* The known name that looks most like this one, or NULL. */
const char *ovpn_option_nearest(const char *name);

/* Values that a <connection> block copies from what stood before it. */
struct ovpn_conn {
	uint16_t port; /* 0: not said */
	bool proto_set;
	enum transport transport;
	int family;
	size_t proxy; /* of the profile's, counted from 1; 0: none */
	struct inaddr local;
	uint16_t local_port;
	bool nobind;
};

struct ovpn_pending_remote {
	char *host;
	uint16_t port;
	bool proto_set;
	enum transport transport;
	int family;
	unsigned line;
	size_t note; /* index of its note */
	usec_t connect_timeout; /* of its block; 0: the file's */
	bool in_block;
	struct ovpn_conn block; /* in_block: proxy and local side are its block's */
};

#define OVPN_DNS_SERVERS_MAX 16
struct ovpn_dns_server {
	int priority;
	unsigned line;
	bool unusable; /* a transport or port that resolv.conf cannot say */
	struct inaddr addrs[SETTINGS_DNS_MAX];
	unsigned n_addrs;
};

struct ovpn_parser {
	const char *source;
	profile_load_fn load;
	void *load_userdata;
	struct notes *notes;
	struct profile *profile;
	struct ovpn_options *o; /* of profile */

	/* the current item */
	const struct ovpn_item *item;
	const struct ovpn_option *row;
	bool noted;  /* the handler wrote a note */
	char *error; /* the first refusal */
	unsigned n_refused;
	unsigned n_lines;

	/* found ahead of the first item */
	char **ignore_unknown;
	bool forward_compatible;

	/* settled at the end */
	struct ovpn_conn global, block;
	unsigned block_line; /* 0: not inside <connection> */
	unsigned block_remotes;
	unsigned n_blocks;
	size_t proxies_shared; /* so many of the profile's proxies may be more than one server's, and stay as they are */
	usec_t outer_connect_timeout; /* in a block: what stood before it */
	unsigned force_line; /* of `proto-force`; 0: there is none */
	enum transport force;
	struct ovpn_pending_remote *remotes;
	size_t n_remotes;
	unsigned dev_line, dev_type_line, client_line, auth_none_line, static_key_line, ifconfig_line;
	size_t gateway_note; /* of route-gateway */
	bool dev_is_tun, dev_is_tap, dev_type_is_tun, dev_type_is_tap;
	bool static_key_in_block;
	char *cipher;	       /* canonical, from `cipher` */
	char *cipher_fallback; /* from data-ciphers-fallback */
	struct inaddr ifconfig_local, ifconfig_remote;
	struct ovpn_dns_server dns_servers[OVPN_DNS_SERVERS_MAX];
	unsigned n_dns_servers;
	char **dns_search; /* of dns search-domains */
	unsigned cert_check_line;
};

static inline unsigned ovpn_n_args(const struct ovpn_item *it)
{
	return it->n_words ? it->n_words - 1 : 0;
}

/* Refuses the current line: "FILE:LINE: `option args`: " and the text. -EINVAL or -ENOMEM. */
int ovpn_refuse(struct ovpn_parser *p, const char *fmt, ...) _printf_(2, 3);
/* Refuses at another line; option may be NULL (the file as a whole when line is 0). */
int ovpn_refuse_at(struct ovpn_parser *p, unsigned line, const char *option, const char *fmt, ...) _printf_(4, 5);
/* A note about the current line, in place of the row's own. 0 or -ENOMEM. */
int ovpn_note(struct ovpn_parser *p, enum fate fate, const char *fmt, ...) _printf_(3, 4);
int ovpn_note_at(struct ovpn_parser *p, unsigned line, enum fate fate, const char *option, const char *fmt, ...)
	_printf_(5, 6);
/*
 * The text of a block, or of the file that the first value names, through the loader. 1: *ret holds it; 0: the value
 * says "[inline]" and the text follows as a block; -EINVAL with the sentence said.
 */
int ovpn_load(struct ovpn_parser *p, const struct ovpn_item *it, struct secret **ret);
bool ovpn_is_inline_word(const char *s);
/* Decimal within lo..hi or a refusal that names the bounds. */
int ovpn_number(struct ovpn_parser *p, const char *s, uint64_t lo, uint64_t hi, uint64_t *ret);

/* Generic handlers: the field at row->offset. */
int ovpn_set_seconds(struct ovpn_parser *p, const struct ovpn_item *it); /* usec_t */
int ovpn_set_true(struct ovpn_parser *p, const struct ovpn_item *it);	 /* bool */
int ovpn_set_u64(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_set_text(struct ovpn_parser *p, const struct ovpn_item *it); /* char *, characters of cipher lists */

/* ovpn-opt-remote.c */
int ovpn_opt_remote(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_proto(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_proto_force(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_port(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_dev(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_dev_type(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_mode(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_client(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_connection_begin(struct ovpn_parser *p);
int ovpn_connection_end(struct ovpn_parser *p);
int ovpn_finish_remotes(struct ovpn_parser *p);

/* ovpn-opt-local.c, ovpn-opt-proxy.c: of the server's own block, or of the file. */
struct ovpn_conn *ovpn_conn(struct ovpn_parser *p);
/* malloc'ed host without the brackets of "[2001:db8::1]"; NULL with r in *ret_r, the refusal said. */
char *ovpn_host(struct ovpn_parser *p, const char *s, int *ret_r);
int ovpn_opt_local(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_lport(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_bind(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_nobind(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_http_proxy(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_http_proxy_option(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_socks_proxy(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_proxy_user_pass(struct ovpn_parser *p, const struct ovpn_item *it);

/* ovpn-opt-tls.c */
int ovpn_opt_ca(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_cert(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_key(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_extra_certs(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_pkcs12(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_crl_verify(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_askpass(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_tls_version(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_tls_cert_profile(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_finish_key(struct ovpn_parser *p);

/* ovpn-opt-verify.c */
int ovpn_opt_remote_cert_tls(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_remote_cert_eku(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_remote_cert_ku(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_verify_x509_name(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_peer_fingerprint(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_verify_hash(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_finish_verify(struct ovpn_parser *p);

/* ovpn-opt-keys.c */
int ovpn_opt_tls_auth(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_tls_crypt(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_tls_crypt_v2(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_key_direction(struct ovpn_parser *p, const struct ovpn_item *it);

/* ovpn-opt-data.c */
int ovpn_opt_cipher(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_data_ciphers(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_data_ciphers_fallback(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_auth(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_allow_compression(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_comp_lzo(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_compress(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_fragment(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_key_method(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_replay_window(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_tun_mtu(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_mssfix(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_finish_data(struct ovpn_parser *p);

/* ovpn-opt-net.c */
int ovpn_opt_topology(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_ifconfig(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_ifconfig_ipv6(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_route_gateway(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_route(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_route_ipv6(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_redirect_gateway(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_redirect_private(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_dhcp_option(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_dns(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_dns_updown(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_pull_filter(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_finish_net(struct ovpn_parser *p);

/* ovpn-opt-misc.c */
int ovpn_opt_auth_user_pass(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_static_challenge(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_auth_retry(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_ping_restart(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_ping_exit(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_keepalive(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_reneg_sec(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_reneg_count(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_connect_retry(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_explicit_exit_notify(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_setenv(struct ovpn_parser *p, const struct ovpn_item *it);
int ovpn_opt_ignore_unknown(struct ovpn_parser *p, const struct ovpn_item *it);
/* Splits "user LF password" (CR and a last LF cut off) into two secrets; *ret_password NULL when there is none. */
int ovpn_parse_credentials(const struct secret *text, struct secret **ret_user, struct secret **ret_password,
			   const char **ret_why);

/* profile-ovpn.c: one option, as from a line; `optional` ones are ignored when unknown (setenv opt). */
int ovpn_dispatch(struct ovpn_parser *p, const struct ovpn_item *it, bool optional);

/* Is this text at all, and not too large? Shared with profile-inline.c. 0 or -EINVAL with a sentence. */
int ovpn_check_text(const char *text, size_t len, const char *source, char **ret_error);
