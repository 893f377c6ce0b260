/* One connection to a proxy; theory in proxy.h. */
#include "proto/proxy-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int proxy_talk_say(struct proxy_talk *t, const void *p, size_t len)
{
	struct secret *s;
	int r = secret_new_copy(&s, p, len);

	if (r < 0)
		return r;
	secret_free(t->out);
	t->out = s;
	t->out_at = 0;
	t->out_len = len;
	return 0;
}

enum proxy_verdict proxy_talk_end(struct proxy_talk *t, enum proxy_verdict v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(t->text, sizeof(t->text), fmt, ap); /* a sentence that is cut is one still */
	va_end(ap);
	return v;
}

int proxy_talk_new(struct proxy_talk **ret, const struct proxy_params *params, struct proxy_memory *memory)
{
	_cleanup_(proxy_talk_freep) struct proxy_talk *t = calloc(1, sizeof(*t));
	int r = 0;

	if (!t)
		return -ENOMEM;
	t->kind = params->proxy->kind;
	t->auth = params->proxy->auth;
	t->transport = params->transport;
	t->memory = memory;
	t->host = strdup(params->host);
	t->port = params->port;
	if (!t->host)
		return -ENOMEM;
	if (params->username && params->password) {
		r = secret_dup(&t->username, params->username);
		if (r == 0)
			r = secret_dup(&t->password, params->password);
	}
	if (r == 0)
		r = t->kind == PROXY_HTTP ? proxy_http_begin(t, params) : proxy_socks_begin(t);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(t);
	return 0;
}

struct proxy_talk *proxy_talk_free(struct proxy_talk *t)
{
	if (!t)
		return NULL;
	secret_free(t->username);
	secret_free(t->password);
	secret_free(t->out);
	free(t->host);
	free(t);
	return NULL;
}

const uint8_t *proxy_talk_out(const struct proxy_talk *t, size_t *ret_len)
{
	*ret_len = t->out_len - t->out_at;
	return *ret_len ? secret_bytes(t->out) + t->out_at : NULL;
}

void proxy_talk_sent(struct proxy_talk *t, size_t n)
{
	t->out_at += MIN(n, t->out_len - t->out_at);
}

enum proxy_verdict proxy_talk_in(struct proxy_talk *t, const uint8_t *p, size_t len, size_t *ret_used)
{
	return t->kind == PROXY_HTTP ? proxy_http_in(t, p, len, ret_used) : proxy_socks_in(t, p, len, ret_used);
}

const char *proxy_talk_text(const struct proxy_talk *t)
{
	return t->text;
}

uint16_t proxy_talk_relay_port(const struct proxy_talk *t)
{
	return t->relay_port;
}
