/* Where things are. The environment is heard only for root, and only where the kernel did not raise our privilege. */
#include "base/places.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#ifndef NSVPN_LIBEXECDIR
#define NSVPN_LIBEXECDIR "/usr/local/libexec/nsvpn"
#endif

/* The variable's folder copied to buf without trailing slashes, or fallback. */
static const char *place(const char *variable, const char *fallback, char buf[PATH_MAX])
{
	const char *value = geteuid() == 0 ? secure_getenv(variable) : NULL;
	size_t n;

	if (!value || value[0] != '/' || !str_copy(buf, PATH_MAX, value))
		return fallback;
	for (n = strlen(buf); n && buf[n - 1] == '/'; n--)
		buf[n - 1] = '\0';
	return n ? buf : fallback;
}

const char *place_etc(void)
{
	static char buf[PATH_MAX];

	return place("NSVPN_ETC", "/etc/nsvpn", buf);
}

const char *place_run(void)
{
	static char buf[PATH_MAX];

	return place("NSVPN_RUN", "/run/nsvpn", buf);
}

const char *place_state(void)
{
	static char buf[PATH_MAX];

	return place("NSVPN_STATE", "/var/lib/nsvpn", buf);
}

char *place_tunnel_etc(const char *name)
{
	return str_format("%s/tunnels/%s", place_etc(), name);
}

char *place_tunnel_run(const char *name)
{
	return str_format("%s/%s", place_run(), name);
}

char *place_netns(const char *name)
{
	return str_format("/run/netns/%s", name);
}

char *place_program(const char *name)
{
	char self[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash) {
			_cleanup_(freep) char *path = NULL;

			*slash = '\0';
			path = str_format("%s/%s", self, name);
			if (!path)
				return NULL;
			if (access(path, X_OK) == 0)
				return TAKE_PTR(path);
		}
	}
	return str_format("%s/%s", NSVPN_LIBEXECDIR, name);
}
