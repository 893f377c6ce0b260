/*
 * What a program in a tunnel sees instead of the host's files: one list for exec, for units and for drop-ins, so that
 * the ways into a tunnel cannot drift apart. reference: security.md 2.2 (D4).
 */
#pragma once

#include "base/macro.h"

enum bind_kind {
	BIND_FILE,      /* `source` (relative to the tunnel's runtime folder) over `target`, read-only */
	BIND_MASK_DIR,  /* a read-only folder, empty but for targets of BIND_FILE in it, over a folder, when it exists */
};

struct bind {
	enum bind_kind kind;
	const char *source;
	const char *target;
	const char *why;
	bool make; /* a folder that is made when it is missing, so that it is covered before somebody else makes it */
};

/* Static table; *ret_n entries. */
const struct bind *binds_table(size_t *ret_n);
