/*
 * The other side for tests: an OpenVPN server made of the same wire layer, with OpenSSL's server for TLS, and a simulated
 * network between it and a client: seeded loss, duplication and reordering, on a clock that only the test moves.
 */
#pragma once

#include "lib/pki.h"
#include "profile/profile.h"
#include "proto/ovpn-keys.h"
#include "proto/proto.h"

#define PEER_INNER_MAX 2000

struct peer_config {
	enum control_wrap wrap;
	const uint8_t *key;           /* 256 bytes */
	const char *digest;
	enum key_direction direction; /* the server's */
	const struct pki *ca, *cert;
	bool want_client_cert;
	int tls_max;                  /* 0: any */
	const char *cipher;           /* pushed, unless no_cipher */
	bool no_cipher, ekm, dyn, cc_exit, data_v1, epoch;
	const char *push;             /* options of the PUSH_REPLY */
	const char *push2;            /* a second part: the first is sent with push-continuation 2 */
	const char *occ, *info;       /* of the key method 2 message */
	const char *username, *password; /* expected; NULL: any */
	const char *on_request;       /* sent in answer to PUSH_REQUEST instead of a PUSH_REPLY */
	const char *token;            /* pushed, and expected as password from then on */
	bool no_tls, no_exchange, no_push; /* gets stuck there */
	bool push_unasked;
	usec_t hand_window;
	const struct secret *wkc;     /* tls-crypt-v2: expected behind the first packet; `wrap` is TLS_CRYPT then */
	bool resend_wkc;              /* forgets the key, like a server with cookies, and says so */
	const char *early;            /* bytes behind the hard reset in place of that, early_len of them */
	size_t early_len;
	bool fragment;
};

struct peer;

struct peer *peer_new(const struct peer_config *c);
void peer_free(struct peer *p);
void peer_in(struct peer *p, const uint8_t *wire, size_t len, usec_t now);
size_t peer_next_wire(struct peer *p, uint8_t *buf, usec_t now);
usec_t peer_deadline(const struct peer *p);
void peer_rekey(struct peer *p, usec_t now);
/* A control message, with its NUL unless told otherwise. */
void peer_say(struct peer *p, const char *text);
/* close_notify on the newest key. */
void peer_close_tls(struct peer *p);
/* Length of the datagram, 0 without a key. */
size_t peer_seal(struct peer *p, const uint8_t *inner, size_t len, uint8_t *out, usec_t now);

/* A control packet as this server would send it, with whatever content: sids, acks' owner and wrap are right. */
struct ovpn_control;
size_t peer_forge(struct peer *p, struct ovpn_control *c, uint8_t *buf);

struct peer_stats {
	unsigned n_inner, n_pings, n_exits, n_dropped, n_push_requests, n_rekeys, n_exit_messages;
	uint8_t key_id;        /* of the newest key with data */
	uint8_t last_data_key; /* of the last data packet that came */
	bool last_was_v2;
	char occ[512], peer_info[1024], username[128], password[128];
	char last_message[256]; /* of the client, but for PUSH_REQUEST */
	bool auth_ok;
	unsigned n_wkc;        /* packets with the wrapped key */
};
const struct peer_stats *peer_stats(const struct peer *p);

/* ---- the network ---- */

#define SIM_QUEUE 512
#define SIM_START (1000 * USEC_PER_SEC) /* the first `now` */

struct sim_datagram {
	bool used, to_client;
	usec_t at;
	size_t len;
	uint8_t data[2200];
};

struct sim {
	struct proto *client;
	struct peer *peer;
	usec_t now;
	uint64_t rng;
	unsigned loss, dup;  /* percent */
	usec_t delay, jitter;
	bool cut;            /* nothing passes at all */
	bool cut_to_server, cut_to_client;
	bool refuse_settings, hold_settings;
	struct sim_datagram queue[SIM_QUEUE];
	/* what came out */
	unsigned n_authenticating, n_settings, n_rekeyed, n_failed, n_info, n_questions, n_after_failed;
	struct proto_event failed, settings, question;
	char infos[8192];
	unsigned n_inner;    /* delivered to the client */
	unsigned drops[_VERDICT_MAX];
	/* every control datagram that reached the client, for replays */
	uint8_t (*log)[2200];
	size_t *log_len;
	unsigned n_log, log_max;
};

void sim_init(struct sim *s, struct proto *client, struct peer *peer, uint64_t seed);
void sim_done(struct sim *s);
/* Runs until stop is true (asked after each step) or the time is over. True: it became true. */
bool sim_run(struct sim *s, usec_t span, bool (*stop)(struct sim *s));
bool sim_is_up(struct sim *s);
bool sim_has_failed(struct sim *s);
/* One inner packet each way through the network as it is; counts arrive in n_inner and peer_stats. */
bool sim_send_up(struct sim *s);
void sim_send_down(struct sim *s);
/* A datagram into the client, now; its verdict (0 or negative) or length. */
ssize_t sim_inject(struct sim *s, const uint8_t *wire, size_t len);
