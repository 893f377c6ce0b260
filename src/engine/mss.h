/* The MSS clamp: lowers the maximum segment size that a TCP SYN announces, so that the flow fits the tunnel's path. */
#pragma once

#include "base/macro.h"

/*
 * packet is an inner IP packet with finished checksums, in either direction. When it is a TCP SYN whose MSS option
 * would allow IP packets longer than packet_max, the option is lowered and the checksum adjusted. Never raises it, never
 * looks past len, leaves anything malformed alone. packet_max 0: off. True when something was changed.
 */
bool mss_clamp(uint8_t *packet, size_t len, uint32_t packet_max);

#define ETHERNET_HEAD 14
/* The same for the IP packet in an Ethernet frame, behind a VLAN tag or not; other frames are left alone. */
bool mss_clamp_frame(uint8_t *frame, size_t len, uint32_t packet_max);
