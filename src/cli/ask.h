/* User name and password, as "user LF password LF" (what the helper takes): from a file or from the person there. */
#pragma once

#include "base/secret.h"

/* True when somebody can be asked: standard input is a terminal and the process has one. */
bool ask_is_possible(void);

/*
 * Asks for user name (shown) and password (not shown) of tunnel `name`. `user` (may be NULL): known, only the password is
 * asked. An exit code; 130 after Ctrl-C, the terminal as it was. *ret owned by the caller.
 */
int ask_terminal(const char *name, const char *user, struct secret **ret);

/* The first two lines of a file, "-" is standard input. An exit code. */
int ask_file(const char *path, struct secret **ret);
