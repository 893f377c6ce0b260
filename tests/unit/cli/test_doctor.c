/* Machines as folders: what `nsvpn doctor` says of each. */
#include "cli/doctor.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"

static char root[64];
static struct doctor doctor;

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_)
{
	return remove(path);
}

static void begin(void)
{
	(void)strcpy(root, "/tmp/nsvpn-doctor-XXXXXX");
	cr_assert(mkdtemp(root));
	doctor = (struct doctor){ .root = root };
}

static void end(void)
{
	doctor_done(&doctor);
	if (root[0])
		(void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(doctor, .init = begin, .fini = end);

static void put(const char *path, const char *text)
{
	_cleanup_(freep) char *full = str_format("%s%s", root, path), *dir = strdup(full);

	*strrchr(dir, '/') = '\0';
	cr_assert_eq(dir_make(dir, 0755), 0);
	cr_assert_eq(file_write_inplace(full, text, strlen(text), 0644), 0);
}

static const struct finding *about(const char *object)
{
	for (size_t i = 0; i < doctor.found.n; i++)
		if (str_eq(doctor.found.v[i].object, object))
			return &doctor.found.v[i];
	return NULL;
}

static void must_say(const char *object, enum finding_level level, const char *words)
{
	const struct finding *f = about(object);

	cr_assert(f, "nothing about %s", object);
	cr_assert_eq(f->level, level, "%s: %s: %s", object, finding_level_to_string(f->level), f->text);
	cr_assert(strstr(f->text, words), "%s: %s", object, f->text);
}

Test(doctor, names_that_other_programs_answer)
{
	put("/etc/resolv.conf", "nameserver 192.0.2.53\n");
	put("/etc/nsswitch.conf", "passwd: files sss\n# hosts: nis\nhosts: files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL = return] dns # wins\n");
	put("/run/nscd/socket", "");
	doctor_names(&doctor);
	must_say("/etc/resolv.conf", FINDING_OK, "names a name server");
	must_say("/etc/nsswitch.conf", FINDING_NOTE, "mdns4_minimal (avahi), resolve (systemd-resolved);");
	must_say("nscd", FINDING_NOTE, "covered");
	cr_assert_null(about("avahi"));
}

Test(doctor, names_of_a_plain_machine)
{
	put("/etc/resolv.conf", "# nothing\n");
	put("/etc/nsswitch.conf", "hosts: files dns\n");
	doctor_names(&doctor);
	must_say("/etc/resolv.conf", FINDING_NOTE, "127.0.0.1");
	must_say("/etc/nsswitch.conf", FINDING_OK, "the resolver");
}

Test(doctor, names_where_files_are_missing)
{
	doctor_names(&doctor);
	must_say("/etc/resolv.conf", FINDING_WARNING, "cannot be read");
	must_say("/etc/nsswitch.conf", FINDING_OK, "no hosts line");
}

Test(doctor, managers_that_run_without_our_files)
{
	put("/proc/1/comm", "systemd\n");
	put("/proc/77/comm", "NetworkManager\n");
	put("/proc/78/comm", "systemd-network\n");
	put("/usr/lib/systemd/network/05-nsvpn.network", "");
	doctor_managers(&doctor);
	must_say("NetworkManager", FINDING_WARNING, "no file tells it");
	cr_assert(strstr(about("NetworkManager")->remedy, "match-device=interface-name:nv-*"));
	must_say("systemd-networkd", FINDING_OK, "/usr/lib/systemd/network/05-nsvpn.network");
}

Test(doctor, managers_that_do_not_run)
{
	put("/proc/1/comm", "systemd\n");
	doctor_managers(&doctor);
	must_say("NetworkManager", FINDING_OK, "does not run");
	must_say("systemd-networkd", FINDING_OK, "does not run");
}

Test(doctor, forwarding_of_all_or_none)
{
	put("/proc/sys/net/ipv4/ip_forward", "0\n");
	put("/proc/sys/net/ipv6/conf/all/forwarding", "0\n");
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "1\n");
	doctor_network(&doctor);
	must_say("forwarding", FINDING_OK, "no router");
	must_say("IPv6 forwarding", FINDING_NOTE, "accept_ra=2");
	must_say("rp_filter", FINDING_OK, "rp_filter=1");
}

Test(doctor, a_router_that_is_deaf_for_advertisements)
{
	put("/proc/sys/net/ipv4/ip_forward", "1\n");
	put("/proc/sys/net/ipv6/conf/all/forwarding", "1\n");
	put("/proc/sys/net/ipv6/conf/eth0/forwarding", "1\n");
	put("/proc/sys/net/ipv6/conf/eth0/accept_ra", "1\n");
	put("/proc/sys/net/ipv6/conf/eth1/forwarding", "1\n");
	put("/proc/sys/net/ipv6/conf/eth1/accept_ra", "2\n");
	doctor_network(&doctor);
	must_say("forwarding", FINDING_OK, "is a router");
	must_say("eth0", FINDING_NOTE, "ignores router advertisements");
	cr_assert_str_eq(about("eth0")->remedy, "sysctl net.ipv6.conf.eth0.accept_ra=2");
	cr_assert_null(about("eth1"));
	cr_assert_null(about("IPv6 forwarding"));
}

Test(doctor, a_machine_that_is_connected_to_nothing)
{
	/* A network of its own, and IPv6's "unreachable". */
	put("/proc/net/route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
			       "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
	put("/proc/net/ipv6_route", "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
				    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n");
	doctor_network(&doctor);
	must_say("default route", FINDING_WARNING, "no default route");
}

Test(doctor, a_machine_with_a_way_out)
{
	put("/proc/net/route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n");
	put("/proc/net/ipv6_route", "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
				    "fd000000000000000000000000000001 00000400 00000003 00000000 00000003     eth0\n");
	doctor_network(&doctor);
	must_say("default route", FINDING_OK, "IPv4 no, IPv6 yes");
}

Test(doctor, a_kernel_without_ipv6)
{
	put("/proc/sys/net/ipv4/ip_forward", "0\n");
	doctor_network(&doctor);
	must_say("IPv6", FINDING_NOTE, "no IPv6");
}

Test(doctor, switches_that_forbid_user_namespaces)
{
	put("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
	doctor_kernel(&doctor);
	must_say("user namespaces", FINDING_NOTE, "apparmor_restrict_unprivileged_userns is 1");
	must_say("/dev/net/tun", FINDING_PROBLEM, "there is no");
}

Test(doctor, a_service_without_polkit)
{
	put("/run/systemd/system/x", "");
	put("/usr/lib/systemd/system/nsvpnd.service", "");
	doctor_service(&doctor);
	must_say("nsvpnd.service", FINDING_OK, "/usr/lib/systemd/system/nsvpnd.service");
	must_say("polkit", FINDING_WARNING, "not installed");
}

Test(doctor, no_service_manager)
{
	doctor_service(&doctor);
	must_say("systemd", FINDING_NOTE, "does not run here");
	cr_assert_null(about("polkit"));
}
