/* Sizes: how large an inner packet may be so that its datagram fits the path, and the MSS clamp of `mssfix`. Pure. */
#pragma once

#include "profile/profile.h"

#define OVPN_MTU_PATH_DEFAULT 1500

struct ovpn_mtu {
	uint32_t path_mtu;    /* of the outer path; 0: 1500 */
	int family;           /* of the server's address */
	enum transport transport;
	uint32_t overhead;    /* data header, packet id, tag, framing */
	uint32_t tun_mtu;
};

/* What the data format adds to an inner packet. data_v2: with peer id. */
uint32_t ovpn_mtu_overhead(bool data_v2, enum framing framing);
/* The largest inner packet whose datagram needs no outer fragments; at most tun_mtu, at least 68. */
uint32_t ovpn_mtu_inner_max(const struct ovpn_mtu *m);
/* The largest inner packet of a TCP flow: `mssfix` of the profile, and never more than ovpn_mtu_inner_max(). 0: off. */
uint32_t ovpn_mtu_mss_packet_max(const struct ovpn_mtu *m, const struct ovpn_options *o);
