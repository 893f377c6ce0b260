/* Counters of one engine: what passed, and what was dropped for which reason. */
#pragma once

#include "ipc/ipc-msg.h"
#include "proto/proto.h"

/* Reasons of the engine itself, beside enum verdict of the protocol. */
enum stats_drop {
	STATS_DROP_TUN_NOT_CONNECTED, /* read from the tun while there was no session */
	STATS_DROP_TUN_MALFORMED,     /* vnet header and packet do not fit, or not IP */
	STATS_DROP_TUN_REFUSED,       /* the tun did not take it */
	STATS_DROP_INNER_NOT_IP,      /* came out of the tunnel and is neither IPv4 nor IPv6 */
	STATS_DROP_INNER_NOT_READY,   /* came out of the tunnel before the settings were applied */
	STATS_DROP_WIRE_REFUSED,       /* the socket did not take a datagram (too long for the path) */
	STATS_DROP_WIRE_TRUNCATED,     /* a received datagram did not fit its slot */
	_STATS_DROP_MAX,
};
const char *stats_drop_to_string(enum stats_drop d);

struct stats {
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets; /* inner packets */
	uint64_t rx_verdict[_VERDICT_MAX];
	uint64_t tx_verdict[_VERDICT_MAX];
	uint64_t drop[_STATS_DROP_MAX];
	uint64_t tun_reads, tun_writes, wire_sends, wire_receives; /* system calls that moved something */
	uint64_t refused; /* ICMP errors on the connected socket */
	usec_t last_handshake; /* realtime */
};

static inline void stats_count_rx(struct stats *s, ssize_t negative_verdict)
{
	size_t v = (size_t)-negative_verdict;

	s->rx_verdict[v < _VERDICT_MAX ? v : VERDICT_DROP_MALFORMED]++;
}

static inline void stats_count_tx(struct stats *s, ssize_t negative_verdict)
{
	size_t v = (size_t)-negative_verdict;

	s->tx_verdict[v < _VERDICT_MAX ? v : VERDICT_DROP_MALFORMED]++;
}

/* The sums that the helper and `nsvpn status` show. */
void stats_fill(const struct stats *s, struct ipc_req_stats *ret);
/* One line "reason count, reason count" of everything dropped, into buf; "" when nothing was. Returns buf. */
char *stats_format_drops(const struct stats *s, char *buf, size_t cap);
