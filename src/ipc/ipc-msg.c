/*
 * The wire form of the messages between engine and helper.
 *
 * Theory. Version, type, then the fields in the order of the struct, big-endian, without padding: integers in their
 * width, a bool as 0 or 1, a text as length and bytes, an address as family (0, 4, 6) and bytes. Each message type has
 * one function that walks its fields and serves both directions, so that encoder and decoder cannot drift apart. Every
 * value has one encoding, and the decoder takes no other: decoding and encoding again gives the same bytes. Whoever
 * sends a value out of range gets -EINVAL at home and -EBADMSG abroad.
 */
#include "ipc/ipc-msg.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/str.h"

#define MTU_MAX 65535
#define NO_FAIL 0xff /* ipc_req_state.fail: the last try did not fail */

/* One direction or the other; `bad` remembers the first value out of range. */
struct wire {
	struct reader *r; /* NULL: writing */
	struct writer *w;
	bool bad;
};

static void check(struct wire *w, bool ok)
{
	if (!ok)
		w->bad = true;
}

static void put_u8(struct wire *w, uint8_t *v, uint8_t max)
{
	if (w->r)
		*v = read_u8(w->r);
	else
		write_u8(w->w, *v);
	check(w, *v <= max);
}

static void put_u16(struct wire *w, uint16_t *v)
{
	if (w->r)
		*v = read_be16(w->r);
	else
		write_be16(w->w, *v);
}

static void put_u32(struct wire *w, uint32_t *v, uint32_t min, uint32_t max)
{
	if (w->r)
		*v = read_be32(w->r);
	else
		write_be32(w->w, *v);
	check(w, *v >= min && *v <= max);
}

static void put_u64(struct wire *w, uint64_t *v)
{
	if (w->r)
		*v = read_be64(w->r);
	else
		write_be64(w->w, *v);
}

static void put_bool(struct wire *w, bool *v)
{
	uint8_t byte = *v;

	put_u8(w, &byte, 1);
	*v = byte == 1;
}

static void put_count(struct wire *w, unsigned *v, unsigned max)
{
	uint16_t n = *v <= max ? (uint16_t)*v : UINT16_MAX;

	put_u16(w, &n);
	check(w, n <= max);
	*v = n <= max ? n : 0;
}

/* A fixed array with text, always terminated. */
static void put_text(struct wire *w, char *text, size_t cap)
{
	uint16_t len;
	const uint8_t *p;

	if (!w->r) {
		size_t n = strnlen(text, cap);

		check(w, n < cap && str_is_clean_utf8(text, n));
		if (w->bad)
			return;
		write_be16(w->w, (uint16_t)n);
		write_bytes(w->w, text, n);
		return;
	}
	len = read_be16(w->r);
	p = read_bytes(w->r, len);
	text[0] = '\0';
	if (!p || len >= cap || !str_is_clean_utf8((const char *)p, len)) {
		w->bad = true;
		return;
	}
	memcpy(text, p, len);
	text[len] = '\0';
}

static void put_inaddr(struct wire *w, struct inaddr *a, bool may_be_unset)
{
	uint8_t family = a->family == AF_INET ? 4 : a->family == AF_INET6 ? 6 : a->family == AF_UNSPEC ? 0 : 0xff;
	size_t len;

	put_u8(w, &family, 6);
	check(w, family == 4 || family == 6 || (family == 0 && may_be_unset));
	if (w->r)
		*a = (struct inaddr){ .family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC };
	len = inaddr_len(a->family);
	if (w->r)
		(void)read_copy(w->r, a->bytes, len); /* a short read is remembered by the reader */
	else
		write_bytes(w->w, a->bytes, len);
}

static void put_prefix(struct wire *w, struct inprefix *p)
{
	put_inaddr(w, &p->addr, false);
	put_u8(w, &p->len, 128);
	check(w, p->len <= inaddr_len(p->addr.family) * 8);
}

static void put_endpoint(struct wire *w, struct endpoint *e, bool may_be_unset)
{
	put_inaddr(w, &e->addr, may_be_unset);
	put_u16(w, &e->port);
	put_u32(w, &e->scope_id, 0, UINT32_MAX);
	check(w, may_be_unset || e->port);
	check(w, e->addr.family == AF_INET6 || !e->scope_id);
	check(w, inaddr_is_set(&e->addr) || !e->port);
}

static void put_domain(struct wire *w, char name[static SETTINGS_DOMAIN_LEN])
{
	put_text(w, name, SETTINGS_DOMAIN_LEN);
	check(w, !w->bad && domain_is_valid(name));
}

