/* One service on its way through `nsvpn unit add` or `remove`: what it is, its file, and what runs of it. */
#pragma once

#include <systemd/sd-bus.h>

#include "cli/unit-facts.h"

#define UNIT_FOLDER "/etc/systemd/system"
#define UNIT_DROPIN_MAX 65536

/* All functions that return an exit code have printed their sentence when it is not 0. */
struct unit_subject {
	sd_bus *bus;
	enum unit_kind kind;
	char *name, *folder, *path; /* UNIT_FOLDER/NAME.d, and the file in it */
	char **running;             /* names of what runs of it before the change */
	char *old;                  /* the text of a drop-in that is there */
	struct dropin own;          /* what it says */
	bool has_own;
	struct unit_facts facts;
};

void unit_subject_done(struct unit_subject *s);

/* What somebody typed: its name (not an alias'), the places of its drop-in, the service manager and what that says of it. */
int unit_subject_find(struct unit_subject *s, const char *given);
int unit_subject_read_facts(struct unit_subject *s);
/* A strv: itself, or a template's instances. NULL: nothing, or no memory. */
char **unit_subject_running(const struct unit_subject *s);

/* What is in our place already. A file that we did not write is somebody else's, and stays: an exit code. */
int unit_subject_read_own(struct unit_subject *s);
int unit_subject_write(const struct unit_subject *s, const char *text);
int unit_subject_remove(const struct unit_subject *s);
/* What was there before, for an add that did not work out. */
void unit_subject_put_back(const struct unit_subject *s);
int unit_subject_reload(const struct unit_subject *s);

/* Stops what runs. */
int unit_subject_stop(const struct unit_subject *s);
/* Restarts what ran before the change (now), or says what has to be restarted. tunnel NULL: it leaves. */
int unit_subject_after_change(const struct unit_subject *s, const char *tunnel, bool now, bool quiet);

/* In the tunnel's network namespace: 1, or 0; -errno when that cannot be seen (of somebody else's process, say). */
int unit_is_inside(uint32_t pid, const char *tunnel);
/* An exit code for -errno and sentence (taken) of service-manager.h. */
int unit_fail(int r, char *error, const char *fallback);
