/* Whole connections against a server in memory: every way to get up, and every way not to. */
#include "ovpn-world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-data.h"

static struct world w;

static void make(void)
{
	world_init(&w);
}

static void drop(void)
{
	world_done(&w);
}

TestSuite(ovpn_client, .init = make, .fini = drop, .timeout = 60);

/* ---- getting up ---- */

struct handshake {
	enum control_wrap wrap;
	enum key_direction server;
	int tls_max;
	bool ekm;
	const char *cipher, *digest;
};

Test(ovpn_client, connects_in_every_combination)
{
	static const struct handshake wraps[] = {
		{ CONTROL_WRAP_NONE, KEY_DIRECTION_BOTH, 0, false, NULL, NULL },
		{ CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_0, 0, false, NULL, "sha1" },
		{ CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_1, 0, false, NULL, "sha256" },
		{ CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_BOTH, 0, false, NULL, "sha512" },
		{ CONTROL_WRAP_TLS_CRYPT, KEY_DIRECTION_BOTH, 0, false, NULL, NULL },
	};
	static const char *const ciphers[] = { "AES-256-GCM", "CHACHA20-POLY1305", "AES-128-CBC" };

	world_done(&w);
	for (unsigned i = 0; i < ARRAY_SIZE(wraps) * 2 * 2 * 3; i++) {
		const struct handshake *h = &wraps[i / 12];

		world_init(&w);
		world_set_wrap(&w, h->wrap, h->server);
		if (h->digest)
			w.o->auth = (char *)(w.peer.digest = h->digest);
		w.peer.tls_max = i % 2 ? 0x0303 : 0;
		w.peer.ekm = i / 2 % 2;
		w.peer.cipher = ciphers[i / 4 % 3];
		w.o->ciphers = (char *)"AES-256-GCM:CHACHA20-POLY1305:AES-128-CBC";
		world_up(&w, i);
		cr_assert_str_eq(w.sim.settings.cipher, w.peer.cipher);
		world_exchange(&w, 3, USEC_PER_SEC);
		world_done(&w);
	}
	world_init(&w);
	world_start(&w, 0); /* for drop() */
}

Test(ovpn_client, reports_typed_settings)
{
	w.peer.push = WORLD_PUSH ",redirect-gateway def1,dhcp-option DNS 10.8.0.1,tun-mtu 1400,no-such-option x";
	world_up(&w, 1);
	cr_assert_eq(w.sim.settings.settings.n_addrs, 1);
	cr_assert(w.sim.settings.settings.default4);
	cr_assert_eq(w.sim.settings.settings.mtu, 1400);
	cr_assert_eq(w.sim.settings.settings.n_dns, 1);
	cr_assert(strstr(w.sim.infos, "no-such-option"));
	cr_assert(peer_stats(w.sim.peer)->last_data_key == 0 && peer_stats(w.sim.peer)->n_push_requests >= 1);
}

Test(ovpn_client, tells_the_truth_about_itself)
{
	const struct peer_stats *s;

	world_set_wrap(&w, CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_0);
	world_up(&w, 1);
	s = peer_stats(w.sim.peer);
	cr_assert_str_eq(s->occ, "V4,dev-type tun,link-mtu 1549,tun-mtu 1500,proto UDPv4,keydir 1,cipher AES-256-GCM,"
				 "auth [null-digest],keysize 256,tls-auth,key-method 2,tls-client");
	cr_assert(strstr(s->peer_info, "IV_PROTO=8094\n"));
	cr_assert_str_eq(s->username, "");
}

Test(ovpn_client, speaks_fragment_where_the_profile_does)
{
	w.o->fragment = 1300;
	w.peer.fragment = true;
	world_up(&w, 1);
	world_exchange(&w, 5, USEC_PER_SEC);
	cr_assert(strstr(peer_stats(w.sim.peer)->occ, ",mtu-dynamic,"), "%s", peer_stats(w.sim.peer)->occ);
	/* 1300 - 24 - 4: nothing that the device takes has to be cut */
	cr_assert_eq(w.sim.settings.settings.mtu, 1272);
	cr_assert_eq(w.sim.client->ops->mss_packet_max(w.sim.client), 1272);
}

Test(ovpn_client, uses_epoch_keys_where_the_server_does)
{
	w.peer.epoch = true;
	w.o->reneg_sec = 30 * USEC_PER_SEC;
	world_up(&w, 1);
	world_exchange(&w, 5, USEC_PER_SEC);
	cr_assert_eq(w.sim.settings.settings.mtu, 1500 - 28 - 28);
	(void)sim_run(&w.sim, 45 * USEC_PER_SEC, NULL);
	cr_assert_geq(peer_stats(w.sim.peer)->n_rekeys, 1);
	world_exchange(&w, 5, USEC_PER_SEC);
}

Test(ovpn_client, refuses_epoch_keys_without_what_they_need)
{
	w.peer.epoch = true;
	w.peer.ekm = false;
	world_fails(&w, FAIL_NEGOTIATION, PROTO_ADVICE_GIVE_UP, "aead-epoch");
}

Test(ovpn_client, sends_user_name_and_password)
{
	w.o->auth_user_pass = true;
	w.username = world_secret("anna");
	w.password = world_secret("geheim \xc3\xbc");
	w.peer.username = "anna";
	w.peer.password = "geheim \xc3\xbc";
	world_up(&w, 1);
}

Test(ovpn_client, shows_its_certificate)
{
	w.peer.want_client_cert = true;
	w.o->cert = pki_cert_pem(&w.laptop);
	w.o->key = pki_key_pem(&w.laptop, NULL);
	world_up(&w, 1);
	world_exchange(&w, 3, USEC_PER_SEC);
}

