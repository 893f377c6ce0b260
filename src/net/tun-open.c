/* Opening /dev/net/tun with as much offload as the kernel has. */
#include "net/tun-open.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "net/netns.h"

/* Linux 6.2; older headers lack them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define VNET_HDR_LEN 10 /* struct virtio_net_hdr without num_buffers */

struct opening {
	const char *ifname;
	bool tap;
	int fd;
	unsigned offload;
};

static int attach(int fd, const char *ifname, short flags)
{
	struct ifreq req = { .ifr_flags = flags };

	if (!str_copy(req.ifr_name, sizeof(req.ifr_name), ifname))
		return -EINVAL;
	return ioctl(fd, TUNSETIFF, &req) < 0 ? -errno : 0;
}

static unsigned set_offload(int fd)
{
	static const struct {
		unsigned long flags;
		unsigned bits;
	} tries[] = {
		{ TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6, TUN_OFFLOAD_TSO | TUN_OFFLOAD_USO },
		{ TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, TUN_OFFLOAD_TSO },
		{ TUN_F_CSUM, 0 },
	};
	int len = VNET_HDR_LEN;

	/* The default is the same length; the call makes it certain. */
	(void)ioctl(fd, TUNSETVNETHDRSZ, &len);
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		if (ioctl(fd, TUNSETOFFLOAD, tries[i].flags) == 0)
			return TUN_OFFLOAD_VNET_HDR | tries[i].bits;
	return TUN_OFFLOAD_VNET_HDR;
}

static int open_in_place(void *userdata)
{
	struct opening *o = userdata;
	_cleanup_(closep) int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	if (o->tap) { /* frames are carried one by one: no offloads */
		r = attach(fd, o->ifname, IFF_TAP | IFF_NO_PI);
		if (r == 0)
			o->fd = TAKE_FD(fd);
		return r;
	}
	r = attach(fd, o->ifname, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	if (r == 0) {
		o->offload = set_offload(fd);
	} else if (r == -EINVAL) {
		r = attach(fd, o->ifname, IFF_TUN | IFF_NO_PI);
		o->offload = 0;
	}
	if (r < 0)
		return r;
	o->fd = TAKE_FD(fd);
	return 0;
}

int tun_open(int netns_fd, const char *ifname, bool tap, int *ret_fd, unsigned *ret_offload)
{
	struct opening o = { .ifname = ifname, .tap = tap, .fd = -EBADF };
	int r = netns_call(netns_fd, open_in_place, &o);

	if (r < 0)
		return r;
	*ret_fd = o.fd;
	*ret_offload = o.offload;
	return 0;
}
