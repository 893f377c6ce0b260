/* Proof that the network namespace we stand in is a locked one; asked of the kernel, not of a file. */
#pragma once

/*
 * Looks at the nftables of the calling thread's network namespace: table inet "nsvpn" must have a chain "output" on the
 * output hook whose policy is drop. 0 when it has; -ENOENT (no such table or chain), -EPERM (it would let packets pass)
 * or another -errno (the kernel could not be asked): then no program may be started here.
 */
int lock_verify(void);
