/* What the helper keeps of root's capabilities. */
#pragma once

/*
 * Empties all capability sets, the bounding set too, but for those that the helper needs (the table in privileges.c), and
 * sets no_new_privs. What a container withheld stays away. 0 or -errno.
 */
int privileges_reduce(void);
