/*
 * The same profile without its folder: every option that names a file becomes a block with the file's text, everything
 * else stays byte for byte. What comes out is what the engine gets, which can open nothing. Text that would end its
 * block early is refused, so that a key file cannot smuggle options in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "profile/profile-ovpn.h"

/* Like struct strbuf, but wiped: it holds keys. */
struct out {
	struct secret *s;
	size_t len;
};

static int out_add(struct out *o, const void *p, size_t len)
{
	size_t cap = secret_len(o->s);

	if (len > cap - o->len) {
		struct secret *bigger;
		int r;

		r = secret_new(&bigger, MAX(2 * cap, o->len + len + 4096));
		if (r < 0)
			return r;
		if (o->len)
			memcpy(secret_data(bigger), secret_bytes(o->s), o->len);
		secret_free(o->s);
		o->s = bigger;
	}
	if (len)
		memcpy(secret_data(o->s) + o->len, p, len);
	o->len += len;
	return 0;
}

static int out_text(struct out *o, const char *s)
{
	return out_add(o, s, strlen(s));
}

/* `setenv opt X …` is the option X, for the parser and so here. */
static void strip_setenv_opt(struct ovpn_item *it)
{
	if (it->kind != OVPN_ITEM_OPTION || it->n_words < 3 || !str_eq(it->words[0], "setenv") ||
	    !str_eq(it->words[1], "opt"))
		return;
	it->n_words -= 2;
	memmove(it->words, it->words + 2, (it->n_words + 1) * sizeof(it->words[0]));
}

static bool is_word_instead_of_file(const char *s)
{
	return !*s || ovpn_is_inline_word(s) || str_eq(s, "stdin");
}

/* A file name in this line that is to be replaced, else NULL. */
static const char *file_of(const struct ovpn_item *it)
{
	const struct ovpn_option *row = it->kind == OVPN_ITEM_OPTION ? ovpn_option_find(it->words[0]) : NULL;

	if (!row || row->fate != FATE_HONOURED)
		return NULL;
	if ((row->flags & OPT_FILE) && it->n_words > 1 && !is_word_instead_of_file(it->words[1]))
		return it->words[1];
	if ((row->flags & OPT_FILE3) && it->n_words > 3 && !is_word_instead_of_file(it->words[3]) &&
	    !str_eq(it->words[3], "auto") && !str_eq(it->words[3], "auto-nct"))
		return it->words[3];
	return NULL;
}

static bool ends_block(const struct secret *text, const char *tag)
{
	const char *s = secret_string(text);
	size_t n = strlen(tag);

	while (s) {
		const char *word = s + strspn(s, " \t\v\f");

		if (word[0] == '<' && word[1] == '/' && strncmp(word + 2, tag, n) == 0 && word[2 + n] == '>')
			return true;
		s = strchr(s, '\n');
		s = s ? s + 1 : NULL;
	}
	return false;
}

static char *sentence(const char *source, const struct ovpn_item *it, const char *cause)
{
	_cleanup_(freep) char *shown = it->n_words > 1 ? str_escape(it->words[1], strlen(it->words[1]), 80) : NULL;

	return shown ? str_format("%s:%u: `%s %s`: %s", source, it->line, it->words[0], shown, cause) : NULL;
}

static int fail(char **ret_error, char *text)
{
	*ret_error = text;
	return text ? -EINVAL : -ENOMEM;
}

static int add_block(struct out *o, const char *tag, const struct secret *text)
{
	_cleanup_(freep) char *open = str_format("<%s>\n", tag), *close = str_format("</%s>\n", tag);
	size_t len = secret_len(text);
	int r;

	if (!open || !close)
		return -ENOMEM;
	r = out_text(o, open);
	if (r == 0)
		r = out_add(o, secret_bytes(text), len);
	if (r == 0 && (!len || secret_bytes(text)[len - 1] != '\n'))
		r = out_text(o, "\n");
	return r < 0 ? r : out_text(o, close);
}

static int add_base64(struct out *o, const char *tag, const struct secret *der)
{
	_cleanup_(secret_freep) struct secret *text = NULL;
	char *encoded = format_base64(secret_bytes(der), secret_len(der));
	int r;

	if (!encoded)
		return -ENOMEM;
	r = secret_new_copy(&text, encoded, strlen(encoded));
	secret_wipe(encoded, strlen(encoded));
	free(encoded);
	return r < 0 ? r : add_block(o, tag, text);
}

struct source {
	const char *name;
	profile_load_fn load;
	void *userdata;
};

