/* Log-in and questions; theory in engine-login.h. */
#include "engine/engine-login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/str.h"
#include "engine/engine-parts.h"

#define ANSWER_TEXT_MAX 1024

/* ---- what is known -------------------------------------------------------------------------------------------------- */

static void forget_answer(struct login *l)
{
	l->answer = secret_free(l->answer);
	proto_challenge_done(&l->challenge);
}

void login_forget(struct login *l)
{
	l->username = secret_free(l->username);
	l->password = secret_free(l->password);
	l->ready = secret_free(l->ready);
	forget_answer(l);
}

void login_done(struct login *l)
{
	login_forget(l);
	l->token = secret_free(l->token);
	l->token_user = secret_free(l->token_user);
}

/* The next string of *p, which must have its NUL. False: there is none. */
static bool next_string(const char **p, size_t *left, const char **ret)
{
	const char *end = memchr(*p, '\0', *left);

	if (!end)
		return false;
	*ret = *p;
	*left -= (size_t)(end + 1 - *p);
	*p = end + 1;
	return true;
}

static bool needs_credentials(const struct engine *e)
{
	const struct ovpn_options *o = &e->profile->ovpn;

	if (o->key_password_asked && !o->key_password)
		return true;
	return o->auth_user_pass && !e->login.username && !(o->username && o->password);
}

/* The pass phrase of a key stays with the profile, which is made into a TLS context for each try. */
static int take_phrase(struct ovpn_options *o, const char *phrase)
{
	struct secret *s;
	int r = secret_new_copy(&s, phrase, strlen(phrase));

	if (r == 0)
		o->key_password = (secret_free(o->key_password), s);
	return r;
}

int login_take_credentials(struct engine *e, const char *text, size_t len)
{
	_cleanup_(secret_freep) struct secret *username = NULL, *password = NULL, *ready = NULL;
	struct ovpn_options *o = &e->profile->ovpn;
	const char *p = text, *user, *word, *next = NULL;
	int r = 0;

	if (!next_string(&p, &len, &user) || !next_string(&p, &len, &word))
		return -EBADMSG;
	if (*user) {
		r = secret_new_copy(&username, user, strlen(user));
		if (r >= 0)
			r = secret_new_copy(&password, word, strlen(word));
	}
	if (r >= 0 && o->key_password_asked && next_string(&p, &len, &next) && *next)
		r = take_phrase(o, next);
	if (r >= 0 && next_string(&p, &len, &next) && *next)
		r = secret_new_copy(&ready, next, strlen(next));
	if (r < 0)
		return r;
	login_forget(&e->login);
	e->login.username = TAKE_PTR(username);
	e->login.password = TAKE_PTR(password);
	e->login.ready = TAKE_PTR(ready);
	return needs_credentials(e) ? -ENODATA : 0;
}

void login_keep(struct engine *e)
{
	struct secret *user = NULL, *token = NULL;

	e->proto->ops->take_token(e->proto, &user, &token);
	secret_free(e->login.token);
	secret_free(e->login.token_user);
	e->login.token = token;
	e->login.token_user = user;
}

void login_used(struct engine *e)
{
	forget_answer(&e->login);
}

int login_fill(struct engine *e, struct proto_params *params)
{
	const struct ovpn_options *o = &e->profile->ovpn;
	struct login *l = &e->login;
	size_t prefix, n;
	uint8_t *p;
	int r;

	params->username = l->username ? l->username : o->username;
	params->password = l->username ? l->password : o->password;
	params->token = l->token;
	params->token_user = l->token_user;
	if (!l->challenge.prefix) {
		params->answer = l->token ? NULL : l->answer;
		return 0;
	}
	/* The whole becomes the answer in place: a second try of the same log-in finds it finished. */
	if (l->answer) {
		struct secret *whole;

		prefix = secret_len(l->challenge.prefix);
		n = secret_len(l->answer);
		r = secret_new(&whole, prefix + n);
		if (r < 0)
			return r;
		p = secret_data(whole);
		memcpy(p, secret_bytes(l->challenge.prefix), prefix);
		memcpy(p + prefix, secret_bytes(l->answer), n);
		secret_free(l->challenge.prefix);
		l->challenge.prefix = whole;
		l->answer = secret_free(l->answer);
	}
	params->username = l->challenge.username;
	params->password = l->challenge.prefix;
	params->token = params->token_user = NULL;
	return 0;
}

/* ---- asking --------------------------------------------------------------------------------------------------------- */

static void tell(struct engine *e, enum question_kind kind, const char *text)
{
	if (monitor_question(&e->monitor, kind, text) < 0)
		engine_end(e, EXIT_CODE_FAILED);
}

static enum question_kind kind_of(enum proto_question q)
{
	switch (q) {
	case PROTO_QUESTION_TEXT:
		return QUESTION_TEXT;
	case PROTO_QUESTION_SECRET:
		return QUESTION_SECRET;
	case PROTO_QUESTION_URL:
		return QUESTION_URL;
	}
	return QUESTION_SECRET; /* the safer of both */
}

