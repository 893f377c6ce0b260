/*
 * Whether a service can live in a tunnel, and whether it does.
 *
 * Before a drop-in is written, settings of the unit that would contradict it are looked for; afterwards, what systemd made
 * of all its files together is compared with what the drop-in says, because a later file may say something else.
 */
#include "cli/unit-facts.h"

#include <stdlib.h>

#include "base/places.h"

void unit_facts_done(struct unit_facts *f)
{
	free(f->id);
	free(f->load_state);
	free(f->active_state);
	free(f->netns_path);
	strv_free(f->joins);
	strv_free(f->binds_to);
	strv_free(f->after);
	strv_free(f->triggered_by);
	strv_free(f->files);
	free(f->socket);
	free(f->address);
	*f = (struct unit_facts){ 0 };
}

bool unit_facts_is_running(const struct unit_facts *f)
{
	return f->active_state && !str_eq(f->active_state, "inactive") && !str_eq(f->active_state, "failed");
}

static char *say(char *sentence, bool *ret_oom)
{
	*ret_oom = !sentence;
	return sentence;
}

static bool is_part_of_us(const char *id)
{
	return str_has_prefix(id, "nsvpn@") || str_has_prefix(id, "nsvpn-netns@") || str_eq(id, "nsvpnd.service");
}

static char *object_to_namespace(const struct unit_facts *f, const struct dropin *own, bool *ret_oom)
{
	_cleanup_(freep) char *anchor = own ? dropin_anchor(own->tunnel) : NULL, *netns = own ? place_netns(own->tunnel) : NULL;
	bool ours_joins = own && own->form == DROPIN_JOINS;

	if (own && (!anchor || !netns))
		return say(NULL, ret_oom);
	if (f->netns_path && *f->netns_path && !(netns && str_eq(f->netns_path, netns)))
		return say(str_format("%s has a network namespace already (NetworkNamespacePath=%s); remove that line first", f->id,
				      f->netns_path),
			   ret_oom);
	for (char **j = f->joins; j && *j; j++)
		if (!(ours_joins && str_eq(*j, anchor)))
			return say(str_format("%s shares the namespace of %s (JoinsNamespaceOf=); remove that line first", f->id, *j),
				   ret_oom);
	/* With a path, systemd says PrivateNetwork=no; with ours of the other form, it is ours. */
	if (f->private_network && !ours_joins)
		return say(str_format("%s has PrivateNetwork=yes: it is cut off from the network on purpose; if the tunnel is better, set "
				      "PrivateNetwork=no with `systemctl edit %s` first",
				      f->id, f->id),
			   ret_oom);
	return NULL;
}

char *unit_facts_object(const struct unit_facts *f, enum dropin_form form, const struct dropin *own, bool *ret_oom)
{
	const char *id = f->id ? f->id : "the unit", *load = f->load_state ? f->load_state : "";

	*ret_oom = false;
	if (str_eq(load, "not-found"))
		return say(str_format("%s does not exist; `systemctl list-unit-files` shows the units there are", id), ret_oom);
	if (str_eq(load, "masked"))
		return say(str_format("%s is masked, so it is never started; `systemctl unmask %s` first", id, id), ret_oom);
	if (!str_eq(load, "loaded"))
		return say(str_format("systemd cannot load %s (%s); `systemctl status %s` says why", id, load, id), ret_oom);
	if (is_part_of_us(id))
		return say(str_format("%s is part of nsvpn itself; add the services that use the tunnel", id), ret_oom);
	if (!f->default_dependencies)
		return say(str_format("%s starts before the machine is up (DefaultDependencies=no), and a tunnel only afterwards", id),
			   ret_oom);
	if (f->socket)
		return say(str_format("%s gets a socket that %s has opened outside (%s), and would talk past the tunnel through it; `systemctl "
				      "disable --now %s` first and let the service listen by itself",
				      id, f->socket, f->address ? f->address : "?", f->socket),
			   ret_oom);
	if (f->counts_255_as_done)
		return say(str_format("%s counts exit status 255 as success (SuccessExitStatus=), so the guard could not keep it from starting; "
				      "remove 255 there",
				      id),
			   ret_oom);
	if (form == DROPIN_JOINS && f->has_conditions)
		return say(str_format("%s has an ExecCondition= of its own, which would run before the guard; use the form without "
				      "--joins-namespace-of, which fails closed without it",
				      id),
			   ret_oom);
	/* Run also when the guard has refused, and by then nothing says where. */
	if (form == DROPIN_JOINS && f->has_stop_post)
		return say(str_format("%s has an ExecStopPost=, which systemd runs even when the guard has refused; use the form without "
				      "--joins-namespace-of, which fails closed without it",
				      id),
			   ret_oom);
	return object_to_namespace(f, own, ret_oom);
}

char *unit_facts_differ(const struct unit_facts *f, const struct dropin *d, const char *path, bool *ret_oom)
{
	_cleanup_(freep) char *anchor = dropin_anchor(d->tunnel), *netns = place_netns(d->tunnel);
	const char *what = NULL;

	*ret_oom = false;
	if (!anchor || !netns)
		return say(NULL, ret_oom);
	if (!strv_contains(f->files, path))
		return say(str_format("systemd does not read %s for %s; `systemctl cat %s` shows what it reads", path, f->id, f->id), ret_oom);
	if (d->form == DROPIN_PATH && !(f->netns_path && str_eq(f->netns_path, netns)))
		what = "NetworkNamespacePath=";
	else if (d->form == DROPIN_JOINS && f->netns_path && *f->netns_path)
		what = "NetworkNamespacePath=";
	else if (d->form == DROPIN_JOINS && !f->private_network)
		what = "PrivateNetwork=";
	else if (d->form == DROPIN_JOINS && !strv_contains(f->joins, anchor))
		what = "JoinsNamespaceOf=";
	else if (!strv_contains(f->binds_to, anchor))
		what = "BindsTo=";
	else if (!strv_contains(f->after, anchor))
		what = "After=";
	else if (!f->guarded || (d->form == DROPIN_JOINS && !f->guarded_first))
		what = "ExecCondition=";
	if (!what)
		return NULL;
	return say(str_format("another file changes %s of %s again, so it would not live in tunnel %s; `systemctl cat %s` shows which", what,
			      f->id, d->tunnel, f->id),
		   ret_oom);
}
