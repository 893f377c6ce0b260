/* The option table: order, completeness, the form of its rows. */
#include <fcntl.h>

#include "base/fd.h"
#include "profile/profile-ovpn.h"
#include "sample.h"

/* Names that no manual of today has: older versions, providers' files, --help. */
static const char *const old_names[] = {
	"auto-proxy",
	"gremlin",
	"memstats",
	"msg-channel",
	"mtu-dynamic",
	"ncp-ciphers",
	"no-name-remapping",
	"rdns-internal",
	"show-curves",
	"tls-remote",
	"tun-ipv6",
	"udp-mtu",
	"version",
};

/* The next name of tests/golden/openvpn-options.txt, NUL-terminated in place; NULL at the end. */
static char *next_name(char **at)
{
	while (**at) {
		char *line = *at;
		size_t len = strcspn(line, "\n");

		*at += len + (line[len] == '\n');
		if (line[0] == '#' || len == 0)
			continue;
		line[strcspn(line, " \n")] = '\0';
		return line;
	}
	return NULL;
}

Test(profile_ovpn_table, is_sorted_and_says_something_about_each)
{
	size_t n, fates[_FATE_MAX] = { 0 };
	const struct ovpn_option *t = ovpn_options_table(&n);

	for (size_t i = 0; i < n; i++) {
		if (i)
			cr_assert(strcmp(t[i - 1].name, t[i].name) < 0, "%s after %s", t[i].name, t[i - 1].name);
		cr_assert(t[i].why && *t[i].why, "%s", t[i].name);
		cr_assert(t[i].min_args <= t[i].max_args, "%s", t[i].name);
		cr_assert(t[i].max_args <= OVPN_WORDS_MAX - 1, "%s", t[i].name);
		cr_assert(t[i].fate == FATE_HONOURED || !t[i].handle, "%s", t[i].name);
		cr_assert_eq(ovpn_option_find(t[i].name), &t[i]);
		fates[t[i].fate]++;
	}
	(void)fprintf(stderr, "%zu options: %zu honoured, %zu ignored, %zu refused\n", n, fates[FATE_HONOURED], fates[FATE_IGNORED],
		    fates[FATE_REFUSED]);
	cr_assert_geq(n, 250);
}

Test(profile_ovpn_table, knows_every_option_of_the_manuals)
{
	const char *path = "tests/golden/openvpn-options.txt";
	_cleanup_(freep) char *text = NULL;
	size_t len, n = 0;

	cr_assert_eq(file_read(AT_FDCWD, path, 65536, &text, &len), 0, "%s is missing (run from the top folder)", path);
	for (char *at = text, *name; (name = next_name(&at)); n++)
		cr_assert_not_null(ovpn_option_find(name), "%s has no row", name);
	(void)fprintf(stderr, "%zu options in the manuals of openvpn 2.5, 2.6 and 2.7, each with a row\n", n);
	cr_assert_geq(n, 300);
	for (size_t i = 0; i < ARRAY_SIZE(old_names); i++)
		cr_assert_not_null(ovpn_option_find(old_names[i]), "%s", old_names[i]);
	cr_assert_null(ovpn_option_find("remot"));
	cr_assert_null(ovpn_option_find(""));
}

Test(profile_ovpn_table, refuses_whatever_runs_loads_or_includes)
{
	static const char *const dangerous[] = { "up",
						 "down",
						 "ipchange",
						 "route-up",
						 "route-pre-down",
						 "tls-verify",
						 "auth-user-pass-verify",
						 "client-connect",
						 "client-disconnect",
						 "client-crresponse",
						 "learn-address",
						 "plugin",
						 "iproute",
						 "engine",
						 "providers",
						 "pkcs11-providers",
						 "cryptoapicert",
						 "config",
						 "tls-crypt-v2-verify" };

	for (size_t i = 0; i < ARRAY_SIZE(dangerous); i++) {
		const struct ovpn_option *o = ovpn_option_find(dangerous[i]);

		cr_assert_not_null(o);
		cr_assert_eq(o->fate, FATE_REFUSED, "%s", dangerous[i]);
		cr_assert(strstr(o->why, "@"), "%s names no remedy with its line", dangerous[i]);
	}
}

/* ---- what explain says is what the parser does ---- */

#define TRUTH_BASE \
	"tls-client\npull\ndev tun\nremote vpn.example.net\nauth-user-pass\nverify-x509-name x name\n" CA_BLOCK
#define TRUTH_LINE 12 /* where the tested line stands */
#define HASH32 "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"

