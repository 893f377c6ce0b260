/*
 * The list of what a program in a tunnel sees in place of the host's files.
 *
 * Theory. resolv.conf alone does not isolate names: glibc also asks systemd-resolved over a varlink socket, nscd over
 * its socket and avahi over another, and these are paths in the file system, which a network namespace does not
 * separate. So the two files are replaced (nsswitch.conf says `hosts: files dns`) and the three sockets are covered.
 * Only the socket file of systemd-resolved is covered, not its folder: /etc/resolv.conf is often a link into it.
 */
#include "profile/binds.h"

static const struct bind table[] = {
	{ BIND_FILE, "resolv.conf", "/etc/resolv.conf", "names are asked of the tunnel's servers, not of the host's" },
	{ BIND_FILE, "nsswitch.conf", "/etc/nsswitch.conf",
	  "host names come from files and DNS only, not from services that live outside" },
	{ BIND_MASK_FILE, NULL, "/run/systemd/resolve/io.systemd.Resolve",
	  "systemd-resolved would ask outside of the tunnel" },
	{ BIND_MASK_DIR, NULL, "/run/nscd", "nscd would ask outside of the tunnel" },
	{ BIND_MASK_FILE, NULL, "/run/avahi-daemon/socket", "avahi would ask in the local network" },
};

const struct bind *binds_table(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(table);
	return table;
}
