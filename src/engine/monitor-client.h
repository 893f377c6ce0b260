/*
 * The engine's end of the control socket: typed requests to the helper, each with a number, and answers by callback. An
 * answer that nobody waits for (any more) is dropped and its descriptors are closed.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/log.h"
#include "ipc/ipc.h"

/* Log lines per second that reach the helper; what is over is counted and said later. */
#define MONITOR_LOG_RATE 20

/* All calls come from the event loop. Descriptors are handed over; -EBADF where there is none. */
struct monitor_ops {
	void (*on_start)(void *userdata, const struct ipc_start *start, int profile_fd, int tun_fd);
	void (*on_socket)(void *userdata, const struct ipc_ans_socket *answer, int fd);
	void (*on_settings)(void *userdata, const struct ipc_ans_settings *answer);
	void (*on_auth)(void *userdata, bool ok, int fd);
	void (*on_answer)(void *userdata, int fd);
	void (*on_stop)(void *userdata);
	void (*on_stats)(void *userdata);
	void (*on_reconnect)(void *userdata);
	/* The helper is gone (0) or broke the protocol (-errno). Nothing else follows. */
	void (*on_gone)(void *userdata, int error);
};

enum monitor_request { MONITOR_SOCKET, MONITOR_SETTINGS, MONITOR_AUTH, _MONITOR_REQUEST_MAX };

struct monitor_client {
	int fd; /* owned */
	sd_event_source *source;
	const struct monitor_ops *ops;
	void *userdata;
	uint32_t seq;
	uint32_t waiting[_MONITOR_REQUEST_MAX]; /* number of the open request of each kind; 0: none */
	usec_t log_second;  /* boottime at which the current second of log lines began */
	unsigned log_count; /* lines sent in it */
	unsigned log_lost;
	struct ipc_msg in, out; /* large: not on the stack */
};

/* Owns fd from the call on, also on failure. 0 or -errno. */
int monitor_client_init(struct monitor_client *m, sd_event *event, int fd, const struct monitor_ops *ops, void *userdata);
void monitor_client_done(struct monitor_client *m);

/*
 * Requests. 0 or -errno; -EAGAIN turns into waiting for at most a second, since losing one would stall the tunnel. A new
 * request of a kind makes an older one void.
 */
int monitor_hello(struct monitor_client *m);
int monitor_request_socket(struct monitor_client *m, uint16_t remote, uint16_t address);
/* The same for datagrams to the proxy that the last socket leads to; answered by on_socket(), too. */
int monitor_request_relay(struct monitor_client *m, uint16_t port);
int monitor_request_settings(struct monitor_client *m, const struct settings *settings);
int monitor_request_auth(struct monitor_client *m, bool again, const char *text);
/* For a person; the answer comes as on_answer(). QUESTION_NONE with "": the last one is void. */
int monitor_question(struct monitor_client *m, enum question_kind kind, const char *text);
/* Forget the open requests: a later answer is dropped. */
void monitor_cancel(struct monitor_client *m);

/* fail 0xff: none. */
int monitor_state(struct monitor_client *m, enum engine_state state, uint8_t fail, uint16_t remote, const char *cipher,
		  const char *text);
int monitor_stats(struct monitor_client *m, const struct ipc_req_stats *stats);
int monitor_failed(struct monitor_client *m, enum fail_class fail, const char *text);

/* A log line, at most MONITOR_LOG_RATE per second; never waits. */
void monitor_log(struct monitor_client *m, enum log_level level, const char *text, usec_t now);
