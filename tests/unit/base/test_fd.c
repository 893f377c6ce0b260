/* fd.h: descriptors, passing, whole files, and every way they can go wrong. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/process.h"
#include "base/str.h"

static char folder[] = "/tmp/nsvpn-fd-XXXXXX";

static void enter(void)
{
	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(chdir(folder), 0);
}

static void leave(void)
{
	char *argv[] = { "rm", "-rf", folder, NULL };
	struct spawn s = { .path = "/bin/rm", .argv = argv, .netns_fd = -EBADF };
	pid_t pid;

	cr_assert_eq(chdir("/"), 0);
	if (process_spawn(&s, &pid, NULL) == 0)
		(void)process_wait(pid); /* what is left is in /tmp */
}

TestSuite(fd, .init = enter, .fini = leave);

static unsigned entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	cr_assert_not_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += !str_eq(e->d_name, ".") && !str_eq(e->d_name, "..");
	closedir(d);
	return n;
}

static void expect_file(const char *path, const char *text)
{
	_cleanup_(freep) char *got = NULL;
	size_t len;

	cr_assert_eq(file_read(AT_FDCWD, path, 1 << 20, &got, &len), 0, "%s", path);
	cr_expect_eq(len, strlen(text));
	cr_expect_str_eq(got, text);
}

Test(fd, close_keeps_errno)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	errno = EXDEV;
	cr_expect_eq(fd_close(fd), -EBADF);
	cr_expect_eq(fd_close(-EBADF), -EBADF);
	cr_expect_eq(errno, EXDEV);
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
}

Test(fd, dup_and_nonblock)
{
	int fds[2], copy;

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	copy = fd_dup(fds[0]);
	cr_assert_geq(copy, 0);
	cr_expect(fcntl(copy, F_GETFD) & FD_CLOEXEC);
	cr_expect_eq(fd_set_nonblock(copy, true), 0);
	cr_expect(fcntl(copy, F_GETFL) & O_NONBLOCK);
	cr_expect_eq(fd_read_full(copy, (char[1]){ 0 }, 1), -EAGAIN);
	cr_expect_eq(fd_set_nonblock(copy, false), 0);
	cr_expect_not(fcntl(copy, F_GETFL) & O_NONBLOCK);
	cr_expect_eq(fd_dup(-EBADF), -EBADF);
	cr_expect_eq(fd_set_nonblock(-EBADF, true), -EBADF);
}

static int write_a_lot(void *userdata)
{
	_cleanup_(freep) char *big = calloc(1, 300000);

	return big && fd_write_full(*(int *)userdata, big, 300000) == 0 ? 0 : 1;
}

Test(fd, full_transfers_cross_the_pipe_size)
{
	_cleanup_(freep) char *big = malloc(400000);
	int fds[2];
	pid_t pid;

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(process_fork(write_a_lot, &fds[1], &pid, NULL), 0);
	close(fds[1]);
	cr_expect_eq(fd_read_full(fds[0], big, 400000), 300000);
	cr_expect_eq(process_wait(pid), 0);
	cr_expect_eq(fd_read_full(-EBADF, big, 1), -EBADF);
	cr_expect_eq(fd_write_full(-EBADF, big, 1), -EBADF);
}

/* ---- passing ---- */

static void pair(int s[2])
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s), 0);
}

static unsigned open_fds(void)
{
	return entries("/proc/self/fd");
}

