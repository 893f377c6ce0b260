/* Key method 2: the message byte by byte, hostile strings, derivation against an independent computation, OCC. */
#include "proto/ovpn-keys.h"

#include <errno.h>

#include "lib/hex.h"

static const struct ovpn_key_source client_source, server_source;

static int counting_random(void *userdata, void *buf, size_t len)
{
	uint8_t *next = userdata, *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (*next)++;
	return 0;
}

static int failing_random(void *userdata, void *buf, size_t len)
{
	unsigned *calls = userdata;

	memset(buf, 0xee, len);
	return (*calls)++ == 1 ? -EIO : 0;
}

Test(ovpn_keys, map_of_a_key_block)
{
	uint8_t block[OVPN_KEY_BLOCK_LEN];

	cr_assert_eq(ovpn_keys_cipher(block, 0), block);
	cr_assert_eq(ovpn_keys_hmac(block, 0), block + 64);
	cr_assert_eq(ovpn_keys_cipher(block, 1), block + 128);
	cr_assert_eq(ovpn_keys_hmac(block, 1), block + 192);
}

Test(ovpn_keys, source_is_random_and_only_clients_have_a_pre_master)
{
	static const uint8_t zero[OVPN_PRE_MASTER_LEN];
	struct ovpn_key_source a, b;
	unsigned calls = 0;
	uint8_t next = 0;

	cr_assert_eq(ovpn_key_source_fill(&a, true, NULL, NULL), 0);
	cr_assert_eq(ovpn_key_source_fill(&b, true, NULL, NULL), 0);
	cr_assert_neq(memcmp(a.pre_master, b.pre_master, sizeof(a.pre_master)), 0);
	cr_assert_neq(memcmp(a.random1, b.random1, sizeof(a.random1)), 0);
	cr_assert_neq(memcmp(a.random2, b.random2, sizeof(a.random2)), 0);
	cr_assert_neq(memcmp(a.random1, a.random2, sizeof(a.random1)), 0);
	cr_assert_eq(ovpn_key_source_fill(&a, false, counting_random, &next), 0);
	cr_assert_eq(memcmp(a.pre_master, zero, sizeof(zero)), 0);
	cr_assert_eq(a.random1[0], 0);
	cr_assert_eq(a.random2[31], 63);
	cr_assert_eq(ovpn_key_source_fill(&a, true, failing_random, &calls), -EIO);
	cr_assert_eq(memcmp(a.pre_master, zero, sizeof(zero)), 0, "a failed source is wiped");
	ovpn_key_source_wipe(&b);
	cr_assert_eq(memcmp(b.pre_master, zero, sizeof(zero)), 0);
}

Test(ovpn_keys, message_on_the_wire)
{
	struct ovpn_key_message m = { .options = "V4", .username = "u", .password = NULL, .peer_info = "" };
	uint8_t buf[256], next = 0;
	size_t len;

	cr_assert_eq(ovpn_key_source_fill(&m.source, true, counting_random, &next), 0);
	cr_assert_eq(ovpn_key_message_build(&m, true, buf, sizeof(buf), &len), 0);
	assert_hex(buf, len,
		   "00000000 02"
		   "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
		   "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f"
		   "505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f"
		   "0003 563400 0002 7500 0000 0001 00");
	cr_assert_eq(ovpn_key_message_build(&m, false, buf, sizeof(buf), &len), 0);
	cr_assert_eq(len, 5 + 64 + 5 + 4 + 2 + 3);
}

static const char options[] = "V4,dev-type tun,cipher AES-256-GCM";

Test(ovpn_keys, message_round_trip_and_every_truncation)
{
	struct ovpn_key_message m = { .options = options, .username = "name", .password = "pass word", .peer_info = "A=1\n" };
	struct ovpn_key_message back;
	uint8_t buf[512];
	size_t len, need;

	for (int client = 0; client < 2; client++) {
		cr_assert_eq(ovpn_key_source_fill(&m.source, client, NULL, NULL), 0);
		cr_assert_eq(ovpn_key_message_build(&m, client, buf, sizeof(buf), &len), 0);
		cr_assert_eq(ovpn_key_message_parse(buf, len, client, &back), 0);
		cr_assert_eq(memcmp(&back.source, &m.source, sizeof(m.source)), 0);
		cr_assert_str_eq(back.options, options);
		cr_assert_str_eq(back.username, "name");
		cr_assert_str_eq(back.password, "pass word");
		cr_assert_str_eq(back.peer_info, "A=1\n");
		/* it is enough when the options have come; before that more is needed */
		need = 5 + (client ? 48 : 0) + 64 + 2 + sizeof(options);
		for (size_t n = 0; n < len; n++) {
			uint8_t *exact = malloc(n ? n : 1); /* so that a read beyond n is one beyond the buffer */

			memcpy(exact, buf, n);
			cr_assert_eq(ovpn_key_message_parse(exact, n, client, &back), n < need ? -EAGAIN : 0, "%zu bytes", n);
			free(exact);
		}
		for (size_t cap = 0; cap < len; cap++)
			cr_assert_eq(ovpn_key_message_build(&m, client, buf, cap, &need), -EMSGSIZE);
	}
}