Test(ovpn_client, takes_a_push_in_parts_and_one_it_did_not_ask_for)
{
	w.peer.push2 = "route 192.168.9.0 255.255.255.0";
	w.peer.push_unasked = true;
	world_up(&w, 1);
	cr_assert_eq(w.sim.settings.settings.n_routes, 1);
	world_exchange(&w, 3, USEC_PER_SEC);
}

Test(ovpn_client, speaks_data_v1_without_a_peer_id)
{
	w.peer.data_v1 = true;
	world_up(&w, 1);
	world_exchange(&w, 3, USEC_PER_SEC);
	cr_assert_not(peer_stats(w.sim.peer)->last_was_v2);
}

Test(ovpn_client, speaks_data_v2_with_a_peer_id)
{
	world_up(&w, 1);
	world_exchange(&w, 3, USEC_PER_SEC);
	cr_assert(peer_stats(w.sim.peer)->last_was_v2);
}

Test(ovpn_client, uses_the_servers_cipher_when_none_is_pushed)
{
	w.peer.no_cipher = true;
	w.peer.cipher = "AES-128-GCM";
	w.peer.occ = "V4,dev-type tun,cipher AES-128-GCM,auth [null-digest],tls-server";
	world_up(&w, 1);
	cr_assert_str_eq(w.sim.settings.cipher, "AES-128-GCM");
	world_exchange(&w, 3, USEC_PER_SEC);
}

Test(ovpn_client, uses_the_fallback_for_a_server_that_says_nothing)
{
	w.peer.no_cipher = true;
	w.o->cipher_fallback = "AES-256-GCM";
	world_up(&w, 1);
	world_exchange(&w, 3, USEC_PER_SEC);
}

