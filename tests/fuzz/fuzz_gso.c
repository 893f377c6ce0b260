/*
 * Arbitrary bytes through the data path's pure parts: MSS clamp, split of a super-packet, coalescing of what came out,
 * and splitting that again. Beside memory errors it looks for the two properties that everything rests on: a split hands
 * out every payload byte once, and what a run accepted comes apart again into the same packets.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/checksum.h"
#include "engine/gso.h"
#include "engine/mss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADROOM 64
#define PACKETS_MAX 512

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* A copy of exactly len bytes behind the headroom, so that one byte too far is seen. */
static uint8_t *copy(const uint8_t *p, size_t len)
{
	uint8_t *b = malloc(HEADROOM + len);

	check(b);
	memset(b, 0, HEADROOM);
	memcpy(b + HEADROOM, p, len);
	return b;
}

static void fuzz_clamp(const uint8_t *p, size_t len, uint32_t max)
{
	uint8_t *b = copy(p, len);

	(void)mss_clamp(b + HEADROOM, len, max);
	check(!mss_clamp(b + HEADROOM, len, max)); /* once is enough */
	free(b);
}

/* Packets one behind the other into a run; then the run is split and compared. */
static void fuzz_run(uint8_t *const *packets, const size_t *lens, size_t n)
{
	static uint8_t area[HEADROOM + GSO_RUN_MAX + 65536];
	struct gso_run run = { 0 };
	struct virtio_net_hdr vnet;
	struct gso_split split;
	size_t merged = 1, len;
	uint8_t *p;

	memcpy(area + HEADROOM, packets[0], lens[0]);
	gso_run_begin(&run, area + HEADROOM, lens[0], true);
	while (merged < n && gso_run_accepts(&run, packets[merged], lens[merged])) {
		size_t payload = lens[merged] - run.header_len;

		memcpy(run.packet + run.len, packets[merged] + run.header_len, payload);
		gso_run_extend(&run, gso_run_flags(&run, packets[merged]), payload);
		merged++;
	}
	gso_run_finish(&run, &vnet);
	check(run.len <= GSO_RUN_MAX || run.packets == 1);
	check(gso_split_init(&split, &vnet, run.packet, run.len) == 0);
	for (size_t i = 0; i < merged; i++) {
		p = gso_split_next(&split, &len);
		check(p && len == lens[i]);
		if (run.packets > 1 && packets[i][0] >> 4 == 4) /* id and its checksum may differ where DF is set */
			check(memcmp(p, packets[i], 4) == 0 && memcmp(p + 12, packets[i] + 12, len - 12) == 0);
		else
			check(memcmp(p, packets[i], len) == 0);
	}
	check(!gso_split_next(&split, &len));
}

static void fuzz_split(const struct virtio_net_hdr *vnet, const uint8_t *in, size_t in_len)
{
	static uint8_t *packets[PACKETS_MAX];
	static size_t lens[PACKETS_MAX];
	uint8_t *b = copy(in, in_len);
	struct gso_split split;
	size_t n = 0, len, payload = 0;
	uint8_t *p;

	if (gso_split_init(&split, vnet, b + HEADROOM, in_len) == 0)
		while ((p = gso_split_next(&split, &len))) {
			check(p >= b + HEADROOM && p + len <= b + HEADROOM + in_len);
			payload += split.whole ? len : len - split.header_len;
			(void)mss_clamp(p, len, 600);
			if (n < PACKETS_MAX) {
				lens[n] = len;
				packets[n] = malloc(len);
				check(packets[n]);
				memcpy(packets[n++], p, len);
			}
		}
	check(payload == 0 || payload == (split.whole ? in_len : in_len - split.header_len));
	for (size_t i = 0; i < n; i++)
		fuzz_run(packets + i, lens + i, MIN(n - i, (size_t)(i == 0 ? PACKETS_MAX : 3)));
	for (size_t i = 0; i < n; i++)
		free(packets[i]);
	free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_net_hdr vnet;

	if (size < sizeof(vnet) + 1 || size > 16384)
		return 0;
	memcpy(&vnet, data, sizeof(vnet));
	data += sizeof(vnet);
	size -= sizeof(vnet);
	fuzz_clamp(data, size, vnet.gso_size);
	fuzz_split(&vnet, data, size);
	(void)checksum_fold(checksum_add(0, data, size));
	return 0;
}
