/*
 * The whole client against a server in memory whose network, clock and mouth the input controls: raw datagrams, damaged
 * ones, well-wrapped nonsense, control messages inside TLS, renegotiations, silence. TLS is real, so the deep states
 * are reached; its randomness makes runs differ a little, the properties must hold in all of them:
 *
 *   at most one FAILED event and nothing behind it; SETTINGS at most once and verified; no inner packet, either way, before
 *   they are applied or after the end; time always moves on (the simulation aborts otherwise).
 *
 * First byte: wrap, derivation and start state. Then operations of one byte and their arguments.
 */
#include "lib/pki.c"
#undef MUST /* both files have their own */
#include "unit/proto/ovpn-peer.c"

#include "crypto/tls.h"

/*
 * OpenSSL makes some ten thousand small allocations for each connection, and the sanitizer's allocator takes longer for them
 * than the cryptography does. None of them is touched by our code: they come from libc itself.
 */
void *__libc_malloc(size_t n);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static void *plain_malloc(size_t n, const char *file _unused_, int line _unused_)
{
	return __libc_malloc(n);
}

static void *plain_realloc(void *p, size_t n, const char *file _unused_, int line _unused_)
{
	return __libc_realloc(p, n);
}

static void plain_free(void *p, const char *file _unused_, int line _unused_)
{
	__libc_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(expr)                                                                                                  \
	do {                                                                                                           \
		if (!(expr))                                                                                           \
			abort();                                                                                       \
	} while (0)

struct input {
	const uint8_t *p;
	size_t left;
};

static uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static size_t take_bytes(struct input *in, uint8_t *buf, size_t cap)
{
	size_t n = MIN((size_t)take(in) * 4, MIN(in->left, cap));

	memcpy(buf, in->p, n);
	in->p += n;
	in->left -= n;
	return n;
}

static int64_t fixed_time(void *userdata _unused_)
{
	return PKI_NOW;
}

static struct pki ca, server;
static struct secret *ca_pem, *static_key, *username, *password;
static uint8_t key[OVPN_KEY_BLOCK_LEN];

static void once(void)
{
	if (ca_pem)
		return;
	require(CRYPTO_set_mem_functions(plain_malloc, plain_realloc, plain_free) == 1);
	require(tls_init() == 0);
	ca = pki_make(&(struct pki_spec){ .cn = "CA", .use = PKI_USE_CA }, NULL);
	server = pki_make(&(struct pki_spec){ .cn = "server", .use = PKI_USE_SERVER }, &ca);
	ca_pem = pki_cert_pem(&ca);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	require(secret_new_copy(&static_key, key, sizeof(key)) == 0);
	require(secret_new_copy(&username, "user", 4) == 0 && secret_new_copy(&password, "pass", 4) == 0);
}

static void say(struct sim *s, struct input *in)
{
	char text[1100];
	size_t n = take_bytes(in, (uint8_t *)text, sizeof(text) - 1);

	text[n] = 0;
	peer_say(s->peer, text);
}

static void forge(struct sim *s, struct input *in)
{
	struct ovpn_control c = { 0 };
	uint8_t payload[1024], wire[2200];
	size_t n;

	c.opcode = take(in) % 12;
	c.key_id = take(in) % 8;
	c.n_acks = take(in) % 9;
	for (unsigned i = 0; i < c.n_acks; i++)
		c.acks[i] = take(in);
	c.msgid = take(in);
	c.payload_len = take_bytes(in, payload, sizeof(payload));
	c.payload = payload;
	n = peer_forge(s->peer, &c, wire);
	if (n)
		(void)sim_inject(s, wire, n);
}

static void damage_one(struct sim *s, struct input *in)
{
	unsigned which = take(in), at = take(in) * 5u, bit = take(in);

	for (unsigned i = 0; i < SIM_QUEUE; i++) {
		struct sim_datagram *d = &s->queue[(which + i) % SIM_QUEUE];

		if (!d->used || !d->to_client || !d->len)
			continue;
		d->data[at % d->len] ^= (uint8_t)(1u << (bit % 8));
		return;
	}
}

static void operation(struct sim *s, struct input *in)
{
	uint8_t buf[1100], op = take(in);
	size_t n;

	switch (op % 12) {
	case 0:
	case 1:
		(void)sim_run(s, take(in) * 50 * USEC_PER_MSEC, NULL);
		break;
	case 2:
		(void)sim_run(s, take(in) * USEC_PER_SEC, NULL);
		break;
	case 3:
		n = take_bytes(in, buf, sizeof(buf));
		(void)sim_inject(s, buf, n);
		break;
	case 4:
		damage_one(s, in);
		break;
	case 5:
	case 6:
		say(s, in);
		break;
	case 7:
		forge(s, in);
		break;
	case 8:
		peer_rekey(s->peer, s->now);
		break;
	case 9:
		s->loss = take(in) % 60;
		s->dup = take(in) % 30;
		s->jitter = take(in) * 5 * USEC_PER_MSEC;
		s->cut = op & 0x40;
		break;
	case 10:
		(void)sim_send_up(s);
		sim_send_down(s);
		break;
	case 11:
		if (op & 0x80)
			s->client->ops->stop(s->client, s->now);
		else if (s->n_log)
			(void)sim_inject(s, s->log[op % s->n_log], s->log_len[op % s->n_log]);
		break;
	}
}

static void check(struct sim *s)
{
	char *why = NULL;

	require(s->n_failed <= 1 && s->n_after_failed == 0 && s->n_settings <= 1 && s->n_authenticating <= 1);
	require(s->n_settings || (s->n_inner == 0 && peer_stats(s->peer)->n_inner == 0));
	require(!s->n_settings || settings_verify(&s->settings.settings, &why) == 0);
	require(!s->n_failed || (s->failed.text[0] && str_is_clean_utf8(s->failed.text, strlen(s->failed.text))));
	require(!s->n_failed || !sim_send_up(s));
	require(strchr(s->infos, '\x1b') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct remote remote;
	static struct sim s;
	struct input in = { data, size };
	uint8_t mode = take(&in);
	struct profile profile = { .remotes = &remote, .n_remotes = 1 };
	struct peer_config c = { .key = key, .ca = &ca, .cert = &server, .cipher = "AES-128-GCM", .direction = KEY_DIRECTION_BOTH,
				 .push = "topology subnet,ifconfig 10.8.0.2 255.255.255.0,ping 5,ping-restart 30" };
	struct proto_params p = { .profile = &profile, .realtime = fixed_time };
	struct proto *client;
	char *error = NULL;

	once();
	c.wrap = (enum control_wrap)(mode % 3);
	c.ekm = mode & 4;
	c.dyn = mode & 8;
	c.no_push = mode & 16; /* the input does the talking */
	c.token = mode & 32 ? "TOKEN" : NULL;
	profile.ovpn = (struct ovpn_options){ .ca = ca_pem, .ciphers = "AES-128-GCM", .auth = "sha1", .wrap = c.wrap,
					      .static_key = static_key, .key_direction = KEY_DIRECTION_BOTH, .pull = true,
					      .reneg_sec = mode & 64 ? 20 * USEC_PER_SEC : 0, .replay_window = 64,
					      .tran_window = 60 * USEC_PER_SEC, .auth_user_pass = true,
					      .explicit_exit_notify = 2, .mssfix = -1 };
	p.username = username;
	p.password = password;
	require(endpoint_parse("192.0.2.1:1194", &p.server) == 0);
	require(ovpn_client_new(&client, &p, &error) == 0);
	sim_init(&s, client, peer_new(&c), size);
	require(client->ops->start(client, s.now) == 0);
	if (mode & 128)
		(void)sim_run(&s, 2 * USEC_PER_SEC, NULL);
	for (unsigned i = 0; in.left && i < 64; i++)
		operation(&s, &in);
	(void)sim_run(&s, 5 * USEC_PER_SEC, NULL);
	check(&s);
	sim_done(&s);
	return 0;
}