Test(ovpn_client, converges_over_bad_networks)
{
	world_done(&w);
	for (unsigned seed = 0; seed < 30; seed++) {
		world_init(&w);
		world_set_wrap(&w, (enum control_wrap)(seed % 3), KEY_DIRECTION_0);
		w.o->hand_window = 300 * USEC_PER_SEC; /* 30 % each way: sometimes many repetitions are needed */
		world_start(&w, seed);
		w.sim.loss = 30;
		w.sim.dup = 20;
		w.sim.jitter = 200 * USEC_PER_MSEC;
		cr_assert(sim_run(&w.sim, 300 * USEC_PER_SEC, sim_is_up), "seed %u: %s", seed, w.sim.failed.text);
		w.sim.loss = w.sim.dup = 0;
		w.sim.jitter = 0;
		(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
		world_exchange(&w, 3, USEC_PER_SEC);
		world_done(&w);
	}
	world_init(&w);
	world_start(&w, 0);
}

/* ---- no data before its time ---- */

Test(ovpn_client, passes_no_data_before_the_settings_are_applied)
{
	uint8_t ip[100] = { 0x45 }, wire[300];
	size_t n;

	world_start(&w, 1);
	w.sim.hold_settings = true;
	cr_assert_not(sim_send_up(&w.sim));
	cr_assert(sim_run(&w.sim, 60 * USEC_PER_SEC, sim_is_up));
	cr_assert_not(sim_send_up(&w.sim));
	ip[3] = 100;
	n = peer_seal(w.sim.peer, ip, sizeof(ip), wire, w.sim.now);
	cr_assert_gt(n, 0);
	cr_assert_eq(sim_inject(&w.sim, wire, n), -VERDICT_DROP_NOT_READY);
	w.sim.client->ops->settings_applied(w.sim.client, true, w.sim.now);
	cr_assert(sim_send_up(&w.sim));
	cr_assert_eq(sim_inject(&w.sim, wire, n), 100);
	cr_assert_eq(sim_inject(&w.sim, wire, n), -VERDICT_DROP_REPLAY);
}

Test(ovpn_client, ends_when_the_settings_cannot_be_applied)
{
	world_start(&w, 1);
	w.sim.refuse_settings = true;
	cr_assert(sim_run(&w.sim, 60 * USEC_PER_SEC, sim_has_failed));
	cr_assert_eq(w.sim.failed.fail, FAIL_NEGOTIATION);
	cr_assert_not(sim_send_up(&w.sim));
}

Test(ovpn_client, a_push_before_authentication_changes_nothing)
{
	w.o->auth_user_pass = true;
	w.username = world_secret("anna");
	w.password = world_secret("wrong");
	w.peer.password = "right";
	world_fails(&w, FAIL_AUTH, PROTO_ADVICE_ASK_AUTH, "wrong password");
}

/* ---- failures by their name ---- */

Test(ovpn_client, names_a_wrong_authority)
{
	secret_free(w.o->ca);
	w.o->ca = pki_cert_pem(&w.other_ca);
	world_fails(&w, FAIL_CERT, PROTO_ADVICE_RETRY, "\"CN=Test CA\", which the `ca`");
}

Test(ovpn_client, names_an_expired_certificate)
{
	struct pki old = pki_make(&(struct pki_spec){ .cn = "old", .use = PKI_USE_SERVER, .until = PKI_NOW - PKI_DAY }, &w.ca);

	w.peer.cert = &old;
	world_fails(&w, FAIL_CERT, PROTO_ADVICE_RETRY, "expired on 2027-01-14");
	pki_done(&old);
}

Test(ovpn_client, names_a_clock_that_is_wrong)
{
	w.realtime = 1000;
	world_fails(&w, FAIL_CERT, PROTO_ADVICE_RETRY, "set the clock");
}

Test(ovpn_client, names_a_client_posing_as_server)
{
	w.peer.cert = &w.laptop;
	world_fails(&w, FAIL_CERT, PROTO_ADVICE_RETRY, "serverAuth");
}

Test(ovpn_client, names_another_server)
{
	w.o->name_check = NAME_CHECK_NAME;
	w.o->name_check_value = "other.example.net";
	world_fails(&w, FAIL_CERT, PROTO_ADVICE_RETRY, "expected \"other.example.net\"");
}

Test(ovpn_client, names_the_rejection_of_its_certificate)
{
	struct pki foreign = pki_make(&(struct pki_spec){ .cn = "x", .use = PKI_USE_CLIENT }, &w.other_ca);

	w.peer.want_client_cert = true;
	w.o->cert = pki_cert_pem(&foreign);
	w.o->key = pki_key_pem(&foreign, NULL);
	world_fails(&w, FAIL_CERT_REJECTED, PROTO_ADVICE_RETRY, "unknown ca");
	pki_done(&foreign);
}

Test(ovpn_client, names_a_tls_version_that_does_not_match)
{
	w.peer.tls_max = 0x0303;
	w.o->tls_version_min = 0x0304;
	world_fails(&w, FAIL_TLS, PROTO_ADVICE_GIVE_UP, "tls-version-min");
}

Test(ovpn_client, names_silence)
{
	world_start(&w, 1);
	w.sim.cut = true;
	cr_assert(sim_run(&w.sim, 61 * USEC_PER_SEC, sim_has_failed));
	cr_assert_eq(w.sim.failed.fail, FAIL_SILENT);
	cr_assert(strstr(w.sim.failed.text, "no answer from 192.0.2.1:1194/udp within 60 s"), "%s", w.sim.failed.text);
}

Test(ovpn_client, gives_up_on_silence_after_connect_timeout)
{
	w.o->connect_timeout = 10 * USEC_PER_SEC;
	world_start(&w, 1);
	w.sim.cut = true;
	cr_assert(sim_run(&w.sim, 11 * USEC_PER_SEC, sim_has_failed));
	cr_assert(strstr(w.sim.failed.text, "within 10 s"), "%s", w.sim.failed.text);
}

Test(ovpn_client, connect_timeout_counts_what_tcp_took_to_connect)
{
	w.o->connect_timeout = 10 * USEC_PER_SEC;
	w.transport = TRANSPORT_TCP;
	w.waited = 8 * USEC_PER_SEC;
	world_start(&w, 1);
	w.sim.cut = true;
	cr_assert_not(sim_run(&w.sim, 1900 * USEC_PER_MSEC, sim_has_failed));
	cr_assert(sim_run(&w.sim, 200 * USEC_PER_MSEC, sim_has_failed));
	cr_assert(strstr(w.sim.failed.text, "192.0.2.1:1194/tcp within 10 s"), "%s", w.sim.failed.text);
}

Test(ovpn_client, names_a_server_stuck_in_tls)
{
	w.peer.no_tls = true;
	world_fails(&w, FAIL_SILENT, PROTO_ADVICE_RETRY, "the TLS handshake did not finish within 60 s");
}

Test(ovpn_client, names_a_server_stuck_in_the_key_exchange)
{
	w.peer.no_exchange = true;
	world_fails(&w, FAIL_SILENT, PROTO_ADVICE_RETRY, "key exchange");
}

Test(ovpn_client, names_a_server_that_sends_no_settings)
{
	w.peer.no_push = true;
	world_fails(&w, FAIL_SILENT, PROTO_ADVICE_RETRY, "PUSH_REPLY");
	cr_assert(peer_stats(w.sim.peer)->n_push_requests >= 11, "%u", peer_stats(w.sim.peer)->n_push_requests);
}

Test(ovpn_client, names_a_wrong_static_key)
{
	static uint8_t other[OVPN_KEY_BLOCK_LEN] = { 1 };

	world_set_wrap(&w, CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_0);
	w.peer.key = other;
	world_fails(&w, FAIL_SILENT, PROTO_ADVICE_RETRY, "tls-auth or tls-crypt key");
}

Test(ovpn_client, names_a_wrong_key_direction)
{
	/* The server takes what we send and answers with a key that we do not expect. */
	world_set_wrap(&w, CONTROL_WRAP_TLS_AUTH, KEY_DIRECTION_BOTH);
	w.o->key_direction = KEY_DIRECTION_0;
	world_fails(&w, FAIL_SILENT, PROTO_ADVICE_RETRY, "fail the tls-auth check");
}

Test(ovpn_client, names_missing_common_ciphers)
{
	w.peer.cipher = "AES-192-GCM";
	world_fails(&w, FAIL_NEGOTIATION, PROTO_ADVICE_GIVE_UP, "AES-192-GCM");
}

Test(ovpn_client, names_a_push_without_address)
{
	w.peer.push = "ping 10";
	world_fails(&w, FAIL_NEGOTIATION, PROTO_ADVICE_GIVE_UP, "no address");
}

Test(ovpn_client, tries_other_remotes_where_one_cannot_work)
{
	w.profile.n_remotes = 2;
	w.peer.push = "ping 10";
	world_fails(&w, FAIL_NEGOTIATION, PROTO_ADVICE_RETRY, "no address");
}

Test(ovpn_client, honours_pull_filter_reject)
{
	struct pull_filter f = { PULL_FILTER_REJECT, "ifconfig" };

	w.o->pull_filters = &f;
	w.o->n_pull_filters = 1;
	world_fails(&w, FAIL_NEGOTIATION, PROTO_ADVICE_RETRY, "pull-filter reject");
}

struct answer {
	const char *message;
	enum fail_class fail;
	enum proto_advice advice;
	unsigned wait; /* seconds */
	const char *part;
};

Test(ovpn_client, understands_refusals)
{
	static const struct answer answers[] = {
		{ "AUTH_FAILED", FAIL_AUTH, PROTO_ADVICE_ASK_AUTH, 0, "refused the user name or password" },
		{ "AUTH_FAILED,account is locked", FAIL_AUTH, PROTO_ADVICE_ASK_AUTH, 0, "account is locked" },
		/* no token was in use: it was the password, and the same again would lock the account */
		{ "AUTH_FAILED,SESSION:old", FAIL_AUTH, PROTO_ADVICE_ASK_AUTH, 0, "refused the user name or password: old" },
		{ "AUTH_FAILED,TEMP[backoff 42,advance no]:busy", FAIL_SERVER, PROTO_ADVICE_SAME, 42, "busy" },
		{ "AUTH_FAILED,TEMP[advance remote]", FAIL_SERVER, PROTO_ADVICE_RETRY, 0, "at the moment" },
		{ "AUTH_FAILED,CRV1:R,E:s:dQ==:PIN?", FAIL_AUTH, PROTO_ADVICE_CHALLENGE, 0, "PIN?" },
		{ "AUTH_FAILED,CRV1:R,E:s:!!:PIN?", FAIL_AUTH, PROTO_ADVICE_GIVE_UP, 0, "nobody understands" },
		{ "AUTH_FAILED,Data channel cipher negotiation failed (no shared cipher)", FAIL_NEGOTIATION, PROTO_ADVICE_GIVE_UP, 0,
		  "data-ciphers" },
		{ "RESTART", FAIL_SERVER, PROTO_ADVICE_SAME, 0, "RESTART" },
		{ "RESTART,[N]go elsewhere", FAIL_SERVER, PROTO_ADVICE_RETRY, 0, "go elsewhere" },
		{ "HALT,banned", FAIL_SERVER, PROTO_ADVICE_GIVE_UP, 0, "banned" },
		{ "EXIT", FAIL_SERVER, PROTO_ADVICE_SAME, 0, "goodbye" },
	};

	world_done(&w);
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		world_init(&w);
		w.o->auth_user_pass = true;
		w.username = world_secret("u");
		w.password = world_secret("p");
		w.peer.on_request = answers[i].message;
		world_fails(&w, answers[i].fail, answers[i].advice, answers[i].part);
		cr_expect_eq(w.sim.failed.wait, answers[i].wait * USEC_PER_SEC);
		world_done(&w);
	}
	world_init(&w);
	world_start(&w, 0);
}

