/* Programs inside and escaped; contracts in programs.h. */
#include "cli/programs.h"

#include "cli/proc-list.h"

void programs_done(struct programs *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->items[i].command);
	free(p->items);
	*p = (struct programs){ 0 };
}

static int add(struct programs *p, uint32_t pid, const char *command)
{
	struct program *items = reallocarray(p->items, p->n + 1, sizeof(*items));
	char *copy = strdup(command);

	if (items)
		p->items = items;
	if (!items || !copy) {
		free(copy);
		return -ENOMEM;
	}
	p->items[p->n++] = (struct program){ pid, copy };
	return 0;
}

int programs_read(struct client *c, const char *name, struct programs *ret, sd_bus_error *e)
{
	sd_bus_message *reply = NULL;
	struct programs p = { 0 };
	const char *command;
	uint32_t pid;
	int r = sd_bus_call_method(c->bus, BUS_NAME, BUS_PATH, BUS_IFACE_MANAGER, "Processes", e, &reply, "s", name);

	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(us)");
	while (r >= 0 && (r = sd_bus_message_read(reply, "(us)", &pid, &command)) > 0)
		r = add(&p, pid, command);
	sd_bus_message_unref(reply);
	if (r < 0) {
		programs_done(&p);
		return r;
	}
	*ret = p;
	return 0;
}

int programs_escaped(const char *proc, const char *name, const char *netns, uid_t uid, struct programs *ret)
{
	struct proc_list l = { 0 };
	struct programs p = { 0 };
	struct stat st;
	bool exists = stat(netns, &st) == 0;
	int r = proc_list_read(proc, uid, exists ? &st : NULL, &l);

	for (size_t i = 0; i < l.n && r >= 0; i++) {
		const struct proc_entry *e = &l.entries[i];
		_cleanup_(freep) char *mark = NULL;

		if (proc_list_has_inside_ancestor(&l, e))
			continue;
		mark = proc_environment(proc, e->pid, "NSVPN_TUNNEL");
		if (mark && str_eq(mark, name))
			r = add(&p, (uint32_t)e->pid, e->command);
	}
	proc_list_done(&l);
	if (r < 0) {
		programs_done(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void programs_json(const struct programs *p, struct json *j)
{
	json_begin_array(j);
	for (size_t i = 0; i < p->n; i++) {
		json_begin_object(j);
		json_pair_uint(j, "pid", p->items[i].pid);
		json_pair(j, "command", p->items[i].command);
		json_end_object(j);
	}
	json_end_array(j);
}
