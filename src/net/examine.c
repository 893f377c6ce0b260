/* See examine.h. */
#include "net/examine.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/process.h"
#include "base/str.h"
#include "net/blocker.h"
#include "net/netctx.h"
#include "net/tun-open.h"
#include "nl/nft.h"
#include "profile/profile.h"

#ifndef NSFS_MAGIC
#define NSFS_MAGIC 0x6e736673
#endif

/* ---- the kernel ----------------------------------------------------------------------------------------------------- */

#define PROBE_SECONDS 20

/* All in one namespace, so each has a table of its own. */
static int try_nft(const char *table, const char *text)
{
	struct nft_text t = { .table = table };
	int r;

	nft_text_embed(&t, text);
	r = nft_apply(-EBADF, &t, false, NULL);
	nft_text_done(&t);
	return r;
}

static int try_inet(void)
{
	return try_nft("t1", "table inet @table@ {\nset s {\ntype ipv4_addr . inet_proto . inet_service\n}\nchain c {\n"
		       "type filter hook output priority 0; policy accept;\nip daddr . meta l4proto . th dport @s accept\n}\n}\n");
}

static int try_ct(void)
{
	return try_nft("t2", "table inet @table@ {\nchain c {\ntype filter hook forward priority 0; policy accept;\n"
		       "ct state established,related accept\n}\n}\n");
}

static int try_nat(void)
{
	return try_nft("t3", "table inet @table@ {\nchain c {\ntype nat hook postrouting priority 100; policy accept;\n"
		       "ip saddr 10.0.0.1 masquerade fully-random\n}\n}\n");
}

static int try_arp(void)
{
	return try_nft("t4", "table arp @table@ {\nchain c {\ntype filter hook input priority 0; policy accept;\n"
		       "arp daddr ip 10.0.0.0/8 drop\n}\n}\n");
}

static int try_veth(void)
{
	static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };
	_cleanup_(rt_freep) struct rt *rt = NULL;
	_cleanup_(closep) int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = here < 0 ? -errno : rt_open(&rt, -EBADF);

	return r < 0 ? r : rt_link_add_veth(rt, &(struct rt_veth){ "a", mac[0], "b", mac[1], here });
}

static int try_rules(void)
{
	_cleanup_(rt_freep) struct rt *rt = NULL;
	int r = rt_open(&rt, -EBADF);

	return r < 0 ? r : rt_rule_add(rt, &(struct rt_rule){ .family = AF_INET, .priority = 99, .mark = 1, .table = 100 });
}

static int try_tun(void)
{
	_cleanup_(closep) int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd = -EBADF;
	unsigned offload;

	return here < 0 ? -errno : tun_open(here, "t0", false, &fd, &offload);
}

static const struct feature {
	const char *name;
	int (*try)(void);
	enum finding_level missing;
	const char *what, *remedy;
} features[] = {
	{ "tun", try_tun, FINDING_PROBLEM, "no tunnel device can be made",
	  "load the module tun (`modprobe tun`); in a container, pass /dev/net/tun in" },
	{ "nftables inet", try_inet, FINDING_PROBLEM, "the locks cannot be set", "load nf_tables, or use a kernel that has it" },
	{ "policy routing", try_rules, FINDING_PROBLEM, "the engine's packets cannot be told from others",
	  "use a kernel with policy routing (CONFIG_IP_MULTIPLE_TABLES)" },
	{ "veth", try_veth, FINDING_WARNING, "uplink veth does not work", "load the module veth, or set Uplink=socket" },
	{ "nftables connection tracking", try_ct, FINDING_WARNING, "uplink veth does not work",
	  "load the modules nft_ct and nf_conntrack, or set Uplink=socket" },
	{ "nftables address translation", try_nat, FINDING_WARNING, "uplink veth does not work",
	  "load the modules nft_nat and nft_masq, or set Uplink=socket" },
	{ "nftables arp", try_arp, FINDING_WARNING, "uplink veth does not work",
	  "use a kernel with nftables for ARP (CONFIG_NF_TABLES_ARP), or set Uplink=socket" },
};

struct probe {
	int pipe[2];
	int results[ARRAY_SIZE(features)];
};

static int run_probes(void *userdata)
{
	struct probe *p = userdata;
	int r = unshare(CLONE_NEWNET) < 0 ? -errno : 0;

	alarm(PROBE_SECONDS);
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		p->results[i] = r < 0 ? -ENONET : features[i].try();
	return fd_write_full(p->pipe[1], p->results, sizeof(p->results)) < 0;
}

