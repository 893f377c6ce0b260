/*
 * The helper is started by root and keeps of root's powers only those of this table, so that a mistake in it cannot load a
 * module, open a raw device or read a file that root's permissions do not show. Children (the engine, the resolver) can only
 * have less. no_new_privs costs nothing: what is started gets its rights as ambient capabilities, never from a file.
 */
#include "daemon/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"

static const struct {
	int cap;
	const char *why;
} kept[] = {
	{ CAP_NET_ADMIN, "links, addresses, routes, nftables, the mark of a socket, sysctls of a network namespace" },
	{ CAP_SYS_ADMIN, "entering and pinning namespaces, mounts" },
	{ CAP_SYS_CHROOT, "joining the mounts of PID 1, where a service pins its namespaces" },
	{ CAP_SYS_PTRACE, "which processes of other users are in a tunnel's namespace" },
	{ CAP_KILL, "stopping an engine, `down --kill`" },
	{ CAP_SETUID, "engine and resolver become another user" },
	{ CAP_SETGID, "the same" },
	{ CAP_SETPCAP, "the engine empties its bounding set" },
	{ CAP_DAC_OVERRIDE, "starting the engine of a build tree that other users may not enter" },
};

int privileges_reduce(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[2], keep[2] = { 0 };

	if (syscall(SYS_capget, &header, have) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		keep[kept[i].cap / 32].permitted |= 1U << (kept[i].cap % 32);
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (cap < 64 && (keep[cap / 32].permitted & 1U << (cap % 32)))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	}
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++)
		keep[i].effective = keep[i].permitted &= have[i].permitted;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || syscall(SYS_capset, &header, keep) < 0)
		return -errno;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}
