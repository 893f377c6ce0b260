/*
 * The engine's log-in: user name and password, a session token of the server in their place, and questions to a person.
 *
 * Theory. A question ends the try, or stands before it, or comes in the middle of one:
 *
 *   the profile's own (static-challenge)   before each log-in without a token; the answer is part of the password
 *   the server's, with a refusal (CRV1)    the next log-in is the answer
 *   the server's, while it waits (CR_TEXT) the session goes on and carries the answer
 *   an address to be opened in a browser   nothing comes back to us; the server hears of it by itself
 *
 * The helper shows it to whoever waits for the tunnel and brings the answer. An answer that came along with the credentials
 * (their third line) is used for the first question. Answers are used once: a code is worth nothing afterwards. What a server
 * gives in their place, a token, lives over reconnects.
 */
#pragma once

#include "base/secret.h"
#include "proto/proto.h"

/* A person looks for a telephone; who has not answered by then is not there. */
#define LOGIN_PATIENCE (10 * 60 * USEC_PER_SEC)

enum login_asks { LOGIN_ASKS_NOTHING, LOGIN_ASKS_CODE, LOGIN_ASKS_CHALLENGE, LOGIN_ASKS_SESSION,
		  LOGIN_ASKS_PROXY_NAME, LOGIN_ASKS_PROXY_PASSWORD };

struct login {
	struct secret *username, *password; /* asked for; the profile's own stay in the profile */
	struct secret *token, *token_user;
	struct secret *ready;               /* the answer that came with the credentials */
	struct secret *answer;              /* for the next log-in */
	struct proto_challenge challenge;   /* what the answer belongs to; without prefix: the profile's question */
	enum login_asks asks;
	usec_t until;                       /* PHASE_QUESTION */
	char question[PROTO_TEXT_MAX];      /* of the proxy's log-in, for the sentence when nobody answers */
};

struct engine;

void login_done(struct login *l);
/* User name, password and answer; the token stays. */
void login_forget(struct login *l);
/*
 * "user NUL password NUL", "phrase NUL" where the profile's key has one, and perhaps "answer NUL"; an empty user name: there is
 * no log-in. 0, -ENODATA: something is still missing, -errno.
 */
int login_take_credentials(struct engine *e, const char *text, size_t len);

/* Whatever has to be known before a try is asked for: true, the phase says what. */
bool login_ask_first(struct engine *e);
/* Fills in what a session logs in with; borrowed from the profile and *l until login_used(). 0 or -ENOMEM. */
int login_fill(struct engine *e, struct proto_params *params);
/* The server has heard it. */
void login_used(struct engine *e);
/* The session is about to go: what is worth keeping is taken from it. */
void login_keep(struct engine *e);
/* The helper is asked for user name and password. */
void login_ask_credentials(struct engine *e, bool again, const char *text);
/* The server's question with a refusal. False: there is none. */
bool login_ask_challenge(struct engine *e);
/* A person's turn for the proxy's sake, without a session. */
void login_ask_for_proxy(struct engine *e, enum login_asks what, const char *text);
/* The server's question in the middle of a session. */
void login_ask_in_session(struct engine *e, const struct proto_event *ev);
/* A person's answer: a memfd, owned from here on. */
void login_on_answer(struct engine *e, int fd);
/* Nobody answered. */
void login_check_patience(struct engine *e, usec_t now);