/* 0 or -errno: nothing could be tried at all. */
static int probe(int results[ARRAY_SIZE(features)])
{
	struct probe p = { 0 };
	_cleanup_(closep) int in = -EBADF;
	ssize_t n;
	pid_t pid;
	int r;

	if (pipe2(p.pipe, O_CLOEXEC) < 0)
		return -errno;
	in = p.pipe[0];
	r = process_fork(run_probes, &p, &pid, NULL);
	(void)fd_close(p.pipe[1]);
	if (r < 0)
		return r;
	n = fd_read_full(in, results, sizeof(p.results));
	(void)process_wait(pid); /* what it wrote counts */
	return n == (ssize_t)sizeof(p.results) ? 0 : -EPROTO;
}

/* True where it cannot be told: then the tries tell. */
static bool may_change_networks(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capget, &header, have) < 0 || (have[0].effective & 1U << CAP_NET_ADMIN);
}

void examine_kernel(struct findings *f)
{
	int results[ARRAY_SIZE(features)], r;

	if (!may_change_networks()) { /* otherwise each try below would fail, for a reason that looks like another */
		findings_add(f, FINDING_PROBLEM, "kernel", "capabilities",
			     "in a container, let it keep CAP_NET_ADMIN and CAP_SYS_ADMIN (docker, podman: --cap-add)",
			     "not even root may change networks here: CAP_NET_ADMIN is missing");
		return;
	}
	r = probe(results);

	if (r < 0) {
		findings_add(f, FINDING_WARNING, "kernel", "features", NULL, "what the kernel can do could not be tried: %s",
			     strerror(-r));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const struct feature *x = &features[i];

		if (results[i] == -ENONET)
			findings_add(f, FINDING_PROBLEM, "kernel", "network namespaces",
				     "use a kernel with network namespaces; in a container, let it keep CAP_SYS_ADMIN (docker, podman: --cap-add)",
				     "no network namespace can be made here");
		else if (results[i] < 0)
			findings_add(f, x->missing, "kernel", x->name, x->remedy, "%s: this kernel or container has no %s (%s)",
				     x->what, x->name, strerror(-results[i]));
		else
			findings_add(f, FINDING_OK, "kernel", x->name, NULL, "%s works", x->name);
		if (results[i] == -ENONET)
			return;
	}
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

#define ROOM_MIN (64 * 1024) /* for a journal, an intent file and a bit of log */

static void one_place(struct findings *f, const char *path, const char *what)
{
	struct statvfs fs;

	if (statvfs(path, &fs) < 0)
		return; /* made when it is needed */
	if (fs.f_flag & ST_RDONLY)
		findings_add(f, FINDING_PROBLEM, "service", path, "let it be writable for root",
			     "%s, where nsvpn keeps %s, is read-only, so no tunnel can be started", path, what);
	else if ((uint64_t)fs.f_bavail * fs.f_frsize < ROOM_MIN || (fs.f_files && !fs.f_ffree))
		findings_add(f, FINDING_PROBLEM, "service", path, "make room there",
			     "the disk of %s, where nsvpn keeps %s, is full, so no tunnel can be started", path, what);
	else
		findings_add(f, FINDING_OK, "service", path, NULL, "there is room in %s", path);
}

void examine_places(struct findings *f)
{
	one_place(f, place_run(), "what it must undo");
	one_place(f, place_state(), "which tunnels are wanted up");
}

void examine_profiles(struct findings *f)
{
	_cleanup_(freep) char *path = str_format("%s/tunnels", place_etc());
	DIR *d = path ? opendir(path) : NULL;

	for (struct dirent *e; d && (e = readdir(d));) {
		_cleanup_(profile_freep) struct profile *p = NULL;
		_cleanup_(freep) char *error = NULL;

		if (tunnel_name_is_valid(e->d_name) && profile_load_tunnel(e->d_name, &p, NULL, &error) < 0 && error)
			findings_add(f, FINDING_PROBLEM, "tunnels", e->d_name, NULL, "tunnel %s cannot be used: %s", e->d_name, error);
	}
	if (d)
		(void)closedir(d); /* only read */
}

/* ---- exceptions ----------------------------------------------------------------------------------------------------- */

static void standing(struct findings *f, const char *name)
{
	_cleanup_(freep) char *path = str_format("%s/%s/journal", place_run(), name);
	struct strbuf list = { 0 };
	struct journal j = { 0 };

	if (path && journal_read(path, &j) == 0 && !j.kept) /* nothing passes a kept lock */
		for (unsigned i = 0; i < j.exceptions.n_publish + j.exceptions.n_allow; i++) {
			char text[EXCEPTION_STR_MAX];

			strbuf_addf(&list, "%s%s", i ? ", " : "", exceptions_format(&j.exceptions, i, text, sizeof(text)));
		}
	if (list.len)
		findings_add(f, FINDING_NOTE, "tunnels", name, NULL, "the lock of tunnel %s has exceptions: %s", name, list.s);
	f->failed |= strbuf_error(&list) < 0;
	strbuf_done(&list);
	journal_done(&j);
}

void examine_exceptions(struct findings *f)
{
	_cleanup_(strv_freep) char **journals = NULL;

	if (tunnelnet_list(&journals) < 0)
		return; /* examine_leftovers() says so */
	for (size_t i = 0; i < strv_len(journals); i++)
		standing(f, journals[i]);
}

/* ---- leftovers ------------------------------------------------------------------------------------------------------ */

static void stale_names(struct findings *f)
{
	DIR *d = opendir("/run/netns");

	for (struct dirent *e; d && (e = readdir(d));) {
		_cleanup_(freep) char *path = str_format("/run/netns/%s", e->d_name), *remedy = NULL;
		struct statfs fs;

		if (e->d_name[0] == '.' || !path || statfs(path, &fs) < 0 || fs.f_type == NSFS_MAGIC || fs.f_type == 0x9fa0)
			continue;
		remedy = str_format("ip netns delete %s", e->d_name);
		findings_add(f, FINDING_NOTE, "leftovers", path, remedy, "%s is the name of a network namespace that is gone", path);
	}
	if (d)
		(void)closedir(d); /* only read */
}

/* Ours by its alias or name, and no journal knows it. */
static void stray_links(struct findings *f, char *const *journals)
{
	_cleanup_(rt_freep) struct rt *rt = NULL;
	_cleanup_(freep) struct rt_link *links = NULL;
	size_t n = 0;

	if (rt_open(&rt, -EBADF) < 0 || rt_link_list(rt, &links, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *remedy = str_format("ip link delete %s", links[i].name);

		if (!str_has_prefix(links[i].name, "nv-") || strv_contains(journals, links[i].name + 3))
			continue;
		findings_add(f, FINDING_NOTE, "leftovers", links[i].name, remedy,
			     "link %s is of a tunnel that %s knows nothing about: of another helper, or left over", links[i].name,
			     place_run());
	}
}

static void stray_tables(struct findings *f, char *const *journals)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	_cleanup_(freep) char *text = NULL;

	if (nft_list_ruleset(-EBADF, &text) < 0 || ruleset_parse(text, &rs) < 0)
		return;
	for (size_t i = 0; i < rs->n_tables; i++) {
		const struct nf_table *t = &rs->tables[i];
		_cleanup_(freep) char *remedy = str_format("nft delete table %s %s", t->family, t->name);

		if (!str_has_prefix(t->name, "nsvpn-") || strv_contains(journals, t->name + strlen("nsvpn-")))
			continue;
		findings_add(f, FINDING_NOTE, "leftovers", t->name, remedy,
			     "table %s %s is of a tunnel that %s knows nothing about: of another helper, or left over", t->family,
			     t->name, place_run());
	}
}

void examine_leftovers(struct findings *f, bool (*is_alive)(void *userdata, const char *name), void *userdata)
{
	_cleanup_(strv_freep) char **journals = NULL;
	size_t before = f->n;
	int r = tunnelnet_list(&journals);

	if (r < 0)
		findings_add(f, FINDING_WARNING, "leftovers", place_run(), NULL, "%s cannot be read: %s", place_run(), strerror(-r));
	for (size_t i = 0; i < strv_len(journals); i++) {
		_cleanup_(freep) char *remedy = str_format("nsvpn up %s, or nsvpn down %s", journals[i], journals[i]);

		if (is_alive && is_alive(userdata, journals[i]))
			continue;
		findings_add(f, FINDING_WARNING, "leftovers", journals[i], remedy,
			     "tunnel %s is locked, and no helper looks after it: the last one was killed or crashed", journals[i]);
	}
	stray_links(f, journals);
	stray_tables(f, journals);
	stale_names(f);
	if (f->n == before)
		findings_add(f, FINDING_OK, "leftovers", place_run(), NULL, "nothing is left over");
}
