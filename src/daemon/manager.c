/* All tunnels; theory of recovery in manager.h. */
#include "daemon/manager.h"

#include <dirent.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/tunnel.h"

#define TUNNELS_MAX 256

int manager_new(struct manager **ret, sd_event *event, const struct engine_spawn *spawn)
{
	struct manager *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	r = store_boot_id(m->boot_id);
	if (r < 0) {
		free(m);
		return r;
	}
	m->event = sd_event_ref(event);
	m->spawn = spawn;
	*ret = m;
	return 0;
}

struct manager *manager_free(struct manager *m)
{
	if (!m)
		return NULL;
	m->changed = NULL;
	m->settled = NULL;
	while (m->tunnels)
		tunnel_free(m->tunnels);
	sd_event_unref(m->event);
	free(m);
	return NULL;
}

struct tunnel *manager_find(struct manager *m, const char *name)
{
	for (struct tunnel *t = m->tunnels; t; t = t->next)
		if (str_eq(t->name, name))
			return t;
	return NULL;
}

static bool is_configured(const char *name)
{
	_cleanup_(freep) char *path = place_tunnel_etc(name);

	return path && access(path, F_OK) == 0;
}

int manager_get(struct manager *m, const char *name, struct tunnel **ret)
{
	struct tunnel *t;

	if (!tunnel_name_is_valid(name))
		return -EINVAL;
	t = manager_find(m, name);
	if (!t) {
		int r;

		if (!is_configured(name))
			return -ENOENT;
		r = tunnel_new(&t, m, name);
		if (r < 0)
			return r;
	}
	*ret = t;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_configured(char ***names)
{
	_cleanup_(freep) char *path = str_format("%s/tunnels", place_etc());
	struct dirent *de;
	DIR *d;
	int r = 0;

	if (!path)
		return -ENOMEM;
	d = opendir(path);
	while (d && r >= 0 && (de = readdir(d)))
		if (tunnel_name_is_valid(de->d_name) && strv_len(*names) < TUNNELS_MAX)
			r = strv_add(names, de->d_name);
	if (d)
		(void)closedir(d); /* only read */
	return r;
}

int manager_names(struct manager *m, char ***ret)
{
	_cleanup_(strv_freep) char **names = NULL;
	int r;

	r = add_configured(&names);
	for (struct tunnel *t = m->tunnels; t && r >= 0; t = t->next)
		if (!tunnel_is_idle(t) && !strv_contains(names, t->name))
			r = strv_add(&names, t->name);
	if (r < 0)
		return r;
	if (names)
		qsort(names, strv_len(names), sizeof(*names), compare_names);
	*ret = TAKE_PTR(names);
	return 0;
}

void manager_reload(struct manager *m)
{
	struct tunnel *next;

	for (struct tunnel *t = m->tunnels; t; t = next) {
		next = t->next;
		if (tunnel_is_idle(t) && !t->ups && !t->downs && !is_configured(t->name))
			tunnel_free(t);
		else
			tunnel_forget_profile(t);
	}
}

static bool recover_running(struct tunnel *t, enum uplink uplink)
{
	_cleanup_(freep) struct handover_record *rec = calloc(1, sizeof(*rec));
	int fds[HANDOVER_FD_COUNT];
	bool ok;

	if (!rec || !handover_take(t->manager->handover, t->name, rec, fds))
		return false;
	ok = rec->uplink == uplink && tunnel_recover_running(t, rec, fds);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)fd_close(fds[i]); /* what was not taken over: closing the socket ends the engine */
	if (!ok)
		handover_drop(t->name);
	return ok;
}

static void recover_one(struct tunnel *t, bool journal)
{
	_cleanup_(freep) char *error = NULL;
	struct intent i;
	int r;

	r = store_load(t->name, &i, &error);
	if (r < 0 && r != -ENOENT) {
		tunnel_recover_locked(t, error ? error : "the state file cannot be read");
		return;
	}
	if (r == 0 && i.want_up && str_eq(i.boot_id, t->manager->boot_id)) {
		if (recover_running(t, i.uplink))
			return;
		tunnel_recover_up(t, i.uplink);
		return;
	}
	if (journal) {
		tunnel_recover_down(t);
		return;
	}
	if (r == 0) {
		log_tunnel_notice(t, "its state file is from an earlier boot or says down: forgotten");
		if (store_remove(t->name, &error) < 0)
			log_tunnel_error(t, "%s", error ? error : "cannot remove the state file");
	}
}

int manager_recover(struct manager *m)
{
	_cleanup_(strv_freep) char **names = NULL, **journals = NULL;
	int r;

	r = store_list(&names);
	if (r >= 0)
		r = tunnelnet_list(&journals);
	for (size_t i = 0; r >= 0 && i < strv_len(journals); i++)
		if (!strv_contains(names, journals[i]))
			r = strv_add(&names, journals[i]);
	if (r < 0)
		return r;
	for (size_t i = 0; i < strv_len(names); i++) {
		struct tunnel *t = manager_find(m, names[i]);

		if (!t && tunnel_name_is_valid(names[i])) {
			r = tunnel_new(&t, m, names[i]);
			if (r < 0)
				return r;
		}
		if (t)
			recover_one(t, strv_contains(journals, names[i]));
	}
	return 0;
}

void manager_refresh_stats(struct manager *m)
{
	for (struct tunnel *t = m->tunnels; t; t = t->next)
		tunnel_refresh_stats(t);
}

bool manager_is_idle(const struct manager *m)
{
	for (const struct tunnel *t = m->tunnels; t; t = t->next)
		if (!tunnel_is_idle(t) || t->ups || t->downs)
			return false;
	return true;
}

bool manager_is_waited_for(const struct manager *m)
{
	for (const struct tunnel *t = m->tunnels; t; t = t->next)
		if (t->ups || t->downs)
			return true;
	return false;
}

void manager_shutdown(struct manager *m)
{
	m->shutting_down = true;
	for (struct tunnel *t = m->tunnels; t; t = t->next)
		tunnel_shutdown(t);
}

bool manager_is_quiet(const struct manager *m)
{
	for (const struct tunnel *t = m->tunnels; t; t = t->next)
		if (!tunnel_is_quiet(t))
			return false;
	return true;
}