Test(ovpn_keys, server_message_with_options_only)
{
	uint8_t buf[512] = { 0, 0, 0, 0, 2 };
	struct ovpn_key_message m;
	size_t len = 5 + 64;

	len += unhex("0003 563400", buf + len, 64);
	cr_assert_eq(ovpn_key_message_parse(buf, len, false, &m), 0);
	cr_assert_str_eq(m.options, "V4");
	cr_assert_null(m.username);
	cr_assert_null(m.peer_info);
	/* trailing bytes that are no string */
	len += unhex("5055", buf + len, 64);
	cr_assert_eq(ovpn_key_message_parse(buf, len, false, &m), 0);
	cr_assert_null(m.username);
	/* no options at all */
	memset(buf + 5 + 64, 0, 2);
	cr_assert_eq(ovpn_key_message_parse(buf, 5 + 64 + 2, false, &m), 0);
	cr_assert_null(m.options);
}

Test(ovpn_keys, hostile_messages)
{
	static const struct {
		const char *head, *tail;
		int want;
	} v[] = {
		{ "0000000102", "0003563400", -EBADMSG },  /* the zero is not zero */
		{ "0000000001", "0003563400", -EBADMSG },  /* key method 1 */
		{ "0000000003", "0003563400", -EBADMSG },
		{ "0000000002", "0002563400", -EBADMSG },  /* length without the NUL */
		{ "0000000002", "000456003400", -EBADMSG }, /* a NUL inside */
		{ "0000000002", "0003563434", -EBADMSG },  /* no NUL */
		{ "0000000002", "ffff563400", -EAGAIN },   /* longer than what came */
		{ "0000000002", "000100", 0 },             /* empty, but there */
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		struct ovpn_key_message m = { .options = "untouched" };
		uint8_t buf[256] = { 0 };
		size_t len = unhex(v[i].head, buf, sizeof(buf)) + 64;

		len += unhex(v[i].tail, buf + len, 64);
		cr_assert_eq(ovpn_key_message_parse(buf, len, false, &m), v[i].want, "%s %s", v[i].head, v[i].tail);
		cr_assert_str_eq(m.options, v[i].want ? "untouched" : "");
	}
}

Test(ovpn_keys, too_long_is_refused_not_cut)
{
	static char huge[70000], big[1500];
	struct ovpn_key_message m = { .options = options, .username = "u", .password = big, .peer_info = "IV_VER=x\n" };
	static uint8_t buf[80000];
	size_t len = 0;

	memset(huge, 'x', sizeof(huge) - 1);
	memset(big, 'x', sizeof(big) - 1);
	cr_assert_eq(ovpn_key_message_build(&m, true, buf, sizeof(buf), &len), 0);
	m.peer_info = big;
	cr_assert_eq(ovpn_key_message_build(&m, true, buf, sizeof(buf), &len), -EMSGSIZE);
	m.peer_info = huge;
	cr_assert_eq(ovpn_key_message_build(&m, true, buf, sizeof(buf), &len), -EMSGSIZE);
}

Test(ovpn_keys, prf_derivation_includes_both_session_ids)
{
	/*
	 * Computed independently (Python's hmac module, P_MD5 xor P_SHA1 as in RFC 2246 section 5, itself checked with the
	 * constant of OpenVPN's crypto_test_tls_prf): pre-master, randoms and sids are the bytes 0, 1, 2 … 191 in the order
	 * pre-master, client random 1 and 2, server random 1 and 2, client sid, server sid.
	 */
	static const char want[] = "9d25c5f5717f6c06ca8ee9992c7156b9caf1344fbe8d8cc656ca16f7824c7e6d"
				   "00be52fe929b74258e3e0bf94f8f3a70f95d3eb9eb826cdd9ddc5cbce1837f67"
				   "5e2fb699aae625940f22daac834523a1382597c96d48348490adaeed06c3e4d2"
				   "71ebac26f761f29b27c651169a8eedb447426443bc1925f7edbc9d9975557785"
				   "34e32dbac7794d43f49c167f2ca3816cfcd0a29796ecf7dae82f9cb2e79f9fe1"
				   "0eaf42295e16a070f5ebe71557379409f40a90d0f829ad6962206d9e1e825c78"
				   "e0528f3354c2bae92e216629e7410d72c1aac773c244023cccf0ff92254a8e1b"
				   "2ed85f49baeeb6606fb8787612da839ca09a9a4ecb3658950b4815735a637f90";
	struct ovpn_key_source c = client_source, s = server_source;
	struct ovpn_sid csid, ssid;
	struct secret *block = NULL;
	uint8_t next = 0;

	counting_random(&next, c.pre_master, sizeof(c.pre_master));
	counting_random(&next, c.random1, sizeof(c.random1));
	counting_random(&next, c.random2, sizeof(c.random2));
	counting_random(&next, s.random1, sizeof(s.random1));
	counting_random(&next, s.random2, sizeof(s.random2));
	counting_random(&next, csid.id, sizeof(csid.id));
	counting_random(&next, ssid.id, sizeof(ssid.id));
	cr_assert_eq(ovpn_keys_derive_prf(&c, &s, &csid, &ssid, &block), 0);
	assert_hex(secret_bytes(block), secret_len(block), want);
	secret_free(block);
}