Test(ovpn_client, hands_out_the_servers_question_and_answers_it_in_the_next_login)
{
	struct proto_challenge c;

	w.o->auth_user_pass = true;
	w.username = world_secret("u");
	w.password = world_secret("p");
	w.peer.on_request = "AUTH_FAILED,CRV1:R,E:Om01:dTE=:Please enter the PIN: now";
	world_fails(&w, FAIL_AUTH, PROTO_ADVICE_CHALLENGE, "asks: Please enter the PIN: now");
	cr_assert(w.sim.client->ops->take_challenge(w.sim.client, &c));
	cr_expect_str_eq(c.text, "Please enter the PIN: now");
	cr_expect_str_eq(secret_string(c.username), "u1");
	cr_expect_str_eq(secret_string(c.prefix), "CRV1::Om01::");
	cr_expect(c.needs_answer && c.question == PROTO_QUESTION_TEXT);
	proto_challenge_done(&c);
	cr_expect_not(w.sim.client->ops->take_challenge(w.sim.client, &c));
}

Test(ovpn_client, asks_in_the_middle_and_sends_the_answer)
{
	struct secret *answer = world_secret("12 34");

	w.peer.on_request = "AUTH_PENDING,timeout 100";
	world_start(&w, 5);
	cr_assert_not(sim_run(&w.sim, 5 * USEC_PER_SEC, sim_has_failed));
	cr_expect_eq(w.sim.client->ops->answer(w.sim.client, answer, w.sim.now), -EINVAL, "nobody asked yet");
	peer_say(w.sim.peer, "INFO_PRE,CR_TEXT:R:Your code?");
	cr_assert_not(sim_run(&w.sim, 2 * USEC_PER_SEC, sim_has_failed));
	cr_expect_eq(w.sim.n_questions, 1);
	cr_expect_eq(w.sim.question.question, PROTO_QUESTION_SECRET);
	cr_expect_str_eq(w.sim.question.text, "Your code?");
	cr_expect_eq(w.sim.client->ops->answer(w.sim.client, answer, w.sim.now), 0);
	cr_expect_eq(w.sim.client->ops->answer(w.sim.client, answer, w.sim.now), -EINVAL, "once");
	cr_assert_not(sim_run(&w.sim, 2 * USEC_PER_SEC, sim_has_failed));
	cr_expect_str_eq(peer_stats(w.sim.peer)->last_message, "CR_RESPONSE,MTIgMzQ=");
	secret_free(answer);
}

Test(ovpn_client, the_answer_to_the_profiles_question_is_part_of_the_password)
{
	w.o->auth_user_pass = true;
	w.o->static_challenge = (char *)"Code";
	w.username = world_secret("u");
	w.password = world_secret("pass");
	w.answer = world_secret("123456");
	world_up(&w, 6);
	cr_expect_str_eq(peer_stats(w.sim.peer)->password, "SCRV1:cGFzcw==:MTIzNDU2");
	w.o->static_challenge_concat = true;
	world_restart(&w, 7);
	cr_assert(sim_run(&w.sim, 60 * USEC_PER_SEC, sim_is_up));
	cr_expect_str_eq(peer_stats(w.sim.peer)->password, "pass123456");
	w.o->static_challenge = NULL;
}

