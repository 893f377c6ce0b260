/* tls-auth and tls-crypt around plain control packets. The Theory is in the header. */
#include "proto/ovpn-wrap.h"

#include "crypto/ctr.h"
#include "crypto/hash.h"
#include "crypto/replay.h"
#include "proto/ovpn-keys.h"

#define REPLAY_ID_LEN 8 /* id and time */
#define CRYPT_TAG_LEN 32
#define CRYPT_AD_LEN (OVPN_HEAD_LEN + REPLAY_ID_LEN)
#define CRYPT_KEY_LEN 32

struct ovpn_wrap {
	enum control_wrap mode;
	uint32_t time;
	uint64_t next_id; /* above UINT32_MAX: used up */
	struct hash_hmac *send_mac, *recv_mac;
	struct ctr *send_ctr, *recv_ctr;
	struct replay replay;
};

/* Which of the two keys each side uses. */
struct pair {
	unsigned send, recv;
};

/* tls-auth: direction 0 sends with keys[0], 1 with keys[1], without direction both use keys[0]. */
static struct pair auth_pair(const struct ovpn_wrap_params *p)
{
	bool second = p->direction == KEY_DIRECTION_1;

	if (p->direction == KEY_DIRECTION_BOTH)
		return (struct pair){ 0, 0 };
	return (struct pair){ second ? 1 : 0, second ? 0 : 1 };
}

/* tls-crypt: the server sends with keys[0], the client with keys[1]; the data channel has it the other way round. */
static struct pair crypt_pair(const struct ovpn_wrap_params *p)
{
	return (struct pair){ p->server ? 0 : 1, p->server ? 1 : 0 };
}

static int init_auth(struct ovpn_wrap *w, const struct ovpn_wrap_params *p)
{
	const struct hash_digest *digest = hash_digest_find(p->digest);
	struct pair k = auth_pair(p);
	int r;

	if (!digest)
		return -EINVAL;
	r = hash_hmac_new(&w->send_mac, digest, ovpn_keys_hmac(p->key, k.send), digest->len);
	if (r < 0)
		return r;
	return hash_hmac_new(&w->recv_mac, digest, ovpn_keys_hmac(p->key, k.recv), digest->len);
}

static int init_crypt(struct ovpn_wrap *w, const struct ovpn_wrap_params *p)
{
	const struct hash_digest *digest = hash_digest_find("SHA256");
	struct pair k = crypt_pair(p);
	int r;

	r = hash_hmac_new(&w->send_mac, digest, ovpn_keys_hmac(p->key, k.send), CRYPT_KEY_LEN);
	if (r < 0)
		return r;
	r = hash_hmac_new(&w->recv_mac, digest, ovpn_keys_hmac(p->key, k.recv), CRYPT_KEY_LEN);
	if (r < 0)
		return r;
	r = ctr_new(&w->send_ctr, ovpn_keys_cipher(p->key, k.send));
	if (r < 0)
		return r;
	return ctr_new(&w->recv_ctr, ovpn_keys_cipher(p->key, k.recv));
}

