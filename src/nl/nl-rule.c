/* Policy rules over libnl-route. */
#include "nl/nl-rule.h"

#include <linux/fib_rules.h>

#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/route/rule.h>

#include "base/str.h"

static void rule_put(struct rtnl_rule **r)
{
	if (*r)
		rtnl_rule_put(*r);
}

static int set_sender(struct rtnl_rule *rule, const struct rt_rule *in)
{
	_cleanup_(rt_nl_addr_putp) struct nl_addr *src = NULL;
	int r = 0;

	if (inaddr_is_set(&in->src)) {
		src = nl_addr_build(in->src.family, in->src.bytes, inaddr_len(in->src.family));
		r = src ? rtnl_rule_set_src(rule, src) : -NLE_NOMEM; /* takes a reference of its own */
	}
	if (r >= 0 && in->ipproto)
		r = rtnl_rule_set_ipproto(rule, in->ipproto);
	return r >= 0 && in->sport ? rtnl_rule_set_sport(rule, in->sport) : r;
}

static struct rtnl_rule *rule_make(const struct rt_rule *in)
{
	struct rtnl_rule *rule = rtnl_rule_alloc();

	if (!rule)
		return NULL;
	rtnl_rule_set_family(rule, in->family);
	rtnl_rule_set_prio(rule, in->priority);
	rtnl_rule_set_mark(rule, in->mark);
	rtnl_rule_set_mask(rule, UINT32_MAX);
	(void)rtnl_rule_set_protocol(rule, RT_PROTOCOL_NSVPN); /* cannot fail for a rule */
	if (set_sender(rule, in) < 0 || (*in->iif && rtnl_rule_set_iif(rule, in->iif) < 0)) {
		rtnl_rule_put(rule);
		return NULL;
	}
	if (!in->prohibit)
		rtnl_rule_set_table(rule, in->table);
	rtnl_rule_set_action(rule, in->prohibit ? FR_ACT_PROHIBIT : FR_ACT_TO_TBL);
	return rule;
}

int rt_rule_add(struct rt *rt, const struct rt_rule *in)
{
	_cleanup_(rule_put) struct rtnl_rule *rule = rule_make(in);
	struct nl_msg *msg;
	int r;

	if (!rule)
		return -ENOMEM;
	r = rt_result(rt, rtnl_rule_build_add_request(rule, NLM_F_CREATE | NLM_F_EXCL, &msg));
	return r < 0 ? r : rt_write_take(rt, msg);
}

int rt_rule_delete(struct rt *rt, const struct rt_rule *in)
{
	_cleanup_(rule_put) struct rtnl_rule *rule = rule_make(in);
	struct nl_msg *msg;
	int r;

	if (!rule)
		return -ENOMEM;
	r = rt_result(rt, rtnl_rule_build_delete_request(rule, 0, &msg));
	return r < 0 ? r : rt_write_take(rt, msg);
}

static bool sender_is(struct rtnl_rule *rule, const struct rt_rule *want)
{
	struct nl_addr *src = rtnl_rule_get_src(rule);
	uint16_t start = 0, end = 0;
	uint8_t ipproto = 0;

	(void)rtnl_rule_get_ipproto(rule, &ipproto); /* what a rule does not have stays 0 */
	(void)rtnl_rule_get_sport(rule, &start, &end);
	if (ipproto != want->ipproto || start != want->sport || end != want->sport)
		return false;
	if (!inaddr_is_set(&want->src))
		return !src || nl_addr_get_prefixlen(src) == 0;
	return src && nl_addr_get_len(src) == inaddr_len(want->src.family) &&
	       nl_addr_get_prefixlen(src) == inaddr_len(want->src.family) * 8 &&
	       memcmp(nl_addr_get_binary_addr(src), want->src.bytes, inaddr_len(want->src.family)) == 0;
}

static bool rule_is(struct rtnl_rule *rule, const struct rt_rule *want)
{
	return rtnl_rule_get_family(rule) == want->family && rtnl_rule_get_prio(rule) == want->priority &&
	       rtnl_rule_get_mark(rule) == want->mark && rtnl_rule_get_mask(rule) == UINT32_MAX &&
	       rtnl_rule_get_action(rule) == (want->prohibit ? FR_ACT_PROHIBIT : FR_ACT_TO_TBL) &&
	       (want->prohibit || rtnl_rule_get_table(rule) == want->table) &&
	       str_eq(rtnl_rule_get_iif(rule) ?: "", want->iif) && sender_is(rule, want);
}

int rt_rule_exists(struct rt *rt, const struct rt_rule *in)
{
	_cleanup_(rt_nl_cache_freep) struct nl_cache *cache = NULL;
	int r;

	r = rt_result(rt, rtnl_rule_alloc_cache(rt->sk, in->family, &cache));
	if (r < 0)
		return r;
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o))
		if (rule_is((struct rtnl_rule *)o, in))
			return 1;
	return 0;
}
