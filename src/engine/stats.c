/* Counters by reason; nothing here is on the hot path but the inline increments of the header. */
#include "engine/stats.h"

#include <stdio.h>
#include <string.h>

static const char *const drop_names[] = {
	[STATS_DROP_TUN_NOT_CONNECTED] = "not connected",
	[STATS_DROP_TUN_MALFORMED] = "malformed packet from the tun",
	[STATS_DROP_TUN_REFUSED] = "not taken by the tun",
	[STATS_DROP_INNER_NOT_IP] = "not an IP packet",
	[STATS_DROP_INNER_NOT_READY] = "settings not applied yet",
	[STATS_DROP_WIRE_REFUSED] = "not taken by the socket",
	[STATS_DROP_WIRE_TRUNCATED] = "datagram cut",
};
static_assert(ARRAY_SIZE(drop_names) == _STATS_DROP_MAX, "a name for each reason");

const char *stats_drop_to_string(enum stats_drop d)
{
	return (unsigned)d < _STATS_DROP_MAX ? drop_names[d] : "unknown";
}

void stats_fill(const struct stats *s, struct ipc_req_stats *ret)
{
	struct ipc_req_stats r = {
		.rx_bytes = s->rx_bytes,
		.tx_bytes = s->tx_bytes,
		.rx_packets = s->rx_packets,
		.tx_packets = s->tx_packets,
		.replayed = s->rx_verdict[VERDICT_DROP_REPLAY],
		.auth_failed = s->rx_verdict[VERDICT_DROP_AUTH],
		.last_handshake = s->last_handshake,
	};

	for (size_t i = 0; i < _VERDICT_MAX; i++) {
		r.rx_dropped += s->rx_verdict[i];
		r.tx_dropped += s->tx_verdict[i];
	}
	r.rx_dropped += s->drop[STATS_DROP_TUN_REFUSED] + s->drop[STATS_DROP_INNER_NOT_IP] +
			s->drop[STATS_DROP_INNER_NOT_READY] + s->drop[STATS_DROP_WIRE_TRUNCATED];
	r.tx_dropped += s->drop[STATS_DROP_TUN_NOT_CONNECTED] + s->drop[STATS_DROP_TUN_MALFORMED] +
			s->drop[STATS_DROP_WIRE_REFUSED];
	*ret = r;
}

static void add(char *buf, size_t cap, const char *name, const char *direction, uint64_t n)
{
	size_t len = strlen(buf);

	if (n == 0 || len + 1 >= cap)
		return;
	(void)snprintf(buf + len, cap - len, "%s%s%s %llu", len ? ", " : "", direction, name, (unsigned long long)n);
}

char *stats_format_drops(const struct stats *s, char *buf, size_t cap)
{
	if (cap == 0)
		return buf;
	buf[0] = '\0';
	for (size_t i = 1; i < _VERDICT_MAX; i++)
		add(buf, cap, verdict_to_string((enum verdict)i), "received: ", s->rx_verdict[i]);
	for (size_t i = 1; i < _VERDICT_MAX; i++)
		add(buf, cap, verdict_to_string((enum verdict)i), "sent: ", s->tx_verdict[i]);
	for (size_t i = 0; i < _STATS_DROP_MAX; i++)
		add(buf, cap, drop_names[i], "", s->drop[i]);
	return buf;
}
