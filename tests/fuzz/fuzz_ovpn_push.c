/*
 * PUSH_REPLY texts, with a profile chosen by the first byte. A 0x01 byte cuts the text into continuation messages; what
 * stands behind a 0x02 byte is a PUSH_UPDATE, in the same parts.
 * Whatever comes out must be verified settings; whatever fails must have a sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/ovpn-update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(expr)                                                                                                  \
	do {                                                                                                           \
		if (!(expr))                                                                                           \
			abort();                                                                                       \
	} while (0)

static void check(struct ovpn_push *p)
{
	struct settings *s = calloc(1, sizeof(*s));
	char *error = NULL, *why = NULL;

	require(s);
	if (ovpn_push_finish(p, 9000, s, &error) == 0) {
		require(!error && settings_verify(s, &why) == 0);
		require(s->mtu <= 9000 && s->n_addrs > 0);
		require(!(s->block_ipv6 && s->default6));
	} else {
		require(error && str_is_clean_utf8(error, strlen(error)));
	}
	free(error);
	free(s);
}

/* What an update makes is what one PUSH_REPLY with the same options would have made. */
static void check_again(struct ovpn_push *next, const struct settings *s)
{
	struct settings *again = calloc(1, sizeof(*again));
	struct ovpn_update *u = NULL;
	struct ovpn_push *same = calloc(1, sizeof(*same));
	char *error = NULL;

	require(again && same);
	require(ovpn_update_new(&u, next) == 0);
	require(ovpn_update_add(u, "", &error) == 1);
	require(ovpn_update_finish(u, 9000, same, again, &error) == 0);
	require(settings_equal(s, again));
	ovpn_update_free(u);
	ovpn_push_done(same);
	free(same);
	free(again);
}

static void update(const struct ovpn_push *base, char *at)
{
	struct settings *s = calloc(1, sizeof(*s));
	struct ovpn_push *next = calloc(1, sizeof(*next));
	struct ovpn_update *u = NULL;
	char *error = NULL;
	int r = 0;

	require(s && next);
	require(ovpn_update_new(&u, base) == 0);
	while (at && r == 0) {
		char *more = strchr(at, 1);

		if (more)
			*more++ = 0;
		r = ovpn_update_add(u, at, &error);
		require((r < 0) == (error != NULL));
		at = more;
	}
	if (r == 1) {
		r = ovpn_update_finish(u, 9000, next, s, &error);
		require((r < 0) == (error != NULL));
		if (r == 0)
			check_again(next, s);
	}
	require(!error || str_is_clean_utf8(error, strlen(error)));
	ovpn_update_free(u);
	ovpn_push_done(next);
	free(error);
	free(next);
	free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pull_filter filters[] = { { PULL_FILTER_IGNORE, "dhcp-option" }, { PULL_FILTER_REJECT, "block" } };
	struct ovpn_options o = { 0 };
	struct ovpn_push *p = malloc(sizeof(*p));
	char *text, *at, *later, *error = NULL;
	int r = 0;

	require(p);
	if (size == 0) {
		free(p);
		return 0;
	}
	o.route_nopull = data[0] & 1;
	o.pull_filters = filters;
	o.n_pull_filters = data[0] & 2 ? 2 : 0;
	o.redirect = data[0] >> 2 & 7;
	o.topology = (enum topology)(data[0] >> 5 & 1 ? TOPOLOGY_SUBNET : TOPOLOGY_NET30);
	o.topology_set = data[0] >> 6 & 1;
	o.tap = data[0] >> 7;
	text = at = strndup((const char *)data + 1, size - 1);
	require(text);
	later = strchr(text, 2);
	if (later)
		*later++ = 0;
	ovpn_push_init(p, &o);
	while (at && r == 0) {
		char *next = strchr(at, 1);

		if (next)
			*next++ = 0;
		r = ovpn_push_add(p, at, &error);
		require((r < 0) == (error != NULL));
		at = next;
	}
	if (r == 1)
		check(p);
	if (r == 1 && later)
		update(p, later);
	require(p->routes.n <= SETTINGS_ROUTES_MAX && strv_len(p->notes) <= OVPN_PUSH_NOTES_MAX);
	for (size_t i = 0; i < strv_len(p->notes); i++)
		require(str_is_clean_utf8(p->notes[i], strlen(p->notes[i])));
	ovpn_push_done(p);
	free(error);
	free(text);
	free(p);
	return 0;
}
