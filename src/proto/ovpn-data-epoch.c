/*
 * Data packets with epoch keys (servers of 2.7 and later).
 *
 *   op(1) peer_id(3) pid(8) ciphertext tag(16)   associated data: the first 12 bytes
 *   pid      epoch(2) counter(6), both from 1 on
 *   nonce    the epoch's iv XOR (pid | four zero bytes)
 *   E(1)     first 32 bytes of the direction's cipher key; E(n + 1) = expand(E(n), "datakey upd")
 *   key, iv  expand(E(n), "data_key"), expand(E(n), "data_iv")
 *
 * Theory. A sender goes on to the next epoch when the key has done what its cipher allows; no word is exchanged about it.
 * So the receiver holds the keys of the next few epochs ready, and the one before for packets that were late. A packet of
 * a later epoch that verifies makes that the present one, and pulls our own sending along; nothing moves before the tag
 * was verified, and an epoch further ahead than the keys that are ready is not looked at. Each epoch has a window of its
 * own. Secrets only run forward: what is behind cannot be computed again.
 */
#include "proto/ovpn-data-format.h"

#include <errno.h>

#include "crypto/hash.h"

#define PID_LEN 8
#define HEAD_LEN (OVPN_DATA_V2_HEAD_LEN + PID_LEN)
#define SECRET_LEN 32
#define COUNTER_MAX ((1ULL << 48) - 1)
#define FUTURE_KEYS 4
#define BLOCK_LEN 16

/* One epoch of receiving; aead NULL: none. */
struct epoch_key {
	uint16_t epoch;
	struct aead *aead;
	uint8_t iv[AEAD_NONCE_LEN];
	struct replay replay;
};

/* E(epoch) of one direction. */
struct epoch_secret {
	uint16_t epoch;
	uint8_t bytes[SECRET_LEN];
};

struct ovpn_data_epoch {
	const struct aead_cipher *cipher;
	unsigned window;
	/* sending */
	struct aead *seal;
	uint8_t seal_iv[AEAD_NONCE_LEN];
	uint64_t counter, blocks, limit;
	struct epoch_secret send;
	/* receiving */
	struct epoch_key previous, present, future[FUTURE_KEYS]; /* future[i] is present.epoch + 1 + i */
	struct epoch_secret recv;                                /* of the last key that was made */
};

static uint64_t get_be64(const uint8_t *p)
{
	return (uint64_t)ovpn_data_get_be32(p) << 32 | ovpn_data_get_be32(p + 4);
}

static void put_be64(uint8_t *p, uint64_t v)
{
	ovpn_data_put_be32(p, (uint32_t)(v >> 32));
	ovpn_data_put_be32(p + 4, (uint32_t)v);
}

/* ---- keys ---- */

static int advance(struct epoch_secret *s)
{
	uint8_t next[SECRET_LEN];
	int r;

	if (s->epoch == UINT16_MAX)
		return -EOVERFLOW;
	r = hash_label_expand(s->bytes, SECRET_LEN, "datakey upd", NULL, 0, next, sizeof(next));
	if (r == 0) {
		memcpy(s->bytes, next, SECRET_LEN);
		s->epoch++;
	}
	secret_wipe(next, sizeof(next));
	return r;
}

static int make_key(const struct epoch_secret *s, const struct aead_cipher *cipher, enum aead_direction direction,
		    struct aead **ret, uint8_t iv[AEAD_NONCE_LEN])
{
	uint8_t key[AEAD_KEY_MAX];
	int r;

	r = hash_label_expand(s->bytes, SECRET_LEN, "data_key", NULL, 0, key, cipher->key_len);
	if (r == 0)
		r = hash_label_expand(s->bytes, SECRET_LEN, "data_iv", NULL, 0, iv, AEAD_NONCE_LEN);
	if (r == 0)
		r = aead_new(ret, cipher, direction, key, cipher->key_len);
	secret_wipe(key, sizeof(key));
	return r;
}

static void key_done(struct epoch_key *k)
{
	aead_free(k->aead);
	replay_done(&k->replay);
	secret_wipe(k, sizeof(*k));
}

/* The key of e->recv. */
static int make_open(const struct ovpn_data_epoch *e, struct epoch_key *ret)
{
	struct epoch_key k = { .epoch = e->recv.epoch };
	int r;

	r = make_key(&e->recv, e->cipher, AEAD_OPEN, &k.aead, k.iv);
	if (r == 0)
		r = replay_init(&k.replay, e->window);
	if (r < 0) {
		key_done(&k);
		return r;
	}
	*ret = k;
	return 0;
}

