/*
 * PUSH_UPDATE on the options that were pushed before.
 *
 * Theory. ovpn-push.c keeps the texts of those options that may change later. An update works on a copy of that list: the
 * first time it names a kind of option, with or without '-', all that was said about this kind goes; what it sets is
 * appended. When the last part has come the list is read from its beginning like one PUSH_REPLY. So there is one parser
 * and one merge with the profile; the settings never depend on the way that led to them, and nothing changes before all
 * of it was understood. An option with '?' may be left out when it cannot be used; any other one that cannot be changed
 * makes the caller connect again, which is always right.
 */
#include "proto/ovpn-update.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "profile/ovpn-lexer.h"
#include "proto/ovpn-push-option.h"

struct ovpn_update {
	struct ovpn_push push; /* takes the notes; the options at the end */
	char **texts;          /* optional ones begin with '?' */
	unsigned n_texts;
	unsigned touched;      /* groups */
	unsigned n_messages;
	bool lost;
};

enum { GROUP_NOTHING, GROUP_ADDR4, GROUP_ADDR6, GROUP_TOPOLOGY, GROUP_ROUTE4, GROUP_ROUTE6, GROUP_DEFAULT, GROUP_BLOCK6,
       GROUP_DHCP, GROUP_DNS, GROUP_MTU, GROUP_KEEPALIVE, GROUP_GATEWAY };

static const struct {
	const char *name;
	unsigned group; /* GROUP_NOTHING: may be named, and has no effect here */
} updatable[] = {
	{ "ifconfig", GROUP_ADDR4 },
	{ "ifconfig-ipv6", GROUP_ADDR6 },
	{ "topology", GROUP_TOPOLOGY },
	{ "route", GROUP_ROUTE4 },
	{ "route-ipv6", GROUP_ROUTE6 },
	{ "redirect-gateway", GROUP_DEFAULT },
	{ "redirect-private", GROUP_DEFAULT },
	{ "block-ipv6", GROUP_BLOCK6 },
	{ "dhcp-option", GROUP_DHCP },
	{ "dns", GROUP_DNS },
	{ "tun-mtu", GROUP_MTU },
	{ "keepalive", GROUP_KEEPALIVE },
	{ "block-outside-dns", GROUP_NOTHING },
	{ "route-gateway", GROUP_GATEWAY },
	{ "route-metric", GROUP_NOTHING },
};

/* -ENOENT: a server may not change this. */
static int find_group(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(updatable); i++)
		if (str_eq(updatable[i].name, name))
			return (int)updatable[i].group;
	return -ENOENT;
}

unsigned ovpn_update_group(const char *name)
{
	int group = find_group(name);

	return group < 0 ? GROUP_NOTHING : (unsigned)group;
}

/* Of a text of the list. */
static unsigned group_of(const char *text)
{
	char name[32];
	size_t len;

	text += *text == '?';
	len = strcspn(text, " ");
	if (len >= sizeof(name))
		return GROUP_NOTHING;
	memcpy(name, text, len);
	name[len] = 0;
	return ovpn_update_group(name);
}

int ovpn_update_new(struct ovpn_update **ret, const struct ovpn_push *base)
{
	struct ovpn_update *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	ovpn_push_init(&u->push, base->options);
	u->lost = base->kept_lost;
	for (char **text = base->kept; text && *text; text++) {
		if (strv_add(&u->texts, *text) < 0) {
			ovpn_update_free(u);
			return -ENOMEM;
		}
		u->n_texts++;
	}
	*ret = u;
	return 0;
}

struct ovpn_update *ovpn_update_free(struct ovpn_update *u)
{
	if (!u)
		return NULL;
	ovpn_push_done(&u->push);
	strv_free(u->texts);
	free(u);
	return NULL;
}

/* ---- one option ---- */

struct change {
	struct ovpn_push_option option;
	bool remove, optional;
};

static void forget_group(struct ovpn_update *u, unsigned group)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < u->n_texts; i++) {
		if (group_of(u->texts[i]) == group)
			free(u->texts[i]);
		else
			u->texts[kept++] = u->texts[i];
	}
	if (u->texts)
		u->texts[kept] = NULL;
	u->n_texts = kept;
}

static int append(struct ovpn_update *u, const struct change *c)
{
	_cleanup_(freep) char *marked = NULL;

	if (u->n_texts == OVPN_PUSH_KEPT_MAX) {
		u->lost = true;
		return 0;
	}
	if (c->optional) {
		marked = str_format("?%s", c->option.text);
		if (!marked)
			return -ENOMEM;
	}
	u->n_texts++;
	return strv_add(&u->texts, marked ? marked : c->option.text);
}

/* 0, or -ENOMEM: skipped with a note; or -EPROTO with the sentence. Names only: what follows may be a token. */
static int refuse(struct ovpn_update *u, const struct change *c, const char *name, const char *why, char **ret_error)
{
	_cleanup_(freep) char *shown = str_escape(name, strlen(name), 48);

	if (!shown)
		return -ENOMEM;
	if (c->optional)
		return ovpn_push_note(&u->push, name, name, why);
	*ret_error = str_format("the server changes \"%s\": %s", shown, why);
	return *ret_error ? -EPROTO : -ENOMEM;
}

