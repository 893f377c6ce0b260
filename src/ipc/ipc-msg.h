/*
 * Messages between engine and helper. Requests of the engine and answers of the helper are typed structs; the wire form
 * is made by ipc-msg.c through bytes.h with range checks on both sides. REQ_* travel engine -> helper, CMD_* and ANS_*
 * helper -> engine. Which request is allowed when: daemon/monitor.c.
 */
#pragma once

#include "base/inaddr.h"
#include "profile/fail.h"
#include "profile/profile.h"
#include "profile/settings.h"

#define IPC_VERSION 1
#define IPC_MSG_MAX 65536
#define IPC_TEXT_MAX 1024
#define IPC_NAME_MAX 64

enum ipc_type {
	/* helper -> engine */
	IPC_CMD_START = 1, /* fds: profile text (sealed memfd), tun */
	IPC_ANS_SOCKET,    /* fds: the connected transport socket on success */
	IPC_ANS_SETTINGS,
	IPC_ANS_AUTH,      /* fds: memfd with user NUL password NUL on success */
	IPC_CMD_STOP,      /* say goodbye to the server, then exit 0 */
	IPC_CMD_STATS,     /* ask for IPC_REQ_STATS */
	IPC_CMD_RECONNECT, /* start again with the first remote (network change) */
	IPC_CMD_ANSWER,    /* fds: memfd with a person's answer to the last question */
	/* engine -> helper */
	IPC_REQ_HELLO = 64, /* first message; the sandbox is closed */
	IPC_REQ_SOCKET,
	IPC_REQ_SETTINGS,
	IPC_REQ_AUTH,
	IPC_REQ_STATE,
	IPC_REQ_STATS,
	IPC_REQ_LOG,
	IPC_REQ_FAILED, /* final: the engine gives up and exits */
	IPC_REQ_QUESTION, /* for a person */
	IPC_REQ_RELAY,    /* a UDP socket to the proxy that the last socket leads to; answered by IPC_ANS_SOCKET */
};

/* What the engine is doing; the helper maps it to the tunnel's state. */
enum engine_state {
	ENGINE_STATE_RESOLVING,
	ENGINE_STATE_CONNECTING,     /* packets sent, nothing authenticated yet */
	ENGINE_STATE_AUTHENTICATING, /* TLS is up */
	ENGINE_STATE_CONNECTED,      /* settings applied, data flows */
	ENGINE_STATE_WAITING,        /* backing off before the next try; reason in text */
	_ENGINE_STATE_MAX,
};

struct ipc_start {
	char tunnel[IPC_NAME_MAX];
	uint8_t tun_offload;  /* IPC_TUN_*: what the tun device was set up with */
	uint8_t log_level;
	uint32_t tun_mtu_max; /* largest MTU the device may get */
};
#define IPC_TUN_VNET_HDR (1u << 0)
#define IPC_TUN_TSO (1u << 1)
#define IPC_TUN_USO (1u << 2)

struct ipc_req_socket {
	uint32_t seq;
	uint16_t remote;  /* index into profile->remotes */
	uint16_t address; /* n-th address of that name, counted from 0 */
};

struct ipc_req_relay {
	uint32_t seq;
	uint16_t port; /* that the proxy named */
};

struct ipc_ans_socket {
	uint32_t seq;
	uint8_t ok;           /* 1: one fd follows */
	uint8_t fail;         /* enum fail_class when !ok */
	uint16_t n_addresses; /* how many the name has (0 when it did not resolve); a proxy's where there is one */
	struct endpoint server; /* what the socket leads to: the server, or its proxy */
	uint32_t path_mtu; /* of the outgoing route, bytes; 0 unknown */
	char text[IPC_TEXT_MAX]; /* a sentence when !ok */
};

struct ipc_req_settings {
	uint32_t seq;
	struct settings settings;
};
struct ipc_ans_settings {
	uint32_t seq;
	uint8_t ok;
	char text[IPC_TEXT_MAX];
};

struct ipc_req_auth {
	uint32_t seq;
	uint8_t again; /* the last pair was refused */
	char text[IPC_TEXT_MAX];
};
struct ipc_ans_auth {
	uint32_t seq;
	uint8_t ok;
};

struct ipc_req_state {
	uint8_t state; /* enum engine_state */
	uint8_t fail;  /* enum fail_class of the last try, with text; 0xff: none */
	uint16_t remote;
	char cipher[IPC_NAME_MAX]; /* once known */
	char text[IPC_TEXT_MAX];
};

struct ipc_req_stats {
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets; /* inner */
	uint64_t rx_dropped, tx_dropped, replayed, auth_failed;
	uint64_t last_handshake; /* realtime usec */
};

struct ipc_req_log {
	uint8_t level; /* enum log_level */
	char text[IPC_TEXT_MAX];
};

struct ipc_req_failed {
	uint8_t fail;
	char text[IPC_TEXT_MAX];
};

enum question_kind {
	QUESTION_NONE,   /* the last one is void */
	QUESTION_TEXT,   /* the answer may be seen while it is typed */
	QUESTION_SECRET, /* it may not */
	QUESTION_URL,    /* an https address to be opened in a browser; no answer */
	_QUESTION_KIND_MAX,
};

struct ipc_req_question {
	uint8_t kind; /* enum question_kind */
	char text[IPC_TEXT_MAX];
};

struct ipc_msg {
	enum ipc_type type;
	union {
		struct ipc_start start;
		struct ipc_ans_socket ans_socket;
		struct ipc_ans_settings ans_settings;
		struct ipc_ans_auth ans_auth;
		struct ipc_req_socket req_socket;
		struct ipc_req_relay req_relay;
		struct ipc_req_settings req_settings;
		struct ipc_req_auth req_auth;
		struct ipc_req_state req_state;
		struct ipc_req_stats req_stats;
		struct ipc_req_log req_log;
		struct ipc_req_failed req_failed;
		struct ipc_req_question req_question;
	};
};

/* Length written to buf (of IPC_MSG_MAX), or -EMSGSIZE / -EINVAL. */
ssize_t ipc_msg_encode(const struct ipc_msg *m, uint8_t *buf, size_t cap);
/* 0 or -EBADMSG: unknown type, wrong length, values out of range, text not clean UTF-8. */
int ipc_msg_decode(struct ipc_msg *ret, const uint8_t *buf, size_t len);
/* How many descriptors a message of this type must carry. */
size_t ipc_msg_fds(const struct ipc_msg *m);
