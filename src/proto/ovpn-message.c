/*
 * Control messages of the server.
 *
 * One TLS record usually holds one message with its NUL, but neither is guaranteed: two in a record and one over two
 * records both happen, so bytes are collected until a NUL. A message with control characters or broken UTF-8 is
 * dropped before anything looks at it (terminals and logs are downstream); CR and LF at its end are cut first, because
 * some authentication back ends leave them there.
 */
#include "proto/ovpn-message.h"

#include <string.h>

#include "base/parse.h"
#include "base/str.h"

#define BACKOFF_MAX 3600

static const char *const type_names[] = {
	[OVPN_MESSAGE_UNKNOWN] = "unknown",
	[OVPN_MESSAGE_PUSH_REPLY] = "PUSH_REPLY",
	[OVPN_MESSAGE_PUSH_UPDATE] = "PUSH_UPDATE",
	[OVPN_MESSAGE_AUTH_FAILED] = "AUTH_FAILED",
	[OVPN_MESSAGE_AUTH_PENDING] = "AUTH_PENDING",
	[OVPN_MESSAGE_RESTART] = "RESTART",
	[OVPN_MESSAGE_HALT] = "HALT",
	[OVPN_MESSAGE_EXIT] = "EXIT",
	[OVPN_MESSAGE_INFO] = "INFO",
	[OVPN_MESSAGE_IGNORED] = "ignored",
};
static_assert(ARRAY_SIZE(type_names) == _OVPN_MESSAGE_MAX, "a name for each type");

const char *ovpn_message_type_to_string(enum ovpn_message_type t)
{
	return (unsigned)t < _OVPN_MESSAGE_MAX ? type_names[t] : "unknown";
}

static bool is_clean(const char *s, size_t len)
{
	return !memchr(s, '\t', len) && str_is_clean_utf8(s, len);
}

/* The NUL has come: is what was collected a message? */
static bool complete(struct ovpn_message_reader *r)
{
	bool skip = r->skip;
	size_t len = r->len;

	r->len = 0;
	r->skip = false;
	while (len && (r->buf[len - 1] == '\r' || r->buf[len - 1] == '\n'))
		len--;
	r->buf[len] = 0;
	if (skip || (len && !is_clean(r->buf, len))) {
		r->n_dropped++;
		return false;
	}
	return len > 0;
}

bool ovpn_message_next(struct ovpn_message_reader *r, const uint8_t **p, size_t *len, const char **ret)
{
	while (*len) {
		const uint8_t *nul = memchr(*p, 0, *len);
		size_t n = nul ? (size_t)(nul - *p) : *len;

		if (r->skip || n > OVPN_MESSAGE_MAX - r->len) {
			r->skip = true;
			r->len = 0;
		} else {
			memcpy(r->buf + r->len, *p, n);
			r->len += n;
		}
		*p += n + !!nul;
		*len -= n + !!nul;
		if (nul && complete(r)) {
			*ret = r->buf;
			return true;
		}
	}
	return false;
}

/* Behind "NAME," or at the end of "NAME"; NULL when the line is something else. */
static const char *after(const char *line, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(line, name, n) != 0)
		return NULL;
	if (line[n] == ',')
		return line + n + 1;
	return line[n] == 0 ? line + n : NULL;
}

/* A decimal number at *s, bounded; *s moves behind it. Not a number: 0. */
static uint32_t take_number(const char **s, uint32_t max)
{
	uint64_t v = 0;

	while (**s >= '0' && **s <= '9') {
		v = MIN(v * 10 + (uint64_t)(**s - '0'), (uint64_t)max);
		(*s)++;
	}
	return (uint32_t)v;
}

