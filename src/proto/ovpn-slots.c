/*
 * The two key slots: a key's beginning, the change from one to the next by soft reset, data keys, and the end.
 *
 * Theory. Either side may begin a soft reset; the key id decides what a packet belongs to. Our own proposal and the
 * server's for the same id are one and the same new key. A renegotiation that fails leaves the old key in place, which is
 * tried again after a pause and dies at the end of tran-window; if it dies without a successor, the session ends.
 */
#include "proto/ovpn-slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define RENEGOTIATION_PAUSE (10 * USEC_PER_SEC)
#define TRAN_WINDOW_DEFAULT (3600 * USEC_PER_SEC)
#define DYN_LABEL "EXPORTER-OpenVPN-dynamic-tls-crypt"

static const char *const state_names[] = {
	[OVPN_KEY_RESET] = "reset",
	[OVPN_KEY_TLS] = "tls",
	[OVPN_KEY_EXCHANGE] = "exchange",
	[OVPN_KEY_ACTIVE] = "active",
	[OVPN_KEY_GENERATED] = "generated",
};
static_assert(ARRAY_SIZE(state_names) == _OVPN_KEY_STATE_MAX, "a name for each state");

const char *ovpn_key_state_to_string(enum ovpn_key_state s)
{
	return (unsigned)s < _OVPN_KEY_STATE_MAX ? state_names[s] : "unknown";
}

/* ---- keys ---- */

void ovpn_slots_key_free(struct ovpn_key *k)
{
	if (!k)
		return;
	(void)tls_free(k->tls);
	(void)ovpn_data_free(k->data);
	ovpn_reliable_done(&k->reliable);
	secret_wipe(k, sizeof(*k)); /* randomness, plaintext */
	free(k);
}

