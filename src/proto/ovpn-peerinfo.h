/*
 * What we tell the server about ourselves at the end of key method 2 (IV_* lines), and the choice of the data cipher
 * from what both sides said (NCP). Only what this program really does is announced.
 */
#pragma once

#include "proto/ovpn-cipher.h"
#include "profile/profile.h"

/* Bits of IV_PROTO: promises that a server may rely on. */
#define OVPN_IV_PROTO_DATA_V2 (1u << 1)
#define OVPN_IV_PROTO_REQUEST_PUSH (1u << 2)
#define OVPN_IV_PROTO_TLS_KEY_EXPORT (1u << 3)
#define OVPN_IV_PROTO_AUTH_PENDING_KW (1u << 4)
#define OVPN_IV_PROTO_NCP_P2P (1u << 5)
#define OVPN_IV_PROTO_CC_EXIT_NOTIFY (1u << 7)
#define OVPN_IV_PROTO_AUTH_FAIL_TEMP (1u << 8)
#define OVPN_IV_PROTO_DYN_TLS_CRYPT (1u << 9)
#define OVPN_IV_PROTO_DATA_EPOCH (1u << 10)
#define OVPN_IV_PROTO_DNS_OPTION_V2 (1u << 11)
#define OVPN_IV_PROTO_PUSH_UPDATE (1u << 12)
#define OVPN_IV_PROTO                                                                                              \
	(OVPN_IV_PROTO_DATA_V2 | OVPN_IV_PROTO_REQUEST_PUSH | OVPN_IV_PROTO_TLS_KEY_EXPORT |                       \
	 OVPN_IV_PROTO_AUTH_PENDING_KW | OVPN_IV_PROTO_CC_EXIT_NOTIFY | OVPN_IV_PROTO_AUTH_FAIL_TEMP |             \
	 OVPN_IV_PROTO_DYN_TLS_CRYPT | OVPN_IV_PROTO_DATA_EPOCH | OVPN_IV_PROTO_DNS_OPTION_V2 |                    \
	 OVPN_IV_PROTO_PUSH_UPDATE)
/* Without `pull`: nothing that only PUSH_REPLY could turn on. */
#define OVPN_IV_PROTO_P2P                                                                                          \
	(OVPN_IV_PROTO_DATA_V2 | OVPN_IV_PROTO_TLS_KEY_EXPORT | OVPN_IV_PROTO_NCP_P2P |                            \
	 OVPN_IV_PROTO_CC_EXIT_NOTIFY | OVPN_IV_PROTO_DYN_TLS_CRYPT | OVPN_IV_PROTO_DATA_EPOCH)

#define OVPN_CIPHERS_MAX 128 /* IV_CIPHERS: at most 127 characters */
#define OVPN_PEERINFO_MAX 1024

/*
 * The ciphers of a colon list that this program has, canonical, in order, without duplicates. 0; -ENOENT: none of
 * them; -EMSGSIZE: cap is too small.
 */
int ovpn_peerinfo_ciphers(const char *list, char *buf, size_t cap);

/* "IV_VER=…\nIV_PLAT=linux\n…"; mtu: the largest tun MTU we accept. 0, -EMSGSIZE, -ENOENT (no usable cipher). */
int ovpn_peerinfo_format(const struct ovpn_options *o, uint32_t mtu, char *buf, size_t cap);

/* The value of a line "name=value" of somebody's peer info. 0; -ENOENT; -EMSGSIZE. */
int ovpn_peerinfo_get(const char *info, const char *name, char *buf, size_t cap);
/* The first name of the other side's list that is also one of ours; NULL: none. */
const struct ovpn_cipher *ovpn_peerinfo_first_common(const char *theirs, const char *ours);

/*
 * pushed: cipher of the PUSH_REPLY, "" when none; occ: options string of the server, "" when none. Rules of protocol
 * negotiation: a pushed cipher must have been offered; without one the server's OCC cipher counts when it was offered;
 * a server that names none gets data-ciphers-fallback. 0; -ENOENT with a malloc'ed sentence; -ENOMEM.
 */
int ovpn_peerinfo_select_cipher(const struct ovpn_options *o, const char *pushed, const char *occ,
				const struct ovpn_cipher **ret, char **ret_error);
