/*
 * Inside of the engine: what its files share.
 *
 *   engine.c           life: what is there before the first byte
 *   engine-loop.c      what happens when something is readable, writable or due
 *   engine-session.c   tries and sessions: how they begin, what the protocol says, how they end
 *   engine-login.c     log-in and questions
 *   engine-proxy.c     the way through a proxy
 *   engine-helper.c    what the helper says
 *
 * Theory. The protocol core knows no sockets and no clock; the engine gives it both. All input (a datagram, a packet of
 * the tun, a timer, a message of the helper) ends in engine_settle(): events out of the protocol, control datagrams out,
 * timer armed. Phases:
 *
 *   START      nothing known yet; the helper sends profile and tun
 *   AUTH       waiting for user name and password
 *   QUESTION   waiting for a person's answer, without a session (engine-login.h)
 *   SOCKET     waiting for a transport socket to the address that attempt.c chose
 *   CONNECT    TCP: the socket is connecting
 *   PROXY      the proxy is asked for a way to the server (engine-proxy.h)
 *   HANDSHAKE  a session is being made; packets of the tun are dropped
 *   SETTINGS   the server's settings are with the helper; still nothing passes
 *   CONNECTED  the data path is open
 *   WAITING    backing off before the next try
 *   ENDING     said goodbye or gave up; the loop ends
 *
 * The tun stays open in all of them and is drained where nothing can be sent, so that programs get no full queue. Only
 * CONNECTED passes packets. When the helper goes, the engine goes at once, and with the tun's last descriptor the device
 * and its routes. In START, AUTH, SOCKET and SETTINGS it is the helper's turn; a helper that says nothing for longer than
 * patience.h allows ends the engine with a sentence.
 */
#pragma once

#include "base/clock.h"
#include "engine/attempt.h"
#include "engine/datapath.h"
#include "engine/engine-login.h"
#include "engine/engine-proxy.h"
#include "engine/engine.h"
#include "engine/moderation.h"
#include "engine/monitor-client.h"
#include "engine/patience.h"

#define FAIL_NONE 0xff /* engine_tell_state(): nothing failed */

enum phase { PHASE_START, PHASE_AUTH, PHASE_QUESTION, PHASE_SOCKET, PHASE_CONNECT, PHASE_PROXY, PHASE_HANDSHAKE,
	     PHASE_SETTINGS, PHASE_CONNECTED, PHASE_WAITING, PHASE_ENDING };

struct engine {
	sd_event *event;
	sd_event_source *timer, *tun_source, *wire_source;
	usec_t armed; /* what the timer is set to */
	struct monitor_client monitor;

	enum phase phase;
	struct patience patience; /* START, AUTH, SOCKET, SETTINGS: the helper has to say something */
	bool stale;               /* SOCKET: the answer will be for a try that is over */
	struct profile *profile;
	struct login login;
	struct attempt attempt;
	usec_t try_at;        /* WAITING */
	usec_t connect_until; /* CONNECT, PROXY */
	usec_t connected_at;  /* data flows since; 0: not yet */
	usec_t refused_since;
	unsigned refused;

	struct proto *proto;
	int tun_fd, wire_fd;
	uint32_t tun_mtu_max;
	struct endpoint server; /* or its proxy */
	struct way way;
	bool tun_paused, wire_wants_out;
	struct datapath datapath;
	struct moderation moderation;
	struct stats stats;
	char cipher[64];
	struct proto_event proto_event; /* large: not on the stack */
};

/* ---- engine-session.c */

usec_t engine_now(struct engine *e);
/* The loop ends with this exit status. */
void engine_end(struct engine *e, int code);
/* fail: an enum fail_class, or FAIL_NONE. */
void engine_tell_state(struct engine *e, enum engine_state state, uint8_t fail, const char *text);
/* Socket, protocol and what waits for them; credentials and tun stay. */
void engine_drop_session(struct engine *e);
/* Tells the helper that nothing that is tried again can help, and ends. */
void engine_give_up(struct engine *e, enum fail_class fail, const char *text);
/* This try or session is over; the next one comes, unless nothing can help. */
void engine_fail(struct engine *e, enum fail_class fail, const char *text, usec_t now);
/* It is the helper's turn from now on. */
void engine_ask(struct engine *e, enum phase phase);
/* What the helper has been asked for, in words; NULL: nothing. */
const char *engine_asked_for(enum phase phase);
/* Ends the engine when the helper has been silent for too long. */
void engine_check_patience(struct engine *e, usec_t now);
/* Asks for what the next try needs: credentials, or a socket to the address that attempt.c chose. */
void engine_begin_try(struct engine *e);
/* What the protocol has to say; may end the session or the engine. */
void engine_pump_events(struct engine *e, usec_t now);
/* Control datagrams. False when one had to be left out because the socket is full. */
bool engine_pump_wire(struct engine *e, usec_t now);
void engine_on_socket_error(struct engine *e, int error, usec_t now);
/* CONNECT: the socket is writable, so connect() has ended one way or the other. CONNECT, PROXY: the time is over. */
void engine_on_connected(struct engine *e, usec_t now);
void engine_on_connect_timeout(struct engine *e, usec_t now);
/* The helper's answers to REQ_SOCKET and REQ_SETTINGS (monitor-client.h). */
void engine_on_socket(void *userdata, const struct ipc_ans_socket *answer, int fd);
void engine_on_settings(void *userdata, const struct ipc_ans_settings *answer);

/* ---- engine-loop.c */

/* After each input. */
void engine_settle(struct engine *e, usec_t now);
void engine_arm(struct engine *e, usec_t now);
int engine_on_wire(sd_event_source *source, int fd, uint32_t revents, void *userdata);
int engine_on_tun(sd_event_source *source, int fd, uint32_t revents, void *userdata);
int engine_on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* ---- engine-helper.c */

extern const struct monitor_ops engine_monitor_ops;