Test(ovpn_keys, occ_strings)
{
	static const struct {
		struct ovpn_occ in;
		const char *want;
	} v[] = {
		{ { .cipher = "AES-256-GCM", .auth = "sha256", .tun_mtu = 1500, .key_direction = KEY_DIRECTION_BOTH },
		  "V4,dev-type tun,link-mtu 1549,tun-mtu 1500,proto UDPv4,cipher AES-256-GCM,auth [null-digest],"
		  "keysize 256,key-method 2,tls-client" },
		{ { .cipher = "AES-128-CBC", .auth = "sha1", .tun_mtu = 1500, .tcp = true, .framing = true, .tls_auth = true,
		    .key_direction = KEY_DIRECTION_1 },
		  "V4,dev-type tun,link-mtu 1560,tun-mtu 1500,proto TCPv4_CLIENT,comp-lzo,keydir 1,cipher AES-128-CBC,"
		  "auth SHA1,keysize 128,tls-auth,key-method 2,tls-client" },
		{ { .cipher = "AES-256-GCM", .tun_mtu = 1400, .tls_auth = true, .key_direction = KEY_DIRECTION_BOTH },
		  "V4,dev-type tun,link-mtu 1449,tun-mtu 1400,proto UDPv4,cipher AES-256-GCM,auth [null-digest],"
		  "keysize 256,tls-auth,key-method 2,tls-client" },
		/* As a server of 2.6 expects it of a tap. */
		{ { .cipher = "AES-256-GCM", .tun_mtu = 1500, .tap = true, .key_direction = KEY_DIRECTION_BOTH },
		  "V4,dev-type tap,link-mtu 1581,tun-mtu 1532,proto UDPv4,cipher AES-256-GCM,auth [null-digest],"
		  "keysize 256,key-method 2,tls-client" },
	};
	char buf[OVPN_OCC_MAX], longest[600];
	struct ovpn_occ o = { .cipher = longest };

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		cr_assert_eq(ovpn_occ_format(&v[i].in, buf, sizeof(buf)), 0);
		cr_assert_str_eq(buf, v[i].want);
		cr_assert_eq(ovpn_occ_format(&v[i].in, buf, strlen(v[i].want)), -EMSGSIZE);
	}
	memset(longest, 'x', sizeof(longest));
	longest[599] = '\0';
	cr_assert_eq(ovpn_occ_format(&o, buf, sizeof(buf)), -EMSGSIZE);
}

Test(ovpn_keys, occ_link_mtu_as_openvpn_computes_it)
{
	/* Origin: OpenVPN, tests/unit_tests/openvpn/test_crypto.c at 01b7cd44, test_occ_mtu_calculation (TLS mode). */
	static const struct {
		const char *cipher, *auth, *want;
	} v[] = {
		{ "AES-128-CBC", "SHA1", "1457" },
		{ "none", "none", "1405" },
		{ "AES-256-GCM", "SHA1", "1449" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		struct ovpn_occ o = { .cipher = v[i].cipher, .auth = v[i].auth, .tun_mtu = 1400 };
		char buf[OVPN_OCC_MAX], mtu[16];

		cr_assert_eq(ovpn_occ_format(&o, buf, sizeof(buf)), 0);
		cr_assert_eq(ovpn_occ_get(buf, "link-mtu", mtu, sizeof(mtu)), 0);
		cr_assert_str_eq(mtu, v[i].want);
	}
}

Test(ovpn_keys, occ_words_of_the_peer)
{
	static const char occ[] = "V4,dev-type tun,link-mtu 1549,cipher AES-256-CBC,tls-server,cipher-not X";
	char buf[16];

	cr_assert_eq(ovpn_occ_get(occ, "cipher", buf, sizeof(buf)), 0);
	cr_assert_str_eq(buf, "AES-256-CBC");
	cr_assert_eq(ovpn_occ_get(occ, "tls-server", buf, sizeof(buf)), 0);
	cr_assert_str_eq(buf, "");
	cr_assert_eq(ovpn_occ_get(occ, "V4", buf, sizeof(buf)), 0);
	cr_assert_eq(ovpn_occ_get(occ, "ciph", buf, sizeof(buf)), -ENOENT);
	cr_assert_eq(ovpn_occ_get(occ, "auth", buf, sizeof(buf)), -ENOENT);
	cr_assert_eq(ovpn_occ_get(occ, "cipher", buf, 11), -EMSGSIZE);
	cr_assert_eq(ovpn_occ_get("", "cipher", buf, sizeof(buf)), -ENOENT);
	cr_assert_eq(ovpn_occ_get(NULL, "cipher", buf, sizeof(buf)), -ENOENT);
	cr_assert_eq(ovpn_occ_get(",,,cipher  X,", "cipher", buf, sizeof(buf)), 0);
	cr_assert_str_eq(buf, "X");
}
