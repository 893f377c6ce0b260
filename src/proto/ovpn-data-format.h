/*
 * Inside of ovpn-data: what its formats share, and their entries. ovpn-data.c checks limits, counts and does AEAD itself;
 * ovpn-data-etm.c does CBC with HMAC, ovpn-data-epoch.c AEAD with keys that change by themselves.
 */
#pragma once

#include "base/bytes.h"
#include "proto/ovpn-data.h"

#define OVPN_DATA_PID_LEN 4
#define OVPN_DATA_V1_HEAD_LEN 1
#define OVPN_DATA_V2_HEAD_LEN 4

static inline void ovpn_data_put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline uint32_t ovpn_data_get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

#define OVPN_DATA_PARTS_MAX (1 + FRAMING_PARTS_MAX)

/* What is sealed, as pieces: the packet in its framing, behind the header of a whole one where `fragment` is on. */
static inline unsigned ovpn_data_parts(const struct ovpn_data *d, const uint8_t *inner, size_t len,
				       struct span parts[OVPN_DATA_PARTS_MAX])
{
	static const uint8_t whole[FRAGMENT_HEAD_LEN];

	if (__builtin_expect(!d->fragment, 1))
		return framing_parts(d->framing->kind, inner, len, parts);
	parts[0] = (struct span){ whole, sizeof(whole) };
	return 1 + framing_parts(d->framing->kind, inner, len, parts + 1);
}

/* ---- ovpn-data.c */

/* Authentic plaintext of text_len bytes lies at out - d->lead: what it is. */
ssize_t ovpn_data_finish(struct ovpn_data *d, uint8_t *out, size_t text_len, size_t room, enum ovpn_inner *ret_kind);

/* ---- ovpn-data-etm.c; arguments as of the public functions, already checked */

int ovpn_data_etm_init(struct ovpn_data *d, const struct ovpn_data_params *p, unsigned out, unsigned in);
ssize_t ovpn_data_etm_seal(struct ovpn_data *d, const uint8_t *inner, size_t len, uint8_t *out);
ssize_t ovpn_data_etm_open(struct ovpn_data *d, const uint8_t *wire, size_t len, size_t head_len, uint8_t *out,
			   size_t room, enum ovpn_inner *ret_kind);

/* ---- ovpn-data-epoch.c; likewise */

int ovpn_data_epoch_init(struct ovpn_data *d, const struct ovpn_data_params *p, unsigned out, unsigned in);
void ovpn_data_epoch_done(struct ovpn_data *d);
ssize_t ovpn_data_epoch_seal(struct ovpn_data *d, const uint8_t *inner, size_t len, uint8_t *out);
ssize_t ovpn_data_epoch_open(struct ovpn_data *d, const uint8_t *wire, size_t len, uint8_t *out, size_t room,
			     enum ovpn_inner *ret_kind);
/* For tests: the sender's epoch; the next one (counter 0), or a counter near its end. 0 or -EOVERFLOW. */
uint16_t ovpn_data_epoch_send(const struct ovpn_data *d);
int ovpn_data_epoch_skip(struct ovpn_data *d, uint64_t counter);