Test(ovpn_client, shows_an_address_to_be_opened_and_nothing_else_of_that_kind)
{
	static const struct {
		const char *message;
		const char *url;
	} rows[] = {
		{ "INFO_PRE,WEB_AUTH::https://login.example.net/x?y=1", "https://login.example.net/x?y=1" },
		{ "INFO_PRE,WEB_AUTH:external,hidden:https://login.example.net/", "https://login.example.net/" },
		{ "INFO_PRE,OPEN_URL:https://login.example.net/", "https://login.example.net/" },
		{ "INFO,OPEN_URL:https://login.example.net/", "https://login.example.net/" },
		{ "INFO_PRE,OPEN_URL:http://login.example.net/", NULL },
		{ "INFO_PRE,OPEN_URL:file:///etc/passwd", NULL },
		{ "INFO_PRE,OPEN_URL:https://", NULL },
		{ "INFO_PRE,OPEN_URL:https://a b", NULL },
		{ "INFO_PRE,OPEN_URL:https://a\"b", NULL },
		{ "INFO_PRE,WEB_AUTH:https://login.example.net/", NULL },
		{ "INFO_PRE,CR_TEXT:E:only a remark", NULL },
	};

	w.peer.on_request = "AUTH_PENDING,timeout 500";
	world_start(&w, 9);
	(void)sim_run(&w.sim, 3 * USEC_PER_SEC, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		w.sim.n_questions = 0;
		peer_say(w.sim.peer, rows[i].message);
		(void)sim_run(&w.sim, 2 * USEC_PER_SEC, NULL);
		cr_expect_eq(w.sim.n_questions, rows[i].url != NULL, "row %zu", i);
		if (rows[i].url && w.sim.n_questions)
			cr_expect_str_eq(w.sim.question.text, rows[i].url, "row %zu", i);
	}
}

Test(ovpn_client, a_token_lives_on_in_the_next_session)
{
	struct secret *user, *token;

	w.o->auth_user_pass = true;
	w.username = world_secret("alice");
	w.password = world_secret("code1");
	w.peer.token = "TOKEN1";
	world_up(&w, 7);
	w.sim.client->ops->take_token(w.sim.client, &user, &token);
	cr_assert_not_null(token);
	cr_expect_str_eq(secret_string(token), "TOKEN1");
	secret_free(user);
	w.token = token;
	world_restart(&w, 8);
	cr_assert(sim_run(&w.sim, 60 * USEC_PER_SEC, sim_is_up));
	cr_expect_str_eq(peer_stats(w.sim.peer)->password, "TOKEN1");
}

Test(ovpn_client, retries_a_login_without_asking_when_told)
{
	w.o->auth_user_pass = true;
	w.o->auth_retry = AUTH_RETRY_NOINTERACT;
	w.username = world_secret("u");
	w.password = world_secret("p");
	w.peer.on_request = "AUTH_FAILED";
	world_fails(&w, FAIL_AUTH, PROTO_ADVICE_RETRY, "refused");
}

Test(ovpn_client, shows_nothing_raw_from_the_server)
{
	w.peer.on_request = "AUTH_FAILED,\"quoted\" \\ \xc3\xbc";
	world_fails(&w, FAIL_AUTH, PROTO_ADVICE_ASK_AUTH, "\\xc3\\xbc");
}

Test(ovpn_client, waits_longer_for_a_pending_login)
{
	w.peer.on_request = "AUTH_PENDING,timeout 200";
	world_start(&w, 1);
	cr_assert_not(sim_run(&w.sim, 150 * USEC_PER_SEC, sim_has_failed));
	peer_say(w.sim.peer, "AUTH_FAILED,too slow");
	cr_assert(sim_run(&w.sim, 10 * USEC_PER_SEC, sim_has_failed));
	cr_assert_eq(w.sim.failed.fail, FAIL_AUTH);
}

Test(ovpn_client, a_pending_login_cannot_last_for_ever)
{
	w.o->reneg_sec = 240 * USEC_PER_SEC; /* then the bound is 120 s, however often the server asks for more */
	w.peer.on_request = "AUTH_PENDING,timeout 86400";
	world_start(&w, 1);
	cr_assert_not(sim_run(&w.sim, 119 * USEC_PER_SEC, sim_has_failed));
	cr_assert(sim_run(&w.sim, 5 * USEC_PER_SEC, sim_has_failed));
	cr_assert_eq(w.sim.failed.fail, FAIL_SILENT);
	cr_assert(strstr(w.sim.failed.text, "second factor"), "%s", w.sim.failed.text);
}

/* ---- living ---- */

Test(ovpn_client, keeps_the_connection_alive)
{
	unsigned pings;

	world_up(&w, 1);
	(void)sim_run(&w.sim, 55 * USEC_PER_SEC, NULL);
	pings = peer_stats(w.sim.peer)->n_pings;
	cr_assert(pings >= 5 && pings <= 7, "%u", pings);
	/* traffic takes the place of pings */
	for (unsigned i = 0; i < 20; i++) {
		sim_send_down(&w.sim);
		cr_assert(sim_send_up(&w.sim));
		(void)sim_run(&w.sim, 5 * USEC_PER_SEC, NULL);
	}
	cr_assert_leq(peer_stats(w.sim.peer)->n_pings - pings, 1);
	cr_assert_eq(w.sim.n_failed, 0);
}

Test(ovpn_client, notices_a_dead_server)
{
	usec_t from;

	world_up(&w, 1);
	(void)sim_run(&w.sim, 5 * USEC_PER_SEC, NULL);
	sim_send_down(&w.sim);
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	from = w.sim.now;
	w.sim.cut = true;
	cr_assert(sim_run(&w.sim, 100 * USEC_PER_SEC, sim_has_failed));
	cr_assert_eq(w.sim.failed.fail, FAIL_TIMEOUT);
	cr_assert_eq(w.sim.failed.advice, PROTO_ADVICE_RETRY);
	cr_assert(w.sim.now - from >= 58 * USEC_PER_SEC && w.sim.now - from <= 61 * USEC_PER_SEC);
	cr_assert(strstr(w.sim.failed.text, "60 s"), "%s", w.sim.failed.text);
	cr_assert_not(sim_send_up(&w.sim));
}

