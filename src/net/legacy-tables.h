/*
 * The older firewall of the kernel, which iptables-legacy drives and nftables does not show. Only one thing is read: what
 * becomes of forwarded packets that no rule of theirs took.
 */
#pragma once

#include <stddef.h>

#include "base/macro.h"

/*
 * family: AF_INET or AF_INET6, in the caller's network namespace. 1: the policy of FORWARD is DROP; 0: it is not, or there
 * is no such table (asking does not make the kernel build one); -errno: it cannot be read.
 */
int legacy_forward_drops(int family);

/* The same from what the kernel answered: the table's entries, and where FORWARD's policy stands. -EBADMSG. */
int legacy_policy_drops(int family, const void *entries, size_t size, size_t policy_offset);
