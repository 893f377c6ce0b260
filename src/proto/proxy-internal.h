/* Inside of the conversation with a proxy: what proxy.c, proxy-http.c and proxy-socks.c share. */
#pragma once

#include "proto/proxy.h"

struct proxy_talk {
	enum proxy_kind kind;
	enum transport transport;
	enum proxy_auth auth;
	struct proxy_memory *memory; /* borrowed */
	struct secret *username, *password; /* NULL: unknown */
	char *host;
	uint16_t port;
	struct secret *out; /* what is to be sent; may hold the password */
	size_t out_at, out_len;
	enum { PROXY_STEP_HTTP, PROXY_STEP_METHOD, PROXY_STEP_LOGIN, PROXY_STEP_REPLY } step;
	size_t in_len;
	uint16_t relay_port;
	char text[PROXY_TEXT_MAX];
	uint8_t in[PROXY_REPLY_MAX];
};

/* Replaces what is to be sent. 0 or -ENOMEM. */
int proxy_talk_say(struct proxy_talk *t, const void *p, size_t len);
/* The last word with its sentence. */
enum proxy_verdict proxy_talk_end(struct proxy_talk *t, enum proxy_verdict v, const char *fmt, ...) _printf_(3, 4);

int proxy_http_begin(struct proxy_talk *t, const struct proxy_params *params);
enum proxy_verdict proxy_http_in(struct proxy_talk *t, const uint8_t *p, size_t len, size_t *ret_used);
int proxy_socks_begin(struct proxy_talk *t);
enum proxy_verdict proxy_socks_in(struct proxy_talk *t, const uint8_t *p, size_t len, size_t *ret_used);
