/*
 * The sans-IO interface of a tunnel protocol: bytes and time in; bytes, events and the next deadline out. No sockets,
 * no clocks, no logging inside. One struct proto is one connection attempt to one server and the session that grows
 * from it; a reconnect makes a new one. `now` is any monotonic microsecond clock, the same one throughout.
 */
#pragma once

#include <sys/types.h>

#include "base/macro.h"
#include "base/secret.h"
#include "profile/fail.h"
#include "profile/profile.h"
#include "profile/settings.h"

/* Bytes in front of the output of wire_in() that a protocol may overwrite (framing bytes that it strips). */
#define PROTO_HEADROOM 16
/* A sealed datagram is at most this much longer than the inner packet. */
#define PROTO_OVERHEAD_MAX 128
/* Room that wire_in() has at its output, at least (a decompressed packet is longer than its datagram). */
#define PROTO_OUT_ROOM 2048
/* Longest control datagram that next_wire() produces. */
#define PROTO_WIRE_MAX 2048

/* Sentences and questions of an event. */
#define PROTO_TEXT_MAX 1024

/* Why a packet went nowhere: counted by reason, not logged per packet. */
enum verdict {
	VERDICT_OK = 0,
	VERDICT_DROP_SHORT,
	VERDICT_DROP_OPCODE,
	VERDICT_DROP_KEY_ID,   /* no key with that id (yet, or any more) */
	VERDICT_DROP_PEER_ID,
	VERDICT_DROP_REPLAY,
	VERDICT_DROP_AUTH,     /* tag or HMAC wrong */
	VERDICT_DROP_FRAMING,  /* compression or fragment framing wrong */
	VERDICT_DROP_SESSION,  /* wrong session id */
	VERDICT_DROP_WINDOW,   /* control message outside the receive window */
	VERDICT_DROP_NOT_READY,/* no data key yet */
	VERDICT_DROP_EXHAUSTED,/* packet ids or AEAD limit used up */
	VERDICT_DROP_MALFORMED,
	_VERDICT_MAX,
};
const char *verdict_to_string(enum verdict v);

enum proto_event_type {
	PROTO_EVENT_AUTHENTICATING, /* the server answered, its certificate was accepted, TLS is up */
	PROTO_EVENT_SETTINGS,       /* PUSH_REPLY complete: apply, then data may flow; later: the server changed them */
	PROTO_EVENT_REKEYED,        /* new data keys are in use */
	PROTO_EVENT_INFO,           /* text for the log */
	PROTO_EVENT_QUESTION,       /* the session waits for a person: question, text; see answer() */
	PROTO_EVENT_FAILED,         /* this attempt or session is over: fail class, text, advice */
};

enum proto_advice {
	PROTO_ADVICE_RETRY,      /* try again: next remote, with back-off */
	PROTO_ADVICE_SAME,       /* reconnect to the same remote at once (server restart) */
	PROTO_ADVICE_ASK_AUTH,   /* credentials refused: ask again if the profile says so, else give up */
	PROTO_ADVICE_CHALLENGE,  /* the server asks something before the next login: see take_challenge() */
	PROTO_ADVICE_GIVE_UP,    /* nothing that is tried again can help */
};

enum proto_question {
	PROTO_QUESTION_TEXT,   /* the answer may be seen while it is typed */
	PROTO_QUESTION_SECRET, /* it may not */
	PROTO_QUESTION_URL,    /* an https address to be opened in a browser; the server hears of it by itself */
};

/* A question whose answer is part of the next login. */
struct proto_challenge {
	enum proto_question question;
	bool needs_answer;        /* else it is only to be shown */
	char text[PROTO_TEXT_MAX];
	struct secret *username;  /* of the next login */
	struct secret *prefix;    /* its password is this and the answer */
};
void proto_challenge_done(struct proto_challenge *c);

struct proto_event {
	enum proto_event_type type;
	uint8_t fail;              /* enum fail_class, FAILED only */
	enum proto_advice advice;  /* FAILED only */
	usec_t wait;               /* server's back-off wish, 0: none */
	char cipher[64];           /* SETTINGS, REKEYED */
	struct settings settings;  /* SETTINGS */
	enum proto_question question; /* QUESTION */
	char text[PROTO_TEXT_MAX]; /* INFO, FAILED: one clean UTF-8 sentence; QUESTION: clean UTF-8 of the server */
};

