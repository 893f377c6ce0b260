/*
 * Key memory. A struct secret is locked, left out of core dumps, wiped when freed, and opaque, so that printing one by
 * accident does not compile.
 */
#pragma once

#include "base/cleanup.h"
#include "base/macro.h"

struct secret;

/* Zero-filled; -ENOMEM. A failing mlock (RLIMIT_MEMLOCK) is not an error. */
int secret_new(struct secret **ret, size_t len);
int secret_new_copy(struct secret **ret, const void *data, size_t len);
struct secret *secret_free(struct secret *s); /* NULL is fine; returns NULL */
int secret_dup(struct secret **ret, const struct secret *s);
/* Borrowed; one byte behind the end is always 0, so text secrets can be used as strings. NULL secret: NULL and 0. */
uint8_t *secret_data(struct secret *s);
const uint8_t *secret_bytes(const struct secret *s);
const char *secret_string(const struct secret *s);
size_t secret_len(const struct secret *s);
/* explicit_bzero for plain buffers that held key material for a moment. */
void secret_wipe(void *p, size_t len);
DEFINE_CLEANUP(struct secret *, secret_free)
