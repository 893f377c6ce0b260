/* profile-ovpn.c and its handlers: what files mean, and what is said about those that cannot work. */
#include <errno.h>

#define FP20 "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13"
#define FP31 "07:0E:15:1C:23:2A:31:38:3F:46:4D:54:5B:62:69:70:77:7E:85:8C:93:9A:A1:A8:AF:B6:BD:C4:CB:D2:D9"
#define FP32 "00:" FP31

#include "profile/profile-ovpn.h"
#include "sample.h"

/* ---- the client file of the "OpenVPN IPv6 notes" (2.4, two servers, tls-auth, comp-lzo) ---- */

static const char notes_client[] = "client\n"
				   "nobind\n"
				   "dev tun\n"
				   "remote-cert-tls server\n"
				   "\n"
				   "remote ansible.mysite.site 1194 udp6\n"
				   "remote ansible.mysite.site 1194 udp\n"
				   "\n"
				   "<key>\n" SAMPLE_PRIVATE "</key>\n"
				   "<cert>\n" SAMPLE_CERT "</cert>\n"
				   "<ca>\n" SAMPLE_CERT "</ca>\n"
				   "key-direction 1\n"
				   "<tls-auth>\n" SAMPLE_KEY "</tls-auth>\n"
				   "\n"
				   "redirect-gateway def1 ipv6\n"
				   "comp-lzo\n"
				   "block-outside-dns\n";

Test(profile_ovpn, reads_the_client_file_of_the_ipv6_notes)
{
	struct parsed d = sample_parse_text(notes_client);
	_cleanup_(freep) char *why = NULL;
	const struct ovpn_options *o;

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(profile_verify(d.p, &why), 0, "%s", why);
	o = &d.p->ovpn;
	cr_assert_eq(d.p->n_remotes, 2);
	cr_assert_str_eq(d.p->remotes[0].host, "ansible.mysite.site");
	cr_assert_eq(d.p->remotes[0].family, AF_INET6);
	cr_assert_eq(d.p->remotes[1].family, AF_UNSPEC);
	cr_assert_eq(d.p->remotes[1].port, 1194);
	cr_assert_eq(d.p->remotes[1].line, 7);
	cr_assert_eq(o->wrap, CONTROL_WRAP_TLS_AUTH);
	cr_assert_eq(o->key_direction, KEY_DIRECTION_1);
	cr_assert_eq(secret_len(o->static_key), 256);
	cr_assert_eq(secret_bytes(o->static_key)[1], 0x11);
	cr_assert_str_eq(o->auth, "sha1");
	cr_assert_str_eq(o->ciphers, "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305");
	cr_assert_null(o->cipher_fallback);
	cr_assert_eq(o->framing, FRAMING_LZO);
	cr_assert(o->lzo_option);
	cr_assert(o->remote_cert_tls_server);
	cr_assert(o->pull);
	cr_assert_eq(o->redirect, REDIRECT_GATEWAY | REDIRECT_IPV6);
	cr_assert(!o->auth_user_pass);
	cr_assert_not_null(o->key);
	parsed_done(&d);
}

Test(profile_ovpn, reads_the_same_with_crlf_and_without_last_newline)
{
	struct parsed unix_file = sample_parse_text(notes_client), dos_file;
	struct strbuf b = { 0 };
	_cleanup_(freep) char *dos = NULL;
	const char *what = NULL;

	for (const char *s = notes_client; *s; s++)
		strbuf_add(&b, *s == '\n' ? "\r\n" : (char[]){ *s, 0 });
	dos = strbuf_take(&b);
	dos_file = sample_parse(dos, strlen(dos) - 2, NULL);
	cr_assert_eq(dos_file.r, 0, "%s", dos_file.error);
	/* PEM texts differ by their line ends only. */
	secret_free(dos_file.p->ovpn.ca);
	secret_free(dos_file.p->ovpn.cert);
	secret_free(dos_file.p->ovpn.key);
	cr_assert_eq(secret_dup(&dos_file.p->ovpn.ca, unix_file.p->ovpn.ca), 0);
	cr_assert_eq(secret_dup(&dos_file.p->ovpn.cert, unix_file.p->ovpn.cert), 0);
	cr_assert_eq(secret_dup(&dos_file.p->ovpn.key, unix_file.p->ovpn.key), 0);
	cr_assert(profiles_equal(unix_file.p, dos_file.p, &what), "%s", what);
	parsed_done(&unix_file);
	parsed_done(&dos_file);
}

/* ---- files in the manner of providers ---- */

Test(profile_ovpn, reads_a_provider_file_with_old_ciphers_and_many_servers)
{
	static const char text[] =
		"client\ndev tun\nproto udp\n"
		"remote nl1.provider.example 443\nremote 203.0.113.7 1194 # second\nremote nl2.provider.example\n"
		"port 1198\nremote-random\nresolv-retry infinite\nnobind\npersist-key\npersist-tun\n"
		"cipher AES-256-CBC\nauth SHA512\ntls-cipher TLS-DHE-RSA-WITH-AES-256-CBC-SHA:TLS-DHE-DSS\n"
		"remote-cert-tls server\nauth-user-pass login.txt\nreneg-sec 0\nping 15\nping-restart 0\n"
		"comp-lzo no\nverb 3\nmute 20\nfast-io\nsndbuf 0\nrcvbuf 0\ntun-mtu 1500\ntun-mtu-extra 32\n"
		"mssfix 1450\nscript-security 2\nroute-delay 2\nroute-method exe\nexplicit-exit-notify 2\n"
		"pull-filter ignore \"route-ipv6\"\nsetenv CLIENT_CERT 0\nkey-direction 1\nuser nobody\ngroup nogroup\n"
		"<ca>\nfree text\n" SAMPLE_CERT "</ca>\n<tls-auth>\n" SAMPLE_KEY "</tls-auth>\n";
	static const struct sample_file files[] = { { "login.txt", "bob\r\nsecret word\r\n", 0 }, { 0 } };
	struct parsed d = sample_parse(text, sizeof(text) - 1, files);
	_cleanup_(freep) char *why = NULL;
	const struct ovpn_options *o;

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(profile_verify(d.p, &why), 0, "%s", why);
	o = &d.p->ovpn;
	cr_assert_eq(d.p->n_remotes, 3);
	cr_assert_eq(d.p->remotes[0].port, 443);
	cr_assert_eq(d.p->remotes[2].port, 1198); /* a later `port` counts for servers without one */
	cr_assert(o->remote_random);
	cr_assert_str_eq(o->auth, "sha512");
	cr_assert_str_eq(o->cipher_fallback, "AES-256-CBC");
	cr_assert_str_eq(o->ciphers, "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305:AES-256-CBC");
	cr_assert_eq(parsed_note(&d, 13)->fate, FATE_HONOURED);
	cr_assert_str_eq(secret_string(o->username), "bob");
	cr_assert_str_eq(secret_string(o->password), "secret word");
	cr_assert_str_eq(o->auth_file, "login.txt");
	cr_assert_eq(o->reneg_sec, 0);
	cr_assert_eq(o->ping, 15 * USEC_PER_SEC);
	cr_assert(o->ping_restart == 0 && o->ping_restart_set);
	cr_assert_eq(o->mssfix, 1450);
	cr_assert_eq(o->mssfix_mode, MSSFIX_DATAGRAM);
	cr_assert_eq(o->explicit_exit_notify, 2);
	cr_assert_eq(o->n_pull_filters, 1);
	cr_assert_str_eq(o->pull_filters[0].prefix, "route-ipv6");
	parsed_done(&d);
}

