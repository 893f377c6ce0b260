/* Which program a name stands for, as exec(3) and the wrapper scripts of distributions will find it. */
#pragma once

#include "base/cleanup.h"
#include "base/macro.h"

struct program_file {
	char *path;   /* the last one found: symbolic links resolved, wrapper scripts followed */
	char **names; /* base names of all that was met on the way, the one asked for first */
};

void program_file_done(struct program_file *p);

/*
 * `path_list`: PATH, NULL for the system's default. Nothing is run; a script is only read for an `exec` line with a plain
 * program in it. 0, -ENOENT or -ENOMEM.
 */
int program_file_resolve(const char *name, const char *path_list, struct program_file *ret);

/*
 * The index in argv of the program that is really meant: behind env, nohup and setsid with their options and variables.
 * 0 where argv[0] is none of them.
 */
size_t program_file_skip_wrappers(char *const *argv);
