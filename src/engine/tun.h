/* The tun descriptor: one packet or super-packet per call, with the vnet header in front when the device has one. */
#pragma once

#include <sys/types.h>

#include "engine/gso.h"

/* Bytes in front of a packet that tun_read() and tun_write() use for the vnet header. */
#define TUN_HEADROOM sizeof(struct virtio_net_hdr)
#define TUN_PACKET_MAX 65536

struct tun {
	int fd;       /* borrowed */
	bool vnet;    /* IFF_VNET_HDR is set: every read and write has the header */
	bool merge;   /* super-packets may be written */
	bool merge_udp;
	bool frames;  /* a tap: Ethernet frames, each for itself */
};

/* offload: IPC_TUN_* flags that the helper set the device up with; tap: it carries Ethernet. */
void tun_init(struct tun *t, int fd, unsigned offload, bool tap);

/* Reads one packet to p (room for TUN_PACKET_MAX, and TUN_HEADROOM before). Its length, -EAGAIN, -errno. */
ssize_t tun_read(const struct tun *t, uint8_t *p, struct virtio_net_hdr *ret_vnet);

/* Writes one packet; the TUN_HEADROOM bytes before p are overwritten. 0 or -errno. */
int tun_write(const struct tun *t, const struct virtio_net_hdr *vnet, uint8_t *p, size_t len);