Test(profile_ovpn, tells_off_from_not_set)
{
	static const struct {
		const char *line;
		bool set;
		usec_t restart, exit;
	} cases[] = {
		{ "ping 15", false, 0, 0 },
		{ "ping-restart 0", true, 0, 0 },
		{ "ping-restart 30", true, 30, 0 },
		{ "ping-exit 30", true, 0, 30 },
		{ "keepalive 10 60", true, 60, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[600];
		struct parsed d;

		(void)snprintf(text, sizeof(text), "client\ndev tun\nremote a\nauth-user-pass\n%s\n" CA_BLOCK, cases[i].line);
		d = sample_parse_text(text);
		cr_assert_eq(d.r, 0, "%s", d.error);
		cr_expect_eq(d.p->ovpn.ping_restart_set, cases[i].set, "%s", cases[i].line);
		cr_expect_eq(d.p->ovpn.ping_restart, cases[i].restart * USEC_PER_SEC, "%s", cases[i].line);
		cr_expect_eq(d.p->ovpn.ping_exit, cases[i].exit * USEC_PER_SEC, "%s", cases[i].line);
		parsed_done(&d);
	}
}

Test(profile_ovpn, every_line_gets_a_note)
{
	struct parsed d = sample_parse_text("client\ndev tun\nnonsense 1\nremote a\nup x\n  # c\nverb 3\n\"\n" CA_BLOCK
					    "setenv opt whatever\nauth-user-pass\n</ca>\n");
	static const unsigned lines[] = { 1, 2, 3, 4, 5, 7, 8, 9, 14, 15, 16 };

	cr_assert_eq(d.r, -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		cr_assert_not_null(parsed_note(&d, lines[i]), "line %u", lines[i]);
	cr_assert_eq(parsed_note(&d, 3)->fate, FATE_REFUSED);
	cr_assert_eq(parsed_note(&d, 5)->fate, FATE_REFUSED);
	cr_assert_eq(parsed_note(&d, 7)->fate, FATE_IGNORED);
	cr_assert(str_has_prefix(d.error, "x.ovpn:3: "), "%s", d.error);
	parsed_done(&d);
}

/* ---- table of refusals: the first sentence must hold each of the words ---- */

struct bad {
	const char *text;
	const char *words[3];
};

static const struct bad bads[] = {
	{ "up /x.sh\n", { "x.ovpn:1: `up /x.sh`: ", "remove line 1" } },
	{ "client\n\ndown \"a b\"\n", { "x.ovpn:3:", "never runs" } },
	{ "plugin x.so\n", { "never runs" } },
	{ "iproute /x\n", { "never runs" } },
	{ "config other\n", { "never includes" } },
	{ "dns-updown /x\n", { "never runs" } },
	{ "engine x\n", { "foreign code" } },
	{ "remot a\n", { "unknown option 'remot'", "did you mean 'remote'?" } },
	{ "data-ciphers-fallbacks x\n", { "did you mean 'data-ciphers-fallback'?" } },
	{ "--remot a\n", { "did you mean 'remote'?" } },
	{ "zzzzzzzzzzzzzz\n", { "unknown option", "remove line 1" } },
	{ "<<<<<<< HEAD\n", { "merge conflict" } },
	{ "-----BEGIN CERTIFICATE-----\n", { "x.ovpn:1: PEM text outside" } },
	{ "-----END CERTIFICATE-----\n", { "no line of an OpenVPN profile" } },
	{ "[Interface]\n", { "WireGuard" } },
	{ "<!DOCTYPE html>\n", { "web page" } },
	{ "<cra>\nx\n</cra>\n", { "unknown option" } },
	{ "<remote>\nx\n</remote>\n", { "cannot be a block" } },
	{ "<ca>\n" SAMPLE_CERT, { "x.ovpn:1: <ca> is never closed" } },
	{ "client\n<connection>\nremote a\n", { "x.ovpn:2: <connection> is never closed" } },
	{ "dev-type ton\n", { "takes tun or tap" } },
	{ "client\ndev tap\nifconfig 10.8.0.2 10.8.0.1\n", { "x.ovpn:3: ", "with `dev tap` the second value has to be a netmask" } },
	{ "dev null\n", { "carries nothing" } },
	{ "dev eth7\nclient\n", { "neither a tun nor a tap device" } },
	{ "dev\n", { "needs 1 value" } },
	{ "client now\n", { "takes no value" } },
	{ "mode server\n", { "not a client profile" } },
	{ "server 10.0.0.0 255.0.0.0\n", { "not a client profile" } },
	{ "tls-server\n", { "not a client profile" } },
	{ "push \"route 1\"\n", { "not a client profile" } },
	{ "dh dh.pem\n", { "not a client profile" } },
	{ "secret static.key\n", { "TLS profile" } },
	{ "http-proxy p 8080\nproto udp\nclient\ndev tun\nremote a\n", { "an HTTP proxy carries TCP only", "SOCKS" } },
	{ "http-proxy p 8080 x ntlm\n", { "NTLM is not supported", "Digest or Basic" } },
	{ "http-proxy p 8080 stdin ntlm2\n", { "NTLM is not supported", "ntlm2" } },
	{ "http-proxy p 8080 stdin magic\n", { "basic, digest" } },
	{ "http-proxy p 0\n", { "1 to 65535" } },
	{ "http-proxy p\n", { "needs 2 values" } },
	{ "http-proxy 'a b' 80\n", { "neither a host name nor an address" } },
	{ "http-proxy p 80\nsocks-proxy q\n", { "second proxy", "line 1" } },
	{ "http-proxy-option VERSION 2\n", { "1.0 or 1.1" } },
	{ "http-proxy-option CUSTOM-HEADER X\n", { "name and a text" } },
	{ "http-proxy-option CUSTOM-HEADER 'X Y' z\n", { "name and a text" } },
	{ "http-proxy-option CUSTOM-HEADER X-Caf\xc3\xa9 z\n", { "printable ASCII" } },
	{ "http-proxy-option AGENT ''\n", { "AGENT" } },
	{ "<http-proxy-user-pass>\nalice\n</http-proxy-user-pass>\n", { "without a password" } },
	{ "<http-proxy-user-pass>\n</http-proxy-user-pass>\n", { "user name" } },
	{ "http-proxy-override p 1\n", { "`http-proxy`" } },
	{ "lport 70000\n", { "0 to 65535" } },
	{ "bind twice\n", { "ipv6only" } },
	{ "fragment 67\n", { "68" } },
	{ "fragment 1300 yes\n", { "mtu" } },
	{ "static-challenge \"code\" 2\n", { "0 or 1" } },
	{ "static-challenge \"code\" 1 base64\n", { "scrv1 or concat" } },
	{ "verify-hash AA:BB\n", { "not a SHA256 fingerprint" } },
	{ "verify-hash " FP32 " SHA1\n", { "not a SHA1 fingerprint" } },
	{ "verify-hash " FP20 " MD5\n", { "SHA1 or SHA256" } },
	{ "<peer-fingerprint>\nAA\n</peer-fingerprint>\n", { "not a SHA256 fingerprint" } },
	{ "<peer-fingerprint>\n# none\n\n</peer-fingerprint>\n", { "holds no fingerprint" } },
	{ "peer-fingerprint " FP20 "\n", { "not a SHA256 fingerprint" } },
	{ "peer-fingerprint " FP32 ":\n", { "not a SHA256 fingerprint" } },
	{ "peer-fingerprint " FP32 ":00\n", { "not a SHA256 fingerprint" } },
	{ "peer-fingerprint 0" FP32 "\n", { "not a SHA256 fingerprint" } },
	{ "peer-fingerprint X" FP31 "\n", { "not a SHA256 fingerprint" } },
	{ "no-replay\n", { "never does" } },
	{ "key-method 1\n", { "key method 2" } },
	{ "remote\n", { "needs 1 value" } },
	{ "remote a 1194 udp extra\n", { "takes at most 3" } },
	{ "remote a 0\n", { "'0' is not a number from 1 to 65535" } },
	{ "remote a 65536\n", { "65535" } },
	{ "remote a -1\n", { "65535" } },
	{ "remote a 1194x\n", { "65535" } },
	{ "remote a 1194 sctp\n", { "'sctp' is not a protocol" } },
	{ "remote a 1194 tcp-server\n", { "server's protocol" } },
	{ "remote -a\n", { "neither a host name" } },
	{ "remote \"a b\"\n", { "neither a host name" } },
	{ "remote a;b\n", { "neither a host name" } },
	{ "remote \"\"\n", { "neither a host name" } },
	{ "remote a\x01z\n", { "x.ovpn:1:", "control character" } },
	{ "proto-force sctp\n", { "takes udp or tcp" } },
	{ "client\nproto-force udp\nremote a 443 tcp-client\n", { "x.ovpn:2:", "proto-force", "leaves no server" } },
	{ "port 99999\n", { "65535" } },
	{ "<connection>\n</connection>\n", { "holds no `remote`" } },
	{ "<connection>\nremote a\nremote b\n</connection>\n", { "second `remote`" } },
	{ "<connection>\nclient\nremote b\n</connection>\n", { "not allowed inside <connection>", "line 1" } },
	{ "cipher AES-256-GCN\n", { "unknown cipher 'AES-256-GCN'", "did you mean 'AES-256-GCM'?" } },
	{ "data-ciphers CAST5-CBC:BF-CBC\n", { "none of these ciphers" } },
	{ "data-ciphers \"\"\n", { "none of these ciphers" } },
	{ "auth MD99\n", { "unknown digest 'MD99'" } },
	{ "client\nremote a\nauth none\n<tls-auth>\n" SAMPLE_KEY "</tls-auth>\n", { "tls-auth needs a digest" } },
	{ "client\nremote a\nauth MD5\n<tls-auth>\n" SAMPLE_KEY "</tls-auth>\n", { "tls-auth needs a digest" } },
	{ "client\nremote a\nauth none\ndata-ciphers AES-128-CBC\n", { "needs a digest" } },
	{ "compress zip\n", { "unknown algorithm" } },
	{ "comp-lzo maybe\n", { "yes, no or adaptive" } },
	{ "tun-mtu 100\n", { "576" } },
	{ "tun-mtu 99999999999999999999\n", { "576" } },
	{ "mssfix 10\n", { "256" } },
	{ "mssfix 1400 foo\n", { "mtu or fixed" } },
	{ "tls-version-max 1.1\n", { "TLS 1.2" } },
	{ "tls-version-min 9\n", { "not a TLS version" } },
	{ "tls-cert-profile strong\n", { "preferred" } },
	{ "tls-cipher \"A B\"\n", { "separated by colons" } },
	{ "remote-cert-tls client\n", { "server's file" } },
	{ "ns-cert-type client\n", { "server's file" } },
	{ "remote-cert-eku \"TLS Web Client Authentication\"\n", { "remote-cert-tls server" } },
	{ "remote-cert-eku clientAuth\n", { "remote-cert-tls server" } },
	{ "remote-cert-ku 0\n", { "hexadecimal" } },
	{ "remote-cert-ku a0 10000\n", { "hexadecimal" } },
	{ "remote-cert-ku -1\n", { "hexadecimal" } },
	{ "verify-x509-name a b\n", { "name-prefix" } },
	{ "tls-remote x\n", { "verify-x509-name" } },
	{ "key-direction 2\n", { "0 or 1" } },
	{ "tls-auth k.key 7\n", { "0 or 1" } },
	{ "<tls-auth>\nnothing\n</tls-auth>\n", { "holds no static key" } },
	{ "<tls-auth>\n-----BEGIN OpenVPN Static key V1-----\n" KEY_ROW
	  "-----END OpenVPN Static key V1-----\n</tls-auth>\n",
	  { "shorter than 2048 bits" } },
	{ "<tls-crypt>\n-----BEGIN OpenVPN Static key V1-----\n" KEY_ROWS_4 KEY_ROWS_4 KEY_ROWS_4 KEY_ROWS_4 KEY_ROW
	  "-----END OpenVPN Static key V1-----\n</tls-crypt>\n",
	  { "longer than 2048 bits" } },
	{ "<tls-crypt>\n-----BEGIN OpenVPN Static key V1-----\nxyz\n-----END OpenVPN Static key "
	  "V1-----\n</tls-crypt>\n",
	  { "hexadecimal" } },
	{ "<tls-crypt>\n-----BEGIN OpenVPN Static key V1-----\n" KEY_ROW "</tls-crypt>\n", { "cut off" } },
	{ "<tls-auth>\n" SAMPLE_KEY "</tls-auth>\n<tls-crypt>\n" SAMPLE_KEY "</tls-crypt>\n",
	  { "exclude each other" } },
	{ "ca missing.pem\n", { "`ca missing.pem`", "cannot read 'missing.pem'", "<ca>" } },
	{ "ca \"\"\n", { "empty" } },
	{ "<ca>\nnothing\n</ca>\n", { "holds no certificate" } },
	{ "<ca>\n-----BEGIN CERTIFICATE-----\nMII\n</ca>\n", { "cut off" } },
	{ "<key>\n" SAMPLE_CERT "</key>\n", { "holds no private key" } },
	{ "<pkcs12>\n!!!\n</pkcs12>\n", { "base64" } },
	{ "<pkcs12>\nAAAA\n</pkcs12>\n", { "PKCS#12" } },
	{ "crl-verify dir dir\n", { "folder" } },
	{ "capath /etc/ssl\n", { "<ca>" } },
	{ "auth-user-pass \"\"\n", { "the file name is empty", "to be asked" } },
	{ "auth-user-pass a username-only\n", { "not supported yet" } },
	{ "<auth-user-pass>\n\nx\n</auth-user-pass>\n", { "user name, is empty" } },
	{ "<auth-user-pass>\na\x02\nx\n</auth-user-pass>\n", { "control character in the user name" } },
	{ "<auth-user-pass>\nbob\nx\ty\n</auth-user-pass>\n", { "control character in the password" } },
	{ "auth-retry often\n", { "nointeract" } },
	{ "keepalive 10 15\n", { "twice" } },
	{ "keepalive 10\n", { "needs 2 values" } },
	{ "ping 9999999\n", { "86400" } },
	{ "hand-window 0\n", { "3600" } },
	{ "reneg-sec 10 20\n", { "not a number" } },
	{ "reneg-bytes -5\n", { "0 for off" } },
	{ "connect-retry 0\n", { "86400" } },
	{ "explicit-exit-notify 1000\n", { "60" } },
	{ "replay-window 100000\n", { "65536" } },
	{ "topology ring\n", { "subnet" } },
	{ "ifconfig 10.8.0.2\n", { "needs 2 values" } },
	{ "ifconfig 10.8.0.2 nonsense\n", { "IPv4 address" } },
	{ "ifconfig 127.0.0.1 10.8.0.1\n", { "own address" } },
	{ "client\ntopology subnet\nifconfig 10.8.0.2 10.8.0.1\n", { "x.ovpn:3:", "netmask" } },
	{ "ifconfig-ipv6 10.0.0.1\n", { "IPv6 address" } },
	{ "route www.example.com\n", { "looked up safely", "write its address" } },
	{ "route 10.0.0.0 255.0.255.0\n", { "not a netmask" } },
	{ "route 10.0.0.0 255.0.0.0 10.0.0.1 abc\n", { "not a number" } },
	{ "route 10.0.0.0 255.0.0.0 gw.example.com\n", { "IPv4 address" } },
	{ "route 2001:db8::\n", { "route-ipv6" } },
	{ "route-ipv6 2001:db8::/129\n", { "looked up safely" } },
	{ "route-ipv6 10.0.0.0/8\n", { "use `route`" } },
	{ "redirect-gateway def2\n", { "unknown flag 'def2'" } },
	{ "dhcp-option DNS\n", { "one address" } },
	{ "dhcp-option DNS 127.0.0.53\n", { "name server inside the tunnel" } },
	{ "dhcp-option DNS 1.2.3\n", { "IP address" } },
	{ "dhcp-option DOMAIN \"x;id\"\n", { "not a domain name" } },
	{ "dns\n", { "needs 1 value" } },
	{ "dns server x address 1.2.3.4\n", { "-128 to 127" } },
	{ "dns server 1 colour red\n", { "unknown property" } },
	{ "dns server 1 address 1.2.3.400\n", { "IP address" } },
	{ "dns search-domains a..b\n", { "not a domain name" } },
	{ "pull-filter drop x\n", { "accept, ignore or reject" } },
	{ "pull-filter ignore\n", { "needs 2 values" } },
	{ "setenv UV_a;b x\n", { "letters, digits" } },
	{ "setenv opt up /x\n", { "never runs" } },
	{ "setenv opt setenv opt up /x\n", { "setenv inside setenv" } },
	{ "setenv FORWARD_COMPATIBLE 1\nup /x\n", { "never runs" } },
	{ "ignore-unknown-option up\nup /x\n", { "never runs" } },
	{ "remote a\ndev tun\n", { "x.ovpn: has no `client` line" } },
	{ "# only a comment\n", { "x.ovpn: is empty" } },
	{ "x \"open\n", { "x.ovpn:1: a quotation mark is never closed" } },
	{ "x \xff\n", { "UTF-8" } },
};

Test(profile_ovpn, refuses_with_file_line_cause_and_remedy)
{
	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		struct parsed d = sample_parse_text(bads[i].text);

		cr_assert_eq(d.r, -EINVAL, "accepted: %s", bads[i].text);
		cr_assert(str_has_prefix(d.error, "x.ovpn:"), "%s", d.error);
		cr_assert_null(strchr(d.error, '\n'), "%s", d.error);
		cr_assert(str_is_clean_utf8(d.error, strlen(d.error)), "%s", d.error);
		for (size_t k = 0; k < ARRAY_SIZE(bads[i].words) && bads[i].words[k]; k++)
			cr_assert(strstr(d.error, bads[i].words[k]), "%s\nsays: %s\nlacks: %s", bads[i].text, d.error,
				  bads[i].words[k]);
		parsed_done(&d);
	}
	cr_log_info("%zu refusals", ARRAY_SIZE(bads));
}

/* ---- table of lines that are fine behind SMALL, with the fate of the line ---- */

static const struct {
	const char *line;
	enum fate fate;
} goods[] = {
	{ "tls-client", FATE_HONOURED },
	{ "pull", FATE_HONOURED },
	{ "dev tun7", FATE_HONOURED },
	{ "dev-type tun", FATE_HONOURED },
	{ "dev tap", FATE_HONOURED },
	{ "dev tap3", FATE_HONOURED },
	{ "dev-type tap", FATE_HONOURED },
	{ "mode p2p", FATE_HONOURED },
	{ "nobind", FATE_HONOURED },
	{ "local 10.0.0.1", FATE_HONOURED },
	{ "local name.example", FATE_IGNORED },
	{ "lport 0", FATE_HONOURED },
	{ "bind ipv6only", FATE_HONOURED },
	{ "socks-proxy 192.0.2.1", FATE_HONOURED },
	{ "http-proxy-option CUSTOM-HEADER Host x", FATE_IGNORED },
	{ "http-proxy-retry", FATE_IGNORED },
	{ "http-proxy-timeout 5", FATE_IGNORED },
	{ "socks-proxy-retry", FATE_IGNORED },
	{ "float", FATE_IGNORED },
	{ "remote 2001:db8::1 1194 udp6", FATE_HONOURED },
	{ "remote [2001:db8::1] 1194", FATE_HONOURED },
	{ "remote b 443 tcp", FATE_HONOURED },
	{ "proto tcp6-client", FATE_HONOURED },
	{ "proto-force UDP", FATE_HONOURED },
	{ "proto udp4", FATE_HONOURED },
	{ "remote-random", FATE_HONOURED },
	{ "cipher AES-128-GCM", FATE_HONOURED },
	{ "cipher bf-cbc", FATE_IGNORED },
	{ "cipher none", FATE_IGNORED },
	{ "cipher AES-192-GCM", FATE_HONOURED },
	{ "cipher AES-192-CBC", FATE_HONOURED },
	{ "cipher AES-256-CFB", FATE_IGNORED },
	{ "cipher DES-EDE3-CBC", FATE_IGNORED },
	{ "data-ciphers AES-256-GCM:?CAMELLIA-256-CBC:Foo", FATE_HONOURED },
	{ "data-ciphers DEFAULT", FATE_HONOURED },
	{ "ncp-ciphers chacha20-poly1305", FATE_HONOURED },
	{ "ncp-disable", FATE_IGNORED },
	{ "data-ciphers-fallback AES-256-CBC", FATE_HONOURED },
	{ "data-ciphers-fallback AES-256-GCM", FATE_HONOURED },
	{ "auth none", FATE_IGNORED },
	{ "auth MD5", FATE_IGNORED },
	{ "auth SHA3-256", FATE_IGNORED },
	{ "auth RSA-SHA256", FATE_HONOURED },
	{ "auth sha1", FATE_HONOURED },
	{ "compress", FATE_HONOURED },
	{ "compress lz4-v2", FATE_HONOURED },
	{ "compress migrate", FATE_IGNORED },
	{ "comp-noadapt", FATE_IGNORED },
	{ "allow-compression no", FATE_HONOURED },
	{ "allow-compression asym", FATE_HONOURED },
	{ "compress lzo", FATE_HONOURED },
	{ "compress stub-v2", FATE_HONOURED },
	{ "comp-lzo no", FATE_HONOURED },
	{ "fragment 0", FATE_IGNORED },
	{ "fragment 1300", FATE_HONOURED },
	{ "fragment 1300 mtu", FATE_HONOURED },
	{ "mssfix", FATE_HONOURED },
	{ "mssfix 0", FATE_HONOURED },
	{ "mssfix 1400 mtu", FATE_HONOURED },
	{ "mssfix 1400 fixed", FATE_HONOURED },
	{ "key-method 2", FATE_HONOURED },
	{ "tun-mtu 1360", FATE_HONOURED },
	{ "mssfix", FATE_HONOURED },
	{ "mssfix 0", FATE_HONOURED },
	{ "mssfix 1400 fixed", FATE_HONOURED },
	{ "link-mtu 1500", FATE_IGNORED },
	{ "txqueuelen 100", FATE_IGNORED },
	{ "replay-window 512 30", FATE_HONOURED },
	{ "mute-replay-warnings", FATE_IGNORED },
	{ "tls-version-min 1.0", FATE_IGNORED },
	{ "tls-version-min 1.2", FATE_HONOURED },
	{ "tls-version-min 9 or-highest", FATE_HONOURED },
	{ "tls-version-max 1.3", FATE_HONOURED },
	{ "tls-cipher DEFAULT:@SECLEVEL=0", FATE_HONOURED },
	{ "tls-groups X25519:P-256", FATE_HONOURED },
	{ "tls-cert-profile preferred", FATE_HONOURED },
	{ "ns-cert-type server", FATE_HONOURED },
	{ "remote-cert-eku \"TLS Web Server Authentication\"", FATE_HONOURED },
	{ "remote-cert-ku a0 88", FATE_HONOURED },
	{ "remote-cert-ku", FATE_HONOURED },
	{ "askpass", FATE_HONOURED },
	{ "askpass stdin", FATE_HONOURED },
	{ "remote-cert-eku 1.3.6.1.4.1.311.10.3.4", FATE_HONOURED },
	{ "peer-fingerprint " FP32, FATE_HONOURED },
	{ "verify-hash " FP20, FATE_HONOURED },
	{ "verify-hash " FP32 " SHA256", FATE_HONOURED },
	{ "verify-x509-name \"C=NL, CN=vpn\"", FATE_HONOURED },
	{ "verify-x509-name v name-prefix", FATE_HONOURED },
	{ "ca [inline]", FATE_HONOURED },
	{ "tls-auth [inline] 1", FATE_HONOURED },
	{ "key-direction 0", FATE_HONOURED },
	{ "auth-nocache", FATE_HONOURED },
	{ "auth-retry nointeract", FATE_HONOURED },
	{ "auth-user-pass stdin", FATE_HONOURED },
	{ "push-peer-info", FATE_HONOURED },
	{ "keepalive 10 60", FATE_HONOURED },
	{ "ping-exit 60", FATE_HONOURED },
	{ "ping-restart 0", FATE_HONOURED },
	{ "reneg-sec 3600 3000", FATE_HONOURED },
	{ "reneg-bytes -1", FATE_HONOURED },
	{ "reneg-pkts 1000", FATE_HONOURED },
	{ "hand-window 30", FATE_HONOURED },
	{ "connect-retry 5 60", FATE_HONOURED },
	{ "connect-retry-max 3", FATE_IGNORED },
	{ "server-poll-timeout 4", FATE_HONOURED },
	{ "explicit-exit-notify", FATE_HONOURED },
	{ "topology subnet", FATE_HONOURED },
	{ "ifconfig 10.8.0.6 10.8.0.5", FATE_HONOURED },
	{ "ifconfig-ipv6 fd00::2/64 fd00::1", FATE_HONOURED },
	{ "ifconfig-nowarn", FATE_IGNORED },
	{ "route 10.1.2.3", FATE_HONOURED },
	{ "route 10.1.0.0 255.255.0.0 vpn_gateway 5", FATE_HONOURED },
	{ "route 10.1.0.0 255.255.0.0 net_gateway", FATE_IGNORED },
	{ "route remote_host 255.255.255.255 net_gateway", FATE_IGNORED },
	{ "route 0.0.0.0 0.0.0.0", FATE_HONOURED },
	{ "route 10.9.0.0 default default default", FATE_HONOURED },
	{ "route-ipv6 2000::/3", FATE_HONOURED },
	{ "route-ipv6 ::/0 default", FATE_HONOURED },
	{ "route-gateway 10.8.0.1", FATE_IGNORED },
	{ "route-nopull", FATE_HONOURED },
	{ "route-noexec", FATE_IGNORED },
	{ "redirect-gateway", FATE_HONOURED },
	{ "redirect-gateway def1 bypass-dhcp !ipv4 ipv6", FATE_HONOURED },
	{ "redirect-private def1", FATE_HONOURED },
	{ "block-ipv6", FATE_HONOURED },
	{ "dhcp-option DNS 9.9.9.9", FATE_HONOURED },
	{ "dhcp-option DNS6 2001:db8::53", FATE_HONOURED },
	{ "dhcp-option DOMAIN example.net", FATE_HONOURED },
	{ "dhcp-option WINS 10.0.0.1", FATE_IGNORED },
	{ "dhcp-option PROXY_HTTP p 80", FATE_IGNORED },
	{ "dns search-domains a.example b.example", FATE_HONOURED },
	{ "dns server 1 address 192.0.2.53 2001:db8::53", FATE_HONOURED },
	{ "dns server 1 transport DoT", FATE_IGNORED },
	{ "dns-updown disable", FATE_IGNORED },
	{ "pull-filter accept \"route 10.\"", FATE_HONOURED },
	{ "setenv FORWARD_COMPATIBLE 1", FATE_HONOURED },
	{ "setenv CLIENT_CERT 0", FATE_HONOURED },
	{ "setenv UV_ID x", FATE_HONOURED },
	{ "setenv HOME /root", FATE_IGNORED },
	{ "setenv-safe a b", FATE_IGNORED },
	{ "setenv opt block-outside-dns", FATE_IGNORED },
	{ "setenv opt never-heard-of 1", FATE_IGNORED },
	{ "setenv opt tun-mtu 1400", FATE_HONOURED },
	{ "ignore-unknown-option foo bar", FATE_HONOURED },
	{ "script-security 2", FATE_IGNORED },
	{ "down-pre", FATE_IGNORED },
	{ "up-delay", FATE_IGNORED },
	{ "user nobody", FATE_IGNORED },
	{ "group nogroup", FATE_IGNORED },
	{ "log /x", FATE_IGNORED },
	{ "status /x 10", FATE_IGNORED },
	{ "persist-key", FATE_IGNORED },
	{ "persist-tun", FATE_IGNORED },
	{ "management 127.0.0.1 7505", FATE_IGNORED },
	{ "daemon", FATE_IGNORED },
	{ "cd /tmp", FATE_IGNORED },
	{ "block-outside-dns", FATE_IGNORED },
	{ "register-dns", FATE_IGNORED },
	{ "ip-win32 dynamic 0 3600", FATE_IGNORED },
	{ "route-method exe", FATE_IGNORED },
	{ "verb 3 # loud", FATE_IGNORED },
	{ "--verb 4", FATE_IGNORED },
	{ "resolv-retry infinite", FATE_IGNORED },
	{ "peer-id 3", FATE_IGNORED },
	{ "session-timeout 100", FATE_IGNORED },
};

Test(profile_ovpn, takes_good_lines_and_says_what_becomes_of_them)
{
	unsigned line = 1;

	for (const char *s = SMALL; *s; s++)
		line += *s == '\n';
	for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
		_cleanup_(freep) char *text = str_format("%s%s\n", SMALL, goods[i].line), *why = NULL;
		struct parsed d = sample_parse_text(text);
		const struct note *note;

		cr_assert_eq(d.r, 0, "%s: %s", goods[i].line, d.error);
		cr_assert_eq(profile_verify(d.p, &why), 0, "%s: %s", goods[i].line, why);
		note = parsed_note(&d, line);
		cr_assert_not_null(note, "%s", goods[i].line);
		cr_assert_eq(note->fate, goods[i].fate, "%s: %s, %s", goods[i].line, fate_to_string(note->fate),
			     note->text);
		cr_assert(*note->text && !strchr(note->text, '@'), "%s: %s", goods[i].line, note->text);
		parsed_done(&d);
	}
	cr_log_info("%zu good lines", ARRAY_SIZE(goods));
}

