/* Strict text-to-value conversions, one function per type. All return 0, -EINVAL (not of the form) or -ERANGE. */
#pragma once

#include "base/macro.h"

/* Decimal digits only: no sign, no blanks, no prefix. */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret);
int parse_port(const char *s, uint16_t *ret); /* 1..65535 */
/* A leading '-' allowed. */
int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
/* yes/no, true/false, on/off, 1/0, any case. */
int parse_bool(const char *s, bool *ret);
/* "90", "90s", "5min", "500ms", "1h": microseconds; a bare number is seconds. Units: us ms s sec m min h d. */
int parse_duration(const char *s, usec_t *ret);
/* malloc'ed bytes; white space inside is skipped, base64 needs its padding. Caller frees. Also -ENOMEM. */
int parse_base64(const char *s, size_t len, uint8_t **ret, size_t *ret_len);
int parse_hex(const char *s, size_t len, uint8_t **ret, size_t *ret_len);
/* malloc'ed text, padded base64 without line breaks; NULL without memory. */
char *format_base64(const void *p, size_t len);
/* malloc'ed lower-case hex. */
char *format_hex(const void *p, size_t len);
/* "1.5 MiB" style, for people. buf of at least 32. Returns buf. */
char *format_bytes(uint64_t n, char *buf, size_t cap);
/* Names of tunnels: ^[a-z0-9][a-z0-9-]{0,9}$ */
bool tunnel_name_is_valid(const char *s);
