/*
 * The record that one helper leaves to the next: any bytes, once as they are and once with a right sum behind them. What is
 * accepted is in range, and written again it is read as the same. Input that begins with 'R' is a good record in which each two
 * bytes that follow change one: where, and how.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "base/str.h"
#include "daemon/engine-proc.h"
#include "daemon/handover.h"
#include "net/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond) ((cond) ? (void)0 : abort())

/* handover_store() is not called here. */
int engine_proc_fd(const struct engine_proc *e _unused_, enum engine_fd which _unused_)
{
	return -EBADF;
}

static void check(const struct handover_record *a)
{
	static uint8_t again[HANDOVER_RECORD_MAX];
	static struct handover_record b;
	ssize_t n;

	REQUIRE(tunnel_name_is_valid(a->name));
	REQUIRE(a->uplink == UPLINK_VETH || a->uplink == UPLINK_SOCKET);
	REQUIRE(a->transport == TRANSPORT_UDP || a->transport == TRANSPORT_TCP);
	REQUIRE(str_is_clean_utf8(a->remote_host, strnlen(a->remote_host, sizeof(a->remote_host))));
	REQUIRE(str_is_clean_utf8(a->cipher, strnlen(a->cipher, sizeof(a->cipher))));
	n = handover_encode(a, again, sizeof(again));
	REQUIRE(n > 0 && handover_decode(&b, again, (size_t)n) == 0);
	REQUIRE(str_eq(a->name, b.name) && str_eq(a->remote_host, b.remote_host) && str_eq(a->cipher, b.cipher));
	REQUIRE(a->since == b.since && a->seen == b.seen && a->tun_offload == b.tun_offload);
	REQUIRE(endpoint_eq(&a->server, &b.server) && settings_equal(&a->settings, &b.settings));
}

/* A record as a helper leaves it, changed; the sum is left out. */
static size_t changed(uint8_t *buf, const uint8_t *data, size_t size)
{
	static struct handover_record good;
	ssize_t n;

	(void)str_copy(good.name, sizeof(good.name), "home");
	(void)str_copy(good.remote_host, sizeof(good.remote_host), "vpn.example.net");
	(void)str_copy(good.cipher, sizeof(good.cipher), "AES-256-GCM");
	good.uplink = UPLINK_VETH;
	good.transport = TRANSPORT_TCP;
	good.tun_offload = 7;
	good.since = 12345;
	REQUIRE(endpoint_parse("192.0.2.1:1194", &good.server) == 0);
	good.settings.n_addrs = 1;
	good.settings.mtu = 1500;
	REQUIRE(inprefix_parse("10.8.0.2/24", &good.settings.addrs[0]) == 0);
	n = handover_encode(&good, buf, HANDOVER_RECORD_MAX);
	REQUIRE(n > 8);
	n -= 8;
	for (size_t i = 0; i + 1 < size; i += 2)
		buf[(size_t)data[i] * (size_t)n / 256] ^= data[i + 1];
	return (size_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[HANDOVER_RECORD_MAX];
	static struct handover_record rec;
	struct writer w = writer_init(buf, sizeof(buf));
	static uint8_t base[HANDOVER_RECORD_MAX];
	int r;

	if (size && data[0] == 'R') {
		size = changed(base, data + 1, size - 1);
		data = base;
	}
	r = handover_decode(&rec, data, size);
	REQUIRE(r == 0 || r == -EBADMSG);
	if (r == 0)
		check(&rec);
	if (size + 8 > sizeof(buf))
		return 0;
	write_bytes(&w, data, size);
	write_be64(&w, journal_hash((const char *)data, size));
	r = handover_decode(&rec, buf, w.len);
	REQUIRE(r == 0 || r == -EBADMSG);
	if (r == 0)
		check(&rec);
	return 0;
}
