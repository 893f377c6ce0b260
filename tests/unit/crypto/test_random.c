/* Random bytes: they come, and they differ. */
#include "crypto/random.h"

#include <criterion/criterion.h>
#include <string.h>

Test(random, fills_the_whole_buffer_with_something_else_each_time)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 }, none[1] = { 7 };

	cr_assert_eq(random_bytes(a, sizeof(a)), 0);
	cr_assert_eq(random_bytes(b, sizeof(b)), 0);
	cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
	cr_assert_neq(memcmp(a, b + 32, 32), 0);
	cr_assert_eq(random_bytes(none, 0), 0);
	cr_assert_eq(none[0], 7);
}
