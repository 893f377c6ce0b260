/*
 * The data channel: sealing and opening packets with one key, DATA_V1 and DATA_V2 with 32-bit packet ids.
 *
 * AEAD (ovpn-data.c)
 *   DATA_V2  op(1) peer_id(3) pid(4) tag(16) ciphertext   associated data: op peer_id pid
 *   DATA_V1  op(1) pid(4) tag(16) ciphertext              associated data: pid
 *   nonce    pid(4) | first 8 bytes of the direction's hmac key
 * CBC and HMAC (ovpn-data-etm.c)
 *   either   op(1) [peer_id(3)] hmac(N) iv(16) ciphertext of pid(4) and packet; op and peer id are not authenticated
 * AEAD with epoch keys (ovpn-data-epoch.c)
 *   DATA_V2  op(1) peer_id(3) epoch(2) counter(6) ciphertext tag(16)
 *
 * Theory. A key may seal each pid once: the counter begins at 1, wants a new key from 0xFF000000 on and stops for good
 * before it would wrap. AES-GCM may process 2^36 blocks and packets per key; at 7/8 of that the key wants to be
 * replaced, at the limit it stops. Forged packets are counted and limited too. The replay window moves only after
 * the tag was verified. Per packet: one nonce, one pass of the cipher, one window check; no allocation, no clock. The
 * formats share all of it but the sealing itself; AEAD is the one that is asked for first.
 *
 * Which key opens a packet is the session's decision, by the key id in the first byte.
 */
#pragma once

#include <sys/types.h>

#include "crypto/replay.h"
#include "proto/fragment.h"
#include "proto/framing.h"
#include "proto/ovpn-cipher.h"
#include "proto/ovpn-keys.h"

#define OVPN_PEER_ID_V1 UINT32_MAX          /* no peer id was pushed: send DATA_V1 */
#define OVPN_DATA_PID_REKEY 0xFF000000u
#define OVPN_DATA_PID_LAST 0xFFFFFFFFu
#define OVPN_DATA_EPOCH_REKEY 0xF000
#define OVPN_DATA_EPOCH_GROWTH 4 /* what the format is longer than AEAD with 32-bit packet ids */
#define OVPN_DATA_GCM_LIMIT ((1ULL << 36) - 1)
#define OVPN_DATA_FORGED_LIMIT (1ULL << 36)
#define OVPN_DATA_OVERHEAD_MAX (8 + ETM_OVERHEAD_MAX + FRAGMENT_HEAD_LEN + FRAMING_GROWTH_MAX)
#define OVPN_DATA_LEAD_MAX (4 + FRAGMENT_HEAD_LEN + FRAMING_LEAD_MAX) /* bytes in front of an opened packet that opening may write */
static_assert(OVPN_DATA_LEAD_MAX <= PROTO_HEADROOM && OVPN_DATA_OVERHEAD_MAX <= PROTO_OVERHEAD_MAX, "room of callers");

extern const uint8_t ovpn_ping_magic[16];
/* The OCC message that says goodbye (op 6): seal it like a packet. */
extern const uint8_t ovpn_occ_exit[17];

/* What a packet was. */
enum ovpn_inner {
	OVPN_INNER_IP,    /* an IPv4 or IPv6 packet by its first nibble, or an Ethernet frame; nothing else was checked */
	OVPN_INNER_PING,  /* keepalive, or an empty packet: consumed */
	OVPN_INNER_EXIT,  /* OCC: the peer leaves */
	OVPN_INNER_OCC,   /* any other OCC message: ignore */
};

#define OVPN_ETHERNET_HEAD 14
#define OVPN_ETHERNET_HEAD_MAX 18 /* with a VLAN tag, which the server's network may have */

struct ovpn_data_params {
	const struct ovpn_cipher *cipher;
	const struct hash_digest *digest; /* of `auth`; CBC only */
	bool ethernet;                  /* frames, not IP packets */
	bool epoch;                     /* epoch keys: AEAD and a peer id only */
	const uint8_t *keys;            /* OVPN_KEY_BLOCK_LEN, not kept */
	bool server;                    /* play the server (tests, simulations) */
	uint8_t key_id;
	uint32_t peer_id;               /* 24 bits, or OVPN_PEER_ID_V1 */
	unsigned replay_window;         /* packets */
	struct framing_state *framing;  /* borrowed, outlives the key; shared by all keys of a session */
	struct fragment_state *fragment; /* the same; NULL: no `fragment` */
};

