/*
 * Refuses services that systemd would start somewhere else than in their tunnel.
 *
 * Theory. PrivateNetwork= fails open: where PID 1 may not make or enter a namespace it logs a line and starts the service
 * outside. And JoinsNamespaceOf= gives a service that starts before its anchor a namespace of its own, without error. So a
 * drop-in has systemd run this first (`nsvpn unit guard NAME`), with the service's network namespace and root's rights. It
 * asks the kernel three things and no file: is my namespace the one that is pinned as the tunnel's, is it another one than
 * PID 1's, does the lock hold in it.
 */
#include "launch/guard.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/places.h"
#include "base/str.h"
#include "launch/lock.h"

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int refuse(char **ret_error, int r, char *sentence)
{
	*ret_error = sentence;
	return sentence ? r : -ENOMEM;
}

static int check_place(const char *tunnel, const char *path, char **ret_error)
{
	struct stat own, first, pinned;
	int r;

	if (stat("/proc/self/ns/net", &own) < 0 || stat("/proc/1/ns/net", &first) < 0) {
		r = -errno;
		return refuse(ret_error, r,
			      str_format("the kernel does not say which network namespace this is (%s), so nothing is started in it",
					 strerror(-r)));
	}
	if (is_same(&own, &first))
		return refuse(ret_error, -EPERM,
			      str_format("this is the machine's own network, not tunnel %s; the service is not started (`nsvpn unit add` "
					 "writes the settings that bring it there)",
					 tunnel));
	if (stat(path, &pinned) < 0) {
		r = -errno;
		return refuse(ret_error, r,
			      str_format("%s cannot be looked at (%s): tunnel %s is not up; `systemctl start nsvpn@%s`", path,
					 strerror(-r), tunnel, tunnel));
	}
	if (!is_same(&own, &pinned))
		return refuse(ret_error, -EPERM,
			      str_format("this network namespace is not that of tunnel %s, so the service is not started: nsvpn@%s.service "
					 "was not active when it was made (BindsTo= and After= are missing?), or systemd mixed them up; "
					 "`systemctl restart nsvpn@%s`",
					 tunnel, tunnel, tunnel));
	return 0;
}

int guard_verify(const char *tunnel, char **ret_error)
{
	_cleanup_(freep) char *path = place_netns(tunnel);
	int r;

	if (!path)
		return -ENOMEM;
	r = check_place(tunnel, path, ret_error);
	if (r < 0)
		return r;
	r = lock_verify();
	if (r == -ENOENT || r == -EPERM)
		return refuse(ret_error, r,
			      str_format("%s is not locked, so the service is not started; `systemctl restart nsvpn-netns@%s` builds it again",
					 path, tunnel));
	if (r < 0)
		return refuse(ret_error, r,
			      str_format("the kernel does not say whether %s is locked (%s), so the service is not started", path,
					 strerror(-r)));
	return 0;
}
