/*
 * Options about how the server is known: what its certificate must be for, its name, its fingerprint.
 *
 * Theory. The authority alone is not enough: it has usually signed the certificates of all clients, too. So a file that
 * says neither which name, use nor fingerprint gets `remote-cert-tls server`. A fingerprint of the server's certificate
 * says all at once, and needs no authority.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "profile/profile-ovpn.h"

#define FINGERPRINTS_MAX 256

/* ---- use ---- */

int ovpn_opt_remote_cert_tls(struct ovpn_parser *p, const struct ovpn_item *it)
{
	if (str_eq(it->words[1], "client"))
		return ovpn_refuse(p, "would accept a client's certificate only, so this is a server's file; use "
				      "`remote-cert-tls server`");
	if (!str_eq(it->words[1], "server"))
		return ovpn_refuse(p, "takes server; correct line %u", it->line);
	p->o->remote_cert_tls_server = true;
	return 0;
}

/* By its name in OpenSSL or its numbers; the engine, which has OpenSSL, compares. */
int ovpn_opt_remote_cert_eku(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *s = it->words[1];
	char *copy;

	if (str_ieq(s, "TLS Web Client Authentication") || str_ieq(s, "clientAuth") || str_eq(s, "1.3.6.1.5.5.7.3.2"))
		return ovpn_refuse(p, "would accept a client's certificate only, so this is a server's file; use "
				      "`remote-cert-tls server`");
	if (!*s || strlen(s) > 128)
		return ovpn_refuse(p, "names no use of a certificate; use `remote-cert-tls server`");
	copy = strdup(s);
	if (!copy)
		return -ENOMEM;
	free(p->o->remote_eku);
	p->o->remote_eku = copy;
	return 0;
}

/* Any of these sets of bits; without a value: that the certificate says anything about it. */
int ovpn_opt_remote_cert_ku(struct ovpn_parser *p, const struct ovpn_item *it)
{
	p->o->n_remote_ku = 0;
	for (unsigned i = 1; i < it->n_words; i++) {
		const char *s = it->words[i];
		char *end = NULL;
		unsigned long v = strtoul(s, &end, 16);

		if (!*s || *end || strspn(s, "0123456789abcdefABCDEFxX") != strlen(s) || v == 0 || v > UINT16_MAX)
			return ovpn_refuse(p, "the values are hexadecimal, from 1 to ffff (a server's is usually a0 or 88); "
					      "correct line %u", it->line);
		p->o->remote_ku[p->o->n_remote_ku++] = (uint16_t)v;
	}
	p->o->remote_ku_required = true;
	return 0;
}

/* ---- name ---- */

int ovpn_opt_verify_x509_name(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *type = it->n_words > 2 ? it->words[2] : "subject", *name = it->words[1];
	enum name_check check;
	char *copy;

	if (str_eq(type, "subject"))
		check = NAME_CHECK_SUBJECT;
	else if (str_eq(type, "name"))
		check = NAME_CHECK_NAME;
	else if (str_eq(type, "name-prefix"))
		check = NAME_CHECK_NAME_PREFIX;
	else
		return ovpn_refuse(p, "the second value is subject, name or name-prefix; correct line %u", it->line);
	if (!*name || strlen(name) > 1024)
		return ovpn_refuse(p, "the name has to have 1 to 1024 bytes; correct line %u", it->line);
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	free(p->o->name_check_value);
	p->o->name_check_value = copy;
	p->o->name_check = check;
	return 0;
}

/* ---- fingerprints ---- */

/* "AB:CD:…" of SHA-1 or SHA-256. */
static int parse_fingerprint(const char *s, size_t len, struct fingerprint *ret)
{
	struct fingerprint f = { 0 };
	uint8_t *bytes = NULL;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < len; i++) {
		if (i % 3 == 2 ? s[i] != ':' : s[i] == ':')
			return -EINVAL;
		if (i % 3 != 2 && !strchr("0123456789abcdefABCDEF", s[i]))
			return -EINVAL;
	}
	for (size_t i = 0; i < len; i += 3) {
		if (len - i < 2 || f.len >= sizeof(f.hash))
			return -EINVAL;
		r = parse_hex(s + i, 2, &bytes, &n);
		if (r < 0)
			return r;
		f.hash[f.len++] = bytes[0];
		free(bytes);
	}
	if (len % 3 != 2 || (f.len != FINGERPRINT_SHA1_LEN && f.len != FINGERPRINT_SHA256_LEN))
		return -EINVAL;
	*ret = f;
	return 0;
}