/* Read the fields freely; only ovpn-data.c writes them (tests put counters near their limits). */
struct ovpn_data {
	/* first what every packet touches */
	struct aead *seal; /* NULL: another format */
	struct aead *open;
	struct framing_state *framing;
	struct fragment_state *fragment;
	uint32_t pid;                    /* last one used for sending */
	uint8_t head[4];                 /* first bytes of what we send: op byte, peer id */
	uint8_t head_len;                /* 4 (V2) or 1 (V1) */
	uint8_t key_id;
	bool ethernet;
	uint8_t lead;                    /* of fragment and framing: bytes in front of the packet */
	uint8_t seal_nonce[AEAD_NONCE_LEN]; /* pid | implicit iv */
	uint8_t open_nonce[AEAD_NONCE_LEN];
	struct replay replay;
	/* usage */
	uint64_t limit;                  /* of seal_blocks; 0: none (but for AES-GCM) */
	uint64_t seal_blocks;            /* 16-byte blocks and packets sealed */
	uint64_t n_sealed, n_opened;     /* packets */
	uint64_t bytes_sealed, bytes_opened; /* plaintext, framing included */
	uint64_t n_forged;               /* authentication failures */
	uint32_t peer_id;
	/* CBC and HMAC */
	struct etm *etm_seal, *etm_open;
	/* epoch keys */
	struct ovpn_data_epoch *epoch;
	uint16_t epoch_top;              /* the highest epoch in use */
};

/* 0, -EINVAL, -ENOMEM, -EOPNOTSUPP. */
int ovpn_data_new(struct ovpn_data **ret, const struct ovpn_data_params *p);
struct ovpn_data *ovpn_data_free(struct ovpn_data *d);
DEFINE_CLEANUP(struct ovpn_data *, ovpn_data_free)

/* True when the bytes are a data packet; then *ret_key_id says which key. For the session's key table. */
static inline bool ovpn_data_peek(const uint8_t *wire, size_t len, uint8_t *ret_key_id)
{
	if (!len || !ovpn_opcode_is_data(ovpn_packet_opcode(wire[0])))
		return false;
	*ret_key_id = ovpn_packet_key_id(wire[0]);
	return true;
}

/*
 * Seals an inner packet (or a ping or OCC message) to out, which has len + OVPN_DATA_OVERHEAD_MAX bytes and does not
 * overlap inner. > 0: length of the datagram. -VERDICT_DROP_EXHAUSTED: this key is used up; -VERDICT_DROP_MALFORMED:
 * longer than 64 KiB; -VERDICT_DROP_AUTH: libcrypto failed.
 */
ssize_t ovpn_data_seal(struct ovpn_data *d, const uint8_t *inner, size_t len, uint8_t *out);

/*
 * Opens a datagram of this key. >= 0: it was authentic and new, *ret_kind says what it is; for OVPN_INNER_IP and OCC
 * the result is the length of what begins at out, else 0. < 0: -enum verdict; DROP_FRAMING covers content that is
 * neither IP nor a known message (the sign of a framing mismatch). The packet's key id is not compared with the key's.
 *
 * out does not overlap wire; OVPN_DATA_LEAD_MAX bytes before it may be overwritten, and at least len bytes at it, after
 * failures too. room: bytes at out, at least len; more is needed only for decompression (up to framing's inner_max).
 */
ssize_t ovpn_data_open(struct ovpn_data *d, const uint8_t *wire, size_t len, uint8_t *out, size_t room,
		       enum ovpn_inner *ret_kind);

/* A new key should be negotiated: by packet ids, by GCM blocks or by forgeries. Stays true. */
static inline bool ovpn_data_wants_rekey(const struct ovpn_data *d)
{
	return d->pid >= OVPN_DATA_PID_REKEY || d->epoch_top >= OVPN_DATA_EPOCH_REKEY || d->replay.top >= OVPN_DATA_PID_REKEY ||
	       (d->limit && d->seal_blocks >= d->limit / 8 * 7) || d->n_forged >= OVPN_DATA_FORGED_LIMIT / 8 * 7;
}

/* Nothing can be sealed any more. */
static inline bool ovpn_data_is_exhausted(const struct ovpn_data *d)
{
	return d->pid == OVPN_DATA_PID_LAST || (d->limit && d->seal_blocks >= d->limit);
}
