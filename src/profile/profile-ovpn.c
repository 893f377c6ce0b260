/*
 * The .ovpn parser's driver: text check, one pass that only looks for `ignore-unknown-option` and the like, one pass
 * over all items through the option table, then the settling of what depends on the whole file. Theory: profile-ovpn.h.
 */
#include "profile/profile-ovpn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"

/* A text with more options than this is no OpenVPN profile; bounds the work and the notes. */
#define LINES_MAX 10000
/* Looking for similar names is the only costly step; no reader wants more hints than this. */
#define HINTS_MAX 10
#define PLAIN_WORD_MAX 40

#define DEFAULT_HAND_WINDOW 60
#define DEFAULT_TLS_TIMEOUT 2
#define DEFAULT_RENEG 3600
#define DEFAULT_TRAN_WINDOW 3600
#define DEFAULT_CONNECT_RETRY 1
#define DEFAULT_CONNECT_RETRY_MAX 300
#define DEFAULT_CONNECT_TIMEOUT 120
#define DEFAULT_REPLAY_WINDOW 64

/* ---- sentences ---- */

/*
 * May this first word be shown although no option has that name? Somebody may name any file by mistake, a password file or
 * a key among them, and its words must not get into a terminal, a log or a bug report. No option is longer.
 */
static bool is_plain_word(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return n && n <= PLAIN_WORD_MAX && !s[n] && s[0] != '-';
}

static const char *item_option(const struct ovpn_item *it)
{
	return it->n_words && (ovpn_option_find(it->words[0]) || is_plain_word(it->words[0])) ? it->words[0] : "";
}

/*
 * The line as it stood there, for messages: words joined, escaped, cut. Block contents are never shown, and of a line
 * whose option is unknown only a word that could be one.
 */
static char *item_text(const struct ovpn_item *it)
{
	_cleanup_(freep) char *joined = NULL;
	struct strbuf b = { 0 };

	if (it->kind == OVPN_ITEM_BLOCK || it->kind == OVPN_ITEM_CONNECTION)
		return str_format("<%s>", it->words[0]);
	if (it->kind == OVPN_ITEM_CONNECTION_END || it->kind == OVPN_ITEM_STRAY_END)
		return str_format("</%s>", it->words[0]);
	if (it->n_words && !ovpn_option_find(it->words[0]))
		return strdup(item_option(it));
	for (unsigned i = 0; i < it->n_words && b.len < 100; i++) {
		if (i)
			strbuf_add(&b, " ");
		strbuf_add(&b, it->words[i]);
	}
	joined = strbuf_take(&b);
	strbuf_done(&b);
	return joined ? str_escape(joined, strlen(joined), 80) : NULL;
}

/* `why` of a table row with @ replaced by the line's number. */
static char *row_text(const char *why, unsigned line)
{
	struct strbuf b = { 0 };
	const char *at;
	char *r;

	for (; (at = strchr(why, '@')); why = at + 1) {
		strbuf_add_bytes(&b, why, (size_t)(at - why));
		strbuf_addf(&b, "%u", line);
	}
	strbuf_add(&b, why);
	r = strbuf_take(&b);
	strbuf_done(&b);
	return r;
}

static int set_error(struct ovpn_parser *p, char *sentence)
{
	p->n_refused++;
	if (p->error) {
		free(sentence);
		return -EINVAL;
	}
	p->error = sentence;
	return sentence ? -EINVAL : -ENOMEM;
}

static int note_text(struct ovpn_parser *p, unsigned line, enum fate fate, const char *option, const char *text)
{
	if (!p->notes)
		return 0;
	return notes_add(p->notes, line, fate, option, "%s", text);
}

int ovpn_refuse(struct ovpn_parser *p, const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL, *what = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		return -ENOMEM;
	}
	r = note_text(p, p->item->line, FATE_REFUSED, item_option(p->item), text);
	if (r < 0)
		return r;
	p->noted = true;
	what = item_text(p->item);
	if (!what)
		return -ENOMEM;
	if (!*what)
		return set_error(p, str_format("%s:%u: %s", p->source, p->item->line, text));
	return set_error(p, str_format("%s:%u: `%s`: %s", p->source, p->item->line, what, text));
}

