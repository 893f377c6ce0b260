/* profile.c, notes.c, fail.c, binds.c: names, verification, the list of binds. */
#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "profile/binds.h"
#include "profile/fail.h"
#include "sample.h"

static const struct {
	const char *text, *want; /* want NULL: usable */
} cases[] = {
	{ SMALL, NULL },
	{ "client\nremote a\n" CA_BLOCK "<cert>\n" SAMPLE_CERT "</cert>\n<key>\n" SAMPLE_PRIVATE "</key>\n", NULL },
	{ "client\nauth-user-pass\n" CA_BLOCK, "names no server" },
	{ "client\nremote a\nauth-user-pass\n", "which authority" },
	{ "client\nremote a\n" CA_BLOCK, "nothing to log in with" },
	{ "client\nremote a\n" CA_BLOCK "<cert>\n" SAMPLE_CERT "</cert>\n", "without its private key" },
	{ "client\nremote a\n" CA_BLOCK "<key>\n" SAMPLE_PRIVATE "</key>\n", "without its certificate" },
	{ "client\nremote a\n" CA_BLOCK "<pkcs12>\nMIIBAA==\n</pkcs12>\n<cert>\n" SAMPLE_CERT "</cert>\n", "twice" },
	{ SMALL "tls-version-min 1.3\ntls-version-max 1.2\n", "newer than the newest" },
	{ "tls-client\nremote a\nauth-user-pass\n" CA_BLOCK, "no address" },
	{ "tls-client\nremote a\nauth-user-pass\nifconfig 10.8.0.2 10.8.0.1\n" CA_BLOCK, NULL },
	{ SMALL "tun-mtu 1000\nifconfig-ipv6 fd00::2/64\n", "1280" },
};

Test(profile, verify_says_what_the_whole_lacks)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed d = sample_parse_text(cases[i].text);
		_cleanup_(freep) char *why = NULL;
		int r;

		cr_assert_eq(d.r, 0, "%s", d.error);
		r = profile_verify(d.p, &why);
		cr_assert_eq(r, cases[i].want ? -EINVAL : 0, "%s: %s", cases[i].text, why);
		if (cases[i].want)
			cr_assert(str_has_prefix(why, "x.ovpn: ") && strstr(why, cases[i].want), "%s", why);
		parsed_done(&d);
	}
}

Test(profile, verify_refuses_damaged_models)
{
	struct parsed d = sample_parse_text(SMALL);
	_cleanup_(freep) char *a = NULL, *b = NULL, *c = NULL, *e = NULL, *tcp = NULL;

	d.p->ovpn.remote_cert_tls_server = false;
	cr_assert_eq(profile_verify(d.p, &a), -EINVAL);
	d.p->ovpn.remote_cert_tls_server = true;
	d.p->ovpn.wrap = CONTROL_WRAP_TLS_AUTH;
	cr_assert_eq(profile_verify(d.p, &b), -EINVAL);
	d.p->ovpn.wrap = CONTROL_WRAP_NONE;
	d.p->remotes[0].port = 0;
	cr_assert_eq(profile_verify(d.p, &c), -EINVAL);
	d.p->remotes[0].port = 1194;
	d.p->remotes[0].transport = TRANSPORT_TCP;
	cr_assert_eq(profile_verify(d.p, &tcp), 0);
	d.p->protocol = PROTOCOL_WIREGUARD;
	cr_assert_eq(profile_verify(d.p, &e), -EINVAL);
	parsed_done(&d);
	profile_free(NULL);
}

Test(profile, names_go_there_and_back)
{
	enum uplink u = UPLINK_VETH;

	cr_assert_eq(uplink_from_string("socket", &u), 0);
	cr_assert_eq(u, UPLINK_SOCKET);
	cr_assert_eq(uplink_from_string("Socket", &u), -EINVAL);
	cr_assert_eq(u, UPLINK_SOCKET);
	cr_assert_str_eq(uplink_to_string(UPLINK_VETH), "veth");
	cr_assert_str_eq(protocol_to_string(PROTOCOL_OPENVPN), "openvpn");
	cr_assert_str_eq(transport_to_string(TRANSPORT_UDP), "udp");
	cr_assert_str_eq(fate_to_string(FATE_REFUSED), "refused");
	for (int i = 0; i < _FAIL_CLASS_MAX; i++)
		cr_assert(*fail_class_to_string((enum fail_class)i));
	cr_assert_not_null(fail_class_to_string((enum fail_class)200));
}

Test(profile, notes_keep_order_and_escape_options)
{
	struct notes n = { 0 };

	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(notes_add(&n, i, FATE_IGNORED, "a\nb", "note %u", i), 0);
	cr_assert_eq(n.n, 100);
	cr_assert_eq(n.v[99].line, 99);
	cr_assert_str_eq(n.v[99].text, "note 99");
	cr_assert_str_eq(n.v[0].option, "a\\nb");
	notes_done(&n);
	cr_assert_null(n.v);
}

Test(profile, binds_cover_files_and_sockets_with_reasons)
{
	static const char *const targets[] = { "/etc/resolv.conf", "/etc/nsswitch.conf",
					       "/run/systemd/resolve", "/run/systemd/resolve/stub-resolv.conf",
					       "/run/systemd/resolve/resolv.conf", "/run/nscd", "/run/avahi-daemon" };
	size_t n;
	const struct bind *b = binds_table(&n);

	cr_assert_eq(n, ARRAY_SIZE(targets));
	for (size_t i = 0; i < n; i++) {
		cr_assert_str_eq(b[i].target, targets[i]);
		cr_assert_eq(b[i].kind == BIND_FILE, b[i].source != NULL);
		cr_assert(*b[i].why);
	}
}

/* The files in examples/ mean what they say. */
Test(profile, examples_are_usable)
{
	static const struct sample_file files[] = { { "ca.crt", SAMPLE_CERT, 0 },
						    { "alice.crt", SAMPLE_CERT, 0 },
						    { "alice.key", SAMPLE_PRIVATE, 0 },
						    { "ta.key", SAMPLE_KEY, 0 },
						    { 0 } };
	static const char *const paths[] = { "examples/provider.ovpn", "examples/work.ovpn" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_(freep) char *text = NULL, *why = NULL;
		struct parsed d;
		size_t len;

		if (file_read(AT_FDCWD, paths[i], PROFILE_FILE_MAX, &text, &len) == -ENOENT)
			cr_skip_test("not started in the source tree, so the examples are not at hand");
		d = sample_parse(text, len, files);
		cr_assert_eq(d.r, 0, "%s", d.error);
		cr_assert_eq(profile_verify(d.p, &why), 0, "%s", why);
		parsed_done(&d);
	}
}

Test(profile, example_settings_are_usable)
{
	_cleanup_(freep) char *text = NULL, *why = NULL;
	struct tunnel_settings s;
	size_t len;

	if (file_read(AT_FDCWD, "examples/settings.conf", PROFILE_FILE_MAX, &text, &len) == -ENOENT)
		cr_skip_test("not started in the source tree, so the examples are not at hand");
	cr_assert_eq(tunnel_settings_parse(text, len, "settings.conf", &s, &why), 0, "%s", why);
	cr_assert_eq(s.uplink, UPLINK_VETH);
	tunnel_settings_done(&s);
}
