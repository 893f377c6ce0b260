#include "ovpn-world.h"

#include <string.h>

#include "base/str.h"

static uint8_t static_key[OVPN_KEY_BLOCK_LEN];

struct secret *world_secret(const char *text)
{
	struct secret *s = NULL;

	cr_assert_eq(secret_new_copy(&s, text, strlen(text)), 0);
	return s;
}

void world_init(struct world *w)
{
	static struct remote remotes[2];

	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < sizeof(static_key); i++)
		static_key[i] = (uint8_t)(i * 7 + 3);
	w->ca = pki_make(&(struct pki_spec){ .cn = "Test CA", .use = PKI_USE_CA }, NULL);
	w->other_ca = pki_make(&(struct pki_spec){ .cn = "Other CA", .use = PKI_USE_CA }, NULL);
	w->server = pki_make(&(struct pki_spec){ .cn = "vpn.example.net", .use = PKI_USE_SERVER }, &w->ca);
	w->laptop = pki_make(&(struct pki_spec){ .cn = "laptop", .use = PKI_USE_CLIENT }, &w->ca);
	w->o = &w->profile.ovpn;
	w->profile.remotes = remotes;
	w->profile.n_remotes = 1;
	*w->o = (struct ovpn_options){
		.ca = pki_cert_pem(&w->ca),
		.remote_cert_tls_server = true,
		.key_direction = KEY_DIRECTION_BOTH,
		.hand_window = 60 * USEC_PER_SEC,
		.tls_timeout = 2 * USEC_PER_SEC,
		.reneg_sec = 3600 * USEC_PER_SEC,
		.tran_window = 3600 * USEC_PER_SEC,
		.connect_timeout = 120 * USEC_PER_SEC,
		.ciphers = "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305",
		.auth = "sha1",
		.replay_window = 64,
		.pull = true,
		.mssfix = -1,
	};
	w->peer = (struct peer_config){
		.key = static_key,
		.direction = KEY_DIRECTION_BOTH,
		.ca = &w->ca,
		.cert = &w->server,
		.cipher = "AES-256-GCM",
		.ekm = true,
		.push = WORLD_PUSH,
	};
	w->realtime = PKI_NOW;
}

void world_done(struct world *w)
{
	sim_done(&w->sim);
	secret_free(w->o->ca);
	secret_free(w->o->cert);
	secret_free(w->o->key);
	secret_free(w->o->static_key);
	secret_free(w->o->wkc);
	secret_free(w->username);
	secret_free(w->password);
	secret_free(w->answer);
	secret_free(w->token);
	pki_done(&w->ca);
	pki_done(&w->other_ca);
	pki_done(&w->server);
	pki_done(&w->laptop);
}

void world_set_wrap(struct world *w, enum control_wrap wrap, enum key_direction server)
{
	w->o->wrap = w->peer.wrap = wrap;
	w->peer.direction = server;
	w->o->key_direction = server == KEY_DIRECTION_0 ? KEY_DIRECTION_1 : server == KEY_DIRECTION_1 ? KEY_DIRECTION_0 : server;
	if (wrap != CONTROL_WRAP_NONE && !w->o->static_key)
		cr_assert_eq(secret_new_copy(&w->o->static_key, static_key, sizeof(static_key)), 0);
}

static int64_t realtime(void *userdata)
{
	return ((struct world *)userdata)->realtime;
}

void world_start(struct world *w, uint64_t seed)
{
	struct proto_params p = { .profile = &w->profile, .transport = w->transport, .username = w->username,
				  .password = w->password, .path_mtu = w->path_mtu, .tun_mtu_max = w->tun_mtu_max,
				  .answer = w->answer, .token = w->token, .realtime = realtime, .userdata = w };
	struct proto *client = NULL;
	char *error = NULL;

	cr_assert_eq(endpoint_parse("192.0.2.1:1194", &p.server), 0);
	if (w->waited)
		p.began = SIM_START - w->waited;
	cr_assert_eq(ovpn_client_new(&client, &p, &error), 0, "%s", error);
	sim_init(&w->sim, client, peer_new(&w->peer), seed);
	cr_assert_eq(client->ops->deadline(client), USEC_INFINITY);
	cr_assert_eq(client->ops->start(client, w->sim.now), 0);
}

void world_restart(struct world *w, uint64_t seed)
{
	sim_done(&w->sim);
	world_start(w, seed);
}

void world_up(struct world *w, uint64_t seed)
{
	world_start(w, seed);
	cr_assert(sim_run(&w->sim, 60 * USEC_PER_SEC, sim_is_up), "not up; failed %u: %s; infos %s", w->sim.n_failed,
		  w->sim.failed.text, w->sim.infos);
	cr_assert_eq(w->sim.n_authenticating, 1);
	cr_assert_eq(w->sim.n_failed, 0);
}

void world_exchange(struct world *w, unsigned n, usec_t span)
{
	unsigned up = peer_stats(w->sim.peer)->n_inner, down = w->sim.n_inner;

	for (unsigned i = 0; i < n; i++) {
		cr_assert(sim_send_up(&w->sim));
		sim_send_down(&w->sim);
		(void)sim_run(&w->sim, span / n, NULL);
	}
	(void)sim_run(&w->sim, USEC_PER_SEC, NULL);
	cr_assert_eq(peer_stats(w->sim.peer)->n_inner - up, n, "up: %u of %u (dropped %u)",
		     peer_stats(w->sim.peer)->n_inner - up, n, peer_stats(w->sim.peer)->n_dropped);
	cr_assert_eq(w->sim.n_inner - down, n, "down: %u of %u", w->sim.n_inner - down, n);
}

void world_fails(struct world *w, enum fail_class fail, enum proto_advice advice, const char *part)
{
	world_start(w, 1);
	cr_assert(sim_run(&w->sim, 300 * USEC_PER_SEC, sim_has_failed), "did not fail; infos %s", w->sim.infos);
	(void)sim_run(&w->sim, 300 * USEC_PER_SEC, NULL);
	cr_expect_eq(w->sim.failed.fail, fail, "%s: %s", fail_class_to_string(w->sim.failed.fail), w->sim.failed.text);
	cr_expect_eq(w->sim.failed.advice, advice, "advice %d", w->sim.failed.advice);
	cr_expect(strstr(w->sim.failed.text, part), "\"%s\" lacks \"%s\"", w->sim.failed.text, part);
	cr_expect(str_is_clean_utf8(w->sim.failed.text, strlen(w->sim.failed.text)));
	cr_expect_eq(w->sim.n_failed, 1);
	cr_expect_eq(w->sim.n_settings, 0);
	cr_expect_eq(w->sim.n_after_failed, 0);
	cr_expect_not(sim_send_up(&w->sim));
	cr_expect_eq(w->sim.client->ops->deadline(w->sim.client), USEC_INFINITY);
}
