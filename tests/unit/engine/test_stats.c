/* Sums and texts of the counters. */
#include <criterion/criterion.h>

#include <string.h>

#include "engine/stats.h"

Test(stats, sums_drops_by_direction)
{
	struct stats s = { .rx_bytes = 1, .tx_bytes = 2, .rx_packets = 3, .tx_packets = 4, .last_handshake = 5 };
	struct ipc_req_stats r;

	stats_count_rx(&s, -VERDICT_DROP_REPLAY);
	stats_count_rx(&s, -VERDICT_DROP_REPLAY);
	stats_count_rx(&s, -VERDICT_DROP_AUTH);
	stats_count_rx(&s, -100000); /* nothing that a verdict can be */
	stats_count_tx(&s, -VERDICT_DROP_EXHAUSTED);
	s.drop[STATS_DROP_TUN_NOT_CONNECTED] = 10;
	s.drop[STATS_DROP_INNER_NOT_IP] = 20;
	stats_fill(&s, &r);
	cr_assert(r.rx_bytes == 1 && r.tx_bytes == 2 && r.rx_packets == 3 && r.tx_packets == 4 && r.last_handshake == 5);
	cr_assert_eq(r.replayed, 2);
	cr_assert_eq(r.auth_failed, 1);
	cr_assert_eq(r.rx_dropped, 24);
	cr_assert_eq(r.tx_dropped, 11);
}

Test(stats, names_every_reason_and_cuts_long_lists)
{
	struct stats s = { 0 };
	char buf[4096], small[20];

	cr_assert_str_eq(stats_format_drops(&s, buf, sizeof(buf)), "");
	for (unsigned i = 0; i < _STATS_DROP_MAX; i++)
		s.drop[i] = i + 1;
	for (unsigned i = 0; i < _VERDICT_MAX; i++)
		s.rx_verdict[i] = s.tx_verdict[i] = 100 + i;
	stats_format_drops(&s, buf, sizeof(buf));
	for (unsigned i = 0; i < _STATS_DROP_MAX; i++)
		cr_assert_not_null(strstr(buf, stats_drop_to_string((enum stats_drop)i)));
	stats_format_drops(&s, small, sizeof(small));
	cr_assert_lt(strlen(small), sizeof(small));
	cr_assert_str_eq(stats_drop_to_string(_STATS_DROP_MAX), "unknown");
}
