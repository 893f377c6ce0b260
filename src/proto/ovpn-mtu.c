/*
 * Sizes of packets.
 *
 * `mssfix n` counts the encapsulated payload (what is inside UDP), `n mtu` the outer headers as well, `n fixed` the
 * inner packet alone; the default is what `fragment` says, or `1492 mtu`, which leaves room for PPPoE. Whatever it says, a segment that would need
 * outer fragments on the known path is clamped further: fragments are what middle boxes drop.
 */
#include "proto/ovpn-mtu.h"

#include "proto/fragment.h"

#define MSSFIX_DEFAULT 1492
#define TCP_PREFIX_LEN 2
#define PID_LEN 4
#define INNER_MIN 68 /* RFC 791: what any IPv4 hop must forward */

struct ovpn_overhead ovpn_mtu_overhead(bool data_v2, const struct ovpn_cipher *cipher, const struct hash_digest *digest,
				       enum framing framing, bool fragment)
{
	/* op byte, with V2 the peer id. STUB_V2 adds its two bytes only to packets that are not IP. */
	struct ovpn_overhead o = {
		.outside = data_v2 ? 4 : 1,
		.inside = framing == FRAMING_LZO || framing == FRAMING_SWAP ? 1 : 0,
		.block = 1,
	};

	if (fragment)
		o.inside += FRAGMENT_HEAD_LEN;
	if (cipher && cipher->etm) {
		o.outside += (digest ? digest->len : HASH_MAX) + ETM_IV_LEN;
		o.inside += PID_LEN + 1;
		o.block = ETM_BLOCK_LEN;
	} else {
		o.outside += PID_LEN + AEAD_TAG_LEN;
	}
	return o;
}

/* The largest inner packet in a datagram of n bytes. */
static int64_t inner_of(const struct ovpn_overhead *o, int64_t n)
{
	n -= o->outside;
	if (o->block > 1 && n > 0)
		n -= n % o->block;
	return n - o->inside;
}

static uint32_t outer_headers(const struct ovpn_mtu *m)
{
	uint32_t ip = m->family == AF_INET6 ? 40 : 20;

	/* TCP: as openvpn(8) counts, without options, and OpenVPN's length prefix. */
	return ip + (m->transport == TRANSPORT_TCP ? 20 + TCP_PREFIX_LEN : 8);
}

static uint32_t clamp(int64_t n, uint32_t max)
{
	if (n > (int64_t)max)
		n = max;
	return n < INNER_MIN ? INNER_MIN : (uint32_t)n;
}

uint32_t ovpn_mtu_inner_max(const struct ovpn_mtu *m)
{
	int64_t most = (int64_t)(m->path_mtu ? m->path_mtu : OVPN_MTU_PATH_DEFAULT) - outer_headers(m);

	if (m->transport == TRANSPORT_TCP) /* a stream has no fragments */
		return m->tun_mtu;
	if (m->fragment)
		most = MIN(most, (int64_t)m->fragment - (m->fragment_mtu ? outer_headers(m) : 0));
	return clamp(inner_of(&m->overhead, most), m->tun_mtu);
}

uint32_t ovpn_mtu_mss_packet_max(const struct ovpn_mtu *m, const struct ovpn_options *o)
{
	int64_t n = o->mssfix;

	if (n == 0)
		return 0;
	if (n < 0 && m->fragment)
		return ovpn_mtu_inner_max(m);
	if (n < 0)
		n = inner_of(&m->overhead, (int64_t)MSSFIX_DEFAULT - outer_headers(m));
	else if (o->mssfix_mode == MSSFIX_MTU)
		n = inner_of(&m->overhead, n - outer_headers(m));
	else if (o->mssfix_mode == MSSFIX_DATAGRAM)
		n = inner_of(&m->overhead, n - (m->transport == TRANSPORT_TCP ? TCP_PREFIX_LEN : 0));
	return clamp(n, ovpn_mtu_inner_max(m));
}