Test(fd, passes_messages_with_descriptors)
{
	int s[2], fds[FD_PASS_MAX], got[FD_PASS_MAX];
	char buf[16];
	size_t n_got = 77;

	pair(s);
	for (size_t i = 0; i < FD_PASS_MAX; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cr_assert_eq(fd_send_msg(s[0], "hello", 5, fds, FD_PASS_MAX), 0);
	cr_assert_eq(fd_recv_msg(s[1], buf, sizeof(buf), got, &n_got), 5);
	cr_expect_arr_eq(buf, "hello", 5);
	cr_expect_eq(n_got, FD_PASS_MAX);
	for (size_t i = 0; i < n_got; i++)
		cr_expect(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(fd_send_msg(s[0], "x", 1, NULL, 0), 0);
	cr_assert_eq(fd_recv_msg(s[1], buf, sizeof(buf), got, &n_got), 1);
	cr_expect_eq(n_got, 0);
	cr_expect_eq(fd_recv_msg(s[1], buf, sizeof(buf), got, &n_got), -EAGAIN);
	cr_expect_eq(fd_send_msg(s[0], "x", 1, fds, FD_PASS_MAX + 1), -EINVAL);
	close(s[0]);
	cr_expect_eq(fd_recv_msg(s[1], buf, sizeof(buf), got, &n_got), 0);
}

Test(fd, oversized_messages_are_refused_whole)
{
	int s[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC), got[FD_PASS_MAX];
	char buf[4];
	size_t n_got = 77;
	unsigned before;

	pair(s);
	cr_assert_eq(fd_send_msg(s[0], "hello", 5, &fd, 1), 0);
	before = open_fds();
	cr_expect_eq(fd_recv_msg(s[1], buf, sizeof(buf), got, &n_got), -EMSGSIZE);
	cr_expect_eq(n_got, 77);
	cr_expect_eq(open_fds(), before, "the descriptor of a refused message is closed");
}

Test(fd, too_many_descriptors_are_refused_whole)
{
	int s[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC), got[FD_PASS_MAX], many[FD_PASS_MAX + 1];
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(many))];
	} control = { 0 };
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = CMSG_LEN(sizeof(many)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	char buf[4];
	size_t n_got = 77;
	unsigned before;

	pair(s);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = fd;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(many));
	memcpy(CMSG_DATA(c), many, sizeof(many));
	cr_assert_eq(sendmsg(s[0], &msg, 0), 1);
	before = open_fds();
	cr_expect_eq(fd_recv_msg(s[1], buf, sizeof(buf), got, &n_got), -EMSGSIZE);
	cr_expect_eq(open_fds(), before);
}

Test(fd, an_empty_message_leaks_no_descriptor)
{
	int s[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC), got[FD_PASS_MAX];
	size_t n_got = 77;
	unsigned before;
	char buf[4];

	pair(s);
	cr_assert_eq(fd_send_msg(s[0], "", 0, &fd, 1), 0);
	before = open_fds();
	cr_expect_eq(fd_recv_msg(s[1], buf, sizeof(buf), got, &n_got), 0);
	cr_expect_eq(n_got, 0);
	cr_expect_eq(open_fds(), before);
}

Test(fd, a_dead_peer_is_an_error_not_a_signal)
{
	int s[2];

	pair(s);
	close(s[1]);
	cr_expect_eq(fd_send_msg(s[0], "x", 1, NULL, 0), -EPIPE);
}

/* ---- reading files ---- */

Test(fd, reads_files_up_to_the_maximum)
{
	_cleanup_(freep) char *got = NULL;
	size_t len = 77;

	cr_assert_eq(file_write_atomic(AT_FDCWD, "f", "0123456789", 10, 0644), 0);
	cr_assert_eq(file_read(AT_FDCWD, "f", 10, &got, &len), 0);
	cr_expect_eq(len, 10);
	cr_expect_str_eq(got, "0123456789");
	got = (free(got), NULL);
	len = 77;
	cr_expect_eq(file_read(AT_FDCWD, "f", 9, &got, &len), -EFBIG);
	cr_expect_eq(file_read(AT_FDCWD, "f", 0, &got, &len), -EFBIG);
	cr_expect_eq(file_read(AT_FDCWD, "none", 9, &got, &len), -ENOENT);
	cr_expect_null(got);
	cr_expect_eq(len, 77);
	cr_assert_eq(file_write_atomic(AT_FDCWD, "empty", NULL, 0, 0644), 0);
	cr_assert_eq(file_read(AT_FDCWD, "empty", 0, &got, &len), 0);
	cr_expect_eq(len, 0);
	cr_expect_str_eq(got, "");
}

