/* nsvpn unit list, and whose drop-ins there are. */
#include "cli/unit-list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/output.h"
#include "cli/service-manager.h"
#include "cli/unit-subject.h"

struct listing {
	const struct cli *cli;
	sd_bus *bus; /* NULL: systemd does not answer */
	struct strbuf text;
	struct json json;
	size_t n;
};

/* NULL: it does not run, or only root can see it. */
static const char *where_is(uint32_t pid, const char *tunnel)
{
	int r = pid ? unit_is_inside(pid, tunnel) : -ESRCH;

	return r < 0 ? NULL : r > 0 ? "tunnel" : "outside";
}

static void list_one(struct listing *l, const char *unit, const char *path, const struct dropin *d)
{
	struct unit_facts f = { 0 };
	const char *state = "unknown", *where = NULL;
	char *error = NULL;

	if (strstr(unit, "@.service"))
		state = "template";
	else if (l->bus && service_manager_facts(l->bus, unit, &f, &error) == 0) {
		state = str_eq(f.load_state, "not-found") ? "not-found" : f.active_state ? f.active_state : "unknown";
		where = where_is(f.main_pid, d->tunnel);
	}
	free(error);
	if (!l->cli->json)
		printf("%-10s  %-32s  %-5s  %s%s%s%s\n", d->tunnel, unit, dropin_form_to_string(d->form), state,
		       where && str_eq(where, "outside") ? ", still outside: restart it" : "",
		       f.socket ? ", listens outside: disable " : "", f.socket ? f.socket : "");
	json_begin_object(&l->json);
	json_pair(&l->json, "unit", unit);
	json_pair(&l->json, "tunnel", d->tunnel);
	json_pair(&l->json, "form", dropin_form_to_string(d->form));
	json_pair(&l->json, "file", path);
	json_pair(&l->json, "state", state);
	json_pair(&l->json, "where", where);
	json_pair(&l->json, "socket", f.socket);
	json_end_object(&l->json);
	unit_facts_done(&f);
	l->n++;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names of the units that have a file of our name; a strv. */
static int units_with_file(char ***ret)
{
	_cleanup_(strv_freep) char **names = NULL;
	DIR *dir = opendir(UNIT_FOLDER);
	int r = 0;

	for (struct dirent *e; dir && r == 0 && (e = readdir(dir));) {
		size_t len = strlen(e->d_name);

		if (!str_has_suffix(e->d_name, ".service.d"))
			continue;
		e->d_name[len - 2] = '\0';
		r = strv_add(&names, e->d_name);
	}
	if (dir)
		(void)closedir(dir); /* only read */
	if (r < 0)
		return r;
	if (names)
		qsort(names, strv_len(names), sizeof(*names), compare);
	*ret = TAKE_PTR(names);
	return 0;
}

/* 0, -ENOMEM; -EINVAL: not one of ours. *ret_path malloc'ed. */
static int read_dropin(const char *unit, struct dropin *ret, char **ret_path)
{
	_cleanup_(freep) char *path = str_format(UNIT_FOLDER "/%s.d/" DROPIN_FILE, unit), *text = NULL;
	size_t len;
	int r;

	if (!path)
		return -ENOMEM;
	if (file_read(AT_FDCWD, path, UNIT_DROPIN_MAX, &text, &len) < 0)
		return -EINVAL;
	r = dropin_parse(text, ret);
	if (r == 0 && ret_path)
		*ret_path = TAKE_PTR(path);
	return r;
}

int unit_of_tunnel(const char *tunnel, char **ret)
{
	_cleanup_(strv_freep) char **names = NULL;
	int r = units_with_file(&names);

	*ret = NULL;
	for (char **n = names; r == 0 && !*ret && n && *n; n++) {
		struct dropin d;

		if (read_dropin(*n, &d, NULL) == 0 && str_eq(d.tunnel, tunnel)) {
			*ret = strdup(*n);
			r = *ret ? 0 : -ENOMEM;
		}
	}
	return r;
}

int unit_list(const struct cli *cli)
{
	_cleanup_(strv_freep) char **names = NULL;
	struct listing l = { .cli = cli, .json = { .out = &l.text } };

	if (units_with_file(&names) < 0)
		return output_oom();
	if (sd_bus_open_system(&l.bus) < 0)
		l.bus = NULL;
	json_begin_envelope(&l.json);
	json_key(&l.json, "units");
	json_begin_array(&l.json);
	for (char **n = names; n && *n; n++) {
		_cleanup_(freep) char *path = NULL;
		struct dropin d;

		if (read_dropin(*n, &d, &path) == 0)
			list_one(&l, *n, path, &d);
	}
	json_end_array(&l.json);
	sd_bus_flush_close_unref(l.bus);
	if (cli->json)
		return json_end_envelope(&l.json);
	strbuf_done(&l.text);
	if (l.n == 0 && !cli->quiet)
		printf("no service lives in a tunnel; `nsvpn unit add UNIT` brings one in\n");
	return output_flush();
}
