/* Two equal sides: what their lines agree on, and that nothing else counts. */
#include "ovpn-world.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-p2p.h"

static struct world w;

static void make(void)
{
	world_init(&w);
	w.o->pull = false;
	cr_assert_eq(inaddr_parse("10.8.0.2", &w.o->ifconfig4.addr), 0);
	w.o->ifconfig4.len = 32;
	cr_assert_eq(inaddr_parse("10.8.0.1", &w.o->ifconfig4_peer), 0);
	w.peer.no_push = true;
}

static void drop(void)
{
	world_done(&w);
}

TestSuite(ovpn_p2p, .init = make, .fini = drop, .timeout = 60);

static void agrees(const char *info, const char *cipher)
{
	w.peer.info = info;
	world_up(&w, 1);
	cr_assert_str_eq(w.sim.settings.cipher, cipher);
	cr_assert_eq(peer_stats(w.sim.peer)->n_push_requests, 0);
}

Test(ovpn_p2p, promises_what_needs_no_push)
{
	agrees("IV_PROTO=682\nIV_CIPHERS=AES-256-GCM\n", "AES-256-GCM");
	/* 1706 = 1 3 5 7 9 10 */
	cr_assert(strstr(peer_stats(w.sim.peer)->peer_info, "IV_PROTO=1706\n"), "%s", peer_stats(w.sim.peer)->peer_info);
	cr_assert_eq(w.sim.settings.settings.n_addrs, 1);
}

Test(ovpn_p2p, takes_the_first_cipher_of_the_servers_list_that_it_has)
{
	agrees("IV_VER=2.6.14\nIV_PROTO=682\nIV_CIPHERS=BF-CBC:AES-128-GCM:AES-256-GCM\n", "AES-128-GCM");
}

Test(ovpn_p2p, takes_the_cipher_also_from_who_does_not_know_this_negotiation)
{
	agrees("IV_CIPHERS=CHACHA20-POLY1305\nIV_PROTO=2\n", "CHACHA20-POLY1305");
}

Test(ovpn_p2p, without_lines_the_options_string_counts)
{
	w.peer.occ = "V4,dev-type tun,cipher AES-128-GCM,tls-server";
	agrees(NULL, "AES-128-GCM");
}

Test(ovpn_p2p, nothing_in_common_is_said)
{
	w.peer.info = "IV_PROTO=682\nIV_CIPHERS=BF-CBC\n";
	w.peer.occ = "V4,dev-type tun,cipher BF-CBC,tls-server";
	world_fails(&w, FAIL_NEGOTIATION, PROTO_ADVICE_GIVE_UP, "BF-CBC");
}

Test(ovpn_p2p, features_are_those_that_both_have)
{
	struct ovpn_options o = { .ciphers = (char *)"AES-256-GCM" };
	struct ovpn_key key = { 0 };
	struct ovpn_session s = { .p.options = &o, .primary = &key };
	static const struct {
		const char *info;
		bool ekm, cc_exit, dyn, epoch, v2;
	} rows[] = {
		{ "IV_CIPHERS=AES-256-GCM\nIV_PROTO=34\n", false, false, false, false, true },  /* 1 5 */
		{ "IV_CIPHERS=AES-256-GCM\nIV_PROTO=672\n", false, true, true, false, false },  /* 5 7 9 */
		{ "IV_CIPHERS=AES-256-GCM\nIV_PROTO=650\n", false, false, false, false, false }, /* 1 3 7 9, but not 5 */
		{ "IV_CIPHERS=AES-256-GCM\nIV_PROTO=1064\n", true, false, false, true, false },  /* 3 5 10 */
		{ "IV_CIPHERS=AES-256-CBC\nIV_PROTO=1064\n", true, false, false, false, false }, /* no AEAD in common */
		{ "IV_PROTO=4294967296\nIV_CIPHERS=AES-256-GCM\n", false, false, false, false, false },
		{ "IV_PROTO=-1\n", false, false, false, false, false },
		{ "XIV_PROTO=34\nIV_PROTO", false, false, false, false, false },
		{ "", false, false, false, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ovpn_push *push = calloc(1, sizeof(*push));

		cr_assert(push);
		ovpn_push_init(push, &o);
		cr_assert(str_copy(key.server_info, sizeof(key.server_info), rows[i].info));
		ovpn_p2p_agree(&s, push);
		cr_assert_eq(push->tls_ekm, rows[i].ekm, "%s", rows[i].info);
		cr_assert_eq(push->cc_exit, rows[i].cc_exit, "%s", rows[i].info);
		cr_assert_eq(push->dyn_tls_crypt, rows[i].dyn, "%s", rows[i].info);
		cr_assert_eq(push->epoch, rows[i].epoch, "%s", rows[i].info);
		cr_assert_eq(push->peer_id != OVPN_PEER_ID_V1, rows[i].v2, "%s", rows[i].info);
		ovpn_push_done(push);
		free(push);
	}
}
