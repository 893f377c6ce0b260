#include "proto/ovpn-mtu.h"

#include <criterion/criterion.h>

#include "proto/ovpn-data.h"

static uint32_t aead_overhead(bool v2, enum framing framing)
{
	const struct ovpn_overhead o = ovpn_mtu_overhead(v2, ovpn_cipher_find("AES-256-GCM"), NULL, framing, false);

	cr_assert_leq(o.block, 1);
	return o.outside + o.inside;
}

Test(ovpn_mtu, counts_the_formats_overhead)
{
	cr_assert_eq(aead_overhead(true, FRAMING_NONE), 24);
	cr_assert_eq(aead_overhead(false, FRAMING_NONE), 21);
	cr_assert_eq(aead_overhead(true, FRAMING_LZO), 25);
	cr_assert_eq(aead_overhead(true, FRAMING_SWAP), 25);
	cr_assert_eq(aead_overhead(true, FRAMING_STUB_V2), 24);
}

Test(ovpn_mtu, fits_the_path)
{
	struct ovpn_mtu m = { .path_mtu = 1500, .family = AF_INET, .overhead = { 24, 0, 1 }, .tun_mtu = 1500 };

	cr_assert_eq(ovpn_mtu_inner_max(&m), 1448);
	m.family = AF_INET6;
	cr_assert_eq(ovpn_mtu_inner_max(&m), 1428);
	m.path_mtu = 0;
	cr_assert_eq(ovpn_mtu_inner_max(&m), 1428);
	m.path_mtu = 9000;
	cr_assert_eq(ovpn_mtu_inner_max(&m), 1500);
	m.path_mtu = 60;
	cr_assert_eq(ovpn_mtu_inner_max(&m), 68);
}

struct mss_case {
	int mssfix, mode, family;
	uint32_t path, want;
};

