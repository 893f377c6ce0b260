/* Sealing and opening of data packets; formats, counters and limits are explained in the header. */
#include "proto/ovpn-data-format.h"

#define PID_LEN OVPN_DATA_PID_LEN
#define IMPLICIT_IV_LEN (AEAD_NONCE_LEN - PID_LEN)
#define V1_HEAD_LEN OVPN_DATA_V1_HEAD_LEN
#define V2_HEAD_LEN OVPN_DATA_V2_HEAD_LEN
#define INNER_MAX 65535
#define BLOCK_LEN 16
#define OCC_OP_EXIT 6

const uint8_t ovpn_ping_magic[16] = {
	0x2a, 0x18, 0x7b, 0xf3, 0x64, 0x1e, 0xb4, 0xcb, 0x07, 0xed, 0x2d, 0x0a, 0x98, 0x1f, 0xc7, 0x48,
};

const uint8_t ovpn_occ_exit[17] = {
	0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d, 0x56, 0xb8, 0xd3, 0xaf, 0xc5, 0x45, 0x9c, OCC_OP_EXIT,
};
#define OCC_MAGIC_LEN (sizeof(ovpn_occ_exit) - 1)

static int init_aead(struct ovpn_data *d, const struct ovpn_data_params *p, unsigned out, unsigned in)
{
	int r;

	r = aead_new(&d->seal, p->cipher->aead, AEAD_SEAL, ovpn_keys_cipher(p->keys, out), OVPN_KEY_PART_LEN);
	if (r < 0)
		return r;
	r = aead_new(&d->open, p->cipher->aead, AEAD_OPEN, ovpn_keys_cipher(p->keys, in), OVPN_KEY_PART_LEN);
	if (r < 0)
		return r;
	memcpy(d->seal_nonce + PID_LEN, ovpn_keys_hmac(p->keys, out), IMPLICIT_IV_LEN);
	memcpy(d->open_nonce + PID_LEN, ovpn_keys_hmac(p->keys, in), IMPLICIT_IV_LEN);
	d->limit = p->cipher->aead->is_gcm ? OVPN_DATA_GCM_LIMIT : 0;
	return 0;
}

int ovpn_data_new(struct ovpn_data **ret, const struct ovpn_data_params *p)
{
	_cleanup_(ovpn_data_freep) struct ovpn_data *d = NULL;
	/* keys[0] is client to server */
	unsigned out = p->server ? 1 : 0, in = p->server ? 0 : 1;
	bool v2 = p->peer_id != OVPN_PEER_ID_V1;
	int r;

	if (!p->cipher || !p->keys || !p->framing || p->key_id > OVPN_KEY_ID_MAX)
		return -EINVAL;
	if (v2 && p->peer_id > OVPN_PEER_ID_UNDEF)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	r = replay_init(&d->replay, p->replay_window);
	if (r < 0)
		return r;
	if (p->epoch)
		r = ovpn_data_epoch_init(d, p, out, in);
	else
		r = p->cipher->aead ? init_aead(d, p, out, in) : ovpn_data_etm_init(d, p, out, in);
	if (r < 0)
		return r;
	d->framing = p->framing;
	d->ethernet = p->ethernet;
	d->fragment = p->fragment;
	d->lead = (uint8_t)(framing_lead(p->framing->kind) + (p->fragment ? FRAGMENT_HEAD_LEN : 0));
	d->key_id = p->key_id;
	d->peer_id = p->peer_id;
	d->head_len = v2 ? V2_HEAD_LEN : V1_HEAD_LEN;
	ovpn_data_put_be32(d->head, (uint32_t)(v2 ? OVPN_OP_DATA_V2 : OVPN_OP_DATA_V1) << 27 | (uint32_t)p->key_id << 24 |
				  (v2 ? p->peer_id : 0));
	*ret = TAKE_PTR(d);
	return 0;
}

struct ovpn_data *ovpn_data_free(struct ovpn_data *d)
{
	if (!d)
		return NULL;
	aead_free(d->seal);
	aead_free(d->open);
	etm_free(d->etm_seal);
	etm_free(d->etm_open);
	ovpn_data_epoch_done(d);
	replay_done(&d->replay);
	secret_wipe(d, sizeof(*d)); /* the implicit ivs */
	free(d);
	return NULL;
}

ssize_t ovpn_data_seal(struct ovpn_data *d, const uint8_t *inner, size_t len, uint8_t *out)
{
	struct span parts[OVPN_DATA_PARTS_MAX];
	uint8_t *pid = out + d->head_len, *tag = pid + PID_LEN, *text = tag + AEAD_TAG_LEN;
	const uint8_t *ad = d->head_len == V2_HEAD_LEN ? out : pid;
	size_t text_len = 0;
	unsigned n_parts;

	if (len > INNER_MAX)
		return -VERDICT_DROP_MALFORMED;
	if (ovpn_data_is_exhausted(d))
		return -VERDICT_DROP_EXHAUSTED;
	if (__builtin_expect(!d->seal, 0))
		return d->epoch ? ovpn_data_epoch_seal(d, inner, len, out) : ovpn_data_etm_seal(d, inner, len, out);
	n_parts = ovpn_data_parts(d, inner, len, parts);
	for (unsigned i = 0; i < n_parts; i++)
		text_len += parts[i].len;
	/* The pid is spent whatever happens next: no nonce may come twice. */
	d->pid++;
	d->seal_blocks += (text_len + BLOCK_LEN - 1) / BLOCK_LEN + 1;
	memcpy(out, d->head, d->head_len);
	ovpn_data_put_be32(pid, d->pid);
	memcpy(d->seal_nonce, pid, PID_LEN);
	if (aead_seal_parts(d->seal, d->seal_nonce, ad, (size_t)(tag - ad), parts, n_parts, text, tag) < 0)
		return -VERDICT_DROP_AUTH;
	d->n_sealed++;
	d->bytes_sealed += text_len;
	return (ssize_t)(d->head_len + PID_LEN + AEAD_TAG_LEN + text_len);
}

