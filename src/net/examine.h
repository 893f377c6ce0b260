/*
 * The part of `nsvpn doctor` that takes rights: what the kernel can do, who would drop a tunnel's packets, what is left of
 * tunnels that nobody looks after. Nothing is changed: the kernel is tried in a network namespace that ends with its child.
 */
#pragma once

#include "base/finding.h"

/* What tunnels need, tried for real. */
void examine_kernel(struct findings *f);
/* Everybody else's rules, for each configured tunnel: on the ways of its packets, of its exceptions, and of names. */
void examine_firewall(struct findings *f);
/* Folders that nsvpn writes into and cannot. */
void examine_places(struct findings *f);
/* Configured tunnels whose files cannot be used. */
void examine_profiles(struct findings *f);
/* The exceptions of the tunnels that stand, whoever looks after them. */
void examine_exceptions(struct findings *f);
/* is_alive: somebody looks after this tunnel now. NULL: nobody after any. */
void examine_leftovers(struct findings *f, bool (*is_alive)(void *userdata, const char *name), void *userdata);