Test(fd, reads_files_of_unknown_size)
{
	_cleanup_(freep) char *maps = NULL, *piped = NULL, *refused = NULL;
	size_t len, sizes[] = { 0, 1, 4094, 4095, 4096, 8191, 60000 };

	cr_assert_eq(file_read(AT_FDCWD, "/proc/self/maps", 1 << 20, &maps, &len), 0);
	cr_expect_gt(len, 100);
	cr_expect_eq(strlen(maps), len);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_(freep) char *in = malloc(sizes[i] + 1);
		int fds[2];

		memset(in, 'x', sizes[i]);
		for (size_t max = sizes[i]; max < sizes[i] + 2; max++) {
			cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
			cr_assert_eq(fd_write_full(fds[1], in, sizes[i]), 0);
			close(fds[1]);
			cr_assert_eq(file_read_fd(fds[0], max, &piped, &len), 0, "size %zu", sizes[i]);
			cr_expect_eq(len, sizes[i]);
			cr_expect_eq(piped[len], '\0');
			piped = (free(piped), NULL);
			close(fds[0]);
		}
		if (sizes[i] == 0)
			continue;
		cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
		cr_assert_eq(fd_write_full(fds[1], in, sizes[i]), 0);
		close(fds[1]);
		cr_expect_eq(file_read_fd(fds[0], sizes[i] - 1, &refused, &len), -EFBIG, "size %zu", sizes[i]);
		close(fds[0]);
	}
}

Test(fd, reads_only_regular_files_and_never_waits, .timeout = 10)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "sock" };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *got = NULL;
	size_t len;

	cr_assert_eq(mkfifo("fifo", 0600), 0);
	cr_assert_eq(bind(sock, (struct sockaddr *)&sun, sizeof(sun)), 0);
	cr_assert_eq(symlink("loop", "loop"), 0);
	cr_expect_eq(file_read(AT_FDCWD, "fifo", 10, &got, &len), -EINVAL);
	cr_expect_eq(file_read(AT_FDCWD, "sock", 10, &got, &len), -EINVAL);
	cr_expect_eq(file_read(AT_FDCWD, ".", 10, &got, &len), -EINVAL);
	cr_expect_eq(file_read(AT_FDCWD, "/dev/zero", 10, &got, &len), -EINVAL);
	cr_expect_eq(file_read(AT_FDCWD, "loop", 10, &got, &len), -ELOOP);
	cr_expect_null(got);
}

/* ---- writing files ---- */

