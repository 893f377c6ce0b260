/* The lock of the runtime folder; theory in run-lock.h. */
#include "daemon/run-lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

#define LOCK_PATIENCE 200 /* times LOCK_STEP: for a helper that is on its way out */
#define LOCK_STEP (10 * USEC_PER_MSEC)

/* Whether a helper answers on the socket: then the lock is not on its way to us. */
static bool somebody_listens(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && str_copy(sa.sun_path, sizeof(sa.sun_path), path) &&
	       connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
}

/* The lock counts only on the file that has the name: the last owner may just have removed it. */
static int try_lock(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat mine, named;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (fstat(fd, &mine) < 0)
		return -errno;
	if (stat(path, &named) < 0 || mine.st_ino != named.st_ino || mine.st_dev != named.st_dev)
		return -EAGAIN;
	return TAKE_FD(fd);
}

int run_lock_take(const char *lock_path, const char *socket_path)
{
	int fd = -EAGAIN;

	for (unsigned i = 0; i < LOCK_PATIENCE; i++) {
		fd = try_lock(lock_path);
		if (fd != -EAGAIN || somebody_listens(socket_path))
			break;
		(void)usleep(LOCK_STEP); /* interrupted is as good */
	}
	return fd;
}
