/*
 * The whole client against a server in memory whose network, clock and mouth the input controls: raw datagrams, damaged
 * ones, well-wrapped nonsense, inner packets under the right key, control messages inside TLS, renegotiations, silence. TLS is
 * real, so the deep states are reached; its randomness makes runs differ a little, the properties must hold in all of them:
 *
 *   at most one FAILED event and nothing behind it; all SETTINGS verified; no inner packet, either way, before they are applied
 *   or after the end; time always moves on (the simulation aborts otherwise).
 *
 * First byte: wrap, derivation and start state. Second byte: what is pushed and what kind of session it is (setup()). Third
 * byte: what is wrong with the server (misfit()). Then operations of one byte and their arguments.
 */
#include "lib/pki.c"
#undef MUST /* both files have their own */
#include "unit/proto/ovpn-peer.c"

#include "crypto/tls.h"
#include "proto/ovpn-login.h"

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

static struct pki ca, server, stranger, expired;
static struct secret *ca_pem, *static_key, *username, *password, *wkc;
static uint8_t key[OVPN_KEY_BLOCK_LEN];

static void once(void)
{
	if (ca_pem)
		return;
	require(CRYPTO_set_mem_functions(plain_malloc, plain_realloc, plain_free) == 1);
	require(tls_init() == 0);
	ca = pki_make(&(struct pki_spec){ .cn = "CA", .use = PKI_USE_CA }, NULL);
	server = pki_make(&(struct pki_spec){ .cn = "server", .use = PKI_USE_SERVER }, &ca);
	stranger = pki_make(&(struct pki_spec){ .cn = "server", .use = PKI_USE_SERVER }, NULL);
	expired = pki_make(&(struct pki_spec){ .cn = "server", .use = PKI_USE_SERVER, .until = PKI_NOW - PKI_DAY }, &ca);
	ca_pem = pki_cert_pem(&ca);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	require(secret_new_copy(&static_key, key, sizeof(key)) == 0);
	require(secret_new(&wkc, 291) == 0);
	memset(secret_data(wkc), 0xc5, 289);
	memcpy((char *)secret_data(wkc) + 289, "\x01\x23", 2); /* its own length */
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

/* Anything, sealed by the server with its newest key. */
static void seal(struct sim *s, struct input *in)
{
	uint8_t inner[1024], wire[2200];
	size_t len = take_bytes(in, inner, sizeof(inner)), n = peer_seal(s->peer, inner, len, wire, s->now);

	if (n)
		(void)sim_inject(s, wire, n);
}

static void answer(struct sim *s, struct input *in)
{
	uint8_t text[OVPN_ANSWER_MAX + 100];
	size_t len = take_bytes(in, text, sizeof(text));
	struct secret *answer;

	require(secret_new_copy(&answer, text, len) == 0);
	(void)s->client->ops->answer(s->client, answer, s->now); /* whatever it says */
	secret_free(answer);
}

static void operation(struct sim *s, struct input *in)
{
	uint8_t buf[1100], op = take(in);
	size_t n;

	switch (op & 15) {
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
	case 12:
		answer(s, in);
		break;
	case 13:
		s->hold_settings = op & 0x20;
		s->refuse_settings = op & 0x40;
		if (s->n_settings)
			s->client->ops->settings_applied(s->client, op & 0x80, s->now);
		break;
	case 14:
		peer_close_tls(s->peer);
		break;
	case 15:
		seal(s, in);
		break;
	}
}

static void check(struct sim *s)
{
	char *why = NULL;

	require(s->n_failed <= 1 && s->n_after_failed == 0 && s->n_authenticating <= 1);
	require(s->n_settings || (s->n_inner == 0 && peer_stats(s->peer)->n_inner == 0));
	require(!s->n_settings || settings_verify(&s->settings.settings, &why) == 0);
	require(!s->n_failed || (s->failed.text[0] && str_is_clean_utf8(s->failed.text, strlen(s->failed.text))));
	require(!s->n_failed || !sim_send_up(s));
	require(strchr(s->infos, '\x1b') == NULL);
}

/* What is left to take when a session is over. */
static void leave(struct sim *s)
{
	struct proto_challenge challenge;
	struct secret *user = NULL, *token = NULL;

	(void)s->client->ops->mss_packet_max(s->client);
	s->client->ops->take_token(s->client, &user, &token);
	secret_free(user);
	secret_free(token);
	if (s->n_failed && s->client->ops->take_challenge(s->client, &challenge)) {
		require(str_is_clean_utf8(challenge.text, strlen(challenge.text)));
		proto_challenge_done(&challenge);
	}
}

/* Servers that do not fit, or stop somewhere. */
static void misfit(struct peer_config *c, uint8_t which)
{
	static const uint8_t other_key[OVPN_KEY_BLOCK_LEN] = { 1 };

	switch (which) {
	case 1:
		c->cert = &stranger;
		break;
	case 2:
		c->no_tls = true;
		break;
	case 3:
		c->no_exchange = true;
		break;
	case 4:
		c->key = other_key;
		break;
	case 5:
		c->tls_max = TLS1_1_VERSION;
		break;
	case 6:
		c->want_client_cert = true;
		break;
	case 7:
		c->early = "\x00\x01\x00\x01";
		c->early_len = 4;
		break;
	case 8:
		c->no_cipher = true;
		c->occ = "V4,dev-type tun,cipher BF-CBC,tls-server";
		break;
	case 9:
		c->push_unasked = true;
		break;
	case 10:
		c->on_request = "AUTH_PENDING,timeout 20";
		break;
	case 11:
		c->push2 = "route 10.0.0.0 255.0.0.0";
		break;
	case 12:
		c->cert = &expired;
		break;
	case 13:
		c->data_v1 = true;
		break;
	default:
		break;
	}
}

static void setup(struct peer_config *c, struct ovpn_options *o, struct proto_params *p, uint8_t mode, uint8_t more)
{
	static const char *const pushes[] = {
		"topology subnet,ifconfig 10.8.0.2 255.255.255.0,ping 5,ping-restart 30",
		"ifconfig 10.8.0.6 10.8.0.5,ifconfig-ipv6 2001:db8::2/64 2001:db8::1,ping 3,ping-exit 20,explicit-exit-notify 2,"
		"redirect-gateway def1 ipv6,dhcp-option DNS 192.0.2.53",
		"topology subnet,ifconfig 10.8.0.2 255.255.255.0,session-timeout 100,auth-token SESS,"
		"auth-token-user dXNlcg==",
		"topology subnet,ifconfig 10.8.0.2 255.255.255.0,comp-lzo yes,tun-mtu 1400,inactive 10 1000",
	};
	static char question[] = "Code?";

	*c = (struct peer_config){ .key = key, .ca = &ca, .cert = &server, .cipher = more & 8 ? "AES-256-CBC" : "AES-128-GCM",
				   .direction = KEY_DIRECTION_BOTH, .push = pushes[more & 3], .wrap = (enum control_wrap)(mode % 3),
				   .ekm = mode & 4, .dyn = mode & 8, .token = mode & 32 ? "TOKEN" : NULL };
	c->no_push = mode & 16; /* the input does the talking */
	c->epoch = c->ekm && (more & 12) == 4;
	c->fragment = (more & 8) && (more & 4);
	c->cc_exit = mode & 4;
	*o = (struct ovpn_options){ .ca = ca_pem, .ciphers = more & 8 ? "AES-256-CBC" : "AES-128-GCM", .auth = "sha1",
				    .wrap = c->wrap, .static_key = static_key, .key_direction = KEY_DIRECTION_BOTH, .pull = true,
				    .reneg_sec = mode & 64 ? 20 * USEC_PER_SEC : 0, .replay_window = 64,
				    .tran_window = 60 * USEC_PER_SEC, .hand_window = 30 * USEC_PER_SEC,
				    .tls_timeout = USEC_PER_SEC, .remote_cert_tls_server = true, .auth_user_pass = true,
				    .explicit_exit_notify = 2, .mssfix = -1, .fragment = c->fragment ? 1300 : 0 };
	if (more & 16)
		p->transport = TRANSPORT_TCP;
	if (more & 32) { /* two equal sides */
		o->pull = false;
		require(inaddr_parse("10.8.0.2", &o->ifconfig4.addr) == 0 && inaddr_parse("10.8.0.1", &o->ifconfig4_peer) == 0);
		o->ifconfig4.len = 32;
		c->no_push = true;
		c->info = "IV_PROTO=682\nIV_CIPHERS=AES-128-GCM:AES-256-CBC\n";
	}
	if (more & 64) { /* a question of the profile, and limits that are soon reached */
		o->static_challenge = question;
		p->answer = password;
		o->reneg_pkts = 20;
		o->reneg_bytes = 4000;
		o->push_peer_info = true;
	}
	if (more & 128) { /* tls-crypt-v2 */
		c->wrap = o->wrap = CONTROL_WRAP_TLS_CRYPT;
		c->wkc = o->wkc = wkc;
		c->resend_wkc = mode & 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct remote remote;
	static struct sim s;
	struct input in = { data, size };
	uint8_t mode = take(&in), more = take(&in), odd = take(&in);
	struct profile profile = { .remotes = &remote, .n_remotes = 1 };
	struct peer_config c;
	struct proto_params p = { .profile = &profile, .realtime = fixed_time };
	struct proto *client;
	char *error = NULL;

	once();
	setup(&c, &profile.ovpn, &p, mode, more);
	misfit(&c, odd);
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
	leave(&s);
	sim_done(&s);
	return 0;
}
