/* The option table: order, completeness, the form of its rows. */
#include "profile/profile-ovpn.h"
#include "sample.h"

/* The options of the openvpn 2.6 manual and of its --help, and the old names seen in providers' files. */
static const char *const manual[] = {
	"allow-compression", "allow-nonadmin", "allow-pull-fqdn", "allow-recursive-routing", "askpass", "auth",
	"auth-gen-token", "auth-gen-token-secret", "auth-nocache", "auth-retry", "auth-token", "auth-token-user",
	"auth-user-pass", "auth-user-pass-optional", "auth-user-pass-verify", "bcast-buffers", "bind", "bind-dev",
	"block-ipv6", "block-outside-dns", "ca", "capath", "ccd-exclusive", "cd", "cert", "chroot", "cipher", "client",
	"client-cert-not-required", "client-config-dir", "client-connect", "client-crresponse", "client-disconnect",
	"client-nat", "client-to-client", "comp-lzo", "comp-noadapt", "compat-mode", "compress", "config", "connect-freq",
	"connect-freq-initial", "connect-retry", "connect-retry-max", "connect-timeout", "crl-verify", "cryptoapicert",
	"daemon", "data-ciphers", "data-ciphers-fallback", "dev", "dev-node", "dev-type", "dh", "dhcp-option",
	"dhcp-release", "dhcp-renew", "disable", "disable-dco", "disable-occ", "dns", "down", "down-pre", "duplicate-cn",
	"ecdh-curve", "echo", "engine", "errors-to-stderr", "explicit-exit-notify", "extra-certs", "fast-io", "float",
	"force-tls-key-material-export", "fragment", "genkey", "gremlin", "group", "hand-window", "hash-size", "help",
	"http-proxy", "http-proxy-option", "http-proxy-user-pass", "ifconfig", "ifconfig-ipv6", "ifconfig-ipv6-pool",
	"ifconfig-ipv6-push", "ifconfig-noexec", "ifconfig-nowarn", "ifconfig-pool", "ifconfig-pool-linear",
	"ifconfig-pool-persist", "ifconfig-push", "ignore-unknown-option", "inactive", "ip-win32", "ipchange", "iproute",
	"iroute", "iroute-ipv6", "keepalive", "key", "key-direction", "key-method", "keying-material-exporter", "keysize",
	"learn-address", "link-mtu", "lladdr", "local", "log", "log-append", "lport", "machine-readable-output",
	"management", "management-client", "management-client-auth", "management-client-group", "management-client-user",
	"management-external-cert", "management-external-key", "management-forget-disconnect", "management-hold",
	"management-log-cache", "management-query-passwords", "management-query-proxy", "management-query-remote",
	"management-signal", "management-up-down", "mark", "max-clients", "max-packet-size", "max-routes",
	"max-routes-per-client", "memstats", "mktun", "mlock", "mode", "mssfix", "mtu-disc", "mtu-test", "multihome", "mute",
	"mute-replay-warnings", "ncp-ciphers", "ncp-disable", "nice", "no-iv", "no-name-remapping", "no-replay", "nobind",
	"ns-cert-type", "opt-verify", "passtos", "pause-exit", "peer-fingerprint", "persist-key", "persist-local-ip",
	"persist-remote-ip", "persist-tun", "ping", "ping-exit", "ping-restart", "ping-timer-rem", "pkcs11-cert-private",
	"pkcs11-id", "pkcs11-id-management", "pkcs11-pin-cache", "pkcs11-private-mode", "pkcs11-protected-authentication",
	"pkcs11-providers", "pkcs12", "plugin", "port", "port-share", "prng", "proto", "proto-force", "providers", "pull",
	"pull-filter", "push", "push-peer-info", "push-remove", "push-reset", "rcvbuf", "redirect-gateway",
	"redirect-private", "register-dns", "remap-usr1", "remote", "remote-cert-eku", "remote-cert-ku",
	"remote-cert-tls", "remote-random", "remote-random-hostname", "reneg-bytes", "reneg-pkts", "reneg-sec",
	"replay-persist", "replay-window", "resolv-retry", "rmtun", "route", "route-delay", "route-gateway", "route-ipv6",
	"route-ipv6-gateway", "route-method", "route-metric", "route-noexec", "route-nopull", "route-pre-down", "route-up",
	"rport", "script-security", "secret", "server", "server-bridge", "server-ipv6", "server-poll-timeout", "service",
	"session-timeout", "setcon", "setenv", "setenv-safe", "shaper", "show-adapters", "show-ciphers", "show-curves",
	"show-digests", "show-engines", "show-gateway", "show-groups", "show-net", "show-net-up", "show-pkcs11-ids",
	"show-tls", "show-valid-subnets", "single-session", "sndbuf", "socket-flags", "socks-proxy", "socks-proxy-retry",
	"stale-routes-check", "static-challenge", "status", "status-version", "suppress-timestamps", "syslog", "tap-sleep",
	"tcp-nodelay", "tcp-queue-limit", "test-crypto", "tls-auth", "tls-cert-profile", "tls-cipher", "tls-ciphersuites",
	"tls-client", "tls-crypt", "tls-crypt-v2", "tls-crypt-v2-verify", "tls-exit", "tls-export-cert", "tls-groups",
	"tls-remote", "tls-server", "tls-timeout", "tls-verify", "tls-version-max", "tls-version-min", "tmp-dir",
	"topology", "tran-window", "tun-ipv6", "tun-mtu", "tun-mtu-extra", "tun-mtu-max", "txqueuelen", "up", "up-delay",
	"up-restart", "use-prediction-resistance", "user", "username-as-common-name", "verb", "verify-client-cert",
	"verify-hash", "verify-x509-name", "version", "vlan-accept", "vlan-pvid", "vlan-tagging", "windows-driver",
	"writepid", "x509-track", "x509-username-field", "dns-updown",
};

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
	cr_log_warn("%zu options: %zu honoured, %zu ignored, %zu refused", n, fates[FATE_HONOURED], fates[FATE_IGNORED],
		    fates[FATE_REFUSED]);
	cr_assert_geq(n, 250);
}

Test(profile_ovpn_table, knows_every_option_of_the_manual)
{
	for (size_t i = 0; i < ARRAY_SIZE(manual); i++)
		cr_assert_not_null(ovpn_option_find(manual[i]), "%s", manual[i]);
	cr_assert_null(ovpn_option_find("remot"));
	cr_assert_null(ovpn_option_find(""));
}

Test(profile_ovpn_table, refuses_whatever_runs_loads_or_includes)
{
	static const char *const dangerous[] = { "up", "down", "ipchange", "route-up", "route-pre-down", "tls-verify",
		"auth-user-pass-verify", "client-connect", "client-disconnect", "client-crresponse", "learn-address", "plugin",
		"iproute", "engine", "providers", "pkcs11-providers", "cryptoapicert", "config", "tls-crypt-v2-verify" };

	for (size_t i = 0; i < ARRAY_SIZE(dangerous); i++) {
		const struct ovpn_option *o = ovpn_option_find(dangerous[i]);

		cr_assert_not_null(o);
		cr_assert_eq(o->fate, FATE_REFUSED, "%s", dangerous[i]);
		cr_assert(strstr(o->why, "@"), "%s names no remedy with its line", dangerous[i]);
	}
}
