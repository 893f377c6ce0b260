/*
 * Pushed options: the allow-list, and gathering them over messages.
 *
 * Theory. A server may push what stands in the table below and nothing else; each row says how many values it takes
 * and whose business it is (routes, names), because `route-nopull` switches those classes off. Numbers have ranges,
 * addresses are parsed as addresses, domains have a character set. A bad value of an option that only concerns comfort
 * is ignored with a note; one that both ends must agree on (cipher, peer-id, protocol-flags) ends the attempt, since
 * going on would only fail later and silently.
 *
 * Bounds: 256 routes, 8 resolvers, 10 domains, 24 notes; the rest is counted, not stored. A reply of ten thousand
 * routes costs time proportional to its length and no memory.
 */
#include "proto/ovpn-push.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "profile/ovpn-lexer.h"
#include "proto/ovpn-data.h"
#include "proto/ovpn-push-option.h"

/* `what` was ignored because of `why`; once for each option name. */
int ovpn_push_note(struct ovpn_push *p, const char *name, const char *option, const char *why)
{
	_cleanup_(freep) char *shown = NULL, *key = NULL, *text = NULL;
	int r;

	if (strv_len(p->notes) >= OVPN_PUSH_NOTES_MAX)
		return 0;
	key = str_escape(name, strlen(name), 48);
	shown = str_escape(option, strlen(option), 96);
	if (!key || !shown)
		return -ENOMEM;
	if (p->noted && strv_contains(p->noted, key))
		return 0;
	text = str_format("ignored the pushed option \"%s\": %s", shown, why);
	if (!text)
		return -ENOMEM;
	r = strv_add(&p->noted, key);
	if (r < 0)
		return r;
	return strv_add(&p->notes, text);
}

/* ---- the allow-list ---- */

enum option_class { CLASS_ROUTE = 1, CLASS_DNS = 2 };

struct option_kind {
	const char *name;
	uint8_t min, max; /* values */
	uint8_t class;
	ovpn_push_fn parse; /* NULL: known, of no effect here, not worth a word */
};

#define ANY (OVPN_WORDS_MAX - 1)

static const struct option_kind kinds[] = {
	{ "route", 1, 4, CLASS_ROUTE, ovpn_push_on_route },
	{ "route-ipv6", 1, 3, CLASS_ROUTE, ovpn_push_on_route_ipv6 },
	{ "dhcp-option", 1, 3, CLASS_DNS, ovpn_push_on_dhcp_option },
	{ "ifconfig", 2, 2, 0, ovpn_push_on_ifconfig },
	{ "ifconfig-ipv6", 1, 2, 0, ovpn_push_on_ifconfig_ipv6 },
	{ "topology", 1, 1, 0, ovpn_push_on_topology },
	{ "route-gateway", 1, 2, 0, ovpn_push_on_route_gateway },
	{ "redirect-gateway", 0, ANY, CLASS_ROUTE, ovpn_push_on_redirect_gateway },
	{ "redirect-private", 0, ANY, CLASS_ROUTE, ovpn_push_on_redirect_private },
	{ "block-ipv6", 0, 0, 0, ovpn_push_on_block_ipv6 },
	{ "dns", 2, ANY, CLASS_DNS, ovpn_push_on_dns },
	{ "tun-mtu", 1, 2, 0, ovpn_push_on_tun_mtu },
	{ "ping", 1, 1, 0, ovpn_push_on_ping },
	{ "ping-restart", 1, 1, 0, ovpn_push_on_ping_restart },
	{ "ping-exit", 1, 1, 0, ovpn_push_on_ping_exit },
	{ "keepalive", 2, 2, 0, ovpn_push_on_keepalive },
	{ "explicit-exit-notify", 0, 1, 0, ovpn_push_on_exit_notify },
	{ "inactive", 1, 2, 0, ovpn_push_on_inactive },
	{ "session-timeout", 1, 1, 0, ovpn_push_on_session_timeout },
	{ "comp-lzo", 0, 1, 0, ovpn_push_on_comp_lzo },
	{ "compress", 0, 1, 0, ovpn_push_on_compress },
	{ "cipher", 1, 1, 0, ovpn_push_on_cipher },
	{ "peer-id", 1, 1, 0, ovpn_push_on_peer_id },
	{ "auth-token", 1, 1, 0, ovpn_push_on_auth_token },
	{ "auth-token-user", 1, 1, 0, ovpn_push_on_auth_token_user },
	{ "key-derivation", 1, 1, 0, ovpn_push_on_key_derivation },
	{ "protocol-flags", 1, ANY, 0, ovpn_push_on_protocol_flags },
	/* known, without effect in a namespace of its own */
	{ "sndbuf", 0, ANY, 0, NULL },
	{ "rcvbuf", 0, ANY, 0, NULL },
	{ "socket-flags", 0, ANY, 0, NULL },
	{ "route-metric", 0, ANY, 0, NULL },
	{ "route-delay", 0, ANY, 0, NULL },
	{ "route-method", 0, ANY, 0, NULL },
	{ "echo", 0, ANY, 0, NULL },
	{ "parameter", 0, ANY, 0, NULL },
	{ "persist-key", 0, ANY, 0, NULL },
	{ "persist-tun", 0, ANY, 0, NULL },
	{ "verb", 0, ANY, 0, NULL },
	{ "mute", 0, ANY, 0, NULL },
	{ "setenv-safe", 0, ANY, 0, NULL },
	{ "ping-timer-rem", 0, ANY, 0, NULL },
	{ "ifconfig-nowarn", 0, ANY, 0, NULL },
	{ "block-outside-dns", 0, ANY, 0, NULL },
	{ "register-dns", 0, ANY, 0, NULL },
	{ "ip-win32", 0, ANY, 0, NULL },
	{ "tap-sleep", 0, ANY, 0, NULL },
	{ "tun-ipv6", 0, ANY, 0, NULL },
};