/* A tls-crypt-v2 client key of zeros: 256 bytes and a wrapped key of 291, the smallest, whose length ends it. */
#define A20 "AAAAAAAAAAAAAAAAAAAA"
#define A100 A20 A20 A20 A20 A20 "\n"
#define ZERO_V2                                                                                                        \
	"-----BEGIN OpenVPN tls-crypt-v2 client key-----\n" A100 A100 A100 A100 A100 A100 A100 A20                      \
	"AAAAAAABIw==\n-----END OpenVPN tls-crypt-v2 client key-----\n"

static const struct sample_file truth_files[] = {
	{ "x.crt", SAMPLE_CERT, 0 },	       { "x.key", SAMPLE_KEY, 0 },  { "x.pem", SAMPLE_PRIVATE, 0 },
	{ "x.crl", SAMPLE_CRL, 0 },	       { "x.v2", ZERO_V2, 0 },	    { "x.p12", "\x30\x82\x01\x01", 0 },
	{ "x.txt", "alice\nsecret\n", 0 }, { 0 },
};

/*
 * A line of each honoured option that has to change the model, or (same) that changes nothing because nsvpn does so
 * anyway, or because it says something about other lines.
 */
static const struct truth {
	const char *line;
	bool same;
} truths[] = {
	{ "allow-compression no", false },
	{ "askpass x.txt", false },
	{ "auth SHA512", false },
	{ "auth-nocache", false },
	{ "auth-retry interact", false },
	{ "socks-proxy p.example", false },
	{ "socks-proxy-user-pass x.txt\nsocks-proxy p.example", false },
	{ "static-challenge \"Code?\" 1", false },
	{ "auth-user-pass x.txt", false },
	{ "bind", true },
	{ "block-ipv6", false },
	{ "ca x.crt", true },
	{ "cert x.crt", false },
	{ "cipher AES-256-CBC", false },
	{ "client", true },
	{ "comp-lzo no", false },
	{ "compress stub-v2", false },
	{ "connect-retry 7 70", false },
	{ "connect-timeout 7", false },
	{ "crl-verify x.crl", false },
	{ "data-ciphers AES-192-GCM", false },
	{ "data-ciphers-fallback AES-128-CBC", false },
	{ "dev tun7", true },
	{ "dev-type tun", true },
	{ "dhcp-option DNS 192.0.2.53", false },
	{ "dns server 1 address 192.0.2.53", false },
	{ "dns-updown disable", true },
	{ "explicit-exit-notify 2", false },
	{ "extra-certs x.crt", false },
	{ "fragment 1300", false },
	{ "hand-window 70", false },
	{ "http-proxy p.example 8080\nproto tcp", false },
	{ "http-proxy-option AGENT x\nhttp-proxy p.example 8080\nproto tcp", false },
	{ "http-proxy-user-pass x.txt\nhttp-proxy p.example 8080\nproto tcp", false },
	{ "ifconfig 10.8.0.2 10.8.0.1", false },
	{ "ifconfig-ipv6 2001:db8::2/64 2001:db8::1", false },
	{ "ignore-unknown-option xyz", true },
	{ "keepalive 10 60", false },
	{ "key x.pem", false },
	{ "key-direction 1", false },
	{ "key-method 2", true },
	{ "local 192.0.2.7", false },
	{ "lport 4321", false },
	{ "mode p2p", true },
	{ "mssfix 1200", false },
	{ "mtu-dynamic 1300", false },
	{ "ncp-ciphers AES-192-GCM", false },
	{ "nobind", true },
	{ "ns-cert-type server", false },
	{ "peer-fingerprint " HASH32, false },
	{ "ping 7", false },
	{ "ping-exit 70", false },
	{ "ping-restart 70", false },
	{ "pkcs12 x.p12", false },
	{ "port 4321", false },
	{ "proto tcp", false },
	{ "proto-force udp", true },
	{ "pull", true },
	{ "pull-filter ignore route", false },
	{ "push-peer-info", false },
	{ "redirect-gateway def1", false },
	{ "redirect-private", false },
	{ "remote other.example.net 443 tcp", false },
	{ "remote-cert-eku serverAuth", false },
	{ "remote-cert-ku a0", false },
	{ "remote-cert-tls server", false },
	{ "remote-random", false },
	{ "reneg-bytes 700", false },
	{ "reneg-pkts 700", false },
	{ "reneg-sec 70", false },
	{ "replay-window 128", false },
	{ "route 192.0.2.0 255.255.255.0", false },
	{ "route-ipv6 2001:db8::/32", false },
	{ "route-gateway 10.8.0.1", true },
	{ "route-nopull", false },
	{ "rport 4321", false },
	{ "server-poll-timeout 7", false },
	{ "setenv UV_X y", false },
	{ "tls-auth x.key 1", false },
	{ "tls-cert-profile preferred", false },
	{ "tls-cipher AES256-SHA", false },
	{ "tls-ciphersuites TLS_AES_256_GCM_SHA384", false },
	{ "tls-client", true },
	{ "tls-crypt x.key", false },
	{ "tls-crypt-v2 x.v2", false },
	{ "tls-groups X25519", false },
	{ "tls-timeout 7", false },
	{ "tls-version-max 1.2", false },
	{ "tls-version-min 1.3", false },
	{ "topology subnet", false },
	{ "tran-window 70", false },
	{ "tun-mtu 1400", false },
	{ "verify-hash " HASH32 " SHA256", false },
	{ "verify-x509-name y name", false },
};

