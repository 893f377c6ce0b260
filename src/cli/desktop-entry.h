/*
 * Desktop entries (freedesktop.org, Desktop Entry Specification 1.5): read, and rewritten so that they start in a tunnel.
 *
 * Theory. The rewritten entry is made of known keys only, so that nothing of the original (activation over D-Bus, types of
 * files, extensions of desktops) can start the program another way or make the entry a default application by accident.
 * The command line is not taken apart: the original one, with its quoting and field codes, stands behind
 * "nsvpn exec ... --" as it was. What the specification leaves undefined stays as undefined as it was.
 */
#pragma once

#include "base/cleanup.h"
#include "base/macro.h"

#define DESKTOP_ENTRY_MAX (1U << 20)

struct desktop_key {
	char *group;  /* "Desktop Entry", "Desktop Action new-window" */
	char *key;    /* with its locale, if any: "Name[de]" */
	char *value;  /* as in the file, escapes included */
};

struct desktop_entry {
	struct desktop_key *keys; /* in the file's order */
	size_t n;
};

void desktop_entry_done(struct desktop_entry *e);

/* 0; -EINVAL with *ret_error (line and what is wrong); -ENOMEM. */
int desktop_entry_parse(const char *text, size_t len, struct desktop_entry *ret, char **ret_error);

/* The value in [Desktop Entry], borrowed; NULL. */
const char *desktop_entry_get(const struct desktop_entry *e, const char *key);
bool desktop_entry_is(const struct desktop_entry *e, const char *key); /* its value is "true" */

/* ---- Exec= ---- */

/*
 * The arguments of an Exec= value: escapes of the file and quotes removed, field codes such as %u left as they are. 0;
 * -EINVAL: quoting that the specification does not know; -ENOMEM. *ret is a strv of at least one.
 */
int desktop_exec_split(const char *value, char ***ret);

/* One argument, quoted and escaped where needed, its percent signs doubled. malloc'ed, NULL without memory. */
char *desktop_exec_quote(const char *argument);

/* ---- for a tunnel ---- */

struct desktop_rewrite {
	const char *nsvpn;  /* absolute path of our own program */
	const char *tunnel;
	const char *id;     /* of the original, for `desktop list` */
	bool new_instance;
};

#define DESKTOP_KEY_TUNNEL "X-Nsvpn-Tunnel"
#define DESKTOP_KEY_ID "X-Nsvpn-Original"

/* The text of the new entry. 0; -EINVAL with *ret_error: this is no application that could be started; -ENOMEM. */
int desktop_entry_rewrite(const struct desktop_entry *e, const struct desktop_rewrite *w, char **ret, char **ret_error);

/* The arguments of the original in an entry that was rewritten, or of any other. Like desktop_exec_split(). */
int desktop_entry_original(const struct desktop_entry *e, char ***ret);
