/*
 * Options about the data channel: ciphers, digest, compression framing, MTU.
 *
 * Theory. The list of ciphers that we offer holds the ones that we have, in the order of the file's data-ciphers or of
 * the default, which is AEAD only. `cipher` has the meaning it got with OpenVPN 2.4: a last resort, for servers that do
 * not negotiate; it stands last in the list. So AES-CBC, still the commonest word in providers' files, is used with the
 * servers that have nothing better, under the digest of `auth`; without a digest that we have it is not offered. Ciphers
 * that we do not have (64-bit blocks, which are unsafe, and rarities) are ignored with a note, because nearly every server
 * of today negotiates an AEAD cipher whatever the file says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "base/str.h"
#include "profile/profile-ovpn.h"

#define FRAGMENT_MIN 68 /* RFC 791: what every hop forwards whole */
#define DEFAULT_CIPHERS "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305"

static const struct {
	const char *word, *name;
} ciphers[] = {
	{ "AES-256-GCM", "AES-256-GCM" },
	{ "id-aes256-GCM", "AES-256-GCM" },
	{ "AES-128-GCM", "AES-128-GCM" },
	{ "id-aes128-GCM", "AES-128-GCM" },
	{ "AES-192-GCM", "AES-192-GCM" },
	{ "id-aes192-GCM", "AES-192-GCM" },
	{ "CHACHA20-POLY1305", "CHACHA20-POLY1305" },
	{ "AES-256-CBC", "AES-256-CBC" },
	{ "AES-192-CBC", "AES-192-CBC" },
	{ "AES-128-CBC", "AES-128-CBC" },
};

/* Without a name: known, and not had. */
static const struct {
	const char *word, *name;
} digests[] = {
	{ "SHA1", "sha1" },
	{ "SHA", "sha1" },
	{ "SHA-1", "sha1" },
	{ "RSA-SHA1", "sha1" },
	{ "SHA224", "sha224" },
	{ "SHA256", "sha256" },
	{ "SHA384", "sha384" },
	{ "SHA512", "sha512" },
	{ "SHA-224", "sha224" },
	{ "SHA-256", "sha256" },
	{ "SHA-384", "sha384" },
	{ "SHA-512", "sha512" },
	{ "SHA2-224", "sha224" },
	{ "SHA2-256", "sha256" },
	{ "SHA2-384", "sha384" },
	{ "SHA2-512", "sha512" },
	{ "RSA-SHA224", "sha224" },
	{ "RSA-SHA256", "sha256" },
	{ "RSA-SHA384", "sha384" },
	{ "RSA-SHA512", "sha512" },
	{ "SHA512-256", NULL },
	{ "SHA3-224", NULL },
	{ "SHA3-256", NULL },
	{ "SHA3-384", NULL },
	{ "SHA3-512", NULL },
	{ "BLAKE2b512", NULL },
	{ "BLAKE2s256", NULL },
	{ "MD5", NULL },
	{ "RIPEMD160", NULL },
};

/* Canonical name of a cipher that we have, else NULL. */
static const char *find_cipher(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++)
		if (str_ieq(s, ciphers[i].word))
			return ciphers[i].name;
	return NULL;
}

