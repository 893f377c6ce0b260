/*
 * Control packets from the network: unwrapping (none, tls-auth, tls-crypt), the plain parser, the reliability layer as
 * a sequence of operations, key method 2 and the peer's options string, and its peer info.
 *
 * The first byte selects what the rest is. Random bytes never get past an HMAC, so for the wrapped modes the rest is
 * also taken as a plain packet that the peer wraps.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-keys.h"
#include "proto/ovpn-peerinfo.h"
#include "proto/ovpn-reliable.h"
#include "proto/ovpn-wrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(expr)                                                                                                  \
	do {                                                                                                           \
		if (!(expr))                                                                                           \
			abort();                                                                                       \
	} while (0)

/* An exact copy on the heap, so that one byte too far is seen. */
static uint8_t *exact(const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	require(copy);
	if (len)
		memcpy(copy, p, len);
	return copy;
}

/* What parses must build back to the same bytes (an ACK_V1 may have had a tail). */
static void fuzz_plain(const uint8_t *p, size_t len)
{
	struct ovpn_control c;
	bool resend = false;
	uint8_t *buf;
	size_t n;

	if (ovpn_packet_parse(p, len, &c) != VERDICT_OK)
		return;
	require(c.n_acks <= OVPN_ACKS_MAX && c.payload_len <= len);
	(void)ovpn_packet_parse_early(c.payload, c.payload_len, &resend);
	if (c.opcode == OVPN_OP_ACK_V1)
		c.payload_len = 0;
	buf = malloc(len);
	require(buf && ovpn_packet_build(&c, buf, len, &n) == 0);
	require(n <= len && memcmp(buf, p, n) == 0);
	free(buf);
}

static void fuzz_wrap(enum control_wrap mode, const uint8_t *p, size_t len)
{
	static uint8_t key[OVPN_KEY_BLOCK_LEN];
	static struct ovpn_wrap *peers[3][2];
	struct ovpn_wrap_params params = { .mode = mode, .key = key, .digest = "sha256", .direction = KEY_DIRECTION_BOTH,
					   .replay_window = 64 };
	struct ovpn_wrap **w = peers[mode];
	uint8_t *wire = malloc(len + OVPN_WRAP_OVERHEAD_MAX), *plain = malloc(len + 1);
	ssize_t n;

	for (int i = 0; i < 2; i++) {
		params.server = i;
		require(w[i] || ovpn_wrap_new(&w[i], &params) == 0);
	}
	require(wire && plain);
	n = ovpn_wrap_open(w[0], p, len, plain, len);
	if (n > 0)
		fuzz_plain(plain, (size_t)n);
	n = ovpn_wrap_seal(w[1], p, len, wire, len + OVPN_WRAP_OVERHEAD_MAX);
	if (n > 0) {
		n = ovpn_wrap_open(w[0], wire, (size_t)n, plain, len);
		require(len == OVPN_HEAD_LEN ? n == -VERDICT_DROP_SHORT : n == (ssize_t)len && memcmp(plain, p, len) == 0);
	}
	free(wire);
	free(plain);
}

/* Each two bytes are one operation on one object; what must always hold is checked after each. */
static void fuzz_reliable(const uint8_t *p, size_t len)
{
	static struct ovpn_reliable r;
	struct ovpn_reliable_msg m;
	uint32_t ids[OVPN_ACKS_MAX], next = 0;
	usec_t now = 1;

	ovpn_reliable_init(&r, 0);
	for (size_t i = 0; i + 1 < len; i += 2) {
		uint32_t v = p[i + 1];

		switch (p[i] % 8) {
		case 0:
			(void)ovpn_reliable_push(&r, OVPN_OP_CONTROL_V1, p, MIN(len, (size_t)v));
			break;
		case 1:
			while (ovpn_reliable_next(&r, now, &m))
				require(m.msgid < r.next_send && m.len <= OVPN_RELIABLE_PAYLOAD_MAX);
			break;
		case 2:
			require(ovpn_reliable_acked(&r, &v, 1) <= 1);
			break;
		case 3:
			(void)ovpn_reliable_receive(&r, next + v % 16 - 2, OVPN_OP_CONTROL_V1, p, len);
			break;
		case 4:
			while (ovpn_reliable_deliver(&r, &m))
				require(m.msgid == next++);
			break;
		case 5:
			require(ovpn_reliable_take_acks(&r, v % 12, ids) <= OVPN_ACKS_MAX);
			break;
		case 6:
			now += v * USEC_PER_SEC;
			break;
		default:
			require(ovpn_reliable_is_idle(&r) == (ovpn_reliable_deadline(&r) == USEC_INFINITY));
		}
		require(r.n_owed <= OVPN_RELIABLE_OWED_MAX && r.n_recent <= OVPN_ACKS_MAX);
	}
}