/* What lies at out, and its length where somebody may want to read it. */
static ssize_t classify(const struct ovpn_data *d, const uint8_t *out, size_t len, enum ovpn_inner *ret_kind)
{
	if (!len) {
		*ret_kind = OVPN_INNER_PING;
		return 0;
	}
	if (!d->ethernet && (out[0] >> 4 == 4 || out[0] >> 4 == 6)) {
		*ret_kind = OVPN_INNER_IP;
		return (ssize_t)len;
	}
	if (len == sizeof(ovpn_ping_magic) && memcmp(out, ovpn_ping_magic, len) == 0) {
		*ret_kind = OVPN_INNER_PING;
		return 0;
	}
	if (len > OCC_MAGIC_LEN && memcmp(out, ovpn_occ_exit, OCC_MAGIC_LEN) == 0) {
		*ret_kind = out[OCC_MAGIC_LEN] == OCC_OP_EXIT ? OVPN_INNER_EXIT : OVPN_INNER_OCC;
		return (ssize_t)(*ret_kind == OVPN_INNER_OCC ? len : 0);
	}
	/* A frame may begin with any address of a network card. */
	if (d->ethernet && len >= OVPN_ETHERNET_HEAD) {
		*ret_kind = OVPN_INNER_IP;
		return (ssize_t)len;
	}
	return -VERDICT_DROP_FRAMING;
}

ssize_t ovpn_data_finish(struct ovpn_data *d, uint8_t *out, size_t text_len, size_t room, enum ovpn_inner *ret_kind)
{
	size_t lead = framing_lead(d->framing->kind);
	ssize_t n;

	if (d->fragment) {
		n = fragment_take(d->fragment, out - lead - FRAGMENT_HEAD_LEN, text_len, room + lead);
		if (n <= 0) {
			*ret_kind = OVPN_INNER_PING; /* a sign of life, and nothing for anybody yet */
			return n;
		}
		text_len = (size_t)n;
	}
	n = framing_strip(d->framing, out, text_len, room);
	return n < 0 ? n : classify(d, out, (size_t)n, ret_kind);
}

ssize_t ovpn_data_open(struct ovpn_data *d, const uint8_t *wire, size_t len, uint8_t *out, size_t room,
		       enum ovpn_inner *ret_kind)
{
	size_t head_len, text_len;
	const uint8_t *pid, *tag, *ad;
	uint32_t id;

	if (!len)
		return -VERDICT_DROP_SHORT;
	if (!ovpn_opcode_is_data(ovpn_packet_opcode(wire[0])))
		return -VERDICT_DROP_OPCODE;
	/*
	 * Either form is taken at any time: servers have sent DATA_V1 after agreeing on V2. The peer id is the server's to
	 * choose; V2 authenticates it and nothing here depends on it.
	 */
	head_len = ovpn_packet_opcode(wire[0]) == OVPN_OP_DATA_V2 ? V2_HEAD_LEN : V1_HEAD_LEN;
	if (__builtin_expect(!d->open, 0))
		return d->epoch ? ovpn_data_epoch_open(d, wire, len, out, room, ret_kind) :
				  ovpn_data_etm_open(d, wire, len, head_len, out, room, ret_kind);
	if (len < head_len + PID_LEN + AEAD_TAG_LEN)
		return -VERDICT_DROP_SHORT;
	text_len = len - head_len - PID_LEN - AEAD_TAG_LEN;
	if (text_len > room)
		return -VERDICT_DROP_MALFORMED;
	pid = wire + head_len;
	tag = pid + PID_LEN;
	ad = head_len == V2_HEAD_LEN ? wire : pid;
	id = ovpn_data_get_be32(pid);
	if (!replay_check(&d->replay, id))
		return -VERDICT_DROP_REPLAY;
	if (d->n_forged >= OVPN_DATA_FORGED_LIMIT)
		return -VERDICT_DROP_EXHAUSTED;
	memcpy(d->open_nonce, pid, PID_LEN);
	if (aead_open(d->open, d->open_nonce, ad, (size_t)(tag - ad), tag + AEAD_TAG_LEN, text_len, out - d->lead, tag) < 0) {
		d->n_forged++;
		return -VERDICT_DROP_AUTH;
	}
	replay_commit(&d->replay, id);
	d->n_opened++;
	d->bytes_opened += text_len;
	return ovpn_data_finish(d, out, text_len, room, ret_kind);
}
