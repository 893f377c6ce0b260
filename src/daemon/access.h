/*
 * [Access] of settings.conf: which users may use a tunnel at all. This comes before polkit and is narrower: polkit says what
 * kind of user may do what kind of thing, this says whose tunnel it is.
 *
 * Theory. The file is read and the names are resolved at each check, so that taking somebody out of a list counts at once. A
 * file that cannot be read or trusted lets nobody in but root. Who somebody is comes from the bus (sender.h); a group that
 * was joined or left after log-in counts from the next log-in, as for files.
 */
#pragma once

#include "daemon/sender.h"
#include "profile/profile.h"

/* 0, or -EACCES with one sentence. Root may everything. Empty lists: everybody. `tunnel` is for the sentence. */
int access_check(const struct tunnel_settings *s, const char *tunnel, const struct sender *who, char **ret_error);
/*
 * The same for a tunnel by name, with its settings as they are now. Also -EACCES where it is not configured (root's
 * leftover) or its settings cannot be read; never -ENOENT. -ENOMEM has no sentence.
 */
int access_check_tunnel(const char *tunnel, const struct sender *who, char **ret_error);
