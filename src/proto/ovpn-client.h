/*
 * Inside of the client behind struct proto_ops. Its theory is in ovpn-client.c.
 *
 *   ovpn-client.c            phases, packets in and out
 *   ovpn-client-new.c        from a profile to a client
 *   ovpn-client-messages.c   what the server's control messages mean
 *   ovpn-client-update.c     PUSH_UPDATE: other settings for a connection that is up
 *   ovpn-p2p.c               what two equal sides agree on, without PUSH_REPLY
 *   ovpn-client-timers.c     deadlines: getting up, staying up
 *   ovpn-client-events.c     what the caller is told
 */
#pragma once

#include "proto/ovpn-message.h"
#include "proto/ovpn-mtu.h"
#include "proto/ovpn-peerinfo.h"
#include "proto/ovpn-push.h"
#include "proto/ovpn-session.h"
#include "proto/ovpn-update.h"

#define OVPN_CLIENT_INFO_RING 16
#define OVPN_CLIENT_TUN_MTU 1500 /* where nobody says anything else */
#define OVPN_CLIENT_SERVER_MAX (ENDPOINT_STR_MAX + 8)

enum ovpn_client_phase {
	PHASE_NEW,
	PHASE_HANDSHAKE,
	PHASE_PUSH,
	PHASE_CONFIGURE,
	PHASE_UP,
	PHASE_STOPPING,
	PHASE_FAILED,
};

struct ovpn_client {
	struct proto proto;
	enum ovpn_client_phase phase;

	/* what every packet touches */
	struct ovpn_session *session;
	usec_t last_in, last_out; /* authentic packet from the server; data packet to it */
	usec_t unanswered;        /* first packet to one receiver sent since then; 0: none */
	uint64_t traffic;         /* bytes of inner packets, both ways */

	const struct ovpn_options *options;
	const struct profile *profile;
	struct endpoint server;
	enum transport transport;
	uint32_t path_mtu, tun_mtu_max;
	int (*random)(void *userdata, void *buf, size_t len);
	int64_t (*realtime)(void *userdata);
	void *userdata;

	struct tls_context *tls;
	struct secret *username, *password;         /* as given, with the answer to the profile's question */
	struct proto_challenge challenge;           /* the server's, after the end */
	bool asks;                                  /* CR_TEXT: the last QUESTION wants an answer */
	struct secret *token, *token_user;          /* from the server; take their place */
	char occ[OVPN_OCC_MAX];
	char peer_info[OVPN_PEERINFO_MAX];
	struct framing_state framing;
	struct fragment_state *fragment; /* owned; NULL: no `fragment` */
	bool framing_made, framing_told, compression_told;
	unsigned n_misframed;     /* authentic, and not a packet */

	struct ovpn_push push;
	const struct ovpn_cipher *cipher;
	struct settings settings;
	struct ovpn_update *update; /* owned; parts of a PUSH_UPDATE that has not ended yet */
	bool applying, apply_again; /* SETTINGS was reported and is not answered; other settings came meanwhile */
	struct ovpn_overhead overhead; /* of data packets, as far as it is known */

	usec_t connect_timeout, began, up_at;
	usec_t push_since;        /* the control channel is up */
	bool auth_pending;        /* the server waits for somebody */
	usec_t push_request_at;   /* next one */
	usec_t ping, ping_restart, ping_exit, inactive, session_timeout; /* in force; 0: off */
	bool restart_assumed;     /* nobody set ping_restart: it runs only while packets of ours are unanswered */
	uint64_t inactive_bytes, inactive_mark;
	usec_t inactive_at;       /* when the bytes are looked at */
	unsigned exit_notify;
	bool cc_exit;
	unsigned exits_left;
	bool ping_due;
	bool heard;               /* any datagram from the server's address */
	uint64_t n_rekeys_told, n_rekeys_failed_told;

	/* events, in the order they are handed out */
	bool told_authenticating, event_authenticating, event_settings, event_rekeyed;
	struct proto_event failed;
	bool event_failed, event_question;
	enum proto_question question;
	char question_text[PROTO_TEXT_MAX];
	char *info[OVPN_CLIENT_INFO_RING];
	unsigned info_first, info_n;
	usec_t info_window;
	unsigned info_count;
};

