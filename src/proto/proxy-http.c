/*
 * HTTP CONNECT: one request, one reply whose head is read to its empty line and no further. Contract in proxy.h, log-ins in
 * proxy-login.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "base/str.h"
#include "crypto/random.h"
#include "proto/proxy-internal.h"

#define CNONCE_BYTES 16
#define REASON_SHOWN 80
#define LOGINS_MAX 2 /* the second where the proxy says that the first one's nonce was too old */

/* ---- the request -------------------------------------------------------------------------------------------------------- */

static int authorization(struct proxy_talk *t, const struct proxy_params *params, const char *uri, struct secret **ret)
{
	_cleanup_(freep) char *cnonce = NULL;
	uint8_t bytes[CNONCE_BYTES];
	int r = params->random ? params->random(bytes, sizeof(bytes)) : random_bytes(bytes, sizeof(bytes));

	if (r < 0)
		return r;
	cnonce = format_hex(bytes, sizeof(bytes));
	if (!cnonce)
		return -ENOMEM;
	t->memory->answered++;
	return proxy_authorization(&t->memory->challenge, secret_string(t->username), secret_string(t->password), uri, cnonce, ret);
}

static int say_request(struct proxy_talk *t, const struct proxy *x, const char *uri, const struct secret *login)
{
	struct strbuf b = { 0 };
	int r;

	strbuf_addf(&b, "CONNECT %s HTTP/%s\r\nHost: %s\r\n", uri, x->http11 ? "1.1" : "1.0", uri);
	if (x->agent)
		strbuf_addf(&b, "User-Agent: %s\r\n", x->agent);
	for (char **h = x->headers; h && *h; h++)
		strbuf_addf(&b, "%s\r\n", *h);
	if (login)
		strbuf_addf(&b, "Proxy-Authorization: %s\r\n", secret_string(login));
	strbuf_add(&b, "\r\n");
	r = strbuf_error(&b);
	if (r == 0)
		r = proxy_talk_say(t, b.s, b.len);
	if (b.s)
		secret_wipe(b.s, b.len);
	strbuf_done(&b);
	return r;
}

int proxy_http_begin(struct proxy_talk *t, const struct proxy_params *params)
{
	_cleanup_(secret_freep) struct secret *login = NULL;
	_cleanup_(freep) char *uri = str_format(strchr(t->host, ':') ? "[%s]:%u" : "%s:%u", t->host, t->port);
	struct proxy_challenge *c = &t->memory->challenge;
	int r = 0;

	if (!uri)
		return -ENOMEM;
	/* A profile that names Basic does not wait to be asked. */
	if (t->auth == PROXY_AUTH_BASIC && c->scheme == PROXY_SCHEME_NONE)
		c->scheme = PROXY_SCHEME_BASIC;
	if (t->username && c->scheme != PROXY_SCHEME_NONE)
		r = authorization(t, params, uri, &login);
	if (r < 0)
		return r;
	t->step = PROXY_STEP_HTTP;
	return say_request(t, params->proxy, uri, login);
}

/* ---- the reply ---------------------------------------------------------------------------------------------------------- */

/* One line of the head, without its end; false: there is none left. */
static bool next_line(const char **p, size_t *left, const char **ret, size_t *ret_len)
{
	const char *end = memchr(*p, '\n', *left);
	size_t n;

	if (!end)
		return false;
	n = (size_t)(end - *p);
	*ret = *p;
	*ret_len = n && end[-1] == '\r' ? n - 1 : n;
	*p = end + 1;
	*left -= n + 1;
	return true;
}

