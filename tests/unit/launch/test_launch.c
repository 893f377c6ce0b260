/* The whole way in: refusals, identity, descriptors, signals, exit codes. Needs root and the program nft. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/bus-api.h"
#include "base/process.h"
#include "base/str.h"
#include "launch/launch.h"
#include "launch/lock.h"
#include "unit/launch/room.h"

#define LOCK_TEXT "table inet nsvpn { chain output { type filter hook output priority 0; policy drop; }; }"
#define OPEN_TEXT "table inet nsvpn { chain output { type filter hook output priority 0; policy accept; }; }"
#define WRONG_HOOK "table inet nsvpn { chain output { type filter hook input priority 0; policy drop; }; }"

static void need_nft(void)
{
	if (geteuid() != 0)
		cr_skip_test("needs root for private namespaces");
	if (access("/usr/sbin/nft", X_OK) < 0)
		cr_skip_test("needs the program nft");
}

static void load_rules(const char *rules)
{
	char *argv[] = { (char *)"nft", (char *)rules, NULL }, *envp[] = { NULL };
	const struct spawn s = { .path = "/usr/sbin/nft", .argv = argv, .envp = envp, .netns_fd = -EBADF };
	pid_t pid;

	room_check(process_spawn(&s, &pid, NULL) == 0 && process_wait(pid) == 0);
}

/* A namespace with these rules (NULL: none) pinned as the tunnel's. */
static void make_netns(const char *rules)
{
	int status;
	pid_t pid;

	room_write("/run/netns/" ROOM_TUNNEL, "");
	pid = fork();
	room_check(pid >= 0);
	if (pid == 0) {
		room_check(unshare(CLONE_NEWNET) == 0);
		if (rules)
			load_rules(rules);
		room_check(mount("/proc/self/ns/net", "/run/netns/" ROOM_TUNNEL, NULL, MS_BIND, NULL) == 0);
		_exit(0);
	}
	room_check(waitpid(pid, &status, 0) == pid && status == 0);
}

static void home(void)
{
	room_write("/etc/resolv.conf", "nameserver 192.168.1.1\n");
	make_netns(LOCK_TEXT);
}

/* Runs launch_exec() in a child; exit status of child, its stdout in out, the sentence in error (both may be NULL). */
static int try_launch(const struct launch *l, char *out, size_t cap)
{
	int p[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	room_check(pipe(p) == 0);
	pid = fork();
	room_check(pid >= 0);
	if (pid == 0) {
		char *error = NULL;
		int r;

		room_check(dup2(p[1], 1) == 1);
		r = launch_exec(l, &error);
		dprintf(1, "%s", error ? error : "no sentence");
		_exit(r);
	}
	close(p[1]);
	while (len + 1 < cap && (n = read(p[0], out + len, cap - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(p[0]);
	room_check(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define LAUNCH(...) { .tunnel = ROOM_TUNNEL, .argv = (char *const[]){ __VA_ARGS__, NULL } }
#define S(text) ((char *)(text))

/* ---- the lock ---- */

static void lock_cases(void *arg _unused_)
{
	room_check(lock_verify() == -ENOENT);
	load_rules("table inet nsvpn { chain input { }; }");
	room_check(lock_verify() == -ENOENT);
	load_rules(LOCK_TEXT);
	room_check(lock_verify() == 0);
}

static void lock_open(void *arg)
{
	load_rules(arg);
	room_check(lock_verify() == -EPERM);
}

Test(lock, is_seen_and_its_absence_is_seen)
{
	need_nft();
	cr_expect_eq(room_run(lock_cases, NULL), 0);
}

Test(lock, an_accepting_chain_or_another_hook_is_no_lock)
{
	need_nft();
	cr_expect_eq(room_run(lock_open, S(OPEN_TEXT)), 0);
	cr_expect_eq(room_run(lock_open, S(WRONG_HOOK)), 0);
	cr_expect_eq(room_run(lock_open, S("table inet nsvpn { chain output { }; }")), 0);
}

/* ---- refusals ---- */

static void refusals(void *arg _unused_)
{
	struct launch l = LAUNCH(S("true"));
	char out[1024];

	room_write("/etc/resolv.conf", "");
	/* no namespace file */
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED && strstr(out, "/run/netns/home"));
	/* an ordinary file in its place */
	room_write("/run/netns/" ROOM_TUNNEL, "");
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED && strstr(out, "not a network namespace"));
	/* another kind of namespace */
	room_check(mount("/proc/self/ns/uts", "/run/netns/" ROOM_TUNNEL, NULL, MS_BIND, NULL) == 0);
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED && strstr(out, "not a network namespace"));
	room_check(umount("/run/netns/" ROOM_TUNNEL) == 0);
	/* our own */
	room_check(mount("/proc/self/ns/net", "/run/netns/" ROOM_TUNNEL, NULL, MS_BIND, NULL) == 0);
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED && strstr(out, "outside"));
	room_check(umount("/run/netns/" ROOM_TUNNEL) == 0);
	/* a link to itself, the old recipe */
	room_check(unlink("/run/netns/" ROOM_TUNNEL) == 0 &&
		   symlink("/proc/self/ns/net", "/run/netns/" ROOM_TUNNEL) == 0);
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED);
	room_check(unlink("/run/netns/" ROOM_TUNNEL) == 0);
	/* not locked */
	make_netns(NULL);
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED && strstr(out, "not locked"));
	/* root's of a user namespace sees root's files as somebody else's */
	room_check(chown(ROOM_RUN "/journal", 65534, 65534) == 0);
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED && strstr(out, "user namespace"));
	/* no journal */
	room_check(unlink(ROOM_RUN "/journal") == 0);
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED && strstr(out, "nsvpn up home"));
	/* bad arguments */
	l.tunnel = "../home";
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED);
	l.tunnel = ROOM_TUNNEL;
	l.argv = (char *const[]){ NULL };
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED);
}

