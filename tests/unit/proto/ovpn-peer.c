/* A server for tests. It trusts its own code: failures of OpenSSL or of memory end the test program. */
#include "ovpn-peer.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/str.h"
#include "crypto/random.h"
#include "proto/ovpn-data.h"
#include "proto/ovpn-message.h"
#include "proto/ovpn-peerinfo.h"
#include "proto/ovpn-reliable.h"
#include "proto/ovpn-wrap.h"

#define MUST(x)                                                                                                    \
	do {                                                                                                       \
		if (!(x)) {                                                                                        \
			fprintf(stderr, "peer: %s failed\n", #x);                                                  \
			abort();                                                                                   \
		}                                                                                                  \
	} while (0)

#define SEND_SWITCH (5 * USEC_PER_SEC) /* data goes under the old key for so long */

struct peer_key {
	uint8_t id;
	struct ovpn_reliable reliable;
	SSL *ssl;
	bool exchanged;
	struct ovpn_key_source mine, theirs;
	struct ovpn_message_reader reader;
	struct ovpn_data *data;
	usec_t data_at;
};

struct peer {
	struct peer_config c;
	struct ovpn_sid sid, client_sid;
	struct ovpn_wrap *wrap, *wrap_dyn;
	SSL_CTX *ctx;
	struct peer_key *primary, *lame;
	struct framing_state framing;
	bool framing_made, pushed, knows_key;
	struct fragment_state fragment;
	struct peer_stats stats;
};

const struct peer_stats *peer_stats(const struct peer *p)
{
	return &p->stats;
}

static void key_free(struct peer_key *k)
{
	if (!k)
		return;
	SSL_free(k->ssl);
	ovpn_data_free(k->data);
	free(k);
}

static struct peer_key *key_new(struct peer *p, uint8_t id, uint8_t opcode)
{
	struct peer_key *k = calloc(1, sizeof(*k));

	MUST(k);
	k->id = id;
	ovpn_reliable_init(&k->reliable, 0);
	if (opcode == OVPN_OP_HARD_RESET_SERVER_V2 && p->c.early)
		MUST(ovpn_reliable_push(&k->reliable, opcode, (const uint8_t *)p->c.early, p->c.early_len) == 0);
	else if (opcode == OVPN_OP_HARD_RESET_SERVER_V2 && p->c.resend_wkc)
		MUST(ovpn_reliable_push(&k->reliable, opcode, (const uint8_t *)"\0\1\0\2\0\1", 6) == 0);
	else
		MUST(ovpn_reliable_push(&k->reliable, opcode, NULL, 0) == 0);
	k->ssl = SSL_new(p->ctx);
	MUST(k->ssl);
	SSL_set_bio(k->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_accept_state(k->ssl);
	return k;
}

struct peer *peer_new(const struct peer_config *c)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct ovpn_wrap_params w = { .mode = c->wrap, .key = c->key, .digest = c->digest ? c->digest : "sha1",
				      .direction = c->direction, .server = true, .time = (uint32_t)PKI_NOW };

	MUST(p);
	p->c = *c;
	MUST(random_bytes(&p->sid, sizeof(p->sid)) == 0);
	p->sid.id[0] |= 1;
	MUST(ovpn_wrap_new(&p->wrap, &w) == 0);
	p->ctx = SSL_CTX_new(TLS_server_method());
	MUST(p->ctx && SSL_CTX_use_certificate(p->ctx, c->cert->cert) == 1 &&
	     SSL_CTX_use_PrivateKey(p->ctx, c->cert->key) == 1);
	SSL_CTX_set_max_proto_version(p->ctx, c->tls_max);
	SSL_CTX_set_num_tickets(p->ctx, 0);
	if (c->want_client_cert) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(p->ctx), c->ca->cert);
		X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(p->ctx), PKI_NOW);
		SSL_CTX_set_verify(p->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	return p;
}

void peer_free(struct peer *p)
{
	if (!p)
		return;
	key_free(p->primary);
	key_free(p->lame);
	if (p->framing_made)
		framing_done(&p->framing);
	fragment_done(&p->fragment);
	ovpn_wrap_free(p->wrap);
	ovpn_wrap_free(p->wrap_dyn);
	SSL_CTX_free(p->ctx);
	free(p);
}

