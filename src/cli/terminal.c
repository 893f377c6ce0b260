/* The user's terminal and the program's; contract and theory in terminal.h. */
#include "cli/terminal.h"

#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/fd.h"
#include "base/str.h"

#define BUFFER_SIZE 16384
#define DRAIN_PATIENCE_MSEC 2000

struct buffer {
	char data[BUFFER_SIZE];
	size_t begin, end;
};

struct terminal {
	int real;   /* the user's, opened anew for us */
	int master, slave;
	bool is_terminal[3];
	bool has_mode, is_raw;
	bool was_entered;
	bool gone;  /* the real one was hung up */
	struct termios mode;
	struct buffer in, out; /* real to master, master to real */
};

/* ---- buffers ---------------------------------------------------------------------------------------------------------- */

static bool is_empty(const struct buffer *b)
{
	return b->begin == b->end;
}

static bool has_room(const struct buffer *b)
{
	return b->end < sizeof(b->data) || b->begin > 0;
}

/* 1 more may come, 0 nothing now, -1 end or error. */
static int fill(struct buffer *b, int fd)
{
	ssize_t n;

	if (b->begin > 0) {
		memmove(b->data, b->data + b->begin, b->end - b->begin);
		b->end -= b->begin;
		b->begin = 0;
	}
	if (b->end == sizeof(b->data))
		return 0;
	n = read(fd, b->data + b->end, sizeof(b->data) - b->end);
	if (n > 0) {
		b->end += (size_t)n;
		return 1;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static int flush(struct buffer *b, int fd)
{
	ssize_t n = write(fd, b->data + b->begin, b->end - b->begin);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	b->begin += (size_t)n;
	if (is_empty(b))
		b->begin = b->end = 0;
	return 1;
}

/* ---- the pair ---------------------------------------------------------------------------------------------------------- */

/* An open file of our own: O_NONBLOCK on the shell's would be seen by the shell. */
static int open_real(const struct terminal *t)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	for (int i = 0; fd < 0 && i < 3; i++) {
		char path[] = { '/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'f', 'd', '/', (char)('0' + i), '\0' };

		if (t->is_terminal[i])
			fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	}
	return fd < 0 ? -errno : fd;
}

static int open_pair(struct terminal *t)
{
	struct winsize size;
	bool has_size = ioctl(t->real, TIOCGWINSZ, &size) == 0;

	t->has_mode = tcgetattr(t->real, &t->mode) == 0;
	if (openpty(&t->master, &t->slave, NULL, t->has_mode ? &t->mode : NULL, has_size ? &size : NULL) < 0)
		return -errno;
	if (fcntl(t->master, F_SETFD, FD_CLOEXEC) < 0 || fcntl(t->slave, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return fd_set_nonblock(t->master, true);
}

int terminal_new(struct terminal **ret)
{
	_cleanup_(terminal_freep) struct terminal *t = calloc(1, sizeof(*t));
	bool any = false;
	int r;

	if (!t)
		return -ENOMEM;
	t->real = t->master = t->slave = -EBADF;
	for (int i = 0; i < 3; i++)
		any |= t->is_terminal[i] = isatty(i);
	if (!any)
		return 0;
	r = t->real = open_real(t);
	if (r >= 0)
		r = open_pair(t);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(t);
	return 0;
}

struct terminal *terminal_free(struct terminal *t)
{
	if (!t)
		return NULL;
	terminal_leave(t);
	(void)fd_close(t->real);
	(void)fd_close(t->master);
	(void)fd_close(t->slave);
	free(t);
	return NULL;
}

int terminal_stream(const struct terminal *t, int fd)
{
	return t && t->is_terminal[fd] ? t->slave : fd;
}

/* ---- mode and size ------------------------------------------------------------------------------------------------------ */

bool terminal_is_foreground(const struct terminal *t)
{
	return tcgetpgrp(t->real) == getpgrp();
}

void terminal_enter(struct terminal *t)
{
	struct termios raw = t->mode;

	if (!t->has_mode || t->gone || !terminal_is_foreground(t))
		return;
	/* The shell may have changed it while we were stopped; what we restore is what was there last. */
	if (!t->is_raw && tcgetattr(t->real, &t->mode) == 0)
		raw = t->mode;
	/* A background job began while the shell was editing its next line, in a mode that is the shell's alone. */
	if (!t->was_entered)
		(void)tcsetattr(t->slave, TCSANOW, &t->mode); /* a valid mode: it was just read */
	t->was_entered = true;
	cfmakeraw(&raw);
	/* Others in the pipeline write to the real terminal themselves, and count on its end of line. */
	if (!t->is_terminal[0] || !t->is_terminal[1] || !t->is_terminal[2])
		raw.c_oflag = t->mode.c_oflag;
	if (tcsetattr(t->real, TCSADRAIN, &raw) == 0)
		t->is_raw = true;
	terminal_resize(t);
}

void terminal_leave(struct terminal *t)
{
	if (!t->is_raw)
		return;
	(void)tcsetattr(t->real, TCSADRAIN, &t->mode); /* a terminal that is gone has no mode */
	t->is_raw = false;
}

void terminal_resize(struct terminal *t)
{
	struct winsize size;

	if (ioctl(t->real, TIOCGWINSZ, &size) == 0)
		(void)ioctl(t->master, TIOCSWINSZ, &size); /* only a size */
}

/* ---- carrying ------------------------------------------------------------------------------------------------------------ */

void terminal_want(const struct terminal *t, struct pollfd p[TERMINAL_POLL_COUNT])
{
	p[0] = (struct pollfd){ .fd = t->gone ? -1 : t->real };
	p[1] = (struct pollfd){ .fd = t->master };
	/* In the background the keyboard is the shell's. */
	if (t->is_raw && has_room(&t->in))
		p[0].events |= POLLIN;
	if (!is_empty(&t->out))
		p[0].events |= POLLOUT;
	if (has_room(&t->out))
		p[1].events |= POLLIN;
	if (!is_empty(&t->in))
		p[1].events |= POLLOUT;
	if (!p[0].events)
		p[0].fd = -1;
	if (!p[1].events)
		p[1].fd = -1;
}

void terminal_carry(struct terminal *t, const struct pollfd p[TERMINAL_POLL_COUNT])
{
	if (p[0].revents & (POLLIN | POLLHUP | POLLERR) && t->is_raw && fill(&t->in, t->real) < 0)
		t->gone = true;
	if (p[1].revents & POLLOUT)
		(void)flush(&t->in, t->master); /* the slave is open: no error but "later" */
	if (p[1].revents & POLLIN)
		(void)fill(&t->out, t->master);
	if (!is_empty(&t->out) && !t->gone && flush(&t->out, t->real) < 0)
		t->gone = true;
	if (t->gone)
		t->out.begin = t->out.end = 0; /* nobody sees it */
}

void terminal_drain(struct terminal *t)
{
	int more = 1;

	t->slave = fd_close(t->slave);
	while (!t->gone && (more > 0 || !is_empty(&t->out))) {
		struct pollfd p = { .fd = t->real, .events = POLLOUT };

		if (has_room(&t->out) && more > 0)
			more = fill(&t->out, t->master); /* 0: what is left running there may write later, unseen */
		if (is_empty(&t->out))
			continue;
		if (poll(&p, 1, DRAIN_PATIENCE_MSEC) <= 0 || flush(&t->out, t->real) < 0)
			break; /* a terminal that was stopped (Ctrl-S) is not waited for for ever */
	}
}
