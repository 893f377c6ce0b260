/*
 * SOCKS5: greeting, log-in, request; each answer has a length that is known from its first bytes, and not one byte more is
 * taken. Contract in proxy.h.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/proxy-internal.h"

#define VERSION 5
#define LOGIN_VERSION 1
#define METHOD_NONE 0
#define METHOD_LOGIN 2
#define METHOD_REFUSED 0xff
#define COMMAND_CONNECT 1
#define COMMAND_ASSOCIATE 3
#define TYPE_IPV4 1
#define TYPE_NAME 3
#define TYPE_IPV6 4
#define REPLY_HEAD 5 /* with the first byte of the address, which is a name's length */
#define LOGIN_MAX 255

/* ---- addresses ---------------------------------------------------------------------------------------------------------- */

/* False: the name is too long. */
static bool write_address(struct writer *w, const char *host, uint16_t port)
{
	struct inaddr a;
	size_t n = strlen(host);

	if (inaddr_parse(host, &a) == 0) {
		write_u8(w, a.family == AF_INET ? TYPE_IPV4 : TYPE_IPV6);
		write_bytes(w, a.bytes, inaddr_len(a.family));
	} else if (n > 0 && n <= 255) {
		write_u8(w, TYPE_NAME);
		write_u8(w, (uint8_t)n);
		write_bytes(w, host, n);
	} else {
		return false;
	}
	write_be16(w, port);
	return !w->failed;
}

/* Bytes of an address of this type behind the type, with its port; 0: there is no such type. */
static size_t address_len(uint8_t type, uint8_t first)
{
	switch (type) {
	case TYPE_IPV4:
		return 4 + 2;
	case TYPE_IPV6:
		return 16 + 2;
	case TYPE_NAME:
		return 1 + (size_t)first + 2;
	default:
		return 0;
	}
}

size_t proxy_udp_header(const char *host, uint16_t port, uint8_t out[static PROXY_UDP_HEADER_MAX])
{
	struct writer w = writer_init(out, PROXY_UDP_HEADER_MAX);

	write_be16(&w, 0);
	write_u8(&w, 0); /* not a fragment */
	return write_address(&w, host, port) ? w.len : 0;
}

size_t proxy_udp_skip(const uint8_t *p, size_t len)
{
	size_t n;

	if (len < 3 + 2 || p[2] != 0)
		return 0;
	n = address_len(p[3], p[4]);
	return n && len > 4 + n ? 4 + n : 0;
}

/* ---- what we say -------------------------------------------------------------------------------------------------------- */

int proxy_socks_begin(struct proxy_talk *t)
{
	static const uint8_t open[] = { VERSION, 1, METHOD_NONE }, login[] = { VERSION, 2, METHOD_NONE, METHOD_LOGIN };

	t->step = PROXY_STEP_METHOD;
	return t->username ? proxy_talk_say(t, login, sizeof(login)) : proxy_talk_say(t, open, sizeof(open));
}

static enum proxy_verdict say(struct proxy_talk *t, const struct writer *w, const uint8_t *buf, unsigned step)
{
	if (w->failed || proxy_talk_say(t, buf, w->len) < 0)
		return proxy_talk_end(t, PROXY_SAID_NO, "cannot be spoken to: no memory");
	t->step = step;
	t->in_len = 0;
	return PROXY_GOES_ON;
}

static enum proxy_verdict say_login(struct proxy_talk *t)
{
	uint8_t buf[3 + 2 * LOGIN_MAX];
	struct writer w = writer_init(buf, sizeof(buf));
	size_t user = secret_len(t->username), password = secret_len(t->password);
	enum proxy_verdict v;

	if (!user || !password || user > LOGIN_MAX || password > LOGIN_MAX)
		return proxy_talk_end(t, PROXY_WANTS_LOGIN, "takes names and passwords of 1 to %d bytes", LOGIN_MAX);
	write_u8(&w, LOGIN_VERSION);
	write_u8(&w, (uint8_t)user);
	write_bytes(&w, secret_bytes(t->username), user);
	write_u8(&w, (uint8_t)password);
	write_bytes(&w, secret_bytes(t->password), password);
	v = say(t, &w, buf, PROXY_STEP_LOGIN);
	secret_wipe(buf, sizeof(buf));
	return v;
}

