/* Where things are. The environment is heard only for root and for a rootless user; theory in places.h. */
#include "base/places.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/str.h"

#ifndef NSVPN_LIBEXECDIR
#define NSVPN_LIBEXECDIR "/usr/local/libexec/nsvpn"
#endif

/* Not a tunnel's name, so nothing of a tunnel lies there. */
#define ROOTLESS_STATE ".state"
#define ROOTLESS_NETNS ".netns"
#define ROOTLESS_PASSING ".passing"

static struct {
	bool is_on;
	char etc[PATH_MAX], run[PATH_MAX], state[PATH_MAX];
} rootless;

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

	return rootless.is_on ? rootless.etc : place("NSVPN_ETC", "/etc/nsvpn", buf);
}

const char *place_run(void)
{
	static char buf[PATH_MAX];

	return rootless.is_on ? rootless.run : place("NSVPN_RUN", "/run/nsvpn", buf);
}

const char *place_state(void)
{
	static char buf[PATH_MAX];

	return rootless.is_on ? rootless.state : place("NSVPN_STATE", "/var/lib/nsvpn", buf);
}

char *place_passing(void)
{
	return str_format("%s/" ROOTLESS_PASSING, place_run());
}

char *place_tunnel_etc(const char *name)
{
	_cleanup_(freep) char *passing = rootless.is_on ? place_passing() : NULL, *path = NULL;

	if (rootless.is_on) {
		path = passing ? str_format("%s/tunnels/%s", passing, name) : NULL;
		if (!path)
			return NULL;
		if (access(path, F_OK) == 0)
			return TAKE_PTR(path);
	}
	return str_format("%s/tunnels/%s", place_etc(), name);
}

char *place_tunnel_run(const char *name)
{
	return str_format("%s/%s", place_run(), name);
}

char *place_netns(const char *name)
{
	return rootless.is_on ? str_format("%s/" ROOTLESS_NETNS "/%s", rootless.run, name) : str_format("/run/netns/%s", name);
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

/* ---- rootless ---- */

bool place_is_rootless(void)
{
	return rootless.is_on;
}

bool place_is_ours(void)
{
	return rootless.is_on || geteuid() == 0;
}

static const char *absolute_variable(const char *name)
{
	const char *value = secure_getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

/* The user's own and nobody else's: tunnels' secrets and the helper's socket will lie there. */
static int check_runtime_dir(const char *path, char **ret_error)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		*ret_error = str_format("the runtime folder %s (XDG_RUNTIME_DIR) cannot be used: %s; log in again, or set the variable to "
					"a folder of your own with mode 0700",
					path, strerror(errno));
		return -ENOENT;
	}
	if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077))
		return 0;
	*ret_error = str_format("the runtime folder %s (XDG_RUNTIME_DIR) is not a folder that you alone may enter; `chmod 700` it, or "
				"set the variable to one that is",
				path);
	return -EPERM;
}

static int find_runtime_dir(char ret[static PATH_MAX], char **ret_error)
{
	const char *set = absolute_variable("XDG_RUNTIME_DIR");
	struct stat st;

	if (set) {
		if (!str_copy(ret, PATH_MAX, set))
			return -ENAMETOOLONG;
		return check_runtime_dir(ret, ret_error);
	}
	/* sudo and su take the variable away, logind's folder is there all the same. */
	(void)snprintf(ret, PATH_MAX, "/run/user/%u", (unsigned)geteuid());
	if (stat(ret, &st) == 0)
		return check_runtime_dir(ret, ret_error);
	*ret_error = str_format("XDG_RUNTIME_DIR is not set and %s is not there, so there is no place for a tunnel's files; make a folder "
				"(`mktemp -d`) and set the variable to it",
				ret);
	return -ENOENT;
}

/* $XDG_CONFIG_HOME, or ~/.config. */
static int find_config_dir(char ret[static PATH_MAX], char **ret_error)
{
	const char *set = absolute_variable("XDG_CONFIG_HOME"), *home = absolute_variable("HOME");
	const struct passwd *pw = set || home ? NULL : getpwuid(geteuid());
	int n;

	if (pw && pw->pw_dir && pw->pw_dir[0] == '/')
		home = pw->pw_dir;
	if (!set && !home) {
		*ret_error = strdup("neither XDG_CONFIG_HOME nor HOME names a folder; set HOME to yours");
		return -ENOENT;
	}
	n = set ? snprintf(ret, PATH_MAX, "%s/nsvpn", set) : snprintf(ret, PATH_MAX, "%s/.config/nsvpn", home);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int places_use_rootless(char **ret_error)
{
	char base[PATH_MAX];
	int n, r;

	if (rootless.is_on)
		return 0;
	r = find_runtime_dir(base, ret_error);
	if (r >= 0)
		r = find_config_dir(rootless.etc, ret_error);
	if (r < 0)
		return r;
	n = snprintf(rootless.run, sizeof(rootless.run), "%s/nsvpn", base);
	if (n < 0 || (size_t)n >= sizeof(rootless.run))
		return -ENAMETOOLONG;
	n = snprintf(rootless.state, sizeof(rootless.state), "%s/nsvpn/" ROOTLESS_STATE, base);
	if (n < 0 || (size_t)n >= sizeof(rootless.state))
		return -ENAMETOOLONG;
	rootless.is_on = true;
	return 0;
}
