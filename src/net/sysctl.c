/* Small numbers in /proc/sys/net. */
#include "net/sysctl.h"

#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/str.h"

#define SYSCTL_ROOT "/proc/sys/net/"

static char *full_path(const char *path)
{
	return str_format(SYSCTL_ROOT "%s", path);
}

int sysctl_read(const char *path, uint32_t *ret)
{
	_cleanup_(freep) char *full = full_path(path);
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r;

	if (!full)
		return -ENOMEM;
	r = file_read(AT_FDCWD, full, 64, &text, &len);
	if (r < 0)
		return r;
	return parse_u32(str_trim(text), 0, UINT32_MAX, ret);
}

int sysctl_write(const char *path, uint32_t value)
{
	_cleanup_(freep) char *full = full_path(path);
	_cleanup_(closep) int fd = -EBADF;
	char text[16];
	uint32_t now;
	int r;

	if (!full)
		return -ENOMEM;
	r = sysctl_read(path, &now);
	if (r < 0)
		return r;
	if (now == value)
		return 0;
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)snprintf(text, sizeof(text), "%u\n", value); /* fits */
	r = fd_write_full(fd, text, strlen(text));
	return r < 0 ? r : 1;
}

bool sysctl_exists(const char *path)
{
	uint32_t v;

	return sysctl_read(path, &v) == 0;
}

bool sysctl_have_ipv6(void)
{
	return access(SYSCTL_ROOT "ipv6/conf/all", F_OK) == 0;
}