Test(ovpn_mtu, follows_mssfix)
{
	static const struct mss_case cases[] = {
		{ -1, MSSFIX_MTU, AF_INET, 1500, 1440 },      /* 1492 - 28 - 24 */
		{ -1, MSSFIX_MTU, AF_INET6, 1500, 1420 },
		{ -1, MSSFIX_MTU, AF_INET, 1400, 1348 },      /* the path is smaller */
		{ 0, MSSFIX_DATAGRAM, AF_INET, 1500, 0 },
		{ 1300, MSSFIX_DATAGRAM, AF_INET, 1500, 1276 }, /* n - 24; minus 40 is the MSS */
		{ 1450, MSSFIX_DATAGRAM, AF_INET, 1500, 1426 },
		{ 1450, MSSFIX_DATAGRAM, AF_INET, 1400, 1348 },
		{ 1400, MSSFIX_MTU, AF_INET, 1500, 1348 },
		{ 1400, MSSFIX_MTU, AF_INET6, 1500, 1328 },
		{ 1200, MSSFIX_FIXED, AF_INET, 1500, 1200 },
		{ 1500, MSSFIX_FIXED, AF_INET, 1500, 1448 },
		{ 10, MSSFIX_DATAGRAM, AF_INET, 1500, 68 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ovpn_options o = { .mssfix = cases[i].mssfix };
		const struct ovpn_mtu m = { .path_mtu = cases[i].path, .family = cases[i].family, .overhead = { 24, 0, 1 }, .tun_mtu = 1500 };

		o.mssfix_mode = (__typeof__(o.mssfix_mode))cases[i].mode;
		cr_expect_eq(ovpn_mtu_mss_packet_max(&m, &o), cases[i].want, "case %zu", i);
	}
}

/* What test_mssfix_mtu_calculation of the original says for AES-256-GCM with a peer id: n - 4 - 4 - 16 - 40. */
Test(ovpn_mtu, agrees_with_the_originals_table)
{
	const struct ovpn_mtu m = { .path_mtu = 1500, .family = AF_INET, .overhead = ovpn_mtu_overhead(true, NULL, NULL, FRAMING_NONE, false), .tun_mtu = 1500 };

	for (int n = 900; n <= 1200; n++) {
		const struct ovpn_options o = { .mssfix = n, .mssfix_mode = MSSFIX_DATAGRAM };

		cr_expect_eq(ovpn_mtu_mss_packet_max(&m, &o) - 40, (uint32_t)n - 4 - 4 - 16 - 40, "%d", n);
	}
}

Test(ovpn_mtu, counts_the_length_prefix_over_tcp)
{
	const struct ovpn_mtu m = { .path_mtu = 1500, .family = AF_INET, .transport = TRANSPORT_TCP, .overhead = { 24, 0, 1 }, .tun_mtu = 1500 };
	const struct ovpn_options o = { .mssfix = 1000, .mssfix_mode = MSSFIX_DATAGRAM };

	const struct ovpn_options outer = { .mssfix = 1400, .mssfix_mode = MSSFIX_MTU }, unset = { .mssfix = -1 };

	cr_assert_eq(ovpn_mtu_mss_packet_max(&m, &o), 1000 - 2 - 24);
	cr_assert_eq(ovpn_mtu_mss_packet_max(&m, &outer), 1400 - 20 - 20 - 2 - 24);
	cr_assert_eq(ovpn_mtu_mss_packet_max(&m, &unset), 1492 - 20 - 20 - 2 - 24);
}

Test(ovpn_mtu, a_stream_has_no_largest_packet)
{
	const struct ovpn_mtu m = { .path_mtu = 1280, .family = AF_INET6, .transport = TRANSPORT_TCP, .overhead = { 24, 0, 1 }, .tun_mtu = 1500 };

	cr_assert_eq(ovpn_mtu_inner_max(&m), 1500);
}

/* By the format: what is sealed is no longer than the datagram may be, and one byte more would be. */
Test(ovpn_mtu, cbc_fills_whole_blocks)
{
	static const char *const digests[] = { "sha1", "sha256", "sha512" };
	static uint8_t keys[OVPN_KEY_BLOCK_LEN], inner[1500] = { 0x45 }, wire[2000];

	for (size_t i = 0; i < 3 * 2 * 2; i++) {
		struct framing_state framing = { .kind = i & 1 ? FRAMING_LZO : FRAMING_NONE };
		struct ovpn_data_params p = { .cipher = ovpn_cipher_find("AES-256-CBC"), .digest = hash_digest_find(digests[i / 4]),
					      .keys = keys, .framing = &framing, .peer_id = i & 2 ? 7 : OVPN_PEER_ID_V1 };
		const struct ovpn_mtu m = { .path_mtu = 1500, .family = AF_INET, .tun_mtu = 1500,
					    .overhead = ovpn_mtu_overhead(i & 2, p.cipher, p.digest, framing.kind, false) };
		struct ovpn_data *d = NULL;

		cr_assert_eq(ovpn_data_new(&d, &p), 0);
		for (int n = 600; n < 700; n++) {
			const struct ovpn_options o = { .mssfix = n, .mssfix_mode = MSSFIX_DATAGRAM };
			uint32_t most = ovpn_mtu_mss_packet_max(&m, &o);

			cr_assert_leq(ovpn_data_seal(d, inner, most, wire), n, "%zu %d", i, n);
			cr_assert_gt(ovpn_data_seal(d, inner, most + 1, wire), n, "%zu %d", i, n);
		}
		cr_assert_leq(ovpn_data_seal(d, inner, ovpn_mtu_inner_max(&m), wire), 1500 - 28);
		cr_assert_gt(ovpn_data_seal(d, inner, ovpn_mtu_inner_max(&m) + 1, wire), 1500 - 28);
		ovpn_data_free(d);
	}
}

Test(ovpn_mtu, fragments_are_never_needed)
{
	static uint8_t keys[OVPN_KEY_BLOCK_LEN], inner[1500] = { 0x45 }, wire[2000];
	static const char *const ciphers[] = { "AES-256-GCM", "AES-256-CBC" };

	for (size_t i = 0; i < 2 * 2; i++) {
		struct framing_state framing = { .kind = FRAMING_LZO };
		struct fragment_state fragment = { 0 };
		struct ovpn_data_params p = { .cipher = ovpn_cipher_find(ciphers[i / 2]), .digest = hash_digest_find("sha1"),
					      .keys = keys, .framing = &framing, .fragment = &fragment, .peer_id = 7 };
		const struct ovpn_mtu m = { .path_mtu = 1500, .family = AF_INET, .tun_mtu = 1500, .fragment = 1300,
					    .fragment_mtu = i & 1,
					    .overhead = ovpn_mtu_overhead(true, p.cipher, p.digest, framing.kind, true) };
		struct ovpn_options o = { .mssfix = -1 };
		ssize_t most = i & 1 ? 1300 - 28 : 1300;
		struct ovpn_data *d = NULL;

		cr_assert_eq(ovpn_data_new(&d, &p), 0);
		cr_assert_leq(ovpn_data_seal(d, inner, ovpn_mtu_inner_max(&m), wire), most);
		cr_assert_gt(ovpn_data_seal(d, inner, ovpn_mtu_inner_max(&m) + 1, wire), most);
		/* a bare mssfix, or none: what the fragments say */
		cr_assert_eq(ovpn_mtu_mss_packet_max(&m, &o), ovpn_mtu_inner_max(&m));
		o.mssfix = 1200;
		cr_assert_lt(ovpn_mtu_mss_packet_max(&m, &o), ovpn_mtu_inner_max(&m));
		o.mssfix = 0;
		cr_assert_eq(ovpn_mtu_mss_packet_max(&m, &o), 0);
		ovpn_data_free(d);
	}
}