static void make_dyn(struct peer *p, struct peer_key *k)
{
	static const char label[] = "EXPORTER-OpenVPN-dynamic-tls-crypt";
	uint8_t key[OVPN_KEY_BLOCK_LEN];
	struct ovpn_wrap_params w = { .mode = CONTROL_WRAP_TLS_CRYPT, .key = key, .direction = KEY_DIRECTION_BOTH,
				      .server = true, .time = (uint32_t)PKI_NOW };

	MUST(SSL_export_keying_material(k->ssl, key, sizeof(key), label, strlen(label), NULL, 0, 0) == 1);
	if (p->c.wrap != CONTROL_WRAP_NONE)
		for (size_t i = 0; i < sizeof(key); i++)
			key[i] ^= p->c.key[i];
	MUST(ovpn_wrap_new(&p->wrap_dyn, &w) == 0);
}

static void generate(struct peer *p, struct peer_key *k, usec_t now)
{
	struct secret *block = NULL;
	struct ovpn_data_params d = { .cipher = ovpn_cipher_find(p->c.cipher),
				      .digest = hash_digest_find(p->c.digest ? p->c.digest : "sha1"), .server = true, .key_id = k->id,
				      .peer_id = p->c.data_v1 ? OVPN_PEER_ID_V1 : 7, .replay_window = 64,
				      .framing = &p->framing, .fragment = p->c.fragment ? &p->fragment : NULL,
				      .epoch = p->c.epoch };

	if (!p->framing_made) {
		MUST(framing_init(&p->framing, FRAMING_NONE, false, 1500) == 0);
		MUST(fragment_init(&p->fragment, 1502) == 0);
		p->framing_made = true;
	}
	if (p->c.ekm) {
		MUST(secret_new(&block, OVPN_KEY_BLOCK_LEN) == 0);
		MUST(SSL_export_keying_material(k->ssl, secret_data(block), OVPN_KEY_BLOCK_LEN, OVPN_EKM_LABEL_DATA,
						strlen(OVPN_EKM_LABEL_DATA), NULL, 0, 0) == 1);
	} else {
		MUST(ovpn_keys_derive_prf(&k->theirs, &k->mine, &p->client_sid, &p->sid, &block) == 0);
	}
	d.keys = secret_bytes(block);
	MUST(ovpn_data_new(&k->data, &d) == 0);
	secret_free(block);
	k->data_at = now;
	p->stats.key_id = k->id;
}

static void flush_tls(struct peer_key *k)
{
	uint8_t buf[1100];
	int n;

	while (ovpn_reliable_can_push(&k->reliable) && (n = BIO_read(SSL_get_wbio(k->ssl), buf, sizeof(buf))) > 0)
		MUST(ovpn_reliable_push(&k->reliable, OVPN_OP_CONTROL_V1, buf, (size_t)n) == 0);
}

void peer_say(struct peer *p, const char *text)
{
	if (!p->primary || !SSL_is_init_finished(p->primary->ssl))
		return;
	/* A connection that is broken or closed takes nothing more. */
	if (SSL_write(p->primary->ssl, text, (int)strlen(text) + 1) > 0)
		flush_tls(p->primary);
}

void peer_close_tls(struct peer *p)
{
	if (!p->primary || !SSL_is_init_finished(p->primary->ssl))
		return;
	(void)SSL_shutdown(p->primary->ssl); /* one-sided */
	flush_tls(p->primary);
}

static void push_reply(struct peer *p, struct peer_key *k, usec_t now)
{
	struct strbuf b = { 0 };
	char token[160] = "";

	if (!k->data) {
		if (p->c.dyn)
			make_dyn(p, k);
		generate(p, k, now);
	}
	if (p->c.token)
		(void)snprintf(token, sizeof(token), ",auth-token %s", p->c.token);
	if (p->c.push2) {
		strbuf_addf(&b, "PUSH_REPLY,%s,push-continuation 2", p->c.push);
		peer_say(p, b.s);
		strbuf_done(&b);
	}
	strbuf_addf(&b, "PUSH_REPLY,%s%s", p->c.push2 ? p->c.push2 : p->c.push, token);
	if (!p->c.data_v1)
		strbuf_add(&b, ",peer-id 7");
	if (!p->c.no_cipher)
		strbuf_addf(&b, ",cipher %s", p->c.cipher);
	if (p->c.ekm || p->c.dyn || p->c.cc_exit || p->c.epoch)
		strbuf_addf(&b, ",protocol-flags%s%s%s%s", p->c.ekm ? " tls-ekm" : "", p->c.dyn ? " dyn-tls-crypt" : "",
			    p->c.cc_exit ? " cc-exit" : "", p->c.epoch ? " aead-epoch" : "");
	if (p->c.push2)
		strbuf_add(&b, ",push-continuation 1");
	peer_say(p, b.s);
	strbuf_done(&b);
	p->pushed = true;
}

