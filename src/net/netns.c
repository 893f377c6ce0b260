/* Namespaces, in threads that enter and end. */
#include "net/netns.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/str.h"
#include "net/tunnelnet.h"

#ifndef NSFS_MAGIC
#define NSFS_MAGIC 0x6e736673
#endif

/* netns_pin_for_all(): the mount namespace of PID 1. */
static int pin_mounts = -EBADF;

struct call {
	int netns_fd; /* < 0: a new namespace; NETNS_STAY: none of both */
	int (*fn)(void *userdata);
	void *userdata;
	int r;
};

#define NETNS_STAY INT_MIN

static int enter(int netns_fd)
{
	if (netns_fd == NETNS_STAY)
		return 0;
	return netns_fd >= 0 ? setns(netns_fd, CLONE_NEWNET) : unshare(CLONE_NEWNET);
}

static void *call_thread(void *userdata)
{
	struct call *c = userdata;

	if (enter(c->netns_fd) < 0)
		c->r = -errno;
	else
		c->r = c->fn(c->userdata);
	return NULL;
}

static int call(struct call *c)
{
	pthread_t thread;
	int r;

	r = -pthread_create(&thread, NULL, call_thread, c);
	if (r < 0)
		return r;
	(void)pthread_join(thread, NULL); /* cannot fail for a thread that we made */
	return c->r;
}

int netns_call(int netns_fd, int (*fn)(void *userdata), void *userdata)
{
	struct call c = { .netns_fd = netns_fd, .fn = fn, .userdata = userdata };

	return netns_fd < 0 ? -EBADF : call(&c);
}

static int open_checked(const char *path, int *ret_fd, uint64_t *ret_ino)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (fd < 0)
		return errno == ENXIO ? -ENOTTY : -errno;
	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (fs.f_type != NSFS_MAGIC)
		return -ENOTTY;
	*ret_ino = st.st_ino;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int netns_open(const char *path, int *ret_fd, uint64_t *ret_ino)
{
	return open_checked(path, ret_fd, ret_ino);
}

int netns_pin_for_all(void)
{
	struct stat ours, theirs;
	_cleanup_(closep) int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &theirs) < 0 || stat("/proc/self/ns/mnt", &ours) < 0)
		return -errno;
	if (ours.st_ino != theirs.st_ino)
		pin_mounts = TAKE_FD(fd);
	return 0;
}

/* In a thread that ends soon: mounts are joined by threads that share root and working folder with nobody. */
static int enter_pin_mounts(void)
{
	if (pin_mounts < 0)
		return 0;
	return unshare(CLONE_FS) < 0 || setns(pin_mounts, CLONE_NEWNS) < 0 ? -errno : 0;
}

static int bind_at(const char *path, const char *source)
{
	return mount(source, path, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

/* Runs in the thread that just got its own namespace. */
static int pin(void *userdata)
{
	int r = enter_pin_mounts();

	return r < 0 ? r : bind_at(userdata, "/proc/thread-self/ns/net");
}

static int make_file(const char *path)
{
	_cleanup_(freep) char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	int fd, r;

	if (!slash)
		return folder ? -EINVAL : -ENOMEM;
	*slash = '\0';
	r = dir_make(folder, 0755);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0444);
	if (fd < 0)
		return -errno;
	(void)fd_close(fd);
	return 0;
}

int netns_pin(const char *path, const char *source)
{
	int r = make_file(path);

	return r < 0 ? r : bind_at(path, source);
}

int netns_create(const char *path, int *ret_fd, uint64_t *ret_ino)
{
	struct call c = { .netns_fd = -EBADF, .fn = pin, .userdata = (void *)(uintptr_t)path };
	_cleanup_(closep) int fd = -EBADF;
	uint64_t ino;
	int r;

	if (open_checked(path, &fd, &ino) == 0)
		return -EEXIST;
	r = make_file(path);
	if (r == 0)
		r = call(&c);
	if (r == 0)
		r = open_checked(path, &fd, &ino);
	if (r < 0) {
		(void)netns_unpin(path); /* r is the error to report */
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	*ret_ino = ino;
	return 0;
}

static int unpin(void *userdata)
{
	const char *path = userdata;
	int r = enter_pin_mounts();

	if (r < 0)
		return r;
	/*
	 * Detached: a launcher that is just looking at it keeps its own reference. EINVAL: not mounted. EPERM: who may not
	 * unmount could not mount either, and the file goes, unless it is mounted on.
	 */
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		r = -errno;
	if (r < 0 && r != -EPERM)
		return r;
	if (unlink(path) == 0 || errno == ENOENT)
		return 0;
	return r < 0 ? r : -errno;
}

int netns_unpin(const char *path)
{
	struct call c = { .netns_fd = NETNS_STAY, .fn = unpin, .userdata = (void *)(uintptr_t)path };
	_cleanup_(freep) char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	int r;

	if (!slash)
		return folder ? -EINVAL : -ENOMEM;
	r = call(&c);
	if (r < 0)
		return r;
	*slash = '\0';
	(void)rmdir(folder); /* only when empty and no mount point: then nobody misses it */
	return 0;
}

static bool lives_in(const char *pid, uint64_t ino)
{
	char path[64];
	struct stat st;

	return snprintf(path, sizeof(path), "/proc/%s/ns/net", pid) < (int)sizeof(path) && stat(path, &st) == 0 &&
	       st.st_ino == ino;
}

static void read_comm(struct netproc *p)
{
	_cleanup_(freep) char *path = str_format("/proc/%d/comm", (int)p->pid);
	_cleanup_(freep) char *text = NULL;
	size_t len;

	if (!path || file_read(AT_FDCWD, path, 256, &text, &len) < 0)
		return; /* it just ended: a pid without name */
	str_trim(text);
	(void)str_copy(p->comm, sizeof(p->comm), text);
}

int netns_processes(uint64_t ino, pid_t except, struct netproc **ret, size_t *ret_n)
{
	_cleanup_(freep) struct netproc *v = NULL;
	size_t n = 0;
	DIR *d = opendir("/proc");

	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));) {
		struct netproc *bigger;
		uint32_t pid;

		if (parse_u32(e->d_name, 1, INT32_MAX, &pid) < 0 || (pid_t)pid == except || !lives_in(e->d_name, ino))
			continue;
		bigger = reallocarray(v, n + 1, sizeof(*v));
		if (!bigger) {
			(void)closedir(d); /* only read */
			return -ENOMEM;
		}
		v = bigger;
		v[n] = (struct netproc){ .pid = (pid_t)pid };
		read_comm(&v[n++]);
	}
	(void)closedir(d); /* only read */
	*ret = TAKE_PTR(v);
	*ret_n = n;
	return 0;
}
