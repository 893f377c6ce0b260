/* A service on its way through `nsvpn unit`; contract in unit-subject.h. */
#include "cli/unit-subject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/places.h"
#include "cli/output.h"
#include "cli/service-manager.h"

void unit_subject_done(struct unit_subject *s)
{
	unit_facts_done(&s->facts);
	sd_bus_flush_close_unref(s->bus);
	free(s->name);
	free(s->folder);
	free(s->path);
	strv_free(s->running);
	free(s->old);
}

int unit_fail(int r, char *error, const char *fallback)
{
	return r == -ENOMEM ? output_oom() : output_fail_take(EXIT_CODE_FAILED, error, fallback);
}

/* ---- the file ---- */

static int set_places(struct unit_subject *s)
{
	free(s->folder);
	free(s->path);
	s->folder = str_format(UNIT_FOLDER "/%s.d", s->name);
	s->path = str_format(UNIT_FOLDER "/%s.d/" DROPIN_FILE, s->name);
	return s->folder && s->path ? EXIT_CODE_OK : output_oom();
}

int unit_subject_read_own(struct unit_subject *s)
{
	size_t len;
	int r = file_read(AT_FDCWD, s->path, UNIT_DROPIN_MAX, &s->old, &len);

	if (r == -ENOENT)
		return EXIT_CODE_OK;
	if (r < 0)
		return output_fail(EXIT_CODE_FAILED, "%s cannot be read: %s", s->path, strerror(-r));
	if (dropin_parse(s->old, &s->own) < 0)
		return output_fail(EXIT_CODE_FAILED, "%s was not written by nsvpn; rename it, or remove it", s->path);
	s->has_own = true;
	return EXIT_CODE_OK;
}

int unit_subject_write(const struct unit_subject *s, const char *text)
{
	int r = dir_make(s->folder, 0755);

	if (r >= 0)
		r = file_write_atomic(AT_FDCWD, s->path, text, strlen(text), 0644);
	return r < 0 ? output_fail(EXIT_CODE_FAILED, "%s cannot be written: %s", s->path, strerror(-r)) : EXIT_CODE_OK;
}

int unit_subject_remove(const struct unit_subject *s)
{
	if (unlink(s->path) < 0)
		return output_fail(EXIT_CODE_FAILED, "%s cannot be removed: %m", s->path);
	(void)rmdir(s->folder); /* not empty: it stays */
	return EXIT_CODE_OK;
}

int unit_subject_reload(const struct unit_subject *s)
{
	char *error = NULL;
	int r = service_manager_reload(s->bus, &error);

	return r < 0 ? unit_fail(r, error, "systemd cannot read its units again") : EXIT_CODE_OK;
}

void unit_subject_put_back(const struct unit_subject *s)
{
	char *error = NULL;

	if (s->has_own)
		(void)unit_subject_write(s, s->old);
	else
		(void)unit_subject_remove(s);
	(void)service_manager_reload(s->bus, &error); /* the sentence that counts has been printed */
	free(error);
}

/* ---- which unit ---- */

static int read_name(struct unit_subject *s, const char *given)
{
	char *error = NULL;
	int r = unit_name_read(given, &s->kind, &s->name, &error);

	if (r < 0)
		return output_oom();
	if (s->kind == UNIT_KIND_OTHER)
		return output_fail_take(EXIT_CODE_FAILED, error, "");
	if (s->kind == UNIT_KIND_INVALID)
		return output_fail_take(EXIT_CODE_USAGE, error, "");
	return EXIT_CODE_OK;
}

/* A template has no state of its own; that of an instance which nobody has started is read in its place. */
static char *instance_of(const struct unit_subject *s)
{
	if (s->kind != UNIT_KIND_TEMPLATE)
		return strdup(s->name);
	return str_format("%.*snsvpn.service", (int)(strlen(s->name) - strlen(".service")), s->name);
}

