/* The byte stream of control messages, in pieces of a size that the first byte chooses, and the parser behind it. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(expr)                                                                                                  \
	do {                                                                                                           \
		if (!(expr))                                                                                           \
			abort();                                                                                       \
	} while (0)

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
			require(!m.text[0] || (m.text >= line && m.text <= line + strlen(line)));
		}
		require(len == 0 && r.len <= OVPN_MESSAGE_MAX);
		free(copy);
	}
	return 0;
}
