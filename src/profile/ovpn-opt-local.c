/* Options about our own side of the transport: local, lport, bind, nobind. */
#include <errno.h>

#include "base/parse.h"
#include "base/str.h"
#include "profile/profile-ovpn.h"

int ovpn_opt_local(struct ovpn_parser *p, const struct ovpn_item *it)
{
	struct inaddr a;

	if (inaddr_parse(it->words[1], &a) < 0)
		return ovpn_note(p, FATE_IGNORED, "names are not looked up here; write the address itself");
	ovpn_conn(p)->local = a;
	return ovpn_note(p, FATE_HONOURED,
			 "packets to the server come from this address with Uplink=socket; with a veth the machine's routing chooses");
}

/* 0 means "any", as with openvpn. */
int ovpn_opt_lport(struct ovpn_parser *p, const struct ovpn_item *it)
{
	uint64_t port;
	int r;

	r = ovpn_number(p, it->words[1], 0, 65535, &port);
	if (r < 0)
		return r;
	ovpn_conn(p)->local_port = (uint16_t)port;
	return 0;
}

int ovpn_opt_bind(struct ovpn_parser *p, const struct ovpn_item *it)
{
	if (it->n_words > 1 && !str_eq(it->words[1], "ipv6only"))
		return ovpn_refuse(p, "takes ipv6only or nothing; correct line %u", it->line);
	ovpn_conn(p)->nobind = false;
	return 0;
}

int ovpn_opt_nobind(struct ovpn_parser *p, const struct ovpn_item *it)
{
	(void)it; /* takes no value */
	ovpn_conn(p)->nobind = true;
	return 0;
}
