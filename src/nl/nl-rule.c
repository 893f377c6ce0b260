/* Policy rules over libnl-route. */
#include "nl/nl-rule.h"

#include <linux/fib_rules.h>

#include <netlink/cache.h>
#include <netlink/msg.h>
#include <netlink/route/rule.h>

#include "base/str.h"

static void rule_put(struct rtnl_rule **r)
{
	if (*r)
		rtnl_rule_put(*r);
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
	if (*in->iif && rtnl_rule_set_iif(rule, in->iif) < 0) {
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

static bool rule_is(struct rtnl_rule *rule, const struct rt_rule *want)
{
	return rtnl_rule_get_family(rule) == want->family && rtnl_rule_get_prio(rule) == want->priority &&
	       rtnl_rule_get_mark(rule) == want->mark && rtnl_rule_get_mask(rule) == UINT32_MAX &&
	       rtnl_rule_get_action(rule) == (want->prohibit ? FR_ACT_PROHIBIT : FR_ACT_TO_TBL) &&
	       (want->prohibit || rtnl_rule_get_table(rule) == want->table) &&
	       str_eq(rtnl_rule_get_iif(rule) ?: "", want->iif);
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
