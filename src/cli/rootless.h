/* --rootless: a user's own tunnels, without the service and without root; what there is about that on the command's side. */
#pragma once

#include "cli/cli.h"
#include "cli/client.h"
#include "launch/launch.h"

/* The command understands --rootless. */
bool rootless_is_for(const struct command *self);
/* From here on the user's own places and helper. An exit code: refused for root, and for commands that have no use for it. */
int rootless_begin(const struct command *self);

/*
 * The passing tunnel of a profile (--config FILE): stored in the runtime folder under a name made from the file's, or the
 * tunnel that holds the same profile already. The helper that will use it must be connected: it removes what nobody needs.
 * An exit code; *ret_name is malloc'ed.
 */
int rootless_take_config(const char *file, char **ret_name);

/*
 * The namespaces of a tunnel, for this process, which from now on counts as one of its programs. They replace those that are
 * in *ret: of a tunnel that was just going down while one looked, `up` makes others. if_up: no error when it is not up; *ret
 * stays as it is. An exit code.
 */
int rootless_fetch(struct client *c, const char *name, bool if_up, struct launch_own *ret);

/* " --rootless" where it is, else "": behind a command's name in what is printed. */
const char *rootless_word(void);
/* malloc'ed: a sentence in which commands of nsvpn are named as a rootless user has to type them. Takes text. */
char *rootless_phrase(char *text);
