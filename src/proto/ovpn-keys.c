/* Key method 2: message, options string, key derivation. Formats and contracts are in the header. */
#include "proto/ovpn-keys.h"

#include <stdio.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/random.h"

#define KEY_METHOD 2
#define MASTER_LEN 48
#define STRING_MAX UINT16_MAX

/* ---- Randomness ------------------------------------------------------------------------------------------------- */

static int random_default(void *userdata, void *buf, size_t len)
{
	(void)userdata;
	return random_bytes(buf, len);
}

int ovpn_key_source_fill(struct ovpn_key_source *s, bool client,
			 int (*random)(void *userdata, void *buf, size_t len), void *userdata)
{
	int r = 0;

	if (!random)
		random = random_default;
	memset(s, 0, sizeof(*s));
	if (client)
		r = random(userdata, s->pre_master, sizeof(s->pre_master));
	if (r >= 0)
		r = random(userdata, s->random1, sizeof(s->random1));
	if (r >= 0)
		r = random(userdata, s->random2, sizeof(s->random2));
	if (r < 0)
		ovpn_key_source_wipe(s);
	return r < 0 ? r : 0;
}

void ovpn_key_source_wipe(struct ovpn_key_source *s)
{
	secret_wipe(s, sizeof(*s));
}

/* ---- The message ------------------------------------------------------------------------------------------------ */

/* u16 length with the terminating NUL, then the bytes; length 0 alone when absent. */
static void write_string(struct writer *w, const char *s)
{
	size_t len = s ? strlen(s) + 1 : 0;

	if (len > STRING_MAX) {
		w->failed = true;
		return;
	}
	write_be16(w, (uint16_t)len);
	write_bytes(w, s, len);
}

int ovpn_key_message_build(const struct ovpn_key_message *m, bool from_client, uint8_t *buf, size_t cap,
			   size_t *ret_len)
{
	struct writer w = writer_init(buf, MIN(cap, (size_t)OVPN_KEY_MESSAGE_MAX));

	write_be32(&w, 0);
	write_u8(&w, KEY_METHOD);
	if (from_client)
		write_bytes(&w, m->source.pre_master, sizeof(m->source.pre_master));
	write_bytes(&w, m->source.random1, sizeof(m->source.random1));
	write_bytes(&w, m->source.random2, sizeof(m->source.random2));
	write_string(&w, m->options);
	write_string(&w, m->username);
	write_string(&w, m->password);
	write_string(&w, m->peer_info);
	if (w.failed)
		return -EMSGSIZE;
	*ret_len = w.len;
	return 0;
}

/* 0 with *ret (NULL: absent); -EAGAIN: ends early; -EBADMSG: no NUL at its end, or one before. */
static int read_string(struct reader *r, const char **ret)
{
	size_t len = read_be16(r);
	const uint8_t *p = read_bytes(r, len);

	if (r->failed)
		return -EAGAIN;
	if (!len) {
		*ret = NULL;
		return 0;
	}
	if (memchr(p, '\0', len) != p + len - 1)
		return -EBADMSG;
	*ret = (const char *)p;
	return 0;
}

int ovpn_key_message_parse(const uint8_t *p, size_t len, bool from_client, struct ovpn_key_message *ret)
{
	struct ovpn_key_message m = { 0 };
	struct reader r = reader_init(p, len);
	const char **optional[] = { &m.username, &m.password, &m.peer_info };
	uint32_t zero = read_be32(&r);
	uint8_t method = read_u8(&r);
	int k;

	if (zero || (!r.failed && method != KEY_METHOD))
		return -EBADMSG;
	if (from_client)
		(void)read_copy(&r, m.source.pre_master, sizeof(m.source.pre_master)); /* errors stick in the reader */
	(void)read_copy(&r, m.source.random1, sizeof(m.source.random1));
	(void)read_copy(&r, m.source.random2, sizeof(m.source.random2));
	k = read_string(&r, &m.options);
	/* Servers send nothing more, or empty strings: the first thing that is not a string ends it. */
	for (size_t i = 0; k == 0 && i < ARRAY_SIZE(optional); i++)
		if (read_string(&r, optional[i]) < 0)
			break;
	if (k == 0)
		*ret = m;
	ovpn_key_source_wipe(&m.source);
	return k;
}

/* ---- Derivation ------------------------------------------------------------------------------------------------- */