static int change_option(struct ovpn_update *u, const struct change *c, char **ret_error)
{
	const char *name = c->option.words[0];
	int group = find_group(name), r;

	if (group < 0)
		return refuse(u, c, name, "nsvpn cannot do that while the connection is up", ret_error);
	r = ovpn_push_filter(u->push.options, &c->option);
	if (r == -EACCES) {
		*ret_error = str_format("a `pull-filter reject` of the profile forbids the server's new \"%s\"; change the "
					"server or the filter", name);
		return *ret_error ? r : -ENOMEM;
	}
	if (r > 0)
		return ovpn_push_note(&u->push, name, c->option.text, "`pull-filter` in the profile says so");
	if (group == GROUP_NOTHING)
		return 0;
	if (!(u->touched & 1u << group))
		forget_group(u, (unsigned)group);
	u->touched |= 1u << group;
	return c->remove ? 0 : append(u, c);
}

/* text is normalised and not empty. */
static int add_option(struct ovpn_update *u, const char *text, unsigned *ret_continuation, char **ret_error)
{
	char buf[OVPN_PUSH_OPTION_MAX + 1], *words[OVPN_WORDS_MAX + 1];
	struct change c = { 0 };
	const char *why = NULL;
	int r;

	for (; *text == '-' || *text == '?' || *text == ' '; text++) {
		c.remove |= *text == '-';
		c.optional |= *text == '?';
	}
	c.option = (struct ovpn_push_option){ .text = text, .words = words };
	r = ovpn_split(text, strlen(text), buf, words, &c.option.n, &why);
	if (r < 0 || c.option.n == 0) {
		r = refuse(u, &c, "(unreadable)", why ? why : "it has no name", ret_error);
	} else if (str_eq(words[0], "push-continuation")) {
		if (c.option.n == 2 && (str_eq(words[1], "1") || str_eq(words[1], "2")))
			*ret_continuation = (unsigned)(words[1][0] - '0');
		r = 0;
	} else {
		r = change_option(u, &c, ret_error);
	}
	secret_wipe(buf, sizeof(buf)); /* it may have been a token */
	return r;
}

int ovpn_update_add(struct ovpn_update *u, const char *text, char **ret_error)
{
	char option[OVPN_PUSH_OPTION_MAX];
	unsigned continuation = 1;
	int r = 0;

	if (strchr(text, '\t') || !str_is_clean_utf8(text, strlen(text))) {
		*ret_error = strdup("the server's new settings hold control characters");
		return *ret_error ? -EBADMSG : -ENOMEM;
	}
	if (++u->n_messages > OVPN_PUSH_MESSAGES_MAX) {
		*ret_error = strdup("the server's new settings (PUSH_UPDATE) have no end");
		return *ret_error ? -EPROTO : -ENOMEM;
	}
	while (*text && r >= 0) {
		size_t len = strcspn(text, ",");

		if (ovpn_push_normalise(text, len, option) < 0)
			r = refuse(u, &(struct change){ .optional = *text == '?' }, "(too long)", "it is longer than 1023 bytes",
				   ret_error);
		else if (option[0])
			r = add_option(u, option, &continuation, ret_error);
		text += len;
		text += *text == ',';
	}
	secret_wipe(option, sizeof(option));
	if (r < 0)
		return r;
	return continuation == 2 ? 0 : 1;
}

/* ---- the whole ---- */

/* One text of the list, which went through the filter already. */
static int read_text(struct ovpn_update *u, const char *text, char **ret_error)
{
	_cleanup_(freep) char *error = NULL;
	bool optional = *text == '?';
	int r = ovpn_push_add_option(&u->push, text + optional, &error);

	if (r == -EPROTO && optional)
		return ovpn_push_note(&u->push, text + 1, text + 1, "its value cannot be used, and the server says that it is optional");
	if (r < 0 && error)
		*ret_error = TAKE_PTR(error);
	return r;
}

int ovpn_update_finish(struct ovpn_update *u, uint32_t tun_mtu_max, struct ovpn_push *ret_push, struct settings *ret,
		       char **ret_error)
{
	int r = 0;

	if (u->lost) {
		*ret_error = str_format("the server has pushed more than %d options, so one of them cannot be changed alone",
					OVPN_PUSH_KEPT_MAX);
		return *ret_error ? -EPROTO : -ENOMEM;
	}
	for (unsigned i = 0; i < u->n_texts && r >= 0; i++)
		r = read_text(u, u->texts[i], ret_error);
	if (r >= 0)
		r = ovpn_push_finish(&u->push, tun_mtu_max, ret, ret_error);
	if (r < 0)
		return r;
	*ret_push = u->push;
	ovpn_push_init(&u->push, ret_push->options);
	return 0;
}
