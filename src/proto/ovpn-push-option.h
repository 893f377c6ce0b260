/*
 * Inside of ovpn-push: the handlers of the allow-list and what they share.
 *
 *   ovpn-push.c           the table, filters, gathering over messages
 *   ovpn-push-options.c   interface, timers, data channel, token
 *   ovpn-push-routes.c    routes and the question of the default routes
 *   ovpn-push-dns.c       resolvers and domains
 *   ovpn-push-finish.c    merging with the profile to settings
 *   ovpn-update.c         what PUSH_UPDATE makes of it
 */
#pragma once

#include "proto/ovpn-push.h"

/* One option, cut into words. */
struct ovpn_push_option {
	const char *text;
	char *const *words;
	unsigned n;
};

/*
 * A handler. 0: taken. 1: *why says why it is ignored. 2: *why says what of it is ignored; the rest has its effect.
 * -EPROTO: *why says why the connection cannot go on. -ENOMEM. The text of *why is static.
 */
typedef int (*ovpn_push_fn)(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);

#define IGNORE(reason)                                                                                             \
	({                                                                                                         \
		*why = (reason);                                                                                   \
		1;                                                                                                 \
	})
#define IGNORE_PART(reason)                                                                                        \
	({                                                                                                         \
		*why = (reason);                                                                                   \
		2;                                                                                                 \
	})
#define REFUSE(reason)                                                                                             \
	({                                                                                                         \
		*why = (reason);                                                                                   \
		-EPROTO;                                                                                           \
	})

/* Keeps a sentence for the log: `option` was ignored because of `why`; once for each name. 0 or -ENOMEM. */
int ovpn_push_note(struct ovpn_push *p, const char *name, const char *option, const char *why);

/* ---- ovpn-push.c: one option at a time */

#define OVPN_PUSH_OPTION_MAX 1024 /* with its NUL; tokens of identity providers are long */

/* 0: the same option without superfluous blanks is in buf; -EMSGSIZE. */
int ovpn_push_normalise(const char *s, size_t len, char buf[static OVPN_PUSH_OPTION_MAX]);
/* What pull-filter says about an option, cut into words. 0: use it; 1: leave it out; -EACCES: reject the server. */
int ovpn_push_filter(const struct ovpn_options *options, const struct ovpn_push_option *o);
/* Reads one normalised option as part of a PUSH_REPLY. As ovpn_push_add(), but never 1. */
int ovpn_push_add_option(struct ovpn_push *p, const char *text, char **ret_error);
/* May a server change this option while the connection is up? Options of one group replace each other; 0: it may not. */
unsigned ovpn_update_group(const char *name);

/* ---- ovpn-push-options.c */

int ovpn_push_on_ifconfig(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_ifconfig_ipv6(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_topology(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_route_gateway(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_tun_mtu(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_ping(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_ping_restart(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_ping_exit(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_keepalive(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_exit_notify(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_inactive(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_session_timeout(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_comp_lzo(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_compress(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_cipher(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_peer_id(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_key_derivation(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_protocol_flags(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_auth_token(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_auth_token_user(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);

/* ---- ovpn-push-routes.c */

int ovpn_push_on_route(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_route_ipv6(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_redirect_gateway(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_redirect_private(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_block_ipv6(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
/* Routes and default routes of s, whose addresses are there already. Returns how many routes did not fit. */
unsigned ovpn_push_finish_routes(const struct ovpn_push *p, struct settings *s);
bool ovpn_push_has_family(const struct settings *s, int family);

/* ---- ovpn-push-dns.c */

int ovpn_push_on_dhcp_option(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
int ovpn_push_on_dns(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why);
/* Resolvers and domains of s: the profile's own first; then `dns server`, or dhcp-option where there is none. */
void ovpn_push_finish_names(const struct ovpn_push *p, struct settings *s);
