/*
 * The conversation with a proxy in front of a server, sans-IO: bytes in; bytes and a verdict out.
 *
 *   HTTP    CONNECT (RFC 9110 9.3.6) with Basic (RFC 7617) or Digest (RFC 7616: MD5, SHA-256, -sess, qop auth). No NTLM.
 *   SOCKS5  CONNECT for TCP, UDP ASSOCIATE for UDP (RFC 1928), with or without user name and password (RFC 1929)
 *
 * Theory. One struct proxy_talk is one connection to the proxy. What an HTTP proxy says with its refusal (407) is kept in a
 * struct proxy_memory, and the log-in is sent on a new connection, which works with proxies that close and with those that do
 * not. The proxy is a stranger: everything that it sends has a limit, is looked at once and byte by byte, and what of it is
 * shown to people is escaped. The server's name goes to the proxy as it is written; nobody on this machine looks it up.
 *
 * UDP over SOCKS: the connection stays open as long as the association lives, and each datagram to or from the relay carries
 * a header (proxy_udp_header()). The relay is sought at the proxy's own address, whatever address it names, since the locks
 * are open for that one only; a fragment of the proxy's is dropped.
 */
#pragma once

#include "base/cleanup.h"
#include "base/secret.h"
#include "profile/profile.h"

#define PROXY_TEXT_MAX 512
#define PROXY_REPLY_MAX 16384 /* bytes of an HTTP reply's head */
#define PROXY_UDP_HEADER_MAX (3 + 1 + 1 + 255 + 2)

enum proxy_verdict {
	PROXY_GOES_ON,     /* send what there is, then wait for more */
	PROXY_IS_OPEN,     /* TCP: what follows is the server's */
	PROXY_HAS_RELAY,   /* UDP: see relay_port */
	PROXY_ONCE_MORE,   /* on a new connection */
	PROXY_WANTS_LOGIN, /* user name and password are missing, or are wrong; text */
	PROXY_SAID_NO,     /* text */
};

enum proxy_scheme { PROXY_SCHEME_NONE, PROXY_SCHEME_BASIC, PROXY_SCHEME_MD5, PROXY_SCHEME_SHA256 };

/* What an HTTP proxy asked for. All zero: nothing yet. */
struct proxy_challenge {
	enum proxy_scheme scheme;
	bool sess, qop, stale;
	char realm[256], nonce[512], opaque[512]; /* unquoted */
};

struct proxy_memory {
	struct proxy_challenge challenge;
	unsigned answered; /* so many log-ins since somebody gave a name and password */
};

struct proxy_params {
	const struct proxy *proxy;
	const char *host; /* the server */
	uint16_t port;
	enum transport transport;
	const struct secret *username, *password; /* NULL: unknown */
	/* Fills buf, 0 or -errno; NULL: OpenSSL's generator. */
	int (*random)(void *buf, size_t len);
};

struct proxy_talk;

/* Everything in params is borrowed for the call, memory for the talk's life. 0, -ENOMEM, -EIO, -EOPNOTSUPP (no MD5). */
int proxy_talk_new(struct proxy_talk **ret, const struct proxy_params *params, struct proxy_memory *memory);
struct proxy_talk *proxy_talk_free(struct proxy_talk *t);
DEFINE_CLEANUP(struct proxy_talk *, proxy_talk_free)

/* What is to be sent now, borrowed until the next call; *ret_len 0: nothing. */
const uint8_t *proxy_talk_out(const struct proxy_talk *t, size_t *ret_len);
void proxy_talk_sent(struct proxy_talk *t, size_t n);
/*
 * Bytes of the proxy. *ret_used of them belong to the conversation; all of them, unless the verdict is PROXY_IS_OPEN. Not to
 * be called again behind any verdict but PROXY_GOES_ON.
 */
enum proxy_verdict proxy_talk_in(struct proxy_talk *t, const uint8_t *p, size_t len, size_t *ret_used);
/* One clean sentence without the proxy's name: "it ...". */
const char *proxy_talk_text(const struct proxy_talk *t);
uint16_t proxy_talk_relay_port(const struct proxy_talk *t);

/* ---- datagrams of a SOCKS relay ---- */

/* Writes the header to `out` for datagrams to host and port; its length, 0 when the host cannot be said. */
size_t proxy_udp_header(const char *host, uint16_t port, uint8_t out[static PROXY_UDP_HEADER_MAX]);
/* The length of a datagram's header; 0: none, to be dropped. */
size_t proxy_udp_skip(const uint8_t *p, size_t len);

/* ---- for tests ---- */

/* The value of one Proxy-Authenticate header; *best becomes the strongest challenge that is allowed and understood so far. */
void proxy_parse_challenge(const char *value, size_t len, enum proxy_auth allowed, struct proxy_challenge *best);
/* malloc'ed value of Proxy-Authorization for CONNECT to `uri`. 0, -ENOMEM, -EOPNOTSUPP, -EIO. */
int proxy_authorization(const struct proxy_challenge *c, const char *username, const char *password, const char *uri,
			const char *cnonce, struct secret **ret);
