/*
 * Options about a proxy between us and the server: http-proxy, socks-proxy, and what belongs to them.
 *
 * Theory. Like port and protocol, a proxy belongs to the file or to a <connection>, which starts with the one that stood
 * before it. Options of one proxy may stand in any order, so whichever comes first makes the record; one that never gets a
 * host counts as none. A <connection> that says something about its proxy has a record of its own. User name and password
 * are the second block or the third value; in the engine's copy of the profile they are always a block.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/parse.h"
#include "base/str.h"
#include "profile/profile-ovpn.h"

#define PROXIES_MAX (2 * PROFILE_REMOTES_MAX)
#define SOCKS_PORT 1080
#define HEADER_MAX 512
/* RFC 1929 has one byte for each length. */
#define SOCKS_LOGIN_MAX 255

static int copy_proxy(struct proxy *dst, const struct proxy *src)
{
	*dst = (struct proxy){ .kind = src->kind, .port = src->port, .line = src->line, .auth = src->auth, .http11 = src->http11 };
	if (src->host && !(dst->host = strdup(src->host)))
		return -ENOMEM;
	if (src->agent && !(dst->agent = strdup(src->agent)))
		return -ENOMEM;
	for (char **h = src->headers; h && *h; h++)
		if (strv_add(&dst->headers, *h) < 0)
			return -ENOMEM;
	if (src->username && secret_dup(&dst->username, src->username) < 0)
		return -ENOMEM;
	return src->password ? secret_dup(&dst->password, src->password) : 0;
}

/* The current record, made where there is none or where it is somebody else's, too. NULL with r in *ret_r. */
static struct proxy *own_proxy(struct ovpn_parser *p, int *ret_r)
{
	struct profile *profile = p->profile;
	struct ovpn_conn *c = ovpn_conn(p);
	struct proxy *v;

	if (c->proxy && c->proxy > p->proxies_shared)
		return &profile->proxies[c->proxy - 1];
	if (profile->n_proxies == PROXIES_MAX) {
		*ret_r = ovpn_refuse(p, "more than %d proxies; remove some lines", PROXIES_MAX);
		return NULL;
	}
	*ret_r = -ENOMEM;
	v = realloc(profile->proxies, (profile->n_proxies + 1) * sizeof(*v));
	if (!v)
		return NULL;
	profile->proxies = v;
	v = &profile->proxies[profile->n_proxies];
	*v = (struct proxy){ .kind = PROXY_NONE };
	profile->n_proxies++; /* from here on profile_free() knows it, complete or not */
	if (c->proxy && copy_proxy(v, &profile->proxies[c->proxy - 1]) < 0)
		return NULL;
	c->proxy = profile->n_proxies;
	return v;
}

static void set_login(struct proxy *x, struct secret **user, struct secret **password)
{
	secret_free(x->username);
	secret_free(x->password);
	x->username = TAKE_PTR(*user);
	x->password = TAKE_PTR(*password);
}

