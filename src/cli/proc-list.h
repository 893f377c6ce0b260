/* The running processes as /proc shows them to whoever we are: which belong to a user, which are inside a tunnel. */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/macro.h"

struct proc_entry {
	pid_t pid, ppid;
	uid_t uid;      /* effective */
	char *command;  /* the kernel's name for it, up to 15 bytes */
	char *exe;      /* path; NULL where it may not be read */
	char **argv;    /* may be NULL: a kernel thread, or one that is ending */
	bool has_terminal; /* a controlling one */
	bool is_inside; /* its network namespace is the tunnel's; false where that may not be read */
};

struct proc_list {
	struct proc_entry *entries;
	size_t n;
};

#define PROC_ANY_USER ((uid_t)-1)

void proc_list_done(struct proc_list *l);

/*
 * root: "/proc". netns: what stat() says of the tunnel's namespace, NULL when there is none (nobody is inside then).
 * Processes that end meanwhile are left out. 0 or -errno.
 */
int proc_list_read(const char *root, uid_t uid, const struct stat *netns, struct proc_list *ret);

/*
 * True when the process or one that it descends from is inside: a browser puts its own children into empty namespaces.
 * Parents of other users are not in the list and end the search.
 */
bool proc_list_has_inside_ancestor(const struct proc_list *l, const struct proc_entry *e);
const struct proc_entry *proc_list_parent(const struct proc_list *l, const struct proc_entry *e);

/*
 * The file that a process runs: exe, or for an interpreter (python3, bash, ...) its script. Borrowed; NULL where only
 * the command's name is known.
 */
const char *proc_entry_program(const struct proc_entry *e);
/* It runs commands of its own and no script: one shell is not an instance of another. */
bool proc_entry_is_bare_interpreter(const struct proc_entry *e);

/* The value of a variable in the environment that it was started with; malloc'ed, NULL: not set or not readable. */
char *proc_environment(const char *root, pid_t pid, const char *name);