/* Form only; whether the values make sense together, settings_verify() says, in words. */
static void put_settings(struct wire *w, struct settings *s)
{
	put_count(w, &s->n_addrs, SETTINGS_ADDRS_MAX);
	for (unsigned i = 0; i < s->n_addrs && !w->bad; i++)
		put_prefix(w, &s->addrs[i]);
	put_inaddr(w, &s->peer4, true);
	check(w, s->peer4.family != AF_INET6);
	put_bool(w, &s->ethernet);
	put_inaddr(w, &s->gateway4, true);
	put_inaddr(w, &s->gateway6, true);
	put_u32(w, &s->mtu, SETTINGS_MTU_MIN, MTU_MAX);
	put_bool(w, &s->default4);
	put_bool(w, &s->default6);
	put_bool(w, &s->block_ipv6);
	put_count(w, &s->n_routes, SETTINGS_ROUTES_MAX);
	for (unsigned i = 0; i < s->n_routes && !w->bad; i++)
		put_prefix(w, &s->routes[i]);
	put_count(w, &s->n_dns, SETTINGS_DNS_MAX);
	for (unsigned i = 0; i < s->n_dns && !w->bad; i++)
		put_inaddr(w, &s->dns[i], false);
	put_count(w, &s->n_search, SETTINGS_SEARCH_MAX);
	for (unsigned i = 0; i < s->n_search && !w->bad; i++)
		put_domain(w, s->search[i]);
}

/* ---- one function per type ---- */

static void put_start(struct wire *w, struct ipc_msg *m)
{
	put_text(w, m->start.tunnel, sizeof(m->start.tunnel));
	check(w, !w->bad && tunnel_name_is_valid(m->start.tunnel));
	put_u8(w, &m->start.tun_offload, IPC_TUN_VNET_HDR | IPC_TUN_TSO | IPC_TUN_USO);
	put_u8(w, &m->start.log_level, _LOG_LEVEL_MAX - 1);
	put_u32(w, &m->start.tun_mtu_max, SETTINGS_MTU_MIN, MTU_MAX);
}

static void put_ans_socket(struct wire *w, struct ipc_msg *m)
{
	struct ipc_ans_socket *a = &m->ans_socket;

	put_u32(w, &a->seq, 0, UINT32_MAX);
	put_u8(w, &a->ok, 1);
	put_u8(w, &a->fail, _FAIL_CLASS_MAX - 1);
	put_u16(w, &a->n_addresses);
	put_endpoint(w, &a->server, !a->ok);
	put_u32(w, &a->path_mtu, 0, MTU_MAX);
	put_text(w, a->text, sizeof(a->text));
}

static void put_ans_settings(struct wire *w, struct ipc_msg *m)
{
	put_u32(w, &m->ans_settings.seq, 0, UINT32_MAX);
	put_u8(w, &m->ans_settings.ok, 1);
	put_text(w, m->ans_settings.text, sizeof(m->ans_settings.text));
}

static void put_ans_auth(struct wire *w, struct ipc_msg *m)
{
	put_u32(w, &m->ans_auth.seq, 0, UINT32_MAX);
	put_u8(w, &m->ans_auth.ok, 1);
}

static void put_req_socket(struct wire *w, struct ipc_msg *m)
{
	put_u32(w, &m->req_socket.seq, 0, UINT32_MAX);
	put_u16(w, &m->req_socket.remote);
	put_u16(w, &m->req_socket.address);
	check(w, m->req_socket.remote < PROFILE_REMOTES_MAX);
}

static void put_req_relay(struct wire *w, struct ipc_msg *m)
{
	put_u32(w, &m->req_relay.seq, 0, UINT32_MAX);
	put_u16(w, &m->req_relay.port);
	check(w, m->req_relay.port);
}

static void put_req_settings(struct wire *w, struct ipc_msg *m)
{
	put_u32(w, &m->req_settings.seq, 0, UINT32_MAX);
	put_settings(w, &m->req_settings.settings);
}

static void put_req_auth(struct wire *w, struct ipc_msg *m)
{
	put_u32(w, &m->req_auth.seq, 0, UINT32_MAX);
	put_u8(w, &m->req_auth.again, 1);
	put_text(w, m->req_auth.text, sizeof(m->req_auth.text));
}

static void put_req_state(struct wire *w, struct ipc_msg *m)
{
	struct ipc_req_state *s = &m->req_state;

	put_u8(w, &s->state, _ENGINE_STATE_MAX - 1);
	put_u8(w, &s->fail, NO_FAIL);
	check(w, s->fail < _FAIL_CLASS_MAX || s->fail == NO_FAIL);
	put_u16(w, &s->remote);
	check(w, s->remote < PROFILE_REMOTES_MAX);
	put_text(w, s->cipher, sizeof(s->cipher));
	put_text(w, s->text, sizeof(s->text));
}

