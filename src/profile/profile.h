/*
 * The neutral model of a tunnel's configuration. Parsers (profile-ovpn.c, later profile-wg.c) fill it; proto, ipc, net
 * and daemon read it. Owned as a whole: profile_free() frees everything inside.
 */
#pragma once

#include "base/fingerprint.h"
#include "base/inaddr.h"
#include "base/secret.h"
#include "profile/exceptions.h"
#include "profile/settings.h"

#define PROFILE_FILE_MAX (1024 * 1024) /* bytes; larger profiles and key files are refused */
#define PROFILE_REMOTES_MAX 64

enum protocol { PROTOCOL_OPENVPN, PROTOCOL_WIREGUARD, _PROTOCOL_MAX };
enum uplink { UPLINK_VETH, UPLINK_SOCKET, _UPLINK_MAX };
enum transport { TRANSPORT_UDP, TRANSPORT_TCP, _TRANSPORT_MAX };

const char *protocol_to_string(enum protocol p);
const char *uplink_to_string(enum uplink u);
int uplink_from_string(const char *s, enum uplink *ret);
const char *transport_to_string(enum transport t);

/* A machine that connects to the server for us. What it is told: the server's name and port, never a packet's contents. */
enum proxy_kind { PROXY_NONE, PROXY_HTTP, PROXY_SOCKS };
enum proxy_auth { PROXY_AUTH_ANY, PROXY_AUTH_BASIC, PROXY_AUTH_DIGEST }; /* HTTP: which schemes may be used */
#define PROXY_HEADERS_MAX 10

struct proxy {
	enum proxy_kind kind;
	char *host; /* name or literal */
	uint16_t port;
	unsigned line;
	struct secret *username, *password; /* NULL: asked for when the proxy wants them */
	enum proxy_auth auth;
	bool http11;
	char *agent;    /* HTTP: User-Agent; NULL: none is sent */
	char **headers; /* HTTP: "Name: value" each, printable ASCII */
};

struct remote {
	char *host; /* name or literal, as written */
	uint16_t port;
	enum transport transport;
	int family; /* AF_UNSPEC, or AF_INET / AF_INET6 for udp4, udp6, tcp4, tcp6 */
	unsigned line;
	usec_t connect_timeout; /* of its <connection>, else the file's */
	size_t proxy;           /* of the profile's proxies, counted from 1; 0: none. See profile_proxy() */
	struct inaddr local;    /* the transport socket's own address; not set: any */
	uint16_t local_port;    /* the same; 0: any */
};

enum topology { TOPOLOGY_NET30, TOPOLOGY_P2P, TOPOLOGY_SUBNET };
enum key_direction { KEY_DIRECTION_BOTH = -1, KEY_DIRECTION_0 = 0, KEY_DIRECTION_1 = 1 };
enum control_wrap { CONTROL_WRAP_NONE, CONTROL_WRAP_TLS_AUTH, CONTROL_WRAP_TLS_CRYPT };
enum name_check { NAME_CHECK_NONE, NAME_CHECK_SUBJECT, NAME_CHECK_NAME, NAME_CHECK_NAME_PREFIX };
enum auth_retry { AUTH_RETRY_NONE, AUTH_RETRY_NOINTERACT, AUTH_RETRY_INTERACT };
/* Framing inside the encryption, protocol.md 1.11. */
enum framing { FRAMING_NONE, FRAMING_LZO, FRAMING_SWAP, FRAMING_STUB_V2 };

/* Flags of redirect-gateway, from the file or pushed. */
#define REDIRECT_GATEWAY (1u << 0)
#define REDIRECT_IPV6 (1u << 1)
#define REDIRECT_NOT_IPV4 (1u << 2)
#define REDIRECT_PRIVATE (1u << 3) /* redirect-private of the file: not knowing of a default route is meant */

struct pull_filter {
	enum { PULL_FILTER_ACCEPT, PULL_FILTER_IGNORE, PULL_FILTER_REJECT } action;
	char *prefix; /* white space normalised */
};