int ovpn_slots_key_new(struct ovpn_key **ret, const struct ovpn_session *s, uint8_t id, uint8_t opcode, usec_t now)
{
	const struct ovpn_options *o = s->p.options;
	struct ovpn_key *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->state = OVPN_KEY_RESET;
	k->id = id;
	k->deadline = now + ovpn_session_hand_window(o);
	k->must_die = USEC_INFINITY;
	ovpn_reliable_init(&k->reliable, o->tls_timeout);
	r = ovpn_reliable_push(&k->reliable, opcode, NULL, 0);
	if (r < 0) {
		ovpn_slots_key_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

uint8_t ovpn_slots_next_id(uint8_t id)
{
	return id >= OVPN_KEY_ID_MAX ? 1 : id + 1;
}

bool ovpn_slots_is_generated(const struct ovpn_key *k)
{
	return k && k->state == OVPN_KEY_GENERATED;
}

/* The one place that decides which key seals. */
static void update_seal(struct ovpn_session *s, usec_t now)
{
	bool lame_usable = ovpn_slots_is_generated(s->lame) && !ovpn_data_is_exhausted(s->lame->data);

	if (!ovpn_slots_is_generated(s->primary)) {
		s->seal = ovpn_slots_is_generated(s->lame) ? s->lame->data : NULL;
	} else if (lame_usable && now < s->switch_at) {
		s->seal = s->lame->data;
	} else {
		s->seal = s->primary->data;
		s->switch_at = USEC_INFINITY;
	}
}

static void drop_lame(struct ovpn_session *s, usec_t now)
{
	ovpn_slots_key_free(TAKE_PTR(s->lame));
	update_seal(s, now);
}

static usec_t switch_delay(const struct ovpn_options *o)
{
	usec_t hand = ovpn_session_hand_window(o);

	return o->reneg_sec ? MIN(hand, o->reneg_sec / 2) : hand;
}

/* ---- failure ---- */

static uint8_t class_of(enum tls_fail fail)
{
	switch (fail) {
	case TLS_FAIL_CONFIG:
		return FAIL_CONFIG;
	case TLS_FAIL_CA:
	case TLS_FAIL_EXPIRED:
	case TLS_FAIL_NOT_YET_VALID:
	case TLS_FAIL_PURPOSE:
	case TLS_FAIL_NAME:
	case TLS_FAIL_REVOKED:
	case TLS_FAIL_CRL:
	case TLS_FAIL_WEAK:
	case TLS_FAIL_CERT:
		return FAIL_CERT;
	case TLS_FAIL_REJECTED:
		return FAIL_CERT_REJECTED;
	case TLS_FAIL_ALERT:
	case TLS_FAIL_VERSION:
	case TLS_FAIL_PROTOCOL:
	case TLS_FAIL_CLOSED:
		return FAIL_TLS;
	case TLS_FAIL_NONE:
	case TLS_FAIL_MEMORY:
	case _TLS_FAIL_MAX:
		break;
	}
	return FAIL_INTERNAL;
}

/* A renegotiation came to nothing: back to the old key, and try again later. */
static void abandon_renegotiation(struct ovpn_session *s, const char *why, usec_t now)
{
	(void)str_copy(s->rekey_why, sizeof(s->rekey_why), why); /* cut is fine */
	ovpn_slots_key_free(s->primary);
	s->primary = TAKE_PTR(s->lame);
	s->n_rekeys_failed++;
	s->rekey_not_before = now + RENEGOTIATION_PAUSE;
	update_seal(s, now);
}

/* Why and class; for the first key the session ends, later ones are given up. */
void ovpn_slots_fail_tls(struct ovpn_session *s, struct ovpn_key *k, usec_t now)
{
	if (k == s->lame)
		return; /* its control channel is of no use any more; its data keys are */
	if (ovpn_slots_is_generated(k))
		return; /* the session lives on its data keys; the next renegotiation is a new TLS session */
	if (s->lame) {
		abandon_renegotiation(s, tls_failure_text(k->tls), now);
		return;
	}
	s->tls_fail = tls_failure(k->tls);
	ovpn_session_fail(s, class_of(s->tls_fail), "%s", tls_failure_text(k->tls));
}

void ovpn_slots_fail(struct ovpn_session *s, struct ovpn_key *k, uint8_t fail, const char *text, usec_t now)
{
	if (k == s->primary && s->lame && !ovpn_slots_is_generated(k))
		abandon_renegotiation(s, text, now);
	else if (k == s->primary)
		ovpn_session_fail(s, fail, "%s", text);
}

/* ---- data keys ---- */

static int derive(const struct ovpn_session *s, struct ovpn_key *k, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *block = NULL;
	int r;

	if (!s->data.ekm)
		return ovpn_keys_derive_prf(&k->mine, &k->peer, &s->sid, &s->peer_sid, ret);
	r = secret_new(&block, OVPN_KEY_BLOCK_LEN);
	if (r < 0)
		return r;
	r = tls_export(k->tls, OVPN_EKM_LABEL_DATA, secret_data(block), OVPN_KEY_BLOCK_LEN);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(block);
	return 0;
}

int ovpn_slots_make_data_keys(struct ovpn_session *s, struct ovpn_key *k, usec_t now)
{
	_cleanup_(secret_freep) struct secret *block = NULL;
	struct ovpn_data_params p = {
		.cipher = s->data.cipher,
		.digest = hash_digest_find(s->p.options->auth),
		.ethernet = s->p.options->tap,
		.epoch = s->data.epoch,
		.key_id = k->id,
		.peer_id = s->data.peer_id,
		.replay_window = s->p.options->replay_window,
		.framing = s->data.framing,
		.fragment = s->data.fragment,
	};
	int r;

	r = derive(s, k, &block);
	if (r == 0) {
		p.keys = secret_bytes(block);
		r = ovpn_data_new(&k->data, &p);
	}
	ovpn_key_source_wipe(&k->mine);
	ovpn_key_source_wipe(&k->peer);
	if (r < 0)
		return r;
	k->state = OVPN_KEY_GENERATED;
	k->generated_at = now;
	s->rekey_not_before = now + RENEGOTIATION_PAUSE; /* a small reneg-bytes must not become a loop of handshakes */
	s->switch_at = s->lame ? now + switch_delay(s->p.options) : USEC_INFINITY;
	update_seal(s, now);
	return 0;
}

void ovpn_slots_fail_derive(struct ovpn_session *s, struct ovpn_key *k, int error, usec_t now)
{
	ovpn_slots_fail(s, k, error == -ENOMEM ? FAIL_INTERNAL : FAIL_NEGOTIATION,
		 error == -EOPNOTSUPP ?
			 "the server wants data keys made with MD5 and SHA-1 (no tls-ekm), which this system's OpenSSL does not offer; use a server of version 2.6 or later" :
			 "the data keys could not be made",
		 now);
}

/* From the first key's TLS, mixed with the static key where there is one: the wrap of all soft resets. */
static int make_dyn_wrap(struct ovpn_session *s, struct ovpn_key *k)
{
	const struct ovpn_options *o = s->p.options;
	_cleanup_(secret_freep) struct secret *key = NULL;
	struct ovpn_wrap_params p = {
		.mode = CONTROL_WRAP_TLS_CRYPT,
		.direction = KEY_DIRECTION_BOTH,
		.time = (uint32_t)s->p.realtime(s->p.userdata),
	};
	int r;

	r = secret_new(&key, OVPN_KEY_BLOCK_LEN);
	if (r < 0)
		return r;
	r = tls_export(k->tls, DYN_LABEL, secret_data(key), OVPN_KEY_BLOCK_LEN);
	if (r < 0)
		return r;
	if (o->wrap != CONTROL_WRAP_NONE)
		for (size_t i = 0; i < OVPN_KEY_BLOCK_LEN; i++)
			secret_data(key)[i] ^= secret_bytes(o->static_key)[i];
	p.key = secret_bytes(key);
	return ovpn_wrap_new(&s->wrap_dyn, &p);
}

int ovpn_session_generate(struct ovpn_session *s, const struct ovpn_session_data *d, usec_t now)
{
	struct ovpn_key *k = s->primary;
	int r;

	if (s->data_set || !k || k->state != OVPN_KEY_ACTIVE)
		return -EINVAL;
	s->data = *d;
	s->data_set = true;
	r = d->dyn_tls_crypt ? make_dyn_wrap(s, k) : 0;
	if (r == 0)
		r = ovpn_slots_make_data_keys(s, k, now);
	if (r < 0)
		ovpn_slots_fail_derive(s, k, r, now);
	return r;
}

/* ---- soft reset ---- */

int ovpn_slots_begin(struct ovpn_session *s, usec_t now)
{
	const struct ovpn_options *o = s->p.options;
	struct ovpn_key *k;
	int r;

	r = ovpn_slots_key_new(&k, s, ovpn_slots_next_id(s->primary->id), OVPN_OP_SOFT_RESET_V1, now);
	if (r < 0)
		return r;
	ovpn_slots_key_free(s->lame);
	s->lame = s->primary;
	if (s->lame->must_die == USEC_INFINITY)
		s->lame->must_die = now + (o->tran_window ? o->tran_window : TRAN_WINDOW_DEFAULT);
	s->primary = k;
	s->switch_at = USEC_INFINITY;
	update_seal(s, now);
	return 0;
}

void ovpn_session_proved(struct ovpn_session *s, const struct ovpn_data *d, usec_t now)
{
	if (s->switch_at == USEC_INFINITY || d != s->primary->data)
		return;
	s->switch_at = now;
	update_seal(s, now);
}

int ovpn_session_rekey(struct ovpn_session *s, usec_t now)
{
	return !s->failed && ovpn_slots_is_generated(s->primary) ? ovpn_slots_begin(s, now) : 0;
}

/* By volume: what the profile's limits and the cipher say about the key. */
static bool is_spent(const struct ovpn_session *s)
{
	const struct ovpn_options *o = s->p.options;
	const struct ovpn_data *d = s->primary->data;

	return (o->reneg_bytes && d->bytes_sealed + d->bytes_opened >= o->reneg_bytes) ||
	       (o->reneg_pkts && d->n_sealed + d->n_opened >= o->reneg_pkts) || ovpn_data_wants_rekey(d);
}

/* When the next soft reset should begin; the primary is GENERATED. 0: now. */
static usec_t rekey_at(const struct ovpn_session *s)
{
	const struct ovpn_options *o = s->p.options;

	if (is_spent(s))
		return s->rekey_not_before;
	return o->reneg_sec ? MAX(s->primary->generated_at + o->reneg_sec, s->rekey_not_before) : USEC_INFINITY;
}

/* ---- time ---- */

static void tick_rekey(struct ovpn_session *s, usec_t now)
{
	if (!ovpn_slots_is_generated(s->primary)) {
		/* The first key's deadline is the owner's: it has the words for it. */
		if (s->lame && now >= s->primary->deadline)
			abandon_renegotiation(s, "no answer in time", now);
	} else if (now >= rekey_at(s) && ovpn_slots_begin(s, now) < 0) {
		s->rekey_not_before = now + RENEGOTIATION_PAUSE; /* no memory: later */
	}
}

static void tick_death(struct ovpn_session *s, usec_t now)
{
	static const char words[] = "the data keys expired and the server did not take part in renewing them; connecting anew";

	if (s->lame && now >= s->lame->must_die) {
		if (!ovpn_slots_is_generated(s->primary))
			ovpn_session_fail(s, FAIL_TIMEOUT, "%s", words);
		else
			drop_lame(s, now);
	}
	/* A key that was to be replaced and came back has still only its old time. */
	if (ovpn_slots_is_generated(s->primary) && now >= s->primary->must_die)
		ovpn_session_fail(s, FAIL_TIMEOUT, "%s", words);
}

void ovpn_session_tick(struct ovpn_session *s, usec_t now)
{
	if (s->failed || !s->primary)
		return;
	tick_death(s, now);
	if (s->failed)
		return;
	tick_rekey(s, now);
	update_seal(s, now);
}

static usec_t reliable_deadline(const struct ovpn_key *k)
{
	return k ? ovpn_reliable_deadline(&k->reliable) : USEC_INFINITY;
}

static usec_t key_deadline(const struct ovpn_session *s)
{
	return ovpn_slots_is_generated(s->primary) ? MIN(rekey_at(s), s->primary->must_die) : s->primary->deadline;
}

usec_t ovpn_session_deadline(const struct ovpn_session *s)
{
	usec_t at;

	if (s->failed || !s->primary)
		return USEC_INFINITY;
	at = MIN(reliable_deadline(s->primary), reliable_deadline(s->lame));
	at = MIN(at, key_deadline(s));
	at = MIN(at, s->switch_at);
	return s->lame ? MIN(at, s->lame->must_die) : at;
}
