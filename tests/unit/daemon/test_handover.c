/* The record of a connected tunnel: what is written is what is read, and a damaged one is not taken. */
#include "daemon/handover.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/cleanup.h"

static uint8_t buf[HANDOVER_RECORD_MAX];

static size_t make(struct handover_record *rec)
{
	ssize_t n;

	memset(rec, 0, sizeof(*rec));
	strcpy(rec->name, "home");
	strcpy(rec->remote_host, "vpn.example.net");
	strcpy(rec->cipher, "AES-256-GCM");
	rec->uplink = UPLINK_SOCKET;
	rec->transport = TRANSPORT_UDP;
	rec->tun_offload = 7;
	rec->seen = 1;
	rec->since = 1234567;
	(void)endpoint_parse("198.51.100.10:1194", &rec->server);
	(void)inprefix_parse("10.8.0.2/24", &rec->settings.addrs[0]);
	rec->settings.n_addrs = 1;
	rec->settings.mtu = 1400;
	rec->settings.default4 = true;
	(void)inaddr_parse("192.0.2.53", &rec->settings.dns[0]);
	rec->settings.n_dns = 1;
	strcpy(rec->settings.search[0], "lab.example.net");
	rec->settings.n_search = 1;
	n = handover_encode(rec, buf, sizeof(buf));
	cr_assert_gt(n, 0);
	return (size_t)n;
}

Test(handover, a_record_comes_back)
{
	struct handover_record in, out;
	size_t n = make(&in);

	cr_assert_eq(handover_decode(&out, buf, n), 0);
	cr_assert_str_eq(out.name, in.name);
	cr_assert_str_eq(out.remote_host, in.remote_host);
	cr_assert_str_eq(out.cipher, in.cipher);
	cr_assert_eq(out.uplink, in.uplink);
	cr_assert_eq(out.tun_offload, in.tun_offload);
	cr_assert_eq(out.seen, in.seen);
	cr_assert_eq(out.since, in.since);
	cr_assert(endpoint_eq(&out.server, &in.server));
	cr_assert(settings_equal(&out.settings, &in.settings));
}

Test(handover, every_truncation_is_refused)
{
	struct handover_record in, out;
	size_t n = make(&in);

	for (size_t len = 0; len < n; len++)
		cr_assert_eq(handover_decode(&out, buf, len), -EBADMSG, "%zu of %zu", len, n);
}

Test(handover, every_flipped_bit_is_refused)
{
	struct handover_record in, out;
	size_t n = make(&in);

	for (size_t i = 0; i < n * 8; i++) {
		buf[i / 8] ^= (uint8_t)(1U << i % 8);
		cr_assert_eq(handover_decode(&out, buf, n), -EBADMSG, "bit %zu", i);
		buf[i / 8] ^= (uint8_t)(1U << i % 8);
	}
}

Test(handover, without_descriptors_there_is_nothing)
{
	int fds[HANDOVER_FD_COUNT];
	struct handover_record out;
	unsigned n = 99;

	cr_assert_null(handover_receive(&n));
	cr_assert_eq(n, 0);
	cr_assert_not(handover_take(NULL, "home", &out, fds));
}
