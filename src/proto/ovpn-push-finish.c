/* From what was pushed, and what the profile says, to settings that are complete and verified. */
#include "proto/ovpn-push-option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define MTU_DEFAULT 1500

static int finish_error(char **ret_error, const char *text)
{
	*ret_error = strdup(text);
	return *ret_error ? -EPROTO : -ENOMEM;
}

/* Second value of ifconfig: a netmask or a peer. What it looks like wins over a topology that cannot be meant. */
static bool is_subnet(enum topology topology, const struct inaddr *second, uint8_t *ret_len)
{
	uint8_t len = 0;
	bool mask = netmask_to_len(second, &len) == 0 && len > 0;

	if (topology == TOPOLOGY_SUBNET ? !mask : !(mask && second->bytes[0] == 255))
		return false;
	*ret_len = len;
	return true;
}

static int finish_addresses(const struct ovpn_push *p, struct settings *s, char **ret_error)
{
	const struct ovpn_options *o = p->options;
	struct inprefix *a = &s->addrs[0];

	if (inaddr_is_set(&p->local4)) {
		*a = (struct inprefix){ .addr = p->local4, .len = 32 };
		if (!is_subnet(p->topology, &p->remote4, &a->len)) {
			if (p->topology == TOPOLOGY_SUBNET || inaddr_is_special(&p->remote4))
				return finish_error(ret_error,
						    "the server's `ifconfig` has neither a netmask nor a peer address as its second value");
			s->peer4 = p->remote4;
		}
		s->n_addrs++;
	} else if (inaddr_is_set(&o->ifconfig4.addr)) {
		*a = o->ifconfig4;
		s->peer4 = o->ifconfig4_peer;
		s->n_addrs++;
	}
	if (inaddr_is_set(&p->local6.addr))
		s->addrs[s->n_addrs++] = p->local6;
	else if (inaddr_is_set(&o->ifconfig6.addr))
		s->addrs[s->n_addrs++] = o->ifconfig6;
	if (s->n_addrs == 0)
		return finish_error(ret_error,
				    "the server assigned no address (no `ifconfig` in PUSH_REPLY); it is not set up for clients like this one");
	return 0;
}

static int finish_mtu(struct ovpn_push *p, uint32_t tun_mtu_max, struct settings *s)
{
	uint32_t mtu = p->options->tun_mtu ? p->options->tun_mtu : MTU_DEFAULT;

	if (p->tun_mtu)
		mtu = p->tun_mtu;
	if (tun_mtu_max >= SETTINGS_MTU_MIN)
		mtu = MIN(mtu, tun_mtu_max);
	s->mtu = MIN(MAX(mtu, (uint32_t)SETTINGS_MTU_MIN), 65535u);
	if (ovpn_push_has_family(s, AF_INET6) && s->mtu < SETTINGS_MTU_MIN6) {
		s->mtu = SETTINGS_MTU_MIN6;
		return ovpn_push_note(p, "tun-mtu", "tun-mtu", "IPv6 needs at least 1280");
	}
	return 0;
}

int ovpn_push_finish(struct ovpn_push *p, uint32_t tun_mtu_max, struct settings *ret, char **ret_error)
{
	_cleanup_(freep) struct settings *s = calloc(1, sizeof(*s)); /* 8 KiB: not on the stack */
	_cleanup_(freep) char *why = NULL;
	unsigned n_lost;
	int r;

	if (!s)
		return -ENOMEM;
	r = finish_addresses(p, s, ret_error);
	if (r < 0)
		return r;
	n_lost = ovpn_push_finish_routes(p, s);
	ovpn_push_finish_names(p, s);
	r = finish_mtu(p, tun_mtu_max, s);
	if (r < 0)
		return r;
	if (n_lost) {
		r = ovpn_push_note(p, "too many routes", "route", "only the first 256 routes are used");
		if (r < 0)
			return r;
	}
	r = settings_verify(s, &why);
	if (r < 0) {
		if (!why)
			return -ENOMEM;
		*ret_error = str_format("the server's settings cannot be used: %s", why);
		return *ret_error ? -EPROTO : -ENOMEM;
	}
	*ret = *s;
	return 0;
}
