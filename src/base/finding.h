/*
 * What `nsvpn doctor` found: nsvpn looks as the user, nsvpnd with its rights, and both write such a list. The words are
 * stable: scripts read them (`doctor --json`, nsvpn(1)).
 */
#pragma once

#include "base/cleanup.h"
#include "base/macro.h"

enum finding_level {
	FINDING_OK,
	FINDING_NOTE,	 /* good to know */
	FINDING_WARNING, /* something will not work, or not always */
	FINDING_PROBLEM, /* tunnels cannot come up */
	_FINDING_LEVEL_MAX,
};

struct finding {
	enum finding_level level;
	char *topic;  /* "kernel", "firewall", ... */
	char *object; /* what it is about: a file, a table, a program */
	char *text;   /* one sentence */
	char *remedy; /* what to do; "" where there is nothing to do */
};

struct findings {
	struct finding *v;
	size_t n;
	bool failed; /* no memory: something is missing */
};

const char *finding_level_to_string(enum finding_level level);
/* 0 or -EINVAL. */
int finding_level_from_string(const char *s, enum finding_level *ret);

/* remedy NULL: none. Control characters in object, text and remedy become escapes. */
void findings_add(struct findings *f, enum finding_level level, const char *topic, const char *object, const char *remedy,
		  const char *fmt, ...) _printf_(6, 7);
void findings_done(struct findings *f);
enum finding_level findings_worst(const struct findings *f);
