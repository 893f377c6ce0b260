/*
 * What an earlier rootless helper of this user left: namespaces that programs still live in.
 *
 * Theory. Root's namespaces are pinned where everybody sees them. A rootless helper's pins are in its own mounts and go with
 * it, so a namespace outlives it only by the programs inside. They are found again through these programs: the journals say
 * which namespaces there were, and one of their processes leads to each.
 */
#pragma once

#include <errno.h>
#include <sys/types.h>

struct survivors {
	int user; /* the user namespace that owns them; -EBADF: there are none */
	struct survivor {
		char *name;
		int netns;
	} *v;
	size_t n;
};

/*
 * Before any namespace is entered. *s as SURVIVORS_NONE. 0; -EDEADLK with a sentence: this process is itself in one of them,
 * and a helper there would be one in the tunnel; -errno.
 */
int survivors_find(struct survivors *s, char **ret_error);
/* In the helper's own mounts: where the recovery looks. 0 or -errno. */
int survivors_pin(const struct survivors *s);
void survivors_done(struct survivors *s);

#define SURVIVORS_NONE ((struct survivors){ .user = -EBADF })
