/*
 * The request of a user's `nsvpn exec`: arguments and environment in a sealed memfd. Format: base/launch-api.h. Built by
 * nsvpn, carried unread by nsvpnd, parsed by nsvpn-launch after it has become the user.
 */
#pragma once

#include "base/cleanup.h"
#include "base/macro.h"

struct request {
	char *text; /* what the vectors point into */
	char **argv, **envp; /* NULL-terminated; the strings are not owned */
};

void request_done(struct request *r);

/* A sealed memfd, or -errno: -EINVAL without an argument, -E2BIG above LAUNCH_REQUEST_MAX. */
int request_build(char *const *argv, char *const *envp);
/* Reads fd from its beginning. -EBADMSG for what is not a request, -EFBIG, -ENOMEM. */
int request_parse(int fd, struct request *ret);
/* The same from memory; text is copied. */
int request_parse_text(const char *text, size_t len, struct request *ret);
