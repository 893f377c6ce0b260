#include "proto/ovpn-peerinfo.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char buf[OVPN_PEERINFO_MAX];

Test(ovpn_peerinfo, keeps_the_ciphers_there_are)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305", "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305" },
		{ "AES-256-CBC:AES-256-GCM:CAMELLIA-256-CBC", "AES-256-CBC:AES-256-GCM" },
		{ "id-aes192-gcm:aes-128-cbc:aes-192-cbc", "AES-192-GCM:AES-128-CBC:AES-192-CBC" },
		{ "aes-256-gcm:?chacha20-poly1305", "AES-256-GCM:CHACHA20-POLY1305" },
		{ "AES-256-GCM:id-aes256-GCM:AES-256-GCM", "AES-256-GCM" },
		{ ":AES-128-GCM::", "AES-128-GCM" },
		{ "BF-CBC:DES-EDE3-CBC:none", NULL },
		{ "", NULL },
		{ NULL, NULL },
	};
	char out[OVPN_CIPHERS_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = ovpn_peerinfo_ciphers(cases[i].in, out, sizeof(out));

		cr_expect_eq(r, cases[i].out ? 0 : -ENOENT, "case %zu", i);
		if (cases[i].out)
			cr_expect_str_eq(out, cases[i].out);
	}
	cr_assert_eq(ovpn_peerinfo_ciphers("AES-256-GCM", out, 11), -EMSGSIZE);
	cr_assert_eq(ovpn_peerinfo_ciphers("AES-256-GCM", out, 12), 0);
}

Test(ovpn_peerinfo, says_only_what_is_true)
{
	char *ui[] = { "IV_GUI_VER=panel 1", "UV_ID=7", NULL };
	struct ovpn_options o = { .ciphers = "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305", .ui_ver = ui };

	o.pull = true;
	cr_assert_eq(ovpn_peerinfo_format(&o, 1500, buf, sizeof(buf)), 0);
	cr_assert_str_eq(buf, "IV_VER=nsvpn-" NSVPN_VERSION "\nIV_PLAT=linux\nIV_TCPNL=1\nIV_MTU=1500\nIV_NCP=2\n"
			      "IV_CIPHERS=AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305\nIV_PROTO=8094\n"
			      "IV_SSO=webauth,openurl,crtext\n"
			      "IV_LZO_STUB=1\nIV_COMP_STUB=1\nIV_COMP_STUBv2=1\nIV_GUI_VER=panel 1\n");
	o.push_peer_info = true;
	cr_assert_eq(ovpn_peerinfo_format(&o, 1500, buf, sizeof(buf)), 0);
	cr_assert(strstr(buf, "\nUV_ID=7\n"));
	o.ciphers = "AES-256-GCM";
	cr_assert_eq(ovpn_peerinfo_format(&o, 1500, buf, sizeof(buf)), 0);
	cr_assert_null(strstr(buf, "IV_NCP"));
	/* 8094 = 1 2 3 4 7 8 9 10 11 12 */
	cr_assert_eq(OVPN_IV_PROTO & (1u << 5 | 1u << 6 | 1u), 0);
}

Test(ovpn_peerinfo, refuses_lines_that_would_break_out)
{
	char *ui[] = { "IV_GUI_VER=a\nIV_CIPHERS=none", NULL };
	struct ovpn_options o = { .ciphers = "AES-256-GCM", .ui_ver = ui };

	cr_assert_eq(ovpn_peerinfo_format(&o, 1500, buf, sizeof(buf)), 0);
	cr_assert_null(strstr(buf, "none"));
	cr_assert_eq(ovpn_peerinfo_format(&o, 1500, buf, 20), -EMSGSIZE);
	cr_assert_eq(ovpn_peerinfo_format(&o, 1500, buf, 0), -EMSGSIZE);
}

Test(ovpn_peerinfo, chooses_the_cipher)
{
	static const struct {
		const char *list, *fallback, *pushed, *occ, *want;
	} cases[] = {
		{ "AES-256-GCM", NULL, "AES-256-GCM", "", "AES-256-GCM" },
		{ "AES-256-GCM:AES-128-GCM", NULL, "aes-128-gcm", "V4,cipher AES-256-GCM", "AES-128-GCM" },
		{ "AES-256-GCM", NULL, "AES-128-GCM", "", NULL },
		{ "AES-256-GCM", "AES-128-GCM", "AES-128-GCM", "", NULL },
		{ "AES-256-GCM:AES-256-CBC", NULL, "AES-256-CBC", "", "AES-256-CBC" },
		{ "AES-256-GCM:AES-256-CBC", NULL, "AES-128-CBC", "", NULL },
		{ "AES-256-GCM:BF-CBC", NULL, "BF-CBC", "", NULL },
		{ "AES-256-GCM", NULL, "none", "", NULL },
		{ "AES-256-GCM", NULL, "", "V4,dev-type tun,cipher AES-256-GCM,auth [null-digest]", "AES-256-GCM" },
		{ "AES-256-GCM", NULL, "", "V4,cipher AES-256-CBC", NULL },
		{ "AES-256-GCM", "AES-128-GCM", "", "V4,cipher AES-256-CBC", NULL },
		{ "AES-256-GCM:AES-256-CBC", "AES-256-CBC", "", "V4,cipher AES-256-CBC,auth SHA256", "AES-256-CBC" },
		{ "AES-256-GCM", "AES-128-GCM", "", "V4,dev-type tun", "AES-128-GCM" },
		{ "AES-256-GCM", NULL, "", "", NULL },
		{ "AES-256-GCM", "BF-CBC", "", "", NULL },
		{ "AES-256-GCM:AES-256-CBC", "AES-256-CBC", "", "", "AES-256-CBC" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ovpn_options o = { .ciphers = (char *)cases[i].list, .cipher_fallback = (char *)cases[i].fallback };
		const struct ovpn_cipher *c = NULL;
		char *error = NULL;
		int r = ovpn_peerinfo_select_cipher(&o, cases[i].pushed, cases[i].occ, &c, &error);

		cr_expect_eq(r, cases[i].want ? 0 : -ENOENT, "case %zu", i);
		cr_expect_eq(error != NULL, r < 0);
		if (cases[i].want)
			cr_expect_str_eq(c->name, cases[i].want, "case %zu", i);
		free(error);
	}
}
