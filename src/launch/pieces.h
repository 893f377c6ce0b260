/* The covered files and folders of one mount namespace, as mounts.c and keeper.c share them. */
#pragma once

#include <sys/types.h>

#include "profile/binds.h"

#define PIECES_MAX 32

struct piece {
	const struct bind *bind;
	int fd; /* BIND_FILE: our file, O_PATH; else -EBADF */
	/* what lies over the target since it was covered */
	bool placed;
	dev_t dev;
	ino_t ino;
};

struct pieces {
	struct piece v[PIECES_MAX];
	size_t n;
};

/* Opens our files, in the mount namespace that we are in. 0, or -errno and one sentence. */
int pieces_fetch(struct pieces *m, const char *run, char **ret_error);
void pieces_done(struct pieces *m);
/*
 * Covers what is not covered. *ret_placed: how many that were; *ret_missing: targets that do not exist and need no cover
 * until they do. 0, or -errno and one sentence.
 */
int pieces_place(struct pieces *m, size_t *ret_placed, size_t *ret_missing, char **ret_error);
