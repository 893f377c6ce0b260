/* Walking a plan, forwards and backwards, and the places where tests may fail or kill it. */
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "net/plan.h"

int failpoint(const char *direction, const char *step, bool after)
{
	const char *want = geteuid() == 0 && secure_getenv("NSVPN_RUN") ? secure_getenv("NSVPN_FAILPOINT") : NULL;
	char here[64];
	size_t len;

	if (!want)
		return 0;
	(void)snprintf(here, sizeof(here), "%s.%s%s:", direction, step, after ? "+" : ""); /* names are short */
	len = strlen(here);
	if (strncmp(want, here, len) != 0)
		return 0;
	if (str_eq(want + len, "kill"))
		(void)raise(SIGKILL); /* does not return */
	return str_eq(want + len, "error") ? -EIO : 0;
}

static int apply_one(const struct step *s, struct tunnelnet *n, bool *ret_applied)
{
	int r;

	r = failpoint("up", s->name, false);
	if (r < 0)
		return net_error(n, r, "step %s of tunnel %s failed on request of NSVPN_FAILPOINT", s->name, n->name);
	r = s->ops->check(n, s);
	if (r < 0)
		return net_error(n, r, "step %s of tunnel %s cannot be checked: %s", s->name, n->name, strerror(-r));
	if (r > 0)
		return 0;
	log_debug("%s: %s", n->name, s->name);
	*ret_applied = true;
	r = s->ops->apply(n, s);
	if (r < 0)
		return net_error(n, r, "step %s of tunnel %s failed: %s", s->name, n->name, strerror(-r));
	r = failpoint("up", s->name, true);
	return r < 0 ? net_error(n, r, "step %s of tunnel %s failed on request of NSVPN_FAILPOINT", s->name, n->name)
		     : 0;
}

static int undo_one(const struct step *s, struct tunnelnet *n)
{
	int r;

	if (!s->ops->undo || (s->inside && n->ns_fd < 0 && s->ops != &step_netns && s->ops != &step_dns))
		return 0;
	r = failpoint("down", s->name, false);
	if (r == 0)
		r = s->ops->undo(n, s);
	if (r == 0)
		r = failpoint("down", s->name, true);
	return r < 0 ? net_error(n, r, "step %s of tunnel %s cannot be undone: %s", s->name, n->name, strerror(-r))
		     : 0;
}

int plan_apply(const struct plan *p, struct tunnelnet *n, bool roll_back)
{
	bool applied[PLAN_STEPS_MAX] = { 0 };
	size_t i;
	int r = 0;

	for (i = 0; i < p->n && r == 0; i++)
		r = apply_one(&p->v[i], n, &applied[i]);
	if (r < 0 && roll_back)
		while (i-- > 0)
			if (applied[i])
				(void)undo_one(&p->v[i], n); /* r is the error to report */
	return r;
}

int plan_repair(const struct plan *p, struct tunnelnet *n, char ***done)
{
	int r = 0;

	for (size_t i = 0; i < p->n && r == 0; i++) {
		bool applied = false;

		r = apply_one(&p->v[i], n, &applied);
		if (r == 0 && applied)
			r = strv_add(done, p->v[i].name);
	}
	return r;
}

int plan_undo(const struct plan *p, struct tunnelnet *n)
{
	int first = 0;

	for (size_t i = p->n; i-- > 0;) {
		int r = undo_one(&p->v[i], n);

		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}