static inline struct ovpn_client *client_of(struct proto *p)
{
	return container_of(p, struct ovpn_client, proto);
}

static inline const struct ovpn_client *const_client_of(const struct proto *p)
{
	return (const struct ovpn_client *)((const char *)p - offsetof(struct ovpn_client, proto));
}

/* Limit of `fragment`, which exists over UDP only; 0: none. */
static inline uint32_t ovpn_client_fragment(const struct ovpn_client *c)
{
	return c->transport == TRANSPORT_UDP ? c->options->fragment : 0;
}

/* ---- ovpn-client.c */

extern const struct proto_ops ovpn_client_ops;
/* Also of one that is half made. */
void ovpn_client_free(struct proto *p);
/* After every input and tick: what changed below us becomes phases and events. */
void ovpn_client_look(struct ovpn_client *c, usec_t now);

/* ---- ovpn-client-messages.c */

/* The key exchange is over: asks for settings, or goes on without. */
void ovpn_client_enter_push(struct ovpn_client *c, usec_t now);
/* Called by the session for each control message: clean text, inside TLS, from the verified server. owner: a client. */
void ovpn_client_on_message(void *owner, const char *line, usec_t now);
/* The server said goodbye, on either channel. */
void ovpn_client_on_exit(struct ovpn_client *c);

/* The device's size for these settings, so that no datagram on the way is too large. */
/* Of a frame or packet of that MTU. */
static inline uint32_t ovpn_client_inner_len(const struct ovpn_client *c, uint32_t mtu)
{
	return mtu + (c->options->tap ? OVPN_ETHERNET_HEAD_MAX : 0);
}
void ovpn_client_fit_path(const struct ovpn_client *c, struct settings *s);
/* Keepalive and ages, from what was pushed and from the profile. */
void ovpn_client_adopt_timers(struct ovpn_client *c, usec_t now);
void ovpn_client_tell_notes(struct ovpn_client *c, char **notes, usec_t now);

/* ---- ovpn-client-update.c */

/* The text of a PUSH_UPDATE behind its comma. */
void ovpn_client_on_update(struct ovpn_client *c, const char *text, usec_t now);
/* Reports c->settings, now or when the ones before them are answered. */
void ovpn_client_report_settings(struct ovpn_client *c);

/* ---- ovpn-client-timers.c */

void ovpn_client_tick(struct proto *p, usec_t now);
usec_t ovpn_client_deadline(const struct proto *p);
/* Asks for settings when that is due; ends an attempt whose time is over. */
void ovpn_client_tick_handshake(struct ovpn_client *c, usec_t now);

/* ---- ovpn-client.c */

/* The sizes of this connection, as far as they are known by now. */
struct ovpn_mtu ovpn_client_mtu(const struct ovpn_client *c);

/* ---- ovpn-client-events.c */

bool ovpn_client_next_event(struct proto *p, struct proto_event *ret);
/* For the log. What a server can trigger passes here with a limit. */
void ovpn_client_info(struct ovpn_client *c, usec_t now, const char *fmt, ...) _printf_(3, 4);
/* Ends the session; the first call counts. */
void ovpn_client_fail(struct ovpn_client *c, uint8_t class, enum proto_advice advice, const char *fmt, ...) _printf_(4, 5);
void ovpn_client_fail_full(struct ovpn_client *c, uint8_t fail, enum proto_advice advice, usec_t wait, const char *text);
/* The control channel ended by itself: its words, our advice. */
void ovpn_client_adopt_failure(struct ovpn_client *c);
/* Another server of the list may do better; a single one will not. */
enum proto_advice ovpn_client_advice(const struct ovpn_client *c);
/* "192.0.2.1:1194/udp"; buf of OVPN_CLIENT_SERVER_MAX. Returns buf. */
char *ovpn_client_server(const struct ovpn_client *c, char *buf, size_t cap);
