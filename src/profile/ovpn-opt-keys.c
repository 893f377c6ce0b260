/*
 * Keys of the control channel: tls-auth and tls-crypt (one static key for everybody, hexadecimal) and tls-crypt-v2 (a key
 * for each client, and behind it the same key wrapped for the server, which we only carry). All are decoded here, so that
 * a damaged key is a sentence with its line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "profile/profile-ovpn.h"

#define STATIC_KEY_LEN 256
#define STATIC_KEY_BEGIN "-----BEGIN OpenVPN Static key V1-----"
#define STATIC_KEY_END "-----END OpenVPN Static key V1-----"
#define V2_KEY_BEGIN "-----BEGIN OpenVPN tls-crypt-v2 client key-----"
#define V2_KEY_END "-----END OpenVPN tls-crypt-v2 client key-----"
#define V2_SERVER_KEY_BEGIN "-----BEGIN OpenVPN tls-crypt-v2 server key-----"
/* A wrapped key: tag, the client's key, type of the metadata, its own length; no longer than servers accept. */
#define WKC_LEN_MIN (32 + STATIC_KEY_LEN + 1 + 2)
#define WKC_LEN_MAX 1024

/* Appends the hex digits of one line; false when something else stands there. */
static bool add_hex(const char *s, size_t len, char *hex, size_t cap, size_t *n)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == ' ' || s[i] == '\t' || s[i] == '\r')
			continue;
		if (!strchr("0123456789abcdefABCDEF", s[i]) || *n >= cap)
			return false;
		hex[(*n)++] = s[i];
	}
	return true;
}

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/*
 * The 256 bytes between BEGIN and END; comment lines (#) anywhere, any text outside. NULL when fine, else the cause.
 */
static const char *collect_key(const char *s, char hex[static 2 * STATIC_KEY_LEN])
{
	bool inside = false;
	size_t n = 0;

	while (*s) {
		size_t len = strcspn(s, "\n");
		const char *word = skip_blanks(s);

		if (!inside)
			inside = str_has_prefix(word, STATIC_KEY_BEGIN);
		else if (str_has_prefix(word, STATIC_KEY_END))
			return n == 2 * STATIC_KEY_LEN ? NULL : "the key is shorter than 2048 bits; copy it again";
		else if (*word != '#' && !add_hex(s, len, hex, 2 * STATIC_KEY_LEN, &n))
			return n >= 2 * STATIC_KEY_LEN
				       ? "the key is longer than 2048 bits; copy it again"
				       : "the key holds something else than hexadecimal digits; copy it again";
		s += len;
		s += *s == '\n';
	}
	return inside ? "the key is cut off (no -----END … line); copy it again"
		      : "holds no static key (a text that begins with " STATIC_KEY_BEGIN "); copy it again";
}

static int decode_static_key(struct ovpn_parser *p, const struct secret *text, struct secret **ret)
{
	char hex[2 * STATIC_KEY_LEN];
	uint8_t *bytes = NULL;
	const char *why;
	size_t len;
	int r;

	if (memchr(secret_bytes(text), 0, secret_len(text)))
		return ovpn_refuse(p, "not a key's text but a binary file; name the right file");
	why = collect_key(secret_string(text), hex);
	r = why ? -EINVAL : parse_hex(hex, sizeof(hex), &bytes, &len);
	secret_wipe(hex, sizeof(hex));
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return ovpn_refuse(p, "%s", why ? why : "the key is damaged; copy it again");
	r = secret_new_copy(ret, bytes, len);
	secret_wipe(bytes, len);
	free(bytes);
	return r;
}

/* What one line gave. */
struct control_key {
	enum control_wrap wrap;
	struct secret *key; /* STATIC_KEY_LEN */
	struct secret *wkc; /* tls-crypt-v2 only */
};

static bool secret_same(const struct secret *a, const struct secret *b)
{
	return secret_len(a) == secret_len(b) &&
	       (secret_len(a) == 0 || memcmp(secret_bytes(a), secret_bytes(b), secret_len(a)) == 0);
}

static void control_key_done(struct control_key *k)
{
	secret_free(k->key);
	secret_free(k->wkc);
}

/* All connections share one key in this program; a file that gives them different ones cannot be met. Takes k. */
static int set_control_key(struct ovpn_parser *p, struct control_key *k)
{
	struct ovpn_options *o = p->o;
	bool same = o->static_key && o->wrap == k->wrap && secret_same(o->static_key, k->key) && secret_same(o->wkc, k->wkc);

	if (o->static_key && !same && (p->block_line || p->static_key_in_block)) {
		control_key_done(k);
		return ovpn_refuse(p,
				   "another key than in line %u, and a key for each <connection> is not supported yet; "
				   "make a profile for each key",
				   p->static_key_line);
	}
	if (o->static_key && !same && (o->wrap != k->wrap || !o->wkc != !k->wkc)) {
		control_key_done(k);
		return ovpn_refuse(p,
				   "tls-auth, tls-crypt and tls-crypt-v2 exclude each other; remove this line or line %u",
				   p->static_key_line);
	}
	secret_free(o->static_key);
	secret_free(o->wkc);
	o->static_key = k->key;
	o->wkc = k->wkc;
	o->wrap = k->wrap;
	p->static_key_line = p->item->line;
	p->static_key_in_block = p->block_line != 0;
	return 0;
}

