/* The grammar of OpenVPN configuration text. Theory: ovpn-lexer.h. */
#include "profile/ovpn-lexer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/str.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

enum word_state { WORD_BETWEEN, WORD_BARE, WORD_DOUBLE, WORD_SINGLE };

/* One word starting at *pos; writes it to *out. 1: got one, 0: end of line, -EINVAL. */
static int take_word(const char *line, size_t len, size_t *pos, char **out, const char **ret_why)
{
	enum word_state state = WORD_BETWEEN;
	size_t i = *pos;
	char *o = *out;

	for (; i < len; i++) {
		char c = line[i];
		bool escaped = false;

		if (c == '\\' && state != WORD_SINGLE) {
			if (++i >= len) {
				*ret_why = "a backslash at the end of the line; write \\\\ for a backslash";
				return -EINVAL;
			}
			c = line[i];
			escaped = true;
			if (c != '\\' && c != '"' && c != '\'' && !is_blank(c)) {
				*ret_why = "a single backslash; write \\\\ or put the value in '…'";
				return -EINVAL;
			}
		}
		if (state == WORD_BETWEEN) {
			if (!escaped && is_blank(c))
				continue;
			if (!escaped && (c == '#' || c == ';'))
				break;
			if (!escaped && (c == '"' || c == '\'')) {
				state = c == '"' ? WORD_DOUBLE : WORD_SINGLE;
				continue;
			}
			state = WORD_BARE;
		} else if ((state == WORD_BARE && !escaped && is_blank(c)) ||
			   (state == WORD_DOUBLE && !escaped && c == '"') || (state == WORD_SINGLE && c == '\'')) {
			*o++ = '\0';
			*out = o;
			*pos = i + 1;
			return 1;
		}
		if (is_control(c)) {
			*ret_why = c == '\r' ? "a carriage return in the middle; save the file with ordinary line ends"
					     : "a control character in a value; remove it";
			return -EINVAL;
		}
		*o++ = c;
	}
	if (state == WORD_BETWEEN)
		return 0;
	if (state != WORD_BARE) {
		*ret_why = "a quotation mark is never closed; close it on the same line";
		return -EINVAL;
	}
	*o++ = '\0';
	*out = o;
	*pos = len;
	return 1;
}

int ovpn_split(const char *line, size_t len, char *buf, char *words[static OVPN_WORDS_MAX + 1], unsigned *ret_n,
	       const char **ret_why)
{
	size_t pos = 0;
	unsigned n = 0;
	char *out = buf;

	for (;;) {
		char *word = out;
		int r = take_word(line, len, &pos, &out, ret_why);

		if (r < 0)
			return r;
		if (r == 0)
			break;
		if (n == OVPN_WORDS_MAX) {
			*ret_why = "more than 16 values in one line; split it up";
			return -EINVAL;
		}
		if (!str_is_clean_utf8(word, strlen(word))) {
			*ret_why = "a value is not UTF-8 text; save the file as UTF-8";
			return -EINVAL;
		}
		words[n++] = word;
	}
	words[n] = NULL;
	*ret_n = n;
	return 0;
}

void ovpn_lexer_init(struct ovpn_lexer *lx, const char *text, size_t len)
{
	*lx = (struct ovpn_lexer){ .text = text, .len = len };
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		lx->pos = 3;
}

void ovpn_lexer_done(struct ovpn_lexer *lx)
{
	if (lx->buf)
		secret_wipe(lx->buf, lx->cap);
	free(lx->buf);
	free(lx->error);
	*lx = (struct ovpn_lexer){ 0 };
}

/* The next raw line without its end; false at the end of the text. */
static bool take_line(struct ovpn_lexer *lx, const char **ret, size_t *ret_len)
{
	const char *s = lx->text + lx->pos;
	size_t left = lx->len - lx->pos, len;
	const char *nl;

	if (!left)
		return false;
	nl = memchr(s, '\n', left);
	len = nl ? (size_t)(nl - s) : left;
	lx->pos += nl ? len + 1 : len;
	lx->line++;
	while (len && s[len - 1] == '\r')
		len--;
	*ret = s;
	*ret_len = len;
	return true;
}

_printf_(2, 3) static int mistake(struct ovpn_lexer *lx, const char *fmt, ...)
{
	va_list ap;
	int r;

	free(lx->error);
	lx->error = NULL;
	va_start(ap, fmt);
	r = vasprintf(&lx->error, fmt, ap);
	va_end(ap);
	if (r < 0) {
		lx->error = NULL;
		return -ENOMEM;
	}
	return -EINVAL;
}

