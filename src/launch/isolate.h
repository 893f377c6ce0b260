/* The steps of --isolate besides the covers: a user namespace, no rights that could come back, the environment. */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

/*
 * As root (or in a user namespace with rights over it: rootless), before the switch to uid: this process enters a user
 * namespace of its own, with the same users and groups as outside, that belongs to uid; the capability bounding set is
 * emptied and no_new_privs set. The capabilities that creds_become() needs are there until isolate_seal(). 0, or -errno and
 * one sentence.
 */
int isolate_enter(uid_t uid, char **ret_error);
/* Last: gives up what capabilities are left and looks whether all of it is so. 0, or -errno and one sentence. */
int isolate_seal(char **ret_error);

/*
 * Step 4 of launch.c: the folder cwd (a name of before the covers, NULL: it had none) is entered by its name, and has to be
 * the one that `was` describes, or a cover. 0, or -errno and one sentence.
 */
int isolate_folder(const char *cwd, const struct stat *was, char **ret_error);
/*
 * Takes the variables of the table out of the environment. Refuses one that says that runtime folder or buses are where no
 * cover lies. 0, or -errno and one sentence.
 */
int isolate_environment(uid_t uid, char **ret_error);
