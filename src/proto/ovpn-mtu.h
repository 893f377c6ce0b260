/* Sizes: how large an inner packet may be so that its datagram fits the path, and the MSS clamp of `mssfix`. Pure. */
#pragma once

#include "profile/profile.h"
#include "proto/ovpn-cipher.h"

#define OVPN_MTU_PATH_DEFAULT 1500

/* A datagram is `outside` and whole blocks, in which are `inside` and the inner packet. */
struct ovpn_overhead {
	uint32_t outside; /* data header, packet id, tag or HMAC, IV */
	uint32_t inside;  /* framing; with CBC the packet id and the least of padding, too */
	uint32_t block;   /* 0 or 1: no blocks */
};

struct ovpn_mtu {
	uint32_t path_mtu;    /* of the outer path; 0: 1500 */
	int family;           /* of the server's address */
	enum transport transport;
	struct ovpn_overhead overhead;
	uint32_t tun_mtu;
	uint32_t fragment;    /* limit of `fragment`; 0: none */
	bool fragment_mtu;    /* it counts the outer headers */
};

/* What the data format adds to an inner packet. data_v2: with peer id. cipher NULL: AEAD. digest: of CBC, or NULL. */
struct ovpn_overhead ovpn_mtu_overhead(bool data_v2, const struct ovpn_cipher *cipher, const struct hash_digest *digest,
				       enum framing framing, bool fragment);
/*
 * The largest inner packet whose datagram needs no fragments, outer or OpenVPN's; at most tun_mtu, at least 68. Over TCP
 * it is tun_mtu: a stream has no fragments.
 */
uint32_t ovpn_mtu_inner_max(const struct ovpn_mtu *m);
/* The largest inner packet of a TCP flow: `mssfix` of the profile, and never more than ovpn_mtu_inner_max(). 0: off. */
uint32_t ovpn_mtu_mss_packet_max(const struct ovpn_mtu *m, const struct ovpn_options *o);