static void on_line(struct peer *p, struct peer_key *k, const char *line, usec_t now)
{
	if (str_eq(line, "EXIT"))
		p->stats.n_exit_messages++;
	if (!str_eq(line, "PUSH_REQUEST")) {
		(void)str_copy(p->stats.last_message, sizeof(p->stats.last_message), line); /* cut is fine */
		return;
	}
	p->stats.n_push_requests++;
	if (p->c.no_push)
		return;
	if (!p->stats.auth_ok)
		peer_say(p, "AUTH_FAILED,wrong password");
	else if (p->c.on_request)
		peer_say(p, p->c.on_request);
	else if (!p->pushed)
		push_reply(p, k, now);
}

static void check_auth(struct peer *p, const struct ovpn_key_message *m)
{
	const char *password = p->pushed && p->c.token ? p->c.token : p->c.password;

	(void)str_copy(p->stats.occ, sizeof(p->stats.occ), m->options ? m->options : "");
	(void)str_copy(p->stats.peer_info, sizeof(p->stats.peer_info), m->peer_info ? m->peer_info : "");
	(void)str_copy(p->stats.username, sizeof(p->stats.username), m->username ? m->username : "");
	(void)str_copy(p->stats.password, sizeof(p->stats.password), m->password ? m->password : "");
	p->stats.auth_ok = (!p->c.username || str_eq(p->stats.username, p->c.username)) &&
			   (!password || str_eq(p->stats.password, password));
}

static void exchange(struct peer *p, struct peer_key *k, const uint8_t *data, size_t len, usec_t now)
{
	struct ovpn_key_message m, answer = { .options = p->c.occ ? p->c.occ : "V4,dev-type tun,tls-server",
					       .peer_info = p->c.info };
	uint8_t buf[OVPN_KEY_MESSAGE_MAX];
	size_t n;

	if (p->c.no_exchange || ovpn_key_message_parse(data, len, true, &m) < 0)
		return;
	k->theirs = m.source;
	check_auth(p, &m);
	MUST(ovpn_key_source_fill(&k->mine, false, NULL, NULL) == 0);
	answer.source = k->mine;
	MUST(ovpn_key_message_build(&answer, false, buf, sizeof(buf), &n) == 0);
	if (SSL_write(k->ssl, buf, (int)n) <= 0)
		return; /* broken meanwhile */
	k->exchanged = true;
	if (p->pushed) {
		generate(p, k, now);
		p->stats.n_rekeys++;
		if (!p->stats.auth_ok)
			peer_say(p, "AUTH_FAILED,SESSION:expired");
	} else if (p->c.push_unasked && p->stats.auth_ok) {
		push_reply(p, k, now);
	}
}

static void run_tls(struct peer *p, struct peer_key *k, usec_t now)
{
	uint8_t buf[4096];
	int n;

	if (p->c.no_tls)
		return;
	ERR_clear_error();
	(void)SSL_do_handshake(k->ssl);
	while ((n = SSL_read(k->ssl, buf, sizeof(buf))) > 0) {
		const uint8_t *at = buf;
		size_t left = (size_t)n;
		const char *line;

		if (!k->exchanged) {
			exchange(p, k, buf, (size_t)n, now);
			continue;
		}
		while (ovpn_message_next(&k->reader, &at, &left, &line))
			on_line(p, k, line, now);
	}
	ERR_clear_error();
	flush_tls(k);
}

static void data_in(struct peer *p, const uint8_t *wire, size_t len)
{
	uint8_t out[PEER_INNER_MAX + 64];
	struct peer_key *keys[] = { p->primary, p->lame };
	uint8_t id = wire[0] & 7;

	for (size_t i = 0; i < 2; i++) {
		enum ovpn_inner kind;

		if (!keys[i] || keys[i]->id != id || !keys[i]->data)
			continue;
		if (ovpn_data_open(keys[i]->data, wire, len, out + 16, PEER_INNER_MAX, &kind) < 0)
			break;
		p->stats.last_data_key = id;
		p->stats.last_was_v2 = ovpn_packet_opcode(wire[0]) == OVPN_OP_DATA_V2;
		p->stats.n_inner += kind == OVPN_INNER_IP;
		p->stats.n_pings += kind == OVPN_INNER_PING;
		p->stats.n_exits += kind == OVPN_INNER_EXIT;
		return;
	}
	p->stats.n_dropped++;
}

