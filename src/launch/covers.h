/* The folders of --isolate: covered with empty ones that hold what is kept (profile/isolation.h). */
#pragma once

#include <sys/types.h>

struct covers_user {
	uid_t uid; /* who the program will be */
	gid_t gid;
};

/*
 * In a private mount namespace, with root's rights, before anything else is placed below the covers. 0, or -errno and one
 * sentence: then some may lie there and others not, and nothing may be started.
 */
int covers_place(const struct covers_user *u, char **ret_error);
