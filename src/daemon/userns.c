/* Into a user namespace; theory in userns.h. */
#include "daemon/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/str.h"
#include "daemon/survivors.h"

static bool entered;

/* ---- why not ------------------------------------------------------------------------------------------------------- */

/* The number in <proc>/sys/<name>; `missing` where this kernel has no such switch. */
static uint32_t read_switch(const char *proc, const char *name, uint32_t missing)
{
	_cleanup_(freep) char *path = str_format("%s/sys/%s", proc, name), *text = NULL;
	uint32_t value;
	size_t len;

	if (!path || file_read(AT_FDCWD, path, 64, &text, &len) < 0)
		return missing;
	return parse_u32(str_trim(text), 0, UINT32_MAX, &value) < 0 ? missing : value;
}

static bool has_user_namespaces(const char *proc)
{
	_cleanup_(freep) char *path = str_format("%s/self/ns/user", proc);

	return !path || access(path, F_OK) == 0;
}

char *userns_explain(const char *proc, int error)
{
	static const char service[] = "the service nsvpnd, which an administrator can install, needs no such permission";
	uint32_t max = read_switch(proc, "user/max_user_namespaces", 1);

	if (max == 0)
		return str_format("this system lets nobody make user namespaces (user.max_user_namespaces is 0), so there is no tunnel "
				  "without root; let the administrator set `sysctl user.max_user_namespaces=15000`, or use %s",
				  service);
	if (read_switch(proc, "kernel/unprivileged_userns_clone", 1) == 0)
		return str_format("this system lets only root make user namespaces (kernel.unprivileged_userns_clone is 0); let the "
				  "administrator set `sysctl kernel.unprivileged_userns_clone=1`, or use %s",
				  service);
	if (read_switch(proc, "kernel/apparmor_restrict_unprivileged_userns", 0) == 1)
		return str_format("AppArmor lets only programs with a profile use user namespaces here "
				  "(kernel.apparmor_restrict_unprivileged_userns is 1); let the administrator load the profile "
				  "examples/apparmor-nsvpnd (nsvpn(1), ROOTLESS), or use %s",
				  service);
	if (error == ENOSPC || error == EUSERS)
		return str_format("no further user namespace can be made (user.max_user_namespaces is %u): end programs that hold "
				  "some (browsers, containers), or let the administrator raise it",
				  (unsigned)max);
	if (error == ENOSYS || !has_user_namespaces(proc))
		return str_format("this kernel has no user namespaces (CONFIG_USER_NS); use %s", service);
	return str_format("a user namespace was refused (%s): a container's seccomp filter, a chroot or a security module forbids it; "
			  "use %s",
			  strerror(error), service);
}

static int check_tun(char **ret_error)
{
	_cleanup_(closep) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int r;

	if (fd >= 0)
		return 0;
	r = -errno;
	*ret_error = r == -ENOENT || r == -ENODEV ?
			     strdup("/dev/net/tun is not there, so no tunnel can be made; let the administrator run `modprobe tun`, or "
				    "start this container with `--device /dev/net/tun`") :
			     str_format("/dev/net/tun cannot be opened (%s), so no tunnel can be made without root; its mode should be "
					"0666, and a container must allow the device (`--device /dev/net/tun`)",
					strerror(-r));
	return r;
}

/* ---- entering ------------------------------------------------------------------------------------------------------- */

static int write_once(const char *path, const char *text)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

/* One line each, our own; the kernel wants the groups given up first. */
static int write_maps(uid_t uid, gid_t gid)
{
	char line[64];
	int r = write_once("/proc/self/setgroups", "deny");

	(void)snprintf(line, sizeof(line), "%u %u 1\n", (unsigned)uid, (unsigned)uid);
	if (r == 0)
		r = write_once("/proc/self/uid_map", line);
	(void)snprintf(line, sizeof(line), "%u %u 1\n", (unsigned)gid, (unsigned)gid);
	return r < 0 ? r : write_once("/proc/self/gid_map", line);
}

static int enter_again(const struct survivors *s)
{
	if (setns(s->user, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return -errno;
	return survivors_pin(s);
}

static int make_namespaces(uid_t uid, gid_t gid)
{
	int r;

	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	r = write_maps(uid, gid);
	if (r == 0 && unshare(CLONE_NEWNS) < 0)
		r = -errno;
	/* Where AppArmor takes the capabilities away, it shows here. */
	if (r == 0 && mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		r = -errno;
	return r;
}

int userns_enter(char **ret_error)
{
	struct survivors s = SURVIVORS_NONE;
	int r = check_tun(ret_error);

	if (r < 0)
		return r;
	r = survivors_find(&s, ret_error);
	if (r == 0)
		r = s.user >= 0 ? enter_again(&s) : make_namespaces(geteuid(), getegid());
	if (r < 0 && !*ret_error)
		*ret_error = userns_explain("/proc", -r);
	survivors_done(&s);
	entered = r == 0;
	return r;
}

int userns_open(void)
{
	int fd = entered ? open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC) : -1;

	return fd < 0 ? (entered ? -errno : -ENOTTY) : fd;
}

/* The kernel shows a process's namespaces only to those who have power over it, and we have none over what is outside. */
bool userns_is_inside(pid_t pid)
{
	char path[64];
	struct stat st;

	if (!entered)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	return stat(path, &st) == 0;
}