static void put_req_stats(struct wire *w, struct ipc_msg *m)
{
	struct ipc_req_stats *s = &m->req_stats;
	uint64_t *const fields[] = { &s->rx_bytes,   &s->tx_bytes, &s->rx_packets,  &s->tx_packets,    &s->rx_dropped,
				     &s->tx_dropped, &s->replayed, &s->auth_failed, &s->last_handshake };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		put_u64(w, fields[i]);
}

static void put_req_log(struct wire *w, struct ipc_msg *m)
{
	put_u8(w, &m->req_log.level, _LOG_LEVEL_MAX - 1);
	put_text(w, m->req_log.text, sizeof(m->req_log.text));
}

static void put_req_failed(struct wire *w, struct ipc_msg *m)
{
	put_u8(w, &m->req_failed.fail, _FAIL_CLASS_MAX - 1);
	put_text(w, m->req_failed.text, sizeof(m->req_failed.text));
}

static void put_req_question(struct wire *w, struct ipc_msg *m)
{
	put_u8(w, &m->req_question.kind, _QUESTION_KIND_MAX - 1);
	put_text(w, m->req_question.text, sizeof(m->req_question.text));
	check(w, (m->req_question.kind == QUESTION_NONE) == (m->req_question.text[0] == '\0'));
}

static void put_nothing(struct wire *w, struct ipc_msg *m)
{
	(void)w; /* the type says it all */
	(void)m;
}

static const struct {
	enum ipc_type type;
	void (*put)(struct wire *w, struct ipc_msg *m);
} types[] = {
	{ IPC_CMD_START, put_start },		{ IPC_ANS_SOCKET, put_ans_socket },
	{ IPC_ANS_SETTINGS, put_ans_settings }, { IPC_ANS_AUTH, put_ans_auth },
	{ IPC_CMD_STOP, put_nothing },		{ IPC_CMD_STATS, put_nothing },
	{ IPC_CMD_RECONNECT, put_nothing },	{ IPC_REQ_HELLO, put_nothing },
	{ IPC_REQ_SOCKET, put_req_socket },	{ IPC_REQ_SETTINGS, put_req_settings },
	{ IPC_REQ_AUTH, put_req_auth },		{ IPC_REQ_STATE, put_req_state },
	{ IPC_REQ_STATS, put_req_stats },	{ IPC_REQ_LOG, put_req_log },
	{ IPC_REQ_FAILED, put_req_failed },	{ IPC_CMD_ANSWER, put_nothing },
	{ IPC_REQ_QUESTION, put_req_question }, { IPC_REQ_RELAY, put_req_relay },
};

static bool walk(struct wire *w, struct ipc_msg *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == m->type) {
			types[i].put(w, m);
			return !w->bad;
		}
	return false;
}

ssize_t ipc_msg_encode(const struct ipc_msg *m, uint8_t *buf, size_t cap)
{
	struct writer writer = writer_init(buf, cap);
	struct wire w = { .w = &writer };
	struct ipc_msg copy = *m; /* the walk takes a writable message and leaves this one as it is */

	write_u8(&writer, IPC_VERSION);
	write_u8(&writer, (uint8_t)m->type);
	if (!walk(&w, &copy))
		return -EINVAL;
	return writer.failed ? -EMSGSIZE : (ssize_t)writer.len;
}

int ipc_msg_decode(struct ipc_msg *ret, const uint8_t *buf, size_t len)
{
	struct reader reader = reader_init(buf, len);
	struct wire w = { .r = &reader };
	struct ipc_msg m;

	memset(&m, 0, sizeof(m));
	if (read_u8(&reader) != IPC_VERSION)
		return -EBADMSG;
	m.type = (enum ipc_type)read_u8(&reader);
	if (!walk(&w, &m) || reader.failed || reader.left)
		return -EBADMSG;
	*ret = m;
	return 0;
}

size_t ipc_msg_fds(const struct ipc_msg *m)
{
	switch (m->type) {
	case IPC_CMD_START:
		return 2;
	case IPC_ANS_SOCKET:
		return m->ans_socket.ok ? 1 : 0;
	case IPC_ANS_AUTH:
		return m->ans_auth.ok ? 1 : 0;
	case IPC_CMD_ANSWER:
		return 1;
	case IPC_ANS_SETTINGS:
	case IPC_CMD_STOP:
	case IPC_CMD_STATS:
	case IPC_CMD_RECONNECT:
	case IPC_REQ_HELLO:
	case IPC_REQ_SOCKET:
	case IPC_REQ_SETTINGS:
	case IPC_REQ_AUTH:
	case IPC_REQ_STATE:
	case IPC_REQ_STATS:
	case IPC_REQ_LOG:
	case IPC_REQ_FAILED:
	case IPC_REQ_QUESTION:
	case IPC_REQ_RELAY:
		return 0;
	}
	return 0;
}