static struct peer_key *key_of(struct peer *p, uint8_t opcode, uint8_t id)
{
	if (p->primary && p->primary->id == id)
		return p->primary;
	if (p->lame && p->lame->id == id)
		return p->lame;
	if (!p->primary && opcode == (p->c.wkc ? OVPN_OP_HARD_RESET_CLIENT_V3 : OVPN_OP_HARD_RESET_CLIENT_V2)) {
		p->primary = key_new(p, 0, OVPN_OP_HARD_RESET_SERVER_V2);
		return p->primary;
	}
	if (p->primary && p->primary->data && opcode == OVPN_OP_SOFT_RESET_V1 &&
	    id == (p->primary->id == 7 ? 1 : p->primary->id + 1)) {
		key_free(p->lame);
		p->lame = p->primary;
		p->primary = key_new(p, id, OVPN_OP_SOFT_RESET_V1);
		return p->primary;
	}
	return NULL;
}

static struct ovpn_wrap *wrap_of(struct peer *p, uint8_t id)
{
	return id && p->wrap_dyn ? p->wrap_dyn : p->wrap;
}

/* What a server without state can do: nothing before it has the key, and that comes with two packets only. */
static bool take_wkc(struct peer *p, const uint8_t *wire, size_t *len)
{
	uint8_t opcode = ovpn_packet_opcode(wire[0]);
	size_t n = secret_len(p->c.wkc);

	if (!p->c.wkc || wire[0] & 7)
		return true;
	if (opcode != OVPN_OP_HARD_RESET_CLIENT_V3 && opcode != OVPN_OP_CONTROL_WKC_V1)
		return !p->c.resend_wkc || p->knows_key;
	if (*len < n || memcmp(wire + *len - n, secret_bytes(p->c.wkc), n) != 0)
		return false;
	*len -= n;
	p->stats.n_wkc++;
	p->knows_key |= opcode == OVPN_OP_CONTROL_WKC_V1;
	return true;
}

void peer_in(struct peer *p, const uint8_t *wire, size_t len, usec_t now)
{
	uint8_t plain[2400];
	struct ovpn_reliable_msg m;
	struct ovpn_control c;
	struct peer_key *k;
	ssize_t n;

	if (ovpn_opcode_is_data(ovpn_packet_opcode(wire[0]))) {
		data_in(p, wire, len);
		return;
	}
	n = take_wkc(p, wire, &len) ? ovpn_wrap_open(wrap_of(p, wire[0] & 7), wire, len, plain, sizeof(plain)) : -1;
	if (n < 0 || ovpn_packet_parse(plain, (size_t)n, &c) != VERDICT_OK) {
		p->stats.n_dropped++;
		return;
	}
	k = key_of(p, c.opcode, c.key_id);
	if (!k)
		return;
	p->client_sid = c.sid;
	(void)ovpn_reliable_acked(&k->reliable, c.acks, c.n_acks);
	if (c.opcode != OVPN_OP_ACK_V1)
		(void)ovpn_reliable_receive(&k->reliable, c.msgid, c.opcode, c.payload, c.payload_len);
	while (ovpn_reliable_deliver(&k->reliable, &m))
		if (m.opcode == OVPN_OP_CONTROL_V1 || m.opcode == OVPN_OP_CONTROL_WKC_V1)
			MUST(BIO_write(SSL_get_rbio(k->ssl), m.payload, (int)m.len) == (int)m.len);
	run_tls(p, k, now);
}

static size_t next_of(struct peer *p, struct peer_key *k, uint8_t *buf, usec_t now)
{
	struct ovpn_control c = { .opcode = OVPN_OP_ACK_V1 };
	struct ovpn_reliable_msg m;
	uint8_t plain[2400];
	size_t len;
	ssize_t n;

	if (!k)
		return 0;
	if (ovpn_reliable_next(&k->reliable, now, &m)) {
		c.opcode = m.opcode;
		c.msgid = m.msgid;
		c.payload = m.payload;
		c.payload_len = m.len;
	} else if (!ovpn_reliable_owes_acks(&k->reliable)) {
		return 0;
	}
	c.key_id = k->id;
	c.sid = p->sid;
	c.n_acks = (uint8_t)ovpn_reliable_take_acks(&k->reliable, OVPN_ACKS_CONTROL, c.acks);
	if (c.n_acks)
		c.peer_sid = p->client_sid;
	MUST(ovpn_packet_build(&c, plain, sizeof(plain), &len) == 0);
	n = ovpn_wrap_seal(wrap_of(p, k->id), plain, len, buf, 2200);
	MUST(n > 0);
	return (size_t)n;
}

