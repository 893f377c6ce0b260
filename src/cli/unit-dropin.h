/* The drop-in that makes a service live in a tunnel, as text: written by `nsvpn unit add`, found again by `unit list`. */
#pragma once

#include "base/cleanup.h"
#include "base/macro.h"

#define DROPIN_FILE "50-nsvpn.conf"

enum dropin_form {
	DROPIN_PATH,  /* NetworkNamespacePath= */
	DROPIN_JOINS, /* PrivateNetwork= and JoinsNamespaceOf= */
	_DROPIN_FORM_MAX,
};

const char *dropin_form_to_string(enum dropin_form f);

/* malloc'ed; program: absolute path of nsvpn. NULL without memory. */
char *dropin_format(const char *unit, const char *tunnel, enum dropin_form form, const char *program);

struct dropin {
	char tunnel[16];
	enum dropin_form form;
};

/* What dropin_format() was asked for. -EINVAL: not one of ours. */
int dropin_parse(const char *text, struct dropin *ret);

/* "nsvpn@home.service"; malloc'ed, NULL without memory. */
char *dropin_anchor(const char *tunnel);

enum unit_kind {
	UNIT_KIND_SERVICE,
	UNIT_KIND_TEMPLATE, /* a service's, without an instance */
	UNIT_KIND_OTHER,    /* refused with a reason */
	UNIT_KIND_INVALID,
};

/*
 * What somebody typed as a unit's name, "kodi" or "kodi.service". *ret_name: the whole name, malloc'ed, for the first two.
 * Otherwise *ret_error says why such a unit cannot live in a tunnel, and what can. -ENOMEM.
 */
int unit_name_read(const char *given, enum unit_kind *ret_kind, char **ret_name, char **ret_error);