/* Words that can stand in a line as they are. */
static bool are_plain(char *const *words)
{
	for (; *words; words++)
		if ((*words)[strspn(*words, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]")])
			return false;
	return true;
}

static const char *login_tag(const struct ovpn_item *it)
{
	return str_eq(it->words[0], "socks-proxy") ? "socks-proxy-user-pass" : "http-proxy-user-pass";
}

/* The proxy's line without its file, whose text, where there is one, goes into a block behind it. */
static int add_proxy(struct out *o, const struct ovpn_item *it, const struct secret *text)
{
	_cleanup_(freep) char *line = str_format("%s %s %s %s %s\n", it->words[0], it->words[1], it->words[2],
						 text ? "[inline]" : "stdin", it->n_words > 4 ? it->words[4] : "");
	int r = line ? out_text(o, line) : -ENOMEM;

	return r < 0 || !text ? r : add_block(o, login_tag(it), text);
}

static int add_file(struct out *o, const struct source *src, const struct ovpn_item *it, const char *path,
		    char **ret_error)
{
	_cleanup_(secret_freep) struct secret *text = NULL;
	_cleanup_(freep) char *cause = NULL;
	bool is_proxy = it->n_words > 3 && path == it->words[3];
	const char *tag = is_proxy ? login_tag(it) : it->words[0];
	char *const places[] = { it->words[1], is_proxy ? it->words[2] : NULL, NULL };
	int r;

	if (is_proxy && (!are_plain(places) || (it->n_words > 4 && !are_plain(&it->words[4]))))
		return fail(ret_error, sentence(src->name, it, "neither a host name nor an address, or no port or method; correct it"));

	r = src->load ? src->load(src->userdata, path, &text) : -ENOSYS;
	if (r == -ENOMEM)
		return r;
	/* The parser takes a password file that is not there for none at all. */
	if ((r == -ENOENT || r == -ENOTDIR) && str_eq(tag, "auth-user-pass"))
		return out_text(o, "auth-user-pass\n");
	if ((r == -ENOENT || r == -ENOTDIR) && is_proxy)
		return add_proxy(o, it, NULL);
	if (r < 0) {
		cause = str_format("cannot read the file (%s); put it next to the profile", strerror(-r));
		return cause ? fail(ret_error, sentence(src->name, it, cause)) : -ENOMEM;
	}
	if (str_eq(tag, "pkcs12"))
		return add_base64(o, tag, text);
	if (memchr(secret_bytes(text), 0, secret_len(text)))
		return fail(ret_error, sentence(src->name, it, "not a text file; convert it to PEM"));
	if (ends_block(text, tag))
		return fail(ret_error,
			    sentence(src->name, it, "the file holds a closing tag of a block; remove that line"));
	if (str_eq(tag, "tls-auth") && it->n_words > 2) {
		cause = str_format("key-direction %s\n", str_eq(it->words[2], "0") ? "0" : "1");
		r = cause ? out_text(o, cause) : -ENOMEM;
		if (r < 0)
			return r;
	}
	return is_proxy ? add_proxy(o, it, text) : add_block(o, tag, text);
}

static int add_item(struct out *o, const struct source *src, const char *text, const struct ovpn_item *it,
		    char **ret_error)
{
	const char *path = file_of(it);
	int r;

	if (path)
		return add_file(o, src, it, path, ret_error);
	r = out_add(o, text + it->start, it->end - it->start);
	if (r == 0 && it->end > it->start && text[it->end - 1] != '\n')
		r = out_text(o, "\n");
	return r;
}

static int inline_items(struct out *o, const struct source *src, const char *text, size_t len, char **ret_error)
{
	struct ovpn_lexer lx;
	struct ovpn_item it;
	int r;

	ovpn_lexer_init(&lx, text, len);
	while ((r = ovpn_lexer_next(&lx, &it)) == 1) {
		strip_setenv_opt(&it);
		r = add_item(o, src, text, &it, ret_error);
		/* Not at the end: ten thousand lines may name the same large file. */
		if (r == 0 && o->len > PROFILE_FILE_MAX)
			r = fail(ret_error, str_format("%s: is larger than 1 MiB together with its files; shorten it", src->name));
		if (r < 0)
			break;
	}
	if (r == -EINVAL && lx.error)
		r = fail(ret_error, str_format("%s:%u: %s", src->name, it.line, lx.error));
	ovpn_lexer_done(&lx);
	return r;
}

int profile_inline_ovpn(const char *text, size_t len, const char *source, profile_load_fn load, void *userdata,
			struct secret **ret, char **ret_error)
{
	struct source src = { .name = source, .load = load, .userdata = userdata };
	struct out o = { 0 };
	int r;

	r = ovpn_check_text(text, len, source, ret_error);
	if (r == 0)
		r = inline_items(&o, &src, text, len, ret_error);
	if (r == 0)
		r = secret_new_copy(ret, secret_bytes(o.s), o.len);
	secret_free(o.s);
	return r;
}

int profile_files_ovpn(const char *text, size_t len, char ***ret)
{
	_cleanup_(strv_freep) char **names = NULL;
	struct ovpn_lexer lx;
	struct ovpn_item it;
	int r;

	ovpn_lexer_init(&lx, text, len);
	while ((r = ovpn_lexer_next(&lx, &it)) != 0 && r != -ENOMEM) {
		const char *path;

		strip_setenv_opt(&it);
		path = r == 1 ? file_of(&it) : NULL;
		if (path && !strv_contains(names, path) && strv_add(&names, path) < 0) {
			r = -ENOMEM;
			break;
		}
	}
	ovpn_lexer_done(&lx);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(names);
	return 0;
}