static int add_fingerprint(struct fingerprint **list, size_t *n, const struct fingerprint *f)
{
	struct fingerprint *longer = realloc(*list, (*n + 1) * sizeof(*longer));

	if (!longer)
		return -ENOMEM;
	longer[(*n)++] = *f;
	*list = longer;
	return 0;
}

/* One line's or one block's fingerprints, of `len` bytes each (0: either). */
static int take_fingerprints(struct ovpn_parser *p, const char *s, size_t want, struct fingerprint **list, size_t *n)
{
	unsigned found = 0;

	while (*s) {
		size_t line = strcspn(s, "\n"), blank = strspn(s, " \t\r"), len;
		const char *word = s + MIN(blank, line);
		struct fingerprint f;
		int r;

		len = strcspn(word, " \t\r\n");
		s += line;
		s += *s == '\n';
		if (!len || *word == '#' || *word == ';')
			continue;
		r = parse_fingerprint(word, len, &f);
		if (r == -ENOMEM)
			return r;
		if (r < 0 || (want && f.len != want))
			return ovpn_refuse(p, "not a %s fingerprint (%zu bytes in hexadecimal with colons between; "
					      "openssl x509 -noout -fingerprint -sha256)",
					   want == FINGERPRINT_SHA1_LEN ? "SHA1" : "SHA256",
					   want ? want : (size_t)FINGERPRINT_SHA256_LEN);
		if (*n >= FINGERPRINTS_MAX)
			return ovpn_refuse(p, "more than %d fingerprints; remove some", FINGERPRINTS_MAX);
		r = add_fingerprint(list, n, &f);
		if (r < 0)
			return r;
		found++;
	}
	if (!found)
		return ovpn_refuse(p, "holds no fingerprint; copy it again (openssl x509 -noout -fingerprint -sha256)");
	return 0;
}

/* The text of the item: a block's, or the first value; NULL: it follows as a block. */
static int fingerprint_text(struct ovpn_parser *p, const struct ovpn_item *it, char **ret)
{
	if (it->kind != OVPN_ITEM_BLOCK && ovpn_is_inline_word(it->words[1])) {
		*ret = NULL;
		return ovpn_note(p, FATE_HONOURED, "the text stands in the file itself, as a block <%s>", it->words[0]);
	}
	*ret = it->kind == OVPN_ITEM_BLOCK ? strndup(it->block, it->block_len) : strdup(it->words[1]);
	return *ret ? 0 : -ENOMEM;
}

int ovpn_opt_peer_fingerprint(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(freep) char *text = NULL;
	int r = fingerprint_text(p, it, &text);

	if (r < 0 || !text)
		return r;
	return take_fingerprints(p, text, FINGERPRINT_SHA256_LEN, &p->o->peer_hashes, &p->o->n_peer_hashes);
}

int ovpn_opt_verify_hash(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(freep) char *text = NULL;
	size_t want = 0;
	int r;

	if (it->kind != OVPN_ITEM_BLOCK && it->n_words > 2) {
		if (!str_ieq(it->words[2], "SHA1") && !str_ieq(it->words[2], "SHA256"))
			return ovpn_refuse(p, "the second value is SHA1 or SHA256; correct line %u", it->line);
		want = str_ieq(it->words[2], "SHA1") ? FINGERPRINT_SHA1_LEN : FINGERPRINT_SHA256_LEN;
	}
	r = fingerprint_text(p, it, &text);
	if (r < 0 || !text)
		return r;
	return take_fingerprints(p, text, want, &p->o->ca_hashes, &p->o->n_ca_hashes);
}

int ovpn_finish_verify(struct ovpn_parser *p)
{
	struct ovpn_options *o = p->o;

	if (o->remote_cert_tls_server || o->remote_eku || o->name_check != NAME_CHECK_NONE || o->n_peer_hashes)
		return 0;
	/* Without a check any client of the same CA could pose as the server. */
	o->remote_cert_tls_server = true;
	return ovpn_note_at(
		p, 0, FATE_HONOURED, "remote-cert-tls",
		"the file does not say how to know the server, so its certificate must be a server's "
		"(as with `remote-cert-tls server`); if it is not, name it with `verify-x509-name NAME name`");
}