int ovpn_refuse_at(struct ovpn_parser *p, unsigned line, const char *option, const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		return -ENOMEM;
	}
	r = note_text(p, line, FATE_REFUSED, option ? option : "", text);
	if (r < 0)
		return r;
	if (!line)
		return set_error(p, str_format("%s: %s", p->source, text));
	if (!option)
		return set_error(p, str_format("%s:%u: %s", p->source, line, text));
	return set_error(p, str_format("%s:%u: `%s`: %s", p->source, line, option, text));
}

_printf_(5, 0) static int vnote(struct ovpn_parser *p, unsigned line, enum fate fate, const char *option,
				const char *fmt, va_list ap)
{
	_cleanup_(freep) char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return note_text(p, line, fate, option, text);
}

int ovpn_note(struct ovpn_parser *p, enum fate fate, const char *fmt, ...)
{
	va_list ap;
	int r;

	p->noted = true;
	va_start(ap, fmt);
	r = vnote(p, p->item->line, fate, item_option(p->item), fmt, ap);
	va_end(ap);
	return r;
}

int ovpn_note_at(struct ovpn_parser *p, unsigned line, enum fate fate, const char *option, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vnote(p, line, fate, option, fmt, ap);
	va_end(ap);
	return r;
}

/* ---- values ---- */

int ovpn_number(struct ovpn_parser *p, const char *s, uint64_t lo, uint64_t hi, uint64_t *ret)
{
	_cleanup_(freep) char *shown = NULL;

	if (parse_u64(s, lo, hi, ret) == 0)
		return 0;
	shown = str_escape(s, strlen(s), 40);
	if (!shown)
		return -ENOMEM;
	return ovpn_refuse(p, "'%s' is not a number from %llu to %llu; correct line %u", shown, (unsigned long long)lo,
			   (unsigned long long)hi, p->item->line);
}

bool ovpn_is_inline_word(const char *s)
{
	return str_ieq(s, "[inline]") || str_ieq(s, "[[inline]]");
}

int ovpn_load(struct ovpn_parser *p, const struct ovpn_item *it, struct secret **ret)
{
	_cleanup_(freep) char *shown = NULL;
	const char *path = it->words[1];
	int r;

	if (it->kind == OVPN_ITEM_BLOCK) {
		r = secret_new_copy(ret, it->block, it->block_len);
		return r < 0 ? r : 1;
	}
	if (ovpn_is_inline_word(path)) {
		r = ovpn_note(p, FATE_HONOURED, "the text stands in the file itself, as a block <%s>", it->words[0]);
		return r < 0 ? r : 0;
	}
	shown = str_escape(path, strlen(path), 120);
	if (!shown)
		return -ENOMEM;
	if (!*path)
		return ovpn_refuse(p, "the file name is empty; name a file or use a block <%s>", it->words[0]);
	r = p->load ? p->load(p->load_userdata, path, ret) : -ENOSYS;
	if (r == -ENOMEM)
		return r;
	if (r == -EFBIG)
		return ovpn_refuse(p, "'%s' is larger than 1 MiB; that is no key or certificate file", shown);
	if (r < 0)
		return ovpn_refuse(p,
				   "cannot read '%s' (%s); put it next to the profile, or its text into a block <%s>",
				   shown, strerror(-r), it->words[0]);
	return 1;
}

static void *field(struct ovpn_parser *p)
{
	return (char *)p->o + p->row->offset;
}

int ovpn_set_seconds(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t n;
	int r;

	r = ovpn_number(p, it->words[1], p->row->lo, p->row->hi, &n);
	if (r < 0)
		return r;
	*(usec_t *)field(p) = n * USEC_PER_SEC;
	return 0;
}

int ovpn_set_true(struct ovpn_parser *p, const struct ovpn_item *it)
{
	(void)it; /* the option's presence is its value */
	*(bool *)field(p) = true;
	return 0;
}

int ovpn_set_u64(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t n;
	int r;

	r = ovpn_number(p, it->words[1], p->row->lo, p->row->hi, &n);
	if (r < 0)
		return r;
	*(uint64_t *)field(p) = n;
	return 0;
}

