/*
 * Data packets: opening what comes from the network, and taking the framing off what a peer with the right key may
 * have put inside, the decompressors included.
 *
 * First byte: framing in bits 0-1, decompression in bit 2, cipher in bits 3-4, format in bit 5, CBC in place of AEAD in bit 6,
 * `fragment` in bit 7. Second byte: how much more room than the datagram the output has, and in its last bit whether the keys
 * are of epochs. Third byte: what else happens (later()).
 */
#include <stdlib.h>
#include <string.h>

#include "proto/ovpn-data.h"
#include "proto/ovpn-data-format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(expr)                                                                                                  \
	do {                                                                                                           \
		if (!(expr))                                                                                           \
			abort();                                                                                       \
	} while (0)

#define INNER_MAX 1500

struct pair {
	struct framing_state framing, plain;
	struct fragment_state fragment;
	struct ovpn_data *us, *peer;
};

/* Made once for each selector: the handshake is not what is fuzzed. */
static struct pair *pair_of(uint8_t selector, bool epoch)
{
	static struct pair pairs[2][256];
	static uint8_t keys[OVPN_KEY_BLOCK_LEN];
	struct pair *p = &pairs[epoch][selector];
	struct ovpn_data_params params = { .cipher = ovpn_cipher_at((selector >> 3 & 3) + (selector & 64 ? 4 : 0)),
					   .digest = hash_digest_find("sha256"), .keys = keys,
					   .peer_id = selector & 32 ? OVPN_PEER_ID_V1 : 7, .replay_window = 64 };

	if (p->us)
		return p;
	if (!params.cipher)
		params.cipher = ovpn_cipher_at(4);
	params.epoch = epoch && params.cipher->aead && params.peer_id != OVPN_PEER_ID_V1;
	require(framing_init(&p->framing, (enum framing)(selector & 3), selector & 4, INNER_MAX) == 0);
	require(framing_init(&p->plain, FRAMING_NONE, false, INNER_MAX) == 0);
	params.framing = &p->framing;
	if (selector & 128) {
		require(p->fragment.room || fragment_init(&p->fragment, INNER_MAX) == 0);
		params.fragment = &p->fragment;
	}
	require(ovpn_data_new(&p->us, &params) == 0);
	params.framing = &p->plain;
	params.fragment = NULL;
	params.server = true;
	require(ovpn_data_new(&p->peer, &params) == 0);
	return p;
}

/*
 * Opens into a buffer that is exactly as large as the contract says, for the sanitizer; the libraries that decompress are not instrumented, so
 * where it may run the buffer has a border that is looked at.
 */
static ssize_t open_exact(struct ovpn_data *d, const uint8_t *wire, size_t len, size_t more, enum ovpn_inner *kind,
			  uint8_t **ret)
{
	size_t room = OVPN_DATA_LEAD_MAX + len + more, border = d->framing->decompress ? 64 : 0;
	uint8_t *area = malloc(room + border), *copy = malloc(len ? len : 1);
	ssize_t n;

	require(area && copy);
	memset(area + room, 0xcc, border);
	if (len)
		memcpy(copy, wire, len);
	n = ovpn_data_open(d, copy, len, area + OVPN_DATA_LEAD_MAX, len + more, kind);
	require(n <= (ssize_t)(len + more) && n > -_VERDICT_MAX);
	for (size_t i = 0; i < border; i++)
		require(area[room + i] == 0xcc);
	free(copy);
	if (ret)
		*ret = area;
	else
		free(area);
	return n;
}

static void forget(struct pair *p)
{
	p->us = ovpn_data_free(p->us);
	p->peer = ovpn_data_free(p->peer);
	framing_done(&p->framing);
}

/* What depends on packets before this one. The pair is of no use for others afterwards. */
static void later(struct pair *p, uint8_t what, const uint8_t *inner, size_t len)
{
	enum ovpn_inner kind;
	uint8_t *wire[2] = { malloc(len + OVPN_DATA_OVERHEAD_MAX), malloc(len + OVPN_DATA_OVERHEAD_MAX) };
	ssize_t n[2];

	require(wire[0] && wire[1]);
	n[0] = ovpn_data_seal(p->peer, inner, len, wire[0]);
	switch (what & 7) {
	case 2: /* an epoch that is so far away */
		for (unsigned i = 0; p->peer->epoch && i < what >> 3; i++)
			require(ovpn_data_epoch_skip(p->peer, 0) == 0);
		break;
	case 3: /* counters at their ends */
		if (p->peer->epoch)
			require(ovpn_data_epoch_skip(p->peer, (UINT64_C(1) << 48) - 2) == 0);
		p->peer->pid = OVPN_DATA_PID_LAST - 1;
		break;
	case 4:
		while (p->peer->epoch && ovpn_data_epoch_send(p->peer) < 300 && ovpn_data_epoch_skip(p->peer, 0) == 0)
			;
		break;
	case 5:
		p->us->n_forged = OVPN_DATA_FORGED_LIMIT - 1;
		(void)open_exact(p->us, inner, len, 0, &kind, NULL);
		break;
	default:
		break;
	}
	n[1] = ovpn_data_seal(p->peer, inner, len, wire[1]);
	for (unsigned i = 0; i < 4; i++) { /* the later one first, and both twice */
		unsigned which = i & 1 ? 0 : 1;

		if (n[which] > 0 && open_exact(p->us, wire[which], (size_t)n[which], 64, &kind, NULL) >= 0)
			n[which] = -n[which]; /* taken: not again */
		else if (n[which] < 0)
			require(open_exact(p->us, wire[which], (size_t)-n[which], 64, &kind, NULL) < 0);
	}
	(void)ovpn_data_seal(p->peer, inner, len, wire[0]);
	(void)ovpn_data_is_exhausted(p->peer);
	free(wire[0]);
	free(wire[1]);
	forget(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum ovpn_inner kind = OVPN_INNER_PING;
	struct pair *p;
	uint8_t *wire, *inner = NULL;
	size_t len, more;
	uint8_t then;
	ssize_t n, got;

	if (size < 3)
		return 0;
	p = pair_of(data[0], data[1] & 1);
	more = (size_t)data[1] * 16;
	then = data[2];
	data += 3;
	len = size - 3;
	/* a forgery is never accepted */
	require(open_exact(p->us, data, len, more, &kind, NULL) < 0);
	wire = malloc(len + OVPN_DATA_OVERHEAD_MAX);
	require(wire);
	/* a peer with the key put these bytes inside */
	n = ovpn_data_seal(p->peer, data, len, wire);
	if (n > 0)
		(void)open_exact(p->us, wire, (size_t)n, more, &kind, NULL);
	/* and our own framing comes off again */
	p->peer->framing = &p->framing;
	p->peer->fragment = p->us->fragment;
	n = ovpn_data_seal(p->peer, data, len, wire);
	if (n > 0) {
		got = open_exact(p->us, wire, (size_t)n, more, &kind, &inner);
		require(got <= 0 || ((size_t)got == len && memcmp(inner + OVPN_DATA_LEAD_MAX, data, len) == 0));
		free(inner);
	}
	p->peer->framing = &p->plain;
	p->peer->fragment = NULL;
	/* the counters of 256 pairs must outlast any run */
	if (then)
		later(p, then, data, len);
	else if (ovpn_data_wants_rekey(p->peer))
		forget(p);
	free(wire);
	return 0;
}
