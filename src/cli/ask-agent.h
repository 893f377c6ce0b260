/*
 * Asking where nobody is at a terminal: through the password agents of the machine (the boot screen, a console, a desktop), as
 * systemd-ask-password(1) does it. That program speaks with them; only root may ask so.
 */
#pragma once

#include "base/secret.h"

/* True when there is something to ask through. */
bool ask_agent_is_there(void);

/*
 * One question, one line of text, shown while it is typed where `echo`. 0 with *ret owned by the caller; -ETIME: nobody answered
 * or it was cancelled; -EMSGSIZE; -errno.
 */
int ask_agent(const char *name, const char *question, bool echo, struct secret **ret);