int ovpn_keys_derive_prf(const struct ovpn_key_source *client, const struct ovpn_key_source *server,
			 const struct ovpn_sid *client_sid, const struct ovpn_sid *server_sid, struct secret **ret)
{
	const struct span master_seed[] = {
		{ client->random1, OVPN_RANDOM_LEN },
		{ server->random1, OVPN_RANDOM_LEN },
	};
	const struct span block_seed[] = {
		{ client->random2, OVPN_RANDOM_LEN },
		{ server->random2, OVPN_RANDOM_LEN },
		{ client_sid->id, OVPN_SID_LEN },
		{ server_sid->id, OVPN_SID_LEN },
	};
	_cleanup_(secret_freep) struct secret *master = NULL, *block = NULL;
	int r;

	r = secret_new(&master, MASTER_LEN);
	if (r < 0)
		return r;
	r = secret_new(&block, OVPN_KEY_BLOCK_LEN);
	if (r < 0)
		return r;
	r = hash_tls1_prf(client->pre_master, OVPN_PRE_MASTER_LEN, "OpenVPN master secret", master_seed,
			  ARRAY_SIZE(master_seed), secret_data(master), MASTER_LEN);
	if (r < 0)
		return r;
	r = hash_tls1_prf(secret_bytes(master), MASTER_LEN, "OpenVPN key expansion", block_seed, ARRAY_SIZE(block_seed),
			  secret_data(block), OVPN_KEY_BLOCK_LEN);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(block);
	return 0;
}

/* ---- Options string --------------------------------------------------------------------------------------------- */

/* What link-mtu and keysize say about a cipher: sizes in bytes, key in bits. Matched by prefix. */
static const struct {
	const char *prefix;
	uint16_t bits;
	uint8_t iv, block;
	bool aead;
} sizes[] = {
	{ "AES-128-GCM", 128, 12, 16, true },   { "AES-192-GCM", 192, 12, 16, true },
	{ "AES-256-GCM", 256, 12, 16, true },   { "CHACHA20-POLY1305", 256, 12, 0, true },
	{ "AES-128-", 128, 16, 16, false },     { "AES-192-", 192, 16, 16, false },
	{ "AES-256-", 256, 16, 16, false },     { "CAMELLIA-128-", 128, 16, 16, false },
	{ "CAMELLIA-192-", 192, 16, 16, false }, { "CAMELLIA-256-", 256, 16, 16, false },
	{ "BF-", 128, 8, 8, false },            { "CAST5-", 128, 8, 8, false },
	{ "DES-EDE3-", 192, 8, 8, false },      { "DES-", 64, 8, 8, false },
};

#define OCC_BASE 5 /* op byte and packet id */
#define OCC_TAG 16
#define OCC_TAP_EXTRA 32 /* what openvpn(8) adds for Ethernet */

int ovpn_occ_format(const struct ovpn_occ *o, char *buf, size_t cap)
{
	bool no_cipher = !o->cipher || strcmp(o->cipher, "none") == 0;
	const struct hash_digest *digest = hash_digest_find(o->auth);
	uint32_t tun_mtu = o->tun_mtu + (o->tap ? OCC_TAP_EXTRA : 0);
	uint32_t link_mtu = tun_mtu + OCC_BASE + (o->tcp ? 2 : 0) + (o->framing ? 1 : 0) + (o->fragment ? 4 : 0);
	unsigned bits = 0;
	char keydir[16] = "";
	bool aead = false;
	int n;

	for (size_t i = 0; !no_cipher && i < ARRAY_SIZE(sizes); i++) {
		if (strncmp(o->cipher, sizes[i].prefix, strlen(sizes[i].prefix)) != 0)
			continue;
		bits = sizes[i].bits;
		aead = sizes[i].aead;
		link_mtu += sizes[i].iv + sizes[i].block + (aead ? OCC_TAG : 0);
		break;
	}
	if (aead)
		digest = NULL;
	if (digest)
		link_mtu += digest->len;
	if (o->tls_auth && o->key_direction != KEY_DIRECTION_BOTH)
		(void)snprintf(keydir, sizeof(keydir), ",keydir %d", (int)o->key_direction); /* always fits */
	n = snprintf(buf, cap,
		     "V4,dev-type %s,link-mtu %u,tun-mtu %u,proto %s%s%s%s,cipher %s,auth %s,keysize %u%s,key-method 2,"
		     "tls-client",
		     o->tap ? "tap" : "tun", link_mtu, tun_mtu, o->tcp ? "TCPv4_CLIENT" : "UDPv4", o->framing ? ",comp-lzo" : "",
		     o->fragment ? ",mtu-dynamic" : "", keydir,
		     no_cipher ? "[null-cipher]" : o->cipher, digest ? digest->name : "[null-digest]", bits,
		     o->tls_auth ? ",tls-auth" : "");
	return n < 0 || (size_t)n >= cap || n >= OVPN_OCC_MAX ? -EMSGSIZE : 0;
}

int ovpn_occ_get(const char *options, const char *name, char *buf, size_t cap)
{
	size_t name_len = strlen(name);

	for (const char *p = options; p && *p;) {
		const char *end = strchrnul(p, ',');
		size_t len = (size_t)(end - p), skip = name_len;

		if (len >= name_len && memcmp(p, name, name_len) == 0 && (len == name_len || p[name_len] == ' ')) {
			while (skip < len && p[skip] == ' ')
				skip++;
			if (len - skip >= cap)
				return -EMSGSIZE;
			memcpy(buf, p + skip, len - skip);
			buf[len - skip] = '\0';
			return 0;
		}
		p = *end ? end + 1 : end;
	}
	return -ENOENT;
}