/* Fills the empty places behind the last key; at the end of all epochs they stay empty. */
static int fill_future(struct ovpn_data_epoch *e)
{
	int r;

	for (unsigned i = 0; i < FUTURE_KEYS; i++) {
		if (e->future[i].aead)
			continue;
		r = advance(&e->recv);
		if (r == -EOVERFLOW)
			return 0;
		if (r == 0)
			r = make_open(e, &e->future[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int next_send_epoch(struct ovpn_data_epoch *e)
{
	struct aead *seal = NULL;
	uint8_t iv[AEAD_NONCE_LEN];
	int r;

	r = advance(&e->send);
	if (r == 0)
		r = make_key(&e->send, e->cipher, AEAD_SEAL, &seal, iv);
	if (r < 0)
		return r;
	aead_free(e->seal);
	e->seal = seal;
	memcpy(e->seal_iv, iv, sizeof(iv));
	secret_wipe(iv, sizeof(iv));
	e->counter = e->blocks = 0;
	return 0;
}

int ovpn_data_epoch_init(struct ovpn_data *d, const struct ovpn_data_params *p, unsigned out, unsigned in)
{
	struct ovpn_data_epoch *e;
	int r;

	if (p->peer_id == OVPN_PEER_ID_V1 || !p->cipher->aead)
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	d->epoch = e; /* freed with it, also when it is half made */
	e->cipher = p->cipher->aead;
	e->window = p->replay_window;
	e->limit = e->cipher->is_gcm ? OVPN_DATA_GCM_LIMIT / 8 * 7 : UINT64_MAX;
	e->send.epoch = e->recv.epoch = 1;
	memcpy(e->send.bytes, ovpn_keys_cipher(p->keys, out), SECRET_LEN);
	memcpy(e->recv.bytes, ovpn_keys_cipher(p->keys, in), SECRET_LEN);
	r = make_key(&e->send, e->cipher, AEAD_SEAL, &e->seal, e->seal_iv);
	if (r == 0)
		r = make_open(e, &e->present);
	if (r == 0)
		r = fill_future(e);
	return r;
}

void ovpn_data_epoch_done(struct ovpn_data *d)
{
	struct ovpn_data_epoch *e = d->epoch;

	if (!e)
		return;
	aead_free(e->seal);
	key_done(&e->previous);
	key_done(&e->present);
	for (unsigned i = 0; i < FUTURE_KEYS; i++)
		key_done(&e->future[i]);
	secret_wipe(e, sizeof(*e));
	free(e);
	d->epoch = NULL;
}

uint16_t ovpn_data_epoch_send(const struct ovpn_data *d)
{
	return d->epoch->send.epoch;
}

int ovpn_data_epoch_skip(struct ovpn_data *d, uint64_t counter)
{
	if (counter)
		d->epoch->counter = counter;
	else
		return next_send_epoch(d->epoch);
	return 0;
}

/* ---- packets ---- */

static void make_nonce(const uint8_t iv[AEAD_NONCE_LEN], const uint8_t *pid, uint8_t nonce[AEAD_NONCE_LEN])
{
	memcpy(nonce, iv, AEAD_NONCE_LEN);
	for (unsigned i = 0; i < PID_LEN; i++)
		nonce[i] ^= pid[i];
}

ssize_t ovpn_data_epoch_seal(struct ovpn_data *d, const uint8_t *inner, size_t len, uint8_t *out)
{
	struct ovpn_data_epoch *e = d->epoch;
	struct span parts[OVPN_DATA_PARTS_MAX];
	uint8_t *pid = out + OVPN_DATA_V2_HEAD_LEN, *text = out + HEAD_LEN, nonce[AEAD_NONCE_LEN];
	size_t text_len = 0;
	unsigned n_parts;

	if ((e->counter >= COUNTER_MAX || e->blocks >= e->limit) && next_send_epoch(e) < 0) {
		d->pid = OVPN_DATA_PID_LAST; /* no epoch is left: nothing can be sealed any more */
		return -VERDICT_DROP_EXHAUSTED;
	}
	n_parts = ovpn_data_parts(d, inner, len, parts);
	for (unsigned i = 0; i < n_parts; i++)
		text_len += parts[i].len;
	/* The counter is spent whatever happens next: no nonce may come twice. */
	e->counter++;
	e->blocks += (text_len + BLOCK_LEN - 1) / BLOCK_LEN + 1;
	memcpy(out, d->head, OVPN_DATA_V2_HEAD_LEN);
	put_be64(pid, (uint64_t)e->send.epoch << 48 | e->counter);
	make_nonce(e->seal_iv, pid, nonce);
	if (aead_seal_parts(e->seal, nonce, out, HEAD_LEN, parts, n_parts, text, text + text_len) < 0)
		return -VERDICT_DROP_AUTH;
	d->n_sealed++;
	d->bytes_sealed += text_len;
	d->epoch_top = MAX(d->epoch_top, e->send.epoch);
	return (ssize_t)(HEAD_LEN + text_len + AEAD_TAG_LEN);
}

static struct epoch_key *key_of(struct ovpn_data_epoch *e, uint16_t epoch)
{
	if (epoch == e->present.epoch)
		return &e->present;
	if (e->previous.aead && epoch == e->previous.epoch)
		return &e->previous;
	for (unsigned i = 0; i < FUTURE_KEYS; i++)
		if (e->future[i].aead && epoch == e->future[i].epoch)
			return &e->future[i];
	return NULL;
}

/*
 * A packet of a later epoch was authentic: that is the present now. Failing to make further keys, or our own next one, is
 * no reason to lose the packet: it is tried again with the next that comes from ahead, and a new key is asked for.
 */
static void move_to(struct ovpn_data *d, struct epoch_key *k)
{
	struct ovpn_data_epoch *e = d->epoch;
	unsigned n = (unsigned)(k - e->future) + 1;

	key_done(&e->previous);
	e->previous = e->present;
	e->present = *k;
	*k = (struct epoch_key){ 0 };
	for (unsigned i = 0; i < FUTURE_KEYS; i++) {
		if (i + 1 < n)
			key_done(&e->future[i]);
		if (i + n < FUTURE_KEYS) {
			e->future[i] = e->future[i + n];
			e->future[i + n] = (struct epoch_key){ 0 };
		}
	}
	d->epoch_top = MAX(d->epoch_top, e->present.epoch);
	if (fill_future(e) < 0)
		d->epoch_top = UINT16_MAX;
	while (e->send.epoch < e->present.epoch)
		if (next_send_epoch(e) < 0) {
			d->epoch_top = UINT16_MAX;
			break;
		}
}

ssize_t ovpn_data_epoch_open(struct ovpn_data *d, const uint8_t *wire, size_t len, uint8_t *out, size_t room,
			     enum ovpn_inner *ret_kind)
{
	struct ovpn_data_epoch *e = d->epoch;
	const uint8_t *pid = wire + OVPN_DATA_V2_HEAD_LEN, *text = wire + HEAD_LEN;
	uint8_t nonce[AEAD_NONCE_LEN];
	struct epoch_key *k;
	uint64_t counter;
	size_t text_len;

	if (ovpn_packet_opcode(wire[0]) != OVPN_OP_DATA_V2)
		return -VERDICT_DROP_OPCODE;
	if (len < HEAD_LEN + AEAD_TAG_LEN)
		return -VERDICT_DROP_SHORT;
	text_len = len - HEAD_LEN - AEAD_TAG_LEN;
	if (text_len > room)
		return -VERDICT_DROP_MALFORMED;
	k = key_of(e, (uint16_t)(get_be64(pid) >> 48));
	if (!k)
		return -VERDICT_DROP_KEY_ID;
	counter = get_be64(pid) & COUNTER_MAX;
	if (!replay_check(&k->replay, counter))
		return -VERDICT_DROP_REPLAY;
	if (d->n_forged >= OVPN_DATA_FORGED_LIMIT)
		return -VERDICT_DROP_EXHAUSTED;
	make_nonce(k->iv, pid, nonce);
	if (aead_open(k->aead, nonce, wire, HEAD_LEN, text, text_len, out - d->lead, text + text_len) < 0) {
		d->n_forged++;
		return -VERDICT_DROP_AUTH;
	}
	replay_commit(&k->replay, counter);
	if (k != &e->present && k != &e->previous)
		move_to(d, k);
	d->n_opened++;
	d->bytes_opened += text_len;
	return ovpn_data_finish(d, out, text_len, room, ret_kind);
}