Test(launch, refuses_everything_that_is_not_a_locked_namespace)
{
	need_nft();
	cr_assert_eq(room_run(refusals, NULL), 0);
}

/* ---- streams ---- */

static void streams(void *arg _unused_)
{
	struct launch l = LAUNCH(S("sh"), S("-c"), S("[ -e /proc/self/fd/0 ] && echo yes"));
	int inet = socket(AF_INET, SOCK_DGRAM, 0), unix_pair[2];
	char out[1024];

	home();
	room_check(inet >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair) == 0);
	room_check(dup2(inet, 0) == 0);
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED && strstr(out, "standard input"));
	l.allow_inet_stdio = true;
	room_check(try_launch(&l, out, sizeof(out)) == 0);
	l.allow_inet_stdio = false;
	room_check(dup2(unix_pair[0], 0) == 0);
	room_check(try_launch(&l, out, sizeof(out)) == 0 && str_eq(out, "yes\n"));
	close(0);
	room_check(try_launch(&l, out, sizeof(out)) == 0 && str_eq(out, "yes\n"));
	inet = socket(AF_NETLINK, SOCK_RAW, 0);
	room_check(inet == 0);
	room_check(try_launch(&l, out, sizeof(out)) == EXIT_CODE_EXEC_FAILED);
}

Test(launch, network_sockets_do_not_come_along_as_streams)
{
	need_nft();
	cr_assert_eq(room_run(streams, NULL), 0);
}

/* ---- the program ---- */

static void program(void *arg _unused_)
{
	struct launch ok = LAUNCH(S("sh"), S("-c"), S("printf '[%s]' \"$@\" \"$NSVPN_TUNNEL\" \"$FOO\""), S("x"), S("a b"), S(""),
				  S("*"));
	struct launch status = LAUNCH(S("sh"), S("-c"), S("exit 42"));
	struct launch killed = LAUNCH(S("sh"), S("-c"), S("kill -TERM $$"));
	struct launch none = LAUNCH(S("/no/such/program")), no_path = LAUNCH(S("nosuchprogram")), bad = LAUNCH(S("/etc/passwd"));
	struct launch net = LAUNCH(S("readlink"), S("/proc/self/ns/net")), dns = LAUNCH(S("cat"), S("/etc/resolv.conf"));
	struct launch cwd = LAUNCH(S("sh"), S("-c"), S("pwd; cat resolv.conf"));
	char out[1024], ours[64] = "";

	home();
	setenv("FOO", "bar", 1);
	room_check(try_launch(&ok, out, sizeof(out)) == 0 && str_eq(out, "[a b][][*][home][bar]"));
	room_check(try_launch(&status, out, sizeof(out)) == 42);
	room_check(try_launch(&killed, out, sizeof(out)) == 128 + SIGTERM);
	room_check(try_launch(&none, out, sizeof(out)) == 127 && strstr(out, "/no/such/program"));
	room_check(try_launch(&no_path, out, sizeof(out)) == 127 && strstr(out, "PATH"));
	room_check(try_launch(&bad, out, sizeof(out)) == 126);
	room_check(readlink("/proc/self/ns/net", ours, sizeof(ours) - 1) > 0);
	room_check(try_launch(&net, out, sizeof(out)) == 0 && !strstr(out, ours));
	room_check(try_launch(&dns, out, sizeof(out)) == 0 && str_eq(out, "nameserver 10.8.0.1\n"));
	/* The working folder stays, and below /etc it is the covered one. */
	room_check(chdir("/etc") == 0);
	room_check(try_launch(&cwd, out, sizeof(out)) == 0 && str_eq(out, "/etc\nnameserver 10.8.0.1\n"));
	cwd.switch_user = true;
	cwd.uid = cwd.gid = ROOM_UID;
	room_check(try_launch(&cwd, out, sizeof(out)) == 0 && str_eq(out, "/etc\nnameserver 10.8.0.1\n"));
}

