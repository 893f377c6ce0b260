/*
 * One tunnel: ties state table, kernel objects (net/), engine process and monitor together. States: tunnel-state.h.
 *
 * Secrets: the profile is read, made self-contained and put into a sealed memfd, credentials into another. The helper
 * keeps only these descriptors; its own memory holds no key or password while the tunnel runs.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/inaddr.h"
#include "base/log.h"
#include "daemon/engine-proc.h"
#include "daemon/handover.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/tunnel-state.h"
#include "net/tunnelnet.h"

#define log_tunnel_info(t, ...) ((void)log_full(LOG_LEVEL_INFO, 0, (t)->name, __VA_ARGS__))
#define log_tunnel_notice(t, ...) ((void)log_full(LOG_LEVEL_NOTICE, 0, (t)->name, __VA_ARGS__))
#define log_tunnel_warning(t, ...) ((void)log_full(LOG_LEVEL_WARNING, 0, (t)->name, __VA_ARGS__))
#define log_tunnel_error(t, ...) ((void)log_full(LOG_LEVEL_ERROR, 0, (t)->name, __VA_ARGS__))

/* Told exactly once per request. error NULL: done. */
typedef void (*tunnel_reply_fn)(void *userdata, struct tunnel *t, const char *error_name, const char *error);

struct up_options {
	int auth_fd;    /* memfd as of auth_pair_read(), or -EBADF */
	int auth_parts; /* AUTH_PAIR_*: what is in it */
	bool uplink_set;
	enum uplink uplink;
};

struct request; /* tunnel-request.c: a caller that waits */

struct tunnel {
	struct tunnel *next;
	struct manager *manager;
	char *name;
	enum tunnel_state state; /* written by tunnel_set_state() alone */

	/* what is wanted */
	struct profile *profile; /* without its secrets */
	bool profile_tried;
	int profile_fd, auth_fd; /* memfds, see above */
	enum uplink uplink;
	bool stored;             /* the service manager keeps its descriptors (handover.h) */
	bool released;           /* shutting down, and the next helper goes on with it */
	bool recovering;         /* built from an earlier helper's intent: nobody waits, retry instead of refusing */

	/* what is there */
	struct tunnelnet *net;
	bool in_kernel; /* something of it may exist in the kernel */
	int tun_fd;
	unsigned tun_offload;
	struct engine_proc *engine;
	struct monitor monitor;

	/* tunnel-watch.c */
	sd_event_source *watch, *watch_timer;
	usec_t watch_wait, watch_repaired;
	bool watch_failed;

	/* tunnel-blocked.c */
	sd_event_source *blocked_timer;
	unsigned blocked_looks;
	bool blocked_suspected;
	bool blocked_names; /* it is about the name of the server */
	bool blocked_said;  /* the last error says who; what the engine sees of it says less */
	struct tunnelnet_traffic blocked_traffic; /* of the look before */

	/* tunnel-uplink.c */
	sd_event_source *uplink_io, *uplink_timer, *uplink_clock;
	struct inaddr uplink_to;      /* the address that was tried last; not set: its name did not resolve */
	struct uplink_way uplink_way; /* of the present transport socket */
	bool uplink_lost;             /* there was no way */
	usec_t uplink_asleep, uplink_moved;

	/* going on */
	bool was_connected; /* since the last `up` */
	unsigned early_deaths; /* engines that ended before HELLO, in a row */
	usec_t backoff;
	sd_event_source *restart_timer;
	struct request *downs, *ups;
	bool kill;            /* `down --kill` */
	uid_t killer;         /* whose */
	unsigned kill_rounds;
	sd_event_source *stop_timer;
	sd_event_source **watches; /* DRAINING: one pidfd each */
	size_t n_watches;

	/* what people see */
	char *question; /* of the engine, for a person; NULL: none */
	enum question_kind question_kind;
	char *last_error;
	const char *last_error_name;
	char *remote_host;
	struct endpoint server;
	enum transport transport;
	struct settings settings;
	char cipher[IPC_NAME_MAX];
	usec_t since; /* realtime */
	struct ipc_req_stats stats;
	usec_t stats_at, stats_asked; /* boottime */
	uint64_t dropped;
	uint32_t n_processes;
	usec_t counted_at;
};

int tunnel_new(struct tunnel **ret, struct manager *m, const char *name);
/* Leaves kernel objects alone; ends the engine. */
struct tunnel *tunnel_free(struct tunnel *t);
DEFINE_CLEANUP(struct tunnel *, tunnel_free)