Test(fd, atomic_write_replaces_and_sets_the_mode)
{
	struct stat st;

	umask(077);
	cr_assert_eq(mkdir("d", 0755), 0);
	cr_assert_eq(file_write_atomic(AT_FDCWD, "d/f", "one", 3, 0644), 0);
	expect_file("d/f", "one");
	cr_assert_eq(stat("d/f", &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0644, "whatever the umask");
	cr_assert_eq(file_write_atomic(AT_FDCWD, "d/f", "second", 6, 0600), 0);
	expect_file("d/f", "second");
	cr_assert_eq(stat("d/f", &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_expect_eq(entries("d"), 1);

	_cleanup_(closep) int d = open("d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_eq(file_write_atomic(d, "g", "x", 1, 0600), 0);
	expect_file("d/g", "x");
}

Test(fd, atomic_write_replaces_a_link_not_its_target)
{
	struct stat st;

	cr_assert_eq(file_write_atomic(AT_FDCWD, "target", "keep", 4, 0644), 0);
	cr_assert_eq(symlink("target", "link"), 0);
	cr_assert_eq(file_write_atomic(AT_FDCWD, "link", "new", 3, 0644), 0);
	expect_file("target", "keep");
	cr_assert_eq(lstat("link", &st), 0);
	cr_expect(S_ISREG(st.st_mode));
}

Test(fd, atomic_write_leaves_nothing_on_error)
{
	char long_name[255];

	cr_assert_eq(mkdir("d", 0755), 0);
	cr_assert_eq(mkdir("d/sub", 0755), 0);
	cr_expect_eq(file_write_atomic(AT_FDCWD, "d/sub", "x", 1, 0600), -EISDIR, "the rename fails");
	cr_expect_eq(file_write_atomic(AT_FDCWD, "none/f", "x", 1, 0600), -ENOENT);
	cr_expect_eq(file_write_atomic(AT_FDCWD, "d/", "x", 1, 0600), -EINVAL);
	cr_expect_eq(file_write_atomic(AT_FDCWD, "..", "x", 1, 0600), -EINVAL);
	cr_expect_eq(file_write_atomic(AT_FDCWD, "", "x", 1, 0600), -EINVAL);
	memset(long_name, 'a', sizeof(long_name));
	long_name[254] = '\0';
	cr_expect_eq(file_write_atomic(AT_FDCWD, long_name, "x", 1, 0600), -ENAMETOOLONG);
	cr_expect_eq(entries("d"), 1);
	cr_expect_eq(entries("."), 1);
}

/* In a child with a mount namespace of its own: a file system of 64 KiB runs full. */
static int fill_tiny_filesystem(void *userdata)
{
	_cleanup_(freep) char *big = calloc(1, 1 << 20), *got = NULL;
	struct stat st, st2;
	size_t len;

	(void)userdata;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "t", "tmpfs", 0, "size=64k") < 0)
		return 99;
	if (file_write_atomic(AT_FDCWD, "t/f", "old", 3, 0600) != 0)
		return 1;
	if (file_write_atomic(AT_FDCWD, "t/f", big, 1 << 20, 0600) != -ENOSPC)
		return 2;
	if (entries("t") != 1)
		return 3;
	if (file_read(AT_FDCWD, "t/f", 100, &got, &len) != 0 || !str_eq(got, "old"))
		return 4;
	if (stat("t/f", &st) < 0 || file_write_inplace("t/f", big, 1 << 20, 0600) != -ENOSPC || stat("t/f", &st2) < 0)
		return 5;
	return st.st_ino == st2.st_ino ? 0 : 6;
}

Test(fd, a_full_disk_leaves_the_old_file)
{
	pid_t pid;
	int r;

	cr_assert_eq(mkdir("t", 0755), 0);
	cr_assert_eq(process_fork(fill_tiny_filesystem, NULL, &pid, NULL), 0);
	r = process_wait(pid);
	if (r == 99)
		cr_skip("no mount namespace here");
	cr_expect_eq(r, 0);
}

Test(fd, inplace_write_keeps_the_inode)
{
	struct stat a, b;

	cr_assert_eq(file_write_inplace("f", "a long text", 11, 0644), 0);
	cr_assert_eq(stat("f", &a), 0);
	cr_assert_eq(file_write_inplace("f", "short", 5, 0600), 0);
	cr_assert_eq(stat("f", &b), 0);
	cr_expect_eq(a.st_ino, b.st_ino);
	cr_expect_eq(b.st_mode & 07777, 0600);
	expect_file("f", "short");
	cr_assert_eq(file_write_inplace("f", NULL, 0, 0600), 0);
	expect_file("f", "");
	cr_assert_eq(symlink("f", "l"), 0);
	cr_expect_eq(file_write_inplace("l", "x", 1, 0600), -ELOOP);
	cr_assert_eq(mkfifo("fifo", 0600), 0);
	cr_expect_eq(file_write_inplace("fifo", "x", 1, 0600), -EINVAL);
}

Test(fd, a_memfd_beyond_the_limit_of_file_sizes_is_an_error_and_no_signal)
{
	struct rlimit was, none = { 0, RLIM_INFINITY };
	int fd;

	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
	none.rlim_max = was.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	fd = memfd_sealed("x", "data", 4);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
	cr_expect_eq(fd, -EFBIG);
}

Test(fd, memfd_is_sealed)
{
	_cleanup_(closep) int fd = memfd_sealed("x", "data", 4);
	_cleanup_(freep) char *got = NULL;
	size_t len;

	cr_assert_geq(fd, 0);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(file_read_fd(fd, 10, &got, &len), 0);
	cr_expect_str_eq(got, "data");
	cr_expect_eq(pwrite(fd, "x", 1, 0), -1);
	cr_expect_eq(ftruncate(fd, 0), -1);
	cr_expect_eq(fcntl(fd, F_ADD_SEALS, 0), -1);
}

Test(fd, makes_folders)
{
	struct stat st;

	umask(077);
	cr_assert_eq(dir_make("a//b/c/", 0755), 0);
	cr_assert_eq(stat("a/b/c", &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0755);
	cr_assert_eq(dir_make("a/b", 0700), 0);
	cr_assert_eq(stat("a/b", &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0755, "an existing folder keeps its mode");
	cr_assert_eq(file_write_atomic(AT_FDCWD, "a/f", "x", 1, 0644), 0);
	cr_expect_eq(dir_make("a/f", 0755), -ENOTDIR);
	cr_expect_eq(dir_make("a/f/g", 0755), -ENOTDIR);
	cr_expect_eq(dir_make("", 0755), -ENOENT);
	cr_expect_eq(dir_make("/", 0755), 0);
}
