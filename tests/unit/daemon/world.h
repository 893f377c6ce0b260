/*
 * A helper without kernel and without engine: private folders below /tmp, a double of net/tunnelnet.h that only remembers
 * what it was asked for, and engines that are scripts in a forked child. Linked instead of net/: the linker takes these
 * symbols first.
 */
#pragma once

#include <criterion/criterion.h>
#include <systemd/sd-event.h>

#include "base/fd.h"
#include "base/str.h"
#include "daemon/manager.h"
#include "daemon/tunnel.h"
#include "ipc/ipc.h"

/* ---- the double of net/ ---- */

extern struct fake_net {
	/* what the "kernel" has */
	bool locked, connected, transport, tun;
	struct settings settings;
	struct endpoint server;
	uint16_t relay_port;
	struct exceptions exceptions;
	bool journal; /* tunnelnet_list() names "home" */
	/* what it will do */
	int prepare_error, tun_error, transport_error, connect_error, teardown_error;
	usec_t slow; /* connect takes so long */
	int watch, watch_error, reassert_error; /* eventfd: somebody changed the firewall */
	int way;                 /* the machine's way to the server: any number, or -errno */
	int way_watch, way_watch_error;
	uint64_t entered, left; /* packets that came to the host, and those that went out */
	uint64_t passing;       /* this many do both while the figures are read, once */
	int traffic_error;
	bool is_blocked; /* somebody's firewall is found */
	bool names_are_blocked;
	unsigned n_inside; /* programs in the namespace */
	pid_t inside[4];
	/* what was done, in order: "prepare,tun,transport,connect,..." */
	char calls[2048];
} net;

/* How often `call` is in net.calls. */
unsigned net_count(const char *call);
/* True when a comes before b in net.calls. */
bool net_before(const char *a, const char *b);

/* ---- the helper ---- */

extern struct world {
	sd_event *event;
	struct manager *manager;
	char dir[64];
	char changed[8192]; /* names of changed properties, in order */
	unsigned starts;    /* engines so far */
	int verify_error;
} world;

/*
 * A script plays one engine: sock is its end. It runs in a child; its return is the exit status. n: which engine (1..).
 */
typedef int (*script_fn)(int sock, unsigned n);

/* Folders, tunnel "home" (remotes 127.0.0.1:1194 line 3, localhost.invalid:1195 line 4), a manager. Skips without root. */
void world_begin(script_fn script);
void world_end(void);
/* Throws the manager away and makes a new one: the helper died and is started again. */
void world_restart(void);
void world_write(const char *path, const char *text); /* path below the world's folder */
char *world_read(const char *path);                   /* NULL when absent */

/* Runs the loop until *flag (or cond) is true, at most `seconds`; false: time is over. */
bool run_until(bool (*cond)(void *), void *userdata, unsigned seconds);
bool run_until_state(struct tunnel *t, enum tunnel_state state);
void run_for(usec_t span);

struct reply {
	bool done;
	char name[64], text[1024];
};
void on_reply(void *userdata, struct tunnel *t, const char *error_name, const char *error);
bool reply_is_done(void *reply);

struct tunnel *home(void);
/* up, and run until the answer is there. */
struct reply up_and_wait(void);

/* ---- for scripts ---- */

void say(int sock, const struct ipc_msg *m);
/* Waits for a message of this type, answers nothing; _exit(99) when something else or nothing comes. fds are closed. */
struct ipc_msg expect(int sock, enum ipc_type type);
void say_hello(int sock); /* and takes START */
struct ipc_msg say_socket(int sock, uint16_t remote, uint16_t address);
struct ipc_msg say_settings(int sock, const struct settings *s);
void say_state(int sock, enum engine_state state, uint8_t fail, const char *text);
void say_failed(int sock, enum fail_class fail, const char *text);
struct settings good_settings(void);
/* HELLO, SOCKET, SETTINGS, CONNECTED. */
void play_connect(int sock);
/* Until CMD_STOP (exit 0) or end of file (exit 1); answers STATS. */
int play_wait(int sock);
