/* Options about user name and password, liveness and retry, and what setenv says to a client. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "profile/profile-ovpn.h"

#define CREDENTIAL_MAX 4095
#define UI_VER_MAX 16
#define DAY (24 * 60 * 60)
#define CHALLENGE_MAX 500

/* One line of a password file: its text without CR, and where the next one starts. */
static const char *take_line(const char *s, const char **ret, size_t *ret_len)
{
	size_t len = strcspn(s, "\n");
	const char *next = s[len] ? s + len + 1 : NULL;

	while (len && s[len - 1] == '\r')
		len--;
	*ret = s;
	*ret_len = len;
	return next;
}

static const char *credential_mistake(const char *s, size_t len, bool user)
{
	if (len > CREDENTIAL_MAX)
		return user ? "the user name is longer than 4095 bytes" : "the password is longer than 4095 bytes";
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return user ? "a control character in the user name" : "a control character in the password";
	return NULL;
}

int ovpn_parse_credentials(const struct secret *text, struct secret **ret_user, struct secret **ret_password,
			   const char **ret_why)
{
	_cleanup_(secret_freep) struct secret *user = NULL, *password = NULL;
	const char *s = secret_string(text), *line;
	size_t len;
	int r;

	*ret_why = NULL;
	if (!s || memchr(secret_bytes(text), 0, secret_len(text)))
		*ret_why = "not a text file";
	else
		s = take_line(s, &line, &len);
	if (!*ret_why)
		*ret_why = len ? credential_mistake(line, len, true) : "the first line, the user name, is empty";
	if (*ret_why)
		return -EINVAL;
	r = secret_new_copy(&user, line, len);
	if (r < 0)
		return r;
	if (s) {
		(void)take_line(s, &line, &len); /* what follows the password does not count, as with openvpn */
		*ret_why = credential_mistake(line, len, false);
		if (*ret_why)
			return -EINVAL;
		r = len ? secret_new_copy(&password, line, len) : 0;
		if (r < 0)
			return r;
	}
	*ret_user = TAKE_PTR(user);
	*ret_password = TAKE_PTR(password);
	return 0;
}

/* Providers name a password file that their customers do not have: then the person is asked, as without a name. */
static int note_missing(struct ovpn_parser *p, const char *path, const char *shown)
{
	char *file;

	/* A name without a file does not undo a block or file that stood before it. */
	if (p->o->username)
		return ovpn_note(p, FATE_IGNORED, "there is no file '%s'; the name and password from above are used", shown);
	file = strdup(path);
	if (!file)
		return -ENOMEM;
	free(p->o->auth_file);
	p->o->auth_file = file;
	return ovpn_note(p, FATE_HONOURED, "there is no file '%s', so user name and password will be asked for", shown);
}

/* 1: *ret holds the text; 0: none, which has been noted; or a refusal. */
static int load_credentials(struct ovpn_parser *p, const struct ovpn_item *it, struct secret **ret)
{
	_cleanup_(freep) char *shown = NULL;
	int r;

	if (it->kind == OVPN_ITEM_BLOCK || ovpn_is_inline_word(it->words[1]))
		return ovpn_load(p, it, ret);
	shown = str_escape(it->words[1], strlen(it->words[1]), 120);
	if (!shown)
		return -ENOMEM;
	if (!*it->words[1])
		return ovpn_refuse(p, "the file name is empty; remove '\"\"' from line %u to be asked", it->line);
	r = p->load ? p->load(p->load_userdata, it->words[1], ret) : -ENOSYS;
	if (r == -ENOMEM)
		return r;
	if (r == -ENOENT || r == -ENOTDIR)
		return note_missing(p, it->words[1], shown);
	if (r < 0)
		return ovpn_refuse(p,
				   "cannot read '%s' (%s); write user name and password into it (two lines, mode 600), "
				   "or remove '%s' from line %u to be asked",
				   shown, strerror(-r), shown, it->line);
	return 1;
}