struct ovpn_options {
	/* TLS */
	struct secret *ca, *cert, *key, *extra_certs; /* PEM text */
	struct secret *pkcs12;                        /* DER */
	struct secret *key_password;
	bool key_password_asked;                      /* somebody has to be asked for it; then key_password is NULL */
	char *crl;                                    /* PEM text */
	char *tls_cipher, *tls_ciphersuites, *tls_groups, *tls_cert_profile;
	int tls_version_min, tls_version_max; /* TLS1_2_VERSION style numbers 0x0303; 0: default */
	bool remote_cert_tls_server;
	char *remote_eku;      /* extended key usage that must be there: name or dotted numbers; NULL: none */
	bool remote_ku_required;
	uint16_t remote_ku[16]; /* any of these sets of key usage bits, as X509_get_key_usage() gives them */
	unsigned n_remote_ku;
	struct fingerprint *peer_hashes; /* the server's certificate is one of these (SHA-256); then no ca is needed */
	size_t n_peer_hashes;
	struct fingerprint *ca_hashes;   /* the server's issuer is one of these */
	size_t n_ca_hashes;
	enum name_check name_check;
	char *name_check_value;
	/* control channel */
	enum control_wrap wrap;
	struct secret *static_key; /* 256 bytes, decoded */
	struct secret *wkc;        /* tls-crypt-v2: static_key wrapped for the server; then wrap is TLS_CRYPT */
	enum key_direction key_direction;
	usec_t hand_window, tls_timeout, reneg_sec, tran_window; /* durations; reneg_sec 0: off */
	uint64_t reneg_bytes, reneg_pkts;
	/* data channel */
	char *ciphers;          /* colon list offered, canonical names, never empty */
	char *cipher_fallback;  /* canonical or NULL */
	char *auth;             /* digest name, canonical lower case as OpenSSL knows it; default "sha1" */
	enum framing framing;
	bool lzo_option;        /* comp-lzo or compress stood in the file: OCC string needs it */
	bool no_compression;    /* allow-compression no: compressed packets are dropped */
	unsigned replay_window; /* packets, 64..; default 64 */
	/* authentication */
	bool auth_user_pass;
	struct secret *username, *password; /* NULL: to be asked for */
	char *auth_file;                    /* as named in the file; NULL inline or absent; without username: not there */
	enum auth_retry auth_retry;
	bool auth_nocache;
	char *static_challenge;      /* the question whose answer is part of the password; NULL: none */
	bool static_challenge_echo;  /* the answer may be seen */
	bool static_challenge_concat; /* it is appended to the password; else SCRV1 */
	bool push_peer_info;
	/* liveness and retry, durations */
	usec_t ping, ping_restart, ping_exit;
	bool ping_restart_set; /* ping-restart, ping-exit or keepalive stood in the file: 0 means off, not "default" */
	usec_t connect_retry, connect_retry_max;
	usec_t connect_timeout; /* where a remote has none of its own */
	unsigned explicit_exit_notify; /* times; 0: off */
	bool remote_random;
	/* interface */
	bool pull;
	bool tap;              /* Ethernet frames on a tap device, not IP packets */
	enum topology topology;
	bool topology_set;
	struct inprefix ifconfig4; /* static ifconfig in the file, AF_UNSPEC when absent */
	struct inaddr ifconfig4_peer;
	struct inprefix ifconfig6;
	struct inaddr gateway4, gateway6; /* tap: the next hops, AF_UNSPEC when absent */
	unsigned redirect; /* REDIRECT_* */
	bool block_ipv6;
	bool route_nopull;
	struct inprefix *routes; /* route, route-ipv6 of the file, masked; length 0: the default route of its family */
	size_t n_routes;
	struct inaddr dns[SETTINGS_DNS_MAX]; /* dhcp-option DNS / dns server of the file */
	unsigned n_dns;
	char **search;
	struct pull_filter *pull_filters;
	size_t n_pull_filters;
	uint32_t tun_mtu;      /* 0: default 1500 */
	bool tun_mtu_set;
	uint32_t fragment;     /* limit of `fragment`; 0: off */
	bool fragment_mtu;     /* it counts the outer headers */
	int mssfix;            /* -1: default (fragment, or 1492 mtu), 0: off, else value */
	enum { MSSFIX_DATAGRAM, MSSFIX_MTU, MSSFIX_FIXED } mssfix_mode;
	char **ui_ver;         /* setenv UV_*, IV_GUI_VER: "NAME=value" for peer info */
};

