/*
 * Key memory.
 *
 * Theory: every secret has pages of its own, so that mlock() and MADV_DONTDUMP cover key bytes and nothing else, and so
 * that the allocator never hands pieces of a key to somebody else. The system calls made are mmap, mlock, madvise and
 * munmap. The byte behind the end is part of the mapping and stays 0.
 */
#include "base/secret.h"

#include <string.h>
#include <sys/mman.h>

struct secret {
	size_t len;
	size_t map_len;
	uint8_t data[];
};

int secret_new(struct secret **ret, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t map_len;
	struct secret *s;

	if (__builtin_add_overflow(len, sizeof(*s) + 1 + page - 1, &map_len))
		return -ENOMEM;
	map_len &= ~(page - 1);

	s = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return -ENOMEM;
	(void)mlock(s, map_len);                  /* RLIMIT_MEMLOCK may be small; an unlocked key still works */
	(void)madvise(s, map_len, MADV_DONTDUMP); /* unknown only to kernels that dump no anonymous memory we care for */
	s->len = len;
	s->map_len = map_len;
	*ret = s;
	return 0;
}

int secret_new_copy(struct secret **ret, const void *data, size_t len)
{
	struct secret *s;
	int r;

	r = secret_new(&s, len);
	if (r < 0)
		return r;
	if (len)
		memcpy(s->data, data, len);
	*ret = s;
	return 0;
}

struct secret *secret_free(struct secret *s)
{
	if (s) {
		size_t map_len = s->map_len;

		explicit_bzero(s, map_len);
		(void)munmap(s, map_len); /* only fails for a mapping that is not ours */
	}
	return NULL;
}

int secret_dup(struct secret **ret, const struct secret *s)
{
	return secret_new_copy(ret, secret_bytes(s), secret_len(s));
}

uint8_t *secret_data(struct secret *s)
{
	return s ? s->data : NULL;
}

const uint8_t *secret_bytes(const struct secret *s)
{
	return s ? s->data : NULL;
}

const char *secret_string(const struct secret *s)
{
	return s ? (const char *)s->data : NULL;
}

size_t secret_len(const struct secret *s)
{
	return s ? s->len : 0;
}

void secret_wipe(void *p, size_t len)
{
	if (p && len)
		explicit_bzero(p, len);
}