int unit_subject_read_facts(struct unit_subject *s)
{
	_cleanup_(freep) char *instance = instance_of(s);
	char *error = NULL;
	int r;

	if (!instance)
		return output_oom();
	unit_facts_done(&s->facts);
	r = service_manager_facts(s->bus, instance, &s->facts, &error);
	if (r < 0)
		return unit_fail(r, error, "systemd does not tell about the unit");
	return EXIT_CODE_OK;
}

/* An alias leads to the unit itself: only there systemd looks for its drop-ins in every case. */
static int follow_alias(struct unit_subject *s)
{
	if (s->kind == UNIT_KIND_TEMPLATE || str_eq(s->facts.id, s->name))
		return EXIT_CODE_OK;
	free(s->name);
	s->name = strdup(s->facts.id);
	return s->name ? set_places(s) : output_oom();
}

int unit_subject_find(struct unit_subject *s, const char *given)
{
	int r = read_name(s, given);

	if (r == EXIT_CODE_OK)
		r = service_manager_open(&s->bus);
	if (r == EXIT_CODE_OK)
		r = set_places(s);
	if (r == EXIT_CODE_OK)
		r = unit_subject_read_facts(s);
	return r == EXIT_CODE_OK ? follow_alias(s) : r;
}

int unit_is_inside(uint32_t pid, const char *tunnel)
{
	_cleanup_(freep) char *path = str_format("/proc/%u/ns/net", pid), *netns = place_netns(tunnel);
	struct stat a, b;

	if (!path || !netns)
		return -ENOMEM;
	if (pid == 0 || stat(path, &a) < 0)
		return pid ? -errno : -ESRCH;
	if (stat(netns, &b) < 0)
		return errno == ENOENT ? 0 : -errno;
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

char **unit_subject_running(const struct unit_subject *s)
{
	_cleanup_(strv_freep) char **names = NULL;
	_cleanup_(freep) char *pattern = NULL;
	char **found = NULL;
	char *error = NULL;

	if (s->kind != UNIT_KIND_TEMPLATE) {
		if (unit_facts_is_running(&s->facts) && strv_add(&found, s->name) < 0)
			return NULL;
		return found;
	}
	pattern = str_format("%.*s*.service", (int)(strlen(s->name) - strlen(".service")), s->name);
	if (!pattern || service_manager_names(s->bus, pattern, &names, &error) < 0)
		free(error);
	for (char **n = names; n && *n; n++) {
		struct unit_facts f = { 0 };

		if (service_manager_facts(s->bus, *n, &f, &error) < 0) {
			free(TAKE_PTR(error));
			continue;
		}
		if (unit_facts_is_running(&f) && strv_add(&found, *n) < 0)
			log_debug("no memory for a name, ignoring");
		unit_facts_done(&f);
	}
	return found;
}

int unit_subject_stop(const struct unit_subject *s)
{
	for (char **n = s->running; n && *n; n++) {
		char *error = NULL;
		int r = service_manager_stop(s->bus, *n, &error);

		if (r < 0)
			return unit_fail(r, error, "systemd cannot stop the unit");
	}
	return EXIT_CODE_OK;
}

static int restart(const struct unit_subject *s, bool quiet)
{
	for (char **n = s->running; n && *n; n++) {
		char *error = NULL;
		int r = service_manager_restart(s->bus, *n, &error);

		if (r < 0)
			return unit_fail(r, error, "systemd cannot restart the unit");
		if (!quiet)
			printf("%s was restarted\n", *n);
	}
	return output_flush();
}

int unit_subject_after_change(const struct unit_subject *s, const char *tunnel, bool now, bool quiet)
{
	if (now)
		return restart(s, quiet);
	for (char **n = s->running; n && *n; n++) {
		struct unit_facts f = { 0 };
		char *error = NULL;
		bool inside = false;

		if (service_manager_facts(s->bus, *n, &f, &error) == 0)
			inside = tunnel && unit_is_inside(f.main_pid, tunnel) > 0;
		unit_facts_done(&f);
		free(error);
		if (!inside && !quiet)
			printf("%s runs, and goes on %s until it is restarted: systemctl restart %s\n", *n,
			       tunnel ? "outside of the tunnel" : "where it is", *n);
	}
	return output_flush();
}