/* For UDP the address is where our datagrams will come from, and nobody knows that in front of a translation: all zero. */
static enum proxy_verdict say_request(struct proxy_talk *t)
{
	uint8_t buf[PROXY_UDP_HEADER_MAX];
	struct writer w = writer_init(buf, sizeof(buf));
	bool udp = t->transport == TRANSPORT_UDP;

	write_u8(&w, VERSION);
	write_u8(&w, udp ? COMMAND_ASSOCIATE : COMMAND_CONNECT);
	write_u8(&w, 0);
	if (!write_address(&w, udp ? "0.0.0.0" : t->host, udp ? 0 : t->port))
		return proxy_talk_end(t, PROXY_SAID_NO, "cannot be told the server's name, which is longer than 255 bytes");
	return say(t, &w, buf, PROXY_STEP_REPLY);
}

/* ---- what it says ------------------------------------------------------------------------------------------------------- */

static enum proxy_verdict no_socks(struct proxy_talk *t)
{
	return proxy_talk_end(t, PROXY_SAID_NO, "does not speak SOCKS5; check its address and port");
}

static enum proxy_verdict on_method(struct proxy_talk *t)
{
	if (t->in[0] != VERSION)
		return no_socks(t);
	if (t->in[1] == METHOD_NONE)
		return say_request(t);
	if (t->in[1] == METHOD_LOGIN && t->username)
		return say_login(t);
	if (t->in[1] != METHOD_REFUSED)
		return no_socks(t);
	if (!t->username)
		return proxy_talk_end(t, PROXY_WANTS_LOGIN, "wants a user name and a password");
	return proxy_talk_end(t, PROXY_SAID_NO, "accepts no log-in with user name and password; ask whoever runs it");
}

static enum proxy_verdict on_login(struct proxy_talk *t)
{
	/* Some write 5 here; the second byte is what counts. */
	if (t->in[1] == 0)
		return say_request(t);
	return proxy_talk_end(t, PROXY_WANTS_LOGIN, "refused user name and password");
}

static const char *const reasons[] = {
	[1] = "failed without a reason",
	[2] = "does not allow connections to this server; ask whoever runs it",
	[3] = "has no network to this server",
	[4] = "cannot reach the server's host, or cannot look up its name",
	[5] = "was refused by the server: nobody listens on that port",
	[6] = "got no answer of the server",
	[7] = "does not know this request: perhaps it carries TCP only, then ask for a server over TCP",
	[8] = "cannot reach servers with such an address",
};

static enum proxy_verdict on_reply(struct proxy_talk *t, size_t len)
{
	uint8_t code = t->in[1];

	if (code != 0)
		return proxy_talk_end(t, PROXY_SAID_NO, "%s", code < ARRAY_SIZE(reasons) ? reasons[code] : reasons[1]);
	if (t->transport == TRANSPORT_TCP)
		return PROXY_IS_OPEN;
	t->relay_port = (uint16_t)((unsigned)t->in[len - 2] << 8 | t->in[len - 1]);
	if (!t->relay_port)
		return proxy_talk_end(t, PROXY_SAID_NO, "names no port for datagrams");
	return PROXY_HAS_RELAY;
}

/* How many bytes the answer has that is being received, as far as that is known; 0: it cannot be one. */
static size_t wanted(const struct proxy_talk *t)
{
	size_t n;

	if (t->step != PROXY_STEP_REPLY)
		return 2;
	if (t->in_len < REPLY_HEAD)
		return t->in_len > 0 && t->in[0] != VERSION ? 0 : REPLY_HEAD;
	n = address_len(t->in[3], t->in[4]);
	return n ? 4 + n : 0;
}

static enum proxy_verdict on_answer(struct proxy_talk *t)
{
	if (t->step == PROXY_STEP_METHOD)
		return on_method(t);
	return t->step == PROXY_STEP_LOGIN ? on_login(t) : on_reply(t, t->in_len);
}

enum proxy_verdict proxy_socks_in(struct proxy_talk *t, const uint8_t *p, size_t len, size_t *ret_used)
{
	enum proxy_verdict v = PROXY_GOES_ON;
	size_t used = 0;

	while (used < len && v == PROXY_GOES_ON) {
		size_t want = wanted(t), n;

		if (!want) {
			v = no_socks(t);
			break;
		}
		n = MIN(want - t->in_len, len - used);
		memcpy(t->in + t->in_len, p + used, n);
		t->in_len += n;
		used += n;
		if (t->in_len == wanted(t))
			v = on_answer(t);
	}
	*ret_used = used;
	return v;
}
