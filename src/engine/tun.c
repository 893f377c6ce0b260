/* Reads and writes of the tun descriptor. Whoever opened the device chose the header; here it is only carried along. */
#include "engine/tun.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ipc/ipc-msg.h"

void tun_init(struct tun *t, int fd, unsigned offload, bool tap)
{
	*t = (struct tun){
		.fd = fd,
		.vnet = offload & IPC_TUN_VNET_HDR,
		.merge = !tap && (offload & IPC_TUN_VNET_HDR) && (offload & IPC_TUN_TSO),
		.merge_udp = !tap && (offload & IPC_TUN_VNET_HDR) && (offload & IPC_TUN_USO),
		.frames = tap,
	};
}

ssize_t tun_read(const struct tun *t, uint8_t *p, struct virtio_net_hdr *ret_vnet)
{
	size_t head = t->vnet ? TUN_HEADROOM : 0;
	ssize_t n;

	do
		n = read(t->fd, p - head, TUN_PACKET_MAX + head);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n < head)
		return -EIO;
	if (head)
		memcpy(ret_vnet, p - head, head);
	else
		memset(ret_vnet, 0, sizeof(*ret_vnet));
	return n - (ssize_t)head;
}

int tun_write(const struct tun *t, const struct virtio_net_hdr *vnet, uint8_t *p, size_t len)
{
	size_t head = t->vnet ? TUN_HEADROOM : 0;
	ssize_t n;

	if (head)
		memcpy(p - head, vnet, head);
	do
		n = write(t->fd, p - head, len + head);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
