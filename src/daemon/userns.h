/*
 * A user's own helper: nsvpnd without any right outside of the namespaces that it makes itself.
 *
 * Theory. In a user namespace of its own a process holds every capability over what is made in there: network namespaces,
 * tun devices, nftables, mounts. Over the default namespace it holds none, and uplink=socket needs none: the engine's socket
 * is an ordinary one, made where the user is. So the rest of the helper runs unchanged. The map is the identity of the one
 * user (uid to uid, gid to gid), so files are his and programs see who they are.
 *
 * A helper that dies leaves no namespace behind but those that programs live in. The next one enters the user namespace that
 * owns them (survivors.h) and goes on as a helper of root's does.
 *
 * Who confines whom: the namespace belongs to the user who made it. Programs in the tunnel are in the same user namespace
 * with no capability and an empty bounding set (launch/launch.c), and cannot get one: not by a setuid program (its owner is
 * not mapped), not by file capabilities (bounding set), not by a user namespace of their own (it has no power over its
 * parent). Processes of the user outside may undo everything: it is his.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * Enters the user namespace, with private mounts. Once, before any thread and before process_setup() (which hides
 * /proc/self). 0, or -errno and one sentence that says who forbids it and what to do.
 */
int userns_enter(char **ret_error);
/* A new descriptor of that namespace, for those who join; -ENOTTY in a helper that is not rootless; -errno. */
int userns_open(void);
/* The process is in this namespace or in one below it: it was started in a tunnel and gives no orders. */
bool userns_is_inside(pid_t pid);

/* Why the kernel said `error` (positive) to a user namespace: a malloc'ed sentence. proc: "/proc", for tests. */
char *userns_explain(const char *proc, int error);
