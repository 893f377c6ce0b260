/* The keys of settings.conf, for the parser and for the test that compares them with nsvpn.conf(5). */
#pragma once

#include "profile/profile.h"

struct tunnel_key {
	const char *section, *key;
	/*
	 * Reads value; -EINVAL with what would be right in *ret_want (static); -EDOM with what is wrong about it instead,
	 * as the rest of a sentence; -ENOMEM. NULL: refused.
	 */
	int (*parse)(struct tunnel_settings *s, const char *value, const char **ret_want);
	const char *refusal; /* why the key cannot be used, with the remedy */
};

const struct tunnel_key *tunnel_settings_keys(size_t *ret_n);
