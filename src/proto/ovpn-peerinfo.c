/* Peer info lines and the negotiation of the data cipher. */
#include "proto/ovpn-peerinfo.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-keys.h"

/* The next name of a colon list, copied to buf; false at the end. A leading '?' (optional) is cut. */
static bool next_cipher(const char **list, char *buf, size_t cap)
{
	while (**list) {
		size_t len = strcspn(*list, ":");
		const char *name = *list;

		*list += len;
		*list += **list == ':';
		if (len && *name == '?') {
			name++;
			len--;
		}
		if (len == 0 || len >= cap)
			continue;
		memcpy(buf, name, len);
		buf[len] = 0;
		return true;
	}
	return false;
}

static bool offers(const char *list, const struct ovpn_cipher *cipher)
{
	char name[64];

	while (next_cipher(&list, name, sizeof(name)))
		if (ovpn_cipher_find(name) == cipher)
			return true;
	return false;
}

int ovpn_peerinfo_ciphers(const char *list, char *buf, size_t cap)
{
	char out[OVPN_CIPHERS_MAX], name[64];
	struct writer w = writer_init(out, sizeof(out) - 1);

	while (list && next_cipher(&list, name, sizeof(name))) {
		const struct ovpn_cipher *c = ovpn_cipher_find(name);

		out[w.len] = 0;
		if (!c || offers(out, c))
			continue;
		if (w.len)
			write_u8(&w, ':');
		write_bytes(&w, c->name, strlen(c->name));
	}
	if (w.failed || w.len >= cap)
		return -EMSGSIZE;
	if (w.len == 0)
		return -ENOENT;
	out[w.len] = 0;
	memcpy(buf, out, w.len + 1);
	return 0;
}

_printf_(2, 3) static void add_line(struct writer *w, const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line))
		w->failed = true;
	else
		write_bytes(w, line, (size_t)n);
}

/* setenv IV_GUI_VER is always wanted by its author; UV_* only with push-peer-info. */
static void add_user_lines(struct writer *w, const struct ovpn_options *o)
{
	for (char **v = o->ui_ver; v && *v; v++)
		if ((str_has_prefix(*v, "IV_GUI_VER=") || o->push_peer_info) && str_is_clean_utf8(*v, strlen(*v)))
			add_line(w, "%s\n", *v);
}

int ovpn_peerinfo_format(const struct ovpn_options *o, uint32_t mtu, char *buf, size_t cap)
{
	char ciphers[OVPN_CIPHERS_MAX];
	struct writer w;
	int r;

	r = ovpn_peerinfo_ciphers(o->ciphers, ciphers, sizeof(ciphers));
	if (r < 0)
		return r;
	if (cap == 0)
		return -EMSGSIZE;
	w = writer_init(buf, cap - 1);
	add_line(&w, "IV_VER=nsvpn-%s\nIV_PLAT=linux\nIV_TCPNL=1\n", NSVPN_VERSION);
	add_line(&w, "IV_MTU=%u\n", mtu);
	/* 2.4 servers take this as "has both", without reading IV_CIPHERS. */
	if (offers(ciphers, ovpn_cipher_find("AES-128-GCM")) && offers(ciphers, ovpn_cipher_find("AES-256-GCM")))
		add_line(&w, "IV_NCP=2\n");
	add_line(&w, "IV_CIPHERS=%s\n", ciphers);
	add_line(&w, "IV_PROTO=%u\n", o->pull ? OVPN_IV_PROTO : OVPN_IV_PROTO_P2P);
	add_line(&w, "IV_SSO=webauth,openurl,crtext\n");
	add_line(&w, "IV_LZO_STUB=1\nIV_COMP_STUB=1\nIV_COMP_STUBv2=1\n");
	add_user_lines(&w, o);
	if (w.failed)
		return -EMSGSIZE;
	buf[w.len] = 0;
	return 0;
}

int ovpn_peerinfo_get(const char *info, const char *name, char *buf, size_t cap)
{
	size_t name_len = strlen(name);

	for (const char *line = info; *line;) {
		size_t len = strcspn(line, "\n");

		if (len > name_len && line[name_len] == '=' && memcmp(line, name, name_len) == 0) {
			len -= name_len + 1;
			if (len >= cap)
				return -EMSGSIZE;
			memcpy(buf, line + name_len + 1, len);
			buf[len] = 0;
			return 0;
		}
		line += len;
		line += *line == '\n';
	}
	return -ENOENT;
}

const struct ovpn_cipher *ovpn_peerinfo_first_common(const char *theirs, const char *ours)
{
	char name[64];

	while (next_cipher(&theirs, name, sizeof(name))) {
		const struct ovpn_cipher *c = ovpn_cipher_find(name);

		if (c && offers(ours, c))
			return c;
	}
	return NULL;
}

static int select_error(char **ret_error, char *text)
{
	if (!text)
		return -ENOMEM;
	*ret_error = text;
	return -ENOENT;
}

static int select_pushed(const struct ovpn_options *o, const char *pushed, const struct ovpn_cipher **ret,
			 char **ret_error)
{
	const struct ovpn_cipher *c = ovpn_cipher_find(pushed);
	_cleanup_(freep) char *name = NULL;

	if (c && offers(o->ciphers, c)) {
		*ret = c;
		return 0;
	}
	name = str_escape(pushed, strlen(pushed), 48);
	if (!name)
		return -ENOMEM;
	return select_error(ret_error,
			    str_format(c ? "the server chose the data cipher %s, which the profile does not offer; add it to `data-ciphers`" :
					   "the server chose the data cipher %s, which nsvpn does not have; ask for AES-256-GCM on the server",
				       name));
}

int ovpn_peerinfo_select_cipher(const struct ovpn_options *o, const char *pushed, const char *occ,
				const struct ovpn_cipher **ret, char **ret_error)
{
	const struct ovpn_cipher *c = NULL;
	_cleanup_(freep) char *shown = NULL;
	char name[64];

	if (pushed[0])
		return select_pushed(o, pushed, ret, ret_error);
	if (ovpn_occ_get(occ, "cipher", name, sizeof(name)) == 0) {
		c = ovpn_cipher_find(name);
		if (c && offers(o->ciphers, c)) {
			*ret = c;
			return 0;
		}
		shown = str_escape(name, strlen(name), 48);
		if (!shown)
			return -ENOMEM;
		return select_error(ret_error,
				    str_format("the server uses the data cipher %s without negotiation, which this profile does not allow; if it is AES-128-, AES-192- or AES-256-CBC, add it to `data-ciphers`, otherwise change the server's `data-ciphers`",
					       shown));
	}
	c = o->cipher_fallback ? ovpn_cipher_find(o->cipher_fallback) : NULL;
	if (c) {
		*ret = c;
		return 0;
	}
	return select_error(ret_error,
			    strdup("the server names no data cipher and the profile has no usable `data-ciphers-fallback`; add one that the server uses, for instance AES-256-GCM"));
}