/* The form of a cipher that OpenVPN knows and we have not: 64-bit blocks, other modes and families, none. */
static bool is_other_cipher(const char *s)
{
	static const char *const suffix[] = {
		"-CBC", "-CFB", "-CFB1", "-CFB8", "-OFB", "-CTR", "-ECB", "-GCM", "-CCM"
	};
	static const char *const family[] = {
		"AES-128-", "AES-192-",	     "AES-256-",      "BF-",	       "DES-",	    "DES-EDE-",	 "DES-EDE3-",
		"DESX-",    "CAST5-",	     "RC2-",	      "RC2-40-",       "RC2-64-",   "IDEA-",	 "SEED-",
		"SM4-",	    "CAMELLIA-128-", "CAMELLIA-192-", "CAMELLIA-256-", "ARIA-128-", "ARIA-192-", "ARIA-256-"
	};
	char name[32];

	if (str_ieq(s, "none"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(family); i++)
		for (size_t k = 0; k < ARRAY_SIZE(suffix); k++) {
			(void)str_copy(name, sizeof(name), family[i]); /* constants that fit */
			(void)str_copy(name + strlen(name), sizeof(name) - strlen(name), suffix[k] + 1);
			if (str_ieq(s, name))
				return true;
		}
	return false;
}

static int refuse_cipher(struct ovpn_parser *p, const char *s)
{
	static const char *const names[] = { "AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305", "AES-256-CBC",
					     "AES-128-CBC" };
	_cleanup_(freep) char *shown = str_escape(s, strlen(s), 40);
	const char *near = str_nearest(s, names, ARRAY_SIZE(names));

	if (!shown)
		return -ENOMEM;
	if (near)
		return ovpn_refuse(p, "unknown cipher '%s'; did you mean '%s'?", shown, near);
	return ovpn_refuse(p, "unknown cipher '%s'; remove line %u", shown, p->item->line);
}

static bool has_small_blocks(const char *s)
{
	static const char *const family[] = { "BF-", "DES-", "DESX-", "CAST5-", "RC2-", "IDEA-" };

	for (size_t i = 0; i < ARRAY_SIZE(family); i++)
		if (strncasecmp(s, family[i], strlen(family[i])) == 0)
			return true;
	return false;
}

/* 1: a cipher of ours in *ret; 0: another one, noted; or a refusal. */
static int one_cipher(struct ovpn_parser *p, const char *s, const char **ret)
{
	const char *name = find_cipher(s);

	if (name) {
		*ret = name;
		return 1;
	}
	if (!is_other_cipher(s))
		return refuse_cipher(p, s);
	if (str_ieq(s, "none"))
		return ovpn_note(p, FATE_IGNORED, "nsvpn never sends data unencrypted; the server negotiates a cipher");
	if (has_small_blocks(s))
		return ovpn_note(p, FATE_IGNORED,
				 "unsafe for what a tunnel carries (blocks of 64 bits, SWEET32); the server negotiates a better "
				 "one, or ask the provider for AES-256-GCM if it does not connect");
	return ovpn_note(p, FATE_IGNORED,
			 "nsvpn has AES-GCM, ChaCha20-Poly1305 and AES-CBC; the server negotiates one of them, or ask the "
			 "provider if it does not connect");
}

static int set_copy(char **dst, const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		return -ENOMEM;
	free(*dst);
	*dst = copy;
	return 0;
}

int ovpn_opt_cipher(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *name;
	int r;

	r = one_cipher(p, it->words[1], &name);
	if (r <= 0)
		return r;
	return set_copy(&p->cipher, name);
}

int ovpn_opt_data_ciphers_fallback(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *name;
	int r;

	r = one_cipher(p, it->words[1], &name);
	if (r <= 0)
		return r;
	return set_copy(&p->cipher_fallback, name);
}

static bool list_contains(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *s = list; s && *s; s = strchr(s, ':') ? strchr(s, ':') + 1 : NULL)
		if (strncmp(s, name, n) == 0 && (s[n] == ':' || !s[n]))
			return true;
	return false;
}

static int list_append(char **list, const char *name)
{
	char *longer;

	if (*list && list_contains(*list, name))
		return 0;
	longer = *list ? str_format("%s:%s", *list, name) : strdup(name);
	if (!longer)
		return -ENOMEM;
	free(*list);
	*list = longer;
	return 0;
}

/* Entries of one data-ciphers line: `?` marks optional ones, DEFAULT stands for the default list. */
static int add_entry(struct ovpn_parser *p, char **list, const char *entry)
{
	_cleanup_(freep) char *shown = NULL;
	const char *name;
	int r = 0;

	if (*entry == '?')
		entry++;
	if (str_ieq(entry, "DEFAULT")) {
		static const char *const names[] = { "AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305" };

		for (size_t i = 0; i < ARRAY_SIZE(names) && r == 0; i++)
			r = list_append(list, names[i]);
		return r;
	}
	name = find_cipher(entry);
	if (name)
		return list_append(list, name);
	shown = str_escape(entry, strlen(entry), 40);
	if (!shown)
		return -ENOMEM;
	return ovpn_note(p, FATE_IGNORED, "'%s' is not offered: nsvpn has AES-GCM, ChaCha20-Poly1305 and AES-CBC", shown);
}

