/* The namespace itself: made and pinned first, let go last. */
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "net/netns.h"
#include "net/plan.h"

static int foreign(struct tunnelnet *n)
{
	return net_error(n, -EEXIST,
			 "%s is a network namespace that nsvpn did not make; remove it (ip netns del %s) or give the "
			 "tunnel another name",
			 n->netns_path, n->name);
}

static int adopt(struct tunnelnet *n, int fd, uint64_t ino)
{
	net_leave(n);
	n->ns_fd = fd;
	if (n->j.netns_ino == ino)
		return 0;
	n->j.netns_ino = ino;
	/* Another namespace than the one we read the lock from. */
	n->j.locks[LOCK_INNER] = (struct lock_mark){ 0 };
	return net_journal(n);
}

static int netns_check(struct tunnelnet *n, const struct step *s)
{
	_cleanup_(closep) int fd = -EBADF;
	uint64_t ino;
	int r;

	(void)s; /* no parameters */
	r = netns_open(n->netns_path, &fd, &ino);
	if (r == -ENOENT || r == -ENOTTY)
		return 0; /* an empty file: a crash between making it and mounting on it */
	if (r < 0)
		return net_error(n, r, "%s cannot be opened: %s", n->netns_path, strerror(-r));
	if (n->j.netns_ino && n->j.netns_ino != ino)
		return foreign(n);
	if (n->ns_fd < 0 || n->j.netns_ino != ino) {
		r = adopt(n, TAKE_FD(fd), ino); /* ours: the journal was written before it was made */
		if (r < 0)
			return r;
	}
	return 1;
}

static int netns_apply(struct tunnelnet *n, const struct step *s)
{
	uint64_t ino;
	int fd, r;

	(void)s; /* no parameters */
	r = netns_create(n->netns_path, &fd, &ino);
	if (r == -EEXIST)
		return foreign(n);
	if (r < 0)
		return net_error(n, r, "the network namespace %s cannot be made: %s", n->netns_path, strerror(-r));
	n->j.netns_ino = 0; /* whatever it was, that one is gone */
	return adopt(n, fd, ino);
}

static int netns_undo(struct tunnelnet *n, const struct step *s)
{
	_cleanup_(closep) int fd = -EBADF;
	uint64_t ino = 0;
	int r;

	(void)s; /* no parameters */
	r = netns_open(n->netns_path, &fd, &ino);
	if (r == 0 && n->j.netns_ino && ino != n->j.netns_ino)
		return 0; /* somebody else's by now */
	net_leave(n);
	if (r == -ENOENT)
		return 0;
	r = netns_unpin(n->netns_path);
	if (r < 0)
		return net_error(n, r, "the namespace %s cannot be removed: %s; try `umount %s`", n->netns_path,
				 strerror(-r), n->netns_path);
	return 0;
}

static void netns_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	(void)s; /* no parameters */
	fprintf(f, "make a network namespace and pin it at %s", n->netns_path);
}

const struct step_ops step_netns = { netns_check, netns_apply, netns_undo, netns_print };