static int room(struct ovpn_lexer *lx, size_t need)
{
	char *buf;

	if (lx->cap >= need)
		return 0;
	need = MAX(need, (size_t)512);
	buf = malloc(need);
	if (!buf)
		return -ENOMEM;
	if (lx->buf)
		secret_wipe(lx->buf, lx->cap);
	free(lx->buf);
	lx->buf = buf;
	lx->cap = need;
	return 0;
}

/* "<tag>" or "</tag>": cuts the brackets off in place and returns the name; NULL when the word is something else. */
static char *tag_name(char *word, bool *ret_closing)
{
	size_t len = strlen(word), from = 1;

	if (len < 3 || word[0] != '<' || word[len - 1] != '>')
		return NULL;
	if (word[1] == '/')
		from = 2;
	if (from + 1 >= len)
		return NULL;
	for (size_t i = from; i < len - 1; i++)
		if (!((word[i] >= 'a' && word[i] <= 'z') || (word[i] >= '0' && word[i] <= '9') || word[i] == '-'))
			return NULL;
	word[len - 1] = '\0';
	*ret_closing = from == 2;
	return word + from;
}

/* Is this line the end of block `tag`? `rest` is what follows the closing tag. */
static bool closes(const char *s, size_t len, const char *tag, const char **rest, size_t *rest_len)
{
	size_t n = strlen(tag);

	while (len && is_blank(*s)) {
		s++;
		len--;
	}
	if (len < n + 3 || s[0] != '<' || s[1] != '/' || memcmp(s + 2, tag, n) != 0 || s[n + 2] != '>')
		return false;
	*rest = s + n + 3;
	*rest_len = len - n - 3;
	return true;
}

static int take_block(struct ovpn_lexer *lx, struct ovpn_item *item)
{
	const char *tag = item->words[0], *s, *rest;
	size_t from = lx->pos, len, rest_len;

	for (;;) {
		size_t here = lx->pos;

		if (!take_line(lx, &s, &len)) {
			item->end = lx->pos;
			return mistake(lx, "<%s> is never closed; the file is cut off, or a line </%s> is missing", tag,
				       tag);
		}
		if (!closes(s, len, tag, &rest, &rest_len))
			continue;
		item->end = lx->pos;
		while (rest_len && is_blank(*rest)) {
			rest++;
			rest_len--;
		}
		if (rest_len && *rest != '#' && *rest != ';') {
			item->line = lx->line;
			return mistake(lx, "text behind </%s>; put it on a line of its own", tag);
		}
		item->block = lx->text + from;
		item->block_len = here - from;
		item->kind = OVPN_ITEM_BLOCK;
		return 1;
	}
}

static int take_tag(struct ovpn_lexer *lx, struct ovpn_item *item, char *name, bool closing)
{
	bool connection = str_eq(name, "connection");

	item->words[0] = name;
	if (closing && connection && lx->connection) {
		lx->connection = 0;
		item->kind = OVPN_ITEM_CONNECTION_END;
		return 1;
	}
	if (closing) {
		item->kind = OVPN_ITEM_STRAY_END;
		return 1;
	}
	if (!connection)
		return take_block(lx, item);
	if (lx->connection)
		return mistake(lx, "<connection> inside the <connection> of line %u; close that one first",
			       lx->connection);
	lx->connection = item->line;
	item->kind = OVPN_ITEM_CONNECTION;
	return 1;
}

int ovpn_lexer_next(struct ovpn_lexer *lx, struct ovpn_item *ret)
{
	const char *s, *why;
	size_t len, start;
	int r;

	for (;;) {
		struct ovpn_item item = { 0 };
		bool closing;
		char *name;

		start = lx->pos;
		if (!take_line(lx, &s, &len))
			break;
		item.line = lx->line;
		item.start = start;
		item.end = lx->pos;
		r = room(lx, len + 1);
		if (r < 0)
			return r;
		r = ovpn_split(s, len, lx->buf, item.words, &item.n_words, &why);
		if (r < 0) {
			*ret = item;
			ret->n_words = 0;
			return mistake(lx, "%s", why);
		}
		if (!item.n_words)
			continue;
		name = item.n_words == 1 ? tag_name(item.words[0], &closing) : NULL;
		if (name) {
			r = take_tag(lx, &item, name, closing);
		} else {
			item.kind = OVPN_ITEM_OPTION;
			if (str_has_prefix(item.words[0], "--") && item.words[0][2])
				item.words[0] += 2;
			r = 1;
		}
		*ret = item;
		return r;
	}
	if (lx->connection) {
		*ret = (struct ovpn_item){ .line = lx->connection, .start = lx->pos, .end = lx->pos };
		lx->connection = 0;
		return mistake(lx,
			       "<connection> is never closed; the file is cut off, or a line </connection> is missing");
	}
	return 0;
}