/* "HTTP/1.x NNN ..."; -EBADMSG. */
static int parse_status(const char *s, size_t len)
{
	if (len < 12 || strncmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') || s[8] != ' ')
		return -EBADMSG;
	for (int i = 9; i < 12; i++)
		if (s[i] < '0' || s[i] > '9')
			return -EBADMSG;
	if (len > 12 && s[12] != ' ')
		return -EBADMSG;
	return (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
}

static bool is_header(const char *line, size_t len, const char *name, const char **ret_value, size_t *ret_len)
{
	size_t n = strlen(name);

	if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
		return false;
	*ret_value = line + n + 1;
	*ret_len = len - n - 1;
	return true;
}

static enum proxy_verdict on_login_wanted(struct proxy_talk *t, const char *p, size_t left)
{
	struct proxy_challenge best = { .scheme = PROXY_SCHEME_NONE };
	struct proxy_memory *m = t->memory;
	const char *line, *value;
	bool asked = false;
	size_t len, n;

	while (next_line(&p, &left, &line, &len))
		if (is_header(line, len, "Proxy-Authenticate", &value, &n)) {
			proxy_parse_challenge(value, n, t->auth, &best);
			asked = true;
		}
	if (best.scheme == PROXY_SCHEME_NONE)
		return proxy_talk_end(t, PROXY_SAID_NO, asked ?
				      "accepts none of the log-ins that this profile allows and nsvpn knows, Digest and Basic (NTLM is not "
				      "supported); ask whoever runs it" :
				      "wants a log-in without saying which");
	m->challenge = best;
	if (!t->username)
		return proxy_talk_end(t, PROXY_WANTS_LOGIN, "wants a user name and a password");
	if (m->answered == 0 || (best.stale && m->answered < LOGINS_MAX))
		return PROXY_ONCE_MORE;
	return proxy_talk_end(t, PROXY_WANTS_LOGIN, "refused user name and password");
}

static enum proxy_verdict on_head(struct proxy_talk *t)
{
	const char *p = (const char *)t->in, *line;
	size_t left = t->in_len, len;
	char shown[4 * REASON_SHOWN + 1] = "";
	_cleanup_(freep) char *escaped = NULL;
	int status;

	if (!next_line(&p, &left, &line, &len) || (status = parse_status(line, len)) < 0)
		return proxy_talk_end(t, PROXY_SAID_NO, "does not answer like an HTTP proxy; check its address and port");
	if (status >= 200 && status < 300)
		return PROXY_IS_OPEN;
	if (status == 407)
		return on_login_wanted(t, p, left);
	if (status == 401 && t->memory->answered > 0) /* not what it is for, but tinyproxy's way */
		return proxy_talk_end(t, PROXY_WANTS_LOGIN, "refused user name and password");
	escaped = str_escape(line + 9, len - 9, REASON_SHOWN);
	(void)str_copy(shown, sizeof(shown), escaped ? escaped : "");
	return proxy_talk_end(t, PROXY_SAID_NO, "refused the connection to the server (%s)%s", shown,
			      status == 403 || status == 405 ? "; many proxies allow port 443 only, so ask the provider for a server there" : "");
}

/* What cannot become a reply is known from its first bytes, and a proxy that is something else need not be waited for. */
static bool begins_well(const struct proxy_talk *t)
{
	static const char head[] = "HTTP/1.";

	return memcmp(t->in, head, MIN(t->in_len, sizeof(head) - 1)) == 0;
}

enum proxy_verdict proxy_http_in(struct proxy_talk *t, const uint8_t *p, size_t len, size_t *ret_used)
{
	size_t used = 0;

	while (used < len) {
		const uint8_t *in = t->in;
		size_t n;

		t->in[t->in_len++] = p[used++];
		n = t->in_len;
		*ret_used = used;
		if (in[n - 1] == '\n' && n >= 2 && (in[n - 2] == '\n' || (n >= 3 && in[n - 2] == '\r' && in[n - 3] == '\n')))
			return on_head(t);
		if (!begins_well(t))
			return proxy_talk_end(t, PROXY_SAID_NO, "does not answer like an HTTP proxy; check its address and port");
		if (n == sizeof(t->in))
			return proxy_talk_end(t, PROXY_SAID_NO, "answers with more than %d bytes of headers", PROXY_REPLY_MAX);
	}
	*ret_used = used;
	return PROXY_GOES_ON;
}
