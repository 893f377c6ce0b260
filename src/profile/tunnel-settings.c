/*
 * settings.conf of a tunnel: one key table. Keys that are not built yet are known and refused, so that nobody believes in
 * something that is not there. Documented in nsvpn.conf(5).
 */
#include "profile/tunnel-settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/parse.h"
#include "base/str.h"

static int parse_uplink(struct tunnel_settings *s, const char *value, const char **ret_want)
{
	*ret_want = "veth or socket";
	return uplink_from_string(value, &s->uplink);
}

static int parse_autostart(struct tunnel_settings *s, const char *value, const char **ret_want)
{
	*ret_want = "yes or no";
	return parse_bool(value, &s->autostart);
}

static int parse_ready(struct tunnel_settings *s, const char *value, const char **ret_want)
{
	*ret_want = "connected or locked";
	if (!str_ieq(value, "connected") && !str_ieq(value, "locked"))
		return -EINVAL;
	s->ready_when_locked = str_ieq(value, "locked");
	return 0;
}

static int parse_default_route(struct tunnel_settings *s, const char *value, const char **ret_want)
{
	bool yes;

	*ret_want = "auto, yes or no";
	if (str_ieq(value, "auto")) {
		s->default_route = DEFAULT_ROUTE_AUTO;
		return 0;
	}
	if (parse_bool(value, &yes) < 0)
		return -EINVAL;
	s->default_route = yes ? DEFAULT_ROUTE_YES : DEFAULT_ROUTE_NO;
	return 0;
}

/* Addresses separated by blanks; a second DNS= line replaces the first. */
static int parse_dns(struct tunnel_settings *s, const char *value, const char **ret_want)
{
	_cleanup_(freep) char *copy = strdup(value);
	struct inaddr dns[SETTINGS_DNS_MAX] = { 0 };
	char *rest = copy, *word;
	unsigned n = 0;

	if (!copy)
		return -ENOMEM;
	*ret_want = "1 to 8 addresses of name servers that the tunnel reaches, separated by blanks";
	while ((word = str_next_word(&rest))) {
		if (n == SETTINGS_DNS_MAX || inaddr_parse(word, &dns[n]) < 0 || inaddr_is_special(&dns[n]) ||
		    inaddr_is_link_local(&dns[n]))
			return -EINVAL;
		n++;
	}
	if (!n)
		return -EINVAL;
	memcpy(s->dns, dns, sizeof(dns));
	s->n_dns = n;
	return 0;
}

#define ACCESS_NAMES_MAX 64
#define ACCESS_NAME_LEN 64

/* What useradd, a directory service or a number may be; never an option, never a path. Resolved when somebody comes. */
static bool is_account_name(const char *s)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-@\\$+";

	return s[0] != '-' && strlen(s) <= ACCESS_NAME_LEN && s[strspn(s, chars)] == '\0';
}

/* Names separated by blanks; a second line replaces the first, as with DNS=. */
static int parse_names(const char *value, char ***names)
{
	_cleanup_(strv_freep) char **v = NULL;
	_cleanup_(freep) char *copy = strdup(value);
	char *rest = copy, *word;

	if (!copy)
		return -ENOMEM;
	while ((word = str_next_word(&rest))) {
		if (strv_len(v) == ACCESS_NAMES_MAX || !is_account_name(word))
			return -EINVAL;
		if (strv_add(&v, word) < 0)
			return -ENOMEM;
	}
	if (!v)
		return -EINVAL;
	strv_free(*names);
	*names = TAKE_PTR(v);
	return 0;
}

static int parse_users(struct tunnel_settings *s, const char *value, const char **ret_want)
{
	*ret_want = "1 to 64 names or numbers of users, separated by blanks";
	return parse_names(value, &s->users);
}

static int parse_groups(struct tunnel_settings *s, const char *value, const char **ret_want)
{
	*ret_want = "1 to 64 names or numbers of groups, separated by blanks";
	return parse_names(value, &s->groups);
}

/*
 * Of the lines of [Exceptions] each adds to the ones before, as people expect of a list of ports: what a line says is
 * open, and nothing else.
 */
static int add_publish(struct exceptions *e, const char *word, const char **ret_want)
{
	struct publish p;
	int r = publish_parse(word, &p);

	if (r < 0)
		return r;
	r = exceptions_add_publish(e, &p);
	if (r == -EEXIST)
		*ret_want = "each port of a protocol once";
	if (r == -E2BIG)
		*ret_want = "32 ports at most";
	return r < 0 ? -EINVAL : 0;
}

static int parse_publish(struct tunnel_settings *s, const char *value, const char **ret_want)
{
	_cleanup_(freep) char *copy = strdup(value);
	struct exceptions e = s->exceptions;
	char *rest = copy, *word;

	if (!copy)
		return -ENOMEM;
	*ret_want = "ports as in tcp:8080, udp:51413, tcp:8080:80 (80 inside) or tcp:8080@machine (not for the local network), "
		    "separated by blanks";
	while ((word = str_next_word(&rest))) {
		int r = add_publish(&e, word, ret_want);

		if (r < 0)
			return r;
	}
	if (e.n_publish == s->exceptions.n_publish)
		return -EINVAL;
	s->exceptions = e;
	return 0;
}

static int add_allow(struct exceptions *e, const char *word, const char **ret_want)
{
	const char *why = NULL;
	struct inprefix p;
	int r = allow_parse(word, &p, &why);

	if (r == -EDOM)
		*ret_want = why;
	if (r < 0)
		return r;
	r = exceptions_add_allow(e, &p);
	if (r == -EEXIST)
		*ret_want = "networks that do not overlap";
	if (r == -E2BIG)
		*ret_want = "32 networks at most";
	return r < 0 ? -EINVAL : 0;
}

