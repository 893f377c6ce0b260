/*
 * A hostile proxy: arbitrary bytes as the answers of an HTTP or SOCKS proxy, in pieces whose sizes are part of the input, over
 * as many connections as we would make. What must hold: nothing is read or written outside the buffers, no more is taken than was
 * given, the sentence is clean text, the log-in is never sent in clear where the profile forbids it, and it ends.
 *
 * Input: one byte of flags (1: HTTP, 2: UDP, 4: a log-in is known, 8 and 16: which), one byte of seed for the pieces, the bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/proxy.h"

#define CONNECTIONS_MAX 8
#define BASIC "\r\nProxy-Authorization: Basic"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int no_random(void *buf, size_t len)
{
	memset(buf, 7, len);
	return 0;
}

/* The bytes of one connection; *used of them. */
static enum proxy_verdict talk(struct proxy_talk *t, bool clear, const uint8_t *data, size_t size, uint32_t *seed, size_t *ret_used)
{
	enum proxy_verdict v = PROXY_GOES_ON;
	size_t at = 0, n, used;
	const uint8_t *out;

	while (v == PROXY_GOES_ON) {
		out = proxy_talk_out(t, &n);
		if (out && !clear)
			check(!memmem(out, n, BASIC, sizeof(BASIC) - 1)); /* no value of a challenge holds a line end */
		proxy_talk_sent(t, n);
		if (at == size)
			break;
		*seed = *seed * 1103515245 + 12345;
		n = MIN(1 + (*seed >> 16) % 97, size - at);
		used = SIZE_MAX;
		v = proxy_talk_in(t, data + at, n, &used);
		check(used <= n);
		check(v == PROXY_IS_OPEN || v != PROXY_GOES_ON || used == n);
		at += used;
	}
	check(str_is_clean_utf8(proxy_talk_text(t), strlen(proxy_talk_text(t))));
	check((v == PROXY_WANTS_LOGIN || v == PROXY_SAID_NO) == (*proxy_talk_text(t) != '\0'));
	*ret_used = at;
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy proxy = { .kind = PROXY_SOCKS };
	struct proxy_memory memory = { .answered = 0 };
	struct secret *user = NULL, *word = NULL;
	struct proxy_params params = { .proxy = &proxy, .host = "vpn.example.net", .port = 1194, .random = no_random };
	enum proxy_verdict v = PROXY_ONCE_MORE;
	uint32_t seed;
	size_t at = 2, used;

	if (size < 2)
		return 0;
	seed = data[1];
	proxy.kind = data[0] & 1 ? PROXY_HTTP : PROXY_SOCKS;
	proxy.auth = (enum proxy_auth)MIN(data[0] >> 3 & 3, PROXY_AUTH_DIGEST);
	params.transport = data[0] & 2 && proxy.kind == PROXY_SOCKS ? TRANSPORT_UDP : TRANSPORT_TCP;
	if (data[0] & 4) {
		check(secret_new_copy(&user, "a", 1) == 0 && secret_new_copy(&word, "password", 8) == 0);
		params.username = user;
		params.password = word;
	}
	for (int i = 0; v == PROXY_ONCE_MORE; i++) {
		struct proxy_talk *t;

		check(i < CONNECTIONS_MAX);
		check(proxy_talk_new(&t, &params, &memory) == 0);
		v = talk(t, proxy.kind == PROXY_SOCKS || proxy.auth != PROXY_AUTH_DIGEST, data + at, size - at, &seed, &used);
		at += used;
		proxy_talk_free(t);
	}
	used = proxy_udp_skip(data, size);
	check(used < size);
	secret_free(user);
	secret_free(word);
	return 0;
}