Test(ovpn_client, forged_packets_are_no_sign_of_life)
{
	uint8_t forged[60] = { OVPN_OP_DATA_V2 << 3 };

	world_up(&w, 1);
	w.sim.cut = true;
	for (unsigned i = 0; i < 70 && !w.sim.n_failed; i++) {
		forged[20] = (uint8_t)i;
		cr_assert_lt(sim_inject(&w.sim, forged, sizeof(forged)), 0);
		(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	}
	cr_assert_eq(w.sim.failed.fail, FAIL_TIMEOUT);
}

Test(ovpn_client, over_tcp_a_packet_that_does_not_open_ends_the_session)
{
	uint8_t ip[100] = { 0x45, 0, 0, 100 }, wire[300];
	size_t n;

	w.transport = TRANSPORT_TCP;
	world_up(&w, 1);
	world_exchange(&w, 5, USEC_PER_SEC);
	n = peer_seal(w.sim.peer, ip, sizeof(ip), wire, w.sim.now);
	cr_assert_eq(sim_inject(&w.sim, wire, n), 100);
	cr_assert_eq(sim_inject(&w.sim, wire, n), -VERDICT_DROP_REPLAY);
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_failed, 0, "a copy is dropped, as over UDP: %s", w.sim.failed.text);
	n = peer_seal(w.sim.peer, ip, sizeof(ip), wire, w.sim.now);
	wire[n - 1] ^= 1;
	cr_assert_eq(sim_inject(&w.sim, wire, n), -VERDICT_DROP_AUTH);
	cr_assert(sim_run(&w.sim, USEC_PER_SEC, sim_has_failed));
	cr_assert_eq(w.sim.failed.fail, FAIL_SERVER);
	cr_assert_eq(w.sim.failed.advice, PROTO_ADVICE_RETRY);
	cr_assert(strstr(w.sim.failed.text, "out of step"), "%s", w.sim.failed.text);
}

Test(ovpn_client, pushed_keepalive_replaces_the_files)
{
	w.o->ping = 1 * USEC_PER_SEC;
	w.o->ping_restart = 5 * USEC_PER_SEC;
	w.peer.push = "topology subnet,ifconfig 10.8.0.2 255.255.255.0,ping 0,ping-restart 0";
	world_up(&w, 1);
	cr_assert_not(sim_run(&w.sim, 1000 * USEC_PER_SEC, sim_has_failed));
	cr_assert_eq(peer_stats(w.sim.peer)->n_pings, 0);
}

static void no_keepalive(void)
{
	w.peer.push = "topology subnet,ifconfig 10.8.0.2 255.255.255.0";
}

Test(ovpn_client, without_keepalive_an_idle_connection_stays)
{
	no_keepalive();
	world_up(&w, 1);
	world_exchange(&w, 5, 5 * USEC_PER_SEC);
	w.sim.cut = true;
	cr_assert_not(sim_run(&w.sim, 3000 * USEC_PER_SEC, sim_has_failed));
}

static void send_inner(uint8_t first, size_t dst, uint8_t value)
{
	uint8_t ip[60] = { first }, out[60 + PROTO_OVERHEAD_MAX];

	ip[dst] = value;
	cr_assert_gt(w.sim.client->ops->inner_out(w.sim.client, ip, sizeof(ip), out, w.sim.now), 0);
}

Test(ovpn_client, without_keepalive_multicast_wants_no_answer)
{
	no_keepalive();
	world_up(&w, 1);
	w.sim.cut = true;
	send_inner(0x60, 24, 0xff); /* a router solicitation */
	send_inner(0x45, 16, 224);
	send_inner(0x45, 16, 255);
	cr_assert_not(sim_run(&w.sim, 3000 * USEC_PER_SEC, sim_has_failed));
	send_inner(0x60, 24, 0xfd);
	cr_assert(sim_run(&w.sim, 121 * USEC_PER_SEC, sim_has_failed));
}

Test(ovpn_client, without_keepalive_unanswered_packets_still_end_it)
{
	no_keepalive();
	world_up(&w, 1);
	world_exchange(&w, 5, 5 * USEC_PER_SEC);
	(void)sim_run(&w.sim, 500 * USEC_PER_SEC, NULL);
	w.sim.cut = true;
	cr_assert(sim_send_up(&w.sim));
	cr_assert_not(sim_run(&w.sim, 119 * USEC_PER_SEC, sim_has_failed));
	cr_assert(sim_run(&w.sim, 2 * USEC_PER_SEC, sim_has_failed));
	cr_assert_eq(w.sim.failed.fail, FAIL_TIMEOUT);
	cr_assert_eq(w.sim.failed.advice, PROTO_ADVICE_RETRY);
}

Test(ovpn_client, ping_restart_0_in_the_file_means_off)
{
	no_keepalive();
	w.o->ping_restart_set = true;
	world_up(&w, 1);
	w.sim.cut = true;
	cr_assert(sim_send_up(&w.sim));
	cr_assert_not(sim_run(&w.sim, 3000 * USEC_PER_SEC, sim_has_failed));
}

Test(ovpn_client, the_files_ping_restart_counts_where_none_is_pushed)
{
	no_keepalive();
	w.o->ping_restart = 30 * USEC_PER_SEC;
	w.o->ping_restart_set = true;
	world_up(&w, 1);
	cr_assert_not(sim_run(&w.sim, 28 * USEC_PER_SEC, sim_has_failed));
	cr_assert(sim_run(&w.sim, 3 * USEC_PER_SEC, sim_has_failed));
}

