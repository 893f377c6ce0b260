/*
 * What nsvpn, nsvpnd and nsvpn-launch say to each other when a user without rights starts a program in a tunnel.
 *
 * nsvpn (the user) calls Exec with a sealed memfd (the request), its working folder, the three standard streams and one end
 * of a socket pair (the control socket). nsvpnd checks permission and identity, never looks into the request, and has PID 1
 * start a transient service whose main process is nsvpn-launch, with one end of another socket pair as standard input (the
 * order). nsvpn-launch becomes the caller, only then reads the request, and forks: the child is the program, the parent
 * stays as supervisor until it ends, with the caller's identity and no right beyond it. nsvpnd may be restarted meanwhile:
 * supervisor and nsvpn talk over the control socket alone.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/*
 * The request, a memfd sealed against every change: LAUNCH_REQUEST_MAGIC NUL, then records, each a letter, a string and
 * NUL: 'A' an argument (at least one), 'E' an entry of the environment, mostly "NAME=value". Nothing else, in any order of
 * letters.
 */
#define LAUNCH_REQUEST_MAGIC "nsvpn-request-1"
#define LAUNCH_REQUEST_MAX (4U << 20)

/* The order, nsvpnd to nsvpn-launch: one message on a SOCK_SEQPACKET socket, with LAUNCH_FD_COUNT descriptors. */
enum launch_fd {
	LAUNCH_FD_REQUEST,
	LAUNCH_FD_CWD, /* O_PATH folder */
	LAUNCH_FD_STDIN,
	LAUNCH_FD_STDOUT,
	LAUNCH_FD_STDERR,
	LAUNCH_FD_CONTROL,
	LAUNCH_FD_COUNT
};

#define LAUNCH_ORDER_MAGIC 0x6e73766fU
#define LAUNCH_GROUPS_MAX 1024U
#define LAUNCH_NAME_MAX 16U

enum launch_flags {
	LAUNCH_FLAG_ISOLATE = 1U << 0,      /* see nsvpn(1), --isolate */
	LAUNCH_FLAG_NO_NEW_PRIVS = 1U << 1,
	LAUNCH_FLAG_TERMINAL = 1U << 2,     /* streams that are terminals are one pseudo-terminal: make it the controlling one */
	LAUNCH_FLAG_BACKGROUND = 1U << 3,   /* nsvpn was a background job: the program starts as one, too */
};

struct launch_order {
	uint32_t magic;
	uint32_t flags;
	char tunnel[LAUNCH_NAME_MAX]; /* NUL-terminated */
	int32_t caller_pid;           /* whose limits, umask, ... are taken over; see launch/attributes.h */
	uint32_t uid, gid;
	uint32_t n_groups;
	uint32_t groups[LAUNCH_GROUPS_MAX]; /* the message ends after n_groups of them */
};

/*
 * The control socket, SOCK_SEQPACKET made by the caller with socketpair(): one struct launch_message each, for FAILED
 * followed by text.
 */
enum launch_message_type {
	/* supervisor to nsvpn */
	LAUNCH_STARTED = 1,   /* value: pid of the program */
	LAUNCH_FAILED = 2,    /* value: exit code 125, 126 or 127; text: one sentence. The last message */
	LAUNCH_STOPPED = 3,   /* value: the signal that stopped the program */
	LAUNCH_CONTINUED = 4, /* value 0 */
	LAUNCH_EXITED = 5,    /* value: as of waitpid(). The last message */
	/* nsvpn to supervisor */
	LAUNCH_SIGNAL = 16,   /* value: signal for the program's process group; SIGCONT also gives it the terminal back */
};

struct launch_message {
	uint32_t type;
	int32_t value;
};

#define LAUNCH_TEXT_MAX 1024U