/* "[backoff 42,advance no]:text", brackets optional. */
static void parse_temporary(const char *s, struct ovpn_message *m)
{
	m->temporary = true;
	m->text = s;
	if (*s == '[') {
		const char *end = strchr(s, ']');

		if (!end)
			return;
		for (s++; s < end;) {
			if (str_has_prefix(s, "backoff ")) {
				s += strlen("backoff ");
				m->backoff = take_number(&s, BACKOFF_MAX);
			} else if (str_has_prefix(s, "advance no")) {
				m->advance = OVPN_ADVANCE_NO;
			} else if (str_has_prefix(s, "advance remote")) {
				m->advance = OVPN_ADVANCE_REMOTE;
			}
			s += strcspn(s, ",]");
			s += *s == ',';
		}
		s = end + 1;
	}
	m->text = *s == ':' ? s + 1 : s;
}

/* "CRV1:flags:state:user:text"; the rest is ovpn-login.c's. */
static void parse_challenge(const char *s, struct ovpn_message *m)
{
	m->challenge = true;
	m->text = s + strlen("CRV1:");
}

static void parse_auth_failed(const char *rest, struct ovpn_message *m)
{
	m->text = rest;
	if (str_has_prefix(rest, "TEMP") && memchr("[:", rest[strlen("TEMP")], 3)) { /* or the NUL */
		parse_temporary(rest + strlen("TEMP"), m);
	} else if (str_has_prefix(rest, "SESSION:") || str_eq(rest, "SESSION")) {
		m->session = true;
		m->text = rest[strlen("SESSION")] ? rest + strlen("SESSION:") : "";
	} else if (str_has_prefix(rest, "CRV1:")) {
		parse_challenge(rest, m);
	}
}

static void parse_auth_pending(const char *rest, struct ovpn_message *m)
{
	if (!str_has_prefix(rest, "timeout "))
		return;
	rest += strlen("timeout ");
	m->timeout = take_number(&rest, 86400);
}

/* "[NP]text" */
static void parse_restart(const char *rest, struct ovpn_message *m)
{
	const char *end = *rest == '[' ? strchr(rest, ']') : NULL;

	m->text = rest;
	if (!end)
		return;
	for (const char *s = rest + 1; s < end; s++) {
		m->next_remote |= *s == 'N';
		m->keep_credentials |= *s == 'P';
	}
	m->text = end + 1;
}

static void parse_pre(const char *rest, struct ovpn_message *m)
{
	m->text = rest;
	m->pre = true;
}

static void parse_text(const char *rest, struct ovpn_message *m)
{
	m->text = rest;
}

struct message_kind {
	const char *name;
	enum ovpn_message_type type;
	void (*parse)(const char *rest, struct ovpn_message *m);
};

static const struct message_kind kinds[] = {
	{ "PUSH_REPLY", OVPN_MESSAGE_PUSH_REPLY, parse_text },
	{ "PUSH_UPDATE", OVPN_MESSAGE_PUSH_UPDATE, parse_text },
	{ "PUSH_REQUEST", OVPN_MESSAGE_IGNORED, parse_text },
	{ "AUTH_FAILED", OVPN_MESSAGE_AUTH_FAILED, parse_auth_failed },
	{ "AUTH_PENDING", OVPN_MESSAGE_AUTH_PENDING, parse_auth_pending },
	{ "RESTART", OVPN_MESSAGE_RESTART, parse_restart },
	{ "HALT", OVPN_MESSAGE_HALT, parse_restart },
	{ "EXIT", OVPN_MESSAGE_EXIT, parse_text },
	{ "INFO", OVPN_MESSAGE_INFO, parse_text },
	{ "INFO_PRE", OVPN_MESSAGE_INFO, parse_pre },
	{ "ACC", OVPN_MESSAGE_IGNORED, parse_text },
	{ "CR_RESPONSE", OVPN_MESSAGE_IGNORED, parse_text },
};

void ovpn_message_parse(const char *line, struct ovpn_message *ret)
{
	struct ovpn_message m = { .type = OVPN_MESSAGE_UNKNOWN, .text = "" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *rest = after(line, kinds[i].name);

		if (!rest)
			continue;
		m.type = kinds[i].type;
		kinds[i].parse(rest, &m);
		break;
	}
	*ret = m;
}