/* 0xfa in front: the server frames (comp-lzo), we do not. Silent in other clients. */
Test(ovpn_client, says_that_the_framing_differs)
{
	uint8_t framed[101] = { 0xfa, 0x45, 0, 0, 100 }, wire[300];

	world_up(&w, 1);
	w.sim.cut = true;
	for (unsigned i = 0; i < 100; i++) {
		size_t n = peer_seal(w.sim.peer, framed, sizeof(framed), wire, w.sim.now);

		cr_assert_eq(sim_inject(&w.sim, wire, n), -VERDICT_DROP_FRAMING);
		(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	}
	/* what was authentic is a sign of life, whatever it was */
	cr_assert_eq(w.sim.n_failed, 0, "%s", w.sim.failed.text);
	cr_assert(strstr(w.sim.infos, "neither IP nor"), "%s", w.sim.infos);
	cr_assert_eq(w.sim.n_info, 2); /* TLS is up; this */
}

/* 0x66 is LZO: decompressed, and then it is broken; or refused when the profile says so. */
Test(ovpn_client, tells_refused_compression_from_broken)
{
	static const bool taken[] = { false, true };
	uint8_t framed[40] = { 0x66, 0xff, 0xff, 0xff }, wire[300];

	world_done(&w);
	for (size_t k = 0; k < ARRAY_SIZE(taken); k++) {
		world_init(&w);
		w.o->no_compression = !taken[k];
		w.peer.push = WORLD_PUSH ",comp-lzo adaptive";
		world_up(&w, 1);
		for (unsigned i = 0; i < 5; i++) {
			size_t n = peer_seal(w.sim.peer, framed, sizeof(framed), wire, w.sim.now);

			cr_expect_eq(sim_inject(&w.sim, wire, n), -VERDICT_DROP_FRAMING);
		}
		(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
		cr_expect_eq(strstr(w.sim.infos, "allow-compression no") == NULL, taken[k], "%s", w.sim.infos);
		cr_expect_eq(strstr(w.sim.infos, "neither IP nor") != NULL, taken[k], "%s", w.sim.infos);
		world_done(&w);
	}
	world_init(&w);
	world_start(&w, 0);
}

Test(ovpn_client, warns_once_of_a_server_that_compresses)
{
	/* 0x66, then LZO1X of 0x45 and 1399 times 'a' as lzo1x_1_compress of liblzo2 2.10 gives it. */
	static const uint8_t framed[] = { 0x66, 0x03, 0x45, 0x61, 0x61, 0x61, 0x61, 0x61, 0x20, 0x00, 0x00, 0x00,
					  0x00, 0x00, 0x48, 0x00, 0x00, 0x0b, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
					  0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x11, 0x00, 0x00 };
	uint8_t wire[300];

	w.peer.push = WORLD_PUSH ",comp-lzo no";
	world_up(&w, 1);
	for (unsigned i = 0; i < 5; i++) {
		size_t n = peer_seal(w.sim.peer, framed, sizeof(framed), wire, w.sim.now);

		cr_expect_eq(sim_inject(&w.sim, wire, n), 1400);
	}
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	cr_expect(strstr(w.sim.infos, "VORACLE"), "%s", w.sim.infos);
	cr_expect_eq(w.sim.n_info, 2, "%s", w.sim.infos); /* TLS is up; this */
}

Test(ovpn_client, as_many_bytes_as_inactive_wants_are_enough)
{
	w.peer.push = WORLD_PUSH ",ping-restart 0,inactive 50 200";
	world_up(&w, 1);
	world_exchange(&w, 1, USEC_PER_SEC); /* 100 bytes each way */
	cr_assert_not(sim_run(&w.sim, 55 * USEC_PER_SEC, sim_has_failed));
	cr_assert(sim_run(&w.sim, 50 * USEC_PER_SEC, sim_has_failed));
}

Test(ovpn_client, logs_no_secrets_of_messages_it_does_not_know)
{
	world_up(&w, 1);
	peer_say(w.sim.peer, "PUSH_SOMETHING,auth-token s3cret");
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	cr_assert(strstr(w.sim.infos, "PUSH_SOMETHING"));
	cr_assert_null(strstr(w.sim.infos, "s3cret"));
}

Test(ovpn_client, ends_for_good_with_ping_exit)
{
	w.peer.push = "topology subnet,ifconfig 10.8.0.2 255.255.255.0,ping-exit 20";
	world_up(&w, 1);
	cr_assert(sim_run(&w.sim, 25 * USEC_PER_SEC, sim_has_failed));
	cr_assert_eq(w.sim.failed.advice, PROTO_ADVICE_GIVE_UP);
}

Test(ovpn_client, honours_session_timeout_and_inactive)
{
	w.peer.push = WORLD_PUSH ",ping-restart 0,session-timeout 100";
	world_up(&w, 1);
	cr_assert(sim_run(&w.sim, 101 * USEC_PER_SEC, sim_has_failed));
	cr_assert(strstr(w.sim.failed.text, "100 s"));
	world_done(&w);
	world_init(&w);
	w.peer.push = WORLD_PUSH ",ping-restart 0,inactive 50 500";
	world_up(&w, 1);
	world_exchange(&w, 10, 40 * USEC_PER_SEC);
	cr_assert_not(sim_run(&w.sim, 12 * USEC_PER_SEC, sim_has_failed));
	cr_assert(sim_run(&w.sim, 100 * USEC_PER_SEC, sim_has_failed));
	cr_assert(strstr(w.sim.failed.text, "inactive"));
}

Test(ovpn_client, obeys_messages_while_up)
{
	world_up(&w, 1);
	peer_say(w.sim.peer, "INFO,maintenance at noon");
	peer_say(w.sim.peer, "NONSENSE\x1b[2J");
	peer_say(w.sim.peer, "NONSENSE");
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	cr_assert(strstr(w.sim.infos, "maintenance at noon"));
	cr_assert(strstr(w.sim.infos, "ignored a message of the server: NONSENSE\n"));
	cr_assert_null(strchr(w.sim.infos, '\x1b'));
	peer_say(w.sim.peer, "PUSH_REPLY,ifconfig 10.9.9.9 255.255.255.0");
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_settings, 1);
	peer_say(w.sim.peer, "RESTART,[N]bye");
	cr_assert(sim_run(&w.sim, USEC_PER_SEC, sim_has_failed));
	peer_say(w.sim.peer, "HALT");
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_failed, 1);
	cr_assert_eq(w.sim.failed.advice, PROTO_ADVICE_RETRY);
}