/* The text of a file or block with user name and password. */
static int take_login(struct ovpn_parser *p, struct proxy *x, const struct secret *text)
{
	_cleanup_(secret_freep) struct secret *user = NULL, *password = NULL;
	const char *why;
	int r;

	r = ovpn_parse_credentials(text, &user, &password, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return ovpn_refuse(p, "%s; write the user name on the first line and the password on the second", why);
	if (!password)
		return ovpn_refuse(p, "holds a user name without a password; write the password on the second line");
	if (x->kind == PROXY_SOCKS && (secret_len(user) > SOCKS_LOGIN_MAX || secret_len(password) > SOCKS_LOGIN_MAX))
		return ovpn_refuse(p, "a SOCKS proxy takes names and passwords of at most %d bytes", SOCKS_LOGIN_MAX);
	set_login(x, &user, &password);
	return 0;
}

/* The third value: a file, [inline], or a word that says that somebody is asked. */
static int take_login_file(struct ovpn_parser *p, struct proxy *x, const char *word)
{
	_cleanup_(secret_freep) struct secret *text = NULL;
	_cleanup_(freep) char *shown = NULL;
	int r;

	if (ovpn_is_inline_word(word))
		return 0;
	r = p->load ? p->load(p->load_userdata, word, &text) : -ENOSYS;
	if (r == -ENOMEM)
		return r;
	shown = str_escape(word, strlen(word), 120);
	if (!shown)
		return -ENOMEM;
	if (r == -ENOENT || r == -ENOTDIR)
		return ovpn_note(p, FATE_HONOURED,
				 "there is no file '%s', so user name and password of the proxy will be asked for when it wants them", shown);
	if (r < 0)
		return ovpn_refuse(p, "cannot read '%s' (%s); write user name and password into it (two lines, mode 600)", shown,
				   strerror(-r));
	return take_login(p, x, text);
}

static int take_place(struct ovpn_parser *p, struct proxy *x, enum proxy_kind kind, const char *host, const char *port)
{
	uint64_t number = SOCKS_PORT;
	char *copy;
	int r = 0;

	if (x->kind != PROXY_NONE && x->kind != kind)
		return ovpn_refuse(p, "names a second proxy besides that of line %u, and only one can be used; remove one of them",
				   x->line);
	if (port)
		r = ovpn_number(p, port, 1, 65535, &number);
	if (r < 0)
		return r;
	copy = ovpn_host(p, host, &r);
	if (!copy)
		return r;
	free(x->host);
	x->host = copy;
	x->port = (uint16_t)number;
	x->kind = kind;
	x->line = p->item->line;
	return 0;
}

static int take_method(struct ovpn_parser *p, struct proxy *x, const char *method)
{
	if (str_has_prefix(method, "ntlm"))
		return ovpn_refuse(p, "NTLM is not supported, since anybody who listens can find the password; ask whoever runs the proxy "
				      "for Digest or Basic, and remove '%s'",
				   str_eq(method, "ntlm2") ? "ntlm2" : "ntlm");
	if (str_eq(method, "basic"))
		x->auth = PROXY_AUTH_BASIC;
	else if (str_eq(method, "digest"))
		x->auth = PROXY_AUTH_DIGEST;
	else if (!str_eq(method, "none") && !str_eq(method, "auto"))
		return ovpn_refuse(p, "the method is basic, digest, auto or none; correct line %u", p->item->line);
	return 0;
}

int ovpn_opt_http_proxy(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *word = it->n_words > 3 ? it->words[3] : "auto";
	struct proxy *x;
	int r;

	x = own_proxy(p, &r);
	if (!x)
		return r;
	r = take_place(p, x, PROXY_HTTP, it->words[1], it->words[2]);
	if (r == 0 && it->n_words > 4)
		r = take_method(p, x, it->words[4]);
	if (r < 0)
		return r;
	if (str_eq(word, "auto-nct"))
		x->auth = PROXY_AUTH_DIGEST;
	if (str_eq(word, "auto") || str_eq(word, "auto-nct") || str_eq(word, "stdin"))
		return 0;
	return take_login_file(p, x, word);
}

int ovpn_opt_socks_proxy(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct proxy *x;
	int r;

	x = own_proxy(p, &r);
	if (!x)
		return r;
	r = take_place(p, x, PROXY_SOCKS, it->words[1], it->n_words > 2 ? it->words[2] : NULL);
	if (r < 0 || it->n_words < 4 || str_eq(it->words[3], "stdin"))
		return r;
	return take_login_file(p, x, it->words[3]);
}

int ovpn_opt_proxy_user_pass(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(secret_freep) struct secret *text = NULL;
	struct proxy *x;
	int r;

	r = ovpn_load(p, it, &text);
	if (r <= 0)
		return r;
	x = own_proxy(p, &r);
	return x ? take_login(p, x, text) : r;
}

/* ---- http-proxy-option ------------------------------------------------------------------------------------------------- */

/* What goes into a request as it is: a line break in it would be a header of somebody's own. */
static bool is_header_text(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	return n > 0 && n <= HEADER_MAX;
}

/* RFC 9110: token. */
static bool is_header_name(const char *s)
{
	return is_header_text(s) && strcspn(s, " \"(),/:;<=>?@[\\]{}") == strlen(s);
}

/* Those that decide where a request goes or how it ends are ours. */
static bool is_own_header(const char *name)
{
	static const char *const own[] = { "Host", "Content-Length", "Transfer-Encoding", "Connection", "Proxy-Connection",
					   "Proxy-Authorization", "Upgrade" };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (str_ieq(name, own[i]))
			return true;
	return false;
}

static int add_header(struct ovpn_parser *p, struct proxy *x, const struct ovpn_item *it)
{
	_cleanup_(freep) char *line = NULL;
	const char *content = it->n_words > 3 ? it->words[3] : NULL;

	if (it->n_words < 3 || (content ? !is_header_name(it->words[2]) || !is_header_text(content) :
					  !is_header_text(it->words[2]) || !strchr(it->words[2], ':')))
		return ovpn_refuse(p, "takes a name and a text of printable ASCII, 512 characters at most; correct line %u", it->line);
	if (strv_len(x->headers) == PROXY_HEADERS_MAX)
		return ovpn_refuse(p, "more than %d headers; remove some lines", PROXY_HEADERS_MAX);
	line = content ? str_format("%s: %s", it->words[2], content) : strdup(it->words[2]);
	if (!line)
		return -ENOMEM;
	line[strcspn(line, ":")] = '\0';
	if (!is_header_name(line))
		return ovpn_refuse(p, "the header has no name; correct line %u", it->line);
	if (is_own_header(line))
		return ovpn_note(p, FATE_IGNORED, "this header is nsvpn's own to write");
	line[strlen(line)] = ':';
	return strv_add(&x->headers, line);
}

int ovpn_opt_http_proxy_option(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *what = it->words[1], *value = it->n_words > 2 ? it->words[2] : "";
	struct proxy *x;
	int r;

	x = own_proxy(p, &r);
	if (!x)
		return r;
	if (str_ieq(what, "CUSTOM-HEADER"))
		return add_header(p, x, it);
	if (str_ieq(what, "VERSION") && (str_eq(value, "1.0") || str_eq(value, "1.1"))) {
		x->http11 = str_eq(value, "1.1");
		return 0;
	}
	if (str_ieq(what, "AGENT") && is_header_text(value)) {
		free(x->agent);
		x->agent = strdup(value);
		return x->agent ? 0 : -ENOMEM;
	}
	return ovpn_refuse(p, "takes VERSION 1.0 or 1.1, AGENT and a name, or CUSTOM-HEADER with name and text; correct line %u", it->line);
}