size_t peer_forge(struct peer *p, struct ovpn_control *c, uint8_t *buf)
{
	struct ovpn_control built;
	uint8_t plain[2400];
	struct writer w;
	size_t len;
	ssize_t n;

	c->sid = p->sid;
	c->peer_sid = c->n_acks ? p->client_sid : (struct ovpn_sid){ { 0 } };
	built = *c;
	built.msgid = 0; /* the only one that a reset is built with */
	if (ovpn_packet_build(&built, plain, sizeof(plain), &len) < 0)
		return 0;
	w = writer_init(plain + len - c->payload_len - sizeof(c->msgid), sizeof(c->msgid));
	if (c->opcode != OVPN_OP_ACK_V1)
		write_be32(&w, c->msgid);
	n = ovpn_wrap_seal(wrap_of(p, c->key_id), plain, len, buf, 2200);
	return n > 0 ? (size_t)n : 0;
}

size_t peer_next_wire(struct peer *p, uint8_t *buf, usec_t now)
{
	size_t n = next_of(p, p->primary, buf, now);

	return n ? n : next_of(p, p->lame, buf, now);
}

usec_t peer_deadline(const struct peer *p)
{
	usec_t at = p->primary ? ovpn_reliable_deadline(&p->primary->reliable) : USEC_INFINITY;

	return p->lame ? MIN(at, ovpn_reliable_deadline(&p->lame->reliable)) : at;
}

void peer_rekey(struct peer *p, usec_t now _unused_)
{
	if (!p->primary || !p->primary->data)
		return;
	key_free(p->lame);
	p->lame = p->primary;
	p->primary = key_new(p, p->lame->id == 7 ? 1 : p->lame->id + 1, OVPN_OP_SOFT_RESET_V1);
}

size_t peer_seal(struct peer *p, const uint8_t *inner, size_t len, uint8_t *out, usec_t now)
{
	struct peer_key *k = p->primary;
	ssize_t n;

	if (p->lame && p->lame->data && (!k->data || now < k->data_at + SEND_SWITCH))
		k = p->lame;
	if (!k || !k->data)
		return 0;
	n = ovpn_data_seal(k->data, inner, len, out);
	return n > 0 ? (size_t)n : 0;
}

/* ---- the network ---- */

static uint64_t next_random(struct sim *s)
{
	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 7;
	s->rng ^= s->rng << 17;
	return s->rng;
}

void sim_init(struct sim *s, struct proto *client, struct peer *peer, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->client = client;
	s->peer = peer;
	s->now = SIM_START;
	s->rng = seed * 0x9e3779b97f4a7c15u + 1;
	s->delay = 5 * USEC_PER_MSEC;
	s->log_max = 256;
	s->log = calloc(s->log_max, sizeof(*s->log));
	s->log_len = calloc(s->log_max, sizeof(*s->log_len));
	MUST(s->log && s->log_len);
}

void sim_done(struct sim *s)
{
	free(s->log);
	free(s->log_len);
	if (s->client)
		s->client->ops->free(s->client);
	peer_free(s->peer);
}

static void put(struct sim *s, bool to_client, const uint8_t *data, size_t len)
{
	unsigned copies = next_random(s) % 100 < s->dup ? 2 : 1;

	if (s->cut || (to_client ? s->cut_to_client : s->cut_to_server))
		return;
	while (copies--) {
		usec_t at = s->now + s->delay + (s->jitter ? next_random(s) % s->jitter : 0);

		if (next_random(s) % 100 < s->loss)
			continue;
		for (unsigned i = 0; i < SIM_QUEUE; i++) {
			if (s->queue[i].used)
				continue;
			s->queue[i] = (struct sim_datagram){ .used = true, .to_client = to_client, .at = at, .len = len };
			memcpy(s->queue[i].data, data, len);
			break;
		}
	}
}

