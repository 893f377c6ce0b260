/*
 * The list of what a program in a tunnel sees in place of the host's files.
 *
 * Theory. resolv.conf alone does not isolate names: glibc also asks systemd-resolved over a varlink socket, nscd over
 * its socket and avahi over another, and these are paths in the file system, which a network namespace does not
 * separate. So the two files are replaced (nsswitch.conf says `hosts: files dns`) and the folders of the three services
 * are covered. Folders and not sockets: a service that starts again makes a new socket, which nothing would cover.
 * systemd-resolved's folder also holds the files that /etc/resolv.conf is often a link to, so they are put back, as ours.
 *
 * What else answers names, and why it is not here:
 *
 *   sssd, winbind   their sockets also serve users and groups, which programs need; hosts are asked of them only where
 *                   nsswitch.conf says so (sss, wins), and ours does not
 *   nss-mymachines, nss-myhostname   local names only, of nsswitch.conf too, and no packet leaves for them
 *   nss-mdns        asks avahi, which is covered; its own multicast is refused by the inner lock
 *   org.freedesktop.resolve1   a service on the system bus: a program has to ask it on purpose (`resolvectl query`).
 *                   The bus cannot be taken from every program; --isolate does
 */
#include "profile/binds.h"

static const struct bind table[] = {
	{ BIND_FILE, "resolv.conf", "/etc/resolv.conf", "names are asked of the tunnel's servers, not of the host's" },
	{ BIND_FILE, "nsswitch.conf", "/etc/nsswitch.conf",
	  "host names come from files and DNS only, not from services that live outside" },
	{ BIND_MASK_DIR, NULL, "/run/systemd/resolve", "systemd-resolved would ask outside of the tunnel" },
	{ BIND_FILE, "resolv.conf", "/run/systemd/resolve/stub-resolv.conf", "what /etc/resolv.conf may be a link to" },
	{ BIND_FILE, "resolv.conf", "/run/systemd/resolve/resolv.conf", "the same" },
	/* libc asks nscd before anything else, also one that starts after the program */
	{ BIND_MASK_DIR, NULL, "/run/nscd", "nscd would ask outside of the tunnel", .make = true },
	{ BIND_MASK_DIR, NULL, "/run/avahi-daemon", "avahi would ask in the local network" },
};

const struct bind *binds_table(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(table);
	return table;
}