int ovpn_set_text(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *s = it->words[1];
	char **dst = field(p);
	char *copy;

	if (!*s || strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+!@=,") != strlen(s))
		return ovpn_refuse(p, "not a list of names separated by colons; correct or remove line %u", it->line);
	if (strlen(s) > 1024)
		return ovpn_refuse(p, "the list is longer than 1024 characters; shorten it");
	copy = strdup(s);
	if (!copy)
		return -ENOMEM;
	free(*dst);
	*dst = copy;
	return 0;
}

/* ---- one item ---- */

static int note_row(struct ovpn_parser *p, const struct ovpn_option *row, unsigned line, const char *option)
{
	_cleanup_(freep) char *text = NULL;

	if (!p->notes)
		return 0;
	text = row_text(row->why, line);
	if (!text)
		return -ENOMEM;
	return note_text(p, line, row->fate, option, text);
}

/* What an unknown word most likely is; the commonest accidents have their own sentence. */
static int refuse_unknown(struct ovpn_parser *p, const char *name)
{
	const char *near;

	if (str_has_prefix(name, "-----BEGIN") || str_has_prefix(name, "---BEGIN"))
		return ovpn_refuse(
			p, "PEM text outside of a block; put it between <ca> and </ca> (or cert, key, tls-auth)");
	if (str_has_prefix(name, "<<<<<<<") || str_has_prefix(name, "=======") || str_has_prefix(name, ">>>>>>>"))
		return ovpn_refuse(p, "left over from a merge conflict; decide for one side and remove the markers");
	if (str_eq(name, "[Interface]") || str_eq(name, "[Peer]"))
		return ovpn_refuse(p,
				   "this is a WireGuard file, which is not supported yet; ask for an OpenVPN profile");
	if (str_ieq(name, "<!doctype") || str_has_prefix(name, "<html") || str_has_prefix(name, "<?xml"))
		return ovpn_refuse(p, "this is a web page, not a profile; log in and download the profile again");
	if (name[0] == '<' && strchr(name, '>'))
		return ovpn_refuse(p, "a block's tag has to stand alone on its line; move the rest to the next line");
	if (!is_plain_word(name))
		return ovpn_refuse(p, "this is no line of an OpenVPN profile; is it the right file?");
	near = p->n_refused < HINTS_MAX ? ovpn_option_nearest(name) : NULL;
	if (near)
		return ovpn_refuse(p, "unknown option '%s'; did you mean '%s'?", name, near);
	return ovpn_refuse(p, "unknown option '%s'; remove line %u, or name it in an `ignore-unknown-option` line", name,
			   p->item->line);
}

static int on_unknown(struct ovpn_parser *p, const struct ovpn_item *it, bool optional)
{
	const char *name = it->words[0];

	if (optional)
		return ovpn_note(p, FATE_IGNORED, "unknown, and `setenv opt` says that it may be");
	if (strv_contains(p->ignore_unknown, name))
		return ovpn_note(p, FATE_IGNORED, "unknown, and `ignore-unknown-option` says that it may be");
	if (p->forward_compatible)
		return ovpn_note(p, FATE_IGNORED, "unknown, and `setenv FORWARD_COMPATIBLE 1` says that it may be");
	return refuse_unknown(p, name);
}

static int check_place(struct ovpn_parser *p, const struct ovpn_item *it, const struct ovpn_option *row)
{
	unsigned n = ovpn_n_args(it);

	if (it->kind == OVPN_ITEM_BLOCK && !(row->flags & OPT_INLINE))
		return ovpn_refuse(p, "this option cannot be a block; write it on one line");
	if (p->block_line && !(row->flags & OPT_CONNECTION))
		return ovpn_refuse(p, "not allowed inside <connection>; move it in front of line %u", p->block_line);
	if (it->kind == OVPN_ITEM_BLOCK)
		return 0;
	if (n < row->min_args)
		return ovpn_refuse(p, "needs %u value%s, has %u; complete line %u", row->min_args,
				   row->min_args == 1 ? "" : "s", n, it->line);
	if (n > row->max_args && row->max_args == 0)
		return ovpn_refuse(p, "takes no value, has %u; remove what follows the name", n);
	if (n > row->max_args)
		return ovpn_refuse(p, "takes at most %u value%s, has %u; remove the rest, or put a # before it",
				   row->max_args, row->max_args == 1 ? "" : "s", n);
	return 0;
}

int ovpn_dispatch(struct ovpn_parser *p, const struct ovpn_item *it, bool optional)
{
	_cleanup_(freep) char *text = NULL;
	const struct ovpn_item *outer_item = p->item;
	const struct ovpn_option *row = ovpn_option_find(it->words[0]), *outer_row = p->row;
	int r = 0;

	p->item = it;
	p->row = row;
	p->noted = false;
	if (!row) {
		r = on_unknown(p, it, optional);
	} else if (row->fate == FATE_REFUSED) {
		text = row_text(row->why, it->line);
		r = text ? ovpn_refuse(p, "%s", text) : -ENOMEM;
	} else {
		if (row->fate == FATE_HONOURED)
			r = check_place(p, it, row);
		if (r == 0 && row->handle)
			r = row->handle(p, it);
		if (r >= 0 && !p->noted)
			r = note_row(p, row, it->line, it->words[0]);
	}
	p->item = outer_item;
	p->row = outer_row;
	p->noted = true;
	return r < 0 ? r : 0;
}

static int on_item(struct ovpn_parser *p, const struct ovpn_item *it)
{
	p->item = it;
	p->noted = false;
	switch (it->kind) {
	case OVPN_ITEM_OPTION:
	case OVPN_ITEM_BLOCK:
		return ovpn_dispatch(p, it, false);
	case OVPN_ITEM_CONNECTION:
		return ovpn_connection_begin(p);
	case OVPN_ITEM_CONNECTION_END:
		return ovpn_connection_end(p);
	case OVPN_ITEM_STRAY_END:
		return ovpn_note(p, FATE_IGNORED, "closes a block that was never opened; the line can be removed");
	}
	return -EINVAL;
}

/* ---- the whole text ---- */

int ovpn_check_text(const char *text, size_t len, const char *source, char **ret_error)
{
	const char *nul;

	if (len > PROFILE_FILE_MAX) {
		*ret_error = str_format("%s: is larger than 1 MiB; that is no OpenVPN profile", source);
		return *ret_error ? -EINVAL : -ENOMEM;
	}
	if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0)) {
		*ret_error = str_format("%s: is UTF-16 text; save it again as UTF-8", source);
		return *ret_error ? -EINVAL : -ENOMEM;
	}
	nul = len ? memchr(text, '\0', len) : NULL;
	if (nul) {
		*ret_error = str_format("%s: is not a text file (byte %zu); give the .ovpn file", source,
					(size_t)(nul - text) + 1);
		return *ret_error ? -EINVAL : -ENOMEM;
	}
	return 0;
}

