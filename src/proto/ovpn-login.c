/* Questions at the login; contract in ovpn-login.h. */
#include "proto/ovpn-login.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/str.h"

#define USER_MAX 1024

/* ---- codes ---------------------------------------------------------------------------------------------------------- */

/* Pieces of text one after the other. */
static int join(const char *const *pieces, size_t n, struct secret **ret)
{
	struct secret *s;
	size_t len = 0;
	uint8_t *p;
	int r;

	for (size_t i = 0; i < n; i++)
		len += strlen(pieces[i]);
	r = secret_new(&s, len);
	if (r < 0)
		return r;
	p = secret_data(s);
	for (size_t i = 0; i < n; i++) {
		size_t piece = strlen(pieces[i]);

		memcpy(p, pieces[i], piece);
		p += piece;
	}
	*ret = s;
	return 0;
}

static void wipe_text(char *s)
{
	if (s)
		secret_wipe(s, strlen(s));
	free(s);
}

int ovpn_login_static(const struct secret *password, const struct secret *answer, bool concat, struct secret **ret)
{
	const char *plain[] = { secret_string(password), secret_string(answer) };
	char *first, *second;
	int r;

	if (secret_len(answer) > OVPN_ANSWER_MAX)
		return -EINVAL;
	if (concat)
		return join(plain, ARRAY_SIZE(plain), ret);
	first = format_base64(secret_bytes(password), secret_len(password));
	second = format_base64(secret_bytes(answer), secret_len(answer));
	r = first && second ? join((const char *const[]){ "SCRV1:", first, ":", second }, 4, ret) : -ENOMEM;
	wipe_text(first);
	wipe_text(second);
	return r;
}

char *ovpn_login_response(const struct secret *answer)
{
	char *text = format_base64(secret_bytes(answer), secret_len(answer)), *line;

	line = text ? str_format("CR_RESPONSE,%s", text) : NULL;
	wipe_text(text);
	return line;
}

/* ---- questions ------------------------------------------------------------------------------------------------------ */

/* Shown to a person: clean text already, cut to what fits. */
static void copy_text(char dst[static PROTO_TEXT_MAX], const char *text)
{
	size_t n = strnlen(text, PROTO_TEXT_MAX - 1);

	while (n && text[n] && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--; /* not in the middle of a character */
	memcpy(dst, text, n);
	dst[n] = '\0';
}

void proto_challenge_done(struct proto_challenge *c)
{
	c->username = secret_free(c->username);
	c->prefix = secret_free(c->prefix);
	*c = (struct proto_challenge){ 0 };
}

/* base64 of a name without NUL and line ends. */
static int decode_user(const char *text, size_t len, struct secret **ret)
{
	_cleanup_(freep) uint8_t *name = NULL;
	size_t n;
	int r = parse_base64(text, len, &name, &n);

	if (r == -ENOMEM)
		return r;
	if (r < 0 || n == 0 || n > USER_MAX || memchr(name, 0, n) || memchr(name, '\n', n))
		return -EBADMSG;
	return secret_new_copy(ret, name, n);
}

int ovpn_login_crv1(const char *text, struct proto_challenge *ret)
{
	const char *state = strchr(text, ':'), *user = state ? strchr(state + 1, ':') : NULL,
		   *question = user ? strchr(user + 1, ':') : NULL;
	_cleanup_(freep) char *id = NULL;
	struct proto_challenge c = { 0 };
	int r;

	if (!question || user == state + 1)
		return -EBADMSG;
	c.question = memchr(text, 'E', (size_t)(state - text)) ? PROTO_QUESTION_TEXT : PROTO_QUESTION_SECRET;
	c.needs_answer = memchr(text, 'R', (size_t)(state - text));
	copy_text(c.text, question + 1);
	id = strndup(state + 1, (size_t)(user - state - 1));
	if (!id)
		return -ENOMEM;
	r = decode_user(user + 1, (size_t)(question - user - 1), &c.username);
	if (r == 0)
		r = join((const char *const[]){ "CRV1::", id, "::" }, 3, &c.prefix);
	if (r < 0) {
		proto_challenge_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}

/* What a browser may be sent to: https and printable ASCII, so that nothing is hidden from who reads it. */
static bool is_address(const char *url)
{
	if (!str_has_prefix(url, "https://") || strlen(url) >= PROTO_TEXT_MAX || url[strlen("https://")] == '\0')
		return false;
	for (; *url; url++)
		if (*url <= ' ' || *url >= 0x7f || strchr("\"'`\\<>", *url))
			return false;
	return true;
}

/* Behind "NAME:" and, with flags, behind the next colon; NULL when the text is something else. */
static const char *behind(const char *text, const char *name, bool has_flags, const char **ret_flags)
{
	size_t n = strlen(name);

	if (strncmp(text, name, n) != 0 || text[n] != ':')
		return NULL;
	*ret_flags = text += n + 1;
	if (!has_flags)
		return text;
	text = strchr(text, ':');
	return text ? text + 1 : NULL;
}

bool ovpn_login_request(const char *text, struct ovpn_login_request *ret)
{
	const char *flags, *rest;

	rest = behind(text, "CR_TEXT", true, &flags);
	if (rest) {
		ret->question = memchr(flags, 'E', (size_t)(rest - flags)) ? PROTO_QUESTION_TEXT : PROTO_QUESTION_SECRET;
		copy_text(ret->text, rest);
		return memchr(flags, 'R', (size_t)(rest - flags)); /* without it nobody waits for an answer */
	}
	rest = behind(text, "WEB_AUTH", true, &flags);
	if (!rest)
		rest = behind(text, "OPEN_URL", false, &flags);
	if (!rest || !is_address(rest))
		return false;
	ret->question = PROTO_QUESTION_URL;
	copy_text(ret->text, rest);
	return true;
}
