/*
 * NetworkManager and systemd-networkd configure links that appear, unless a file tells them not to. Those files come with
 * `make install` and the package (units/).
 */
#include <dirent.h>
#include <string.h>

#include "base/str.h"
#include "cli/doctor.h"

static const struct manager {
	const char *name;
	const char *command;  /* the kernel's name of its process */
	const char *files[8]; /* any of them will do */
	const char *text;     /* of such a file */
} managers[] = {
	{ "NetworkManager", "NetworkManager",
	  { "/etc/NetworkManager/conf.d/50-nsvpn.conf", "/usr/lib/NetworkManager/conf.d/50-nsvpn.conf",
	    "/run/NetworkManager/conf.d/50-nsvpn.conf" },
	  "[device-nsvpn] match-device=interface-name:nv-* managed=0" },
	{ "systemd-networkd", "systemd-network",
	  { "/etc/systemd/network/05-nsvpn.network", "/run/systemd/network/05-nsvpn.network",
	    "/usr/local/lib/systemd/network/05-nsvpn.network", "/usr/lib/systemd/network/05-nsvpn.network",
	    "/lib/systemd/network/05-nsvpn.network" },
	  "[Match] Name=nv-* [Link] Unmanaged=yes" },
};

static bool runs(const struct doctor *d, const char *command)
{
	_cleanup_(freep) char *path = str_format("%s/proc", d->root);
	DIR *dir = path ? opendir(path) : NULL;
	bool found = false;

	for (struct dirent *e; dir && !found && (e = readdir(dir));) {
		_cleanup_(freep) char *comm = str_format("/proc/%s/comm", e->d_name), *text = NULL;

		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		text = comm ? doctor_read(d, comm) : NULL;
		found = text && str_eq(str_trim(text), command);
	}
	if (dir)
		(void)closedir(dir); /* only read */
	return found;
}

void doctor_managers(struct doctor *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(managers); i++) {
		const struct manager *m = &managers[i];
		const char *file = doctor_first(d, m->files);
		_cleanup_(freep) char *remedy = NULL;

		if (!runs(d, m->command)) {
			findings_add(&d->found, FINDING_OK, "managers", m->name, NULL, "%s does not run", m->name);
		} else if (file) {
			findings_add(&d->found, FINDING_OK, "managers", m->name, NULL, "%s leaves the links of tunnels alone (%s)",
				     m->name, file);
		} else {
			remedy = str_format("make install, or make %s with the lines %s, and restart it", m->files[0], m->text);
			findings_add(&d->found, FINDING_WARNING, "managers", m->name, remedy,
				     "%s runs, and no file tells it to leave links named nv-* alone; it may give them addresses and "
				     "routes", m->name);
		}
	}
}
