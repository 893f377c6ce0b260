/* Every shape that /etc/resolv.conf comes in, the masks, and what the host does to both while a program runs. */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>

#include "base/str.h"
#include "launch/mounts.h"
#include "unit/launch/room.h"

#define OURS "nameserver 10.8.0.1\n"
#define OURS_NOW "nameserver 10.8.0.2\n" /* rewritten in place */
#define THEIRS "nameserver 192.168.1.1\n"

struct variant {
	const char *name;
	void (*set_up)(void);
	void (*verify)(void); /* afterwards, may be NULL */
	bool durable;
};

static void as_file(void)
{
	room_write("/etc/resolv.conf", THEIRS);
}

static int host_folder; /* below the cover */

static void as_link(void)
{
	room_check(mkdir("/run/systemd", 0755) == 0 && mkdir("/run/systemd/resolve", 0755) == 0);
	room_write("/run/systemd/resolve/stub-resolv.conf", THEIRS);
	room_check(symlink("../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf") == 0);
	host_folder = open("/run/systemd/resolve", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The link is covered, and what it points to. */
static void stub_is_ours(void)
{
	room_check(str_eq(room_read("/run/systemd/resolve/stub-resolv.conf"), OURS_NOW));
	room_check(fchdir(host_folder) == 0);
	room_check(str_eq(room_read("stub-resolv.conf"), THEIRS));
}

static void as_dangling(void)
{
	room_check(symlink("/run/not/there", "/etc/resolv.conf") == 0);
}

static void as_immutable(void)
{
	int flags = FS_IMMUTABLE_FL, fd;

	as_file();
	fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	room_check(fd >= 0);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
		room_check(chmod("/etc/resolv.conf", 0444) == 0); /* a tmpfs that cannot: at least not writable */
	close(fd);
}

static void the_rest_of_etc_is_there(void)
{
	room_check(strstr(room_read("/etc/passwd"), "nobody"));
}

static void enter_variant(void *arg)
{
	const struct variant *v = arg;
	struct statvfs fs;
	char *error = NULL;
	int r;

	v->set_up();
	r = mounts_enter(ROOM_RUN, v->durable, NULL, &error);
	if (r < 0)
		dprintf(2, "%s: %s\n", v->name, error);
	room_check(r == 0);
	room_check(str_eq(room_read("/etc/resolv.conf"), OURS));
	room_check(str_eq(room_read("/etc/nsswitch.conf"), "hosts: files dns\n"));
	room_check(open("/etc/resolv.conf", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
	room_check(statvfs("/etc/resolv.conf", &fs) == 0 && (fs.f_flag & ST_NOSUID) && (fs.f_flag & ST_NODEV));
	room_check(access(ROOM_RUN "/journal", F_OK) == 0);
	/* An update in place is seen. */
	room_write(ROOM_RUN "/resolv.conf", OURS_NOW);
	room_check(str_eq(room_read("/etc/resolv.conf"), OURS_NOW));
	if (v->verify)
		v->verify();
}

static void run_variant(const char *name, void (*set_up)(void), void (*verify)(void))
{
	for (int durable = 0; durable <= 1; durable++) {
		struct variant v = { name, set_up, verify, durable };

		cr_expect_eq(room_run(enter_variant, &v), 0, "%s, durable %d", name, durable);
	}
}

Test(mounts, covers_a_plain_file)
{
	run_variant("file", as_file, the_rest_of_etc_is_there);
}

Test(mounts, covers_a_link_and_what_it_points_to)
{
	run_variant("link", as_link, stub_is_ours);
}

Test(mounts, covers_a_dangling_link)
{
	run_variant("dangling", as_dangling, NULL);
}

Test(mounts, covers_an_immutable_file)
{
	run_variant("immutable", as_immutable, NULL);
}

/* libc then asks 127.0.0.1, which is the tunnel's resolver inside. */
static void missing(void *arg _unused_)
{
	char *error = NULL;

	room_check(mounts_enter(ROOM_RUN, false, NULL, &error) == 0);
	room_check(access("/etc/resolv.conf", F_OK) < 0 && errno == ENOENT);
	room_check(str_eq(room_read("/etc/nsswitch.conf"), "hosts: files dns\n"));
}

Test(mounts, a_missing_file_stays_missing)
{
	cr_assert_eq(room_run(missing, NULL), 0);
}

static bool becomes(const char *path, const char *want)
{
	for (int i = 0; i < 300; i++) {
		const char *text = room_read(path);

		if (text ? want && str_eq(text, want) : !want)
			return true;
		usleep(10000);
	}
	return false;
}

/* A program of ours, and a host that does `host` meanwhile; then the program must see `ours` at path. */
struct meanwhile {
	void (*host)(void);
	const char *path;
};

/* The host's next DHCP lease. */
static void host_renames(void)
{
	room_write("/etc/resolv.conf.new", THEIRS);
	room_check(rename("/etc/resolv.conf.new", "/etc/resolv.conf") == 0);
	room_check(str_eq(room_read("/etc/resolv.conf"), THEIRS));
}

/* Many at once: the keeper rests in between and ends with ours all the same. */
static void host_renames_often(void)
{
	for (int i = 0; i < 200; i++)
		host_renames();
}

static void host_relinks(void)
{
	room_check(unlink("/etc/resolv.conf") == 0);
	usleep(50000);
	room_check(symlink("/run/somewhere", "/etc/resolv.conf") == 0);
}

static void host_starts_resolved(void)
{
	room_check(mkdir("/run/systemd", 0755) == 0 && mkdir("/run/systemd/resolve", 0755) == 0);
	room_write("/run/systemd/resolve/stub-resolv.conf", THEIRS);
}

static void with_host(void *arg)
{
	const struct meanwhile *w = arg;
	int go[2], done[2], status;
	char *error = NULL, c;
	pid_t pid;

	if (w->host == host_renames || w->host == host_renames_often || w->host == host_relinks)
		as_file();
	room_check(pipe(go) == 0 && pipe(done) == 0);
	pid = fork();
	room_check(pid >= 0);
	if (pid == 0) {
		room_check(mounts_enter(ROOM_RUN, true, NULL, &error) == 0);
		room_check(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD); /* the keeper is no child */
		room_check(write(go[1], "x", 1) == 1 && read(done[0], &c, 1) == 1);
		room_check(becomes(w->path, OURS));
		_exit(0);
	}
	room_check(read(go[0], &c, 1) == 1);
	w->host();
	room_check(write(done[1], "x", 1) == 1);
	room_check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(mounts, the_keeper_covers_again_what_the_host_replaces)
{
	static struct meanwhile cases[] = {
		{ host_renames, "/etc/resolv.conf" },
		{ host_renames_often, "/etc/resolv.conf" },
		{ host_relinks, "/etc/resolv.conf" },
		{ host_starts_resolved, "/run/systemd/resolve/stub-resolv.conf" },
		{ as_file, "/etc/resolv.conf" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect_eq(room_run(with_host, &cases[i]), 0, "case %zu", i);
}

static int connect_unix(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	room_check(fd >= 0 && str_copy(sa.sun_path, sizeof(sa.sun_path), path));
	r = connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static void listen_unix(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	room_check(fd >= 0 && str_copy(sa.sun_path, sizeof(sa.sun_path), path));
	room_check(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 5) == 0);
	room_check(chmod(path, 0666) == 0);
}

static void mask(void *arg _unused_)
{
	static const char *const sockets[] = { "/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket",
					       "/run/avahi-daemon/socket" };
	char *error = NULL;

	as_link();
	room_check(mkdir("/run/nscd", 0755) == 0 && mkdir("/run/avahi-daemon", 0755) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
		listen_unix(sockets[i]);
		room_check(connect_unix(sockets[i]) == 0); /* the positive control */
	}
	room_check(mounts_enter(ROOM_RUN, false, NULL, &error) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++)
		room_check(connect_unix(sockets[i]) == -ENOENT);
	room_check(mkdir("/run/nscd/x", 0755) < 0 && errno == EROFS);
	room_check(str_eq(room_read("/run/systemd/resolve/stub-resolv.conf"), OURS));
}

Test(mounts, masks_the_sockets_of_name_services)
{
	cr_assert_eq(room_run(mask, NULL), 0);
}

static void foreign_source(void *arg)
{
	char *error = NULL;

	as_file();
	if (arg)
		room_check(chmod(ROOM_RUN "/resolv.conf", 0666) == 0);
	else
		room_check(chown(ROOM_RUN "/resolv.conf", ROOM_UID, ROOM_UID) == 0);
	room_check(mounts_enter(ROOM_RUN, false, NULL, &error) == -EPERM);
	room_check(error && strstr(error, "resolv.conf"));
}

Test(mounts, refuses_a_source_that_others_can_write)
{
	cr_expect_eq(room_run(foreign_source, NULL), 0);
	cr_expect_eq(room_run(foreign_source, (void *)1), 0);
}

static void link_source(void *arg _unused_)
{
	char *error = NULL;

	as_file();
	room_check(unlink(ROOM_RUN "/resolv.conf") == 0 && symlink("/etc/passwd", ROOM_RUN "/resolv.conf") == 0);
	room_check(mounts_enter(ROOM_RUN, false, NULL, &error) < 0 && error);
}

Test(mounts, refuses_a_link_as_source)
{
	cr_expect_eq(room_run(link_source, NULL), 0);
}

static void missing_source(void *arg _unused_)
{
	char *error = NULL;

	as_file();
	room_check(unlink(ROOM_RUN "/resolv.conf") == 0);
	room_check(mounts_enter(ROOM_RUN, true, NULL, &error) == -ENOENT && strstr(error, ROOM_RUN "/resolv.conf"));
}

Test(mounts, a_missing_source_is_one_sentence)
{
	cr_expect_eq(room_run(missing_source, NULL), 0);
}

/* A service that fails at its start must not hold up what systemd does next. */
Test(mounts, nothing_is_kept_for_a_service_that_has_ended, .timeout = 60)
{
	char *error = NULL;
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(2);
	cr_assert(pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	cr_expect_eq(mounts_keep(pid, "/nowhere", &error), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	cr_expect_eq(mounts_keep(pid, "/nowhere", &error), 0);
	cr_expect_null(error);
}
