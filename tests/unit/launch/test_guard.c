/* What keeps a service from starting anywhere but in its locked tunnel. Needs root and the program nft. */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "launch/guard.h"
#include "unit/launch/room.h"

#define PINNED "/run/netns/" ROOM_TUNNEL
#define LOCK "table inet nsvpn { chain output { type filter hook output priority 0; policy drop; }; }"
#define OPEN "table inet nsvpn { chain output { type filter hook output priority 0; policy accept; }; }"

static void rules(const char *text)
{
	char *argv[] = { (char *)"nft", (char *)text, NULL }, *envp[] = { NULL };
	const struct spawn s = { .path = "/usr/sbin/nft", .argv = argv, .envp = envp, .netns_fd = -EBADF };
	pid_t pid;

	room_check(process_spawn(&s, &pid, NULL) == 0 && process_wait(pid) == 0);
}

/* The room's own namespace becomes the tunnel's. */
static void pin(void)
{
	room_write(PINNED, "");
	room_check(mount("/proc/self/ns/net", PINNED, NULL, MS_BIND, NULL) == 0);
}

static void refuses(int want, const char *part)
{
	char *error = NULL;
	int r = guard_verify(ROOM_TUNNEL, &error);

	if (r != want || !error || !strstr(error, part))
		dprintf(2, "%d: %s\n", r, error ? error : "nothing");
	room_check(r == want && error && strstr(error, part));
	free(error);
}

static void locked(void *arg)
{
	char *error = NULL;

	(void)arg;
	pin();
	rules(LOCK);
	room_check(guard_verify(ROOM_TUNNEL, &error) == 0 && !error);
}

static void without_lock(void *arg)
{
	(void)arg;
	pin();
	refuses(-ENOENT, "is not locked");
	rules(OPEN);
	refuses(-EPERM, "is not locked");
}

static void elsewhere(void *arg)
{
	(void)arg;
	rules(LOCK);
	refuses(-ENOENT, "systemctl start nsvpn@" ROOM_TUNNEL);
	pin();
	/* locked, too, but another one: what JoinsNamespaceOf= of a unit that is not active gives */
	room_check(unshare(CLONE_NEWNET) == 0);
	rules(LOCK);
	refuses(-EPERM, "not that of tunnel " ROOM_TUNNEL);
}

static void outside(void *arg)
{
	_cleanup_(closep) int fd = open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC);

	(void)arg;
	pin();
	rules(LOCK);
	room_check(fd >= 0 && setns(fd, CLONE_NEWNET) == 0);
	refuses(-EPERM, "machine's own network");
	/* Even if somebody had pinned it as the tunnel's. */
	room_check(mount("/proc/self/ns/net", PINNED, NULL, MS_BIND, NULL) == 0);
	refuses(-EPERM, "machine's own network");
}

/* Children that end with the status of theirs. */
static int as_child(void (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status = 0;

	room_check(pid >= 0);
	if (pid == 0) {
		fn(arg);
		_exit(0);
	}
	room_check(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct scene {
	void (*fn)(void *arg);
};

static void furnish_and_run(void *arg)
{
	const struct scene *s = arg;

	room_furnish();
	s->fn(NULL);
}

/* A PID 1 of our own, which we may look at, in the network that is "outside" here. */
static void be_first(void *arg)
{
	room_check(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0);
	room_check(mount("proc", "/proc", "proc", 0, NULL) == 0);
	_exit(as_child(furnish_and_run, arg));
}

static void have_first(void *arg)
{
	room_check(unshare(CLONE_NEWPID) == 0);
	_exit(as_child(be_first, arg));
}

static void in_room(void (*fn)(void *arg))
{
	struct scene s = { fn };

	if (geteuid() != 0)
		cr_skip_test("needs root for private namespaces");
	if (access("/usr/sbin/nft", X_OK) < 0)
		cr_skip_test("needs the program nft");
	cr_assert_eq(as_child(have_first, &s), 0);
}

Test(guard, lets_pass_in_the_locked_namespace)
{
	in_room(locked);
}

Test(guard, refuses_without_lock)
{
	in_room(without_lock);
}

Test(guard, refuses_in_another_namespace)
{
	in_room(elsewhere);
}

Test(guard, refuses_outside)
{
	in_room(outside);
}
