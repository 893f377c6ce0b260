/* Namespaces that outlived a rootless helper; theory in survivors.h. */
#include "daemon/survivors.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/places.h"
#include "base/str.h"
#include "net/journal.h"
#include "net/netns.h"
#include "net/tunnelnet.h"

void survivors_done(struct survivors *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].name);
		(void)fd_close(s->v[i].netns);
	}
	free(s->v);
	s->user = fd_close(s->user);
}

static bool is_same_namespace(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The network namespace with that number, through any process in it. A descriptor, or -errno. */
static int open_by_number(uint64_t number)
{
	_cleanup_(freep) struct netproc *in = NULL;
	size_t n = 0;
	int r = netns_processes(number, 0, &in, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		_cleanup_(freep) char *path = str_format("/proc/%d/ns/net", (int)in[i].pid);
		_cleanup_(closep) int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -EBADF;
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == number)
			return TAKE_FD(fd);
	}
	return r < 0 ? r : -ENOENT;
}

/* One user namespace can be entered, so only what belongs to the first one found is taken up; the rest stays locked. */
static int add_survivor(struct survivors *s, const char *name, int netns_take)
{
	_cleanup_(closep) int netns = netns_take, user = ioctl(netns, NS_GET_USERNS);
	struct survivor *v;

	if (user < 0 || (s->user >= 0 && !is_same_namespace(s->user, user)))
		return 0;
	v = reallocarray(s->v, s->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	s->v = v;
	v[s->n] = (struct survivor){ .name = strdup(name), .netns = TAKE_FD(netns) };
	if (!v[s->n++].name)
		return -ENOMEM;
	if (s->user < 0)
		s->user = TAKE_FD(user);
	return 0;
}

/* 0: none. */
static uint64_t recorded_netns(const char *tunnel)
{
	_cleanup_(freep) char *path = str_format("%s/%s/journal", place_run(), tunnel);
	struct journal j = { 0 };
	uint64_t number = path && journal_read(path, &j) == 0 ? j.netns_ino : 0;

	journal_done(&j);
	return number;
}

static bool is_our_netns(uint64_t number)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) == 0 && st.st_ino == number;
}

int survivors_find(struct survivors *s, char **ret_error)
{
	_cleanup_(strv_freep) char **names = NULL;
	int r = tunnelnet_list(&names);

	for (size_t i = 0; r >= 0 && i < strv_len(names); i++) {
		uint64_t number = recorded_netns(names[i]);
		int fd;

		if (!number)
			continue;
		if (is_our_netns(number)) {
			*ret_error = str_format("this is started from inside tunnel %s, and from there nobody gives orders; use a "
						"terminal outside of it", names[i]);
			r = -EDEADLK;
		} else if ((fd = open_by_number(number)) >= 0) {
			r = add_survivor(s, names[i], fd);
		}
	}
	return r < 0 ? r : 0;
}

/* At the place where the recovery looks for it. */
static int pin(const struct survivor *v)
{
	_cleanup_(freep) char *path = place_netns(v->name), *source = str_format("/proc/self/fd/%d", v->netns);

	return path && source ? netns_pin(path, source) : -ENOMEM;
}

int survivors_pin(const struct survivors *s)
{
	int r = 0;

	for (size_t i = 0; i < s->n && r == 0; i++)
		r = pin(&s->v[i]);
	return r;
}
