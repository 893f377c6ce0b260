/* The byte stream of control messages, in pieces of a size that the first byte chooses, and the parsers behind it. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-login.h"
#include "proto/ovpn-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(expr)                                                                                                  \
	do {                                                                                                           \
		if (!(expr))                                                                                           \
			abort();                                                                                       \
	} while (0)

/* The questions that a text may hold, and answers with what is in it. */
static void login(const char *text)
{
	struct ovpn_login_request request;
	struct proto_challenge challenge;
	struct secret *answer, *password = NULL;
	char *line;

	if (ovpn_login_crv1(text, &challenge) == 0) {
		require(str_is_clean_utf8(challenge.text, strlen(challenge.text)) && challenge.username && challenge.prefix);
		proto_challenge_done(&challenge);
	}
	if (ovpn_login_request(text, &request)) {
		require(str_is_clean_utf8(request.text, strlen(request.text)));
		require(request.question != PROTO_QUESTION_URL || str_has_prefix(request.text, "https://"));
	}
	require(secret_new_copy(&answer, text, strlen(text)) == 0);
	for (int concat = 0; concat < 2; concat++) {
		if (ovpn_login_static(answer, answer, concat, &password) == 0)
			secret_free(TAKE_PTR(password));
		else
			require(strlen(text) > OVPN_ANSWER_MAX);
	}
	line = ovpn_login_response(answer);
	require(line && str_is_clean_utf8(line, strlen(line)));
	free(line);
	secret_free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ovpn_message_reader r;
	size_t piece;

	if (size == 0)
		return 0;
	memset(&r, 0, sizeof(r));
	piece = (size_t)data[0] * 8 + 1;
	for (size_t at = 1; at < size; at += piece) {
		size_t len = MIN(piece, size - at);
		uint8_t *copy = malloc(len);
		const uint8_t *p = copy;
		const char *line;

		require(copy);
		memcpy(copy, data + at, len);
		while (ovpn_message_next(&r, &p, &len, &line)) {
			struct ovpn_message m;

			require(line[0] && strlen(line) <= OVPN_MESSAGE_MAX && str_is_clean_utf8(line, strlen(line)));
			ovpn_message_parse(line, &m);
			require(m.type < _OVPN_MESSAGE_MAX && m.text && m.backoff <= 3600 && m.timeout <= 86400);
			login(line);
			login(m.text);
			require(!m.text[0] || (m.text >= line && m.text <= line + strlen(line)));
		}
		require(len == 0 && r.len <= OVPN_MESSAGE_MAX);
		free(copy);
	}
	return 0;
}
