/*
 * What a program has from its parent besides identity: limits, umask, priority, ... In a program that PID 1 starts they
 * would be PID 1's; here they become those of the user's own nsvpn process (security.md 4.3, lines 7 to 11).
 *
 * Theory. All are read from the kernel, from the process that made the control socket (SO_PEERCRED): a limit that came in a
 * message would be one that the user chose. The process is held by a pidfd, and its four uids must all be the caller's, before
 * and after: so a recycled pid can at most be another process of the same user, and one that becomes a setuid program meanwhile
 * lends nothing of that. A caller who is confined in a way that the program would
 * not be (namespaces of its own, a security label, more system call filters than we have) is refused: to ask for a program
 * must not be a way out.
 */
#pragma once

#include <sys/types.h>

#include "base/macro.h"

/*
 * Reads them from pid, checks that it is a process of uid that is not confined, and applies them to the calling process,
 * which is still root. 0, or -errno with one sentence.
 */
int attributes_adopt(pid_t pid, uid_t uid, char **ret_error);
/* A session keyring of its own, with the user's keyring linked; called after becoming the user. Failures are harmless. */
void attributes_new_keyring(void);