Test(ovpn_client, limits_what_a_server_can_write_to_the_log)
{
	world_up(&w, 1);
	w.sim.n_info = 0;
	for (unsigned i = 0; i < 500; i++) {
		peer_say(w.sim.peer, "INFO,spam");
		(void)sim_run(&w.sim, 10 * USEC_PER_MSEC, NULL);
	}
	cr_assert_leq(w.sim.n_info, 20);
}

/* ---- leaving ---- */

Test(ovpn_client, says_goodbye_as_often_as_told)
{
	w.o->explicit_exit_notify = 3;
	world_up(&w, 1);
	w.sim.client->ops->stop(w.sim.client, w.sim.now);
	w.sim.client->ops->stop(w.sim.client, w.sim.now);
	(void)sim_run(&w.sim, 10 * USEC_PER_SEC, NULL);
	cr_assert_eq(peer_stats(w.sim.peer)->n_exits, 3);
	cr_assert_eq(w.sim.n_failed, 0);
	cr_assert_not(sim_send_up(&w.sim));
	cr_assert_eq(w.sim.client->ops->deadline(w.sim.client), USEC_INFINITY);
}

Test(ovpn_client, says_goodbye_on_the_control_channel_when_agreed)
{
	w.peer.cc_exit = true;
	world_up(&w, 1);
	w.sim.client->ops->stop(w.sim.client, w.sim.now);
	(void)sim_run(&w.sim, 10 * USEC_PER_SEC, NULL);
	cr_assert_eq(peer_stats(w.sim.peer)->n_exits, 0);
	cr_assert_eq(peer_stats(w.sim.peer)->n_exit_messages, 1);
}

Test(ovpn_client, says_goodbye_on_both_channels_where_it_is_asked_for)
{
	w.o->explicit_exit_notify = 3;
	w.peer.cc_exit = true;
	world_up(&w, 1);
	w.sim.client->ops->stop(w.sim.client, w.sim.now);
	(void)sim_run(&w.sim, 10 * USEC_PER_SEC, NULL);
	cr_assert_eq(peer_stats(w.sim.peer)->n_exits, 1);
	cr_assert_eq(peer_stats(w.sim.peer)->n_exit_messages, 1);
}

Test(ovpn_client, says_goodbye_on_the_data_channel_while_keys_are_renewed)
{
	w.peer.cc_exit = true;
	w.o->reneg_sec = 20 * USEC_PER_SEC;
	world_up(&w, 1);
	(void)sim_run(&w.sim, 15 * USEC_PER_SEC, NULL);
	w.sim.cut = true;
	(void)sim_run(&w.sim, 6 * USEC_PER_SEC, NULL);
	w.sim.cut = false;
	w.sim.client->ops->stop(w.sim.client, w.sim.now);
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	cr_assert_eq(peer_stats(w.sim.peer)->n_exit_messages, 0);
	cr_assert_eq(peer_stats(w.sim.peer)->n_exits, 1);
}

Test(ovpn_client, leaves_quietly_otherwise)
{
	world_up(&w, 1);
	w.sim.client->ops->stop(w.sim.client, w.sim.now);
	(void)sim_run(&w.sim, 10 * USEC_PER_SEC, NULL);
	cr_assert_eq(peer_stats(w.sim.peer)->n_exits, 0);
}

Test(ovpn_client, stopping_early_is_fine)
{
	world_start(&w, 1);
	w.sim.client->ops->stop(w.sim.client, w.sim.now);
	(void)sim_run(&w.sim, 200 * USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_failed, 0);
}

/* ---- making one ---- */

struct unusable {
	const char *ciphers, *part;
	bool login, no_ca;
};

Test(ovpn_client, refuses_profiles_that_cannot_work)
{
	static const struct unusable cases[] = {
		{ "CAST5-CBC:BF-CBC", "data-ciphers", false, false },
		{ "AES-256-GCM", "auth-user-pass", true, false },
		{ "AES-256-GCM", "`ca`", false, true },
	};
	struct proto *client = NULL;

	world_start(&w, 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proto_params p = { .profile = &w.profile };
		struct secret *ca = w.o->ca;
		char *error = NULL;

		w.o->ciphers = (char *)cases[i].ciphers;
		w.o->auth_user_pass = cases[i].login;
		if (cases[i].no_ca)
			w.o->ca = NULL;
		cr_expect_eq(ovpn_client_new(&client, &p, &error), -EINVAL);
		cr_expect(error && strstr(error, cases[i].part), "%s", error);
		cr_expect_null(client);
		free(error);
		w.o->ca = ca;
	}
}

Test(ovpn_client, refuses_credentials_that_do_not_fit)
{
	char *longest = malloc(2000);

	memset(longest, 'a', 1999);
	longest[1999] = 0;
	w.o->auth_user_pass = true;
	w.username = world_secret("u");
	w.password = world_secret(longest);
	world_fails(&w, FAIL_CONFIG, PROTO_ADVICE_GIVE_UP, "too long");
	free(longest);
}

/* 1500 - 20 (IPv4) - 8 (UDP) - 24 (header, packet id, tag): no outer fragments for whatever programs send. */
Test(ovpn_client, the_device_gets_the_size_that_fits_the_path)
{
	world_up(&w, 1);
	cr_assert_eq(w.sim.settings.settings.mtu, 1448);
}

Test(ovpn_client, clamps_segments_to_the_path)
{
	world_up(&w, 1);
	cr_assert_eq(w.sim.client->ops->mss_packet_max(w.sim.client), 1440);
	w.o->mssfix = 0;
	cr_assert_eq(w.sim.client->ops->mss_packet_max(w.sim.client), 0);
}
