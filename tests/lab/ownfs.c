/*
 * A file system of one user's, as sshfs is: nobody else, root included, is let in.
 *
 *   ownfs MOUNTPOINT UID    mounts it (root), prints "ready", and serves it until it is killed: a folder with an empty folder
 *                           "sub" in it, and nothing else
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ROOT FUSE_ROOT_ID
#define SUB 2U

static uint32_t owner;

static void reply(int fd, uint64_t unique, int error, const void *data, size_t len)
{
	struct fuse_out_header h = { .len = (uint32_t)(sizeof(h) + len), .error = -error, .unique = unique };
	struct iovec v[] = { { &h, sizeof(h) }, { (void *)data, len } };

	if (writev(fd, v, 2) < 0 && errno != ENOENT) /* who asked has gone */
		exit(1);
}

static struct fuse_attr attr_of(uint64_t node)
{
	return (struct fuse_attr){ .ino = node, .mode = S_IFDIR | 0700, .nlink = 2, .uid = owner, .gid = owner, .blksize = 4096 };
}

static void serve(int fd, const struct fuse_in_header *in, const void *body)
{
	switch (in->opcode) {
	case FUSE_INIT: {
		const struct fuse_init_in *i = body;
		struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = i->minor, .max_write = 65536 };

		reply(fd, in->unique, 0, &out, sizeof(out));
		return;
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = { .attr = attr_of(in->nodeid) };

		reply(fd, in->unique, 0, &out, sizeof(out));
		return;
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out = { .nodeid = SUB, .attr = attr_of(SUB) };

		if (in->nodeid == ROOT && strcmp(body, "sub") == 0)
			reply(fd, in->unique, 0, &out, sizeof(out));
		else
			reply(fd, in->unique, ENOENT, NULL, 0);
		return;
	}
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		reply(fd, in->unique, ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static _Alignas(8) char buf[1 << 17];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[128];
	ssize_t n;

	if (argc != 3 || fd < 0) {
		fprintf(stderr, "ownfs: MOUNTPOINT UID, and /dev/fuse: %m\n");
		return 2;
	}
	owner = (uint32_t)strtoul(argv[2], NULL, 10);
	(void)snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fd, owner, owner);
	if (mount("ownfs", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		fprintf(stderr, "ownfs: %s: %m\n", argv[1]);
		return 1;
	}
	puts("ready");
	(void)fflush(stdout); /* the test sees that it is missing */
	while ((n = read(fd, buf, sizeof(buf))) > 0 || errno == EINTR || errno == ENOENT)
		if (n >= (ssize_t)sizeof(struct fuse_in_header))
			serve(fd, (const struct fuse_in_header *)buf, buf + sizeof(struct fuse_in_header));
	return 0;
}
