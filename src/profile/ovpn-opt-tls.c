/*
 * Options about certificates, their keys, and TLS.
 *
 * Key texts are kept as they are (PEM, DER) for the engine, which parses them; here only what can be said better with
 * the file's line is checked: that there is such text at all. The control channel's own keys are in ovpn-opt-keys.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "profile/profile-ovpn.h"

#define KEY_PASSWORD_MAX 1024

#define TLS_1_0 0x0301
#define TLS_1_1 0x0302
#define TLS_1_2 0x0303
#define TLS_1_3 0x0304

static bool contains(const struct secret *text, const char *what)
{
	return memmem(secret_bytes(text), secret_len(text), what, strlen(what)) != NULL;
}

/* Loads PEM text that must hold `marker` between BEGIN and END. 1, 0 (follows inline) or an error. */
static int load_pem(struct ovpn_parser *p, const struct ovpn_item *it, const char *marker, const char *what,
		    struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *text = NULL;
	int r;

	r = ovpn_load(p, it, &text);
	if (r <= 0)
		return r;
	if (memchr(secret_bytes(text), 0, secret_len(text)))
		return ovpn_refuse(p,
				   "not PEM text but a binary file; convert it to PEM (openssl x509 or openssl pkey)");
	if (!contains(text, "-----BEGIN ") || !contains(text, marker))
		return ovpn_refuse(p, "holds no %s (a text between -----BEGIN … and -----END …); export it again",
				   what);
	if (!contains(text, "-----END "))
		return ovpn_refuse(p, "the %s is cut off (no -----END … line); copy it again", what);
	*ret = TAKE_PTR(text);
	return 1;
}

static int set_pem(struct ovpn_parser *p, const struct ovpn_item *it, const char *marker, const char *what,
		   struct secret **dst)
{
	struct secret *text = NULL;
	int r;

	r = load_pem(p, it, marker, what, &text);
	if (r <= 0)
		return r;
	secret_free(*dst);
	*dst = text;
	return 0;
}

int ovpn_opt_ca(struct ovpn_parser *p, const struct ovpn_item *it)
{
	return set_pem(p, it, "CERTIFICATE-----", "certificate", &p->o->ca);
}

int ovpn_opt_cert(struct ovpn_parser *p, const struct ovpn_item *it)
{
	return set_pem(p, it, "CERTIFICATE-----", "certificate", &p->o->cert);
}

int ovpn_opt_key(struct ovpn_parser *p, const struct ovpn_item *it)
{
	return set_pem(p, it, "PRIVATE KEY-----", "private key", &p->o->key);
}

int ovpn_opt_extra_certs(struct ovpn_parser *p, const struct ovpn_item *it)
{
	return set_pem(p, it, "CERTIFICATE-----", "certificate", &p->o->extra_certs);
}

int ovpn_opt_crl_verify(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(secret_freep) struct secret *text = NULL;
	char *copy;
	int r;

	if (it->kind == OVPN_ITEM_OPTION && it->n_words > 2)
		return ovpn_refuse(p, "a folder of revocations is not supported; name one PEM file with the list");
	r = load_pem(p, it, "X509 CRL-----", "revocation list", &text);
	if (r <= 0)
		return r;
	copy = strdup(secret_string(text));
	if (!copy)
		return -ENOMEM;
	free(p->o->crl);
	p->o->crl = copy;
	return 0;
}

int ovpn_opt_pkcs12(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(secret_freep) struct secret *text = NULL, *der = NULL;
	uint8_t *bytes;
	size_t len;
	int r;

	r = ovpn_load(p, it, &text);
	if (r <= 0)
		return r;
	if (it->kind == OVPN_ITEM_BLOCK) {
		r = parse_base64(secret_string(text), secret_len(text), &bytes, &len);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			return ovpn_refuse(p, "not base64 text; encode the file again (base64 FILE.p12)");
		r = secret_new_copy(&der, bytes, len);
		secret_wipe(bytes, len);
		free(bytes);
		if (r < 0)
			return r;
	} else {
		der = TAKE_PTR(text);
	}
	/* An ASN.1 sequence with a long length: anything else cannot be PKCS#12. */
	if (secret_len(der) < 4 || secret_bytes(der)[0] != 0x30)
		return ovpn_refuse(p, "not a PKCS#12 file; export it again (usually .p12 or .pfx)");
	secret_free(p->o->pkcs12);
	p->o->pkcs12 = TAKE_PTR(der);
	return 0;
}

int ovpn_opt_askpass(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(secret_freep) struct secret *text = NULL, *word = NULL;
	const char *s;
	size_t len;
	int r;

	if (it->kind == OVPN_ITEM_OPTION && (it->n_words < 2 || str_eq(it->words[1], "stdin"))) {
		p->o->key_password_asked = true;
		return ovpn_note(p, FATE_HONOURED, "the pass phrase of the private key is asked for");
	}
	r = ovpn_load(p, it, &text);
	if (r <= 0)
		return r;
	s = secret_string(text);
	len = strcspn(s, "\r\n");
	if (!len || len > KEY_PASSWORD_MAX)
		return ovpn_refuse(p, "the first line must be the key's password, 1 to %d bytes", KEY_PASSWORD_MAX);
	r = secret_new_copy(&word, s, len);
	if (r < 0)
		return r;
	secret_free(p->o->key_password);
	p->o->key_password = TAKE_PTR(word);
	return 0;
}

int ovpn_opt_tls_version(struct ovpn_parser *p, const struct ovpn_item *it)
{
	static const struct {
		const char *word;
		int version;
	} words[] = { { "1.0", TLS_1_0 }, { "1.1", TLS_1_1 }, { "1.2", TLS_1_2 }, { "1.3", TLS_1_3 } };
	bool min = str_eq(it->words[0], "tls-version-min");
	int version = 0;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(it->words[1], words[i].word))
			version = words[i].version;
	if (!version && min && it->n_words > 2 && str_eq(it->words[2], "or-highest"))
		version = TLS_1_3;
	if (!version)
		return ovpn_refuse(p, "not a TLS version; use 1.2 or 1.3");
	if (!min && version < TLS_1_2)
		return ovpn_refuse(p, "nsvpn speaks TLS 1.2 and newer only; remove line %u", it->line);
	if (min && version < TLS_1_2)
		return ovpn_note(p, FATE_IGNORED, "nsvpn speaks TLS 1.2 and newer only");
	if (min)
		p->o->tls_version_min = version;
	else
		p->o->tls_version_max = version;
	return 0;
}

int ovpn_opt_tls_cert_profile(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *s = it->words[1];
	char *copy;

	if (!str_eq(s, "insecure") && !str_eq(s, "legacy") && !str_eq(s, "preferred") && !str_eq(s, "suiteb"))
		return ovpn_refuse(p, "takes insecure, legacy, preferred or suiteb; correct line %u", it->line);
	copy = strdup(s);
	if (!copy)
		return -ENOMEM;
	free(p->o->tls_cert_profile);
	p->o->tls_cert_profile = copy;
	return 0;
}

/* An encrypted key whose pass phrase the file does not bring along: somebody will be asked, whatever the file says. */
int ovpn_finish_key(struct ovpn_parser *p)
{
	struct ovpn_options *o = p->o;

	if (o->key_password) {
		o->key_password_asked = false;
		return 0;
	}
	if (o->key_password_asked || !o->key || !contains(o->key, "ENCRYPTED"))
		return 0;
	o->key_password_asked = true;
	return ovpn_note_at(p, 0, FATE_HONOURED, "key", "the private key is encrypted: its pass phrase is asked for");
}