/* A person's turn, or the answer that is there already: then true. */
static bool ask(struct engine *e, enum login_asks what, enum proto_question q, const char *text)
{
	struct login *l = &e->login;

	l->answer = secret_free(l->answer);
	if (l->ready) {
		l->answer = TAKE_PTR(l->ready);
		return true;
	}
	l->asks = what;
	l->until = engine_now(e) + LOGIN_PATIENCE;
	e->phase = PHASE_QUESTION;
	log_info("waiting for an answer: %s", text);
	tell(e, kind_of(q), text);
	return false;
}

/* The answer that came with the credentials is for the server, not for the proxy. */
void login_ask_for_proxy(struct engine *e, enum login_asks what, const char *text)
{
	struct login *l = &e->login;

	l->asks = what;
	l->until = engine_now(e) + LOGIN_PATIENCE;
	(void)str_copy(l->question, sizeof(l->question), text);
	e->phase = PHASE_QUESTION;
	log_info("waiting for an answer: %s", text);
	tell(e, what == LOGIN_ASKS_PROXY_NAME ? QUESTION_TEXT : QUESTION_SECRET, text);
}

static bool needs_code(const struct engine *e)
{
	const struct login *l = &e->login;

	return e->profile->ovpn.static_challenge && !l->token && !l->answer && !l->challenge.prefix;
}

void login_ask_credentials(struct engine *e, bool again, const char *text)
{
	engine_ask(e, PHASE_AUTH);
	login_forget(&e->login);
	if (monitor_request_auth(&e->monitor, again, text) < 0)
		engine_end(e, EXIT_CODE_FAILED);
}

bool login_ask_first(struct engine *e)
{
	const struct ovpn_options *o = &e->profile->ovpn;

	if (needs_credentials(e)) {
		login_ask_credentials(e, false, "credentials for the server or the private key");
		return true;
	}
	return needs_code(e) && !ask(e, LOGIN_ASKS_CODE, o->static_challenge_echo ? PROTO_QUESTION_TEXT : PROTO_QUESTION_SECRET,
				     o->static_challenge);
}

bool login_ask_challenge(struct engine *e)
{
	struct login *l = &e->login;
	struct proto_challenge c;

	if (!e->proto->ops->take_challenge(e->proto, &c))
		return false;
	forget_answer(l);
	l->challenge = c;
	engine_drop_session(e);
	if (!c.needs_answer)
		log_notice("the server says: %s", c.text);
	if (!c.needs_answer || ask(e, LOGIN_ASKS_CHALLENGE, c.question, c.text))
		engine_begin_try(e);
	return true;
}

void login_ask_in_session(struct engine *e, const struct proto_event *ev)
{
	struct login *l = &e->login;

	if (ev->question != PROTO_QUESTION_URL && l->ready) {
		if (e->proto->ops->answer(e->proto, l->ready, engine_now(e)) < 0)
			log_warning("the answer to the server's question could not be sent");
		l->ready = secret_free(l->ready);
		return;
	}
	l->asks = LOGIN_ASKS_SESSION;
	log_info("the server asks: %s", ev->text);
	tell(e, kind_of(ev->question), ev->text);
}

/* ---- answers -------------------------------------------------------------------------------------------------------- */

static int read_answer(int fd, struct secret **ret)
{
	char *text = NULL;
	size_t len = 0;
	int r;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = file_read_fd(fd, ANSWER_TEXT_MAX, &text, &len);
	if (r >= 0) {
		r = secret_new_copy(ret, text, strnlen(text, len));
		secret_wipe(text, len);
		free(text);
	}
	return r;
}

void login_on_answer(struct engine *e, int fd)
{
	_cleanup_(secret_freep) struct secret *answer = NULL;
	struct login *l = &e->login;
	int r = read_answer(fd, &answer);

	(void)fd_close(fd);
	if (r < 0 || l->asks == LOGIN_ASKS_NOTHING) {
		log_debug("an answer that nobody waits for was dropped");
		return;
	}
	if (l->asks == LOGIN_ASKS_SESSION) {
		l->asks = LOGIN_ASKS_NOTHING;
		if (e->proto && e->proto->ops->answer(e->proto, answer, engine_now(e)) < 0)
			log_warning("the answer to the server's question could not be sent");
		engine_settle(e, engine_now(e));
		return;
	}
	if (e->phase != PHASE_QUESTION)
		return;
	if (l->asks == LOGIN_ASKS_PROXY_NAME || l->asks == LOGIN_ASKS_PROXY_PASSWORD) {
		if (!way_on_answer(e, TAKE_PTR(answer)))
			return;
	} else {
		secret_free(l->answer);
		l->answer = TAKE_PTR(answer);
	}
	l->asks = LOGIN_ASKS_NOTHING;
	engine_begin_try(e);
	engine_settle(e, engine_now(e));
}

void login_check_patience(struct engine *e, usec_t now)
{
	char text[PROTO_TEXT_MAX + 64];

	if (e->phase != PHASE_QUESTION || now < e->login.until)
		return;
	(void)snprintf(text, sizeof(text), "nobody answered the question: %s",
		       e->login.asks == LOGIN_ASKS_CODE	     ? e->profile->ovpn.static_challenge :
		       e->login.asks == LOGIN_ASKS_CHALLENGE ? e->login.challenge.text :
							       e->login.question);
	engine_give_up(e, FAIL_AUTH, text);
}