static const struct option_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

/* *why is static. As option_fn. */
static int apply_option(struct ovpn_push *p, const struct ovpn_push_option *o, const char **why)
{
	const struct option_kind *kind = find_kind(o->words[0]);

	if (!kind)
		return IGNORE("a server may not push this, or nsvpn does not know it");
	if (!kind->parse)
		return 0;
	if (p->options->route_nopull && (kind->class & (CLASS_ROUTE | CLASS_DNS)))
		return IGNORE("`route-nopull` in the profile says so");
	if (o->n - 1 < kind->min || o->n - 1 > kind->max)
		return IGNORE("it has too few or too many values");
	return kind->parse(p, o, why);
}

/* White space runs become one blank, so that a filter's prefix means what it says. */
int ovpn_push_normalise(const char *s, size_t len, char buf[static OVPN_PUSH_OPTION_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == ' ' && (n == 0 || buf[n - 1] == ' '))
			continue;
		if (n + 1 >= OVPN_PUSH_OPTION_MAX)
			return -EMSGSIZE;
		buf[n++] = s[i];
	}
	while (n && buf[n - 1] == ' ')
		n--;
	buf[n] = 0;
	return 0;
}

/* First match wins. */
static int filter(const struct ovpn_options *o, const char *text)
{
	for (size_t i = 0; i < o->n_pull_filters; i++) {
		if (!str_has_prefix(text, o->pull_filters[i].prefix))
			continue;
		switch (o->pull_filters[i].action) {
		case PULL_FILTER_ACCEPT:
			return 0;
		case PULL_FILTER_IGNORE:
			return 1;
		case PULL_FILTER_REJECT:
			return -EACCES;
		}
	}
	return 0;
}

static int sentence(char **ret_error, int error, const char *option, const char *format_why)
{
	_cleanup_(freep) char *shown = str_escape(option, strlen(option), 96);

	if (!shown)
		return -ENOMEM;
	*ret_error = str_format("the server pushed \"%s\": %s", shown, format_why);
	return *ret_error ? error : -ENOMEM;
}

/* What may be shown of an option: tokens are secrets, however they are quoted. name: NULL when it could not be read. */
static const char *showable(const char *name, const char *text)
{
	if (!name)
		return strstr(text, "auth") ? "(hidden)" : text;
	return str_has_prefix(name, "auth") ? "auth-token (hidden)" : text;
}

/* The words with one blank between them: what filters compare, so that neither blanks nor quotes are a way around. */
static void plain_text(const struct ovpn_push_option *o, char *buf)
{
	char *at = buf;

	for (unsigned i = 0; i < o->n; i++) {
		size_t len = strlen(o->words[i]);

		if (i)
			*at++ = ' ';
		memcpy(at, o->words[i], len);
		at += len;
	}
	*at = 0;
}

int ovpn_push_filter(const struct ovpn_options *options, const struct ovpn_push_option *o)
{
	char plain[OVPN_PUSH_OPTION_MAX + 1] = "";
	int r;

	plain_text(o, plain); /* no longer than the option: each word, and each blank between two, stands there too */
	r = filter(options, plain);
	secret_wipe(plain, sizeof(plain)); /* it may have been a token */
	return r;
}

