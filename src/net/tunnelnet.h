/*
 * The network side of one tunnel, as the helper drives it: the namespace with its locks, the uplink, the tun device,
 * and everything that must be put back. Above this header nothing knows which uplink is in use.
 *
 * Theory. Every operation is a list of idempotent steps (plan.h): applied in order, journalled before the kernel is
 * touched where an old value would be lost, undone backwards. After a crash the journal under <run>/NAME names what was
 * chosen (subnet, mark, old sysctl values); tunnelnet_prepare() finishes the job, tunnelnet_teardown() undoes it.
 * Locks are kernel state: no process's death removes them. Invariants 1-7 and 10-12 of security.md rest on this folder.
 *
 * States in the kernel:
 *   absent    nothing of this tunnel exists
 *   locked    namespace, sysctls, inner lock, outer lock, uplink (veth: up, no route for programs), unreachable defaults,
 *             resolver files
 *   connected + tun0 with addresses, its routes, the default route, lock openings for tun0 and the resolvers
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "base/inaddr.h"
#include "profile/profile.h"
#include "profile/settings.h"

struct tunnelnet;

/* Errors of all functions: 0 or -errno, and a malloc'ed sentence in *ret_error that names the object and the remedy. */

/* Nothing is touched. The journal, if there is one, is read (damaged: treated as "locked, parameters unknown"). */
int tunnelnet_new(struct tunnelnet **ret, const char *name, enum uplink uplink, char **ret_error);
struct tunnelnet *tunnelnet_free(struct tunnelnet *n);
DEFINE_CLEANUP(struct tunnelnet *, tunnelnet_free)

enum tunnelnet_presence { TUNNELNET_ABSENT, TUNNELNET_PARTIAL, TUNNELNET_LOCKED };
/* What the kernel has, journal and reality compared; for recovery and status. */
enum tunnelnet_presence tunnelnet_presence(struct tunnelnet *n);

/*
 * A subnet that the veth must not take (addresses and routes of the profile, say). Before tunnelnet_prepare(); kept for
 * the life of the object. 0, -ENOMEM, or -E2BIG when too many are kept already.
 */
int tunnelnet_avoid(struct tunnelnet *n, const struct inprefix *p);

/*
 * What the next tunnelnet_prepare() lets through beside the tunnel; those that are built already are undone first where
 * they differ. Not called: what is built stays, and a new tunnel has none. Refused by tunnelnet_prepare(): a port that
 * another tunnel publishes or that a program of this machine listens on (-EADDRINUSE).
 */
void tunnelnet_set_exceptions(struct tunnelnet *n, const struct exceptions *e);
/* Those that are built, borrowed. */
const struct exceptions *tunnelnet_exceptions(const struct tunnelnet *n);
/* The address at which this machine finds published services; false: there is none of this family. */
bool tunnelnet_service_address(const struct tunnelnet *n, int family, struct inaddr *ret);

/* absent or partial -> locked. Doing it twice writes nothing. A foreign object in the way is an error, never replaced. */
int tunnelnet_prepare(struct tunnelnet *n, char **ret_error);

/*
 * Makes `server` the only opening: engine-only route (veth), inner and outer lock, forwarding on the outgoing interface;
 * then opens a non-blocking connected transport socket with the engine's mark in the right namespace. The previous
 * server's opening is gone before the new one exists. *ret_fd owned by the caller. *ret_path_mtu: of the outgoing route.
 * `local`: what the profile wants as the socket's own end; NULL, or address and port, either may be unset. The address counts where the socket
 * is in the default namespace. -ENETUNREACH / -EHOSTUNREACH: the host has no route (the sentence says so).
 */
int tunnelnet_open_transport(struct tunnelnet *n, const struct endpoint *server, enum transport transport,
			     const struct endpoint *local, int *ret_fd, uint32_t *ret_path_mtu, char **ret_error);
/*
 * The server is a proxy over TCP: opens the locks for its address's UDP port as well, once, and makes a socket to it. On
 * failure nothing is open any more.
 */
int tunnelnet_open_relay(struct tunnelnet *n, uint16_t port, int *ret_fd, uint32_t *ret_path_mtu, char **ret_error);
/* No opening at all (between tries, after the engine's death). */
int tunnelnet_close_transport(struct tunnelnet *n, char **ret_error);

/*
 * Creates tun0 (down, without address) in the namespace and returns its descriptor, non-blocking, owned by the caller;
 * tap: it carries Ethernet frames, without offloads. *ret_offload: IPC_TUN_* style bits (1 vnet header, 2 TSO, 4 USO) that the kernel accepted. The device lives as long as
 * a descriptor of it is open: the helper keeps one so that an engine can be replaced under running programs.
 */
int tunnelnet_open_tun(struct tunnelnet *n, bool tap, int *ret_fd, unsigned *ret_offload, char **ret_error);

