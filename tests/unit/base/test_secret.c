/* secret.h: contents, terminator, and what the kernel says about the pages. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "base/str.h"

Test(secret, starts_zeroed_and_terminated)
{
	_cleanup_(secret_freep) struct secret *s = NULL;

	cr_assert_eq(secret_new(&s, 4096), 0); /* header plus contents cross a page */
	cr_assert_eq(secret_len(s), 4096);
	for (size_t i = 0; i <= 4096; i++)
		cr_assert_eq(secret_bytes(s)[i], 0);
	memset(secret_data(s), 'x', 4096);
	cr_assert_eq(strlen(secret_string(s)), 4096);
}

Test(secret, copies)
{
	_cleanup_(secret_freep) struct secret *s = NULL, *t = NULL, *empty = NULL;

	cr_assert_eq(secret_new_copy(&s, "hunter2", 7), 0);
	cr_assert_eq(secret_dup(&t, s), 0);
	secret_data(s)[0] = 'X';
	cr_assert_str_eq(secret_string(t), "hunter2");
	cr_assert_eq(secret_new_copy(&empty, NULL, 0), 0);
	cr_assert_str_eq(secret_string(empty), "");
}

Test(secret, null_is_fine)
{
	cr_assert_null(secret_free(NULL));
	cr_assert_null(secret_data(NULL));
	cr_assert_null(secret_bytes(NULL));
	cr_assert_null(secret_string(NULL));
	cr_assert_eq(secret_len(NULL), 0);
	secret_wipe(NULL, 5);
}

Test(secret, absurd_sizes_fail)
{
	struct secret *s = NULL;

	cr_assert_eq(secret_new(&s, SIZE_MAX), -ENOMEM);
	cr_assert_eq(secret_new(&s, SIZE_MAX - 4096), -ENOMEM);
	if (sizeof(size_t) > 4) /* half of what 32 bits address may well be there */
		cr_assert_eq(secret_new(&s, SIZE_MAX / 2), -ENOMEM);
	cr_assert_null(s);
}

Test(secret, wipes_plain_buffers)
{
	char buf[] = "key material";

	secret_wipe(buf, sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		cr_assert_eq(buf[i], 0);
}

/* The flags of the mapping that holds p, from smaps. */
static bool flags_of(const void *p, char flags[256])
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long from, to, at = (unsigned long)p;
	bool inside = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = at >= from && at < to;
		else if (inside && str_has_prefix(line, "VmFlags:"))
			return str_copy(flags, 256, line);
	}
	return false;
}

Test(secret, pages_stay_out_of_dumps)
{
	_cleanup_(secret_freep) struct secret *s = NULL;
	char flags[256];

	cr_assert_eq(secret_new_copy(&s, "x", 1), 0);
	if (!flags_of(secret_bytes(s), flags))
		cr_skip("this kernel shows no mapping flags");
	cr_assert(strstr(flags, " dd"), "%s", flags);
}
