/*
 * Connected tunnels outlive a restart of the service: what they hold is kept by the service manager meanwhile.
 *
 * Theory. A tunnel lives as long as somebody holds its tun device and the helper's end of the engine's control socket. As
 * soon as it is connected, both are put into the service manager's descriptor store (sd_notify(3), FDSTORE=1), with the
 * engine's pidfd and stderr, the profile and credentials memfds, and a record of what only the helper's memory knows. So
 * neither an orderly restart nor SIGKILL is felt by the engine: the next helper finds everything among the descriptors it
 * is started with, compares it with intent, journal and kernel, and goes on. No route is touched, no handshake made. When
 * the service is stopped for good, the manager drops the store: the engine sees the end of its socket and leaves, the
 * device and its default route go, the locks stay.
 *
 * What does not fit together (a record that is damaged or of another version, an engine that died meanwhile) is closed,
 * which ends its engine, and the ordinary recovery from the intent follows. A tunnel that is not connected is not worth
 * keeping: it is recovered and connects anew.
 */
#pragma once

#include <sys/types.h>

#include "base/cleanup.h"
#include "daemon/tunnel-state.h"
#include "ipc/ipc-msg.h"

struct tunnel;
struct handover;

enum handover_fd {
	HANDOVER_FD_RECORD,
	HANDOVER_FD_TUN,
	HANDOVER_FD_SOCKET,
	HANDOVER_FD_PIDFD,
	HANDOVER_FD_STDERR,
	HANDOVER_FD_PROFILE,
	HANDOVER_FD_AUTH, /* the only one that may be missing */
	HANDOVER_FD_COUNT
};

struct handover_record {
	char name[IPC_NAME_MAX];
	char remote_host[256];
	char cipher[IPC_NAME_MAX];
	enum uplink uplink;
	enum transport transport;
	unsigned tun_offload;
	uint32_t seen; /* of struct monitor */
	usec_t since;
	struct endpoint server;
	struct settings settings;
};

/* The descriptors this process was started with ($LISTEN_FDS), before anything closes them. NULL: none, or no memory. */
struct handover *handover_receive(unsigned *ret_n_fds);
/* Closes what was not taken, and has the service manager forget it. */
struct handover *handover_free(struct handover *h);
DEFINE_CLEANUP(struct handover *, handover_free)
/* A whole, valid set for this tunnel: true, once; fds are the caller's. */
bool handover_take(struct handover *h, const char *name, struct handover_record *ret, int ret_fds[HANDOVER_FD_COUNT]);

/* t is connected: (re)writes its set. False: nobody keeps it, so it ends with this helper. */
bool handover_store(const struct tunnel *t);
/* t is not connected any more. */
void handover_drop(const char *name);

/* For tests: wire form. Length, or -EMSGSIZE; 0 or -EBADMSG. */
ssize_t handover_encode(const struct handover_record *rec, uint8_t *buf, size_t cap);
int handover_decode(struct handover_record *ret, const uint8_t *buf, size_t len);
#define HANDOVER_RECORD_MAX (IPC_MSG_MAX + 1024)