/* Answers when the tunnel is connecting (or was up anyway). options->auth_fd stays the caller's. */
void tunnel_up(struct tunnel *t, const struct up_options *options, tunnel_reply_fn fn, void *userdata);
/*
 * Answers when everything is gone, or only programs are left (then the state is DRAINING). killer: whose programs inside are
 * ended, for root everybody's; what kill(2) would not let him end stays. Of two at a time root's, or the later one's.
 */
#define TUNNEL_KILL_NOBODY ((uid_t)-1)
void tunnel_down(struct tunnel *t, uid_t killer, tunnel_reply_fn fn, void *userdata);

/* Recovery (manager.c). */
void tunnel_recover_up(struct tunnel *t, enum uplink uplink);
void tunnel_recover_locked(struct tunnel *t, const char *why);
void tunnel_recover_down(struct tunnel *t);
/* It went on while there was no helper. fds are taken over. False: it cannot be gone on with; nothing is changed. */
bool tunnel_recover_running(struct tunnel *t, const struct handover_record *rec, int fds[HANDOVER_FD_COUNT]);
void tunnel_shutdown(struct tunnel *t);

bool tunnel_is_idle(const struct tunnel *t);
bool tunnel_is_quiet(const struct tunnel *t);

/* A person's answer to the engine's question, a memfd that stays the caller's. 0; -ENODATA: nothing is asked; -errno. */
int tunnel_answer(struct tunnel *t, int fd);
/* Reads the profile for display if that was not tried yet. */
void tunnel_describe(struct tunnel *t);
/* Drops what was read; a tunnel that is not down is left alone. */
void tunnel_forget_profile(struct tunnel *t);
/* Counters not older than a second: asks the engine, counts drops and processes. */
void tunnel_refresh_stats(struct tunnel *t);
/* Processes inside, without the engine. malloc'ed. */
int tunnel_processes(struct tunnel *t, struct netproc **ret, size_t *ret_n);
/* malloc'ed text of every change that `up` would make. */
int tunnel_plan(struct tunnel *t, char **ret, char **ret_error);

/* ---- from monitor.c ---- */

void tunnel_set_server(struct tunnel *t, const struct remote *remote, const struct endpoint *server);
void tunnel_set_settings(struct tunnel *t, const struct settings *s);
void tunnel_set_failure(struct tunnel *t, enum fail_class fail, const char *text);
void tunnel_engine_connected(struct tunnel *t, const char *cipher);
void tunnel_engine_lost(struct tunnel *t, const char *cause);
void tunnel_engine_gave_up(struct tunnel *t, enum fail_class fail, const char *text);
void tunnel_engine_unsafe(struct tunnel *t, int error);
/* tunnel-blocked.c: packets do not get through this machine. Takes sentence. */
void tunnel_engine_blocked(struct tunnel *t, char *sentence);

/* ---- between the tunnel-*.c ---- */

/* Looks the event up, writes the state, acts. False: the event means nothing in this state. */
bool tunnel_event(struct tunnel *t, enum tunnel_event event, const char *cause);
/* The only writer of ->state; for tunnel_event() and for a tunnel that went on without a helper. */
void tunnel_set_state(struct tunnel *t, enum tunnel_state state, const char *cause);
/* Names of properties, NULL-terminated list; tells the manager's listener. */
void tunnel_changed(struct tunnel *t, ...) __attribute__((sentinel));
/* QUESTION_NONE: the one that there may be is void. */
void tunnel_set_question(struct tunnel *t, enum question_kind kind, const char *text);
/* error NULL: clears. Takes error. */
void tunnel_set_error(struct tunnel *t, const char *error_name, char *error);
const char *tunnel_error_name(enum fail_class fail);
void tunnel_clear_settings(struct tunnel *t);
/* What settings.conf says now is built by the next prepare; without a profile what stands stays. */
void tunnel_tell_exceptions(struct tunnel *t);
/* Default route and openings away: what must happen first, whatever ended. Tolerant. */
void tunnel_cut(struct tunnel *t, bool transport_too);
/* What the service manager keeps is not true any more, or will not be in a moment (handover.h). */
void tunnel_forget_stored(struct tunnel *t);
void tunnel_answer_downs(struct tunnel *t, const char *error_name, const char *error);
void tunnel_answer_ups(struct tunnel *t);

void tunnel_stop_begin(struct tunnel *t);  /* TUNNEL_ACTION_STOP */
void tunnel_stop_finish(struct tunnel *t); /* TUNNEL_ACTION_FINISH */
void tunnel_stop_watch(struct tunnel *t);  /* TUNNEL_ACTION_WATCH */
void tunnel_stop_undo(struct tunnel *t);   /* TUNNEL_ACTION_UNDO, TUNNEL_ACTION_ROLLBACK */
void tunnel_stop_done(struct tunnel *t);   /* cancels timers and watches */
