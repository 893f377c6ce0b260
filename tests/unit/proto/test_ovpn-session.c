/* Keys and their change: soft resets from either side, failures of them, replays and damage on the control channel. */
#include "proto/ovpn-session.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "ovpn-world.h"

static struct world w;

static void make(void)
{
	world_init(&w);
}

static void drop(void)
{
	world_done(&w);
}

TestSuite(ovpn_session, .init = make, .fini = drop, .timeout = 60);

#define RENEG (100 * USEC_PER_SEC)

static void quiet(void)
{
	w.peer.push = "topology subnet,ifconfig 10.8.0.2 255.255.255.0";
}

Test(ovpn_session, renews_keys_when_the_client_wants)
{
	quiet();
	w.o->reneg_sec = RENEG;
	world_up(&w, 1);
	world_exchange(&w, 90, 90 * USEC_PER_SEC);
	cr_assert_eq(w.sim.n_rekeyed, 0);
	world_exchange(&w, 300, 300 * USEC_PER_SEC);
	cr_assert_eq(w.sim.n_rekeyed, 3);
	cr_assert_eq(peer_stats(w.sim.peer)->n_rekeys, 3);
	cr_assert_eq(w.sim.n_failed, 0);
}

Test(ovpn_session, renews_keys_when_the_server_wants)
{
	quiet();
	w.o->reneg_sec = 0;
	world_up(&w, 1);
	for (unsigned i = 1; i <= 9; i++) {
		peer_rekey(w.sim.peer, w.sim.now);
		world_exchange(&w, 100, 100 * USEC_PER_SEC);
		cr_assert_eq(w.sim.n_rekeyed, i);
		/* 1 to 7, then 1 again: 0 never comes back */
		cr_assert_eq(peer_stats(w.sim.peer)->key_id, (i - 1) % 7 + 1);
		cr_assert_eq(peer_stats(w.sim.peer)->last_data_key, (i - 1) % 7 + 1);
	}
}

static unsigned wanted;

static bool has_wanted(struct sim *s)
{
	return s->n_rekeyed == wanted;
}

Test(ovpn_session, renews_keys_when_both_want_at_once)
{
	usec_t generated;

	quiet();
	w.o->reneg_sec = RENEG;
	world_up(&w, 1);
	generated = w.sim.now;
	w.sim.delay = 50 * USEC_PER_MSEC;
	for (wanted = 1; wanted <= 8; wanted++) {
		/* to the very moment at which the client begins; then the server begins as well */
		(void)sim_run(&w.sim, generated + RENEG - w.sim.now, NULL);
		peer_rekey(w.sim.peer, w.sim.now);
		cr_assert(sim_run(&w.sim, 5 * USEC_PER_SEC, has_wanted));
		generated = w.sim.now;
		cr_assert_eq(peer_stats(w.sim.peer)->key_id, (wanted - 1) % 7 + 1);
		world_exchange(&w, 10, 10 * USEC_PER_SEC);
	}
	cr_assert_eq(w.sim.n_failed, 0);
}

Test(ovpn_session, renews_keys_under_dynamic_tls_crypt)
{
	world_done(&w);
	for (unsigned i = 0; i < 6; i++) {
		world_init(&w);
		quiet();
		world_set_wrap(&w, (enum control_wrap)(i % 3), KEY_DIRECTION_0);
		w.peer.dyn = true;
		w.peer.ekm = i / 3;
		w.o->reneg_sec = RENEG;
		world_up(&w, i);
		world_exchange(&w, 250, 250 * USEC_PER_SEC);
		cr_assert_eq(w.sim.n_rekeyed, 2);
		peer_rekey(w.sim.peer, w.sim.now);
		world_exchange(&w, 20, 20 * USEC_PER_SEC);
		cr_assert_eq(w.sim.n_rekeyed, 3);
		world_done(&w);
	}
	world_init(&w);
	world_start(&w, 0);
}

