/*
 * PUSH_REPLY: an allow-list of options, each with its own parser, gathered over continuation messages and then merged
 * with the profile into typed settings. Nothing a server pushes reaches anything but the typed fields here.
 *
 *   ovpn_push_init, ovpn_push_add (until it returns 1), ovpn_push_finish, ovpn_push_done
 */
#pragma once

#include "base/secret.h"
#include "profile/profile.h"

#define OVPN_PUSH_MESSAGES_MAX 512
#define OVPN_PUSH_NOTES_MAX 24
#define OVPN_PUSH_SERVERS_MAX 8
#define OVPN_PUSH_KEPT_MAX 1024 /* options that a server may change later */

/* Routes, with the ones that mean "everything" taken apart. */
struct ovpn_routes {
	struct inprefix v[SETTINGS_ROUTES_MAX]; /* masked, no duplicates */
	unsigned n;
	unsigned n_lost;    /* did not fit */
	unsigned whole;     /* bits of ovpn-push-routes.c: default routes and halves of them */
};

/* One `dns server n …`. */
struct ovpn_dns_server {
	uint8_t priority;
	bool unusable;
	struct inaddr addrs[SETTINGS_DNS_MAX];
	unsigned n_addrs;
};

struct ovpn_push {
	const struct ovpn_options *options; /* borrowed */
	unsigned n_messages;

	/* for the settings */
	struct inaddr local4, remote4; /* ifconfig: remote is a peer or a netmask */
	struct inprefix local6;
	struct inaddr gateway4, gateway6; /* tap: the next hops */
	bool topology_set;
	enum topology topology;
	struct ovpn_routes routes;
	unsigned redirect; /* REDIRECT_* */
	bool redirect_private, block_ipv6;
	struct inaddr dns[SETTINGS_DNS_MAX]; /* dhcp-option */
	unsigned n_dns;
	struct ovpn_dns_server servers[OVPN_PUSH_SERVERS_MAX];
	unsigned n_servers;
	char search[SETTINGS_SEARCH_MAX][SETTINGS_DOMAIN_LEN];
	unsigned n_search;
	uint32_t tun_mtu; /* 0: not pushed */

	/* for the data channel and the session */
	char cipher[64];      /* as pushed, "" when not */
	uint32_t peer_id;     /* OVPN_PEER_ID_V1 when not pushed */
	bool tls_ekm, cc_exit, dyn_tls_crypt, epoch;
	bool framing_set;
	enum framing framing;
	bool ping_set, ping_restart_set, ping_exit_set, exit_notify_set;
	usec_t ping, ping_restart, ping_exit;
	usec_t keepalive, keepalive_restart; /* both or none; they come before ping and ping-restart */
	unsigned exit_notify;
	usec_t inactive;      /* 0: off */
	uint64_t inactive_bytes;
	usec_t session_timeout;
	struct secret *auth_token, *auth_token_user; /* owned */

	/* for PUSH_UPDATE (ovpn-update.h): texts of the accepted options that it may change, in order */
	char **kept;
	unsigned n_kept;
	bool kept_lost; /* there were more */

	/* what was ignored and why: clean sentences for the log, one for each option name */
	char **notes;
	char **noted; /* names */
};

void ovpn_push_init(struct ovpn_push *p, const struct ovpn_options *options);
void ovpn_push_done(struct ovpn_push *p);

/*
 * The text of one PUSH_REPLY behind its comma. 1: the reply is complete; 0: more will follow (push-continuation 2);
 * -EACCES: a `pull-filter reject` hit; -EPROTO: the connection cannot work with this; -EBADMSG: not clean text, as if
 * it had never come; all three with a malloc'ed sentence; -ENOMEM. After an error the object is only good for done().
 */
int ovpn_push_add(struct ovpn_push *p, const char *text, char **ret_error);

/*
 * Merges with the profile. tun_mtu_max: 0 none. *ret is complete and verified. 0; -EPROTO with a malloc'ed sentence
 * (no address, impossible values); -ENOMEM.
 */
int ovpn_push_finish(struct ovpn_push *p, uint32_t tun_mtu_max, struct settings *ret, char **ret_error);