static void drain(struct sim *s)
{
	uint8_t buf[2200];
	size_t n;

	while ((n = s->client->ops->next_wire(s->client, buf, s->now)) > 0)
		put(s, false, buf, n);
	while (s->peer && (n = peer_next_wire(s->peer, buf, s->now)) > 0)
		put(s, true, buf, n);
}

static void events(struct sim *s)
{
	struct proto_event ev;

	while (s->client->ops->next_event(s->client, &ev)) {
		s->n_after_failed += s->n_failed > 0;
		switch (ev.type) {
		case PROTO_EVENT_AUTHENTICATING:
			s->n_authenticating++;
			break;
		case PROTO_EVENT_SETTINGS:
			s->n_settings++;
			s->settings = ev;
			if (!s->hold_settings)
				s->client->ops->settings_applied(s->client, !s->refuse_settings, s->now);
			break;
		case PROTO_EVENT_REKEYED:
			s->n_rekeyed++;
			break;
		case PROTO_EVENT_INFO:
			s->n_info++;
			if (strlen(s->infos) + strlen(ev.text) + 2 < sizeof(s->infos))
				(void)strcat(strcat(s->infos, ev.text), "\n");
			break;
		case PROTO_EVENT_QUESTION:
			s->n_questions++;
			s->question = ev;
			break;
		case PROTO_EVENT_FAILED:
			s->n_failed++;
			s->failed = ev;
			break;
		}
	}
}

ssize_t sim_inject(struct sim *s, const uint8_t *wire, size_t len)
{
	static uint8_t out[PROTO_HEADROOM + 4096];
	ssize_t n = s->client->ops->wire_in(s->client, wire, len, out + PROTO_HEADROOM, s->now);

	if (n > 0)
		s->n_inner++;
	else
		s->drops[-n]++;
	return n;
}

static void deliver(struct sim *s, struct sim_datagram *d)
{
	d->used = false;
	if (!d->to_client) {
		if (s->peer)
			peer_in(s->peer, d->data, d->len, s->now);
		return;
	}
	if (s->n_log < s->log_max) {
		memcpy(s->log[s->n_log], d->data, d->len);
		s->log_len[s->n_log++] = d->len;
	}
	(void)sim_inject(s, d->data, d->len);
}

static struct sim_datagram *earliest(struct sim *s)
{
	struct sim_datagram *best = NULL;

	for (unsigned i = 0; i < SIM_QUEUE; i++)
		if (s->queue[i].used && (!best || s->queue[i].at < best->at))
			best = &s->queue[i];
	return best;
}

bool sim_run(struct sim *s, usec_t span, bool (*stop)(struct sim *s))
{
	usec_t end = s->now + span;

	for (unsigned steps = 0; steps < 200000; steps++) {
		struct sim_datagram *d;
		usec_t next;

		drain(s);
		events(s);
		drain(s);
		if (stop && stop(s))
			return true;
		d = earliest(s);
		next = MIN(s->client->ops->deadline(s->client), s->peer ? peer_deadline(s->peer) : USEC_INFINITY);
		if (d)
			next = MIN(next, d->at);
		if (next > end) {
			s->now = end;
			return stop && stop(s);
		}
		s->now = MAX(s->now, next);
		if (d && d->at <= s->now)
			deliver(s, d);
		if (s->client->ops->deadline(s->client) <= s->now)
			s->client->ops->tick(s->client, s->now);
	}
	fprintf(stderr, "sim: no progress at %llu (deadline %llu)\n", (unsigned long long)s->now,
		(unsigned long long)s->client->ops->deadline(s->client));
	abort();
}

bool sim_is_up(struct sim *s)
{
	return s->n_settings > 0;
}

bool sim_has_failed(struct sim *s)
{
	return s->n_failed > 0;
}

static size_t ip_packet(uint8_t *buf)
{
	memset(buf, 0, 100);
	buf[0] = 0x45;
	buf[3] = 100;
	return 100;
}

bool sim_send_up(struct sim *s)
{
	uint8_t ip[100], out[100 + PROTO_OVERHEAD_MAX];
	ssize_t n = s->client->ops->inner_out(s->client, ip, ip_packet(ip), out, s->now);

	if (n > 0)
		put(s, false, out, (size_t)n);
	return n > 0;
}

void sim_send_down(struct sim *s)
{
	uint8_t ip[100], out[100 + PROTO_OVERHEAD_MAX];
	size_t n = peer_seal(s->peer, ip, ip_packet(ip), out, s->now);

	if (n)
		put(s, true, out, n);
}