struct proto;

struct proto_ops {
	const char *name;
	/* Begins the handshake. 0 or -errno (-ENOMEM, -EINVAL: profile unusable; the reason is in the FAILED event). */
	int (*start)(struct proto *p, usec_t now);
	/*
	 * One datagram from the server. > 0: length of an inner packet now at out (room for the larger of len and
	 * PROTO_OUT_ROOM, plus PROTO_HEADROOM writable before it); 0: consumed (control, keepalive); < 0: -enum verdict,
	 * dropped. out does not overlap wire.
	 */
	ssize_t (*wire_in)(struct proto *p, const uint8_t *wire, size_t len, uint8_t *out, usec_t now);
	/* Seals one inner packet to out (len + PROTO_OVERHEAD_MAX). > 0: datagram length; < 0: -enum verdict. */
	ssize_t (*inner_out)(struct proto *p, const uint8_t *inner, size_t len, uint8_t *out, usec_t now);
	/* Timers: retransmission, keepalive, rekey, expiry. */
	void (*tick)(struct proto *p, usec_t now);
	/* When tick() wants to be called next; USEC_INFINITY: not before something comes in. */
	usec_t (*deadline)(const struct proto *p);
	/* Next control datagram to send, copied to buf (PROTO_WIRE_MAX); its length or 0. Call until 0 after every input. */
	size_t (*next_wire)(struct proto *p, uint8_t *buf, usec_t now);
	/* Next event by value; false when there is none. Call until false after every input. */
	bool (*next_event)(struct proto *p, struct proto_event *ret);
	/* The settings were applied (ok) or not: data flows, or the session ends. */
	void (*settings_applied)(struct proto *p, bool ok, usec_t now);
	/* Say goodbye (exit notify); next_wire() then has the datagrams. */
	void (*stop)(struct proto *p, usec_t now);
	/* A person's answer to the last QUESTION. 0; -EINVAL: nobody asks, or it is too long; -EAGAIN: not now. */
	int (*answer)(struct proto *p, const struct secret *answer, usec_t now);
	/* After FAILED with PROTO_ADVICE_CHALLENGE, once: the question. False: there is none. */
	bool (*take_challenge)(struct proto *p, struct proto_challenge *ret);
	/*
	 * What takes the place of the password in later logins, also in those of a new session; both stay NULL where the
	 * server gave none. For the last moment of a session.
	 */
	void (*take_token)(struct proto *p, struct secret **ret_user, struct secret **ret_token);
	/* The MSS clamp that profile and path ask for: largest inner IP packet of a TCP flow in bytes; 0: off. */
	uint32_t (*mss_packet_max)(const struct proto *p);
	void (*free)(struct proto *p);
};

struct proto {
	const struct proto_ops *ops;
};

/* What an attempt needs besides the profile. Borrowed until the proto is freed, unless said. */
struct proto_params {
	const struct profile *profile;
	struct endpoint server;
	enum transport transport;
	const struct secret *username, *password; /* NULL when the profile needs none; copied */
	const struct secret *answer;              /* to the profile's own question; copied; NULL: none */
	const struct secret *token, *token_user;  /* of take_token() of an earlier session; copied; NULL: none */
	uint32_t path_mtu;                        /* 0: assume 1500 */
	uint32_t tun_mtu_max;
	usec_t connect_timeout; /* of this remote; 0: the profile's */
	usec_t began; /* connecting to the server: connect-timeout counts from here; 0: from start() */
	/* Randomness, replaceable in tests: fills buf, 0 or -errno. NULL: OpenSSL's. */
	int (*random)(void *userdata, void *buf, size_t len);
	/* Wall-clock seconds (certificate times, tls-auth time field); NULL: time(2). */
	int64_t (*realtime)(void *userdata);
	void *userdata;
};

/* proto/ovpn-client-new.c. 0, -ENOMEM, or -EINVAL with a malloc'ed sentence. */
int ovpn_client_new(struct proto **ret, const struct proto_params *params, char **ret_error);