int ovpn_opt_auth_user_pass(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(secret_freep) struct secret *text = NULL, *user = NULL, *password = NULL;
	struct ovpn_options *o = p->o;
	const char *why;
	char *file = NULL;
	int r;

	if (it->kind == OVPN_ITEM_OPTION &&
	    (it->n_words > 2 || (it->n_words == 2 && str_eq(it->words[1], "username-only"))))
		return ovpn_refuse(
			p, "only a user name and no password is not supported yet; take away what follows the file");
	o->auth_user_pass = true;
	if (it->kind == OVPN_ITEM_OPTION && (it->n_words == 1 || str_eq(it->words[1], "stdin"))) {
		/* A bare line does not undo a block or file that stood before it. */
		if (o->username)
			return ovpn_note(p, FATE_HONOURED, "uses the name and password that the file holds");
		return ovpn_note(p, FATE_HONOURED, "user name and password will be asked for");
	}
	r = load_credentials(p, it, &text);
	if (r <= 0)
		return r;
	r = ovpn_parse_credentials(text, &user, &password, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return ovpn_refuse(p, "%s; write the user name on the first line and the password on the second", why);
	if (it->kind == OVPN_ITEM_OPTION) {
		file = strdup(it->words[1]);
		if (!file)
			return -ENOMEM;
	}
	free(o->auth_file);
	o->auth_file = file;
	secret_free(o->username);
	secret_free(o->password);
	o->username = TAKE_PTR(user);
	o->password = TAKE_PTR(password);
	if (!o->password)
		return ovpn_note(p, FATE_HONOURED, "the user name is known, the password will be asked for");
	return 0;
}

/* static-challenge "question" echo [scrv1|concat] */
int ovpn_opt_static_challenge(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct ovpn_options *o = p->o;
	const char *form = it->n_words > 3 ? it->words[3] : "scrv1";
	char *text;

	if (!str_eq(it->words[2], "0") && !str_eq(it->words[2], "1"))
		return ovpn_refuse(p, "takes a question and 0 or 1 (whether the answer may be seen); correct line %u", it->line);
	if (!str_eq(form, "scrv1") && !str_eq(form, "concat"))
		return ovpn_refuse(p, "takes scrv1 or concat at its end; correct line %u", it->line);
	text = str_escape(it->words[1], strlen(it->words[1]), CHALLENGE_MAX);
	if (!text)
		return -ENOMEM;
	free(o->static_challenge);
	o->static_challenge = text;
	o->static_challenge_echo = str_eq(it->words[2], "1");
	o->static_challenge_concat = str_eq(form, "concat");
	return 0;
}

int ovpn_opt_auth_retry(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *s = it->words[1];

	if (str_eq(s, "none"))
		p->o->auth_retry = AUTH_RETRY_NONE;
	else if (str_eq(s, "nointeract"))
		p->o->auth_retry = AUTH_RETRY_NOINTERACT;
	else if (str_eq(s, "interact"))
		p->o->auth_retry = AUTH_RETRY_INTERACT;
	else
		return ovpn_refuse(p, "takes none, nointeract or interact; correct line %u", it->line);
	return 0;
}

/* ping-restart and ping-exit share one timer: the later line decides what its end means. */
int ovpn_opt_ping_restart(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t n;
	int r;

	r = ovpn_number(p, it->words[1], 0, DAY, &n);
	if (r < 0)
		return r;
	p->o->ping_restart = n * USEC_PER_SEC;
	p->o->ping_restart_set = true;
	p->o->ping_exit = 0;
	return 0;
}

int ovpn_opt_ping_exit(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t n;
	int r;

	r = ovpn_number(p, it->words[1], 0, DAY, &n);
	if (r < 0)
		return r;
	p->o->ping_exit = n * USEC_PER_SEC;
	p->o->ping_restart = 0;
	p->o->ping_restart_set = true;
	return 0;
}

int ovpn_opt_keepalive(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t every, after;
	int r;

	r = ovpn_number(p, it->words[1], 1, DAY, &every);
	if (r == 0)
		r = ovpn_number(p, it->words[2], 2, DAY, &after);
	if (r < 0)
		return r;
	if (after < 2 * every)
		return ovpn_refuse(p, "the second value has to be at least twice the first; correct line %u", it->line);
	p->o->ping = every * USEC_PER_SEC;
	p->o->ping_restart = after * USEC_PER_SEC;
	p->o->ping_restart_set = true;
	p->o->ping_exit = 0;
	return 0;
}

int ovpn_opt_reneg_sec(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t max, min;
	int r;

	r = ovpn_number(p, it->words[1], 0, INT32_MAX, &max);
	if (r == 0 && it->n_words > 2)
		r = ovpn_number(p, it->words[2], 0, max, &min);
	if (r < 0)
		return r;
	p->o->reneg_sec = max * USEC_PER_SEC;
	return 0;
}

/* reneg-bytes and reneg-pkts; negative values mean off, as 0 does. */
int ovpn_opt_reneg_count(struct ovpn_parser *p, const struct ovpn_item *it)
{
	int64_t n;

	if (parse_i64(it->words[1], -1, INT64_MAX, &n) < 0)
		return ovpn_refuse(p, "takes a number, 0 for off; correct line %u", it->line);
	*(uint64_t *)((char *)p->o + p->row->offset) = n > 0 ? (uint64_t)n : 0;
	return 0;
}

int ovpn_opt_connect_retry(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t from, to = 300;
	int r;

	r = ovpn_number(p, it->words[1], 1, DAY, &from);
	if (r == 0 && it->n_words > 2)
		r = ovpn_number(p, it->words[2], 1, DAY, &to);
	if (r < 0)
		return r;
	p->o->connect_retry = from * USEC_PER_SEC;
	p->o->connect_retry_max = MAX(from, to) * USEC_PER_SEC;
	return 0;
}

int ovpn_opt_explicit_exit_notify(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t n = 1;
	int r;

	if (it->n_words > 1) {
		r = ovpn_number(p, it->words[1], 0, 60, &n);
		if (r < 0)
			return r;
	}
	p->o->explicit_exit_notify = (unsigned)n;
	return 0;
}

/* ---- setenv ---- */

/* `setenv opt X …` is the option X that may be unknown. */
static int setenv_opt(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct ovpn_item inner = *it;

	if (it->n_words < 3)
		return ovpn_note(p, FATE_IGNORED, "`setenv opt` without an option says nothing");
	inner.n_words = it->n_words - 2;
	memmove(inner.words, it->words + 2, (inner.n_words + 1) * sizeof(inner.words[0]));
	if (str_eq(inner.words[0], "setenv"))
		return ovpn_refuse(p, "setenv inside setenv; write the inner one on a line of its own");
	return ovpn_dispatch(p, &inner, true);
}

static int add_ui_ver(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(freep) char *entry = NULL;
	const char *name = it->words[1], *value = it->n_words > 2 ? it->words[2] : "";

	if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name) ||
	    strlen(name) > 64 || strlen(value) > 256)
		return ovpn_refuse(p,
				   "the name may hold letters, digits and _ and the value 256 bytes; correct line %u",
				   it->line);
	if (strv_len(p->o->ui_ver) == UI_VER_MAX)
		return ovpn_refuse(p, "more than %d such lines; remove some", UI_VER_MAX);
	entry = str_format("%s=%s", name, value);
	if (!entry)
		return -ENOMEM;
	if (strv_add(&p->o->ui_ver, entry) < 0)
		return -ENOMEM;
	return ovpn_note(p, FATE_HONOURED, "told to the server");
}

int ovpn_opt_setenv(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *name = it->words[1];

	if (str_eq(name, "opt"))
		return setenv_opt(p, it);
	if (str_eq(name, "FORWARD_COMPATIBLE"))
		return ovpn_note(p, FATE_HONOURED, "unknown options are ignored with a note");
	if (str_eq(name, "CLIENT_CERT"))
		return ovpn_note(p, FATE_HONOURED,
				 "whether there is a client certificate is seen from the file itself");
	if (str_eq(name, "IV_GUI_VER") || (str_has_prefix(name, "UV_") && name[3]))
		return add_ui_ver(p, it);
	return ovpn_note(p, FATE_IGNORED, "sets the environment of scripts, and nsvpn runs none");
}

int ovpn_opt_ignore_unknown(struct ovpn_parser *p, const struct ovpn_item *it)
{
	for (unsigned i = 1; i < it->n_words; i++)
		if (ovpn_option_find(it->words[i]))
			return ovpn_note(
				p, FATE_HONOURED,
				"those of these options that are known keep their meaning, the others are ignored");
	return 0;
}
