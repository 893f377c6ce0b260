/* See tunnel-blocked.h. Two looks: the second one is for tunnels whose packets once got through. What a look sees in the
   counters is believed when another one, a moment later, sees the same: a packet that is still between the two, or the
   first one while the kernel learns the way, is nobody's firewall. Where nothing is counted, the rules are read. */
#include "daemon/tunnel-blocked.h"

#include "daemon/tunnel.h"

#define FIRST_LOOK (1200 * USEC_PER_MSEC)
#define SECOND_LOOK (2300 * USEC_PER_MSEC) /* behind the first: at least one more packet of a handshake is due */
#define SURE_LOOK (400 * USEC_PER_MSEC)

static int on_time(sd_event_source *s, uint64_t usec, void *userdata);

static void wait_and_look(struct tunnel *t, usec_t wait)
{
	int r;

	t->blocked_timer = sd_event_source_disable_unref(t->blocked_timer);
	r = sd_event_add_time_relative(t->manager->event, &t->blocked_timer, CLOCK_BOOTTIME, wait, 10 * USEC_PER_MSEC, on_time, t);
	if (r < 0)
		(void)log_warning_errno(r, "%s: cannot set a timer; a firewall that is in the way is not noticed: %m", t->name);
}

static void start(struct tunnel *t, bool names)
{
	/* What runs for the same goes on: tries may be shorter than a look takes. */
	if (t->blocked_timer && t->blocked_names == names)
		return;
	t->blocked_looks = 0;
	t->blocked_suspected = false;
	t->blocked_names = names;
	wait_and_look(t, FIRST_LOOK);
}

void tunnel_blocked_start(struct tunnel *t)
{
	start(t, false);
}

void tunnel_blocked_start_names(struct tunnel *t)
{
	if (!t->blocked_timer)
		start(t, true);
}

void tunnel_blocked_stop(struct tunnel *t)
{
	t->blocked_timer = sd_event_source_disable_unref(t->blocked_timer);
	t->blocked_said = false;
}

/* As look(), by the rules alone. */
static int look_at_rules(struct tunnel *t, usec_t *ret_wait, char **ret_sentence)
{
	int r = t->blocked_names ? tunnelnet_names_blocker(t->net, ret_sentence) : tunnelnet_blocker(t->net, false, ret_sentence);

	if (r != 0 || t->blocked_looks++ > 0)
		return r;
	*ret_wait = SECOND_LOOK;
	return -EAGAIN;
}

/* Packets have entered since the earlier look, and none of them left. */
static bool is_stuck(const struct tunnelnet_traffic *earlier, const struct tunnelnet_traffic *now)
{
	return now->entered > earlier->entered && now->left == earlier->left_before;
}

/* 1: *ret_sentence; 0: nobody, as far as can be seen; -EAGAIN: look again after *ret_wait. */
static int look(struct tunnel *t, usec_t *ret_wait, char **ret_sentence)
{
	bool first = t->blocked_looks == 0, was_suspected = t->blocked_suspected;
	struct tunnelnet_traffic traffic;
	int r;

	if (t->blocked_names || t->uplink != UPLINK_VETH)
		return look_at_rules(t, ret_wait, ret_sentence);
	r = tunnelnet_traffic(t->net, &traffic);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	if (first)
		t->blocked_traffic = (struct tunnelnet_traffic){ 0 };
	t->blocked_suspected = is_stuck(&t->blocked_traffic, &traffic);
	if (t->blocked_suspected && was_suspected)
		return tunnelnet_blocker(t->net, true, ret_sentence);
	if (t->blocked_suspected) {
		*ret_wait = SURE_LOOK; /* from the same figures */
		return -EAGAIN;
	}
	t->blocked_looks++;
	t->blocked_traffic = traffic;
	/* They leave, or there are none yet: a server may be slow. Then its answers are looked for, too. */
	if (!first)
		return tunnelnet_blocker(t->net, false, ret_sentence);
	*ret_wait = SECOND_LOOK;
	return -EAGAIN;
}

static int on_time(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct tunnel *t = userdata;
	char *sentence = NULL;
	usec_t wait = 0;
	int r;

	t->blocked_timer = sd_event_source_disable_unref(t->blocked_timer);
	if (!t->net || (t->state != TUNNEL_STATE_CONNECTING && t->state != TUNNEL_STATE_RECONNECTING))
		return 0;
	r = look(t, &wait, &sentence);
	if (r == -EAGAIN)
		wait_and_look(t, wait);
	else if (r > 0)
		tunnel_engine_blocked(t, sentence);
	else
		t->blocked_said = false;
	if (r < 0 && r != -EAGAIN)
		(void)log_warning_errno(r, "%s: cannot see whether a firewall is in the way: %m", t->name);
	return 0;
}
