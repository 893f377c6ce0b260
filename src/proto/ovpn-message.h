/*
 * The text messages that a server sends inside TLS once the keys are exchanged: cutting the byte stream at NUL, throwing
 * away whatever is not clean text, and a typed view of each.
 */
#pragma once

#include "base/macro.h"

#define OVPN_MESSAGE_MAX 4096 /* longer ones are dropped whole */

/* Collects bytes up to a NUL. Zero-initialised. */
struct ovpn_message_reader {
	char buf[OVPN_MESSAGE_MAX + 1];
	size_t len;
	bool skip;        /* the current message is too long */
	uint64_t n_dropped; /* too long, control characters, or not UTF-8 */
};

/*
 * Takes bytes from *p / *len (both move on) until a message is complete. True: *ret is it, NUL-terminated, clean UTF-8
 * without control characters, never empty, trailing CR and LF cut; valid until the next call. False: everything was
 * taken, no message is complete.
 */
bool ovpn_message_next(struct ovpn_message_reader *r, const uint8_t **p, size_t *len, const char **ret);

enum ovpn_message_type {
	OVPN_MESSAGE_UNKNOWN,
	OVPN_MESSAGE_PUSH_REPLY,
	OVPN_MESSAGE_PUSH_UPDATE,
	OVPN_MESSAGE_AUTH_FAILED,
	OVPN_MESSAGE_AUTH_PENDING,
	OVPN_MESSAGE_RESTART,
	OVPN_MESSAGE_HALT,
	OVPN_MESSAGE_EXIT,
	OVPN_MESSAGE_INFO,     /* also INFO_PRE */
	OVPN_MESSAGE_IGNORED,  /* known and of no use to a client of this kind: ACC, CR_RESPONSE, PUSH_REQUEST */
	_OVPN_MESSAGE_MAX,
};
const char *ovpn_message_type_to_string(enum ovpn_message_type t);

enum ovpn_advance { OVPN_ADVANCE_ADDR, OVPN_ADVANCE_REMOTE, OVPN_ADVANCE_NO };

struct ovpn_message {
	enum ovpn_message_type type;
	const char *text;   /* borrowed from the line: options of a push, reason or text for people; "" when absent */
	/* AUTH_FAILED */
	bool temporary;     /* TEMP: the credentials are not the problem */
	bool session;       /* SESSION: the token has expired */
	bool challenge;     /* CRV1: text is for ovpn_login_crv1() */
	uint32_t backoff;   /* seconds, at most an hour */
	enum ovpn_advance advance;
	/* AUTH_PENDING */
	uint32_t timeout;   /* seconds, 0: none given */
	/* RESTART, HALT */
	bool next_remote;   /* flag N */
	bool keep_credentials; /* flag P */
	/* INFO */
	bool pre;           /* INFO_PRE: before authentication is complete */
};

/* Never fails: what makes no sense is UNKNOWN or has its defaults. */
void ovpn_message_parse(const char *line, struct ovpn_message *ret);