/* settings.conf of a tunnel (section 2.10 of style.md; CONTRACT.md). */
struct tunnel_settings {
	enum uplink uplink;
	bool autostart;
	bool ready_when_locked; /* Ready=locked: nsvpn@NAME.service does not wait for the connection */
	struct inaddr dns[SETTINGS_DNS_MAX]; /* replaces what the server pushes */
	unsigned n_dns;
	enum { DEFAULT_ROUTE_AUTO, DEFAULT_ROUTE_YES, DEFAULT_ROUTE_NO } default_route;
	char *via; /* reserved: another tunnel */
	char **users, **groups; /* [Access]: names or numbers; both NULL: everybody whom the bus lets */
	struct exceptions exceptions;
};

struct profile {
	char *name;   /* tunnel name */
	char *source; /* file name for messages */
	enum protocol protocol;
	struct remote *remotes;
	size_t n_remotes;
	struct proxy *proxies;
	size_t n_proxies;
	struct ovpn_options ovpn;
	struct tunnel_settings settings;
};

/* What will become of one line of a file: the material of `nsvpn explain` and of the import report. */
enum fate { FATE_HONOURED, FATE_IGNORED, FATE_REFUSED, _FATE_MAX };

struct note {
	unsigned line;
	enum fate fate;
	char *option; /* the option's name, escaped */
	char *text;   /* one sentence: the effect, the reason, the remedy */
};

struct notes {
	struct note *v;
	size_t n;
};

void notes_done(struct notes *n);
int notes_add(struct notes *n, unsigned line, enum fate fate, const char *option, const char *fmt, ...) _printf_(5, 6);
const char *fate_to_string(enum fate f);

/* Reads a file that a profile names. 0 or -errno; *ret owned by the caller. NULL loader: nothing can be loaded (engine). */
typedef int (*profile_load_fn)(void *userdata, const char *path, struct secret **ret);

/* A loader for paths relative to an open folder; userdata is an int* dirfd. Regular files up to PROFILE_FILE_MAX only. */
int profile_load_at(void *dirfd, const char *path, struct secret **ret);

void profile_free(struct profile *p);
/* What is between us and this server; NULL: nothing. */
const struct proxy *profile_proxy(const struct profile *p, const struct remote *r);
DEFINE_CLEANUP(struct profile *, profile_free)

/*
 * Parses an .ovpn text. `source` is for messages. Every line gets at least one note when notes is not NULL.
 * 0; or -EINVAL with *ret_error = one malloc'ed sentence "FILE:LINE: what, why, what to do" (the first refusal);
 * -ENOMEM. The parser goes on after a refusal so that the notes are complete. Never aborts on any input.
 */
int profile_parse_ovpn(const char *text, size_t len, const char *source, profile_load_fn load, void *userdata,
		       struct notes *notes, struct profile **ret, char **ret_error);

/* The same text with every file reference replaced by an inline block, so that it needs no folder: what the engine gets. */
int profile_inline_ovpn(const char *text, size_t len, const char *source, profile_load_fn load, void *userdata,
			struct secret **ret, char **ret_error);
/* Names of the files that the text refers to (for import), in order, without duplicates. */
int profile_files_ovpn(const char *text, size_t len, char ***ret);

/* settings.conf. Unknown key: "FILE:LINE:COLUMN: unknown key …, did you mean …". */
int tunnel_settings_parse(const char *text, size_t len, const char *source, struct tunnel_settings *ret, char **ret_error);
void tunnel_settings_done(struct tunnel_settings *s);
/*
 * settings.conf of a configured tunnel alone, checked as profile_load_tunnel() checks it; the defaults where there is none.
 * -ENOENT: no such tunnel; every error with a sentence but for -ENOMEM.
 */
int tunnel_settings_load(const char *name, struct tunnel_settings *ret, char **ret_error);

/*
 * Loads <etc>/tunnels/NAME: the profile file, settings.conf (optional), the files it names; and checks owner and mode
 * (root-owned, not writable by others) on the opened descriptors. *ret_inline (may be NULL) is the self-contained text.
 * -ENOENT when not configured; other errors with a sentence in *ret_error.
 */
int profile_load_tunnel(const char *name, struct profile **ret, struct secret **ret_inline, char **ret_error);

/* "Is the whole usable": remotes, certificates or password, consistent keys. 0 or -EINVAL and a sentence. */
int profile_verify(const struct profile *p, char **ret_error);
