/* User name, password, the pass phrase of the private key, and answers, from the descriptor of a call to the memfd that an engine gets. */
#pragma once

#include "base/macro.h"

#define AUTH_PAIR_MAX 4096 /* bytes of all together */

/* What somebody gave. */
#define AUTH_PAIR_LOGIN 1  /* user name and password */
#define AUTH_PAIR_PHRASE 2 /* pass phrase */

/*
 * fd: a pipe without a name or a memfd, never a path and never a file of somebody's choice, holding "user LF password LF", with the pass
 * phrase as third line where there is one (then the first two may both be empty), and behind that the answer to what the server
 * will ask (third where the key has no pass phrase: the engine knows); the last LF may be missing, CR LF is
 * accepted; written before the call, since nobody is waited for. It stays the caller's.
 * *ret_fd: sealed memfd "user NUL password NUL", and the others with their NUL if there are any, owned by the caller. Returns what was
 * given (AUTH_PAIR_*), or -EINVAL with a sentence.
 */
int auth_pair_read(int fd, int *ret_fd, char **ret_error);

/* The same with one line, the answer to a question. 0 or -EINVAL with a sentence. */
int auth_answer_read(int fd, int *ret_fd, char **ret_error);
/*
 * A code is good for one log-in: *fd, of auth_pair_read() or -EBADF, is replaced by one without it. has_phrase: the key has
 * one, so the third string is that. 0 or -errno.
 */
int auth_pair_forget_answer(int *fd, bool has_phrase);