static int set_direction(struct ovpn_parser *p, const char *s)
{
	if (!str_eq(s, "0") && !str_eq(s, "1"))
		return ovpn_refuse(p, "the direction is 0 or 1 (usually 1 for a client); correct line %u",
				   p->item->line);
	p->o->key_direction = *s == '0' ? KEY_DIRECTION_0 : KEY_DIRECTION_1;
	return 0;
}

static int load_static_key(struct ovpn_parser *p, const struct ovpn_item *it, enum control_wrap wrap)
{
	_cleanup_(secret_freep) struct secret *text = NULL;
	struct control_key k = { .wrap = wrap };
	int r;

	r = ovpn_load(p, it, &text);
	if (r <= 0)
		return r;
	r = decode_static_key(p, text, &k.key);
	if (r < 0)
		return r;
	return set_control_key(p, &k);
}

int ovpn_opt_tls_auth(struct ovpn_parser *p, const struct ovpn_item *it)
{
	int r;

	if (it->kind == OVPN_ITEM_OPTION && it->n_words > 2) {
		r = set_direction(p, it->words[2]);
		if (r < 0)
			return r;
	}
	return load_static_key(p, it, CONTROL_WRAP_TLS_AUTH);
}

int ovpn_opt_tls_crypt(struct ovpn_parser *p, const struct ovpn_item *it)
{
	return load_static_key(p, it, CONTROL_WRAP_TLS_CRYPT);
}

int ovpn_opt_key_direction(struct ovpn_parser *p, const struct ovpn_item *it)
{
	return set_direction(p, it->words[1]);
}

/* ---- tls-crypt-v2 ---- */

/* The base64 text between the markers, or NULL and the cause. */
static const char *find_v2_body(const char *s, size_t *ret_len, const char **ret_why)
{
	const char *begin = strstr(s, V2_KEY_BEGIN), *end;

	if (!begin) {
		*ret_why = strstr(s, V2_SERVER_KEY_BEGIN)
				   ? "this is the server's key, which no client may have; ask for a client key"
				   : "holds no client key (a text that begins with " V2_KEY_BEGIN "); copy it again";
		return NULL;
	}
	begin += strlen(V2_KEY_BEGIN);
	end = strstr(begin, V2_KEY_END);
	if (!end) {
		*ret_why = "the key is cut off (no -----END … line); copy it again";
		return NULL;
	}
	*ret_len = (size_t)(end - begin);
	return begin;
}

/* The key, and the wrapped key whose last two bytes are its length. NULL when fine, else the cause. */
static const char *check_v2(const uint8_t *bytes, size_t len)
{
	size_t wkc = len > STATIC_KEY_LEN ? len - STATIC_KEY_LEN : 0;

	if (wkc < WKC_LEN_MIN)
		return "the key is too short; copy it again";
	if (wkc > WKC_LEN_MAX)
		return "the key is longer than servers accept; ask for a new one";
	if (((size_t)bytes[len - 2] << 8 | bytes[len - 1]) != wkc)
		return "the key is damaged (its length is not what it says); copy it again";
	return NULL;
}

static int decode_v2_key(struct ovpn_parser *p, const struct secret *text, struct control_key *ret)
{
	_cleanup_(secret_freep) struct secret *key = NULL, *wkc = NULL;
	const char *why = "not a key's text but a binary file; name the right file", *body = NULL;
	uint8_t *bytes = NULL;
	size_t len = 0;
	int r = -EINVAL;

	if (!memchr(secret_bytes(text), 0, secret_len(text)))
		body = find_v2_body(secret_string(text), &len, &why);
	if (body) {
		why = "the key is damaged; copy it again";
		r = parse_base64(body, len, &bytes, &len);
	}
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return ovpn_refuse(p, "%s", why);
	why = check_v2(bytes, len);
	if (!why)
		r = secret_new_copy(&key, bytes, STATIC_KEY_LEN);
	if (!why && r >= 0)
		r = secret_new_copy(&wkc, bytes + STATIC_KEY_LEN, len - STATIC_KEY_LEN);
	secret_wipe(bytes, len);
	free(bytes);
	if (why)
		return ovpn_refuse(p, "%s", why);
	if (r < 0)
		return r;
	ret->key = TAKE_PTR(key);
	ret->wkc = TAKE_PTR(wkc);
	return 0;
}

int ovpn_opt_tls_crypt_v2(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(secret_freep) struct secret *text = NULL;
	struct control_key k = { .wrap = CONTROL_WRAP_TLS_CRYPT };
	int r;

	r = ovpn_load(p, it, &text);
	if (r <= 0)
		return r;
	r = decode_v2_key(p, text, &k);
	if (r < 0)
		return r;
	return set_control_key(p, &k);
}
