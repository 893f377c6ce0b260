/*
 * HTTP log-ins: the proxy's challenges, and our answer. A header may hold several challenges in one line,
 *
 *   Digest realm="a, b", nonce="x", qop="auth,auth-int", Basic realm="a", NTLM TlRMTVNTUAAC==
 *
 * so it is read word by word: a word with a value belongs to the scheme before it, a word without begins a scheme. What is
 * not understood is skipped; what is longer than its field makes the challenge unusable.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "proto/proxy.h"

#define WORD_MAX 64

struct cursor {
	const char *p;
	size_t left;
};

static void skip(struct cursor *c, const char *what)
{
	while (c->left && strchr(what, *c->p) && *c->p)
		c->p++, c->left--;
}

/* RFC 9110: token, and what a token68 has besides. */
static size_t word_len(const struct cursor *c)
{
	size_t n = 0;

	while (n < c->left) {
		char ch = c->p[n];

		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
		      (ch && strchr("!#$%&'*+-.^_`|~/", ch))))
			break;
		n++;
	}
	return n;
}

static bool take_word(struct cursor *c, char out[static WORD_MAX])
{
	size_t n = word_len(c);

	if (n == 0)
		return false;
	(void)snprintf(out, WORD_MAX, "%.*s", (int)MIN(n, (size_t)WORD_MAX - 1), c->p); /* none that we know is longer */
	c->p += n;
	c->left -= n;
	return true;
}

/* A word or a quoted string to out, unquoted. False: it does not fit, or has no end; the cursor is behind it. */
static bool take_value(struct cursor *c, char *out, size_t cap)
{
	bool quoted = c->left && *c->p == '"', fits = true;
	size_t n = 0, bare = quoted ? 0 : word_len(c);

	if (quoted)
		c->p++, c->left--;
	while (c->left && (quoted ? *c->p != '"' : bare > 0)) {
		bool escaped = quoted && *c->p == '\\' && c->left > 1;
		unsigned char ch = (unsigned char)c->p[escaped];

		if (n + 1 < cap && ch >= 0x20 && ch != 0x7f)
			out[n++] = (char)ch;
		else
			fits = false;
		c->p += 1 + escaped;
		c->left -= 1 + escaped;
		bare -= bare > 0;
	}
	out[n] = '\0';
	if (quoted && !c->left)
		return false;
	if (quoted)
		c->p++, c->left--;
	return fits;
}

/* One challenge while it is being read. */
struct reading {
	struct proxy_challenge c;
	bool usable, begun;
};

static void set_algorithm(struct reading *r, const char *name)
{
	size_t n = strlen(name);

	r->c.sess = n > 5 && strcasecmp(name + n - 5, "-sess") == 0;
	n -= r->c.sess ? 5 : 0;
	if (n == 3 && strncasecmp(name, "MD5", n) == 0)
		r->c.scheme = PROXY_SCHEME_MD5;
	else if (n == 7 && strncasecmp(name, "SHA-256", n) == 0)
		r->c.scheme = PROXY_SCHEME_SHA256;
	else
		r->usable = false;
}

/* The list of qop holds auth; auth-int alone would have us protect a body, and there is none. */
static bool has_auth(char *list)
{
	for (char *save, *w = strtok_r(list, ", \t", &save); w; w = strtok_r(NULL, ", \t", &save))
		if (str_ieq(w, "auth"))
			return true;
	return false;
}

