/*
 * Is somebody's firewall on this machine in the way of a tunnel's packets, or of the questions for its server's name? The
 * sentences for people. Over a veth the outer lock's figures prove it, whoever it is; of what this machine sends itself
 * (uplink = socket, names) only a rule that drops for certain is named.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "net/blocker.h"
#include "net/netctx.h"
#include "net/uplink.h"
#include "nl/nft.h"

int tunnelnet_traffic(struct tunnelnet *n, struct tunnelnet_traffic *ret)
{
	struct tunnelnet_traffic traffic;
	int r;

	if (n->j.uplink != UPLINK_VETH)
		return -EOPNOTSUPP;
	r = nft_read_counter(-EBADF, n->table, "left", &traffic.left_before);
	if (r == 0)
		r = nft_read_counter(-EBADF, n->table, "entered", &traffic.entered);
	if (r == 0)
		r = nft_read_counter(-EBADF, n->table, "left", &traffic.left);
	if (r < 0)
		return r;
	*ret = traffic;
	return 0;
}

static char *blocked_sentence(const struct tunnelnet *n, const struct blocker *b, const char *server)
{
	static const char unknown[] = "rules that nsvpn cannot read, or a security module (`nsvpn doctor` says more)";
	bool known = b->verdict != WALK_PASSES, is_own = n->j.uplink == UPLINK_SOCKET;
	_cleanup_(freep) char *other = is_own ? NULL : str_format("set Uplink=socket in the settings.conf of tunnel %s", n->name);

	return str_format("this machine's firewall drops %s %s: %s%s%s%s%s%s", b->is_answer ? "the answers of" : "the packets to",
			  server, b->verdict == WALK_MAY_DROP ? "probably " : "", known ? b->who : unknown, other ? "; " : "",
			  other ? other : "", known ? (is_own ? "; make an exception: " : ", or make an exception: ") : "",
			  known ? b->remedy : "");
}

static int find_way(struct tunnelnet *n, struct blocker_way *ret)
{
	struct rt_route way;
	struct rt_link link;
	struct rt *host;
	int r;

	*ret = (struct blocker_way){ .server = n->j.server,
				     .protocol = n->j.transport == TRANSPORT_TCP ? IPPROTO_TCP : IPPROTO_UDP };
	if (n->j.uplink == UPLINK_VETH) {
		ret->inside = net_inside_addr(n, n->j.server.addr.family);
		(void)str_copy(ret->veth, sizeof(ret->veth), n->veth); /* all are IFNAMSIZ */
		(void)str_copy(ret->outgoing, sizeof(ret->outgoing), n->j.outgoing);
		return 0;
	}
	r = net_host(n, &host);
	if (r == 0)
		r = rt_route_lookup(host, &n->j.server.addr, &way);
	if (r == 0)
		r = rt_link_get_index(host, way.oif, &link);
	if (r < 0)
		return r;
	ret->inside = way.src;
	(void)str_copy(ret->outgoing, sizeof(ret->outgoing), link.name); /* as above */
	return 0;
}

int tunnelnet_blocker(struct tunnelnet *n, bool proven, char **ret_sentence)
{
	struct blocker b = { 0 };
	char server[ENDPOINT_STR_MAX];
	struct blocker_way way;
	int r;

	if (n->rootless || !inaddr_is_set(&n->j.server.addr))
		return 0;
	if (find_way(n, &way) < 0)
		return 0; /* no way there is nobody's firewall */
	r = blocker_look(&way, &b);
	if (r < 0 && !proven)
		return r;
	if (b.verdict == WALK_DROPS || proven) {
		*ret_sentence = blocked_sentence(n, &b, endpoint_format(&way.server, server, sizeof(server)));
		r = *ret_sentence ? 1 : -ENOMEM;
	}
	blocker_done(&b);
	return r;
}

int tunnelnet_names_blocker(struct tunnelnet *n, char **ret_sentence)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	char text[ENDPOINT_STR_MAX];
	struct endpoint server;
	struct blocker b;
	struct rt *host;
	int r;

	if (n->rootless)
		return 0;
	r = net_host(n, &host);
	if (r == 0)
		r = blocker_read(&rs);
	if (r == 0)
		r = blocker_of_names(rs, host, &b, &server);
	if (r <= 0)
		return r;
	*ret_sentence = str_format("this machine's firewall drops %s its name server %s, so the server of tunnel %s has no "
				   "address: %s; make an exception: %s", b.is_answer ? "the answers of" : "the questions to",
				   endpoint_format(&server, text, sizeof(text)), n->name, b.who, b.remedy);
	blocker_done(&b);
	return *ret_sentence ? 1 : -ENOMEM;
}