int ovpn_wrap_new(struct ovpn_wrap **ret, const struct ovpn_wrap_params *p)
{
	_cleanup_(ovpn_wrap_freep) struct ovpn_wrap *w = NULL;
	int r;

	if (p->mode != CONTROL_WRAP_NONE && !p->key)
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->mode = p->mode;
	w->time = p->time;
	w->next_id = p->first_id ? p->first_id : 1;
	r = replay_init(&w->replay, p->replay_window);
	if (r < 0)
		return r;
	switch (p->mode) {
	case CONTROL_WRAP_NONE:
		break;
	case CONTROL_WRAP_TLS_AUTH:
		r = init_auth(w, p);
		break;
	case CONTROL_WRAP_TLS_CRYPT:
		r = init_crypt(w, p);
		break;
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(w);
	return 0;
}

struct ovpn_wrap *ovpn_wrap_free(struct ovpn_wrap *w)
{
	if (!w)
		return NULL;
	hash_hmac_free(w->send_mac);
	hash_hmac_free(w->recv_mac);
	ctr_free(w->send_ctr);
	ctr_free(w->recv_ctr);
	replay_done(&w->replay);
	free(w);
	return NULL;
}

size_t ovpn_wrap_overhead(const struct ovpn_wrap *w)
{
	switch (w->mode) {
	case CONTROL_WRAP_NONE:
		return 0;
	case CONTROL_WRAP_TLS_AUTH:
		return hash_hmac_len(w->send_mac) + REPLAY_ID_LEN;
	case CONTROL_WRAP_TLS_CRYPT:
		return CRYPT_TAG_LEN + REPLAY_ID_LEN;
	}
	return 0;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

/* The HMAC sees the fields in another order than the wire: replay id and time first, then the head, then the rest. */
static int auth_seal(struct ovpn_wrap *w, const uint8_t *rest, size_t rest_len, uint8_t *wire)
{
	uint8_t *mac = wire + OVPN_HEAD_LEN, *replay = mac + hash_hmac_len(w->send_mac);
	struct span parts[] = { { replay, REPLAY_ID_LEN }, { wire, OVPN_HEAD_LEN }, { rest, rest_len } };

	memcpy(replay + REPLAY_ID_LEN, rest, rest_len);
	return hash_hmac(w->send_mac, parts, ARRAY_SIZE(parts), mac);
}

static int crypt_seal(struct ovpn_wrap *w, const uint8_t *rest, size_t rest_len, uint8_t *wire)
{
	uint8_t *tag = wire + CRYPT_AD_LEN;
	struct span parts[] = { { wire, CRYPT_AD_LEN }, { rest, rest_len } };
	int r;

	r = hash_hmac(w->send_mac, parts, ARRAY_SIZE(parts), tag);
	if (r < 0)
		return r;
	return ctr_crypt(w->send_ctr, tag, rest, rest_len, tag + CRYPT_TAG_LEN);
}

ssize_t ovpn_wrap_seal(struct ovpn_wrap *w, const uint8_t *plain, size_t len, uint8_t *wire, size_t cap)
{
	size_t overhead = ovpn_wrap_overhead(w), rest_len;
	struct writer replay;
	int r;

	if (len < OVPN_HEAD_LEN)
		return -EINVAL;
	if (cap < overhead || len > cap - overhead)
		return -EMSGSIZE;
	if (w->mode == CONTROL_WRAP_NONE) {
		memcpy(wire, plain, len);
		return (ssize_t)len;
	}
	if (w->next_id > UINT32_MAX)
		return -EOVERFLOW;
	rest_len = len - OVPN_HEAD_LEN;
	memcpy(wire, plain, OVPN_HEAD_LEN);
	replay = writer_init(wire + OVPN_HEAD_LEN + (w->mode == CONTROL_WRAP_TLS_AUTH ? overhead - REPLAY_ID_LEN : 0),
			     REPLAY_ID_LEN);
	/* The id is spent before it is used: a failure below must not make it come twice. */
	write_be32(&replay, (uint32_t)w->next_id++);
	write_be32(&replay, w->time);
	r = w->mode == CONTROL_WRAP_TLS_AUTH ? auth_seal(w, plain + OVPN_HEAD_LEN, rest_len, wire) :
					       crypt_seal(w, plain + OVPN_HEAD_LEN, rest_len, wire);
	return r < 0 ? r : (ssize_t)(len + overhead);
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

/* time << 32 | id: a later time outranks every id, so a peer that wraps its ids or restarts only moves forward. */
static uint64_t replay_number(const uint8_t *p)
{
	struct reader r = reader_init(p, REPLAY_ID_LEN);
	uint32_t id = read_be32(&r);

	/* ids begin at 1; number 0 is what the window never accepts */
	return id ? (uint64_t)read_be32(&r) << 32 | id : 0;
}

static enum verdict auth_open(struct ovpn_wrap *w, const uint8_t *wire, const uint8_t *rest, size_t rest_len,
			      uint8_t *plain)
{
	const uint8_t *mac = wire + OVPN_HEAD_LEN, *replay = rest - REPLAY_ID_LEN;
	struct span parts[] = { { replay, REPLAY_ID_LEN }, { wire, OVPN_HEAD_LEN }, { rest, rest_len } };

	if (hash_hmac_verify(w->recv_mac, parts, ARRAY_SIZE(parts), mac) < 0)
		return VERDICT_DROP_AUTH;
	memcpy(plain + OVPN_HEAD_LEN, rest, rest_len);
	return VERDICT_OK;
}

static enum verdict crypt_open(struct ovpn_wrap *w, const uint8_t *wire, const uint8_t *rest, size_t rest_len,
			       uint8_t *plain)
{
	const uint8_t *tag = wire + CRYPT_AD_LEN;
	uint8_t *out = plain + OVPN_HEAD_LEN;
	struct span parts[] = { { wire, CRYPT_AD_LEN }, { out, rest_len } };

	if (ctr_crypt(w->recv_ctr, tag, rest, rest_len, out) < 0 ||
	    hash_hmac_verify(w->recv_mac, parts, ARRAY_SIZE(parts), tag) < 0) {
		memset(out, 0, rest_len); /* nobody may look at what was not authentic */
		return VERDICT_DROP_AUTH;
	}
	return VERDICT_OK;
}

ssize_t ovpn_wrap_open(struct ovpn_wrap *w, const uint8_t *wire, size_t len, uint8_t *plain, size_t cap)
{
	size_t overhead = ovpn_wrap_overhead(w), rest_len;
	const uint8_t *rest;
	enum verdict v;
	uint64_t number;

	/* the shortest plain packet has an ack count behind its head */
	if (len < overhead + OVPN_HEAD_LEN + 1)
		return -VERDICT_DROP_SHORT;
	if (len - overhead > cap)
		return -VERDICT_DROP_MALFORMED;
	if (w->mode == CONTROL_WRAP_NONE) {
		memcpy(plain, wire, len);
		return (ssize_t)len;
	}
	rest = wire + OVPN_HEAD_LEN + overhead;
	rest_len = len - overhead - OVPN_HEAD_LEN;
	number = replay_number(w->mode == CONTROL_WRAP_TLS_AUTH ? rest - REPLAY_ID_LEN : wire + OVPN_HEAD_LEN);
	if (!replay_check(&w->replay, number))
		return -VERDICT_DROP_REPLAY;
	v = w->mode == CONTROL_WRAP_TLS_AUTH ? auth_open(w, wire, rest, rest_len, plain) :
					       crypt_open(w, wire, rest, rest_len, plain);
	if (v != VERDICT_OK)
		return -(ssize_t)v;
	replay_commit(&w->replay, number);
	memcpy(plain, wire, OVPN_HEAD_LEN);
	return (ssize_t)(len - overhead);
}
