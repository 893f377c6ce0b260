/* Every row of the table of --isolate against real sockets, in a room with a /run, /tmp and /var of its own. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "launch/mounts.h"
#include "profile/isolation.h"
#include "unit/launch/room.h"

static const struct covers_user nobody = { ROOM_UID, ROOM_UID };

static int connect_unix(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	room_check(fd >= 0 && str_copy(sa.sun_path, sizeof(sa.sun_path), path));
	r = connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static void make_parent(const char *path)
{
	char folder[256];

	room_check(str_copy(folder, sizeof(folder), path));
	*strrchr(folder, '/') = '\0';
	room_check(dir_make(folder, 0755) == 0);
}

static void listen_unix(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	make_parent(path);
	room_check(fd >= 0 && str_copy(sa.sun_path, sizeof(sa.sun_path), path));
	room_check(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 5) == 0);
	room_check(chmod(path, 0666) == 0 && chown(path, ROOM_UID, ROOM_UID) == 0);
}

/* The row's name for nobody, with "1" for each '*'. */
static char *example(const struct isolation *row)
{
	char *path = isolation_path(row, ROOM_UID);

	room_check(path);
	for (char *s = path; (s = strchr(s, '*'));)
		*s = '1';
	return path;
}

static void furnish(void)
{
	room_check(mount("room", "/tmp", "tmpfs", 0, "mode=1777") == 0);
	room_check(mount("room", "/var", "tmpfs", 0, "mode=755") == 0);
	room_check(symlink("/run", "/var/run") == 0);
	room_write("/etc/resolv.conf", "nameserver 192.168.1.1\n");
}

static void host_rows(void)
{
	size_t n;
	const struct isolation *t = isolation_table(&n);

	furnish();
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *path = example(&t[i]);

		switch (t[i].kind) {
		case ISOLATION_CLOSED:
		case ISOLATION_KEEP_SOCKET:
			listen_unix(path);
			room_check(connect_unix(path) == 0); /* the positive control */
			break;
		case ISOLATION_KEEP_FILE:
			make_parent(path);
			room_write(path, "cookie");
			break;
		case ISOLATION_KEEP_FOLDER:
		case ISOLATION_KEEP_DISKS:
			room_check(dir_make(path, 0755) == 0);
			break;
		case ISOLATION_COVER:
		case ISOLATION_MAKE:
		case ISOLATION_UNSET:
			break;
		}
	}
	listen_unix("/tmp/.X11-unix/X0");
	listen_unix("/run/something-new.sock");
}