int ovpn_opt_data_ciphers(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(freep) char *copy = strdup(it->words[1]), *list = NULL;
	char *save = NULL;
	int r;

	if (!copy)
		return -ENOMEM;
	if (strlen(copy) > 1024)
		return ovpn_refuse(p, "the list is longer than 1024 characters; shorten it");
	for (char *s = strtok_r(copy, ":", &save); s; s = strtok_r(NULL, ":", &save)) {
		r = add_entry(p, &list, s);
		if (r < 0)
			return r;
	}
	if (!list)
		return ovpn_refuse(
			p, "none of these ciphers is supported; ask the provider for a profile with AES-256-GCM");
	free(p->o->ciphers);
	p->o->ciphers = TAKE_PTR(list);
	return ovpn_note(p, FATE_HONOURED, "offers %s", p->o->ciphers);
}

int ovpn_opt_auth(struct ovpn_parser *p, const struct ovpn_item *it)
{
	_cleanup_(freep) char *shown = NULL;

	if (str_ieq(it->words[1], "none")) {
		p->auth_none_line = it->line;
		return ovpn_note(p, FATE_IGNORED,
				 "nothing travels unauthenticated: AEAD ciphers authenticate by themselves, AES-CBC is not "
				 "offered");
	}
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		if (!str_ieq(it->words[1], digests[i].word))
			continue;
		p->auth_none_line = digests[i].name ? 0 : it->line;
		if (digests[i].name)
			return set_copy(&p->o->auth, digests[i].name);
		return ovpn_note(p, FATE_IGNORED, "%s; AEAD ciphers need none, AES-CBC is not offered",
				 str_ieq(it->words[1], "MD5") ? "MD5 is unsafe and not used" :
								"nsvpn has SHA1 and SHA2 only");
	}
	shown = str_escape(it->words[1], strlen(it->words[1]), 40);
	if (!shown)
		return -ENOMEM;
	return ovpn_refuse(p, "unknown digest '%s'; common ones are SHA1, SHA256 and SHA512", shown);
}

int ovpn_opt_allow_compression(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *s = it->words[1];

	if (!str_eq(s, "no") && !str_eq(s, "asym") && !str_eq(s, "yes"))
		return ovpn_refuse(p, "takes no, asym or yes; correct line %u", it->line);
	p->o->no_compression = str_eq(s, "no");
	if (p->o->no_compression)
		return ovpn_note(p, FATE_HONOURED, "packets that the server compressed are dropped, and nothing is sent compressed");
	return ovpn_note(p, FATE_HONOURED, "packets that the server compressed are unpacked, nothing is sent compressed");
}

int ovpn_opt_comp_lzo(struct ovpn_parser *p, const struct ovpn_item *it)
{
	const char *s = it->n_words > 1 ? it->words[1] : "adaptive";

	if (!str_eq(s, "yes") && !str_eq(s, "no") && !str_eq(s, "adaptive"))
		return ovpn_refuse(p, "takes yes, no or adaptive; correct line %u", it->line);
	p->o->framing = FRAMING_LZO;
	p->o->lzo_option = true;
	return 0;
}

int ovpn_opt_compress(struct ovpn_parser *p, const struct ovpn_item *it)
{
	static const struct {
		const char *word;
		enum framing framing;
	} words[] = { { "", FRAMING_SWAP },   { "stub", FRAMING_SWAP },	      { "lz4", FRAMING_SWAP },
		      { "lzo", FRAMING_LZO }, { "stub-v2", FRAMING_STUB_V2 }, { "lz4-v2", FRAMING_STUB_V2 } };
	const char *s = it->n_words > 1 ? it->words[1] : "";

	if (str_eq(s, "migrate"))
		return ovpn_note(p, FATE_IGNORED, "a server's setting");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!str_eq(s, words[i].word))
			continue;
		p->o->framing = words[i].framing;
		p->o->lzo_option = true;
		return 0;
	}
	return ovpn_refuse(p, "unknown algorithm; use stub-v2, or ask the provider for a profile without compression");
}

int ovpn_opt_fragment(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t n;
	int r;

	if (it->n_words > 2 && !str_eq(it->words[2], "mtu"))
		return ovpn_refuse(p, "the second value is mtu; correct line %u", it->line);
	if (str_eq(it->words[1], "0")) {
		p->o->fragment = 0;
		return ovpn_note(p, FATE_IGNORED, "0 means off, as it is");
	}
	r = ovpn_number(p, it->words[1], FRAGMENT_MIN, 65535, &n);
	if (r < 0)
		return r;
	p->o->fragment = (uint32_t)n;
	p->o->fragment_mtu = it->n_words > 2;
	return 0;
}

