/* The mount namespace of a launched program: the host's tree with the tunnel's name-service files in place. */
#pragma once

#include <sys/types.h>

#include "base/macro.h"
#include "launch/covers.h"

/*
 * Takes a private mount namespace (the host's later mounts still arrive, ours never get out) and applies the table of
 * profile/binds.h with the files in `run`, the tunnel's runtime folder. `isolate`: NULL, or for whom the covers of --isolate
 * are placed first. `durable`: a small process stays (keeper.h) that
 * puts back what the kernel takes away when the host replaces a covered file; it goes when the last program of this mount
 * namespace has gone. 0, or -errno and one sentence.
 */
int mounts_enter(const char *run, bool durable, const struct covers_user *isolate, char **ret_error);
/*
 * For a service: systemd made its mount namespace and put the files there (the drop-in of `nsvpn unit add`), but nobody would
 * put them back. Enters the mount namespace of process pid, which must be another one than PID 1's (waited for: a service of
 * Type=simple may still be making it), places what is missing and leaves a keeper. 0, also for a process that has ended meanwhile; or -errno and one sentence.
 */
int mounts_keep(pid_t pid, const char *run, char **ret_error);
