/*
 * Bounds-checked cursors with a sticky error. All parsing of wire data goes through the reader; a read past the end
 * returns zeros (or NULL) and sets `failed`, so that a parser checks once at its end.
 */
#pragma once

#include <string.h>

#include "base/macro.h"

struct reader {
	const uint8_t *p;
	size_t left;
	bool failed;
};

static inline struct reader reader_init(const void *p, size_t len)
{
	return (struct reader){ .p = p, .left = len };
}

/* Borrowed pointer to the next n bytes, or NULL. */
static inline const uint8_t *read_bytes(struct reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->failed || r->left < n) {
		r->failed = true;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

static inline bool read_copy(struct reader *r, void *dst, size_t n)
{
	const uint8_t *p = read_bytes(r, n);

	if (!p) {
		memset(dst, 0, n);
		return false;
	}
	memcpy(dst, p, n);
	return true;
}

static inline uint8_t read_u8(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 1);

	return p ? p[0] : 0;
}

static inline uint16_t read_be16(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 2);

	return p ? (uint16_t)((unsigned)p[0] << 8 | p[1]) : 0;
}

static inline uint32_t read_be32(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t read_be64(struct reader *r)
{
	uint64_t hi = read_be32(r);

	return hi << 32 | read_be32(r);
}

struct writer {
	uint8_t *p;
	size_t left;
	size_t len; /* written so far */
	bool failed;
};

static inline struct writer writer_init(void *p, size_t cap)
{
	return (struct writer){ .p = p, .left = cap };
}

static inline bool write_fits(struct writer *w, size_t n)
{
	w->failed = w->failed || w->left < n;
	return !w->failed;
}

static inline uint8_t *write_advance(struct writer *w, size_t n)
{
	uint8_t *p = w->p;

	w->p += n;
	w->left -= n;
	w->len += n;
	return p;
}

/* Borrowed pointer to n fresh bytes to fill, or NULL. */
static inline uint8_t *write_space(struct writer *w, size_t n)
{
	return write_fits(w, n) ? write_advance(w, n) : NULL;
}

static inline void write_bytes(struct writer *w, const void *src, size_t n)
{
	if (n && write_fits(w, n))
		memcpy(write_advance(w, n), src, n);
}

static inline void write_u8(struct writer *w, uint8_t v)
{
	write_bytes(w, &v, 1);
}

static inline void write_be16(struct writer *w, uint16_t v)
{
	write_bytes(w, (uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

static inline void write_be32(struct writer *w, uint32_t v)
{
	write_bytes(w, (uint8_t[]){ (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v }, 4);
}

static inline void write_be64(struct writer *w, uint64_t v)
{
	write_be32(w, (uint32_t)(v >> 32));
	write_be32(w, (uint32_t)v);
}