/* ---- meanings ---- */

Test(profile_ovpn, connection_blocks_replace_bare_remotes_and_copy_what_stood_before)
{
	struct parsed d = sample_parse_text("client\nremote bare.example\nport 1111\n"
					    "<connection>\nremote a.example\n</connection>\n"
					    "port 2222\nproto udp6\n"
					    "<connection>\nproto udp4\nremote b.example 443\n</connection>\n"
					    "<connection>\nremote c.example\nport 53\n</connection>\n"
					    "<connection>\nremote t.example 443 tcp\n</connection>\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(d.p->n_remotes, 4);
	cr_assert_str_eq(d.p->remotes[0].host, "a.example");
	cr_assert_eq(d.p->remotes[0].port, 1111);
	cr_assert_eq(d.p->remotes[0].family, AF_UNSPEC);
	cr_assert_eq(d.p->remotes[1].port, 443);
	cr_assert_eq(d.p->remotes[1].family, AF_INET);
	cr_assert_eq(d.p->remotes[2].port, 53);
	cr_assert_eq(d.p->remotes[2].family, AF_INET6);
	cr_assert_eq(d.p->remotes[2].transport, TRANSPORT_UDP);
	cr_assert_str_eq(d.p->remotes[3].host, "t.example");
	cr_assert_eq(d.p->remotes[3].transport, TRANSPORT_TCP);
	cr_assert_eq(d.p->remotes[3].family, AF_UNSPEC, "its own protocol comes with a family");
	cr_assert_eq(parsed_note(&d, 2)->fate, FATE_IGNORED);
	parsed_done(&d);
}

Test(profile_ovpn, protocols_mix_in_the_order_of_the_file)
{
	static const struct {
		enum transport transport;
		int family;
	} expected[] = {
		{ TRANSPORT_TCP, AF_INET },   { TRANSPORT_UDP, AF_UNSPEC }, { TRANSPORT_TCP, AF_INET6 },
		{ TRANSPORT_TCP, AF_UNSPEC }, { TRANSPORT_UDP, AF_INET6 },  { TRANSPORT_TCP, AF_INET },
	};
	struct parsed d = sample_parse_text("client\nremote a 443 tcp4\nremote b 1194 udp\nremote c 443 tcp6-client\n"
					    "remote d 80 tcp-client\nremote e 53 udp6\nremote f\nproto tcp4-client\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(d.p->n_remotes, ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		cr_assert_eq(d.p->remotes[i].host[0], 'a' + (char)i);
		cr_assert_eq(d.p->remotes[i].transport, expected[i].transport, "%zu", i);
		cr_assert_eq(d.p->remotes[i].family, expected[i].family, "%zu", i);
	}
	parsed_done(&d);
}

Test(profile_ovpn, connect_timeout_is_that_of_the_block)
{
	struct parsed d = sample_parse_text("client\nconnect-timeout 30\n"
					    "<connection>\nremote a 443 tcp\nconnect-timeout 5\n</connection>\n"
					    "<connection>\nremote b 443 tcp\n</connection>\n"
					    "<connection>\nserver-poll-timeout 7\nremote c 1194\n</connection>\n");
	struct parsed bare = sample_parse_text("client\nremote a\nremote b\nserver-poll-timeout 9\n");
	struct parsed unset = sample_parse_text("client\nremote a\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(d.p->remotes[0].connect_timeout, 5 * USEC_PER_SEC);
	cr_assert_eq(d.p->remotes[1].connect_timeout, 30 * USEC_PER_SEC);
	cr_assert_eq(d.p->remotes[2].connect_timeout, 7 * USEC_PER_SEC);
	cr_assert_eq(d.p->ovpn.connect_timeout, 30 * USEC_PER_SEC);
	cr_assert_eq(bare.p->remotes[0].connect_timeout, 9 * USEC_PER_SEC);
	cr_assert_eq(bare.p->remotes[1].connect_timeout, 9 * USEC_PER_SEC);
	cr_assert_eq(unset.p->remotes[0].connect_timeout, 120 * USEC_PER_SEC);
	parsed_done(&d);
	parsed_done(&bare);
	parsed_done(&unset);
}

Test(profile_ovpn, proto_force_leaves_out_the_others_and_says_so)
{
	struct parsed d = sample_parse_text("client\nremote a 443 tcp4\nremote b 1194 udp\nproto-force tcp\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(d.p->n_remotes, 1);
	cr_assert_str_eq(d.p->remotes[0].host, "a");
	cr_assert_eq(parsed_note(&d, 3)->fate, FATE_IGNORED);
	cr_assert_not_null(strstr(parsed_note(&d, 3)->text, "proto-force"));
	parsed_done(&d);
}

Test(profile_ovpn, keys_of_connections_may_not_differ)
{
	struct parsed d = sample_parse_text(
		"client\n<connection>\nremote a\n<tls-auth>\n" SAMPLE_KEY "</tls-auth>\n</connection>\n"
		"<connection>\nremote b\n<tls-auth>\n" SAMPLE_KEY "</tls-auth>\n</connection>\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	parsed_done(&d);
	d = sample_parse_text("client\n<connection>\nremote a\n<tls-auth>\n" SAMPLE_KEY "</tls-auth>\n</connection>\n"
			      "<connection>\nremote b\n<tls-crypt>\n" SAMPLE_KEY "</tls-crypt>\n</connection>\n");
	cr_assert_eq(d.r, -EINVAL);
	cr_assert(strstr(d.error, "a key for each <connection>"), "%s", d.error);
	parsed_done(&d);
}

Test(profile_ovpn, cipher_is_appended_as_last_resort)
{
	struct parsed d =
		sample_parse_text("client\nremote a\ncipher CHACHA20-POLY1305\ndata-ciphers AES-128-GCM:aes-128-gcm\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_str_eq(d.p->ovpn.ciphers, "AES-128-GCM:CHACHA20-POLY1305");
	cr_assert_str_eq(d.p->ovpn.cipher_fallback, "CHACHA20-POLY1305");
	parsed_done(&d);
}

Test(profile_ovpn, fingerprints_are_a_way_to_know_the_server)
{
	struct parsed d = sample_parse_text("client\nremote a\nauth-user-pass\n<peer-fingerprint>\n; old and new\n" FP32
					    "\r\n\n\tff:" FP31 " # laptop\n</peer-fingerprint>\n");
	char *why = NULL;

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(profile_verify(d.p, &why), 0, "%s", why);
	cr_assert_null(d.p->ovpn.ca);
	cr_assert_not(d.p->ovpn.remote_cert_tls_server);
	cr_assert_eq(d.p->ovpn.n_peer_hashes, 2);
	for (size_t i = 0; i < 2; i++) {
		cr_assert_eq(d.p->ovpn.peer_hashes[i].len, 32);
		cr_assert_eq(d.p->ovpn.peer_hashes[i].hash[0], i ? 0xff : 0);
		cr_assert_eq(d.p->ovpn.peer_hashes[i].hash[31], (uint8_t)(31 * 7));
	}
	parsed_done(&d);
	/* a fingerprint of the issuer does not tell the server from its clients */
	d = sample_parse_text("client\nremote a\nverify-hash " FP20 "\n" CA_BLOCK);
	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert(d.p->ovpn.remote_cert_tls_server);
	cr_assert_eq(d.p->ovpn.n_ca_hashes, 1);
	cr_assert_eq(d.p->ovpn.ca_hashes[0].len, 20);
	parsed_done(&d);
	d = sample_parse_text("client\nremote a\nremote-cert-ku a0 88\nremote-cert-eku serverAuth\n" CA_BLOCK);
	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_not(d.p->ovpn.remote_cert_tls_server);
	cr_assert_eq(d.p->ovpn.n_remote_ku, 2);
	cr_assert_eq(d.p->ovpn.remote_ku[0], 0xa0);
	cr_assert_str_eq(d.p->ovpn.remote_eku, "serverAuth");
	parsed_done(&d);
}

Test(profile_ovpn, knows_whether_a_pass_phrase_must_be_asked_for)
{
#define ENCRYPTED_BLOCK "<key>\n-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n</key>\n"
#define OLD_BLOCK "<key>\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA PRIVATE KEY-----\n</key>\n"
#define PLAIN_BLOCK "<key>\n" SAMPLE_PRIVATE "</key>\n"
	static const struct sample_file files[] = { { "phrase", "open sesame\n", 0 }, { 0 } };
	static const struct {
		const char *lines;
		bool asked;
	} rows[] = {
		{ ENCRYPTED_BLOCK, true }, { OLD_BLOCK, true }, { PLAIN_BLOCK, false }, { PLAIN_BLOCK "askpass\n", true },
		{ ENCRYPTED_BLOCK "askpass phrase\n", false }, { "askpass\naskpass phrase\n" OLD_BLOCK, false },
		{ "<askpass>\nx\n</askpass>\n" OLD_BLOCK, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(freep) char *text = str_format("client\nremote a\n" CA_BLOCK "%s", rows[i].lines);
		struct parsed d = sample_parse(text, strlen(text), files);

		cr_assert_eq(d.r, 0, "%s", d.error);
		cr_expect_eq(d.p->ovpn.key_password_asked, rows[i].asked, "row %zu", i);
		cr_expect_eq(d.p->ovpn.key_password != NULL, !rows[i].asked && i != 2, "row %zu", i);
		parsed_done(&d);
	}
}

Test(profile_ovpn, cbc_is_not_offered_without_a_digest)
{
	struct parsed d = sample_parse_text("client\nremote a\ncipher AES-256-CBC\nauth MD5\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_str_eq(d.p->ovpn.ciphers, "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305");
	cr_assert_null(d.p->ovpn.cipher_fallback);
	parsed_done(&d);
	d = sample_parse_text("client\nremote a\nauth none\nauth SHA512\ndata-ciphers AES-128-CBC:AES-192-GCM\n");
	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_str_eq(d.p->ovpn.ciphers, "AES-128-CBC:AES-192-GCM");
	cr_assert_str_eq(d.p->ovpn.auth, "sha512");
	parsed_done(&d);
}

Test(profile_ovpn, dns_server_replaces_dhcp_option_and_the_lowest_usable_wins)
{
	struct parsed d =
		sample_parse_text("client\nremote a\ndhcp-option DNS 9.9.9.9\ndhcp-option DOMAIN old.example\n"
				  "dns server 2 address 192.0.2.2\ndns server -1 address 192.0.2.1:5353\n"
				  "dns server 0 address 192.0.2.3\ndns server 0 transport DoH\n"
				  "dns search-domains new.example\n");
	char buf[INADDR_STR_MAX];

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(d.p->ovpn.n_dns, 1);
	cr_assert_str_eq(inaddr_format(&d.p->ovpn.dns[0], buf, sizeof(buf)), "192.0.2.2");
	cr_assert_eq(strv_len(d.p->ovpn.search), 1);
	cr_assert_str_eq(d.p->ovpn.search[0], "new.example");
	parsed_done(&d);
}

Test(profile_ovpn, ifconfig_follows_the_topology_wherever_it_stands)
{
	struct parsed d = sample_parse_text("client\nifconfig 10.8.0.2 255.255.255.0\ntopology subnet\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(d.p->ovpn.ifconfig4.len, 24);
	cr_assert_eq(d.p->ovpn.ifconfig4_peer.family, AF_UNSPEC);
	parsed_done(&d);
	d = sample_parse_text("client\nifconfig 10.8.0.6 10.8.0.5\n");
	cr_assert_eq(d.p->ovpn.ifconfig4.len, 32);
	cr_assert_eq(d.p->ovpn.ifconfig4_peer.family, AF_INET);
	parsed_done(&d);
}

Test(profile_ovpn, route_masks_host_bits_and_drops_net_gateway)
{
	struct parsed d =
		sample_parse_text("client\nroute 10.1.2.3 255.255.0.0\nroute 10.2.0.0 255.255.0.0 net_gateway\n"
				  "route-ipv6 2001:db8:1::5/48\n");
	char buf[INPREFIX_STR_MAX];

	cr_assert_eq(d.p->ovpn.n_routes, 2);
	cr_assert_str_eq(inprefix_format(&d.p->ovpn.routes[0], buf, sizeof(buf)), "10.1.0.0/16");
	cr_assert_str_eq(inprefix_format(&d.p->ovpn.routes[1], buf, sizeof(buf)), "2001:db8:1::/48");
	parsed_done(&d);
}

Test(profile_ovpn, server_check_is_on_by_default_and_said)
{
	struct parsed d = sample_parse_text("client\nremote a\n");

	cr_assert(d.p->ovpn.remote_cert_tls_server);
	cr_assert_not_null(parsed_note(&d, 0));
	cr_assert(strstr(parsed_note(&d, 0)->text, "verify-x509-name"));
	parsed_done(&d);
	d = sample_parse_text("client\nremote a\nverify-x509-name v name\n");
	cr_assert(!d.p->ovpn.remote_cert_tls_server);
	cr_assert_eq(d.p->ovpn.name_check, NAME_CHECK_NAME);
	parsed_done(&d);
}

Test(profile_ovpn, credentials_in_every_form)
{
	static const struct sample_file files[] = { { "two", "bob\npw", 0 },
						    { "one", "bob", 0 },
						    { "blank", "bob\r\n\r\n", 0 },
						    { "nul", "bob\0x\npw\n", 9 },
						    { 0 } };
	char text[6000], longest[4096];
	struct parsed d;

	d = sample_parse("client\nremote a\nauth-user-pass two\n", strlen("client\nremote a\nauth-user-pass two\n"),
			 files);
	cr_assert_str_eq(secret_string(d.p->ovpn.password), "pw");
	parsed_done(&d);
	d = sample_parse("client\nauth-user-pass one\n", strlen("client\nauth-user-pass one\n"), files);
	cr_assert_str_eq(secret_string(d.p->ovpn.username), "bob");
	cr_assert_null(d.p->ovpn.password);
	parsed_done(&d);
	d = sample_parse("client\nauth-user-pass blank\n", strlen("client\nauth-user-pass blank\n"), files);
	cr_assert_null(d.p->ovpn.password);
	parsed_done(&d);
	d = sample_parse("client\nauth-user-pass nul\n", strlen("client\nauth-user-pass nul\n"), files);
	cr_assert_eq(d.r, -EINVAL);
	parsed_done(&d);

	memset(longest, 'x', sizeof(longest));
	for (int extra = 0; extra < 2; extra++) {
		(void)snprintf(text, sizeof(text), "client\n<auth-user-pass>\nbob\n%.*s\n</auth-user-pass>\n",
			       4095 + extra, longest);
		d = sample_parse_text(text);
		cr_assert_eq(d.r, extra ? -EINVAL : 0, "%s", d.error);
		parsed_done(&d);
	}
	d = sample_parse_text("client\n<auth-user-pass>\nbob\npw\n</auth-user-pass>\nauth-user-pass\n");
	cr_assert_str_eq(secret_string(d.p->ovpn.password), "pw");
	parsed_done(&d);
}

/* ---- hostile and accidental files ---- */

Test(profile_ovpn, says_what_is_wrong_with_files_that_are_no_text)
{
	static const char nul[] = "client\n\0x", utf16[] = "\xff\xfe"
							   "c\0";
	_cleanup_(freep) char *large = calloc(1, PROFILE_FILE_MAX + 1);
	struct parsed d;

	d = sample_parse("", 0, NULL);
	cr_assert(str_has_prefix(d.error, "x.ovpn: is empty"), "%s", d.error);
	parsed_done(&d);
	d = sample_parse(nul, sizeof(nul) - 1, NULL);
	cr_assert(str_has_prefix(d.error, "x.ovpn: is not a text file (byte 8)"), "%s", d.error);
	parsed_done(&d);
	d = sample_parse(utf16, sizeof(utf16) - 1, NULL);
	cr_assert(strstr(d.error, "UTF-16"), "%s", d.error);
	parsed_done(&d);
	memset(large, '\n', PROFILE_FILE_MAX + 1);
	d = sample_parse(large, PROFILE_FILE_MAX + 1, NULL);
	cr_assert(strstr(d.error, "larger than 1 MiB"), "%s", d.error);
	parsed_done(&d);
}

Test(profile_ovpn, limits_are_sentences)
{
	struct strbuf b = { 0 };
	_cleanup_(freep) char *text = NULL, *lines = NULL, *routes = NULL;
	struct parsed d;

	for (int i = 0; i < 65; i++)
		strbuf_addf(&b, "remote s%d.example\n", i);
	text = strbuf_take(&b);
	d = sample_parse_text(text);
	cr_assert(strstr(d.error, "x.ovpn:65:") && strstr(d.error, "more than 64 servers"), "%s", d.error);
	parsed_done(&d);
	for (int i = 0; i < 257; i++)
		strbuf_addf(&b, "route 10.%d.%d.0 255.255.255.0\n", i / 256, i % 256);
	routes = strbuf_take(&b);
	d = sample_parse_text(routes);
	cr_assert(strstr(d.error, "more than 256 routes"), "%s", d.error);
	parsed_done(&d);
	for (int i = 0; i < 11000; i++)
		strbuf_add(&b, "verb 3\n");
	lines = strbuf_take(&b);
	d = sample_parse_text(lines);
	cr_assert(strstr(d.error, "more than 10000 options"), "%s", d.error);
	parsed_done(&d);
	strbuf_done(&b);
}

Test(profile_ovpn, every_truncation_of_a_good_file_is_survived)
{
	for (size_t len = 0; len < sizeof(notes_client) - 1; len++) {
		struct parsed d = sample_parse(notes_client, len, NULL);

		parsed_done(&d);
	}
}

Test(profile_ovpn, text_of_the_file_is_escaped_in_messages)
{
	struct parsed d = sample_parse_text("caf\xc3\xa9 \xe2\x80\xae"
					    "abc\n");

	cr_assert_eq(d.r, -EINVAL);
	for (const char *s = d.error; *s; s++)
		cr_assert((unsigned char)*s >= 0x20 && (unsigned char)*s < 0x7f, "%s", d.error);
	parsed_done(&d);
}

/* ---- files that are no profiles ---- */

Test(profile_ovpn, never_quotes_a_foreign_file)
{
	static const char *const texts[] = {
		"root:$y$j9T$SECRETWORD:19000:0:99999:7:::\n",
		"SECRETWORD=1 x\n",
		"export API_KEY=SECRETWORD\n",
		"password SECRETWORD\n",
		"client\nremote a\nmachine example.net login bob password SECRETWORD\n",
		"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQSECRETWORDAAAA\n",
		"-----BEGIN SECRETWORD-----\n",
		"<<<<<<< SECRETWORD\n",
		"<html SECRETWORD>\n",
		"setenv FORWARD_COMPATIBLE 1\nSECRETWORD:x\n",
		"setenv opt SECRETWORD:x\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct parsed d = sample_parse_text(texts[i]);

		cr_assert_eq(d.r, -EINVAL);
		cr_expect_null(strstr(d.error, "SECRETWORD"), "%s", d.error);
		for (size_t k = 0; k < d.notes.n; k++)
			cr_expect(!strstr(d.notes.v[k].option, "SECRETWORD") && !strstr(d.notes.v[k].text, "SECRETWORD"),
				  "%s: %s", d.notes.v[k].option, d.notes.v[k].text);
		parsed_done(&d);
	}
}

/* ---- a password file that nobody has ---- */

static const struct sample_file login[] = { { "login", "bob\npw\n", 0 }, { 0 } };

static struct parsed parse_login(const char *lines)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "client\nremote a\n%s", lines);
	return sample_parse(text, strlen(text), login);
}

Test(profile_ovpn, a_tap_device_is_one_by_its_name_or_its_type)
{
	static const struct {
		const char *lines;
		bool tap;
	} rows[] = {
		{ "dev tun\n", false },
		{ "dev tap\n", true },
		{ "dev tap7\n", true },
		{ "dev-type tap\ndev home\n", true },
		{ "dev tun0\ndev-type tap\n", true }, /* the type has the last word */
		{ "dev tap0\ndev-type tun\n", false },
		{ "route-gateway 10.8.0.1\ndev tap\n", true },
		{ "route-gateway 10.8.0.1\ndev tun\n", false },
		{ "dev tap\nifconfig 10.8.0.2 255.255.255.0\nifconfig-ipv6 2001:db8::2/64 2001:db8::1\n", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(freep) char *text = str_format(SMALL "%s", rows[i].lines);
		struct parsed d = sample_parse_text(text);
		const struct ovpn_options *o = &d.p->ovpn;

		cr_assert_eq(d.r, 0, "%s: %s", rows[i].lines, d.error);
		cr_assert_eq(o->tap, rows[i].tap, "%s", rows[i].lines);
		cr_assert_eq(inaddr_is_set(&o->gateway4), rows[i].tap && strstr(rows[i].lines, "route-gateway"));
		cr_assert_eq(inaddr_is_set(&o->gateway6), rows[i].tap && strstr(rows[i].lines, "ifconfig-ipv6"));
		for (size_t k = 0; k < d.notes.n; k++)
			if (str_eq(d.notes.v[k].option, "route-gateway"))
				cr_assert_eq(d.notes.v[k].fate, rows[i].tap ? FATE_HONOURED : FATE_IGNORED);
		if (strstr(rows[i].lines, "255.255.255.0"))
			cr_assert(o->ifconfig4.len == 24 && o->ifconfig4_peer.family == AF_UNSPEC);
		parsed_done(&d);
	}
}

Test(profile_ovpn, asks_when_the_password_file_is_not_there)
{
	struct parsed d = parse_login("auth-user-pass nowhere.txt\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert(d.p->ovpn.auth_user_pass && !d.p->ovpn.username && !d.p->ovpn.password);
	cr_assert_str_eq(d.p->ovpn.auth_file, "nowhere.txt");
	cr_assert_eq(parsed_note(&d, 3)->fate, FATE_HONOURED);
	cr_assert(strstr(parsed_note(&d, 3)->text, "no file 'nowhere.txt', so user name and password will be asked for"));
	parsed_done(&d);

	d = parse_login("auth-user-pass login\nauth-user-pass nowhere.txt\n");
	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_str_eq(secret_string(d.p->ovpn.password), "pw");
	cr_assert_eq(parsed_note(&d, 4)->fate, FATE_IGNORED);
	parsed_done(&d);
}

#define PROXY_HEAD "client\ndev tun\nproto tcp\n"

static const struct proxy *proxy_of(const struct parsed *d, size_t i)
{
	return profile_proxy(d->p, &d->p->remotes[i]);
}

Test(profile_ovpn, a_proxy_belongs_to_the_file_or_to_a_connection)
{
	struct parsed d = sample_parse_text(PROXY_HEAD
					    "http-proxy one.example 8080\nhttp-proxy-option AGENT first\n"
					    "<connection>\nremote a\n</connection>\n"
					    "<connection>\nremote b\nhttp-proxy-option AGENT second\n"
					    "http-proxy-option CUSTOM-HEADER X-One 1\n</connection>\n"
					    "<connection>\nremote c 1194 udp\n</connection>\n"
					    "http-proxy two.example 3128\n"
					    "<connection>\nremote d\n</connection>\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(d.p->n_remotes, 3, "the UDP server cannot be reached through it");
	cr_assert_str_eq(proxy_of(&d, 0)->host, "one.example");
	cr_assert_str_eq(proxy_of(&d, 0)->agent, "first");
	cr_assert_str_eq(proxy_of(&d, 1)->host, "one.example");
	cr_assert_str_eq(proxy_of(&d, 1)->agent, "second");
	cr_assert_str_eq(proxy_of(&d, 1)->headers[0], "X-One: 1");
	cr_assert_null(proxy_of(&d, 0)->headers);
	cr_assert_str_eq(proxy_of(&d, 2)->host, "two.example");
	cr_assert_eq(proxy_of(&d, 2)->port, 3128);
	parsed_done(&d);
}

Test(profile_ovpn, a_proxy_of_one_connection_is_nobody_elses)
{
	struct parsed d = sample_parse_text(PROXY_HEAD
					    "<connection>\nremote a\nsocks-proxy s.example\n<socks-proxy-user-pass>\nu\np w\n"
					    "</socks-proxy-user-pass>\n</connection>\n<connection>\nremote b\n</connection>\n"
					    "<connection>\nremote c\nsocks-proxy t.example 9\nlocal 192.0.2.9\nlport 7\n</connection>\n"
					    "<connection>\nremote d\nlport 7\nnobind\n</connection>\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(proxy_of(&d, 0)->port, 1080);
	cr_assert_str_eq(secret_string(proxy_of(&d, 0)->username), "u");
	cr_assert_str_eq(secret_string(proxy_of(&d, 0)->password), "p w");
	cr_assert_null(proxy_of(&d, 1));
	cr_assert_null(proxy_of(&d, 2)->username);
	cr_assert_eq(d.p->remotes[2].local_port, 7);
	cr_assert(inaddr_is_set(&d.p->remotes[2].local));
	cr_assert_eq(d.p->remotes[3].local_port, 0);
	cr_assert_eq(d.p->remotes[0].local_port, 0);
	parsed_done(&d);
}

Test(profile_ovpn, no_clear_text_means_digest)
{
	struct parsed d = sample_parse_text(PROXY_HEAD "remote a\nhttp-proxy p 1 auto-nct\n");

	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(proxy_of(&d, 0)->auth, PROXY_AUTH_DIGEST);
	cr_assert_null(proxy_of(&d, 0)->username);
	parsed_done(&d);
}
