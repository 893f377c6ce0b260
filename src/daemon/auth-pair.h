/* User name, password and the pass phrase of the private key, from the descriptor that `Up` was given to the memfd that an engine gets. */
#pragma once

#include "base/macro.h"

#define AUTH_PAIR_MAX 4096 /* bytes of all together */

/* What somebody gave. */
#define AUTH_PAIR_LOGIN 1  /* user name and password */
#define AUTH_PAIR_PHRASE 2 /* pass phrase */

/*
 * fd: a pipe or a memfd, never a path and never a file of somebody's choice, holding "user LF password LF", with the pass
 * phrase as third line where there is one (then the first two may both be empty); the last LF may be missing, CR LF is
 * accepted; written before the call, since nobody is waited for. It stays the caller's.
 * *ret_fd: sealed memfd "user NUL password NUL", and "phrase NUL" if there is one, owned by the caller. Returns what was
 * given (AUTH_PAIR_*), or -EINVAL with a sentence.
 */
int auth_pair_read(int fd, int *ret_fd, char **ret_error);