/* Which unknown options may be skipped is said somewhere in the file; it holds for all of it. */
static int find_leave(struct ovpn_parser *p, const char *text, size_t len)
{
	struct ovpn_lexer lx;
	struct ovpn_item it;
	unsigned n = 0;
	int r;

	ovpn_lexer_init(&lx, text, len);
	while ((r = ovpn_lexer_next(&lx, &it)) != 0 && r != -ENOMEM && n++ < LINES_MAX) {
		if (r < 0 || it.kind != OVPN_ITEM_OPTION)
			continue;
		if (str_eq(it.words[0], "setenv") && it.n_words == 3 && str_eq(it.words[1], "FORWARD_COMPATIBLE") &&
		    str_eq(it.words[2], "1"))
			p->forward_compatible = true;
		if (!str_eq(it.words[0], "ignore-unknown-option"))
			continue;
		for (unsigned i = 1; i < it.n_words; i++)
			if (!ovpn_option_find(it.words[i]) && strv_add(&p->ignore_unknown, it.words[i]) < 0)
				r = -ENOMEM;
	}
	ovpn_lexer_done(&lx);
	return r == -ENOMEM ? r : 0;
}

static int read_items(struct ovpn_parser *p, const char *text, size_t len)
{
	struct ovpn_lexer lx;
	struct ovpn_item it;
	int r;

	ovpn_lexer_init(&lx, text, len);
	while ((r = ovpn_lexer_next(&lx, &it)) != 0 && r != -ENOMEM) {
		if (++p->n_lines > LINES_MAX) {
			r = ovpn_refuse_at(p, it.line, NULL, "more than %d options; that is no OpenVPN profile",
					   LINES_MAX);
			break;
		}
		if (r == -EINVAL)
			r = ovpn_refuse_at(p, it.line, NULL, "%s", lx.error);
		else
			r = on_item(p, &it);
		if (r == -ENOMEM)
			break;
	}
	p->item = NULL;
	ovpn_lexer_done(&lx);
	return r == -ENOMEM ? r : 0;
}