/* Faster than the moment at which sending moves to the new key, with and without renewals of our own in between. */
Test(ovpn_session, keeps_up_with_a_server_that_renews_every_ten_seconds)
{
	static const unsigned own[] = { 0, 3600, 15, 10 };

	world_done(&w);
	for (size_t k = 0; k < ARRAY_SIZE(own); k++) {
		world_init(&w);
		quiet();
		w.o->reneg_sec = own[k] * USEC_PER_SEC;
		world_up(&w, k);
		for (unsigned i = 1; i <= 30; i++) {
			peer_rekey(w.sim.peer, w.sim.now);
			world_exchange(&w, 18, 9 * USEC_PER_SEC);
		}
		cr_assert_geq(w.sim.n_rekeyed, 30, "%u", own[k]);
		cr_assert(w.sim.n_failed == 0 && strstr(w.sim.infos, "failed") == NULL, "%u: %s", own[k], w.sim.infos);
		world_done(&w);
	}
	world_init(&w);
	world_start(&w, 0);
}

/* The soft reset itself gets lost, of either side: it is repeated, and both mean the same key. */
Test(ovpn_session, survives_the_loss_of_a_soft_reset)
{
	quiet();
	w.o->reneg_sec = 0;
	world_up(&w, 1);
	w.sim.cut_to_client = true;
	peer_rekey(w.sim.peer, w.sim.now);
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	w.sim.cut_to_client = false;
	world_exchange(&w, 10, 5 * USEC_PER_SEC);
	cr_assert_eq(w.sim.n_rekeyed, 1);
	w.sim.cut_to_server = true;
	peer_rekey(w.sim.peer, w.sim.now);
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	w.sim.cut_to_server = false;
	world_exchange(&w, 10, 5 * USEC_PER_SEC);
	cr_assert_eq(w.sim.n_rekeyed, 2);
	cr_assert_eq(w.sim.n_failed, 0);
}

Test(ovpn_session, renews_keys_over_a_bad_network)
{
	quiet();
	w.o->reneg_sec = RENEG;
	world_up(&w, 7);
	w.sim.loss = 30;
	w.sim.dup = 20;
	w.sim.jitter = 300 * USEC_PER_MSEC;
	(void)sim_run(&w.sim, 1000 * USEC_PER_SEC, NULL);
	cr_assert_geq(w.sim.n_rekeyed, 5);
	cr_assert_eq(w.sim.n_failed, 0);
	w.sim.loss = w.sim.dup = 0;
	w.sim.jitter = 0;
	(void)sim_run(&w.sim, 20 * USEC_PER_SEC, NULL);
	world_exchange(&w, 10, 10 * USEC_PER_SEC);
}

static bool has_rekeyed(struct sim *s)
{
	return s->n_rekeyed > 0;
}

