/*
 * What is around control packets: nothing, tls-auth (HMAC) or tls-crypt (HMAC, then AES-256-CTR).
 *
 * Theory. A wrap object is one key, both directions, with its own send counter and its own receive window. It belongs
 * to one TLS session of one connection, soft resets included: a reconnect makes a new one, because a restarted server's
 * clock and counters may go back. Each transmission, retransmissions too, takes a new replay id; so messages are
 * kept unwrapped (ovpn-reliable.h) and wrapped anew every time. Dynamic tls-crypt is a second object with another key
 * for packets with key_id > 0; tls-crypt-v2 is tls-crypt with the client's key and a WKc that the session appends.
 *
 *   none       op sid rest
 *   tls-auth   op sid hmac(N) replay_id(4) time(4) rest         hmac over replay_id time op sid rest
 *   tls-crypt  op sid replay_id(4) time(4) tag(32) ciphertext   tag over the first 17 bytes and the plain rest
 */
#pragma once

#include "base/cleanup.h"
#include "profile/profile.h"
#include "proto/ovpn-packet.h"

/* Most that wrapping adds: tls-auth with SHA-512. */
#define OVPN_WRAP_OVERHEAD_MAX (64 + 8)

struct ovpn_wrap_params {
	enum control_wrap mode;
	const uint8_t *key;           /* 256 bytes, copied; unused for NONE */
	const char *digest;           /* tls-auth: digest name of `auth` ("sha1") */
	enum key_direction direction; /* tls-auth; no effect on tls-crypt */
	bool server;                  /* play the server (tests, simulations); false for the client */
	uint32_t first_id;            /* 0: 1; tls-crypt-v2 begins at 0x0f000000 */
	uint32_t time;                /* time field of everything sent: wall-clock second of the session's start */
	unsigned replay_window;       /* 0: 64 */
};

struct ovpn_wrap;

/* 0, -EINVAL (unknown digest, no key), -ENOMEM, -EOPNOTSUPP. */
int ovpn_wrap_new(struct ovpn_wrap **ret, const struct ovpn_wrap_params *p);
struct ovpn_wrap *ovpn_wrap_free(struct ovpn_wrap *w);
DEFINE_CLEANUP(struct ovpn_wrap *, ovpn_wrap_free)

/* Bytes that wrapping adds to a plain packet: 0, N + 8, 40. */
size_t ovpn_wrap_overhead(const struct ovpn_wrap *w);

/*
 * Plain control packet (ovpn_packet_build) to wire. > 0: length of the wire form; -EMSGSIZE: does not fit cap; -EINVAL:
 * shorter than a head; -EOVERFLOW: the replay ids are used up (start a new session); -EIO. Buffers do not overlap.
 */
ssize_t ovpn_wrap_seal(struct ovpn_wrap *w, const uint8_t *plain, size_t len, uint8_t *wire, size_t cap);

/*
 * Wire to plain control packet. > 0: length of the plain form; < 0: -enum verdict (DROP_SHORT, DROP_AUTH, DROP_REPLAY,
 * DROP_MALFORMED: longer than cap). The opcode has not been looked at. Nothing is remembered unless the packet was
 * authentic. Buffers do not overlap; plain is undefined after an error.
 */
ssize_t ovpn_wrap_open(struct ovpn_wrap *w, const uint8_t *wire, size_t len, uint8_t *plain, size_t cap);
