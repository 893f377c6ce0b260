/* What the kernel lets this user do, and what it may do for speed. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "base/fd.h"
#include "base/process.h"
#include "base/str.h"
#include "cli/doctor.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* ---- user namespaces ---- */

static int enter_new(void *userdata _unused_)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? errno : 0;
}

/* Why it is refused, when a switch says so. */
static const struct {
	const char *name;
	uint32_t forbids;
	const char *remedy;
} userns_switches[] = {
	{ "user/max_user_namespaces", 0, "sysctl user.max_user_namespaces=15000" },
	{ "kernel/unprivileged_userns_clone", 0, "sysctl kernel.unprivileged_userns_clone=1" },
	{ "kernel/apparmor_restrict_unprivileged_userns", 1, "an AppArmor profile for nsvpnd with `userns,` (see examples/)" },
};

static void user_namespaces(struct doctor *d)
{
	uint32_t value;
	pid_t pid;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(userns_switches); i++) {
		if (!doctor_switch(d, userns_switches[i].name, &value) || value != userns_switches[i].forbids)
			continue;
		findings_add(&d->found, FINDING_NOTE, "kernel", "user namespaces", userns_switches[i].remedy,
			     "users cannot make user namespaces (/proc/sys/%s is %u), so `--rootless` does not work; tunnels of the "
			     "service do", userns_switches[i].name, value);
		return;
	}
	r = process_fork(enter_new, NULL, &pid, NULL);
	if (r >= 0)
		r = process_wait(pid);
	if (r == 0)
		findings_add(&d->found, FINDING_OK, "kernel", "user namespaces", NULL, "user namespaces work");
	else
		findings_add(&d->found, FINDING_NOTE, "kernel", "user namespaces", "use the tunnels of the service",
			     "a user namespace cannot be made here (%s), so `--rootless` does not work",
			     strerror(r < 0 ? -r : r));
}

/* ---- devices, modules, offload ---- */

static void tun_device(struct doctor *d)
{
	_cleanup_(freep) char *path = str_format("%s/dev/net/tun", d->root);
	_cleanup_(closep) int fd = path ? open(path, O_RDWR | O_CLOEXEC | O_NOCTTY) : -EBADF;

	if (fd >= 0)
		findings_add(&d->found, FINDING_OK, "kernel", "/dev/net/tun", NULL, "/dev/net/tun can be opened");
	else if (errno == ENOENT)
		findings_add(&d->found, FINDING_PROBLEM, "kernel", "/dev/net/tun",
			     "modprobe tun; in a container, pass /dev/net/tun in", "there is no /dev/net/tun");
	else
		findings_add(&d->found, errno == EACCES ? FINDING_NOTE : FINDING_PROBLEM, "kernel", "/dev/net/tun",
			     "chmod 666 /dev/net/tun, as udev does; in a container, allow the device",
			     "/dev/net/tun cannot be opened by you: %m");
}

static bool has_module(const struct doctor *d, const char *name)
{
	static const char *const lists[] = { "modules.builtin", "modules.dep" };
	_cleanup_(freep) char *loaded = str_format("/sys/module/%s", name), *word = str_format("/%s.ko", name);
	struct utsname u;

	if (loaded && doctor_exists(d, loaded))
		return true;
	for (size_t i = 0; word && i < ARRAY_SIZE(lists) && uname(&u) == 0; i++) {
		_cleanup_(freep) char *path = str_format("/lib/modules/%s/%s", u.release, lists[i]);
		_cleanup_(freep) char *text = path ? doctor_read(d, path) : NULL;

		if (text && strstr(text, word))
			return true;
	}
	return false;
}

static void data_paths(struct doctor *d)
{
	static const struct {
		const char *name, *what;
	} modules[] = { { "ovpn", "OpenVPN" }, { "wireguard", "WireGuard" } };

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		findings_add(&d->found, has_module(d, modules[i].name) ? FINDING_OK : FINDING_NOTE, "kernel", modules[i].name, NULL,
			     has_module(d, modules[i].name) ? "the kernel has a data path for %s"
							    : "the kernel has no data path for %s; the engine's own is used", modules[i].what);
}

static void offload(struct doctor *d)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int size = 1400, on = 1;
	bool gso = fd >= 0 && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) == 0;
	bool gro = fd >= 0 && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) == 0;

	if (gso && gro)
		findings_add(&d->found, FINDING_OK, "kernel", "UDP offload", NULL, "UDP segments are sent and received in batches");
	else
		findings_add(&d->found, FINDING_NOTE, "kernel", "UDP offload", "use Linux 5.0 or later",
			     "this kernel has no UDP %s, so tunnels are slower", gso ? "GRO" : gro ? "GSO" : "GSO and GRO");
}

void doctor_kernel(struct doctor *d)
{
	tun_device(d);
	user_namespaces(d);
	offload(d);
	data_paths(d);
}