static void on_parameter(struct reading *r, struct cursor *c, const char *name)
{
	const struct {
		const char *name;
		char *field;
		size_t cap;
	} fields[] = {
		{ "realm", r->c.realm, sizeof(r->c.realm) },
		{ "nonce", r->c.nonce, sizeof(r->c.nonce) },
		{ "opaque", r->c.opaque, sizeof(r->c.opaque) },
	};
	char value[WORD_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (str_ieq(name, fields[i].name)) {
			r->usable &= take_value(c, fields[i].field, fields[i].cap);
			return;
		}
	if (!take_value(c, value, sizeof(value))) {
		r->usable &= !str_ieq(name, "algorithm") && !str_ieq(name, "qop");
		return;
	}
	if (r->c.scheme == PROXY_SCHEME_BASIC)
		return;
	if (str_ieq(name, "algorithm"))
		set_algorithm(r, value);
	else if (str_ieq(name, "qop"))
		r->usable &= r->c.qop = has_auth(value);
	else if (str_ieq(name, "stale"))
		r->c.stale = str_ieq(value, "true");
}

/* The end of one challenge: is it better than the best one so far? */
static void finish(struct reading *r, enum proxy_auth allowed, struct proxy_challenge *best)
{
	bool basic = r->c.scheme == PROXY_SCHEME_BASIC;

	if (!r->begun || !r->usable || r->c.scheme == PROXY_SCHEME_NONE || (!basic && !*r->c.nonce))
		return;
	if ((allowed == PROXY_AUTH_BASIC && !basic) || (allowed == PROXY_AUTH_DIGEST && basic))
		return;
	if (r->c.scheme > best->scheme)
		*best = r->c;
}

static void begin(struct reading *r, const char *scheme)
{
	memset(r, 0, sizeof(*r));
	r->begun = r->usable = true;
	if (str_ieq(scheme, "Basic"))
		r->c.scheme = PROXY_SCHEME_BASIC;
	else if (str_ieq(scheme, "Digest"))
		r->c.scheme = PROXY_SCHEME_MD5; /* unless its algorithm says otherwise */
}

void proxy_parse_challenge(const char *value, size_t len, enum proxy_auth allowed, struct proxy_challenge *best)
{
	struct cursor c = { .p = value, .left = len };
	struct reading r = { .begun = false };
	char word[WORD_MAX];

	while (skip(&c, " \t,"), c.left > 0) {
		if (!take_word(&c, word)) {
			c.p++, c.left--; /* nothing that belongs here */
			continue;
		}
		skip(&c, " \t");
		if (c.left && *c.p == '=') {
			c.p++, c.left--;
			skip(&c, " \t=");
			if (r.begun && r.c.scheme != PROXY_SCHEME_NONE)
				on_parameter(&r, &c, word);
			else
				(void)take_value(&c, word, sizeof(word)); /* another scheme's */
			continue;
		}
		finish(&r, allowed, best);
		begin(&r, word);
	}
	finish(&r, allowed, best);
}

/* ---- our answer --------------------------------------------------------------------------------------------------------- */

static void add_quoted(struct strbuf *b, const char *name, const char *value)
{
	strbuf_addf(b, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			strbuf_add(b, "\\");
		strbuf_add_bytes(b, value, 1);
	}
	strbuf_add(b, "\"");
}

#define TEXT(s) { (s), strlen(s) }
#define COLON { ":", 1 }

/* RFC 7616 3.4.1 to 3.4.3: both halves and the whole. */
static int digest(const struct proxy_challenge *c, const char *username, const char *password, const char *uri, const char *cnonce,
		  char ret[static HASH_HEX_MAX])
{
	enum hash_plain with = c->scheme == PROXY_SCHEME_MD5 ? HASH_PLAIN_MD5 : HASH_PLAIN_SHA256;
	const struct span a1[] = { TEXT(username), COLON, TEXT(c->realm), COLON, TEXT(password) };
	const struct span a2[] = { TEXT("CONNECT:"), TEXT(uri) };
	char h1[HASH_HEX_MAX], h2[HASH_HEX_MAX];
	int r;

	r = hash_plain_hex(with, a1, ARRAY_SIZE(a1), h1);
	if (r == 0 && c->sess) {
		const struct span s[] = { TEXT(h1), COLON, TEXT(c->nonce), COLON, TEXT(cnonce) };
		char first[HASH_HEX_MAX];

		r = hash_plain_hex(with, s, ARRAY_SIZE(s), first);
		memcpy(h1, first, sizeof(h1));
	}
	if (r == 0)
		r = hash_plain_hex(with, a2, ARRAY_SIZE(a2), h2);
	if (r == 0) {
		const struct span new[] = { TEXT(h1), COLON, TEXT(c->nonce), TEXT(":00000001:"), TEXT(cnonce), TEXT(":auth:"), TEXT(h2) };
		const struct span old[] = { TEXT(h1), COLON, TEXT(c->nonce), COLON, TEXT(h2) };

		r = c->qop ? hash_plain_hex(with, new, ARRAY_SIZE(new), ret) : hash_plain_hex(with, old, ARRAY_SIZE(old), ret);
	}
	secret_wipe(h1, sizeof(h1));
	return r;
}

static int add_digest(struct strbuf *b, const struct proxy_challenge *c, const char *username, const char *password, const char *uri,
		      const char *cnonce)
{
	char response[HASH_HEX_MAX];
	int r = digest(c, username, password, uri, cnonce, response);

	if (r < 0)
		return r;
	strbuf_add(b, "Digest ");
	add_quoted(b, "username", username);
	strbuf_add(b, ", ");
	add_quoted(b, "realm", c->realm);
	strbuf_add(b, ", ");
	add_quoted(b, "nonce", c->nonce);
	strbuf_add(b, ", ");
	add_quoted(b, "uri", uri);
	strbuf_addf(b, ", response=\"%s\", algorithm=%s%s", response, c->scheme == PROXY_SCHEME_MD5 ? "MD5" : "SHA-256",
		    c->sess ? "-sess" : "");
	if (*c->opaque) {
		strbuf_add(b, ", ");
		add_quoted(b, "opaque", c->opaque);
	}
	if (c->qop)
		strbuf_add(b, ", qop=auth, nc=00000001");
	if (c->qop || c->sess)
		strbuf_addf(b, ", cnonce=\"%s\"", cnonce);
	return 0;
}

static int add_basic(struct strbuf *b, const char *username, const char *password)
{
	char *pair = str_format("%s:%s", username, password), *encoded = pair ? format_base64(pair, strlen(pair)) : NULL;

	if (pair)
		secret_wipe(pair, strlen(pair));
	free(pair);
	if (!encoded)
		return -ENOMEM;
	strbuf_addf(b, "Basic %s", encoded);
	secret_wipe(encoded, strlen(encoded));
	free(encoded);
	return 0;
}

int proxy_authorization(const struct proxy_challenge *c, const char *username, const char *password, const char *uri,
			const char *cnonce, struct secret **ret)
{
	struct strbuf b = { 0 };
	int r = c->scheme == PROXY_SCHEME_BASIC ? add_basic(&b, username, password) :
						  add_digest(&b, c, username, password, uri, cnonce);

	if (r == 0)
		r = strbuf_error(&b);
	if (r == 0)
		r = secret_new_copy(ret, b.s, b.len);
	if (b.s)
		secret_wipe(b.s, b.len);
	strbuf_done(&b);
	return r;
}
