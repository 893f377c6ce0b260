/*
 * How many programs of one user are in tunnels.
 *
 * Theory. Each program is a service of PID 1 (exec.h) in the user's slice, and lives on when the helper is restarted; so the
 * control groups are the list, and nothing is kept here that could become wrong. A program that was asked for a moment ago
 * has no group yet: the bound that is built on this is against many, not exact to the last one.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* At a time, of all tunnels together. Each is a service more for PID 1 to look after, and three processes. */
#define PROGRAMS_PER_USER 256U

/* cgroups: "/sys/fs/cgroup". 0 where there are none, or where they cannot be read. */
size_t program_count(const char *cgroups, uid_t uid);
