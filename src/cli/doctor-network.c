/* Forwarding, reverse path filters, router advertisements: as they are, and what a tunnel would change. */
#include <dirent.h>
#include <string.h>

#include "base/str.h"
#include "cli/doctor.h"

static void forwarding(struct doctor *d)
{
	uint32_t v4 = 0, v6 = 0, value;

	(void)doctor_switch(d, "net/ipv4/ip_forward", &v4); /* not there: no IPv4 */
	(void)doctor_switch(d, "net/ipv6/conf/all/forwarding", &v6);
	findings_add(&d->found, FINDING_OK, "network", "forwarding", NULL,
		     v4 || v6 ? "this machine is a router (IPv4 %s, IPv6 %s); tunnels leave that as it is"
			      : "this machine is no router (IPv4 %s, IPv6 %s); tunnels forward for themselves only",
		     v4 ? "yes" : "no", v6 ? "yes" : "no");
	if (!doctor_exists(d, "/proc/sys/net/ipv6"))
		findings_add(&d->found, FINDING_NOTE, "network", "IPv6", NULL, "this kernel has no IPv6");
	else if (!v6 && !doctor_switch(d, "net/ipv6/conf/all/force_forwarding", &value))
		findings_add(&d->found, FINDING_NOTE, "network", "IPv6 forwarding", "use Linux 6.17 or later, or Uplink=socket",
			     "this kernel forwards IPv6 for all interfaces or none; a tunnel with uplink veth to an IPv6 server "
			     "switches it on, keeps router advertisements (accept_ra=2), and lets nobody else through");
}

/*
 * Of IPv4 "eth0 00000000 0104A8C0 ...": destination (word 1) and mask (7) are nothing; of IPv6 destination (0) and length (1),
 * and what leads to lo is the kernel's own "unreachable".
 */
static bool has_default(struct doctor *d, const char *path, unsigned dst, unsigned len)
{
	_cleanup_(freep) char *text = doctor_read(d, path);
	char *rest = text;

	for (char *line; rest && (line = strsep(&rest, "\n"));) {
		char *word[10] = { NULL };
		size_t n = 0;

		while (n < ARRAY_SIZE(word) && (word[n] = str_next_word(&line)))
			n++;
		if (n > len && strspn(word[dst], "0") == strlen(word[dst]) && strspn(word[len], "0") == strlen(word[len]) &&
		    !(n > 9 && str_eq(word[9], "lo")))
			return true;
	}
	return false;
}

static void way_out(struct doctor *d)
{
	bool v4 = has_default(d, "/proc/net/route", 1, 7), v6 = has_default(d, "/proc/net/ipv6_route", 0, 1);

	if (v4 || v6)
		findings_add(&d->found, FINDING_OK, "network", "default route", NULL, "this machine has a default route (IPv4 %s, IPv6 %s)",
			     v4 ? "yes" : "no", v6 ? "yes" : "no");
	else
		findings_add(&d->found, FINDING_WARNING, "network", "default route", "connect this machine to a network",
			     "this machine has no default route, so tunnels wait until there is a way to their servers");
}

static void one_interface(struct doctor *d, const char *name)
{
	_cleanup_(freep) char *ra_path = str_format("net/ipv6/conf/%s/accept_ra", name);
	_cleanup_(freep) char *forward_path = str_format("net/ipv6/conf/%s/forwarding", name);
	_cleanup_(freep) char *remedy = str_format("sysctl net.ipv6.conf.%s.accept_ra=2", name);
	uint32_t ra, forward;

	if (!ra_path || !forward_path || !doctor_switch(d, ra_path, &ra) || !doctor_switch(d, forward_path, &forward))
		return;
	if (forward == 1 && ra == 1)
		findings_add(&d->found, FINDING_NOTE, "network", name, remedy,
			     "%s forwards IPv6 and so ignores router advertisements; when its default route came from one, it will "
			     "run out", name);
}

static void advertisements(struct doctor *d)
{
	_cleanup_(freep) char *path = str_format("%s/proc/sys/net/ipv6/conf", d->root);
	DIR *dir = path ? opendir(path) : NULL;

	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_name[0] != '.' && !str_eq(e->d_name, "all") && !str_eq(e->d_name, "default") &&
		    !str_eq(e->d_name, "lo") && !str_has_prefix(e->d_name, "nv-"))
			one_interface(d, e->d_name);
	if (dir)
		(void)closedir(dir); /* only read */
}

static void reverse_path(struct doctor *d)
{
	uint32_t all = 0;

	if (!doctor_switch(d, "net/ipv4/conf/all/rp_filter", &all))
		return;
	findings_add(&d->found, FINDING_OK, "network", "rp_filter", NULL,
		     all == 1 ? "packets are checked against the way back (rp_filter=1); tunnels pass that"
			      : "packets are not checked strictly against the way back (rp_filter=%u)", all);
}

void doctor_network(struct doctor *d)
{
	way_out(d);
	forwarding(d);
	reverse_path(d);
	advertisements(d);
}