/*
 * locked -> connected, or connected -> connected with other settings: addresses, MTU, routes, resolver files, lock
 * openings; the default route last. `settings` passed settings_verify(). Refused (-EADDRINUSE): addresses or routes that
 * cover the veth's subnet are renumbered or refused with a sentence.
 */
int tunnelnet_connect(struct tunnelnet *n, const struct settings *settings, char **ret_error);
/* connected -> locked: the default route first, then the other routes and the openings for tun0. Idempotent, tolerant. */
int tunnelnet_disconnect(struct tunnelnet *n, char **ret_error);

/*
 * For a helper that goes on where another one stopped, with the tun device still open: `settings` are applied. Before
 * tunnelnet_prepare() and tunnelnet_connect(), which then find nothing to do, or do what is missing.
 */
void tunnelnet_adopt(struct tunnelnet *n, const struct settings *settings);

/*
 * -> absent. With processes inside: everything but namespace and inner lock goes, they stay locked in; returns 1 and the
 * journal remembers it. 0: all gone. Undoes as much as it can and reports the first error.
 */
int tunnelnet_teardown(struct tunnelnet *n, char **ret_error);

/*
 * Readable when somebody changed nftables, policy rules or forwarding: the caller waits a moment, so that others finish,
 * and calls tunnelnet_reassert(). Borrowed, one and the same for the life of the object; to be asked for again after
 * each tunnelnet_prepare() (the namespace may be another). -errno.
 */
int tunnelnet_watch_fd(struct tunnelnet *n);
/*
 * Puts back what is missing of a prepared tunnel: locks first. 1: *ret_done names the steps (malloc'ed); 0: nothing was
 * missing; -errno: the rest is still missing, to be tried again soon. Never opens anything that the journal does not
 * have open.
 */
int tunnelnet_reassert(struct tunnelnet *n, char **ret_done, char **ret_error);

/*
 * Packets that came out of the namespace, and those of them that left this machine, since the outer lock was made. The
 * figures are read one after the other, while packets go on.
 */
struct tunnelnet_traffic {
	uint64_t left_before; /* read before `entered`: all of them are in it */
	uint64_t entered;
	uint64_t left;        /* read after `entered`: all of that which got through is in it */
};

/* uplink = veth only: else -EOPNOTSUPP. */
int tunnelnet_traffic(struct tunnelnet *n, struct tunnelnet_traffic *ret);
/*
 * Who that is. 1: *ret_sentence names table, chain, rule and remedy; 0: nobody was found. proven: the figures above say that
 * there is somebody, so a rule that only may drop is named, too, and 1 is certain. Without the figures (uplink = socket):
 * a rule that drops for certain.
 */
int tunnelnet_blocker(struct tunnelnet *n, bool proven, char **ret_sentence);
/* The same about the questions for the server's name. 1: somebody drops them for certain; 0; -errno. */
int tunnelnet_names_blocker(struct tunnelnet *n, char **ret_sentence);

/* The way of this machine's packets to an address. */
struct uplink_way {
	int ifindex;
	struct inaddr src, via;
};
/* -ENETUNREACH and the like: there is none. */
int tunnelnet_way(struct tunnelnet *n, const struct inaddr *to, struct uplink_way *ret);
/*
 * 1: packets of a connection that was begun on the way `old` would take the way `now`, or have lost their source address.
 * Another source address for new connections is no reason while the old one is there (IPv6 changes it every day).
 */
int tunnelnet_way_changed(struct tunnelnet *n, const struct uplink_way *old, const struct uplink_way *now);
/* Readable when the way to anywhere may have changed; drain it, then look. The caller closes it. */
int tunnelnet_way_watch(int *ret_fd);
void tunnelnet_way_drain(int fd);

struct netproc {
	pid_t pid;
	char comm[16];
};
/* Processes whose network namespace this is (the engine's pid left out). malloc'ed. */
int tunnelnet_processes(struct tunnelnet *n, pid_t engine, struct netproc **ret, size_t *ret_n);
/* Sum of the drop counters of both locks, packets. */
int tunnelnet_dropped(struct tunnelnet *n, uint64_t *ret);
/* Descriptor of the namespace, borrowed; -EBADF when absent. */
int tunnelnet_netns_fd(struct tunnelnet *n);

/* Every change that prepare + connect would make, for people (settings NULL: "as the server says"). Changes nothing. */
int tunnelnet_print_plan(struct tunnelnet *n, const struct profile *p, const struct settings *settings, FILE *f);

/* Names of tunnels that the journal folder knows (also half-built ones). strv. */
int tunnelnet_list(char ***ret);

/*
 * For tests: every value that NSVPN_FAILPOINT takes, without the last word: "up.netns", "up.netns+", "down.netns", ...
 * Set to NAME:kill or NAME:error and heard by root with NSVPN_RUN set, it makes the process die or the step fail there;
 * "+" is behind the step, not before it. strv.
 */
int tunnelnet_failpoints(char ***ret);
