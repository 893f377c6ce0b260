/* A throw-away lab for the engine: this process's own network namespace, one more for a real openvpn server, a veth. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct live {
	char dir[64];  /* keys and logs; removed by live_done() */
	int server_pid;
};

/* NULL when this machine can run it, else why not. */
const char *live_missing(void);
/* Namespaces, veth 10.199.0.1 (here) to 10.199.0.2 (the server), certificates. False when something failed. */
bool live_setup(struct live *l);
/* Starts openvpn with extra options beside those every server here has. */
bool live_server(struct live *l, const char *options);
/* Signals it and waits for its end. */
void live_server_kill(struct live *l, int signo);
/* Something else that listens at the server's address over TCP: says `text` to whoever connects. The child's pid, or -1. */
int live_greeter(unsigned short port, const char *text);
/* A profile for that server with its keys inline; malloc'ed. `remotes` and `options` are lines. ca NULL: the right one. */
char *live_profile(const struct live *l, const char *remotes, const char *options, const char *ca);
void live_done(struct live *l);

/* In a child, so that the caller can serve the engine meanwhile: the child's pid, its status is 0 when all went well. */
/* `count` ICMP echoes of `size` payload bytes, one every 20 ms, each must be answered; never fragmented. */
int live_ping(const char *to, unsigned count, size_t size);
/* `len` bytes of a pattern over TCP to (or from) the server's end; every byte is compared. */
int live_stream(const char *server, bool down, size_t len);
