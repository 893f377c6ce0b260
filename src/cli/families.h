/*
 * Programs that keep one instance: who belongs together, and what makes a second one that stays apart.
 *
 * Theory. Started a second time, such a program asks the first one to open the window and exits with success. The first
 * one may live outside the tunnel, and so would the window. The table has a row for each application (Thunderbird does not
 * take windows from Firefox), not for each vendor.
 */
#pragma once

#include "base/cleanup.h"
#include "base/macro.h"

struct family {
	const char *title;    /* for people */
	const char *programs; /* names of executables and launchers, separated by blanks */
	/*
	 * Arguments of an instance that stays apart, separated by blanks; "%d" is a folder of its own. One that begins with
	 * '?' is left out where that folder is already in use inside. NULL: there is no way.
	 */
	const char *separate;
	const char *folder_options; /* options with which a caller names such a folder himself; or NULL */
	const char *apart_options;  /* options with which it never asks a running instance; or NULL */
};

/* The row with that name, else NULL. `program` may be a path. */
const struct family *family_find(const char *program);
bool family_has(const struct family *f, const char *program);

/* The arguments of `separate` with their folder; 0, -EOPNOTSUPP or -ENOMEM. *ret is a strv that the caller frees. */
int family_separate(const struct family *f, const char *folder, bool is_in_use, char ***ret);

/* The folder that the arguments of a command line (argv[0] left out) name: borrowed from them, or NULL. */
const char *family_own_folder(const struct family *f, char *const *arguments);
/* True when they say that no running instance shall be asked. */
bool family_is_apart(const struct family *f, char *const *arguments);
