/*
 * User name, password and the pass phrase of a private key, as the helper takes them ("user LF password LF phrase LF", the
 * first two empty where only the phrase is wanted, the third left out where it is not), and answers to a server: from a file or
 * from the person there.
 */
#pragma once

#include "base/secret.h"

/* True when somebody can be asked: standard input is a terminal and the process has one, or there are agents that may be used. */
bool ask_is_possible(void);
/* From now on, where there is no terminal, questions go to the machine's password agents (ask-agent.h). */
void ask_allow_agents(void);

struct ask_wants {
	bool login, phrase;
	const char *user; /* of the login, when it is known; else NULL */
};

/*
 * Asks for user name (shown), password and pass phrase (not shown) of tunnel `name`, as far as they are wanted. An exit
 * code; 130 after Ctrl-C, the terminal as it was. *ret owned by the caller.
 */
int ask_terminal(const char *name, const struct ask_wants *wants, struct secret **ret);

/* A question of a server, quoted, and its answer; an exit code as above. Shown while it is typed where `echo`. */
int ask_question(const char *name, const char *text, bool echo, struct secret **ret);

/*
 * A file, "-" is standard input: one line is the pass phrase, two the login, then the pass phrase where the key has one and
 * the answer to what the server asks where it does. An exit code.
 */
int ask_file(const char *path, struct secret **ret);
