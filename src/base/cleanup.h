/*
 * The ownership idiom of the whole tree, on one page.
 *
 * A local that owns something carries `_cleanup_(xxxp)`; handing it over is
 * visible as TAKE_PTR or TAKE_FD. Destructors accept NULL and return NULL.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* DEFINE_CLEANUP(struct foo *, foo_free) makes foo_freep() for _cleanup_(foo_freep). */
#define DEFINE_CLEANUP(type, func)                                                                 \
	static inline __attribute__((unused)) void func##p(type *p)                                \
	{                                                                                          \
		if (*p)                                                                            \
			func(*p);                                                                  \
	}

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) _taken = (p);                                                        \
		(p) = NULL;                                                                        \
		_taken;                                                                            \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int _taken = (fd);                                                                 \
		(fd) = -EBADF;                                                                     \
		_taken;                                                                            \
	})

static inline __attribute__((unused)) void freep(void *p)
{
	free(*(void **)p);
}

/* Closes *fd when it is >= 0. errno is kept. */
static inline __attribute__((unused)) void closep(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		(void)close(*fd); /* nothing can be done about a failing close of a descriptor we drop */
		errno = saved;
	}
}

static inline __attribute__((unused)) void fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f); /* as closep */
}
