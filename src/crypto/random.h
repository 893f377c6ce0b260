/* Random bytes for keys, nonces and session ids, from OpenSSL's private generator. */
#pragma once

#include "base/macro.h"

/* Fills buf. 0, or -EIO when the generator failed; buf is then zeroed and must not be used. */
int random_bytes(void *buf, size_t len) _warn_unused_;