Test(ovpn_session, sends_with_the_old_key_for_a_while)
{
	quiet();
	w.o->reneg_sec = RENEG; /* the switch comes after min(60, 50) s */
	world_up(&w, 1);
	cr_assert(sim_run(&w.sim, 110 * USEC_PER_SEC, has_rekeyed));
	for (unsigned i = 0; i < 40; i++) {
		cr_assert(sim_send_up(&w.sim));
		(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	}
	cr_assert_eq(peer_stats(w.sim.peer)->last_data_key, 0);
	(void)sim_run(&w.sim, 11 * USEC_PER_SEC, NULL);
	cr_assert(sim_send_up(&w.sim));
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	cr_assert_eq(peer_stats(w.sim.peer)->last_data_key, 1);
	cr_assert_eq(peer_stats(w.sim.peer)->n_inner, 41);
}

Test(ovpn_session, sends_with_the_new_key_once_the_server_does)
{
	quiet();
	w.o->reneg_sec = RENEG;
	world_up(&w, 1);
	cr_assert(sim_run(&w.sim, 110 * USEC_PER_SEC, has_rekeyed));
	world_exchange(&w, 2, 2 * USEC_PER_SEC);
	cr_assert_eq(peer_stats(w.sim.peer)->last_data_key, 0);
	(void)sim_run(&w.sim, 5 * USEC_PER_SEC, NULL); /* the server of the tests waits that long */
	world_exchange(&w, 2, 2 * USEC_PER_SEC);
	cr_assert_eq(peer_stats(w.sim.peer)->last_data_key, 1);
}

Test(ovpn_session, renews_by_volume)
{
	quiet();
	w.o->reneg_sec = 0;
	w.o->reneg_bytes = 10000;
	world_up(&w, 1);
	world_exchange(&w, 60, 60 * USEC_PER_SEC);
	cr_assert_eq(w.sim.n_rekeyed, 1);
	world_done(&w);
	world_init(&w);
	quiet();
	w.o->reneg_sec = 0;
	w.o->reneg_pkts = 20;
	world_up(&w, 1);
	world_exchange(&w, 15, 15 * USEC_PER_SEC);
	cr_assert_eq(w.sim.n_rekeyed, 1);
}

Test(ovpn_session, a_tiny_volume_is_no_handshake_loop)
{
	quiet();
	w.o->reneg_sec = 0;
	w.o->reneg_pkts = 1;
	world_up(&w, 1);
	world_exchange(&w, 290, 29 * USEC_PER_SEC);
	cr_assert(w.sim.n_rekeyed >= 2 && w.sim.n_rekeyed <= 3, "%u", w.sim.n_rekeyed);
	cr_assert_eq(w.sim.n_failed, 0);
}

Test(ovpn_session, a_failed_renewal_keeps_the_old_key_and_is_tried_again)
{
	quiet();
	w.o->reneg_sec = RENEG;
	world_up(&w, 1);
	(void)sim_run(&w.sim, 99 * USEC_PER_SEC, NULL);
	w.sim.cut_to_server = true;
	(void)sim_run(&w.sim, 65 * USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_rekeyed, 0);
	cr_assert(strstr(w.sim.infos, "renewing the data keys failed"));
	w.sim.cut_to_server = false;
	world_exchange(&w, 10, 5 * USEC_PER_SEC);
	cr_assert(sim_run(&w.sim, 30 * USEC_PER_SEC, has_rekeyed));
	world_exchange(&w, 100, 90 * USEC_PER_SEC);
	cr_assert_eq(w.sim.n_failed, 0);
}

Test(ovpn_session, ends_when_the_old_key_dies_without_successor)
{
	quiet();
	w.o->reneg_sec = RENEG;
	w.o->tran_window = 200 * USEC_PER_SEC;
	world_up(&w, 1);
	w.sim.cut = true;
	cr_assert_not(sim_run(&w.sim, 295 * USEC_PER_SEC, sim_has_failed));
	cr_assert(sim_run(&w.sim, 10 * USEC_PER_SEC, sim_has_failed));
	cr_assert_eq(w.sim.failed.fail, FAIL_TIMEOUT);
	cr_assert_eq(w.sim.failed.advice, PROTO_ADVICE_RETRY);
	cr_assert_not(sim_send_up(&w.sim));
}

Test(ovpn_session, the_lame_key_dies_after_its_time)
{
	uint8_t ip[100] = { 0x45 }, wire[300];
	size_t n;

	quiet();
	ip[3] = 100;
	w.o->reneg_sec = RENEG;
	w.o->tran_window = 80 * USEC_PER_SEC;
	world_up(&w, 1);
	n = peer_seal(w.sim.peer, ip, sizeof(ip), wire, w.sim.now);
	(void)sim_run(&w.sim, 190 * USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_rekeyed, 1);
	cr_assert_eq(sim_inject(&w.sim, wire, n), -VERDICT_DROP_KEY_ID);
	world_exchange(&w, 5, USEC_PER_SEC);
}

Test(ovpn_session, uses_the_token_from_then_on)
{
	quiet();
	w.o->auth_user_pass = true;
	w.username = world_secret("anna");
	w.password = world_secret("secret");
	w.peer.username = "anna";
	w.peer.password = "secret";
	w.peer.token = "SESS_ID_AT_abc";
	w.o->reneg_sec = RENEG;
	world_up(&w, 1);
	cr_assert_str_eq(peer_stats(w.sim.peer)->password, "secret");
	(void)sim_run(&w.sim, 110 * USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_rekeyed, 1);
	cr_assert_str_eq(peer_stats(w.sim.peer)->password, "SESS_ID_AT_abc");
	cr_assert_null(strstr(w.sim.infos, "SESS_ID"));
	/* a roll-over changes the token and nothing else */
	peer_say(w.sim.peer, "PUSH_REPLY,auth-token SESS_ID_AT_def,ifconfig 1.2.3.4 255.255.255.0");
	(void)sim_run(&w.sim, 110 * USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_settings, 1);
	cr_assert_str_eq(peer_stats(w.sim.peer)->password, "SESS_ID_AT_def");
	/* which this server does not know: the token has expired, the password is fine */
	cr_assert_eq(w.sim.n_failed, 1);
	cr_assert_eq(w.sim.failed.fail, FAIL_AUTH);
	cr_assert_eq(w.sim.failed.advice, PROTO_ADVICE_SAME);
}

Test(ovpn_session, lives_on_its_data_keys_when_tls_is_closed)
{
	quiet();
	w.o->reneg_sec = RENEG;
	world_up(&w, 1);
	cr_assert(sim_run(&w.sim, 110 * USEC_PER_SEC, has_rekeyed));
	(void)sim_run(&w.sim, 60 * USEC_PER_SEC, NULL);
	peer_close_tls(w.sim.peer);
	world_exchange(&w, 10, 10 * USEC_PER_SEC);
	cr_assert_eq(peer_stats(w.sim.peer)->last_data_key, 1);
	/* and the next renewal is a new TLS session */
	(void)sim_run(&w.sim, RENEG, NULL);
	cr_assert_eq(w.sim.n_rekeyed, 2);
	world_exchange(&w, 10, 10 * USEC_PER_SEC);
}

Test(ovpn_session, says_why_a_renewal_failed)
{
	quiet();
	w.o->reneg_sec = RENEG;
	world_up(&w, 1);
	w.realtime = PKI_NOW + 40 * PKI_DAY; /* the certificates have expired meanwhile */
	(void)sim_run(&w.sim, RENEG + 5 * USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_rekeyed, 0);
	cr_assert(strstr(w.sim.infos, "renewing the data keys failed (the ") &&
		  strstr(w.sim.infos, "expired on"));
	world_exchange(&w, 5, USEC_PER_SEC);
}

/* ---- damage and replays ---- */

Test(ovpn_session, replayed_control_packets_change_nothing)
{
	world_done(&w);
	for (unsigned i = 0; i < 3; i++) {
		unsigned n;

		world_init(&w);
		world_set_wrap(&w, (enum control_wrap)i, KEY_DIRECTION_0);
		world_up(&w, 1);
		(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
		n = w.sim.n_log;
		for (unsigned k = 0; k < 2 * n; k++)
			if (!ovpn_opcode_is_data(w.sim.log[k % n][0] >> 3))
				cr_expect_leq(sim_inject(&w.sim, w.sim.log[k % n], w.sim.log_len[k % n]), 0);
		(void)sim_run(&w.sim, 5 * USEC_PER_SEC, NULL);
		cr_assert(w.sim.n_settings == 1 && w.sim.n_failed == 0 && w.sim.n_rekeyed == 0);
		world_exchange(&w, 5, USEC_PER_SEC);
		world_done(&w);
	}
	world_init(&w);
	world_start(&w, 0);
}

/* Each packet of a handshake is preceded by damaged copies of itself: every byte, one bit of each. */
static void damage(enum control_wrap wrap)
{
	world_set_wrap(&w, wrap, KEY_DIRECTION_0);
	world_start(&w, 1);
	while (!sim_is_up(&w.sim) && !sim_has_failed(&w.sim)) {
		for (unsigned i = 0; i < SIM_QUEUE; i++) {
			struct sim_datagram *d = &w.sim.queue[i];

			if (!d->used || !d->to_client)
				continue;
			for (size_t k = 0; k < d->len; k++) {
				/* without a wrap only session ids, acks and ids are protected: by being unguessable or known */
				if (wrap == CONTROL_WRAP_NONE && (k == 0 || k >= 9))
					break;
				d->data[k] ^= (uint8_t)(1u << (k % 8));
				cr_assert_lt(sim_inject(&w.sim, d->data, d->len), 0, "byte %zu", k);
				d->data[k] ^= (uint8_t)(1u << (k % 8));
			}
		}
		(void)sim_run(&w.sim, USEC_PER_MSEC, NULL);
	}
	cr_assert_eq(w.sim.n_failed, 0);
	cr_assert_eq(w.sim.n_settings, 1);
}

Test(ovpn_session, damaged_packets_change_nothing_with_tls_auth)
{
	damage(CONTROL_WRAP_TLS_AUTH);
	world_exchange(&w, 5, USEC_PER_SEC);
}

Test(ovpn_session, damaged_packets_change_nothing_with_tls_crypt)
{
	damage(CONTROL_WRAP_TLS_CRYPT);
	world_exchange(&w, 5, USEC_PER_SEC);
}

Test(ovpn_session, rejects_what_no_server_sends)
{
	static const uint8_t opcodes[] = { 0, 1, 2, 7, 10, 11, 12, 31 };
	uint8_t packet[64] = { 0 };

	world_start(&w, 1);
	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		packet[0] = (uint8_t)(opcodes[i] << 3);
		cr_expect_eq(sim_inject(&w.sim, packet, sizeof(packet)), -VERDICT_DROP_OPCODE, "%u", opcodes[i]);
	}
	packet[0] = OVPN_OP_HARD_RESET_SERVER_V2 << 3;
	for (size_t len = 0; len < 14; len++)
		cr_expect_lt(sim_inject(&w.sim, packet, len), 0);
	packet[0] = OVPN_OP_SOFT_RESET_V1 << 3 | 1;
	cr_expect_eq(sim_inject(&w.sim, packet, sizeof(packet)), -VERDICT_DROP_KEY_ID);
}

/* A hard reset of a stranger who does not know our session id, and of one who guesses. */
Test(ovpn_session, does_not_believe_a_foreign_server)
{
	struct ovpn_control c = { .opcode = OVPN_OP_HARD_RESET_SERVER_V2, .sid = { { 1 } } };
	uint8_t packet[64];
	size_t n;

	world_start(&w, 1);
	cr_assert_eq(ovpn_packet_build(&c, packet, sizeof(packet), &n), 0);
	cr_assert_eq(sim_inject(&w.sim, packet, n), -VERDICT_DROP_SESSION);
	c.n_acks = 1;
	c.peer_sid.id[0] = 9;
	cr_assert_eq(ovpn_packet_build(&c, packet, sizeof(packet), &n), 0);
	cr_assert_eq(sim_inject(&w.sim, packet, n), -VERDICT_DROP_SESSION);
	cr_assert(sim_run(&w.sim, 60 * USEC_PER_SEC, sim_is_up));
}

Test(ovpn_session, repeats_its_reset_unchanged)
{
	uint8_t first[64], again[64];
	size_t n;

	world_start(&w, 1);
	w.sim.cut = true;
	n = w.sim.client->ops->next_wire(w.sim.client, first, w.sim.now);
	cr_assert_eq(n, 14);
	cr_assert_eq(first[0], OVPN_OP_HARD_RESET_CLIENT_V2 << 3);
	for (unsigned i = 0; i < 3; i++) {
		w.sim.now = w.sim.client->ops->deadline(w.sim.client);
		w.sim.client->ops->tick(w.sim.client, w.sim.now);
		cr_assert_eq(w.sim.client->ops->next_wire(w.sim.client, again, w.sim.now), n);
		cr_assert_arr_eq(first, again, n);
		cr_assert_eq(w.sim.client->ops->next_wire(w.sim.client, again, w.sim.now), 0);
	}
}

Test(ovpn_session, keeps_control_packets_small)
{
	world_set_wrap(&w, CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_0);
	w.o->auth = (char *)(w.peer.digest = "sha512");
	w.o->auth_user_pass = true;
	w.username = world_secret("u");
	w.password = world_secret("a password of some length, as tokens of identity providers have it");
	w.sim.now = 0;
	world_start(&w, 1);
	for (unsigned i = 0; i < 200 && !w.sim.n_settings; i++) {
		(void)sim_run(&w.sim, USEC_PER_MSEC, NULL);
		for (unsigned k = 0; k < SIM_QUEUE; k++)
			cr_assert(w.sim.queue[k].to_client || !w.sim.queue[k].used || w.sim.queue[k].len <= 1250 - 28);
	}
	cr_assert_eq(w.sim.n_settings, 1);
}

/* ---- tls-crypt-v2 ---- */

static void give_wkc(size_t len)
{
	uint8_t bytes[1100];

	memset(bytes, 0x77, sizeof(bytes));
	world_set_wrap(&w, CONTROL_WRAP_TLS_CRYPT, KEY_DIRECTION_BOTH);
	cr_assert_eq(secret_new_copy(&w.o->wkc, bytes, len), 0);
	w.peer.wkc = w.o->wkc;
}

Test(ovpn_session, a_wrapped_key_follows_the_reset)
{
	uint8_t first[1300], again[1300];
	size_t n;

	give_wkc(299);
	world_start(&w, 1);
	n = w.sim.client->ops->next_wire(w.sim.client, first, w.sim.now);
	cr_assert_eq(n, 14 + 40 + 299);
	cr_assert_eq(first[0], OVPN_OP_HARD_RESET_CLIENT_V3 << 3);
	cr_assert_arr_eq(first + 9, "\x0f\0\0\0", 4);
	cr_assert_arr_eq(first + n - 299, secret_bytes(w.o->wkc), 299);
	/* Repeated with the same session id, another packet id, and the wrapped key again. */
	w.sim.now = w.sim.client->ops->deadline(w.sim.client);
	w.sim.client->ops->tick(w.sim.client, w.sim.now);
	cr_assert_eq(w.sim.client->ops->next_wire(w.sim.client, again, w.sim.now), n);
	cr_assert_arr_eq(first, again, 9);
	cr_assert_arr_eq(again + 9, "\x0f\0\0\1", 4);
	cr_assert_arr_eq(again + n - 299, secret_bytes(w.o->wkc), 299);
}

Test(ovpn_session, connects_with_a_wrapped_key)
{
	/* Servers that keep it, servers that forget it; the shortest key and the longest. */
	static const size_t lens[] = { 291, 1024 };

	world_done(&w);
	for (unsigned i = 0; i < 16; i++) {
		world_init(&w);
		give_wkc(lens[i / 2 % 2]);
		w.peer.resend_wkc = i & 1;
		w.peer.dyn = i & 4;
		w.o->reneg_sec = 30 * USEC_PER_SEC;
		world_start(&w, i);
		w.sim.loss = w.sim.dup = i & 8 ? 25 : 0;
		cr_assert(sim_run(&w.sim, 60 * USEC_PER_SEC, sim_is_up), "row %u: %s", i, w.sim.failed.text);
		cr_assert_geq(peer_stats(w.sim.peer)->n_wkc, w.peer.resend_wkc ? 2 : 1);
		w.sim.loss = w.sim.dup = 0;
		(void)sim_run(&w.sim, 45 * USEC_PER_SEC, NULL);
		cr_assert_geq(peer_stats(w.sim.peer)->n_rekeys, 1);
		world_exchange(&w, 3, USEC_PER_SEC);
		world_done(&w);
	}
	world_init(&w);
	world_start(&w, 0); /* for drop() */
}

Test(ovpn_session, packets_with_a_wrapped_key_are_small)
{
	give_wkc(1024);
	w.peer.resend_wkc = true;
	world_start(&w, 1);
	for (unsigned i = 0; i < 200 && !w.sim.n_settings; i++) {
		(void)sim_run(&w.sim, USEC_PER_MSEC, NULL);
		for (unsigned k = 0; k < SIM_QUEUE; k++)
			cr_assert(w.sim.queue[k].to_client || !w.sim.queue[k].used || w.sim.queue[k].len <= 1250 - 28);
	}
	cr_assert_eq(w.sim.n_settings, 1);
}

Test(ovpn_session, a_damaged_early_negotiation_ends_it)
{
	give_wkc(299);
	w.peer.early = "\0\1\0\2\0";
	w.peer.early_len = 5;
	world_fails(&w, FAIL_TLS, PROTO_ADVICE_RETRY, "makes no sense");
}

Test(ovpn_session, early_negotiation_is_nothing_to_other_keys)
{
	world_set_wrap(&w, CONTROL_WRAP_TLS_CRYPT, KEY_DIRECTION_BOTH);
	w.peer.early = "\0\1\0\2\0";
	w.peer.early_len = 5;
	world_up(&w, 1);
}

/* What waits to be sent belongs to the key that sends it: sanitizers see the bytes of one that has gone. */
Test(ovpn_session, a_renewal_at_every_step_leaves_nothing_stale)
{
	world_done(&w);
	for (unsigned step = 0; step < 90; step++) {
		world_init(&w);
		quiet();
		w.peer.dyn = step & 1;
		w.o->reneg_sec = step % 3 ? 0 : 2 * USEC_PER_SEC;
		world_start(&w, step);
		w.sim.loss = step % 4 == 3 ? 20 : 0;
		for (unsigned i = 0; i < 6; i++) {
			(void)sim_run(&w.sim, (step * 7 + 1) * USEC_PER_MSEC, NULL);
			peer_rekey(w.sim.peer, w.sim.now);
		}
		w.sim.loss = 0;
		(void)sim_run(&w.sim, 30 * USEC_PER_SEC, NULL);
		cr_assert_eq(w.sim.n_failed, 0, "step %u: %s", step, w.sim.failed.text);
		world_exchange(&w, 3, USEC_PER_SEC);
		if (step % 2)
			w.sim.client->ops->stop(w.sim.client, w.sim.now);
		world_done(&w);
	}
	world_init(&w);
	world_start(&w, 0); /* for drop() */
}

Test(ovpn_session, a_first_answer_with_a_wrong_number_is_none)
{
	struct ovpn_control c = { .opcode = OVPN_OP_HARD_RESET_SERVER_V2, .n_acks = 1 };
	uint8_t wire[256];
	size_t n;

	world_set_wrap(&w, CONTROL_WRAP_TLS_CRYPT, KEY_DIRECTION_BOTH);
	world_start(&w, 1);
	w.sim.cut_to_client = true; /* the server gets to know the client, whose first answer is ours */
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	w.sim.cut_to_client = false;
	for (uint32_t id = 1; id < 20; id++) {
		c.msgid = id;
		n = peer_forge(w.sim.peer, &c, wire);
		cr_assert_gt(n, 0);
		cr_assert_eq(sim_inject(&w.sim, wire, n), -VERDICT_DROP_MALFORMED);
	}
	cr_assert_eq(w.sim.n_authenticating, 0);
	cr_assert_eq(w.sim.n_failed, 0);
	cr_assert(sim_run(&w.sim, 60 * USEC_PER_SEC, sim_is_up), "%s", w.sim.failed.text);
}

Test(ovpn_session, names_its_states)
{
	for (unsigned i = 0; i < _OVPN_KEY_STATE_MAX; i++)
		cr_assert_not_null(ovpn_key_state_to_string((enum ovpn_key_state)i));
	cr_assert_str_eq(ovpn_key_state_to_string((enum ovpn_key_state)99), "unknown");
}
