/*
 * Somebody's firewall, as libnftables prints it: read, and packets walked through it. Whatever it is, the walk ends, and what
 * is named as being in the way is in it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/packet-walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond) ((cond) ? (void)0 : abort())

static void walk(const struct ruleset *rs, enum nf_hook hook, const char *from, const char *to, bool established)
{
	struct walk_packet p = { .iif = "nv-home", .oif = "eth0", .protocol = IPPROTO_UDP, .dport = 1194, .established = established };
	struct walk_result w;

	REQUIRE(inaddr_parse(from, &p.from) == 0 && inaddr_parse(to, &p.to) == 0);
	packet_walk(rs, hook, &p, &w);
	if (w.verdict == WALK_PASSES)
		return;
	REQUIRE(w.table && w.chain && ruleset_table(rs, w.table->family, w.table->name));
	REQUIRE(!str_has_prefix(w.table->name, "nsvpn-"));
	REQUIRE(!w.rule || (w.rule >= w.chain->rules && w.rule < w.chain->rules + w.chain->n_rules));
	REQUIRE(w.rule || w.chain->drops);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ruleset *rs = NULL;
	char *text = malloc(size + 1);
	int r;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	r = ruleset_parse(text, &rs);
	REQUIRE(r == 0 || r == -EBADMSG || r == -ENOMEM);
	for (int hook = 0; r == 0 && hook < NF_HOOK_OTHER; hook++) {
		walk(rs, (enum nf_hook)hook, "10.99.0.2", "198.51.100.10", hook & 1);
		walk(rs, (enum nf_hook)hook, "fd00::2", "2001:db8::10", !(hook & 1));
	}
	ruleset_free(rs);
	free(text);
	return 0;
}
