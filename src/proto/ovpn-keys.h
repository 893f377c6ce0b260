/*
 * Key method 2: the message inside TLS with which both sides exchange randomness and options, and the derivation of
 * the data channel's keys from it.
 *
 * A key block is 256 bytes; static key files (tls-auth, tls-crypt) have the same map:
 *   0-63 keys[0].cipher   64-127 keys[0].hmac   128-191 keys[1].cipher   192-255 keys[1].hmac
 * Data channel: keys[0] is client to server, so the client encrypts with keys[0]. (tls-crypt: the client with keys[1].)
 */
#pragma once

#include "base/secret.h"
#include "profile/profile.h"
#include "proto/ovpn-packet.h"

#define OVPN_KEY_BLOCK_LEN 256
#define OVPN_KEY_PART_LEN 64
#define OVPN_PRE_MASTER_LEN 48
#define OVPN_RANDOM_LEN 32
#define OVPN_KEY_MESSAGE_MAX 2048 /* a longer one does not fit the peer's buffer */
#define OVPN_OCC_MAX 512
#define OVPN_EKM_LABEL_DATA "EXPORTER-OpenVPN-datakeys"

static inline const uint8_t *ovpn_keys_cipher(const uint8_t *block, unsigned i)
{
	return block + 128 * (i & 1);
}

static inline const uint8_t *ovpn_keys_hmac(const uint8_t *block, unsigned i)
{
	return block + 128 * (i & 1) + 64;
}

/* One side's randomness. Wipe with ovpn_key_source_wipe() once the keys are derived; it is key material. */
struct ovpn_key_source {
	uint8_t pre_master[OVPN_PRE_MASTER_LEN]; /* the client's only */
	uint8_t random1[OVPN_RANDOM_LEN];
	uint8_t random2[OVPN_RANDOM_LEN];
};

/* Fills all fields (pre_master only for a client). random as in struct proto_params; NULL: OpenSSL's. 0 or -errno. */
int ovpn_key_source_fill(struct ovpn_key_source *s, bool client,
			 int (*random)(void *userdata, void *buf, size_t len), void *userdata);
void ovpn_key_source_wipe(struct ovpn_key_source *s);

/* The four strings are borrowed; NULL: absent (length 0 on the wire). Parsed ones point into the parsed buffer. */
struct ovpn_key_message {
	struct ovpn_key_source source;
	const char *options;
	const char *username;
	const char *password;
	const char *peer_info;
};

/*
 * 0; -EMSGSIZE: it would be longer than cap or OVPN_KEY_MESSAGE_MAX (long credentials plus peer info: refuse, never
 * truncate). from_client: with the pre-master secret. buf holds secrets afterwards, also after an error: wipe it.
 */
int ovpn_key_message_build(const struct ovpn_key_message *m, bool from_client, uint8_t *buf, size_t cap,
			   size_t *ret_len);

/*
 * Parses the peer's message. 0; -EAGAIN: it is a proper beginning, more bytes are needed (up to and including the
 * options string; what follows is optional and incomplete or trailing bytes there are ignored); -EBADMSG: it is not
 * one. The source is copied, strings are borrowed from p and are NUL-terminated there.
 */
int ovpn_key_message_parse(const uint8_t *p, size_t len, bool from_client, struct ovpn_key_message *ret);

/*
 * The derivation without TLS-EKM (TLS 1.0 PRF). 0, -EOPNOTSUPP (libcrypto without MD5: tell the user that this server
 * needs it), -EIO, -ENOMEM. *ret: OVPN_KEY_BLOCK_LEN bytes.
 */
int ovpn_keys_derive_prf(const struct ovpn_key_source *client, const struct ovpn_key_source *server,
			 const struct ovpn_sid *client_sid, const struct ovpn_sid *server_sid, struct secret **ret);

/* ---- Options string (OCC) --------------------------------------------------------------------------------------- */

struct ovpn_occ {
	const char *cipher;  /* canonical name of what the profile puts first, AEAD or not; NULL or "none": none */
	const char *auth;    /* digest of the profile; ignored for AEAD; NULL or "none": none */
	uint32_t tun_mtu;
	bool tcp;
	bool tap;            /* Ethernet */
	bool framing;        /* any compression framing is configured */
	bool fragment;
	bool tls_auth;       /* tls-auth is in use (not tls-crypt) */
	enum key_direction key_direction; /* of tls-auth; BOTH: not mentioned */
};

/* The client's string, NUL-terminated. 0, -EMSGSIZE. */
int ovpn_occ_format(const struct ovpn_occ *o, char *buf, size_t cap);
/* The value of a word in the peer's string: "cipher" gives "AES-256-GCM", bare words "". 0, -ENOENT, -EMSGSIZE. */
int ovpn_occ_get(const char *options, const char *name, char *buf, size_t cap);