/* Never a secret: those are of no group. */
static int keep(struct ovpn_push *p, const struct ovpn_push_option *o)
{
	if (!ovpn_update_group(o->words[0]))
		return 0;
	p->kept_lost |= p->n_kept == OVPN_PUSH_KEPT_MAX;
	if (p->kept_lost)
		return 0;
	p->n_kept++;
	return strv_add(&p->kept, o->text);
}

/* taken: what the handler said. An option that was taken in part is kept too: it has to be there when all is read again. */
static int remember(struct ovpn_push *p, const struct ovpn_push_option *o, int taken, const char *why)
{
	int r = taken > 0 ? ovpn_push_note(p, o->words[0], showable(o->words[0], o->text), why) : 0;

	return r < 0 || taken == 1 ? r : keep(p, o);
}

/* text is normalised and not empty. 0, or as ovpn_push_add. */
static int add_option(struct ovpn_push *p, const char *text, unsigned *ret_continuation, char **ret_error)
{
	char buf[OVPN_PUSH_OPTION_MAX + 1], *words[OVPN_WORDS_MAX + 1];
	struct ovpn_push_option o = { .text = text, .words = words };
	const char *why = NULL;
	int r;

	r = ovpn_split(text, strlen(text), buf, words, &o.n, &why);
	if (r < 0 || o.n == 0) {
		r = ovpn_push_note(p, "unreadable", showable(NULL, text), why ? why : "it cannot be read");
		goto out;
	}
	if (str_eq(words[0], "push-continuation")) {
		if (o.n == 2 && (str_eq(words[1], "1") || str_eq(words[1], "2")))
			*ret_continuation = (unsigned)(words[1][0] - '0');
		r = 0;
		goto out;
	}
	r = ovpn_push_filter(p->options, &o);
	if (r == -EACCES)
		r = sentence(ret_error, r, showable(words[0], text),
			     "a `pull-filter reject` of the profile forbids it; change the server or the filter");
	if (r < 0)
		goto out;
	if (r > 0)
		why = "`pull-filter` in the profile says so";
	else
		r = apply_option(p, &o, &why);
	if (r == -EPROTO)
		r = sentence(ret_error, r, showable(words[0], text), why);
	else if (r >= 0)
		r = remember(p, &o, r, why);
out:
	secret_wipe(buf, sizeof(buf)); /* it may have been a token */
	return r;
}

int ovpn_push_add_option(struct ovpn_push *p, const char *text, char **ret_error)
{
	unsigned continuation;

	return add_option(p, text, &continuation, ret_error);
}

/* ---- the interface ---- */

void ovpn_push_init(struct ovpn_push *p, const struct ovpn_options *options)
{
	*p = (struct ovpn_push){
		.options = options,
		.peer_id = OVPN_PEER_ID_V1,
		.topology = options->topology_set ? options->topology : TOPOLOGY_NET30,
		.framing = options->framing,
	};
}

void ovpn_push_done(struct ovpn_push *p)
{
	p->auth_token = secret_free(p->auth_token);
	p->auth_token_user = secret_free(p->auth_token_user);
	strv_free(p->notes);
	strv_free(p->noted);
	strv_free(p->kept);
	p->notes = p->noted = p->kept = NULL;
}

int ovpn_push_add(struct ovpn_push *p, const char *text, char **ret_error)
{
	char option[OVPN_PUSH_OPTION_MAX];
	unsigned continuation = 1;
	int r = 0;

	if (strchr(text, '\t') || !str_is_clean_utf8(text, strlen(text))) {
		*ret_error = strdup("the server's settings hold control characters");
		return *ret_error ? -EBADMSG : -ENOMEM;
	}
	if (++p->n_messages > OVPN_PUSH_MESSAGES_MAX) {
		*ret_error = strdup("the server's settings (PUSH_REPLY) have no end");
		return *ret_error ? -EPROTO : -ENOMEM;
	}
	while (*text && r >= 0) {
		size_t len = strcspn(text, ",");

		if (ovpn_push_normalise(text, len, option) < 0)
			r = ovpn_push_note(p, "long", "(too long)", "it is longer than 1023 bytes");
		else if (option[0])
			r = add_option(p, option, &continuation, ret_error);
		text += len;
		text += *text == ',';
	}
	secret_wipe(option, sizeof(option));
	if (r < 0)
		return r;
	return continuation == 2 ? 0 : 1;
}