static int parse_allow(struct tunnel_settings *s, const char *value, const char **ret_want)
{
	_cleanup_(freep) char *copy = strdup(value);
	struct exceptions e = s->exceptions;
	char *rest = copy, *word;

	if (!copy)
		return -ENOMEM;
	*ret_want = "networks as in 192.168.1.0/24 or fd12:3456::/64, separated by blanks";
	while ((word = str_next_word(&rest))) {
		int r = add_allow(&e, word, ret_want);

		if (r < 0)
			return r;
	}
	if (e.n_allow == s->exceptions.n_allow)
		return -EINVAL;
	s->exceptions = e;
	return 0;
}

static const struct tunnel_key keys[] = {
	{ "Tunnel", "Uplink", parse_uplink, NULL },
	{ "Tunnel", "Autostart", parse_autostart, NULL },
	{ "Tunnel", "Ready", parse_ready, NULL },
	{ "Tunnel", "DNS", parse_dns, NULL },
	{ "Tunnel", "DefaultRoute", parse_default_route, NULL },
	{ "Tunnel", "Via", NULL, "is not supported yet: a tunnel cannot run inside another; remove the line" },
	{ "Access", "Users", parse_users, NULL },
	{ "Access", "Groups", parse_groups, NULL },
	{ "Exceptions", "Allow", parse_allow, NULL },
	{ "Exceptions", "Publish", parse_publish, NULL },
};

const struct tunnel_key *tunnel_settings_keys(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(keys);
	return keys;
}

struct load {
	const char *source;
	struct tunnel_settings settings;
	char *error;
};

static int complain(struct load *l, char *sentence)
{
	l->error = sentence;
	return sentence ? -EINVAL : -ENOMEM;
}

/* "unknown key 'Uplnk' in [Tunnel]; did you mean 'Uplink'?" or, for a strange section, the sections there are. */
static int on_unknown(struct load *l, unsigned line, unsigned column, const char *section, const char *key)
{
	_cleanup_(freep) char *shown_key = str_escape(key, strlen(key), 40);
	_cleanup_(freep) char *shown_section = str_escape(section, strlen(section), 40);
	const char *names[ARRAY_SIZE(keys)], *near;
	size_t n = 0;

	if (!shown_key || !shown_section)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (str_eq(keys[i].section, section))
			names[n++] = keys[i].key;
	if (!*section)
		return complain(l,
				str_format("%s:%u:%u: key '%s' stands before any section; put [Tunnel] in front of it",
					   l->source, line, column, shown_key));
	if (!n)
		return complain(l, str_format("%s:%u:%u: unknown section [%s]; the sections are [Tunnel], [Access] and "
					      "[Exceptions]",
					      l->source, line, column, shown_section));
	near = str_nearest(key, names, n);
	if (near)
		return complain(l, str_format("%s:%u:%u: unknown key '%s' in [%s]; did you mean '%s'?", l->source, line,
					      column, shown_key, shown_section, near));
	return complain(l, str_format("%s:%u:%u: unknown key '%s' in [%s]; nsvpn.conf(5) lists the keys", l->source,
				      line, column, shown_key, shown_section));
}

static int on_key(void *userdata, unsigned line, unsigned column, const char *section, const char *key,
		  const char *value)
{
	_cleanup_(freep) char *shown = NULL;
	const struct tunnel_key *row = NULL;
	struct load *l = userdata;
	const char *want = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (str_eq(keys[i].section, section) && str_eq(keys[i].key, key))
			row = &keys[i];
	if (!row)
		return on_unknown(l, line, column, section, key);
	if (!row->parse)
		return complain(
			l, str_format("%s:%u:%u: %s= in [%s] %s", l->source, line, column, key, section, row->refusal));
	r = row->parse(&l->settings, value, &want);
	if (r >= 0 || r == -ENOMEM)
		return r;
	shown = str_escape(value, strlen(value), 60);
	if (!shown)
		return -ENOMEM;
	if (r == -EDOM)
		return complain(l, str_format("%s:%u:%u: '%s' for %s= in [%s] %s", l->source, line, column, shown, key,
					      section, want));
	return complain(l, str_format("%s:%u:%u: '%s' is no value for %s= in [%s]; give %s", l->source, line, column,
				      shown, key, section, want));
}

/* The INI reader says "line 3, column 5: …"; ours is FILE:3:5. */
static char *with_source(const char *source, const char *text)
{
	unsigned line, column;
	int skip = 0;

	if (sscanf(text, "line %u, column %u: %n", &line, &column, &skip) == 2 && skip > 0)
		return str_format("%s:%u:%u: %s", source, line, column, text + skip);
	return str_format("%s: %s", source, text);
}

int tunnel_settings_parse(const char *text, size_t len, const char *source, struct tunnel_settings *ret,
			  char **ret_error)
{
	struct load l = { .source = source };
	_cleanup_(freep) char *grammar = NULL;
	int r;

	r = ini_parse(text, len, on_key, &l, &grammar);
	if (r >= 0) {
		*ret = l.settings;
		return 0;
	}
	tunnel_settings_done(&l.settings);
	if (!l.error && r == -EINVAL && grammar)
		l.error = with_source(source, grammar);
	if (r == -EINVAL && !l.error)
		return -ENOMEM;
	if (l.error)
		*ret_error = l.error;
	return r;
}

void tunnel_settings_done(struct tunnel_settings *s)
{
	free(s->via);
	strv_free(s->users);
	strv_free(s->groups);
	*s = (struct tunnel_settings){ 0 };
}
