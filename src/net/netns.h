/*
 * Network namespaces: make, pin, enter, let go, and who lives inside.
 *
 * A namespace belongs to a thread. Whatever must happen inside one happens in a short-lived thread that enters it and
 * ends, so the process itself never changes its namespace and has no way back that could fail.
 */
#pragma once

#include <sys/types.h>

#include "base/macro.h"

/* Runs fn in the namespace; what fn returns, or -errno. */
int netns_call(int netns_fd, int (*fn)(void *userdata), void *userdata);

/*
 * A new namespace, pinned at path by a bind mount as `ip netns add` does (path's folder is made when missing and is not
 * made a mount point). -EEXIST when something is pinned there; an empty file that is no mount is used.
 */
int netns_create(const char *path, int *ret_fd, uint64_t *ret_ino);
/* Pins one that is there: source is a /proc path of it. Among the caller's own mounts. */
int netns_pin(const char *path, const char *source);
/* -ENOENT; -ENOTTY when the path is no network namespace. */
int netns_open(const char *path, int *ret_fd, uint64_t *ret_ino);
/* Removes the pin; no error when there is none. The namespace itself goes when nobody uses it. */
int netns_unpin(const char *path);

/*
 * Once, at the start of a service: it has mounts of its own (ProtectSystem= and the like), and what it mounts there nobody
 * else sees. From now on pins are made and removed among the mounts of PID 1, from where they also reach ours.
 */
int netns_pin_for_all(void);

struct netproc;
/* Processes whose network namespace has this inode, but for `except`. malloc'ed. */
int netns_processes(uint64_t ino, pid_t except, struct netproc **ret, size_t *ret_n);
