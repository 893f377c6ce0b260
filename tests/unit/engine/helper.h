/*
 * A stand-in for nsvpnd: starts a real nsvpn-engine with its own uid, opens tun and transport sockets for it in the
 * current network namespace, and does what it asks, by calling ip(8). Root only.
 */
#pragma once

#include "engine/stats.h"
#include "ipc/ipc.h"
#include "profile/profile.h"

#define HELPER_TUN "tun0"

struct helper {
	pid_t pid;
	int pidfd, sock, tun_fd;
	struct profile *profile;
	char *text;
	unsigned offload;
	uint32_t tun_mtu_max;
	bool configured;
	/* what the engine said last */
	bool hello, gone;
	int state; /* enum engine_state, -1: nothing yet */
	int fail;  /* of a state or REQ_FAILED; -1: none */
	bool failed;
	char cipher[IPC_NAME_MAX];
	char fail_text[IPC_TEXT_MAX];
	struct settings settings;
	struct ipc_req_stats stats;
	bool have_stats, verbose;
	unsigned sockets; /* how many it asked for */
	bool hold;        /* keep a request for a socket until helper_release() */
	bool out_of_turn; /* it asked for a socket while one was held, for which nsvpnd would end it */
	struct ipc_req_socket held;
	unsigned connected; /* how often it said so */
	struct ipc_msg in, out;
};

/* Path of the engine of this build tree, malloc'ed; NULL when it is not built. */
char *helper_engine_path(void);
/* Starts the engine with the profile text; 0 or -errno. offload: IPC_TUN_* to try for. */
int helper_start(struct helper *h, const char *engine, const char *profile, unsigned offload);
/* Serves the engine until it reports the state (-1: until it ends) or the time is over. True when it happened. */
bool helper_serve(struct helper *h, int state, unsigned msec);
int helper_command(struct helper *h, enum ipc_type type);
/* Answers the request that was held. */
void helper_release(struct helper *h);
/* Asks for statistics and waits for them. */
bool helper_ask_stats(struct helper *h);
/* Exit status of the engine, 128+N for signal N; kills it after 2 s. */
int helper_wait(struct helper *h);
void helper_done(struct helper *h);
/* system() with printf; the exit status. */
int sh(const char *fmt, ...) _printf_(1, 2);