static int set_defaults(struct profile *p, const char *source)
{
	struct ovpn_options *o = &p->ovpn;

	p->protocol = PROTOCOL_OPENVPN;
	p->source = strdup(source);
	o->key_direction = KEY_DIRECTION_BOTH;
	o->hand_window = DEFAULT_HAND_WINDOW * USEC_PER_SEC;
	o->tls_timeout = DEFAULT_TLS_TIMEOUT * USEC_PER_SEC;
	o->reneg_sec = DEFAULT_RENEG * USEC_PER_SEC;
	o->tran_window = DEFAULT_TRAN_WINDOW * USEC_PER_SEC;
	o->connect_retry = DEFAULT_CONNECT_RETRY * USEC_PER_SEC;
	o->connect_retry_max = DEFAULT_CONNECT_RETRY_MAX * USEC_PER_SEC;
	o->connect_timeout = DEFAULT_CONNECT_TIMEOUT * USEC_PER_SEC;
	o->replay_window = DEFAULT_REPLAY_WINDOW;
	o->mssfix = -1;
	o->mssfix_mode = MSSFIX_MTU;
	o->topology = TOPOLOGY_NET30;
	o->auth = strdup("sha1");
	return p->source && o->auth ? 0 : -ENOMEM;
}

static void parser_done(struct ovpn_parser *p)
{
	for (size_t i = 0; i < p->n_remotes; i++)
		free(p->remotes[i].host);
	free(p->remotes);
	strv_free(p->ignore_unknown);
	strv_free(p->dns_search);
	free(p->cipher);
	free(p->cipher_fallback);
	free(p->error);
	profile_free(p->profile);
}

static int parse(struct ovpn_parser *p, const char *text, size_t len)
{
	int (*const finish[])(struct ovpn_parser *) = { ovpn_finish_remotes, ovpn_finish_key, ovpn_finish_verify, ovpn_finish_data,
							ovpn_finish_net };
	int r;

	r = find_leave(p, text, len);
	if (r < 0)
		return r;
	r = read_items(p, text, len);
	if (r < 0)
		return r;
	if (!p->n_lines)
		return ovpn_refuse_at(p, 0, NULL, "is empty, or holds nothing but comments");
	for (size_t i = 0; i < ARRAY_SIZE(finish); i++) {
		r = finish[i](p);
		if (r == -ENOMEM)
			return r;
	}
	return p->error ? -EINVAL : 0;
}

int profile_parse_ovpn(const char *text, size_t len, const char *source, profile_load_fn load, void *userdata,
		       struct notes *notes, struct profile **ret, char **ret_error)
{
	struct ovpn_parser p = { .source = source, .load = load, .load_userdata = userdata, .notes = notes };
	int r;

	if (len == 0) {
		*ret_error = str_format("%s: is empty; give the .ovpn file", source);
		return *ret_error ? -EINVAL : -ENOMEM;
	}
	r = ovpn_check_text(text, len, source, ret_error);
	if (r < 0)
		return r;
	p.profile = calloc(1, sizeof(*p.profile));
	if (!p.profile)
		return -ENOMEM;
	p.o = &p.profile->ovpn;
	r = set_defaults(p.profile, source);
	if (r == 0)
		r = parse(&p, text, len);
	if (r == 0)
		*ret = TAKE_PTR(p.profile);
	else if (r == -EINVAL)
		*ret_error = TAKE_PTR(p.error);
	parser_done(&p);
	return r;
}
