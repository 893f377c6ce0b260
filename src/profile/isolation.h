/*
 * What `exec --isolate` takes from a program and what it leaves: one table for the mounts, the environment, the manual page
 * (section ISOLATION lists the same rows, a test compares them) and the tests.
 */
#pragma once

#include <sys/types.h>

#include "base/macro.h"

enum isolation_kind {
	ISOLATION_COVER,       /* a folder: an empty one of the program's own lies over it, if it exists */
	ISOLATION_MAKE,        /* a folder that is made in a cover */
	ISOLATION_KEEP_SOCKET, /* what of a covered folder stays in reach, if it is there and of this type; */
	ISOLATION_KEEP_FILE,   /* the last part of the name may end in '*'; read-only */
	ISOLATION_KEEP_FOLDER, /* read-only; also a link of root's, as it is */
	ISOLATION_KEEP_DISKS,  /* a folder with all that is mounted in it, not made read-only */
	ISOLATION_CLOSED,      /* a socket that the covers close; '*' stands for anything. For manual and tests: the covers do it */
	ISOLATION_UNSET,       /* a variable of the environment */
};

struct isolation {
	enum isolation_kind kind;
	const char *name; /* "UID" in a path stands for the user's number */
	const char *what;
};

/* Static table; *ret_n entries. */
const struct isolation *isolation_table(size_t *ret_n);
/* The name with the number in it; malloc'ed, NULL without memory. */
char *isolation_path(const struct isolation *row, uid_t uid);
/* An absolute path without "." and ".." lies in a covered folder, or is one. */
bool isolation_is_covered(const char *path);
/* It is one. */
bool isolation_is_cover(const char *path);