int ovpn_opt_key_method(struct ovpn_parser *p, const struct ovpn_item *it)
{
	if (str_eq(it->words[1], "2"))
		return 0;
	return ovpn_refuse(p, "only key method 2 is safe and in use; remove line %u", it->line);
}

int ovpn_opt_replay_window(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t n, seconds;
	int r;

	r = ovpn_number(p, it->words[1], 0, 65536, &n);
	if (r == 0 && it->n_words > 2)
		r = ovpn_number(p, it->words[2], 0, 600, &seconds);
	if (r < 0)
		return r;
	p->o->replay_window = MAX((unsigned)n, 64U);
	return 0;
}

int ovpn_opt_tun_mtu(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t n;
	int r;

	r = ovpn_number(p, it->words[1], 576, 65535, &n);
	if (r < 0)
		return r;
	p->o->tun_mtu = (uint32_t)n;
	p->o->tun_mtu_set = true;
	return 0;
}

int ovpn_opt_mssfix(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t n;
	int r;

	if (it->n_words == 1) {
		p->o->mssfix = -1;
		p->o->mssfix_mode = MSSFIX_MTU;
		return 0;
	}
	if (it->n_words > 2 && !str_eq(it->words[2], "mtu") && !str_eq(it->words[2], "fixed"))
		return ovpn_refuse(p, "the second value is mtu or fixed; correct line %u", it->line);
	if (str_eq(it->words[1], "0")) {
		p->o->mssfix = 0;
		return 0;
	}
	r = ovpn_number(p, it->words[1], 256, 65535, &n);
	if (r < 0)
		return r;
	p->o->mssfix = (int)n;
	p->o->mssfix_mode = MSSFIX_DATAGRAM;
	if (it->n_words > 2)
		p->o->mssfix_mode = str_eq(it->words[2], "mtu") ? MSSFIX_MTU : MSSFIX_FIXED;
	return 0;
}

static bool is_cbc(const char *name)
{
	const char *dash = strrchr(name, '-');

	return dash && str_eq(dash, "-CBC");
}

/* Without a digest there is nothing to authenticate CBC with. The options' own strings become shorter. */
static int drop_cbc(struct ovpn_parser *p)
{
	struct ovpn_options *o = p->o;
	_cleanup_(freep) char *copy = strdup(o->ciphers), *list = NULL;
	char *save = NULL;
	int r;

	if (!copy)
		return -ENOMEM;
	for (char *s = strtok_r(copy, ":", &save); s; s = strtok_r(NULL, ":", &save)) {
		r = is_cbc(s) ? 0 : list_append(&list, s);
		if (r < 0)
			return r;
	}
	if (!list)
		return ovpn_refuse_at(p, p->auth_none_line, "auth",
				      "AES-CBC, the only cipher of this profile, needs a digest; name the server's (SHA1, "
				      "SHA256, SHA512), or add AES-256-GCM to data-ciphers");
	free(o->ciphers);
	o->ciphers = TAKE_PTR(list);
	if (o->cipher_fallback && is_cbc(o->cipher_fallback)) {
		free(o->cipher_fallback);
		o->cipher_fallback = NULL;
	}
	return 0;
}

int ovpn_finish_data(struct ovpn_parser *p)
{
	struct ovpn_options *o = p->o;
	int r;

	if (!o->ciphers) {
		r = set_copy(&o->ciphers, DEFAULT_CIPHERS);
		if (r < 0)
			return r;
	}
	if (p->cipher) {
		r = list_append(&o->ciphers, p->cipher);
		if (r < 0)
			return r;
	}
	if (p->cipher_fallback) {
		r = list_append(&o->ciphers, p->cipher_fallback);
		if (r < 0)
			return r;
	}
	o->cipher_fallback = p->cipher_fallback ? TAKE_PTR(p->cipher_fallback) : TAKE_PTR(p->cipher);
	if (p->auth_none_line && o->wrap == CONTROL_WRAP_TLS_AUTH)
		return ovpn_refuse_at(p, p->auth_none_line, "auth",
				      "tls-auth needs a digest that nsvpn has (SHA1, SHA224, SHA256, SHA384, SHA512); name the "
				      "server's, or remove line %u",
				      p->auth_none_line);
	return p->auth_none_line ? drop_cbc(p) : 0;
}