static const struct truth *truth_of(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(truths); i++)
		if (str_has_prefix(truths[i].line, name) && (truths[i].line[len] == ' ' || !truths[i].line[len]))
			return &truths[i];
	return NULL;
}

static struct parsed parse_line(const char *line)
{
	_cleanup_(freep) char *text = str_format(TRUTH_BASE "%s\n", line);

	return sample_parse(text, strlen(text), truth_files);
}

static void must_be_refused(const char *line, const char *name)
{
	struct parsed d = parse_line(line);
	_cleanup_(freep) char *where = str_format("x.ovpn:%d: `%s", TRUTH_LINE, name);
	const struct note *note = parsed_note(&d, TRUTH_LINE);

	cr_assert_eq(d.r, -EINVAL, "%s was taken", line);
	cr_assert(str_has_prefix(d.error, where), "%s: %s", line, d.error);
	cr_assert(note && note->fate == FATE_REFUSED && str_eq(note->option, name), "%s", line);
	parsed_done(&d);
}

/* The note's fate, after a parse that works. */
static enum fate must_be_taken(const char *line, const char *name, bool same)
{
	struct parsed base = parse_line("# nothing"), d = parse_line(line);
	const char *what = NULL;
	const struct note *note = parsed_note(&d, TRUTH_LINE);
	enum fate fate;

	cr_assert_eq(d.r, 0, "%s: %s", line, d.error);
	cr_assert(note && str_eq(note->option, name) && *note->text, "%s has no note", line);
	cr_assert_eq(profiles_equal(base.p, d.p, &what), same, "%s %s", line, same ? what : "changes nothing");
	fate = note->fate;
	parsed_done(&base);
	parsed_done(&d);
	return fate;
}

Test(profile_ovpn_table, what_is_called_ignored_changes_nothing_and_what_is_called_refused_is)
{
	size_t n;
	const struct ovpn_option *t = ovpn_options_table(&n);

	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *one = str_format("%s 1", t[i].name), *more = str_format("%s a b c", t[i].name);

		if (t[i].fate == FATE_REFUSED) {
			must_be_refused(t[i].name, t[i].name);
			must_be_refused(more, t[i].name);
		}
		if (t[i].fate == FATE_IGNORED) {
			cr_assert_eq(must_be_taken(t[i].name, t[i].name, true), FATE_IGNORED);
			cr_assert_eq(must_be_taken(one, t[i].name, true), FATE_IGNORED);
			cr_assert_eq(must_be_taken(more, t[i].name, true), FATE_IGNORED);
		}
	}
}

Test(profile_ovpn_table, what_is_called_honoured_has_an_effect)
{
	size_t n;
	const struct ovpn_option *t = ovpn_options_table(&n);

	for (size_t i = 0; i < n; i++) {
		const struct truth *truth = truth_of(t[i].name);
		enum fate fate;

		if (t[i].fate != FATE_HONOURED)
			continue;
		cr_assert_not_null(truth, "no line for %s in this test", t[i].name);
		fate = must_be_taken(truth->line, t[i].name, truth->same);
		cr_assert(fate == FATE_HONOURED || (fate == FATE_IGNORED && truth->same), "%s", truth->line);
	}
}

Test(profile_ovpn_table, honoured_options_refuse_too_few_and_too_many_values_by_line)
{
	size_t n;
	const struct ovpn_option *t = ovpn_options_table(&n);

	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *many = str_format("%s 1 2 3 4 5 6 7 8 9", t[i].name);

		if (t[i].fate != FATE_HONOURED)
			continue;
		if (t[i].min_args > 0)
			must_be_refused(t[i].name, t[i].name);
		if (t[i].max_args < 9)
			must_be_refused(many, t[i].name);
	}
}