static void check_kept(const struct isolation *row, const char *path)
{
	char sub[256];

	switch (row->kind) {
	case ISOLATION_KEEP_SOCKET:
		room_check(connect_unix(path) == 0);
		break;
	case ISOLATION_KEEP_FILE:
		room_check(str_eq(room_read(path), "cookie"));
		room_check(open(path, O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
		break;
	case ISOLATION_KEEP_FOLDER:
	case ISOLATION_KEEP_DISKS:
		(void)snprintf(sub, sizeof(sub), "%s/new", path);
		room_check(row->kind == ISOLATION_KEEP_DISKS ? mkdir(sub, 0755) == 0 : mkdir(sub, 0755) < 0 && errno == EROFS);
		break;
	case ISOLATION_CLOSED:
		room_check(connect_unix(path) == -ENOENT);
		break;
	case ISOLATION_COVER:
	case ISOLATION_MAKE:
	case ISOLATION_UNSET:
		break;
	}
}

static void inside(bool durable)
{
	char *error = NULL;
	int r = mounts_enter(ROOM_RUN, durable, &nobody, &error);

	if (r < 0)
		dprintf(2, "%s\n", error);
	room_check(r == 0);
}

static void every_row(void *arg _unused_)
{
	size_t n;
	const struct isolation *t = isolation_table(&n);
	struct stat st;

	host_rows();
	umask(077); /* a caller's is no business of the covers */
	inside(false);
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *path = example(&t[i]);

		check_kept(&t[i], path);
	}
	room_check(connect_unix("/tmp/.X11-unix/X0") == 0);
	room_check(connect_unix("/run/something-new.sock") == -ENOENT && connect_unix("/var/run/something-new.sock") == -ENOENT);
	room_check(stat("/run/user/65534", &st) == 0 && st.st_uid == ROOM_UID && (st.st_mode & 07777) == 0700);
	room_check(stat("/run/user/65534/pulse", &st) == 0 && st.st_uid == ROOM_UID);
	room_check(stat("/run", &st) == 0 && st.st_uid == 0 && (st.st_mode & 07777) == 0755);
	room_check(stat("/tmp", &st) == 0 && (st.st_mode & 07777) == 01777);
	room_check(stat("/run/lock", &st) == 0 && (st.st_mode & 07777) == 01777);
	room_check(str_eq(room_read("/etc/resolv.conf"), "nameserver 10.8.0.1\n"));
	room_check(str_eq(room_read("/run/systemd/resolve/stub-resolv.conf"), "nameserver 10.8.0.1\n"));
}

Test(covers, every_row_of_the_table_holds)
{
	cr_assert_eq(room_run(every_row, NULL), 0);
}

static void plain(void *arg _unused_)
{
	furnish();
	room_check(unlink("/var/run") == 0);
	inside(false); /* nothing of what could be kept is there, and no /var/run */
	room_check(access("/run/user/65534", F_OK) == 0 && access("/tmp/.X11-unix", F_OK) < 0);
}

static void var_run_of_its_own(void *arg _unused_)
{
	furnish();
	room_check(unlink("/var/run") == 0);
	listen_unix("/var/run/docker.sock");
	inside(false);
	room_check(connect_unix("/var/run/docker.sock") == -ENOENT);
}

Test(covers, what_is_not_there_is_not_needed)
{
	cr_expect_eq(room_run(plain, NULL), 0);
	cr_expect_eq(room_run(var_run_of_its_own, NULL), 0);
}

/* What the user can arrange in his folder does not widen what is kept. */
static void tricks(void *arg _unused_)
{
	furnish();
	listen_unix("/run/docker.sock");
	listen_unix("/run/user/65534/bus");
	room_check(symlink("/run/docker.sock", "/run/user/65534/wayland-7") == 0);
	room_check(symlink("/run", "/run/user/65534/pulse") == 0 && symlink("/run/docker.sock", "/run/native") == 0);
	room_check(mkdir("/run/user/65534/wayland-8", 0755) == 0);
	room_check(mkdir("/tmp/owned", 0755) == 0 && symlink("/tmp/owned", "/tmp/.X11-unix") == 0);
	room_check(lchown("/tmp/.X11-unix", ROOM_UID, ROOM_UID) == 0);
	listen_unix("/run/user/65534/wayland-9");
	room_check(chown("/run/user/65534/wayland-9", 4242, 4242) == 0);
	inside(false);
	for (const char *const *p = (const char *const[]){ "/run/user/65534/wayland-7", "/run/user/65534/pulse",
							   "/run/user/65534/wayland-8", "/tmp/.X11-unix",
							   "/run/user/65534/wayland-9", NULL };
	     *p; p++)
		room_check(access(*p, F_OK) < 0 && errno == ENOENT);
}

Test(covers, links_and_things_of_others_are_not_kept)
{
	cr_expect_eq(room_run(tricks, NULL), 0);
}

/* A user namespace with mounts of its own cannot lift them. */
static void lift(void *arg _unused_)
{
	host_rows();
	inside(false);
	room_check(setresgid(ROOM_UID, ROOM_UID, ROOM_UID) == 0 && setresuid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
	room_check(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
	room_check(mount("x", "/var", "tmpfs", 0, NULL) == 0); /* (it may mount) */
	for (const char *const *p = (const char *const[]){ "/run", "/tmp", NULL }; *p; p++) {
		room_check(umount2(*p, 0) < 0 && errno == EINVAL);
		room_check(umount2(*p, MNT_DETACH) < 0 && errno == EINVAL);
	}
	room_check(mount("/", "/var", NULL, MS_BIND, NULL) < 0 && errno == EINVAL);
	room_check(mount("/", "/var", NULL, MS_BIND | MS_REC, NULL) == 0);
	room_check(access("/var/etc/passwd", F_OK) == 0 && connect_unix("/var/run/docker.sock") == -ENOENT);
	room_check(umount2("/var/run", MNT_DETACH) < 0 && errno == EINVAL);
	room_check(connect_unix("/run/docker.sock") == -ENOENT);
}

static void lift_control(void *arg _unused_)
{
	host_rows();
	room_check(unshare(CLONE_NEWNS) == 0 && mount("x", "/run", "tmpfs", 0, NULL) == 0 && umount2("/run", 0) == 0);
}

Test(covers, a_user_namespace_cannot_lift_them)
{
	cr_expect_eq(room_run(lift_control, NULL), 0); /* who made a mount can take it away */
	cr_expect_eq(room_run(lift, NULL), 0);
}

/* The host goes on: new sockets, a new file system for the user's folder, a new resolv.conf. */
static void meanwhile(void *arg _unused_)
{
	int go[2], done[2], status;
	char c;
	pid_t pid;

	host_rows();
	room_check(mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL) == 0); /* as systemd has it */
	room_check(pipe(go) == 0 && pipe(done) == 0);
	pid = fork();
	room_check(pid >= 0);
	if (pid == 0) {
		bool again = false;

		inside(true);
		room_check(write(go[1], "x", 1) == 1 && read(done[0], &c, 1) == 1);
		for (int i = 0; i < 300 && !again; i++, usleep(10000))
			again = str_eq(room_read("/etc/resolv.conf"), "nameserver 10.8.0.1\n");
		room_check(again);
		room_check(connect_unix("/run/late.sock") == -ENOENT && connect_unix("/run/user/65534/bus") == -ENOENT);
		room_check(connect_unix("/tmp/late.sock") == -ENOENT);
		_exit(0);
	}
	room_check(read(go[0], &c, 1) == 1);
	listen_unix("/run/late.sock");
	room_check(mount("x", "/run/user/65534", "tmpfs", 0, NULL) == 0 && mount("x", "/tmp", "tmpfs", 0, NULL) == 0);
	listen_unix("/run/user/65534/bus");
	listen_unix("/tmp/late.sock");
	room_write("/etc/resolv.conf.new", "nameserver 192.168.1.2\n");
	room_check(rename("/etc/resolv.conf.new", "/etc/resolv.conf") == 0);
	room_check(write(done[1], "x", 1) == 1);
	room_check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	room_check(umount2("/tmp", MNT_DETACH) == 0 && umount2("/run/user/65534", MNT_DETACH) == 0);
}

Test(covers, what_the_host_does_later_stays_outside)
{
	cr_expect_eq(room_run(meanwhile, NULL), 0);
}

static void unprivileged(void *arg _unused_)
{
	char *error = NULL;

	furnish();
	room_check(setresuid(ROOM_UID, ROOM_UID, ROOM_UID) == 0);
	room_check(covers_place(&nobody, &error) < 0 && error && strstr(error, "--isolate"));
}

Test(covers, what_cannot_be_covered_is_one_sentence)
{
	cr_expect_eq(room_run(unprivileged, NULL), 0);
}
