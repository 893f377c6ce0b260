/*
 * One process nsvpn-engine: start, watch, speak, end. What its messages mean is monitor.c's business.
 *
 * Theory. The helper starts the engine under the engine's own user, in the network namespace it shall live in, with one
 * descriptor: its end of a SOCK_SEQPACKET pair at IPC_ENGINE_FD. Through exec it keeps three capabilities in the ambient
 * set (CAP_SYS_ADMIN, CAP_SETPCAP, CAP_DAC_OVERRIDE), for the one thing that only the loaded program can do: empty its
 * mount namespace. The engine does that, drops all capabilities and installs its seccomp filter (engine/sandbox.c), then
 * says HELLO. Only then, and only after /proc says the same (engine_proc_verify_sandbox), it is given anything: profile,
 * tun, socket. The first byte from the network comes later still.
 *
 * The end is watched twice: the socket's end of file, and the pidfd. Whichever comes first, `closed` is told at once,
 * so that the default route goes without waiting for the process to be reaped; `exited` comes when it is.
 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "ipc/ipc.h"

struct engine_proc;

struct engine_proc_events {
	/* One message, without descriptors (the helper takes none). < 0: the engine broke the rules; it is killed. */
	int (*message)(void *userdata, const struct ipc_msg *m);
	/* Once: nothing more will come. why: static text, NULL when the helper itself ended it. */
	void (*closed)(void *userdata, const char *why);
	/* Once, after closed: reaped. status as process_wait(). The engine_proc may be freed inside. */
	void (*exited)(void *userdata, int status);
	/* One line that the engine wrote to stderr, escaped. */
	void (*stderr_line)(void *userdata, const char *line);
};

/* How a process gets started; replaceable, so that tests can play the engine. */
struct engine_spawn {
	/* sock: the engine's end, err: its stderr; both stay the caller's. netns_fd -EBADF: a fresh, empty one. */
	int (*start)(void *userdata, int sock, int err, int netns_fd, pid_t *ret_pid, int *ret_pidfd);
	/* 0 when the sandbox is closed, else -errno. */
	int (*verify)(void *userdata, pid_t pid);
	void *userdata;
};
extern const struct engine_spawn engine_spawn_real;
/* The same for engines that may outlive the helper (handover.h): not killed at its death, but by the end of their socket. */
extern const struct engine_spawn engine_spawn_lasting;

#define ENGINE_STATUS_UNKNOWN (-1) /* ended, but it was an earlier helper's child */

/* Starts one. events and userdata are borrowed until it is freed. */
int engine_proc_start(struct engine_proc **ret, sd_event *event, const struct engine_spawn *spawn, int netns_fd,
		      const struct engine_proc_events *events, void *userdata);
/* Kills and reaps what still runs. No event is told. */
struct engine_proc *engine_proc_free(struct engine_proc *e);
DEFINE_CLEANUP(struct engine_proc *, engine_proc_free)

/*
 * Goes on with one that an earlier helper started. pidfd, sock and err are taken over on success. -ESRCH: it has ended;
 * otherwise as start.
 */
int engine_proc_adopt(struct engine_proc **ret, sd_event *event, const struct engine_spawn *spawn, int pidfd, int sock, int err,
		      const struct engine_proc_events *events, void *userdata);
/* Lets go of it without ending it: somebody else keeps its descriptors. */
void engine_proc_release(struct engine_proc *e);
enum engine_fd { ENGINE_FD_SOCKET, ENGINE_FD_PIDFD, ENGINE_FD_STDERR };
int engine_proc_fd(const struct engine_proc *e, enum engine_fd which); /* borrowed; -EBADF: NULL */

pid_t engine_proc_pid(const struct engine_proc *e); /* 0: NULL */
int engine_proc_verify(const struct engine_proc *e);
/* As ipc_send(). -EAGAIN: the engine does not read. */
int engine_proc_send(struct engine_proc *e, const struct ipc_msg *m, const int *fds, size_t n_fds);
/* CMD_STOP, and SIGKILL when it has not ended after `patience`. */
void engine_proc_stop(struct engine_proc *e, usec_t patience);
/* Now. `closed` is told before this returns, with why. */
void engine_proc_kill(struct engine_proc *e, const char *why);

/*
 * The user the engine becomes: "nsvpn-engine" of /etc/passwd, else ids that no account has. NSS is not asked. Not "nsvpn":
 * members of the group of that name may use tunnels.
 */
void engine_proc_ids(uid_t *ret_uid, gid_t *ret_gid);
/* CapEff and CapPrm 0, NoNewPrivs 1, Seccomp 2, not root: 0, else -EPERM; -errno when /proc cannot be read. */
int engine_proc_verify_sandbox(pid_t pid);
/* "ended by itself", "was killed by signal 9 (Killed)", ...: buf filled and returned. */
char *engine_proc_describe(int status, char *buf, size_t cap);

/*
 * A note <run>/NAME.engine (pid and start time), so that a helper that starts after a crash can end an engine that did not
 * notice (it was stopped, or hangs): without that the old engine would hold the tun device for ever.
 */
void engine_proc_note(const char *name, pid_t pid); /* 0: remove the note */
void engine_proc_end_stale(const char *name);
