/*
 * The connection to the helper: on its private socket, on the system bus, or started by root where it is on neither; and its
 * answers turned into sentences and exit codes. The interface itself is in base/bus-api.h.
 */
#pragma once

#include <signal.h>
#include <systemd/sd-bus.h>

#include "base/bus-api.h"
#include "base/cleanup.h"
#include "base/macro.h"

struct client {
	sd_bus *bus;
	bool is_system; /* the service; else root's standalone helper */
	pid_t agent;    /* 0: nobody had to be asked for a password yet */
	/* Between client_catch() and client_release(): signals arrive only while client_wait() sleeps. */
	bool catching;
	sigset_t old_mask;
	struct sigaction old_int, old_term, old_hup;
};

enum client_start {
	CLIENT_IF_RUNNING,   /* nobody listens: *ret stays NULL, which is no error */
	CLIENT_START_HELPER, /* nobody listens: start it */
};

/* An exit code. *ret is owned by the caller. */
int client_open(enum client_start start, struct client **ret);
struct client *client_free(struct client *c);
DEFINE_CLEANUP(struct client *, client_free)

/* From here on SIGINT, SIGTERM and SIGHUP only make client_wait() return -EINTR; release restores what was before. */
void client_catch(struct client *c);
void client_release(struct client *c);

/*
 * Handles what has arrived; if that was nothing, sleeps for the next message until deadline (CLOCK_BOOTTIME,
 * USEC_INFINITY: for ever). 0: something may have happened; -ETIME; -EINTR: a caught signal; else: the connection is lost.
 */
int client_wait(struct client *c, usec_t deadline);

/*
 * Sends m, a call of the manager, without blocking for the answer: waits as client_wait does. Where a password is needed it
 * is asked for at the terminal, beyond the deadline. *ret_reply may be NULL. Errors of the call in e.
 */
int client_call(struct client *c, sd_bus_message *m, usec_t deadline, sd_bus_error *e, sd_bus_message **ret_reply);

/* A new call of the manager. 0 or -errno. */
int client_new_call(struct client *c, const char *method, sd_bus_message **ret);

/* malloc'ed object path of a tunnel, NULL without memory. */
char *client_tunnel_path(const char *name);

/* The exit code of an error name; EXIT_CODE_FAILED for all that is not ours. */
enum exit_code client_exit_code(const char *error_name);
/* Prints the sentence of a failed call (error e, or r when e is not set) and returns the exit code. */
int client_fail(const sd_bus_error *e, int r);

/* Tunnel names that the helper knows: an exit code; *ret is a strv. */
int client_list(struct client *c, char ***ret);
/* Asks it to look at the configuration folder again; nobody there is fine. */
void client_reload(void);
