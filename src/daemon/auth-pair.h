/* User name and password, from the descriptor that `Up` was given to the memfd that an engine gets. */
#pragma once

#include "base/macro.h"

#define AUTH_PAIR_MAX 4096 /* bytes of both together */

/*
 * fd: a pipe or a memfd, never a path and never a file of somebody's choice, holding "user LF password LF" (the last LF
 * may be missing, CR LF is accepted); written before the call, since nobody is waited for. It stays the caller's.
 * *ret_fd: sealed memfd "user NUL password NUL", owned by the caller. -EINVAL with a sentence otherwise.
 */
int auth_pair_read(int fd, int *ret_fd, char **ret_error);
