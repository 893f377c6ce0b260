/*
 * Data packets with AES-CBC and HMAC, for servers from before AEAD.
 *
 * The packet id is inside the encryption, so a replay is known only after the HMAC was verified and the packet decrypted;
 * the window is the same. The first byte and the peer id are outside of what the HMAC covers, by the format's design: the
 * first byte chooses the key, which must then fit, and nothing here depends on the peer id.
 */
#include "proto/ovpn-data-format.h"

#include <errno.h>

#define PID_LEN OVPN_DATA_PID_LEN

int ovpn_data_etm_init(struct ovpn_data *d, const struct ovpn_data_params *p, unsigned out, unsigned in)
{
	struct etm_params e = {
		.cipher = p->cipher->etm,
		.digest = p->digest,
		.direction = ETM_SEAL,
		.cipher_key = ovpn_keys_cipher(p->keys, out),
		.hmac_key = ovpn_keys_hmac(p->keys, out),
	};
	int r;

	if (!p->digest)
		return -EINVAL;
	r = etm_new(&d->etm_seal, &e);
	if (r < 0)
		return r;
	e.direction = ETM_OPEN;
	e.cipher_key = ovpn_keys_cipher(p->keys, in);
	e.hmac_key = ovpn_keys_hmac(p->keys, in);
	return etm_new(&d->etm_open, &e);
}

ssize_t ovpn_data_etm_seal(struct ovpn_data *d, const uint8_t *inner, size_t len, uint8_t *out)
{
	struct span parts[1 + OVPN_DATA_PARTS_MAX];
	uint8_t pid[PID_LEN];
	unsigned n_parts;
	ssize_t n;

	parts[0] = (struct span){ pid, PID_LEN };
	n_parts = 1 + ovpn_data_parts(d, inner, len, parts + 1);
	ovpn_data_put_be32(pid, ++d->pid);
	memcpy(out, d->head, d->head_len);
	n = etm_seal_parts(d->etm_seal, parts, n_parts, out + d->head_len);
	if (n < 0)
		return -VERDICT_DROP_AUTH;
	d->n_sealed++;
	for (unsigned i = 1; i < n_parts; i++)
		d->bytes_sealed += parts[i].len;
	return (ssize_t)d->head_len + n;
}

ssize_t ovpn_data_etm_open(struct ovpn_data *d, const uint8_t *wire, size_t len, size_t head_len, uint8_t *out,
			   size_t room, enum ovpn_inner *ret_kind)
{
	uint8_t *pid = out - d->lead - PID_LEN;
	uint32_t id;
	ssize_t n;

	if (len < head_len + etm_head_len(d->etm_open) + ETM_BLOCK_LEN)
		return -VERDICT_DROP_SHORT;
	if (len - head_len - etm_head_len(d->etm_open) > room)
		return -VERDICT_DROP_MALFORMED;
	if (d->n_forged >= OVPN_DATA_FORGED_LIMIT)
		return -VERDICT_DROP_EXHAUSTED;
	n = etm_open(d->etm_open, wire + head_len, len - head_len, pid);
	if (n < 0) {
		d->n_forged++;
		return -VERDICT_DROP_AUTH;
	}
	if (n < PID_LEN)
		return -VERDICT_DROP_SHORT;
	id = ovpn_data_get_be32(pid);
	if (!replay_check(&d->replay, id))
		return -VERDICT_DROP_REPLAY;
	replay_commit(&d->replay, id);
	d->n_opened++;
	d->bytes_opened += (size_t)n - PID_LEN;
	return ovpn_data_finish(d, out, (size_t)n - PID_LEN, room, ret_kind);
}