static void fuzz_keys(const uint8_t *p, size_t len, bool from_client)
{
	struct ovpn_key_message m;
	uint8_t *copy;
	char word[64];
	size_t n;

	if (ovpn_key_message_parse(p, len, from_client, &m) < 0)
		return;
	(void)ovpn_occ_get(m.options, "cipher", word, sizeof(word));
	(void)ovpn_occ_get(m.options, "auth", word, 1);
	/* What was read can be written, and is read as the same. */
	copy = malloc(OVPN_KEY_MESSAGE_MAX);
	require(copy);
	if (ovpn_key_message_build(&m, from_client, copy, OVPN_KEY_MESSAGE_MAX, &n) == 0) {
		struct ovpn_key_message again;

		require(ovpn_key_message_parse(copy, n, from_client, &again) == 0);
		require(memcmp(&m.source, &again.source, sizeof(m.source)) == 0);
		require(strcmp(m.options ? m.options : "", again.options ? again.options : "") == 0);
	}
	free(copy);
	for (int i = 0; i < 3; i++) {
		const char *s = (const char *[]){ m.username, m.password, m.peer_info }[i];

		require(!s || strlen(s) < len);
	}
}

/* Four texts: our list of ciphers, the peer's info, its options string, the cipher that it pushes. */
static void fuzz_peerinfo(const uint8_t *p, size_t len)
{
	char *text[4], ciphers[OVPN_CIPHERS_MAX], line[64], ours[OVPN_PEERINFO_MAX], *error = NULL;
	struct ovpn_options o = { .push_peer_info = len & 1, .cipher_fallback = len & 2 ? (char *)"AES-256-CBC" : NULL, .pull = len & 4 };
	const struct ovpn_cipher *cipher;

	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *end = memchr(p, 0, len);
		size_t n = end ? (size_t)(end - p) : len;

		text[i] = strndup((const char *)p, n);
		require(text[i]);
		n = MIN(n + 1, len);
		p += n;
		len -= n;
	}
	if (ovpn_peerinfo_ciphers(text[0], ciphers, sizeof(ciphers)) == 0) {
		char *lines[] = { text[1], NULL };

		o.ciphers = ciphers;
		o.ui_ver = lines;
		if (ovpn_peerinfo_format(&o, 1500, ours, sizeof(ours)) == 0)
			require(strlen(ours) < sizeof(ours) && ovpn_peerinfo_get(ours, "IV_PROTO", line, sizeof(line)) == 0);
		cipher = ovpn_peerinfo_first_common(text[1], ciphers);
		require(!cipher || strstr(ciphers, cipher->name));
		if (ovpn_peerinfo_select_cipher(&o, text[3], text[2], &cipher, &error) == 0)
			require(cipher && !error);
		else
			require(error && str_is_clean_utf8(error, strlen(error)));
	}
	if (ovpn_peerinfo_get(text[1], "IV_CIPHERS", line, sizeof(line)) == 0)
		(void)ovpn_peerinfo_first_common(line, "AES-256-GCM:AES-128-GCM");
	free(error);
	for (unsigned i = 0; i < 4; i++)
		free(text[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *p;

	if (!size)
		return 0;
	p = exact(data + 1, size - 1);
	switch (data[0] % 8) {
	case 0:
		fuzz_plain(p, size - 1);
		break;
	case 1:
		fuzz_wrap(CONTROL_WRAP_NONE, p, size - 1);
		break;
	case 2:
		fuzz_wrap(CONTROL_WRAP_TLS_AUTH, p, size - 1);
		break;
	case 3:
		fuzz_wrap(CONTROL_WRAP_TLS_CRYPT, p, size - 1);
		break;
	case 4:
		fuzz_reliable(p, size - 1);
		break;
	case 7:
		fuzz_peerinfo(p, size - 1);
		break;
	default:
		fuzz_keys(p, size - 1, data[0] % 8 == 6);
	}
	free(p);
	return 0;
}
