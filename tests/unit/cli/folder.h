/* A configuration folder of a test's own, under a temporary one that NSVPN_ETC names (heard for root only). */
#pragma once

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder_path[64];

static inline void folder_write(const char *name, const char *text)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder_path, name);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static inline void folder_remove(void)
{
	char command[128];

	if (!folder_path[0])
		return;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder_path);
	(void)!system(command);
}

static inline void folder_make(void)
{
	char run[96];

	if (geteuid() != 0)
		cr_skip_test("NSVPN_ETC is heard for root only");
	(void)snprintf(folder_path, sizeof(folder_path), "/tmp/nsvpn-test-XXXXXX");
	cr_assert(mkdtemp(folder_path));
	(void)atexit(folder_remove);
	(void)snprintf(run, sizeof(run), "%s/run", folder_path);
	cr_assert(setenv("NSVPN_ETC", folder_path, 1) == 0 && setenv("NSVPN_RUN", run, 1) == 0);
	unsetenv("SUDO_UID");
}

static inline void folder_add_tunnel(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/tunnels", folder_path);
	(void)mkdir(path, 0755); /* there after the first */
	(void)snprintf(path, sizeof(path), "%s/tunnels/%s", folder_path, name);
	cr_assert(mkdir(path, 0700) == 0);
}
