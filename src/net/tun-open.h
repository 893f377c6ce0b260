/* The tun device of a tunnel. */
#pragma once

#include "base/macro.h"

#define TUN_OFFLOAD_VNET_HDR (1u << 0)
#define TUN_OFFLOAD_TSO (1u << 1)
#define TUN_OFFLOAD_USO (1u << 2)

/* Makes the device in the namespace: down, without address. The device lives as long as *ret_fd or a copy is open. */
int tun_open(int netns_fd, const char *ifname, bool tap, int *ret_fd, unsigned *ret_offload);
