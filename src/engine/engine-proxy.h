/*
 * The engine's way to a server behind a proxy.
 *
 * Theory. The helper connects the transport socket to the proxy instead of the server, and the locks are open for that one
 * address. Between CONNECT and HANDSHAKE there is the phase PROXY, in which proto/proxy.h talks. Then
 *
 *   TCP              the same socket carries the server's stream; bytes behind the proxy's last word are the server's already
 *   UDP over SOCKS   the socket is put aside and watched, since the association ends with it; the helper makes a second one,
 *                    to the port that the proxy named, and each datagram carries a header
 *
 * A proxy that wants a log-in (407) gets it on a new connection, which is the same try. User name and password are the
 * profile's, or a person is asked, and both are kept for later tries. connect-timeout counts for all of it.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/secret.h"
#include "proto/proxy.h"

struct engine;

struct way {
	struct proxy_talk *talk;
	struct proxy_memory memory;
	bool once_more;            /* the next socket goes on with this try */
	bool relaying;             /* SOCKET: it is the relay's socket that is waited for */
	int control_fd;            /* UDP over SOCKS: the connection that the association lives on; -EBADF: none */
	sd_event_source *control;
	struct secret *username, *password; /* asked for */
	size_t login_of;           /* for which proxy of the profile */
};

/* The proxy of the current remote; NULL: none. */
const struct proxy *way_proxy(const struct engine *e);
void way_init(struct way *w);
void way_done(struct way *w);
/* What belongs to a session; what was learned stays. */
void way_drop(struct way *w);
/* A try begins: what an earlier one learned counts only if it goes on with it. */
void way_begin_try(struct way *w);
/* The bytes that the proxy puts in front of each datagram; 0 where it does not. */
size_t way_overhead(const struct engine *e);

/* CONNECT has ended well: the conversation begins. 0 or -errno. */
int way_begin(struct engine *e, usec_t now);
/* PROXY: there is something to send. */
bool way_wants_out(const struct engine *e);
/* PROXY: the socket is readable or writable. */
void way_on_wire(struct engine *e, usec_t now);
/* The relay's socket, owned from here on. 0 or -errno. */
int way_on_relay(struct engine *e, int fd, usec_t now);
/* A person's answer, owned from here on. True: there is nothing more to ask. */
bool way_on_answer(struct engine *e, struct secret *answer);
/* "server 192.0.2.1:1194", "proxy 192.0.2.1:8080", or both, for sentences. Returns buf. */
#define WAY_PEER_MAX 400
const char *way_peer(const struct engine *e, char buf[static WAY_PEER_MAX]);