Test(launch, program_arguments_environment_folder_and_status)
{
	need_nft();
	cr_assert_eq(room_run(program, NULL), 0);
}

static void as_user(void *arg _unused_)
{
	struct launch l = LAUNCH(S("sh"), S("-c"), S("echo $(id -u) $(id -g) $(id -G) $HOME; "
						      "grep -E 'Cap(Eff|Prm|Inh|Amb)' /proc/self/status | grep -vc 0000000000000000"));
	char out[1024];

	home();
	l.switch_user = true;
	l.uid = l.gid = ROOM_UID;
	/* grep -c of nothing exits with 1 */
	room_check(try_launch(&l, out, sizeof(out)) == 1);
	room_check(str_eq(out, "65534 65534 65534 4242 /nonexistent\n0\n"));
}

Test(launch, program_runs_as_the_user_without_capabilities)
{
	need_nft();
	cr_assert_eq(room_run(as_user, NULL), 0);
}

static void isolated(void *arg)
{
	struct launch l = LAUNCH(S("sh"), S("-c"), S("echo $(id -u) $(id -G) $(ls -A /tmp) $DBUS_SESSION_BUS_ADDRESS$SSH_AUTH_SOCK; "
						      "grep -c '^CapBnd:.0000000000000000$\\|^CapEff:.0000000000000000$\\|^NoNewPrivs:.1$' "
						      "/proc/self/status; ls /run; cat /etc/resolv.conf"));
	char out[1024];

	home();
	l.isolate = true;
	l.switch_user = arg;
	l.uid = l.gid = arg ? ROOM_UID : 0;
	setenv("SSH_AUTH_SOCK", "/tmp/ssh-x/agent.1", 1);
	setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/0/bus", 1);
	unsetenv("XDG_RUNTIME_DIR");
	room_check(chdir("/") == 0 && try_launch(&l, out, sizeof(out)) == 0);
	if (arg)
		room_check(str_has_prefix(out, "65534 65534 4242\n"));
	room_check(strstr(out, "\n3\navahi-daemon\nlock\nnscd\nsystemd\nuser\nnameserver 10.8.0.1\n"));
	/* A folder below a cover is not there any more; the cover itself is. */
	room_check(mkdir("/run/x", 0755) == 0 && chdir("/run/x") == 0);
	room_check(try_launch(&l, out, sizeof(out)) == 125 && strstr(out, "/run/x"));
	room_check(chdir("/run") == 0 && try_launch(&l, out, sizeof(out)) == 0);
}

Test(launch, isolated_program_of_a_user_and_of_root)
{
	need_nft();
	cr_expect_eq(room_run(isolated, (void *)1), 0);
	cr_expect_eq(room_run(isolated, NULL), 0);
}

static void leftovers(void *arg _unused_)
{
	/* No shell: its pipes would come and go. 3 is the folder that ls reads. */
	struct launch fds = LAUNCH(S("ls"), S("/proc/self/fd"));
	struct launch sigs = LAUNCH(S("sed"), S("-n"), S("s/^Sig\\(Blk\\|Ign\\):\\t//p"), S("/proc/self/status"));
	char out[1024], want[128];
	sigset_t set;

	home();
	room_check(fcntl(0, F_DUPFD, 7) >= 0 && fcntl(0, F_DUPFD, 200) >= 0); /* not close-on-exec */
	room_check(try_launch(&fds, out, sizeof(out)) == 0 && str_eq(out, "0\n1\n2\n3\n"));
	/* Mask and dispositions are the caller's. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	room_check(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
	/* Not by signal(): who runs the tests may ignore those that libc keeps to itself. */
	for (int i = 1; i < _NSIG; i++)
		(void)syscall(SYS_rt_sigaction, i, (char[64]){ 0 }, NULL, _NSIG / 8);
	room_check(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	(void)snprintf(want, sizeof(want), "%016llx\n%016llx\n", 1ull << (SIGUSR2 - 1), 1ull << (SIGHUP - 1));
	room_check(try_launch(&sigs, out, sizeof(out)) == 0 && str_eq(out, want));
}

Test(launch, nothing_of_ours_is_left_in_the_program)
{
	need_nft();
	cr_assert_eq(room_run(leftovers, NULL), 0);
}
