/* /proc/sys/net, of the calling thread's namespace. Paths are relative to it: "ipv4/conf/eth0/forwarding". */
#pragma once

#include "base/macro.h"

/* -ENOENT: this kernel or interface has none. */
int sysctl_read(const char *path, uint32_t *ret);
/* Writes only when the value differs. 1: written, 0: was so already, -errno. */
int sysctl_write(const char *path, uint32_t value);
bool sysctl_exists(const char *path);
/* The kernel speaks IPv6 at all. */
bool sysctl_have_ipv6(void);
