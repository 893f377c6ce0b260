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
	enum topology topology = o->tap ? TOPOLOGY_SUBNET : p->topology; /* Ethernet knows no other */
	struct inprefix *a = &s->addrs[0];

	if (inaddr_is_set(&p->local4)) {
		*a = (struct inprefix){ .addr = p->local4, .len = 32 };
		if (!is_subnet(topology, &p->remote4, &a->len)) {
			if (topology == TOPOLOGY_SUBNET || inaddr_is_special(&p->remote4))
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
		return finish_error(ret_error, o->tap ?
				    "the server assigned no address (no `ifconfig` in PUSH_REPLY), and nsvpn asks for none by DHCP; ask for a server that pushes addresses, or write `ifconfig` into the profile" :
				    "the server assigned no address (no `ifconfig` in PUSH_REPLY); it is not set up for clients like this one");
	return 0;
}

/* The next hop of a family, if there is one that can be reached at once. */
static void take_hop(const struct settings *s, const struct inaddr *pushed, const struct inaddr *own, struct inaddr *ret)
{
	const struct inaddr *hop = inaddr_is_set(pushed) ? pushed : own;

	for (unsigned i = 0; i < s->n_addrs && inaddr_is_set(hop); i++) {
		struct inprefix net = s->addrs[i];

		inprefix_mask(&net);
		if (net.addr.family == hop->family && inprefix_contains(&net, hop) && !inaddr_eq(&s->addrs[i].addr, hop))
			*ret = *hop;
	}
}

/* Without a next hop only the device's own networks can be reached by Ethernet. */
static int finish_ethernet(struct ovpn_push *p, struct settings *s)
{
	const struct ovpn_options *o = p->options;
	unsigned kept = 0;
	bool lost;

	s->ethernet = o->tap;
	if (!o->tap)
		return 0;
	take_hop(s, &p->gateway4, &o->gateway4, &s->gateway4);
	take_hop(s, &p->gateway6, &o->gateway6, &s->gateway6);
	lost = (s->default4 && !inaddr_is_set(&s->gateway4)) || (s->default6 && !inaddr_is_set(&s->gateway6));
	s->default4 = s->default4 && inaddr_is_set(&s->gateway4);
	s->default6 = s->default6 && inaddr_is_set(&s->gateway6);
	for (unsigned i = 0; i < s->n_routes; i++) {
		if (inaddr_is_set(s->routes[i].addr.family == AF_INET ? &s->gateway4 : &s->gateway6))
			s->routes[kept++] = s->routes[i];
		else
			lost = true;
	}
	s->n_routes = kept;
	return lost ? ovpn_push_note(p, "no gateway", "route", "Ethernet needs a gateway in the tunnel's own network (route-gateway), and the server names none") : 0;
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
	r = finish_ethernet(p, s);
	if (r < 0)
		return r;
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
