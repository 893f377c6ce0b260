/* Child processes: spawn with an exact descriptor map, pidfds, waiting. No shell, no PATH lookup. */
#pragma once

#include <sys/types.h>

#include "base/macro.h"

struct fd_map {
	int from; /* -1: /dev/null */
	int to;
};

struct spawn {
	const char *path;  /* absolute */
	char *const *argv;
	char *const *envp;
	const struct fd_map *map; /* everything else above 2 is closed; 0-2 default to /dev/null */
	size_t n_map;      /* at most 64, no two with the same `to` */
	int netns_fd;      /* -EBADF: stay */
	bool new_session;  /* setsid */
	int pdeathsig;     /* 0: none */
	/*
	 * Runs in the child after the descriptors and before exec; < 0 aborts the start with that error. May be NULL.
	 * pdeathsig is renewed behind it. It must leave no processes behind: the start would wait for them.
	 */
	int (*prepare)(void *userdata);
	void *userdata;
};

/* Starts it; *ret_pidfd is owned by the caller. Errors of the child before exec are reported here as -errno. */
int process_spawn(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd);
/*
 * Forks a child that runs fn and _exit()s with its status (0..255); signals reset, pdeathsig SIGKILL.
 * For work that must not happen in the parent (another namespace, a library that may exit).
 */
int process_fork(int (*fn)(void *userdata), void *userdata, pid_t *ret_pid, int *ret_pidfd);
/* Waits for the child. Returns its exit status 0..255, 128+N for signal N, or -errno. */
int process_wait(pid_t pid);
int process_kill_wait(pid_t pid, int signo);
/* Close-on-exec everything from `from` on. */
void process_cloexec_all(int from);
